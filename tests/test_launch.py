from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from residency.launch import child, launch
from residency.section import Complaint, Section, Setback

STEP = """
import os, signal, sys, time
from residency.section import Complaint, Section, Setback

class Work(Section):
    does: str

def step(work, data, spare, out):
    rank = os.environ["RANK"]
    (out / rank).write_text(f"{os.getpid()} {data.name} {spare} {os.environ['WORLD_SIZE']}")
    if work.does in ("Complaint", "Setback") and rank == "1":
        while not (out / "ready0").exists():
            time.sleep(0.05)
        raise globals()[work.does]("models.x: found y; take z")
    if work.does == "crash" and rank == "1":
        raise ZeroDivisionError("what a child said")
    if work.does == "die" and rank == "1":
        os.kill(os.getpid(), signal.SIGKILL)
    if work.does == "leave":
        raise SystemExit(75)
    if work.does == "save":
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(75))
    if work.does != "finish":
        (out / f"ready{rank}").touch()
        time.sleep(60)
        (out / f"slept{rank}").touch()
"""


class Work(Section):
    does: str


@pytest.fixture
def out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder to write, beside the module of a step that children can import."""
    (tmp_path / "step.py").write_text(STEP)
    paths = [str(tmp_path), *filter(None, [os.environ.get("PYTHONPATH")])]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(paths))
    (tmp_path / "out").mkdir()
    return tmp_path / "out"


def run(does: str, out: Path) -> None:
    launch("step", Work(does=does), 2, data=Path("some/data"), spare=None, out=out)


def test_every_process_calls_the_step_with_the_same_section_and_paths(out: Path) -> None:
    before = dict(os.environ)
    run("finish", out)
    said = [(out / rank).read_text().split() for rank in "01"]
    assert said[0][1:] == said[1][1:] == ["data", "None", "2"]
    assert len({said[0][0], said[1][0], str(os.getpid())}) == 3
    assert dict(os.environ) == before
    assert not child()


@pytest.mark.parametrize("kind", [Complaint, Setback])
def test_a_complaint_of_one_process_is_the_steps_and_ends_the_others(
    kind: type[Complaint], out: Path
) -> None:
    with pytest.raises(Complaint, match=r"^models\.x: found y; take z$") as caught:
        run(kind.__name__, out)
    assert caught.type is kind
    assert not (out / "slept0").exists()
    assert not psutil.pid_exists(int((out / "0").read_text().split()[0]))


def test_a_process_that_crashes_or_is_killed_is_named(
    out: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(Setback, match="process 1 of the training ended with status 1"):
        run("crash", out)
    said = capfd.readouterr().err
    assert "ZeroDivisionError: what a child said" in said
    assert "ChildFailedError" not in said
    with pytest.raises(Setback, match=r"process 1 .* was killed by SIGKILL.*out of memory"):
        run("die", out)


def test_a_status_of_its_own_passes_through(out: Path) -> None:
    with pytest.raises(SystemExit) as end:
        run("leave", out)
    assert end.value.code == 75


def test_several_nodes_take_a_job_of_slurm(out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SLURM_JOB_ID", raising=False)
    with pytest.raises(Complaint, match="RESIDENCY_NODES: found 2, and this is no job of SLURM"):
        launch("step", Work(does="finish"), 1, 2, data=Path("d"), spare=None, out=out)


@pytest.mark.parametrize(("number", "does"), [(signal.SIGKILL, "sleep"), (signal.SIGTERM, "save")])
def test_no_process_outlives_the_one_that_launched_it(
    out: Path, number: signal.Signals, does: str
) -> None:
    code = (
        "import sys; from pathlib import Path; sys.path.append(sys.argv[1])\n"
        "from step import Work; from residency.launch import launch\n"
        f"launch('step', Work(does={does!r}), 2, data=Path('d'), spare=None, out=Path(sys.argv[2]))"
    )
    parent = subprocess.Popen([sys.executable, "-c", code, out.parent, out])
    waited(lambda: (out / "ready0").exists() and (out / "ready1").exists())
    children = [int((out / rank).read_text().split()[0]) for rank in "01"]
    parent.send_signal(number)
    assert parent.wait(120) == (75 if does == "save" else -signal.SIGKILL)
    waited(lambda: not any(map(psutil.pid_exists, children)))


def waited(true: object, seconds: float = 120) -> None:
    """Wait until a condition holds."""
    end = time.monotonic() + seconds
    while not true():  # type: ignore[operator]
        assert time.monotonic() < end
        time.sleep(0.05)
