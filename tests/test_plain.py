"""Plain text of any encoding and line width becomes the paragraphs that its author meant."""

from __future__ import annotations

import pytest

from residency.ingest import split
from residency.reading import plain


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
    assert plain.decoded(text.replace("\n", "\r\n").encode(encoding)) == text


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
