"""slurm: whether a cluster can tell how jobs end, and which jobs of this folder are at work on it.

    profiles/slurm ── Snakemake's plugin ── sbatch ── job ── srun ── residency.job ── DVC ── step

The plugin (snakemake-executor-plugin-slurm) submits and watches. What is mended in it would leave
it waiting for ever, or for minutes after a job: accounting that is installed but off, a job that
was cancelled, a pre-empted one that SLURM is told not to requeue, one that SLURM forgot before it
was asked about, one that can never start, and questions that grow rare. tests/cluster fails when
one of these changes.
"""

from __future__ import annotations

import contextlib
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from residency.section import Complaint

SETTINGS = ("nodes", "orphans")
"""What profiles/slurm sets in `config`: the nodes of a training; what is done about jobs left."""

ORPHANS = ("wait", "cancel")

LOGS = Path("logs/slurm")
"""The plugin's; profiles/slurm says so. Where it is, this folder's jobs have been on a cluster."""

LEAST_AGE = 120
"""Seconds that SLURM must remember an ended job where nothing else does; the plugin wants them."""

NEVER = ("PartitionTimeLimit", "PartitionConfig", "PartitionNodeLimit", "BadConstraints")
"""Why a job is in the queue that no waiting will help."""

PAUSE = 5  # seconds between questions to a controller that does not answer

ALIVE = "PENDING,RUNNING,COMPLETING,CONFIGURING,SUSPENDED,REQUEUED"


def ready() -> None:
    """Find out how SLURM tells that jobs ended, and see to it that the plugin asks that.

    Raises Complaint where there is no SLURM, or one that cannot tell.
    """
    _, trouble = _asked("sinfo", "--noheader")
    if trouble:
        raise Complaint(
            f"SLURM does not answer: {trouble}; start on a machine of the cluster that jobs may be "
            "submitted from, or leave out --profile profiles/slurm"
        )
    _mend()
    _, trouble = _asked("sacct", "--allocations", "--noheader", "--starttime=now")
    if not trouble:
        return
    settings, _ = _asked("scontrol", "show", "config")
    ages = [line.split("=")[1] for line in settings.splitlines() if line.startswith("MinJobAge")]
    age = int(ages[0].split()[0]) if ages else 0
    if age < LEAST_AGE:
        raise Complaint(
            f"SLURM cannot tell how jobs end: there is no accounting ({trouble}), and it forgets a "
            f"job after {age} seconds (MinJobAge), where {LEAST_AGE} are needed; ask those who run "
            "the cluster for either"
        )
    print(f"no accounting here ({trouble}): squeue tells how jobs end", file=sys.stderr)
    plugin = _plugin()
    plugin.Executor.get_status_command = lambda _: "squeue"
    plugin.get_min_job_age = lambda: age  # asked in an outage, it would turn to sacct for good


def at_work() -> dict[str, str]:
    """The jobs of Snakemake in this folder that are queued or running: {number: what it is}.

    None where there is no SLURM. Waits for a controller that does not answer if jobs of this folder
    have been on a cluster, and says so.
    """
    if not shutil.which("squeue"):
        return {}
    told = False
    while True:
        lines, trouble = _asked(
            "squeue", "--me", "--noheader", f"--states={ALIVE}", "--format=%i|%T|%k|%Z"
        )
        if not trouble:
            break
        if not LOGS.exists():
            return {}
        if not told:
            told = True
            print(
                f"waiting for SLURM, which may have jobs of an earlier run here: {trouble} "
                f"(if it is gone for good: rm -r {LOGS})",
                file=sys.stderr,
            )
        time.sleep(PAUSE)
    found = {}
    for line in lines.splitlines():
        number, state, comment, folder = line.split("|", 3)
        if comment.startswith("rule_") and Path(folder).resolve() == Path.cwd().resolve():
            what = comment.removeprefix("rule_").replace("_wildcards_", " ")
            found[number] = f"{what}, {state.lower()}"
    return found


def cancel(number: str) -> None:
    """Ask SLURM to end a job; a training saves its state first."""
    _asked("scancel", number)


def pass_on() -> None:
    """On a node, hand SIGTERM and SIGUSR1 on to the step, so that a training saves its state.

    SLURM tells the first process of a job alone that its time is up (of a control group, the child
    of slurmstepd), which is Snakemake; that would just wait for its job.
    """
    import psutil
    from snakemake.scheduling.job_scheduler import JobScheduler

    def hand_on(number: int, _frame: Any) -> None:
        for process in psutil.Process().children(recursive=True):
            with contextlib.suppress(psutil.Error):
                process.send_signal(number)

    wait = JobScheduler.exit_gracefully

    def hand_on_and_wait(self: Any, number: int, frame: Any) -> None:
        hand_on(number, frame)
        wait(self, number, frame)

    JobScheduler.exit_gracefully = hand_on_and_wait
    signal.signal(signal.SIGUSR1, hand_on)


def _asked(*command: str) -> tuple[str, str]:
    """What a command of SLURM prints, and in a line why it failed, if it did."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    except FileNotFoundError:
        return "", f"there is no {command[0]} on the path"
    except subprocess.TimeoutExpired:
        return "", f"{command[0]} said nothing for a minute"
    if done.returncode == 0:
        return done.stdout, ""
    reason = done.stderr.strip().splitlines() or [f"status {done.returncode}"]
    return "", f"{command[0]}: {reason[0].removeprefix(f'{command[0]}: ')}"


def _plugin() -> Any:
    try:
        return sys.modules["snakemake_executor_plugin_slurm"]
    except KeyError:
        raise Complaint(
            "profiles/slurm needs Snakemake's plugin for SLURM: pip install 'residency[slurm]'"
        ) from None


def _mend() -> None:
    """Have the plugin see ends that it does not know, as often as its user says.

    It takes `CANCELLED by 1000` for a job that runs and `PREEMPTED` for one that SLURM will start
    again, which profiles/slurm forbids; and it waits on for one that squeue no longer lists. That
    one counts as done: whether it was, Snakemake learns from its output, which is there whole or
    not at all.
    """
    plugin = _plugin()
    ask, seen, told = plugin.query_job_status, set[str](), set[str]()
    plugin.Executor.next_seconds_between_status_checks = property(
        lambda self: self.workflow.executor_settings.init_seconds_before_status_checks,
        lambda _self, _seconds: None,  # it would add ten each time
    )

    async def query_job_status(command: str, logger: Any) -> tuple[Any, Any]:
        states, seconds = await ask(command, logger)
        if states is None:
            return states, seconds
        states = {number: state.split()[0] for number, state in states.items()}
        ended = [number for number, state in states.items() if state == "PREEMPTED"]
        for number in sorted(set(ended) - told):
            told.add(number)
            logger.warning(f"SLURM job {number} made way for another; it is submitted again.")
        states |= dict.fromkeys(ended, "CANCELLED")
        queue, _ = _asked("squeue", "--me", "--noheader", "--states=PENDING", "--format=%i|%r")
        for number, reason in (line.split("|") for line in queue.splitlines()):
            if reason in NEVER and number in states and number not in told:
                told.add(number)
                logger.warning(
                    f"SLURM job {number} can never start ({reason}): it asks for more than the "
                    "partition gives. Stop Snakemake, and set the rule's threads, mem_mb, runtime "
                    "or slurm_partition in profiles/slurm/profile.yaml."
                )
        if command.startswith("squeue"):
            seen.update(states)
            states |= dict.fromkeys(seen - states.keys(), "UNKNOWN")
        return states, seconds

    plugin.query_job_status = query_job_status
