"""What must always hold of the two graphs, end to end on a tiny project."""

from __future__ import annotations

import contextlib
import csv
import ctypes
import importlib
import json
import multiprocessing
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from itertools import chain
from multiprocessing import forkserver
from pathlib import Path
from typing import Any

import psutil
import pytest
from project import PUBLISHED, REPOSITORY, Project, copied, environment, set_at
from ruamel.yaml import YAML
from test_declaration import GENERATE, WRITER

PR_SET_CHILD_SUBREAPER = 36  # linux/prctl.h
VALUE = "corpora.textbook.filter.min_words"


def leaves(values: Any, place: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Every leaf of a declaration; a list is one leaf."""
    if isinstance(values, dict):
        for key, value in values.items():
            yield from leaves(value, (*place, key))
    else:
        yield place, values


OTHERWISE: dict[str, Any] = {
    "sources.primer.path": "data/raw/primer/01-anatomy.md",
    "sources.everyday.path": "data/raw/primer/06-tests.html",
    "sources.primer.parts": ["prose", "glossary"],
    "sources.everyday.parts": ["prose", "glossary"],
    "sources.primer.max_rejected": 0.5,
    "sources.everyday.max_rejected": 0.5,
    "exams.boards.path": "data/raw/boards-again.csv",
    "exams.rounds.path": "data/raw/rounds-again.jsonl",
    "models.smollm2.weights.path": "data/raw/tiny-again",
    "models.spare.weights.path": "data/raw/tiny-again",
    "corpora.textbook.sources": ["everyday"],
    "corpora.everyday.sources": ["primer"],
    "corpora.textbook.language": PUBLISHED["language"],
    "corpora.textbook.boilerplate": PUBLISHED["boilerplate"],
    "corpora.textbook.quality.repetition": PUBLISHED["quality"]["repetition"],
    "corpora.textbook.quality.gopher": PUBLISHED["quality"]["gopher"],
    "corpora.textbook.quality.c4": PUBLISHED["quality"]["c4"],
    "corpora.textbook.quality.fineweb": PUBLISHED["quality"]["fineweb"],
    "corpora.textbook.deduplicate.near": PUBLISHED["deduplicate"]["near"],
    "tokenizers.clinical.base": "spare",
    "tokenizers.clinical.embeddings.multiple": 64,
    "models.reader.from": "spare",
    "models.reader.tokenizer": None,
    "models.resident.from": "smollm2",
    "models.resident.tokenizer": "clinical",
    "models.reader.train.keep": ["25%", "50%"],
    "models.resident.train.keep": ["50%", "75%"],
    "evaluations.finals.models": ["smollm2", "resident", "resident@50%"],
}
BY_KEY: dict[str, Any] = {
    "encoding": {"utf-8": "gb18030", None: "utf-8"},
    "delimiter": {",": ";"},
    "header": {True: False},
    "asks": {"choice": "judgement"},
    "rows": {None: {"text": "text", "title": None}},
    "numbering": {"letters": "one", "zero": "one"},
    "unit": {"paragraph": "document", "document": "paragraph"},
    "mojibake": {"repair": "keep"},
    "citations": {"remove": "keep"},
    "corpus": {"textbook": "everyday", "everyday": "textbook"},
    "exam": {"boards": "rounds", "rounds": "boards"},
    "split": {"test": "dev"},
    "schedule": {"cosine": "linear"},
    "precision": {"float32": "bfloat16", "bfloat16": "float32"},
    "held_out": {0.0: 0.1},
    "replay": {0.0: 0.1},
    "stop_if_general_loss_rises_by": {None: 9.0},
    "budget": {None: {"money": None, "tokens": 1000}},
    "verify": {None: {"judges": ["smollm2"], "max_tokens": 50}},
    "options": {"hidden": "shown"},
    "of": {"text": "letter"},
    "template": {True: False},
    "homepage": {None: "https://example.org"},
    "few_shot": {None: {"count": 1, "seed": 0}},
    "explain": {False: True},
    "normalise": {"none": "tokens", "tokens": "characters", "characters": "none"},
}
LORA = {"rank": 2, "alpha": 4.0, "dropout": 0.0, "targets": ["q_proj"], "full": []}
AUTO = {"worth": 0.1, "most": 64, "held_out": 0.2, "characters": 100_000}
KINDS: dict[str, Any] = {  # by the kind of a section, one of another kind
    "tabular": {"kind": "cmexam"},
    "csv": {"kind": "jsonl"},
    "jsonl": {"kind": "json", "records": None},
    "mean": {"kind": "noise", "scale": 1.0},
    "offline": WRITER | {"model": "smollm2"},
    "likelihood": GENERATE | {"budget": None},
}
FIXED = {
    "sha256": "null for a path, and a URL is fetched",
    "version": "the only value its section takes",
    "objective": "changes together with the data, tested below",
    "fertility.everywhere.tokenizer": "there is one grown tokenizer",
    "models.reader.pack.general.corpus": "the only other corpus is its data",
}


def another(place: tuple[str, ...], value: Any) -> Any:
    """A different valid value for a leaf."""
    dotted, key = ".".join(place), place[-1]
    if dotted in OTHERWISE:
        return OTHERWISE[dotted]
    if isinstance(value, list):
        return value[:-1] if len(value) > 1 else [*value, "another"]
    if value in BY_KEY.get(key, {}):
        return BY_KEY[key][value]
    if isinstance(value, int):
        return value + 1
    if isinstance(value, float):
        return value * 0.99
    return f"{value or ''}x"


def changes(params: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """For every leaf of a declaration, the values to set, by dotted place."""
    found = {}
    for place, value in leaves(params):
        key, dotted = place[-1], ".".join(place)
        if key in ("options", "explain", "system", "template") and value is None:
            continue  # nothing is asked: takes another value together with the objective
        if key in FIXED or dotted in FIXED:
            continue
        wanted = {dotted: another(place, value)}
        if key == "kind":
            wanted = {".".join(place[:-1]): KINDS[value]}
        if key == "order":  # makes questions progressive, which no evaluation can ask
            other = BY_KEY["exam"][place[1]]
            wanted |= {
                f"evaluations.{name}.exam": other
                for name, evaluation in params["evaluations"].items()
                if evaluation["exam"] == place[1]
            }
        if key == "of":  # letters need what they stand for
            wanted |= {".".join([*place[:-1], "options"]): "shown"}
        if key == "template":  # no system turn without it
            wanted |= {".".join([*place[:-1], "system"]): None}
        if key == "auto":
            wanted = {dotted: AUTO, ".".join([*place[:-1], "new_tokens"]): "auto"}
        if key == "method":
            wanted = {dotted: "lora", ".".join([*place[:-1], "lora"]): LORA}
        if key == "steps":
            wanted = {dotted: 3, ".".join([*place[:-1], "epochs"]): None}
        if key == "lora":
            wanted = {dotted: LORA, ".".join([*place[:-1], "method"]): "lora"}
        found[dotted] = wanted
    for name, model in params["models"].items():
        if "pack" in model:
            turned = model["pack"]["objective"] == "pretrain"
            found[f"models.{name}.pack.objective"] = {
                f"models.{name}.pack.objective": "instruct" if turned else "pretrain",
                f"models.{name}.pack.options": "hidden" if turned else None,
                f"models.{name}.pack.explain": False if turned else None,
                f"models.{name}.pack.system": "x" if turned else None,
                f"models.{name}.pack.template": True if turned else None,
                f"models.{name}.pack.data": {"boards": 1} if turned else {"textbook": 1},
            }
    return found


def test_the_tiny_declaration_has_every_leaf_of_the_default_one(built: Project) -> None:
    default = YAML(typ="safe").load(REPOSITORY / "params.yaml")
    ours = {place[:end] for place, _ in leaves(built.params()) for end in range(1, len(place) + 1)}
    weights = {"package", "file", "sha256"}
    default["models"]["resident"] |= default["models"].pop("undrilled")  # the same leaves
    missing = {place for place, _ in leaves(default) if place[-1] not in weights} - ours
    assert not missing


def test_every_leaf_changes_the_same_stages_for_both_tools(
    built: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = list(changes(built.params()).items())
    assert len(wanted) > 80
    copies = [copied(built, tmp_path / str(number)) for number in range(2)]
    for each in copies:
        shutil.copy(each.root / "data/raw/boards.csv", each.root / "data/raw/boards-again.csv")
        rounds = each.root / "data/raw/rounds.jsonl"
        shutil.copy(rounds, each.root / "data/raw/rounds-again.jsonl")
        shutil.copytree(each.root / "data/raw/tiny", each.root / "data/raw/tiny-again")

    def disagreements(number: int) -> list[str]:
        tasks = (
            pool.submit(disagreement, copies[number], built.params(), leaf, values).result()
            for leaf, values in wanted[number::2]
        )
        return [each for each in tasks if each]

    context = multiprocessing.get_context("forkserver")
    forkserver._forkserver._stop()  # an earlier test's, which has loaded other things
    paths = [str(Path(__file__).parent), *filter(None, [os.environ.get("PYTHONPATH")])]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(paths))  # Python 3.11 drops sys.path there
    context.set_forkserver_preload(["snakemake.cli", "dvc.cli.parser", "dvc.repo", "parsed"])
    with (
        ProcessPoolExecutor(2, mp_context=context, max_tasks_per_child=1) as pool,
        ThreadPoolExecutor(2) as threads,
    ):
        assert list(chain.from_iterable(threads.map(disagreements, range(2)))) == []
    forkserver._forkserver._stop()


def disagreement(
    project: Project, params: dict[str, Any], leaf: str, values: dict[str, Any]
) -> str | None:
    """How the two tools differ about changed values; asked in this process, which is spoilt by it.

    A process forked with both tools loaded saves the seconds in which each starts.
    """
    for place, value in values.items():
        set_at(params, place.split("."), value)
    project.declare(params)
    os.environ.update(environment())
    os.chdir(project.root)
    changed = set(json.loads(said_here("dvc.cli", "status", "--json")))
    planned = project.stages_of(said_here("snakemake.cli", "-n", "eval"))
    if changed and planned == project.following(changed):
        return None
    return f"{leaf}: dvc {sorted(changed)}, snakemake {sorted(planned)}"


def said_here(module: str, *arguments: str) -> str:
    """What a command prints, run inside this process."""
    with tempfile.TemporaryFile("w+") as file:
        for stream in [1, 2]:
            os.dup2(file.fileno(), stream)
        with contextlib.suppress(SystemExit):
            importlib.import_module(module).main(list(arguments))
        sys.stdout.flush()
        file.seek(0)
        return file.read()


def test_dvc_finds_every_metric_and_plot_and_draws_a_model_once(built: Project) -> None:
    declared = YAML(typ="safe").load(built.root / "dvc.yaml")
    places = {place: values for plot in declared["plots"] for place, values in plot.items()}
    report = built.root / "build/report"
    there = {each.relative_to(built.root).as_posix() for each in report.glob("plots/*/*.csv")}
    assert places.keys() == there
    assert all((built.root / place).is_file() for place in declared["metrics"])
    metrics = json.loads((report / "metrics.json").read_text())
    for place, values in places.items():
        with (built.root / place).open() as file:
            rows = list(csv.DictReader(file))
        told = [values["y"]] if isinstance(values["y"], str) else values["y"]
        assert all(row[each] for row in rows for each in (values["x"], *told)), place
        if values.get("template") == "bar_horizontal":
            scores = {row["model"]: float(row["accuracy"]) for row in rows}
            page = metrics[Path(place).stem]
            assert scores == {model: page[model]["accuracy"] for model in page}
            assert len(scores) == len(rows)


def test_after_snakemake_dvc_has_nothing_to_do(project: Project) -> None:
    assert project.changed() == set()
    assert "Running stage" not in project.run("dvc", "repro").stdout
    assert project.settled()


def test_after_dvc_repro_snakemake_has_nothing_to_do(project: Project) -> None:
    project.change(VALUE, 6)
    assert "Running stage 'clean-textbook'" in project.run("dvc", "repro").stdout
    assert project.settled()


def test_an_old_commit_checked_out_has_nothing_to_do(project: Project) -> None:
    project.change(VALUE, 6)
    project.snakemake("eval")
    project.commit("changed")
    project.run("git", "checkout", "-q", "HEAD~1")
    project.run("dvc", "checkout")
    assert project.settled()


def test_a_clone_that_pulls_has_nothing_to_do_and_rebuilds_only_what_changes(
    project: Project, tmp_path: Path
) -> None:
    project.run("dvc", "remote", "add", "--default", "shelf", str(tmp_path / "shelf"))
    project.commit("remote")
    project.run("dvc", "push")
    project.run("git", "clone", "-q", ".", str(tmp_path / "clone"))
    clone = Project(tmp_path / "clone")
    clone.run("dvc", "pull")
    assert clone.settled()
    clone.change("evaluations.finals.protocol.normalise", "none")
    expected = {f"evaluate-finals-{model}" for model in ["smollm2", "resident"]}
    assert clone.planned() == {*expected, "report"}
    before = clone.recorded()
    assert clone.stages_of(clone.snakemake("eval")) == {*expected, "report"}
    after = clone.recorded()
    assert {name for name in after if after[name] != before[name]} == {*expected, "report"}
    assert clone.settled()


def test_a_value_put_back_is_restored_not_recomputed(project: Project) -> None:
    before = project.recorded()
    project.change(VALUE, 6)
    project.snakemake("eval")
    assert project.recorded() != before
    project.change(VALUE, 4)
    project.forget_logs()
    project.snakemake("eval")
    assert project.recorded() == before
    assert "is cached - skipping run" in project.log("clean/textbook")
    assert not any("Running stage" in project.log(name) for name in project.logs())
    assert project.settled()


def test_a_result_that_comes_out_the_same_stops_the_rebuild(project: Project) -> None:
    project.change("corpora.textbook.filter.max_words", 401)
    assert "pack-reader" in project.planned()
    project.forget_logs()
    project.snakemake("eval")
    ran = {name for name in project.logs() if "Running stage" in project.log(name)}
    assert ran == {"clean/textbook", "report"}
    assert project.settled()


def test_touching_a_raw_file_rebuilds_nothing(project: Project) -> None:
    (project.root / "data/raw/boards.csv").touch()
    (project.root / "data/raw/primer/01-anatomy.md").touch()
    assert project.settled()


def test_a_raw_file_changed_but_given_an_old_date_rebuilds_what_it_feeds(project: Project) -> None:
    path = project.root / "data/raw/primer/01-anatomy.md"
    path.write_text(path.read_text() + "\nThe drake has one more paragraph to its name today.\n")
    os.utime(path, (0, 0))
    assert project.changed() == {"ingest-primer"}
    assert project.planned() == project.following({"ingest-primer"})


def test_code_is_an_input(project: Project) -> None:
    path = project.root / "src/residency/decontaminate.py"
    path.write_text(path.read_text() + "\n# one more line\n")
    assert {"clean-textbook", "write-drills"} <= project.changed()
    assert "examine-boards" not in project.changed()
    assert project.planned() == project.following(project.changed())


def test_jobs_that_end_while_dvc_is_locked_are_recorded(project: Project) -> None:
    project.change("sources.primer.licence", "CC0-1.0")
    project.change("exams.rounds.language", "en-GB")
    hold = "import time, zc.lockfile; held = zc.lockfile.LockFile('.dvc/tmp/lock'); time.sleep(8)"
    holder = subprocess.Popen(["python", "-c", hold], cwd=project.root, env=environment())
    time.sleep(1)
    began = time.monotonic()
    project.snakemake("build/documents/primer", "build/exams/rounds")
    assert time.monotonic() - began > 6, "the lock was not held, so nothing was tested"
    holder.wait()
    assert not {"ingest-primer", "examine-rounds"} & project.changed()


def test_what_came_out_is_recorded_though_a_later_job_fails(project: Project) -> None:
    before = project.recorded()
    project.change("sources.primer.licence", "CC0-1.0")
    project.change("corpora.textbook.filter.min_words", 400)
    done = project.run("snakemake", "--cores", "2", "build/corpora/textbook", check=False)
    assert done.returncode == 1
    assert "clean-textbook is not tried again: nothing is left of primer" in done.stdout
    after = project.recorded()
    assert {name for name in after if after[name] != before[name]} == {"ingest-primer"}


def test_an_experiment_records_the_model_of_its_value(project: Project) -> None:
    place = "models.resident.train.seed"
    project.run("dvc", "exp", "run", "-S", f"{place}=5", "--name", "here")
    project.run("dvc", "exp", "run", "--temp", "-S", f"{place}=6", "--name", "there")
    assert project.experiment("here")["train-resident"]["params"] == {
        "params.yaml": {
            "models.resident.train": {**project.params()["models"]["resident"]["train"], "seed": 5}
        }
    }
    for name, seed in [("here", 5), ("there", 6)]:
        project.change(place, seed)
        project.snakemake("eval")
        assert project.experiment(name) == project.recorded()


@pytest.mark.slow
def test_ten_experiments_in_temporary_folders_record_the_model_of_their_value(
    project: Project,
) -> None:
    place = "models.resident.train.seed"
    for seed in range(10, 20):
        name = f"seed{seed}"
        project.run("dvc", "exp", "run", "--temp", "-S", f"{place}={seed}", "--name", name)
    models = set()
    for seed in range(10, 20):
        project.change(place, seed)
        project.snakemake("build/models/resident")
        ours = project.recorded()["train-resident"]
        assert project.experiment(f"seed{seed}")["train-resident"] == ours
        models.add(ours["outs"][0]["md5"])
    assert len(models) == 10


def test_hard_linked_artifacts_do_not_stop_a_user_who_is_not_root(project: Project) -> None:
    project.run("dvc", "config", "cache.type", "hardlink")
    project.run("dvc", "checkout", "--relink")
    scores = project.root / "build/evaluations/finals/resident/scores.json"
    assert scores.stat().st_nlink > 1
    project.change("evaluations.finals.protocol.normalise", "none")
    powers = "-dac_override,-dac_read_search,-fowner,-chown"
    plain = ["setpriv", f"--bounding-set={powers}", f"--inh-caps={powers}"]
    as_user = plain if os.geteuid() == 0 else []
    denied = f"import os; raise SystemExit(os.access({str(scores)!r}, os.W_OK))"
    assert project.run(*as_user, "python", "-c", denied).returncode == 0
    project.run(*as_user, "snakemake", "--cores", "2", "eval")
    assert project.settled()


def words(process: psutil.Process) -> list[str]:
    """The command line of a process, empty if it has ended."""
    with contextlib.suppress(psutil.Error):
        return process.cmdline()
    return []


@pytest.fixture
def nobody_waits() -> Iterator[None]:
    """Orphans come to this process, which does not wait for them: killed, they stay as zombies.

    So it is in a container whose first process reaps nobody.
    """
    libc = ctypes.CDLL(None)
    assert libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) == 0
    yield
    assert libc.prctl(PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0) == 0
    for orphan in psutil.Process().children():
        if orphan.status() == psutil.STATUS_ZOMBIE:
            os.waitpid(orphan.pid, 0)


@pytest.mark.usefixtures("nobody_waits")
@pytest.mark.parametrize("with_jobs", [True, False], ids=["with its jobs", "alone"])
def test_a_killed_snakemake_is_followed_by_make_eval_without_rites(
    project: Project, with_jobs: bool
) -> None:
    project.change("models.resident.train.seed", 3)
    log = project.root / "logs/train/resident.log"
    log.unlink()
    snakemake = subprocess.Popen(
        ["snakemake", "--cores", "2", "eval"],
        cwd=project.root,
        env=environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    while not (log.exists() and "Running stage" in log.read_text()):
        assert snakemake.poll() is None
        time.sleep(0.1)
    assert list((project.root / ".snakemake/locks").iterdir())
    jobs: list[psutil.Process] = []
    while not any("residency.train" in words(job) for job in jobs):
        assert snakemake.poll() is None
        jobs = psutil.Process(snakemake.pid).children(recursive=True)
    snakemake.kill()
    snakemake.wait()
    for job in jobs if with_jobs else []:
        with contextlib.suppress(psutil.NoSuchProcess):
            job.kill()
    said = project.run("make", "eval", "READY=").stdout
    assert ("waiting for a job of an earlier run" in said) == (not with_jobs)
    assert project.settled()
    assert (
        project.recorded()["train-resident"]["params"]["params.yaml"]["models.resident.train"][
            "seed"
        ]
        == 3
    )


def test_a_second_snakemake_is_turned_away_and_disturbs_nothing(project: Project) -> None:
    project.change("models.resident.train.seed", 3)
    log = project.root / "logs/train/resident.log"
    log.unlink()
    first = subprocess.Popen(
        ["snakemake", "--cores", "2", "eval"],
        cwd=project.root,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    while not (log.exists() and "Running stage" in log.read_text()):
        assert first.poll() is None
        time.sleep(0.1)
    second = project.run("snakemake", "--cores", "2", "eval", check=False)
    assert second.returncode != 0
    assert "Directory cannot be locked" in second.stdout
    said, _ = first.communicate()
    assert first.returncode == 0, said
    assert project.settled()


def test_a_bad_declaration_stops_before_any_job(project: Project) -> None:
    path = project.root / "params.yaml"
    path.write_text(path.read_text().replace("min_words", "min_wrods", 1))
    done = project.run("snakemake", "--cores", "2", "eval", check=False)
    assert done.returncode == 1
    assert "did you mean 'min_words'?" in done.stdout
    assert "Traceback" not in done.stdout
    assert "rule " not in done.stdout


def test_a_graph_that_is_not_declared_is_refused_by_both_tools(project: Project) -> None:
    params = project.params()
    params["models"]["fellow"] = {**params["models"]["resident"], "from": "resident"}
    YAML().dump(params, project.root / "params.yaml")
    for command in [("snakemake", "--cores", "2", "eval"), ("dvc", "repro")]:
        done = project.run(*command, check=False)
        assert done.returncode != 0
        assert "python -m residency.graph" in done.stdout
        assert "Traceback" not in done.stdout


def test_a_mistake_is_told_before_a_job_of_an_earlier_run_is_waited_for(project: Project) -> None:
    code = "import time; time.sleep(600)"
    job = subprocess.Popen([sys.executable, "-c", code, "residency.train"], cwd=project.root)
    try:
        params = project.params()
        params["report"]["titel"] = "misspelt"
        YAML().dump(params, project.root / "params.yaml")
        said = project.run("snakemake", "-n", "eval", check=False)
        assert said.returncode == 1
        assert "report: unknown key 'titel'; did you mean 'title'?" in said.stdout
        assert "waiting for a job" not in said.stdout
    finally:
        job.kill()
        job.wait()
