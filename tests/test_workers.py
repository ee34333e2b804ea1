"""Jobs that hang, crash or eat memory cost themselves and nothing else."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from itertools import count, islice
from pathlib import Path

import psutil
import pytest

from residency import workers
from residency.section import Complaint
from residency.workers import Allowance, Failed, each

ENOUGH = Allowance(seconds=20.0, memory_bytes=200_000_000)


def done(job: tuple[str, float]) -> str:
    what, amount = job
    if what == "hang":
        while True:
            pass
    if what == "sleep":
        time.sleep(amount)
    if what == "abort":
        os.abort()
    if what == "leave":
        os._exit(7)
    if what == "killed":
        os.kill(os.getpid(), signal.SIGKILL)
    if what == "eat":
        bytearray(int(amount))
    if what == "raise":
        raise ValueError("no such thing")
    if what == "parts":
        for _ in range(8):
            time.sleep(amount)
            workers.progressed()
    return what


def own_process(_: int) -> int:
    return os.getpid()


def results(
    jobs: list[tuple[str, float]], allowance: Allowance, processes: int = 2
) -> list[object]:
    return [result for _, result in each(done, jobs, allowance, processes)]


@pytest.mark.parametrize("processes", [1, 2, 3])
def test_results_come_in_the_order_of_the_jobs(processes: int) -> None:
    jobs = [("sleep", 0.2), ("first", 0.0), ("sleep", 0.1), *((f"job {n}", 0.0) for n in range(30))]
    assert list(each(done, jobs, ENOUGH, processes)) == [(job, job[0]) for job in jobs]


def test_a_job_that_fails_takes_no_other_with_it() -> None:
    jobs = [(each, 0.0) for each in ["a", "abort", "b", "leave", "killed", "raise", "c"]]
    assert results(jobs, ENOUGH) == [
        "a",
        Failed("crashed", "the reader's process ended by SIGABRT"),
        "b",
        Failed("crashed", "the reader's process ended with status 7"),
        Failed("crashed", "killed from outside, as a system does that is short of memory"),
        Failed("failed", "ValueError: no such thing"),
        "c",
    ]


def test_a_job_that_hangs_is_ended_in_time() -> None:
    start = time.monotonic()
    hung = Failed("timed out", "not read within 0.5 seconds")
    jobs = [("hang", 0.0), ("a", 0.0), ("sleep", 60.0), ("b", 0.0)]
    assert results(jobs, Allowance(0.5, 10**9)) == [hung, "a", hung, "b"]
    assert time.monotonic() - start < 10


def test_a_job_that_shows_progress_may_take_longer() -> None:
    assert results([("parts", 0.1)], Allowance(0.5, 10**9)) == ["parts"]


def test_a_job_gets_only_the_memory_it_may_take() -> None:
    jobs = [("eat", 1e7), ("eat", 1e9), ("eat", 1e7)]
    assert results(jobs, ENOUGH) == [
        "eat",
        Failed("out of memory", "more than 200000000 bytes"),
        "eat",
    ]


def test_jobs_are_drawn_only_a_little_ahead() -> None:
    drawn = []

    def endless() -> Iterator[tuple[str, float]]:
        for number in count():
            drawn.append(number)
            yield "job", 0.0

    running = each(done, endless(), ENOUGH, 2)
    assert len(list(islice(running, 20))) == 20
    running.close()
    assert len(drawn) <= 20 + 2 * workers.AHEAD


def test_no_process_is_left_when_the_results_are_no_longer_wanted() -> None:
    running = each(own_process, range(9), ENOUGH, 2)
    process = next(running)[1]
    assert isinstance(process, int)
    assert psutil.pid_exists(process)
    running.close()
    assert not psutil.pid_exists(process)


def test_processes_live_long() -> None:
    assert len({process for _, process in each(own_process, range(50), ENOUGH, 2)}) <= 2


def test_how_many_processes_is_told_by_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RESIDENCY_THREADS", "3")
    assert workers.cores() == 3
    monkeypatch.delenv("RESIDENCY_THREADS")
    assert workers.cores() == len(os.sched_getaffinity(0))
    monkeypatch.setenv("RESIDENCY_THREADS", "many")
    with pytest.raises(Complaint, match="RESIDENCY_THREADS: expected a number of threads"):
        workers.cores()


def test_a_script_is_not_run_again_in_its_workers(tmp_path: Path) -> None:
    import subprocess
    import sys

    script = (
        "import math\n"
        "from residency.workers import Allowance, each\n"
        "print([each for each in each(math.sqrt, [4, 9], Allowance(9.0, 10**9), 2)])\n"
    )
    (tmp_path / "script.py").write_text(script)
    done = subprocess.run(
        [sys.executable, "script.py"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert (done.stdout, done.stderr) == ("[(4, 2.0), (9, 3.0)]\n", "")
