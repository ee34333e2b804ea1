"""A tiny project in the shape of the default one, and the commands its user types."""

from __future__ import annotations

import copy
import csv
import importlib
import inspect
import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_type_hints

import pytest
from ruamel.yaml import YAML
from tiny import tiny_model

from residency import commands, declaration, graph
from residency.card import write_card
from residency.files import building, write_json, write_rows

REPOSITORY = Path(__file__).parents[1]
PUBLISHED = YAML(typ="safe").load(REPOSITORY / "docs/thresholds.yaml")
PRIMER = ["01-anatomy.md", "02-nerves-and-juices.txt", "06-tests.html"]
EVERYDAY = "everyday/03-bicycle.md"


@dataclass(frozen=True)
class Project:
    """A folder with a params.yaml of its own."""

    root: Path

    def run(self, *command: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run a command in the project; its output, both streams together."""
        done = subprocess.run(
            command,
            cwd=self.root,
            env=environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        assert not check or done.returncode == 0, f"{command}\n{done.stdout}"
        return done

    def snakemake(self, *arguments: str) -> str:
        """What Snakemake says."""
        return self.run("snakemake", "--cores", "2", *arguments).stdout

    def planned(self) -> set[str]:
        """The stages a dry run names."""
        return self.stages_of(self.snakemake("-n", "eval"))

    def stages_of(self, said: str) -> set[str]:
        """The stages whose artifacts Snakemake says it makes."""
        outs = set(re.findall(r"^\s+output: (\S+)", said, flags=re.MULTILINE))
        return {name for name, stage in self.stages().items() if stage["outs"][0] in outs}

    def changed(self) -> set[str]:
        """The stages `dvc status` calls changed."""
        return set(json.loads(self.run("dvc", "status", "--json").stdout))

    def stages(self) -> dict[str, Any]:
        """The stages of dvc.yaml."""
        return YAML(typ="safe").load(self.root / "dvc.yaml")["stages"]

    def following(self, names: set[str]) -> set[str]:
        """These stages and all that read what they make, at any remove."""
        stages, found, more = self.stages(), set(names), True
        while more:
            outs = [stages[name]["outs"][0] for name in found]
            more = {
                name
                for name, stage in stages.items()
                if name not in found
                and any(f"{path}/".startswith(f"{out}/") for path in stage["deps"] for out in outs)
            }
            found |= more
        return found

    def params(self) -> dict[str, Any]:
        """The values of params.yaml."""
        return YAML(typ="safe").load(self.root / "params.yaml")

    def declare(self, params: dict[str, Any]) -> None:
        """Write params.yaml, and dvc.yaml from it."""
        YAML().dump(params, self.root / "params.yaml")
        declared = declaration.load(self.root / "params.yaml")
        (self.root / "dvc.yaml").write_text(graph.text(declared))

    def change(self, place: str, value: Any) -> None:
        """Declare another value at a dotted place."""
        params = self.params()
        set_at(params, place.split("."), value)
        self.declare(params)

    def recorded(self) -> dict[str, Any]:
        """What dvc.lock says of each stage."""
        return YAML(typ="safe").load(self.root / "dvc.lock")["stages"]

    def experiment(self, name: str) -> dict[str, Any]:
        """What dvc.lock says of each stage in an experiment."""
        exps = self.run("git", "for-each-ref", "--format=%(refname)", "refs/exps").stdout.split()
        (ref,) = [each for each in exps if each.endswith(f"/{name}")]
        return YAML(typ="safe").load(self.run("git", "show", f"{ref}:dvc.lock").stdout)["stages"]

    def logs(self) -> list[str]:
        """The logs of the last run, as <step>/<name>."""
        paths = sorted((self.root / "logs").rglob("*.log"))
        return [path.relative_to(self.root / "logs").with_suffix("").as_posix() for path in paths]

    def log(self, name: str) -> str:
        """What a job said when it last ran."""
        return (self.root / "logs" / f"{name}.log").read_text()

    def forget_logs(self) -> None:
        """Remove all logs, so that those there are come from what runs next."""
        shutil.rmtree(self.root / "logs")

    def commit(self, message: str) -> None:
        """Commit all that git does not ignore."""
        self.run("git", "add", "-A")
        self.run("git", "commit", "-q", "-m", message)

    def settled(self) -> bool:
        """Whether both tools say that there is nothing to do."""
        return not self.changed() and "Nothing to be done" in self.snakemake("-n", "eval")


def set_at(values: Any, keys: list[str], value: Any) -> None:
    """Set a value deep in mappings."""
    for key in keys[:-1]:
        values = values[key]
    values[keys[-1]] = value


def environment() -> dict[str, str]:
    """This process's environment with this Python first and the project's own code before ours."""
    commands = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    identity = {
        f"GIT_{who}_{what}": "tester@example.org"
        for who in ["AUTHOR", "COMMITTER"]
        for what in ["NAME", "EMAIL"]
    }
    one_thread = {"OMP_NUM_THREADS": "1"}  # jobs run two at a time on models too small for more
    return {**os.environ, "PATH": commands, "PYTHONPATH": "src", **identity, **one_thread}


def tiny_params() -> dict[str, Any]:
    """The default declaration with every leaf it has, made small.

    Without the arm whose leaves are those of `resident`; it would only add stages. A spare model
    lets each reference to one be changed to another name.
    """
    params = YAML(typ="safe").load(REPOSITORY / "params.yaml")
    base = next(iter(params["models"]))
    del params["models"]["undrilled"]
    params["models"][base] = {"weights": {"path": "data/raw/tiny"}}
    params["corpora"]["everyday"].update(copy.deepcopy(PUBLISHED))
    params["models"]["spare"] = {"weights": {"path": "data/raw/tiny"}}
    for model in params["models"].values():
        if "train" in model:
            model["pack"]["length"] = 64
            model["train"].update(epochs=1, batch_tokens=8192, precision="float32")
    params["models"]["resident"]["train"]["keep"] = ["50%"]
    for questions in params["questions"].values():
        questions["writer"].update(cloze=1)
    for tokenizer in params["tokenizers"].values():
        tokenizer.update(new_tokens=32)
    for evaluation in params["evaluations"].values():
        evaluation["models"] = [base, "resident"]
    params["report"]["resamples"] = 200
    return params


def laid_out(root: Path) -> Project:
    """A project's code without texts or a declaration, under git."""
    for name in ["rules", "profiles", "src/residency"]:
        shutil.copytree(
            REPOSITORY / name, root / name, ignore=shutil.ignore_patterns("__pycache__")
        )
    for name in ["Snakefile", "Makefile", ".gitignore", ".dvcignore", ".dvc/config"]:
        (root / name).parent.mkdir(exist_ok=True)
        shutil.copy(REPOSITORY / name, root / name)
    project = Project(root)
    project.run("git", "init", "-q", "-b", "main")
    return project


def real_project(root: Path, data: Path) -> Project:
    """The project of tests/real.yaml on the real books and exams in a folder; nothing built."""
    project = laid_out(root)
    shutil.copytree(data, root / "data/raw")
    project.declare(YAML(typ="safe").load(REPOSITORY / "tests/real.yaml"))
    return project


def tiny_project(root: Path) -> Project:
    """Lay out a project, committed, with nothing built."""
    project = laid_out(root)
    raw, ours = root / "data/raw", REPOSITORY / "data/raw"
    (raw / "primer").mkdir(parents=True)
    (raw / "everyday").mkdir()
    for name in [*(f"primer/{each}" for each in PRIMER), EVERYDAY]:
        shutil.copy(ours / name, raw / name)
    with (ours / "boards.csv").open(newline="") as full, (raw / "boards.csv").open("w") as few:
        rows = list(csv.reader(full))
        csv.writer(few).writerows([rows[0], *rows[1::8]])
    rounds = (ours / "rounds.jsonl").read_text().splitlines(keepends=True)
    (raw / "rounds.jsonl").write_text("".join(rounds[:30]))
    tiny_model(raw / "tiny", (raw / "primer" / PRIMER[0]).read_text())
    project.declare(tiny_params())
    project.commit("declared")
    return project


def made_project(root: Path) -> Project:
    """A tiny project with every artifact, made in this process in seconds and told to DVC.

    Its trained models are copies of the tiny one. Only Snakemake's records of runs are missing.
    """
    project = tiny_project(root)
    before = Path.cwd()
    os.chdir(root)
    try:
        declared = declaration.load(Path("params.yaml"))
        for stage in graph.stages(declared):
            with building(stage.out) as out:
                _make(declared, stage, out)
    finally:
        os.chdir(before)
    project.run("dvc", "commit", "-q", "--force")
    project.commit("made")
    return project


def copied(project: Project, to: Path) -> Project:
    """A copy with times kept, so that nothing has to be hashed again."""
    shutil.copytree(project.root, to, symlinks=True)
    return Project(to)


@dataclass(frozen=True)
class Said:
    """How a command line ended."""

    status: int
    out: str
    err: str


def typed(capsys: pytest.CaptureFixture[str], *words: str) -> Said:
    """What `residency WORDS` says in this folder."""
    capsys.readouterr()
    with pytest.raises(SystemExit) as end:
        commands.main(words)
    told = capsys.readouterr()
    assert isinstance(end.value.code, int)
    assert "Traceback" not in told.err
    return Said(end.value.code, told.out, told.err)


def _make(declared: declaration.Declaration, stage: graph.Stage, out: Path) -> None:
    """Write a stage's artifact as its command would, but train nothing."""
    if stage.step == "train":
        shutil.copytree("data/raw/tiny", out, dirs_exist_ok=True)
        shutil.copytree("data/raw/tiny", out / "checkpoints/50")
        write_card(out, {"base_model": "smollm2"}, "A trained model", ["Not really."])
        write_rows(out / "log.jsonl", [{"step": 1, "loss": 2.0, "bits_per_byte": 1.0}])
        write_json(out / "training.json", {"steps": 1, "tokens": 1000, "parameters": 10_000})
        return
    step = getattr(importlib.import_module(f"residency.{stage.step}"), stage.step)
    values: Any = declared
    for key in stage.section.split("."):
        values = values[key] if isinstance(values, dict) else getattr(values, key)
    hints, given = get_type_hints(step), dict[str, Any](stage.inputs)
    for name in list(inspect.signature(step).parameters)[1:]:
        if name == "out":
            continue
        if name == "name":
            given[name] = stage.section.rpartition(".")[2]
        elif hints[name] != list[Path]:
            given[name] = given[name][0] if given.get(name) else None
        else:
            given.setdefault(name, [])
    step(values, **given, out=out)
