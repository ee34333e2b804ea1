"""fingerprint: what a tokenizer does, as one short word, however its files are laid out."""

from __future__ import annotations

import hashlib
from pathlib import Path

import orjson

from residency.files import read_json, sha256


def fingerprint(tokenizer: Path) -> str:
    """Hex digest of what a folder's tokenizer cuts text into.

    Of tokenizer.json without truncation and padding, which saving may change and cutting does not
    use; where there is none, of the other files that hold a vocabulary.
    """
    whole = tokenizer / "tokenizer.json"
    if whole.is_file():
        values = {**read_json(whole), "truncation": None, "padding": None}
        return hashlib.sha256(orjson.dumps(values, option=orjson.OPT_SORT_KEYS)).hexdigest()
    names = ("tokenizer.model", "vocab.json", "merges.txt", "vocab.txt")
    parts = [sha256(tokenizer / name) for name in names if (tokenizer / name).is_file()]
    return hashlib.sha256(" ".join(parts).encode()).hexdigest()
