"""An artifact exists whole or not at all."""

from __future__ import annotations

from pathlib import Path

import pytest

from residency.files import building, read_rows, write_file, write_rows
from residency.section import Complaint


def test_a_folder_takes_its_name_only_when_it_is_whole(tmp_path: Path) -> None:
    out = tmp_path / "kind" / "name"
    with building(out) as folder:
        write_rows(folder / "rows.jsonl", [{"a": 1}])
        assert not out.exists()
    assert [path.name for path in out.parent.iterdir()] == ["name"]
    assert list(read_rows(out / "rows.jsonl")) == [{"a": 1}]


def test_a_failure_leaves_what_was_there(tmp_path: Path) -> None:
    out = tmp_path / "name"
    with building(out) as folder:
        (folder / "old").touch()
    with pytest.raises(FileNotFoundError), building(out) as folder:
        (folder / "there" / "new").touch()
    assert [path.name for path in out.iterdir()] == ["old"]


def test_what_a_killed_process_left_is_not_taken_for_the_next_ones(tmp_path: Path) -> None:
    out = tmp_path / "name"
    left = tmp_path / ".name.partial"
    left.mkdir()
    (left / "half").touch()
    with building(out) as folder:
        (folder / "whole").touch()
    assert [path.name for path in out.iterdir()] == ["whole"]


def test_a_file_is_replaced_whole(tmp_path: Path) -> None:
    path = tmp_path / "file"
    write_file(path, "one")
    write_file(path, b"two")
    assert path.read_text() == "two"
    assert list(tmp_path.iterdir()) == [path]


def test_a_line_that_is_not_json_is_named(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text('{"a": 1}\n{"a": \n')
    with pytest.raises(Complaint, match=r"rows.jsonl:2: not a JSON line"):
        list(read_rows(path))
