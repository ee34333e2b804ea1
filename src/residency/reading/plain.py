"""Plain text: its encoding found, its hard-wrapped lines joined, its underlined lines headings."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import groupby

from residency.overlap import CJK
from residency.reading import gutenberg
from residency.reading.blocks import Block, Unreadable

_UNDERLINE = re.compile(r"(={3,}|-{3,})")
_ITEM = r"(?:[-*•]|\d{1,2}[.)])\s"
_CJK_BREAK = re.compile(
    rf"(?<=[\u3000-\u303f\uff00-\uffef{CJK}])\n(?=[\u3000-\u303f\uff00-\uffef{CJK}])"
)
_WRAP = re.compile(rf"\n(?!{_ITEM})")
_WIDEST = 120
"""No one wraps lines by hand beyond this many characters: wider ones are whole paragraphs."""


def read(text: str) -> Iterator[Block]:
    """Paragraphs between empty lines, hard-wrapped lines joined; underlined lines are headings.

    The licence around a book from Project Gutenberg is dropped.
    """
    text = gutenberg.unwrapped(text)
    for blank, run in groupby(map(str.strip, text.split("\n")), key=lambda line: not line):
        lines = [] if blank else list(run)
        while len(lines) > 1 and _UNDERLINE.fullmatch(lines[1]):
            yield Block(lines[0], 1 if lines[1][0] == "=" else 2)
            lines = lines[2:]
        if lines and max(map(len, lines)) > _WIDEST:
            yield from map(Block, lines)
        elif lines:
            yield Block(_WRAP.sub(" ", _CJK_BREAK.sub("", "\n".join(lines))))


def decoded(content: bytes) -> str:
    """The text of a file: UTF-8 or else what charset-normalizer finds; line ends become \\n.

    Raises Unreadable.
    """
    from charset_normalizer import from_bytes

    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = "\0"
    if "\0" in text:  # not UTF-8, or UTF-16 that happens to be valid UTF-8
        # The default threshold of 0.2 turns away real GB18030 books full of rare characters.
        best = from_bytes(content, threshold=0.5).best()
        text = "\0" if best is None else str(best).removeprefix("\ufeff")
    if "\0" in text:
        raise Unreadable("undecodable", "neither UTF-8 nor any encoding that gives plain text")
    return text.replace("\r\n", "\n").replace("\r", "\n")
