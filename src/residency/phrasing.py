"""English sentences turned into questions, as far as their form is plain enough to tell.

    T governs the node              What governs the node?           (asked the other way round)
    The sign of T is a cough        A cough is the sign of what?     (the same)
    The node makes T                What does the node make?
    The node is ruled by T          What is the node ruled by?
    The node lies under T           Where does the node lie?         (T a place)
    The node T                      What does the node do?           (T an action)

What is not plain gives the empty string, and is then completed instead.
"""

from __future__ import annotations

import re
from collections.abc import Set
from typing import NamedTuple

from residency.terms import (
    ARTICLES,
    AUXILIARIES,
    BE,
    CLAUSE,
    COMMON,
    DETERMINERS,
    ENDS_IN_S,
    PREPOSITIONS,
    REFERRING,
    VERBS,
    Place,
    Sentence,
    listed,
)

POINTING = listed(
    """this these those such former latter above below earlier previously previous aforementioned
    figure table chapter section module textbook video link website"""
)
"""Words of a sentence that leans on others or on a picture."""

READER = listed("i me my we us our you your yourself let’s let's")
"""Words of a sentence that speaks to its reader."""

PRONOUNS = listed("it they he she its their them his her him")

OPENERS = listed("another other others both each here there however thus therefore so")
"""At a sentence's start they lean on the sentence before."""

_LEANING = OPENERS | PRONOUNS
_OUTSIDE = POINTING | READER
_UNNAMED = REFERRING | {"what"}
_NEW_CLAUSE = CLAUSE - {"for", "before", "after", "than"}

_REFERENCE = re.compile(
    r"\s*[(\[](?:“[^”]*”|see\b|figs?\b|figure\b|table\b|also,? see\b|[a-z]\))[^()\[\]]*[)\]]",
    re.IGNORECASE,
)
_PARTICIPLES = listed("found called given made used known seen taken shown left held brought set")
_LINKING = listed("thus therefore also then however hence consequently now both either")
_ROW = re.compile(r"^[^;:]{1,60}: [^;]+(?:; [^;:]{1,60}: [^;]+)+$|\s\|\s|^\s*\|")
_PICTURED = re.compile(r"\([a-z]\) |\b(?:in|see|from|of) “[A-Z]")


def without_references(text: str) -> str:
    """A sentence without its pointers in brackets: (“The Heart”), (see Figure 2)."""
    return _REFERENCE.sub("", text)


def row(sentence: Sentence) -> bool:
    """Is this a table's row, which has neither verb nor full stop?"""
    return bool(_ROW.search(sentence.text))


def leaning(sentence: Sentence, first_thing: int) -> bool:
    """Does an English sentence need others, a picture or its reader to be understood?

    A pronoun is understood after `first_thing`, the place of the first thing named.
    """
    words = sentence.words
    if words[0] in _LEANING or not _OUTSIDE.isdisjoint(words):
        return True
    return not PRONOUNS.isdisjoint(words[:first_thing]) or bool(_PICTURED.search(sentence.text))


def stating(sentence: Sentence, verbs: Set[str], inside: Set[int]) -> bool:
    """Does an English sentence end as one and have a verb? Headings and captions do not."""
    if not sentence.text.rstrip("”\"')’]* ").endswith((".", "!")):
        return False
    return any(
        word in AUXILIARIES
        or word in VERBS
        or (at not in inside and word in verbs)
        or (at > 0 and at not in inside and word not in COMMON and sentence.text[start].islower())
        for at, (word, start) in enumerate(zip(sentence.words, sentence.starts, strict=True))
    )


class Clause(NamedTuple):
    """A plain English sentence's first clause: its words end and its verb stands at these."""

    sentence: Sentence
    words: tuple[str, ...]  # of the whole sentence
    end: int
    verb: int
    inside: Set[int]  # places of words within things


def asked(clause: Clause, place: Place, kind: str, lower: Set[str]) -> str:
    """The clause as a question for a term after its verb; empty if that is not plain.

    `lower`: words that are also written in small letters.
    """
    sentence, words, end, verb, inside = clause
    if place.last != end or verb - 1 not in inside:
        return ""
    first = place.first - (place.first > 0 and words[place.first - 1] in DETERMINERS)
    if first == 0 or (verb > first and kind != "action"):
        return ""
    if kind == "thing" and first - 1 != verb and words[first - 1] not in PREPOSITIONS:
        return ""
    subject = began(sentence, verb, lower)
    rest = f" {sentence.slice(verb + 1, first)}".rstrip()
    if kind == "action":
        return f"What does {subject} do?" if verb == place.first else ""
    what = "Where" if kind == "place" else "What"
    if words[verb] in AUXILIARIES - {"has", "have", "had"}:
        return f"{what} {words[verb]} {subject}{rest}?"
    if words[verb].endswith("s"):
        return f"{what} does {subject} {infinitive(words[verb])}{rest}?"
    return ""


def told_of(clause: Clause, place: Place) -> str:
    """What the clause says of the term that is its subject; empty if that is not plain."""
    sentence, _, end, verb, inside = clause
    first = place.first - (place.first > 0 and sentence.folded(place.first - 1) in DETERMINERS)
    plain = first == 0 and verb == place.last and end - 1 in inside
    plain = plain and sentence.folded(verb) not in _PARTICIPLES
    return sentence.slice(verb, end) if plain else ""


def whose(clause: Clause, place: Place, lower: Set[str]) -> str:
    """Turn "The sign of T is a cough" into "A cough is the sign of what?"; empty if not plain."""
    sentence, words, end, verb, inside = clause
    of = place.first - 1 - (words[place.first - 1] in ARTICLES if place.first else 0)
    if verb != place.last or words[verb] not in BE or of < 2 or words[of] != "of":
        return ""
    if words[0] not in ARTICLES or end - verb < 2:
        return ""
    if words[verb + 1] not in ("a", "an", "the") and verb + 1 not in inside:
        return ""
    told = sentence.slice(verb + 1, end)
    return f"{told[:1].upper()}{told[1:]} {words[verb]} {began(sentence, of + 1, lower)} what?"


def began(sentence: Sentence, last: int, lower: Set[str]) -> str:
    """The sentence's beginning up to a word, as it is written within a sentence."""
    text, first = sentence.slice(0, last), sentence.folded(0)
    return text[:1].lower() + text[1:] if first in lower or first in COMMON else text


def clause(sentence: Sentence, inside: Set[int]) -> Clause | None:
    """The first clause of an English sentence if it is plain: one verb, and nothing left out."""
    words, end = sentence.words, len(sentence.words)
    if not sentence.document.language.startswith("en"):
        return None
    for at in range(1, end):
        if sentence.apart[at] or words[at] in _NEW_CLAUSE:
            end = at
            break
    told = sentence.slice(0, end)
    if (
        not _UNNAMED.isdisjoint(words[:end])
        or not told[-1:].isalnum()
        or (end < len(words) and sentence.text[sentence.ends[end - 1]] in "’'")
        or not _LINKING.isdisjoint(words[:end])
        or not (words[0] in ARTICLES or words[0] not in COMMON)
    ):
        return None

    def says(at: int) -> bool:
        return at not in inside and bool(
            words[at] in AUXILIARIES or words[at] in VERBS or ENDS_IN_S.fullmatch(words[at])
        )

    joined = next((at for at in range(end) if words[at] in ("and", "or")), end)
    verb = next((at for at in range(1, end) if says(at)), 0)
    if not verb or any(says(at) for at in range(joined, end)):
        return None
    return Clause(sentence, words, end, verb, inside)


def infinitive(verb: str) -> str:
    """An English verb in -s without it: carries, reaches, does, has, makes."""
    if verb == "has":
        return "have"
    if verb.endswith("ies") and len(verb) > 4:
        return verb[:-3] + "y"
    return verb[:-2] if verb.endswith(("sses", "shes", "ches", "xes", "zes", "oes")) else verb[:-1]
