"""`residency plan`: what would run, why, and what it takes."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from project import REPOSITORY, Project, typed

from residency import declaration, freshness, graph
from residency.author import ModelWriter
from residency.commands import project as folder
from residency.commands import takes
from residency.declaration import Served
from residency.files import write_json
from residency.judge import Verify


def sections(told: str) -> dict[str, str]:
    """What the plan says of each stage, by its name."""
    parts = (part.partition(": ") for part in told.split("\n\n")[1:])
    return {name: rest for name, _, rest in parts}


def a_record(step: str, name: str, seconds: float, said: str = "Running stage 'x':") -> None:
    """What Snakemake leaves behind of a job."""
    run, log = Path(f"benchmarks/runs/{step}/{name}.tsv"), Path(f"logs/{step}/{name}.log")
    for path in (run, log):
        path.parent.mkdir(parents=True, exist_ok=True)
    run.write_text(f"s\th:m:s\tmax_rss\tcpu_time\n{seconds}\t0:00:01\t500\t{2 * seconds}\n")
    log.write_text(said)


def test_where_everything_is_fresh_there_is_nothing_to_do(
    mine: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    done = typed(capsys, "plan")
    assert (done.status, done.out) == (
        0,
        f"nothing to do: {len(mine.stages())} stages are up to date\n",
    )


def test_each_difference_is_told_by_field_file_and_code(
    mine: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    mine.change("corpora.textbook.filter.min_words", 5)
    primer = mine.root / "data/raw/primer"
    with (primer / "01-anatomy.md").open("a") as file:
        file.write("\nOne more paragraph, which says nothing new about drakes.\n")
    (primer / "new.txt").write_text("A new text about the lantern drake and its glow.")
    (primer / "06-tests.html").unlink()
    done = typed(capsys, "plan")
    told = sections(done.out)
    assert done.status == 0
    assert told["ingest-primer"].startswith("would run")
    assert "raw data/raw/primer: changed\n" in told["ingest-primer"]
    assert "data/raw/primer/01-anatomy.md: changed, its sha256 was " in told["ingest-primer"]
    assert "data/raw/primer/06-tests.html: is gone\n" in told["ingest-primer"]
    assert "data/raw/primer/new.txt: new\n" in told["ingest-primer"]
    assert "corpora.textbook.filter.min_words: 4 -> 5\n" in told["clean-textbook"]
    assert "after ingest-primer\n" in told["clean-textbook"]
    assert told["train-reader"].startswith("may follow")
    assert "corpora.textbook.filter.min_words: 4 -> 5\n" in told["report"]
    assert "ingest-everyday" not in told


def test_the_plan_names_the_stages_that_dvc_calls_changed_and_what_follows(
    mine: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    mine.change("models.resident.train.learning_rate", 0.5)
    told = sections(typed(capsys, "plan").out)
    would = {name for name, said in told.items() if said.startswith("would run")}
    assert would == freshness.changed() == {"train-resident", "report"}
    assert told.keys() - {"in all, if everything runs, one stage after the other\n  time"} >= (
        mine.following(would)
    )


def test_a_value_put_back_is_restored_and_not_computed(
    mine: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.rmtree(mine.root / "build/evaluations/ward/resident")
    told = sections(typed(capsys, "plan").out)["evaluate-ward-resident"]
    assert told.startswith("is restored from DVC's cache, not computed")
    assert "output build/evaluations/ward/resident: is not there" in told
    mine.change("exams.rounds.split.seed", 3)
    mine.run("dvc", "repro", "-s", "examine-rounds")
    mine.change("exams.rounds.split.seed", 57)
    assert "kept" in freshness.status()["examine-rounds"]
    mine.change("exams.rounds.split.seed", 4)
    assert "kept" not in freshness.status()["examine-rounds"]


def test_time_is_that_of_the_recorded_run_scaled_by_tokens(
    mine: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    a_record("train", "resident", 120)  # of 1000 tokens, as the made training.json says
    a_record("evaluate", "finals-smollm2", 30)
    train = mine.params()["models"]["resident"]["train"]
    longer = train | {"epochs": None, "steps": 1, "batch_tokens": 4000}
    mine.change("models.resident.train", longer)
    done = typed(capsys, "plan", "--gpus", "2", "--gpu-hour", "3")
    told = sections(done.out)
    line = told["train-resident"].splitlines()[-1]
    assert "8 min 0 s (scaled from its record by tokens, times 4)" in line
    assert "4,000 tokens (declared)" in line
    assert "0.267 GPU-hours" in line
    assert "0.80 in money (at the stated price of a GPU-hour)" in line
    assert "30 s (as evaluate-finals-smollm2)" in told["evaluate-finals-resident"]
    assert "epochs: 1 -> null" in told["train-resident"]
    assert "not known" in done.out


def test_questions_take_a_gpu_only_where_a_model_writes_them_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    declared = declaration.load(REPOSITORY / "params.yaml")
    (stage,) = (each for each in graph.stages(declared) if each.step == "write")
    monkeypatch.chdir(tmp_path)
    a_record("write", stage.out.name, 3600)
    rates = takes.Rates(gpus=2, cores=1, gpu_hour=5.0)
    found = takes.reckoned(stage, declared, None, rates)
    assert found.seconds
    assert (found.gpu_hours, found.money) == (None, None)
    verify = Verify(judges=["smollm2"], max_tokens=9)
    drills = declared.questions[stage.out.name].model_copy(update={"verify": verify})
    judged = declared.model_copy(update={"questions": {stage.out.name: drills}})
    assert takes.reckoned(stage, judged, None, rates).gpu_hours == 2


def test_answers_never_given_here_take_what_others_did_or_the_stated_rate(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    declared = declaration.load(REPOSITORY / "params.yaml")
    monkeypatch.chdir(tmp_path)
    name, drills = next(iter(declared.questions.items()))
    writer = ModelWriter.model_validate(
        {
            "kind": "model", "model": "smollm2", "how_many": {"single": 2}, "options": 4,
            "passage_words": 100, "examples": None, "evidence": "quote", "difficulty": None,
            "language": None, "prompt": None, "temperature": 0.0, "max_tokens": 9, "seed": 0,
        }
    )  # fmt: skip
    drills = drills.model_copy(update={"writer": writer, "verify": None, "budget": None})
    more = writer.model_copy(update={"how_many": {"single": 6}})
    sets = {name: drills, "more": drills.model_copy(update={"writer": more})}
    exams = dict.fromkeys(("finals", "again"), declared.evaluations["finals"])
    exams["again"] = exams["again"].model_copy(update={"split": "dev"})
    declared = declared.model_copy(update={"questions": sets, "evaluations": exams})
    stages = {each.name: each for each in graph.stages(declared)}
    write, sit = stages["write-more"], stages["evaluate-again-smollm2"]
    rates = takes.Rates(gpus=2, cores=1, gpu_hour=5.0)
    assert takes.reckoned(write, declared, None, rates).seconds is None

    Path("build/corpora", drills.corpus).mkdir(parents=True)
    write_json(Path("build/corpora") / drills.corpus / "counts.json", {"kept": {"words": 1000}})
    for split, count in (("test", 10), ("dev", 40)):
        path = Path("build/exams") / exams["finals"].exam / f"{split}.jsonl"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("{}\n" * count)
    stated = takes.Rates(gpus=2, cores=1, gpu_hour=5.0, answers_per_second=0.1)
    found = takes.reckoned(write, declared, None, stated)
    assert found.seconds == takes.Amount(value=600, source="at the stated answers per second")
    assert found.gpu_hours == pytest.approx(1 / 3)
    assert str(found.money) == str(
        takes.Amount(value=600 / 3600 * 2 * 5, source="at the stated price of a GPU-hour")
    )
    assert str(takes.reckoned(sit, declared, None, stated)).startswith("6 min 40 s (at the stated")

    a_record("write", name, 100)
    a_record("evaluate", "finals-smollm2", 30)
    found = takes.reckoned(write, declared, None, rates)
    assert found.seconds == takes.Amount(value=300, source=f"at the pace of write-{name}")
    found = takes.reckoned(sit, declared, None, rates)
    assert found.seconds == takes.Amount(value=120, source="at the pace of evaluate-finals-smollm2")
    assert found.gpu_hours == pytest.approx(120 / 3600 * 2)

    write.out.mkdir(parents=True)
    write_json(write.out / "counts.json", {"asked": {"money": 1.25}})
    found = takes.reckoned(write, declared, None, rates)
    assert found.money == takes.Amount(value=1.25, source="as it cost when it last ran")
    served = Served.model_validate(
        {
            "endpoint": {
                "url": "http://127.0.0.1:1/v1", "model": "m", "key": None, "price": None,
                "format": "schema", "limit": "max_tokens", "temperature": "own",
            }
        }
    )  # fmt: skip
    declared = declared.model_copy(update={"models": declared.models | {"smollm2": served}})
    sit.out.mkdir(parents=True)
    write_json(sit.out / "scores.json", {"asked": {"money": 0.5}})
    found = takes.reckoned(sit, declared, None, rates)
    assert (found.gpu_hours, found.money) == (
        None,
        takes.Amount(value=0.5, source="as it cost when it last ran"),
    )


def test_a_run_that_only_restored_is_no_measure(
    mine: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    a_record("train", "resident", 1, "Stage 'train-resident' is cached - skipping run")
    mine.change("models.resident.train.learning_rate", 0.5)
    told = sections(typed(capsys, "plan").out)["train-resident"]
    assert "a time that is not known" in told
    said = typed(capsys, "plan", "--tokens-per-second", "100").out
    assert "at the stated tokens per second" in sections(said)["train-resident"]


@pytest.mark.parametrize("word", ["0", "-1", "much", "inf"])
def test_a_rate_is_a_number_above_0(word: str, capsys: pytest.CaptureFixture[str]) -> None:
    done = typed(capsys, "plan", f"--gpu-hour={word}")
    assert done.status == 1
    assert f"expected a number above 0, found '{word}'" in done.err
    done = typed(capsys, "plan", "--gpus=-1")
    assert (done.status, "expected a whole number from 0 on" in done.err) == (1, True)


def test_a_stale_dvc_yaml_is_told_with_its_cure(
    mine: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    (mine.root / "dvc.yaml").write_text("stages: {}\n")
    done = typed(capsys, "plan")
    assert done.status == 1
    assert "to write it anew: python -m residency.graph" in done.err


def test_while_a_build_is_at_work_the_plan_does_not_wait_for_it(
    mine: Project, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert mine.root.is_dir()
    monkeypatch.setattr(freshness, "at_work", lambda: {"process 7": "dvc repro train-resident"})
    done = typed(capsys, "plan")
    assert done.status == 1
    assert "a build is at work here (dvc repro train-resident, process 7)" in done.err


def test_differences_are_told_leaf_by_leaf() -> None:
    old = {"a": {"b": 1, "c": [1]}, "d": 1}
    new = {"a": {"b": 2, "c": [1, 2]}, "e": True}
    assert list(folder.differences("x", old, new)) == [
        ("x.a.b", 1, 2),
        ("x.a.c", [1], [1, 2]),
        ("x.d", 1, folder.ABSENT),
        ("x.e", folder.ABSENT, True),
    ]
    assert list(folder.differences("x", 1, 1.0)) == [("x", 1, 1.0)]


def test_a_plan_needs_no_raw_files_and_reckons_by_flop(
    mine: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    mine.change("sources.primer.homepage", "https://example.org/books")
    weights = {"hub": "nobody/nothing", "revision": "0" * 40, "parameters": 1e9}
    params = mine.params()
    params["models"]["giant"] = {"weights": weights}
    params["models"]["tuned"] = params["models"]["resident"] | {"from": "giant"}
    steps = {"epochs": None, "steps": 1000, "batch_tokens": 36000}
    params["models"]["tuned"]["train"] = params["models"]["tuned"]["train"] | steps
    mine.declare(params)
    primer = mine.params()["sources"]["primer"]["path"]
    shutil.rmtree(mine.root / primer)
    command = ["plan", "--gpu", "a100", "--gpus", "2", "--utilisation", "0.5", "--gpu-hour", "3"]
    done = typed(capsys, *command)
    assert f"  {primer} (sources.primer.path): see https://example.org/books\n" in done.out
    told = sections(done.out)["train-tuned"]
    hours = 6 * 1e9 * 36e6 / (0.5 * 312e12) / 3600  # of one GPU
    assert "at the stated share of the GPU's peak" in told
    assert f"{hours:.3g} GPU-hours" in told
    assert f"{3 * hours:,.2f} in money" in told
    assert "8 GB on disk (float32, by its parameters)" in told  # the model, and as it was half-way
    assert typed(capsys, "plan", "--gpu", "a100").status == 1
    assert typed(capsys, "plan", "--gpu", "a100", "--utilisation", "2").status == 1
