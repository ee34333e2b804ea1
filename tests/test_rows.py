"""Each row of a table of texts is a document; a bad row costs only itself."""

from __future__ import annotations

import io
from typing import Any

import pytest

from residency.ingest import split
from residency.reading import rows
from residency.reading.blocks import Block, Lost, Unreadable
from residency.reading.rows import Rows


def read(
    content: bytes, form: str, title: str | None = None, encoding: str = "utf-8"
) -> tuple[list[tuple[str, str]], list[Lost]]:
    """Sections and texts, and what is lost."""
    found = list(rows.read(io.BytesIO(content), form, Rows(text="text", title=title), encoding))
    blocks = [each for each in found if isinstance(each, Block)]
    lost = [each for each in found if isinstance(each, Lost)]
    return [(" / ".join(each.section), each.text) for each in split(blocks)], lost


def parquet(columns: dict[str, list[Any]]) -> bytes:
    import pyarrow
    from pyarrow import parquet

    stream = io.BytesIO()
    parquet.write_table(pyarrow.table(columns), stream, row_group_size=2)
    return stream.getvalue()


TEXTS = ["One.", "Two,\r\n\r\n \n\nwith two paragraphs.", "Three:\n- a list\n- stays"]
TITLES = ["First", "Second", "Third"]
KEPT = ["One.", "Two,\n\nwith two paragraphs.", "Three:\n- a list\n- stays"]


def jsonl(columns: dict[str, list[Any]]) -> bytes:
    import orjson

    names = list(columns)
    table = zip(*columns.values(), strict=True)
    return b"\n".join(orjson.dumps(dict(zip(names, row, strict=True))) for row in table)


def delimited(columns: dict[str, list[Any]], delimiter: str = ",") -> bytes:
    import csv

    stream = io.StringIO(newline="")
    writer = csv.writer(stream, delimiter=delimiter)
    writer.writerow(columns)
    writer.writerows(zip(*columns.values(), strict=True))
    return stream.getvalue().encode()


def tsv(columns: dict[str, list[Any]]) -> bytes:
    return delimited(columns, "\t")


@pytest.mark.parametrize(
    ("form", "written"),
    [("jsonl", jsonl), ("csv", delimited), ("tsv", tsv), ("parquet", parquet)],
)
def test_each_row_is_a_document(form: str, written: Any) -> None:
    content = written({"id": [1, 2, 3], "text": TEXTS, "title": TITLES})
    numbers = ["row 1", "row 2", "row 3"]
    assert read(content, form) == (list(zip(numbers, KEPT, strict=True)), [])
    assert read(content, form, "title") == (list(zip(TITLES, KEPT, strict=True)), [])


def test_a_row_without_a_title_goes_by_its_number() -> None:
    content = jsonl({"text": ["a", "b", "c"], "title": [None, "  ", 7]})
    assert [section for section, _ in read(content, "jsonl", "title")[0]] == ["row 1", "row 2", "7"]


def test_a_bad_line_of_json_costs_only_itself() -> None:
    content = (
        b'{"text": "a"}\n{"text": \n\n[1]\n{"text": 7}\n{"txt": "x"}\n{"text": " "}\n{"text": "z"}'
    )
    kept, lost = read(content, "jsonl")
    assert kept == [("row 1", "a"), ("row 7", "z")]
    assert [each.reason for each in lost] == ["bad row"] * 4 + ["empty row"]
    assert lost[0].detail.startswith("row 2: not JSON")
    assert [each.detail for each in lost[1:]] == [
        "row 3: not a JSON object",
        "row 4: text expected in 'text', found int",
        "row 5: text expected in 'text', found nothing",
        "row 6: nothing but white space in 'text'",
    ]


def test_a_bad_row_of_csv_costs_only_itself() -> None:
    content = b'text,n\na,1\nb\n"c"x,3\nd,\xff\n"e, e",5\n'
    kept, lost = read(content, "csv")
    assert kept == [("row 1", "a"), ("row 5", "e, e")]
    assert [each.reason for each in lost] == ["bad row"] * 3
    assert lost[0].detail == "row 2: 1 fields, expected 2"
    assert "expected after" in lost[1].detail
    assert lost[2].detail == "row 4: line 5: not utf-8"


def test_csv_in_another_encoding_and_with_long_fields() -> None:
    long = "素问。" * 100_000
    assert read(f"text\n{long}\n".encode("gb18030"), "csv", encoding="gb18030")[0][0][1] == long


@pytest.mark.parametrize("written", [delimited, parquet], ids=["csv", "parquet"])
def test_a_column_that_is_not_there_is_named(written: Any) -> None:
    content = written({"texts": ["a"], "id": [1]})
    with pytest.raises(Unreadable) as caught:
        read(content, "csv" if written is delimited else "parquet")
    assert caught.value.args[0] == "no such column"
    assert "did you mean 'texts'?" in caught.value.args[1]


def test_a_broken_parquet_file_is_unparsable() -> None:
    whole = parquet({"text": ["a" * 1000]})
    for broken in (whole[:100], whole[:4] + bytes(len(whole) - 12) + whole[-8:]):
        with pytest.raises(Unreadable) as caught:
            read(broken, "parquet")
        assert caught.value.args[0] == "unparsable"
