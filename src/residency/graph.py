"""The graph: declaration -> stages -> dvc.yaml, from which DVC and Snakemake both read.

    Declaration ── stages() ──> [Stage] ── text() ──> dvc.yaml      (committed, checked)
                                   └─── rules/*.smk: needs(), build()

Neither tool is told anything the other is not: a stage's command, inputs, parameters and code come
from here alone. `python -m residency.graph` writes dvc.yaml.
"""

from __future__ import annotations

import ast
import io
import shlex
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from residency import declaration as declared
from residency.adopt import LocalWeights
from residency.author import ModelWriter
from residency.declaration import Declaration, Served, Trained
from residency.decontaminate import Decontaminate
from residency.fetch import is_url
from residency.files import write_file
from residency.section import Complaint, placed
from residency.step import complaints

PARAMS = Path("params.yaml")
BUILD = Path("build")
CODE = Path(__file__).parent
CODE_PLACE = Path("src/residency")
HEADER = "# Generated from params.yaml by `python -m residency.graph`: edit params.yaml instead.\n"


@dataclass(frozen=True, kw_only=True)
class Stage:
    """One step applied to one declared thing; writes one folder."""

    name: str  # <step>-<name>[-<name>], also Snakemake's wildcards
    step: str
    section: str  # place in params.yaml
    out: Path
    inputs: dict[str, list[Path]]  # the step function's path arguments
    raw: list[Path] = field(default_factory=list)  # read because the section says so
    whole_declaration: bool = False  # depends on every value of params.yaml

    @property
    def command(self) -> str:
        """The command line, the same for DVC, Snakemake and a person."""
        words = ["python", "-m", f"residency.{self.step}", self.section, self.out.as_posix()]
        for name, paths in self.inputs.items():
            if paths:
                words += [f"--{name}", *(path.as_posix() for path in paths)]
        return shlex.join(words)

    @property
    def dependencies(self) -> list[str]:
        """Everything the command reads but parameters: data and code, sorted."""
        data = [path for paths in self.inputs.values() for path in paths]
        paths = {path for path in [*data, *self.raw, *code(self.step)] if path != PARAMS}
        return sorted(path.as_posix() for path in paths)


def stages(declaration: Declaration) -> list[Stage]:
    """Every stage, each after those it needs."""
    found = [*_texts(declaration), *_models(declaration), *_evaluations(declaration)]
    found.append(_report(declaration, found))
    return _in_order(found)


def _artifact(kind: str, *names: str) -> Path:
    return BUILD.joinpath(kind, *names)


def _kept_out(rule: Decontaminate) -> list[Path]:
    return [
        _artifact("exams", exam, f"{split}.jsonl") for exam in rule.exams for split in rule.splits
    ]


def _texts(declaration: Declaration) -> Iterator[Stage]:
    for name, source in declaration.sources.items():
        yield Stage(
            name=f"ingest-{name}",
            step="ingest",
            section=f"sources.{name}",
            out=_artifact("documents", name),
            inputs={},
            raw=[] if is_url(source.path) else [Path(source.path)],
        )
    for name, exam in declaration.exams.items():
        yield Stage(
            name=f"examine-{name}",
            step="examine",
            section=f"exams.{name}",
            out=_artifact("exams", name),
            inputs={},
            raw=[Path(exam.path)],
        )
    for name, corpus in declaration.corpora.items():
        yield Stage(
            name=f"clean-{name}",
            step="clean",
            section=f"corpora.{name}",
            out=_artifact("corpora", name),
            inputs={
                "documents": [_artifact("documents", source) for source in corpus.sources],
                "exams": _kept_out(corpus.decontaminate),
            },
        )
    for name, tokenizer in declaration.tokenizers.items():
        yield Stage(
            name=f"extend-{name}",
            step="extend",
            section=f"tokenizers.{name}",
            out=_artifact("tokenizers", name),
            inputs={
                "base": [_artifact("models", tokenizer.base)],
                "corpus": [_artifact("corpora", tokenizer.corpus)],
            },
        )
    for name, fertility in declaration.fertility.items():
        tokenizer = declaration.tokenizers[fertility.tokenizer]
        yield Stage(
            name=f"fertility-{name}",
            step="fertility",
            section=f"fertility.{name}",
            out=_artifact("fertility", name),
            inputs={
                "base": [_artifact("models", tokenizer.base)],
                "tokenizer": [_artifact("tokenizers", fertility.tokenizer)],
                "corpora": [_artifact("corpora", corpus) for corpus in fertility.corpora],
                "exams": [_artifact("exams", exam) for exam in fertility.exams],
            },
        )
    for name, questions in declaration.questions.items():
        writer = questions.writer if isinstance(questions.writer, ModelWriter) else None
        shown = writer.examples if writer else None
        judges = questions.verify.judges if questions.verify else []
        yield Stage(
            name=f"write-{name}",
            step="write",
            section=f"questions.{name}",
            out=_artifact("questions", name),
            inputs={
                "corpus": [_artifact("corpora", questions.corpus)],
                "exams": _kept_out(questions.decontaminate),
                "model": [_artifact("models", writer.model)] if writer else [],
                "judges": [_artifact("models", each) for each in judges],
                "examples": [_artifact("exams", shown.exam, "train.jsonl")] if shown else [],
            },
            raw=[Path(writer.prompt)] if writer and writer.prompt else [],
        )


def _models(declaration: Declaration) -> Iterator[Stage]:
    for name, model in declaration.models.items():
        out = _artifact("models", name)
        if not isinstance(model, Trained):
            weights = None if isinstance(model, Served) else model.weights
            yield Stage(
                name=f"adopt-{name}",
                step="adopt",
                section=f"models.{name}.{'weights' if weights else 'endpoint'}",
                out=out,
                inputs={},
                raw=[Path(weights.path)] if isinstance(weights, LocalWeights) else [],
            )
            continue
        packed, general = _artifact("packs", name), model.pack.general
        yield Stage(
            name=f"pack-{name}",
            step="pack",
            section=f"models.{name}.pack",
            out=packed,
            inputs={
                "tokenizer": [_tokenizer(declaration, name)],
                "data": [_learned_from(declaration, each) for each in model.pack.data],
                "general": [_artifact("corpora", general.corpus)] if general else [],
            },
        )
        grown = [_artifact("tokenizers", model.tokenizer)] if model.tokenizer else []
        yield Stage(
            name=f"train-{name}",
            step="train",
            section=f"models.{name}.train",
            out=out,
            inputs={
                "parent": [_artifact("models", model.parent)],
                "tokenizer": grown,
                "pack": [packed],
            },
        )


def _learned_from(declaration: Declaration, name: str) -> Path:
    if name in declaration.corpora:
        return _artifact("corpora", name)
    if name in declaration.exams:
        return _artifact("exams", name, "train.jsonl")
    return _artifact("questions", name, "questions.jsonl")


def _tokenizer(declaration: Declaration, name: str) -> Path:
    """The folder of a model's tokenizer: its own, or that of the nearest ancestor with one.

    So a model's data is packed without waiting until its parent is trained.
    """
    model = declaration.models[name]
    if not isinstance(model, Trained):
        return _artifact("models", name)
    if model.tokenizer:
        return _artifact("tokenizers", model.tokenizer)
    return _tokenizer(declaration, model.parent)


def _evaluations(declaration: Declaration) -> Iterator[Stage]:
    for name, evaluation in declaration.evaluations.items():
        for candidate in evaluation.models:
            place = placed(candidate)
            model, _, share = place.partition("-")
            kept = ["checkpoints", share] if share else []
            exam = evaluation.exam
            examples = evaluation.protocol.few_shot is not None
            yield Stage(
                name=f"evaluate-{name}-{place}",
                step="evaluate",
                section=f"evaluations.{name}.protocol",
                out=_artifact("evaluations", name, place),
                inputs={
                    "model": [_artifact("models", model, *kept)],
                    "exam": [_artifact("exams", exam, f"{evaluation.split}.jsonl")],
                    "shown": [_artifact("exams", exam, "train.jsonl")] if examples else [],
                },
            )


def _report(declaration: Declaration, others: list[Stage]) -> Stage:
    def outs(*steps: str) -> list[Path]:
        return [stage.out for stage in others if stage.step in steps]

    return Stage(
        name="report",
        step="report",
        section="report",
        out=_artifact("report"),
        inputs={
            "declaration": [PARAMS],
            "ledgers": outs("ingest", "examine", "clean", "write", "pack"),
            "tokenizers": outs("extend"),
            "fertility": outs("fertility"),
            "models": [
                _artifact("models", name)
                for name, model in declaration.models.items()
                if not isinstance(model, Served)
            ],
            "evaluations": outs("evaluate"),
        },
        whole_declaration=True,
    )


def owner(path: str | Path, among: Iterable[Stage]) -> Stage | None:
    """The stage that writes a path."""
    return next((stage for stage in among if Path(path).is_relative_to(stage.out)), None)


def needed(stage: Stage, among: Iterable[Stage]) -> list[Stage]:
    """The stages whose artifacts a stage reads, in the order of its inputs."""
    among = list(among)
    owners = (owner(path, among) for paths in stage.inputs.values() for path in paths)
    return list({each.name: each for each in owners if each}.values())


def _in_order(found: list[Stage]) -> list[Stage]:
    ordered: dict[str, Stage] = {}

    def place(stage: Stage) -> None:
        if stage.name not in ordered:
            for each in needed(stage, found):
                place(each)
            ordered[stage.name] = stage

    for stage in found:
        place(stage)
    return list(ordered.values())


@cache
def code(module: str) -> tuple[Path, ...]:
    """The first-party files a module is made of: itself, what it imports, and files of its name.

    `report` thus includes report.html.jinja, and `asking` the prompts in asking/. Imports are found
    without running them.
    """
    found: set[Path] = set()

    def walk(name: str) -> None:
        path = _module(name)
        if path and path not in found:
            found.update(path.parent.glob(f"{path.stem}.*"))
            found.update(path.with_suffix("").glob("*.jinja"))
            for each in _imports(path):
                walk(each)

    walk(f"residency.{module}")
    return tuple(sorted(CODE_PLACE / path.relative_to(CODE) for path in found))


def _module(name: str) -> Path | None:
    """The file of a first-party module, such as residency.reading.pdf."""
    package, *within = name.split(".")
    path = CODE.joinpath(*within).with_suffix(".py")
    return path if package == "residency" and within and path.is_file() else None


@cache
def _imports(path: Path) -> frozenset[str]:
    """The names a file imports, of modules and of what is in them."""
    names: set[str] = set()
    for node in _statements(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom):
            names.add(str(node.module))
            names.update(f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
    return frozenset(name for name in names if name.startswith("residency."))


def _statements(node: ast.AST) -> Iterator[ast.AST]:
    """All statements below a node; ast.walk takes ten times as long, over their expressions."""
    for block in ("body", "orelse", "finalbody", "handlers", "cases"):
        for each in getattr(node, block, ()):
            yield each
            yield from _statements(each)


def _measured(model: Trained) -> list[str]:
    """The texts kept from a training; DVC would draw another's empty cells as zeros."""
    general = model.pack.general
    kept = {"domain": model.pack.held_out, "general": general.held_out if general else 0}
    return [text for text, share in kept.items() if share]


def described(declaration: Declaration) -> dict[str, Any]:
    """The values of dvc.yaml."""
    made = {
        stage.name: {
            "cmd": stage.command,
            "deps": stage.dependencies,
            "params": [{PARAMS.name: None}] if stage.whole_declaration else [stage.section],
            "outs": [stage.out.as_posix()],
        }
        for stage in stages(declaration)
    }
    report = _artifact("report")
    metrics = [f"{report}/{name}.json" for name in ("metrics", "differences", "counts")]
    # Of two evaluations in one file, DVC would put the bars of a model end to end.
    bars = {"x": "accuracy", "y": "model", "template": "bar_horizontal"}
    plots: list[dict[str, Any]] = [
        {f"{report}/plots/accuracy/{name}.csv": bars | {"title": f"{name}: accuracy"}}
        for name in declaration.evaluations
    ]
    for name, model in declaration.models.items():
        if isinstance(model, Trained):
            title = f"{name}: training loss, bits per byte"
            loss = {"x": "step", "y": "bits_per_byte", "title": title}
            plots.append({f"{report}/plots/loss/{name}.csv": loss})
            if model.train.gate:
                title = f"{name}: text that is not learned, bits per byte"
                kept = {"x": "step", "y": _measured(model), "title": title}
                plots.append({f"{report}/plots/gate/{name}.csv": kept})
    if any(
        isinstance(model, Trained) and model.train.gate for model in declaration.models.values()
    ):
        metrics.append(f"{report}/gate.json")
    return {"stages": made, "metrics": metrics, "plots": plots}


def text(declaration: Declaration) -> str:
    """The content of dvc.yaml."""
    yaml = YAML()
    yaml.width = 10_000
    yaml.indent(mapping=2, sequence=4, offset=2)
    stream = io.StringIO()
    yaml.dump(described(declaration), stream)
    return HEADER + stream.getvalue()


def check(declaration: Declaration) -> None:
    """Raise Complaint, with the cure, if what would run is not what would be recorded.

    That is where dvc.yaml is not the declared graph, or the running code is not src/residency
    (as when an experiment's copy of the project meets an installation made from another copy).
    """
    path = Path("dvc.yaml")
    if not path.is_file() or path.read_text(encoding="utf-8") != text(declaration):
        raise Complaint(
            "dvc.yaml is not the graph that params.yaml declares; "
            "to write it anew: python -m residency.graph"
        )
    for theirs in sorted(path for path in CODE_PLACE.rglob("*.*") if path.suffix != ".pyc"):
        ours = CODE / theirs.relative_to(CODE_PLACE)
        if not ours.is_file() or ours.read_bytes() != theirs.read_bytes():
            raise Complaint(
                f"the code that runs is not the code in {CODE_PLACE} ({theirs.name} differs from "
                f"the one in {CODE}); to run this folder's: pip install --editable ."
            )


def main() -> None:
    """Write dvc.yaml from params.yaml."""
    with complaints():
        write_file(Path("dvc.yaml"), text(declared.load(PARAMS, raw=False)))
        print("wrote dvc.yaml", file=sys.stderr)


if __name__ == "__main__":
    main()
