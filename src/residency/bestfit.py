"""bestfit: pieces of documents are laid into blocks, and the blocks onto disk.

    lengths ── best_fit ──> the block of each piece ── write_blocks ──> the arrays of a part

Nothing but lengths is held for a whole corpus: pieces are packed window by window, and written
some blocks at a time.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

PIECE = np.dtype(
    [
        ("start", "<i8"),  # place of its first token in the file of all tokens
        ("length", "<i4"),  # tokens
        ("learned", "<i4"),  # how many of the last tokens are to be predicted
        ("bytes", "<i4"),  # of UTF-8 text that the learned tokens stand for
        ("document", "<i4"),  # number of the document in its source
    ]
)
"""What stays together in a block: a document, or a block's length of a longer one."""

WINDOW = 1 << 28
"""Tokens that are packed at a time: a gigabyte, so that reading them in another order is cheap."""

AT_A_TIME = 1 << 20
"""Tokens that are written at a time."""

Pieces = NDArray[np.void]
Numbers = NDArray[np.int64]


def best_fit(lengths: NDArray[np.integer[Any]], length: int) -> Numbers:
    """The block of each piece: the longest piece first, each where least room is left.

    Best-fit decreasing, in which all pieces of one size are placed at once: a piece put into the
    block with least room leaves it the one with least room, so that it takes as many of the size
    as go into it before another block is looked at. Takes O(pieces log pieces) in numpy, and steps
    in Python only for each pair of a size and a room that meet.
    """
    order = np.argsort(-lengths, kind="stable")
    sizes, counts = np.unique(lengths, return_counts=True)
    blocks = np.empty(len(lengths), np.int64)
    rooms: list[int] = []  # the room left in blocks, each size once, ascending
    having: dict[int, list[Numbers]] = {}  # blocks by the room left in them
    made = at = 0

    def leave(room: int, left: Numbers) -> None:
        if room and len(left):
            if room not in having:
                having[room] = []
                insort(rooms, room)
            having[room].append(left)

    for size, count in zip(sizes[::-1].tolist(), counts[::-1].tolist(), strict=True):
        end = at + count
        while at < end:
            fit = bisect_left(rooms, size)
            room = rooms[fit] if fit < len(rooms) else length
            each = room // size
            wanted = -(-(end - at) // each)
            if fit < len(rooms):
                chosen = having[room].pop()
                if len(chosen) > wanted:
                    having[room].append(chosen[:-wanted])
                    chosen = chosen[-wanted:]
                if not having[room]:
                    del having[room], rooms[fit]
            else:
                chosen = np.arange(made, made + wanted)
                made += wanted
            placed = min(end - at, len(chosen) * each)
            blocks[order[at : at + placed]] = np.repeat(chosen, each)[:placed]
            at += placed
            full, rest = divmod(placed, each)
            leave(room - each * size, chosen[:full])
            leave(room - rest * size, chosen[full:])
    return blocks


def write_blocks(
    folder: Path, passes: Iterable[Pieces], tokens: Path, length: int, pad: int
) -> dict[str, int]:
    """Pack each pass by itself and write a part of a pack; its blocks, tokens, learned and bytes.

    `tokens`: the file of all tokens, int32, into which `start` of a piece points.
    """
    folder.mkdir()
    kept = {"blocks": 0, "tokens": 0, "learned": 0, "bytes": 0}
    shapes: dict[str, tuple[str, tuple[int, ...]]] = {
        "tokens": ("<i4", (length,)),
        "positions": ("<i4", (length,)),
        "loss": ("|u1", (length,)),
        "bytes": ("<i4", ()),
    }
    files = {name: (folder / f"{name}.npy").open("wb") for name in shapes}
    for name, (kind, row) in shapes.items():
        _head(files[name], kind, (0, *row))
    for pieces in passes:
        for window in _windows(pieces):
            stored = np.memmap(tokens, "<i4", "r")  # opened anew, so that read pages are let go
            for arrays in _filled(window, stored, length, pad):
                for name, array in zip(shapes, arrays, strict=True):
                    array.astype(shapes[name][0]).tofile(files[name])
                kept["blocks"] += len(arrays[0])
        for name in "tokens", "learned", "bytes":
            counted = "length" if name == "tokens" else name
            kept[name] += int(pieces[counted].sum(dtype=np.int64))
    for name, (kind, row) in shapes.items():
        _head(files[name], kind, (kept["blocks"], *row))
        files[name].close()
    return kept


def _head(file: BinaryIO, kind: str, shape: tuple[int, ...]) -> None:
    """Write a .npy file's header, or write it anew: in it is room for the first axis to grow."""
    file.seek(0)
    np.lib.format.write_array_header_1_0(
        file, {"descr": kind, "fortran_order": False, "shape": shape}
    )


def _windows(pieces: Pieces) -> Iterator[Pieces]:
    """The pieces in their order, about a window's tokens at a time."""
    until = np.cumsum(pieces["length"], dtype=np.int64)
    number = (until - 1) // WINDOW
    edges = np.flatnonzero(np.diff(number)) + 1
    yield from (pieces[a:b] for a, b in pairwise([0, *edges, len(pieces)]) if a < b)


def _filled(
    pieces: Pieces, stored: NDArray[np.int32], length: int, pad: int
) -> Iterator[tuple[NDArray[Any], ...]]:
    """Tokens, positions, loss and bytes of some blocks after others."""
    blocks = best_fit(pieces["length"], length)
    order = np.lexsort((-pieces["length"], blocks))
    pieces, blocks = pieces[order], blocks[order]
    rows = max(1, AT_A_TIME // length)
    made = int(blocks[-1]) + 1 if len(blocks) else 0
    edges = np.searchsorted(blocks, np.arange(0, made + rows, rows))
    for number, (a, b) in enumerate(pairwise(edges)):
        some, row = pieces[a:b], blocks[a:b] - number * rows
        height = min(rows, made - number * rows)
        sizes = some["length"].astype(np.int64)
        used = np.bincount(row, sizes, height).astype(np.int64)
        before = np.cumsum(sizes) - sizes
        begins = np.cumsum(used) - used  # of each block, in all that is laid out here
        inside = np.arange(sizes.sum()) - np.repeat(before, sizes)
        place = np.repeat(row * length + before - begins[row], sizes) + inside
        tokens = np.full((height, length), pad, np.int32)
        positions = (np.arange(length) - used[:, None]).astype(np.int32)  # of the padding
        loss = np.zeros((height, length), np.uint8)
        tokens.flat[place] = stored[np.repeat(some["start"], sizes) + inside]
        positions.flat[place] = inside
        loss.flat[place] = inside >= np.repeat(sizes - some["learned"], sizes)
        yield tokens, positions, loss, np.bincount(row, some["bytes"], height)
