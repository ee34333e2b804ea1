"""What goes wrong on a cluster: the command that was given ends well, and repeats nothing."""

from __future__ import annotations

import os
import re
import signal
import subprocess
from pathlib import Path

import psutil
import pytest
from building import Build, Clustered
from slurm import Slurm, said, waited

pytestmark = pytest.mark.slow

TRAINING = "train/reader", "Running stage 'train-reader'"


def begun(project: Clustered, *options: str, **variables: str) -> tuple[Build, str]:
    """A build whose only job is training, and that job."""
    build = project.build(*options, **variables)
    build.until(lambda: project.at(*TRAINING), "training")
    (job,) = build.jobs()
    return build, job


def trainings(project: Clustered) -> list[psutil.Process]:
    """The processes that train in a project."""
    found = []
    for process in psutil.process_iter():
        try:
            if "residency.train" in process.cmdline() and Path(process.cwd()) == project.root:
                found.append(process)
        except psutil.Error:
            continue
    return found


def signalled(process: psutil.Process) -> bool:
    """Whether a suspended process has been told to end."""
    status = Path(f"/proc/{process.pid}/status").read_text()
    (pending,) = re.findall(r"^ShdPnd:\s*(\w+)", status, flags=re.MULTILINE)
    return bool(int(pending, 16) >> signal.SIGTERM - 1 & 1)


def ended_well(project: Clustered, build: Build, jobs: int) -> str:
    """What a build said that trained in so many jobs and submitted nothing else."""
    output = build.ended()
    assert build.rules() == ["train/reader"] * jobs
    assert project.settled()
    return output


def test_a_cancelled_job_is_submitted_again(mine: Clustered) -> None:
    build, job = begun(mine)
    said("scancel", job)
    output = ended_well(mine, build, jobs=2)
    assert f"SLURM-job '{job}' failed, SLURM status is: 'CANCELLED" in output


def test_a_job_whose_process_is_killed_is_submitted_again(mine: Clustered) -> None:
    build, job = begun(mine)
    build.until(lambda: trainings(mine), "a process")
    trainings(mine)[0].kill()
    assert f"SLURM-job '{job}' failed, SLURM status is: 'FAILED'" in ended_well(mine, build, jobs=2)


def test_a_job_outlives_its_nodes_daemon_for_a_while(mine: Clustered, slurm: Slurm) -> None:
    build, job = begun(mine)
    node = slurm.node_of(job)
    slurm.stop(node)
    slurm.start_node(node)
    assert "failed" not in ended_well(mine, build, jobs=1)


def test_a_job_that_outlives_its_node_is_waited_for_by_the_next(
    mine: Clustered, slurm: Slurm
) -> None:
    build, job = begun(mine)
    build.until(lambda: trainings(mine), "a process")
    (first,) = trainings(mine)
    first.suspend()
    slurm.stop(slurm.node_of(job), signal.SIGKILL)
    told = "waiting for an earlier job that still builds train-reader"
    build.until(lambda: mine.at("train/reader", told), "a second job")
    assert f"SLURM-job '{job}' failed due to a node failure" in build.said()
    first.resume()
    ended_well(mine, build, jobs=2)
    assert "didn't change, skipping" in mine.log("train/reader")


def test_a_node_set_down_costs_its_jobs_a_second_start(mine: Clustered, slurm: Slurm) -> None:
    build, job = begun(mine)
    node = slurm.node_of(job)
    said("scontrol", "update", f"NodeName={node}", "State=DOWN", "Reason=tested")
    build.until(lambda: len(build.jobs()) == 2, "a second job")
    said("scontrol", "update", f"NodeName={node}", "State=RESUME")
    assert f"SLURM-job '{job}' failed due to a node failure" in ended_well(mine, build, jobs=2)


def test_a_training_goes_on_after_its_time_limit(mine: Clustered) -> None:
    limits = ["train:runtime=2", "train:slurm_extra='--signal=TERM@40'"]
    build, job = begun(mine, "--set-resources", *limits)
    build.until(lambda: mine.at("train/reader", "step 1/"), "a step")
    (first,) = trainings(mine)
    first.suspend()
    build.until(lambda: signalled(first), "a signal")
    first.resume()
    build.until(lambda: mine.at("train/reader", "stopped by a signal after step"), "its end")
    build.until(lambda: len(build.jobs()) == 2, "a second job")
    said("scontrol", "update", f"JobId={build.jobs()[1]}", "TimeLimit=30")
    build.until(lambda: mine.at("train/reader", "going on after step"), "resumption")
    assert f"SLURM-job '{job}' failed, SLURM status is: 'FAILED'" in ended_well(mine, build, jobs=2)


def test_a_job_over_its_memory_is_submitted_with_more(mine: Clustered) -> None:
    build = mine.build("--set-resources", "train:mem_mb=400*attempt*attempt")
    output = build.ended()
    assert "OUT_OF_MEMORY" in output or "status is: 'FAILED'" in output
    assert set(build.rules()) == {"train/reader"}
    assert len(build.jobs()) > 1
    assert mine.settled()


def test_a_job_whose_step_complains_is_not_submitted_again(mine: Clustered) -> None:
    build = mine.build("--config", "nodes=1", "orphans=wait", "micro_batch=0")
    assert build.process.wait(240) == 1
    assert build.rules() == ["train/reader"]
    why = "RESIDENCY_MICRO_BATCH: expected a whole number from 1 to "
    assert f"train-reader is not tried again: {why}" in build.said()
    assert "Trying to restart job" not in build.said()
    ended_well(mine, mine.build(), jobs=1)


def test_a_job_makes_way_for_a_more_urgent_one(mine: Clustered) -> None:
    build, job = begun(mine)
    urgent = ["sbatch", "-p", "urgent", "-N3", "--exclusive", "-t", "1", "--wrap", "sleep 5"]
    subprocess.run([*urgent, "-o", os.devnull], check=True, cwd=mine.root.parent)
    output = ended_well(mine, build, jobs=2)
    assert f"SLURM job {job} made way for another; it is submitted again." in output


def test_jobs_left_by_a_killed_build_are_ended_on_request(mine: Clustered) -> None:
    first, job = begun(mine)
    first.process.kill()
    first.process.wait()
    second = mine.build("--config", "nodes=1", "orphans=cancel")
    second.until(
        lambda: (
            f"ending a job of an earlier run: train reader, running (SLURM job "
            f"{job}" in second.said()
        ),
        "the end of the job",
    )
    ended_well(mine, second, jobs=1)


def test_an_outage_of_the_controller_and_the_database_is_waited_for(
    mine: Clustered, slurm: Slurm
) -> None:
    build, _ = begun(mine)
    slurm.stop("slurmctld")
    slurm.stop("slurmdbd")
    waited(lambda: mine.at("train/reader", "Use `dvc push`"), "the end of training", 240)
    slurm.start_database()
    slurm.start_controller()
    assert "failed" not in ended_well(mine, build, jobs=1)


def test_without_accounting_squeue_tells_of_jobs_even_after_an_outage(
    mine: Clustered, slurm: Slurm
) -> None:
    with slurm.without_accounting(remembers=600):
        build, job = begun(mine)
        said("scancel", job)
        build.until(lambda: len(build.jobs()) == 2 and trainings(mine), "a second job")
        slurm.stop("slurmctld")
        waited(lambda: mine.at("train/reader", "Use `dvc push`"), "the end of training", 240)
        slurm.start_controller()
        output = ended_well(mine, build, jobs=2)
    assert "no accounting here (sacct: Slurm accounting storage is disabled): squeue" in output
    assert f"SLURM-job '{job}' failed, SLURM status is: 'CANCELLED'" in output


def test_a_slurm_that_cannot_tell_how_jobs_end_is_refused(mine: Clustered, slurm: Slurm) -> None:
    with slurm.without_accounting(remembers=10):
        build = mine.build()
        assert build.process.wait(120) == 1
    assert build.jobs() == []
    why = "sacct: Slurm accounting storage is disabled), and it forgets a job after 10 seconds"
    assert f"SLURM cannot tell how jobs end: there is no accounting ({why}" in build.said()
