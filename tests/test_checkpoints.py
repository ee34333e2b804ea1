"""Trainings that are stopped in every way, on a tiny model."""

from __future__ import annotations

import os
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from project import environment
from test_train import LORA, TRAIN, blocks_of, changed, logits
from tiny import tiny_model

from residency import checkpoints
from residency.blocks import Blocks
from residency.files import read_json, read_rows, write_json
from residency.graph import code
from residency.progress import Watch
from residency.section import Complaint, Setback
from residency.train import Train, prepared, train

EPOCHS = 4  # of three steps
FULL = changed(TRAIN, epochs=EPOCHS)
DROPOUT = changed(FULL, method="lora", lora={**LORA.model_dump(), "dropout": 0.3}, keep=["50%"])
CHILD = """
import sys
from pathlib import Path
from residency.train import Train, train
section, parent, pack, out = sys.argv[1], *map(Path, sys.argv[2:])
out.mkdir(exist_ok=True)
train(Train.model_validate_json(section), parent, None, pack, out)
"""


@pytest.fixture(scope="module")
def parent(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("parent")
    tiny_model(folder)
    return folder


@pytest.fixture(scope="module")
def packed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ten blocks of two documents, which are three steps of an epoch."""
    documents = [[3 + (7 * n + 5 * i) % 390 for i in range(20)] for n in range(20)]
    blocks = list(zip(documents[::2], documents[1::2], strict=True))
    return blocks_of(blocks, tmp_path_factory.mktemp("packs") / "resident")


@pytest.fixture(scope="module")
def never_stopped(
    parent: Path, packed: Path, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[Train], Path]:
    """What a training writes that nothing stops."""
    done: dict[str, Path] = {}

    def out(section: Train) -> Path:
        key = section.model_dump_json()
        if key not in done:
            done[key] = tmp_path_factory.mktemp("whole") / "out"
            run(section, parent, packed, done[key])
        return done[key]

    return out


def run(section: Train, parent: Path, pack: Path, out: Path) -> None:
    """Train, as `python -m residency.train` would."""
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir()
    train(section, parent, None, pack, out)
    checkpoints.forget(out.with_name(pack.name))


def send(number: int, step: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have a signal come in the course of a step."""
    real, times = Watch.lost, count(1)

    def lost(self: Watch, mean: Any) -> None:
        if next(times) == step:
            os.kill(os.getpid(), number)
        real(self, mean)

    monkeypatch.setattr(Watch, "lost", lost)


def started(section: Train, parent: Path, pack: Path, out: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", CHILD, section.model_dump_json(), parent, pack, out],
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def saved(work: Path) -> list[int]:
    """The steps after which there is a checkpoint."""
    marks = work.glob("resident/*/checkpoint-*/complete")
    return sorted(int(mark.parent.name.partition("-")[2]) for mark in marks)


def same_files(one: Path, other: Path) -> bool:
    files = sorted(path for path in one.rglob("*") if path.is_file())
    assert len(files) > 6
    twins = sorted(path for path in other.rglob("*") if path.is_file())
    assert [path.relative_to(one) for path in files] == [path.relative_to(other) for path in twins]
    different = [
        path.name
        for path, twin in zip(files, twins, strict=True)
        if path.read_bytes() != twin.read_bytes()
    ]
    assert different == []
    return True


@pytest.mark.parametrize(
    ("section", "step", "number"),
    [
        (FULL, 2, signal.SIGTERM),
        (FULL, 3, signal.SIGUSR1),  # the last one of its epoch
        (DROPOUT, 8, signal.SIGINT),  # after half of the steps, whose weights are kept
    ],
    ids=["in the first epoch", "between two", "in a later one, with dropout"],
)
def test_a_training_that_goes_on_writes_what_one_never_stopped_would(
    parent: Path,
    packed: Path,
    tmp_path: Path,
    never_stopped: Callable[[Train], Path],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    work: Path,
    section: Train,
    step: int,
    number: int,
) -> None:
    with monkeypatch.context() as patch:
        send(number, step, patch)
        with pytest.raises(SystemExit) as stop:
            run(section, parent, packed, tmp_path / "out")
    assert stop.value.code == 75
    assert f"stopped by a signal after step {step} of 12" in capsys.readouterr().out
    assert saved(work) == [step]
    run(section, parent, packed, tmp_path / "out")
    assert f"going on after step {step}" in capsys.readouterr().out
    assert same_files(never_stopped(section), tmp_path / "out")
    steps = [row["step"] for row in read_rows(tmp_path / "out" / "log.jsonl")]
    assert steps == list(range(1, 13))
    assert saved(work) == []


@pytest.mark.parametrize(
    "number",
    [
        signal.SIGKILL,
        pytest.param(signal.SIGTERM, marks=pytest.mark.slow),
        pytest.param(signal.SIGUSR1, marks=pytest.mark.slow),
    ],
)
def test_a_process_killed_at_any_moment_goes_on_from_its_last_checkpoint(
    parent: Path,
    packed: Path,
    tmp_path: Path,
    never_stopped: Callable[[Train], Path],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    work: Path,
    number: int,
) -> None:
    monkeypatch.setenv("RESIDENCY_CHECKPOINT_MINUTES", "0")
    child = started(FULL, parent, packed, tmp_path / "out")
    while len(saved(work)) < 2 and child.poll() is None:
        time.sleep(0.005)
    child.send_signal(number)
    said, _ = child.communicate()
    if number == signal.SIGKILL:
        assert child.returncode == -signal.SIGKILL
    else:
        assert (child.returncode, "the same command goes on" in said) == (75, True), said
    last = saved(work)[-1]
    assert last < 12
    run(FULL, parent, packed, tmp_path / "out")
    assert f"going on after step {last}" in capsys.readouterr().out
    assert same_files(never_stopped(FULL), tmp_path / "out")


def stopped_at(step: int, section: Train, parent: Path, pack: Path, out: Path) -> Path:
    """The state of a training that saved after each step and was stopped after one."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RESIDENCY_CHECKPOINT_MINUTES", "0")
        send(signal.SIGTERM, step, patch)
        with pytest.raises(SystemExit):
            run(section, parent, pack, out)
    return checkpoints.work(pack.name, section, [parent, pack])


def test_a_signal_that_comes_while_the_model_is_loaded_is_not_lost(
    parent: Path, packed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def prepared_late(*args: Any, **options: Any) -> Any:
        os.kill(os.getpid(), signal.SIGUSR1)
        return prepared(*args, **options)

    monkeypatch.setattr("residency.train.prepared", prepared_late)
    with pytest.raises(SystemExit) as end:
        run(FULL, parent, packed, tmp_path / "out")
    assert end.value.code == checkpoints.RESUME_ME
    assert saved(checkpoints._root()) == [1]


def test_the_last_two_checkpoints_stay(parent: Path, packed: Path, tmp_path: Path) -> None:
    state = stopped_at(5, FULL, parent, packed, tmp_path / "out")
    assert sorted(path.name for path in state.glob("checkpoint-*")) == [
        "checkpoint-4",
        "checkpoint-5",
    ]


def without_mark(checkpoint: Path) -> None:
    (checkpoint / "complete").unlink()


def cut_short(checkpoint: Path) -> None:
    with (checkpoint / "optimizer.pt").open("r+b") as file:
        file.truncate(1000)


def without_a_file(checkpoint: Path) -> None:
    (checkpoint / "scheduler.pt").unlink()


@pytest.mark.parametrize("broken", [without_mark, cut_short, without_a_file])
def test_a_checkpoint_half_written_is_left_for_the_one_before(
    parent: Path,
    packed: Path,
    tmp_path: Path,
    never_stopped: Callable[[Train], Path],
    capsys: pytest.CaptureFixture[str],
    broken: Callable[[Path], None],
) -> None:
    state = stopped_at(5, FULL, parent, packed, tmp_path / "out")
    broken(state / "checkpoint-5")
    run(FULL, parent, packed, tmp_path / "out")
    said = capsys.readouterr().out
    assert "checkpoint-5 was not finished; using the one before" in said
    assert "going on after step 4" in said
    assert same_files(never_stopped(FULL), tmp_path / "out")


def test_one_process_removes_what_is_broken_when_all_have_looked(
    parent: Path, packed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    state = stopped_at(5, FULL, parent, packed, tmp_path / "out")
    broken = state / "checkpoint-5"
    cut_short(broken)
    there: list[bool] = []
    monkeypatch.setattr(checkpoints, "_together", lambda: there.append(broken.exists()))
    for number in "1", "0":
        monkeypatch.setenv("RANK", number)
        assert checkpoints.latest(state) == state / "checkpoint-4"
        there.append(broken.exists())
    assert there == [True, True, True, False]


@pytest.mark.parametrize(
    ("was", "now", "expected"),
    [
        (
            {"zero": 2, "offload": 1, "processes": 2},
            "0",
            r"ZeRO stage 2 \(processes: 2\), and this training, with no ZeRO \(processes: 1\), .*"
            r"set RESIDENCY_ZERO=2, RESIDENCY_OFFLOAD=1 and as many RESIDENCY_PROCESSES, or",
        ),
        ({"zero": 0, "offload": 0, "processes": 1}, "2", r"set RESIDENCY_ZERO=0, or"),
        ({"zero": 2, "offload": 0, "processes": 1}, "3", r"2 \(processes: 1\), .* stage 3 \(proc"),
        ({"zero": 2, "offload": 0, "processes": 4}, "2", r"\(processes: 4\), .* \(processes: 1\)"),
    ],
    ids=["ZeRO to none", "none to ZeRO", "another stage", "other processes"],
)
def test_state_that_another_zero_saved_is_refused_and_left(
    parent: Path,
    packed: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    was: dict[str, int],
    now: str,
    expected: str,
) -> None:
    state = stopped_at(2, FULL, parent, packed, tmp_path / "out")
    last = state / "checkpoint-2"
    write_json(last / "layout", was)
    checkpoints.seal(last)
    monkeypatch.setattr("residency.devices.deepspeed", lambda: True)
    monkeypatch.setenv("RESIDENCY_ZERO", now)
    with pytest.raises(Setback, match=rf"^{last}: was saved with .*{expected}") as told:
        run(FULL, parent, packed, tmp_path / "out")
    assert str(told.value).endswith(f"or remove {state} to begin anew")
    assert checkpoints.is_whole(last)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("before", "after", "refused"),
    [
        ((0, 0, 1), (0, 0, 2), False),
        ((0, 0, 2), (0, 0, 1), False),
        ((2, 0, 1), (2, 1, 1), False),
        ((2, 0, 2), (2, 0, 2), False),
        ((2, 0, 2), (0, 0, 1), True),
        ((0, 0, 1), (2, 0, 2), True),
    ],
    ids=lambda each: str(each),
)
def test_a_training_goes_on_with_the_same_zero_and_without_any_on_other_processes(
    parent: Path,
    packed: Path,
    tmp_path: Path,
    never_stopped: Callable[[Train], Path],
    monkeypatch: pytest.MonkeyPatch,
    work: Path,
    before: tuple[int, int, int],
    after: tuple[int, int, int],
    refused: bool,
) -> None:
    from safetensors.torch import load_file

    def begun(zero: int, offload: int, processes: int) -> subprocess.Popen[str]:
        for name, value in ("ZERO", zero), ("OFFLOAD", offload), ("PROCESSES", processes):
            monkeypatch.setenv(f"RESIDENCY_{name}", str(value))
        return started(FULL, parent, packed, tmp_path / "out")

    if before[0] or after[0]:
        pytest.importorskip("deepspeed", reason="the extra deepspeed is not installed")
    monkeypatch.setenv("RESIDENCY_CHECKPOINT_MINUTES", "0")
    child = begun(*before)
    while not saved(work) and child.poll() is None:
        time.sleep(0.005)
    child.send_signal(signal.SIGTERM)
    said, _ = child.communicate()
    assert child.returncode == 75, said
    child = begun(*after)
    said, _ = child.communicate()
    assert ("cannot go on from it" in said) == refused, said
    assert ("going on after step" in said) != refused
    if not refused:
        one, two = (
            load_file(each / "model.safetensors")
            for each in (never_stopped(FULL), tmp_path / "out")
        )
        assert max(float((one[name] - two[name]).abs().max()) for name in one) < 1e-5


def test_another_declaration_pack_or_parent_never_goes_on_from_this_ones_state(
    parent: Path, packed: Path, tmp_path: Path
) -> None:
    copies = [shutil.copytree(each, tmp_path / each.name) for each in (parent, packed)]
    here = checkpoints.identity(FULL, copies)
    assert here == checkpoints.identity(FULL, [parent, packed])
    assert here != checkpoints.identity(changed(FULL, seed=8), copies)
    (copies[0] / ".snakemake_timestamp").touch()
    assert here == checkpoints.identity(FULL, copies)
    with (copies[1] / "train/tokens.npy").open("r+b") as file:
        file.seek(-4, os.SEEK_END)
        file.write(b"\1")
    other = checkpoints.identity(FULL, copies)
    assert here != other
    write_json(copies[0] / "config.json", read_json(copies[0] / "config.json") | {"x": 1})
    assert checkpoints.identity(FULL, copies) not in (here, other)


def test_large_files_are_not_read_to_tell_them_apart(
    packed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checkpoints, "READ_WHOLE", 100)
    copy = Path(shutil.copytree(packed, tmp_path / "pack"))
    here = checkpoints.identity(FULL, [copy])
    os.utime(copy / "train/tokens.npy", (1, 1))
    assert checkpoints.identity(FULL, [copy]) != here


def test_every_module_of_a_training_either_shapes_it_or_is_known_not_to() -> None:
    harmless = {
        "card",
        "devices",
        "files",
        "fingerprint",
        "launch",
        "progress",
        "section",
        "step",
        "times",
        "unused",
    }
    assert {path.stem for path in code("train")} == {*checkpoints.SHAPING, *harmless}


def test_finding_its_place_reads_no_data(
    parent: Path, packed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stopped_at(8, FULL, parent, packed, tmp_path / "out")
    real, taken = Blocks.__getitem__, []

    def item(self: Blocks, row: int) -> Any:
        taken.append(row)
        return real(self, row)

    monkeypatch.setattr(Blocks, "__getitem__", item)
    run(FULL, parent, packed, tmp_path / "out")
    assert len(taken) == 4 * (EPOCHS * 3 - 8)  # a blank looks like the first block


@pytest.mark.parametrize("share", [0.99, 0.25], ids=["at the optimiser", "at the weights"])
def test_a_full_disk_is_told_and_costs_nothing(
    parent: Path,
    packed: Path,
    tmp_path: Path,
    never_stopped: Callable[[Train], Path],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    share: float,
) -> None:
    """A limit on the size of a file stands for the disk, whose end two writers word apart."""
    state = stopped_at(3, FULL, parent, packed, tmp_path / "out")
    most = int(share * (state / "checkpoint-3" / "optimizer.pt").stat().st_size)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    expected = rf"{state}: the state after step 4 could not .* checkpoint-3 is whole: make room"
    monkeypatch.setenv("RESIDENCY_CHECKPOINT_MINUTES", "0")
    resource.setrlimit(resource.RLIMIT_FSIZE, (most, before[1]))
    try:
        with pytest.raises(Complaint, match=expected):
            run(FULL, parent, packed, tmp_path / "out")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert sorted(path.name for path in state.glob("checkpoint-*"))[-1] == "checkpoint-3"
    monkeypatch.setenv("RESIDENCY_CHECKPOINT_MINUTES", "15")
    run(FULL, parent, packed, tmp_path / "out")
    assert "going on after step 3" in capsys.readouterr().out
    assert same_files(never_stopped(FULL), tmp_path / "out")


def test_an_error_that_is_no_failed_write_stays_what_it_is(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="shapes"), checkpoints.full_disk(tmp_path, []):
        raise RuntimeError("shapes do not match")


def test_kept_weights_are_what_the_model_was_after_that_share_of_its_steps(
    never_stopped: Callable[[Train], Path],
) -> None:
    import torch
    from transformers import AutoTokenizer

    section = changed(FULL, schedule="constant", keep=["25%", "50%"])
    out = never_stopped(section)
    assert sorted(path.name for path in (out / "checkpoints").iterdir()) == ["25", "50"]
    half = never_stopped(changed(section, epochs=EPOCHS // 2, warmup=0.2, keep=[]))
    assert torch.equal(logits(half), logits(out / "checkpoints/50"))
    assert not torch.equal(logits(half), logits(out / "checkpoints/25"))
    assert AutoTokenizer.from_pretrained(out / "checkpoints/50").chat_template
    config = read_json(out / "config.json")
    assert read_json(out / "checkpoints/50/config.json") == config


def test_adapters_are_merged_into_kept_weights_and_trained_on(
    never_stopped: Callable[[Train], Path],
) -> None:
    import torch
    from safetensors.torch import load_file

    section = changed(DROPOUT, schedule="constant")
    out = never_stopped(section)
    half = never_stopped(changed(section, epochs=EPOCHS // 2, warmup=0.2, keep=[]))
    assert torch.allclose(logits(half), logits(out / "checkpoints/50"), atol=1e-5)
    names = load_file(half / "model.safetensors").keys()
    assert load_file(out / "checkpoints/50/model.safetensors").keys() == names
    without = never_stopped(changed(section, keep=[]))
    assert torch.equal(logits(without), logits(out))


@pytest.mark.parametrize("told", ["soon", "-1", "nan"])
def test_an_interval_that_is_no_number_of_minutes_is_refused(
    parent: Path, packed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, told: str
) -> None:
    monkeypatch.setenv("RESIDENCY_CHECKPOINT_MINUTES", told)
    with pytest.raises(Complaint, match=f"RESIDENCY_CHECKPOINT_MINUTES: .*found '{told}'"):
        run(FULL, parent, packed, tmp_path / "out")


def test_the_state_goes_only_when_the_artifact_has_its_name(
    parent: Path, packed: Path, tmp_path: Path, work: Path
) -> None:
    stopped_at(5, FULL, parent, packed, tmp_path / "out")
    shutil.rmtree(tmp_path / "out")
    (tmp_path / "out").mkdir()
    train(FULL, parent, None, packed, tmp_path / "out")
    assert saved(work) == [4, 5]
    checkpoints.forget(Path("build/models/another"))
    assert saved(work) == [4, 5]
    checkpoints.forget(Path("build/models/resident"))
    assert saved(work) == []
