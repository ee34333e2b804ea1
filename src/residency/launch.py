"""launch: one step run by several processes, as torchrun would start them, on one node or several.

    step's process ── torch's elastic agent ──┬── python -m residency.launch   rank 0, writes
                                              └── python -m residency.launch   rank 1 ...

    step's process ── srun ──┬── python -m residency.launch   an agent on the first node ── ranks
                             └── python -m residency.launch   an agent on the next ...

Each child calls the same step function with the same section and paths. A child's Complaint is the
step's; a signal is passed on to all; and none outlives the step's process.
"""

from __future__ import annotations

import ctypes
import importlib
import logging
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from residency.files import read_json, write_json
from residency.section import Complaint, Section, Setback

PR_SET_PDEATHSIG = 1  # linux/prctl.h
GRACE_SECONDS = 600
"""For children to save and leave after a signal; a checkpoint of a large model takes minutes."""


def child() -> bool:
    """Whether this process was started by `launch`."""
    return "RESIDENCY_JOB" in os.environ


def launch(
    module: str, section: Section, processes: int, nodes: int = 1, **paths: Path | None
) -> None:
    """Run a step in `processes` processes on each of `nodes` nodes; on one, on this machine.

    `module` is the step's, whose function has the module's name and returns in every process;
    `paths` has `out`. Several nodes are those of the SLURM job that this process runs in, and see
    the same files. Raises Complaint where a process complained or died, SystemExit with its status
    where one ended itself with a status of its own.
    """
    if nodes > 1 and "SLURM_JOB_ID" not in os.environ:
        raise Complaint(
            f"RESIDENCY_NODES: found {nodes}, and this is no job of SLURM, which would have them; "
            "set nodes in profiles/slurm alone"
        )
    with tempfile.TemporaryDirectory(**_shared(paths["out"]) if nodes > 1 else {}) as place:
        folder = Path(place)
        told = {name: None if path is None else str(path) for name, path in paths.items()}
        job = {"module": module, "kind": type(section).__name__, "section": section.canonical()}
        job |= {"paths": told, "processes": processes, "port": _free_port()}
        write_json(folder / "job.json", job)
        with _environment(RESIDENCY_JOB=place):
            status = _on_nodes(nodes) if nodes > 1 else _agent(folder, ["127.0.0.1"])
        said = [read_json(path) for path in sorted(folder.glob("said-*.json"))]
        died = [read_json(path) for path in sorted(folder.glob("died-*.json"), key=_when)]
    for each in said:
        if "complaint" in each:
            raise (Setback if each["setback"] else Complaint)(each["complaint"])
    for each in said:
        raise SystemExit(each["status"])
    for each in died:
        raise Setback(each["complaint"])
    if status:
        raise SystemExit(status)


def _shared(out: Path | None) -> dict[str, Any]:
    """Where nodes leave word for each other, beside the output; a killed one's is removed."""
    assert out
    beside = out.absolute()
    for old in beside.parent.glob(f"{beside.name}-launch-*"):
        shutil.rmtree(old)
    return {"prefix": f"{beside.name}-launch-", "dir": beside.parent}


def _on_nodes(nodes: int) -> int:
    """Start an agent on each node of this SLURM job; the status they end with."""
    threads = os.environ.get("RESIDENCY_THREADS") or str(len(os.sched_getaffinity(0)))
    command = ["srun", f"--nodes={nodes}", f"--ntasks={nodes}", f"--cpus-per-task={threads}"]
    agents = subprocess.Popen(
        [*command, "--kill-on-bad-exit=0", sys.executable, "-m", "residency.launch"]
    )

    def pass_on(number: int, _frame: Any) -> None:
        agents.send_signal(number)

    before = {each: signal.signal(each, pass_on) for each in (signal.SIGTERM, signal.SIGUSR1)}
    try:
        return agents.wait()
    finally:
        agents.terminate()
        for each, handler in before.items():
            signal.signal(each, handler)


def _agent(folder: Path, nodes: list[str]) -> int:
    """Run this node's processes, in step with the other nodes' agents; the status to end with."""
    from torch.distributed.elastic.multiprocessing import DefaultLogsSpecs, SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.launcher.api import LaunchConfig, elastic_launch

    for name in list(logging.root.manager.loggerDict):
        if name.startswith("torch.distributed.elastic"):
            logging.getLogger(name).setLevel(logging.CRITICAL)
    job = read_json(folder / "job.json")
    cores = len(os.sched_getaffinity(0))
    this = int(os.environ["SLURM_PROCID"]) if len(nodes) > 1 else 0
    with tempfile.TemporaryDirectory() as logs:
        config = LaunchConfig(
            min_nodes=len(nodes),
            max_nodes=len(nodes),
            nproc_per_node=job["processes"],
            rdzv_backend="c10d",
            rdzv_endpoint=f"{nodes[0]}:{job['port']}",
            rdzv_configs={"is_host": this == 0},
            local_addr=nodes[this],
            run_id=folder.name,
            max_restarts=0,
            logs_specs=DefaultLogsSpecs(log_dir=logs),
            signals_to_handle="SIGTERM,SIGINT,SIGHUP,SIGQUIT,SIGUSR1",
            shutdown_timeout=GRACE_SECONDS,
        )
        told = {"RESIDENCY_PARENT": str(os.getpid())}
        if "OMP_NUM_THREADS" not in os.environ:
            told["OMP_NUM_THREADS"] = str(max(1, cores // job["processes"]))
        if len(nodes) > 1:
            told |= _interface(nodes[1] if this == 0 else nodes[0])
        try:
            with _environment(**told):
                elastic_launch(config, sys.executable)("-m", "residency.launch")
        except SignalException as error:
            return 128 + int(error.sigval)
        except ChildFailedError as error:
            rank, failure = error.get_first_failure()
            write_json(folder / f"died-{this:05}.json", {"complaint": _death(rank, failure)})
            return 1
    return 0


def _death(rank: int, failure: Any) -> str:
    code = failure.exitcode
    how = f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with status {code}"
    return f"process {rank} of the training {how}; what it said stands above" + (
        ": the machine may be out of memory" if code == -signal.SIGKILL else ""
    )


def _interface(other: str) -> dict[str, str]:
    """The network interface towards another node, for gloo and NCCL, which else guess.

    A node's own name often stands for its loopback address, where no other node finds it.
    """
    import psutil

    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect((other, 9))  # sends nothing
        address = probe.getsockname()[0]
    for name, addresses in psutil.net_if_addrs().items():
        if any(each.address == address for each in addresses):
            return {
                key: os.environ.get(key, name)
                for key in ["GLOO_SOCKET_IFNAME", "NCCL_SOCKET_IFNAME"]
            }
    return {}


def _when(path: Path) -> int:
    return path.stat().st_mtime_ns


@contextmanager
def _environment(**told: str) -> Iterator[None]:
    """Within, the environment has these as well."""
    before = dict(os.environ)
    os.environ |= told
    try:
        yield
    finally:
        os.environ.clear()
        os.environ |= before


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("", 0))
        return int(listener.getsockname()[1])


def main() -> None:
    """Be one of the processes, or the agent of a node.

    Leaves without the interpreter's shutdown: there DeepSpeed's threads sometimes abort a process
    whose work is done.
    """
    folder = Path(os.environ["RESIDENCY_JOB"])
    if "RANK" not in os.environ:
        listed = ["scontrol", "show", "hostnames", os.environ["SLURM_STEP_NODELIST"]]
        nodes = subprocess.run(listed, check=True, capture_output=True, text=True).stdout.split()
        os._exit(_agent(folder, nodes))
    job = read_json(folder / "job.json")
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != int(os.environ["RESIDENCY_PARENT"]):
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
        write_json(said, {"complaint": str(error), "setback": isinstance(error, Setback)})
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
