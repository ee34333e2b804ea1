"""A page without a text layer, as Tesseract reads it off the page's picture."""

from __future__ import annotations

import ctypes
import os
import shutil
import subprocess
import tempfile
from functools import cache
from itertools import groupby
from pathlib import Path
from statistics import median
from typing import Any

from residency.reading.blocks import Lost
from residency.reading.layout import Line, Page, cleaned

_PICTURE = 0.2
"""The share of a page from which on an image may be a scan."""

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


def read(page: Page, handle: Any, edges: tuple[float, ...], characters: int, language: str) -> None:
    """Fill a page's lines from its picture, or say in `page.lost` why not.

    `handle`: pdfium's page; `edges`: left, bottom, right, top in points; `characters`: how many
    its text has.
    """
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
            text = cleaned(row[11].strip())
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
