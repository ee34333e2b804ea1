"""Which language a text is in: drop what is not in the language that its source declares.

The identifier is py3langid (Lui and Baldwin 2012, langid.py: naive Bayes over byte n-grams, 97
languages); its model lies in the package.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from pydantic import Field

from residency.section import Complaint, Section, Share, nearest


class Language(Section):
    """Documents that are in another language than their source declares are dropped."""

    confidence: Share = Field(
        description="Least probability of the other language for a document to be dropped."
    )
    characters: int = Field(
        ge=50, description="Characters to look at, from the middle of a document."
    )


def foreign(asked: Language, declared: str, text: str) -> tuple[str, str] | None:
    """The problem of a text that is surely in another language than `declared` (BCP 47).

    Raises Complaint for a declared language that the identifier does not know.
    """
    identifier = _identifier()
    expected = declared.split("-")[0]
    if expected not in identifier.labels:
        hint = nearest(expected, identifier.labels)
        raise Complaint(f"language: {declared!r} cannot be told from others; {hint}")
    start = max(0, (len(text) - asked.characters) // 2)
    found, probability = identifier.classify(text[start : start + asked.characters])
    if found != expected and probability >= asked.confidence:
        return "language", f"{found} and not {expected} with probability {probability:.3f}"
    return None


@cache
def _identifier() -> Any:
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    return LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
