"""write: exam questions from passages, each with the passage it came from.

corpus ── writer ──> question ── checks ──> options in random order ──> kept
                                    └─────> the ledger, with the reason
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from pydantic import Field

from residency import records, step
from residency.checks import checks
from residency.decontaminate import Decontaminate
from residency.files import write_rows
from residency.offline import OfflineWriter, written
from residency.records import Question, Rejected
from residency.section import Complaint, Name, Section


class Questions(Section):
    """Synthetic exam questions written from a corpus."""

    corpus: Name = Field(description="Corpus whose passages the questions are about.")
    writer: OfflineWriter = Field(description="Who writes, and how much.")
    decontaminate: Decontaminate = Field(description="Exams that no question may repeat.")


def write(questions: Questions, corpus: Path, exams: list[Path], out: Path) -> None:
    """Write questions.jsonl from a corpus's passages; dropped drafts are in the ledger.

    `corpus`: a folder of build/corpora; `exams`: the splits' .jsonl files to keep out.

    Raises Complaint if no question comes of the corpus.
    """
    writer = questions.writer
    known = (each for path in exams for each in records.questions(path))
    fault = checks(known, questions.decontaminate)
    kept: list[Question] = []
    rejected: list[Rejected] = []
    positions = _dealt(writer.options, random.Random(writer.seed))
    for each in written(writer, records.documents(corpus), fault):
        if isinstance(each, Rejected):
            rejected.append(each)
            continue
        place = next(positions)
        right, *wrong = each.options
        options = (*wrong[:place], right, *wrong[place:])
        kept.append(replace(each, options=options, answers=(place,)))
    if not kept:
        raise Complaint(
            f"{corpus}: no question could be written from it, expected terms met twice or more "
            f"with {writer.options - 1} others of their kind; "
            "give a larger corpus or ask for fewer options"
        )
    write_rows(out / "questions.jsonl", kept)
    forms = Counter(question.labels["kind"] for question in kept)
    told = {(each.origin["document"], each.origin["start"]) for each in kept}
    counts = {"questions": len(kept), **dict(sorted(forms.items()))}
    counts["sentences_asked_about"] = len(told)
    records.write_ledger(out, counts, rejected)


def _dealt(options: int, chance: random.Random) -> Iterator[int]:
    """Positions of answers: shuffled rounds of all of them, so that each is as frequent."""
    while True:
        places = list(range(options))
        chance.shuffle(places)
        yield from places


if __name__ == "__main__":
    step.run(write, Questions)
