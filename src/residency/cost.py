"""cost: what texts take in a tokenizer, the numbers by which two tokenizers are compared."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from residency.records import documents
from residency.section import Complaint
from residency.words import count

TEXTS_AT_A_TIME = 256


def tokenizer_of(folder: Path) -> Any:
    """The `plain` tokenizer of a model or tokenizer folder, read without transformers and torch."""
    from tokenizers import Tokenizer

    path = folder / "tokenizer.json"
    if not path.is_file():
        raise Complaint(f"{folder}: found no tokenizer.json, expected a model or tokenizer folder")
    return plain(Tokenizer.from_file(str(path)))


def plain(tokenizer: Any) -> Any:
    """A `tokenizers.Tokenizer` set, in place, to encode plain text of any length.

    Text that spells out a special token stays text, as where data is packed.
    """
    tokenizer.no_truncation()
    tokenizer.no_padding()
    tokenizer.encode_special_tokens = True
    return tokenizer


def texts(corpus: Path) -> Iterator[str]:
    """The text of each document of build/corpora/<name>."""
    return (document.text for document in documents(corpus))


def cost(tokenizer: Any, texts: Iterable[str]) -> dict[str, float]:
    """Totals and ratios over all texts together; at least one must have a character.

    Fertility is the mean number of tokens per word (Rust et al. 2021,
    https://aclanthology.org/2021.acl-long.243, section 4). Words are those of `words.words`: runs
    of letters and digits, and each character of a script written without spaces (Chinese,
    Japanese), where tokens per word is nearly tokens per character. Bytes are of UTF-8.
    """
    tokens = characters = words = size = 0
    rest = iter(texts)
    while some := list(islice(rest, TEXTS_AT_A_TIME)):
        encoded = tokenizer.encode_batch_fast(some, add_special_tokens=False)
        tokens += sum(len(each) for each in encoded)
        characters += sum(map(len, some))
        words += sum(map(count, some))
        size += sum(len(text.encode()) for text in some)
    return {
        "tokens": tokens,
        "characters": characters,
        "words": words,
        "bytes": size,
        "tokens_per_word": tokens / max(words, 1),
        "tokens_per_character": tokens / characters,
        "bytes_per_token": size / tokens,
    }
