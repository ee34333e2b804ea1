"""Rows of texts: each row of a JSONL, CSV, TSV or Parquet file is a document of its own.

A row gives a heading, its title or `row 7`, and under it its text as it stands, with paragraphs
told apart by empty lines. Rows are read as they come, however large the file.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Iterator
from typing import IO, Any

from pydantic import Field

from residency.reading.blocks import Block, Lost, Unreadable
from residency.section import Section, nearest

FORMATS = ("jsonl", "csv", "tsv", "parquet")

_FIELD = 2**31 - 1  # characters; the csv module's own limit would be 131,072
_PARAGRAPHS = re.compile(r"\s*\n\s*\n\s*")
_ESCAPED = re.compile("[\udc80-\udcff]")  # bytes that could not be decoded
_BATCH = 1024  # rows of a Parquet file


class Rows(Section):
    """Which columns of a file of rows hold texts."""

    text: str = Field(min_length=1, description="Column of the text; each row is a document.")
    title: str | None = Field(description="Column of its title; null: rows go by their number.")


Row = dict[str, Any] | Lost


def read(stream: IO[bytes], form: str, rows: Rows, encoding: str) -> Iterator[Block | Lost]:
    """The rows of a file of one of FORMATS; `encoding`: of CSV and TSV.

    Raises Unreadable where the file has no such columns or is none of its format.
    """
    found: Iterable[Row]
    if form == "jsonl":
        found = _jsonl(stream)
    elif form == "parquet":
        found = _parquet(stream, rows)
    else:
        found = _delimited(stream, "\t" if form == "tsv" else ",", rows, encoding)
    for number, row in enumerate(found, 1):
        if isinstance(row, Lost):
            yield row._replace(detail=f"row {number}: {row.detail}")
        else:
            yield from _blocks(number, row, rows)


def _blocks(number: int, row: dict[str, Any], rows: Rows) -> Iterator[Block | Lost]:
    text = row.get(rows.text)
    if not isinstance(text, str):
        kind = "nothing" if text is None else type(text).__name__
        yield Lost("bad row", f"row {number}: text expected in {rows.text!r}, found {kind}")
        return
    paragraphs = _PARAGRAPHS.split(text.replace("\r\n", "\n").replace("\r", "\n").strip())
    if not paragraphs[0]:
        yield Lost("empty row", f"row {number}: nothing but white space in {rows.text!r}")
        return
    title = row.get(rows.title) if rows.title else None
    name = " ".join(str(title).split()) if title is not None else ""
    yield Block(name or f"row {number}", 0)
    yield from map(Block, paragraphs)


def _known(columns: Iterable[str], rows: Rows) -> None:
    columns = list(columns)
    for wanted in filter(None, [rows.text, rows.title]):
        if wanted not in columns:
            raise Unreadable("no such column", f"{wanted!r}; {nearest(wanted, columns)}")


def _jsonl(stream: IO[bytes]) -> Iterator[Row]:
    import orjson

    for line in stream:
        line = line.removeprefix(b"\xef\xbb\xbf").strip()
        if not line:
            continue
        try:
            row = orjson.loads(line)
        except orjson.JSONDecodeError as error:
            yield Lost("bad row", f"not JSON: {error}")
            continue
        yield row if isinstance(row, dict) else Lost("bad row", "not a JSON object")


def _delimited(stream: IO[bytes], delimiter: str, rows: Rows, encoding: str) -> Iterator[Row]:
    csv.field_size_limit(_FIELD)
    text = io.TextIOWrapper(stream, encoding, errors="surrogateescape", newline="")
    reader = csv.reader(text, delimiter=delimiter, strict=True)
    columns = next(reader, [])
    _known(columns, rows)
    while True:
        try:
            values = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            yield Lost("bad row", f"line {reader.line_num}: {error}")
            continue
        if any(map(_ESCAPED.search, values)):
            yield Lost("bad row", f"line {reader.line_num}: not {encoding}")
        elif len(values) == len(columns):
            yield dict(zip(columns, values, strict=True))
        elif values:
            yield Lost("bad row", f"{len(values)} fields, expected {len(columns)}")


def _parquet(stream: IO[bytes], rows: Rows) -> Iterator[Row]:
    import pyarrow
    from pyarrow import parquet

    # The other pools reserve more than a limit on memory may allow.
    pyarrow.set_memory_pool(pyarrow.system_memory_pool())
    try:
        file = parquet.ParquetFile(stream, memory_map=False)
        _known(file.schema_arrow.names, rows)
        wanted = [each for each in (rows.text, rows.title) if each]
        for batch in file.iter_batches(_BATCH, columns=wanted, use_threads=False):
            yield from batch.to_pylist()
    except pyarrow.ArrowMemoryError:
        raise MemoryError from None
    except (pyarrow.ArrowException, OSError) as error:
        raise Unreadable("unparsable", str(error)[:500]) from None
