"""scores: what the rows of an exam add up to, each figure with its interval.

A row says `right` and `answer`, both as indexes of options; `answer` is null where none could be
read, which is wrong, counted, and in F1 a class of its own. F1, Hamming and discordance are over
questions with options. Intervals: Wilson's for shares, the bootstrap over groups of questions for
all else.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from residency.intervals import paired_bootstrap, wilson
from residency.records import Question
from residency.section import Complaint

CONFIDENCE, RESAMPLES, SEED = 0.95, 2000, 0
CHUNKS = 20  # of the resamples, against memory
BINS = 10  # of the calibration error
UNPARSED = ""  # the class of an answer that could not be read
DISCORDANT = (1.0, 0.5, 0.2)  # of 0, 1, 2 discordances; none of more


def scores(asked: Sequence[Question], rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The content of scores.json but for what a protocol adds."""
    by_label: dict[str, dict[str, list[bool]]] = {}
    for row in rows:
        for label, value in row["labels"].items():
            by_label.setdefault(label, {}).setdefault(value, []).append(row["correct"])
    found: dict[str, Any] = {
        **share([row["correct"] for row in rows]),
        "unparsed": sum(row["answer"] is None for row in rows),
        "intervals": {"confidence": CONFIDENCE, "resamples": RESAMPLES, "seed": SEED},
    }
    closed = [(each, row) for each, row in zip(asked, rows, strict=True) if each.options]
    ticked = [row for _, row in closed]
    if closed:
        found |= f1(ticked)
    if any(each.kind in ("multiple", "propositions", "progressive") for each, _ in closed):
        found["hamming"] = mean(ticked, [hamming(row["answer"], row["right"]) for row in ticked])
        points = [discordance(each, row["answer"]) for each, row in closed]
        found["discordance"] = mean(ticked, points)
    if all(row.get("confidence") is not None for row in rows):
        found["calibration_error"] = calibration_error(
            [row["confidence"] for row in rows], [row["correct"] for row in rows]
        )
    return {
        **found,
        "by_label": {
            label: {value: share(verdicts) for value, verdicts in sorted(values.items())}
            for label, values in sorted(by_label.items())
        },
        "baselines": baselines(asked),
    }


def share(verdicts: Sequence[bool]) -> dict[str, Any]:
    """How many are true, with Wilson's interval."""
    correct, total = sum(verdicts), len(verdicts)
    low, high = wilson(correct, total, CONFIDENCE)
    return {
        "questions": total,
        "correct": correct,
        "accuracy": round(correct / total, 6),
        "wilson": {"confidence": CONFIDENCE, "low": round(low, 6), "high": round(high, 6)},
    }


def mean(rows: Sequence[dict[str, Any]], values: Sequence[float]) -> dict[str, float]:
    """The mean of a value per question; groups of questions are drawn for the interval."""
    low, high = paired_bootstrap(
        values,
        [row["group"] for row in rows],
        resamples=RESAMPLES,
        confidence=CONFIDENCE,
        seed=SEED,
    )
    return {"value": _round(sum(values) / len(values)), "low": _round(low), "high": _round(high)}


def named(indexes: Iterable[int] | None) -> str:
    """An answer as a class: the letters of its options together, such as AC."""
    return UNPARSED if indexes is None else "".join(chr(ord("A") + i) for i in indexes) or "none"


def f1(rows: Sequence[dict[str, Any]]) -> dict[str, dict[str, float]]:
    """Weighted and macro F1 over whole answers as classes (sklearn.metrics.f1_score).

    Weighted is CMExam's (Liu et al. 2023, section 4): each class counts by how often it is right.
    Macro is PubMedQA's: over all classes that are right or answered somewhere.
    """
    import numpy as np
    from sklearn.metrics import f1_score

    right = [named(row["right"]) for row in rows]
    answered = [named(row["answer"]) for row in rows]
    classes = sorted({*right, *answered})
    truth = np.array([classes.index(each) for each in right])
    found = np.array([classes.index(each) for each in answered])
    _, group = np.unique([row["group"] for row in rows], return_inverse=True)
    generator = np.random.default_rng(SEED)
    most = group.max() + 1
    resampled = np.hstack(
        [
            weighted_f1(truth, found, len(classes), drawn[:, group])
            for drawn in (
                generator.multinomial(most, np.full(most, 1 / most), size=RESAMPLES // CHUNKS)
                for _ in range(CHUNKS)
            )
        ]
    )
    edges = [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2]
    out = {}
    for average, values in zip(("weighted", "macro"), resampled, strict=True):
        value = f1_score(truth, found, average=average, zero_division=0)
        low, high = np.quantile(values, edges)
        out[f"{average}_f1"] = {"value": _round(value), "low": _round(low), "high": _round(high)}
    return out


def weighted_f1(truth: Any, found: Any, classes: int, times: Any) -> tuple[Any, Any]:
    """Weighted and macro F1 of each resample.

    `truth`, `found`: classes of the questions, numbered; `times`: (resamples, questions), how often
    each question was drawn. Equals f1_score on the repeated questions; test_scores.py compares.
    """
    import numpy as np

    def counts(numbers: Any, weights: Any) -> Any:
        spread = np.zeros((len(numbers), classes))
        spread[np.arange(len(numbers)), numbers] = 1
        return weights @ spread

    support, answered = counts(truth, times), counts(found, times)
    hits = counts(truth, times * (truth == found))
    there = support + answered
    each = np.divide(2 * hits, there, out=np.zeros_like(there), where=there > 0)
    return (each * support).sum(1) / support.sum(1), each.sum(1) / (there > 0).sum(1)


def hamming(answer: Sequence[int] | None, right: Sequence[int]) -> float:
    """FrenchMedMCQA's score of a question: |answer and right| / |answer or right|.

    Labrak et al. 2022, section 4.2. Nothing ticked where nothing is right scores 1.
    """
    if answer is None:
        return 0.0
    either = {*answer, *right}
    return len({*answer} & {*right}) / len(either) if either else 1.0


def discordance(question: Question, answer: Sequence[int] | None) -> float:
    """What the French national exam gives for an answer.

    1, 0.5, 0.2 or nothing for 0, 1, 2 or more propositions that are ticked and wrong, or right and
    not ticked; nothing where an indispensable one is not ticked or an unacceptable one is. With a
    single right answer asked for: all or nothing.
    """
    if answer is None:
        return 0.0
    ticked, right = set(answer), set(question.answers)
    form = question.form or question.kind
    if form in ("single", "judgement"):
        return float(ticked == right)
    if not set(question.indispensable) <= ticked or set(question.unacceptable) & ticked:
        return 0.0
    wrong = len(ticked ^ right)
    return DISCORDANT[wrong] if wrong < len(DISCORDANT) else 0.0


def calibration_error(confidences: Sequence[float], correct: Sequence[bool]) -> float:
    """Expected calibration error in ten bins of equal width (Guo et al. 2017, equation 3)."""
    bins: dict[int, list[tuple[float, bool]]] = {}
    for confidence, verdict in zip(confidences, correct, strict=True):
        place = max(0, math.ceil(confidence * BINS) - 1)  # a bin has its upper edge
        bins.setdefault(place, []).append((confidence, verdict))
    gaps = (
        abs(sum(each for each, _ in some) - sum(verdict for _, verdict in some))
        for some in bins.values()
    )
    return _round(sum(gaps) / len(confidences))


def pubmedqa(asked: Sequence[Question], rows: Sequence[dict[str, Any]]) -> dict[str, str] | None:
    """PubMedQA's prediction file {pmid: label}; None where the exam is another.

    An answer that could not be read is given as "maybe", for the file knows no other label.
    """
    if not all(question.origin.get("adapter") == "pubmedqa" for question in asked):
        return None
    return {
        question.id: "maybe" if row["answer"] is None else question.options[row["answer"][0]]
        for question, row in zip(asked, rows, strict=True)
    }


def pubmedqa_scores(predicted: dict[str, str], truth: dict[str, str]) -> dict[str, float]:
    """Accuracy and macro-F1 as PubMedQA's evaluation.py computes them.

    Raises Complaint where the prediction file does not cover exactly the ids of `truth`.
    """
    from sklearn.metrics import accuracy_score, f1_score

    if odd := predicted.keys() ^ truth.keys():
        raise Complaint(
            f"predictions and truth differ in {len(odd)} ids, such as {min(odd)!r}; expected the "
            "same; evaluate the whole split"
        )
    ids = sorted(truth)
    pair = [truth[id] for id in ids], [predicted[id] for id in ids]
    return {
        "accuracy": _round(accuracy_score(*pair)),
        "macro_f1": _round(f1_score(*pair, average="macro")),
    }


def baselines(asked: Sequence[Question]) -> dict[str, float]:
    """Accuracy without reading: by chance, by the most frequent answer, by the longest option.

    Chance ticks each proposition with a coin; of open questions nothing is guessed.
    """
    answers = [tuple(sorted(question.answers)) if question.options else None for question in asked]
    most = max(Counter(each for each in answers if each is not None).values(), default=0)
    found = {
        "random": sum(map(_chance, asked)) / len(asked),
        "majority": most / len(asked),
        "longest": _hits(asked, lambda each: (_longest(each),)) / len(asked),
    }
    return {name: round(value, 6) for name, value in found.items()}


def _chance(question: Question) -> float:
    options = len(question.options)
    sets = {"multiple": 2**options - 1, "propositions": 2**options}
    return 1 / sets.get(question.form or question.kind, options) if options else 0.0


def _longest(question: Question) -> int:
    return max(range(len(question.options)), key=lambda i: len(question.options[i]))


def _hits(asked: Sequence[Question], guess: Callable[[Question], tuple[int, ...]]) -> int:
    return sum(guess(each) == tuple(sorted(each.answers)) for each in asked if each.options)


def _round(value: float) -> float:
    return round(float(value), 6)
