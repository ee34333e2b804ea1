"""A file's format is told by what is in it, whatever its name says."""

from __future__ import annotations

import pytest

from residency.reading.blocks import Unreadable
from residency.reading.formats import recognised

CNXML = b'<?xml version="1.0"?>\n<!-- a module -->\n<document xmlns="http://cnx.rice.edu/cnxml">'
ORDER = b'<col:collection xmlns="x" xmlns:col="http://cnx.rice.edu/collxml">'
JATS = (
    b'<?xml version="1.0"?><!DOCTYPE article PUBLIC "-//NLM//DTD JATS (Z39.96) v1.1//EN" "x.dtd">'
    b'<article article-type="research-article">'
)


@pytest.mark.parametrize("name", ["x", "x.txt", "x.doc", "x.xml", "x.html"])
@pytest.mark.parametrize(
    ("head", "form"),
    [
        (b"%PDF-1.7\n", "pdf"),
        (b"\n junk before %PDF-1.4", "pdf"),
        (b"PAR1\x15\x04", "parquet"),
        (CNXML, "cnxml"),
        (ORDER, "cnxml collection"),
        (JATS, "jats"),
        (b"<pubmed-articleset>", "jats"),
        (b"<!DOCTYPE html>\n<p>Unclosed", "html"),
        (b"\xef\xbb\xbf<?xml version='1.0'?><html xmlns='http://www.w3.org/1999/xhtml'>", "html"),
        ("<html><p>wide".encode("utf-16"), "html"),
        (b"% A comment\n\\documentclass[a4paper]{book}", "latex"),
    ],
)
def test_what_content_tells_no_suffix_overrules(head: bytes, form: str, name: str) -> None:
    assert recognised(name, head) == form


@pytest.mark.parametrize(
    ("name", "head", "form"),
    [
        ("x.txt", b"Prose, with commas.\n", "text"),
        ("x.csv", b"Prose, with commas.\n", "csv"),
        ("x.md", b"# Title\n", "markdown"),
        ("x.MD", b"<div align=center>\n\n# Title\n", "markdown"),
        ("x.md", b"A fenced\n\n```\n\\documentclass{book}\n```\n", "markdown"),
        ("x.txt", b"# Title\n", "text"),
        ("x", b"Prose.\n", "text"),
        ("LICENSE", b"Prose.\n", "text"),
        ("x.rst", b"Prose.\n", "text"),
        ("x.txt", b'{"text": "a row"}\n{"text": "another"}\n', "jsonl"),
        ("x", b'{"text": "a very long first row ' + b"x" * 20_000, "jsonl"),
        ("x.html", b"Just text.", "html"),
        ("x.tex", b"\\section{Part of a book}", "latex"),
        ("x", "素问".encode("utf-16-le") * 50, "text"),
        ("x.tsv", b"a\tb\n", "tsv"),
    ],
)
def test_the_suffix_tells_what_content_cannot(name: str, head: bytes, form: str) -> None:
    assert recognised(name, head) == form


@pytest.mark.parametrize(
    ("name", "head", "detail"),
    [
        ("x.txt", b"\x89PNG\r\n\x1a\n", "PNG"),
        ("x", bytes(range(256)), "no suffix"),
        ("x.bin", b"ab\0cd\1\0\0\0", ".bin"),
        ("x.xml", b"<?xml version='1.0'?><svg>", "root is <svg>"),
        ("x.json", b'{"text": "x"}\n', ".json"),
        ("x.py", b"import os\n", ".py"),
    ],
)
def test_what_is_no_text_is_an_unknown_format(name: str, head: bytes, detail: str) -> None:
    with pytest.raises(Unreadable) as caught:
        recognised(name, head)
    assert caught.value.args[0] == "unknown format"
    assert detail in caught.value.args[1]
