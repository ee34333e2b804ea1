"""mediQ: a patient's case told fact by fact, and a question on it.

Li et al. 2024, "MediQ: Question-Asking LLMs and a Benchmark for Reliable Interactive Clinical
Reasoning", NeurIPS, arXiv 2406.00922; CC BY 4.0. The context is the whole case as written; the
facts are the same in single statements, in the order in which they may be told instead. Where
answer and answer_idx name two options, as in case 129, the row is in the ledger.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from residency.adapters import fit, raw
from residency.adapters.fit import Draft, Unfit
from residency.adapters.raw import Row
from residency.section import Section


class MediQ(Section):
    """mediQ as published: JSON lines; a file or the folder of them."""

    kind: Literal["mediq"] = Field(description="The adapter's name.")


def rows(_adapter: MediQ, path: Path) -> Iterator[Row]:
    """The rows of every .jsonl file; the publisher has no train, dev and test."""
    for file in raw.files_of(path, "*.jsonl"):
        yield from raw.jsonl_rows(file).rows


def draft(_adapter: MediQ, row: Row) -> Draft:
    """The question of a case; raises Unfit."""
    stem = fit.asked(row.item.get("question"), "question")
    context = row.item.get("context")
    options, letters = fit.by_letter(row.item.get("options"))
    answers = fit.answers(row.item.get("answer_idx"), "letters", options, letters)
    fit.agree(answers, fit.text(row.item.get("answer")), options)
    facts = _facts(row.item.get("facts"))
    if not facts:
        raise Unfit("no facts", "")
    sentences = [fit.text(each) for each in (context if isinstance(context, list) else [context])]
    return Draft(
        id=f"{row.file.stem}:{fit.text(row.item.get('id'))}",
        kind="progressive",
        form="single",
        stem=stem,
        context=" ".join(each if each.endswith(".") else f"{each}." for each in sentences if each),
        facts=facts,
        options=options,
        answers=answers,
        order=1,
    )


def _facts(value: Any) -> tuple[str, ...]:
    """Facts in the order of their numbers "1. ", which are taken off."""
    if not isinstance(value, list):
        raise Unfit("facts are no list", f"{value!r:.80}")
    told = [fit.text(each) for each in value]
    numbers = [re.match(r"(\d+)\.\s+", each) for each in told]
    if all(numbers):
        pairs = zip(numbers, told, strict=True)
        told = [each for _, each in sorted((int(n[1]), each[n.end() :]) for n, each in pairs if n)]
    return tuple(each for each in told if each)
