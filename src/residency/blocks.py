"""blocks: packed arrays as training reads them, left on disk."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt


class Blocks:
    """The arrays of a pack, left on disk; item i is row i of each."""

    def __init__(self, pack: Path) -> None:
        import numpy as np

        self.tokens = np.load(pack / "tokens.npy", mmap_mode="r")
        self.positions = np.load(pack / "positions.npy", mmap_mode="r")
        self.loss = np.load(pack / "loss.npy", mmap_mode="r")

    def __len__(self) -> int:
        return len(self.tokens)

    def __getitem__(self, row: int) -> tuple[npt.NDArray[np.integer[Any]], ...]:
        return self.tokens[row], self.positions[row], self.loss[row]

    @property
    def length(self) -> int:
        """Tokens in a block."""
        return int(self.tokens.shape[1])


def collate(rows: list[tuple[Any, ...]]) -> dict[str, Any]:
    """Rows of a pack as a micro-batch.

    Position ids that start anew, without an attention mask and without a cache, are how
    transformers is told where documents end.
    """
    import numpy as np
    import torch

    tokens, positions, loss = (
        torch.from_numpy(np.stack(each).astype(np.int64)) for each in zip(*rows, strict=True)
    )
    learned = torch.zeros_like(loss, dtype=torch.bool)
    learned[:, :-1] = loss[:, 1:] == 1  # the position before a token predicts it
    return {
        "input_ids": tokens,
        "position_ids": positions,
        "labels": torch.where(loss == 1, tokens, -100),
        "learned": learned,
        "use_cache": False,
    }
