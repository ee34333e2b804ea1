"""devices: how a training step is computed on the hardware there is. It never changes what.

    blocks of a step ── dealt to processes ── micro-batches ── gradients added up ── one update
    weights, gradients, moments ── whole on each device, or in parts (ZeRO), or in main memory

All of it is a matter of memory and speed alone, found from the hardware, and no part of an
artifact's identity. Environment variables, which a profile may set, decide instead where they are
given: RESIDENCY_NODES, RESIDENCY_PROCESSES, RESIDENCY_MICRO_BATCH, RESIDENCY_ZERO,
RESIDENCY_OFFLOAD, RESIDENCY_CHECKPOINT_ACTIVATIONS and RESIDENCY_COMPILE.
"""

from __future__ import annotations

import gc
import importlib
import importlib.util
import math
import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from residency.section import Complaint, Setback
from residency.step import setting

CPU_TOKENS = 1024
"""Beyond this a CPU gains no speed, and the logits of a large vocabulary fill its memory."""

FILLED = 0.8
"""Share of a GPU's free memory to plan with; allocators and libraries take the rest."""

VARIABLES = ("processes", "micro_batch", "zero", "offload", "checkpoint_activations", "compile")
"""The settings, as a profile names them; in the environment RESIDENCY_<NAME>."""

MOST_PROCESSES = 1024
MOST_BLOCKS = 1 << 20


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What the environment says; None where the hardware is to decide."""

    processes: int | None
    micro_batch: int | None  # blocks
    zero: int | None  # stage, 0 for none
    offload: bool | None
    checkpoint_activations: bool | None
    compile: bool


@dataclass(frozen=True, kw_only=True)
class How:
    """What of the training state lies where."""

    zero: int = 0  # DeepSpeed's stage: 1 deals out moments, 2 also gradients, 3 also weights
    offload: bool = False  # what is dealt out waits in main memory


def settings() -> Settings:
    """The environment's variables. Raises Complaint for a value or a pair that makes no sense."""
    found = Settings(
        processes=setting("PROCESSES", 1, MOST_PROCESSES),
        micro_batch=setting("MICRO_BATCH", 1, MOST_BLOCKS),
        zero=setting("ZERO", 0, 3),
        offload=_switch("OFFLOAD"),
        checkpoint_activations=_switch("CHECKPOINT_ACTIVATIONS"),
        compile=bool(_switch("COMPILE")),
    )
    if found.offload and found.zero == 0:
        raise Complaint(
            "RESIDENCY_OFFLOAD: found 1 with RESIDENCY_ZERO=0, and only ZeRO puts training state "
            "into main memory; set RESIDENCY_ZERO to 1, 2 or 3, or leave it out"
        )
    if found.compile and found.zero == 3:
        raise Complaint(
            "RESIDENCY_COMPILE: found 1 with RESIDENCY_ZERO=3, which brings weights in and out "
            "within compiled code; leave one of them out"
        )
    if found.zero and not deepspeed():
        raise Complaint(f"RESIDENCY_ZERO: found {found.zero}, {WITHOUT_DEEPSPEED}")
    return found


WITHOUT_DEEPSPEED = (
    "but DeepSpeed is not installed; to install it: pip install 'residency[deepspeed]'"
)


def _switch(name: str) -> bool | None:
    number = setting(name, 0, 1)
    return None if number is None else bool(number)


def deepspeed() -> bool:
    """Whether DeepSpeed can be imported."""
    return importlib.util.find_spec("deepspeed") is not None


def nodes(blocks: int) -> int:
    """How many nodes of a cluster share a step of `blocks` blocks: one, unless a profile says."""
    return min(setting("NODES", 1, MOST_PROCESSES) or 1, blocks)


def processes(told: Settings, blocks: int) -> int:
    """How many processes on a node share a step of `blocks` blocks: one for each GPU, or one."""
    import torch

    there = torch.cuda.device_count()
    if told.processes and there and told.processes > there:
        raise Setback(
            f"RESIDENCY_PROCESSES: found {told.processes}, but there are {there} GPUs; "
            "a GPU takes one process"
        )
    return min(told.processes or max(1, there), blocks)


def rank() -> int:
    """This process's number among those of the training; 0 writes."""
    return int(os.environ.get("RANK", "0"))


def ranks() -> int:
    """How many processes train together."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def join() -> None:
    """Meet the other processes of this training, if there are any, each with its own GPU."""
    import torch

    if not torch.cuda.is_available():
        os.environ.setdefault("DS_ACCELERATOR", "cpu")  # else DeepSpeed, if there, looks and warns
    if ranks() > 1 and not torch.distributed.is_initialized():
        if torch.cuda.is_available():
            torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
        torch.distributed.init_process_group("nccl" if torch.cuda.is_available() else "gloo")


def least(number: float) -> float:
    """The smallest of all processes' numbers."""
    import torch

    if ranks() == 1:
        return number
    place = "cuda" if torch.cuda.is_available() else "cpu"
    shared = torch.tensor(number, dtype=torch.float64, device=place)
    torch.distributed.all_reduce(shared, op=torch.distributed.ReduceOp.MIN)
    return float(shared)


def free_memory() -> float | None:
    """Bytes free on this process's GPU, at the least of all processes; None on a CPU."""
    import torch

    return least(float(torch.cuda.mem_get_info()[0])) if torch.cuda.is_available() else None


def state_bytes(how: How, weights: int, trained: int, among: int) -> float:
    """Bytes of training state on one device, for `weights` numbers of which `trained` are trained.

    Weights, gradients and Adam's two moments take 4 + 4 + 8 bytes each; what each stage deals out
    is Rajbhandari et al. 2020, "ZeRO: Memory Optimizations Toward Training Trillion Parameter
    Models", arXiv 1910.02054, figure 1.
    """
    shares = {stage: 1 / among if how.zero >= stage else 1.0 for stage in (1, 2, 3)}
    away = {stage: 0.0 if how.offload and how.zero >= stage else 1.0 for stage in (1, 2, 3)}
    return (
        4 * weights * shares[3] * away[3]
        + 4 * trained * shares[2] * away[2]
        + 8 * trained * shares[1] * away[1]
    )


def where(told: Settings, weights: int, trained: int, among: int, free: float | None) -> How:
    """Where training state lies: the simplest that leaves room, unless the environment says.

    `free`: bytes free on each of `among` GPUs, None on a CPU. Several GPUs deal out what they can
    without further traffic (ZeRO-2) if DeepSpeed is there.
    """
    if told.zero is not None:
        return How(zero=told.zero, offload=bool(told.offload))
    if free is None:
        if told.offload:
            raise Setback("RESIDENCY_OFFLOAD: found 1, but there is no GPU to unload; leave it")
        return How()
    simplest = [How()] if among == 1 or not deepspeed() else []
    dealt = [How(zero=2), How(zero=3)] if among > 1 else []
    every = [*simplest, *dealt, How(zero=2, offload=True), How(zero=3, offload=True)]
    if told.offload is not None:
        every = [how for how in every if how.offload == told.offload]
    fitting = (how for how in every if state_bytes(how, weights, trained, among) < free * FILLED)
    found = next(fitting, every[-1])
    if found.zero and not deepspeed():
        need = state_bytes(How(), weights, trained, among) / 2**30
        raise Setback(
            f"training this model takes {need:.1f} GiB beside its activations, and "
            f"{free / 2**30:.1f} GiB are free on the GPU: it needs ZeRO, {WITHOUT_DEEPSPEED}"
        )
    return found


def zero_config(how: How, precision: str, micro: int, accumulate: int, norm: float) -> Any:
    """DeepSpeed's configuration.

    Weights stay float32 and the forward pass autocasts, as without DeepSpeed, and gradients are
    added in float32: how a model is trained is not to change what comes out. The optimiser is
    torch's own for the same reason, also in main memory.
    """
    away = {"device": "cpu", "pin_memory": False}
    optimization: dict[str, Any] = {"stage": how.zero, "overlap_comm": False}
    if how.zero == 3:
        optimization["stage3_gather_16bit_weights_on_model_save"] = True
    if how.offload:
        optimization["offload_optimizer"] = away
        if how.zero == 3:
            optimization["offload_param"] = away
    return {
        "train_micro_batch_size_per_gpu": micro,
        "gradient_accumulation_steps": accumulate,
        "train_batch_size": micro * accumulate * ranks(),
        "gradient_clipping": norm,
        "zero_optimization": optimization,
        "zero_allow_untested_optimizer": True,
        "zero_force_ds_cpu_optimizer": False,
        "communication_data_type": "fp32",
        "torch_autocast": {"enabled": precision == "bfloat16", "dtype": "bfloat16"},
    }


def prepare_zero() -> None:
    """Import DeepSpeed with what it wants of its surroundings."""
    import sys

    tools = os.path.dirname(sys.executable)  # noqa: PTH120  ninja lies beside python
    if tools not in os.environ["PATH"].split(os.pathsep):
        os.environ["PATH"] = os.pathsep.join([tools, os.environ["PATH"]])
    for name, value in {"RANK": "0", "LOCAL_RANK": "0", "WORLD_SIZE": "1"}.items():
        os.environ.setdefault(name, value)
    if "MASTER_ADDR" not in os.environ:
        os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(_free_port())}
    importlib.import_module("deepspeed")


def _free_port() -> int:
    import socket

    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def attention(precision: str) -> str:
    """The attention that transformers is told to use; all keep documents in a block apart.

    FlashAttention takes bfloat16 only and knows documents by their positions, in one row.
    """
    import torch
    from transformers.utils.import_utils import is_flash_attn_2_available, is_flash_attn_3_available

    if torch.cuda.is_available() and precision == "bfloat16":
        if is_flash_attn_3_available() and torch.cuda.get_device_capability() >= (9, 0):
            return "flash_attention_3"
        if is_flash_attn_2_available():
            return "flash_attention_2"
    return "sdpa"


def shared_out(blocks: int, among: int, most: int) -> tuple[int, int]:
    """Micro-batch and accumulation for a step of `blocks` blocks on `among` processes.

    As few micro-batches of at most `most` blocks as will do, and those as small as will do.
    """
    each = math.ceil(blocks / among)
    accumulate = math.ceil(each / most)
    return math.ceil(each / accumulate), accumulate


def blocks_at_once(model: Any, length: int, free: float | None) -> int:
    """Blocks of `length` tokens to try at once, with `free` bytes left for activations.

    Raises nothing: too many are found out by `backed_off`.
    """
    if free is None:
        return max(1, CPU_TOKENS // length)
    config = model.config
    # About 40 numbers per layer and hidden unit wait for the backward pass; logits count thrice.
    token = 4 * (40 * config.num_hidden_layers * config.hidden_size + 3 * config.vocab_size)
    return max(1, int(free / token / length))


def backed_off(attempt: Callable[[int], None], size: int) -> int | None:
    """The largest of size, size/2, size/4 ... 1 that `attempt` has memory for; None if none.

    Processes agree on the smallest.
    """
    import torch

    while size >= 1:
        try:
            attempt(size)
            fits = 1.0
        except torch.OutOfMemoryError:
            fits = 0.0
        gc.collect()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        if least(fits):
            return size
        size //= 2
    return None
