"""Plain text of any encoding and line width becomes the paragraphs that its author meant."""

from __future__ import annotations

import pytest

from residency.ingest import split
from residency.reading import plain
from residency.reading.blocks import Block, Lost, Unreadable


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
def test_encodings_are_recognised(encoding: str) -> None:
    text = (
        "La thyroïde est située à la base du cou, en avant de la trachée.\n"
        "Elle sécrète des hormones dont le rôle est de régler le métabolisme.\n"
        "Lorsqu'elle est trop active, le malade maigrit malgré un appétit conservé, dort mal\n"
        "et présente une accélération du cœur; à l'inverse, un déficit entraîne fatigue,\n"
        "frilosité et prise de poids. Le diagnostic repose sur le dosage de la TSH, élevée\n"
        "où la sécrétion est basse. Le traitement a été décrit très tôt.\n"
    )
    found = plain.decode(text.replace("\n", "\r\n").encode(encoding), None)
    assert found == (text, encoding)


CHINESE = "黄帝问曰：夫自古通天者，生之本，本于阴阳。天地之间，六合之内，其气九州。\n" * 12
TRADITIONAL = "黃帝問曰：夫自古通天者，生之本，本於陰陽。天地之間，六合之內，其氣九州。\n" * 12
JAPANESE = "人間は考える葦である。カタカナとひらがなの文章が続くと、文字の偏りがよく見える。\n" * 12


@pytest.mark.parametrize(
    ("text", "encoding", "as_found"),
    [
        (CHINESE, "gb18030", "gb18030"),
        (TRADITIONAL, "big5", "big5"),
        (JAPANESE, "shift_jis", "cp932"),
        (CHINESE, "utf-16-le", "utf-16-le"),
        (CHINESE, "utf-16-be", "utf-16-be"),
        ("No mark, no accent.\n", "utf-16-be", "utf-16-be"),
        ("No mark, no accent.\n", "utf-16-le", "utf-16-le"),
        ("No mark, no accent.\n", "utf-32-le", "utf-32-le"),
        (CHINESE, "utf-32", "utf-32"),
    ],
)
def test_the_encoding_found_is_told(text: str, encoding: str, as_found: str) -> None:
    assert plain.decode(text.encode(encoding), None) == (text, as_found)


def test_a_declared_encoding_is_the_only_one_tried() -> None:
    short = "素问".encode("gb18030")
    assert plain.decode(short, "gb18030") == ("素问", "gb18030")
    with pytest.raises(Unreadable, match="not utf-8, as its source declares"):
        plain.decode(short, "utf-8")


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("El niño español comió piñas mañana. Señor Muñoz soñó con la montaña. " * 5, "es"),
        ("“Naïve” Señor Nuñez’s résumé — 37 °C ± 0.5, for £5.\n" * 5, "en-GB"),
    ],
)
def test_western_texts_are_not_read_in_an_encoding_of_other_accents(
    text: str, language: str
) -> None:
    assert plain.decode(text.encode("cp1252"), None, language) == (text, "cp1252")


def test_other_encodings_are_found_in_a_western_language_too() -> None:
    assert plain.decode(CHINESE.encode("gb18030"), None, "en") == (CHINESE, "gb18030")


def test_what_a_page_says_of_its_encoding_is_tried_before_guessing() -> None:
    page = '<html><meta charset="gb2312"><p>素问</p>'
    assert plain.decode(page.encode("gb18030"), None) == (page, "gb18030")


def test_wrapped_lines_are_joined_and_long_ones_are_paragraphs() -> None:
    wide = "word " * 30
    text = (
        f"A line\nwrapped twice\nhere.\n\n\n{wide}\n{wide}\n\nTo buy:\n- bread\n  and milk\n- salt"
    )
    assert [block.text for block in plain.read(text)] == [
        "A line wrapped twice here.",
        wide.strip(),
        wide.strip(),
        "To buy:\n- bread and milk\n- salt",
    ]


def test_wrapped_chinese_is_joined_without_a_space() -> None:
    (block,) = plain.read("病起于\n肝，\n故曰 liver\nfire")
    assert block.text == "病起于肝，故曰 liver fire"


def test_underlined_lines_of_plain_text_are_headings() -> None:
    text = "BOOK\n====\n\nIntro.\n\nOne\n---\nFirst.\n\nTwo\n---\n\nSecond.\n"
    assert [(each.section, each.text) for each in split(plain.read(text))] == [
        (("BOOK",), "Intro."),
        (("BOOK", "One"), "First."),
        (("BOOK", "Two"), "Second."),
    ]


def test_the_marks_of_the_chinese_classics_are_headings_and_their_record_is_dropped() -> None:
    text = (
        "\n<篇名>温病条辨\n书名：温病条辨\n作者：吴鞠通  \n朝代：清\n\n\n<目录>卷一\n"
        "<篇名>自序\n\n属性：夫立德立功，\n圣贤事也。\n\n瑭何人斯\n\n<目录>\n\n<篇名>原病篇\n属性：一、"
    )
    title, record, *blocks = plain.read(text)
    assert title == Block("温病条辨", 0)
    assert record == Lost("catalogue record", "书名：温病条辨 作者：吴鞠通 朝代：清")
    assert [(each.section, each.text) for each in split([title, *blocks])] == [
        (("温病条辨", "卷一", "自序"), "夫立德立功，圣贤事也。\n\n瑭何人斯"),
        (("温病条辨", "原病篇"), "一、"),
    ]
