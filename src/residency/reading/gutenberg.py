"""Project Gutenberg's wrapping: the licence before and after a book, and who typed it.

    *** START OF THE PROJECT GUTENBERG EBOOK SURGICAL ANATOMY ***  ┐
    Produced by Don Kostuch                                        ├ what stands between stays
    *** END OF THE PROJECT GUTENBERG EBOOK SURGICAL ANATOMY ***    ┘

The marks changed over the years; before 1998 the header ended with its "small print".
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from residency.reading.blocks import Block

_START = re.compile(
    r"\*\*\*\s*START OF (?:THE|THIS) PROJECT GUTENBERG.*?\*\*\*"
    r"|\*+\s*START OF (?:THE|THIS) PROJECT GUTENBERG[^\n]*"
    r"|\*\s*END\s*\*?\s*THE SMALL PRINT![^\n]*"
    r"|\*+END\*THE SMALL PRINT![^\n]*",
    re.DOTALL,
)
_END = re.compile(
    r"^[ \t]*(?:\*+[ \t]*END OF (?:THE|THIS) PROJECT GUTENBERG"
    r"|\**[ \t]*(?:The )?End of (?:the |this )?Project Gutenberg)",
    re.MULTILINE | re.IGNORECASE,
)
_TYPED = re.compile(
    r"\s*(?:This (?:file|book|e-?book|e-?text) was |e-?book |e-?text )?"
    r"(?:produced|prepared|transcribed|scanned|created|digitized)(?: and \w+)?(?: by| from|,)",
    re.IGNORECASE,
)
_NAMED = "project gutenberg"
_ENDS = 100_000  # characters at either end of a text in which its wrapping is sought


def unwrapped(text: str) -> str:
    """A book without its wrapping; any other text as it is.

    After the start mark, paragraphs that say by whom the text was produced go as well.
    """
    if _NAMED not in (text[:_ENDS] + text[-_ENDS:]).casefold():
        return text
    starts = list(_START.finditer(text))  # small print may follow the start mark
    if starts:
        text = text[starts[-1].end() :]
        while True:
            first, gap, rest = text.lstrip().partition("\n\n")
            if not gap or not _TYPED.match(first):
                break
            text = rest
    end = _END.search(text)
    return text[: end.start()] if end else text


def body(blocks: Iterable[Block]) -> Iterator[Block]:
    """The blocks of a book without its wrapping; the title before the start mark stays."""
    found = list(blocks)
    marked = [at for at, block in enumerate(found) if _NAMED in block.text.casefold()]
    starts = [at for at in marked if _START.search(found[at].text)]
    first = 0
    if starts:
        yield from (block for block in found[: starts[-1]] if block.level == 0)
        rest = found[starts[-1]]
        found[starts[-1]] = rest._replace(text=unwrapped(rest.text).strip())
        first = starts[-1]
        if not found[first].text:
            first += 1
            while first < len(found) and _TYPED.match(found[first].text):
                first += 1
    ends = [at for at in marked if at >= first and _END.search(found[at].text)]
    last = ends[0] if ends else len(found)
    yield from found[first:last]
    for block in found[last : last + 1]:
        before = unwrapped(block.text).strip()
        yield from [block._replace(text=before)] if before else []
