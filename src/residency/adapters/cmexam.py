"""CMExam: 68,119 questions of the Chinese National Medical Licensing Examination.

Liu et al. 2023, "Benchmarking Large Language Models on CMExam - A Comprehensive Chinese Medical
Exam Dataset", NeurIPS, arXiv 2306.03030; Apache-2.0, for academic and research use.

Both layouts are read: spreadsheets whose options are joined with a backslash and an n, and csv with
real line ends and five annotations, which become labels. Missing cells hold "nan". A few rows lack
an option, so answers go by the options' marks and not by their place.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from pydantic import Field

from residency.adapters import fit, raw
from residency.adapters.fit import Draft, Unfit
from residency.adapters.raw import Row
from residency.section import Complaint, Section, nearest

LABELS = {
    "Disease Group": "disease_group",
    "Clinical Department": "department",
    "Medical Discipline": "discipline",
    "Area of Competency": "competency",
    "Difficulty level": "difficulty",
}
COLUMNS = ("Question", "Options", "Answer", "Explanation")


class CMExam(Section):
    """CMExam as published: train, val and test, .csv or .xlsx; a file or the folder of them."""

    kind: Literal["cmexam"] = Field(description="The adapter's name.")


def rows(_adapter: CMExam, path: Path) -> Iterator[Row]:
    """The rows of every .xlsx and .csv file; the official split is told by the file's name."""
    for file in raw.files_of(path, "*.csv", "*.xlsx"):
        if file.suffix == ".xlsx":
            table = raw.xlsx_rows(file, sheet=None, header=True)
        else:
            table = raw.csv_rows(file, delimiter=",", encoding="utf-8", header=True)
        for name in COLUMNS:
            if name not in table.columns:
                hint = nearest(name, table.columns)
                raise Complaint(f"{file}: CMExam has a column {name!r}; {hint}")
        split = fit.split_named(file.stem)
        yield from (row._replace(split=split) for row in table.rows)


def draft(_adapter: CMExam, row: Row) -> Draft:
    """The question of a row; raises Unfit."""
    cells = {name: fit.text(value) for name, value in row.item.items()}
    cells = {name: "" if value == "nan" else value for name, value in cells.items()}
    stem = fit.asked(cells["Question"], "Question")
    pieces = [piece.strip() for piece in re.split(r"\\n|\n", cells["Options"])]
    pieces = [piece for piece in pieces if piece]
    texts, letters = fit.unmarked(pieces)
    if texts == pieces:
        raise Unfit("options not marked", cells["Options"][:80])
    options = fit.options(texts)
    answers = fit.answers(cells["Answer"], "letters", options, letters)
    return Draft(
        kind=fit.by_count(answers),
        stem=stem,
        options=options,
        answers=answers,
        explanation=cells["Explanation"],
        labels={label: cells[name] for name, label in LABELS.items() if cells.get(name)},
    )
