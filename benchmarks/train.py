"""How fast conversations are learned on a CPU, beside TRL's SFTTrainer and padded batches.

    PYTHONPATH=src python benchmarks/train.py MODEL PEERS_PYTHON DATA... [--count N] [--rounds N]

MODEL: a folder of build/models; PEERS_PYTHON: the Python of an environment with trl beside what
constraints.txt names; DATA: `medqa=FILE` (MedQA's own JSON lines, options shown) or
`questions=FILE,FILE` (.jsonl files that examine and write made, options hidden).

All learn the same N conversations once, full fine-tuning, bfloat16 autocast, the loss on answers
alone, the same number of tokens (within a conversation) per optimiser step. Each runs in a process
of its own, in turn. Counted are real tokens (no padding) by wall clock and by CPU seconds of the
steps alone, not of what is imported and set up before them, and the process's highest memory.
Beforehand all take one step on the same four conversations, where their losses must agree, and
packed ones show whether documents leak.

    ours                 residency.train.fit on blocks
    trl                  SFTTrainer, its defaults: 8 padded conversations, activations recomputed
    trl, kept            the same, activations kept
    trl, packed          packing=True ("bfd"), activations kept, a whole step as one flat row
    trl, packed, small   the same, a block at a time
    padded               as LLaMA-Factory does it: 8 shuffled conversations padded to the longest (a
                         multiple of 8), logits of all positions; activations kept
"""

from __future__ import annotations

import argparse
import json
import os
import random
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

PEERS = ("ours", "trl", "trl, kept", "trl, packed", "trl, packed, small", "padded")
BLOCK = {"medqa": 512, "questions": 256}
STEP = {"medqa": 2048, "questions": 512}
Conversation = tuple[list[int], list[int]]


def conversations(kind: str, files: list[Path], model: Path, count: int) -> list[Conversation]:
    """Prompts and answers as ids, a sample that the seed 0 draws."""
    from transformers import AutoTokenizer

    from residency import prompts
    from residency.records import questions

    coder = AutoTokenizer.from_pretrained(model, local_files_only=True)
    if kind == "medqa":
        pairs = []
        for line in files[0].read_text().splitlines():
            row = json.loads(line)
            listed = [f"{letter}. {text}" for letter, text in row["options"].items()]
            pairs.append(("\n".join([row["question"], *listed]), row["answer"]))
    else:
        pairs = [
            (prompts.ask(each, "hidden"), prompts.answer(each, each.answers))
            for file in files
            for each in questions(file)
            if each.kind in prompts.ASKED
        ]
    drawn = random.Random(0).sample(pairs, min(count, len(pairs)))
    coded = [
        (prompts.prompt(coder, asked, ""), prompts.reply(coder, told)) for asked, told in drawn
    ]
    return [(asked, told) for asked, told in coded if len(asked) + len(told) <= BLOCK[kind]]


def blocks(data: list[Conversation], length: int) -> Any:
    """Conversations put into blocks as `pack` does, as residency.blocks.Blocks in memory."""
    import numpy as np

    from residency.bestfit import best_fit
    from residency.blocks import Blocks

    sizes = np.array([len(asked) + len(told) for asked, told in data])
    rows = best_fit(sizes, length)
    shape = (int(rows.max()) + 1, length)
    filled = Blocks.__new__(Blocks)
    filled.tokens = np.zeros(shape, np.int32)
    filled.positions = np.zeros(shape, np.int32)
    filled.loss = np.zeros(shape, np.uint8)
    filled.bytes = np.zeros(shape[0], np.int32)  # only the log counts them
    used = [0] * shape[0]
    for (asked, told), row in zip(data, rows.tolist(), strict=True):
        at, end = used[row], used[row] + len(asked) + len(told)
        filled.tokens[row, at:end] = asked + told
        filled.positions[row, at:end] = np.arange(end - at)
        filled.loss[row, end - len(told) : end] = 1
        used[row] = end
    for row, at in enumerate(used):
        filled.positions[row, at:] = np.arange(length - at)
    return filled


def stopwatch(spent: dict[str, float]) -> Any:
    """A TrainerCallback that notes the seconds and CPU seconds from before the first step on."""
    from transformers import TrainerCallback

    class Stopwatch(TrainerCallback):
        def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:  # noqa: ARG002
            spent.update(wall=-time.monotonic(), cpu=-time.process_time())

        def on_train_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:  # noqa: ARG002
            spent["wall"] += time.monotonic()
            spent["cpu"] += time.process_time()

    return Stopwatch()


def ours(model: Any, data: list[Conversation], kind: str, step: int, out: Path, watch: Any) -> Any:
    """What trains with residency, returning the losses of its steps."""
    from residency.train import Train, fit

    settings = Train.model_validate(
        {
            "method": "full",
            "lora": None,
            "epochs": 1,
            "steps": None,
            "batch_tokens": step,
            "learning_rate": 2e-5,
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
    filled = blocks(data, BLOCK[kind])
    return lambda: [row["loss"] for row in fit(model, settings, filled, out, [watch])]


def _arguments(step: int, at_a_time: int, out: Path) -> dict[str, Any]:
    return {
        "output_dir": str(out),
        "num_train_epochs": 1,
        "per_device_train_batch_size": at_a_time,
        "gradient_accumulation_steps": max(1, step // at_a_time),
        "learning_rate": 2e-5,
        "lr_scheduler_type": "constant",
        "bf16": True,
        "use_cpu": True,
        "dataloader_pin_memory": False,
        "logging_steps": 1,
        "save_strategy": "no",
        "report_to": "none",
        "disable_tqdm": True,
    }


def peer(name: str, model: Any, data: list[Conversation], kind: str, step: int, out: Path) -> Any:
    """The trainer of a peer; `step`: tokens per optimiser step."""
    from datasets import Dataset
    from transformers import AutoTokenizer

    rows = [
        {"input_ids": asked + told, "labels": [-100] * len(asked) + told} for asked, told in data
    ]
    mean = sum(len(row["input_ids"]) for row in rows) / len(rows)
    per_step = max(8, round(step / mean / 8) * 8)
    if name == "padded":
        from transformers import DataCollatorForSeq2Seq, Trainer, TrainingArguments

        coder = AutoTokenizer.from_pretrained(model.name_or_path)
        return Trainer(
            model,
            TrainingArguments(**_arguments(per_step, 8, out)),
            train_dataset=[row | {"attention_mask": [1] * len(row["input_ids"])} for row in rows],
            data_collator=DataCollatorForSeq2Seq(coder, padding=True, pad_to_multiple_of=8),
        )
    from trl import SFTConfig, SFTTrainer

    options = _arguments(per_step, 8, out)
    if "packed" in name:
        held = max(1, step // BLOCK[kind])
        options = _arguments(held, 1 if "small" in name else held, out)
        options |= {"packing": True, "packing_strategy": "bfd", "max_length": BLOCK[kind]}
    if name != "trl":
        options["gradient_checkpointing"] = False
    return SFTTrainer(
        model,
        SFTConfig(**options),
        train_dataset=Dataset.from_list(rows),
        processing_class=AutoTokenizer.from_pretrained(model.name_or_path),
    )


def leaks(trainer: Any) -> bool:
    """Whether another first document changes the logits of the last in a packed row."""
    import torch

    batch = dict(trainer.data_collator([trainer.train_dataset[0]]))
    batch.pop("labels")
    starts = (batch["position_ids"][0] == 0).nonzero().flatten()
    other = batch | {"input_ids": batch["input_ids"].clone()}
    other["input_ids"][0, : starts[1]] += 7
    trainer.model.eval()
    with torch.no_grad():
        logits = [trainer.model(**each, use_cache=False).logits[0] for each in (batch, other)]
    trainer.model.train()
    return not torch.allclose(logits[0][starts[-1] :], logits[1][starts[-1] :], atol=1e-4)


def one(name: str, model_folder: Path, given: Path, step: int) -> dict[str, Any]:
    """Train one of PEERS on conversations given as JSON; what was measured."""
    if name == "ours":
        from residency.step import prepare_cpu

        prepare_cpu()
    import torch
    import transformers
    from transformers import AutoModelForCausalLM

    transformers.set_seed(0)
    told = json.loads(given.read_text())
    data = told["data"]
    model = AutoModelForCausalLM.from_pretrained(model_folder, dtype=torch.float32)
    found: dict[str, Any] = {"torch": torch.__version__, "transformers": transformers.__version__}
    spent: dict[str, float] = {}
    watch = stopwatch(spent)
    with tempfile.TemporaryDirectory() as out:
        if name == "ours":
            run = ours(model, data, told["kind"], step, Path(out), watch)
        else:
            trainer = peer(name, model, data, told["kind"], step, Path(out))
            trainer.add_callback(watch)
            if "packed" in name and told["check"]:
                found["leaks"] = leaks(trainer)

            def run() -> list[float]:
                trainer.train()
                return [row["loss"] for row in trainer.state.log_history if "loss" in row]

        losses = run()
    found |= spent
    if name.startswith("trl"):
        import trl

        found["trl"] = trl.__version__
    return found | {
        "peer": name,
        "steps": len(losses),
        "first loss": losses[0],
        "tokens": sum(len(asked) + len(answer) for asked, answer in data),
        "MB": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
    }


def child(python: str, name: str, model: Path, given: Path, step: int) -> dict[str, Any]:
    """`one` in a process of its own."""
    command = [python, __file__, "--one", name, str(model), str(given), str(step)]
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ})
    if done.returncode:
        raise SystemExit(f"{name}: {done.stderr[-3000:]}")
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def main() -> None:
    """Check, then measure, and print a table for each kind of data."""
    parser = argparse.ArgumentParser()
    parser.add_argument("model", type=Path)
    parser.add_argument("peers_python")
    parser.add_argument("data", nargs="+")
    parser.add_argument("--count", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--no-check", action="store_true", help="only measure")
    parser.add_argument("--peers", nargs="+", choices=PEERS, default=PEERS)
    asked = parser.parse_args()
    for kind, _, files in (each.partition("=") for each in asked.data):
        paths = [Path(file) for file in files.split(",")]
        data = conversations(kind, paths, asked.model, asked.count)
        rows: dict[str, list[dict[str, Any]]] = {name: [] for name in asked.peers}
        with tempfile.TemporaryDirectory() as folder:
            given = Path(folder) / "given.json"
            for turn in range(0 if asked.no_check else -1, asked.rounds):
                check = turn < 0
                some = sorted(data, key=lambda each: len(each[0]))[:4] if check else data
                given.write_text(json.dumps({"kind": kind, "data": some, "check": check}))
                for name in asked.peers if turn % 2 else reversed(asked.peers):
                    python = sys.executable if name == "ours" else asked.peers_python
                    step = 10**6 if check else STEP[kind]
                    found = child(python, name, asked.model, given, step)
                    print(json.dumps({"kind": kind, "check": check} | found), flush=True)
                    if not check:
                        rows[name].append(found)
        print(f"\n{kind}: {len(data)} conversations, {rows[asked.peers[0]][0]['tokens']} tokens\n")
        print(
            "| | steps | tokens/s, best | tokens per CPU second, best | MB |\n|---|---|---|---|---|"
        )
        for name, runs in rows.items():
            wall, cpu = (max(run["tokens"] / run[key] for run in runs) for key in ("wall", "cpu"))
            print(
                f"| {name} | {runs[0]['steps']} | {wall:.0f} | {cpu:.0f} | "
                f"{max(run['MB'] for run in runs)} |"
            )


if __name__ == "__main__":
    if sys.argv[1:2] == ["--one"]:
        name, model, given, step = sys.argv[2:]
        print("\n" + json.dumps(one(name, Path(model), Path(given), int(step))))
    else:
        main()
