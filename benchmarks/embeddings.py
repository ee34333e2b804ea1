"""How new rows begin: held-out bits per byte before and after 200 steps, start beside start.

    python benchmarks/embeddings.py MODEL FOLDER [--seeds 0 1] [--only NAME ...]

MODEL is SmolLM2-135M as build/models/smollm2 holds it; FOLDER takes the packs and, as they come,
the rows of results.jsonl (what is there is not measured again). The text is the prose of OpenStax
Anatomy and Physiology 2e; every tenth module is held out, its tokenizer is grown by 2,048 pieces on
the rest. All starts see the same blocks in the same order, 256 tokens a step; the base with its own
tokenizer takes longer blocks, so that a step has as many bytes.
"""

from __future__ import annotations

import argparse
import json
import math
import shutil
import tempfile
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from grow import _CNXML, DATA, ET

from residency.blocks import Blocks, collate
from residency.embeddings import Embeddings, grow
from residency.extend import Tokenizer, extend
from residency.files import read_json, write_json
from residency.pack import Pack, pack
from residency.step import prepare_cpu
from residency.train import Train, fit

PIECES, STEPS, LENGTH = 2048, 200, 256
HELD_OUT = 40_000
STARTS: dict[str, Any] = {
    "mean": {"kind": "mean"},
    "weighted": {"kind": "weighted", "smoothing": 1e-3},
    "exponential": {"kind": "exponential", "ratio": 0.5},
    "noise": {"kind": "noise", "scale": 1e-9},
}
BASE = "no new pieces"


def prose() -> tuple[list[str], list[str]]:
    """The texts of the modules to learn from, and those held out."""
    texts = []
    for path in sorted((DATA / "openstax_anatomy_physiology_2e/modules").rglob("*.cnxml")):
        found = (
            " ".join("".join(para.itertext()).split())
            for para in ET.parse(path).getroot().iter(f"{_CNXML}para")
        )
        text = "\n\n".join(paragraph for paragraph in found if paragraph)
        if text:
            texts.append(text)
    assert len(texts) > 100
    return [text for i, text in enumerate(texts) if i % 10], texts[::10]


def corpus(texts: list[str], folder: Path) -> Path:
    """Texts as an artifact of build/corpora."""
    folder.mkdir(parents=True)
    with (folder / "documents.jsonl").open("w") as file:
        for number, text in enumerate(texts):
            row = {
                "id": f"m{number}",
                "source": "openstax",
                "file": "openstax",
                "sha256": "0",
                "section": [],
                "start": 0,
                "end": len(text),
                "language": "en",
                "licence": "CC-BY-4.0",
                "text": text,
            }
            file.write(json.dumps(row) + "\n")
    return folder


def packed(tokenizer: Path, texts: Path, length: int, out: Path) -> Path:
    """A pack of all the text in blocks of that length."""
    out.mkdir()
    told = Pack(
        objective="pretrain",
        data={"text": 1},
        length=length,
        held_out=0,
        general=None,
        seed=0,
        options=None,
        explain=None,
        template=None,
        system=None,
    )
    pack(told, tokenizer, [texts], None, out)
    return out


def prepare(model: Path, folder: Path) -> None:
    """Tokenizer and packs, once."""
    learn, held = prose()
    size, kept = 0, []
    for text in held:
        if size < HELD_OUT:
            kept.append(text)
            size += len(text.encode())
    corpus(learn, folder / "all")
    corpus(kept, folder / "held")
    (folder / "tokenizer").mkdir()
    section = Tokenizer(
        base="base",
        corpus="all",
        new_tokens=PIECES,
        auto=None,
        min_count=2,
        embeddings=Embeddings.model_validate({"start": STARTS["mean"], "multiple": None}),
    )
    extend(section, model, folder / "all", folder / "tokenizer")
    # Some 200 blocks of the grown tokenizer: as many texts as fill them, from the first on.
    tokens, some = 0, []
    per_byte = 1 / read_json(folder / "tokenizer" / "fertility.json")["after"]["bytes_per_token"]
    for text in learn:
        if tokens < STEPS * LENGTH:
            some.append(text)
            tokens += len(text.encode()) * per_byte
    corpus(some, folder / "text")
    grown = read_json(
        packed(folder / "tokenizer", folder / "text", LENGTH, folder / "grown") / "counts.json"
    )["kept"]
    fertility = read_json(folder / "tokenizer" / "fertility.json")
    ratio = fertility["before"]["tokens"] / fertility["after"]["tokens"]
    longer = round(LENGTH * ratio)
    own = read_json(packed(model, folder / "text", longer, folder / "base") / "counts.json")["kept"]
    packed(folder / "tokenizer", folder / "held", LENGTH, folder / "grown_held")
    packed(model, folder / "held", longer, folder / "base_held")
    write_json(
        folder / "setting.json",
        {
            "grown": grown,
            "base": own,
            "length": {"grown": LENGTH, "base": longer},
            "fertility": fertility,
            "versions": {name: version(name) for name in ("torch", "transformers")},
        },
    )
    (folder / "ready").touch()


def bits_per_byte(model: Any, folder: Path) -> float:
    """Of the held-out pack."""
    import torch

    blocks, nats = Blocks(folder / "train"), 0.0
    model.eval()
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        for row in range(len(blocks)):
            batch = collate([blocks[row]])
            del batch["learned"]
            labels = batch.pop("labels")[0, 1:]
            logits = model(**batch).logits[0, :-1].float()
            nats += torch.nn.functional.cross_entropy(logits, labels, reduction="sum").item()
    return nats / math.log(2) / read_json(folder / "counts.json")["kept"]["bytes"]


def measure(model: Path, folder: Path, name: str, seed: int, rate: float) -> dict[str, Any]:
    """Train 200 steps from one start and measure before and after."""
    prepare_cpu()
    import torch
    from transformers import AutoModelForCausalLM, set_seed

    set_seed(seed)
    net = AutoModelForCausalLM.from_pretrained(model, dtype=torch.float32)
    kind = "base" if name == BASE else "grown"
    blocks = Blocks(folder / kind / "train")
    blocks.tokens = blocks.tokens[:STEPS]
    began, spent = time.perf_counter(), time.process_time()
    if name != BASE:
        with tempfile.TemporaryDirectory() as place:
            tokenizer = Path(shutil.copytree(folder / "tokenizer", Path(place) / "tokenizer"))
            write_json(tokenizer / "embeddings.json", {"start": STARTS[name], "multiple": None})
            grow(net, tokenizer, seed)
    start = time.perf_counter() - began, time.process_time() - spent
    before = bits_per_byte(net, folder / f"{kind}_held")
    section = Train(
        method="full",
        lora=None,
        epochs=1,
        steps=None,
        batch_tokens=blocks.length,
        learning_rate=rate,
        schedule="cosine",
        warmup=0.05,
        weight_decay=0.01,
        max_grad_norm=1.0,
        precision="bfloat16",
        seed=seed,
        gate=None,
        keep=[],
    )
    net.train()
    began, spent = time.perf_counter(), time.process_time()
    with tempfile.TemporaryDirectory() as place:
        log = fit(net, section, blocks, Path(place))
    trained = time.perf_counter() - began, time.process_time() - spent
    kept = read_json(folder / kind / "counts.json")["kept"]
    per_byte = kept["learned"] / kept["bytes"] / math.log(2)

    def part(low: int, high: int) -> float:
        return float(np.mean([row["loss"] for row in log[low:high]])) * per_byte

    return {
        "start": name,
        "told": STARTS.get(name),
        "seed": seed,
        "rate": rate,
        "before": before,
        "after": bits_per_byte(net, folder / f"{kind}_held"),
        "training": [part(low, low + 20) for low in range(0, len(log), 20)],
        "steps": len(log),
        "seconds": {"start": start[0], "training": trained[0]},
        "cpu_seconds": {"start": start[1], "training": trained[1]},
    }


def main() -> None:
    """Measure what results.jsonl has not, and print all as a table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("model", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--only", nargs="+", default=[*STARTS, BASE])
    parser.add_argument("--rate", type=float, default=3e-4)
    told = parser.parse_args()
    if not (told.folder / "ready").exists():
        shutil.rmtree(told.folder, ignore_errors=True)
        prepare(told.model, told.folder)
    results = told.folder / "results.jsonl"
    rows = (
        [json.loads(line) for line in results.read_text().splitlines()] if results.exists() else []
    )
    for seed in told.seeds:
        for name in told.only:
            done = {(row["start"], row["seed"], row["rate"]) for row in rows}
            if (name, seed, told.rate) not in done:
                rows.append(measure(told.model, told.folder, name, seed, told.rate))
                with results.open("a") as file:
                    file.write(json.dumps(rows[-1]) + "\n")
    print("| start | seed | bits per byte before | after | start, CPU s | training, CPU s |")
    print("|---|---|---|---|---|---|")
    for row in sorted(rows, key=lambda row: (row["rate"], row["seed"], row["after"])):
        print(
            f"| {row['start']} | {row['seed']} | {row['before']:.4f} | {row['after']:.4f} | "
            f"{row['cpu_seconds']['start']:.1f} | {row['cpu_seconds']['training']:.0f} |"
        )


if __name__ == "__main__":
    main()
