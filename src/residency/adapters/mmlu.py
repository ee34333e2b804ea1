"""MMLU and CMMLU: one csv per subject, in folders dev, val and test.

Hendrycks et al. 2021, "Measuring Massive Multitask Language Understanding", ICLR, arXiv 2009.03300;
MIT. Li et al. 2023, "CMMLU: Measuring massive multitask language understanding in Chinese",
arXiv 2306.09212; CC BY-NC 4.0. MMLU's files have no header: stem, four options, letter; CMMLU's
have one: Question, A, B, C, D, Answer.

Official split: dev, five examples to be shown, and auxiliary_train are train; val is dev.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from pydantic import Field

from residency.adapters import fit, raw
from residency.adapters.fit import Draft
from residency.adapters.raw import Row
from residency.section import Section

COLUMNS = ["Question", "A", "B", "C", "D", "Answer"]


class MMLU(Section):
    """MMLU or CMMLU as published: a subject's .csv, or a folder of folders of them."""

    kind: Literal["mmlu"] = Field(description="The adapter's name.")


def rows(_adapter: MMLU, path: Path) -> Iterator[Row]:
    """The rows of every .csv file, as mappings by COLUMNS."""
    for file in raw.files_of(path, "**/*.csv"):
        table = raw.csv_rows(file, delimiter=",", encoding="utf-8", header=False)
        split = _split(file)
        header: list[str] | None = None
        for row in table.rows:
            if isinstance(row.item, dict):
                cells = list(row.item.values())
                if row.number == 1 and set(COLUMNS) <= {fit.text(cell) for cell in cells}:
                    header = [fit.text(cell) for cell in cells]
                    continue
                names = header or COLUMNS
                if len(cells) != len(names):
                    problem = f"{len(cells)} cells, expected {len(names)}: {', '.join(COLUMNS)}"
                    row = row._replace(item=cells, problem=problem)
                else:
                    row = row._replace(item=dict(zip(names, cells, strict=True)))
            yield row._replace(number=row.number - bool(header), split=split)


def draft(_adapter: MMLU, row: Row) -> Draft:
    """The question of a row; raises Unfit."""
    stem = fit.asked(row.item["Question"], "Question")
    options = fit.options(row.item[letter] for letter in "ABCD")
    answers = fit.answers(row.item["Answer"], "letters", options)
    subject = re.sub(r"_(?:dev|val|test)$", "", row.file.stem)
    return Draft(
        kind=fit.by_count(answers),
        stem=stem,
        options=options,
        answers=answers,
        labels={"subject": subject},
    )


def _split(file: Path) -> str | None:
    """The split by the end of the file's name, else by the folder's."""
    folder = file.parent.name
    ending = re.search(r"_(dev|val|test)$", file.stem)
    name = ending[1] if ending else folder
    found = {"dev": "train", "auxiliary_train": "train", "val": "dev", "test": "test"}
    return found.get(name)
