"""parsing: a written text becomes an answer, or none.

Version 1, the first rule that finds something; letters are those of the options that there are:
1. after the last "Answer:" (also Réponse, Respuesta, Antwort, 答案): letters, else options' texts
2. where the text begins with letters, set off from what follows: "B", "(B)", "B. aorta", "A; C"
3. where the text begins with an option's text, as a word of its own: that option, the longest
4. options' texts anywhere, those inside a longer one that is there too left out
Of a question with one right answer a rule that finds several finds nothing. Case and white space
do not count.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from residency.records import Question

MARK = re.compile(r"(?:answer|réponse|respuesta|antwort)\s*[:：]|答案\s*(?:是\s*[:：]?|[:：])")
SEPARATOR = r"(?:\s*[;；,，/&+、]\s*|\s+(?:and|et|und|y|和)\s+)"


def parse(text: str, question: Question) -> tuple[int, ...] | None:
    """The options that a text names, ascending; None where none of the rules applies."""
    folded = _folded(text)
    several = (question.form or question.kind) in ("multiple", "propositions")
    ends = [mark.end() for mark in MARK.finditer(folded)][-1:]
    for said in [*(folded[end:].strip() for end in ends), folded]:
        for rule in (_letters, _begins, _anywhere):
            if found := rule(said, question, several):
                return found
    return None


def _folded(text: str) -> str:
    return " ".join(text.casefold().split())


def _letters(text: str, question: Question, several: bool) -> tuple[int, ...] | None:
    last = chr(ord("a") + len(question.options) - 1)
    one = rf"\(?[a-{last}]\)?"
    found = re.match(rf"({one}(?:{SEPARATOR}{one})*)(?=$|[.。:：,，;；)]|\s*[-–—])", text)
    if not found:
        return None
    letters = re.findall(rf"(?<![a-z])[a-{last}](?![a-z])", found[1])
    indexes = tuple(sorted({ord(each) - ord("a") for each in letters}))
    return indexes if several or len(indexes) == 1 else None


def _begins(text: str, question: Question, several: bool) -> tuple[int, ...] | None:
    """The options with whose texts, joined by "; ", the text begins."""
    found: list[int] = []
    rest = text
    while True:
        fits = [
            (len(option), index)
            for index, option in enumerate(map(_folded, question.options))
            if option and rest.startswith(option) and not re.match(r"\w", rest[len(option) :])
        ]
        if not fits:
            break
        length, index = max(fits, key=lambda each: (each[0], -each[1]))
        found.append(index)
        rest = rest[length:]
        if not (several and rest.startswith("; ")):
            break
        rest = rest[2:]
    return tuple(sorted(set(found))) or None


def _anywhere(text: str, question: Question, several: bool) -> tuple[int, ...] | None:
    places: list[tuple[int, int, int]] = []
    for index, option in enumerate(map(_folded, question.options)):
        if option:
            before = r"(?<!\w)" if option[0].isascii() else ""  # Chinese sets no words apart
            after = r"(?!\w)" if option[-1].isascii() else ""
            for each in re.finditer(before + re.escape(option) + after, text):
                places.append((each.start(), each.end(), index))
    outer = {index for start, end, index in places if not _inside(start, end, places)}
    if not outer or (len(outer) > 1 and not several):
        return None
    return tuple(sorted(outer))


def _inside(start: int, end: int, places: Sequence[tuple[int, int, int]]) -> bool:
    return any(
        one <= start and end <= other and other - one > end - start for one, other, _ in places
    )
