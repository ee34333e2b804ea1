"""machine: what there is to compute with, found without loading torch."""

from __future__ import annotations

import os
import shutil
import subprocess

SECONDS = 10  # for nvidia-smi, which hangs where a driver is broken


def cores() -> int:
    """Cores that this process may run on."""
    return len(os.sched_getaffinity(0))


def gpus() -> int:
    """GPUs that the driver tells of and CUDA_VISIBLE_DEVICES lets through; 0 where none is told."""
    told = shutil.which("nvidia-smi")
    if told is None:
        return 0
    try:
        done = subprocess.run([told, "-L"], capture_output=True, text=True, timeout=SECONDS)
    except (OSError, subprocess.TimeoutExpired):
        return 0
    there = sum(line.startswith("GPU ") for line in done.stdout.splitlines())
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is None:
        return there
    named = [each for each in visible.split(",") if each.strip() not in ("", "-1")]
    return min(there, len(named))


def bytes_told(number: float) -> str:
    """A number of bytes in words, such as 540 MB."""
    for unit in ["bytes", "kB", "MB", "GB"]:
        if number < 1000:
            return f"{number:.3g} {unit}" if unit != "bytes" else f"{number:.0f} bytes"
        number /= 1000
    return f"{number:.3g} TB"
