"""MedMCQA: 194k questions of Indian medical entrance exams (AIIMS, NEET PG).

Pal, Umapathi & Sankarasubbu 2022, "MedMCQA: A Large-scale Multi-Subject Multi-Choice Dataset for
Medical domain Question Answering", CHIL, PMLR 174; Apache-2.0. Written from its published card; no
file of it was at hand. Files named .json hold a JSON object per line too. `cop` names one option
also where choice_type is multi, so every question is single. The test split's key is withheld.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from pydantic import Field

from residency.adapters import fit, raw
from residency.adapters.fit import Draft, Unfit
from residency.adapters.raw import Row
from residency.section import Section


class MedMCQA(Section):
    """MedMCQA as published: train, dev and test, JSON lines; a file or the folder of them."""

    kind: Literal["medmcqa"] = Field(description="The adapter's name.")
    cop: Literal["zero", "one"] = Field(
        description="What cop counts from: one in the authors' files, zero in Hugging Face's."
    )


def rows(_adapter: MedMCQA, path: Path) -> Iterator[Row]:
    """The rows of every .json and .jsonl file; the official split is told by the file's name."""
    for file in raw.files_of(path, "*.json", "*.jsonl"):
        split = fit.split_named(file.stem)
        yield from (row._replace(split=split) for row in raw.jsonl_rows(file).rows)


def draft(adapter: MedMCQA, row: Row) -> Draft:
    """The question of a row; raises Unfit."""
    stem = fit.asked(row.item.get("question"), "question")
    options = fit.options(row.item.get(f"op{letter}") for letter in "abcd")
    right = fit.text(row.item.get("cop"))
    if right == "-1":
        raise Unfit("no answer", "withheld by the publisher")
    answers = fit.answers(right, adapter.cop, options)
    if len(answers) > 1:
        raise Unfit("unknown answer", f"cop {right!r}")
    labels = {"subject": "subject_name", "topic": "topic_name", "choice_type": "choice_type"}
    return Draft(
        id=fit.text(row.item.get("id")),
        kind="single",
        stem=stem,
        options=options,
        answers=answers,
        explanation=fit.text(row.item.get("exp")),
        labels={label: fit.text(row.item.get(name)) for label, name in labels.items()},
    )
