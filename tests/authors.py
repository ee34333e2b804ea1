"""Replies of a stub that writes and judges questions, so that all but the model is real.

A writer's reply quotes the first sentence of the passage that it was not asked about before; a
judge answers by what the stem says (`right is <option>`).
"""

from __future__ import annotations

import hashlib
import json
import random
import re
from typing import Any

FENCE = r"<{0} (?P<mark>[0-9a-f]{{6}})>\n(?P<text>.*?)\n</{0} (?P=mark)>"


def fenced(name: str, user: str) -> str:
    """What stands in a fence of a prompt."""
    found = re.search(FENCE.format(name), user, re.DOTALL)
    return found["text"] if found else ""


def schema_of(body: dict[str, Any]) -> dict[str, Any]:
    """The JSON schema that a request asks for."""
    told = body["response_format"]
    return (told.get("json_schema") or told)["schema"]


def author(body: dict[str, Any]) -> str:
    """The reply of a writer or a judge who makes no mistake."""
    properties = schema_of(body)["properties"]
    user = body["messages"][-1]["content"]
    if "answers" in properties and "stem" not in properties:
        return json.dumps({"reason": "so", "answers": right(fenced("question", user))})
    if "follows" in properties:
        return json.dumps({"reason": "so", "follows": True})
    return json.dumps(question(properties, user), ensure_ascii=False)


def right(asked: str) -> list[str]:
    """The letters of the options that are right as the stub has it: they end in "good" or yes."""
    found = re.findall(r"^([A-J])\. (.*)$", asked, re.MULTILINE)
    return [letter for letter, option in found if option.endswith(("good", "yes"))]


def question(properties: dict[str, Any], user: str) -> dict[str, Any]:
    """A faultless question of any kind about a passage."""
    passage, before = fenced("passage", user), fenced("asked", user)
    body = passage.split("\n", 1)[1] if passage.startswith("[") else passage
    sentences = [each for each in re.findall(r"[^.\n]+\.", body) if each.strip() not in before]
    chance = random.Random(hashlib.sha256(user.encode()).digest())
    quote = (sentences or ["nothing"])[0].strip()
    words = [f"{chance.getrandbits(24):06x}" for _ in range(12)]
    stem = f"What does it mean that {quote}"
    common = {"quote": quote, "stem": stem, "explanation": f"It says: {words[0]}."}
    if "case" in properties:
        least = properties["questions"]["minItems"]
        steps = [
            common
            | {"news": f"Now {words[n]} is seen." if n else "", "stem": f"{stem} Step {n}?"}
            | closed(properties["questions"]["items"]["properties"], words[n : n + 10])
            for n in range(least)
        ]
        return {"case": f"A drake came in on a cold morning with {words[11]}.", "questions": steps}
    if "reference" in properties:
        return common | {"reference": f"{words[1]} {words[2]}"}
    if "propositions" in properties:
        count = properties["propositions"]["minItems"]
        said = [{"text": f"{words[n]} {tell(n == 1)}", "true": n == 1} for n in range(count)]
        return common | {"propositions": said}
    if "options" not in properties:
        return common | {"answer": "yes"}
    return common | closed(properties, words)


def closed(properties: dict[str, Any], words: list[str]) -> dict[str, Any]:
    """Options of which the last ones are right."""
    count = properties["options"]["minItems"]
    letters = "ABCDEFGHIJ"[:count]
    several = properties.get("answers")
    good = several["minItems"] if several else 1
    options = [f"{words[n]} {tell(n >= count - good)}" for n in range(count)]
    answers = list(letters[count - good :])
    return {"options": options} | ({"answers": answers} if several else {"answer": answers[0]})


def tell(good: bool) -> str:
    """How the stub's options end."""
    return "good" if good else "poor"
