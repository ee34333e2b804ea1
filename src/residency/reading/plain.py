"""Plain text: its encoding found, its hard-wrapped lines joined, its underlined lines headings."""

from __future__ import annotations

import codecs
import re
import unicodedata
from collections.abc import Iterator
from itertools import groupby
from typing import NamedTuple

from residency.reading import gutenberg
from residency.reading.blocks import Block, Lost, Unreadable
from residency.words import CJK

_UNDERLINE = re.compile(r"(={3,}|-{3,})")
_ITEM = r"(?:[-*•]|\d{1,2}[.)])\s"
_CJK_BREAK = re.compile(
    rf"(?<=[\u3000-\u303f\uff00-\uffef{CJK}])\n(?=[\u3000-\u303f\uff00-\uffef{CJK}])"
)
_WRAP = re.compile(rf"\n(?!{_ITEM})")
_CHAPTER = re.compile(r"^[ \t]*<(目录|篇名)>(.*)$", re.MULTILINE)
_WIDEST = 120
"""No one wraps lines by hand beyond this many characters: wider ones are whole paragraphs."""

_SAMPLE = 4096  # bytes
_ENOUGH = 16  # characters that are hardly plausible by chance
_SAMPLE_LEGACY = 1 << 23  # bytes that charset-normalizer sees
_WESTERN = frozenset({
    "af", "br", "ca", "da", "de", "en", "es", "eu", "fi", "fo", "fr", "fy", "ga", "gd", "gl", "id",
    "is", "it", "lb", "ms", "nb", "nl", "nn", "no", "oc", "pt", "sq", "sv", "sw"
})  # fmt: skip
"""Languages that windows-1252 is for, and that browsers fall back on it for."""
_SLACK = 0.1  # of charset-normalizer's "chaos", which names the share of odd neighbours

_NOISE = frozenset({"Cc", "Cn", "Co", "Cs"})
_MARKS = {
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
_DECLARED = re.compile(rb"(?:charset|encoding)\s*=\s*[\"']?([A-Za-z][\w.:-]*)")
_SUPERSETS = {"gb2312": "gb18030", "gbk": "gb18030", "iso-8859-1": "cp1252", "latin1": "cp1252"}
"""What browsers read these names as (WHATWG Encoding Standard, 4.2)."""


def read(text: str) -> Iterator[Block | Lost]:
    """Paragraphs between empty lines, hard-wrapped lines joined; underlined lines are headings.

    The licence around a book from Project Gutenberg is dropped, and the catalogue record before
    one from TCM-Ancient-Books, whose marks <目录> and <篇名> are headings.
    """
    text = gutenberg.unwrapped(text)
    if not text.lstrip().startswith("<篇名>"):
        yield from _paragraphs(text)
        return
    _, _, title, record, *parts = _CHAPTER.split(text)
    yield from [Block(title.strip(), 0)] if title.strip() else []
    yield Lost("catalogue record", " ".join(record.split()))
    level = 1  # of a chapter; a volume without a name is none
    for mark, name, body in zip(*(parts[n::3] for n in range(3)), strict=True):
        if mark == "目录":
            level = 2 if name.strip() else 1
        if name.strip():
            yield Block(name.strip(), 1 if mark == "目录" else level)
        yield from _paragraphs(body.strip().removeprefix("属性："))


def _paragraphs(text: str) -> Iterator[Block]:
    for blank, run in groupby(map(str.strip, text.split("\n")), key=lambda line: not line):
        lines = [] if blank else list(run)
        while len(lines) > 1 and _UNDERLINE.fullmatch(lines[1]):
            yield Block(lines[0], 1 if lines[1][0] == "=" else 2)
            lines = lines[2:]
        if lines and max(map(len, lines)) > _WIDEST:
            yield from map(Block, lines)
        elif lines:
            yield Block(_WRAP.sub(" ", _CJK_BREAK.sub("", "\n".join(lines))))


class Decoded(NamedTuple):
    """The text of a file and the encoding that it was in, by Python's name for it."""

    text: str
    encoding: str


def decoded(content: bytes) -> str:
    """The text of a file in whatever encoding it is found to be; see `decode`."""
    return decode(content, None).text


def decode(content: bytes, encoding: str | None, language: str | None = None) -> Decoded:
    """The text of a file, and what it was encoded in; line ends become \\n.

    `encoding`: None tries UTF-8, UTF-16 and UTF-32, what a page declares of itself, and then what
    charset-normalizer finds. In a `language` (BCP 47) that old files have in Windows' Western
    encoding, that one is taken where it is nearly as plausible: others differ from it in a few
    accents only, and short or plain texts do not tell. Raises Unreadable ("undecodable").
    """
    if encoding is not None:
        text = _tried(content, encoding)
        if text is None:
            raise Unreadable("undecodable", f"not {encoding}, as its source declares")
        return Decoded(text, encoding)
    for name in _candidates(content):
        text = _tried(content, name)
        if text is not None:
            return Decoded(text, name)
    return _detected(content, western=_is_western(language))


def wide_encoding(content: bytes) -> str | None:
    """UTF-16 or UTF-32 without a byte order mark, if that is what the beginning looks like.

    Read in the wrong byte order, text has line feeds in U+0A00 and letters all over Unicode.
    """
    head = content[: _SAMPLE // 4 * 4]
    if b"\0" not in head:
        return None
    good = {}
    for name in ("utf-32-le", "utf-32-be", "utf-16-le", "utf-16-be"):
        try:
            text = codecs.getincrementaldecoder(name)("strict").decode(head)
        except UnicodeDecodeError:
            continue
        plain = sum(character.isascii() for character in text)
        if (plain or len(text) >= _ENOUGH) and not any(map(_is_noise, text)):
            good[name] = plain
    return max(good, key=lambda name: good[name]) if good else None


def _is_noise(character: str) -> bool:
    return character not in "\t\n\v\f\r" and unicodedata.category(character) in _NOISE


def _candidates(content: bytes) -> Iterator[str]:
    for mark, name in _MARKS.items():
        if content.startswith(mark):
            yield name
    yield "utf-8"
    wide = wide_encoding(content)
    if wide:
        yield wide
    declared = _DECLARED.search(content[:1024])
    if declared and content.lstrip().startswith(b"<"):
        name = declared[1].decode("ascii").lower()
        yield _SUPERSETS.get(name, name)


def _tried(content: bytes, encoding: str) -> str | None:
    try:
        text = content.decode(encoding)
    except (UnicodeError, LookupError):
        return None
    return None if "\0" in text else _lines(text)


def _lines(text: str) -> str:
    return text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")


def _is_western(language: str | None) -> bool:
    return language is not None and language.split("-")[0] in _WESTERN


def _detected(content: bytes, *, western: bool) -> Decoded:
    from charset_normalizer import from_bytes

    if b"\0" in content:
        raise Unreadable("undecodable", "binary: NUL bytes, and neither UTF-16 nor UTF-32")
    # The default threshold of 0.2 turns away real GB18030 books full of rare characters.
    sample = content
    if len(content) > _SAMPLE_LEGACY:
        sample = content[: content.rfind(b"\n", 0, _SAMPLE_LEGACY) + 1 or _SAMPLE_LEGACY]
    matches = from_bytes(sample, threshold=0.5)
    best = matches.best()
    names = [] if best is None else [best.encoding]
    if best is not None and western:
        near = (each for each in matches if each.chaos <= best.chaos + _SLACK)
        if any("cp1252" in each.could_be_from_charset for each in near):
            names.insert(0, "cp1252")
    for name in names:
        text = _tried(content, name)
        if text is not None:
            return Decoded(text, name)
    raise Unreadable("undecodable", "neither UTF-8 nor any encoding that gives plain text")
