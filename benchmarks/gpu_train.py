"""How much of a GPU training uses: model FLOP utilisation, and packed beside padded batches.

    [PYTHONPATH=src] python benchmarks/gpu_train.py [--tiny] [PART ...]

Needs torch, transformers, peft and accelerate alone; TRL's and residency's rows are measured where
they can be imported, and are reported as absent elsewhere. Randomly initialised models of the Llama
architecture, random tokens, sequence 4096, bfloat16. One JSON object per part is printed and then
one with all. A part that fails or exceeds its time says so, with what it had by then, and the
others go on; all together take less than nine minutes. --tiny runs everything in small on whatever
is there, to test this script.

    rate      the chip's matrix rate: the best of 30 products of 8192 x 8192 bfloat16 matrices
    full-1b   1.3B, all weights: float32 weights, gradients and AdamW moments, bfloat16 autocast,
              no activations recomputed
    full-7b   6.7B, all weights: weights, gradients and AdamW moments in bfloat16 (54 GB), no
              activations recomputed. That is how it fits one GPU; it loses small updates, so it
              tells what the hardware gives, not how to train
    safe-7b   6.7B, all weights as in full-1b (108 GB), activations recomputed layer by layer
    lora-1b, lora-7b   frozen bfloat16 weights, rank 16 in all linear layers (float32)
    small     the shape of SmolLM2-135M on conversations of 30 to 1000 tokens: packed (blocks of
              2048, no document sees another, logits where learned alone), padded (8 shuffled ones
              to the longest, all logits), TRL's defaults and its packing, residency's own fit

All: AdamW(fused=True), gradients clipped to 1, scaled_dot_product_attention (flash where the chip
has it), measured eager and then with the decoder layers compiled one by one. The micro-batch is
halved until it fits; three steps warm up and six are counted, by their median.

Utilisation is FLOP/s of the model over the matrix rate measured in the same process. FLOP per token
after PaLM (Chowdhery et al. 2022, arXiv 2204.02311, appendix B): 6 N + 12 L H Q T, where N are the
weights of matrix products (no input embedding), L layers, H heads of size Q, T the sequence; what
is computed twice counts once. `causal` counts attention's lower half alone (6 L H Q T). Frozen
weights have no gradient, so LoRA's are 4 N + 6 N_adapters + 12 L H Q T.
"""

from __future__ import annotations

import argparse
import gc
import importlib.util
import json
import math
import random
import statistics
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator
from datetime import date
from typing import Any

LIMITS = {  # seconds, together less than nine minutes
    "rate": 30,
    "full-1b": 95,
    "full-7b": 100,
    "safe-7b": 75,
    "lora-1b": 60,
    "lora-7b": 75,
    "small": 90,
}
SHAPES = {  # hidden, feed-forward, layers, heads, key/value heads, vocabulary
    "1b": (2048, 5504, 24, 16, 16, 32000),
    "7b": (4096, 11008, 32, 32, 32, 32000),
    "small": (576, 1536, 30, 9, 3, 49152),
    "tiny": (64, 128, 2, 4, 4, 512),
}
STEPS, WARM_UP = 6, 3


def device() -> str:
    """cuda where there is one."""
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"


def wait() -> float:
    """The time when the GPU has done all it was told."""
    import torch

    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter()


def rate(tiny: bool) -> float:
    """FLOP/s of large bfloat16 products: the best of 30."""
    import torch

    size = 256 if tiny else 8192
    a, b = (torch.randn(size, size, device=device(), dtype=torch.bfloat16) for _ in range(2))
    times = []
    for _ in range(35):
        began = wait()
        a @ b
        times.append(wait() - began)
    return 2 * size**3 / min(times[5:])


def llama(shape: str, dtype: Any, length: int) -> Any:
    """A randomly initialised model on the device."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    hidden, forward, layers, heads, kv_heads, vocabulary = SHAPES[shape]
    config = LlamaConfig(
        hidden_size=hidden,
        intermediate_size=forward,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        num_key_value_heads=kv_heads,
        vocab_size=vocabulary,
        max_position_embeddings=max(length, 2048),
        tie_word_embeddings=shape == "small",
        pad_token_id=0,
        attn_implementation="sdpa",
    )
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        with torch.device(device()):
            model = LlamaForCausalLM(config)
    finally:
        torch.set_default_dtype(before)
    model.config.use_cache = False
    return model.train()


def optimiser(model: Any) -> Callable[[], None]:
    """A function that takes AdamW's step and clears the gradients."""
    import torch

    trained = [weight for weight in model.parameters() if weight.requires_grad]
    adam = torch.optim.AdamW(trained, lr=1e-5, fused=True)

    def step() -> None:
        torch.nn.utils.clip_grad_norm_(trained, 1.0)
        adam.step()
        adam.zero_grad(set_to_none=True)

    return step


def compile_layers(model: Any) -> None:
    """Have every decoder layer compiled, in place, at its first call."""
    layers = model.get_base_model() if hasattr(model, "get_base_model") else model
    for layer in layers.model.layers:
        layer.compile()


def utilisation(kind: str, size: str, tiny: bool) -> Iterator[dict[str, Any]]:
    """Steps on random tokens, eager and then compiled. `kind`: full, safe or lora."""
    import torch

    shape, length = ("tiny", 64) if tiny else (size, 4096)
    top = rate(tiny)
    masters = kind == "safe" or (kind == "full" and size == "1b")
    model = llama(shape, torch.float32 if masters else torch.bfloat16, length)
    embedding = model.get_input_embeddings().weight.numel()
    adapters = 0
    weights = sum(weight.numel() for weight in model.parameters()) - embedding
    if kind == "lora":
        from peft import LoraConfig, get_peft_model

        model = get_peft_model(model, LoraConfig(r=16, target_modules="all-linear"))
        adapters = sum(w.numel() for w in model.parameters() if w.requires_grad)
    if kind == "safe":
        model.gradient_checkpointing_enable({"use_reentrant": False})
    vocabulary = model.config.vocab_size
    step = optimiser(model)

    def once(batch: int) -> float:
        began = wait()
        tokens = torch.randint(vocabulary, (batch, length), device=device())
        with torch.autocast(device(), torch.bfloat16, enabled=masters or kind == "lora"):
            loss = model(input_ids=tokens, labels=tokens).loss
        loss.backward()
        step()
        return wait() - began

    def some(batch: int) -> tuple[int, list[float]]:
        while True:
            try:
                times = [once(batch) for _ in range(WARM_UP + STEPS)]
                return batch, times[WARM_UP:]
            except torch.OutOfMemoryError:
                if batch == 1:
                    raise
            batch //= 2
            model.zero_grad(set_to_none=True)
            gc.collect()
            torch.cuda.empty_cache()

    layers = model.config.num_hidden_layers
    attention = 12 * layers * model.config.hidden_size * length
    each = (4 * weights + 6 * adapters if kind == "lora" else 6 * weights) + attention
    found: dict[str, Any] = {
        "matrix TFLOP/s": top / 1e12,
        "parameters": weights + embedding,
        "trained": adapters or weights + embedding,
        "sequence": length,
        "recomputed": kind == "safe",
        "weights": "float32" if masters else "bfloat16",
    }
    batch = 2 if tiny else 8 if size == "1b" else 4
    for how in "eager", "compiled":
        try:
            if how == "compiled":
                compile_layers(model)
            batch, times = some(batch)
        except Exception as error:  # the other way may do
            found[how] = {"failed": f"{type(error).__name__}: {str(error)[:300]}"}
            yield found
            continue
        seconds = statistics.median(times)
        speed = batch * length / seconds
        found[how] = {
            "micro-batch": batch,
            "step s": seconds,
            "tokens/s": speed,
            "model TFLOP/s": speed * each / 1e12,
            "utilisation": speed * each / top,
            "causal": speed * (each - attention / 2) / top,
            "peak GB": _peak(),
        }
        yield found


def _peak() -> float | None:
    import torch

    return torch.cuda.max_memory_allocated() / 1e9 if torch.cuda.is_available() else None


def talks(tiny: bool) -> list[tuple[list[int], list[int]]]:
    """Random conversations: prompt and answer; lengths log-normal."""
    chance = random.Random(0)
    found = []
    for _ in range(16 if tiny else 4096):
        size = int(min(1000, max(30, chance.lognormvariate(5.0, 0.7))))
        ids = [chance.randrange(3, 500) for _ in range(size // 4 if tiny else size)]
        told = max(1, len(ids) // 5)
        found.append((ids[:-told], ids[-told:]))
    return found


def packed_rows(
    data: list[tuple[list[int], list[int]]], length: int
) -> list[list[tuple[list[int], list[int]]]]:
    """Conversations in rows of at most `length` tokens, first-fit decreasing."""
    rows: list[list[tuple[list[int], list[int]]]] = []
    rooms: list[int] = []
    for each in sorted(data, key=lambda each: -len(each[0]) - len(each[1])):
        size = len(each[0]) + len(each[1])
        at = next((i for i, room in enumerate(rooms) if room >= size), len(rows))
        if at == len(rows):
            rows.append([])
            rooms.append(length)
        rows[at].append(each)
        rooms[at] -= size
    random.Random(1).shuffle(rows)
    return rows


def _batches(kind: str, data: Any, length: int, at_a_time: int) -> Iterator[tuple[Any, int]]:
    """Micro-batches as keyword arguments, and how many real tokens they hold."""
    import torch

    if kind == "padded":
        order = list(data)
        random.Random(1).shuffle(order)
        for start in range(0, len(order) - 7, 8):
            some = order[start : start + 8]
            width = math.ceil(max(len(a) + len(t) for a, t in some) / 8) * 8
            ids, mask, labels = (torch.full((8, width), fill) for fill in (0, 0, -100))
            for row, (asked, told) in enumerate(some):
                end = len(asked) + len(told)
                ids[row, :end] = torch.tensor(asked + told)
                mask[row, :end] = 1
                labels[row, len(asked) : end] = torch.tensor(told)
            yield {"input_ids": ids, "attention_mask": mask, "labels": labels}, int(mask.sum())
        return
    rows = packed_rows(data, length)
    for start in range(0, len(rows) - at_a_time + 1, at_a_time):
        ids, places = (torch.zeros(at_a_time, length, dtype=torch.long) for _ in range(2))
        labels = torch.full((at_a_time, length), -100)
        real = 0
        for row, documents in enumerate(rows[start : start + at_a_time]):
            at = 0
            for asked, told in documents:
                end = at + len(asked) + len(told)
                ids[row, at:end] = torch.tensor(asked + told)
                places[row, at:end] = torch.arange(end - at)
                labels[row, end - len(told) : end] = torch.tensor(told)
                at = end
            places[row, at:] = torch.arange(length - at)
            real += at
        yield {"input_ids": ids, "position_ids": places, "labels": labels}, real


def plain(kind: str, data: Any, tiny: bool, seconds: float) -> dict[str, Any]:
    """A plain loop on padded or packed batches."""
    import torch

    length, at_a_time = (256, 2) if tiny else (2048, 8)
    model = llama("tiny" if tiny else "small", torch.float32, length)
    step = optimiser(model)
    real, learning = 0, 0.0
    began = wait()
    for number, (batch, size) in enumerate(_batches(kind, data, length, at_a_time)):
        if number == (0 if tiny else WARM_UP):
            began, real = wait(), 0
        on = {key: value.to(device()) for key, value in batch.items()}
        with torch.autocast(device(), torch.bfloat16):
            if kind == "padded":
                loss = model(**on).loss
            else:
                labels = on.pop("labels")
                hidden = model.model(**on, use_cache=False).last_hidden_state
                learned = labels[:, 1:] != -100
                logits = model.lm_head(hidden[:, :-1][learned]).float()
                loss = torch.nn.functional.cross_entropy(logits, labels[:, 1:][learned])
        loss.backward()
        step()
        real += size
        learning = loss.item()
        if wait() - began > seconds:
            break
    return {"tokens/s": real / (wait() - began), "loss": learning, "peak GB": _peak()}


def by_trl(packing: bool, data: Any, tiny: bool, steps: int) -> dict[str, Any]:
    """TRL's SFTTrainer, at its defaults or packing with activations kept."""
    import torch
    from datasets import Dataset
    from tokenizers import Tokenizer, models
    from transformers import PreTrainedTokenizerFast
    from trl import SFTConfig, SFTTrainer

    length = 256 if tiny else 2048
    words = {f"w{i}": i for i in range(500)}
    coder = PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer(models.WordLevel(words, unk_token="w0")),
        pad_token="w0",
        eos_token="w1",
    )
    rows = [{"input_ids": a + t, "labels": [-100] * len(a) + t} for a, t in data]
    best = {"gradient_checkpointing": False, "packing": True, "max_length": length}
    with tempfile.TemporaryDirectory() as out:
        trainer = SFTTrainer(
            llama("tiny" if tiny else "small", torch.float32, length),
            SFTConfig(
                out,
                max_steps=steps,
                learning_rate=1e-5,
                bf16=True,
                use_cpu=device() == "cpu",
                save_strategy="no",
                report_to="none",
                disable_tqdm=True,
                logging_steps=1,
                **(best if packing else {}),
            ),
            train_dataset=Dataset.from_list(rows),
            processing_class=coder,
        )
        began = wait()
        trainer.train()
        seconds = wait() - began
        seen = max(row.get("num_tokens", 0) for row in trainer.state.log_history)
    return {"tokens/s": seen / seconds, "steps": steps, "peak GB": _peak()}


def by_residency(data: Any, tiny: bool) -> dict[str, Any]:
    """residency's own training on packed blocks."""
    from pathlib import Path

    import numpy as np
    import torch

    from residency.blocks import Blocks
    from residency.train import Train, fit

    length = 256 if tiny else 2048
    rows = packed_rows(data, length)
    blocks = Blocks.__new__(Blocks)
    blocks.tokens, blocks.positions = (np.zeros((len(rows), length), np.int32) for _ in range(2))
    blocks.loss = np.zeros((len(rows), length), np.uint8)
    blocks.bytes = np.zeros(len(rows), np.int32)  # only the log counts them
    for row, documents in enumerate(rows):
        at = 0
        for asked, told in documents:
            end = at + len(asked) + len(told)
            blocks.tokens[row, at:end] = asked + told
            blocks.positions[row, at:end] = np.arange(end - at)
            blocks.loss[row, end - len(told) : end] = 1
            at = end
        blocks.positions[row, at:] = np.arange(length - at)
    settings = Train.model_validate(
        {
            "method": "full",
            "lora": None,
            "epochs": 1,
            "steps": None,
            "batch_tokens": 8 * length,
            "learning_rate": 1e-5,
            "schedule": "constant",
            "warmup": 0,
            "weight_decay": 0,
            "max_grad_norm": 1,
            "precision": "bfloat16",
            "seed": 0,
            "gate": None,
            "keep": [],
        }
    )
    real = sum(len(a) + len(t) for a, t in data)
    model = llama("tiny" if tiny else "small", torch.float32, length)
    with tempfile.TemporaryDirectory() as out:
        began = wait()
        fit(model, settings, blocks, Path(out))
        return {"tokens/s": real / (wait() - began), "peak GB": _peak()}


def small(tiny: bool) -> Iterator[dict[str, Any]]:
    """Packed beside padded, TRL and residency, each where it can be imported."""
    import torch

    data = talks(tiny)
    runs: dict[str, Callable[[], dict[str, Any]]] = {
        "padded": lambda: plain("padded", data, tiny, 12),
        "packed": lambda: plain("packed", data, tiny, 12),
        "residency": lambda: by_residency(data, tiny),
        "trl": lambda: by_trl(False, data, tiny, 2 if tiny else 60),
        "trl, packed": lambda: by_trl(True, data, tiny, 2 if tiny else 12),
    }
    needs = {"trl": "trl", "trl, packed": "trl", "residency": "residency"}
    found: dict[str, Any] = {}
    for name, run in runs.items():
        if name in needs and importlib.util.find_spec(needs[name]) is None:
            found[name] = {"absent": f"{needs[name]} is not installed"}
            continue
        if torch.cuda.is_available():
            torch.cuda.reset_peak_memory_stats()
        try:
            found[name] = run()
        except Exception as error:
            found[name] = {"failed": f"{type(error).__name__}: {str(error)[:300]}"}
        yield found
        gc.collect()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()


def part(name: str, tiny: bool) -> Iterator[dict[str, Any]]:
    """What a part measured so far, each time with more, or why it failed."""
    try:
        if name == "about":
            yield about()
        elif name == "rate":
            yield {"matrix TFLOP/s": rate(tiny) / 1e12}
        elif name == "small":
            yield from small(tiny)
        else:
            kind, _, size = name.partition("-")
            yield from utilisation(kind, size, tiny)
    except Exception as error:
        traceback.print_exc()
        yield {"failed": f"{type(error).__name__}: {str(error)[:300]}"}


def last(printed: str) -> dict[str, Any]:
    """The last whole JSON object that a part printed."""
    for line in reversed(printed.splitlines()):
        if line.startswith("{") and line.endswith("}"):
            found: dict[str, Any] = json.loads(line)
            return found
    return {}


def about() -> dict[str, Any]:
    """Chip, versions, date."""
    from importlib.metadata import PackageNotFoundError, version

    import torch

    versions: dict[str, str | None] = {}
    for name in "torch", "transformers", "peft", "accelerate", "trl", "residency":
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            versions[name] = None
    chip = torch.cuda.get_device_name() if torch.cuda.is_available() else "cpu"
    return {"chip": chip, "cuda": torch.version.cuda, **versions, "date": str(date.today())}


def main() -> None:
    """Each part in a process of its own, within its time."""
    parser = argparse.ArgumentParser()
    parser.add_argument("parts", nargs="*", default=[], choices=[[], *LIMITS], metavar="PART")
    parser.add_argument("--tiny", action="store_true")
    parser.add_argument("--one")
    asked = parser.parse_args()
    if asked.one:
        for result in part(asked.one, asked.tiny):
            print("\n" + json.dumps(result), flush=True)
        return
    found: dict[str, Any] = {}
    for name in ["about", *(asked.parts or LIMITS)]:
        command = [sys.executable, __file__, "--one", name, *(["--tiny"] * asked.tiny)]
        limit = LIMITS.get(name, 60) * (10 if asked.tiny else 1)
        with tempfile.TemporaryFile("w+") as printed:
            try:
                done = subprocess.run(command, stdout=printed, timeout=limit)
                ended = {"failed": f"exit status {done.returncode}"} if done.returncode else {}
            except subprocess.TimeoutExpired:
                ended = {"stopped": f"after {limit} s"}
            printed.seek(0)
            found[name] = last(printed.read()) | ended
        print(json.dumps({name: found[name]}), flush=True)
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
