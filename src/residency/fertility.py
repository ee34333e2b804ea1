"""fertility: what texts and exams cost in a grown tokenizer, beside its base.

    corpora: domain text, general text ──┐
    exams: all splits, as they are asked ┴── base and grown tokenizer ──> fertility.json

A step of its own, so that measuring on one more text leaves the tokenizer and what was trained with
it as they are. Appended merges only ever join what the base cut apart, so no text may cost more
than before; one that does is an error.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from pydantic import Field, model_validator

from residency import step
from residency.cost import cost, texts, tokenizer_of
from residency.files import read_json, write_json
from residency.records import questions
from residency.section import Complaint, Name, Section

SPLITS = ("train", "dev", "test")


class Fertility(Section):
    """Texts on which a grown tokenizer is measured beside its base."""

    tokenizer: Name = Field(description="The grown tokenizer.")
    corpora: list[Name] = Field(
        description="Corpora measured on: the one it was grown on (marked as such), others of the "
        "domain, general text."
    )
    exams: list[Name] = Field(description="Exams measured on, all splits together.")

    @model_validator(mode="after")
    def _on_something(self) -> Fertility:
        if not self.corpora and not self.exams:
            raise ValueError("corpora and exams are both empty; name at least one text")
        return self


def fertility(
    fertility: Fertility,  # noqa: ARG001
    base: Path,
    tokenizer: Path,
    corpora: list[Path],
    exams: list[Path],
    out: Path,
) -> None:
    """Write fertility.json: for each text its `cost` before and after, in the declared order.

    `base`: the model's folder that `tokenizer`, a folder of build/tokenizers, was grown from;
    `corpora`: folders of build/corpora; `exams`: folders of build/exams. `learned` is true for the
    corpus that the new pieces were learned on: there they look better than anywhere else.

    Raises Complaint for a text without a character, and for one that costs more than before.
    """
    old, new = tokenizer_of(base), tokenizer_of(tokenizer)
    grown = read_json(tokenizer / "fertility.json")
    told: list[tuple[str, Path, Callable[[Path], Iterator[str]]]] = [
        *(("corpora", path, texts) for path in corpora),
        *(("exams", path, asked) for path in exams),
    ]
    measured: list[dict[str, Any]] = []
    for kind, path, read in told:
        if not any(read(path)):
            raise Complaint(f"{kind}.{path.name}: no text to measure; leave it out of fertility")
        before, after = cost(old, read(path)), cost(new, read(path))
        if after["tokens"] > before["tokens"]:
            raise Complaint(
                f"{kind}.{path.name}: {after['tokens']:,} tokens in {tokenizer.name}, expected at "
                f"most the {before['tokens']:,} of {base.name}, because appended merges only join "
                f"tokens; {tokenizer} was not grown from {base}: build both again"
            )
        learned = kind == "corpora" and path.name == grown["corpus"]
        measured.append(
            {"kind": kind, "name": path.name, "learned": learned, "before": before, "after": after}
        )
    write_json(
        out / "fertility.json",
        {
            "tokenizer": tokenizer.name,
            "base": base.name,
            "added": grown["added"],
            "texts": measured,
        },
    )


def asked(exam: Path) -> Iterator[str]:
    """Each question of build/exams/<name>: context, stem and options, a line each."""
    for split in SPLITS:
        for question in questions(exam / f"{split}.jsonl"):
            yield "\n".join([question.asked, *question.options])


if __name__ == "__main__":
    step.run(fertility, Fertility)
