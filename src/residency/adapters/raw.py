"""Raw exam files as rows: csv, spreadsheets, JSON, JSON lines and Parquet read alike.

    for row in csv_rows(path, delimiter=",", encoding="utf-8", header=True).rows:
        lookup(row, "question"), lookup(row, "options.0.text"), lookup(row, "@stem")

A file that cannot be read at all is a Complaint; a row that cannot be read carries its problem.
"""

from __future__ import annotations

import codecs
import csv
import io
import sys
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import date, datetime, time, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import orjson

from residency.section import Complaint, nearest


class Row(NamedTuple):
    """One record of a raw exam."""

    file: Path
    number: int  # records from 1; in JSON lines, lines from 1
    item: Any
    problem: str | None = None  # why it could not be read
    split: str | None = None  # train, dev or test, where its publisher says so
    key: str = ""  # what it stands under, in a mapping of records


class Table(NamedTuple):
    """A file's column names, or all paths to what its records hold, and its rows."""

    columns: list[str]
    rows: Iterable[Row]


def lookup(row: Row, name: str) -> Any:
    """What a row holds under a name; None where there is nothing.

    `a.b` is b inside a, `a.0` the first of a list, `a.*.b` the b of each of a list. `@file`,
    `@stem` and `@folder` are the names of the row's file, of it without suffix, and of its folder;
    `@key` is the key that the record stands under.
    """
    if name in FROM_PLACE and not (isinstance(row.item, dict) and name in row.item):
        file = row.file
        told = {"@file": file.name, "@stem": file.stem, "@folder": file.parent.name}
        return told.get(name, row.key)
    return inside(row.item, name)


FROM_PLACE = ("@file", "@stem", "@folder", "@key")


def inside(value: Any, name: str) -> Any:
    """What a value holds under a dotted name; a key that itself has a dot is found first."""
    if isinstance(value, dict) and name in value:
        return value[name]
    head, _, rest = name.partition(".")
    if head == "*":
        if not isinstance(value, list):
            return None
        return [inside(each, rest) for each in value] if rest else value
    if isinstance(value, dict):
        found = value.get(head)
    elif isinstance(value, list) and head.isascii() and head.isdigit() and int(head) < len(value):
        found = value[int(head)]
    else:
        return None
    return inside(found, rest) if rest else found


def csv_rows(path: Path, delimiter: str, encoding: str, header: bool) -> Table:
    """The rows of a delimited file as mappings; without a header, columns are 1, 2, ....

    Raises Complaint for another encoding, a header with a name twice, and an unclosed quote.
    """
    utf8 = codecs.lookup(encoding).name == "utf-8"  # whose mark is no part of the first column
    try:
        text = path.read_bytes().decode("utf-8-sig" if utf8 else encoding)
    except UnicodeDecodeError as error:
        raise Complaint(
            f"{path}: is not {encoding} ({error}); declare its encoding, or save it as {encoding}"
        ) from None
    csv.field_size_limit(sys.maxsize)
    lines = list(io.StringIO(text, newline=""))
    reader = csv.reader(lines, delimiter=delimiter, strict=True)
    try:
        if header:
            columns = _named(path, next(reader, []))
        else:
            first: list[str] = next(csv.reader(lines, delimiter=delimiter, strict=True), [])
            columns = [str(number) for number in range(1, len(first) + 1)]
    except csv.Error as error:
        raise Complaint(f"{path}: its first line is no csv ({error})") from None
    return Table(columns, _csv_rows(path, columns, lines, reader))


def _named(path: Path, cells: Iterable[Any]) -> list[str]:
    columns = [unicodedata.normalize("NFC", str(cell)).strip() for cell in cells]
    twice = [name for name, count in Counter(columns).items() if count > 1 and name]
    if twice:
        raise Complaint(f"{path}: two columns are called {twice[0]!r}; rename one")
    return columns


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
            yield Row(path, number, raw, f"line {first}: {error}")
            continue
        if not cells:  # an empty line
            continue
        number += 1
        if len(cells) == len(columns):
            yield Row(path, number, dict(zip(columns, cells, strict=True)))
        else:
            problem = f"line {first}: {len(cells)} cells, {len(columns)} in the header"
            yield Row(path, number, cells, problem)


def xlsx_rows(path: Path, sheet: str | None, header: bool) -> Table:
    """The rows of a spreadsheet's sheet, the first where `sheet` is None; empty rows are none.

    Raises Complaint where it cannot be read, or has no such sheet.
    """
    import python_calamine as calamine

    try:
        book = calamine.CalamineWorkbook.from_path(path)
        if sheet is not None and sheet not in book.sheet_names:
            raise Complaint(f"{path}: no sheet {sheet!r}; {nearest(sheet, book.sheet_names)}")
        found = book.get_sheet_by_name(sheet) if sheet else book.get_sheet_by_index(0)
        cells = [[_cell(each) for each in row] for row in found.to_python()]
    except (calamine.CalamineError, OSError) as error:
        raise Complaint(
            f"{path}: cannot be read as a spreadsheet ({error}); save it as .xlsx without password"
        ) from None
    full = [row for row in cells if any(cell != "" for cell in row)]
    width = max(map(len, full), default=0)
    if header:
        columns = _named(path, full[0] if full else [])
        full = full[1:]
    else:
        columns = [str(number) for number in range(1, width + 1)]
    rows = [
        Row(path, number, {name: cell for name, cell in zip(columns, row, strict=True) if name})
        for number, row in enumerate(full, 1)
    ]
    return Table([name for name in columns if name], rows)


def _cell(value: Any) -> Any:
    """A cell as JSON could hold it; a spreadsheet stores 2 as 2.0, and inexactly from 2^53 on."""
    if isinstance(value, float) and value.is_integer():
        return int(value) if abs(value) < 2**53 else str(int(value))
    if isinstance(value, date | datetime | time):
        return value.isoformat()
    return str(value) if isinstance(value, timedelta) else value


def jsonl_rows(path: Path) -> Table:
    """The rows of a file with a JSON object per line."""
    rows = []
    for number, line in enumerate(path.read_bytes().removeprefix(BOM).split(b"\n"), 1):
        if not line.strip():
            continue
        try:
            item = orjson.loads(line)
        except orjson.JSONDecodeError as error:
            text = line.decode(errors="replace")
            rows.append(Row(path, number, text, f"line {number}: not JSON ({error})"))
            continue
        problem = None if isinstance(item, dict) else f"line {number}: not a JSON object"
        rows.append(Row(path, number, item, problem))
    return Table(_paths(rows), rows)


def json_rows(path: Path, records: str | None) -> Table:
    """The rows of one JSON value, at the dotted place `records`: a list or mapping of objects.

    Raises Complaint where it is not JSON, or neither.
    """
    try:
        value = orjson.loads(path.read_bytes().removeprefix(BOM))
    except orjson.JSONDecodeError as error:
        raise Complaint(
            f"{path}: not JSON ({error}); where each line is an object, the format is jsonl"
        ) from None
    found = value if records is None else inside(value, records)
    if found is None and records is not None:
        parent = records.rpartition(".")[0]
        there = inside(value, parent) if parent else value
        known = there if isinstance(there, dict) else value if isinstance(value, dict) else {}
        hint = nearest(records.rpartition(".")[2], known)
        raise Complaint(f"{path}: adapter.format.records: nothing at {records!r}; {hint}")
    if isinstance(found, dict):
        pairs = list(found.items())
    elif isinstance(found, list):
        pairs = [("", each) for each in found]
    else:
        place = f" at {records!r}" if records else ""
        raise Complaint(
            f"{path}: expected a list or a mapping of records{place}, found {str(found)[:40]!r}"
        )
    rows = [
        Row(path, number, item, None if isinstance(item, dict) else "not a JSON object", key=key)
        for number, (key, item) in enumerate(pairs, 1)
    ]
    return Table(_paths(rows), rows)


def parquet_rows(path: Path) -> Table:
    """The rows of a Parquet file; raises Complaint where it is none."""
    import pyarrow
    from pyarrow import parquet

    try:
        items = [_plain(each) for each in parquet.ParquetFile(path).read().to_pylist()]
    except (pyarrow.ArrowException, OSError) as error:
        raise Complaint(f"{path}: cannot be read as Parquet ({error})") from None
    rows = [Row(path, number, item) for number, item in enumerate(items, 1)]
    return Table(_paths(rows), rows)


def _plain(value: Any) -> Any:
    """A Parquet value as JSON could hold it."""
    if isinstance(value, dict):
        return {str(key): _plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    if isinstance(value, bytes):
        return value.decode(errors="replace")
    return value if value is None or isinstance(value, str | int | float) else str(value)


BOM = b"\xef\xbb\xbf"


def _paths(rows: Iterable[Row]) -> list[str]:
    """All dotted names under which `lookup` finds something in one of the rows."""
    found: dict[str, None] = {}
    for row in rows:
        waiting: list[tuple[str, Any]] = [("", row.item)] if isinstance(row.item, dict) else []
        while waiting:
            place, value = waiting.pop()
            if isinstance(value, dict):
                inner = list(value.items())
            else:
                inner = [("*", each) for each in value if isinstance(each, dict | list)]
            for key, each in inner:
                name = f"{place}.{key}" if place else str(key)
                found[name] = None
                if isinstance(each, dict | list):
                    waiting.append((name, each))
    return list(found)


def files_of(root: Path, *patterns: str) -> list[Path]:
    """The file itself, or the files in a folder that match a pattern, sorted; none is a Complaint.

    Names that begin with a dot are passed over.
    """
    if root.is_file():
        return [root]
    found = {path for each in patterns for path in root.glob(each) if path.is_file()}
    shown = [
        path
        for path in found
        if not any(part.startswith(".") for part in path.relative_to(root).parts)
    ]
    if not shown:
        there = ", ".join(sorted(path.name for path in root.iterdir())[:8]) or "none"
        raise Complaint(f"path: no file {' or '.join(patterns)} in {root}; there are: {there}")
    return sorted(shown, key=lambda path: path.relative_to(root).as_posix())
