"""FrenchMedMCQA: 3,105 questions of the French diploma of pharmacy, five propositions each.

Labrak et al. 2022, "FrenchMedMCQA: A French Multiple-Choice Question Answering Dataset for Medical
domain", LOUHI, HAL hal-03824241; Apache-2.0. One to five propositions are right; as in the
publisher's `type`, a question with one is single and the others are multiple.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from pydantic import Field

from residency.adapters import fit, raw
from residency.adapters.fit import Draft
from residency.adapters.raw import Row
from residency.section import Section


class FrenchMedMCQA(Section):
    """FrenchMedMCQA as published: train, dev and test .json; a file or the folder of them."""

    kind: Literal["frenchmedmcqa"] = Field(description="The adapter's name.")


def rows(_adapter: FrenchMedMCQA, path: Path) -> Iterator[Row]:
    """The rows of every .json file; the official split is told by the file's name."""
    for file in raw.files_of(path, "*.json"):
        split = fit.split_named(file.stem)
        yield from (row._replace(split=split) for row in raw.json_rows(file, records=None).rows)


def draft(_adapter: FrenchMedMCQA, row: Row) -> Draft:
    """The question of a row; raises Unfit."""
    stem = fit.asked(row.item.get("question"), "question")
    options, letters = fit.by_letter(row.item.get("answers"))
    answers = fit.answers(row.item.get("correct_answers"), "letters", options, letters)
    return Draft(
        id=fit.text(row.item.get("id")),
        kind=fit.by_count(answers),
        stem=stem,
        options=options,
        answers=answers,
        labels={"subject": fit.text(row.item.get("subject_name")), "right": str(len(answers))},
    )
