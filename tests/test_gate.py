from __future__ import annotations

import math
import shutil
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from test_train import LENGTH, LORA, TRAIN, blocks_of, changed, grown, trained
from tiny import TEXT

from residency.files import read_json, read_rows
from residency.gate import (
    OWN,
    PARENTS,
    Gate,
    bits_per_byte,
    change,
    found,
    in_old_pieces,
    judged,
    moments,
    sampled,
)
from residency.section import Complaint

GATE = Gate(
    every=0.5,
    blocks=3,
    warn_if_general_loss_rises_by=None,
    stop_if_general_loss_rises_by=None,
)
GENERAL = "Once upon a time there was a goat that ate a carpet, and nobody in the town minded."


@pytest.fixture
def pack(tiny: Path, tmp_path: Path) -> Path:
    return packed(tiny, tmp_path / "pack")


def packed(tiny: Path, folder: Path, parts: tuple[str, ...] = ("held_out", "general")) -> Path:
    """A pack whose held-out parts hold a few blocks of two documents each."""
    from transformers import AutoTokenizer

    coder = AutoTokenizer.from_pretrained(tiny)

    def cut(text: str) -> list[list[int]]:
        words = text.split()
        return [coder(" ".join(words[i : i + 4])).input_ids[:20] for i in range(0, len(words), 4)]

    train, held_out, general = cut(TEXT)[:12], cut(TEXT)[12:20], cut(GENERAL)
    blocks_of(list(zip(train[::2], train[1::2], strict=True)), folder)
    for part, documents in ("held_out", held_out), ("general", general):
        if part in parts:
            part_of(list(zip(documents[::2], documents[1::2], strict=False)), folder / part)
    return folder


def part_of(blocks: list[Any], folder: Path, **arrays: Any) -> Path:
    """A part of a pack, made as a pack's blocks to learn are."""
    shutil.move(blocks_of(blocks, folder.with_name(f"{folder.name}-alone")) / "train", folder)
    loss = np.load(folder / "loss.npy")
    arrays = {"bytes": 3 * loss.sum(axis=1, dtype=np.int32)} | arrays
    for stem, array in arrays.items():
        np.save(folder / f"{stem}.npy", array)
    return folder


def with_gate(section: Any = TRAIN, **values: Any) -> Any:
    return changed(section, gate=GATE.model_dump() | values)


def model_of(tiny: Path, adapted: bool = False) -> Any:
    """A model as fit() hands it to the gate."""
    from transformers import AutoModelForCausalLM

    from residency.lora import adapt
    from residency.train import only_where_learned

    model = AutoModelForCausalLM.from_pretrained(tiny)
    if adapted:
        adapt(model, LORA.model_copy(update={"dropout": 0.5}))
    only_where_learned(model)
    return model


def test_the_curves_are_written_and_go_the_way_of_what_is_learned(
    tiny: Path, pack: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    log = trained(with_gate(changed(TRAIN, epochs=4)), tiny, pack, tmp_path / "out")
    rows = list(read_rows(tmp_path / "out" / "gate.jsonl"))
    steps = len(log)
    assert [row["step"] for row in rows] == [0, steps // 2, steps]
    assert [row["share"] for row in rows] == [0, 0.5, 1]
    assert {row["tokenizer"] for row in rows} == {OWN}
    assert rows[-1]["domain_bits_per_byte"] < rows[0]["domain_bits_per_byte"]
    told = read_json(tmp_path / "out" / "training.json")["gate"]
    assert told == found(GATE, rows)
    assert told["domain"]["before"] == rows[0]["domain_bits_per_byte"]
    assert told["domain"]["rise"] < 0
    assert f"step {steps} of {steps}: domain text fell by" in capsys.readouterr().out
    assert "domain text fell by" in (tmp_path / "out" / "README.md").read_text()


def test_bits_per_byte_are_those_of_each_document_alone(tiny: Path, pack: Path) -> None:
    import torch
    from transformers import AutoModelForCausalLM

    sample = sampled(pack / "held_out", 2)
    plain, nats = AutoModelForCausalLM.from_pretrained(tiny), 0.0
    for tokens, positions, loss in sample.rows:
        starts = [*np.flatnonzero(positions == 0), LENGTH]
        for start, end in pairwise(starts):
            ids = torch.tensor(tokens[None, start:end].astype(np.int64))
            chances = plain(ids).logits[0].log_softmax(-1)
            learned = np.flatnonzero(loss[start:end])
            nats -= sum(chances[i - 1, ids[0, i]].item() for i in learned)
    expected = nats / math.log(2) / sample.bytes
    for size in 1, 2, 3:
        measured = bits_per_byte(
            model_of(tiny), sample, precision="float32", device="cpu", at_a_time=size
        )
        assert measured == pytest.approx(expected, rel=1e-5)


def test_flash_attention_is_told_where_the_documents_of_a_micro_batch_begin(pack: Path) -> None:
    import torch

    class Model(torch.nn.Module):
        config = SimpleNamespace(_attn_implementation="flash_attention_2")

        def forward(self, **batch: Any) -> Any:
            given.append(batch)
            return SimpleNamespace(logits=torch.zeros(int(batch["learned"].sum()), 400))

    given: list[dict[str, Any]] = []
    sample = sampled(pack / "held_out", 2)
    measured = bits_per_byte(Model(), sample, precision="float32", device="cpu", at_a_time=2)
    positions = np.concatenate([row[1] for row in sample.rows])
    starts = [*np.flatnonzero(positions == 0), 2 * LENGTH]
    assert [batch["cu_seq_lens_q"].tolist() for batch in given] == [starts]
    learned = sum(int(row[2].sum()) for row in sample.rows)
    assert measured == pytest.approx(learned * math.log2(400) / sample.bytes)


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_a_model_that_nobody_wrapped_is_measured_in_the_declared_precision(
    pack: Path, precision: str
) -> None:
    import torch

    class Model(torch.nn.Module):
        config = SimpleNamespace(_attn_implementation="sdpa")

        def forward(self, **batch: Any) -> Any:
            found.add(torch.get_autocast_dtype("cpu") if torch.is_autocast_enabled("cpu") else None)
            return SimpleNamespace(logits=torch.zeros(int(batch["learned"].sum()), 400))

    found: set[Any] = set()
    sample = sampled(pack / "held_out", 2)
    bits_per_byte(Model(), sample, precision=precision, device="cpu", at_a_time=2)
    assert found == {torch.bfloat16 if precision == "bfloat16" else None}


def test_the_sample_is_spread_over_the_blocks_and_counts_their_bytes(pack: Path) -> None:
    sizes = np.load(pack / "held_out" / "bytes.npy")
    tokens = np.load(pack / "held_out" / "tokens.npy")
    assert len(sizes) == 4
    sample = sampled(pack / "held_out", 2)
    assert sample.bytes == sizes[0] + sizes[2]
    assert np.array_equal([row[0] for row in sample.rows], tokens[[0, 2]])
    assert len(sampled(pack / "held_out", 99).rows) == 4


@pytest.mark.parametrize("method", ["full", "lora"])
def test_losses_are_the_same_bits_with_and_without_a_gate(
    tiny: Path, pack: Path, tmp_path: Path, method: str
) -> None:
    lora = LORA.model_dump() | {"dropout": 0.3} if method == "lora" else None
    section = changed(TRAIN, method=method, lora=lora)
    bare = trained(section, tiny, pack, tmp_path / "bare")
    watched = trained(with_gate(section, every=0.1), tiny, pack, tmp_path / "watched")
    assert bare == watched
    weights = "model.safetensors"
    assert (tmp_path / "bare" / weights).read_bytes() == (
        tmp_path / "watched" / weights
    ).read_bytes()


def test_measuring_leaves_modes_gradients_and_random_numbers_alone(tiny: Path, pack: Path) -> None:
    import torch

    model = model_of(tiny, adapted=True)
    model.train()
    model.model.layers[0].eval()
    modes = [module.training for module in model.modules()]
    state = torch.get_rng_state()
    sample = sampled(pack / "held_out", 2)
    one, two = (
        bits_per_byte(model, sample, precision="float32", device="cpu", at_a_time=1)
        for _ in range(2)
    )
    assert one == two
    assert torch.equal(torch.get_rng_state(), state)
    assert [module.training for module in model.modules()] == modes
    assert all(weight.grad is None for weight in model.parameters())


@pytest.mark.parametrize("ranks", [2, 3])
def test_each_process_takes_its_share_in_equally_many_passes(
    tiny: Path, pack: Path, monkeypatch: pytest.MonkeyPatch, ranks: int
) -> None:
    from torch import distributed

    sample = sampled(pack / "held_out", 4)
    model, passes, sums = model_of(tiny), [0] * ranks, []
    alone = bits_per_byte(model, sample, precision="float32", device="cpu", at_a_time=1)
    monkeypatch.setattr(distributed, "is_initialized", lambda: True)
    monkeypatch.setattr(distributed, "get_world_size", lambda: ranks)
    monkeypatch.setattr(distributed, "all_reduce", sums.append)
    for rank in range(ranks):
        monkeypatch.setattr(distributed, "get_rank", lambda rank=rank: rank)
        count = model.register_forward_hook(
            lambda *_, rank=rank: passes.__setitem__(rank, passes[rank] + 1)
        )
        bits_per_byte(model, sample, precision="float32", device="cpu", at_a_time=1)
        count.remove()
    assert passes == [2] * ranks
    assert sum(sums).item() / math.log(2) / sample.bytes == pytest.approx(alone, rel=1e-9)


def test_general_text_that_gets_worse_stops_the_training_with_the_numbers(
    tiny: Path, pack: Path, tmp_path: Path
) -> None:
    section = changed(TRAIN, epochs=40, warmup=0.0, learning_rate=3e-2)
    with pytest.raises(
        Complaint,
        match=r"train\.gate\.stop_if_general_loss_rises_by: 0\.001 is passed at step \d+ of 80: "
        r".*general text rose by \d+\.\d % from .*pack\.general\.replay.*learning_rate",
    ):
        trained(
            with_gate(section, every=0.1, stop_if_general_loss_rises_by=1e-3),
            tiny,
            pack,
            tmp_path / "out",
        )
    assert not (tmp_path / "out" / "model.safetensors").exists()


def test_a_warning_is_a_line_and_a_mark_and_the_model_is_written(
    tiny: Path, pack: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    section = changed(TRAIN, epochs=40, warmup=0.0, learning_rate=3e-2)
    section = with_gate(section, every=0.25, warn_if_general_loss_rises_by=1e-3)
    trained(section, tiny, pack, tmp_path / "out")
    assert read_json(tmp_path / "out" / "training.json")["gate"]["warned"] is True
    assert "warning: general text rose by more than 0.001" in capsys.readouterr().out
    assert (tmp_path / "out" / "model.safetensors").exists()


def test_the_parent_is_measured_in_its_own_pieces_where_the_vocabulary_grew(
    tiny: Path, tmp_path: Path
) -> None:
    tokenizer = grown(tiny, tmp_path / "tokenizer")
    new, old = [[5, 400, 7, 401, 9]], [[5, 10, 20, 7, 30, 40, 50, 9]]
    for name, documents in ("new", new), ("old", old):
        folder = blocks_of([documents], tmp_path / name)
        loss = np.zeros((1, LENGTH), np.uint8)
        loss[0, 1 : len(documents[0])] = 1
        part_of([documents], folder / "held_out", loss=loss, bytes=np.array([30], np.int32))
    trained(with_gate(), tiny, tmp_path / "new", tmp_path / "grown", tokenizer)
    trained(with_gate(), tiny, tmp_path / "old", tmp_path / "parent")
    rows = list(read_rows(tmp_path / "grown" / "gate.jsonl"))
    (parent, *_) = read_rows(tmp_path / "parent" / "gate.jsonl")
    assert [row["tokenizer"] for row in rows[:3]] == [PARENTS, OWN, OWN]
    assert [row["step"] for row in rows[:3]] == [0, 0, 1]
    measured = rows[0]["domain_bits_per_byte"]
    assert measured == pytest.approx(parent["domain_bits_per_byte"], rel=1e-5)
    assert measured != pytest.approx(rows[1]["domain_bits_per_byte"], rel=1e-2)
    told = read_json(tmp_path / "grown" / "training.json")["gate"]["domain"]
    assert told["before"] == measured


def test_a_document_grown_past_the_context_goes_on_as_another(tmp_path: Path) -> None:
    folder = part_of([[[5, 400, 7], [400, 8]], [[6]]], tmp_path / "part")
    np.save(folder / "bytes.npy", np.array([9, 1], np.int32))
    np.save(folder / "loss.npy", (np.load(folder / "positions.npy") > 0).astype(np.uint8))
    sample = in_old_pieces(sampled(folder, 2), {"400": [10, 20, 30]}, longest=4)
    tokens, positions, loss = sample.rows[0]
    assert tokens[:9].tolist() == [5, 10, 20, 30, 7, 10, 20, 30, 8]
    assert positions[:9].tolist() == [0, 1, 2, 3, 0, 0, 1, 2, 3]
    assert loss[:9].tolist() == [0, 1, 1, 1, 0, 0, 0, 0, 1]
    assert {len(each) for row in sample.rows for each in row} == {len(tokens)}
    assert sample.bytes == 10


def test_a_resumed_training_goes_on_with_the_rows_there_were(
    tiny: Path, pack: Path, tmp_path: Path
) -> None:
    from transformers import AutoModelForCausalLM, Trainer, TrainingArguments

    from residency.blocks import Blocks, collate
    from residency.gate import watching
    from residency.train import only_where_learned

    def run(steps: int, **resume: Any) -> list[dict[str, Any]]:
        model = AutoModelForCausalLM.from_pretrained(tiny)
        watch = watching(
            Gate.model_validate(GATE.model_dump() | {"every": 0.25}), pack, None, "float32"
        )
        arguments = TrainingArguments(
            output_dir=str(tmp_path / "work"),
            max_steps=8,
            per_device_train_batch_size=2,
            save_strategy="steps",
            save_steps=4,
            use_cpu=True,
            remove_unused_columns=False,
            disable_tqdm=True,
            report_to="none",
        )
        trainer = Trainer(
            model,
            arguments,
            data_collator=collate,
            train_dataset=Blocks(pack / "train"),
            compute_loss_func=lambda outputs, *_, **__: outputs.logits.pow(2).mean(),
            callbacks=[watch],
        )
        only_where_learned(model)
        if steps < 8:
            trainer.add_callback(stopper(steps))
        trainer.train(**resume)
        return list(watch.rows)

    whole = run(8)
    assert [row["step"] for row in whole] == [0, 2, 4, 6, 8]
    begun = run(5)
    assert begun == whole[:3]
    assert run(8, resume_from_checkpoint=str(tmp_path / "work" / "checkpoint-4")) == whole


def stopper(steps: int) -> Any:
    from transformers import TrainerCallback

    class Stop(TrainerCallback):
        def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:  # noqa: ARG002
            control.should_training_stop = state.global_step >= steps

    return Stop()


@pytest.mark.parametrize(
    ("every", "steps", "expected"),
    [
        (0.1, 30, set(range(0, 31, 3))),
        (0.4, 10, {0, 4, 8, 10}),
        (1.0, 7, {0, 7}),
        (0.25, 2, {0, 1, 2}),
        (0.01, 1, {0, 1}),
    ],
)
def test_it_is_measured_before_after_and_at_equal_distances(
    every: float, steps: int, expected: set[int]
) -> None:
    assert moments(every, steps) == expected


def row(step: int, general: float, tokenizer: str = OWN) -> dict[str, Any]:
    return {"step": step, "tokenizer": tokenizer, "general_bits_per_byte": general}


def bounded(warn: float | None, stop: float | None) -> Gate:
    return Gate(
        every=0.5, blocks=1, warn_if_general_loss_rises_by=warn, stop_if_general_loss_rises_by=stop
    )


def test_a_rise_is_counted_from_the_parent_and_not_from_untrained_new_rows() -> None:
    rows = [row(0, 1.0, PARENTS), row(0, 1.5)]
    assert "warning" not in judged(bounded(0.1, 0.2), rows, 10)
    assert "warning" in judged(bounded(0.1, 0.2), [*rows, row(5, 1.15)], 10)
    with pytest.raises(Complaint, match=r"rose by 40\.0 % from 1\.000 to 1\.400"):
        judged(bounded(0.1, 0.2), [*rows, row(5, 1.4)], 10)
    assert found(bounded(0.1, None), [*rows, row(5, 1.05)])["warned"] is False
    assert found(bounded(0.1, None), [*rows, row(5, 1.2), row(9, 1.0)])["warned"] is True


def test_weights_that_are_no_numbers_any_more_are_a_complaint() -> None:
    with pytest.raises(Complaint, match=r"diverged by step 5 of 10: nan bits per byte of general"):
        judged(GATE, [row(0, 1.0), row(5, math.nan)], 10)


def test_the_words_say_what_rose_and_what_fell() -> None:
    rows = [
        {"domain_bits_per_byte": 1.2, "general_bits_per_byte": 0.9},
        {"domain_bits_per_byte": 0.6, "general_bits_per_byte": 0.99},
    ]
    assert change(rows) == (
        "domain text fell by 50.0 % from 1.200 to 0.600 bits per byte, "
        "general text rose by 10.0 % from 0.900 to 0.990 bits per byte"
    )
    rows[1]["general_bits_per_byte"] = 0.901
    assert "general text stayed at 0.901 bits per byte (was 0.900)" in change(rows)


@pytest.mark.parametrize(
    ("parts", "values", "message"),
    [
        ((), {}, "found neither"),
        (("held_out",), {"stop_if_general_loss_rises_by": 0.1}, r"declare pack\.general"),
        (("held_out",), {"warn_if_general_loss_rises_by": 0.1}, "found held_out"),
    ],
)
def test_a_gate_without_the_text_it_measures_is_refused(
    tiny: Path, tmp_path: Path, parts: tuple[str, ...], values: dict[str, Any], message: str
) -> None:
    pack = packed(tiny, tmp_path / "pack", parts)
    with pytest.raises(Complaint, match=message):
        trained(with_gate(**values), tiny, pack, tmp_path / "out")


def test_a_part_with_nothing_learned_is_refused(tiny: Path, tmp_path: Path) -> None:
    pack = packed(tiny, tmp_path / "pack")
    sizes = np.load(pack / "general" / "bytes.npy")
    np.save(pack / "general" / "bytes.npy", np.zeros_like(sizes))
    with pytest.raises(Complaint, match=r"general: nothing to measure"):
        trained(with_gate(), tiny, pack, tmp_path / "out")


def test_a_warning_later_than_the_stop_is_refused() -> None:
    with pytest.raises(ValueError, match=r"warn_if_.* is 0\.2, above stop_if_.*, which is 0\.1"):
        bounded(0.2, 0.1)
