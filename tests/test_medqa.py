"""MedQA with five and with four options."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from exams import DATA, exam, examined, needs_data, write_jsonl

ROW: dict[str, Any] = {
    "question": "Which?",
    "answer": "y",
    "options": {"A": "x", "B": "y", "C": "z", "D": "w"},
    "meta_info": "step2&3",
    "answer_idx": "B",
}


@needs_data
def test_the_first_300_are_read_whole(tmp_path: Path) -> None:
    path = DATA / "medqa/en_5opt_first300.jsonl"
    found = examined(tmp_path / "out", exam(path, "medqa"))
    assert found.kinds == {"single": 300}
    raw = {f"{path.name}:{n}": json.loads(line) for n, line in enumerate(path.open(), 1)}
    for question in found.questions:
        (right,) = question.answers
        assert question.options[right] == raw[question.id]["answer"].strip()
        assert len(question.options) == 5
        assert question.labels == {"step": raw[question.id]["meta_info"]}


def test_the_official_split_is_told_by_the_files(tmp_path: Path) -> None:
    for name, count in {"train": 3, "dev": 2, "test": 1}.items():
        rows = [{**ROW, "metamap_phrases": ["x"]} for _ in range(count)]
        write_jsonl(tmp_path / f"raw/phrases_no_exclude_{name}.jsonl", rows)
    found = examined(tmp_path / "out", exam(tmp_path / "raw", "medqa", {"official": True}))
    assert found.counts["kept"] == {"train": 3, "dev": 2, "test": 1}
    assert found.questions[0].id == "phrases_no_exclude_train.jsonl:1"


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        ({"answer": "z"}, "answers disagree"),
        ({"answer_idx": "E"}, "unknown answer"),
        ({"answer_idx": None}, "no answer"),
        ({"options": ["x", "y"]}, "options not by letter"),
        ({"context": ["A man is ill."]}, "context untold"),  # mediQ's rows have the same keys
        ({"options": {"opa": "x", "opb": "y"}}, "options not by letter"),
    ],
)
def test_a_row_that_cannot_be_used_is_in_the_ledger(
    tmp_path: Path, wrong: dict[str, Any], reason: str
) -> None:
    path = write_jsonl(tmp_path / "test.jsonl", [ROW, {**ROW, **wrong}])
    found = examined(tmp_path / "out", exam(path, "medqa", {"official": True}))
    assert found.counts["rejected"] == {reason: 1}
