"""CMExam in both layouts, with what is wrong in it."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from exams import DATA, exam, examined, needs_data

from residency.section import Complaint

OFFICIAL = {"official": True}


@needs_data
def test_the_spreadsheet_is_read_whole(tmp_path: Path) -> None:
    found = examined(tmp_path / "out", exam(DATA / "cmexam/val.xlsx", "cmexam", OFFICIAL))
    assert found.counts["rows"] == 6811
    assert found.counts["kept"] == {"train": 0, "dev": 6809, "test": 0}
    unkeyed, twice = found.rejected
    assert unkeyed["reason"] == "no answer"
    assert unkeyed["item"]["Answer"] == "nan"
    assert twice["detail"] == "'Ⅲ型柴胡皂苷' is right and wrong"
    assert found.kinds == {"single": 6599, "multiple": 210}
    assert Counter(len(each.options) for each in found.questions) == {5: 6604, 4: 205}
    # The row with an option twice has no explanation either.
    assert sum(not each.explanation for each in found.questions) == 1039 - 1
    assert not any("\\n" in option for each in found.questions for option in each.options)
    assert not any(each.options[0].startswith("A ") for each in found.questions)
    first = found.questions[0]
    assert first.options[2] == "出血量"
    assert first.answers == (2,)


@needs_data
def test_where_an_option_is_missing_the_answer_goes_by_the_marks(tmp_path: Path) -> None:
    found = examined(tmp_path / "out", exam(DATA / "cmexam/val.xlsx", "cmexam", OFFICIAL))
    (drug,) = [each for each in found.questions if "（2-异丙氨基-1-羟基）" in each.stem]
    assert len(drug.options) == 4  # B, C, D, E
    assert [drug.options[index] for index in drug.answers] == ["盐酸异丙肾上腺素"]
    assert "盐酸异丙肾上腺素（C对）" in drug.explanation


@needs_data
def test_the_annotated_csv_has_labels(tmp_path: Path) -> None:
    path = DATA / "cmexam/test10pct_a.ming.csv"
    found = examined(tmp_path / "out", exam(path, "cmexam", OFFICIAL))
    assert found.counts["kept"] == {"train": 0, "dev": 0, "test": 606}
    assert set(found.questions[0].labels) == {
        *["disease_group", "department", "discipline", "competency", "difficulty"]
    }
    levels = Counter(each.labels["difficulty"] for each in found.questions)
    assert levels == {"1": 230, "2": 191, "3": 114, "4": 59, "5": 12}
    assert found.questions[0].stem == "酶具有与一般催化剂不同的特点中不包括"
    assert found.questions[0].options[3] == "反应前后酶的质量不变"
    assert found.questions[0].answers == (3,)


@needs_data
def test_the_folder_holds_both_splits(tmp_path: Path) -> None:
    found = examined(tmp_path / "out", exam(DATA / "cmexam", "cmexam", OFFICIAL))
    assert found.counts["kept"] == {"train": 0, "dev": 6809, "test": 606}


def test_a_file_of_another_layout_is_refused(tmp_path: Path) -> None:
    (tmp_path / "val.csv").write_text("Question,Optons,Answer,Explanation\na,b,c,d\n")
    with pytest.raises(Complaint, match=r"a column 'Options'; did you mean 'Optons'\?"):
        examined(tmp_path / "out", exam(tmp_path / "val.csv", "cmexam"))
