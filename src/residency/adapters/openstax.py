"""OpenStax: the exercises inside a textbook's CNXML modules.

Betts et al. 2022, "Anatomy and Physiology 2e", OpenStax, openstax/osbooks-anatomy-physiology;
CC BY 4.0. An exercise with options is a question by its solution's letters, "A and B" being two;
one without is open, its solution the reference. The chapter is told by the book's collection.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from pydantic import Field

from residency.adapters import fit, raw
from residency.adapters.fit import Draft, Unfit
from residency.adapters.raw import Row
from residency.reading import cnxml
from residency.reading.blocks import Unreadable
from residency.section import Complaint, Section


class OpenStax(Section):
    """An OpenStax book: its repository, or a folder of modules, or one module's index.cnxml."""

    kind: Literal["openstax"] = Field(description="The adapter's name.")
    exercises: list[Literal["choice", "open"]] = Field(
        min_length=1, description="Which to take: those with options, those answered in words."
    )


def rows(_adapter: OpenStax, path: Path) -> Iterator[Row]:
    """The exercises of every module, numbered in each from 1; an unreadable module is one row."""
    chapters = _chapters(path)
    for file in raw.files_of(path, "**/*.cnxml"):
        chapter = chapters.get(file.parent.name, "")
        try:
            for number, exercise in enumerate(cnxml.exercises(file.read_bytes()), 1):
                yield Row(file, number, exercise._asdict() | {"chapter": chapter})
        except Unreadable as problem:
            yield Row(file, 0, file.as_posix(), ": ".join(problem.args))


def _chapters(path: Path) -> dict[str, str]:
    """The chapter of each module, as the collections in a repository tell; of an appendix none."""
    found: dict[str, str] = {}
    for file in sorted(path.glob("collections/*.xml")):
        try:
            order = cnxml.collection(file.read_bytes())
        except Unreadable as problem:
            raise Complaint(f"path: {file}: {': '.join(problem.args)}") from None
        found |= {module: titles[-1] for module, titles in order if titles}
    return found


def draft(adapter: OpenStax, row: Row) -> Draft:
    """The question of an exercise; raises Unfit."""
    item = row.item
    sort = "choice" if item["options"] else "open"
    if sort not in adapter.exercises:
        raise Unfit("not taken", f"{sort}; exercises takes {', '.join(adapter.exercises)}")
    stem = fit.asked(item["stem"], "the problem")
    solution = fit.text(item["solution"])
    if not solution:
        raise Unfit("no answer", "no solution")
    labels = {
        "chapter": item["chapter"],
        "section": fit.text(item["section"][0]) if item["section"] else "",
        "module": row.file.parent.name,
    }
    labels = {name: value for name, value in labels.items() if value}
    if sort == "open":
        return Draft(id=item["id"], kind="open", stem=stem, reference=solution, labels=labels)
    options = fit.options(item["options"])
    answers = fit.answers(solution.rstrip("."), "letters", options)
    return Draft(
        id=item["id"],
        kind=fit.by_count(answers),
        stem=stem,
        options=options,
        answers=answers,
        labels=labels,
    )
