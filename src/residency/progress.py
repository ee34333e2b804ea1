"""progress: what a training says while it runs, and the rows of its log."""

from __future__ import annotations

import math
import time
from typing import Any

from residency.blocks import Blocks
from residency.section import Complaint

PROGRESS_SECONDS = 20


def logging(log: list[dict[str, float]], learned: list[int], steps: int, blocks: Blocks) -> Any:
    """A TrainerCallback that adds a row to `log` at each of `steps` steps.

    `learned`: one number, the tokens learned so far. Raises Complaint where training diverges.
    """
    from transformers import TrainerCallback

    began = told = time.monotonic()

    class Log(TrainerCallback):
        def on_log(self, args: Any, state: Any, control: Any, **event: Any) -> None:  # noqa: ARG002
            nonlocal told
            logs = event["logs"]
            if "loss" not in logs:
                return
            if not (math.isfinite(logs["loss"]) and math.isfinite(logs["grad_norm"])):
                raise Complaint(
                    f"training diverged at step {state.global_step}: loss {logs['loss']}, gradient "
                    f"norm {logs['grad_norm']}; lower train.learning_rate or raise train.warmup"
                )
            log.append(
                {
                    "step": state.global_step,
                    "epoch": state.epoch,
                    "loss": logs["loss"],
                    "bits_per_token": logs["loss"] / math.log(2),
                    "learning_rate": logs["learning_rate"],
                    "grad_norm": logs["grad_norm"],
                    "tokens": learned[0],
                }
            )
            now = time.monotonic()
            if not state.is_world_process_zero:
                return
            if now - told > PROGRESS_SECONDS or state.global_step in (1, steps):
                done = state.epoch * len(blocks) * blocks.length
                print(
                    f"step {state.global_step}/{steps}  loss {logs['loss']:.4f}  "
                    f"{done / (now - began):.0f} tokens/s",
                    flush=True,
                )
                told = now

    return Log()
