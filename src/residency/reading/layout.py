"""What lines on pages mean: running heads, columns, headings, paragraphs over page breaks.

pages of lines ── heads and feet off ──> columns ──> paragraphs ── joined over pages ──> blocks
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from typing import NamedTuple

from residency.reading.blocks import PARAGRAPH, Block, Lost
from residency.words import CJK

_HYPHENS = ("-", "\u2010", "\u00ad")
_SUSPENDED = {"und", "oder", "bzw.", "sowie", "bis"}  # Vor- und Nachteile
_ENDS = re.compile(r"[.!?:;。！？：；…][\"'”’»«)\]）」』]*$")
_ITEM = re.compile(r"(?:[•▪◦●‣∙·*–—-]|\(?(?:\d{1,3}|[A-Za-z]|[ivx]{1,4})[.)])\s")
_LABEL = re.compile(r"(?:\d+(?:\.\d+)*|[A-Z](?:\.\d+)+)\.?|\(?\w{1,3}[.)]|[•▪◦●‣∙·*–-]")
_CAPTION = re.compile(r"(?:Abb|Fig|Tab)\w*\.?\s*\d")
_DIGITS = re.compile(r"\d{1,9}")
_BARE = re.compile(r"[-–—\[(\s]*(?:(\d{1,4})|([ivxlcIVXLC]{1,7}))[-–—\])\s]*")
_ROMAN = {"i": 1, "v": 5, "x": 10, "l": 50, "c": 100}
_WIDE = re.compile(rf"[\u3000-\u303f\uff00-\uffef{CJK}]")
_LEADERS = re.compile(r"(?:\s*[.·_]){4,}\s*")
_UNSEEN = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b\u2060\ufeff\uffff]|\u00ad(?!$)")
_LIGATURE = re.compile("[\ufb00-\ufb06]")

_ZONE = 0.12
"""Running heads and feet lie in this outer share of a page's height."""

_NUMBER_ZONE = 0.2
"""Page numbers alone, which are told by their counting, may lie farther in."""

_MOST_LINES = 1000
"""A page with more lines than this is a drawing, and not searched for columns."""


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


def cleaned(text: str) -> str:
    """Ligatures as letters, no control characters, leaders to a page number shortened."""
    if not text.isprintable():
        text = _UNSEEN.sub("", text.replace("\u00a0", " "))
    if not text.isascii():
        text = _LIGATURE.sub(lambda match: unicodedata.normalize("NFKC", match[0]), text)
    return _LEADERS.sub(" … ", text).strip() if "...." in text or ". . ." in text else text


def told(
    pages: list[Page], outline: dict[int, list[Bookmark]], language: str
) -> Iterator[Block | Lost]:
    """The paragraphs, headings and running heads of a document's pages, in reading order.

    `outline`: bookmarks by page number; without any, lines in larger type are headings if there
    are few.
    """
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
