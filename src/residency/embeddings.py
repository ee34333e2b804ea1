"""embeddings: how the rows of new pieces begin."""

from __future__ import annotations

from typing import Any


def grow(model: Any, pieces: dict[str, list[int]]) -> None:
    """Give new ids their rows: the mean of the rows of the old pieces each is made of.

    Input and output embeddings alike, tied or not (Gee et al. 2022, "Fast Vocabulary Transfer for
    Language Model Compression", arXiv 2402.09977).
    """
    import torch

    rows = 1 + max(int(new) for new in pieces)
    if rows > model.get_input_embeddings().weight.shape[0]:
        model.resize_token_embeddings(rows, mean_resizing=False)
    tables = {
        id(e.weight): e.weight
        for e in (model.get_input_embeddings(), model.get_output_embeddings())
    }
    with torch.no_grad():
        for weights in tables.values():
            for new, old in pieces.items():
                weights[int(new)] = weights[old].mean(dim=0)
