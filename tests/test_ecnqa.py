"""ECN-QA's two configurations, on rows made by hand: no file of it was at hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from exams import exam, examined, write_jsonl

from residency.section import Complaint

KEYS: dict[str, Any] = {
    "case": "id",
    "context": "introduction",
    "questions": "questions",
    "stem": "question",
    "explanation": "comment",
    "one_answer": "unique",
    "propositions": "propositions",
    "text": "text",
    "right": "correct",
    "indispensable": "must",
    "unacceptable": "never",
}


def proposition(text: str, correct: bool, **more: bool) -> dict[str, Any]:
    return {"text": text, "correct": correct, **more}


def asked(stem: str, **more: Any) -> dict[str, Any]:
    return {
        "question": stem,
        "propositions": [
            proposition("Give oxygen", True, must=True),
            proposition("Give a beta blocker", False, never=True),
            proposition("Take a gas", True),
        ],
        **more,
    }


def adapter(config: str, **keys: Any) -> dict[str, Any]:
    return {"kind": "ecnqa", "config": config, "keys": {**KEYS, **keys}}


def test_a_case_gives_its_questions_in_order(tmp_path: Path) -> None:
    raw = tmp_path / "french"
    one = [proposition("Asthma", True), proposition("Gout", False)]
    case = {
        "id": 7,
        "introduction": "A woman wheezes.",
        "questions": [
            asked("What is done at once?"),
            asked("What is it?", propositions=one, unique=True, comment="It is."),
        ],
    }
    write_jsonl(raw / "dp_train.jsonl", [case])
    write_jsonl(raw / "dp_test.jsonl", [{**case, "id": 8}, {"id": 9}])
    write_jsonl(raw / "qi_train.jsonl", [asked("Not of this configuration?")])
    found = examined(tmp_path / "out", exam(raw, adapter("dp"), {"official": True}))
    assert found.counts["kept"] == {"train": 2, "dev": 0, "test": 2}
    assert found.counts["rejected"] == {"bad row": 1}
    first, second = found.splits["train"]
    assert [first.order, second.order] == [1, 2]
    assert first.group == second.group == "7"
    assert first.kind == second.kind == "progressive"
    assert [first.form, second.form] == ["propositions", "single"]
    assert first.context == "A woman wheezes."
    assert first.answers == (0, 2)
    assert first.indispensable == (0,)
    assert first.unacceptable == (1,)
    assert second.explanation == "It is."


def test_isolated_questions_stand_alone_and_may_have_nothing_right(tmp_path: Path) -> None:
    none_right = [proposition("x", False), proposition("y", False)]
    rows = [asked("One?"), asked("Two?", propositions=none_right), asked("Three?", propositions=3)]
    path = write_jsonl(tmp_path / "qi_test.jsonl", rows)
    section = exam(path, adapter("qi", case=None, context=None, questions=None), {"official": True})
    found = examined(tmp_path / "out", section)
    assert found.kinds == {"propositions": 2}
    assert [each.answers for each in found.questions] == [(0, 2), ()]
    assert [each.order for each in found.questions] == [0, 0]
    assert found.counts["rejected"] == {"propositions are no list": 1}


def test_a_folder_without_the_configuration_is_refused(tmp_path: Path) -> None:
    write_jsonl(tmp_path / "raw/qi_test.jsonl", [asked("One?")])
    with pytest.raises(Complaint, match=r"no file dp_\*\.jsonl in .*; there are: qi_test\.jsonl"):
        examined(tmp_path / "out", exam(tmp_path / "raw", adapter("dp")))
