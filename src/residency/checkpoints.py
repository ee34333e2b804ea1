"""checkpoints: a training's state on its way, so that whatever stops it costs minutes.

    work/<model>/<identity>/checkpoint-120/   weights, optimiser, schedule, random numbers, log
                                  layout     ZeRO's stage and its processes, which must stay
                                  complete   written last: names every file and its size
                            kept/50/         weights after half of the steps, for the artifact
                            finished         the artifact is written; nothing here is needed

The folder lies outside build/, whose outputs DVC and Snakemake delete before a stage and after a
failed one. Its identity is a hash of all that shapes the result, so that a changed declaration
never goes on from another's state. Removing work/ is always safe: it costs time, no result.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import shutil
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib.metadata import version
from logging import ERROR, getLogger
from pathlib import Path
from typing import Any

from residency.devices import How, rank, ranks
from residency.files import (
    building,
    read_json,
    read_rows,
    sha256,
    sync,
    write_file,
    write_json,
    write_rows,
)
from residency.section import Complaint, Section, Setback

MINUTES = 15.0
"""Between checkpoints; one of a model trained in full is three times its weights."""

MOST = 2
"""Checkpoints that stay: should the disk lose the last one, there is the one before."""

RESUME_ME = 75
"""Exit status of a training stopped by a signal: EX_TEMPFAIL of sysexits.h, "try again"."""

SIGNALS = (signal.SIGTERM, signal.SIGUSR1, signal.SIGINT)
"""What clusters send some time before they kill, and what a terminal sends."""

READ_WHOLE = 1 << 26
"""Bytes of a file that still is read for the identity; of a larger one size and time must do."""

SHAPING = ("blocks", "checkpoints", "course", "embeddings", "gate", "lora", "train")
"""The modules that decide what a training computes."""

LIBRARIES = ("accelerate", "peft", "torch", "transformers")

_COMPLETE, _FINISHED, _LAYOUT, _LOG = "complete", "finished", "layout", "log.jsonl"
_SAVE, _STOP = 1, 2


def work(model: str, section: Section, inputs: Sequence[Path]) -> Path:
    """The folder for the state of one training: `inputs` are the folders that it reads.

    Below work/ in the current folder, or below what the environment variable RESIDENCY_WORK names.
    """
    return _root() / model / identity(section, inputs)


def identity(section: Section, inputs: Sequence[Path]) -> str:
    """A hash of the section, the inputs, the code and the libraries that shape a result.

    Files above 64 MiB are told apart by size and modification time, so that training starts at
    once on any amount of data.
    """
    found = hashlib.sha256()
    libraries = {name: version(name) for name in LIBRARIES}
    found.update(json.dumps([section.canonical(), libraries], sort_keys=True).encode())
    for folder in inputs:
        for path in sorted(path for path in folder.rglob("*") if path.is_file()):
            if not path.name.startswith("."):
                found.update(f"{path.relative_to(folder)} {_seen(path)}\n".encode())
    for module in SHAPING:
        found.update(sha256(Path(__file__).with_name(f"{module}.py")).encode())
    return found.hexdigest()[:16]


def latest(folder: Path) -> Path | None:
    """The newest complete checkpoint; broken ones, which a kill left behind, are removed.

    Called in each process: when all have looked, rank 0 removes.
    """
    last, broken = None, []
    for checkpoint in _checkpoints(folder)[::-1]:
        if is_whole(checkpoint):
            last = checkpoint
            break
        broken.append(checkpoint)
    _together()
    for checkpoint in broken if rank() == 0 else []:
        print(f"{checkpoint} was not finished; using the one before", flush=True)
        shutil.rmtree(checkpoint)
    return last


def is_whole(checkpoint: Path) -> bool:
    """Whether every file is there with the size it had when all of them were on disk."""
    mark = checkpoint / _COMPLETE
    return mark.is_file() and read_json(mark) == _sizes(checkpoint)


def seal(checkpoint: Path) -> None:
    """Flush a checkpoint to disk and only then mark it complete."""
    for path in sorted(checkpoint.rglob("*")):
        sync(path)
    sync(checkpoint)
    write_file(checkpoint / _COMPLETE, json.dumps(_sizes(checkpoint)))
    sync(checkpoint)
    sync(checkpoint.parent)


def resumed(checkpoint: Path, log: list[dict[str, float]], how: How) -> None:
    """Fill `log` with the rows of the steps before a checkpoint, which is about to be loaded.

    Raises Setback where ZeRO's stage or, with ZeRO, the number of processes is another: Trainer
    fails then, or leaves out the moments and the schedule without a word.
    """
    was, now = read_json(checkpoint / _LAYOUT), _layout(how)
    if was["zero"] != now["zero"] or (now["zero"] and was["processes"] != now["processes"]):
        cure = f"RESIDENCY_ZERO={was['zero']}"
        if was["zero"]:
            cure += f", RESIDENCY_OFFLOAD={was['offload']} and as many RESIDENCY_PROCESSES"
        raise Setback(
            f"{checkpoint}: was saved with {_told(was)}, and this training, with {_told(now)}, "
            f"cannot go on from it; set {cure}, or remove {checkpoint.parent} to begin anew"
        )
    # It would warn that tied weights are not in the checkpoint twice.
    getLogger("transformers.trainer").setLevel(ERROR)
    log[:] = read_rows(checkpoint / _LOG)
    print(f"going on after step {len(log)} from {checkpoint}", flush=True)


def saving(
    folder: Path,
    log: list[dict[str, float]],
    how: How,
    stopping: Callable[[], bool],
    writing: list[str],
) -> Any:
    """A TrainerCallback that keeps the state of the training in `folder`.

    Every RESIDENCY_CHECKPOINT_MINUTES, and when `stopping` says so: then training stops too. All
    processes do so after the same step. `writing` says what is written, while it is.
    """
    from transformers import TrainerCallback

    pause = 60 * _minutes()
    before = time.monotonic()

    class Saving(TrainerCallback):
        def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            due = state.is_world_process_zero and time.monotonic() - before >= pause
            wish = _agreed(_STOP if stopping() else _SAVE if due else 0, args.device)
            if wish and state.global_step < state.max_steps:
                control.should_save = True
                writing.append(f"the state after step {state.global_step}")
                control.should_training_stop |= wish == _STOP

        def on_save(self, args: Any, state: Any, control: Any, **_: Any) -> None:  # noqa: ARG002
            nonlocal before
            checkpoint = folder / f"checkpoint-{state.global_step}"
            if state.is_world_process_zero:
                write_rows(checkpoint / _LOG, log)
                write_json(checkpoint / _LAYOUT, _layout(how))
            _together()
            if state.is_world_process_zero:
                seal(checkpoint)
                for old in _checkpoints(folder)[:-MOST]:
                    shutil.rmtree(old)
            writing.clear()
            before = time.monotonic()

    return Saving()


def keeping(folder: Path, shares: Sequence[str], trainer: Any) -> Any:
    """A TrainerCallback that writes the weights to `folder`/kept/<share> after shares of all steps.

    `shares`: percentages such as "50%". Adapters are merged into a copy.
    """
    from transformers import TrainerCallback

    class Keeping(TrainerCallback):
        def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:  # noqa: ARG002
            for share in shares:
                if state.global_step != math.ceil(state.max_steps * int(share[:-1]) / 100):
                    continue
                weights = trainer.accelerator.get_state_dict(trainer.model_wrapped)
                if state.is_world_process_zero:
                    with (
                        full_disk(folder, [f"the weights after {share}"]),
                        building(folder / "kept" / share[:-1]) as out,
                    ):
                        _save(trainer.model, weights, out)

    return Keeping()


def put_kept(folder: Path, shares: Sequence[str], coder: Any, out: Path) -> None:
    """Copy the kept weights into the artifact, to `out`/checkpoints, each with its tokenizer."""
    for share in shares:
        place = out / "checkpoints" / share[:-1]
        shutil.copytree(folder / "kept" / share[:-1], place)
        coder.save_pretrained(place)


def merged(weights: dict[str, Any], model: Any) -> dict[str, Any]:
    """A state dict with its adapters added to the weights they adapt, under the model's own names.

    `weights`: all of `model`'s, gathered; neither is changed.
    """
    from peft.tuners.lora import LoraLayer
    from peft.utils.integrations import dequantize_module_weight

    adapted = {name: each for name, each in model.named_modules() if isinstance(each, LoraLayer)}
    found = {}
    for name, weight in weights.items():
        owner, inner = next(
            ((each, name[len(each) + 1 :]) for each in adapted if name.startswith(f"{each}.")),
            (None, name),
        )
        if owner is None:
            found[name] = weight
        elif inner == "base_layer.weight":
            layer = adapted[owner]
            base = weight
            if not base.is_floating_point():  # 4-bit
                base = dequantize_module_weight(layer.get_base_layer())
            up, down = (weights[f"{owner}.lora_{side}.default.weight"] for side in "BA")
            found[f"{owner}.weight"] = base + up @ down * layer.scaling["default"]
        elif inner == "base_layer.bias":
            found[f"{owner}.bias"] = weight
    return found


@contextmanager
def stoppable() -> Iterator[Callable[[], bool]]:
    """Within, the signals of SIGNALS do not kill: the function that is yielded says if one came.

    A second interrupt from a terminal kills as ever.
    """
    came: list[int] = []

    def note(number: int, _frame: Any) -> None:
        came.append(number)
        if number == signal.SIGINT:
            signal.signal(signal.SIGINT, signal.default_int_handler)

    before = {each: signal.signal(each, note) for each in SIGNALS}
    try:
        yield lambda: bool(came)
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)


@contextmanager
def full_disk(folder: Path, writing: list[str]) -> Iterator[None]:
    """Turn an error while something is written into a Complaint that says what is left.

    `folder`: the state of the training; `writing`: what is written, or nothing meanwhile.
    """
    from safetensors import SafetensorError

    try:
        yield
    except (OSError, RuntimeError, SafetensorError) as error:
        if not writing:
            raise
        last = None
        for checkpoint in _checkpoints(folder):
            if is_whole(checkpoint):
                last = checkpoint
            else:
                shutil.rmtree(checkpoint, ignore_errors=True)
        reason = str(error).strip().partition("\n")[0]
        raise Setback(
            f"{folder}: {writing[0]} could not be written: {reason} "
            f"({shutil.disk_usage(_there(folder)).free / 1e9:.1f} GB are free there); "
            + (f"{last.name} is whole" if last else "there is none before it")
            + ": make room, or name a larger disk in RESIDENCY_WORK, and run the same command again"
        ) from error


def paused(step: int, steps: int) -> SystemExit:
    """What ends a process whose state is saved; says so in one line."""
    print(f"stopped by a signal after step {step} of {steps}; the same command goes on", flush=True)
    return SystemExit(RESUME_ME)


def finish(folder: Path) -> None:
    """Note that all is written; the state goes as soon as the artifact has its name."""
    if folder.exists():
        write_file(folder / _FINISHED, "")


def forget(artifact: Path) -> None:
    """Remove the state of the training that made build/models/<name>."""
    for mark in (_root() / artifact.name).glob(f"*/{_FINISHED}"):
        for checkpoint in _checkpoints(mark.parent):
            shutil.rmtree(checkpoint)
        shutil.rmtree(mark.parent / "kept", ignore_errors=True)
        mark.unlink()
        for folder in (mark.parent, mark.parent.parent):
            if not any(folder.iterdir()):
                folder.rmdir()


def _there(path: Path) -> Path:
    """The path itself, or the nearest folder above it that exists."""
    return next(each for each in (path, *path.absolute().parents) if each.exists())


def _root() -> Path:
    return Path(os.environ.get("RESIDENCY_WORK") or "work")


def _minutes() -> float:
    told = os.environ.get("RESIDENCY_CHECKPOINT_MINUTES", str(MINUTES))
    try:
        found = float(told)
    except ValueError:
        found = math.nan
    if not 0 <= found < math.inf:
        raise Complaint(
            f"RESIDENCY_CHECKPOINT_MINUTES: expected a number of minutes, found {told!r}"
        )
    return found


def _checkpoints(folder: Path) -> list[Path]:
    """All, the oldest first."""
    return sorted(folder.glob("checkpoint-*"), key=lambda path: int(path.name.rpartition("-")[2]))


def _sizes(checkpoint: Path) -> dict[str, int]:
    return {
        path.relative_to(checkpoint).as_posix(): path.stat().st_size
        for path in sorted(checkpoint.rglob("*"))
        if path.is_file() and path.name != _COMPLETE
    }


def _layout(how: How) -> dict[str, int]:
    return {"zero": how.zero, "offload": int(how.offload), "processes": ranks()}


def _told(layout: dict[str, int]) -> str:
    zero = f"ZeRO stage {layout['zero']}" if layout["zero"] else "no ZeRO"
    return f"{zero} (processes: {layout['processes']})"


def _seen(path: Path) -> str:
    status = path.stat()
    return (
        sha256(path) if status.st_size <= READ_WHOLE else f"{status.st_size} {status.st_mtime_ns}"
    )


def _save(model: Any, weights: dict[str, Any], out: Path) -> None:
    use_cache, model.config.use_cache = model.config.use_cache, True
    model.save_pretrained(out, state_dict=merged(weights, model))
    model.config.use_cache = use_cache


def _agreed(wish: int, device: Any) -> int:
    """The largest wish of all processes."""
    import torch

    if not (torch.distributed.is_available() and torch.distributed.is_initialized()):
        return wish
    wishes = torch.tensor(wish, device=device)
    torch.distributed.all_reduce(wishes, torch.distributed.ReduceOp.MAX)
    return int(wishes)


def _together() -> None:
    import torch

    if torch.distributed.is_available() and torch.distributed.is_initialized():
        torch.distributed.barrier()
