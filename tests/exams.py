"""Sitting down with a raw exam: what its adapter makes of it."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from residency.adapters.fit import SPLITS
from residency.examine import Exam, examine
from residency.files import read_json, read_rows
from residency.records import Question, questions

DATA = Path(__file__).parents[2] / "shared" / "data"
RATIO = {"train": 0.8, "dev": 0.1, "seed": 0}
needs_data = pytest.mark.skipif(not DATA.exists(), reason="needs the real exams in ../shared/data")


@dataclass(frozen=True)
class Examined:
    """What examine wrote."""

    splits: dict[str, list[Question]]
    rejected: list[dict[str, Any]]
    counts: dict[str, Any]

    @property
    def questions(self) -> list[Question]:
        """All questions by id's order in their files."""
        return [question for split in SPLITS for question in self.splits[split]]

    @property
    def kinds(self) -> dict[str, int]:
        """How many questions there are of each kind."""
        return dict(Counter(question.kind for question in self.questions))

    def by_id(self, id: str) -> Question:
        """The question of this id."""
        (found,) = [question for question in self.questions if question.id == id]
        return found


FIELDS: dict[str, Any] = {
    "id": None,
    "context": None,
    "stem": "stem",
    "options": "options",
    "answers": "answer",
    "reference": None,
    "indispensable": None,
    "unacceptable": None,
    "explanation": None,
    "group": None,
    "order": None,
    "labels": {},
}
CSV = {"kind": "csv", "delimiter": ",", "encoding": "utf-8", "header": True}


def tabular(format: str | dict[str, Any], fields: dict[str, Any], **more: Any) -> dict[str, Any]:
    """A tabular adapter; fields that are not told are null, answers are letters."""
    return {
        "kind": "tabular",
        "files": None,
        "format": {"kind": format} if isinstance(format, str) else format,
        "fields": FIELDS | fields,
        "missing": [],
        "numbering": "letters",
        "asks": "choice",
        **more,
    }


def exam(path: Path, adapter: dict[str, Any] | str, split: Any = None) -> Exam:
    """A section; `adapter` is its kind where it has no other key."""
    return Exam.model_validate(
        {
            "path": str(path),
            "language": "en",
            "licence": "CC0-1.0",
            "homepage": None,
            "adapter": {"kind": adapter} if isinstance(adapter, str) else adapter,
            "split": split or RATIO,
        }
    )


def examined(out: Path, section: Exam) -> Examined:
    """Examine, and make sure that every row is accounted for."""
    out.mkdir(exist_ok=True)
    examine(section, out)
    counts = read_json(out / "counts.json")
    found = Examined(
        splits={split: list(questions(out / f"{split}.jsonl")) for split in SPLITS},
        rejected=list(read_rows(out / "rejected.jsonl")),
        counts=counts,
    )
    assert {split: len(each) for split, each in found.splits.items()} == counts["kept"]
    assert len(found.rejected) == sum(counts["rejected"].values())
    assert len(found.questions) + len(found.rejected) == counts["rows"]
    assert len({question.id for question in found.questions}) == len(found.questions)
    return found


def write_jsonl(path: Path, rows: list[Any]) -> Path:
    """Write a JSON value per line."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))
    return path
