"""What slurm asks and concludes, with scripts in place of SLURM; tests/cluster has a real one."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from residency import slurm
from residency.section import Complaint


@pytest.fixture
def play(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """`play(squeue="echo 5")` puts a script of that name first on the path."""
    (tmp_path / "bin").mkdir()
    (tmp_path / "folder").mkdir()
    monkeypatch.chdir(tmp_path / "folder")
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))

    def played(**scripts: str) -> None:
        for name, script in scripts.items():
            path = tmp_path / "bin" / name
            path.write_text(f"#!/bin/sh\n{script}\n")
            path.chmod(0o755)

    return played


@pytest.fixture
def plugin(monkeypatch: pytest.MonkeyPatch) -> Any:
    """What there is of the plugin to mend."""

    class Executor:
        workflow = SimpleNamespace(
            executor_settings=SimpleNamespace(init_seconds_before_status_checks=40)
        )

    async def query_job_status(command: str, _: Any) -> tuple[Any, Any]:
        return (None, None) if command == "away" else (dict(found.said), 0.1)

    found = SimpleNamespace(Executor=Executor, query_job_status=query_job_status, said={})
    monkeypatch.setitem(sys.modules, "snakemake_executor_plugin_slurm", found)
    return found


def asked(plugin: Any, command: str, states: dict[str, str]) -> tuple[Any, list[str]]:
    """The states that the plugin learns, and its warnings."""
    warned: list[str] = []
    plugin.said = states
    logger = SimpleNamespace(warning=warned.append)
    learned, _ = asyncio.run(plugin.query_job_status(command, logger))
    return learned, warned


def test_jobs_of_this_folder_and_no_others_are_at_work(play: Any, tmp_path: Path) -> None:
    assert slurm.at_work() == {}
    here, there = tmp_path / "folder", tmp_path / "bin"
    play(
        squeue=f"""echo '7|RUNNING|rule_train_wildcards_reader|{here}'
echo '8|PENDING|rule_report|{here}'
echo '9|RUNNING|rule_report|{there}'
echo '10|RUNNING|(null)|{here}'"""
    )
    assert slurm.at_work() == {"7": "train reader, running", "8": "report, pending"}


def test_a_controller_that_is_away_is_waited_for_where_jobs_were_submitted(
    play: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    play(squeue="echo 'squeue: error: no controller' >&2; exit 1")
    assert slurm.at_work() == {}
    slurm.LOGS.mkdir(parents=True)
    monkeypatch.setattr(slurm.time, "sleep", lambda _: play(squeue=":"))
    assert slurm.at_work() == {}
    said = capsys.readouterr().err
    assert said.count("waiting for SLURM") == 1
    assert "squeue: error: no controller (if it is gone for good: rm -r logs/slurm)" in said


def test_where_no_slurm_is_the_profile_is_refused(play: Any, plugin: Any) -> None:  # noqa: ARG001
    with pytest.raises(Complaint, match="does not answer: there is no sinfo on the path; start on"):
        slurm.ready()


def test_without_the_plugin_its_installation_is_named(
    play: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    play(sinfo=":")
    monkeypatch.delitem(sys.modules, "snakemake_executor_plugin_slurm", raising=False)
    with pytest.raises(Complaint, match=r"pip install 'residency\[slurm\]'"):
        slurm.ready()


@pytest.mark.parametrize("age", [300, 10])
def test_without_accounting_squeue_is_asked_if_slurm_remembers_long_enough(
    play: Any, plugin: Any, age: int, capsys: pytest.CaptureFixture[str]
) -> None:
    play(sinfo=":", sacct="echo 'Slurm accounting storage is disabled' >&2; exit 1")
    play(scontrol=f"echo 'MinJobAge               = {age} sec'")
    if age < slurm.LEAST_AGE:
        with pytest.raises(
            Complaint, match=r"storage is disabled\), and it forgets a job after 10 "
        ):
            slurm.ready()
        return
    slurm.ready()
    assert plugin.Executor().get_status_command() == "squeue"
    assert plugin.get_min_job_age() == 300
    assert "storage is disabled): squeue tells how jobs end" in capsys.readouterr().err


def test_the_plugin_learns_of_every_end_and_asks_as_often_as_it_is_told(
    play: Any, plugin: Any
) -> None:
    play(sinfo=":", sacct=":", squeue=":")
    slurm.ready()
    assert not hasattr(plugin.Executor, "get_status_command")
    executor = plugin.Executor()
    executor.next_seconds_between_status_checks = 170
    assert executor.next_seconds_between_status_checks == 40

    states, warned = asked(
        plugin, "sacct", {"1": "PREEMPTED", "2": "RUNNING", "7": "CANCELLED by 1000"}
    )
    assert states == {"1": "CANCELLED", "2": "RUNNING", "7": "CANCELLED"}
    assert warned == ["SLURM job 1 made way for another; it is submitted again."]
    assert asked(plugin, "sacct", {"1": "PREEMPTED"})[1] == []

    asked(plugin, "squeue", {"3": "RUNNING", "4": "RUNNING"})
    assert asked(plugin, "squeue", {"4": "RUNNING"})[0] == {"3": "UNKNOWN", "4": "RUNNING"}
    assert asked(plugin, "away", {})[0] is None


def test_a_job_that_can_never_start_is_told_once(play: Any, plugin: Any) -> None:
    play(sinfo=":", sacct=":", squeue="echo '5|PartitionTimeLimit'; echo '6|Priority'")
    slurm.ready()
    states = {"5": "PENDING", "6": "PENDING"}
    learned, warned = asked(plugin, "sacct", states)
    assert learned == states
    assert len(warned) == 1
    assert warned[0].startswith(
        "SLURM job 5 can never start (PartitionTimeLimit): it asks for more"
    )
    assert asked(plugin, "sacct", states)[1] == []


def test_the_plugin_still_has_what_is_mended() -> None:
    plugin = pytest.importorskip("snakemake_executor_plugin_slurm")
    assert callable(plugin.query_job_status)
    assert callable(plugin.Executor.get_status_command)
    assert "self.next_seconds_between_status_checks" in Path(plugin.__file__).read_text()
