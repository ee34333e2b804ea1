"""What a training says of itself."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
from test_checkpoints import FULL, run
from test_checkpoints import packed as packed
from test_checkpoints import parent as parent
from test_train import changed

from residency import progress
from residency.blocks import Blocks
from residency.course import Course
from residency.files import read_rows
from residency.section import Complaint


def test_a_training_that_diverges_names_the_step_the_rate_and_the_blocks(
    parent: Path, packed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch

    monkeypatch.setenv("RESIDENCY_MICRO_BATCH", "2")
    real, told, given = torch.nn.functional.cross_entropy, progress.Watch.lost, []

    def cross_entropy(*args: Any, **options: Any) -> Any:
        loss = real(*args, **options)
        return loss * float("nan") if len(given) == 3 else loss  # the fourth: the second step's

    def lost(self: progress.Watch, mean: Any) -> None:
        given.append(sorted(self._waiting[0]))
        told(self, mean)

    monkeypatch.setattr(torch.nn.functional, "cross_entropy", cross_entropy)
    monkeypatch.setattr(progress.Watch, "lost", lost)
    with pytest.raises(Complaint) as error:
        run(FULL, parent, packed, tmp_path / "out")
    assert "diverged at step 2: loss nan" in str(error.value)
    assert "learning rate 0.005" in str(error.value)
    assert f"in blocks {given[3][0]}, {given[3][1]} of the pack" in str(error.value)


def test_a_spike_passes_and_a_loss_that_stays_up_is_counted() -> None:
    spiking = progress.spikes()
    calm = [2 + 0.1 * (n % 3) for n in range(progress.FEWEST)]
    assert [spiking(loss) for loss in [50.0, *calm[1:]]] == [0] * progress.FEWEST
    spiking = progress.spikes()
    assert [spiking(loss) for loss in calm] == [0] * progress.FEWEST
    assert [spiking(loss) for loss in [2.5, 4.0, 5.0, 2.1, 4.0]] == [0, 1, 2, 0, 1]


def test_what_is_learned_by_heart_may_vary_by_a_third() -> None:
    spiking = progress.spikes()
    assert [spiking(0.04) for _ in range(progress.FEWEST)] == [0] * progress.FEWEST
    assert [spiking(0.053), spiking(0.055)] == [0, 1]


def test_a_loss_that_stays_up_stops_training_and_names_where_it_began(
    packed: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    import torch

    watch, spiking = (
        progress.Watch(Course(Blocks(packed / "train"), 10, 10, 0), flat=False),
        progress.spikes(),
    )

    def step(number: int, loss: float) -> None:
        watch.gathered([watch[number % 10]])
        watch.lost(torch.tensor(loss))
        row = {"step": number, "loss": loss, "grad_norm": 1.0, "learning_rate": 3e-4}
        progress._judge(row, spiking, watch)
        watch.stepped()

    for number in range(1, progress.FEWEST + 1):
        step(number, 2.0)
    for number in range(101, 101 + progress.EXPLODED - 1):
        step(number, 9.0)
    said = capsys.readouterr().out
    row = watch.course.row(1)
    assert said == f"step 101: a spike, loss 9.0000, most of it in block {row} of the pack\n"
    at = f"in block {watch.course.row(0)} of the pack"
    with pytest.raises(Complaint, match=rf"at step 101: .*rate 0\.0003, {at}"):
        step(120, 9.0)


def test_lines_tell_step_loss_speed_and_time_left(capsys: pytest.CaptureFixture[str]) -> None:
    tell = progress.told(10, 30)
    for step in range(11, 31):
        tell({"step": step, "loss": 1.5, "bits_per_byte": 0.75}, 100.0 * step)
    first, last = capsys.readouterr().out.splitlines()
    assert first.startswith("step 11/30  loss 1.5000 (0.750 bits per byte)  ")
    assert last.startswith("step 30/30  loss 1.5000 (0.750 bits per byte)  ")
    assert last.endswith(" tokens/s  00:00 left")


def test_a_terminal_gets_a_bar(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    tell = progress.told(0, 2)
    tell({"step": 1, "loss": 1.5, "bits_per_byte": None}, 100.0)
    tell({"step": 2, "loss": 1.25, "bits_per_byte": None}, 200.0)
    said = capsys.readouterr()
    assert said.out == ""
    assert "2/2" in said.err
    assert "loss 1.2500, " in said.err
    assert "tokens/s" in said.err


def test_tensorboard_gets_every_step_and_the_artifact_none_of_its_files(
    parent: Path, packed: Path, tmp_path: Path, work: Path
) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    run(changed(FULL, epochs=1), parent, packed, tmp_path / "out")
    (folder,) = work.glob("resident/*/tensorboard")
    events = EventAccumulator(str(folder)).Reload()
    losses = [row["loss"] for row in read_rows(tmp_path / "out" / "log.jsonl")]
    seen = [(each.step, each.value) for each in events.Scalars("train/loss")]
    assert seen == [(n, pytest.approx(loss)) for n, loss in enumerate(losses, 1)]
    assert not [path for path in (tmp_path / "out").rglob("*") if "events" in path.name]


def test_a_tracker_that_is_unknown_or_not_installed_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("RESIDENCY_TRACKERS", "tensorboard, ")
    assert progress.trackers() == []
    monkeypatch.setenv("RESIDENCY_TRACKERS", "mlflw")
    with pytest.raises(Complaint, match="no tracker 'mlflw'; did you mean 'mlflow'"):
        progress.trackers()
    monkeypatch.setenv("RESIDENCY_TRACKERS", "wandb,mlflow")
    monkeypatch.setattr(progress, "find_spec", lambda _name: None)
    with pytest.raises(Complaint, match="mlflow is not installed; to have it: pip install mlflow"):
        progress.trackers()
