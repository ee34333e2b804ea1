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
)


def _list(text: str) -> frozenset[str]:
    return frozenset(text.split())


POINTING = _list(
    """this these those such former latter above below earlier previously previous aforementioned
    figure table chapter section module textbook video link website"""
)
"""Words of a sentence that leans on others or on a picture."""

READER = _list("i me my we us our you your yourself let’s let's")
"""Words of a sentence that speaks to its reader."""

PRONOUNS = _list("it they he she its their them his her him")

OPENERS = _list("another other others both each here there however thus therefore so")
"""At a sentence's start they lean on the sentence before."""

_REFERENCE = re.compile(
    r"\s*[(\[](?:“[^”]*”|see\b|figs?\b|figure\b|table\b|also,? see\b|[a-z]\))[^()\[\]]*[)\]]",
    re.IGNORECASE,
)
_PARTICIPLES = _list("found called given made used known seen taken shown left held brought set")
_LINKING = _list("thus therefore also then however hence consequently now both either")
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
    words = [word.folded for word in sentence.words]
    if words[0] in OPENERS | PRONOUNS or not (POINTING | READER).isdisjoint(words):
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
        for at, (word, start, *_) in enumerate(sentence.words)
    )


def asked(sentence: Sentence, place: Place, kind: str, inside: Set[int], lower: Set[str]) -> str:
    """The sentence's first clause as a question for a term after its verb; empty if not plain.

    `inside`: places of words within things; `lower`: words that are also written in small letters.
    """
    words, end, verb = _clause(sentence, inside)
    if not verb or place.last != end or verb - 1 not in inside:
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


def told_of(sentence: Sentence, place: Place, inside: Set[int]) -> str:
    """What the sentence's first clause says of the term that is its subject; empty if not plain."""
    _, end, verb = _clause(sentence, inside)
    first = place.first - (place.first > 0 and sentence.folded(place.first - 1) in DETERMINERS)
    plain = verb and first == 0 and verb == place.last and end - 1 in inside
    plain = plain and sentence.folded(verb) not in _PARTICIPLES
    return sentence.slice(verb, end) if plain else ""


def whose(sentence: Sentence, place: Place, inside: Set[int], lower: Set[str]) -> str:
    """Turn "The sign of T is a cough" into "A cough is the sign of what?"; empty if not plain."""
    words, end, verb = _clause(sentence, inside)
    of = place.first - 1 - (words[place.first - 1] in ARTICLES if place.first else 0)
    if not verb or verb != place.last or words[verb] not in BE or of < 2 or words[of] != "of":
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


def _clause(sentence: Sentence, inside: Set[int]) -> tuple[list[str], int, int]:
    """The words, the first clause's end and its verb, which is 0 if the clause is not plain."""
    words, end = [word.folded for word in sentence.words], len(sentence.words)
    if not sentence.document.language.startswith("en"):
        return words, end, 0
    for at in range(1, end):
        if sentence.words[at].apart or words[at] in CLAUSE - {"for", "before", "after", "than"}:
            end = at
            break
    told = sentence.slice(0, end)
    if (
        not (REFERRING | {"what"}).isdisjoint(words[:end])
        or not told[-1:].isalnum()
        or (end < len(words) and sentence.text[sentence.words[end - 1].end] in "’'")
        or not _LINKING.isdisjoint(words[:end])
        or not (words[0] in ARTICLES or words[0] not in COMMON)
    ):
        return words, end, 0

    def says(at: int) -> bool:
        return at not in inside and bool(
            words[at] in AUXILIARIES or words[at] in VERBS or ENDS_IN_S.fullmatch(words[at])
        )

    joined = next((at for at in range(end) if words[at] in ("and", "or")), end)
    verb = next((at for at in range(1, end) if says(at)), 0)
    return words, end, 0 if any(says(at) for at in range(joined, end)) else verb


def infinitive(verb: str) -> str:
    """An English verb in -s without it: carries, reaches, does, has, makes."""
    if verb == "has":
        return "have"
    if verb.endswith("ies") and len(verb) > 4:
        return verb[:-3] + "y"
    return verb[:-2] if verb.endswith(("sses", "shes", "ches", "xes", "zes", "oes")) else verb[:-1]
