"""takes: what running a stage takes, from what its last run took or from stated rates.

build/exams, build/corpora           questions and words, by which answers are reckoned
benchmarks/runs/<step>/<name>.tsv    seconds and processor time, of a run that computed
build/models/<name>/training.json    tokens, by which a longer training is reckoned
dvc.lock                             bytes that came out

Each number says which it is: recorded, scaled from a recorded one, or stated. What nothing is known
of stays unknown, and is named.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from residency.commands.machine import bytes_told

if TYPE_CHECKING:
    from residency.commands.project import Record
    from residency.declaration import Declaration
    from residency.graph import Stage

RUNS, LOGS = Path("benchmarks/runs"), Path("logs")
HOUR = 3600
MOST_NAMES = 6
FLOP = {"full": 6, "lora": 4, "qlora": 4}
"""Of a parameter and token: forward 2, backward 2 for what is passed on and 2 for what is learned
(Chowdhery et al. 2022, arXiv 2204.02311, appendix B, without its term of attention)."""
COMPUTED = "Running stage"
"""What DVC says where it runs a stage, rather than restore it: such a run's time is no measure."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rates:
    """What is reckoned with besides recorded runs; prices and rates only where they are stated."""

    gpus: int
    cores: int
    gpu_hour: float | None = None
    core_hour: float | None = None
    tokens_per_second: float | None = None
    answers_per_second: float | None = None
    flops: float | None = None  # that training reaches on one GPU


@dataclass(frozen=True, slots=True, kw_only=True)
class Amount:
    """A number and where it is from: recorded, scaled from ..., stated."""

    value: float
    source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Takes:
    """What one stage takes; None where nothing is known."""

    seconds: Amount | None = None
    tokens: Amount | None = None
    bytes: Amount | None = None
    gpu_hours: float | None = None
    money: Amount | None = None

    def __str__(self) -> str:
        """One line for people."""
        parts = [f"{time_told(self.seconds.value)} ({self.seconds.source})"] if self.seconds else []
        if self.tokens:
            parts.append(f"{self.tokens.value:,.0f} tokens ({self.tokens.source})")
        if self.gpu_hours:
            parts.append(f"{self.gpu_hours:.3g} GPU-hours")
        if self.bytes:
            parts.append(f"{bytes_told(self.bytes.value)} on disk ({self.bytes.source})")
        if self.money:
            parts.append(f"{self.money.value:,.2f} in money ({self.money.source})")
        return ", ".join(parts) if self.seconds else ", ".join([*parts, "a time that is not known"])


def reckoned(stage: Stage, declaration: Declaration, was: Record | None, rates: Rates) -> Takes:
    """What a stage would take to compute."""
    seconds, cpu = _recorded(stage)
    source, tokens = "recorded", None
    if stage.step == "train":
        model = stage.out.name
        planned = _tokens(declaration, model)
        old = _training(model)
        tokens = planned
        if planned and seconds and old and round(planned.value) != old["tokens"]:
            factor = planned.value / max(1, old["tokens"])
            seconds, cpu = seconds * factor, cpu * factor
            source = f"scaled from its record by tokens, times {factor:.3g}"
        if not seconds and planned:
            seconds, source = _never_run(declaration, model, planned.value, rates)
            cpu = seconds * rates.cores
    elif not seconds and stage.step in ("evaluate", "write"):
        seconds, cpu, source = _beside(stage) if stage.step == "evaluate" else (0.0, 0.0, "")
        if not seconds:
            seconds, cpu, source = _paced(stage, declaration, rates)
    hours = seconds / HOUR * rates.gpus if _on_gpu(stage, declaration) else 0.0
    size = Amount(value=was.made.bytes, source="recorded") if was else _size(stage, declaration)
    return Takes(
        seconds=Amount(value=seconds, source=source) if seconds else None,
        tokens=tokens,
        bytes=size,
        gpu_hours=hours or None,
        money=_money(stage, declaration, hours, cpu / HOUR, rates),
    )


def _on_gpu(stage: Stage, declaration: Declaration) -> bool:
    """Whether a model runs here: rules write without one, and others run a served one."""
    from residency.declaration import Served

    models = [declaration.models[each] for each in _models(stage, declaration)]
    return stage.step == "train" or any(not isinstance(each, Served) for each in models)


def _models(stage: Stage, declaration: Declaration) -> list[str]:
    """The models that answer, of evaluations and written questions."""
    if stage.step == "evaluate":
        return [stage.out.name.partition("-")[0]]  # resident-50 is resident on its way
    return declaration.questions[stage.out.name].models if stage.step == "write" else []


def last_run(stage: Stage) -> Mapping[str, str]:
    """What Snakemake measured of a stage's last run; nothing where there was none."""
    path = (RUNS / _place(stage)).with_suffix(".tsv")
    if not path.is_file():
        return {}
    with path.open(newline="") as file:
        return next(csv.DictReader(file, delimiter="\t"), {})


def _place(stage: Stage) -> Path:
    """Below RUNS and LOGS, without the suffix."""
    return Path(stage.step, stage.name.partition("-")[2])


def _recorded(stage: Stage) -> tuple[float, float]:
    """Seconds and processor seconds of a stage's last run, 0 where it was not one that computed."""
    log = (LOGS / _place(stage)).with_suffix(".log")
    if not log.is_file() or COMPUTED not in log.read_text(encoding="utf-8", errors="replace"):
        return 0.0, 0.0
    row = last_run(stage)
    return _number(row, "s"), _number(row, "cpu_time")


def _number(row: Mapping[str, str], key: str) -> float:
    try:
        return max(0.0, float(row[key]))
    except (KeyError, ValueError):  # "-" where Snakemake could not measure; "NA" in old files
        return 0.0


def _training(model: str) -> dict[str, Any] | None:
    from residency.files import read_json

    path = Path("build/models") / model / "training.json"
    return read_json(path) if path.is_file() else None


def _tokens(declaration: Declaration, model: str) -> Amount | None:
    """Tokens that a training is declared to read: its pack's times the epochs, or its steps'."""
    from residency.declaration import Trained
    from residency.files import read_json

    made = declaration.models[model]
    assert isinstance(made, Trained)
    if made.train.steps:
        return Amount(value=made.train.steps * made.train.batch_tokens, source="declared")
    counts = Path("build/packs") / model / "counts.json"
    if counts.is_file() and made.train.epochs:
        once = read_json(counts)["kept"]["tokens"]
        return Amount(value=once * made.train.epochs, source="the pack that is there")
    return None


def _never_run(
    declaration: Declaration, model: str, tokens: float, rates: Rates
) -> tuple[float, str]:
    """Seconds of a training without a record: at a stated rate, or at another training's."""
    from residency.declaration import Trained
    from residency.graph import stages

    if rates.tokens_per_second:
        return tokens / rates.tokens_per_second, "at the stated tokens per second"
    made, parameters = declaration.models[model], _parameters(declaration, model)
    if rates.flops and parameters and isinstance(made, Trained):
        flop = FLOP[made.train.method] * parameters * tokens
        return flop / rates.flops / max(1, rates.gpus), "at the stated share of the GPU's peak"
    for stage in stages(declaration):
        old = _training(stage.out.name) if stage.step == "train" else None
        seconds, _ = _recorded(stage)
        if old and seconds:
            return tokens * seconds / max(1, old["tokens"]), f"at the speed of {stage.name}"
    return 0.0, ""


def _parameters(declaration: Declaration, model: str) -> float | None:
    """How many parameters a model has, as the one it comes from was trained or is said to."""
    from residency.adopt import HubWeights
    from residency.declaration import Adopted, Trained

    while isinstance(made := declaration.models[model], Trained):
        if old := _training(model):
            return float(old["parameters"])
        model = made.parent
    if isinstance(made, Adopted) and isinstance(made.weights, HubWeights):
        return made.weights.parameters
    return None


def _beside(stage: Stage) -> tuple[float, float, str]:
    """What the same exam took another model."""
    evaluation, _, _ = stage.name.removeprefix("evaluate-").partition("-")
    for run in sorted((RUNS / "evaluate").glob(f"{evaluation}-*.tsv")):
        other = type(stage)(
            name=f"evaluate-{run.stem}", step="evaluate", section="", out=stage.out, inputs={}
        )
        seconds, cpu = _recorded(other)
        if seconds:
            return seconds, cpu, f"as {other.name}"
    return 0.0, 0.0, ""


def _paced(stage: Stage, declaration: Declaration, rates: Rates) -> tuple[float, float, str]:
    """What answers take of models without such a record: at the stated rate, or as elsewhere."""
    from residency.graph import stages

    asked = _asked(stage, declaration)
    if not asked:
        return 0.0, 0.0, ""
    if rates.answers_per_second:
        seconds = asked / rates.answers_per_second
        return seconds, seconds * rates.cores, "at the stated answers per second"
    for other in stages(declaration):
        if other.step == stage.step and _who(other, declaration) == _who(stage, declaration):
            seconds, cpu = _recorded(other)
            if seconds and (before := _asked(other, declaration)):
                factor = asked / before
                return seconds * factor, cpu * factor, f"at the pace of {other.name}"
    return 0.0, 0.0, ""


def _who(stage: Stage, declaration: Declaration) -> tuple[str, ...]:
    """Who answers, and how: what makes two stages alike in pace."""
    models = _models(stage, declaration)
    if stage.step == "write":
        return tuple(models)
    evaluation = declaration.evaluations[stage.out.parent.name]
    return *models, evaluation.protocol.kind


def _asked(stage: Stage, declaration: Declaration) -> float:
    """About how many answers models are to give; 0 where that is not known, or none does."""
    from residency.author import ModelWriter
    from residency.files import read_json

    if stage.step == "evaluate":
        evaluation = declaration.evaluations[stage.out.parent.name]
        path = Path("build/exams") / evaluation.exam / f"{evaluation.split}.jsonl"
        if not path.is_file():
            return 0.0
        with path.open("rb") as file:
            return float(sum(1 for _ in file))
    questions = declaration.questions[stage.out.name]
    counts = Path("build/corpora") / questions.corpus / "counts.json"
    if not isinstance(questions.writer, ModelWriter) or not counts.is_file():
        return 0.0
    passages: float = read_json(counts)["kept"]["words"] / questions.writer.passage_words
    judged = 2 * len(questions.verify.judges) if questions.verify else 0
    return passages * sum(questions.writer.how_many.values()) * (1 + judged)


def _size(stage: Stage, declaration: Declaration) -> Amount | None:
    """Bytes of a model that was never made, after its nearest ancestor that was."""
    from residency.commands.project import recorded
    from residency.declaration import Trained

    if stage.step != "train":
        return None
    records, model = recorded(), declaration.models[stage.out.name]
    copies = 1 + len(model.train.keep) if isinstance(model, Trained) else 1
    while isinstance(model, Trained):
        for step in ["train", "adopt"]:
            if found := records.get(f"{step}-{model.parent}"):
                return Amount(value=found.made.bytes, source=f"as {model.parent}")
        model = declaration.models[model.parent]
    parameters = _parameters(declaration, stage.out.name)
    if not parameters:
        return None
    return Amount(value=4 * parameters * copies, source="float32, by its parameters")


def _money(
    stage: Stage, declaration: Declaration, gpu_hours: float, core_hours: float, rates: Rates
) -> Amount | None:
    """Money at stated prices; for what models answer that are paid at most its budget."""
    by_others = stage.step == "evaluate" and not _on_gpu(stage, declaration)
    if by_others or stage.step == "write":
        if (paid := _budget(declaration.at(stage.section))) is not None:
            return Amount(value=paid, source="at most, the declared budget")
        if spent := _spent(stage):
            return Amount(value=spent, source="as it cost when it last ran")
    if gpu_hours and rates.gpu_hour:
        return Amount(value=gpu_hours * rates.gpu_hour, source="at the stated price of a GPU-hour")
    if core_hours and rates.core_hour and not gpu_hours:
        source = "at the stated price of a core-hour"
        return Amount(value=core_hours * rates.core_hour, source=source)
    return None


def _spent(stage: Stage) -> float | None:
    """What the answers or questions that are there cost, in the currency of their models."""
    from residency.files import read_json

    path = stage.out / ("counts.json" if stage.step == "write" else "scores.json")
    told = read_json(path).get("asked") if path.is_file() else None
    money: float | None = (told or {}).get("money")
    return money


def _budget(section: dict[str, Any]) -> float | None:
    money: float | None = (section.get("budget") or {}).get("money")
    return money


def told(reckoned: Mapping[str, Takes], restored: set[str], rates: Rates) -> None:
    """Print what all takes together, by where the numbers are from, and what is not known."""
    counted = {name: each for name, each in reckoned.items() if name not in restored}
    if not counted:
        return
    print("\nin all, if everything runs, one stage after the other")
    by_source: dict[str, float] = {}
    for each in counted.values():
        if each.seconds:
            source = each.seconds.source.partition(",")[0]
            by_source[source] = by_source.get(source, 0) + each.seconds.value
    parts = [f"{time_told(value)} {source}" for source, value in by_source.items()]
    if parts:
        print(f"  time       {time_told(sum(by_source.values()))}: {'; '.join(parts)}")
    if unknown := [name for name, each in counted.items() if not each.seconds]:
        print(f"  not known  the time of {some(unknown)}: no run by snakemake recorded it")
    tokens = sum(each.tokens.value for each in counted.values() if each.tokens)
    unpacked = [name for name in counted if name.startswith("train-") and not counted[name].tokens]
    later = f", and those of {some(unpacked)}: known once packed" if unpacked else ""
    print(f"  tokens     {tokens:,.0f} to be trained on{later}")
    hours = sum(each.gpu_hours or 0 for each in counted.values())
    print(f"  GPU-hours  {f'{hours:.3g} on {rates.gpus}' if rates.gpus else '0: there is no GPU'}")
    size = sum(each.bytes.value for each in counted.values() if each.bytes)
    print(f"  disk       {bytes_told(size)}")
    money = [each.money.value for each in counted.values() if each.money]
    unstated = "state --gpu-hour or --core-hour to be told"
    print(f"  money      {f'{sum(money):,.2f}' if money else unstated}")


def some(names: list[str]) -> str:
    """The first names of many."""
    more = len(names) - MOST_NAMES
    return ", ".join(names[:MOST_NAMES]) + (f" and {more} more" if more > 0 else "")


def time_told(seconds: float) -> str:
    """Seconds in words, such as 4 min 10 s."""
    if seconds < 60:
        return f"{seconds:.0f} s" if seconds >= 10 else f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    return f"{minutes // 60} h {minutes % 60} min"
