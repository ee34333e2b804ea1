"""Pages per second of the PDF reader against pdfium's own calls on the same files.

    python benchmarks/pdf.py FOLDER

FOLDER holds PDF files; encrypted ones are passed over, and scanned pages are not sent to
Tesseract. Each way reads all files, the ways take turns, and the best of the turns counts.
"""

from __future__ import annotations

import os
import platform
import re
import sys
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import pypdfium2
from pypdfium2 import raw

from residency.reading import pdf

TURNS = 9


def text(content: bytes) -> None:
    """The text of each page and nothing else."""
    document = pypdfium2.PdfDocument(content)
    for page in document:
        words = page.get_textpage()
        words.get_text_range()
        words.close()
        page.close()
    document.close()


def lines(content: bytes) -> None:
    """The text of each page and, of each line in it, the boxes at both ends."""
    document = pypdfium2.PdfDocument(content)
    first, last = raw.FS_RECTF(), raw.FS_RECTF()
    for page in document:
        words = page.get_textpage()
        found = []
        for match in re.finditer("[^\r\n\ufffe]+", words.get_text_range()):
            raw.FPDFText_GetLooseCharBox(words, match.start(), first)
            raw.FPDFText_GetLooseCharBox(words, match.end() - 1, last)
            found.append((match[0], first.left, first.bottom, first.top, last.right))
        words.close()
        page.close()
    document.close()


def rectangles(content: bytes) -> None:
    """Each piece of text with its rectangle, by count_rects, get_rect and get_text_bounded."""
    document = pypdfium2.PdfDocument(content)
    for page in document:
        words = page.get_textpage()
        for index in range(words.count_rects()):
            words.get_text_bounded(*words.get_rect(index))
        words.close()
        page.close()
    document.close()


def characters(content: bytes) -> None:
    """The text of each page and the box of each character, by get_charbox."""
    document = pypdfium2.PdfDocument(content)
    for page in document:
        words = page.get_textpage()
        words.get_text_range()
        for index in range(words.count_chars()):
            words.get_charbox(index, loose=True)
        words.close()
        page.close()
    document.close()


def ours(content: bytes) -> None:
    """residency.reading.pdf.read: paragraphs in reading order."""
    for _ in pdf.read(content):
        pass


WAYS: list[Callable[[bytes], None]] = [text, lines, rectangles, characters, ours]


def main() -> None:
    """Time every way on every file and print a Markdown table."""
    os.environ["PATH"] = ""  # no Tesseract
    files: dict[str, bytes] = {}
    pages: dict[str, int] = {}
    for path in sorted(Path(sys.argv[1]).glob("*.pdf")):
        try:
            document = pypdfium2.PdfDocument(path.read_bytes())
        except pypdfium2.PdfiumError:
            continue
        files[path.name], pages[path.name] = path.read_bytes(), len(document)
        document.close()
    if not files:
        sys.exit(f"no PDF files in {sys.argv[1]}")
    best = {(way, name): float("inf") for way in WAYS for name in files}
    for _ in range(TURNS):
        for name, content in files.items():
            for way in WAYS:
                began = time.perf_counter()
                way(content)
                best[way, name] = min(best[way, name], time.perf_counter() - began)
    versions = f"pypdfium2 {version('pypdfium2')}, pdfium {pypdfium2.PDFIUM_INFO}"
    print(f"Python {platform.python_version()}, {versions}")
    print("\n| file | pages | " + " | ".join(f"{way.__name__}, pages/s" for way in WAYS), end=" |")
    print(" time: ours / text | ours / lines | ours / rectangles | ours / characters |")
    print("|---" * (len(WAYS) + 6) + "|")
    for name in [*files, "all"]:
        names = list(files) if name == "all" else [name]
        count = sum(pages[each] for each in names)
        seconds = {way: sum(best[way, each] for each in names) for way in WAYS}
        cells = [f"{count / seconds[way]:.0f}" for way in WAYS]
        cells += [f"{seconds[ours] / seconds[way]:.2f}" for way in WAYS[:-1]]
        print(f"| {name} | {count} | {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
