"""A Word file keeps its headings, lists and tables."""

from __future__ import annotations

import io
import re
import zipfile
from pathlib import Path

import pytest

from residency.reading import word
from residency.reading.blocks import PARAGRAPH, Block, Unreadable

REAL = Path(__file__).parents[1].parent / "shared/data/formats/docx"
real = pytest.mark.skipif(not REAL.exists(), reason=f"{REAL} is absent")

W = "http://schemas.openxmlformats.org/wordprocessingml/2006/main"


def docx(body: str, doctype: str = "") -> bytes:
    types = (
        '<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types"><Default '
        'Extension="xml" ContentType="application/xml"/></Types>'
    )
    relations = (
        '<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships">'
        '<Relationship Id="r" Type="http://schemas.openxmlformats.org/officeDocument/2006/'
        'relationships/officeDocument" Target="word/document.xml"/></Relationships>'
    )
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("[Content_Types].xml", types)
        archive.writestr("_rels/.rels", relations)
        document = f'<w:document xmlns:w="{W}"><w:body>{body}</w:body></w:document>'
        archive.writestr("word/document.xml", doctype + document)
    return target.getvalue()


def blocks(content: bytes) -> list[Block]:
    return [each for each in word.read(content) if isinstance(each, Block)]


def reason(content: bytes) -> str:
    with pytest.raises(Unreadable) as caught:
        list(word.read(content))
    return str(caught.value.args[0])


def test_paragraphs_come_out_whole() -> None:
    body = "<w:p><w:r><w:t>One </w:t></w:r><w:r><w:t>&lt;two&gt;</w:t></w:r></w:p>"
    assert blocks(docx(body)) == [Block("One <two>")]


def test_what_is_no_word_file_is_told() -> None:
    assert reason(b"\xd0\xcf\x11\xe0" + bytes(99)) == "encrypted"
    assert reason(b"plain") == "unparsable"
    assert reason(docx("<w:p>")) == "unparsable"
    empty = io.BytesIO()
    with zipfile.ZipFile(empty, "w") as archive:
        archive.writestr("x", "y")
    assert reason(empty.getvalue()) == "unknown format"


def test_a_bomb_is_told_and_no_file_is_read(tmp_path: Path) -> None:
    assert reason(docx(f"<w:p>{' ' * 2**26}</w:p>")) == "zip bomb"
    levels = "".join(f'<!ENTITY l{n} "{f"&l{n - 1};" * 10}">' for n in range(1, 10))
    laughs = f'<!DOCTYPE d [<!ENTITY l0 "ha">{levels}]>'
    assert reason(docx("<w:p><w:r><w:t>&l9;</w:t></w:r></w:p>", laughs)) == "unparsable"
    (tmp_path / "secret").write_text("secret")
    external = f'<!DOCTYPE d [<!ENTITY x SYSTEM "{(tmp_path / "secret").as_uri()}">]>'
    body = "<w:p><w:r><w:t>a&x;b</w:t></w:r></w:p>"
    assert blocks(docx(body, external)) == [Block("ab")]


@real
def test_real_headings_are_those_that_another_converter_finds() -> None:
    expected = (REAL / "unit_test_headers.expected.md").read_text()
    found = blocks((REAL / "unit_test_headers.docx").read_bytes())
    assert [f"{'#' * each.level} {each.text}" for each in found if each.level < PARAGRAPH] == [
        line for line in expected.split("\n") if line.startswith("#")
    ]


@real
def test_real_tables_keep_the_cells_that_another_converter_finds() -> None:
    expected = (REAL / "word_tables.expected.md").read_text()
    rows = [line for line in expected.split("\n") if line.startswith("|") and "| - |" not in line]
    cells = {cell for row in rows for cell in re.split(r"\s*\|\s*", row.strip("| ")) if cell}
    found = "\n".join(each.text for each in blocks((REAL / "word_tables.docx").read_bytes()))
    assert len(cells) > 20
    assert {cell for cell in cells if cell not in found} == set()
    assert "Cell 2.0 | Merged Cell 1.1 2.1 | Cell 2.2" in found.split("\n")


@real
def test_real_text_is_that_of_another_converter() -> None:
    expected = (REAL / "lorem_ipsum.expected.md").read_text()
    found = blocks((REAL / "lorem_ipsum.docx").read_bytes())
    assert "\n\n".join(each.text for each in found).split() == expected.split()
