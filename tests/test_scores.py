from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sklearn.metrics import f1_score
from test_evaluate import question, several

from residency.intervals import wilson
from residency.scores import (
    baselines,
    calibration_error,
    discordance,
    f1,
    hamming,
    mean,
    named,
    pubmedqa,
    pubmedqa_scores,
    scores,
    weighted_f1,
)
from residency.section import Complaint


def row(number: int, answer: Any, right: Any, **changes: Any) -> dict[str, Any]:
    correct = answer is not None and list(answer) == list(right)
    fields = {"group": f"g{number}", "labels": {}, "answer": answer, "right": right}
    return {**fields, "correct": correct, **changes}


ROWS = [
    row(number, answer, right)
    for number, (answer, right) in enumerate(
        [
            ([0], [0]),
            ([1], [0]),
            ([0, 2], [0, 2]),
            ([0], [0, 2]),
            (None, [1]),
            ([1], [1]),
            ([3], [1]),
            ([0], [0]),
        ]
    )
]


def test_f1_is_that_of_the_reference_on_answers_as_text() -> None:
    """As CMExam's scorer: sklearn, weighted, the unreadable a class of its own."""
    right = ["A", "A", "AC", "AC", "B", "B", "B", "A"]
    answered = ["A", "B", "AC", "A", "", "B", "D", "A"]
    assert [named(each["answer"]) for each in ROWS] == answered
    found = f1(ROWS)
    for average in ("weighted", "macro"):
        expected = f1_score(right, answered, average=average, zero_division=0)
        told = found[f"{average}_f1"]
        assert told["value"] == pytest.approx(expected, abs=1e-6)
        assert told["low"] < told["value"] < told["high"]


def test_f1_by_hand() -> None:
    """Classes A, B: A is right twice, found once; B is right once, found twice."""
    rows = [row(0, [0], [0]), row(1, [1], [0]), row(2, [1], [1])]
    assert f1(rows)["weighted_f1"]["value"] == pytest.approx(2 / 3)
    assert f1(rows)["macro_f1"]["value"] == pytest.approx(2 / 3)
    unread = [row(0, [0], [0]), row(1, None, [0])]
    assert f1(unread)["weighted_f1"]["value"] == pytest.approx(2 / 3, abs=1e-6)
    assert f1(unread)["macro_f1"]["value"] == pytest.approx(1 / 3, abs=1e-6)


def test_f1_of_resamples_is_that_of_the_repeated_questions() -> None:
    generator = np.random.default_rng(1)
    truth, found = generator.integers(0, 5, 40), generator.integers(0, 6, 40)
    times = generator.multinomial(40, np.full(40, 1 / 40), size=30)
    weighted, macro = weighted_f1(truth, found, 6, times)
    for number, drawn in enumerate(times):
        pair = np.repeat(truth, drawn), np.repeat(found, drawn)
        assert weighted[number] == pytest.approx(f1_score(*pair, average="weighted"))
        assert macro[number] == pytest.approx(f1_score(*pair, average="macro"))


def test_hamming_is_what_both_name_of_what_either_names() -> None:
    assert hamming([0, 1], [1, 2]) == pytest.approx(1 / 3)
    assert hamming([0, 1, 2], [1, 2]) == pytest.approx(2 / 3)
    assert hamming([1], [1]) == 1
    assert hamming([0], [1]) == 0
    assert hamming(None, [1]) == 0
    assert hamming([], []) == 1


@pytest.mark.parametrize(
    ("answer", "points"),
    [((0, 2), 1), ((0,), 0.5), ((0, 1, 2), 0.5), ((0, 1), 0.2), ((1, 3), 0), ((), 0.2), (None, 0)],
)
def test_discordances_cost_half_then_more_then_all(answer: Any, points: float) -> None:
    assert discordance(several(0), answer) == points


def test_the_indispensable_and_the_unacceptable_decide_alone() -> None:
    asked = question(0, kind="propositions", answers=(0, 2), indispensable=(0,), unacceptable=(3,))
    assert discordance(asked, (0, 2)) == 1
    assert discordance(asked, (0,)) == 0.5
    assert discordance(asked, (2,)) == 0  # one discordance, but the indispensable one
    assert discordance(asked, (0, 2, 3)) == 0  # one discordance, but unacceptable
    assert discordance(asked, (0, 2, 1)) == 0.5


def test_a_question_with_one_answer_is_all_or_nothing() -> None:
    assert discordance(question(0), (0,)) == 1
    assert discordance(question(0), (1,)) == 0
    assert discordance(question(0, kind="progressive", form="single"), (1,)) == 0


def test_calibration_error_by_hand() -> None:
    """Bins (0.9, 1]: mean 0.95, right 1/2; (0.4, 0.5]: mean 0.5, right 1."""
    error = calibration_error([0.95, 0.95, 0.5], [True, False, True])
    assert error == pytest.approx((2 * 0.45 + 1 * 0.5) / 3, abs=1e-6)
    assert calibration_error([1.0, 0.0], [True, False]) == 0
    assert calibration_error([0.2, 0.1], [False, False]) == pytest.approx(0.15)


def official(predicted: dict[str, str], truth: dict[str, str]) -> tuple[float, float]:
    """The published evaluation.py of PubMedQA, written out without its library."""
    assert set(predicted) == set(truth)
    pairs = [(truth[id], predicted[id]) for id in truth]
    labels = sorted({each for pair in pairs for each in pair})
    each = []
    for label in labels:
        hits = sum(one == other == label for one, other in pairs)
        named = sum((one == label) + (other == label) for one, other in pairs)
        each.append(2 * hits / named)
    return sum(one == other for one, other in pairs) / len(pairs), sum(each) / len(each)


def test_pubmedqas_file_covers_the_split_and_scores_as_published() -> None:
    labels = ("yes", "no", "maybe")
    asked = [
        question(
            n, kind="judgement", options=labels, answers=(n % 3,), origin={"adapter": "pubmedqa"}
        )
        for n in range(9)
    ]
    rows = [row(n, None if n == 4 else [n % 2], [n % 3]) for n in range(9)]
    predicted = pubmedqa(asked, rows)
    assert predicted == {f"q{n}": "maybe" if n == 4 else labels[n % 2] for n in range(9)}
    truth = {each.id: labels[each.answers[0]] for each in asked}
    accuracy, macro = official(predicted, truth)
    assert pubmedqa_scores(predicted, truth) == {
        "accuracy": pytest.approx(accuracy, abs=1e-6),
        "macro_f1": pytest.approx(macro, abs=1e-6),
    }
    assert pubmedqa([question(0)], rows[:1]) is None


def test_a_prediction_file_with_other_ids_is_refused() -> None:
    with pytest.raises(Complaint, match="differ in 1 ids, such as 'b'"):
        pubmedqa_scores({"a": "yes"}, {"a": "yes", "b": "no"})


def test_shares_by_label_have_intervals() -> None:
    asked = [question(number) for number in range(6)]
    rows = [row(n, [0], each.answers, labels=each.labels) for n, each in enumerate(asked)]
    found = scores(asked, rows)["by_label"]["subject"]["heart"]
    low, high = wilson(2, 4, 0.95)
    assert found["wilson"] == {"confidence": 0.95, "low": round(low, 6), "high": round(high, 6)}


def test_means_are_drawn_by_group() -> None:
    rows = [row(0, [0], [0], group="case") for _ in range(4)] + [row(1, [0], [0])]
    found = mean(rows, [1, 1, 1, 1, 0])
    assert (found["low"], found["value"], found["high"]) == (0, 0.8, 1)


def test_baselines_by_kind() -> None:
    told = baselines([question(0, kind="propositions", answers=()), question(1)])
    assert told["random"] == pytest.approx((1 / 16 + 1 / 4) / 2, abs=1e-6)
    assert baselines([question(0, kind="open", options=(), answers=())])["random"] == 0


def test_open_questions_have_no_class_to_be_right_in() -> None:
    """They answer no option: taken for a class they would always be right."""
    asked = [several(0), question(1), question(2, kind="open", options=(), answers=())]
    rows = [
        row(0, [0], asked[0].answers, labels={}),
        row(1, [3], asked[1].answers, labels={}),
        row(2, (), (), labels={}, correct=False),
    ]
    mixed, closed = scores(asked, rows), scores(asked[:2], rows[:2])
    for name in ("weighted_f1", "macro_f1", "hamming", "discordance"):
        assert mixed[name] == closed[name]
    assert (mixed["questions"], mixed["correct"]) == (3, 0)
    assert "macro_f1" not in scores(asked[2:], rows[2:])
