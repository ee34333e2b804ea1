"""Raw exams of two formats become questions; what cannot be used is told, groups stay whole."""

from __future__ import annotations

import csv
import json
import random
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from residency.examine import Exam, examine
from residency.files import read_json, read_rows, write_rows
from residency.records import questions
from residency.section import Complaint

DATA = Path(__file__).parents[2] / "shared" / "data"
FIELDS: dict[str, Any] = {
    "id": "id",
    "context": None,
    "stem": "stem",
    "options": ["a", "b", "c"],
    "answers": "answer",
    "explanation": None,
    "group": "case",
    "labels": ["topic"],
}
ROW = {"id": "1", "stem": "Which?", "a": "x", "b": "y", "c": "z", "answer": "B", "topic": "t"}
RATIO = {"train": 0.5, "dev": 0.25, "seed": 0}


def exam(path: Path, **changed: Any) -> Exam:
    values = {
        "path": str(path),
        "language": "en",
        "format": "csv",
        "fields": FIELDS,
        "numbering": "letters",
        "split": RATIO,
    }
    return Exam.model_validate({**values, **changed})


def sat(tmp_path: Path, rows: list[dict[str, Any]], **changed: Any) -> Path:
    path = tmp_path / "exam.csv"
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, ["case", *ROW, *rows[0].keys() - ROW.keys() - {"case"}])
        writer.writeheader()
        writer.writerows(rows)
    out = tmp_path / "out"
    out.mkdir(exist_ok=True)
    examine(exam(path, **changed), out)
    return out


def all_questions(out: Path) -> list[Any]:
    return [
        each for split in ["train", "dev", "test"] for each in questions(out / f"{split}.jsonl")
    ]


@pytest.mark.parametrize(
    ("numbering", "written", "answers"),
    [
        ("letters", "B", (1,)),
        ("letters", "ac", (0, 2)),
        ("letters", "C; A", (0, 2)),
        ("zero", "0,2", (0, 2)),
        ("one", "3", (2,)),
    ],
)
def test_answers_are_read_as_they_are_numbered(
    tmp_path: Path, numbering: str, written: str, answers: tuple[int, ...]
) -> None:
    out = sat(tmp_path, [{**ROW, "answer": written}], numbering=numbering)
    (question,) = all_questions(out)
    assert question.answers == answers
    assert question.kind == ("single" if len(answers) == 1 else "multiple")
    assert question.labels == {"topic": "t"}


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        ({"answer": ""}, "no answer"),
        ({"answer": "D"}, "unknown answer"),
        ({"c": "", "answer": "C"}, "unknown answer"),
        ({"b": "", "c": ""}, "fewer than two options"),
        ({"b": ""}, "empty option"),
        ({"b": "x"}, "duplicate option"),
        ({"stem": " "}, "empty stem"),
        ({"id": "1"}, "duplicate id"),
    ],
)
def test_a_row_that_cannot_be_used_is_in_the_ledger(
    tmp_path: Path, wrong: dict[str, str], reason: str
) -> None:
    out = sat(tmp_path, [ROW, {**ROW, "id": "2", **wrong}])
    assert read_json(out / "counts.json")["rejected"] == {reason: 1}
    (rejected,) = read_rows(out / "rejected.jsonl")
    assert rejected["item"]["topic"] == "t"
    assert len(all_questions(out)) == 1


def test_an_item_may_have_fewer_options(tmp_path: Path) -> None:
    (question,) = all_questions(sat(tmp_path, [{**ROW, "c": ""}]))
    assert question.options == ("x", "y")


def test_splits_are_taken_from_a_column(tmp_path: Path) -> None:
    rows = [
        {**ROW, "id": str(n), "set": name}
        for n, name in enumerate(["train", "Val", "test", "training", "nowhere"])
    ]
    out = sat(tmp_path, rows, split={"column": "set"})
    assert read_json(out / "counts.json") == {
        "kept": {"train": 2, "dev": 1, "test": 1},
        "rejected": {"unknown split": 1},
    }


def test_a_group_in_two_splits_is_refused(tmp_path: Path) -> None:
    rows = [{**ROW, "id": name, "case": "k", "set": name} for name in ["train", "test"]]
    with pytest.raises(Complaint, match="group 'k' stands in train and in test"):
        sat(tmp_path, rows, split={"column": "set"})


def test_a_missing_column_is_named_with_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(Complaint, match=r"fields.stem: no column 'stme'; did you mean 'stem'\?"):
        sat(tmp_path, [ROW], fields={**FIELDS, "stem": "stme"})


def test_an_exam_without_a_usable_question_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Complaint, match=r"no usable question \(most often: unknown answer"):
        sat(tmp_path, [{**ROW, "answer": "E"}])


def test_a_broken_line_of_json_is_in_the_ledger(tmp_path: Path) -> None:
    path, out = tmp_path / "exam.jsonl", tmp_path / "out"
    out.mkdir()
    row = {"stem": "s", "options": ["x", "y"], "answer": [1], "case": 7, "topic": None}
    path.write_text(json.dumps(row) + "\n{\n[1]\n")
    fields = {**FIELDS, "id": None, "options": "options"}
    examine(exam(path, format="jsonl", fields=fields, numbering="zero"), out)
    assert read_json(out / "counts.json")["rejected"] == {"bad row": 2}
    assert [each.id for each in all_questions(out)] == ["exam.jsonl:1"]
    assert [each["id"] for each in read_rows(out / "rejected.jsonl")] == [
        "exam.jsonl:2",
        "exam.jsonl:3",
    ]


@settings(max_examples=25, deadline=None)
@given(st.lists(st.integers(0, 8), min_size=1, max_size=30), st.integers(0, 5))
def test_groups_stay_whole_whatever_the_order_of_the_rows(groups: list[int], seed: int) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        rows = [{**ROW, "id": str(n), "case": f"g{group}"} for n, group in enumerate(groups)]
        split = {"train": 0.5, "dev": 0.2, "seed": seed}
        dealt = []
        for _ in range(2):
            out = sat(Path(folder), rows, split=split)
            found = {
                name: {each.group for each in questions(out / f"{name}.jsonl")}
                for name in ["train", "dev", "test"]
            }
            assert sum(map(len, found.values())) == len(set(groups))
            dealt.append(found)
            random.Random(1).shuffle(rows)
        assert dealt[0] == dealt[1]


@pytest.mark.skipif(not DATA.exists(), reason="needs the real exams in ../shared/data")
def test_a_real_exam_is_read_whole(tmp_path: Path) -> None:
    raw = [json.loads(line) for line in (DATA / "medqa/en_5opt_first300.jsonl").open()]
    rows = [{**row, "list": [row["options"][letter] for letter in "ABCDE"]} for row in raw]
    write_rows(tmp_path / "medqa.jsonl", rows)
    fields = {
        **FIELDS,
        "id": None,
        "stem": "question",
        "options": "list",
        "answers": "answer_idx",
        "group": None,
        "labels": ["meta_info"],
    }
    out = tmp_path / "out"
    out.mkdir()
    examine(exam(tmp_path / "medqa.jsonl", format="jsonl", fields=fields), out)
    kept = read_json(out / "counts.json")
    assert sum(kept["kept"].values()) == 300, kept
    by_stem = {row["question"].strip(): row["answer"].strip() for row in raw}
    assert all(q.options[q.answers[0]] == by_stem[q.stem] for q in all_questions(out))
