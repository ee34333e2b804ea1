"""Llama 2's tokenizer grown on Chinese medicine, beside Chinese-LLaMA's and a BPE from scratch.

    python benchmarks/grown_chinese.py FOLDER

Base: the first 32,000 pieces of Chinese-LLaMA-2's tokenizer.model, which are Llama 2's. Learned
from four fifths of the distinct CMExam-validation explanations (by hash) and two classics of
Chinese medicine, at most 23,296 pieces, for several min_count. Measured on the other fifth and on
OpenStax Anatomy and Physiology 2e: tokens per character. The BPE from scratch (24,000, on bytes,
cut by GPT-2's pre-tokenizer) learns from the same text.
"""

from __future__ import annotations

import hashlib
import shutil
import sys
import xml.etree.ElementTree as ET
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import sentencepiece
from grow import DATA
from python_calamine import CalamineWorkbook
from sentencepiece import sentencepiece_model_pb2
from tokenizers import Tokenizer as Backend
from tokenizers import decoders, models, pre_tokenizers, trainers
from transformers import AutoTokenizer

from residency.extend import Tokenizer, extend
from residency.files import read_json, write_rows
from residency.records import Document

PIECES, MOST, SCRATCH = 32_000, 23_296, 24_000
COUNTS = (2, 3, 5, 10, 20, 50)
CNXML = "{http://cnx.rice.edu/cnxml}"
REAL = DATA / "chinese_llama2_tokenizer"


def main() -> None:
    """Measure and print one table."""
    root = Path(sys.argv[1])
    shutil.rmtree(root, ignore_errors=True)
    learned, held = explanations()
    for path in sorted((DATA / "tcm").glob("*.txt")):
        text = path.read_bytes().decode("gb18030", "replace").replace("\r", "")
        learned += [part for part in text.split("\n\n") if part.strip()]
    anatomy = [
        "".join(each.itertext())
        for path in sorted((DATA / "openstax_anatomy_physiology_2e/modules").rglob("*.cnxml"))
        for each in ET.parse(path).getroot().iter(f"{CNXML}para")
    ]
    print(f"sentencepiece {version('sentencepiece')}, tokenizers {version('tokenizers')}")
    print(f"learned from {sum(map(len, learned)):,} characters, held out {sum(map(len, held)):,}")
    print("| tokenizer | pieces added | CMExam held out | anatomy |\n|---|---|---|---|")

    def row(name: str, added: int, count: Callable[[str], int]) -> None:
        costs = [sum(map(count, texts)) / sum(map(len, texts)) for texts in (held, anatomy)]
        print(f"| {name} | {added:,} | {costs[0]:.3f} | {costs[1]:.4f} |", flush=True)

    real = sentencepiece.SentencePieceProcessor(model_file=str(REAL / "tokenizer.model"))
    base = cut(root / "base")
    old = AutoTokenizer.from_pretrained(base).backend_tokenizer
    row("Llama 2 (base)", 0, lambda text: len(old.encode(text, add_special_tokens=False)))
    row("Chinese-LLaMA", len(real) - PIECES, lambda text: len(real.encode(text)))
    scratch = from_scratch(learned)
    row("BPE from scratch", SCRATCH, lambda text: len(scratch.encode(text)))
    corpus = root / "corpus"
    corpus.mkdir()
    write_rows(corpus / "documents.jsonl", map(document, learned))
    for least in COUNTS:
        out = root / f"grown{least}"
        out.mkdir()
        section = Tokenizer(base="llama", corpus="chinese", new_tokens=MOST, min_count=least)
        extend(section, base=base, corpus=corpus, out=out)
        new = AutoTokenizer.from_pretrained(out).backend_tokenizer
        added = len(read_json(out / "pieces.json"))
        row(
            f"grown, min_count {least}",
            added,
            lambda text, new=new: len(new.encode(text, add_special_tokens=False)),
        )
        model = sentencepiece.SentencePieceProcessor(model_file=str(out / "tokenizer.model"))
        row(
            f"the same by tokenizer.model, {least}",
            added,
            lambda text, model=model: len(model.encode(text)),
        )


def explanations() -> tuple[list[str], list[str]]:
    """Distinct explanations: four fifths to learn from, one to measure."""
    rows = CalamineWorkbook.from_path(DATA / "cmexam/val.xlsx").get_sheet_by_index(0).to_python()
    column = [str(name).strip().lower() for name in rows[0]].index("explanation")
    texts = sorted({str(row[column]).strip() for row in rows[1:]} - {"", "nan"})
    parts: tuple[list[str], list[str]] = ([], [])
    for text in texts:
        parts[hashlib.sha256(text.encode()).digest()[0] % 5 == 0].append(text)
    return parts


def cut(folder: Path) -> Path:
    """A tokenizer folder with the first pieces alone."""
    model = sentencepiece_model_pb2.ModelProto()
    model.ParseFromString((REAL / "tokenizer.model").read_bytes())
    del model.pieces[PIECES:]
    model.trainer_spec.vocab_size = PIECES
    folder.mkdir(parents=True)
    (folder / "tokenizer.model").write_bytes(model.SerializeToString(deterministic=True))
    shutil.copyfile(REAL / "tokenizer_config.json", folder / "tokenizer_config.json")
    return folder


def from_scratch(texts: list[str]) -> Backend:
    """A BPE on bytes that knows nothing else."""
    new = Backend(models.BPE())
    new.pre_tokenizer = pre_tokenizers.ByteLevel(False)
    new.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=SCRATCH, initial_alphabet=alphabet, show_progress=False
    )
    new.train_from_iterator(texts, trainer)
    return new


def document(text: str) -> Document:
    """A record without a source."""
    return Document(
        id="d", source="s", file="f", sha256="0" * 64, section=(), start=0, end=len(text),
        language="zh", licence="", text=text,
    )  # fmt: skip


if __name__ == "__main__":
    main()
