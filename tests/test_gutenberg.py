"""A book from Project Gutenberg is read without the licence that it is wrapped in."""

from __future__ import annotations

from pathlib import Path

import pytest

from residency.reading import gutenberg, markup, plain
from residency.reading.blocks import Block

BOOK = Path(__file__).parents[1].parent / "shared/data/gutenberg/24440.txt"

HEADER = "The Project Gutenberg EBook of Bones\n\nThis eBook is for anyone.\n\n"
FOOTER = "\n\nEnd of the Project Gutenberg EBook of Bones\n\n*** END OF THIS PROJECT GUTENBERG\n"


@pytest.mark.parametrize(
    "mark",
    [
        "*** START OF THIS PROJECT GUTENBERG EBOOK BONES ***",
        "*** START OF THE PROJECT GUTENBERG EBOOK BONES: A\nTREATISE ***",
        "***START OF THE PROJECT GUTENBERG EBOOK BONES***",
        "*END*THE SMALL PRINT! FOR PUBLIC DOMAIN ETEXTS*Ver.04.29.93*END*",
        "*END THE SMALL PRINT! FOR PUBLIC DOMAIN ETEXTS*Ver.03.08.92*END*",
    ],
)
def test_a_book_keeps_what_stands_between_the_marks(mark: str) -> None:
    typed = "Produced by A. Typist and\nB. Typist\n\n\nThis file was produced from images\n\n"
    text = f"{HEADER}{mark}\n\n\n{typed}CHAPTER I\n\nBones.{FOOTER}Licence"
    assert gutenberg.unwrapped(text).split("\n\n") == ["CHAPTER I", "Bones.", ""]


@pytest.mark.parametrize(
    "mark",
    [
        "*** END OF THE PROJECT GUTENBERG EBOOK BONES ***",
        "***END OF THIS PROJECT GUTENBERG EBOOK***",
        "End of Project Gutenberg's Bones, by Gray",
        "End of the Project Gutenberg Etext of Bones",
    ],
)
def test_a_book_ends_at_its_end_mark(mark: str) -> None:
    assert gutenberg.unwrapped(f"Bones.\n\n{mark}\n\nLicence") == "Bones.\n\n"


def test_plain_text_is_read_without_the_wrapping() -> None:
    text = f"{HEADER}*** START OF THIS PROJECT GUTENBERG EBOOK BONES ***\n\nBones.{FOOTER}Licence"
    assert list(plain.read(text)) == [Block("Bones.")]


def test_other_texts_stay_as_they_are() -> None:
    for text in (
        "*** START OF THE SHOW ***\n\nText",
        "We used Project Gutenberg.\n\nProduced by X",
    ):
        assert gutenberg.unwrapped(text) == text


def test_pages_of_today_lose_their_boilerplate() -> None:
    page = """<title>Bones | Project Gutenberg</title>
      <section class="pg-boilerplate pgheader" id="pg-header"><h2>The Project Gutenberg eBook</h2>
      <div>*** START OF THE PROJECT GUTENBERG EBOOK BONES ***</div></section><h1>Bones</h1>
      <p>One<span class="pagenum">[Pg 1]</span> two.</p>
      <section class="pg-boilerplate pgfooter"><p>*** END OF THE PROJECT GUTENBERG</p></section>"""
    assert list(markup.read_html(page)) == [
        Block("Bones | Project Gutenberg", 0),
        Block("Bones", 1),
        Block("One two."),
    ]


def test_old_pages_lose_their_licence_too() -> None:
    page = """<title>Bones</title><pre>The Project Gutenberg EBook of Bones
      *** START OF THIS PROJECT GUTENBERG EBOOK BONES ***</pre><p>Produced by A. Typist</p>
      <h1>Bones</h1><p>One.</p><pre>End of Project Gutenberg's Bones</pre><p>Licence</p>"""
    assert [block.text for block in markup.read_html(page)] == ["Bones", "Bones", "One."]


@pytest.mark.skipif(not BOOK.exists(), reason=f"{BOOK} is absent")
def test_a_real_book_begins_and_ends_with_its_own_words() -> None:
    text = gutenberg.unwrapped(BOOK.read_text(encoding="ascii", errors="replace"))
    assert text.lstrip().startswith("[Transcriber's Notes]")
    assert text.rstrip().endswith("THE END.")
    assert "gutenberg" not in text.casefold()
    assert len(text) > 650_000
