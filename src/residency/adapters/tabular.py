"""tabular: any table or list of records, by a mapping of its columns.

adapter:
  kind: tabular
  files: null
  format: {kind: json, records: data.items}
  fields:
    stem: question.text
    options: choices.*.text
    answers: choices.*.correct
    ...
  numbering: flags
  asks: choice
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Discriminator, Field, Tag, model_validator

from residency.adapters import fit, raw
from residency.adapters.fit import Draft, Unfit
from residency.adapters.raw import Row, lookup
from residency.records import Kind
from residency.section import Complaint, Section, known_kind, nearest, told_by_kind


def _codec(name: str) -> str:
    try:
        "".encode(name)  # which hex and the like refuse
        return codecs.lookup(name).name
    except LookupError:
        raise ValueError("expected a text encoding such as utf-8, utf-16, gb18030") from None


class Csv(Section):
    """Delimited text."""

    kind: Literal["csv"] = Field(description="The format's name.")
    delimiter: str = Field(pattern=r'^[^\r\n"]$', description='Such as ",", ";" or "\\t".')
    encoding: Annotated[str, AfterValidator(_codec)] = Field(description="Such as utf-8, gb18030.")
    header: bool = Field(description="Whether line 1 names the columns; else they are 1, 2, ...")


class Xlsx(Section):
    """A spreadsheet: .xlsx, .xlsb, .xls or .ods."""

    kind: Literal["xlsx"] = Field(description="The format's name.")
    sheet: str | None = Field(description="Name of the sheet; null takes the first.")
    header: bool = Field(description="Whether row 1 names the columns; else they are 1, 2, ...")


class Jsonl(Section):
    """A JSON object on each line."""

    kind: Literal["jsonl"] = Field(description="The format's name.")


class Json(Section):
    """One JSON value that holds a list or a mapping of objects."""

    kind: Literal["json"] = Field(description="The format's name.")
    records: str | None = Field(description="Dotted place of the records; null: the whole value.")


class Parquet(Section):
    """A Parquet file."""

    kind: Literal["parquet"] = Field(description="The format's name.")


_FORMATS = ("csv", "xlsx", "jsonl", "json", "parquet")
Format = Annotated[
    Annotated[
        Annotated[Csv, Tag("<csv>")]
        | Annotated[Xlsx, Tag("<xlsx>")]
        | Annotated[Jsonl, Tag("<jsonl>")]
        | Annotated[Json, Tag("<json>")]
        | Annotated[Parquet, Tag("<parquet>")],
        told_by_kind(),
    ],
    known_kind(*_FORMATS),
]


class OptionsInCell(Section):
    """One cell holds all options."""

    column: str = Field(description="The cell's column or key.")
    separator: str = Field(min_length=1, description='Between two options, such as "\\n" or "|".')


class OptionsInStem(Section):
    """The stem ends with the options, marked A, B, C, ... or a, b, c, ...."""

    after_stem: Literal[True] = Field(description="true.")


class OptionsGiven(Section):
    """Every question has the same options."""

    given: list[str] = Field(min_length=2, description="The options, such as yes, no and maybe.")


def _options_tag(value: Any) -> str | None:
    if isinstance(value, str | list):
        return "<key>" if isinstance(value, str) else "<columns>"
    if not isinstance(value, dict | Section):
        return None
    found = value if isinstance(value, dict) else type(value).model_fields
    return next((f"<{key}>" for key in ("separator", "after_stem", "given") if key in found), None)


Options = Annotated[
    Annotated[str, Tag("<key>")]
    | Annotated[list[str], Tag("<columns>")]
    | Annotated[OptionsInCell, Tag("<separator>")]
    | Annotated[OptionsInStem, Tag("<after_stem>")]
    | Annotated[OptionsGiven, Tag("<given>")],
    Discriminator(
        _options_tag,
        custom_error_type="untold",
        custom_error_message="expected a key, a list of columns, or a mapping with one of the keys "
        "separator, after_stem, given",
    ),
]


class Constant(Section):
    """The same label for every question."""

    value: str = Field(description="The label's value.")


def _text_or(tag: str) -> Discriminator:
    return Discriminator(lambda value: "<text>" if isinstance(value, str) else tag)


Label = Annotated[
    Annotated[str, Tag("<text>")] | Annotated[Constant, Tag("<value>")], _text_or("<value>")
]
Context = Annotated[
    Annotated[str, Tag("<text>")] | Annotated[list[str], Tag("<keys>")], _text_or("<keys>")
]


class Fields(Section):
    """Which column or key of the raw exam holds what; null where it has none.

    `a.b` is b inside a, `a.*.b` the b of each of a list; `@file`, `@stem`, `@folder` tell where a
    row lies, `@key` what it stands under in a mapping of records.
    """

    id: str | None = Field(description="Identifier; null numbers the rows.")
    context: Context | None = Field(
        description="Case or passage read before the question; several are joined as paragraphs."
    )
    stem: str = Field(description="The question itself.")
    options: Options | None = Field(
        description="A key that holds a list or a mapping of them, or one column per option, or "
        'how they are told otherwise; null for open questions. Marks such as "A. " are taken '
        "off, and answers by letters go by them."
    )
    answers: str | None = Field(description="The right answer or answers; null for open questions.")
    reference: str | None = Field(description="The model answer of an open question.")
    indispensable: str | None = Field(description="Propositions that must be ticked.")
    unacceptable: str | None = Field(description="Propositions that must not be ticked.")
    explanation: str | None = Field(description="Why the answer is right.")
    group: str | None = Field(
        description="The case: questions with the same value stay in one split."
    )
    order: str | None = Field(
        description="Place in the case, from 1, where earlier questions are context for later ones."
    )
    labels: dict[str, Label] = Field(
        description="What to tell scores apart by: a column, or one value for all."
    )


class Tabular(Section):
    """Any table or list of records, by a mapping of its columns."""

    kind: Literal["tabular"] = Field(description="The adapter's name.")
    files: str | None = Field(
        description='Which files, such as "*.csv", where path is a folder; null for one file.'
    )
    format: Format = Field(description="How the file is written.")
    fields: Fields = Field(description="Which column or key holds what.")
    missing: list[str] = Field(
        description="Cells that hold just one of these words, such as nan, are empty."
    )
    numbering: fit.Numbering = Field(
        description="How answers name options: letters A, B, ... or the options' own marks; from "
        "zero; from one; by their text; or flags, true or false for each option."
    )
    asks: Literal["choice", "judgement", "propositions", "open"] = Field(
        description="choice: one right answer or several, by their number; judgement: one of a "
        "fixed scale such as yes, no, maybe; propositions: each true or false, maybe none; open: "
        "in words."
    )

    @model_validator(mode="after")
    def _say_what_is_right(self) -> Tabular:
        wanted = ("reference",) if self.asks == "open" else ("options", "answers")
        for name in wanted:
            if getattr(self.fields, name) is None:
                raise ValueError(f"fields.{name}: null; asks: {self.asks} needs it")
        return self


def rows(adapter: Tabular, path: Path) -> Iterator[Row]:
    """The rows of all files; raises Complaint where a file lacks a column that fields name."""
    if path.is_dir() and adapter.files is None:
        raise Complaint(f"adapter.files: {path} is a folder; expected a pattern such as *.csv")
    if path.is_file() and adapter.files is not None:
        raise Complaint(f"adapter.files: {path} is a file; expected null, found {adapter.files!r}")
    for file in raw.files_of(path, adapter.files or "*"):
        table = _read(adapter.format, file)
        if not table.columns:
            raise Complaint(_unread(adapter.format, file, table))
        other = ""
        if isinstance(adapter.format, Csv) and len(table.columns) == 1:
            other = f"; one column in all: is {adapter.format.delimiter!r} its delimiter?"
        for place, name in _named(adapter.fields):
            if name not in (*table.columns, *raw.FROM_PLACE) and not _indexed(name, table.columns):
                hint = nearest(name, table.columns)
                raise Complaint(f"{file}: adapter.{place}: no column {name!r}; {hint}{other}")
        yield from table.rows


def _read(format: Csv | Xlsx | Jsonl | Json | Parquet, path: Path) -> raw.Table:
    if isinstance(format, Csv):
        return raw.csv_rows(path, format.delimiter, format.encoding, format.header)
    if isinstance(format, Xlsx):
        return raw.xlsx_rows(path, format.sheet, format.header)
    if isinstance(format, Json):
        return raw.json_rows(path, format.records)
    return raw.jsonl_rows(path) if isinstance(format, Jsonl) else raw.parquet_rows(path)


def _unread(format: Format, file: Path, table: raw.Table) -> str:
    """The message on a file of which no record has a single name."""
    first = next(iter(table.rows), None)
    why = f"its first row cannot be read: {first.problem}" if first else "it has no rows"
    return f"{file}: {why}; expected {format.kind}, a row for each question"


def _indexed(name: str, columns: Iterable[str]) -> bool:
    """Whether a name with a list's index, `a.0.b`, fits `a.*.b`, or `a.0` the list a."""
    general = re.sub(r"\.(?:\d+|\*)(?=\.|$)", ".*", name)
    return (general != name and general in columns) or general.removesuffix(".*") in columns


def _named(fields: Fields) -> Iterator[tuple[str, str]]:
    """Every column that fields name, with its place."""
    for key in type(fields).model_fields:
        value = getattr(fields, key)
        place = f"fields.{key}"
        if isinstance(value, str):
            yield place, value
        elif isinstance(value, list):
            yield from ((f"{place}[{i}]", name) for i, name in enumerate(value))
        elif isinstance(value, OptionsInCell):
            yield f"{place}.column", value.column
        elif isinstance(value, dict):
            named = ((label, name) for label, name in value.items() if isinstance(name, str))
            yield from ((f"{place}.{label}", name) for label, name in named)


def draft(adapter: Tabular, row: Row) -> Draft:
    """The question of a row; raises Unfit."""
    fields = adapter.fields

    def of(name: str | None) -> Any:
        return None if name is None else _held(adapter, row, name)

    stem = fit.asked(of(fields.stem), fields.stem)
    contexts = fields.context if isinstance(fields.context, list) else [fields.context]
    told = [fit.passages(of(name)) for name in contexts]
    options: tuple[str, ...] = ()
    answers: tuple[int, ...] = ()
    marked: dict[str, tuple[int, ...]] = {}
    kind: Kind = "open"
    reference = fit.text(of(fields.reference))
    if adapter.asks == "open":
        if not reference:
            raise Unfit("no answer", "no reference")
    else:
        stem, found, letters = _options(adapter, stem, row)
        options = fit.options(found)
        given = of(fields.answers)
        if adapter.asks == "propositions" and (given == [] or adapter.numbering == "flags"):
            answers = _none_or_some(given, adapter.numbering, options, letters)
        else:
            answers = fit.answers(given, adapter.numbering, options, letters)
        kind = fit.by_count(answers) if adapter.asks == "choice" else adapter.asks
        if kind == "judgement" and len(answers) > 1:
            raise Unfit("unknown answer", f"{len(answers)} answers to a judgement")
        for name in ("indispensable", "unacceptable"):
            if column := getattr(fields, name):
                marked[name] = _none_or_some(of(column), adapter.numbering, options, letters)
    order = _order(of(fields.order)) if fields.order else 0
    return Draft(
        id=fit.text(of(fields.id)),
        kind="progressive" if order else kind,
        form=kind if order else None,
        stem=stem,
        context="\n\n".join(filter(None, told)),
        options=options,
        answers=answers,
        indispensable=marked.get("indispensable", ()),
        unacceptable=marked.get("unacceptable", ()),
        reference=reference,
        explanation=fit.text(of(fields.explanation)),
        labels={
            label: fit.label(of(name)) if isinstance(name, str) else name.value
            for label, name in fields.labels.items()
        },
        group=fit.text(of(fields.group)),
        order=order,
    )


def _held(adapter: Tabular, row: Row, name: str) -> Any:
    value = lookup(row, name)
    return None if isinstance(value, str) and value.strip() in adapter.missing else value


def _options(adapter: Tabular, stem: str, row: Row) -> tuple[str, list[Any], str]:
    """The stem, without options that stood in it, the options, and the letters they are called."""
    where = adapter.fields.options
    if isinstance(where, OptionsInStem):
        stem, found = _after(stem)
        return stem, list(found), fit.LETTERS
    if isinstance(where, OptionsGiven):
        return stem, list(where.given), fit.LETTERS
    if isinstance(where, OptionsInCell):
        cell = fit.text(_held(adapter, row, where.column))
        return stem, *_unmarked(cell.split(where.separator))
    if isinstance(where, list):
        return stem, *_unmarked([_held(adapter, row, name) for name in where])
    values = lookup(row, where) if where else None
    if isinstance(values, dict):
        keys = [str(key).strip() for key in values]
        letters = "".join(keys).upper() if all(len(key) == 1 for key in keys) else fit.LETTERS
        return stem, list(values.values()), letters
    if not isinstance(values, list):
        raise Unfit("options are no list", f"{where!r} holds {values!r:.80}")
    return stem, *_unmarked(values)


def _unmarked(values: list[Any]) -> tuple[list[str], str]:
    """Options without marks, trailing empty ones fallen away, and the letters they are called."""
    texts = [fit.text(value) for value in values]
    while texts and not texts[-1]:
        texts.pop()
    return fit.unmarked(texts)


def _after(stem: str) -> tuple[str, list[str]]:
    """A stem cut at its marks A, B, C, ..., each found after the one before; raises Unfit.

    Where a mark may stand in two places ("Is vitamin A. good? A. yes B. no"), none is chosen.
    """
    for letters in (fit.LETTERS, fit.LETTERS.lower()):
        opening = _marks(stem, letters, r"^[^\S\n]*")  # at the beginnings of lines
        anywhere = _marks(stem, letters, r"(?:^|(?<=\s))")
        marks = opening if len(opening) >= 2 else anywhere
        if len(marks) >= 2:
            if len(anywhere) > len(marks) or (marks is anywhere and any(n > 1 for _, n in marks)):
                raise Unfit(
                    "options not clear", f"marks that may be text, such as E. coli: {stem!r:.80}"
                )
            cuts = [span for span, _ in marks]
            ends = [start for start, _ in cuts[1:]] + [len(stem)]
            texts = [stem[cut[1] : end].strip() for cut, end in zip(cuts, ends, strict=True)]
            return stem[: cuts[0][0]].strip(), texts
    raise Unfit("fewer than two options", "the stem has no options marked A and B")


def _marks(stem: str, letters: str, before: str) -> list[tuple[tuple[int, int], int]]:
    """Where the marks stand, in the order of the letters, and how often each is met in all."""
    found: list[tuple[tuple[int, int], int]] = []
    for letter in letters:
        mark = re.compile(rf"{before}[(（\[]?{letter}\s*[)）\].．、:：]\s*", re.MULTILINE)
        first = mark.search(stem, found[-1][0][1] if found else 0)
        if not first:
            break
        found.append((first.span(), len(mark.findall(stem))))
    return found


def _none_or_some(
    value: Any, numbering: fit.Numbering, options: tuple[str, ...], letters: str
) -> tuple[int, ...]:
    """As fit.answers, where none at all is right too."""
    if numbering != "flags" and not fit.passages(value):
        return ()
    try:
        return fit.answers(value, numbering, options, letters)
    except Unfit as problem:
        if problem.args[0] == "no answer":
            return ()
        raise


def _order(value: Any) -> int:
    told = fit.text(value)
    if not re.fullmatch(r"[0-9]{1,6}(?:\.0+)?", told) or float(told) < 1:
        raise Unfit("no order", f"{told!r:.40}; expected 1, 2, ...")
    return int(float(told))
