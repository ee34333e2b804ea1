"""What belongs together stays together, and stays where it was when rows are added."""

from __future__ import annotations

import random
from collections import Counter, defaultdict

from hypothesis import given, settings
from hypothesis import strategies as st

from residency.records import Question
from residency.splits import SplitByRatio, alike, bound, deal

HALF = SplitByRatio(train=0.5, dev=0.2, seed=0)
LONG = (
    "A man of {} years has had pain in the left side of his chest since {} o'clock last night and "
    "takes no drugs"
)


def question(id: str, stem: str, group: str = "", context: str = "") -> Question:
    return Question(
        id=id,
        kind="single",
        context=context,
        stem=stem,
        options=("x", "y"),
        answers=(0,),
        explanation="",
        group=group or id,
        labels={},
        language="en",
        origin={},
    )


def together(*questions: Question) -> bool:
    return len(set(bound(questions))) == 1


def test_near_identical_questions_are_bound() -> None:
    assert together(question("1", "Which drug cures GOUT?"), question("2", "which drug cures gout"))
    assert together(question("1", LONG.format(45, 3)), question("2", LONG.format(54, 4)))
    assert together(question("1", LONG), question("2", LONG.replace("pain", "stitches")))
    assert together(
        question("1", "属于Ⅱ型超敏反应的疾病是"), question("2", "属于Ⅱ型超敏反应疾病的是")
    )


def test_questions_that_only_begin_alike_are_not() -> None:
    assert not together(
        question("1", "Which drug cures gout?"), question("2", "Which drug cures flu?")
    )
    same = "Which is the most likely diagnosis?"
    one, other = (question(id, same, context=f"A case of {id}.") for id in ["asthma", "gout"])
    assert not together(one, other)


def test_cases_bind_and_bind_further() -> None:
    first, second = question("1", "What now?", "a"), question("2", "What is it?", "a")
    other, twin = question("3", "Whom to call?", "b"), question("4", "WHAT is it", "b")
    assert together(first, second, other, twin)


words = st.lists(st.sampled_from("abcdefghijklmnopqrstuvwxyz"), min_size=1, max_size=24)


@settings(max_examples=60, deadline=None)
@given(st.lists(words, max_size=14))
def test_all_similar_pairs_are_found(texts: list[list[str]]) -> None:
    sets = [frozenset(text) for text in texts] + [frozenset(text[:-1]) for text in texts]
    found = {tuple(sorted(pair)) for pair in alike(sets)}
    wanted = {
        (i, j)
        for j in range(len(sets))
        for i in range(j)
        if sets[i] | sets[j] and len(sets[i] & sets[j]) >= 0.9 * len(sets[i] | sets[j])
    }
    assert found == wanted


def some(seed: int, count: int) -> list[Question]:
    """Questions of which some are of one case, and some nearly those of others."""
    chance = random.Random(seed)
    made: list[Question] = []
    for number in range(count):
        stem = " ".join(
            chance.choices(["alpha", "beta", "gamma", "delta", "eta", "theta", "iota"], k=14)
        )
        if made and chance.random() < 0.3:
            stem = chance.choice(made).stem + chance.choice(["", "!", " zeta"])
        group = f"case {chance.randrange(9)}" if chance.random() < 0.2 else ""
        made.append(question(f"{seed}-{number}", stem, group))
    return made


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10**6), st.integers(0, 40), st.integers(0, 40))
def test_rows_added_below_move_only_what_they_bind_together(seed: int, old: int, new: int) -> None:
    before, added = some(seed, old), some(seed + 1, new)
    was, now = deal(before, HALF), deal(before + added, HALF)
    apart, joined = bound(before), bound(before + added)
    for index in range(old):
        if joined[index] == apart[index]:
            assert was[index] == now[index]
        else:  # an added row binds its group to an earlier one
            assert joined[index] < apart[index]
            assert now[index] == now[joined[index]]


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 60))
def test_what_is_bound_is_in_one_split_whatever_the_order(seed: int, count: int) -> None:
    questions = some(seed, count)
    random.Random(seed).shuffle(questions)
    splits: dict[int, set[str]] = defaultdict(set)
    for first, split in zip(bound(questions), deal(questions, HALF), strict=True):
        splits[first].add(split)
    assert all(len(each) == 1 for each in splits.values())


def test_unrelated_rows_anywhere_move_nothing() -> None:
    before = [question(str(n), f"Which is number {chr(97 + n)}?") for n in range(26)]
    added = [question(f"new {n}", f"Who came as guest {chr(97 + n)} today?") for n in range(26)]
    mixed = [each for pair in zip(added, before, strict=True) for each in pair]
    assert deal(mixed, HALF)[1::2] == deal(before, HALF)


def test_shares_are_met_in_expectation() -> None:
    questions = [
        question(str(n), f"Which is {n:b}".replace("0", "o").replace("1", "i")) for n in range(4000)
    ]
    dealt = Counter(deal(questions, HALF))
    assert abs(dealt["train"] - 2000) < 130  # four standard deviations
    assert abs(dealt["dev"] - 800) < 105
    everything = SplitByRatio(train=0.7, dev=0.3, seed=3)
    assert set(deal(questions, everything)) == {"train", "dev"}


def test_the_seed_deals_anew() -> None:
    questions = [question(str(n), f"Which is number {chr(97 + n)}?") for n in range(26)]
    again = SplitByRatio(train=0.5, dev=0.2, seed=1)
    assert deal(questions, HALF) == deal(questions, HALF)
    assert deal(questions, HALF) != deal(questions, again)
