"""examine: raw exam dumps become questions of one schema, split with groups kept whole."""

from __future__ import annotations

import csv
import io
import random
import re
import sys
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

import orjson
from pydantic import Field, Tag, model_validator

from residency import step
from residency.files import sha256, write_rows
from residency.records import Question, Rejected, write_ledger
from residency.section import Complaint, Section, Seed, Share, nearest, told_by

SPLITS = ("train", "dev", "test")
OTHER_NAMES = {"training": "train", "validation": "dev", "valid": "dev", "val": "dev"}


class Fields(Section):
    """Which column (csv) or key (jsonl) of the raw exam holds what; null where it has none."""

    id: str | None = Field(description="Identifier; null numbers the rows.")
    context: str | None = Field(description="Case or passage read before the question.")
    stem: str = Field(description="The question itself.")
    options: str | list[str] = Field(
        description="One column per option, or the one key that holds a list of them."
    )
    answers: str = Field(description="The right answer or answers.")
    explanation: str | None = Field(description="Why the answer is right.")
    group: str | None = Field(
        description="Questions with the same value stay in one split; null: each stands alone."
    )
    labels: list[str] = Field(description="Columns to keep for scores by subject.")


class SplitByColumn(Section):
    """The raw exam says itself to which split a question belongs."""

    column: str = Field(description="Column or key that holds train, dev or test.")


class SplitByRatio(Section):
    """Groups are dealt to the splits at random."""

    train: Share = Field(description="Share of the groups that go to train.")
    dev: Share = Field(description="Share of the groups that go to dev; the rest goes to test.")
    seed: Seed = Field(description="Seed of the deal.")

    @model_validator(mode="after")
    def _leave_some(self) -> SplitByRatio:
        if self.train + self.dev > 1:
            raise ValueError("train and dev together must not be more than 1")
        return self


Split = Annotated[
    Annotated[SplitByColumn, Tag("<column>")] | Annotated[SplitByRatio, Tag("<train>")],
    told_by("column", "train"),
]


class Exam(Section):
    """A raw exam dump and how to read it."""

    path: str = Field(min_length=1, description="File, relative to params.yaml.")
    language: str = Field(
        pattern=r"^[a-z]{2,3}(-[A-Za-z0-9]+)*$", description="BCP 47 tag of the questions."
    )
    format: Literal["csv", "jsonl"] = Field(description="How the file is written.")
    fields: Fields = Field(description="Which column or key holds what.")
    numbering: Literal["letters", "zero", "one"] = Field(
        description="How answers name options: A, B, ...; 0, 1, ...; or 1, 2, ..."
    )
    split: Split = Field(description="Given by a column, or by ratio.")


class Row(NamedTuple):
    """One row of a raw exam; `number` counts records from 1 in csv and lines in jsonl."""

    number: int
    item: Any
    problem: str | None = None  # why it could not be read


class Unfit(Exception):
    """Why a row is no question: a countable reason and a detail."""


def examine(exam: Exam, out: Path) -> None:
    """Read an exam into train.jsonl, dev.jsonl and test.jsonl; bad rows are in the ledger.

    Raises Complaint for a file or a column that is not there, for a group that the raw exam puts
    in two splits, and when no question is left.
    """
    path = Path(exam.path)
    if not path.is_file():
        raise Complaint(f"path: {exam.path} is not a file; expected a {exam.format} file")
    columns, rows = _csv(path) if exam.format == "csv" else _jsonl(path)
    _check_columns(exam, columns)
    questions: dict[str, Question] = {}
    splits: dict[str, str] = {}  # by question, where the exam says it
    rejected: list[Rejected] = []
    digest = sha256(path)
    for row in rows:
        id = f"{path.name}:{row.number}"
        try:
            if row.problem:
                raise Unfit("bad row", row.problem)
            id = _text(row.item, exam.fields.id) or id
            question = _question(exam, id, row, digest)
            if id in questions:
                raise Unfit("duplicate id", f"first in row {questions[id].origin['row']}")
            if isinstance(exam.split, SplitByColumn):
                splits[id] = _given_split(row.item, exam.split.column)
            questions[id] = question
        except Unfit as problem:
            reason, detail = problem.args
            rejected.append(Rejected(id=id, reason=reason, detail=detail, item=row.item))
    if not questions:
        raise Complaint(_nothing_left(exam, rejected))
    groups = {question.group for question in questions.values()}
    if isinstance(exam.split, SplitByColumn):
        by_group = _undivided(exam, questions.values(), splits)
    else:
        by_group = deal(groups, exam.split)
    kept = {}
    for split in SPLITS:
        chosen = (each for each in questions.values() if by_group[each.group] == split)
        kept[split] = write_rows(out / f"{split}.jsonl", chosen)
    write_ledger(out, kept, rejected)


def deal(groups: Iterable[str], ratio: SplitByRatio) -> dict[str, str]:
    """Deal groups to splits at random, by rounded shares; the order they come in is no matter."""
    dealt = sorted(groups)
    random.Random(ratio.seed).shuffle(dealt)
    train = round(ratio.train * len(dealt))
    dev = round((ratio.train + ratio.dev) * len(dealt))
    cuts = {"train": dealt[:train], "dev": dealt[train:dev], "test": dealt[dev:]}
    return {group: split for split, names in cuts.items() for group in names}


def _csv(path: Path) -> tuple[list[str], Iterator[Row]]:
    """The header's names and the rows of a comma-separated file; raises Complaint."""
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise Complaint(f"path: {path} is not UTF-8 ({error}); save it as UTF-8") from None
    csv.field_size_limit(sys.maxsize)
    lines = list(io.StringIO(text, newline=""))
    reader = csv.reader(lines, strict=True)
    try:
        columns = [_clean(name) for name in next(reader, [])]
    except csv.Error as error:
        raise Complaint(f"{path}: its header is no csv ({error})") from None
    twice = [name for name, count in Counter(columns).items() if count > 1]
    if twice:
        raise Complaint(f"{path}: two columns are called {twice[0]!r}; rename one")
    return columns, _csv_rows(path, columns, lines, reader)


def _csv_rows(path: Path, columns: list[str], lines: list[str], reader: Any) -> Iterator[Row]:
    number = 0
    while True:
        first = reader.line_num + 1
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            if "unexpected end of data" in str(error):
                raise Complaint(
                    f"{path}:{first}: a quote is opened here or below and never closed, so the "
                    "rest of the file is one cell; close it, or double quotes inside a cell"
                ) from None
            number += 1
            raw = "".join(lines[first - 1 : reader.line_num])
            yield Row(number, raw, f"line {first}: {error}")
            continue
        if not cells:  # an empty line
            continue
        number += 1
        if len(cells) == len(columns):
            yield Row(number, dict(zip(columns, cells, strict=True)))
        else:
            problem = f"line {first}: {len(cells)} cells, {len(columns)} in the header"
            yield Row(number, cells, problem)


def _jsonl(path: Path) -> tuple[list[str], list[Row]]:
    """All keys, in order of appearance, and the rows of a file with a JSON object per line."""
    rows = []
    keys: dict[str, None] = {}
    for number, line in enumerate(path.read_bytes().removeprefix(b"\xef\xbb\xbf").split(b"\n"), 1):
        if not line.strip():
            continue
        try:
            item = orjson.loads(line)
        except orjson.JSONDecodeError as error:
            text = line.decode(errors="replace")
            rows.append(Row(number, text, f"line {number}: not JSON ({error})"))
            continue
        if isinstance(item, dict):
            keys.update(dict.fromkeys(item))
            rows.append(Row(number, item))
        else:
            rows.append(Row(number, item, f"line {number}: not a JSON object"))
    return list(keys), rows


def _check_columns(exam: Exam, columns: list[str]) -> None:
    fields = exam.fields
    wanted = [
        ("fields.id", fields.id),
        ("fields.context", fields.context),
        ("fields.stem", fields.stem),
        *(
            [("fields.options", fields.options)]
            if isinstance(fields.options, str)
            else [(f"fields.options[{i}]", name) for i, name in enumerate(fields.options)]
        ),
        ("fields.answers", fields.answers),
        ("fields.explanation", fields.explanation),
        ("fields.group", fields.group),
        *((f"fields.labels[{i}]", name) for i, name in enumerate(fields.labels)),
        ("split.column", exam.split.column if isinstance(exam.split, SplitByColumn) else None),
    ]
    for place, name in wanted:
        if name is not None and name not in columns:
            raise Complaint(f"{exam.path}: {place}: no column {name!r}; {nearest(name, columns)}")


def _question(exam: Exam, id: str, row: Row, digest: str) -> Question:
    fields, item = exam.fields, row.item
    stem = _text(item, fields.stem)
    if not stem:
        raise Unfit("empty stem", f"nothing in {fields.stem!r}")
    options = _options(item, fields.options)
    answers = _answers(item.get(fields.answers), exam.numbering, len(options))
    return Question(
        id=id,
        kind="multiple" if len(answers) > 1 else "single",
        context=_text(item, fields.context),
        stem=stem,
        options=options,
        answers=answers,
        explanation=_text(item, fields.explanation),
        group=_text(item, fields.group) or id,
        labels={name: _text(item, name) for name in fields.labels},
        language=exam.language,
        origin={"file": exam.path, "sha256": digest, "row": row.number},
    )


def _options(item: dict[str, Any], where: str | list[str]) -> tuple[str, ...]:
    if isinstance(where, str):
        values = item.get(where)
        if not isinstance(values, list):
            raise Unfit("options are no list", f"{where!r} holds {values!r:.80}")
        options = [_clean(value) for value in values]
    else:
        options = [_text(item, name) for name in where]
    while options and not options[-1]:
        options.pop()
    if len(options) < 2:
        raise Unfit("fewer than two options", f"{len(options)}")
    if "" in options:
        raise Unfit("empty option", f"option {options.index('') + 1}, before the last one")
    for option, count in Counter(options).items():
        if count > 1:
            raise Unfit("duplicate option", option)
    return tuple(options)


_SEPARATOR = re.compile(r"[\s,;/|+&、]+")
_NUMBER = re.compile(r"([0-9]{1,9})(?:\.0+)?")  # spreadsheets write 2 as 2.0


def _answers(value: Any, numbering: str, count: int) -> tuple[int, ...]:
    """Indexes of the right options, from "AC", "A,C", ["A", "C"], 2 and the like, ascending.

    Small letters that stand together must ascend: "bad" does not mean options A, B and D.
    """
    values = value if isinstance(value, list) else [value]
    names = []
    for each in values:
        text = unicodedata.normalize("NFKC", _clean(each))
        for name in filter(None, _SEPARATOR.split(text)):
            together = numbering == "letters" and (name.isupper() or list(name) == sorted(name))
            names += list(name) if together else [name]
    if not names:
        raise Unfit("no answer", "")
    answers = [_index(name, numbering) for name in names]
    if not all(0 <= answer < count for answer in answers) or len(set(answers)) < len(answers):
        raise Unfit("unknown answer", f"{value!r:.80} of {count} options, numbering {numbering}")
    return tuple(sorted(answers))


def _index(name: str, numbering: str) -> int:
    """The index that an answer names, or -1."""
    if numbering == "letters":
        return ord(name.upper()) - ord("A") if re.fullmatch("[A-Za-z]", name) else -1
    number = _NUMBER.fullmatch(name)
    return int(number[1]) - (numbering == "one") if number else -1


def _given_split(item: dict[str, Any], column: str) -> str:
    value = _text(item, column)
    split = OTHER_NAMES.get(value.casefold(), value.casefold())
    if split not in SPLITS:
        raise Unfit("unknown split", f"{value!r} in {column!r}; known: {', '.join(SPLITS)}")
    return split


def _undivided(exam: Exam, questions: Iterable[Question], splits: dict[str, str]) -> dict[str, str]:
    """The split of each group as the raw exam gives it."""
    by_group: dict[str, str] = {}
    for question in questions:
        split = by_group.setdefault(question.group, splits[question.id])
        if split != splits[question.id]:
            raise Complaint(
                f"{exam.path}: group {question.group!r} stands in {split} and in "
                f"{splits[question.id]}; put it in one of them, or split by ratio"
            )
    return by_group


def _text(item: dict[str, Any], column: str | None) -> str:
    return _clean(item.get(column)) if column is not None else ""


def _clean(value: Any) -> str:
    """A cell as stripped text in Unicode NFC; raises Unfit where it is no single value."""
    if value is None:
        return ""
    if isinstance(value, bool | list | dict):
        raise Unfit("not text", f"{value!r:.80}")
    return unicodedata.normalize("NFC", str(value)).strip()


def _nothing_left(exam: Exam, rejected: list[Rejected]) -> str:
    if not rejected:
        return f"{exam.path}: no rows; expected one for each question"
    reason, count = Counter(each.reason for each in rejected).most_common(1)[0]
    detail = next(each.detail for each in rejected if each.reason == reason)
    return (
        f"{exam.path}: no usable question (most often: {reason}, {count} of {len(rejected)} rows, "
        f"such as: {detail}); compare fields, numbering and split with the file"
    )


if __name__ == "__main__":
    step.run(examine, Exam)
