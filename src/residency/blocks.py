"""blocks: packed arrays as training reads them, left on disk.

Opening them reads nothing: a terabyte opens as fast as a kilobyte.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt


class Blocks:
    """The arrays of one part of a pack, left on disk; item i is row i of each."""

    def __init__(self, part: Path) -> None:
        import numpy as np

        self.tokens = np.load(part / "tokens.npy", mmap_mode="r")
        self.positions = np.load(part / "positions.npy", mmap_mode="r")
        self.loss = np.load(part / "loss.npy", mmap_mode="r")
        self.bytes = np.load(part / "bytes.npy", mmap_mode="r")

    def __len__(self) -> int:
        return len(self.tokens)

    def __getitem__(self, row: int) -> tuple[npt.NDArray[np.integer[Any]], ...]:
        return self.tokens[row], self.positions[row], self.loss[row]

    @property
    def length(self) -> int:
        """Tokens in a block."""
        return int(self.tokens.shape[1])


def takes_flat(model: Any) -> bool:
    """FlashAttention tells documents apart in a single row, so there a micro-batch becomes one."""
    return "flash" in str(model.config._attn_implementation)


def collate(rows: list[tuple[Any, ...]], *, flat: bool = False) -> dict[str, Any]:
    """Rows of a part as a micro-batch in which documents do not see each other.

    Position ids that start anew, without an attention mask and without a cache, are how
    transformers is told where documents end. Attention by masks (sdpa, eager) takes the rows as
    they are, [rows, length]. Attention of variable lengths (flash_attention_2 and its like) takes
    them `flat`, as one row [1, rows * length] with the places where documents begin
    (`cu_seq_lens_q`, `cu_seq_lens_k`, int32 [documents + 1]) and the longest's length. Padding is
    a document of its own.
    """
    import numpy as np
    import torch

    stacked = (np.stack(each).astype(np.int64) for each in zip(*rows, strict=True))
    if flat:
        stacked = (each.reshape(1, -1) for each in stacked)
    tokens, positions, loss = map(torch.from_numpy, stacked)
    learned = torch.zeros_like(loss, dtype=torch.bool)
    learned[:, :-1] = loss[:, 1:] == 1  # the position before a token predicts it
    batch = {
        "input_ids": tokens,
        "position_ids": positions,
        "labels": torch.where(loss == 1, tokens, -100),
        "learned": learned,
        "use_cache": False,
    }
    if flat:
        ends = torch.tensor([tokens.shape[1]])
        bounds = torch.cat([torch.nonzero(positions[0] == 0)[:, 0], ends]).to(torch.int32)
        longest = int(bounds.diff().max())
        batch |= {"cu_seq_lens_q": bounds, "cu_seq_lens_k": bounds}
        batch |= {"max_length_q": longest, "max_length_k": longest}
    return batch
