"""examine: raw exam dumps become questions of one schema, split with groups kept whole.

    file ── an adapter's rows ──> Row ── its draft ──> Draft ── language, origin ──> Question
                                   └── Unfit: a line in the ledger

Each adapter is a module of `residency.adapters` with a section and two functions: `rows(section,
path)` and `draft(section, row)`. Every row becomes one question or one line in the ledger.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import Annotated, Any, NamedTuple

from pydantic import Field, Tag, model_validator

from residency import step
from residency.adapters import (
    cmexam,
    ecnqa,
    fit,
    frenchmedmcqa,
    mediq,
    medmcqa,
    medqa,
    mmlu,
    openstax,
    pubmedqa,
    tabular,
)
from residency.adapters.fit import SPLITS, Draft, Unfit
from residency.adapters.raw import Row, lookup
from residency.files import sha256, write_rows
from residency.records import Kind, Question, Rejected, write_ledger
from residency.section import Complaint, Homepage, Section, known_kind, nearest, told_by_kind
from residency.splits import (
    Split,
    SplitByColumn,
    SplitByLabel,
    SplitByRatio,
    SplitOfficial,
    SplitOfficialInPart,
    SplitWhole,
    deal,
    is_kept,
)


class Reader(NamedTuple):
    """An adapter's two functions."""

    rows: Callable[[Any, Path], Iterator[Row]]  # raises Complaint
    draft: Callable[[Any, Row], Draft]  # raises Unfit
    official: bool  # whether rows tell their publisher's split


ADAPTERS = {
    "tabular": Reader(tabular.rows, tabular.draft, official=False),
    "cmexam": Reader(cmexam.rows, cmexam.draft, official=True),
    "ecnqa": Reader(ecnqa.rows, ecnqa.draft, official=True),
    "frenchmedmcqa": Reader(frenchmedmcqa.rows, frenchmedmcqa.draft, official=True),
    "medmcqa": Reader(medmcqa.rows, medmcqa.draft, official=True),
    "medqa": Reader(medqa.rows, medqa.draft, official=True),
    "mediq": Reader(mediq.rows, mediq.draft, official=False),
    "mmlu": Reader(mmlu.rows, mmlu.draft, official=True),
    "openstax": Reader(openstax.rows, openstax.draft, official=False),
    "pubmedqa": Reader(pubmedqa.rows, pubmedqa.draft, official=True),
}

Adapter = Annotated[
    Annotated[
        Annotated[tabular.Tabular, Tag("<tabular>")]
        | Annotated[cmexam.CMExam, Tag("<cmexam>")]
        | Annotated[ecnqa.EcnQA, Tag("<ecnqa>")]
        | Annotated[frenchmedmcqa.FrenchMedMCQA, Tag("<frenchmedmcqa>")]
        | Annotated[medmcqa.MedMCQA, Tag("<medmcqa>")]
        | Annotated[medqa.MedQA, Tag("<medqa>")]
        | Annotated[mediq.MediQ, Tag("<mediq>")]
        | Annotated[mmlu.MMLU, Tag("<mmlu>")]
        | Annotated[openstax.OpenStax, Tag("<openstax>")]
        | Annotated[pubmedqa.PubMedQA, Tag("<pubmedqa>")],
        told_by_kind(),
    ],
    known_kind(*ADAPTERS),
]


class Exam(Section):
    """A raw exam dump and how to read it."""

    path: str = Field(min_length=1, description="File or folder, relative to params.yaml.")
    language: str = Field(
        pattern=r"^[a-z]{2,3}(-[A-Za-z0-9]+)*$", description="BCP 47 tag of the questions."
    )
    licence: str = Field(min_length=1, description="SPDX identifier or a short name.")
    homepage: Homepage
    adapter: Adapter = Field(description="How the exam is written; docs/exams.md tells all.")
    split: Split = Field(
        description="By a column, by a label, dealt by ratio, whole, or as its publisher has it."
    )

    @model_validator(mode="after")
    def _know_the_official_split(self) -> Exam:
        official = isinstance(self.split, SplitOfficial | SplitOfficialInPart)
        if official and not ADAPTERS[self.adapter.kind].official:
            known = ", ".join(kind for kind, each in ADAPTERS.items() if each.official)
            (key, *_) = self.split.model_dump()
            raise ValueError(
                f"split.{key}: adapter {self.adapter.kind} knows none, expected one of {known}; "
                "split by column or by ratio, or take it whole"
            )
        return self


def kinds(adapter: Adapter) -> tuple[Kind, ...]:
    """The kinds of question that an adapter can give."""
    match adapter:
        case medmcqa.MedMCQA():
            return ("single",)
        case mediq.MediQ():
            return ("progressive",)
        case ecnqa.EcnQA():
            return ("progressive",) if adapter.config == "dp" else ("single", "propositions")
        case openstax.OpenStax():
            several: tuple[Kind, ...] = (
                ("single", "multiple") if "choice" in adapter.exercises else ()
            )
            return (*several, "open") if "open" in adapter.exercises else several
        case pubmedqa.PubMedQA():
            return ("judgement",)
        case tabular.Tabular() if adapter.fields.order is not None:
            return ("progressive",)
        case tabular.Tabular() if adapter.asks != "choice":
            return (adapter.asks,)
    return ("single", "multiple")


def examine(exam: Exam, out: Path) -> None:
    """Read an exam into train.jsonl, dev.jsonl and test.jsonl; bad rows are in the ledger.

    In counts.json, what is kept and what is rejected add up to the rows.

    Raises Complaint for a file or a column that is not there, for a group that the raw exam puts
    in two splits, and when no question is left.
    """
    path = Path(exam.path)
    if not path.exists():
        raise Complaint(f"path: there is no {exam.path}; expected a file or folder")
    reader = ADAPTERS[exam.adapter.kind]
    questions: dict[str, Question] = {}
    given: dict[str, str] = {}  # splits by question, where the exam says it
    rejected: list[Rejected] = []
    digest = cache(sha256)
    total = 0
    for row in reader.rows(exam.adapter, path):
        total += 1
        place = row.file.name if row.file == path else row.file.relative_to(path).as_posix()
        id = f"{place}:{row.number}"
        try:
            if row.problem:
                raise Unfit("bad row", row.problem)
            draft = reader.draft(exam.adapter, row)
            fit.unambiguous(draft)
            id = draft.id or id
            if id in questions:
                raise Unfit("duplicate id", f"first in {_place(questions[id])}")
            split = _given(exam, row, draft, draft.group or id)
            questions[id] = _question(exam, id, draft, row, digest(row.file))
            given[id] = split
        except Unfit as problem:
            reason, detail = problem.args
            rejected.append(Rejected(id=id, reason=reason, detail=detail, item=row.item))
    if not questions:
        raise Complaint(_nothing_left(exam, rejected))
    if isinstance(exam.split, SplitByRatio):
        given = dict(zip(questions, deal(list(questions.values()), exam.split), strict=True))
    else:
        _undivided(exam, questions, given)
    if isinstance(exam.split, SplitByLabel):
        _there(exam.split, questions.values())
    kept = {
        split: write_rows(
            out / f"{split}.jsonl", (each for id, each in questions.items() if given[id] == split)
        )
        for split in SPLITS
    }
    write_ledger(out, kept, rejected, rows=total)


def _given(exam: Exam, row: Row, draft: Draft, group: str) -> str:
    """The split that a row or its labels tell, if the declaration asks for it; raises Unfit."""
    if isinstance(exam.split, SplitWhole):
        return exam.split.whole
    if isinstance(exam.split, SplitByRatio):
        return ""
    if isinstance(exam.split, SplitByLabel):
        label = exam.split.label
        value = draft.labels.get(label, "")
        if not value:
            raise Unfit("unknown split", f"no label {label!r}; {nearest(label, draft.labels)}")
        return "test" if value in exam.split.test else "dev" if value in exam.split.dev else "train"
    if isinstance(exam.split, SplitByColumn):
        value = fit.text(lookup(row, exam.split.column))
        split = fit.OTHER_NAMES.get(value.casefold(), value.casefold())
        if split not in SPLITS:
            detail = f"{value!r} in {exam.split.column!r}; known: {', '.join(SPLITS)}"
            raise Unfit("unknown split", detail)
        return split
    if row.split is None:
        raise Unfit("unknown split", f"{row.file.name} tells no official split")
    part = exam.split if isinstance(exam.split, SplitOfficialInPart) else None
    if part and row.split == "test" and not is_kept(group, part):
        raise Unfit("not drawn", f"split.official_test keeps {part.official_test:g} of the test")
    return row.split


def _question(exam: Exam, id: str, draft: Draft, row: Row, digest: str) -> Question:
    return Question(
        id=id,
        kind=draft.kind,
        context=draft.context,
        stem=draft.stem,
        options=draft.options,
        answers=draft.answers,
        explanation=draft.explanation,
        group=draft.group or id,
        labels=draft.labels,
        language=exam.language,
        origin={
            "file": row.file.as_posix(),
            "sha256": digest,
            "row": row.number,
            "adapter": exam.adapter.kind,
            "licence": exam.licence,
        },
        form=draft.form,
        facts=draft.facts,
        order=draft.order,
        indispensable=draft.indispensable,
        unacceptable=draft.unacceptable,
        reference=draft.reference,
    )


def _place(question: Question) -> str:
    return f"{question.origin['file']}, row {question.origin['row']}"


def _undivided(exam: Exam, questions: dict[str, Question], given: dict[str, str]) -> None:
    """Raise Complaint where the raw exam puts a group in two splits."""
    by_group: dict[str, str] = {}
    for id, question in questions.items():
        split = by_group.setdefault(question.group, given[id])
        if split != given[id]:
            raise Complaint(
                f"{exam.path}: group {question.group!r} stands in {split} and in {given[id]}; put "
                "it in one of them, or split by ratio"
            )


def _there(split: SplitByLabel, questions: Iterable[Question]) -> None:
    """Raise Complaint where a value that is held out is no question's."""
    values = {question.labels[split.label] for question in questions}
    for name in ("dev", "test"):
        for value in getattr(split, name):
            if value not in values:
                raise Complaint(
                    f"split.{name}: no question has {value!r} as its {split.label}; "
                    f"{nearest(value, values)}"
                )


def _nothing_left(exam: Exam, rejected: list[Rejected]) -> str:
    if not rejected:
        return f"{exam.path}: no rows; expected one for each question"
    reason, count = Counter(each.reason for each in rejected).most_common(1)[0]
    first = next(each for each in rejected if each.reason == reason)
    hint = ""
    if isinstance(exam.split, SplitByColumn) and isinstance(first.item, dict):
        column = exam.split.column
        if reason == "unknown split" and column not in first.item:
            hint = f"; split.column: no column {column!r}; {nearest(column, first.item)}"
    return (
        f"{exam.path}: no usable question (most often: {reason}, {count} of {len(rejected)} rows, "
        f"such as: {first.detail}); compare adapter and split with the file{hint}"
    )


if __name__ == "__main__":
    step.run(examine, Exam)
