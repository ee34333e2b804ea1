"""Work on hostile input in child processes that may hang, crash or eat memory without harm.

    for job, result in each(work, jobs, limits, processes=cores()):
        if isinstance(result, Failed): ...   # "timed out", "crashed", "out of memory", "failed"

The processes live long; one that dies is replaced. Time is kept by the kernel (SIGALRM ends the
process even inside C code, and even where its parent is gone), memory by RLIMIT_DATA.
"""

from __future__ import annotations

import os
import signal
import sys
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import contextmanager, suppress
from multiprocessing import get_context
from multiprocessing.connection import Connection, wait
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple, TypeVar

from residency.section import Complaint

Job = TypeVar("Job")
Result = TypeVar("Result")

AHEAD = 4
"""Jobs handed out for each process before the first result that is still awaited."""

_time_allowed = 0.0  # seconds that a job of this process may take; 0 in the parent


class Allowance(NamedTuple):
    """What one job may take: seconds by the clock, and bytes beyond what the process has."""

    seconds: float
    memory_bytes: int


class Failed(NamedTuple):
    """Why a job has no result: a countable reason and a detail."""

    reason: str
    detail: str


def cores() -> int:
    """RESIDENCY_THREADS, or the cores that this process may run on; never in an artifact."""
    told = os.environ.get("RESIDENCY_THREADS")
    if told is None:
        return len(os.sched_getaffinity(0))
    if not (told.isdecimal() and int(told) > 0):
        raise Complaint(f"RESIDENCY_THREADS: expected a number of threads, found {told!r}")
    return int(told)


def each(
    work: Callable[[Job], Result], jobs: Iterable[Job], allowance: Allowance, processes: int
) -> Generator[tuple[Job, Result | Failed], None, None]:
    """Every job with its result, in the order of the jobs.

    `work` and the jobs must pickle, without anything that is defined in a script. `jobs` is drawn
    from as processes come free, so that neither jobs nor results pile up. A job that raises is
    "failed", and its process goes on. To stop early, close the generator.
    """
    idle: list[_Worker] = []
    busy: dict[Connection, tuple[int, _Worker]] = {}
    begun: deque[tuple[int, Job]] = deque()
    results: dict[int, Result | Failed] = {}
    upcoming = enumerate(jobs)
    more = True
    try:
        while more or begun:
            while more and len(busy) < processes and len(begun) < AHEAD * processes:
                following = next(upcoming, None)
                if following is None:
                    more = False
                    break
                begun.append(following)
                worker = idle.pop() if idle else _Worker(work, allowance)
                worker.give(following[1])
                busy[worker.connection] = following[0], worker
            for connection in wait(list(busy)) if busy else []:
                assert isinstance(connection, Connection)
                number, worker = busy.pop(connection)
                results[number], alive = worker.result()
                if alive:
                    idle.append(worker)
            while begun and begun[0][0] in results:
                number, job = begun.popleft()
                yield job, results.pop(number)
    finally:
        for worker in [*idle, *(worker for _, worker in busy.values())]:
            worker.end()


def progressed() -> None:
    """Start the time allowed anew: for jobs that are long because they have many parts."""
    if _time_allowed:
        signal.setitimer(signal.ITIMER_REAL, _time_allowed)


class _Worker:
    """A child process and the pipe to it."""

    def __init__(self, work: Callable[[Any], Any], allowance: Allowance) -> None:
        # Not fork: a fork would take over other children's pipes and this process's memory.
        context = get_context("forkserver")
        # numpy takes memory of its own, which is not to count as a job's.
        context.set_forkserver_preload(["numpy", "residency.ingest"])
        self.allowance = allowance
        self.connection, theirs = context.Pipe()
        self.process = context.Process(target=_serve, args=(theirs, work, allowance), daemon=True)
        with _no_script():
            self.process.start()
        theirs.close()

    def give(self, job: Any) -> None:
        with suppress(BrokenPipeError, ConnectionResetError):  # result() will say what happened
            self.connection.send(job)

    def result(self) -> tuple[Any, bool]:
        """What became of the job, and whether the process can take another."""
        try:
            return self.connection.recv()  # type: ignore[no-any-return]
        except (EOFError, ConnectionResetError):
            self.process.join()
            self.connection.close()
            return _death(self.process.exitcode or 0, self.allowance), False

    def end(self) -> None:
        self.connection.close()
        self.process.kill()
        self.process.join()


@contextmanager
def _no_script() -> Iterator[None]:
    """Keep multiprocessing from running this process's script anew in a child."""
    script = sys.modules["__main__"]
    sys.modules["__main__"] = ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = script


def _death(code: int, allowance: Allowance) -> Failed:
    if code == -signal.SIGALRM:
        return Failed("timed out", f"not read within {allowance.seconds:g} seconds")
    if code == -signal.SIGKILL:
        return Failed("crashed", "killed from outside, as a system does that is short of memory")
    if code < 0:
        return Failed("crashed", f"the reader's process ended by {signal.Signals(-code).name}")
    return Failed("crashed", f"the reader's process ended with status {code}")


def _serve(connection: Connection, work: Callable[[Any], Any], allowance: Allowance) -> None:
    """Do jobs until the pipe is closed or memory has run out."""
    global _time_allowed
    _time_allowed = allowance.seconds
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent ends its children
    _limit_memory(allowance.memory_bytes)
    alive = True
    while alive:
        try:
            job = connection.recv()
            progressed()
            result = work(job)
        except EOFError:
            return
        except MemoryError:
            result = Failed("out of memory", f"more than {allowance.memory_bytes} bytes")
            alive = False
        except Exception as error:
            result = Failed("failed", f"{type(error).__name__}: {error}"[:500])
        signal.setitimer(signal.ITIMER_REAL, 0)
        connection.send((result, alive))


def _limit_memory(more: int) -> None:
    """Let this process take `more` bytes than it has now."""
    import resource

    pages = Path("/proc/self/statm")
    now = int(pages.read_text().split()[5]) * resource.getpagesize() if pages.exists() else 0
    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    wanted = now + more
    within = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    resource.setrlimit(resource.RLIMIT_DATA, (within, hard))
