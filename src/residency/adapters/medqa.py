"""MedQA: questions of medical board exams of the USA, Mainland China and Taiwan.

Jin et al. 2020, "What Disease does this Patient Have? A Large-scale Open Domain Question Answering
Dataset from Medical Exams", arXiv 2009.13081; MIT. Files of five and of four options have the same
keys; the latter add metamap_phrases, which are left alone.
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


class MedQA(Section):
    """MedQA as published: train, dev and test .jsonl; a file or the folder of them."""

    kind: Literal["medqa"] = Field(description="The adapter's name.")


def rows(_adapter: MedQA, path: Path) -> Iterator[Row]:
    """The rows of every .jsonl file; the official split is told by the file's name."""
    for file in raw.files_of(path, "*.jsonl"):
        split = fit.split_named(file.stem)
        yield from (row._replace(split=split) for row in raw.jsonl_rows(file).rows)


def draft(_adapter: MedQA, row: Row) -> Draft:
    """The question of a row; raises Unfit, also where answer and answer_idx disagree."""
    stem = fit.asked(row.item.get("question"), "question")
    if "context" in row.item:
        raise Unfit("context untold", "MedQA has the case in its question; is this mediQ?")
    options, letters = fit.by_letter(row.item.get("options"))
    answers = fit.answers(row.item.get("answer_idx"), "letters", options, letters)
    fit.agree(answers, fit.text(row.item.get("answer")), options)
    return Draft(
        kind=fit.by_count(answers),
        stem=stem,
        options=options,
        answers=answers,
        labels={"step": fit.text(row.item.get("meta_info"))},
    )
