"""From the command to the first step, and from a stopped training to its next step.

    PYTHONPATH=src python benchmarks/start.py MODEL [GIGABYTES ...]

MODEL: a folder of build/models, of which the tokenizer is taken; what is trained is a random model
of 3 M parameters, so that the data is what costs. Packs of 0.01, 1 and 10 GB (or those given) are
sparse files of token 0 in which every token but a block's first is learned. Run from the
repository's root: `python -m residency.train models.reader.train` is started as a user would, timed
until it names its first step, stopped with SIGTERM, started again, and timed until its next.
Imports, about the same each time, are part of what is timed.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

LENGTH = 512
STEP = re.compile(r"step (\d+)\s*/")
PATIENCE = 300


def sparse_pack(out: Path, gigabytes: float, tokenizer: Path) -> None:
    """A pack of about so many bytes to learn, holes where it is zero, and parts for the gate."""
    import numpy as np

    from residency.fingerprint import fingerprint

    rows = max(8, round(gigabytes * 1e9 / 9 / LENGTH))
    make = np.lib.format.open_memmap
    for part, number in ("train", rows), ("held_out", 8), ("general", 8):
        (out / part).mkdir(parents=True)
        make(out / part / "tokens.npy", "w+", np.int32, (number, LENGTH))
        make(out / part / "positions.npy", "w+", np.int32, (number, LENGTH))
        make(out / part / "bytes.npy", "w+", np.int32, (number,))[:] = LENGTH - 1
        make(out / part / "loss.npy", "w+", np.uint8, (number, LENGTH))[:, 1:] = 1
    learned = rows * (LENGTH - 1)
    kept = {"blocks": rows, "documents": rows, "tokens": rows * LENGTH, "learned": learned}
    counts = {
        "objective": "pretrain",
        "length": LENGTH,
        "largest_token": 0,
        "tokenizer": fingerprint(tokenizer),
        "kept": kept | {"bytes": learned},
        "parts": {},
        "rejected": {},
    }
    (out / "counts.json").write_text(json.dumps(counts))


def small_model(model: Path, out: Path) -> None:
    """A random Llama with the tokenizer of `model`."""
    from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM

    coder = AutoTokenizer.from_pretrained(model, local_files_only=True)
    config = LlamaConfig(
        vocab_size=len(coder),
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=LENGTH,
        tie_word_embeddings=True,
    )
    LlamaForCausalLM(config).save_pretrained(out)
    coder.save_pretrained(out)


def next_step(folder: Path) -> tuple[int, float, float]:
    """Start training; the first step it names, and the wall and CPU seconds until then."""
    command = [sys.executable, "-u", "-m", "residency.train", "models.reader.train"]
    command += [str(folder / "out"), "--parent", str(folder / "model")]
    command += ["--pack", str(folder / "pack")]
    began = time.monotonic()
    process = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=os.environ | {"RESIDENCY_WORK": str(folder / "work")},
    )
    alarm = threading.Timer(PATIENCE, process.kill)
    alarm.start()
    assert process.stdout is not None
    told = []
    for line in process.stdout:
        told.append(line)
        if found := STEP.search(line):
            seconds = time.monotonic() - began
            told_by_kernel = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2]
            ticks = sum(map(int, told_by_kernel.split()[11:13]))  # of user and of system
            process.send_signal(signal.SIGTERM)
            process.stdout.read()
            process.wait()
            alarm.cancel()
            return int(found[1]), seconds, ticks / os.sysconf("SC_CLK_TCK")
    alarm.cancel()
    raise SystemExit("no step was named:\n" + "".join(told[-15:]))


def main() -> None:
    """Print a table."""
    import torch
    import transformers

    print(f"torch {torch.__version__}, transformers {transformers.__version__}\n")
    print(
        "| GB of packed data | start to first step, s | CPU, s | stopped to next step, s | CPU, s |"
    )
    print("|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        small_model(Path(sys.argv[1]), folder / "model")
        for gigabytes in map(float, sys.argv[2:] or ("0.01", "1", "10")):
            sparse_pack(folder / "pack", gigabytes, folder / "model")
            _, first, cpu = next_step(folder)
            step, again, cpu_again = next_step(folder)
            resumed = f"{again:.1f} (step {step})" if step > 1 else "did not resume"
            print(
                f"| {gigabytes:g} | {first:.1f} | {cpu:.1f} | {resumed} | {cpu_again:.1f} |",
                flush=True,
            )
            for gone in "pack", "work", "out":
                shutil.rmtree(folder / gone, ignore_errors=True)


if __name__ == "__main__":
    main()
