from __future__ import annotations

import json
import math
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tiny import TEXT, tiny_model

from residency.blocks import Blocks
from residency.files import read_json, read_rows, write_json
from residency.lora import Lora, adapt
from residency.section import Complaint
from residency.train import Train, fit, train

LENGTH = 48
TRAIN = Train(
    method="full",
    lora=None,
    epochs=2,
    batch_tokens=4 * LENGTH,
    learning_rate=1e-2,
    schedule="cosine",
    warmup=0.1,
    weight_decay=0.01,
    max_grad_norm=1.0,
    precision="float32",
    seed=7,
)
LORA = Lora(rank=4, alpha=8.0, dropout=0.0, targets=["q_proj", "up_proj"], full=["embed_tokens"])


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tiny")
    tiny_model(folder)
    return folder


@pytest.fixture(scope="module")
def documents(tiny: Path) -> list[list[int]]:
    from transformers import AutoTokenizer

    coder = AutoTokenizer.from_pretrained(tiny)
    words = TEXT.split()
    return [coder(" ".join(words[i : i + 4])).input_ids[:20] for i in range(0, len(words), 4)]


@pytest.fixture
def pack(documents: list[list[int]], tmp_path: Path) -> Path:
    """Two documents in each block."""
    return blocks_of(list(zip(documents[::2], documents[1::2], strict=False)), tmp_path / "pack")


def blocks_of(blocks: list[Any], folder: Path) -> Path:
    """A pack in which the last half of each document's tokens is learned."""
    shape = (len(blocks), LENGTH)
    tokens, positions = np.zeros(shape, np.int32), np.zeros(shape, np.int32)
    loss = np.zeros(shape, np.uint8)
    for row, block in enumerate(blocks):
        at = 0
        for ids in block:
            end = at + len(ids)
            tokens[row, at:end], positions[row, at:end] = ids, np.arange(len(ids))
            loss[row, at + (len(ids) + 1) // 2 : end] = 1
            at = end
        positions[row, at:] = np.arange(LENGTH - at)
    folder.mkdir()
    for stem, array in ("tokens", tokens), ("positions", positions), ("loss", loss):
        np.save(folder / f"{stem}.npy", array)
    used = sum(len(ids) for block in blocks for ids in block)
    kept = {"blocks": len(blocks), "tokens": used, "learned": int(loss.sum()), "bytes": 3 * used}
    write_json(folder / "counts.json", {"kept": kept, "rejected": {}})
    return folder


def trained(section: Train, parent: Path, pack: Path, out: Path, tokenizer: Any = None) -> Any:
    """The log of a training."""
    out.mkdir()
    train(section, parent, tokenizer, pack, out)
    return list(read_rows(out / "log.jsonl"))


def logits(folder_or_model: Any) -> Any:
    import torch
    from transformers import AutoModelForCausalLM

    model = folder_or_model
    if isinstance(model, Path):
        model = AutoModelForCausalLM.from_pretrained(model)
    with torch.no_grad():
        return model.eval()(torch.arange(3, 40)[None]).logits


def changed(section: Train, **values: Any) -> Train:
    return Train.model_validate(section.model_dump() | values)


def grown(tiny: Path, folder: Path) -> Path:
    """The tiny model's tokenizer with two more pieces."""
    from transformers import AutoTokenizer

    coder = AutoTokenizer.from_pretrained(tiny)
    coder.add_tokens(["nephrology", "cardiology"])
    coder.save_pretrained(folder)
    write_json(folder / "pieces.json", {"400": [10, 20], "401": [30, 40, 50]})
    write_json(folder / "embeddings.json", {"start": {"kind": "mean"}, "multiple": None})
    return folder


def test_importing_the_step_loads_no_torch() -> None:
    code = "import sys, residency.train, residency.adopt, residency.pack; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"torch", "transformers", "tokenizers", "numpy"} & set(done.stdout.split())


def test_training_lowers_the_loss_and_writes_a_model_that_loads(
    tiny: Path, pack: Path, tmp_path: Path
) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    log = trained(changed(TRAIN, epochs=6), tiny, pack, tmp_path / "out")
    summary = read_json(tmp_path / "out" / "training.json")
    assert log[0]["loss"] == pytest.approx(math.log(400), abs=0.3)
    assert summary["final_loss"] < 4.5
    assert summary["steps"] == len(log) == 6 * math.ceil(len(Blocks(pack)) / 4)
    assert summary["learned"] == log[-1]["tokens"]
    counts = read_json(pack / "counts.json")["kept"]
    bits = summary["final_loss"] / math.log(2) * counts["learned"]
    assert summary["bits_per_byte"] == pytest.approx(bits / counts["bytes"])
    model = AutoModelForCausalLM.from_pretrained(tmp_path / "out")
    assert (str(model.dtype), model.config.use_cache) == ("torch.float32", True)
    assert AutoTokenizer.from_pretrained(tmp_path / "out").chat_template
    assert "| learning_rate | `0.01` |" in (tmp_path / "out" / "README.md").read_text()


def test_the_same_seed_gives_the_same_bits_and_another_does_not(
    tiny: Path, pack: Path, tmp_path: Path
) -> None:
    one = trained(TRAIN, tiny, pack, tmp_path / "one")
    two = trained(TRAIN, tiny, pack, tmp_path / "two")
    other = trained(changed(TRAIN, seed=8), tiny, pack, tmp_path / "three")
    assert one == two
    assert one[1]["loss"] != other[1]["loss"]
    for path in sorted((tmp_path / "one").iterdir()):
        assert path.read_bytes() == (tmp_path / "two" / path.name).read_bytes(), path.name


def test_artifacts_name_no_place_on_this_machine(tiny: Path, pack: Path, tmp_path: Path) -> None:
    trained(TRAIN, tiny, pack, tmp_path / "out")
    for path in (tmp_path / "out").iterdir():
        assert str(tmp_path.parent).encode() not in path.read_bytes(), path.name


@pytest.mark.parametrize("size", ["2", "4"])
def test_micro_batches_do_not_change_the_loss(
    tiny: Path, pack: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: str
) -> None:
    monkeypatch.setenv("RESIDENCY_MICRO_BATCH", "1")
    alone = trained(TRAIN, tiny, pack, tmp_path / "alone")
    monkeypatch.setenv("RESIDENCY_MICRO_BATCH", size)
    together = trained(TRAIN, tiny, pack, tmp_path / "together")
    for key in "loss", "grad_norm", "learning_rate", "tokens":
        assert [r[key] for r in alone] == pytest.approx([r[key] for r in together], abs=1e-3)


def test_a_micro_batch_that_is_no_number_is_refused(
    tiny: Path, pack: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RESIDENCY_MICRO_BATCH", "many")
    with pytest.raises(Complaint, match="RESIDENCY_MICRO_BATCH"):
        trained(TRAIN, tiny, pack, tmp_path / "out")


def test_documents_in_one_block_are_learned_as_if_each_had_its_own(
    tiny: Path, documents: list[list[int]], tmp_path: Path
) -> None:
    pairs = blocks_of([documents[:2], documents[2:4]], tmp_path / "pairs")
    alone = blocks_of([[ids] for ids in documents[:4]], tmp_path / "alone")
    once = changed(TRAIN, epochs=1, warmup=0.0)
    (packed,) = trained(once, tiny, pairs, tmp_path / "packed")
    (apart,) = trained(once, tiny, alone, tmp_path / "apart")
    assert packed["loss"] == pytest.approx(apart["loss"], abs=1e-5)
    assert packed["grad_norm"] == pytest.approx(apart["grad_norm"], rel=1e-4)


def test_the_loss_is_the_mean_over_the_learned_tokens_of_the_step(
    tiny: Path, documents: list[list[int]], tmp_path: Path
) -> None:
    import torch
    from transformers import AutoModelForCausalLM

    model, losses = AutoModelForCausalLM.from_pretrained(tiny), []
    for ids in documents[:4]:
        chances = model(torch.tensor([ids])).logits[0].log_softmax(-1)
        half = (len(ids) + 1) // 2
        losses += [-chances[i - 1, ids[i]].item() for i in range(half, len(ids))]
    pack = blocks_of([documents[:2], documents[2:4]], tmp_path / "pack")
    (row,) = trained(changed(TRAIN, epochs=1), tiny, pack, tmp_path / "out")
    assert row["loss"] == pytest.approx(sum(losses) / len(losses), abs=1e-5)
    assert row["tokens"] == len(losses)


def test_an_architecture_that_mixes_documents_is_refused(
    tiny: Path, pack: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "transformers.masking_utils.find_packed_sequence_indices", lambda _positions: None
    )
    with pytest.raises(Complaint, match="see each other"):
        trained(TRAIN, tiny, pack, tmp_path / "out")


def test_a_grown_vocabulary_is_trained_and_saved_with_its_tie(
    tiny: Path, pack: Path, tmp_path: Path
) -> None:
    from safetensors.torch import load_file
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = grown(tiny, tmp_path / "tokenizer")
    for method, lora in ("full", None), ("lora", LORA):
        section = changed(TRAIN, method=method, lora=lora and lora.model_dump())
        trained(section, tiny, pack, tmp_path / method, tokenizer)
        model = AutoModelForCausalLM.from_pretrained(tmp_path / method)
        assert model.config.vocab_size == 402 == len(AutoTokenizer.from_pretrained(tokenizer))
        assert model.lm_head.weight is model.model.embed_tokens.weight
        assert len(AutoTokenizer.from_pretrained(tmp_path / method)) == 402
        saved = load_file(tmp_path / method / "model.safetensors")
        assert not any("lora" in name or "base_layer" in name for name in saved)


def test_merged_adapters_answer_as_they_did_before_they_were_saved(
    tiny: Path, pack: Path, tmp_path: Path
) -> None:
    import torch
    from transformers import AutoModelForCausalLM

    before = AutoModelForCausalLM.from_pretrained(tiny)
    frozen = before.model.layers[0].self_attn.v_proj.weight.detach().clone()
    model = AutoModelForCausalLM.from_pretrained(tiny)
    adapters = adapt(model, LORA)
    fit(model, changed(TRAIN, method="lora", lora=LORA.model_dump()), Blocks(pack), tmp_path)
    unmerged = logits(model)
    adapters.merge_and_unload().save_pretrained(tmp_path / "out")
    assert not torch.allclose(unmerged, logits(before), atol=1e-2)
    assert torch.allclose(unmerged, logits(tmp_path / "out"), atol=1e-5)
    after = AutoModelForCausalLM.from_pretrained(tmp_path / "out")
    assert torch.equal(after.model.layers[0].self_attn.v_proj.weight, frozen)
    assert not torch.equal(
        after.model.layers[0].self_attn.q_proj.weight,
        before.model.layers[0].self_attn.q_proj.weight,
    )
    assert not torch.equal(after.model.embed_tokens.weight, before.model.embed_tokens.weight)


@pytest.mark.parametrize(
    ("lora", "message"),
    [
        ({"targets": ["q_projection"]}, r"train\.lora\.targets: no 'q_projection'.*'q_proj'"),
        ({"targets": ["lm_head"]}, r"train\.lora\.targets: no 'lm_head'"),  # it is tied
        ({"full": ["embedding"]}, r"train\.lora\.full: no 'embedding'"),
    ],
)
def test_a_module_that_cannot_be_trained_so_is_refused(
    tiny: Path, pack: Path, tmp_path: Path, lora: dict[str, Any], message: str
) -> None:
    section = changed(TRAIN, method="lora", lora=LORA.model_dump() | lora)
    with pytest.raises(Complaint, match=message):
        trained(section, tiny, pack, tmp_path / "out")


def test_adapters_alone_cannot_train_new_pieces(tiny: Path, pack: Path, tmp_path: Path) -> None:
    section = changed(TRAIN, method="lora", lora=LORA.model_dump() | {"full": []})
    with pytest.raises(Complaint, match=r"train\.lora\.full: new pieces"):
        trained(section, tiny, pack, tmp_path / "out", grown(tiny, tmp_path / "tokenizer"))


def test_a_pack_made_with_another_tokenizer_is_refused(tiny: Path, tmp_path: Path) -> None:
    pack = blocks_of([[[5, 6, 999]]], tmp_path / "pack")
    with pytest.raises(Complaint, match="holds token 999, the model knows 400"):
        trained(TRAIN, tiny, pack, tmp_path / "out")


def test_blocks_longer_than_the_models_context_are_refused(
    tiny: Path, pack: Path, tmp_path: Path
) -> None:
    parent = Path(shutil.copytree(tiny, tmp_path / "parent"))
    config = read_json(parent / "config.json") | {"max_position_embeddings": 16}
    (parent / "config.json").write_text(json.dumps(config))
    with pytest.raises(Complaint, match=r"pack\.length: 48 tokens.*context is 16"):
        trained(TRAIN, parent, pack, tmp_path / "out")


def test_a_training_that_diverges_stops_and_says_so(tiny: Path, pack: Path, tmp_path: Path) -> None:
    with pytest.raises(Complaint, match="diverged at step"):
        trained(changed(TRAIN, learning_rate=1e30, warmup=0.0), tiny, pack, tmp_path / "out")


def test_bfloat16_computes_in_less_and_keeps_float32_weights(
    tiny: Path, pack: Path, tmp_path: Path
) -> None:
    exact = trained(TRAIN, tiny, pack, tmp_path / "exact")
    rough = trained(changed(TRAIN, precision="bfloat16"), tiny, pack, tmp_path / "rough")
    assert exact[0]["loss"] != rough[0]["loss"]
    assert exact[-1]["loss"] == pytest.approx(rough[-1]["loss"], abs=0.1)
    assert read_json(tmp_path / "rough" / "config.json")["dtype"] == "float32"
