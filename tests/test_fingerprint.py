from __future__ import annotations

from pathlib import Path

from tiny import tiny_model

from residency.files import read_json, write_json
from residency.fingerprint import fingerprint


def test_saving_a_tokenizer_again_leaves_what_it_is(tmp_path: Path) -> None:
    from transformers import AutoTokenizer

    tiny_model(tmp_path / "tiny")
    coder = AutoTokenizer.from_pretrained(tmp_path / "tiny")
    coder("some text", truncation=True, max_length=3, padding="max_length")
    coder.save_pretrained(tmp_path / "again")
    one, two = (read_json(tmp_path / name / "tokenizer.json") for name in ("tiny", "again"))
    assert one != two
    assert fingerprint(tmp_path / "tiny") == fingerprint(tmp_path / "again")


def test_another_piece_makes_another_tokenizer(tmp_path: Path) -> None:
    for name, pieces in ("one", {"a": 0}), ("two", {"a": 0, "b": 1}):
        (tmp_path / name).mkdir()
        write_json(tmp_path / name / "tokenizer.json", {"model": {"vocab": pieces}})
    assert fingerprint(tmp_path / "one") != fingerprint(tmp_path / "two")


def test_a_tokenizer_without_a_json_is_told_by_its_model(tmp_path: Path) -> None:
    (tmp_path / "tokenizer.model").write_bytes(b"one")
    one = fingerprint(tmp_path)
    (tmp_path / "tokenizer.model").write_bytes(b"two")
    assert fingerprint(tmp_path) != one
