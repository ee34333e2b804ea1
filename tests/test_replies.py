from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from residency.replies import Answer, Store, folder
from residency.section import Setback

ODD = 'a\u2028b\u2029c\u0085d\x00e\r\n"\\🫀\u202eé'


def answer(number: int, text: str = "said") -> Answer:
    return Answer(
        key=f"{number:064x}",
        of=f"{7:016x}",
        text=text,
        prompt_tokens=3,
        reply_tokens=2,
        estimated=False,
        finish="stop",
        model="m",
        asked_at="2026-01-02T03:04:05Z",
        seconds=0.5,
    )


def opened(place: Path) -> Store:
    store = Store(place)
    store.look()
    return store


def test_what_is_kept_is_there_for_another_process_whatever_its_characters(tmp_path: Path) -> None:
    Store(tmp_path).keep([answer(1, ODD), answer(2)])
    store = opened(tmp_path)
    assert [store.get(answer(number).key) for number in (1, 2, 3)] == [
        answer(1, ODD),
        answer(2),
        None,
    ]
    assert store.knows(f"{7:016x}")
    assert not store.knows(f"{8:016x}")


@pytest.mark.parametrize("cut", [1, 2, 10, 100])
def test_a_line_cut_off_at_the_end_is_left_out_and_the_others_stay(
    tmp_path: Path, cut: int
) -> None:
    Store(tmp_path).keep([answer(1), answer(2, ODD)])
    (segment,) = tmp_path.iterdir()
    segment.write_bytes(segment.read_bytes()[:-cut])
    store = opened(tmp_path)
    assert len(store) == 1
    assert store.get(answer(1).key) == answer(1)
    assert store.get(answer(2).key) is None
    store.keep([answer(2), answer(3)])
    assert len(opened(tmp_path)) == 3


def test_a_damaged_line_is_as_if_it_were_not_there(tmp_path: Path) -> None:
    Store(tmp_path).keep([answer(1), answer(2), answer(3)])
    (segment,) = tmp_path.iterdir()
    lines = segment.read_bytes().splitlines(keepends=True)
    lines[1] = lines[1].replace(b'"text":"said"', b'"text":"sa\x00d"')
    lines[2] = b"\x00" * len(lines[2])
    segment.write_bytes(b"".join(lines))
    store = opened(tmp_path)
    assert [store.get(answer(number).key) is None for number in (1, 2, 3)] == [False, True, True]


def test_another_store_sees_what_is_kept_later_and_never_a_half_of_it(tmp_path: Path) -> None:
    writing, reading = Store(tmp_path), Store(tmp_path)
    writing.keep([answer(1)])
    reading.look()
    (segment,) = tmp_path.iterdir()
    whole = segment.read_bytes()
    segment.write_bytes(whole + whole[:40])
    reading.look()
    assert len(reading) == 1
    segment.write_bytes(whole + whole.replace(answer(1).key.encode(), answer(2).key.encode()))
    reading.look()
    assert reading.get(answer(2).key) == answer(2)


def test_two_processes_at_once_keep_all_of_both(tmp_path: Path) -> None:
    script = (
        "import sys, test_replies as t; from pathlib import Path\n"
        "store = t.Store(Path(sys.argv[1]))\n"
        "for n in range(40): store.keep([t.answer(int(sys.argv[2]) + n)])"
    )
    command = [sys.executable, "-c", script, str(tmp_path)]
    tests = {**os.environ, "PYTHONPATH": os.pathsep.join([str(Path(__file__).parent), *sys.path])}
    running = [subprocess.Popen([*command, str(first)], env=tests) for first in (0, 1000)]
    assert [each.wait(60) for each in running] == [0, 0]
    assert len(list(tmp_path.iterdir())) == 2
    assert len(opened(tmp_path)) == 80


def test_a_disk_that_takes_nothing_is_told_with_the_cure(tmp_path: Path) -> None:
    (tmp_path / "full").write_text("a file where a folder is to be")
    with pytest.raises(Setback, match=r"cannot be stored .*RESIDENCY_WORK"):
        Store(tmp_path / "full").keep([answer(1)])


@pytest.mark.parametrize("copy", ["tmpabc", "standalone/tmpabc", "tmpabc/sub"])
def test_an_experiment_in_a_copy_uses_the_store_of_the_project_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, copy: str
) -> None:
    monkeypatch.delenv("RESIDENCY_WORK")
    project = (tmp_path / "project").resolve()
    inside = project / ".dvc/tmp/exps" / copy
    inside.mkdir(parents=True)
    monkeypatch.chdir(project)
    assert folder() == project / "work/replies"
    monkeypatch.chdir(inside)
    assert folder() == project / "work/replies"
    monkeypatch.setenv("RESIDENCY_WORK", "elsewhere")
    assert folder() == project / "elsewhere/replies"
    monkeypatch.setenv("RESIDENCY_WORK", str(tmp_path / "disk"))
    assert folder() == tmp_path / "disk/replies"


def test_a_line_is_json_with_the_key_first(tmp_path: Path) -> None:
    Store(tmp_path).keep([answer(1, ODD)])
    (segment,) = tmp_path.iterdir()
    (line,) = segment.read_bytes().split(b"\n")[:-1]
    assert list(json.loads(line))[:2] == ["key", "of"]
    assert json.loads(line)["text"] == ODD
