"""MMLU without a header, CMMLU with one, in folders dev, val and test."""

from __future__ import annotations

from pathlib import Path

from exams import exam, examined

OFFICIAL = {"official": True}


def test_mmlu_is_read_by_place(tmp_path: Path) -> None:
    raw = tmp_path / "raw"
    for split, count in {"dev": 5, "val": 2, "test": 3}.items():
        lines = [f'"What is {n}, or {split}?",w,x,y,z,C\n' for n in range(count)]
        (raw / split).mkdir(parents=True)
        (raw / split / f"college_medicine_{split}.csv").write_text("".join(lines))
    (raw / "test/anatomy_test.csv").write_text("Which?,w,x,y,z,A\nWhich one?,w,x,y,z,E\na,b\n")
    found = examined(tmp_path / "out", exam(raw, "mmlu", OFFICIAL))
    assert found.counts["kept"] == {"train": 5, "dev": 2, "test": 4}
    assert found.counts["rejected"] == {"unknown answer": 1, "bad row": 1}
    question = found.by_id("test/college_medicine_test.csv:3")
    assert question.stem == "What is 2, or test?"
    assert question.answers == (2,)
    assert question.labels == {"subject": "college_medicine"}


def test_cmmlu_is_read_by_name(tmp_path: Path) -> None:
    raw = tmp_path / "raw"
    for split in ["dev", "test"]:
        (raw / split).mkdir(parents=True)
        (raw / split / "anatomy.csv").write_text(
            ",Question,A,B,C,D,Answer\n0,壁胸膜的分部不包括,肋胸膜,肺胸膜,膈胸膜,胸膜顶,B\n"
        )
    found = examined(tmp_path / "out", exam(raw, "mmlu", OFFICIAL))
    assert found.counts == {
        "rows": 2,
        "kept": {"train": 1, "dev": 0, "test": 1},
        "rejected": {},
    }
    (question,) = found.splits["test"]
    assert question.options[question.answers[0]] == "肺胸膜"
    assert question.id == "test/anatomy.csv:1"
    assert question.labels == {"subject": "anatomy"}
