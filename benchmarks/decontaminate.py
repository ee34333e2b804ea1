"""Decontamination against the plain n-gram rules, on leaks and look-alikes planted in real text.

    PYTHONPATH=src:tests python benchmarks/decontaminate.py

The rules: any run of n words of a question's text in the passage (GPT-3, Brown et al. 2020,
appendix C: n = 13, or the whole question if it is shorter; and n = 8), read as what is asked and
the stem with each option. Exams and books are those that no threshold was chosen on
(tests/leaks.py: to_publish); exam and seed differ from the ones used for tuning. Throughput is
text over processor time, one core, for the rule and ours on the same books, cut into documents of
forty paragraphs.
"""

from __future__ import annotations

import platform
import time
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path

import leaks as labelled
import numpy as np

from residency import declaration
from residency.decontaminate import index, leaks
from residency.records import Question
from residency.words import words

SEED, COUNT = 7, 30
Detect = Callable[[labelled.Case], tuple[bool, set[int]]]


def fingerprints(questions: Iterable[Question], ngram: int) -> set[str]:
    """The runs of words of what is asked, and of the stem with each option."""
    runs: set[str] = set()
    for question in questions:
        answered = [words(f"{question.stem} {option}") for option in question.options]
        for text in [words(question.asked), *answered]:
            length = min(ngram, max(len(text), 3))
            runs.update(_runs(text, length))
    return runs


def shares(text: str, prints: set[str], ngram: int) -> bool:
    """Does the text have a run of the exam's, of at most `ngram` words?"""
    found = words(text)
    return any(run in prints for n in range(ngram, 2, -1) for run in _runs(found, n))


def _runs(text: list[str], length: int) -> Iterable[str]:
    return (" ".join(text[at : at + length]) for at in range(len(text) - length + 1))


def plain(material: labelled.Material, ngram: int) -> Detect:
    """The plain rule; of a question its stem with the answer is read, as that rule was used."""
    prints = fingerprints(material.exam, ngram)

    def detect(case: labelled.Case) -> tuple[bool, set[int]]:
        if case.question:
            right = " ".join(case.question.options[each] for each in case.question.answers)
            return shares(f"{case.question.asked} {right}", prints, ngram), set()
        where = {n for n, each in enumerate(case.paragraphs) if shares(each, prints, ngram)}
        return bool(where) or shares(" ".join(case.paragraphs), prints, ngram), where

    return detect


def main() -> None:
    """Print precision and recall of each rule, by exam and in all, and megabytes a second."""
    print(f"Python {platform.python_version()}, NumPy {np.__version__}; seed {SEED}\n")
    section = declaration.load(Path("params.yaml")).corpora["textbook"].decontaminate
    print("| exam | rule | leaks | look-alikes | precision | recall | exact places | MB/s |")
    print("|---|---|---|---|---|---|---|---|")
    total: dict[str, labelled.Score] = {}
    wrong: Counter[str] = Counter()
    for material in labelled.to_publish():
        cases = labelled.planted(material, SEED, COUNT)
        books = [material.hosts[at : at + 40] for at in range(0, len(material.hosts), 40)]
        size = sum(len(text.encode()) for book in books for text in book) / 1e6
        known = index(material.exam, section)
        rules: list[tuple[str, Detect, Callable[[list[str]], object]]] = [
            ("residency", labelled.ours(material, section), lambda book, k=known: leaks(book, k))
        ]
        for ngram in (8, 13):
            prints = fingerprints(material.exam, ngram)
            rules.append(
                (
                    f"{ngram}-gram",
                    plain(material, ngram),
                    lambda book, p=prints, n=ngram: [shares(each, p, n) for each in book],
                )
            )
        for name, detect, read in rules:
            began = time.process_time()
            for book in books:
                read(book)
            speed = size / (time.process_time() - began)
            score = labelled.scored(cases, detect)
            if name == "residency":
                wrong += score.wrong
            _row(f"{material.name} ({len(material.exam)})", name, score, f"{speed:.1f}")
            if name in total:
                total[name].add(score)
            else:
                total[name] = score
    for name, score in total.items():
        _row("all", name, score, "")
    print(f"\nresidency errs in: {dict(wrong.most_common())}")


def _row(exam: str, name: str, score: labelled.Score, speed: str) -> None:
    planted = score.found + score.missed
    alike = sum((score.right + score.wrong).values()) - planted
    print(
        f"| {exam} | {name} | {planted} | {alike} | {score.precision:.3f} | {score.recall:.3f} "
        f"| {score.exact}/{score.located} | {speed} |",
        flush=True,
    )


if __name__ == "__main__":
    main()
