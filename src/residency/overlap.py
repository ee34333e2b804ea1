"""The words of a text in any script, for whatever compares or counts them."""

from __future__ import annotations

import re
import unicodedata

CJK = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U000323af"
"""Characters of scripts written without spaces, for a regular expression's brackets."""

_WORD = re.compile(rf"[{CJK}]|[^\W_{CJK}]+")


def words(text: str) -> list[str]:
    """The words of a text, case and compatibility forms folded; each CJK character is one."""
    return _WORD.findall(unicodedata.normalize("NFKC", text).casefold())
