"""devices: how much of a training step is computed at once. It never changes what is computed.

A step's blocks are taken in micro-batches whose gradients are added up, so their size is a matter
of memory and speed alone, and no part of an artifact's identity.
"""

from __future__ import annotations

import os
from typing import Any

from residency.section import Complaint

CPU_TOKENS = 1024
"""Beyond this a CPU gains no speed, and the logits of a large vocabulary fill its memory."""


def large_pages() -> None:
    """Have PyTorch take memory in large pages, if it has not taken any yet.

    Much of a training step on a CPU goes into the page faults of its large, short-lived tensors.
    """
    os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")


def micro_batch(model: Any, blocks: int, length: int) -> int:
    """Blocks at a time for a step of `blocks` blocks of `length` tokens; it divides `blocks`.

    The environment variable RESIDENCY_MICRO_BATCH sets the most; without it the memory that is
    free on the GPU does, or on a CPU what is worth while.
    """
    told = os.environ.get("RESIDENCY_MICRO_BATCH")
    if told is not None and not (told.isdecimal() and int(told) > 0):
        raise Complaint(f"RESIDENCY_MICRO_BATCH: expected a number of blocks, found {told!r}")
    most = int(told) if told else max(1, _tokens_at_once(model) // length)
    return next(size for size in range(min(most, blocks), 0, -1) if blocks % size == 0)


def _tokens_at_once(model: Any) -> int:
    import torch

    if not torch.cuda.is_available():
        return CPU_TOKENS
    free, _ = torch.cuda.mem_get_info()
    config = model.config
    # Weights, gradients and Adam's two moments take 16 bytes per parameter; about 40 numbers per
    # layer and hidden unit wait for the backward pass, and the logits are held three times.
    room = free * 0.8 - 16 * model.num_parameters()
    token = 4 * (40 * config.num_hidden_layers * config.hidden_size + 3 * config.vocab_size)
    return max(1, int(room / token))
