"""What a report says of how its models were made, read from their artifacts.

training     a model's losses and its gate's, with curves
tokenizer    what texts cost before and after it was grown
ledger       what a step kept and dropped, with examples
written      a question set: examples, checks, cost
identity     the files that everything came from and is kept in, with their sha256
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import orjson

from residency.browsing import clipped
from residency.charts import curves, tangent
from residency.files import read_json, read_rows, sha256
from residency.gate import OWN, PARTS, change

EXAMPLES = 3
"""Rejected items shown for each reason, and questions shown of each kind."""

EXCERPT = 400
"""Characters shown of a rejected item."""

LIBRARIES = (
    "torch",
    "transformers",
    "tokenizers",
    "peft",
    "numpy",
    "scipy",
    "matplotlib",
)

RAW = 60
"""Raw files named of each source."""


def training(folder: Path) -> dict[str, Any]:
    """A trained model's summary, the loss of each step, and its curve in `unit`.

    That is bits per byte where every step of the log has it, else bits per token.
    """
    steps = [_loss(row) for row in read_rows(folder / "log.jsonl") if row.get("loss") is not None]
    told = bool(steps) and all("bits_per_byte" in each for each in steps)
    key, unit = ("bits_per_byte", "bits per byte") if told else ("bits_per_token", "bits per token")
    points = [(each["step"], each[key]) for each in steps]
    label = f"Loss of {folder.name} over its steps, in {unit}"
    if points:
        label += f": {points[0][1]:.3g} at first, {points[-1][1]:.3g} at last"
    summary = read_json(folder / "training.json")
    return {
        "name": folder.name,
        "gate": _gate(folder, summary["gate"]) if "gate" in summary else None,
        "summary": _numbers(summary),
        "steps": steps,
        "unit": unit,
        "last": points[-1][1] if points else None,
        "curve": curves({"": points}, unit, label) if points else None,
    }


def _loss(row: dict[str, Any]) -> dict[str, float]:
    """The losses of a row of log.jsonl, of which `loss` is in nats per token."""
    found = {"step": row["step"], "bits_per_token": row["loss"] / math.log(2)}
    return found | {key: row[key] for key in ("bits_per_byte",) if row.get(key) is not None}


def _gate(folder: Path, numbers: dict[str, Any]) -> dict[str, Any]:
    """What training did to text that the model did not learn."""
    rows = list(read_rows(folder / "gate.jsonl"))
    own = [row for row in rows if row["tokenizer"] == OWN]
    series = {
        text: [(row["step"], row[f"{text}_bits_per_byte"]) for row in own]
        for text in PARTS
        if text in numbers
    }
    told = change(rows)
    label = f"Bits per byte of text that {folder.name} did not learn: {told}"
    return {
        "numbers": numbers,
        "series": series,
        "grown": len(own) < len(rows),
        "told": told,
        "curves": curves(series, "bits per byte", label),
    }


def ledger(folder: Path) -> dict[str, Any]:
    """What an artifact kept and dropped, with the first examples of each reason."""
    counts = read_json(folder / "counts.json")
    examples: dict[str, list[dict[str, Any]]] = {reason: [] for reason in counts["rejected"]}
    for row in read_rows(folder / "rejected.jsonl"):
        shown = examples.setdefault(row["reason"], [])
        if len(shown) < EXAMPLES:
            shown.append(
                {
                    "id": row["id"],
                    "detail": clipped(row["detail"], EXCERPT),
                    "item": _excerpt(row["item"]),
                }
            )
    return {
        "kind": folder.parent.name,
        "name": folder.name,
        "kept": counts["kept"],
        "rejected": dict(sorted(counts["rejected"].items(), key=lambda each: (-each[1], each[0]))),
        "examples": examples,
    }


def _excerpt(item: Any) -> str:
    text = item.get("text", item) if isinstance(item, dict) else item
    return clipped(text if isinstance(text, str) else orjson.dumps(text).decode(), EXCERPT)


def tokenizer(folder: Path, fertility: list[Path]) -> dict[str, Any]:
    """What texts cost in a tokenizer before and after it was grown, and what sizes are worth.

    The corpus it was grown on comes first, then what any `fertility` measured for it.
    """
    own = read_json(folder / "fertility.json")
    learned = {"kind": "corpora", "name": own["corpus"], "learned": True}
    found = [learned | {"before": own["before"], "after": own["after"]}]
    measured = [read_json(each / "fertility.json") for each in fertility]
    for each in measured:
        if each["tokenizer"] == folder.name:
            found += each["texts"]
    texts = {(each["kind"], each["name"]): each for each in found}
    path = folder / "curve.json"
    return {
        "name": folder.name,
        "added": own["added"],
        "corpus": own["corpus"],
        "texts": list(texts.values()),
        "worth": _worth(folder.name, read_json(path)) if path.exists() else None,
    }


def _worth(name: str, curve: dict[str, Any]) -> dict[str, Any]:
    """The curve by which a number of pieces was chosen, and its drawing."""
    sizes = curve["sizes"]
    drawn = tangent(
        [(each["parameters"] / 1e6, each["bits_per_byte"]) for each in sizes],
        [each["pieces"] for each in sizes].index(curve["chosen"]),
        -curve["worth"],
        "million parameters added",
        f"Bits per byte of held-out text over the parameters that new pieces of {name} add",
    )
    return curve | {"drawing": drawn}


def written(folder: Path) -> dict[str, Any]:
    """A question set: what was kept and rejected, what it cost, and examples of each kind.

    The kind is the label `kind` where the writer gave one, else the question's own. Tokens and
    money are those of replies.jsonl, which only a set written by a model has.
    """
    examples: dict[str, list[dict[str, Any]]] = {}
    for row in read_rows(folder / "questions.jsonl"):
        shown = examples.setdefault(row["labels"].get("kind", row["kind"]), [])
        if len(shown) < EXAMPLES:
            shown.append(_example(row))
    counts = read_json(folder / "counts.json")
    rejected = sum(counts["rejected"].values())
    return {
        "name": folder.name,
        "kept": counts["kept"],
        "rejected": rejected,
        "share": counts["kept"]["questions"] / max(1, counts["kept"]["questions"] + rejected),
        "currency": counts.get("asked", {}).get("currency") or "",
        "stopped": bool(counts.get("asked", {}).get("stopped_by_budget")),
        "examples": dict(sorted(examples.items())),
        "cost": cost(folder / "replies.jsonl"),
    }


def _example(row: dict[str, Any]) -> dict[str, Any]:
    origin = row["origin"]
    told = {key: origin[key] for key in ("file", "section", "pages") if origin.get(key)}
    return {
        "id": row["id"],
        "asked": clipped("\n\n".join(filter(None, (row["context"], row["stem"]))), 2 * EXCERPT),
        "options": [
            (clipped(text, EXCERPT), number in row["answers"])
            for number, text in enumerate(row["options"])
        ],
        "answer": clipped(row["reference"], EXCERPT),
        "evidence": clipped(row["explanation"], EXCERPT),
        "origin": ", ".join(str(each) for each in told.values()),
    }


def cost(path: Path) -> dict[str, dict[str, float]]:
    """Replies, tokens and money by model, in the order of their names; none without a model."""
    found: dict[str, dict[str, float]] = {}
    for row in read_rows(path) if path.exists() else ():
        tally = found.setdefault(str(row.get("model") or row.get("asked") or "?"), {"replies": 0})
        tally["replies"] += 1
        for key in ("prompt_tokens", "reply_tokens", "cost"):
            if row.get(key) is not None:
                tally[key] = tally.get(key, 0) + float(row[key])
    return dict(sorted(found.items()))


def raw_files(folder: Path) -> dict[str, Any]:
    """The raw files of a source with their sha256, the first of them and how many there are."""
    rows = list(read_rows(folder / "files.jsonl")) if (folder / "files.jsonl").exists() else []
    files = [(str(row["file"]), str(row["sha256"])) for row in rows if row.get("sha256")]
    return {"name": folder.name, "files": files[:RAW], "total": len(files)}


def identity(folders: Iterable[Path]) -> list[tuple[str, str]]:
    """The weights and answers in some artifacts, each file with its sha256."""
    kept = ("*.safetensors", "predictions.jsonl", "questions.jsonl")
    found = []
    for folder in folders:
        _, _, place = folder.as_posix().rpartition("build/")
        for path in sorted(each for pattern in kept for each in folder.glob(pattern)):
            found.append((f"{place}/{path.name}", sha256(path)))
    return found


def versions() -> list[tuple[str, str]]:
    """The libraries that shape a result, as the project pins them: without a build's suffix."""
    from importlib.metadata import PackageNotFoundError, version

    found = []
    for name in LIBRARIES:
        try:
            found.append((name, version(name).partition("+")[0]))
        except PackageNotFoundError:
            continue
    return found


def _numbers(values: dict[str, Any]) -> dict[str, float]:
    return {
        key: value
        for key, value in values.items()
        if isinstance(value, int | float) and not isinstance(value, bool)
    }
