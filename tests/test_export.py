"""`residency export MODEL FOLDER`: a model for others."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pytest
from project import Project, typed

from residency.commands import export

CONVERTER = """\
import shutil
import sys
from pathlib import Path
folder, out, kind = sys.argv[1], sys.argv[3], sys.argv[5]
assert sys.argv[2] == "--outfile" and sys.argv[4] == "--outtype"
assert (Path(folder) / "model.safetensors").is_file()
Path(out).write_text(f"GGUF {kind}")
"""


@pytest.fixture(autouse=True)
def _in_a_project_without_converter(
    made: Project, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(made.root)
    monkeypatch.setenv("LLAMA_CPP", str(tmp_path / "no llama.cpp"))


def test_a_folder_loads_as_the_model_it_is_with_a_card(
    made: Project, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    done = typed(capsys, "export", "resident", str(tmp_path / "out"))
    assert done.status == 0
    assert "no GGUF: found no convert_hf_to_gguf.py" in done.out
    out, model = tmp_path / "out", made.root / "build/models/resident"
    names = {path.name for path in out.iterdir()}
    assert names == {path.name for path in model.iterdir()} - export.LEFT
    assert (out / "model.safetensors").read_bytes() == (model / "model.safetensors").read_bytes()
    from transformers import AutoModelForCausalLM, AutoTokenizer

    AutoModelForCausalLM.from_pretrained(out, local_files_only=True)
    assert AutoTokenizer.from_pretrained(out, local_files_only=True).chat_template
    card = (out / "README.md").read_text()
    assert card.startswith('---\nlibrary_name: "transformers"')
    assert "| `finals` | `30.0% of 20 questions` |" in card
    assert "| `build/packs/resident` | `" in card


def test_what_a_model_was_on_its_way_is_exported_too(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    done = typed(capsys, "export", "resident@50%", str(tmp_path / "half"), "--no-gguf")
    assert (done.status, "GGUF" in done.out) == (0, False)
    assert (tmp_path / "half/model.safetensors").is_file()
    assert (tmp_path / "half/README.md").is_file()


def test_a_gguf_file_is_made_by_the_converter_there_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / export.CONVERTER).write_text(CONVERTER)
    monkeypatch.setenv("LLAMA_CPP", str(tmp_path))
    assert typed(capsys, "export", "resident", str(tmp_path / "a")).status == 0
    assert (tmp_path / "a/resident.gguf").read_text() == "GGUF auto"
    assert typed(capsys, "export", "resident", str(tmp_path / "b"), "--gguf", "q8_0").status == 0
    assert (tmp_path / "b/resident.gguf").read_text() == "GGUF q8_0"


def test_a_converter_that_fails_leaves_nothing_and_its_words_are_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / export.CONVERTER).write_text("raise SystemExit('Model Foo is not supported')")
    monkeypatch.setenv("LLAMA_CPP", str(tmp_path))
    done = typed(capsys, "export", "resident", str(tmp_path / "out"))
    assert done.status == 1
    assert "failed with status 1" in done.err
    assert "Model Foo is not supported" in done.err
    assert "--no-gguf" in done.err
    assert not (tmp_path / "out").exists()


def test_asked_for_a_gguf_file_without_a_converter_it_says_where_to_get_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    done = typed(capsys, "export", "resident", str(tmp_path / "out"), "--gguf", "f16")
    assert (done.status, "it comes with llama.cpp: git clone" in done.err) == (1, True)
    assert not (tmp_path / "out").exists()


def test_a_folder_that_is_there_is_never_replaced(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "note.txt").write_text("mine")
    done = typed(capsys, "export", "resident", str(tmp_path))
    assert (done.status, "is there already" in done.err) == (1, True)
    assert (tmp_path / "note.txt").read_text() == "mine"
    done = typed(capsys, "export", "resident", str(tmp_path / "note.txt"))
    assert done.status == 1


def test_a_model_that_is_not_there_or_a_full_disk_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    done = typed(capsys, "export", "residant", str(tmp_path / "out"))
    assert (done.status, "did you mean 'resident'?" in done.err) == (1, True)
    full = shutil.disk_usage(".")._replace(free=10)
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: full)
    done = typed(capsys, "export", "resident", str(tmp_path / "out"))
    assert (done.status, "10 bytes are free there" in done.err) == (1, True)


def test_the_converter_is_found_on_the_path_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert export.converter() is None
    monkeypatch.delenv("LLAMA_CPP")
    there = tmp_path / export.CONVERTER
    there.write_text("#!/bin/sh\n")
    there.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert export.converter() == there
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.setattr(sys, "path", [])
    assert export.converter() is None
