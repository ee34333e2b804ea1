"""MedMCQA, on rows made by hand after its published card."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from exams import exam, examined, write_jsonl

ROW: dict[str, Any] = {
    "id": "e9ad821a",
    "question": "Chronic obstruction leads to which change?",
    "opa": "Hyperplasia",
    "opb": "Hypertrophy",
    "opc": "Atrophy",
    "opd": "Dysplasia",
    "cop": 3,
    "choice_type": "single",
    "exp": "Pressure thins the parenchyma.",
    "subject_name": "Anatomy",
    "topic_name": "Urinary tract",
}


def test_cop_is_counted_as_declared(tmp_path: Path) -> None:
    path = write_jsonl(tmp_path / "dev.json", [ROW])
    for cop, right in {"one": "Atrophy", "zero": "Dysplasia"}.items():
        section = exam(path, {"kind": "medmcqa", "cop": cop}, {"official": True})
        (question,) = examined(tmp_path / cop, section).splits["dev"]
        assert [question.options[index] for index in question.answers] == [right]
        assert question.kind == "single"
        assert question.id == "e9ad821a"
        assert question.explanation == "Pressure thins the parenchyma."
        assert question.labels == {
            "subject": "Anatomy",
            "topic": "Urinary tract",
            "choice_type": "single",
        }


def test_withheld_and_impossible_keys_are_in_the_ledger(tmp_path: Path) -> None:
    rows = [ROW, {**ROW, "id": "2", "cop": -1}, {**ROW, "id": "3", "cop": 4}, {**ROW, "id": "4"}]
    rows[3].pop("cop")
    path = write_jsonl(tmp_path / "test.json", rows)
    section = exam(path, {"kind": "medmcqa", "cop": "zero"}, {"official": True})
    found = examined(tmp_path / "out", section)
    assert found.counts["rejected"] == {"no answer": 2, "unknown answer": 1}
    assert found.rejected[0]["detail"] == "withheld by the publisher"


def test_several_answers_in_name_only_are_single(tmp_path: Path) -> None:
    path = write_jsonl(
        tmp_path / "train.json", [{**ROW, "choice_type": "multi", "topic_name": None}]
    )
    found = examined(tmp_path / "out", exam(path, {"kind": "medmcqa", "cop": "one"}))
    assert found.kinds == {"single": 1}
    assert found.questions[0].labels["topic"] == ""
