"""`residency trace X`: from a number, a question, a model or a document down to raw files."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path

import pytest
from project import Project, typed
from test_declaration import SERVED

from residency.commands import trace
from residency.commands.hashes import md5s
from residency.commands.project import recorded
from residency.files import read_json, read_rows, sha256, write_json, write_rows


@pytest.fixture(name="here")
def _here(made: Project, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The made project itself; reading only."""
    monkeypatch.chdir(made.root)
    return made.root


def test_a_number_is_traced_to_every_raw_file_and_its_digest(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    done = typed(capsys, "trace", "finals/resident")
    assert done.status == 0
    shown = read_json(here / "build/report/metrics.json")["finals"]["resident"]
    assert f"accuracy: {shown['accuracy']}" in done.out
    for stage in [
        "train-resident",
        "pack-resident",
        "write-drills",
        "clean-textbook",
        "ingest-primer",
    ]:
        assert f"\n  {stage}: build/" in done.out
    order = re.findall(r"^  ([a-z]+)-\S+: build/", done.out, re.MULTILINE)
    assert order[0] == "evaluate"
    assert order.index("train") < order.index("pack") < order.index("ingest")
    for name in ["primer/01-anatomy.md", "boards.csv", "rounds.jsonl", "everyday/03-bicycle.md"]:
        path = here / "data/raw" / name
        assert f"data/raw/{name}  sha256 {sha256(path)}" in done.out
    assert f"md5 {recorded()['train-resident'].made.md5}" in done.out


def test_a_number_is_named_as_metrics_name_it(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    scores = read_json(here / "build/evaluations/ward/smollm2/scores.json")
    done = typed(capsys, "trace", "ward.smollm2.baselines")
    assert f"baselines: {scores['baselines']}" in done.out
    done = typed(capsys, "trace", "ward.smollm2.acuracy")
    assert (done.status, "did you mean 'accuracy'?" in done.err) == (1, True)
    done = typed(capsys, "trace", "ward/reader")
    assert (done.status, "'reader' does not sit ward" in done.err) == (1, True)


def test_a_written_question_is_traced_to_its_sentence_and_file(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    question = next(iter(read_rows(here / "build/questions/drills/questions.jsonl")))
    origin = question["origin"]
    done = typed(capsys, "trace", question["id"])
    assert f"from document {origin['document']} of build/corpora/textbook" in done.out
    assert question["explanation"] in done.out
    assert f"from {origin['file']}, characters" in done.out
    assert f"sha256 {origin['sha256']}" in done.out
    raw = done.out.partition("\nraw\n")[2]
    assert raw == f"  {origin['file']}  sha256 {origin['sha256']}\n"
    assert "train-" not in done.out


def test_an_exam_question_is_traced_to_its_row_and_told_how_models_did(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    row = next(iter(read_rows(here / "build/evaluations/finals/resident/predictions.jsonl")))
    done = typed(capsys, "trace", row["id"])
    assert "from data/raw/boards.csv, row " in done.out
    assert f"finals/resident answered {'right' if row['correct'] else 'wrong'}" in done.out
    assert "examine-boards: build/exams/boards" in done.out


def test_a_document_a_dropped_one_a_model_and_an_artifact_are_traced(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    done = typed(capsys, "trace", "data/raw/primer/01-anatomy.md#2")
    assert "document data/raw/primer/01-anatomy.md#2 of build/corpora/textbook" in done.out
    assert "section The Lantern Drake: Organs > How to read the body of a drake" in done.out
    dropped = next(iter(read_rows(here / "build/questions/drills/rejected.jsonl")))
    done = typed(capsys, "trace", dropped["id"])
    assert f"{dropped['id']} was dropped by write-drills: {dropped['reason']}" in done.out
    for word in [
        "resident",
        "models.resident",
        "train-resident",
        "build/models/resident",
        "resident@50%",
    ]:
        assert typed(capsys, "trace", word).out.startswith("build/models/resident: models.resident")
    assert typed(capsys, "trace", "build/packs/resident").out.startswith("build/packs/resident:")
    assert "data/raw/tiny" in typed(capsys, "trace", "smollm2").out


def test_a_served_model_is_traced_by_its_place(
    mine: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    mine.change("models.teacher", {"endpoint": SERVED})
    (mine.root / "build/models/teacher").mkdir()
    for word in "teacher", "models.teacher", "models.teacher.endpoint":
        done = typed(capsys, "trace", word)
        assert done.out.startswith("build/models/teacher: models.teacher.endpoint"), done.err


@pytest.mark.usefixtures("here")
def test_what_there_is_not_is_told_with_the_nearest_there_is(
    capsys: pytest.CaptureFixture[str],
) -> None:
    done = typed(capsys, "trace", "residant")
    assert (done.status, "did you mean 'resident'?" in done.err) == (1, True)
    done = typed(capsys, "trace", "data/raw/primer/01-anatomy.md#99")
    assert (done.status, "did you mean 'data/raw/primer/01-anatomy.md#" in done.err) == (1, True)
    done = typed(capsys, "trace", "everyday")
    assert (done.status, "is several things; say which: " in done.err) == (1, True)


@pytest.mark.usefixtures("here")
def test_verify_computes_every_hash_that_dvc_recorded(capsys: pytest.CaptureFixture[str]) -> None:
    records = recorded()
    assert md5s(each.out for each in records.values()) == {
        each.out: each.made.md5 for each in records.values()
    }
    done = typed(capsys, "trace", "finals/resident", "--verify")
    assert done.status == 0
    (count,) = re.findall(r"verified (\d+) hashes: all as recorded", done.out)
    assert int(count) > 50


def test_verify_fails_loudly_for_each_thing_that_differs(
    mine: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    raw = mine.root / "data/raw/primer/02-nerves-and-juices.txt"
    there = raw.stat()
    text = raw.read_bytes()
    raw.write_bytes(text.replace(b"a", b"e", 1))  # same length and, below, the same time
    os.utime(raw, ns=(there.st_atime_ns, there.st_mtime_ns))
    scores = mine.root / "build/evaluations/finals/resident/scores.json"
    write_json(scores, read_json(scores) | {"accuracy": 0.99})
    (mine.root / "data/raw/primer/06-tests.html").unlink()
    (mine.root / "build/corpora/textbook/.snakemake_timestamp").write_text("")
    done = typed(capsys, "trace", "finals/resident", "--verify")
    assert done.status == 1
    assert "DIFFERS build/corpora" not in done.out  # Snakemake's own file is none of its content
    assert re.search(
        r"DIFFERS data/raw/primer/02-nerves-and-juices.txt: was read with sha256 \w+, it is \w{64}",
        done.out,
    )
    assert re.search(r"DIFFERS data/raw/primer: dvc.lock says md5 \w+\.dir, it is ", done.out)
    assert "DIFFERS data/raw/primer/06-tests.html: was read with sha256" in done.out
    assert "it is not there" in done.out
    assert "DIFFERS build/evaluations/finals/resident: dvc.lock says md5 " in done.out
    assert "scores.json: says an accuracy of 0.99, the rows 0.3" in done.out
    assert typed(capsys, "trace", "finals/resident").status == 0


def test_what_was_built_from_other_values_than_now_is_told(
    mine: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    mine.change("corpora.textbook.filter.min_words", 5)
    done = typed(capsys, "trace", "resident")
    assert "params.yaml differs since: corpora.textbook.filter.min_words: 4 -> 5" in done.out


def test_what_a_terminal_would_obey_is_not_printed(
    mine: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    path = mine.root / "build/corpora/textbook/documents.jsonl"
    rows = list(read_rows(path))
    write_rows(path, [rows[0] | {"text": "before \x1b[2J\x07 after"}, *rows[1:]])
    done = typed(capsys, "trace", rows[0]["id"])
    assert "before [2J after" in done.out
    assert "\x1b" not in done.out


def test_nor_is_what_a_raw_files_name_holds(capsys: pytest.CaptureFixture[str]) -> None:
    name = "books.zip!/a\x1b[2Jb.txt"
    document = {
        "file": name, "pages": None, "start": 0, "end": 1, "sha256": "0", "language": "en",
        "licence": "CC0", "section": [],
    }  # fmt: skip
    print(*trace._where(document))
    trace._tell_raw({name: "0"}, {}, everything=True)
    told = capsys.readouterr().out
    assert told.count("books.zip!/a [2Jb.txt") == 2
    assert "\x1b" not in told


def test_a_thing_that_is_not_built_is_told_with_the_command_that_builds_it(
    mine: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.rmtree(mine.root / "build/evaluations/finals/resident")
    done = typed(capsys, "trace", "finals/resident")
    assert done.status == 1
    assert "snakemake --cores all build/evaluations/finals/resident" in done.err
