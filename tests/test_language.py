"""A text in another language than its source declares is dropped if that is sure."""

from __future__ import annotations

import pytest

from residency.language import Language, foreign
from residency.section import Complaint

ASKED = Language(confidence=0.65, characters=1000)
ENGLISH = (
    "The heart lies between the lungs and pumps the blood through all the vessels of the body."
)
FRENCH = "Le cœur se trouve entre les poumons et pompe le sang dans tous les vaisseaux du corps."


def test_another_language_is_named_with_its_probability() -> None:
    reason, detail = foreign(ASKED, "en", FRENCH) or ("", "")
    assert reason == "language"
    assert detail.startswith("fr and not en with probability ")


@pytest.mark.parametrize(
    ("declared", "text"), [("en", ENGLISH), ("fr", FRENCH), ("zh-Hant", "心臟位於兩肺之間。" * 5)]
)
def test_the_declared_language_stays(declared: str, text: str) -> None:
    assert foreign(ASKED, declared, text) is None


def test_a_doubtful_text_stays() -> None:
    assert foreign(Language(confidence=1.0, characters=1000), "en", FRENCH) is None


def test_a_language_that_cannot_be_identified_is_a_mistake() -> None:
    with pytest.raises(Complaint, match="'xx-Latn' cannot be told from others; "):
        foreign(ASKED, "xx-Latn", ENGLISH)
