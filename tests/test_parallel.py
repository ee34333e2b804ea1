"""The number of processes is told from outside and the order of results is that of the work."""

from __future__ import annotations

import os
import signal

import pytest

from residency import parallel
from residency.section import Setback


def test_results_come_in_the_order_of_the_work(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RESIDENCY_THREADS", "3")
    found = list(parallel.each(lambda number: (number**2, os.getpid()), range(20)))
    assert [square for square, _ in found] == [number**2 for number in range(20)]
    assert os.getpid() not in {process for _, process in found}


def test_one_core_needs_no_other_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RESIDENCY_THREADS", "1")
    assert set(parallel.each(lambda _: os.getpid(), range(3))) == {os.getpid()}


def test_a_killed_process_is_told_and_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RESIDENCY_THREADS", "2")
    with pytest.raises(Setback, match=r"one of 2 processes was killed.*RESIDENCY_THREADS=1"):
        list(parallel.each(lambda _: os.kill(os.getpid(), signal.SIGKILL), range(4)))
