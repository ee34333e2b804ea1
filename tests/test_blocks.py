from __future__ import annotations

import time
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from residency.bestfit import PIECE, write_blocks
from residency.blocks import Blocks, collate

LENGTH = 32
SIZES = [20, 12, 17, 9, 30, 1, 25, 6]


@pytest.fixture(scope="module")
def blocks(tmp_path_factory: pytest.TempPathFactory) -> Blocks:
    return written(tmp_path_factory.mktemp("part"), SIZES)


def written(folder: Path, sizes: list[int]) -> Blocks:
    """Documents of random tokens, packed."""
    pieces = np.zeros(len(sizes), PIECE)
    pieces["length"], pieces["learned"] = sizes, [size - 1 for size in sizes]
    pieces["start"] = np.cumsum([0, *sizes])[:-1]
    np.random.default_rng(0).integers(3, 400, sum(sizes), np.int32).tofile(folder / "spilled")
    write_blocks(folder / "train", [pieces], folder / "spilled", LENGTH, pad=0)
    return Blocks(folder / "train")


def loaded(tiny: Path, attention: str) -> Any:
    from transformers import AutoModelForCausalLM

    return AutoModelForCausalLM.from_pretrained(tiny, attn_implementation=attention).eval()


def logits(model: Any, batch: dict[str, Any]) -> Any:
    import torch

    batch = {key: value for key, value in batch.items() if key not in ("labels", "learned")}
    with torch.no_grad():
        return model(**batch).logits.reshape(-1, 400)


def others(positions: Any, place: int) -> Any:
    """Which places, of rows behind one another, are of other documents than this place."""
    document = (positions.reshape(-1) == 0).cumsum(0)
    return document != document[place]


def varlen(
    module: Any, query: Any, key: Any, value: Any, _mask: Any, scaling: float, **told: Any
) -> tuple[Any, None]:
    """What flash attention of variable lengths computes, from what it is given."""
    import torch

    assert len(query) == 1
    assert (told["cu_seq_lens_q"] == told["cu_seq_lens_k"]).all()
    bounds = told["cu_seq_lens_q"].tolist()
    assert max(np.diff(bounds)) == told["max_length_q"] == told["max_length_k"]
    shared = module.num_key_value_groups
    parts = [
        torch.nn.functional.scaled_dot_product_attention(
            query[:, :, a:b],
            key[:, :, a:b].repeat_interleave(shared, 1),
            value[:, :, a:b].repeat_interleave(shared, 1),
            is_causal=True,
            scale=scaling,
        )
        for a, b in pairwise(bounds)
    ]
    return torch.cat(parts, 2).transpose(1, 2), None


@pytest.fixture
def varlen_model(tiny: Path) -> Any:
    from transformers import AttentionInterface, AttentionMaskInterface
    from transformers.masking_utils import flash_attention_mask

    AttentionInterface.register("varlen", varlen)
    AttentionMaskInterface.register("varlen", flash_attention_mask)
    return loaded(tiny, "varlen")


@pytest.mark.parametrize("attention", ["sdpa", "eager"])
@pytest.mark.parametrize("flat", [False, True])
def test_a_document_changes_no_logit_of_another(
    tiny: Path, blocks: Blocks, attention: str, flat: bool
) -> None:
    import torch

    model, rows = loaded(tiny, attention), [blocks[i] for i in range(len(blocks))]
    batch = collate(rows, flat=flat)
    before, tokens = logits(model, batch), batch["input_ids"].view(-1)
    for place in torch.nonzero(batch["position_ids"].reshape(-1) == 0)[:, 0].tolist():
        was = int(tokens[place])
        tokens[place] = (was + 1) % 400
        after = logits(model, batch)
        tokens[place] = was
        apart = others(batch["position_ids"], place)
        assert torch.allclose(before[apart], after[apart], atol=1e-6)
        assert not torch.allclose(before[place], after[place], atol=1e-3)


def test_without_positions_the_same_documents_do_see_each_other(tiny: Path, blocks: Blocks) -> None:
    model, batch = loaded(tiny, "sdpa"), collate([blocks[0]])
    apart = others(batch.pop("position_ids"), 0)
    before = logits(model, batch)
    batch["input_ids"][0, 0] = (batch["input_ids"][0, 0] + 1) % 400
    assert apart.any()
    assert (before[apart] - logits(model, batch)[apart]).abs().max() > 1e-4


def test_attention_of_variable_lengths_is_told_the_same_documents_as_masks(
    tiny: Path, blocks: Blocks, varlen_model: Any
) -> None:
    import torch

    rows = [blocks[i] for i in range(len(blocks))]
    by_mask = logits(loaded(tiny, "sdpa"), collate(rows))
    by_place = logits(varlen_model, collate(rows, flat=True))
    assert torch.allclose(by_mask, by_place, atol=1e-5)


@given(sizes=st.lists(st.integers(1, LENGTH), min_size=1, max_size=12))
def test_flat_rows_say_what_transformers_would_read_from_positions(
    tmp_path_factory: pytest.TempPathFactory, sizes: list[int]
) -> None:
    import torch
    from transformers.modeling_flash_attention_utils import prepare_fa_kwargs_from_position_ids

    blocks = written(tmp_path_factory.mktemp("part"), sizes)
    batch = collate([blocks[i] for i in range(len(blocks))], flat=True)
    (query, key), (longest, _) = prepare_fa_kwargs_from_position_ids(batch["position_ids"])
    assert torch.equal(batch["cu_seq_lens_q"], query)
    assert torch.equal(batch["cu_seq_lens_k"], key)
    assert (query.dtype, batch["cu_seq_lens_q"].dtype) == (torch.int32, torch.int32)
    assert batch["max_length_q"] == batch["max_length_k"] == int(longest)
    bounds = batch["cu_seq_lens_q"].tolist()
    padding = sum(1 for row in blocks.tokens if row[-1] == 0)
    assert len(bounds) == 1 + len(sizes) + padding
    assert bounds[-1] == len(blocks) * LENGTH


@pytest.mark.parametrize("flat", [False, True])
def test_labels_are_the_tokens_to_be_learned_and_each_is_predicted_once(
    blocks: Blocks, flat: bool
) -> None:
    batch = collate([blocks[i] for i in range(len(blocks))], flat=flat)
    labels, learned = batch["labels"].reshape(-1), batch["learned"].reshape(-1)
    loss = blocks.loss[:].reshape(-1)
    assert ((labels != -100).numpy() == (loss == 1)).all()
    assert (labels[labels != -100] == batch["input_ids"].reshape(-1)[labels != -100]).all()
    assert (learned[:-1] == (labels[1:] != -100)).all()
    assert not learned[-1]


def test_opening_blocks_reads_none_of_them(tmp_path: Path) -> None:
    rows, length = 1 << 20, 2048  # 8 GiB of tokens, as a file of holes
    shapes = {"tokens": ("<i4", (rows, length)), "positions": ("<i4", (rows, length))}
    shapes |= {"loss": ("|u1", (rows, length)), "bytes": ("<i4", (rows,))}
    for stem, (kind, shape) in shapes.items():
        with (tmp_path / f"{stem}.npy").open("wb") as file:
            head = {"descr": kind, "fortran_order": False, "shape": shape}
            np.lib.format.write_array_header_1_0(file, head)
            file.truncate(file.tell() + int(np.prod(shape)) * np.dtype(kind).itemsize)
    began = time.perf_counter()
    blocks = Blocks(tmp_path)
    assert (len(blocks), blocks.length) == (rows, length)
    assert not blocks[rows - 1][0].any()
    assert time.perf_counter() - began < 0.5
