"""Learning 8,192 merges beside Hugging Face's BpeTrainer, and encoding with the grown tokenizer.

    python benchmarks/extend.py FOLDER BASE [--megabytes N] [--chinese]

FOLDER takes the grown texts (benchmarks/grow.py), made when they are not there; BASE is a folder
with a byte-level tokenizer. Learning: `segment` and `learn` from BASE, against BpeTrainer from
scratch with 8,192 pieces beyond the alphabet and BASE's own pre-tokenizer, on the same file and two
cores, each in a process of its own; wall and CPU seconds, peak memory (proportional set size).
Encoding: characters per second of BASE and of BASE grown on that text, on text of another seed, in
turns; the median of the rounds' ratios.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from importlib.metadata import version
from pathlib import Path

from clean import grown, measured, size

OURS = """
import sys
from pathlib import Path
from transformers import AutoTokenizer
from residency.bpe import learn
from residency.embeddings import Embeddings, Mean
from residency.extend import segment
from residency.records import documents
old = AutoTokenizer.from_pretrained(sys.argv[1])
texts = (document.text for document in documents(Path(sys.argv[2])))
merges = learn(segment(old.backend_tokenizer, texts), set(old.get_vocab()), 8192, 2)
print(len(merges))
"""
THEIRS = """
import sys
from pathlib import Path
from tokenizers import Tokenizer, models, pre_tokenizers, trainers
from transformers import AutoTokenizer
from residency.records import documents
old = AutoTokenizer.from_pretrained(sys.argv[1]).backend_tokenizer
new = Tokenizer(models.BPE())
if old.normalizer is not None:
    new.normalizer = old.normalizer
new.pre_tokenizer = old.pre_tokenizer
alphabet = pre_tokenizers.ByteLevel.alphabet()
trainer = trainers.BpeTrainer(
    vocab_size=8192 + len(alphabet), initial_alphabet=alphabet, min_frequency=2, show_progress=False
)
new.train_from_iterator((document.text for document in documents(Path(sys.argv[2]))), trainer)
print(new.get_vocab_size())
"""
GROWN = """
import sys
from pathlib import Path
from residency.embeddings import Embeddings, Mean
from residency.extend import Tokenizer, extend
out = Path(sys.argv[3])
out.mkdir(exist_ok=True)
section = Tokenizer(
    base="base", corpus="grown", new_tokens=8192, auto=None, min_count=2,
    embeddings=Embeddings(start=Mean(kind="mean"), multiple=None),
)
extend(section, base=Path(sys.argv[1]), corpus=Path(sys.argv[2]), out=out)
"""
ROUNDS = 9


def main() -> None:
    """Measure and print two tables."""
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("base", type=Path)
    parser.add_argument("--megabytes", type=int, default=1000)
    parser.add_argument("--chinese", action="store_true")
    asked = parser.parse_args()
    options = ["--chinese"] if asked.chinese else []
    language = "chinese" if asked.chinese else "english"
    text = grown(asked.folder, f"{language}{asked.megabytes}", asked.megabytes, 7, *options)
    held = grown(asked.folder, f"{language}-held", 10, 8, *options)
    print(f"tokenizers {version('tokenizers')}, transformers {version('transformers')}")
    print("| | MB | wall s | CPU s | peak MB |\n|---|---|---|---|---|")
    for name, code in [("BpeTrainer from scratch", THEIRS), ("residency", OURS)]:
        command = [sys.executable, "-c", code, str(asked.base), str(text)]
        took = measured(command, asked.folder / "learn.log")
        print(
            f"| {name} | {size([text]):.0f} | {took['wall']:.1f} | {took['cpu']:.1f} | "
            f"{took['memory']:.0f} |",
            flush=True,
        )
    out = asked.folder / f"{language}-grown"
    small = text
    if asked.megabytes > 100:
        small = grown(asked.folder, f"{language}100", 100, 1, *options)
    command = [sys.executable, "-c", GROWN, str(asked.base), str(small), str(out)]
    took = measured(command, asked.folder / "extend.log")
    print(
        f"the whole step on {size([small]):.0f} MB: {took['wall']:.1f} s, {took['memory']:.0f} MB"
    )
    print("| encoding | characters/s |\n|---|---|")
    for name, rate in encoding(asked.base, out, held):
        print(f"| {name} | {rate:,.2f} |")


def encoding(base: Path, grown: Path, held: Path) -> list[tuple[str, float]]:
    """Characters per second of both, and the median of the ratios of rounds in turns."""
    from transformers import AutoTokenizer

    from residency.records import documents

    texts = [document.text for document in documents(held)]
    characters = sum(map(len, texts))
    rates: list[list[float]] = []
    both = [AutoTokenizer.from_pretrained(each).backend_tokenizer for each in (base, grown)]
    for _ in range(ROUNDS):
        rates.append([])
        for tokenizer in both:
            began = time.perf_counter()
            tokenizer.encode_batch_fast(texts, add_special_tokens=False)
            rates[-1].append(characters / (time.perf_counter() - began))
    rows = zip(("base", "grown"), map(statistics.median, zip(*rates, strict=True)), strict=True)
    ratio = statistics.median(after / before for before, after in rates)
    return [*rows, ("grown / base", ratio)]


if __name__ == "__main__":
    main()
