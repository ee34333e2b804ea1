from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from residency.blocks import Blocks
from residency.course import Course

LENGTH = 4


@pytest.fixture(scope="module")
def blocks(tmp_path_factory: pytest.TempPathFactory) -> Blocks:
    """Ten blocks, each of its own number."""
    folder = tmp_path_factory.mktemp("pack")
    rows = np.arange(10, dtype=np.int32)[:, None].repeat(LENGTH, 1)
    for stem, array in ("tokens", rows), ("positions", rows), ("loss", np.ones_like(rows)):
        np.save(folder / f"{stem}.npy", array)
    np.save(folder / "bytes.npy", rows[:, 0])
    return Blocks(folder)


@settings(deadline=None)
@given(per_step=st.integers(1, 10), more=st.integers(0, 5), epoch=st.integers(0, 3))
def test_an_epoch_holds_each_block_once(
    blocks: Blocks, per_step: int, more: int, epoch: int
) -> None:
    course = Course(blocks, per_step, per_step + more, seed=1)
    course.set_epoch(epoch)
    rows = [course.row(item) for item in range(len(course))]
    assert sorted(row for row in rows if row is not None) == list(range(10))


@settings(deadline=None)
@given(per_step=st.integers(1, 10), more=st.integers(0, 5))
def test_a_step_takes_the_same_blocks_however_it_is_filled_up(
    blocks: Blocks, per_step: int, more: int
) -> None:
    def steps(width: int) -> list[list[int]]:
        course = Course(blocks, per_step, width, seed=1)
        rows = [course.row(item) for item in range(len(course))]
        each = [rows[at : at + width] for at in range(0, len(rows), width)]
        return [[row for row in step if row is not None] for step in each]

    assert steps(per_step) == steps(per_step + more)


def test_epochs_and_seeds_have_orders_of_their_own(blocks: Blocks) -> None:
    course, other = Course(blocks, 2, 2, seed=1), Course(blocks, 2, 2, seed=3)
    first = list(course.order)
    course.set_epoch(1)
    assert first != list(course.order)
    assert first != list(other.order)
    course.set_epoch(0)
    assert first == list(course.order)


def test_a_blank_has_nothing_to_learn(blocks: Blocks) -> None:
    course = Course(blocks, 3, 4, seed=1)
    assert course.row(3) is None
    assert not course[3][2].any()
    assert course[2][2].all()
