"""times: what it took to make each artifact here: seconds, energy, and seconds of each question.

    work/times/evaluations/finals/resident.jsonl   a line for each time that the step ran

They differ from machine to machine and from run to run, so they stand beside the artifacts, never
in them: an artifact is the same wherever it is made, and nothing is built anew for a time. A line
names what came out by a digest, so that a time is told only of the very artifact that is there. A
run that failed names nothing, and counts as an attempt of the next one. Removing the folder costs
nothing but knowledge.

Energy is that of the whole machine while the step ran: of its processors by RAPL (Linux's powercap,
which only root may read on many systems), of its GPUs by nvidia-smi's mean power. Where a counter
cannot be read, it is None and not 0.
"""

from __future__ import annotations

import hashlib
import os
import resource
import shutil
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson

from residency.files import sync, work

RAPL = Path("/sys/class/powercap")
COUNTER = ("energy_uj", "max_energy_range_uj")
BEGINNING = 1 << 20
"""Bytes of each file that the digest of an artifact reads; of the rest only the number."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Took:
    """What an artifact took, failed attempts before it included."""

    seconds: float
    cpu_seconds: float  # of this process and those that it waited for
    cores: int
    cpu_joules: float | None
    gpu_joules: float | None
    gpus: int  # whose power could be read
    attempts: int = 1
    questions: dict[str, tuple[float, int]] = field(default_factory=dict)  # id: seconds, tokens


_questions: dict[str, tuple[float, int]] = {}


def spent(ids: Sequence[str], seconds: Sequence[float], tokens: Sequence[int]) -> None:
    """Add to what each question has taken in this process."""
    for id, more, read in zip(ids, seconds, tokens, strict=True):
        before, count = _questions.get(id, (0.0, 0))
        _questions[id] = before + more, count + read


@contextmanager
def taken(out: Path) -> Iterator[None]:
    """Write down what the block takes, which makes `out`, also where it fails."""
    _questions.clear()
    began, cpu, joules = time.monotonic(), _cpu_seconds(), rapl()
    made = None
    with gpu_watts() as watts:
        try:
            yield
            made = digest(out)
        finally:
            seconds = time.monotonic() - began
            row = {
                "made": made,
                "seconds": round(seconds, 3),
                "cpu_seconds": round(_cpu_seconds() - cpu, 3),
                "cores": len(os.sched_getaffinity(0)),
                "cpu_joules": _burnt(joules, rapl()),
                "gpu_joules": round(sum(watts.values()) * seconds, 1) if watts else None,
                "gpus": len(watts),
                "questions": {id: (round(s, 4), n) for id, (s, n) in _questions.items()},
            }
            _append(place(out), row)


def _append(path: Path, row: dict[str, Any]) -> None:
    """Add a line, whole and flushed; where there is no room the artifact matters, not its time."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("ab") as file:
            file.write(b"\n" * _torn(path) + orjson.dumps(row, option=orjson.OPT_APPEND_NEWLINE))
        sync(path)
    except OSError:
        return


def _torn(path: Path) -> bool:
    """Whether a killed process left the last line unfinished."""
    return bool(path.stat().st_size) and not path.read_bytes().endswith(b"\n")


def place(out: Path) -> Path:
    """Where the times of an artifact lie: beside the store of replies."""
    parts = out.parts[out.parts.index("build") + 1 :] if "build" in out.parts else out.parts[-1:]
    return work().joinpath("times", *parts).with_suffix(".jsonl")


def took(out: Path) -> Took | None:
    """What the artifact that is there took; None where it was made elsewhere, or before."""
    path = place(out)
    if not path.is_file() or not out.is_dir():
        return None
    wanted, failed, found = digest(out), list[dict[str, Any]](), list[dict[str, Any]]()
    for row in _rows(path):
        if row["made"] == wanted:
            found = [*failed, row]
        failed = [*failed, row] if row["made"] is None else []
    if not found:
        return None
    last = found[-1]
    return Took(
        seconds=sum(row["seconds"] for row in found),
        cpu_seconds=sum(row["cpu_seconds"] for row in found),
        cores=last["cores"],
        cpu_joules=_sum(row["cpu_joules"] for row in found),
        gpu_joules=_sum(row["gpu_joules"] for row in found),
        gpus=last["gpus"],
        attempts=len(found),
        questions={id: (seconds, tokens) for id, (seconds, tokens) in last["questions"].items()},
    )


def _rows(path: Path) -> Iterator[dict[str, Any]]:
    """The lines that are whole."""
    for line in path.read_bytes().splitlines():
        try:
            yield orjson.loads(line)
        except orjson.JSONDecodeError:  # a process was killed while it wrote
            continue


def _sum(values: Iterator[float | None]) -> float | None:
    """None where one is not known."""
    found = list(values)
    known = [each for each in found if each is not None]
    return sum(known) if len(known) == len(found) else None


def digest(out: Path) -> str:
    """What tells an artifact from another of the same name, by names, sizes and beginnings."""
    found = hashlib.sha256()
    for path in sorted(each for each in out.rglob("*") if each.is_file()):
        if not path.name.startswith("."):  # Snakemake's own time of a folder
            with path.open("rb") as file:
                name = path.relative_to(out).as_posix()
                found.update(orjson.dumps([name, path.stat().st_size]) + file.read(BEGINNING))
    return found.hexdigest()


def _cpu_seconds() -> float:
    kinds = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    return sum(each.ru_utime + each.ru_stime for each in map(resource.getrusage, kinds))


def rapl() -> dict[str, tuple[int, int]]:
    """Microjoules of each processor package so far, and where its counter begins again at 0.

    Packages alone (intel-rapl:0, also AMD's): what stands below one is part of it. None of them
    where one cannot be read.
    """
    found = {}
    try:
        for zone in sorted(RAPL.glob("intel-rapl:*")):
            if zone.name.count(":") == 1 and "package" in (zone / "name").read_text():
                now, most = (int((zone / each).read_text()) for each in COUNTER)
                found[zone.name] = now, most
    except (OSError, ValueError):
        return {}
    return found


def _burnt(
    before: Mapping[str, tuple[int, int]], after: Mapping[str, tuple[int, int]]
) -> float | None:
    """Joules between two readings; a counter that began again did so once."""
    if not before or before.keys() != after.keys():
        return None
    steps = ((after[zone][0] - now, most) for zone, (now, most) in before.items())
    return round(sum(step if step >= 0 else step + most for step, most in steps) / 1e6, 1)


@contextmanager
def gpu_watts() -> Iterator[dict[str, float]]:
    """The mean power of each GPU, filled in while the block runs; stays empty where it is unread.

    A second's samples of nvidia-smi, which ends with this process: nobody reads what it writes.
    """
    found: dict[str, float] = {}
    if not (tool := shutil.which("nvidia-smi")):
        yield found
        return
    seen = os.environ.get("CUDA_VISIBLE_DEVICES")
    words = ["--query-gpu=index,power.draw", "--format=csv,noheader,nounits", "--loop=1"]
    command = [tool, *words, *([f"--id={seen}"] if seen else [])]
    quiet = subprocess.DEVNULL
    with subprocess.Popen(
        command, stdin=quiet, stdout=subprocess.PIPE, stderr=quiet, text=True
    ) as child:
        reader = threading.Thread(target=_read, args=(child.stdout, found), daemon=True)
        reader.start()
        try:
            yield found
        finally:
            child.terminate()
            reader.join()


def _read(lines: Any, watts: dict[str, float]) -> None:
    """Keep the mean of what each GPU's samples say."""
    counts: dict[str, int] = {}
    for line in lines:
        gpu, _, said = line.partition(",")
        try:
            sample = float(said)
        except ValueError:  # [N/A]
            continue
        counts[gpu] = counts.get(gpu, 0) + 1
        watts[gpu] = watts.get(gpu, 0.0) + (sample - watts.get(gpu, 0.0)) / counts[gpu]
