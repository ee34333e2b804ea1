"""Which format a file has, by what is in it first and by its suffix only where that cannot tell.

    form = recognised("chapter.doc", head)   # "html": a wrong suffix does not matter

Plain text and Markdown look alike, and so do CSV and prose: there the suffix decides.
"""

from __future__ import annotations

import re
from pathlib import PurePosixPath

import orjson

from residency.reading.blocks import Unreadable

BY_SUFFIX = {
    ".csv": "csv",
    ".htm": "html",
    ".html": "html",
    ".jsonl": "jsonl",
    ".latex": "latex",
    ".markdown": "markdown",
    ".md": "markdown",
    ".ndjson": "jsonl",
    ".tab": "tsv",
    ".tex": "latex",
    ".text": "text",
    ".tsv": "tsv",
    ".txt": "text",
    ".xhtml": "html",
}
"""What a suffix says of a file that could be any text."""

FORMATS = (
    "cnxml", "cnxml collection", "csv", "docx", "epub", "html", "jats", "jsonl", "latex",
    "markdown", "parquet", "pdf", "text", "tsv",
)  # fmt: skip

_NO_PROSE = frozenset({
    ".asm", ".bat", ".bib", ".bst", ".c", ".cfg", ".cls", ".conf", ".cpp", ".css", ".dvc",
    ".go", ".h", ".hpp", ".ini", ".java", ".js", ".json", ".kt", ".lock", ".lua", ".m", ".mjs",
    ".php", ".pl", ".py", ".r", ".rb", ".rs", ".sh", ".sql", ".srt", ".sty", ".svg", ".toml",
    ".ts", ".vtt", ".xml", ".xsd", ".xsl", ".yaml", ".yml",
})  # fmt: skip
_XML_ROOT = re.compile(
    rb"(?:\s|<\?.*?\?>|<!--.*?-->|<!DOCTYPE(?:[^\[>]|\[.*?\]\s*)*>)*<(?:[\w.-]+:)?([\w.-]+)([^>]*)",
    re.DOTALL | re.IGNORECASE,
)
_LATEX = re.compile(rb"^[ \t]*\\(documentclass|documentstyle|begin\{document\})", re.MULTILINE)
_JATS = frozenset({b"PubmedArticle", b"PubmedArticleSet", b"pmc-articleset", b"pubmed-articleset"})
_CONTROL = re.compile(rb"[\x00-\x08\x0e-\x1a\x1c-\x1f]")
_WIDE = (b"\xff\xfe", b"\xfe\xff")
_BINARY = (
    b"\x89PNG", b"\xff\xd8\xff", b"GIF8", b"RIFF", b"\x7fELF", b"\xd0\xcf\x11\xe0", b"{\\rtf",
    b"7z\xbc\xaf", b"Rar!", b"\x28\xb5\x2f\xfd", b"SQLite format 3", b"wOFF", b"OggS", b"ID3",
    b"%!PS", b"MZ\x90",
)  # fmt: skip


def recognised(name: str, head: bytes) -> str:
    """One of FORMATS for a file that is no zip, from its first bytes and its name.

    Raises Unreadable ("unknown format").
    """
    suffix = PurePosixPath(name).suffix.lower()
    if b"%PDF-" in head[:1024]:
        return "pdf"
    if head.startswith(b"PAR1"):
        return "parquet"
    if head.startswith(_BINARY):
        raise Unreadable("unknown format", f"begins with {head[:8]!r}")
    plain = _as_bytes(head)
    told = BY_SUFFIX.get(suffix)
    root = _xml_root(plain, told)
    if root:
        return root
    if told == "jsonl" or (told != "markdown" and suffix != ".json" and _is_jsonl(plain)):
        return "jsonl"
    if told != "markdown" and _LATEX.search(plain):
        return "latex"
    if told:
        return told
    if suffix in _NO_PROSE or _looks_binary(head):
        raise Unreadable("unknown format", suffix or "no suffix")
    return "text"


def _as_bytes(head: bytes) -> bytes:
    """The head without a byte order mark, in an encoding in which markup is ASCII."""
    if head.startswith(_WIDE):
        return head[: len(head) // 2 * 2].decode("utf-16", "replace").encode()
    return head.removeprefix(b"\xef\xbb\xbf")


def _xml_root(head: bytes, told: str | None) -> str | None:
    """The format that the first tag gives away, where a file begins with one."""
    found = _XML_ROOT.match(head)
    if not found:
        return None
    name, attributes = found.groups()
    if b"cnx.rice.edu/cnxml" in attributes or b"cnx.rice.edu/collxml" in attributes:
        return "cnxml collection" if name == b"collection" else "cnxml"
    if name in _JATS or (name == b"article" and b"docbook" not in attributes and _is_xml(head)):
        return "jats"
    if name.lower() == b"html" or re.match(rb"\s*<!doctype\s+html", head, re.IGNORECASE):
        return "html"
    if head.lstrip().startswith(b"<?xml") and told in (None, "text"):
        raise Unreadable("unknown format", f"XML whose root is <{name.decode(errors='replace')}>")
    if told is None and name.lower() in (b"head", b"body", b"title", b"meta", b"p", b"div", b"h1"):
        return "html"
    return None


def _is_xml(head: bytes) -> bool:
    return b"<?xml" in head[:64] or b"JATS" in head or b"article-type" in head or b"<front" in head


def _is_jsonl(head: bytes) -> bool:
    """Whether the first line, if it is all there, is a JSON object."""
    line, end, _ = head.lstrip().partition(b"\n")
    if not line.startswith(b'{"'):
        return False
    try:
        return isinstance(orjson.loads(line), dict)
    except orjson.JSONDecodeError:
        return not end and re.match(rb'\{"[^"\n]*"\s*:', line) is not None


def _looks_binary(head: bytes) -> bool:
    """Whether a file holds control characters as no text does but one in UTF-16 or UTF-32."""
    if head.startswith(_WIDE):
        return False
    from residency.reading import plain

    return bool(_CONTROL.search(head)) and plain.wide_encoding(head) is None
