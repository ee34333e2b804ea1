"""Adapters and a grown vocabulary: what is trained is what is saved, tied or not.

Known to go wrong elsewhere: peft trains copies of the embeddings (modules_to_save), or adapts both
of them (target_modules), and a tied model comes out untied or broken (transformers #45127,
peft #2898).
"""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tiny import TEXT, tiny_model, untied

from residency.embeddings import grow
from residency.files import read_json, write_json
from residency.fingerprint import fingerprint
from residency.lora import Lora, adapt
from residency.train import Train, train

PIECES = {400: [10, 20], 401: [30, 40, 50], 402: [60, 61]}
LENGTH = 32
FULL = {True: ["embed_tokens"], False: ["embed_tokens", "lm_head"]}


@pytest.fixture(scope="module")
def parents(tmp_path_factory: pytest.TempPathFactory) -> dict[bool, Path]:
    folder = tmp_path_factory.mktemp("tiny")
    tiny_model(folder / "tied")
    untied(folder / "tied", folder / "untied")
    return {True: folder / "tied", False: folder / "untied"}


@pytest.fixture(scope="module")
def pack(parents: dict[bool, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Blocks of text with a new piece in every fifth place."""
    from transformers import AutoTokenizer

    ids = AutoTokenizer.from_pretrained(parents[True])(TEXT).input_ids
    rows = len(ids) // LENGTH
    tokens = np.array(ids[: rows * LENGTH], np.int32).reshape(rows, LENGTH)
    tokens[:, 4::5] = 400 + np.arange(tokens[:, 4::5].size).reshape(rows, -1) % 3
    folder = tmp_path_factory.mktemp("pack")
    (folder / "train").mkdir()
    np.save(folder / "train/tokens.npy", tokens)
    np.save(folder / "train/bytes.npy", np.full(rows, len(TEXT) // rows, np.int32))
    np.save(folder / "train/positions.npy", np.tile(np.arange(LENGTH, dtype=np.int32), (rows, 1)))
    loss = np.ones((rows, LENGTH), np.uint8)
    loss[:, 0] = 0
    np.save(folder / "train/loss.npy", loss)
    kept = {"blocks": rows, "tokens": tokens.size, "learned": int(loss.sum()), "bytes": len(TEXT)}
    counts = {"kept": kept, "rejected": {}, "largest_token": int(tokens.max())}
    write_json(folder / "counts.json", counts)
    return folder


def tokenizer(parent: Path, folder: Path, multiple: int | None) -> Path:
    """The parent's, grown by three pieces."""
    from transformers import AutoTokenizer

    coder = AutoTokenizer.from_pretrained(parent)
    coder.add_tokens([f"piece{new}" for new in PIECES])
    coder.save_pretrained(folder)
    write_json(folder / "pieces.json", {str(new): old for new, old in PIECES.items()})
    write_json(folder / "embeddings.json", {"start": {"kind": "mean"}, "multiple": multiple})
    return folder


def section(lora: Lora) -> Train:
    return Train(
        method="lora",
        lora=lora,
        epochs=3,
        steps=None,
        batch_tokens=4 * LENGTH,
        learning_rate=1e-2,
        schedule="constant",
        warmup=0.0,
        weight_decay=0.01,
        max_grad_norm=1.0,
        precision="float32",
        seed=0,
        gate=None,
        keep=[],
    )


def lora_of(tied: bool) -> Lora:
    return Lora(rank=4, alpha=8.0, dropout=0.0, targets=["q_proj", "up_proj"], full=FULL[tied])


def logits(model: Any) -> Any:
    import torch

    with torch.no_grad():
        return model.eval()(torch.arange(380, 403)[None]).logits


def load(folder: Path) -> Any:
    from transformers import AutoModelForCausalLM

    return AutoModelForCausalLM.from_pretrained(folder)


@pytest.mark.parametrize("multiple", [None, 64])
@pytest.mark.parametrize("tied", [True, False])
def test_a_grown_model_answers_alike_trained_merged_saved_and_loaded(
    parents: dict[bool, Path],
    pack: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    tied: bool,
    multiple: int | None,
) -> None:
    import torch
    from peft import LoraModel

    seen = []
    merge = LoraModel.merge_and_unload

    def watched(self: Any, *args: Any, **options: Any) -> Any:
        seen.append(logits(self.model))
        merged = merge(self, *args, **options)
        seen.append(logits(merged))
        return merged

    monkeypatch.setattr(LoraModel, "merge_and_unload", watched)
    place = tokenizer(parents[tied], tmp_path / "tokenizer", multiple)
    counts = read_json(pack / "counts.json") | {"tokenizer": fingerprint(place)}
    write_json(pack / "counts.json", counts)
    (tmp_path / "out").mkdir()
    train(section(lora_of(tied)), parents[tied], place, pack, tmp_path / "out")

    trained, merged = seen
    model = load(tmp_path / "out")
    assert len(model.lm_head.weight) == model.config.vocab_size == (448 if multiple else 403)
    assert torch.allclose(trained, merged, atol=1e-5)
    again = logits(model)
    assert torch.allclose(trained[..., :403], again[..., :403], atol=1e-5)
    assert (again[..., 403:] <= again[..., :403].max(-1, keepdim=True).values).all()
    assert (model.lm_head.weight is model.model.embed_tokens.weight) == tied
    assert read_json(tmp_path / "out/config.json")["tie_word_embeddings"] == tied

    start = load(parents[tied])
    grow(start, place, seed=0)
    assert not torch.allclose(again, logits(start), atol=1e-1)
    for new, old in zip(model.lm_head.weight[400:403], start.lm_head.weight[400:], strict=False):
        assert not torch.allclose(new, old, atol=1e-3)


@pytest.mark.parametrize(
    "naive",
    [
        {"target_modules": ["q_proj"], "modules_to_save": ["embed_tokens", "lm_head"]},
        {"target_modules": ["q_proj", "embed_tokens", "lm_head"]},
    ],
    ids=["copies", "adapters"],
)
def test_the_usual_way_unties_or_breaks_a_tied_model_and_ours_does_not(
    parents: dict[bool, Path], tmp_path: Path, naive: dict[str, Any]
) -> None:
    import torch
    from peft import LoraConfig, get_peft_model

    place = tokenizer(parents[True], tmp_path / "tokenizer", None)
    start = load(parents[True])
    grow(start, place, seed=0)
    usual, ours = copy.deepcopy(start), copy.deepcopy(start)
    ways = {
        "usual": get_peft_model(usual, LoraConfig(r=4, task_type="CAUSAL_LM", **naive)),
        "ours": adapt(ours, lora_of(True)),
    }
    tokens, kept = torch.arange(370, 403)[None], {}
    for name, adapters in ways.items():
        weights = [weight for weight in adapters.parameters() if weight.requires_grad]
        steps = torch.optim.AdamW(weights, lr=1e-2)
        for _ in range(20):
            adapters(input_ids=tokens, labels=tokens).loss.backward()
            steps.step()
            steps.zero_grad()
        before = logits(adapters)
        adapters.merge_and_unload().save_pretrained(tmp_path / name)
        after = load(tmp_path / name)
        tied = after.lm_head.weight is after.model.embed_tokens.weight
        kept[name] = tied and torch.allclose(before, logits(after), atol=1e-5)
    assert kept == {"usual": False, "ours": True}
