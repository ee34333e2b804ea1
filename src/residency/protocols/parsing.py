"""parsing: a written text becomes an answer, or none.

Version 1, the first rule that finds something; letters are those of the options that there are:
1. after the last "Answer:" (also Réponse, Respuesta, Antwort, 答案), else the last "answer is":
   the rules 2 to 4
2. where the text begins with letters, set off from what follows: "B", "(B)", "B. aorta", "A; C",
   "B because"
3. where the text begins with an option's text, as a word of its own: that option, the longest
4. options' texts anywhere, those inside a longer one that is there too left out
Of a question with one right answer a rule that finds several finds nothing. Case, white space and
Markdown's emphasis do not count; a line's end sets letters off.

Where texts are answered, a letter that is an option's whole text (blood groups) stands for that
option, unless the text that it is the letter of follows: "A. B". Such a text is set off too,
wherever it stands, or joined to another: "a" is an article as well.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from residency.records import Question

MARKS = (
    re.compile(r"(?:answer|réponse|respuesta|antwort)\s*[:：]|答案\s*(?:[是为]\s*[:：]?|[:：])"),
    re.compile(r"answer\s+is\b|réponse\s+est\b|respuesta\s+es\b|antwort\s+(?:ist|lautet)\b"),
)
SEPARATOR = r"(?:\s*[;；,，/&+、]\s*|\s+(?:and|et|und|y|和)\s+)"
SET_OFF = (
    r"(?=$|[.。:：,，;；)\n]|\s*[-–—]"
    r"|\s+(?:(?:because|since|porque|ya que|weil|denn)\b|parce qu|puisqu)|\s*因)"
)
JOINED = r"(?=\s+(?:and|or|et|ou|und|oder|y|o)\s|\s*[/和或])"
_EMPHASIS = re.compile(r"(?<!\w)[*_`]+|[*_`]+(?!\w)")


def parse(text: str, question: Question, of: str) -> tuple[int, ...] | None:
    """The options that a text names, ascending; None where none of the rules applies.

    `of`: what was to be answered, "text" or "letter".
    """
    lines = filter(None, map(_folded, text.splitlines()))
    folded = "\n".join(lines)
    several = (question.form or question.kind) in ("multiple", "propositions")
    ends = [mark.end() for each in MARKS for mark in [*each.finditer(folded)][-1:]]
    for said in [*(folded[end:].strip() for end in ends), folded]:
        if found := _letters(said, question, several, of):
            return found
        for rule in (_begins, _anywhere):
            if found := rule(said.replace("\n", " "), question, several):
                return found
    return None


def _folded(text: str) -> str:
    return " ".join(_EMPHASIS.sub("", text.casefold()).split())


def _letters(text: str, question: Question, several: bool, of: str) -> tuple[int, ...] | None:
    last = chr(ord("a") + len(question.options) - 1)
    one = rf"\(?[a-{last}]\)?"
    found = re.match(rf"({one}(?:{SEPARATOR}{one})*){SET_OFF}", text)
    if not found or (several and re.match(r"[;；]\s*\w", text[found.end() :])):
        return None
    letters = re.findall(rf"(?<![a-z])[a-{last}](?![a-z])", found[1])
    indexes = tuple(sorted({_named(each, text, question, of) for each in letters}))
    return indexes if several or len(indexes) == 1 else None


def _named(letter: str, text: str, question: Question, of: str) -> int:
    """The option that a letter at a text's beginning stands for."""
    place, texts = ord(letter) - ord("a"), [*map(_folded, question.options)]
    own = rf"\(?{letter}[.。:：)]+\s*{re.escape(texts[place])}(?!\w)"
    if of == "letter" or letter not in texts or re.match(own, text):
        return place
    return texts.index(letter)


def _begins(text: str, question: Question, several: bool) -> tuple[int, ...] | None:
    """The options with whose texts, joined by "; ", the text begins."""
    found: list[int] = []
    rest = text
    while True:
        fits = [
            (len(option), index)
            for index, option in enumerate(map(_folded, question.options))
            if option
            and rest.startswith(option)
            and re.match(SET_OFF if _lettered(option) else r"(?!\w)", rest[len(option) :])
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
            if _lettered(option):
                after = rf"(?:{SET_OFF}|{JOINED})"
            for each in re.finditer(before + re.escape(option) + after, text):
                places.append((each.start(), each.end(), index))
    outer = {index for start, end, index in places if not _inside(start, end, places)}
    if not outer or (len(outer) > 1 and not several):
        return None
    return tuple(sorted(outer))


def _lettered(option: str) -> bool:
    return len(option) == 1 and option.isascii() and option.isalpha()


def _inside(start: int, end: int, places: Sequence[tuple[int, int, int]]) -> bool:
    return any(
        one <= start and end <= other and other - one > end - start for one, other, _ in places
    )
