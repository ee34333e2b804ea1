"""mediQ: cases told fact by fact."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from exams import DATA, exam, examined, needs_data, write_jsonl

ROW: dict[str, Any] = {
    "id": 0,
    "question": "Which is it?",
    "context": ["A woman, 40", "She coughs."],
    "options": {"A": "x", "B": "y"},
    "answer_idx": "B",
    "facts": ["1. A woman.", "10. She coughs.", "2. She is 40."],
}


@needs_data
def test_every_case_is_progressive(tmp_path: Path) -> None:
    path = DATA / "mediq/all_craft_md.jsonl"
    found = examined(tmp_path / "out", exam(path, "mediq"))
    assert found.kinds == {"progressive": 139}
    (rejected,) = found.rejected
    assert rejected["id"] == "all_craft_md.jsonl:130"
    assert rejected["reason"] == "answers disagree"
    assert "'Pemphigus vulgaris', in words 'Pemphigus foliaceous'" in rejected["detail"]
    raw = {f"all_craft_md:{row['id']}": row for row in map(json.loads, path.open())}
    for question in found.questions:
        row = raw[question.id]
        assert question.form == "single"
        assert question.options[question.answers[0]] == row["options"][row["answer_idx"]].strip()
        assert [f"{n}. {fact}" for n, fact in enumerate(question.facts, 1)] == row["facts"]
        assert all(sentence.strip() in question.context for sentence in row["context"])
    assert min(len(each.facts) for each in found.questions) >= 9


def test_facts_are_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    path = write_jsonl(tmp_path / "a.jsonl", [ROW, {**ROW, "id": 1, "facts": []}])
    found = examined(tmp_path / "out", exam(path, "mediq"))
    (question,) = found.questions
    assert question.facts == ("A woman.", "She is 40.", "She coughs.")
    assert question.context == "A woman, 40. She coughs."
    assert found.counts["rejected"] == {"no facts": 1}
