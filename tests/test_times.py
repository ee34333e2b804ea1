from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import pytest

from residency import times
from residency.files import building, read_rows
from residency.times import Took


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A project of its own on a machine whose energy cannot be read."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("RESIDENCY_WORK", raising=False)
    monkeypatch.setattr(times, "RAPL", tmp_path / "nothing")
    monkeypatch.setattr(times.shutil, "which", lambda _tool: None)


OUT = Path("build/models/one")
KEPT = Path("work/times/models/one.jsonl")


def make(text: str, out: Path = OUT) -> None:
    with times.taken(out), building(out) as folder:
        (folder / "weights").write_text(text)
        if text == "bad":
            raise ValueError(text)


def known(out: Path = OUT) -> Took:
    found = times.took(out)
    assert found is not None
    return found


def test_a_step_that_ran_has_its_time_beside_the_artifact_and_not_in_it() -> None:
    make("a")
    assert [path.name for path in OUT.iterdir()] == ["weights"]
    assert KEPT.is_file()
    took = known()
    assert took.seconds >= 0
    assert took.cores == len(os.sched_getaffinity(0))
    assert (took.cpu_joules, took.gpu_joules, took.gpus, took.attempts) == (None, None, 0, 1)


def test_a_time_is_told_of_the_very_artifact_that_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter([0, 5, 100, 107])
    monkeypatch.setattr(times.time, "monotonic", lambda: float(next(clock)))
    make("a")
    make("b")
    assert known().seconds == 7
    (OUT / "weights").write_text("a")  # as DVC puts back what was made before
    (OUT / ".snakemake_timestamp").touch()
    assert known().seconds == 5
    (OUT / "weights").write_text("c")
    assert times.took(OUT) is None


def test_attempts_that_failed_count_with_the_one_that_did_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock = iter([0, 1, 0, 10, 0, 100, 0, 1000])
    monkeypatch.setattr(times.time, "monotonic", lambda: float(next(clock)))
    make("a")
    for _ in range(2):
        with pytest.raises(ValueError, match="bad"):
            make("bad")
    make("b")
    assert (known().seconds, known().attempts) == (10 + 100 + 1000, 3)
    (OUT / "weights").write_text("a")
    assert (known().seconds, known().attempts) == (1, 1)


def test_a_line_left_unfinished_by_a_killed_process_spoils_no_other() -> None:
    make("a")
    with KEPT.open("ab") as file:
        file.write(b'{"made": "12')
    make("b")
    assert known().attempts == 1
    assert KEPT.read_bytes().count(b"\n") == 3


def test_where_times_cannot_be_written_the_artifact_is_still_made() -> None:
    Path("work").write_text("a file, where a folder is wanted")
    make("a")
    assert (OUT / "weights").read_text() == "a"
    assert times.took(OUT) is None


def test_each_question_is_told_what_it_took_in_all() -> None:
    out = Path("build/evaluations/finals/one")
    times.spent(["from before"], [1.0], [1])
    with times.taken(out), building(out):
        times.spent(["q1", "q2"], [0.5, 0.25], [10, 20])
        times.spent(["q1"], [1.0], [5])
    assert known(out).questions == {"q1": (1.5, 15), "q2": (0.25, 20)}
    (row,) = read_rows(Path("work/times/evaluations/finals/one.jsonl"))
    assert "from before" not in row["questions"]


def zone(folder: Path, name: str, called: str, now: int) -> None:
    (folder / name).mkdir(parents=True, exist_ok=True)
    (folder / name / "name").write_text(f"{called}\n")
    (folder / name / "energy_uj").write_text(f"{now}\n")
    (folder / name / "max_energy_range_uj").write_text("1000000000\n")


def test_energy_is_read_of_whole_packages_also_where_a_counter_begins_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "powercap"
    monkeypatch.setattr(times, "RAPL", folder)
    zone(folder, "intel-rapl:0", "package-0", 5_000_000)
    zone(folder, "intel-rapl:1", "package-1", 999_000_000)
    zone(folder, "intel-rapl:0:0", "core", 0)  # a part of its package
    zone(folder, "intel-rapl:2", "psys", 0)  # which holds the packages
    with times.taken(OUT), building(OUT):
        zone(folder, "intel-rapl:0", "package-0", 8_000_000)
        zone(folder, "intel-rapl:1", "package-1", 1_000_000)
        zone(folder, "intel-rapl:0:0", "core", 700_000_000)
        zone(folder, "intel-rapl:2", "psys", 700_000_000)
    assert known().cpu_joules == 3 + 2


def test_a_counter_that_may_not_be_read_is_not_told_as_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "powercap"
    monkeypatch.setattr(times, "RAPL", folder)
    zone(folder, "intel-rapl:0", "package-0", 5)
    (folder / "intel-rapl:0/energy_uj").unlink()
    (folder / "intel-rapl:0/energy_uj").mkdir()  # no number, and no right to read one
    make("a")
    assert known().cpu_joules is None


SMI = """#!{python}
import sys, time
assert "--query-gpu=index,power.draw" in sys.argv and "--loop=1" in sys.argv
assert [each for each in sys.argv if each.startswith("--id=")] == ["--id=0,1,2"]
print("0, 100.0\\n1, 50.00\\n2, [N/A]\\n0, 200.0\\n1, 50.00\\n2, [N/A]", flush=True)
open("told", "w").close()
time.sleep(60)
"""


def test_the_energy_of_gpus_is_their_mean_power_over_the_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tool = tmp_path / "nvidia-smi"
    tool.write_text(SMI.format(python=sys.executable))
    tool.chmod(0o755)
    monkeypatch.setattr(times.shutil, "which", lambda _tool: str(tool))
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1,2")
    with times.taken(OUT), building(OUT):
        while not Path("told").exists():
            time.sleep(0.01)
    took = known()
    assert took.gpus == 2
    assert took.gpu_joules == pytest.approx(200 * took.seconds, abs=0.2)
    assert took.seconds < 30  # the tool was ended, not waited for
