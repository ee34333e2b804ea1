"""Published rules for which documents are worth training on, over many documents at a time.

    documents ── repetition ── gopher ── c4 ── fineweb ──> kept     (the order of FineWeb)
                     └─ None, or a problem: (reason, detail)

Every threshold stands in the declaration; docs/scale.md has the published ones and what to put for
a language written without spaces, where each character counts as a word. What costs one
comparison of numbers is done on arrays of all documents; only documents that a bound on arrays
cannot clear are looked at one by one, by the rule as published.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Literal, Self

from pydantic import Field, model_validator

from residency.section import Section, Share, in_order

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from residency.tokens import Cut

Problem = tuple[str, str]
"""A countable reason and its detail."""

_CITATION = re.compile(r"\[\d*]|\[edit]|\[citation needed]")
_SENTENCE_ENDS = frozenset(".!?。！？｡．؟।")


class Gopher(Section):
    """Gopher's quality rules on documents (Rae et al. 2021, arXiv 2112.11446, A1.1)."""

    min_words: int = Field(ge=0, description="Fewest words; published: 50.")
    max_words: int = Field(ge=1, description="Most words; published: 100000.")
    min_mean_length: float = Field(
        ge=0, description="Least mean word length in characters; published: 3; Chinese: 1."
    )
    max_mean_length: float = Field(
        gt=0, description="Largest mean word length in characters; published: 10."
    )
    max_symbols: float = Field(
        ge=0, description="Most hash signs, or ellipses, per word; published: 0.1."
    )
    max_bullets: Share = Field(
        description="Largest share of lines that begin with a bullet; published: 0.9."
    )
    max_ellipses: Share = Field(
        description="Largest share of lines that end with an ellipsis; published: 0.3."
    )
    min_alphabetic: Share = Field(
        description="Smallest share of words with an alphabetic character; published: 0.8."
    )
    stop_words: list[str] = Field(
        description="Published: the, be, to, of, and, that, have, with; Chinese: 的 是 不 了 在 ..."
    )
    min_stop_words: int = Field(
        ge=0, description="How many different stop words there must be; published: 2."
    )

    @model_validator(mode="after")
    def _bounds(self) -> Self:
        in_order(self, "min_words", "max_words")
        in_order(self, "min_mean_length", "max_mean_length")
        known = len(set(self.stop_words))
        if self.min_stop_words > known:
            raise ValueError(f"min_stop_words is {self.min_stop_words}, of {known} stop_words")
        return self


class NGrams(Section):
    """A bound on the n-grams of one length."""

    n: int = Field(ge=1, le=50, description="Length in words.")
    most: Share = Field(description="Largest share of a text's characters in them.")


class Repetition(Section):
    """Gopher's repetition rules on documents (Rae et al. 2021, table A1): largest shares.

    A line here is a paragraph, so that both kinds of rule have one threshold.
    """

    lines: Share = Field(description="Duplicate lines among all; published: 0.3.")
    line_characters: Share = Field(
        description="Characters in duplicate lines among all; published: 0.2."
    )
    top_ngrams: list[NGrams] = Field(
        description="Characters in the commonest n-gram; published: 0.2, 0.18, 0.16 for n = 2 to 4."
    )
    duplicate_ngrams: list[NGrams] = Field(
        description="Characters in repeated n-grams; published: 0.15, 0.14, 0.13, 0.12, 0.11, 0.1 "
        "for n = 5 to 10."
    )


class C4(Section):
    """C4's rules on lines and documents (Raffel et al. 2020, arXiv 1910.10683, section 2.2)."""

    line_ends: list[str] = Field(
        description="What a line must end with; published: . ? ! \" and '; Chinese: 。 ？ ！ ” ；"
    )
    min_line_words: int = Field(ge=0, description="Fewest words of a line; published: 3.")
    max_word_length: int = Field(
        ge=1, description="Most characters between white space; published code: 1000."
    )
    line_phrases: list[str] = Field(
        description="A line with one of these is dropped; published: javascript, terms of use, "
        "privacy policy, cookie policy, uses cookies, use of cookies, use cookies."
    )
    page_phrases: list[str] = Field(
        description="A document with one of these in a kept line is dropped; published: "
        "lorem ipsum and {."
    )
    citations: Literal["keep", "remove"] = Field(
        description="What is done with marks such as [12]; published code: remove."
    )
    min_sentences: int = Field(ge=0, description="Fewest sentences of a document; published: 5.")


class FineWeb(Section):
    """FineWeb's own rules on documents (Penedo et al. 2024, arXiv 2406.17557, section 3.6)."""

    line_ends: list[str] = Field(description="Terminal punctuation of a line.")
    min_ended_lines: Share = Field(
        description="Smallest share of lines with terminal punctuation; published: 0.12."
    )
    short_line: int = Field(ge=0, description="Most characters of a short line; published: 30.")
    max_short_lines: Share = Field(description="Largest share of short lines; published: 0.67.")
    max_duplicate_characters: Share = Field(
        description="Largest share of characters in duplicate lines; published: 0.01."
    )
    max_lines_per_word: float = Field(
        ge=0, description="Most line breaks per word; published code: 0.3."
    )


class Quality(Section):
    """Which rules hold for a document; null leaves one out."""

    repetition: Repetition | None = Field(description="Gopher's repetition rules.")
    gopher: Gopher | None = Field(description="Gopher's quality rules.")
    c4: C4 | None = Field(description="C4's rules.")
    fineweb: FineWeb | None = Field(description="FineWeb's rules.")


def repetitive(
    rules: Repetition, documents: Sequence[Sequence[str]], cut: Cut
) -> list[Problem | None]:
    """The verdicts of Gopher's repetition rules; `documents` as lines, `cut` into tokens."""

    import numpy as np

    sizes = np.array([_size(lines) for lines in documents], np.int64)
    top = _may_have_top(rules, cut, sizes)
    duplicate = _may_have_duplicates(rules, cut, sizes)
    found: list[Problem | None] = []
    for number, lines in enumerate(documents):
        problem = _duplicate_lines(rules, lines, int(sizes[number]))
        if not problem and (top[number] or duplicate[number]):
            words = cut.text(number)
            problem = top_ngram(rules, words, int(sizes[number])) or (
                duplicate_ngram(rules, words, int(sizes[number])) if duplicate[number] else None
            )
        found.append(problem)
    return found


def _size(lines: Sequence[str]) -> int:
    return sum(map(len, lines)) + 2 * max(0, len(lines) - 1)


def _duplicate_lines(rules: Repetition, lines: Sequence[str], size: int) -> Problem | None:
    if len(set(lines)) == len(lines):
        return None
    number, characters = duplicates(lines)
    if number / len(lines) > rules.lines:
        return "repetition lines", f"{number} of {len(lines)} lines repeat an earlier one"
    if characters / size > rules.line_characters:
        return "repetition line characters", f"{characters / size:.3f} in repeated lines"
    return None


def duplicates(lines: Sequence[str]) -> tuple[int, int]:
    """How many lines repeat an earlier one, and how many characters they have."""
    seen: set[str] = set()
    number = characters = 0
    for line in lines:
        if line in seen:
            number += 1
            characters += len(line)
        seen.add(line)
    return number, characters


def top_ngram(rules: Repetition, words: Sequence[str], size: int) -> Problem | None:
    """Whether the commonest n-gram has too many of a text's `size` characters."""
    for rule in rules.top_ngrams:
        ngrams = Counter(_ngrams(words, rule.n))
        if ngrams:
            (ngram, count), *_ = ngrams.most_common(1)
            share = count * len(" ".join(ngram)) / size
            if share > rule.most:
                return f"repetition top {rule.n}-gram", f"{share:.3f} in {' '.join(ngram)!r}"
    return None


def duplicate_ngram(rules: Repetition, words: Sequence[str], size: int) -> Problem | None:
    """Whether repeated n-grams, counted without overlap, have too many characters."""
    for rule in rules.duplicate_ngrams:
        n, characters, place = rule.n, 0, 0
        seen: set[tuple[str, ...]] = set()
        ngrams = list(_ngrams(words, n))
        while place < len(ngrams):
            if ngrams[place] in seen:
                characters += sum(map(len, ngrams[place]))
                place += n
            else:
                seen.add(ngrams[place])
                place += 1
        if characters / size > rule.most:
            return f"repetition {n}-grams", f"{characters / size:.3f} in repeated {n}-grams"
    return None


def _ngrams(words: Sequence[str], n: int) -> zip[tuple[str, ...]]:
    return zip(*(words[start:] for start in range(n)), strict=False)


def _may_have_top(rules: Repetition, cut: Cut, sizes: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Documents that the top n-gram rules could drop: none is missed, few are named in vain.

    Document, length and hash of an n-gram share one sortable number; hashes that clash make
    counts larger, never smaller.
    """

    import numpy as np

    flagged = np.zeros(len(sizes), bool)
    widths = cut.widths[cut.which]
    owners = cut.owners()
    until = np.concatenate([[0], np.cumsum(widths)])
    for rule in rules.top_ngrams:
        length, most = rule.n, rule.most
        hashes, starts = cut.runs(length)
        if not len(hashes):
            continue
        long = until[starts + length] - until[starts] + length - 1
        document = owners[starts].astype(np.uint64)
        bits = np.uint64(max(1, int(document[-1]).bit_length()))
        rest = np.uint64(64) - bits
        key = (document << rest) | (
            np.minimum(long, 255).astype(np.uint64) << (rest - np.uint64(8))
        )
        key |= hashes >> (bits + np.uint64(8))
        key.sort()
        first = np.flatnonzero(np.concatenate([[True], key[1:] != key[:-1]]))
        count = np.diff(np.append(first, len(key)))
        owner = (key[first] >> rest).astype(np.int64)
        width = ((key[first] >> (rest - np.uint64(8))) & np.uint64(255)).astype(np.int64)
        over = (count > 1) & ((count * width > most * sizes[owner]) | (width == 255))
        flagged[owner[over]] = True
        alone = long > most * sizes[owners[starts]]  # one n-gram is the better part of a text
        flagged[owners[starts[alone]]] = True
    return flagged


def _may_have_duplicates(
    rules: Repetition, cut: Cut, sizes: NDArray[np.int64]
) -> NDArray[np.bool_]:
    """Documents that the duplicate n-gram rules could drop.

    Whatever lies in a repeated n-gram lies in a repeated run of the shortest n too; so the
    characters under repeats of those bound all counts from above.
    """

    import numpy as np

    if not rules.duplicate_ngrams:
        return np.zeros(len(sizes), bool)
    length = min(rule.n for rule in rules.duplicate_ngrams)
    hashes, starts = cut.runs(length)
    owners = cut.owners()
    key = hashes ^ (owners[starts].astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15))
    order = np.argsort(key)
    first = np.flatnonzero(np.concatenate([[True], key[order][1:] != key[order][:-1]]))
    repeat = np.ones(len(starts), bool)
    if len(starts):
        repeat[np.minimum.reduceat(order, first)] = False
    edge = np.zeros(len(cut.which) + 1, np.int64)
    np.add.at(edge, starts[repeat], 1)
    np.add.at(edge, starts[repeat] + length, -1)
    covered = np.cumsum(edge)[:-1] > 0
    widths = cut.widths[cut.which]
    under = np.bincount(owners[covered], widths[covered], minlength=len(sizes))
    flagged: NDArray[np.bool_] = under > min(rule.most for rule in rules.duplicate_ngrams) * sizes
    return flagged


def unlike_gopher(
    rules: Gopher, documents: Sequence[Sequence[str]], cut: Cut
) -> list[Problem | None]:
    """The verdicts of Gopher's quality rules; `documents` as lines, `cut` into tokens."""

    import numpy as np

    from residency.tokens import LETTER, SIGN

    owners, number = cut.owners(), len(documents)
    kinds = cut.kinds[cut.which]
    counted = kinds > SIGN
    words = np.bincount(owners[counted], minlength=number)
    characters = np.bincount(owners[counted], cut.widths[cut.which[counted]], minlength=number)
    letters = np.bincount(owners[kinds == LETTER], minlength=number)
    common = np.zeros(number, np.int64)
    for word in set(rules.stop_words):
        there = owners[cut.which == cut.numbering.get(word, -1)]
        common[np.unique(there)] += 1
    return [
        _unlike_gopher(rules, lines, *numbers)
        for lines, *numbers in zip(
            documents,
            words.tolist(),
            characters.tolist(),
            cut.counts.tolist(),
            letters.tolist(),
            common.tolist(),
            strict=True,
        )
    ]


def _unlike_gopher(
    rules: Gopher,
    lines: Sequence[str],
    words: int,
    characters: float,
    tokens: int,
    letters: int,
    common: int,
) -> Problem | None:
    if words < rules.min_words:
        return "gopher few words", f"{words} words"
    if words > rules.max_words:
        return "gopher many words", f"{words} words"
    mean = characters / words if words else 0.0
    if mean < rules.min_mean_length:
        return "gopher short words", f"{mean:.2f} characters on average"
    if mean > rules.max_mean_length:
        return "gopher long words", f"{mean:.2f} characters on average"
    if not tokens:
        return None
    hashes = sum(line.count("#") for line in lines)
    if hashes / tokens > rules.max_symbols:
        return "gopher hash signs", f"{hashes} for {tokens} words"
    dots = sum(line.count("...") + line.count("…") for line in lines)
    if dots / tokens > rules.max_symbols:
        return "gopher ellipses", f"{dots} for {tokens} words"
    bullets = sum(line.startswith(("•", "-")) for line in lines)
    if bullets / len(lines) > rules.max_bullets:
        return "gopher bullets", f"{bullets} of {len(lines)} lines"
    trailing = sum(line.endswith(("...", "…")) for line in lines)
    if trailing / len(lines) > rules.max_ellipses:
        return "gopher ellipsis lines", f"{trailing} of {len(lines)} lines"
    if letters / tokens < rules.min_alphabetic:
        return "gopher few letters", f"{letters} of {tokens} words with a letter"
    if common < rules.min_stop_words:
        return "gopher stop words", f"{common} different ones"
    return None


def uncited(line: str) -> str:
    """A line without marks of citation, as the code of C4 removes them."""
    return _CITATION.sub("", line).strip() if "[" in line else line


def unlike_c4(rules: C4, line: str, words: int) -> Problem | None:
    """What is wrong with a line of `words` words; None also for one that condemns its document."""
    if len(line) > rules.max_word_length:
        longest = max(map(len, line.split()))
        if longest > rules.max_word_length:
            return "c4 long word", f"{longest} characters"
    if not line.endswith(tuple(rules.line_ends)) or line.endswith("..."):
        return "c4 line end", f"ends with {line[-10:]!r}"
    if words < rules.min_line_words:
        return "c4 few words", f"{words} words"
    lowered = line.lower()
    phrase = next((each for each in rules.line_phrases if each in lowered), None)
    if phrase and not _condemned(rules, lowered):
        return "c4 phrase", phrase
    return None


def _condemned(rules: C4, lowered: str) -> str | None:
    return next((each for each in rules.page_phrases if each in lowered), None)


def sentences(words: Iterable[str]) -> int:
    """How many sentences there are in tokens, as spaCy's sentencizer counts them."""
    found, ended = 0, True
    for word in words:
        if word in _SENTENCE_ENDS:
            ended = True
        if ended and any(map(str.isalnum, word)):
            found += 1
            ended = False
    return found


def page_unlike_c4(
    rules: C4, lines: Sequence[str], words: Iterable[Iterable[str]]
) -> Problem | None:
    """What is wrong with a document of which `lines` are left, `words` the tokens of each."""
    lowered = "\n".join(lines).lower()
    phrase = _condemned(rules, lowered)
    if phrase:
        return "c4 page phrase", phrase
    found = 0
    for line in words:
        found += max(1, sentences(line))
        if found >= rules.min_sentences:
            return None
    return ("c4 few sentences", f"{found} sentences") if found < rules.min_sentences else None


def unlike_fineweb(rules: FineWeb, lines: Sequence[str], words: int) -> Problem | None:
    """What FineWeb's rules say of a document of `words` words."""
    ended = sum(line.endswith(tuple(rules.line_ends)) for line in lines)
    if ended / len(lines) < rules.min_ended_lines:
        return "fineweb line ends", f"{ended} of {len(lines)} lines"
    short = sum(len(line) <= rules.short_line for line in lines)
    if short / len(lines) > rules.max_short_lines:
        return "fineweb short lines", f"{short} of {len(lines)} lines"
    share = duplicates(lines)[1] / sum(map(len, lines))
    if share > rules.max_duplicate_characters:
        return "fineweb duplicate characters", f"{share:.3f} in repeated lines"
    if words and (len(lines) - 1) / words > rules.max_lines_per_word:
        return "fineweb list", f"{len(lines)} lines of {words} words"
    return None
