"""Documents per second for CNXML and EPUB, against the plain library call underneath.

    python benchmarks/books.py ../shared/data

Both parse the same files with lxml. The plain call then joins what itertext gives; ours gives
blocks. They take turns, `ROUNDS` times each; the best of each is printed.
"""

from __future__ import annotations

import io
import sys
import time
import zipfile
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

from lxml import etree

from residency.reading import cnxml, epub

ROUNDS = 15


def plain_cnxml(content: bytes) -> str:
    """Parse and join."""
    return "".join(etree.XML(content).itertext())


def plain_epub(content: bytes) -> str:
    """Unpack and parse every page of the book, and join."""
    with zipfile.ZipFile(io.BytesIO(content)) as book:
        pages = [name for name in book.namelist() if name.endswith(("xhtml", "html", "htm"))]
        parser = etree.HTMLParser(encoding="utf-8")
        return "".join("".join(etree.HTML(book.read(page), parser).itertext()) for page in pages)


def ours_cnxml(content: bytes) -> int:
    """The blocks of a module."""
    return sum(1 for _ in cnxml.read(content))


def ours_epub(content: bytes) -> int:
    """The blocks of a book."""
    return sum(1 for _ in epub.read(content))


def seconds(read: Callable[[bytes], object], contents: list[bytes]) -> float:
    """Processor time for all files, once."""
    began = time.process_time()
    for content in contents:
        read(content)
    return time.process_time() - began


def main(data: Path) -> None:
    """Print a Markdown table."""
    kinds = {
        "CNXML": (sorted(data.glob("openstax*/modules/*/index.cnxml")), plain_cnxml, ours_cnxml),
        "EPUB": (sorted(data.glob("formats/epub/*.epub")), plain_epub, ours_epub),
    }
    print(f"lxml {version('lxml')}, libxml2 {'.'.join(map(str, etree.LIBXML_VERSION))}, ", end="")
    print(f"Python {sys.version.split()[0]}\n")
    print("| files | MB | plain, documents/s | ours, documents/s | ours / plain time |")
    print("|---|---|---|---|---|")
    for kind, (paths, plain, ours) in kinds.items():
        if not paths:
            sys.exit(f"no {kind} files below {data}")
        contents = [path.read_bytes() for path in paths]
        times = [(seconds(plain, contents), seconds(ours, contents)) for _ in range(ROUNDS)]
        slow, fast = (min(each) for each in zip(*times, strict=True))
        print(
            f"| {len(contents)} {kind} | {sum(map(len, contents)) / 1e6:.1f} "
            f"| {len(contents) / slow:.0f} | {len(contents) / fast:.0f} | {fast / slow:.2f} |"
        )


if __name__ == "__main__":
    main(Path(sys.argv[1]))
