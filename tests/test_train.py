from __future__ import annotations

import json
import math
import shutil
import subprocess
import sys
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tiny import TEXT, tiny_model

from residency.blocks import Blocks
from residency.devices import How, settings
from residency.files import read_json, read_rows, write_json
from residency.fingerprint import fingerprint
from residency.lora import Lora, adapt
from residency.section import Complaint, Setback
from residency.train import (
    Train,
    check,
    fit,
    measured,
    only_where_learned,
    prepared,
    put,
    train,
    trial,
    whole,
)

LENGTH = 48
TRAIN = Train(
    method="full",
    lora=None,
    epochs=2,
    steps=None,
    batch_tokens=4 * LENGTH,
    learning_rate=1e-2,
    schedule="cosine",
    warmup=0.1,
    weight_decay=0.01,
    max_grad_norm=1.0,
    precision="float32",
    seed=7,
    gate=None,
    keep=[],
)
LORA = Lora(rank=4, alpha=8.0, dropout=0.0, targets=["q_proj", "up_proj"], full=["embed_tokens"])


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


@cache
def tinys_fingerprint() -> str:
    with tempfile.TemporaryDirectory() as folder:
        tiny_model(Path(folder))
        return fingerprint(Path(folder))


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
    (folder / "train").mkdir(parents=True)
    bytes_ = np.array([3 * sum(map(len, block)) for block in blocks], np.int32)
    arrays = {"tokens": tokens, "positions": positions, "loss": loss, "bytes": bytes_}
    for stem, array in arrays.items():
        np.save(folder / "train" / f"{stem}.npy", array)
    used = sum(len(ids) for block in blocks for ids in block)
    kept = {"blocks": len(blocks), "tokens": used, "learned": int(loss.sum()), "bytes": 3 * used}
    write_json(
        folder / "counts.json",
        {
            "largest_token": int(tokens.max()),
            "tokenizer": tinys_fingerprint(),
            "kept": kept,
            "parts": {},
            "rejected": {},
        },
    )
    return folder


def trained(section: Train, parent: Path, pack: Path, out: Path, tokenizer: Any = None) -> Any:
    """The log of a training, on a pack that says it was packed with the right tokenizer."""
    out.mkdir()
    if tokenizer is not None:
        counts = read_json(pack / "counts.json") | {"tokenizer": fingerprint(tokenizer)}
        write_json(pack / "counts.json", counts)
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
    assert summary["steps"] == len(log) == 6 * math.ceil(len(Blocks(pack / "train")) / 4)
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


def test_deepspeed_is_not_imported_where_nothing_is_dealt_out(
    tiny: Path, pack: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("deepspeed", reason="the extra deepspeed is not installed")
    monkeypatch.delitem(sys.modules, "deepspeed")
    trained(TRAIN, tiny, pack, tmp_path / "out")
    assert "deepspeed" not in sys.modules


def test_a_micro_batch_that_is_no_number_is_refused(
    tiny: Path, pack: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RESIDENCY_MICRO_BATCH", "many")
    with pytest.raises(Complaint, match="RESIDENCY_MICRO_BATCH"):
        trained(TRAIN, tiny, pack, tmp_path / "out")


@pytest.mark.parametrize(
    ("environment", "options"),
    [
        ({}, {}),
        ({"RESIDENCY_ZERO": "2"}, {}),
        pytest.param({"RESIDENCY_ZERO": "1"}, {}, marks=pytest.mark.slow),
        pytest.param({"RESIDENCY_ZERO": "3"}, {}, marks=pytest.mark.slow),
        pytest.param({"RESIDENCY_ZERO": "3"}, {"lora": True}, marks=pytest.mark.slow),
        pytest.param({"RESIDENCY_ZERO": "2", "RESIDENCY_OFFLOAD": "1"}, {}, marks=pytest.mark.slow),
        pytest.param({"RESIDENCY_ZERO": "3", "RESIDENCY_OFFLOAD": "1"}, {}, marks=pytest.mark.slow),
        pytest.param({"RESIDENCY_ZERO": "3"}, {"precision": "bfloat16"}, marks=pytest.mark.slow),
    ],
)
def test_two_processes_end_where_one_does(
    tiny: Path,
    pack: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    environment: dict[str, str],
    options: dict[str, Any],
) -> None:
    from safetensors.torch import load_file

    if "RESIDENCY_ZERO" in environment:
        pytest.importorskip("deepspeed", reason="the extra deepspeed is not installed")
    adapters, tokenizer = {}, None
    if options.get("lora"):
        adapters = {"method": "lora", "lora": LORA.model_dump()}
        tokenizer = grown(tiny, tmp_path / "tokenizer")
    section = changed(TRAIN, **{k: v for k, v in options.items() if k != "lora"}, **adapters)
    # Neither the step nor the last of an epoch can be shared out without blanks.
    section = changed(section, batch_tokens=5 * LENGTH)
    assert len(Blocks(pack / "train")) % 5 % 2 == 0 != len(Blocks(pack / "train")) % 5
    alone = trained(section, tiny, pack, tmp_path / "alone", tokenizer)
    monkeypatch.setenv("RESIDENCY_PROCESSES", "2")
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    together = trained(section, tiny, pack, tmp_path / "together", tokenizer)
    for key in "loss", "learning_rate", "tokens", "epoch":
        assert [r[key] for r in alone] == pytest.approx([r[key] for r in together], abs=1e-3)
    one = load_file(tmp_path / "alone" / "model.safetensors")
    two = load_file(tmp_path / "together" / "model.safetensors")
    assert {name: str(each.dtype) for name, each in two.items()} == dict.fromkeys(
        one, "torch.float32"
    )
    if section.precision == "float32":
        assert max(float((one[name] - two[name]).abs().max()) for name in one) < 1e-5
    files = [path.name for path in sorted((tmp_path / "alone").iterdir())]
    assert files == [path.name for path in sorted((tmp_path / "together").iterdir())]


def test_no_more_processes_are_started_than_a_step_has_blocks(
    tiny: Path, pack: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RESIDENCY_PROCESSES", "2")
    monkeypatch.setattr("residency.train.launch", lambda *_, **__: pytest.fail("launched"))
    log = trained(
        changed(TRAIN, batch_tokens=LENGTH, steps=2, epochs=None), tiny, pack, tmp_path / "out"
    )
    assert len(log) == 2


def test_a_childs_complaint_reaches_the_user_as_one_line(
    tiny: Path, pack: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RESIDENCY_PROCESSES", "2")
    with pytest.raises(Complaint, match=r"^training diverged at step [^\n]*$"):
        trained(changed(TRAIN, learning_rate=1e30, warmup=0.0), tiny, pack, tmp_path / "out")


def test_checkpointed_activations_do_not_change_the_loss(
    tiny: Path, pack: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    without = trained(TRAIN, tiny, pack, tmp_path / "without")
    monkeypatch.setenv("RESIDENCY_CHECKPOINT_ACTIVATIONS", "1")
    twice = trained(TRAIN, tiny, pack, tmp_path / "twice")
    assert [r["loss"] for r in without] == pytest.approx([r["loss"] for r in twice], abs=1e-6)


@pytest.mark.slow
def test_compiled_layers_do_not_change_the_loss(
    tiny: Path, pack: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    without = trained(TRAIN, tiny, pack, tmp_path / "without")
    monkeypatch.setenv("RESIDENCY_COMPILE", "1")
    compiled = trained(TRAIN, tiny, pack, tmp_path / "compiled")
    assert [r["loss"] for r in without] == pytest.approx([r["loss"] for r in compiled], abs=1e-4)


def test_a_trial_leaves_weights_gradients_and_random_numbers_as_they_were(
    tiny: Path, pack: Path
) -> None:
    import torch
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(tiny)
    before = {name: each.clone() for name, each in model.state_dict().items()}
    state = torch.get_rng_state()
    hooks = only_where_learned(model)
    trial(model, Blocks(pack / "train"), "bfloat16", 2, state_bytes=100)
    for hook in hooks:
        hook.remove()
    assert torch.equal(state, torch.get_rng_state())
    assert all(torch.equal(before[name], each) for name, each in model.state_dict().items())
    assert all(each.grad is None for each in model.parameters())


def test_a_micro_batch_without_memory_is_halved_and_activations_are_then_computed_twice(
    tiny: Path, pack: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch
    from transformers import AutoModelForCausalLM

    def attempt(model: Any, _blocks: Any, _precision: str, size: int, **_: Any) -> None:
        if not model.is_activation_checkpointing or size > 1:
            raise torch.OutOfMemoryError("too much")

    monkeypatch.setattr("residency.train.free_memory", lambda: 1e12)
    monkeypatch.setattr("residency.train.trial", attempt)
    model = AutoModelForCausalLM.from_pretrained(tiny)
    assert measured(model, TRAIN, Blocks(pack / "train"), settings(), How()) == (1, True)
    monkeypatch.setenv("RESIDENCY_CHECKPOINT_ACTIVATIONS", "0")
    model = AutoModelForCausalLM.from_pretrained(tiny)
    with pytest.raises(Setback, match="one block of 48 tokens does not fit"):
        measured(model, TRAIN, Blocks(pack / "train"), settings(), How())


def test_steps_end_a_training_where_they_are_told_to(
    tiny: Path, pack: Path, tmp_path: Path
) -> None:
    epoch = math.ceil(len(Blocks(pack / "train")) / 4)
    whole_epochs = trained(TRAIN, tiny, pack, tmp_path / "epochs")
    same = trained(changed(TRAIN, epochs=None, steps=2 * epoch), tiny, pack, tmp_path / "steps")
    assert same == whole_epochs
    summary = read_json(tmp_path / "steps" / "training.json")
    assert summary == read_json(tmp_path / "epochs" / "training.json")
    assert summary["epochs"] == 2
    log = trained(changed(TRAIN, epochs=None, steps=epoch + 1), tiny, pack, tmp_path / "more")
    summary = read_json(tmp_path / "more" / "training.json")
    assert len(log) == summary["steps"] == epoch + 1
    assert summary["epochs"] == (epoch + 1) / epoch
    assert summary["learned"] == log[-1]["tokens"]


@pytest.mark.parametrize(
    "values",
    [
        {"epochs": None},
        {"steps": 3},
        {"method": "qlora"},
        {"lora": LORA.model_dump()},
    ],
)
def test_a_length_or_method_told_twice_or_not_at_all_is_refused(values: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"epochs or steps|lora holds the adapters"):
        changed(TRAIN, **values)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        ({"counts": {"tokenizer": "0" * 64}}, "packed with another tokenizer"),
        ({"counts": {"largest_token": 400}}, "holds token 400, the model knows 400"),
        ({"config": {"max_position_embeddings": 16}}, r"context is 16; take at most 16"),
        ({"config": {"text_config": {"max_position_embeddings": 9}}}, "context is 9"),
        ({"train": {"method": "qlora", "lora": LORA.model_dump()}}, "takes a GPU"),
    ],
)
def test_parts_that_do_not_fit_are_refused_before_any_weights_are_read(
    tiny: Path, pack: Path, tmp_path: Path, spoil: dict[str, Any], message: str
) -> None:
    import torch

    if torch.cuda.is_available() and "train" in spoil:
        pytest.skip("there is a GPU")
    parent = Path(shutil.copytree(tiny, tmp_path / "parent"))
    (parent / "model.safetensors").write_bytes(b"nothing to read")
    config = read_json(parent / "config.json") | spoil.get("config", {})
    write_json(parent / "config.json", config)
    counts = read_json(pack / "counts.json") | spoil.get("counts", {})
    write_json(pack / "counts.json", counts)
    with pytest.raises(Complaint, match=message):
        trained(changed(TRAIN, **spoil.get("train", {})), parent, pack, tmp_path / "out")


def test_a_pack_of_the_same_tokenizer_is_taken_however_it_was_saved(
    tiny: Path, pack: Path, tmp_path: Path
) -> None:
    from transformers import AutoTokenizer

    coder = AutoTokenizer.from_pretrained(tiny)
    coder("x", truncation=True, max_length=3)  # leaves its mark in the file
    coder.save_pretrained(tmp_path / "again")
    counts = read_json(pack / "counts.json") | {"tokenizer": fingerprint(tmp_path / "again")}
    write_json(pack / "counts.json", counts)
    check(TRAIN, tiny, None, pack)


def test_weights_put_into_a_fresh_model_make_it_the_trained_one(tiny: Path, pack: Path) -> None:
    section = changed(TRAIN, method="lora", lora=LORA.model_dump())
    model, _ = prepared(section, tiny, None, quantised=False)
    fit(model, section, Blocks(pack / "train"), pack)
    again, adapters = prepared(section, tiny, None, quantised=False)
    put(again, whole(model))
    assert logits(again).equal(logits(model))
    assert logits(adapters.merge_and_unload()).allclose(logits(model), atol=1e-5)


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
    fit(
        model,
        changed(TRAIN, method="lora", lora=LORA.model_dump()),
        Blocks(pack / "train"),
        tmp_path,
    )
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
