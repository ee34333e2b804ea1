"""PubMedQA: research questions answered yes, no or maybe from an abstract.

Jin et al. 2019, "PubMedQA: A Dataset for Biomedical Research Question Answering", EMNLP-IJCNLP;
MIT. Settings: reasoning-required (question and the abstract without its conclusion) and
reasoning-free (question and the conclusion, its long answer).

The official split of the 1,000 labelled questions is what preprocess/split_dataset.py of its
repository deals with Python's random, seed 0: 500 for cross-validation, 500 for test, stratified by
label; the 500 again into ten folds. It is dealt anew here, and compared with the published test ids
where path is the folder that holds them.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from residency.adapters import fit, raw
from residency.adapters.fit import Draft, Unfit
from residency.adapters.raw import Row
from residency.files import read_json
from residency.section import Complaint, Section

LABELS = ("yes", "no", "maybe")
FOLDS = 10


class PubMedQA(Section):
    """PubMedQA's labelled set, PQA-L: ori_pqal.json, or the folder with it and the test ids."""

    kind: Literal["pubmedqa"] = Field(description="The adapter's name.")
    setting: Literal["reasoning-required", "reasoning-free"] = Field(
        description="Whether the context is the abstract, or its conclusion."
    )
    fold: Annotated[int, Field(ge=0, lt=FOLDS)] | None = Field(
        description="Of the official split: the fold that is dev, the other nine being train; null "
        "makes all 500 train."
    )


def rows(adapter: PubMedQA, path: Path) -> Iterator[Row]:
    """The records; the official split is known where they are the 1,000 of PQA-L."""
    file = path / "ori_pqal.json" if path.is_dir() else path
    if not file.is_file():
        raise Complaint(f"path: no ori_pqal.json in {path}; expected it, or that file itself")
    records = list(raw.json_rows(file, records=None).rows)
    labels = {row.key: str(row.item.get("final_decision")) for row in records if not row.problem}
    by_id: dict[str, str] = {}
    if len(labels) == 1000 and set(labels.values()) == set(LABELS):
        by_id = official(labels, adapter.fold)
        published = path / "test_ground_truth.json"
        if path.is_dir() and published.is_file():
            test = {key for key, split in by_id.items() if split == "test"}
            if test != read_json(published).keys():
                raise Complaint(f"{published}: not the test ids dealt from {file}; fetch both anew")
    yield from (row._replace(split=by_id.get(row.key)) for row in records)


def draft(adapter: PubMedQA, row: Row) -> Draft:
    """The question of a record; raises Unfit."""
    item, conclusion = row.item, fit.text(row.item.get("LONG_ANSWER"))
    required = adapter.setting == "reasoning-required"
    stem = fit.asked(item.get("QUESTION"), "QUESTION")
    context = fit.passages(item.get("CONTEXTS")) if required else conclusion
    if not context:
        raise Unfit("no context", "CONTEXTS" if required else "LONG_ANSWER")
    return Draft(
        id=row.key,
        kind="judgement",
        stem=stem,
        context=context,
        options=LABELS,
        answers=fit.answers(item.get("final_decision"), "text", LABELS),
        explanation=conclusion if required else "",
        labels={"year": fit.text(item.get("YEAR"))},
    )


def official(labels: dict[str, str], fold: int | None) -> dict[str, str]:
    """The split of each id, given the label of each in the file's order."""
    chance = random.Random(0)
    rest, test = _parts(labels, 2, chance)
    folds = _parts({key: labels[key] for key in rest}, FOLDS, chance)
    split = dict.fromkeys(test, "test")
    for number, ids in enumerate(folds):
        split |= dict.fromkeys(ids, "dev" if number == fold else "train")
    return split


def _parts(labels: dict[str, str], count: int, chance: random.Random) -> list[list[str]]:
    """Ids cut into `count` parts, each label by itself; the last is filled up from the others."""
    parts: list[list[str]] = [[] for _ in range(count)]
    for label in LABELS:
        ids = [key for key, value in labels.items() if value == label]
        chance.shuffle(ids)
        size = math.ceil(len(ids) / count)
        for number, part in enumerate(parts):
            part += ids[number * size : (number + 1) * size]
    if len(parts[-1]) != len(parts[0]):
        for part in parts[:-1]:
            picked = chance.choice(part)
            part.remove(picked)
            parts[-1].append(picked)
    return parts
