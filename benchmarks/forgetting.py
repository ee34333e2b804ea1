"""What training on a textbook does to general text, and how much replay keeps of it.

    python benchmarks/forgetting.py MODEL GENERAL.jsonl OUT [STEPS]

MODEL is a folder in Hugging Face layout, GENERAL.jsonl documents of general text ({"text": ...} in
each line). The domain is OpenStax Anatomy and Physiology 2e. Each recipe trains on the same number
of tokens, STEPS x 512 (100 by default), from the same parent, and is measured by residency's gate
on blocks of both texts that no recipe learns. Prints a table of bits per byte.
"""

from __future__ import annotations

import json
import random
import sys
import time
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from residency.files import read_rows, write_json
from residency.fingerprint import fingerprint
from residency.gate import Gate, change
from residency.train import Train, train

DATA = Path(__file__).resolve().parents[1].parent / "shared/data"
LENGTH, HELD_OUT, SEED = 512, 8, 0
_CNXML = "{http://cnx.rice.edu/cnxml}"
RECIPES = {  # share of general text, learning rate
    "naive, rate 1e-3": (0.0, 1e-3),
    "25 % replay, rate 1e-3": (0.25, 1e-3),
    "naive, rate 2e-4": (0.0, 2e-4),
    "25 % replay, rate 2e-4": (0.25, 2e-4),
}


def textbook() -> Iterator[str]:
    """The sections of the book."""
    for path in sorted((DATA / "openstax_anatomy_physiology_2e/modules").rglob("*.cnxml")):
        for section in ET.parse(path).getroot().iter(f"{_CNXML}section"):
            found = (" ".join("".join(p.itertext()).split()) for p in section.iter(f"{_CNXML}para"))
            yield "\n\n".join(paragraph for paragraph in found if paragraph)


def blocks(coder: Any, texts: list[str], number: int) -> list[list[list[int]]]:
    """That many blocks of documents, cut where a block is full."""
    found: list[list[list[int]]] = [[]]
    room = LENGTH
    for text in texts:
        ids = [*coder(text, add_special_tokens=False).input_ids, coder.eos_token_id]
        while ids:
            found[-1].append(ids[:room])
            room, ids = room - len(ids[:room]), ids[room:]
            if room == 0:
                if len(found) == number:
                    return found
                found.append([])
                room = LENGTH
    raise SystemExit(f"{number} blocks wanted, {len(found) - 1} there; give more text")


def write_part(folder: Path, coder: Any, packed: list[list[list[int]]]) -> None:
    """Full blocks in which every token but a document's first is learned."""
    tokens = np.array([[i for ids in block for i in ids] for block in packed], np.int32)
    positions = np.array([[i for ids in b for i in range(len(ids))] for b in packed], np.int32)
    loss = (positions > 0).astype(np.uint8)
    # A character of a byte-level piece stands for one byte.
    sizes = np.array([len(each) for each in coder.convert_ids_to_tokens(range(len(coder)))])
    sizes[coder.all_special_ids] = 0
    folder.mkdir(parents=True)
    np.save(folder / "tokens.npy", tokens)
    np.save(folder / "positions.npy", positions)
    np.save(folder / "loss.npy", loss)
    np.save(folder / "bytes.npy", (sizes[tokens] * loss).sum(1, dtype=np.int32))
    kept = {"tokens": tokens.size, "learned": int(loss.sum()), "bytes": 1}
    counts = {"largest_token": int(tokens.max()), "kept": kept, "parts": {}, "rejected": {}}
    counts["tokenizer"] = fingerprint(Path(coder.name_or_path))
    write_json(folder.parent / "counts.json", counts)


def main() -> None:
    """Train each recipe and print what it did."""
    import torch
    import transformers

    model, general, out = (Path(each) for each in sys.argv[1:4])
    steps = int(sys.argv[4]) if len(sys.argv) > 4 else 100
    coder = transformers.AutoTokenizer.from_pretrained(model)
    texts = {"domain": list(textbook()), "general": [r["text"] for r in read_rows(general)]}
    for each in texts.values():
        random.Random(SEED).shuffle(each)
    most = {"domain": steps + HELD_OUT, "general": steps // 4 + HELD_OUT}
    packed = {name: blocks(coder, each, most[name]) for name, each in texts.items()}
    print(f"torch {torch.__version__}, transformers {transformers.__version__}, {steps} steps")
    print("| recipe | domain before | after | general before | after | rise | s |")
    print("|---|---|---|---|---|---|---|", flush=True)
    for recipe, (replay, rate) in RECIPES.items():
        pack = out / recipe.replace(" ", "_").replace("%", "percent") / "pack"
        old = round(replay * steps)
        learned = packed["general"][HELD_OUT:][:old] + packed["domain"][HELD_OUT:][: steps - old]
        write_part(pack / "held_out", coder, packed["domain"][:HELD_OUT])
        write_part(pack / "general", coder, packed["general"][:HELD_OUT])
        write_part(pack / "train", coder, learned)
        section = Train(
            method="full",
            lora=None,
            epochs=1,
            steps=None,
            batch_tokens=LENGTH,
            learning_rate=rate,
            schedule="cosine",
            warmup=0.05,
            weight_decay=0.01,
            max_grad_norm=1.0,
            precision="bfloat16",
            seed=SEED,
            gate=Gate(
                every=0.5,
                blocks=HELD_OUT,
                warn_if_general_loss_rises_by=None,
                stop_if_general_loss_rises_by=None,
            ),
            keep=[],
        )
        made = pack.with_name("model")
        made.mkdir()
        began = time.monotonic()
        train(section, model, None, pack, made)
        took = time.monotonic() - began
        told = json.loads((made / "training.json").read_text())["gate"]
        domain, other = told["domain"], told["general"]
        print(
            f"| {recipe} | {domain['before']:.3f} | {domain['after']:.3f} "
            f"| {other['before']:.3f} | {other['after']:.3f} | {other['rise']:+.1%} | {took:.0f} |"
        )
        print(f"    {change(list(read_rows(made / 'gate.jsonl')))}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
