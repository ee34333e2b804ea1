"""What DVC knows, told to Snakemake in the only words it understands: modification times.

DVC decides by content whether a stage is changed; Snakemake decides by time whether a rule must
run. Each time the main Snakemake process reads the Snakefile, `begin` pulls what was built and is
not here, `align` asks DVC once and then

    a fresh stage   its artifact's .snakemake_timestamp is set to a time in the past, rising along
                    the graph, and its stamp to constant content and an older time;
    a stale stage   its stamp, an input of its rule, gets new content and the present time.

Snakemake's ordinary mtime trigger then selects the stale stages and what follows from them.
What it relies on: Snakemake keeps a directory output's time in `.snakemake_timestamp` inside it,
compares small inputs by checksum (so a stamp's content has to change), and keeps its locks and
incomplete marks as files in .snakemake. tests/test_properties.py fails when one of these changes.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import psutil
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from residency import slurm
from residency.graph import Stage
from residency.remotes import pull
from residency.section import Complaint

if TYPE_CHECKING:
    from dvc.repo import Repo

STATE = Path(".snakemake")
STAMPS = STATE / "stamps"
DISTANT_PAST = 1_000_000_000  # seconds; 2001

_held: list[IO[str]] = []  # the lock lives as long as this process


def stamp(stage: str) -> Path:
    """The input by which a rule learns that its stage is stale."""
    return STAMPS / stage


def begin(dry: bool, cancel: bool = False) -> dict[str, str]:
    """Take this folder unless another Snakemake is at work in it, and pull what is missing here.

    `dry`: only say what would be pulled; `cancel`: whether jobs on a cluster that outlived their
    Snakemake are cancelled, and not waited for. Returns why something was not pulled, by stage.
    """
    STAMPS.mkdir(parents=True, exist_ok=True)
    if not _alone():
        return {}
    _clear_the_dead(cancel)
    if os.environ.get("RESIDENCY_PULL") == "no" or not _anything_missing():
        return {}
    from dvc.repo import lock_repo

    with asked() as repo, lock_repo(repo):
        return pull(repo, dry)


def align(stages: list[Stage]) -> None:
    """Make modification times say what DVC knows, if this folder is ours.

    `stages`: all stages in topological order. Raises Complaint if DVC cannot tell.
    """
    if not _held:
        return
    stale = changed()
    for position, stage in enumerate(stages):
        if stage.name in stale:
            _write(stamp(stage.name), f"stale {time.time_ns()}\n")
        else:
            past = DISTANT_PAST + position
            _write(stamp(stage.name), "fresh\n", DISTANT_PAST - 1)
            _write(stage.out / ".snakemake_timestamp", "", past)


def changed() -> set[str]:
    """Names of the stages that DVC calls changed: by content, parameters, code or command."""
    with asked() as repo:
        return set(repo.status())


def status() -> dict[str, list[Any]]:
    """Why each changed stage is, in DVC's words: {stage: [{"changed deps": {path: "new"}}, ...]}.

    One whose result DVC has kept from an earlier time has "kept" among these: it will be put back
    and not computed, if what it reads stays as it is.
    """
    with asked() as repo:
        found: dict[str, list[Any]] = repo.status()
        for stage in repo.index.stages:
            if stage.addressing in found and _kept(repo, stage):
                found[stage.addressing].append("kept")
        return found


def _kept(repo: Repo, stage: Any) -> bool:
    """Whether DVC has what this stage would write: from now, or from a run with the same inputs.

    As dvc.stage.cache.StageCache.restore decides it, without restoring.
    """
    from dvc.exceptions import DvcException

    runs = repo.stage_cache
    with contextlib.suppress(DvcException):  # an input is not there yet
        if stage.changed_stage() or not stage.deps_cached():
            stage.save_deps()
            kept = runs._load(stage)
            return bool(kept) and bool(runs._create_stage(kept).outs_cached())
        return bool(stage.outs_cached())
    return False


def identity(stage: str) -> tuple[str, bool]:
    """A stage's inputs, parameters, code and command in one word; whether DVC has what they give.

    Raises Complaint while an input is not there.
    """
    from dvc.exceptions import DvcException
    from dvc.repo import Repo
    from dvc.stage.cache import _get_stage_hash

    try:
        with Repo() as repo:
            (found,) = (each for each in repo.index.stages if each.addressing == stage)
            kept = _kept(repo, found)
            found.save_deps()
            return _get_stage_hash(found), kept
    except DvcException as error:
        raise Complaint(f"dvc cannot tell what {stage} reads: {error}") from None


@contextlib.contextmanager
def asked() -> Iterator[Repo]:
    """DVC, as `dvc --wait-for-lock status` asks it. Raises Complaint where it cannot tell."""
    from dvc.exceptions import DvcException
    from dvc.repo import Repo

    try:
        with Repo(_wait_for_lock=True) as repo:
            _forget_the_dead(repo)
            yield repo
    except DvcException as error:
        raise Complaint(f"dvc status failed: {error}") from None


def _anything_missing() -> bool:
    """Whether a stage reads or writes what is not here; DVC would take half a second to tell."""
    path = Path("dvc.yaml")
    with contextlib.suppress(YAMLError):  # the graph will complain
        stages = YAML(typ="safe").load(path)["stages"] if path.is_file() else {}
        paths = {path for stage in stages.values() for path in [*stage["deps"], *stage["outs"]]}
        return not all(Path(path).exists() for path in paths)
    return False


def _write(path: Path, content: str, when: float | None = None) -> None:
    if not path.is_file() or path.read_text() != content:
        path.write_text(content)
    if when is not None:
        os.utime(path, (when, when))


def _alone() -> bool:
    """Take this folder's lock for the life of the process; False if a Snakemake is at work in it.

    Two Snakemakes that are only reading (a dry run takes a second or two) wait for each other.
    """
    lock = (STATE / "residency.lock").open("a")
    while not locked(lock):
        if any((STATE / "locks").glob("*")):
            lock.close()
            return False
        time.sleep(0.2)
    _held.append(lock)
    return True


def locked(file: IO[str]) -> bool:
    """Take a file's lock for the life of this process; False if another process has it.

    Raises Complaint where the file system knows no locks.
    """
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        raise Complaint(
            f"{file.name}: files cannot be locked here ({error.strerror}), so two runs could write "
            "one place; a cluster's file system takes NFS 4, or Lustre mounted with flock"
        ) from None
    return True


def _clear_the_dead(cancel: bool) -> None:
    """Clear up after a Snakemake that was killed: nobody else is at work here, and DVC knows all.

    A job may outlive its Snakemake. It is waited for, lest two write one place.
    """
    left = list((STATE / "locks").glob("*"))
    told: set[str] = set()
    while jobs := at_work(here=bool(left)):
        for job in sorted(jobs.keys() - told):
            told.add(job)
            kind, _, number = job.rpartition(" ")
            on_cluster = kind == "SLURM job"
            if on_cluster and cancel:
                print(f"ending a job of an earlier run: {jobs[job]} ({job})", file=sys.stderr)
                slurm.cancel(number)
                continue
            print(
                f"waiting for a job of an earlier run: {jobs[job]} ({job}; "
                f"to start it over instead: {'scancel' if on_cluster else 'kill'} {number})",
                file=sys.stderr,
            )
        time.sleep(0.5)
    for path in left:
        path.unlink(missing_ok=True)
    shutil.rmtree(STATE / "incomplete", ignore_errors=True)


def _forget_the_dead(repo: Repo) -> None:
    """Take the killed out of DVC's list of who reads and writes what.

    DVC drops a process that is gone, but not one that nobody has waited for (in a container whose
    first process does not, it stays for ever), nor one whose number another process has by now.
    While jobs are at work on a cluster, whose processes are not seen here, nothing is dropped.
    """
    if not slurm.at_work():
        _forget(repo, lambda process: not _lives(process))


def forget(stage: str) -> None:
    """Take earlier jobs of a stage out of DVC's list, of which none is left.

    Where a node died, DVC would ask this one whether its processes live, by their numbers alone.
    """
    from dvc.repo import Repo

    with Repo() as repo:
        _forget(repo, lambda process: process["cmd"].endswith(f" repro --single-item {stage}"))


def _forget(repo: Repo, dead: Callable[[dict[str, Any]], bool]) -> None:
    from dvc.rwlock import _edit_rwlock

    hardlink = repo.config["core"].get("hardlink_lock", False)
    with _edit_rwlock(repo.tmp_dir, repo.fs, hardlink) as lock:
        for path, process in list(lock["write"].items()):
            if dead(process):
                del lock["write"][path]
        for path, processes in list(lock["read"].items()):
            lock["read"][path] = [process for process in processes if not dead(process)]


def _lives(process: dict[str, Any]) -> bool:
    """Whether the process that DVC wrote down as {pid, cmd} is still at work."""
    with contextlib.suppress(psutil.Error):
        return " ".join(psutil.Process(process["pid"]).cmdline()).endswith(process["cmd"])
    return False


def at_work(here: bool = True) -> dict[str, str]:
    """The jobs in this folder, on a cluster and, `here`, on this machine: {which: what it is}.

    Here a job's processes are DVC's part and the step itself.
    """
    found = {f"SLURM job {number}": what for number, what in slurm.at_work().items()}
    for process in psutil.process_iter() if here else ():
        with contextlib.suppress(psutil.Error):  # ended since, or another user's
            words = process.cmdline()
            job = "repro" in words or any(word.startswith("residency.") for word in words)
            if job and Path(process.cwd()) == Path.cwd():
                found[f"process {process.pid}"] = " ".join(words)
    return found
