"""course: the order in which blocks are learned, the same on any number of processes.

    epoch: every block once, in an order drawn from seed and epoch
      └── steps of so many blocks, the last with what is left
            └── filled up with blank blocks, so that processes and micro-batches share it evenly

A blank block has nothing to learn, so it changes neither loss nor gradient.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from residency.blocks import Blocks

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt


class Course:
    """One epoch at a time of a pack; item i is the i-th block in the order of learning.

    `per_step` blocks of the pack make a step, which takes `width` >= `per_step` items.
    """

    def __init__(self, blocks: Blocks, per_step: int, width: int, seed: int) -> None:
        self.blocks, self.per_step, self.width, self.seed = blocks, per_step, width, seed
        self.steps = -(-len(blocks) // per_step)
        """Steps in an epoch."""
        self.set_epoch(0)

    def set_epoch(self, epoch: int) -> None:
        """Go to the start of an epoch, counted from 0."""
        import torch

        generator = torch.Generator().manual_seed(self.seed + epoch)
        self.order = torch.randperm(len(self.blocks), generator=generator).numpy()

    def __len__(self) -> int:
        return self.steps * self.width

    def row(self, item: int) -> int | None:
        """The row of the pack that an item of this epoch is; None for a blank."""
        step, place = divmod(item, self.width)
        at = step * self.per_step + place
        return int(self.order[at]) if place < self.per_step and at < len(self.blocks) else None

    def volume(self, step: int) -> int:
        """Bytes of the text that is learned in a step of this epoch, counted from 0."""
        at = step * self.per_step
        return int(self.blocks.bytes[self.order[at : at + self.per_step]].sum())

    def __getitem__(self, item: int) -> tuple[npt.NDArray[np.integer[Any]], ...]:
        row = self.row(item)
        if row is not None:
            return self.blocks[row]
        tokens, positions, loss = self.blocks[0]
        return tokens, positions, loss * 0
