"""`residency check`: what would stop a build is found before it starts."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from project import Project, typed

from residency.commands import check, machine
from residency.graph import Stage


def levels(told: str) -> dict[str, str]:
    """The worst level of each thing that was looked at."""
    worst: dict[str, str] = {}
    for line in told.splitlines():
        level, _, rest = line.partition(" ")
        if level in ("ok", "look", "stops"):
            about = rest.strip().split("  ")[0]
            if level == "stops" or worst.get(about) != "stops":
                worst[about] = level
    return worst


def test_a_project_in_order_is_found_in_order(
    mine: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    (mine.root / "constraints.txt").write_text(
        "pip==0.0.1\npydantic==" + check._version("pydantic")
    )
    done = typed(capsys, "check")
    assert done.status == 0, done.out
    told = levels(done.out)
    assert set(told.values()) == {"ok", "look"}
    assert {about for about, level in told.items() if level == "look"} <= {"packages", "memory"}
    assert "(pinned 0.0.1)" in done.out
    assert "pydantic" not in done.out
    assert "nothing would stop a build" in done.out
    quiet = typed(capsys, "check", "--quiet")
    assert "\nok  " not in f"\n{quiet.out}"


def test_each_thing_that_would_stop_a_build_is_told_with_its_cure(
    mine: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    (mine.root / "data/raw/tiny/config.json").unlink()
    for path in (mine.root / "data/raw/everyday").iterdir():
        path.unlink()
    (mine.root / "dvc.yaml").write_text("stages: {}\n")
    shutil.rmtree(mine.root / ".git")
    (mine.root / "pyproject.toml").write_text(
        '[project]\nrequires-python = ">=4"\ndependencies = ["no-such-package-as-this"]\n'
    )
    done = typed(capsys, "check")
    assert done.status == 1
    for part in [
        "expected >=4; make the environment with one",
        "not installed: no-such-package-as-this; to install: pip install",
        "this folder has no .git; to make it: git init",
        "to write it anew: python -m residency.graph",
        "sources.everyday: data/raw/everyday holds no file",
        "models.smollm2.weights.path: data/raw/tiny has no config.json",
    ]:
        assert part in done.out
    assert "7 to mend before a build" in done.out  # the tiny model is declared twice


def test_a_wrong_declaration_is_told_in_its_own_words(
    mine: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    path = mine.root / "params.yaml"
    path.write_text(path.read_text().replace("min_words:", "min_wrods:", 1))
    done = typed(capsys, "check")
    assert done.status == 1
    assert "did you mean 'min_words'?" in done.out


def test_keys_are_looked_for_by_name_and_never_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    models = {
        "served": {"endpoint": {"url": "https://example.org", "key": "SOME_KEY"}},
        "free": {"endpoint": {"url": "http://localhost", "key": None}},
        "adopted": {"weights": {"path": "here"}},
    }
    monkeypatch.delenv("SOME_KEY", raising=False)
    (finding,) = check.keys(models)
    assert finding.level == "stops"
    assert finding.said == "models.served: SOME_KEY is not set; to set it: export SOME_KEY=..."
    monkeypatch.setenv("SOME_KEY", " \t\n")
    (finding,) = check.keys(models)
    assert finding.level == "stops"
    monkeypatch.setenv("SOME_KEY", "abc-secret")
    (finding,) = check.keys(models)
    assert finding.level == "ok"
    assert "secret" not in finding.said


@pytest.mark.parametrize("name", ["RESIDENCY_MICRO_BATCH", "RESIDENCY_CONCURRENCY"])
def test_settings_that_make_no_sense_stop(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, "many")
    (finding,) = check.settings()
    assert finding.level == "stops"
    assert f"{name}: expected a whole number" in finding.said


def test_too_little_disk_stops_and_too_little_memory_is_told(
    mine: Project, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.rmtree(mine.root / "build/models/resident")
    run = mine.root / "benchmarks/runs/train/resident.tsv"
    run.parent.mkdir(parents=True)
    run.write_text("s\tmax_rss\n3\t1e9\n".replace("1e9", "900000000"))
    usage = shutil.disk_usage(".")._replace(free=1000)
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: usage)
    done = typed(capsys, "check")
    assert done.status == 1
    assert "1 kB free; at least 2.01 MB is wanted" in done.out
    assert "train-resident took 900 TB when it last ran, more than there is" in done.out


def test_the_memory_that_the_report_took_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    run = Path("benchmarks/runs/report.tsv")
    run.parent.mkdir(parents=True)
    run.write_text("s\tmax_rss\n3\t1.5\n")
    report = Stage(name="report", step="report", section="", out=Path("build/report"), inputs={})
    (finding,) = check.memory([report])
    assert finding.said.endswith("; report took 1.5 MB when it last ran")


def test_four_bits_without_a_gpu_stop(
    mine: Project, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(machine, "gpus", lambda: 0)
    train = mine.params()["models"]["resident"]["train"]
    lora = {"rank": 8, "alpha": 16.0, "dropout": 0.0, "targets": ["q_proj"], "full": []}
    mine.change("models.resident.train", train | {"method": "qlora", "lora": lora})
    done = typed(capsys, "check")
    assert (done.status, "models.resident.train.method is qlora" in done.out) == (1, True)


def test_locks_of_a_killed_build_are_told(
    mine: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    locks = mine.root / ".snakemake/locks"
    locks.mkdir(parents=True)
    (locks / "0.input.lock").write_text("")
    (mine.root / ".git/index.lock").write_text("")
    done = typed(capsys, "check")
    assert done.status == 0
    assert "a build was killed and left its locks; the next one clears them up" in done.out
    assert "rm .git/index.lock" in done.out


def test_gpus_are_those_the_driver_tells_of_and_the_environment_lets_through(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    assert machine.gpus() == 0
    told = tmp_path / "nvidia-smi"
    told.write_text("#!/bin/sh\necho 'GPU 0: X'\necho 'GPU 1: X'\n")
    told.chmod(0o755)
    assert machine.gpus() == 2
    for visible, count in {"0": 1, "": 0, "-1": 0, "0,1,2": 2}.items():
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
        assert machine.gpus() == count


def test_hub_weights_need_the_network_unless_they_are_in_its_cache(
    mine: Project, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    mine.change(
        "models.spare.weights", {"hub": "nobody/nothing", "revision": "0" * 40, "parameters": None}
    )
    done = typed(capsys, "check")
    assert "nobody/nothing is not in the hub's cache; its build needs the network" in done.out
    assert done.status == 0
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert typed(capsys, "check").status == 1
