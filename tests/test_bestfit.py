from __future__ import annotations

from collections import Counter
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from residency.bestfit import PIECE, Pieces, best_fit, write_blocks


def one_by_one(sizes: list[int], length: int) -> list[list[int]]:
    """Best-fit decreasing as it is told: each piece by itself, all blocks looked at."""
    blocks: list[list[int]] = []
    for size in sorted(sizes, reverse=True):
        rooms = [(length - sum(block), i) for i, block in enumerate(blocks)]
        fitting = [each for each in rooms if each[0] >= size]
        if fitting:
            blocks[min(fitting)[1]].append(size)
        else:
            blocks.append([size])
    return blocks


def laid(sizes: list[int], length: int) -> list[list[int]]:
    blocks = best_fit(np.array(sizes, np.int32), length)
    made: dict[int, list[int]] = {}
    for size, block in sorted(zip(sizes, blocks.tolist(), strict=True), reverse=True):
        made.setdefault(block, []).append(size)
    return list(made.values())


@given(st.lists(st.integers(1, 16), max_size=60))
def test_blocks_hold_every_piece_once_and_are_never_too_full(sizes: list[int]) -> None:
    blocks = laid(sizes, 16)
    assert sorted(size for block in blocks for size in block) == sorted(sizes)
    fills = sorted(map(sum, blocks))
    assert all(fill <= 16 for fill in fills)
    if len(fills) > 1:
        assert fills[0] + fills[1] > 16  # two blocks that fit one are never left apart


@given(st.lists(st.integers(1, 16), max_size=60))
def test_placing_a_size_at_once_fills_blocks_as_placing_one_by_one(sizes: list[int]) -> None:
    assert Counter(map(sum, laid(sizes, 16))) == Counter(map(sum, one_by_one(sizes, 16)))


def test_each_piece_goes_where_least_room_is_left() -> None:
    assert sorted(laid([4, 10, 7, 6, 3], 12)) == [[6, 3], [7, 4], [10]]


def piled(sizes: list[int]) -> Pieces:
    """Pieces that lie one behind the other, of which the last half is learned."""
    pieces = np.zeros(len(sizes), PIECE)
    pieces["length"] = sizes
    pieces["start"] = np.cumsum([0, *sizes])[:-1]
    pieces["learned"] = [size // 2 for size in sizes]
    pieces["bytes"] = [3 * size for size in sizes]
    return pieces


@given(
    turns=st.lists(st.lists(st.integers(1, 16), max_size=40), min_size=1, max_size=3),
    window=st.integers(1, 200),
    at_a_time=st.integers(1, 100),
)
def test_every_token_of_a_pass_is_written_once(
    tmp_path_factory: pytest.TempPathFactory,
    turns: list[list[int]],
    window: int,
    at_a_time: int,
) -> None:
    folder = tmp_path_factory.mktemp("part")
    most = max(sum(sizes) for sizes in turns)
    np.arange(100, 101 + most, dtype=np.int32).tofile(folder / "spilled")
    passes = [piled(sizes) for sizes in turns]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("residency.bestfit.WINDOW", window)
        patch.setattr("residency.bestfit.AT_A_TIME", at_a_time)
        kept = write_blocks(folder / "train", passes, folder / "spilled", 16, pad=7)
    tokens, positions, loss, sizes = (
        np.load(folder / "train" / f"{stem}.npy")
        for stem in ("tokens", "positions", "loss", "bytes")
    )
    assert tokens.shape == positions.shape == loss.shape == (kept["blocks"], 16)
    assert (tokens.dtype, loss.dtype, sizes.dtype) == (np.int32, np.uint8, np.int32)
    expected = Counter(token for each in turns for token in range(100, 100 + sum(each)))
    assert Counter(tokens[tokens != 7].tolist()) == expected
    assert kept["tokens"] == sum(map(sum, turns))
    assert kept["learned"] == loss.sum() == sum(size // 2 for each in turns for size in each)
    assert kept["bytes"] == sizes.sum()
    assert (3 * (tokens != 7).sum(1) == sizes).all()
    found: Counter[tuple[int, ...]] = Counter()
    for row in range(kept["blocks"]):
        starts = [*np.flatnonzero(positions[row] == 0), 16]
        for a, b in pairwise(starts):
            assert positions[row, a:b].tolist() == list(range(b - a))
            if tokens[row, a] == 7:
                assert not loss[row, a:b].any()
                continue
            found[tuple(tokens[row, a:b].tolist())] += 1
            assert loss[row, a:b].tolist() == [0] * (b - a - (b - a) // 2) + [1] * ((b - a) // 2)
    wanted: Counter[tuple[int, ...]] = Counter()
    for each in passes:
        for piece in each:
            start = 100 + int(piece["start"])
            wanted[tuple(range(start, start + int(piece["length"])))] += 1
    assert found == wanted


def test_what_is_passed_over_again_is_in_another_block(tmp_path: Path) -> None:
    np.arange(10, dtype=np.int32).tofile(tmp_path / "spilled")
    turns = [piled([5, 5]), piled([5, 5])]
    kept = write_blocks(tmp_path / "train", turns, tmp_path / "spilled", 32, pad=0)
    assert kept["blocks"] == 2
