"""What makes a row a question: its text, options and answers made sure of, or why it is none."""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from residency.records import Kind

SPLITS = ("train", "dev", "test")
LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
Numbering = Literal["letters", "zero", "one", "text", "flags"]


class Unfit(Exception):
    """Why a row is no question: a countable reason and a detail."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """A question as its adapter reads it; what the whole exam has in common is added later."""

    id: str = ""  # empty: numbered by file and row
    kind: Kind
    stem: str
    context: str = ""
    facts: tuple[str, ...] = ()
    options: tuple[str, ...] = ()
    answers: tuple[int, ...] = ()
    form: Kind | None = None
    indispensable: tuple[int, ...] = ()
    unacceptable: tuple[int, ...] = ()
    reference: str = ""
    explanation: str = ""
    labels: dict[str, str] = field(default_factory=dict)
    group: str = ""  # empty: stands alone
    order: int = 0


def text(value: Any) -> str:
    """A cell as stripped text in Unicode NFC; raises Unfit where it is no single value."""
    if value is None:
        return ""
    if isinstance(value, float) and math.isnan(value):  # how some tables tell a missing cell
        return ""
    if isinstance(value, bool | list | dict):
        raise Unfit("not text", f"{value!r:.80}")
    return unicodedata.normalize("NFC", str(value)).strip()


def passages(value: Any) -> str:
    """A text, or a list of them as paragraphs."""
    values = value if isinstance(value, list) else [value]
    return "\n\n".join(filter(None, map(text, values)))


def asked(value: Any, where: str) -> str:
    """A stem; raises Unfit where it is empty."""
    stem = text(value)
    if not stem:
        raise Unfit("empty stem", f"nothing in {where!r}")
    return stem


def label(value: Any) -> str:
    """A label's value: text, a list of texts joined by semicolons, or true and false."""
    if isinstance(value, list):
        return "; ".join(label(each) for each in value)
    return str(value).lower() if isinstance(value, bool) else text(value)


def options(values: Iterable[Any]) -> tuple[str, ...]:
    """At least two options, none empty but trailing ones, which fall away; or Unfit."""
    found = [text(value) for value in values]
    while found and not found[-1]:
        found.pop()
    if len(found) < 2:
        raise Unfit("fewer than two options", f"{len(found)}")
    if "" in found:
        raise Unfit("empty option", f"option {found.index('') + 1}, before the last one")
    return tuple(found)


def agree(answers: Sequence[int], named: str, options: Sequence[str]) -> None:
    """Raise Unfit where the answer told in words is another of the options."""
    folded = [_folded(option) for option in options]
    if _folded(named) in folded and folded.index(_folded(named)) not in answers:
        told = ", ".join(options[index] for index in answers)
        raise Unfit("answers disagree", f"by letter {told!r:.80}, in words {named!r:.80}")


def unambiguous(draft: Draft) -> None:
    """Raise Unfit where a right option is worded like a wrong one, or all options alike.

    Two wrong options alike do no harm: exams were published, and are scored, with such.
    """
    right = {draft.options[index] for index in draft.answers}
    for index, option in enumerate(draft.options):
        if option in right and index not in draft.answers:
            raise Unfit("duplicate option", f"{option!r:.80} is right and wrong")
    if draft.options and len(set(draft.options)) < 2:
        raise Unfit("duplicate option", f"all are {draft.options[0]!r:.80}")


def by_letter(value: Any) -> tuple[tuple[str, ...], str]:
    """Options from a mapping such as {"A": ...}, and the letters they are called; raises Unfit."""
    if not isinstance(value, dict) or not all(re.fullmatch("[A-Za-z]", key) for key in value):
        raise Unfit("options not by letter", f"{value!r:.80}")
    return options(value.values()), "".join(value).upper()


_MARK = re.compile(r"\s*[(（\[【]?\s*([A-Za-zＡ-Ｚ])(?:\s*([)）\]】.．、:：])\s*|\s+)(?=\S)")
_MOST_GAPS = 2
_FEWEST_SPACED = 4


def unmarked(values: Sequence[str]) -> tuple[list[str], str]:
    """Options without their marks "A. ", and the letters that answers call them by.

    Marks count where every option has one and they ascend from A, with two gaps at most. A gap
    stays a gap: of options marked B, C, E the second is called C. With nothing but a space after
    the letter, four options or more must have one: "B cell" and "T cell" are no marks.
    """
    found = [each for each in map(_MARK.match, values) if each]
    letters = "".join(unicodedata.normalize("NFKC", each[1]).upper() for each in found)
    rest = [each.string[each.end() :] for each in found]
    if (
        len(values) < 2
        or len(found) != len(values)
        or letters != "".join(sorted(set(letters)))
        or LETTERS.index(letters[-1]) >= len(values) + _MOST_GAPS
        or not (all(each[2] for each in found) or len(values) >= _FEWEST_SPACED)
        or len(set(rest)) == 1
    ):
        return list(values), LETTERS[: len(values)]
    return rest, letters


_SEPARATOR = re.compile(r"[\s,，;；/|+&、]+|\band\b|\bet\b", re.IGNORECASE)
_NUMBER = re.compile(r"([0-9]{1,9})(?:\.0+)?")  # spreadsheets write 2 as 2.0


def answers(
    value: Any, numbering: Numbering, options: Sequence[str], letters: str = LETTERS
) -> tuple[int, ...]:
    """Indexes of the right options, ascending; raises Unfit where there is none, or no such option.

    From "AC", "A,C", ["A", "C"], 2 and the like, the options' texts, or a flag for each option.
    Small letters that stand together must ascend: "bad" does not mean options A, B and D.
    """
    values = value if isinstance(value, list) else [value]
    if numbering == "flags":
        found = _flagged(values, len(options))
    elif numbering == "text":
        folded = [_folded(option) for option in options]
        given = [_folded(text(each)) for each in values]
        found = [folded.index(each) if each in folded else -1 for each in given if each]
    else:
        names = []
        for each in values:
            for name in filter(None, _SEPARATOR.split(unicodedata.normalize("NFKC", text(each)))):
                together = numbering == "letters" and (name.isupper() or list(name) == sorted(name))
                names += list(name) if together else [name]
        found = [_index(name, numbering, letters) for name in names]
    if not found:
        raise Unfit("no answer", "")
    if not all(0 <= each < len(options) for each in found) or len(set(found)) < len(found):
        detail = f"{value!r:.80} of {len(options)} options, numbering {numbering}"
        raise Unfit("unknown answer", detail)
    return tuple(sorted(found))


def _index(name: str, numbering: Numbering, letters: str) -> int:
    """The index that an answer names, or -1."""
    if numbering == "letters":
        return letters.find(name.upper()) if re.fullmatch("[A-Za-z]", name) else -1
    number = _NUMBER.fullmatch(name)
    return int(number[1]) - (numbering == "one") if number else -1


def _folded(option: str) -> str:
    return " ".join(unicodedata.normalize("NFKC", option).casefold().split())


_FLAGS = {"true": True, "false": False, "1": True, "0": False, "vrai": True, "faux": False}


def _flagged(values: Sequence[Any], count: int) -> list[int]:
    if len(values) != count:
        raise Unfit("unknown answer", f"{len(values)} flags for {count} options")
    flags = [_FLAGS.get(label(each).casefold()) for each in values]
    if None in flags:
        raise Unfit("unknown answer", f"flag {values[flags.index(None)]!r:.40}")
    return [index for index, flag in enumerate(flags) if flag]


def by_count(answers: Sequence[int]) -> Kind:
    """single, or multiple where several options are right."""
    return "multiple" if len(answers) > 1 else "single"


_SPLIT = re.compile(r"(?:^|_)(train|training|dev|valid|validation|val|test)(?![a-z])")
OTHER_NAMES = {"training": "train", "validation": "dev", "valid": "dev", "val": "dev"}


def split_named(name: str) -> str | None:
    """The split that a file's or folder's name tells: the first word that is one."""
    found = _SPLIT.search(name.casefold())
    return OTHER_NAMES.get(found[1], found[1]) if found else None
