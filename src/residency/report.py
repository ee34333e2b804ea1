"""report: everything that was built becomes one self-contained page and its metrics.

report.html          scores, differences, loss, what was dropped, samples, the graph
metrics.json         {evaluation: {model: {accuracy, low, high, questions}}} for `dvc metrics`
plots/accuracy.csv   the same as rows, for `dvc plots`, and for each trained model
plots/loss/*.csv     step, bits per byte and per token; with a gate also
plots/gate/*.csv     step, bits per byte of domain and of general text
gate.json            {model: {text: {before, after, rise}, warned}} for `dvc metrics`

A loss is told in bits per byte of the text learned, which models with different tokenizers share;
a loss per token falls by cutting text into more tokens.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
from pydantic import Field

from residency import step
from residency.charts import Estimate, along, curve, curves, drawing, forest, tangent
from residency.files import read_json, read_rows, write_file, write_json
from residency.gate import OWN, PARTS, change
from residency.intervals import mcnemar, paired_bootstrap, wilson
from residency.section import Complaint, Section, Seed, called

EXAMPLES = 3  # rejected items shown for each reason
SAMPLES = 6  # questions shown for each evaluation
EXCERPT = 400  # characters shown of a rejected item


class Report(Section):
    """What the page says and how sure it must be."""

    title: str = Field(min_length=1, description="Heading of the page.")
    confidence: float = Field(gt=0.5, lt=1, description="Of every interval, such as 0.95.")
    resamples: int = Field(ge=100, description="Resamples of the paired bootstrap.")
    seed: Seed = Field(description="Seed of the bootstrap.")


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
    rows: dict[str, dict[str, Any]]
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


def report(
    report: Report,
    declaration: Path,
    ledgers: list[Path],
    tokenizers: list[Path],
    fertility: list[Path],
    models: list[Path],
    evaluations: list[Path],
    out: Path,
) -> None:
    """Write report.html, metrics.json and plots/.

    `declaration`: params.yaml; `ledgers`: folders with counts.json and rejected.jsonl;
    `tokenizers`: folders of build/tokenizers; `fertility`: folders of build/fertility; `models`:
    folders of build/models; `evaluations`: folders build/evaluations/<evaluation>/<model>, models
    in the order in which they are compared.

    Raises Complaint where models of one evaluation answered different questions.
    """
    from residency.declaration import Trained, load  # which composes this module's section too
    from residency.graph import described

    declared = load(declaration)
    parents = {n: m.parent for n, m in declared.models.items() if isinstance(m, Trained)}
    sittings: dict[str, list[Sitting]] = {}
    for folder in evaluations:
        sittings.setdefault(folder.parent.name, []).append(_sitting(folder, report.confidence))
    trained = [_training(folder) for folder in models if (folder / "training.json").exists()]
    write_json(out / "metrics.json", _metrics(sittings))
    _plots(out / "plots", sittings, trained)
    if gated := {each["name"]: each["gate"] for each in trained if each["gate"]}:
        write_json(out / "gate.json", {name: gate["numbers"] for name, gate in gated.items()})
        _gate_plots(out / "plots/gate", gated)
    page = _page(
        report=report,
        results=[_result(name, sat, report, parents) for name, sat in sittings.items()],
        models=list(dict.fromkeys(each.model for sat in sittings.values() for each in sat)),
        trained=trained,
        adopted=[each.name for each in models if not (each / "training.json").exists()],
        ledgers=[_ledger(folder) for folder in ledgers],
        tokenizers=[_tokenizer(folder, fertility) for folder in tokenizers],
        stages=described(declared)["stages"],
    )
    write_file(out / "report.html", page)


def _sitting(folder: Path, confidence: float) -> Sitting:
    kept = ("id", "group", "labels", "prompt", "texts", "answer", "right", "correct")
    rows = {row["id"]: {k: row[k] for k in kept} for row in read_rows(folder / "predictions.jsonl")}
    if not rows:
        raise Complaint(f"{folder}: predictions.jsonl is empty; evaluate at least one question")
    scores = read_json(folder / "scores.json")
    correct = sum(row["correct"] for row in rows.values())
    score = _score(correct, len(rows), confidence)
    return Sitting(model=called(folder.name), rows=rows, scores=scores, score=score)


def _score(correct: int, questions: int, confidence: float) -> Score:
    low, high = wilson(correct, questions, confidence)
    return Score(correct=correct, questions=questions, low=100 * low, high=100 * high)


def _result(
    name: str, sat: list[Sitting], report: Report, parents: dict[str, str]
) -> dict[str, Any]:
    """What the page says of one evaluation."""
    pairs = [(each, sat[0]) for each in sat[1:]]
    pairs += [(each, sat[number + 1]) for number, each in enumerate(sat[2:])]
    pairs.sort(key=lambda pair: sat.index(pair[0]))
    differences = [_difference(name, *pair, report) for pair in pairs]
    baselines = {key: 100 * value for key, value in sat[0].scores["baselines"].items()}
    return {
        "name": name,
        "scores": {each.model: each.score for each in sat},
        "best": max(each.score.correct for each in sat),
        "baselines": baselines,
        "forest": forest(
            [Estimate(e.model, e.score.value, e.score.low, e.score.high) for e in sat],
            {"random": baselines["random"]},
            f"Accuracy of each model on {name}, in percent, with intervals",
            "{:.1f} %",
        ),
        "differences": differences,
        "difference_forest": differences
        and forest(
            [Estimate(f"{e.model} − {e.against}", e.points, e.low, e.high) for e in differences],
            {"no difference": 0.0},
            f"Differences between models on {name}, in points, with intervals",
            "{:+.1f}",
        ),
        "along": _along(name, sat, parents),
        "labels": _labels(sat, report.confidence),
        "samples": _samples(sat),
    }


def _along(name: str, sat: list[Sitting], parents: dict[str, str]) -> list[dict[str, Any]]:
    """For each model that sat on its way too: its scores from its parent's to its own."""
    scores = {each.model: each.score for each in sat}
    found = []
    for model in dict.fromkeys(each.partition("@")[0] for each in scores if "@" in each):
        shares = {parents.get(model, ""): 0, model: 100}
        shares |= {
            each: int(each[len(model) + 1 : -1]) for each in scores if each.startswith(f"{model}@")
        }
        points = sorted(
            (share, Estimate(each, scores[each].value, scores[each].low, scores[each].high))
            for each, share in shares.items()
            if each in scores
        )
        label = f"Accuracy of {model} on {name} along its training, in percent, with intervals"
        found.append({"model": model, "chart": along(points, label)})
    return found


def _difference(name: str, one: Sitting, other: Sitting, report: Report) -> Difference:
    if one.rows.keys() != other.rows.keys():
        odd = sorted(one.rows.keys() ^ other.rows.keys())
        raise Complaint(
            f"evaluations.{name}: {one.model} and {other.model} answered different questions "
            f"({len(odd)} were put to one of them only, such as {odd[0]!r}); evaluate both again"
        )
    gains = [row["correct"] - other.rows[id]["correct"] for id, row in one.rows.items()]
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


def _labels(sat: list[Sitting], confidence: float) -> dict[str, dict[str, list[Score]]]:
    """Scores by label and value, in the order of the models."""
    found: dict[str, dict[str, list[Score]]] = {}
    for label, values in sat[0].scores["by_label"].items():
        for value in values:
            same = [each.scores["by_label"][label][value] for each in sat]
            found.setdefault(label, {})[value] = [
                _score(each["correct"], each["questions"], confidence) for each in same
            ]
    return found


def _samples(sat: list[Sitting]) -> list[dict[str, Any]]:
    """Some questions with each model's answer; first those on which the models differ."""
    split: list[dict[str, Any]] = []
    agreed: list[dict[str, Any]] = []
    for id, row in sat[0].rows.items():
        verdicts = {each.rows[id]["correct"] for each in sat}
        (split if len(verdicts) > 1 else agreed).append(row)
    return [
        {
            "id": row["id"],
            "prompt": row["prompt"],
            "right": _answer(row, "right"),
            "answers": [
                (each.model, each.rows[row["id"]]["correct"], _answer(each.rows[row["id"]]))
                for each in sat
            ],
        }
        for row in (split + agreed)[:SAMPLES]
    ]


def _answer(row: dict[str, Any], key: str = "answer") -> str:
    return "; ".join(f"{chr(ord('A') + index)}. {row['texts'][index]}" for index in row[key])


def _training(folder: Path) -> dict[str, Any]:
    """A trained model's summary, the loss of each step, and its curve in `unit`.

    That is bits per byte where every step of the log has it, else bits per token.
    """
    steps = [_loss(row) for row in read_rows(folder / "log.jsonl") if row.get("loss") is not None]
    told = bool(steps) and all("bits_per_byte" in each for each in steps)
    key, unit = ("bits_per_byte", "bits per byte") if told else ("bits_per_token", "bits per token")
    points = [(each["step"], each[key]) for each in steps]
    label = f"Loss of {folder.name} over its steps, in {unit}"
    summary = read_json(folder / "training.json")
    return {
        "name": folder.name,
        "gate": _gate(folder, summary["gate"]) if "gate" in summary else None,
        "summary": _numbers(summary),
        "steps": steps,
        "unit": unit,
        "last": points[-1][1] if points else None,
        "curve": curve(points, label) if points else None,
    }


def _loss(row: dict[str, Any]) -> dict[str, float]:
    """The losses of a row of log.jsonl, of which `loss` is in nats per token."""
    found = {"step": row["step"], "bits_per_token": row["loss"] / math.log(2)}
    return found | {key: row[key] for key in ("bits_per_byte",) if row.get(key) is not None}


def _gate(folder: Path, numbers: dict[str, Any]) -> dict[str, Any]:
    """What training did to text that the model did not learn."""
    rows = list(read_rows(folder / "gate.jsonl"))
    own = [row for row in rows if row["tokenizer"] == OWN]
    series = {
        text: [(row["step"], row[f"{text}_bits_per_byte"]) for row in own]
        for text in PARTS
        if text in numbers
    }
    return {
        "numbers": numbers,
        "series": series,
        "grown": len(own) < len(rows),
        "told": change(rows),
        "curves": curves(series, f"Bits per byte of text that {folder.name} did not learn"),
    }


def _gate_plots(folder: Path, gated: dict[str, dict[str, Any]]) -> None:
    for name, gate in gated.items():
        texts = {text: dict(points) for text, points in gate["series"].items()}
        steps = next(iter(texts.values()))
        rows = ((at, *(texts.get(text, {}).get(at, "") for text in PARTS)) for at in steps)
        _write_csv(folder / f"{name}.csv", ("step", *PARTS), rows)


def _ledger(folder: Path) -> dict[str, Any]:
    """What an artifact kept and dropped, with the first examples of each reason."""
    counts = read_json(folder / "counts.json")
    examples: dict[str, list[dict[str, Any]]] = {reason: [] for reason in counts["rejected"]}
    for row in read_rows(folder / "rejected.jsonl"):
        shown = examples.setdefault(row["reason"], [])
        if len(shown) < EXAMPLES:
            shown.append({"id": row["id"], "detail": row["detail"], "item": _excerpt(row["item"])})
    return {
        "kind": folder.parent.name,
        "name": folder.name,
        "kept": counts["kept"],
        "rejected": dict(sorted(counts["rejected"].items(), key=lambda each: (-each[1], each[0]))),
        "examples": examples,
    }


def _excerpt(item: Any) -> str:
    text = item.get("text", item) if isinstance(item, dict) else item
    text = text if isinstance(text, str) else orjson.dumps(text).decode()
    return text if len(text) <= EXCERPT else text[: EXCERPT - 1] + "…"


def _tokenizer(folder: Path, fertility: list[Path]) -> dict[str, Any]:
    """What texts cost in a tokenizer before and after it was grown, and what sizes are worth.

    The corpus it was grown on comes first, then what any `fertility` measured for it.
    """
    own = read_json(folder / "fertility.json")
    learned = {"kind": "corpora", "name": own["corpus"], "learned": True}
    found = [learned | {"before": own["before"], "after": own["after"]}]
    measured = [read_json(each / "fertility.json") for each in fertility]
    for each in measured:
        if each["tokenizer"] == folder.name:
            found += each["texts"]
    texts = {(each["kind"], each["name"]): each for each in found}
    path = folder / "curve.json"
    return {
        "name": folder.name,
        "added": own["added"],
        "corpus": own["corpus"],
        "texts": list(texts.values()),
        "worth": _worth(folder.name, read_json(path)) if path.exists() else None,
    }


def _worth(name: str, curve: dict[str, Any]) -> dict[str, Any]:
    """The curve by which a number of pieces was chosen, and its drawing."""
    sizes = curve["sizes"]
    drawn = tangent(
        [(each["parameters"] / 1e6, each["bits_per_byte"]) for each in sizes],
        [each["pieces"] for each in sizes].index(curve["chosen"]),
        -curve["worth"],
        "million parameters",
        f"Bits per byte of held-out text over the parameters that new pieces of {name} add",
    )
    return curve | {"drawing": drawn}


def _numbers(values: dict[str, Any]) -> dict[str, float]:
    return {
        key: value
        for key, value in values.items()
        if isinstance(value, int | float) and not isinstance(value, bool)
    }


def _metrics(sittings: dict[str, list[Sitting]]) -> dict[str, dict[str, dict[str, float]]]:
    return {
        name: {
            each.model: {
                "accuracy": round(each.score.value / 100, 6),
                "low": round(each.score.low / 100, 6),
                "high": round(each.score.high / 100, 6),
                "questions": each.score.questions,
            }
            for each in sat
        }
        for name, sat in sittings.items()
    }


def _plots(folder: Path, sittings: dict[str, list[Sitting]], trained: list[dict[str, Any]]) -> None:
    _write_csv(
        folder / "accuracy.csv",
        ("evaluation", "model", "accuracy", "low", "high"),
        (
            (name, model, score["accuracy"], score["low"], score["high"])
            for name, scores in _metrics(sittings).items()
            for model, score in scores.items()
        ),
    )
    for each in trained:
        _write_csv(
            folder / f"loss/{each['name']}.csv",
            ("step", "bits_per_byte", "bits_per_token"),
            (
                (row["step"], row.get("bits_per_byte", ""), row["bits_per_token"])
                for row in each["steps"]
            ),
        )


def _write_csv(path: Path, header: Iterable[str], rows: Iterable[Iterable[Any]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(rows)


def _page(*, stages: dict[str, Any], **content: Any) -> str:
    """Fill the template; everything but our own drawings is escaped."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined
    from markupsafe import Markup

    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["number"] = _number
    graph = Markup(drawing(stages)) if stages else None  # drawing() escapes every name itself
    return environment.get_template("report.html.jinja").render(graph=graph, **content)


def _number(value: float) -> str:
    """A number as people read it: thousands apart, four figures after a point at most."""
    return f"{value:,}" if isinstance(value, int) else f"{value:,.4g}"


if __name__ == "__main__":
    step.run(report, Report)
