"""report: everything that was built becomes one self-contained page and its metrics.

report.html          did it work; scores and differences; questions; how it was made
metrics.json         {evaluation: {model: {accuracy, low, high, questions}}} for `dvc metrics`;
                     of a served model also tokens and money
differences.json     {evaluation: {model: {against: {points, low, high, p}}}}, the same
counts.json          {kind: {name: {kept..., dropped}}}, the same
plots/accuracy/*.csv scores on each evaluation, for `dvc plots`, and for each trained model
plots/loss/*.csv     step, bits per byte and per token; with a gate also
plots/gate/*.csv     step, bits per byte of domain and of general text
gate.json            {model: {text: {before, after, rise}, warned}} for `dvc metrics`

A loss is told in bits per byte of the text learned, which models with different tokenizers share;
a loss per token falls by cutting text into more tokens. The page is the same wherever the same
artifacts are reported: it holds no time of day, no seconds and no memory.
"""

from __future__ import annotations

import base64
import csv
import hashlib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import Field

from residency import making, step, took
from residency.browsing import SAID, Shelf, embedded, shelves
from residency.charts import Estimate, along, forest
from residency.decontaminate import questions_in
from residency.drawing import drawing
from residency.files import read_rows, write_file, write_json
from residency.gate import PARTS
from residency.published import published
from residency.results import (
    NO_READING,
    Difference,
    Sitting,
    by_label,
    clean,
    compared,
    headline,
    others,
    sitting,
    verdict,
)
from residency.section import Section, Seed

if TYPE_CHECKING:
    from jinja2 import Environment

    from residency.declaration import Declaration

LIMIT = 4_900_000
"""Bytes of the page; questions take what the rest leaves of them."""

IN_EXAM = "in exam"
"""The reason of a corpus' ledger that names questions found in raw text."""

SAMPLES = 6
"""Questions of each evaluation that stand in the page itself, for who runs no script."""


class Report(Section):
    """What the page says and how sure it must be."""

    title: str = Field(min_length=1, description="Heading of the page.")
    confidence: float = Field(gt=0.5, lt=1, description="Of every interval, such as 0.95.")
    resamples: int = Field(ge=100, description="Resamples of the paired bootstrap.")
    seed: Seed = Field(description="Seed of the bootstrap.")


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
    """Write report.html, the metrics and plots/.

    `declaration`: params.yaml; `ledgers`: folders with counts.json and rejected.jsonl;
    `tokenizers`: folders of build/tokenizers; `fertility`: folders of build/fertility; `models`:
    folders of build/models; `evaluations`: folders build/evaluations/<evaluation>/<model>, models
    in the order in which they are compared.

    Raises Complaint where models of one evaluation answered different questions.
    """
    from residency.declaration import load  # which composes this module's section too
    from residency.graph import described

    declared = load(declaration)
    sittings: dict[str, list[Sitting]] = {}
    for folder in evaluations:
        sittings.setdefault(folder.parent.name, []).append(sitting(folder, report.confidence, SAID))
    differences = compared(sittings, report)
    trained = [making.training(each) for each in models if (each / "training.json").exists()]
    kept = [making.ledger(folder) for folder in ledgers]
    write_json(out / "metrics.json", _metrics(sittings))
    write_json(out / "differences.json", _points(differences))
    write_json(out / "counts.json", _counts(kept))
    _plots(out / "plots", sittings, trained)
    if gated := {each["name"]: each["gate"] for each in trained if each["gate"]}:
        write_json(out / "gate.json", {name: gate["numbers"] for name, gate in gated.items()})
        _gate_plots(out / "plots/gate", gated)
    verdicts = [
        verdict(name, sat, differences[name], _ancestry(declared)) for name, sat in sittings.items()
    ]
    sets = [folder for folder in ledgers if folder.parent.name == "questions"]
    page = _page(
        sittings,
        report=report,
        headline=headline(verdicts) if verdicts else "",
        verdicts=verdicts,
        results=[
            _result(name, sat, differences[name], report, declared, ledgers)
            for name, sat in sittings.items()
        ],
        baselines=NO_READING,
        compared=sum(map(len, differences.values())),
        models=list(dict.fromkeys(each.model for sat in sittings.values() for each in sat)),
        trained=trained,
        adopted=[each.name for each in models if not (each / "training.json").exists()],
        ledgers=kept,
        sets=[making.written(folder) for folder in sets],
        tokenizers=[making.tokenizer(folder, fertility) for folder in tokenizers],
        raw=[making.raw_files(each) for each in ledgers if each.parent.name == "documents"],
        identity=making.identity([*models, *sets, *evaluations]),
        versions=making.versions(),
        stages=described(declared)["stages"],
    )
    write_file(out / "report.html", page)


def _ancestry(declared: Declaration) -> Any:
    """Whether one model was made from another, at any remove."""
    parents = {name: getattr(model, "parent", None) for name, model in declared.models.items()}

    def made_from(model: str, other: str) -> bool:
        at: str | None = model.partition("@")[0]
        while at is not None and (at := parents.get(at)) is not None:
            if at == other:
                return True
        return False

    return made_from


def _result(
    name: str,
    sat: list[Sitting],
    differences: list[Difference],
    report: Report,
    declared: Declaration,
    ledgers: list[Path],
) -> dict[str, Any]:
    """What the page says of one evaluation."""
    baselines = {
        key: 100 * value
        for key, value in sat[0].scores["baselines"].items()
        if key in NO_READING and value is not None
    }
    evaluation = declared.evaluations.get(name)
    exam = declared.exams[evaluation.exam] if evaluation else None
    first = {each.model: each for each in reversed(differences) if each.against == sat[0].model}
    return {
        "name": name,
        "first": sat[0].model,
        "questions": sat[0].score.questions,
        "scores": {each.model: each.score for each in sat},
        "against": first,
        "best": max(each.score.correct for each in sat),
        "baselines": baselines,
        "protocol": evaluation.protocol.canonical() if evaluation else {},
        "exam": f"{evaluation.exam}, {evaluation.split}" if evaluation else "",
        "forest": forest(
            [Estimate(e.model, e.score.value, e.score.low, e.score.high) for e in sat],
            {"chance": baselines["random"]} if "random" in baselines else {},
            f"Accuracy of each model on {name}, in percent, with intervals; the table has them too",
            "{:.1f} %",
        ),
        "differences": differences,
        "difference_forest": differences
        and forest(
            [Estimate(f"{e.model} − {e.against}", e.points, e.low, e.high) for e in differences],
            {"no difference": 0.0},
            f"Differences between models on {name}, in points; the table below has them too",
            "{:+.1f}",
        ),
        "along": _along(name, sat, declared),
        "labels": by_label(sat, report.confidence),
        "others": others(sat),
        "cost": {each.model: each.scores["asked"] for each in sat if "asked" in each.scores},
        "clean": _clean(name, sat, report, declared, ledgers),
        "published": evaluation
        and exam
        and published(exam.adapter, evaluation.split, len(sat[0].rows)),
    }


def _clean(
    name: str, sat: list[Sitting], report: Report, declared: Declaration, ledgers: list[Path]
) -> dict[str, Any] | None:
    """Scores on the questions that were not found in the raw text of any corpus kept from them.

    None where no corpus was searched for this evaluation's questions; `scores` is None where
    nothing was found.
    """
    evaluation = declared.evaluations.get(name)
    if evaluation is None:
        return None
    searched = [
        corpus
        for corpus, section in declared.corpora.items()
        if evaluation.exam in section.decontaminate.exams
        and evaluation.split in section.decontaminate.splits
    ]
    folders = [f for f in ledgers if f.parent.name == "corpora" and f.name in searched]
    if not folders:
        return None
    leaked = {
        question
        for folder in folders
        for row in read_rows(folder / "rejected.jsonl")
        if row["reason"] == IN_EXAM
        for question in questions_in(row["detail"], evaluation.exam, evaluation.split)
    }
    found = clean(sat, leaked, report.confidence)
    return {"corpora": searched, "leaked": 0, "scores": None} | (found or {})


def _along(name: str, sat: list[Sitting], declared: Declaration) -> list[dict[str, Any]]:
    """For each model that sat on its way too: its scores from its parent's to its own."""
    scores = {each.model: each.score for each in sat}
    found = []
    for model in dict.fromkeys(each.partition("@")[0] for each in scores if "@" in each):
        shares = {getattr(declared.models.get(model), "parent", ""): 0, model: 100}
        shares |= {
            each: int(each[len(model) + 1 : -1]) for each in scores if each.startswith(f"{model}@")
        }
        points = sorted(
            (share, Estimate(each, scores[each].value, scores[each].low, scores[each].high))
            for each, share in shares.items()
            if each in scores
        )
        told = ", ".join(f"{share} %: {each.value:.1f}" for share, each in points)
        label = f"Accuracy of {model} on {name} along its training, in percent: {told}"
        found.append({"model": model, "chart": along(points, label)})
    return found


def _points(differences: dict[str, list[Difference]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, each in ((name, each) for name, some in differences.items() for each in some):
        numbers = {"points": each.points, "low": each.low, "high": each.high, "p": each.corrected}
        rounded = {key: round(value, 6) for key, value in numbers.items()}
        found.setdefault(name, {}).setdefault(each.model, {})[each.against] = rounded
    return found


def _counts(kept: list[dict[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for each in kept:
        numbers = {**each["kept"], "dropped": sum(each["rejected"].values())}
        found.setdefault(each["kind"], {})[each["name"]] = numbers
    return found


def _metrics(sittings: dict[str, list[Sitting]]) -> dict[str, dict[str, dict[str, float]]]:
    return {
        name: {
            each.model: {
                "accuracy": round(each.score.value / 100, 6),
                "low": round(each.score.low / 100, 6),
                "high": round(each.score.high / 100, 6),
                "questions": each.score.questions,
                **_cost(each.scores.get("asked", {})),
            }
            for each in sat
        }
        for name, sat in sittings.items()
    }


def _cost(asked: dict[str, Any]) -> dict[str, float]:
    """What a served model's answers took, by the scores' `asked`."""
    found = {"tokens": asked["prompt_tokens"] + asked["reply_tokens"]} if asked else {}
    return found | ({"money": asked["money"]} if asked.get("money") is not None else {})


def _plots(folder: Path, sittings: dict[str, list[Sitting]], trained: list[dict[str, Any]]) -> None:
    for name, scores in _metrics(sittings).items():
        _write_csv(
            folder / f"accuracy/{name}.csv",
            ("model", "accuracy", "low", "high"),
            (
                (model, each["accuracy"], each["low"], each["high"])
                for model, each in scores.items()
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


def _gate_plots(folder: Path, gated: dict[str, dict[str, Any]]) -> None:
    for name, gate in gated.items():
        texts = {text: dict(points) for text, points in gate["series"].items()}
        steps = next(iter(texts.values()))
        rows = ((at, *(texts.get(text, {}).get(at, "") for text in PARTS)) for at in steps)
        _write_csv(folder / f"{name}.csv", ("step", *PARTS), rows)


def templates() -> Environment:
    """The templates beside this module; all that they are filled with is escaped."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    return Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def _page(sittings: dict[str, list[Sitting]], *, stages: dict[str, Any], **content: Any) -> str:
    """Fill the template; everything but our own drawings, style and script is escaped.

    It is filled twice: once without questions, to know what room they have.
    """
    from markupsafe import Markup

    environment = templates()
    environment.filters["number"] = _number
    own = {end: Path(__file__).with_suffix(f".{end}").read_text("utf-8") for end in ("css", "js")}
    digest = base64.b64encode(hashlib.sha256(own["js"].encode()).digest()).decode()
    template = environment.get_template("report.html.jinja")

    def filled(shown: Sequence[Shelf], data: Markup) -> str:
        return template.render(
            **content,
            graph=Markup(drawing(stages)),
            samples=SAMPLES,
            shelves=shown,
            data=data,
            style=Markup(own["css"]),
            script=Markup(own["js"]),
            script_digest=digest,
        )

    rest = len(filled(shelves(sittings, LIMIT), Markup("")).encode())
    shown = shelves(sittings, max(0, LIMIT - rest))
    return filled(shown, embedded(shown))


def _number(value: float) -> str:
    """A number as people read it: thousands apart, four figures after a point at most."""
    return f"{value:,}" if isinstance(value, int) else f"{value:,.4g}"


if __name__ == "__main__":
    step.run(report, Report, took.beside)
