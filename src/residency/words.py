"""The words of a text in any script, for whatever compares or counts them."""

from __future__ import annotations

import re
import unicodedata
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

CJK = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U000323af"
"""Characters of scripts written without spaces, for a regular expression's brackets."""

_WORD = re.compile(rf"[{CJK}]|[^\W_{CJK}]+")


def words(text: str) -> list[str]:
    """The words of a text, case and compatibility forms folded; each CJK character is one."""
    return _WORD.findall(unicodedata.normalize("NFKC", text).casefold())


_PIECE = 1 << 20  # characters


def count(text: str) -> int:
    """The number of `words`, but many times faster and without a list of 200 MB.

    They differ only for characters that stand for several words, such as ½.
    """
    import numpy as np

    kinds = _kinds()
    found = 0
    unfinished = False  # whether the piece before ends within a word
    for start in range(0, len(text), _PIECE):
        piece = unicodedata.normalize("NFC", text[start : start + _PIECE])
        points = np.frombuffer(piece.encode("utf-32-le", "surrogatepass"), "<u4")
        kind = kinds[np.minimum(points, len(kinds) - 1)]
        inside = kind == 1
        begins = inside[1:] & ~inside[:-1]
        found += int((kind == 2).sum() + begins.sum()) + bool(inside[0] and not unfinished)
        unfinished = bool(inside[-1])
    return found


@cache
def _kinds() -> NDArray[np.uint8]:
    """For every code point: 2 is a word by itself, 1 is part of one, 0 is neither.

    The last stands for all above it, which are Chinese characters or unassigned.
    """
    import numpy as np

    alone, part = re.compile(f"[{CJK}]"), re.compile(r"[^\W_]")
    kinds = np.zeros(0x20001, np.uint8)
    everything = "".join(map(chr, range(len(kinds))))
    for value, kind in ((1, part), (2, alone)):
        kinds[[found.start() for found in kind.finditer(everything)]] = value
    for point, character in enumerate(everything):
        if not unicodedata.is_normalized("NFKC", character):
            folded = unicodedata.normalize("NFKC", character)
            kinds[point] = 2 if alone.search(folded) else 1 if part.search(folded) else 0
    return kinds
