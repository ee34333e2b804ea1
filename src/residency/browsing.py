"""The questions of a report, for its page to search: as many as fit, the rest counted.

Questions on which the models differ come first, then those all have wrong, then the others, each
in the exam's order. Evaluations share the room evenly; what one leaves free the next may take.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import orjson
from markupsafe import Markup

from residency.results import Row, Sitting

LONGEST = 2000
"""Characters shown of one text: a case, an option, what a model said."""

SAID = ("said", "explained")
"""Keys of predictions.jsonl under which a protocol may keep what a model wrote."""


@dataclass(frozen=True, kw_only=True)
class Shelf:
    """The questions shown of one evaluation."""

    name: str
    models: list[str]
    rows: list[dict[str, Any]]
    total: int
    differ: int  # questions on which the models differ
    differ_shown: int


def shelves(sittings: dict[str, list[Sitting]], room: int) -> list[Shelf]:
    """What is shown of each evaluation so that all of it takes at most `room` bytes of JSON."""
    found = []
    for number, (name, sat) in enumerate(sittings.items()):
        share = room // (len(sittings) - number)
        shelf, size = _shelf(name, sat, share)
        room -= size
        found.append(shelf)
    return found


def embedded(found: Sequence[Shelf]) -> Markup:
    """The questions as JSON that can stand in a script element: no text of theirs can end it."""
    value = [{"name": each.name, "models": each.models, "rows": each.rows} for each in found]
    text = orjson.dumps(value).decode()
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return Markup(text)


def _shelf(name: str, sat: Sequence[Sitting], room: int) -> tuple[Shelf, int]:
    def rank(id: str) -> int:
        verdicts = {bool(each.rows[id]["correct"]) for each in sat}
        return 0 if len(verdicts) > 1 else 1 if verdicts == {False} else 2

    ranks = {id: rank(id) for id in sat[0].rows}
    rows, size = [], 0
    for id in sorted(ranks, key=lambda id: ranks[id]):
        row = _shown([each.rows[id] for each in sat])
        size += len(orjson.dumps(row)) + 1 + _escapes(row)
        if size > room:
            size -= len(orjson.dumps(row)) + 1 + _escapes(row)
            break
        rows.append(row)
    differ = sum(each == 0 for each in ranks.values())
    shelf = Shelf(
        name=name,
        models=[each.model for each in sat],
        rows=rows,
        total=len(ranks),
        differ=differ,
        differ_shown=min(differ, len(rows)),
    )
    return shelf, size


def _escapes(row: dict[str, Any]) -> int:
    """Bytes by which escaping a row makes it longer: five for each character, at most."""
    text = orjson.dumps(row).decode()
    return sum(5 * text.count(character) for character in "<>&\u2028\u2029")


def _shown(rows: Sequence[Row]) -> dict[str, Any]:
    """One question with each model's answer; short keys, as there may be thousands.

    id, prompt, options, right and a model's answer as indexes of options, c: whether it was right,
    and said, where a protocol kept words.
    """
    first = rows[0]
    return {
        "id": first["id"],
        "q": clipped(first["prompt"]),
        "o": [clipped(text) for text in first["texts"]],
        "r": _indexes(first["right"]),
        "l": list(first["labels"].values()),
        "a": [
            {"i": _indexes(row["answer"]), "c": int(bool(row["correct"]))} | _said(row)
            for row in rows
        ],
    }


def _indexes(answer: Any) -> list[int]:
    found = answer if isinstance(answer, list) else []
    return [each for each in found if isinstance(each, int)]


def _said(row: Row) -> dict[str, str]:
    words = next((row[key] for key in SAID if isinstance(row.get(key), str)), "")
    words = words or (row["answer"] if isinstance(row["answer"], str) else "")
    return {"s": clipped(words)} if words else {}


def clipped(text: object, most: int = LONGEST) -> str:
    """At most so many characters of a text, its end marked where it is cut."""
    words = str(text)
    return words if len(words) <= most else words[: most - 1] + "…"
