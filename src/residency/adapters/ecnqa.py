"""ECN-QA: questions of the French national ranking exam, by propositions, alone or on a case.

Khlaut et al. 2024, "Efficient Medical Question Answering with Knowledge-Augmented Question
Generation", ClinicalNLP, arXiv 2405.14654; Apache-2.0. Its card names the files, in the folders
english and french: qi_train.jsonl and qi_test.jsonl (questions isolees), dp_train.jsonl and
dp_test.jsonl (dossiers progressifs: questions on one case, asked in order, where earlier ones and
their answers are context for later ones).

No file was at hand: how a row is written is not known here, so its keys are declared, and tests
use rows made by hand. A key is dotted as in `tabular`; those of a proposition lie inside it.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from residency.adapters import fit, raw
from residency.adapters.fit import Draft, Unfit
from residency.adapters.raw import Row, inside
from residency.section import Section


class EcnKeys(Section):
    """The keys of a row; null where it has none."""

    case: str | None = Field(description="Of the row: the case's id; null numbers the cases.")
    context: str | None = Field(description="Of the row: the case's text.")
    questions: str | None = Field(
        description="Of the row: the list of the case's questions, in order; null where a row is "
        "one question."
    )
    stem: str = Field(description="Of a question: what is asked.")
    explanation: str | None = Field(description="Of a question: why the answer is right.")
    one_answer: str | None = Field(
        description="Of a question: true where just one proposition may be ticked."
    )
    propositions: str = Field(description="Of a question: the list of its propositions.")
    text: str = Field(description="Of a proposition: what it says.")
    right: str = Field(description="Of a proposition: whether it is right.")
    indispensable: str | None = Field(description="Of a proposition: whether it must be ticked.")
    unacceptable: str | None = Field(description="Of a proposition: whether it must not be ticked.")


class EcnQA(Section):
    """ECN-QA: one language's folder, or one file."""

    kind: Literal["ecnqa"] = Field(description="The adapter's name.")
    config: Literal["qi", "dp"] = Field(description="Isolated questions, or progressive cases.")
    keys: EcnKeys = Field(description="The keys of a row.")


def rows(adapter: EcnQA, path: Path) -> Iterator[Row]:
    """A row for each question; the official split is told by the file's name.

    Its item holds the question under "question", its case's id and text under "case" and "context",
    and its place in the case from 1 under "order".
    """
    keys = adapter.keys
    for file in raw.files_of(path, f"{adapter.config}_*.jsonl"):
        number, split = 0, fit.split_named(file.stem)
        counts: dict[str, int] = {}
        for row in raw.jsonl_rows(file).rows:
            if row.problem:
                number += 1
                yield row._replace(number=number, split=split)
                continue
            case = inside(row.item, keys.case) if keys.case else None
            name = str(case) if case is not None else f"{file.stem}:{row.number}"
            asked = inside(row.item, keys.questions) if keys.questions else [row.item]
            known = isinstance(asked, list) and asked
            for question in asked if known else [row.item]:
                number += 1
                counts[name] = counts.get(name, 0) + 1
                item = {
                    "case": name,
                    "context": inside(row.item, keys.context) if keys.context else None,
                    "order": counts[name],
                    "question": question,
                }
                problem = None if known else f"no list of questions under {keys.questions!r}"
                yield Row(file, number, item, problem, split)


def draft(adapter: EcnQA, row: Row) -> Draft:
    """The question of a row; raises Unfit."""
    keys, item, question = adapter.keys, row.item, row.item["question"]
    if not isinstance(question, dict):
        raise Unfit("no question", f"{question!r:.80}")
    stem = fit.asked(inside(question, keys.stem), keys.stem)
    found = inside(question, keys.propositions)
    if not isinstance(found, list) or not all(isinstance(each, dict) for each in found):
        raise Unfit("propositions are no list", f"{found!r:.80}")
    options = fit.options(inside(each, keys.text) for each in found)
    kept = found[: len(options)]

    def ticked(key: str | None) -> tuple[int, ...]:
        if key is None:
            return ()
        flags = [inside(each, key) for each in kept]
        return _some(flags, options)

    answers = ticked(keys.right)
    one: Any = inside(question, keys.one_answer) if keys.one_answer else False
    form: Literal["single", "propositions"] = "single" if one is True else "propositions"
    if form == "single" and len(answers) != 1:
        raise Unfit("unknown answer", f"{len(answers)} right of one")
    progressive = adapter.config == "dp"
    return Draft(
        kind="progressive" if progressive else form,
        form=form if progressive else None,
        stem=stem,
        context=fit.passages(item["context"]),
        options=options,
        answers=answers,
        indispensable=ticked(keys.indispensable),
        unacceptable=ticked(keys.unacceptable),
        explanation=fit.passages(inside(question, keys.explanation)) if keys.explanation else "",
        group=item["case"] if progressive else "",
        order=item["order"] if progressive else 0,
    )


def _some(flags: list[Any], options: tuple[str, ...]) -> tuple[int, ...]:
    """Indexes of the flags that are set, maybe none; raises Unfit where one is no flag."""
    try:
        return fit.answers(["false" if each is None else each for each in flags], "flags", options)
    except Unfit as problem:
        if problem.args[0] == "no answer":
            return ()
        raise
