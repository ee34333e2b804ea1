"""splits: which question goes to train, dev or test, so that what belongs together stays together.

    question ── bound by case, or by near-identical text ──> group ── its key drawn ──> split

Dealt by ratio, a group's draw is a hash of the seed and the group's key: no other group has a part
in it. Two questions are bound where they are of one case, or where what is asked is the same once
case, punctuation and digits are folded, or has a Jaccard similarity of words (characters, in CJK)
of at least 0.9.

Stable when rows are added: a group's key is that of its earliest row, so a row added below moves
no question, except where it binds two groups that were apart: then the later one follows the
earlier, which no rule that keeps both promises can avoid. A row put above the others moves at
most the group it is bound to. Shares are met in expectation, not exactly.
"""

from __future__ import annotations

import math
import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from typing import Annotated, Literal

from pydantic import Field, Tag, model_validator

from residency.records import Question
from residency.section import Section, Seed, Share, draw, told_by
from residency.words import words

ALIKE = 0.9
"""Jaccard similarity from which two questions ask the same."""


class SplitByColumn(Section):
    """The raw exam says itself to which split a question belongs."""

    column: str = Field(description="Column or key that holds train, dev or test.")


class SplitByRatio(Section):
    """Groups are dealt to the splits by a hash, each by itself."""

    train: Share = Field(description="Share of the groups expected in train.")
    dev: Share = Field(description="Share of the groups expected in dev; the rest goes to test.")
    seed: Seed = Field(description="Seed of the deal.")

    @model_validator(mode="after")
    def _leave_some(self) -> SplitByRatio:
        if self.train + self.dev > 1:
            raise ValueError("train and dev together must not be more than 1")
        return self


class SplitByLabel(Section):
    """Whole chapters, subjects, years are held out; all others are train."""

    label: str = Field(description="The label that decides, such as chapter.")
    dev: list[str] = Field(description="Its values whose questions are dev.")
    test: list[str] = Field(description="Its values whose questions are test.")

    @model_validator(mode="after")
    def _hold_out(self) -> SplitByLabel:
        if not self.dev and not self.test:
            raise ValueError("dev and test are both empty; for that say {whole: train}")
        if both := sorted(set(self.dev) & set(self.test)):
            raise ValueError(f"{both[0]!r} stands in dev and in test")
        return self


class SplitWhole(Section):
    """All questions are one split."""

    whole: Literal["train", "dev", "test"] = Field(description="Which one.")


class SplitOfficial(Section):
    """Each question is where its publisher put it."""

    official: Literal[True] = Field(description="true; only for adapters that know it.")


class SplitOfficialInPart(Section):
    """As published, but of the test split only a part is kept: for what takes long to sit."""

    official_test: float = Field(
        gt=0, lt=1, description="Share of the published test split's groups that is kept."
    )
    seed: Seed = Field(description="Seed of the draw; a smaller share is a part of a larger one.")


Split = Annotated[
    Annotated[SplitByColumn, Tag("<column>")]
    | Annotated[SplitByRatio, Tag("<train>")]
    | Annotated[SplitByLabel, Tag("<label>")]
    | Annotated[SplitWhole, Tag("<whole>")]
    | Annotated[SplitOfficial, Tag("<official>")]
    | Annotated[SplitOfficialInPart, Tag("<official_test>")],
    told_by("column", "train", "label", "whole", "official", "official_test"),
]


def may_hold(split: Split, name: Literal["train", "dev", "test"]) -> bool:
    """Whether a split of this name can have a question at all, as far as the declaration tells."""
    if isinstance(split, SplitWhole):
        return split.whole == name
    if isinstance(split, SplitByRatio):
        rest = round(1 - split.train - split.dev, 12)
        return {"train": split.train, "dev": split.dev, "test": rest}[name] > 0
    if isinstance(split, SplitByLabel):
        return bool({"train": True, "dev": split.dev, "test": split.test}[name])
    return True


def deal(questions: Sequence[Question], ratio: SplitByRatio) -> list[str]:
    """The split of each question, in their order."""
    keys = [_key(question) for question in questions]
    return [_drawn(keys[first], ratio) for first in bound(questions)]


def is_kept(group: str, part: SplitOfficialInPart) -> bool:
    """Whether a group of the published test split is drawn."""
    return draw(part.seed, group) / 2**64 < part.official_test


def bound(questions: Sequence[Question]) -> list[int]:
    """For each question the index of the earliest one that it must stay with, maybe itself."""
    first = list(range(len(questions)))

    def root(index: int) -> int:
        while first[index] != index:
            first[index] = first[first[index]]
            index = first[index]
        return index

    def bind(one: int, other: int) -> None:
        earlier, later = sorted([root(one), root(other)])
        first[later] = earlier

    groups: dict[str, int] = {}
    texts: dict[str, int] = {}
    for index, question in enumerate(questions):
        bind(groups.setdefault(question.group, index), index)
        bind(texts.setdefault(folded(question), index), index)
    members = list(texts.values())
    sets = [frozenset(text.split(" ")) for text in texts]
    for one, other in alike(sets):
        bind(members[one], members[other])
    return [root(index) for index in range(len(questions))]


def folded(question: Question) -> str:
    """What is asked without case, punctuation and the values of numbers, words apart by spaces."""
    return " ".join(words(re.sub(r"\d+", "0", question.asked))) or question.asked


def alike(sets: Sequence[frozenset[str]], least: float = ALIKE) -> Iterator[tuple[int, int]]:
    """All pairs of sets whose Jaccard similarity is at least `least`, exactly.

    Prefix filtering (Bayardo, Ma & Srikant 2007, "Scaling Up All Pairs Similarity Search", section
    4): words in one order, rarest first, two such sets share one of their few rarest words.
    """
    counts = Counter(word for each in sets for word in each)
    having: dict[str, list[int]] = defaultdict(list)
    for index in sorted(range(len(sets)), key=lambda index: (len(sets[index]), index)):
        this = sets[index]
        size = len(this)
        rarest = sorted(this, key=lambda word: (counts[word], word))
        prefix = rarest[: size - math.ceil(least * size - 1e-9) + 1]
        near = {
            other
            for word in prefix
            for other in having[word]
            if len(sets[other]) >= least * size - 1e-9
        }
        for other in sorted(near):
            shared = len(this & sets[other])
            if shared >= least * (size + len(sets[other]) - shared) - 1e-9:
                yield other, index
        for word in prefix:
            having[word].append(index)


def _key(question: Question) -> str:
    """A case's name, or what a question asks: nothing that another row could change."""
    return f"case {question.group}" if question.group != question.id else folded(question)


def _drawn(key: str, ratio: SplitByRatio) -> str:
    drawn = draw(ratio.seed, key) / 2**64
    if drawn < ratio.train:
        return "train"
    return "dev" if drawn < round(ratio.train + ratio.dev, 12) else "test"
