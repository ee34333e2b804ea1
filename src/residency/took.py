"""took: what each step took on this machine, as a table and as a section of the report.

    work/times ── seconds, energy ─┐
    artifacts ─── tokens, money ───┴─> told() · page() ──> work/report.html

The report itself holds no time, so that it is the same wherever the same artifacts are reported
(report.py); its copy with this section is written beside the times, and is nobody's input.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from residency import times
from residency.files import read_json, write_file
from residency.making import cost
from residency.section import Complaint

if TYPE_CHECKING:
    from residency.graph import Stage

PLACE = '<section id="identity"'
"""Before what the section stands in report.html."""

REPORT = Path("build/report/report.html")
HOUR = 3600


@dataclass(frozen=True, kw_only=True)
class Prices:
    """Stated prices; None where nothing was stated."""

    core_hour: float | None = None
    gpu_hour: float | None = None
    kilowatt_hour: float | None = None


@dataclass(frozen=True, kw_only=True)
class Spent:
    """What a stage took; None is not known here."""

    stage: str
    took: times.Took | None
    tokens: int | None  # learned from, or of prompts and replies together
    paid: float | None  # to who served a model
    price: float | None  # of the rest, at stated prices

    @property
    def watt_hours(self) -> tuple[float | None, float | None]:
        """Of the processors and of the GPUs."""
        joules = (self.took.cpu_joules, self.took.gpu_joules) if self.took else (None, None)
        cpu, gpu = (None if each is None else each / HOUR for each in joules)
        return cpu, gpu


def spent(stages: Iterable[Stage], prices: Prices) -> list[Spent]:
    """What each stage took whose artifact is there."""
    return [_spent(stage, prices) for stage in stages if stage.out.is_dir()]


def _spent(stage: Stage, prices: Prices) -> Spent:
    took, tokens, paid = times.took(stage.out), None, None
    if (training := stage.out / "training.json").is_file():
        tokens = read_json(training)["tokens"]
    elif (replies := stage.out / "replies.jsonl").is_file():
        tallies = cost(replies).values()
        tokens = sum(int(each.get(f"{kind}_tokens", 0)) for each in tallies for kind in KINDS)
        paid = sum(each["cost"] for each in tallies if "cost" in each) or None
    elif took and took.questions:
        tokens = sum(read for _, read in took.questions.values())
    return Spent(
        stage=stage.name,
        took=took,
        tokens=tokens,
        paid=paid,
        price=_price(took, prices) if took else None,
    )


KINDS = ("prompt", "reply")


def _price(took: times.Took, prices: Prices) -> float | None:
    """Money for the time that cores and GPUs were at work, and for the energy that was read."""
    energy = ((took.cpu_joules or 0) + (took.gpu_joules or 0)) / HOUR / 1000
    parts = [
        (took.cpu_seconds / HOUR, prices.core_hour),
        (took.gpus * took.seconds / HOUR, prices.gpu_hour),
        (energy, prices.kilowatt_hour),
    ]
    stated = [amount * price for amount, price in parts if price is not None]
    return sum(stated) if stated else None


HEAD = ("Step", "Time", "CPU time", "CPU Wh", "GPU Wh", "Tokens", "Paid", "At prices")
ABSENT = "–"


def rows(found: Sequence[Spent]) -> list[list[str]]:
    """A line of words for each stage, under HEAD, and one for all that is known."""
    lines, numbers = [], []
    for each in found:
        took = each.took
        again = f" in {took.attempts} attempts" if took and took.attempts > 1 else ""
        seconds = (took.seconds, took.cpu_seconds) if took else (None, None)
        numbers.append([*seconds, *each.watt_hours, each.tokens, each.paid, each.price])
        time, *others = _words(numbers[-1])
        lines.append([each.stage, time + again, *others])
    sums = [_sum(column) for column in zip(*numbers, strict=True)]
    return [*lines, ["all that is known", *_words(sums)]]


def _words(numbers: Sequence[float | None]) -> list[str]:
    """Two times, two energies, tokens, two amounts of money."""
    from residency.commands.takes import time_told

    kinds = [time_told, time_told, *["{:,.3g}".format] * 2, "{:,}".format, *["{:,.4f}".format] * 2]
    pairs = zip(kinds, numbers, strict=True)
    return [ABSENT if number is None else kind(number) for kind, number in pairs]


def _sum(values: Iterable[float | None]) -> float | None:
    known = [each for each in values if each is not None]
    return sum(known) if known else None


def notes(found: Sequence[Spent]) -> list[str]:
    """What the numbers mean, and why some are not known."""
    unknown = [each.stage for each in found if each.took is None]
    said = ["Energy is that of the whole machine while the step ran."]
    if all(each.watt_hours[0] is None for each in found):
        said.append(
            f"That of the processors could not be read ({times.RAPL}/intel-rapl:*/energy_uj: "
            "absent on virtual machines, and for root alone on many others)."
        )
    if all(each.watt_hours[1] is None for each in found):
        said.append("That of GPUs could not be read: no nvidia-smi told it.")
    if unknown:
        said.append(f"No time is kept of {', '.join(unknown)}: made elsewhere, or before.")
    return said


def asked(found: Sequence[Spent]) -> list[list[str]]:
    """For each evaluation that was timed: questions, mean, median and longest seconds of one."""
    import statistics

    lines = []
    for each in found:
        if each.took and each.took.questions:
            seconds = [seconds for seconds, _ in each.took.questions.values()]
            numbers = statistics.mean(seconds), statistics.median(seconds), max(seconds)
            lines.append([each.stage, f"{len(seconds):,}", *(f"{one:.3g}" for one in numbers)])
    return lines


ASKED = ("Evaluation", "Questions", "Seconds each", "Median", "Longest")


def section(found: Sequence[Spent]) -> str:
    """The table as a section of report.html, every text escaped."""
    from residency.report import templates

    tables: list[tuple[str, Sequence[str], list[list[str]]]] = [
        ("What each step took", HEAD, rows(found))
    ]
    if lines := asked(found):
        tables.append(("What each question took", ASKED, lines))
    return templates().get_template("took.html.jinja").render(tables=tables, notes=notes(found))


def page(report: Path, found: Sequence[Spent]) -> str:
    """The report with the section in it. Raises Complaint where the report is not built."""
    if not report.is_file():
        raise Complaint(f"{report} is not there; build it first: snakemake --cores all eval")
    whole = report.read_text(encoding="utf-8")
    return whole.replace(PLACE, section(found) + PLACE, 1)


def beside(out: Path) -> None:
    """Write work/report.html: what was just reported, with what it took; where there is room."""
    from residency.declaration import load
    from residency.graph import PARAMS, stages

    place = Path(os.environ.get("RESIDENCY_WORK") or "work") / "report.html"
    whole = page(out / REPORT.name, spent(stages(load(PARAMS)), Prices()))
    with suppress(OSError):
        place.parent.mkdir(parents=True, exist_ok=True)
        write_file(place, whole)
