from __future__ import annotations

import random
from dataclasses import replace
from typing import Any

import pytest
from test_write import CHECKS, KNOWN

from residency.checks import Checks, Fault, checks
from residency.decontaminate import Decontaminate
from residency.records import Question
from residency.section import Complaint
from residency.words import words

GOOD = Question(
    id="q", kind="single", context="", stem="Which organ glows in a healthy drake?",
    options=("crest", "node", "liver", "wing"), answers=(1,), explanation="The node glows.",
    group="g", labels={}, language="en", origin={},
)  # fmt: skip


def fault(**values: Any) -> Fault:
    return checks(Checks.model_validate(CHECKS | values), [], Decontaminate(**KNOWN))


def reason(question: Question, **values: Any) -> str | None:
    found = fault(**values)(question)
    return found[0] if found else None


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({}, None),
        ({"answers": (0, 1)}, "wrong number of right answers"),
        ({"answers": ()}, "wrong number of right answers"),
        ({"answers": (0, 1), "kind": "multiple"}, None),
        ({"answers": (), "kind": "propositions"}, None),
        ({"options": ("Crest", "node", "crest!", "wing")}, "options not distinct"),
        ({"options": ("+", "-", "±", "0")}, None),
        ({"options": ("crest", "node", "liver", "none of these")}, "option about options"),
        ({"options": ("crest", "Both A and C", "liver", "wing")}, "option about options"),
        ({"options": ("crest", "A and B antigens", "liver", "wing")}, None),
        ({"stem": "Which organ, the node or another, glows?"}, "answer in stem"),
        ({"stem": "Which glows: crest, node, liver or wing?"}, None),
        ({"stem": "Which nodes glow in it?"}, None),
        ({"explanation": "So option B is right."}, "explanation names a letter"),
        ({"explanation": "Vitamin A is an option for some."}, None),
        ({"kind": "open", "options": (), "answers": (), "reference": "healthy drake"},
         "answer in stem"),
        ({"origin": {"quote": "node"}}, "quote too short"),
        ({"kind": "progressive", "form": "single", "context": "A drake."}, "case too short"),
    ],
)  # fmt: skip
def test_each_fault_has_its_reason(change: dict[str, Any], expected: str | None) -> None:
    assert reason(replace(GOOD, **change)) == expected


def test_lengths_are_compared_with_some_slack() -> None:
    short = replace(GOOD, options=("a", "abcdefgh", "b", "c"))
    long = replace(GOOD, options=("a", "x" * 40, "b", "c"))
    assert reason(short, option_lengths=2.0) is None
    assert reason(long, option_lengths=2.0) == "options of unlike length"
    assert reason(long) is None


def test_the_same_stem_in_another_case_is_another_question() -> None:
    told = fault()
    case = "A drake came in from the cold this morning."
    assert told(GOOD) is None
    assert told(replace(GOOD, id="r")) == ("duplicate question", "")
    assert told(replace(GOOD, context=case, id="s")) is None
    assert told(replace(GOOD, options=("crest", "gill", "liver", "wing"), id="t")) is None


@pytest.mark.parametrize("near", [None, 0.5])
def test_what_repeats_a_question_that_was_dropped_is_no_duplicate(near: float | None) -> None:
    told = fault(near_duplicate=near)
    other = replace(GOOD, id="other", stem="Which organ glows in a sick drake by day?")
    assert told(GOOD) is None
    assert told(replace(GOOD, id="r")) is not None
    told.forget(GOOD)
    assert told(other) is None
    told.forget(other)
    assert told(replace(GOOD, id="r")) is None
    assert told(replace(GOOD, id="s")) == ("duplicate question", "")


def test_near_duplicates_are_those_that_comparing_all_pairs_finds() -> None:
    chance = random.Random(0)
    vocabulary = [f"{'w' * (each % 7)}{each}" for each in range(40)]
    drafts = []
    for number in range(300):
        stem = " ".join(chance.choices(vocabulary[: chance.choice([8, 40])], k=6))
        right = chance.choice(vocabulary[:3])
        options = (right, "n1", "n2", "n3")
        drafts.append(replace(GOOD, id=str(number), stem=stem, options=options, answers=(0,)))

    def jaccard(one: str, other: str) -> float:
        left, right = set(words(one)), set(words(other))
        return len(left & right) / len(left | right)

    for share in (0.4, 0.6, 0.8, 1.0):
        told, kept = fault(near_duplicate=share), []
        for draft in drafts:
            alike = any(
                jaccard(draft.stem, each.stem) >= share
                and jaccard(draft.options[0], each.options[0]) >= share
                for each in kept
            )
            found = told(draft)
            if found and found[0] == "answer in stem":
                continue
            assert alike == (found is not None), (share, draft)
            if not alike:
                kept.append(draft)
        assert 10 < len(kept) < 300


def test_bounds_the_wrong_way_round_are_refused() -> None:
    with pytest.raises((Complaint, ValueError), match="min_stem_words is 9, above"):
        Checks.model_validate(CHECKS | {"min_stem_words": 9, "max_stem_words": 5})
