"""launch: one step run by several processes, as torchrun would start them.

    step's process ── torch's elastic agent ──┬── python -m residency.launch JOB   rank 0, writes
                                              └── python -m residency.launch JOB   rank 1 ...

Each child calls the same step function with the same section and paths. A child's Complaint is the
step's; a signal is passed on to all; and none outlives the step's process.
"""

from __future__ import annotations

import ctypes
import importlib
import logging
import os
import signal
import sys
import tempfile
import traceback
from pathlib import Path
from typing import Any

from residency.files import read_json, write_json
from residency.section import Complaint, Section

PR_SET_PDEATHSIG = 1  # linux/prctl.h
GRACE_SECONDS = 600
"""For children to save and leave after a signal; a checkpoint of a large model takes minutes."""


def child() -> bool:
    """Whether this process was started by `launch`."""
    return "RESIDENCY_JOB" in os.environ


def launch(module: str, section: Section, processes: int, **paths: Path | None) -> None:
    """Run a step in `processes` processes on this machine.

    `module` is the step's, whose function has the module's name and returns in every process.
    Raises Complaint where a process complained or died, SystemExit with its status where one ended
    itself with a status of its own.
    """
    from torch.distributed.elastic.multiprocessing import DefaultLogsSpecs, SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.launcher.api import LaunchConfig, elastic_launch

    for name in list(logging.root.manager.loggerDict):
        if name.startswith("torch.distributed.elastic"):
            logging.getLogger(name).setLevel(logging.CRITICAL)
    cores = len(os.sched_getaffinity(0))
    with tempfile.TemporaryDirectory() as folder:
        told = {name: None if path is None else str(path) for name, path in paths.items()}
        job = {"module": module, "kind": type(section).__name__, "parent": os.getpid()}
        write_json(Path(folder) / "job.json", job | {"section": section.canonical(), "paths": told})
        config = LaunchConfig(
            min_nodes=1,
            max_nodes=1,
            nproc_per_node=processes,
            rdzv_backend="c10d",
            rdzv_endpoint="127.0.0.1:0",
            local_addr="127.0.0.1",
            run_id=str(os.getpid()),
            max_restarts=0,
            logs_specs=DefaultLogsSpecs(log_dir=folder),
            signals_to_handle="SIGTERM,SIGINT,SIGHUP,SIGQUIT,SIGUSR1",
            shutdown_timeout=GRACE_SECONDS,
        )
        before = dict(os.environ)
        os.environ["RESIDENCY_JOB"] = folder
        os.environ.setdefault("OMP_NUM_THREADS", str(max(1, cores // processes)))
        try:
            elastic_launch(config, sys.executable)("-m", "residency.launch")
        except (ChildFailedError, SignalException) as error:
            _tell(Path(folder), error)
        finally:
            os.environ.clear()
            os.environ |= before


def _tell(folder: Path, error: Any) -> None:
    """Raise what the first child that said something said, or that one died in silence."""
    told = sorted(folder.glob("said-*.json"))
    for said in map(read_json, told):
        if "complaint" in said:
            raise Complaint(said["complaint"]) from None
    for said in map(read_json, told):
        raise SystemExit(said["status"]) from None
    if not hasattr(error, "get_first_failure"):
        raise SystemExit(128 + int(error.sigval)) from None
    rank, failure = error.get_first_failure()
    code = failure.exitcode
    how = f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with status {code}"
    raise Complaint(
        f"process {rank} of the training {how}; what it said stands above"
        + (": the machine may be out of memory" if code == -signal.SIGKILL else "")
    ) from None


def main() -> None:
    """Be one of the processes; leaves without the interpreter's shutdown.

    There DeepSpeed's threads sometimes abort a process whose work is done.
    """
    folder = Path(os.environ["RESIDENCY_JOB"])
    job = read_json(folder / "job.json")
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != job["parent"]:
        os._exit(1)
    module = importlib.import_module(job["module"])
    section = getattr(module, job["kind"]).model_validate(job["section"])
    paths = {name: path and Path(path) for name, path in job["paths"].items()}
    step = getattr(module, job["module"].rpartition(".")[2])
    said = folder / f"said-{int(os.environ['RANK']):05}.json"
    status = 0
    try:
        step(section, **paths)
    except Complaint as error:
        status = 1
        write_json(said, {"complaint": str(error)})
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else int(end.code is not None)
        if status:
            write_json(said, {"status": status})
    except Exception:
        status = 1
        traceback.print_exc()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


if __name__ == "__main__":
    main()
