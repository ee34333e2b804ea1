"""XML that is not trusted is parsed without opening anything; marks become blocks."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import pytest

from residency.reading import marks
from residency.reading.blocks import Block, Unreadable
from residency.reading.marks import BLOCK, BREAK, CELL, HEAD, LINE, ROW, SPAN


def text(content: bytes) -> str:
    return "".join(marks.parsed(content).getroot().itertext())


def laughs(levels: int, name: str = "lol") -> bytes:
    entities = [f'<!ENTITY {name}0 "{"ha" * 10}">'] + [
        f'<!ENTITY {name}{n} "{f"&{name}{n - 1};" * 10}">' for n in range(1, levels)
    ]
    return f"<!DOCTYPE a [{''.join(entities)}]><a>&{name}{levels - 1};</a>".encode()


def test_an_entity_bomb_is_hostile() -> None:
    with pytest.raises(Unreadable) as caught:
        marks.parsed(laughs(10))
    assert caught.value.args[0] == "hostile XML"


def test_a_quadratic_entity_bomb_is_hostile() -> None:
    bomb = f'<!DOCTYPE a [<!ENTITY b "{"x" * 60_000}">]><a>{"&b;" * 20_000}</a>'
    with pytest.raises(Unreadable) as caught:
        marks.parsed(bomb.encode())
    assert caught.value.args[0] == "hostile XML"


def test_an_entity_that_contains_itself_is_hostile() -> None:
    with pytest.raises(Unreadable) as caught:
        marks.parsed(b'<!DOCTYPE a [<!ENTITY b "&c;"><!ENTITY c "&b;">]><a>&b;</a>')
    assert caught.value.args[0] == "hostile XML"


def test_no_file_is_read_through_an_external_entity(tmp_path: Path) -> None:
    (tmp_path / "secret.txt").write_text("secret")
    (tmp_path / "secret.dtd").write_text('<!ENTITY told "secret">')
    path = tmp_path.as_uri()
    for content in (
        f'<!DOCTYPE a [<!ENTITY x SYSTEM "{path}/secret.txt">]><a>&x;</a>',
        f'<!DOCTYPE a SYSTEM "{path}/secret.dtd"><a>&told;</a>',
        f'<!DOCTYPE a [<!ENTITY % p SYSTEM "{path}/secret.dtd"> %p;]><a>&told;</a>',
        f'<a xmlns:xi="http://www.w3.org/2001/XInclude"><xi:include href="{path}/secret.txt" '
        'parse="text"/></a>',
    ):
        with suppress(Unreadable):
            assert "secret" not in text(content.encode())


def test_entities_of_the_file_and_of_html_become_text() -> None:
    assert text(b'<!DOCTYPE a [<!ENTITY who "Gray">]><a>&who;</a>') == "Gray"
    content = b'<!DOCTYPE a SYSTEM "absent.dtd"><a>caf&eacute;<b/>&nbsp;&unknown;.</a>'
    assert text(content) == "café\xa0&unknown;."


def test_broken_xml_is_unparsable() -> None:
    for content in (b"<a><b></a>", b"", b"plain"):
        with pytest.raises(Unreadable) as caught:
            marks.parsed(content)
        assert caught.value.args[0] == "unparsable"


def test_a_stylesheet_can_open_no_file(tmp_path: Path) -> None:
    (tmp_path / "secret.xml").write_text("<a>secret</a>")
    uri = (tmp_path / "secret.xml").as_uri()
    sheet = marks.stylesheet(
        {}, f"<xsl:template match='/'><xsl:value-of select=\"document('{uri}')\"/></xsl:template>"
    )
    with pytest.raises(Unreadable):
        marks.transformed(sheet, marks.parsed(b"<a/>"))


def test_what_contains_a_block_goes_on_behind_it() -> None:
    marked = f" a {BLOCK}1Head {BLOCK}7odd{BLOCK}. on{BLOCK}.b\n c"
    assert list(marks.blocks(marked)) == [
        Block("a"),
        Block("Head", 1),
        Block("odd"),
        Block("on", 1),
        Block("b c"),
    ]


def test_marks_that_do_not_match_do_no_harm() -> None:
    marked = f"{BLOCK}.{BLOCK}.a{BLOCK}{BLOCK}?b{BLOCK}9{CELL}{SPAN}{ROW}{BLOCK}t"
    assert [block.text for block in marks.blocks(marked)][:2] == ["a", "b"]


def test_lines_and_breaks_keep_apart_what_they_end() -> None:
    marked = f"{BLOCK}7a{LINE} b  c{LINE}{BLOCK}.{BLOCK}7d{BREAK}e{BREAK} {BREAK}f{BLOCK}."
    assert [block.text for block in marks.blocks(marked)] == ["a\nb c", "d e", "f"]


def test_a_cell_tells_in_every_row_and_column_that_it_covers() -> None:
    marked = (
        f"{BLOCK}9Doses{ROW}{HEAD}Drug{HEAD}Dose{HEAD}Way{ROW}{CELL}1,2{SPAN}aspirin{CELL}5 mg"
        f"{CELL}oral{ROW}{CELL}2,{SPAN}none{ROW}{CELL}a{CELL}9999999,1{SPAN}b{BLOCK}."
    )
    [block] = marks.blocks(marked)
    assert block.text.split("\n") == [
        "Doses.",
        "Drug: aspirin; Dose: 5 mg; Way: oral.",
        "Drug: aspirin; Dose: none; Way: none.",
        "a | b",
    ]
