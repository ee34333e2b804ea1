"""Work spread over the cores that a step was given, results in the order of the work.

For trusted work on large shared things; hostile files are read by `residency.workers`. What was
done beforehand by jobs of their own (`residency.share`) is found by `shared`.
"""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any, TypeVar

from residency.section import Setback
from residency.workers import cores

Item = TypeVar("Item")
Result = TypeVar("Result")


def each(function: Callable[[Item], Result], items: Sequence[Item]) -> Iterator[Result]:
    """`function` of every item, in order, in processes of their own where that is worth while.

    Raises Complaint when one of them is killed.
    """
    workers = min(cores(), len(items))
    if workers < 2:
        yield from map(function, items)
        return
    # Forked, so that what the function is bound to is shared and not sent.
    context = multiprocessing.get_context("fork")
    try:
        with ProcessPoolExecutor(workers, context, _remember, (function,)) as pool:
            yield from pool.map(_call, items)
    except BrokenProcessPool:
        raise Setback(
            f"one of {workers} processes was killed, as a system does that is short of memory; "
            "to use fewer: RESIDENCY_THREADS=1"
        ) from None


_FUNCTION: list[Callable[[Any], Any]] = []


def _remember(function: Callable[[Any], Any]) -> None:
    _FUNCTION[:] = [function]


def _call(item: Any) -> Any:
    return _FUNCTION[0](item)


def shared(phase: str, number: int) -> Path | None:
    """The folder that a job of its own left what it did about an item in; None if none did.

    The environment variable RESIDENCY_SHARES names a folder below which those of 8 jobs are
    8/<phase>/0 to 7. An item belongs to the job of its number's remainder.
    """
    if not (folder := os.environ.get("RESIDENCY_SHARES")):
        return None
    share = Path(folder, phase, str(number % int(Path(folder).name)))
    return share if share.is_dir() else None
