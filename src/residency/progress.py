"""progress: what a training says while it runs, the rows of its log, and when it has gone wrong.

A bar on a terminal, a line now and then elsewhere; TensorBoard's files beside the state of the
training, and MLflow or Weights & Biases where RESIDENCY_TRACKERS names them.
"""

from __future__ import annotations

import math
import os
import sys
import time
from collections import deque
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from residency.blocks import collate
from residency.course import Course
from residency.section import Complaint, nearest

PROGRESS_SECONDS = 20

TRACKERS = ("mlflow", "wandb")
"""Beside TensorBoard, which is always written."""

WINDOW, FEWEST, DEVIATIONS = 1000, 100, 7
"""A loss this many standard deviations above the mean of the last WINDOW steps is a spike (OLMo
et al. 2024, "2 OLMo 2 Furious", arXiv 2501.00656, section 3.1: the spike score)."""

NARROWEST = 0.05
"""The least standard deviation, as a share of the mean: what is learned by heart hardly varies."""

EXPLODED = 20
"""A spike passes. After so many in a row the model has gone elsewhere, and is stopped."""

NAMED = 8
"""Blocks that a message names."""


class Watch:
    """Whose loss is whose: blocks as they are given out, and the losses that come back for them.

    A data set for Trainer. `gathered` collates its items and `lost` is told the losses, both once
    for each micro-batch and in the same order.
    """

    def __init__(self, course: Course, *, flat: bool) -> None:
        self.course, self.flat = course, flat
        self._waiting: deque[list[int]] = deque()
        self._step: list[tuple[list[int], Any]] = []

    def __len__(self) -> int:
        return len(self.course)

    def __getitem__(self, item: int) -> tuple[int | None, tuple[Any, ...]]:
        return self.course.row(item), self.course[item]

    def set_epoch(self, epoch: int) -> None:
        """Go to the start of an epoch, as Trainer asks of a data set."""
        self.course.set_epoch(epoch)

    def gathered(self, items: list[tuple[int | None, tuple[Any, ...]]]) -> dict[str, Any]:
        """A micro-batch of items; `flat` as `blocks.collate` says."""
        self._waiting.append([row for row, _ in items if row is not None])
        return collate([block for _, block in items], flat=self.flat)

    def lost(self, mean: Any) -> None:
        """Note the mean loss, a tensor, of the micro-batch whose turn it is."""
        if self._waiting:
            self._step.append((self._waiting.popleft(), mean.detach()))

    def blamed(self) -> list[int]:
        """The blocks of the step's micro-batches whose loss is not finite, else is highest."""
        losses = [(float(mean), rows) for rows, mean in self._step]
        found = [rows for loss, rows in losses if not math.isfinite(loss)]
        if not found and losses:
            found = [max(losses)[1]]
        return sorted(row for rows in found for row in rows)

    def stepped(self) -> None:
        """Forget the step's losses."""
        self._step.clear()


def logging(
    log: list[dict[str, Any]], learned: list[int], steps: int, watch: Watch, folder: Path
) -> Any:
    """A TrainerCallback that adds a row to `log` at each of `steps` steps.

    `learned`: one number, the tokens learned so far; `folder`: the training's own, for TensorBoard.
    Raises Complaint where training diverges: where a loss or gradient is not a number, or the loss
    has been a spike for many steps.
    """
    from transformers import TrainerCallback

    spiking = spikes()
    tell: Callable[[dict[str, Any], float], None]
    tracked: Any = None

    class Log(TrainerCallback):
        def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:  # noqa: ARG002
            nonlocal tell, tracked
            for row in log:  # of the steps before the checkpoint
                spiking(row["loss"])
            tell = told(state.global_step, steps)
            if state.is_world_process_zero:
                tracked = tensorboard(folder, state.global_step)

        def on_log(self, args: Any, state: Any, control: Any, **event: Any) -> None:  # noqa: ARG002
            logs = event["logs"]
            if "loss" not in logs:
                return
            before = log[-1]["tokens"] if log else 0
            volume = watch.course.volume((state.global_step - 1) % watch.course.steps)
            row = {
                "step": state.global_step,
                "epoch": state.epoch,
                "loss": logs["loss"],
                "bits_per_token": logs["loss"] / math.log(2),
                "bits_per_byte": _bits_per_byte(logs["loss"], learned[0] - before, volume),
                "learning_rate": logs["learning_rate"],
                "grad_norm": logs["grad_norm"],
                "tokens": learned[0],
            }
            _judge(row, spiking, watch)
            watch.stepped()
            log.append(row)
            if state.is_world_process_zero:
                tell(row, state.epoch * len(watch.course.blocks) * watch.course.blocks.length)
                for key in "loss", "learning_rate", "grad_norm", "tokens":
                    tracked.add_scalar(f"train/{key}", row[key], row["step"])

        def on_train_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:  # noqa: ARG002
            if tracked is not None:
                tracked.close()

    return Log()


def spikes() -> Callable[[float], int]:
    """A function of each step's loss in turn; how many steps in a row have been spikes."""
    calm: deque[float] = deque(maxlen=WINDOW)
    in_a_row = 0

    def spiking(loss: float) -> int:
        nonlocal in_a_row
        if len(calm) >= FEWEST:
            mean = math.fsum(calm) / len(calm)
            spread = math.sqrt(math.fsum((each - mean) ** 2 for each in calm) / len(calm))
            if loss > mean + DEVIATIONS * max(spread, NARROWEST * mean):
                in_a_row += 1
                return in_a_row
        in_a_row = 0
        calm.append(loss)
        return 0

    return spiking


def told(first: int, steps: int) -> Callable[[dict[str, Any], float], None]:
    """A function of each step's row and the tokens seen, which tells the user how far it is.

    `first`: the step after which training goes on.
    """
    from tqdm import tqdm

    began = last = time.monotonic()
    seen_before: float | None = None
    bar = tqdm(total=steps, initial=first, unit="step") if sys.stderr.isatty() else None

    def tell(row: dict[str, Any], seen: float) -> None:
        nonlocal last, seen_before
        if seen_before is None:
            seen_before = seen * first / row["step"]
        now, step = time.monotonic(), int(row["step"])
        rate = (seen - seen_before) / max(now - began, 1e-9)
        if bar is not None:
            bar.set_postfix_str(f"{_loss(row)}, {rate:.0f} tokens/s", refresh=False)
            bar.update()
            if step == steps:
                bar.close()
        elif now - last > PROGRESS_SECONDS or step in (first + 1, steps):
            left = (now - began) / (step - first) * (steps - step)
            print(
                f"step {step}/{steps}  {_loss(row)}  {rate:.0f} tokens/s  "
                f"{tqdm.format_interval(left)} left",
                flush=True,
            )
            last = now

    return tell


def tensorboard(folder: Path, step: int) -> Any:
    """A writer of TensorBoard's files, to `folder`/tensorboard; later steps there are hidden."""
    from torch.utils.tensorboard import SummaryWriter

    return SummaryWriter(str(folder / "tensorboard"), purge_step=step + 1)


def trackers() -> list[str]:
    """The trackers that RESIDENCY_TRACKERS names, separated by commas.

    Raises Complaint for one that is unknown or not installed.
    """
    told = os.environ.get("RESIDENCY_TRACKERS", "").split(",")
    names = sorted({name.strip() for name in told} - {"", "tensorboard"})
    for name in names:
        if name not in TRACKERS:
            hint = nearest(name, ["tensorboard", *TRACKERS])
            raise Complaint(f"RESIDENCY_TRACKERS: there is no tracker {name!r}; {hint}")
        if find_spec(name) is None:
            raise Complaint(
                f"RESIDENCY_TRACKERS: {name} is not installed; to have it: pip install {name}"
            )
    return names


def _loss(row: dict[str, Any]) -> str:
    bits = row["bits_per_byte"]
    return f"loss {row['loss']:.4f}" + ("" if bits is None else f" ({bits:.3f} bits per byte)")


def _bits_per_byte(loss: float, learned: float, volume: int) -> float | None:
    """Of a step whose `learned` tokens stand for `volume` bytes; None where they stand for none."""
    return loss * learned / math.log(2) / volume if volume else None


def _judge(row: dict[str, Any], spiking: Callable[[float], int], watch: Watch) -> None:
    """Raise Complaint if training has diverged at this step; tell of a spike that begins."""
    finite = math.isfinite(row["loss"]) and math.isfinite(row["grad_norm"])
    in_a_row = spiking(row["loss"]) if finite else 0
    if finite and in_a_row not in (1, EXPLODED):
        return
    blocks = _blocks(_everyones(watch.blamed()))
    if in_a_row == 1:
        print(
            f"step {row['step']}: a spike, loss {row['loss']:.4f}, most of it {blocks}", flush=True
        )
        return
    what = f"step {row['step']}" if not in_a_row else f"step {row['step'] - EXPLODED + 1}"
    raise Complaint(
        f"training diverged at {what}: loss {row['loss']}, gradient norm {row['grad_norm']}, "
        f"learning rate {row['learning_rate']:.3g}, {blocks}; lower train.learning_rate or raise "
        "train.warmup, and look at what these blocks hold"
    )


def _blocks(rows: list[int]) -> str:
    if not rows:
        return "in blocks that are not known"
    more = f" and {len(rows) - NAMED} more" if len(rows) > NAMED else ""
    return f"in block{'s'[: len(rows) > 1]} {', '.join(map(str, rows[:NAMED]))}{more} of the pack"


def _everyones(rows: list[int]) -> list[int]:
    """The rows that any process blames; every process asks at the same step."""
    import torch

    if not (torch.distributed.is_available() and torch.distributed.is_initialized()):
        return rows
    found: list[Any] = [None] * torch.distributed.get_world_size()
    torch.distributed.all_gather_object(found, rows)
    return sorted(row for each in found for row in each)
