"""What a report says of scores: how models did, how they differ, and whether it worked.

    predictions.jsonl of each model ──> Sitting ──┬─ scores with intervals, whole and clean
                                                  ├─ differences on the same questions
                                                  └─ the verdict: the last model against the first

A difference counts as shown where its interval (paired bootstrap over groups) leaves out 0 *and*
McNemar's p, corrected by Holm over every comparison on the page, is below 1 - confidence.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from residency.files import read_json, read_rows
from residency.intervals import holm, mcnemar, paired_bootstrap, wilson
from residency.section import Complaint, called

if TYPE_CHECKING:
    from residency.report import Report

LABELS = 100
"""Values shown of one label: those with the most questions."""

NO_READING = {
    "random": "By chance",
    "majority": "Most frequent answer",
    "longest": "Longest option",
}
"""Baselines that read no question, by their name in scores.json."""

LONE = ("unparsed", "calibration_error")
"""Figures of scores.json that have no interval."""

Row = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Score:
    """A share of right answers with its interval, in percent."""

    correct: int
    questions: int
    low: float
    high: float

    @property
    def value(self) -> float:
        """The accuracy itself, in percent."""
        return 100 * self.correct / self.questions


@dataclass(frozen=True, kw_only=True)
class Sitting:
    """One model's answers to one evaluation's questions, by question id."""

    model: str
    rows: dict[str, Row]
    scores: dict[str, Any]
    score: Score


@dataclass(frozen=True, kw_only=True)
class Difference:
    """How much better `model` is than `against` on the same questions, in points."""

    model: str
    against: str
    won: int
    lost: int
    points: float
    low: float
    high: float
    p: float
    corrected: float = 1.0
    shown: bool = False  # more than chance, after the correction


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """Whether the last model of an evaluation is better than the first."""

    evaluation: str
    outcome: Literal["better", "worse", "open", "alone"]
    model: str
    score: Score
    difference: Difference | None
    base: bool  # whether `difference.against` is what the model was made from
    guess: tuple[str, float] | None  # the best answer without reading, if the score may be that


KEPT = ("id", "group", "labels", "prompt", "texts", "answer", "right", "correct")
"""What is read of a row of predictions.jsonl; what a model said in words is read where it is."""


def sitting(folder: Path, confidence: float, more: Iterable[str] = ()) -> Sitting:
    """Read a folder of build/evaluations; `more` keys of its rows are taken where they are.

    Raises Complaint where it holds no answer.
    """
    rows = {
        row["id"]: {key: row[key] for key in (*KEPT, *more) if key in row}
        for row in read_rows(folder / "predictions.jsonl")
    }
    if not rows:
        raise Complaint(f"{folder}: predictions.jsonl is empty; evaluate at least one question")
    return Sitting(
        model=called(folder.name),
        rows=rows,
        scores=read_json(folder / "scores.json"),
        score=score(rows.values(), confidence),
    )


def score(rows: Iterable[Row], confidence: float) -> Score:
    """The share of right answers among some rows, at least one."""
    verdicts = [bool(row["correct"]) for row in rows]
    low, high = wilson(sum(verdicts), len(verdicts), confidence)
    return Score(correct=sum(verdicts), questions=len(verdicts), low=100 * low, high=100 * high)


def compared(sittings: dict[str, list[Sitting]], report: Report) -> dict[str, list[Difference]]:
    """Each model against the first of its evaluation and the one before it, corrected together.

    Raises Complaint where models of one evaluation answered different questions.
    """
    found: list[tuple[str, Difference]] = []
    for name, sat in sittings.items():
        for number, each in enumerate(sat[1:], 1):
            for other in dict.fromkeys((0, number - 1)):
                found.append((name, _difference(name, each, sat[other], report)))
    corrected = holm([each.p for _, each in found])
    differences: dict[str, list[Difference]] = {name: [] for name in sittings}
    for (name, difference), p in zip(found, corrected, strict=True):
        beyond = (difference.low > 0 or difference.high < 0) and p < 1 - report.confidence
        differences[name].append(replace(difference, corrected=p, shown=beyond))
    return differences


def _difference(name: str, one: Sitting, other: Sitting, report: Report) -> Difference:
    if one.rows.keys() != other.rows.keys():
        odd = sorted(one.rows.keys() ^ other.rows.keys())
        raise Complaint(
            f"evaluations.{name}: {one.model} and {other.model} answered different questions "
            f"({len(odd)} were put to one of them only, such as {odd[0]!r}); evaluate both again"
        )
    gains = [
        int(bool(row["correct"])) - int(bool(other.rows[id]["correct"]))
        for id, row in one.rows.items()
    ]
    low, high = paired_bootstrap(
        gains,
        [row["group"] for row in one.rows.values()],
        resamples=report.resamples,
        confidence=report.confidence,
        seed=report.seed,
    )
    won, lost = gains.count(1), gains.count(-1)
    return Difference(
        model=one.model,
        against=other.model,
        won=won,
        lost=lost,
        points=100 * sum(gains) / len(gains),
        low=100 * low,
        high=100 * high,
        p=mcnemar(won, lost),
    )


def verdict(
    name: str,
    sat: Sequence[Sitting],
    differences: Sequence[Difference],
    made_from: Callable[[str, str], bool],
) -> Verdict:
    """Whether the last whole model of an evaluation does better than its first.

    `made_from(model, other)`: whether `other` is what `model` was made from, at any remove.
    """
    last = next((each for each in reversed(sat) if "@" not in each.model), sat[-1])
    against = next(
        (d for d in differences if d.model == last.model and d.against == sat[0].model), None
    )
    blind = {key: 100 * (last.scores["baselines"].get(key) or 0.0) for key in NO_READING}
    best = max(blind, key=lambda key: blind[key])
    outcome: Literal["better", "worse", "open", "alone"] = "alone"
    if against is not None:
        outcome = "open" if not against.shown else "better" if against.points > 0 else "worse"
    return Verdict(
        evaluation=name,
        outcome=outcome,
        model=last.model,
        score=last.score,
        difference=against,
        base=against is not None and made_from(last.model, against.against),
        guess=(NO_READING[best], blind[best]) if last.score.low <= blind[best] > 0 else None,
    )


def headline(verdicts: Sequence[Verdict]) -> str:
    """The one line that answers whether it worked."""

    def on(outcome: str) -> str:
        names = [each.evaluation for each in verdicts if each.outcome == outcome]
        return " and ".join(filter(None, (", ".join(names[:-1]), *names[-1:])))

    outcomes = {each.outcome for each in verdicts}
    if outcomes == {"better"}:
        return "Yes."
    if outcomes == {"worse"}:
        return "No: it became worse."
    if outcomes == {"open"}:
        return "That cannot be said from these questions."
    words = {
        "better": "Yes on {}",
        "worse": "worse on {}",
        "open": "not to be told from chance on {}",
        "alone": "nothing to compare with on {}",
    }
    parts = [words[each].format(on(each)) for each in words if each in outcomes]
    line = "; ".join(parts)
    return f"{line[0].upper()}{line[1:]}."


def clean(sat: Sequence[Sitting], leaked: set[str], confidence: float) -> dict[str, Any] | None:
    """Scores on the questions that no raw text held; None where that is all of them."""
    held = leaked & sat[0].rows.keys()
    if not held:
        return None
    left = {
        each.model: score((row for id, row in each.rows.items() if id not in held), confidence)
        for each in sat
        if len(each.rows) > len(held)
    }
    return {"leaked": len(held), "scores": left}


def by_label(sat: Sequence[Sitting], confidence: float) -> dict[str, dict[str, Any]]:
    """For each label its values, each with one score a model, and how many are not shown.

    Values with the most questions come first where there are more than are shown; else by name.
    """
    groups: dict[str, dict[str, list[str]]] = {}
    for id, row in sat[0].rows.items():
        for label, value in row["labels"].items():
            groups.setdefault(label, {}).setdefault(value, []).append(id)
    found = {}
    for label, values in sorted(groups.items()):
        kept = sorted(values, key=lambda value: (-len(values[value]), value))[:LABELS]
        found[label] = {
            "left_out": len(values) - len(kept),
            "values": {
                value: [score((each.rows[id] for id in values[value]), confidence) for each in sat]
                for value in sorted(kept)
            },
        }
    return found


def others(sat: Sequence[Sitting]) -> dict[str, dict[str, dict[str, float]]]:
    """What else scores.json tells of each model: {score: {model: {value, and low and high}}}."""
    found: dict[str, dict[str, dict[str, float]]] = {}
    for each in sat:
        for name, value in each.scores.items():
            if isinstance(value, dict) and isinstance(value.get("value"), int | float):
                found.setdefault(name, {})[each.model] = value
            elif name in LONE and isinstance(value, int | float):
                found.setdefault(name, {})[each.model] = {"value": value}
    return found
