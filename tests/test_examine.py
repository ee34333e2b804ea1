"""Every row becomes a question or a line in the ledger; splits are as they are declared."""

from __future__ import annotations

import csv
import hashlib
import re
from pathlib import Path
from typing import Any

import pytest
from exams import CSV, DATA, RATIO, Examined, exam, examined, needs_data, tabular, write_jsonl
from project import REPOSITORY
from pydantic import ValidationError
from ruamel.yaml import YAML

from residency.examine import ADAPTERS, Exam
from residency.section import Complaint

FIELDS: dict[str, Any] = {"id": "id", "options": ["a", "b", "c"], "labels": {"topic": "topic"}}
ROW = {"id": "1", "stem": "Which?", "a": "x", "b": "y", "c": "z", "answer": "B", "topic": "t"}


def sat(
    tmp_path: Path,
    rows: list[dict[str, Any]],
    fields: dict[str, Any] | None = None,
    split: Any = None,
    **adapter: Any,
) -> Examined:
    path = tmp_path / "exam.csv"
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, ["case", *ROW, *rows[0].keys() - ROW.keys() - {"case"}])
        writer.writeheader()
        writer.writerows(rows)
    section = exam(path, tabular(CSV, FIELDS | (fields or {}), **adapter), split)
    return examined(tmp_path / "out", section)


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
    found = sat(tmp_path, [ROW, {**ROW, "id": "2", **wrong}])
    assert found.counts["rejected"] == {reason: 1}
    assert found.rejected[0]["item"]["topic"] == "t"
    assert len(found.questions) == 1


def test_two_wrong_options_alike_do_no_harm(tmp_path: Path) -> None:
    found = sat(tmp_path, [{**ROW, "c": "x"}, {**ROW, "id": "2", "a": "y", "c": "y"}])
    assert [each.options for each in found.questions] == [("x", "y", "x")]
    assert found.rejected[0]["detail"] == "'y' is right and wrong"


def test_an_item_may_have_fewer_options(tmp_path: Path) -> None:
    (question,) = sat(tmp_path, [{**ROW, "c": ""}]).questions
    assert question.options == ("x", "y")


def test_a_question_says_where_it_comes_from(tmp_path: Path) -> None:
    (question,) = sat(tmp_path, [ROW]).questions
    path = tmp_path / "exam.csv"
    assert question.origin == {
        "file": path.as_posix(),
        "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
        "row": 1,
        "adapter": "tabular",
        "licence": "CC0-1.0",
    }


def test_splits_are_taken_from_a_column(tmp_path: Path) -> None:
    rows = [
        {**ROW, "id": str(n), "set": name}
        for n, name in enumerate(["train", "Val", "test", "training", "nowhere"])
    ]
    found = sat(tmp_path, rows, split={"column": "set"})
    assert found.counts == {
        "rows": 5,
        "kept": {"train": 2, "dev": 1, "test": 1},
        "rejected": {"unknown split": 1},
    }


def test_whole_values_of_a_label_are_held_out(tmp_path: Path) -> None:
    topics = ["joints", "blood", "blood", "nerves", ""]
    rows = [{**ROW, "id": str(n), "topic": topic} for n, topic in enumerate(topics)]
    found = sat(tmp_path, rows, split={"label": "topic", "dev": ["nerves"], "test": ["blood"]})
    ids = {name: [each.id for each in some] for name, some in found.splits.items()}
    assert ids == {"train": ["0"], "dev": ["3"], "test": ["1", "2"]}
    assert found.counts["rejected"] == {"unknown split": 1}
    assert found.rejected[0]["detail"].startswith("no label 'topic'")


def test_a_label_that_no_question_has_is_refused_with_the_nearest(tmp_path: Path) -> None:
    split = {"label": "topic", "dev": [], "test": ["bloud"]}
    message = "split.test: no question has 'bloud' as its topic; did you mean 'blood'?"
    with pytest.raises(Complaint, match=re.escape(message)):
        sat(tmp_path, [{**ROW, "topic": "blood"}], split=split)


@pytest.mark.parametrize(
    ("dev", "test", "problem"),
    [([], [], "dev and test are both empty"), (["a"], ["b", "a"], "'a' stands in dev and in test")],
)
def test_a_label_splits_in_one_way(dev: list[str], test: list[str], problem: str) -> None:
    with pytest.raises(ValidationError, match=problem):
        exam(Path("x"), "medqa", {"label": "topic", "dev": dev, "test": test})


def test_splits_are_taken_from_the_names_of_files(tmp_path: Path) -> None:
    row = {"stem": "Which?", "options": ["x", "y"], "answer": "A"}
    for name in ["train", "validation", "test"]:
        write_jsonl(tmp_path / "raw" / f"{name}.jsonl", [row])
    (tmp_path / "raw/notes.txt").write_text("no exam")
    section = exam(
        tmp_path / "raw", tabular("jsonl", {}, files="*.jsonl"), split={"column": "@stem"}
    )
    found = examined(tmp_path / "out", section)
    assert found.counts["kept"] == {"train": 1, "dev": 1, "test": 1}
    assert [each.id for each in found.splits["dev"]] == ["validation.jsonl:1"]


def test_all_can_be_one_split(tmp_path: Path) -> None:
    found = sat(tmp_path, [ROW, {**ROW, "id": "2"}], split={"whole": "dev"})
    assert found.counts["kept"] == {"train": 0, "dev": 2, "test": 0}


def test_a_column_of_splits_that_is_not_there_is_named_with_the_nearest(tmp_path: Path) -> None:
    rows = [{**ROW, "part": "train"}]
    with pytest.raises(Complaint, match=r"split.column: no column 'prat'; did you mean 'part'\?"):
        sat(tmp_path, rows, split={"column": "prat"})


def test_a_group_in_two_splits_is_refused(tmp_path: Path) -> None:
    rows = [{**ROW, "id": name, "case": "k", "set": name} for name in ["train", "test"]]
    with pytest.raises(Complaint, match="group 'k' stands in train and in test"):
        sat(tmp_path, rows, {"group": "case"}, {"column": "set"})


def test_an_official_split_needs_an_adapter_that_knows_it(tmp_path: Path) -> None:
    with pytest.raises(ValidationError, match=r"tabular knows none, expected one of cmexam, "):
        sat(tmp_path, [ROW], split={"official": True})


def test_an_exam_without_a_usable_question_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Complaint, match=r"no usable question \(most often: unknown answer"):
        sat(tmp_path, [{**ROW, "answer": "E"}])


def test_an_exam_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Complaint, match=r"path: there is no .*gone\.csv; expected a file"):
        examined(tmp_path / "out", exam(tmp_path / "gone.csv", tabular(CSV, FIELDS)))


def test_two_runs_write_the_same_bytes(tmp_path: Path) -> None:
    rows = [{**ROW, "id": str(n), "stem": f"Which of {'abcdefgh'[n]}?"} for n in range(8)]
    written = []
    for _ in range(2):
        sat(tmp_path, rows, split=RATIO)
        files = sorted((tmp_path / "out").iterdir())
        written.append({file.name: file.read_bytes() for file in files})
    assert written[0] == written[1]


def test_the_page_on_exams_tells_of_every_adapter_and_split() -> None:
    page = (REPOSITORY / "docs/exams.md").read_text()
    assert len(ADAPTERS) >= 10
    for kind in ADAPTERS:
        assert f"kind: {kind}" in page, f"docs/exams.md has no example of adapter {kind}"
        assert f"| `{kind}` |" in page, f"docs/exams.md has no row for adapter {kind}"
    blocks = re.findall(r"```yaml\n(.*?)```", page, flags=re.DOTALL)
    examples = [part for block in blocks for part in re.split(r"(?m)^(?=adapter:|split:)", block)]
    read = [YAML(typ="safe").load(part) for part in examples]
    found = [example for example in read if example and "exams" not in example]
    adapters = [example["adapter"] for example in found if "adapter" in example]
    assert {adapter["kind"] for adapter in adapters} == ADAPTERS.keys()
    for adapter in adapters:
        exam(Path("x"), adapter)
    splits = [exam(Path("x"), "medqa", each["split"]).split for each in found if "split" in each]
    assert len({type(split) for split in splits}) == 6


# Of each declaration to copy: the exam, what is kept of the files in ../shared/data (CMExam's
# validation split and a tenth of its test; of MedQA 300 of the test), and what is rejected.
COPIED: dict[str, tuple[tuple[int, int, int], int]] = {
    "cmexam": ((0, 6809, 606), 2),
    "pubmedqa": ((450, 50, 500), 0),
    "pubmedqa_free": ((450, 50, 500), 0),
    "frenchmedmcqa": ((2170, 312, 622), 1),
    "medqa": ((0, 0, 300), 0),
    "mediq": ((0, 0, 139), 1),
    "openstax": ((651, 0, 63), 512),
}


def to_copy() -> dict[str, Any]:
    """The exams that docs/exams.md declares in full, by name."""
    page = (REPOSITORY / "docs/exams.md").read_text().partition("## To copy")[2]
    blocks = re.findall(r"```yaml\n(exams:\n.*?)```", page, flags=re.DOTALL)
    exams: list[dict[str, Any]] = [YAML(typ="safe").load(block)["exams"] for block in blocks]
    return {name: each for some in exams for name, each in some.items()}


def test_the_exams_to_copy_are_those_with_files_here() -> None:
    assert to_copy().keys() == COPIED.keys()


@needs_data
@pytest.mark.parametrize("name", COPIED)
def test_an_exam_to_copy_reads_its_publisher_s_files(name: str, tmp_path: Path) -> None:
    declared = to_copy()[name]
    path = DATA / Path(declared["path"]).relative_to("data/raw")
    if name == "medqa":  # of which a part is here, under another name
        (tmp_path / "raw").mkdir()
        (tmp_path / "raw/test.jsonl").symlink_to(path / "en_5opt_first300.jsonl")
        path = tmp_path / "raw"
    found = examined(tmp_path / "out", Exam.model_validate({**declared, "path": str(path)}))
    kept, rejected = COPIED[name]
    assert tuple(found.counts["kept"].values()) == kept
    assert len(found.rejected) == rejected
