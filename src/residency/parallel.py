"""Work spread over the cores that a step was given, results in the order of the work.

How many cores is where-and-how: RESIDENCY_THREADS, or else those this process may run on. The
number never enters an artifact.
"""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

from residency.section import Complaint

Item = TypeVar("Item")
Result = TypeVar("Result")


def cores() -> int:
    """RESIDENCY_THREADS, or the cores that this process may run on."""
    told = os.environ.get("RESIDENCY_THREADS")
    if told is None:
        return len(os.sched_getaffinity(0))
    if not (told.isdecimal() and int(told) > 0):
        raise Complaint(f"RESIDENCY_THREADS: expected a number of threads, found {told!r}")
    return int(told)


def each(function: Callable[[Item], Result], items: Sequence[Item]) -> Iterator[Result]:
    """`function` of every item, in order, in processes of their own where that is worth while."""
    workers = min(cores(), len(items))
    if workers < 2:
        yield from map(function, items)
        return
    # Forked, so that what the function is bound to is shared and not sent.
    with multiprocessing.get_context("fork").Pool(workers, _remember, [function]) as pool:
        yield from pool.imap(_call, items)


_FUNCTION: list[Callable[[Any], Any]] = []


def _remember(function: Callable[[Any], Any]) -> None:
    _FUNCTION[:] = [function]


def _call(item: Any) -> Any:
    return _FUNCTION[0](item)
