"""Packing: speed and memory by size, room wasted against other ways, and the start of training.

    python benchmarks/pack.py TOKENIZER [--trl PYTHON]

TOKENIZER: a folder of build/models. PYTHON: an interpreter that has TRL, in a venv of its own.

tokenise   text grown from real books (grow.py), MB of UTF-8 a second and a CPU second, by size
pack       best-fit and writing of made-up tokens whose documents are as long as the real ones
fit        the same lengths by best_fit, by TRL, one a block, and cut without regard to documents
open       Blocks of 1 and 10 GB of tokens, as files of holes
Memory is the peak of what is not a mapped file, of all processes together.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from residency.bestfit import PIECE, best_fit, write_blocks
from residency.blocks import Blocks
from residency.pieces import read, texts

HERE = Path(__file__).parent
LENGTH = 2048


def main() -> None:
    """Measure one thing, or each in a process of its own."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("tokenizer", type=Path)
    parser.add_argument("--trl", type=Path)
    parser.add_argument(
        "--only",
        nargs=2,
        metavar=("MEASURE", "SIZE"),
        help="just one, in the unit that it is told in",
    )
    given = parser.parse_args()
    if given.only:
        what, size = given.only[0], float(given.only[1])
        if what == "fit":
            lengths = real_lengths(given.tokenizer)
            for row in fits(lengths, int(size), given.trl):
                print(f"fit {int(size)}: {json.dumps(row)}")
        elif what == "open":
            print(f"open {size:g} GB: {opening(int(size))}")
        else:
            measure = {"tokenise": tokenise, "pack": packing}[what]
            print(f"{what} {size:g} MB: {json.dumps(measure(given.tokenizer, size))}")
        return
    print({name: version(name) for name in ["numpy", "tokenizers", "transformers"]})
    measures = {
        "tokenise": [10, 100],
        "pack": [10, 100, 1000, 4000],
        "fit": [512, LENGTH],
        "open": [1, 10],
    }
    for what, sizes in measures.items():
        for size in sizes:
            subprocess.run([sys.executable, *sys.argv, "--only", what, str(size)], check=True)


@contextmanager
def watched(told: dict[str, Any]) -> Iterator[None]:
    """Seconds, CPU seconds and peak megabytes of this process and its children."""
    this, stop, peak = psutil.Process(), threading.Event(), [0]

    def watch() -> None:
        while not stop.wait(0.05):
            total = 0
            for each in [this, *this.children(recursive=True)]:
                try:
                    status = Path(f"/proc/{each.pid}/smaps_rollup").read_text()
                    total += int(status.split("Pss_Anon:")[1].split()[0])
                except (OSError, IndexError):
                    continue  # it has ended
            peak[0] = max(peak[0], total)

    thread = threading.Thread(target=watch)
    thread.start()
    began, before = time.perf_counter(), os.times()
    yield
    seconds, after = time.perf_counter() - began, os.times()
    stop.set()
    thread.join()
    cpu = sum(after[:4]) - sum(before[:4])
    told |= {"seconds": round(seconds, 2), "cpu": round(cpu, 2), "peak_MB": round(peak[0] / 1024)}


def grown(megabytes: float, file: Path) -> Path:
    """A corpus of real texts, grown."""
    command = [sys.executable, HERE / "grow.py", file, str(megabytes), "0"]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return file


def coder(tokenizer: Path) -> Any:
    """A folder's tokenizer."""
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(tokenizer, local_files_only=True)


def tokenise(tokenizer: Path, megabytes: float) -> dict[str, Any]:
    """Documents to tokens on disk."""
    told: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        file = grown(megabytes, Path(folder) / "grown.jsonl")
        cut = texts(coder(tokenizer), LENGTH, 0)
        with watched(told), (Path(folder) / "spilled").open("wb") as spill:
            source = read(file, cut, spill)
        told |= {"documents": len(source.documents), "tokens": int(source.sizes.sum())}
        size = sum(len(json.loads(line)["text"].encode()) for line in file.open()) / 1e6
    return told | {
        "MB": round(size, 1),
        "MB/s": round(size / told["seconds"], 2),
        "MB/cpu_s": round(size / told["cpu"], 2),
    }


def real_lengths(tokenizer: Path) -> np.ndarray[Any, np.dtype[np.int64]]:
    """Tokens of documents, with their end."""
    with tempfile.TemporaryDirectory() as folder:
        file = grown(5, Path(folder) / "grown.jsonl")
        with (Path(folder) / "spilled").open("wb") as spill:
            return read(file, texts(coder(tokenizer), LENGTH, 0), spill).sizes


def packing(tokenizer: Path, megabytes: float) -> dict[str, Any]:
    """Tokens on disk to a part of a pack; megabytes of tokens.npy."""
    told: dict[str, Any] = {}
    lengths = real_lengths(tokenizer)
    random = np.random.default_rng(0)
    count = int(megabytes * 1e6 / 4 / lengths.mean())
    sizes = np.minimum(random.choice(lengths, count), LENGTH)
    pieces = np.zeros(count, PIECE)
    pieces["length"], pieces["learned"] = sizes, sizes - 1
    pieces["start"] = np.cumsum(sizes) - sizes
    with tempfile.TemporaryDirectory() as folder:
        spilled = Path(folder) / "spilled"
        with spilled.open("wb") as file:
            for _ in range(0, int(sizes.sum()), 1 << 20):
                random.integers(0, 49152, 1 << 20, np.int32).tofile(file)
        began = time.perf_counter()
        best_fit(pieces["length"], LENGTH)
        fit = time.perf_counter() - began
        with watched(told):
            kept = write_blocks(Path(folder) / "part", [pieces], spilled, LENGTH, 0)
    padding = 1 - kept["tokens"] / (kept["blocks"] * LENGTH)
    return told | {
        "pieces": count,
        "blocks": kept["blocks"],
        "best_fit_s": round(fit, 3),
        "MB/s": round(kept["tokens"] * 4e-6 / told["seconds"]),
        "padding_%": round(100 * padding, 3),
    }


def fits(lengths: Any, length: int, trl: Path | None) -> Iterator[dict[str, Any]]:
    """Room wasted and documents cut, by each way of filling blocks."""
    pieces = np.concatenate([[*[length] * (n // length), n % length] for n in lengths.tolist()])
    pieces = pieces[pieces > 0]
    over = int((lengths > length).sum())
    began = time.perf_counter()
    blocks = int(best_fit(pieces, length).max()) + 1
    ours = {"way": "best_fit", "blocks": blocks, "seconds": round(time.perf_counter() - began, 3)}
    total = int(lengths.sum())
    yield told(ours, total, length, over, 0)
    yield told({"way": "a document a block", "blocks": len(pieces)}, total, length, over, 0)
    ends = np.cumsum(lengths)
    cut = int(((ends - 1) // length > (ends - lengths) // length).sum())
    end_to_end = {"way": "end to end", "blocks": -(-total // length)}
    yield told(end_to_end, total, length, cut, 0)
    if trl:
        command = [trl, HERE / "pack_trl.py", str(length)]
        done = subprocess.run(
            command,
            input=json.dumps(lengths.tolist()),
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        )
        for row in json.loads(done.stdout):
            yield told(row, row.pop("tokens"), length, row.pop("cut"), total - row.pop("kept"))


def told(row: dict[str, Any], tokens: int, length: int, cut: int, lost: int) -> dict[str, Any]:
    """A way's blocks with what they waste."""
    padding = 1 - tokens / (row["blocks"] * length)
    return row | {"padding_%": round(100 * padding, 3), "documents_cut": cut, "tokens_lost": lost}


def opening(gigabytes: int) -> str:
    """Milliseconds to open a part and read its last block."""
    rows = gigabytes * 10**9 // 4 // LENGTH
    shapes = {"tokens": ("<i4", (rows, LENGTH)), "positions": ("<i4", (rows, LENGTH))}
    shapes |= {"loss": ("|u1", (rows, LENGTH)), "bytes": ("<i4", (rows,))}
    with tempfile.TemporaryDirectory() as folder:
        for stem, (kind, shape) in shapes.items():
            with (Path(folder) / f"{stem}.npy").open("wb") as file:
                head = {"descr": kind, "fortran_order": False, "shape": shape}
                np.lib.format.write_array_header_1_0(file, head)
                file.truncate(file.tell() + int(np.prod(shape)) * np.dtype(kind).itemsize)
        began = time.perf_counter()
        blocks = Blocks(Path(folder))
        opened = time.perf_counter() - began
        _ = blocks[len(blocks) - 1]
        read = time.perf_counter() - began
    return f"{1000 * opened:.2f} ms, with the last block read {1000 * read:.2f} ms"


if __name__ == "__main__":
    main()
