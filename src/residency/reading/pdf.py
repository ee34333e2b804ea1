"""PDF: the text layer of every page in reading order, or what Tesseract reads off its picture.

    page ── pdfium ──> fragments ── side by side ──> lines ── heads and feet off ──> columns
         └─ no text ── Tesseract ──> paragraphs <── joined over lines, columns, pages ──┘

pdfium (pypdfium2) and not pdfminer.six: it read the same book some thirty times faster, repairs
broken files, knows right-to-left text and draws scanned pages.
"""

from __future__ import annotations

import ctypes
import os
import re
import shutil
import subprocess
import tempfile
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cache
from itertools import groupby, pairwise
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

from residency.reading.blocks import PARAGRAPH, Block, Lost, Unreadable
from residency.words import CJK

_FRAGMENT = re.compile("([^\r\n\ufffe]*[^\r\n\ufffe\\s])\\s*(\ufffe?)")
_SPACES = re.compile(r"\s+")
_HYPHENS = ("-", "\u2010", "\u00ad")
_SUSPENDED = {"und", "oder", "bzw.", "sowie", "bis"}  # Vor- und Nachteile
_RTL = re.compile("[\u0590-\u08ff\ufb1d-\ufdff\ufe70-\ufefc]")
_ALEF = "\u0622\u0623\u0625\u0627"
_LAM = "\u0644"
_ENDS = re.compile(r"[.!?:;。！？：；…][\"'”’»«)\]）」』]*$")
_ITEM = re.compile(r"(?:[•▪◦●‣∙·*–—-]|\(?(?:\d{1,3}|[A-Za-z]|[ivx]{1,4})[.)])\s")
_LABEL = re.compile(r"(?:\d+(?:\.\d+)*|[A-Z](?:\.\d+)+)\.?|\(?\w{1,3}[.)]|[•▪◦●‣∙·*–-]")
_CAPTION = re.compile(r"(?:Abb|Fig|Tab)\w*\.?\s*\d")
_LEADERS = re.compile(r"(?:\s*[.·_]){4,}\s*")
_UNSEEN = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b\u2060\ufeff\uffff]|\u00ad(?!$)")
_LIGATURE = re.compile("[\ufb00-\ufb06]")
_DIGITS = re.compile(r"\d{1,9}")
_BARE = re.compile(r"[-–—\[(\s]*(?:(\d{1,4})|([ivxlcIVXLC]{1,7}))[-–—\])\s]*")
_ROMAN = {"i": 1, "v": 5, "x": 10, "l": 50, "c": 100}
_WIDE = re.compile(rf"[\u3000-\u303f\uff00-\uffef{CJK}]")

_ZONE = 0.12
"""Running heads and feet lie in this outer share of a page's height."""

_NUMBER_ZONE = 0.2
"""Page numbers alone, which are told by their counting, may lie farther in."""

_STAMP = 100
"""A page with a picture and fewer characters of text than this may be a scan with a stamp."""

_PICTURE = 0.2
"""The share of a page from which on an image may be a scan."""

_FARTHEST = 1e6
"""No page reaches so far, in points; what claims to is put in the corner."""

_MOST_LINES = 1000
"""A page with more lines than this is a drawing, and not searched for columns."""

_TESSERACT = {
    "ar": "ara", "bg": "bul", "cs": "ces", "da": "dan", "de": "deu", "el": "ell", "en": "eng",
    "es": "spa", "fa": "fas", "fi": "fin", "fr": "fra", "he": "heb", "hi": "hin", "hu": "hun",
    "id": "ind", "it": "ita", "ja": "jpn", "ko": "kor", "la": "lat", "nl": "nld", "no": "nor",
    "pl": "pol", "pt": "por", "ro": "ron", "ru": "rus", "sv": "swe", "th": "tha", "tr": "tur",
    "uk": "ukr", "vi": "vie", "zh": "chi_sim", "zh-hant": "chi_tra", "zh-hk": "chi_tra",
    "zh-tw": "chi_tra",
}  # fmt: skip
_OCR_SECONDS = 120
_DPI = 300
_PIXELS = 10_000
"""A side of a page's picture has at most this many, so that a huge page does not eat memory."""


@dataclass(slots=True)
class Line:
    """A run of text on one line of one column; edges in points, y grows upwards."""

    text: str
    left: float
    bottom: float
    right: float
    top: float
    size: float  # height of the font's box, about 1.2 times its size in points
    level: int = PARAGRAPH
    row: bool = False  # of a table, its cells separated by " | "


@dataclass(slots=True)
class Page:
    """What a page says; `bottom` and `top` are its edges in points."""

    number: int  # from 1
    bottom: float = 0.0
    top: float = 0.0
    lines: list[Line] = field(default_factory=list)
    turned: list[Line] = field(default_factory=list)  # lines that do not run from side to side
    rtl: bool = False
    compounds: set[str] = field(default_factory=set)  # words with hyphens, unbroken
    lost: Lost | None = None


class Bookmark(NamedTuple):
    """An entry of the outline and, where it says so, the point it leads to."""

    title: str
    level: int
    left: float | None
    top: float | None


@dataclass(slots=True)
class Paragraph:
    """Lines that belong together; `full` if the last one reaches the end of its column."""

    lines: list[Line]
    page: int
    full: bool


def read(content: bytes, language: str = "en") -> Iterator[Block | Lost]:
    """The paragraphs, headings and losses of a PDF, in reading order with page numbers from 1.

    Headings are the outline's; without one, lines in larger type if there are few. `language` is
    a BCP 47 tag: it chooses Tesseract's model. Raises Unreadable: "encrypted", "unparsable",
    "empty".
    """
    pages, outline = _opened(content, language)
    yield from _losses(pages)
    yield from _without_heads(pages)
    compounds = set[str]().union(*(page.compounds for page in pages))
    german = language.partition("-")[0] == "de"
    levels = {} if outline else _levels(pages)
    pending: list[Paragraph] = []
    for page in pages:
        _mark_headings(page, outline.get(page.number, []))
        for column in _columns(page):
            found = _paragraphs(column, page)
            earlier = _unfinished(pending, found[0])
            if earlier:
                earlier.lines += found[0].lines
                earlier.full = found[0].full
                del found[0]
            if found:
                yield from (_told(each, compounds, german, levels) for each in pending)
                pending = found
    yield from (_told(each, compounds, german, levels) for each in pending)


# Reading with pdfium


def _opened(content: bytes, language: str) -> tuple[list[Page], dict[int, list[Bookmark]]]:
    """All pages and the outline's entries by page number. Raises Unreadable."""
    import pypdfium2
    from pypdfium2 import raw

    try:
        document = pypdfium2.PdfDocument(content)
    except pypdfium2.PdfiumError as error:
        if error.err_code == raw.FPDF_ERR_PASSWORD:
            raise Unreadable("encrypted", "a password is needed to open it") from None
        raise Unreadable("unparsable", str(error)) from None
    try:
        count = len(document)
        if not count:
            raise Unreadable("empty", "a PDF without pages")
        pages = [_page(document, number, language) for number in range(1, count + 1)]
        if all(page.lost and page.lost.reason == "broken page" for page in pages):
            raise Unreadable("unparsable", f"none of its {count} pages can be loaded")
        return pages, _outline(document)
    finally:
        document.close()


def _losses(pages: list[Page]) -> Iterator[Lost]:
    """What was lost of each page; pages in a row that are broken are one loss."""
    for reason, run in groupby(pages, key=lambda page: page.lost and page.lost.reason):
        found = [page.lost for page in run if page.lost]
        if reason == "broken page" and len(found) > 1:
            yield Lost("broken page", f"{found[0].detail}, nor the {len(found) - 1} after it")
        else:
            yield from found


def _page(document: Any, number: int, language: str) -> Page:
    from pypdfium2 import raw

    page = Page(number)
    handle = raw.FPDF_LoadPage(document.raw, number - 1)
    if not handle:
        page.lost = Lost("broken page", f"page {number}: pdfium cannot load it")
        return page
    text = raw.FPDFText_LoadPage(handle)
    try:
        box = raw.FS_RECTF()
        raw.FPDF_GetPageBoundingBox(handle, box)
        rotation = raw.FPDFPage_GetRotation(handle)
        edges = (box.left, box.bottom, box.right, box.top)
        page.bottom, page.top = (box.bottom, box.top) if rotation % 2 == 0 else (0.0, box.right)
        characters = _read_text(page, text, rotation, edges) if text else 0
        if characters < _STAMP:
            _read_picture(page, handle, edges, characters, language)
    finally:
        if text:
            raw.FPDFText_ClosePage(text)
        raw.FPDF_ClosePage(handle)
    return page


def _read_text(page: Page, text: Any, rotation: int, edges: tuple[float, ...]) -> int:
    """Fill a page's lines from its text layer; the number of characters there."""
    from pypdfium2 import raw

    count: int = raw.FPDFText_CountChars(text)
    if count <= 0:
        return 0
    buffer = (ctypes.c_ushort * (count + 1))()
    written = raw.FPDFText_GetText(text, 0, count, buffer)
    whole = bytes(buffer)[: 2 * (written - 1)].decode("utf-16-le", "replace")
    if "-" in whole:
        page.compounds = _compounds(whole)
    page.rtl = _RTL.search(whole) is not None
    layer = Layer(raw, text, rotation, edges, page.rtl)
    line: Line | None = None
    for words, hyphen, left, bottom, right, top in _fragments(layer, whole, count):
        found = Line(_clean(words), left, bottom, right, top, top - bottom)
        if len(words) > 3 and found.top - found.bottom > 2 * (found.right - found.left):
            page.turned.append(found)
        elif line and _beside(line, found):
            _append(line, found)
        elif found.text:
            line = found
            page.lines.append(line)
        if hyphen and line:
            line.text += "-"
            line = None
    return count


class Layer(NamedTuple):
    """A page's text in pdfium, and how the page is shown: turned clockwise by quarters."""

    raw: Any  # pdfium's functions
    text: Any
    rotation: int
    edges: tuple[float, ...]  # of the page before it is turned: left, bottom, right, top
    rtl: bool


class Fragment(NamedTuple):
    """A run of text on one baseline as pdfium has it, `hyphen` if it ends in the midst of a word.

    The lower and upper edges are those of its type: of the first or the last character's, the
    larger, as the smaller may be an exponent; but not that of a bracket several lines high.
    """

    text: str
    hyphen: bool
    left: float
    bottom: float
    right: float
    top: float


def _fragments(layer: Layer, whole: str, count: int) -> Iterator[Fragment]:
    """A page's fragments in the order of its text; table rows are cut into cells."""
    raw, text, rotation, _, rtl = layer
    straight = len(whole) == count  # else some characters have no place in the text
    first, last = raw.FS_RECTF(), raw.FS_RECTF()
    box_of = raw.FPDFText_GetLooseCharBox
    found: list[Fragment] = []
    starts: list[int] = []
    doubtful: list[int] = []
    for match in _FRAGMENT.finditer(whole):
        words = match[1].lstrip()
        end = match.end(1) - 1
        start = end + 1 - len(words)
        if not straight:
            start = raw.FPDFText_GetCharIndexFromTextIndex(text, start)
            end = raw.FPDFText_GetCharIndexFromTextIndex(text, end)
        box_of(text, start, first)
        box_of(text, end, last)
        if rotation:
            _turn(layer, first)
            _turn(layer, last)
        left, bottom, right, top = first.left, first.bottom, last.right, first.top
        size, other = top - bottom, last.top - last.bottom
        if size < other < 1.6 * size or size > 1.6 * other > 0:
            bottom, top, size = last.bottom, last.top, other
        if right < left or rtl or last.bottom > first.top or last.top < first.bottom:
            left, right = min(left, last.left), max(right, first.right)
            bottom, top = min(bottom, last.bottom), max(top, last.top)
        if rtl or (
            " " in words
            and (right - left > 0.65 * size * len(words) or _apart(layer, start, end, size))
        ):
            doubtful.append(len(found))
        if not abs(left) + abs(bottom) + abs(right) + abs(top) < _FARTHEST:
            left = bottom = right = top = 0.0  # also where they are no numbers
        starts.append(start)
        found.append(Fragment(words, bool(match[2]), left, bottom, right, top))
    cut: dict[int, list[Fragment]] = {}
    while doubtful:
        place = doubtful.pop()
        if place not in cut and 0 <= place < len(found):
            cut[place] = list(_cells(layer, found[place], starts[place]))
            if len(cut[place]) > 1:  # a table's heads may be closer together than its cells
                doubtful += (place - 1, place + 1)
    for place, fragment in enumerate(found):
        yield from cut.get(place, (fragment,))


def _turn(layer: Layer, box: Any) -> None:
    """Move a character's box to where it is seen on a rotated page."""
    left, bottom, right, top = box.left, box.bottom, box.right, box.top
    edges = layer.edges
    if layer.rotation == 1:
        moved = bottom, edges[2] - right, top, edges[2] - left
    elif layer.rotation == 2:
        moved = edges[2] - right, edges[3] - top, edges[2] - left, edges[3] - bottom
    else:
        moved = edges[3] - top, left, edges[3] - bottom, right
    box.left, box.bottom, box.right, box.top = moved


def _apart(layer: Layer, start: int, end: int, size: float) -> bool:
    """Whether a fragment was drawn in pieces, with a wide gap between two of them."""
    raw, text = layer.raw, layer.text
    rectangles = raw.FPDFText_CountRects(text, start, end - start + 1)
    if rectangles < 2 or layer.rotation:
        return bool(rectangles > 1)
    left, top, right, bottom = (ctypes.c_double() for _ in range(4))
    before = 0.0
    for index in range(rectangles):
        raw.FPDFText_GetRect(text, index, left, top, right, bottom)
        if index and left.value - before > 0.9 * size:
            return True
        before = right.value
    return False


def _cells(layer: Layer, fragment: Fragment, start: int) -> Iterator[Fragment]:
    """Cut a fragment where a gap is much wider than its spaces, or all gaps are wide."""
    words, size = fragment.text, fragment.top - fragment.bottom
    if layer.rtl and _RTL.search(words):
        words, left, right = _logical(layer, words, start)
        yield fragment._replace(text=words, left=left, right=right)
        return
    box_of = layer.raw.FPDFText_GetLooseCharBox
    before, after = layer.raw.FS_RECTF(), layer.raw.FS_RECTF()
    gaps: list[tuple[float, float, int, int]] = []
    for space in _SPACES.finditer(words):
        box_of(layer.text, start + space.start() - 1, before)
        box_of(layer.text, start + space.end(), after)
        if layer.rotation:
            _turn(layer, before)
            _turn(layer, after)
        gaps.append((before.right, after.left, space.start(), space.end()))
    begin, left = 0, fragment.left
    if gaps:
        least = min(right - left for left, right, _, _ in gaps)
        wide = 0.9 * size if least > 1.5 * size else max(0.9 * size, 2 * least)
        for right, next_left, end, next_begin in gaps:
            if next_left - right > wide:
                yield fragment._replace(text=words[begin:end], hyphen=False, left=left, right=right)
                begin, left = next_begin, next_left
    yield fragment._replace(text=words[begin:], left=left)


def _logical(layer: Layer, words: str, start: int) -> tuple[str, float, float]:
    """Right-to-left text put right: pdfium turns round what a single glyph stands for.

    Glyphs that stand for nothing known are left out; also gives the outermost edges.
    """
    raw, text = layer.raw, layer.text
    box = raw.FS_RECTF()
    x, y = ctypes.c_double(), ctypes.c_double()
    glyphs: list[tuple[float, str]] = []
    edges: list[float] = []
    index = start
    wanted = len(words)
    while wanted > 0 and (code := raw.FPDFText_GetUnicode(text, index)):
        raw.FPDFText_GetCharOrigin(text, index, x, y)
        raw.FPDFText_GetLooseCharBox(text, index, box)
        if layer.rotation:
            _turn(layer, box)
        if raw.FPDFText_GetTextIndexFromCharIndex(text, index) >= 0:
            wanted -= 1
        if raw.FPDFText_HasUnicodeMapError(text, index) != 1:
            glyphs.append((x.value, chr(code)))
            edges += (box.left, box.right)
        index += 1
    told = ""
    for _, run in groupby(glyphs, key=lambda glyph: (glyph[0], bool(_RTL.match(glyph[1])))):
        run_text = "".join(character for _, character in run)
        told += run_text[::-1] if _turned_round(run_text) else run_text
    return told, min(edges, default=0.0), max(edges, default=0.0)


def _turned_round(glyph: str) -> bool:
    """Whether the letters of one right-to-left glyph stand in the order of the page."""
    if len(glyph) < 2 or not _RTL.match(glyph):
        return False
    return (
        len(glyph) > 2
        or bool(unicodedata.combining(glyph[0]))
        or (glyph[0] in _ALEF and glyph[1] == _LAM)
    )


def _clean(text: str) -> str:
    """Ligatures as letters, no control characters, leaders to a page number shortened."""
    if not text.isprintable():
        text = _UNSEEN.sub("", text.replace("\u00a0", " "))
    if not text.isascii():
        text = _LIGATURE.sub(lambda match: unicodedata.normalize("NFKC", match[0]), text)
    return _LEADERS.sub(" … ", text).strip() if "...." in text or ". . ." in text else text


def _beside(line: Line, found: Line) -> bool:
    """Whether a fragment goes on with a line, as after an index or an exponent."""
    height = min(line.top - line.bottom, found.top - found.bottom)
    if min(line.top, found.top) - max(line.bottom, found.bottom) < 0.3 * height:
        return False
    gap = max(found.left - line.right, line.left - found.right)
    return -0.6 * line.size < gap < 0.9 * line.size


def _append(line: Line, found: Line) -> None:
    if not found.text:
        return
    gap = max(found.left - line.right, line.left - found.right)
    line.text += (" " if gap > 0.17 * line.size else "") + found.text
    if found.right - found.left > line.right - line.left:
        line.bottom, line.top, line.size = found.bottom, found.top, found.size
    line.left, line.right = min(line.left, found.left), max(line.right, found.right)


def _compounds(text: str) -> set[str]:
    """Words with a hyphen inside, as they stand within lines."""
    found = set()
    for before, after in pairwise(text.split("-")):
        if before[-1:].isalnum() and after[:1].isalnum():
            tail, head = before[-40:].split()[-1], after[:40].split()[0]
            found.add(f"{tail}-{head}".casefold().strip(".,;:!?()[]\"'"))
    return found


def _outline(document: Any) -> dict[int, list[Bookmark]]:
    from pypdfium2 import raw

    entries: dict[int, list[Bookmark]] = defaultdict(list)
    for entry in document.get_toc():
        target = entry.get_dest()
        page = target.get_index() if target else None
        size = raw.FPDFBookmark_GetTitle(entry, None, 0)
        buffer = ctypes.create_string_buffer(size)
        raw.FPDFBookmark_GetTitle(entry, buffer, size)  # get_title raises on half a character
        title = " ".join(_clean(buffer.raw[: size - 2].decode("utf-16-le", "replace")).split())
        if page is None or not title:
            continue
        mode, point = target.get_view()
        left, top = point[:2] if mode == raw.PDFDEST_VIEW_XYZ and len(point) > 1 else (None, None)
        if left and top and not abs(left) + abs(top) < _FARTHEST:
            left = top = None
        entries[page + 1].append(Bookmark(title, min(entry.level + 1, 6), left, top))
    return entries


# Pages without text


def _read_picture(
    page: Page, handle: Any, edges: tuple[float, ...], characters: int, language: str
) -> None:
    """Fill a page's lines from its picture, or say what was lost."""
    from pypdfium2 import raw

    number = page.number
    said = bool(page.lines or page.turned)
    if not said and not raw.FPDFPage_CountObjects(handle):
        page.lost = Lost("blank page", f"page {number}: nothing on it")
        return
    if said and not _is_picture(handle, edges):
        return
    layer = f"{characters} characters beside a picture" if said else "no text layer"
    program = shutil.which("tesseract")
    if program is None:
        detail = f"page {number}: {layer}, and Tesseract is not installed"
        page.lost = Lost("scanned page", detail)
        return
    try:
        lines = _recognised(program, handle, page, language)
    except (OSError, OverflowError, subprocess.SubprocessError, ValueError) as error:
        page.lost = Lost("scanned page", f"page {number}: {layer}, and Tesseract failed: {error}")
        return
    if lines:
        page.lines += [line for line in lines if not any(_over(line, a) for a in page.lines)]
    else:
        page.lost = Lost("scanned page", f"page {number}: {layer}, and Tesseract found no words")


def _over(line: Line, other: Line) -> bool:
    """Whether two lines lie on one another."""
    across = min(line.right, other.right) - max(line.left, other.left)
    return across > 0 and min(line.top, other.top) > max(line.bottom, other.bottom)


def _is_picture(handle: Any, edges: tuple[float, ...]) -> bool:
    """Whether one image covers much of a page."""
    from pypdfium2 import raw

    left, bottom, right, top = (ctypes.c_float() for _ in range(4))
    whole = (edges[2] - edges[0]) * (edges[3] - edges[1])
    for index in range(min(raw.FPDFPage_CountObjects(handle), 1000)):
        thing = raw.FPDFPage_GetObject(handle, index)
        if raw.FPDFPageObj_GetType(thing) == raw.FPDF_PAGEOBJ_IMAGE:
            raw.FPDFPageObj_GetBounds(thing, left, bottom, right, top)
            if (right.value - left.value) * (top.value - bottom.value) > _PICTURE * whole:
                return True
    return False


def _recognised(program: str, handle: Any, page: Page, language: str) -> list[Line]:
    """A page's lines as Tesseract reads them.

    Raises OSError, subprocess.SubprocessError, ValueError.
    """
    from pypdfium2 import raw

    width, height = raw.FPDF_GetPageWidthF(handle), raw.FPDF_GetPageHeightF(handle)
    scale = min(_DPI / 72, _PIXELS / max(width, height, 1))
    across, down = max(1, round(width * scale)), max(1, round(height * scale))
    bitmap = raw.FPDFBitmap_CreateEx(across, down, raw.FPDFBitmap_Gray, None, 0)
    if not bitmap:
        raise ValueError(f"no memory for a picture of {across} × {down}")
    with tempfile.TemporaryDirectory() as folder:
        picture = Path(folder) / "page.pgm"
        try:
            raw.FPDFBitmap_FillRect(bitmap, 0, 0, across, down, 0xFFFFFFFF)
            raw.FPDF_RenderPageBitmap(bitmap, handle, 0, 0, across, down, 0, raw.FPDF_GRAYSCALE)
            stride = raw.FPDFBitmap_GetStride(bitmap)
            grey = ctypes.string_at(raw.FPDFBitmap_GetBuffer(bitmap), stride * down)
        finally:
            raw.FPDFBitmap_Destroy(bitmap)
        with picture.open("wb") as file:
            file.write(f"P5 {across} {down} 255\n".encode())
            file.writelines(grey[row * stride : row * stride + across] for row in range(down))
        table = _tesseract(program, picture, language, scale)
    return _scan_lines(table, scale, page.bottom + height)


def _tesseract(program: str, picture: Path, language: str, scale: float) -> str:
    """What Tesseract prints of a picture: a table of words with their places."""
    model = _model(program, language)
    done = subprocess.run(
        [program, str(picture), "stdout", "-l", model, "--dpi", str(round(scale * 72)), "tsv"],
        capture_output=True,
        timeout=_OCR_SECONDS,
        check=False,
        env={**os.environ, "OMP_THREAD_LIMIT": "1"},  # many threads on few cores take far longer
    )
    if done.returncode:
        message = done.stderr.decode(errors="replace").strip().splitlines()[-1:]
        raise ValueError(f"status {done.returncode} {' '.join(message)}".strip())
    return done.stdout.decode(errors="replace")


@cache
def _model(program: str, language: str) -> str:
    """Tesseract's name for a language where its model is installed, else eng."""
    tag = language.casefold()
    wanted = _TESSERACT.get(tag) or _TESSERACT.get(tag.partition("-")[0], "eng")
    done = subprocess.run(
        [program, "--list-langs"], capture_output=True, timeout=_OCR_SECONDS, check=False
    )
    installed = (done.stdout + done.stderr).decode(errors="replace").split()
    return wanted if wanted in installed else "eng"


def _scan_lines(table: str, scale: float, upper: float) -> list[Line]:
    """Lines from Tesseract's TSV: level, page, block, paragraph, line, word, box, sureness, text.

    A line is cut at wide gaps, where a table's cells end. `scale`: pixels to a point; `upper`:
    the page's upper edge in points. Raises ValueError where it is no such table.
    """
    rows = [row.split("\t") for row in table.split("\n")]
    if len(rows[0]) != 12 or rows[0][0] != "level":
        raise ValueError("it printed no table of words")
    words = [row for row in rows[1:] if len(row) == 12 and row[0] == "5" and row[11].strip()]
    lines: list[Line] = []
    for _, run in groupby(words, key=lambda row: row[1:5]):
        line: Line | None = None
        for row in run:
            left, below, width, height = (int(value) / scale for value in row[6:10])
            top, bottom = upper - below, upper - below - height
            text = _clean(row[11].strip())
            if line is None or left - line.right > 1.5 * (line.top - line.bottom):
                line = Line(text, left, bottom, left + width, top, 0.0)
                lines.append(line)
            else:
                line.text += f" {text}"
                line.right = left + width
                line.top, line.bottom = max(line.top, top), min(line.bottom, bottom)
            line.size = line.top - line.bottom
    size = median(line.size for line in lines) if lines else 0.0
    for line in lines:  # a box is as high as its letters, which says little about the type
        line.size = size
    return lines


# Running heads and feet


class Seen(NamedTuple):
    """A line in the outer zone of a page, and the numbers in it."""

    page: Page
    line: Line
    numbers: tuple[int, ...]


def _without_heads(pages: list[Page]) -> Iterator[Lost]:
    """Take running heads, feet and page numbers off the pages; one Lost for each distinct one.

    A line in the outer zone is one if the same stands at the same height one or two pages away,
    in the same type; numbers in it may count the pages, and a line that is a number must. So is
    one in the type and at the height that most pages have one at.
    """
    zones: dict[tuple[bool, str], list[Seen]] = defaultdict(list)
    for page in pages:
        for is_top, line in _outermost(page):
            match = _BARE.fullmatch(line.text)
            numbers: tuple[int, ...]
            if match:
                key, numbers = "#", (_number(match),)
            else:
                key = _DIGITS.sub("#", line.text.casefold())
                numbers = tuple(map(int, _DIGITS.findall(line.text)))
            if match or any(map(str.isalpha, key)):
                zones[is_top, key].append(Seen(page, line, numbers))
    heads: dict[tuple[bool, str], list[Seen]] = {}
    foot = zones.get((False, "#"), [])
    if len(pages) == len(foot) == 1 and foot[0].numbers == (1,):
        heads[False, "#"] = foot
    for place, seen in zones.items():
        repeated = [each for at, each in enumerate(seen) if _repeated(each, place[1], seen, at)]
        if repeated:
            heads[place] = repeated
    _add_slots(zones, heads)
    gone: dict[int, set[int]] = defaultdict(set)
    for (_, key), found in sorted(heads.items()):
        for each in found:
            gone[each.page.number].add(id(each.line))
        count = len({each.page.number for each in found})
        text = "page number" if key == "#" else found[0].line.text
        yield Lost("running head", f"{text} on {count} page{'s' * (count > 1)}")
    for page in pages:
        if page.number in gone:
            page.lines = [line for line in page.lines if id(line) not in gone[page.number]]


def _outermost(page: Page) -> Iterator[tuple[bool, Line]]:
    """The lines of the two outermost rows at the top (True) and at the bottom of a page."""
    height = page.top - page.bottom
    far = _NUMBER_ZONE * height
    upper = [line for line in page.lines if line.bottom > page.top - far]
    lower = [line for line in page.lines if line.top < page.bottom + far]
    upper.sort(key=lambda line: -line.top)
    lower.sort(key=lambda line: line.bottom)
    for is_top, lines in ((True, upper), (False, lower)):
        rows = 0
        edge: Line | None = None
        for line in lines:
            if edge is None or line.top < edge.bottom or line.bottom > edge.top:
                rows += 1
                edge = line
            if rows > 2:
                break
            depth = page.top - line.bottom if is_top else line.top - page.bottom
            if depth < _ZONE * height or _BARE.fullmatch(line.text):
                yield is_top, line


def _number(match: re.Match[str]) -> int:
    """The value of a page number in arabic or roman digits."""
    if match[1]:
        return int(match[1])
    values = [_ROMAN[letter] for letter in match[2].casefold()]
    return sum(-a if a < b else a for a, b in pairwise([*values, 0]))


def _repeated(each: Seen, key: str, seen: list[Seen], place: int) -> bool:
    for other in seen[max(0, place - 4) : place + 5]:
        apart = other.page.number - each.page.number
        if not 0 < abs(apart) <= 2 or abs(other.line.bottom - each.line.bottom) > 3:
            continue
        if abs(other.line.size - each.line.size) > 0.15 * each.line.size:
            continue  # a chapter's title, and its running head on the next page
        steps = {b - a for a, b in zip(each.numbers, other.numbers, strict=True)}
        if steps <= ({apart} if key == "#" else {0, apart}):
            return True
    return False


def _add_slots(
    zones: dict[tuple[bool, str], list[Seen]], heads: dict[tuple[bool, str], list[Seen]]
) -> None:
    """Lines seen once that stand where on most pages a running head stands, in its type."""
    slots: Counter[tuple[bool, int, int]] = Counter()
    every: Counter[tuple[bool, int, int]] = Counter()

    def slot(is_top: bool, line: Line) -> tuple[bool, int, int]:
        return is_top, round(line.bottom), round(line.size)

    for counter, source in ((slots, heads), (every, zones)):
        for (is_top, _), seen in source.items():
            counter.update(slot(is_top, each.line) for each in seen)
    for (is_top, key), seen in zones.items():
        known = {id(each.line) for each in heads.get((is_top, key), [])}
        more = [
            each
            for each in seen
            if id(each.line) not in known
            and slots[place := slot(is_top, each.line)] >= 4
            and slots[place] >= 0.6 * every[place]
        ]
        if more:
            heads.setdefault((is_top, key), []).extend(more)


# Headings


def _folded(text: str) -> str:
    return "".join(filter(str.isalnum, text.casefold()))


def _mark_headings(page: Page, bookmarks: list[Bookmark]) -> None:
    """Make headings of the lines that the outline names; add those that the page does not have."""
    if not bookmarks:
        return
    folded = [_folded(line.text) for line in page.lines]
    for title, level, left, top in bookmarks:
        wanted = _folded(title)
        place = _found(wanted, folded, page.lines, top) if wanted else None
        if place is None:
            x = left if left else min((line.left for line in page.lines), default=0.0)
            y = top if top else page.top
            page.lines.append(Line(title, x, y - 1, x + 1, y, 1.0, level))
            folded.append("")
            continue
        first, count = place
        line = page.lines[first]
        line.level = level
        for other in page.lines[first + 1 : first + count]:
            line.text += f" {other.text}"
            line.bottom, line.right = min(line.bottom, other.bottom), max(line.right, other.right)
        del page.lines[first + 1 : first + count]
        folded[first : first + count] = [""]


def _found(
    wanted: str, folded: list[str], lines: list[Line], top: float | None
) -> tuple[int, int] | None:
    """Which lines are a title, whole but for a number before it: the first, and how many.

    Where several are, the one nearest to the bookmark's point, or in the largest type.
    """
    found: list[tuple[float, int, int]] = []
    for first, start in enumerate(folded):
        whole = ""
        for count in range(1, 5):
            if first + count > len(folded) or not start:
                break
            whole += folded[first + count - 1]
            if len(whole) > len(wanted) + 14:
                break
            if _same_title(whole, wanted):
                line = lines[first]
                rank = abs(line.top - top) if top is not None else -line.size
                found.append((rank, first, count))
                break
    return min(found)[1:] if found else None


def _same_title(line: str, wanted: str) -> bool:
    if line == wanted:
        return True
    longer, shorter = (line, wanted) if len(line) > len(wanted) else (wanted, line)
    before = longer.removesuffix(shorter)
    return (
        len(before) < len(longer)
        and (any(letter.isdigit() for letter in before) or len(before) == 1)
        and len(before) <= 12
        and len(shorter) > 2
    )


def _levels(pages: list[Page]) -> dict[int, int]:
    """The levels of headings by size of type, where larger type is rare enough to mean one."""
    sizes: Counter[int] = Counter()
    for page in pages:
        for line in page.lines:
            sizes[round(line.size)] += len(line.text)
    if not sizes:
        return {}
    body = sizes.most_common(1)[0][0]
    larger = sorted((size for size in sizes if size > 1.25 * body), reverse=True)
    if sum(sizes[size] for size in larger) > 0.1 * sum(sizes.values()):
        return {}
    return {size: min(rank, 6) for rank, size in enumerate(larger, 1)}


# Reading order


def _columns(page: Page) -> Iterator[list[Line]]:
    """The page's lines in reading order, cut into runs of one column each."""
    lines = sorted(page.lines, key=lambda line: -line.top)
    yield from _ordered(lines, page.rtl)
    if page.turned:
        yield [Line(each.text, 0, 0, 1, 1, each.size, row=True) for each in page.turned]


def _ordered(lines: list[Line], rtl: bool) -> Iterator[list[Line]]:
    if not lines:
        return
    if all(b.top <= a.bottom + 0.4 * (b.top - b.bottom) for a, b in pairwise(lines)):
        yield lines
        return
    gutter = _gutter(lines)
    if gutter is None:
        yield _rows(lines, rtl)
        return
    sides: tuple[list[Line], list[Line]] = ([], [])
    across: list[Line] = []

    def flush() -> Iterator[list[Line]]:
        for side in sides[::-1] if rtl else sides:
            yield from _ordered(side[:], rtl)
            side.clear()

    for line in lines:
        if line.left < gutter - 3 and line.right > gutter + 3:
            if sides[0] or sides[1]:
                if across:
                    yield _rows(across, rtl)
                    across = []
                yield from flush()
            across.append(line)
        else:
            if across and not (sides[0] or sides[1]):
                yield _rows(across, rtl)
                across = []
            sides[line.left >= gutter - 3].append(line)
    yield from flush()
    if across:
        yield _rows(across, rtl)


def _gutter(lines: list[Line]) -> float | None:
    """The left edge of a column that has another one on its left, if the lines make columns.

    Columns are filled: most of their lines are about as wide as the widest, and that is wide; or
    they are long and run on by themselves, as an index does: each has lines that stand alone.
    A table's do neither.
    """
    if len(lines) > _MOST_LINES:
        return None
    edges = Counter(round(line.left / 2) for line in lines)
    best: tuple[int, float] | None = None
    for edge, count in edges.items():
        if count < 3:
            continue
        gutter = min(line.left for line in lines if round(line.left / 2) == edge)
        left = [line for line in lines if line.right <= gutter + 3]
        right = [line for line in lines if line.left >= gutter - 3]
        if len(left) < 3 or not _wide(left, right):
            continue
        beside = _partnered(right, left)
        if beside < 3 or (best and beside <= best[0]):
            continue
        if (_filled(left) and _filled(right)) or (
            min(len(left), len(right)) >= 15
            and len(right) - beside >= 2
            and len(left) - _partnered(left, right) >= 2
        ):
            best = beside, gutter
    return best[1] if best else None


def _wide(*columns: list[Line]) -> bool:
    """Whether columns are wide enough for running text: eight times as wide as their type."""
    return all(_width(column) > 8 * column[len(column) // 2].size for column in columns)


def _width(lines: list[Line]) -> float:
    """What nine lines of ten are not wider than."""
    return sorted(line.right - line.left for line in lines)[int(0.9 * (len(lines) - 1))]


def _filled(lines: list[Line]) -> bool:
    wide = 0.7 * _width(lines)
    return sum(line.right - line.left > wide for line in lines) >= 0.5 * len(lines)


def _partnered(lines: list[Line], others: list[Line]) -> int:
    """How many lines have another one beside them."""
    return sum(any(a.bottom < b.top and b.bottom < a.top for b in others) for a in lines)


def _rows(lines: list[Line], rtl: bool) -> list[Line]:
    """Lines side by side as one: cells of a table if rows follow one another, else a line."""
    groups: list[list[Line]] = []
    for line in lines:
        if groups:
            first = groups[-1][0]
            height = min(first.top - first.bottom, line.top - line.bottom)
            if min(first.top, line.top) - max(first.bottom, line.bottom) > 0.5 * height:
                groups[-1].append(line)
                continue
        groups.append([line])
    cells = [_cells_of(group, rtl) for group in groups]
    found = []
    for place, group in enumerate(groups):
        if len(group) == 1:
            found.append(group[0])
            continue
        near = cells[max(0, place - 1) : place + 2]
        row = len(cells[place]) > 1 and sum(len(other) > 1 for other in near) > 1
        widest = max(group, key=lambda line: line.right - line.left)
        found.append(
            Line(
                (" | " if row else " ").join(cells[place]),
                min(line.left for line in group),
                widest.bottom,
                max(line.right for line in group),
                widest.top,
                widest.size,
                min(line.level for line in group),
                row,
            )
        )
    return found


def _cells_of(group: list[Line], rtl: bool) -> list[str]:
    """The texts side by side; close ones, and a label and what it labels, are one cell."""
    group.sort(key=lambda line: -line.right if rtl else line.left)
    cells = [group[0].text]
    for a, b in pairwise(group):
        gap = max(b.left - a.right, a.left - b.right)
        if gap < 0.9 * a.size or (len(cells) == 1 and _LABEL.fullmatch(cells[0])):
            cells[-1] += f" {b.text}"
        else:
            cells.append(b.text)
    return cells


# Paragraphs


def _paragraphs(run: list[Line], page: Page) -> list[Paragraph]:
    """Cut the lines of a column at headings, gaps, indents, short last lines and items."""
    starts = [-line.right for line in run] if page.rtl else [line.left for line in run]
    ends = [-line.left for line in run] if page.rtl else [line.right for line in run]
    edge = max(ends)
    drops = Counter(round(2 * (a.bottom - b.bottom)) for a, b in pairwise(run))
    leading = min(drops, key=lambda drop: (-drops[drop], drop)) / 2 if drops else 0.0
    found: list[Paragraph] = []
    begun = 0
    for place, line in enumerate(run):
        if place:
            after = starts[place + 1] if place + 1 < len(run) else None
            first = place - 1 == begun
            if not _parted(
                run[place - 1], line, leading, edge - ends[place - 1],
                starts[place] - starts[place - 1],
                None if after is None else after - starts[place - 1], first,
            ):  # fmt: skip
                continue
            found.append(_paragraph(run[begun:place], page, edge - ends[place - 1]))
            begun = place
    found.append(_paragraph(run[begun:], page, edge - ends[-1]))
    return found


def _paragraph(lines: list[Line], page: Page, room: float) -> Paragraph:
    end = lines[-1]
    wide = end.right - end.left > 12 * end.size
    return Paragraph(lines, page.number, wide and room < 2 * end.size)


def _parted(
    a: Line, b: Line, leading: float, room: float, shift: float, then: float | None, first: bool
) -> bool:
    """Whether line `b` begins a paragraph after line `a`.

    `room`: what `a` leaves free of its column; `shift`, `then`: how much further in than `a` the
    line `b` and the one after it begin; `first`: whether `a` begins a paragraph itself.
    """
    if a.level != b.level or a.level < PARAGRAPH or a.row != b.row:
        return True
    drop = a.bottom - b.bottom
    if a.row:
        return drop > 2.5 * leading
    larger = max(a.size, b.size)
    ended = _ENDS.search(a.text) is not None
    if (
        drop > (1.12 if ended else 1.3) * leading + 1
        or drop > 2.2 * larger
        or abs(a.size - b.size) > 0.13 * larger
    ):
        return True
    if _hyphenated(a.text) and b.text[:1].isalnum():
        return False
    if shift > 0.6 * a.size and (then is None or then < 0.6 * a.size):
        return True
    if shift < -0.6 * a.size and not first:
        return True
    word = len(b.text.split(" ", 1)[0]) + 1.5
    fits = room > word * (b.right - b.left) / len(b.text)
    if (fits or ended) and _ITEM.match(b.text):
        return True
    if fits and (ended or not b.text[0].islower()):
        return ended or room > 0.25 * (a.right - a.left + room)
    return False


def _unfinished(pending: list[Paragraph], first: Paragraph) -> Paragraph | None:
    """The paragraph that goes on in the next column or page with `first`, notes passed over."""
    begin = first.lines[0]
    if begin.level < PARAGRAPH or begin.row or _CAPTION.match(begin.text):
        return None
    for earlier in reversed(pending):
        end = earlier.lines[-1]
        if end.level < PARAGRAPH or end.row:
            return None
        if end.size < 0.92 * begin.size:
            continue
        if end.size > 1.08 * begin.size or _ENDS.search(end.text):
            return None
        if begin.text[0].islower() or _hyphenated(end.text):
            return earlier
        return earlier if earlier.full and not _ITEM.match(begin.text) else None
    return None


def _told(paragraph: Paragraph, compounds: set[str], german: bool, levels: dict[int, int]) -> Block:
    lines = paragraph.lines
    if lines[0].row:
        return Block("\n".join(line.text for line in lines), page=paragraph.page)
    text = _joined([line.text for line in lines], compounds, german)
    level = lines[0].level
    if levels and level == PARAGRAPH and len(lines) < 4 and len(text) < 200:
        level = min((levels.get(round(line.size), PARAGRAPH) for line in lines), default=level)
        if _ENDS.search(text) or not any(map(str.isalpha, text)):
            level = PARAGRAPH
    return Block(text, level, paragraph.page)


def _joined(lines: Iterable[str], compounds: set[str], german: bool) -> str:
    """Lines as one, words that were broken at their ends put together again."""
    told = ""
    for line in lines:
        if not told:
            told = line
        elif _hyphenated(told):
            head = line.split(" ", 1)[0]
            tail = told.rsplit(" ", 1)[-1][:-1]
            if german and told[-1] == "-" and head in _SUSPENDED:
                told += f" {line}"
            elif told[-1] == "\u00ad" or _broken(tail, head, compounds):
                told = told[:-1] + line
            else:
                told += line
        elif _WIDE.match(told[-1]) and _WIDE.match(line):
            told += line
        else:
            told += f" {line}"
    return told


def _hyphenated(line: str) -> bool:
    return line.endswith(_HYPHENS) and line[-2:-1].isalpha()


def _broken(tail: str, head: str, compounds: set[str]) -> bool:
    """Whether `tail-` and `head` are one word and not a compound written with a hyphen."""
    if f"{tail}-{head}".casefold().strip(".,;:!?()[]\"'") in compounds:
        return False
    return head[:1].islower() or (tail.isupper() and len(tail) > 1 and head[:2].isupper())
