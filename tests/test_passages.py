from __future__ import annotations

import sys
from dataclasses import replace
from types import FrameType
from typing import Any

from residency import passages as module
from residency.passages import around, extracted, passages, sentences
from residency.records import Document
from residency.words import words


def document(text: str, id: str = "d", start: int = 0) -> Document:
    return Document(
        id=id, source="s", file="f.txt", sha256="a" * 64, section=(), start=start,
        end=start + len(text), language="en", licence="CC0", text=text,
    )  # fmt: skip


def paragraph(number: int, size: int = 20) -> str:
    return " ".join(f"w{number}x{each}" for each in range(size)) + "."


BOOK = "\n\n".join(paragraph(each) for each in range(60))


def cut(text: str, most: int = 100) -> list[str]:
    return [each.text for each in passages([document(text)], most)]


def test_passages_are_whole_paragraphs_and_together_the_text() -> None:
    found = cut(BOOK)
    assert "\n\n".join(found) == BOOK
    assert all(20 <= len(words(each)) <= 125 for each in found)
    assert len(found) >= 12


def test_a_text_twice_as_long_takes_twice_the_work() -> None:
    def work(text: str) -> int:
        """How many lines of the module run."""
        count = 0

        def counted(frame: FrameType, event: str, _told: Any) -> Any:
            nonlocal count
            if frame.f_code.co_filename == module.__file__:
                count += event == "line"
                return counted
            return None

        before = sys.gettrace()
        sys.settrace(counted)
        try:
            cut(text)
        finally:
            sys.settrace(before)
        return count

    for gap in ("\n\n", "\n", " "):  # paragraphs, lines, and neither
        short, long = (gap.join(["eight words and no end of a sentence"] * n) for n in (300, 1200))
        assert work(long) < 5 * work(short)


def test_a_long_run_of_marks_is_read_once() -> None:
    words = " word" * 200
    assert len(cut("." * 200_000 + words)) == 1  # an hour, were each mark a new beginning
    assert sentences('One... "Two?!" Three.) Four') == ["One...", '"Two?!"', "Three.)", "Four"]


def test_offsets_are_of_the_text() -> None:
    for each in passages([document(f"\n {BOOK}\n")], 100):
        assert each.document.text[each.start : each.end] == each.text
        assert each.text == each.text.strip()


def test_an_edited_paragraph_changes_only_passages_near_it() -> None:
    before = cut(BOOK)
    edited = BOOK.replace(paragraph(10), paragraph(10) + " One two three four five more words.")
    after = cut(edited)
    assert len(set(before) - set(after)) <= 3
    removed = cut(BOOK.replace(paragraph(0) + "\n\n", ""))
    assert len(set(before) - set(removed)) <= 3


def test_ids_tell_passages_apart_also_where_a_text_is_repeated() -> None:
    text = "\n\n".join([paragraph(1, 100)] * 3)
    found = list(passages([document(text), document(text, "e")], 100))
    assert len({each.id for each in found}) == len(found) == 6
    assert found[0].id.startswith("d:")


def test_other_documents_do_not_matter() -> None:
    alone = [each.id for each in passages([document(BOOK)], 100)]
    among = [each.id for each in passages([document("A b c.", "e"), document(BOOK)], 100)]
    assert among[1:] == alone


def test_a_long_paragraph_is_cut_at_sentences_and_a_short_rest_joins() -> None:
    text = " ".join(paragraph(each) for each in range(20))
    found = cut(text)
    assert all(each.endswith(".") for each in found)
    assert all(len(words(each)) <= 125 for each in found)
    assert " ".join(found) == text
    assert cut(f"{paragraph(1, 95)}\n\nThe end.") == [f"{paragraph(1, 95)}\n\nThe end."]


def test_chinese_characters_count_as_words() -> None:
    text = "\n\n".join(chr(0x4E00 + each) * 30 + "。" for each in range(10))
    assert len(cut(text)) >= 3
    assert cut("气" * 50 + "。" + "血" * 60 + "。") == ["气" * 50 + "。", "血" * 60 + "。"]


def test_an_empty_document_has_no_passage() -> None:
    assert cut("") == cut(" \n\n ") == []


def test_the_paragraph_around_a_sentence() -> None:
    text = "One. Two.\n\nThree. Four.\n\nFive."
    start = text.index("Four")
    assert around(document(text), start, start + 5).text == "Three. Four."


def test_extracted_offsets_are_exact_only_where_cleaning_left_the_length() -> None:
    whole = document("abcdef", start=100)
    assert extracted(whole, 2, 4) == (102, 104)
    assert extracted(replace(whole, end=120), 2, 4) == (100, 120)
