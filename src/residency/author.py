"""author: exam questions by a model: what it is asked, and how its reply is read.

    passage ── item: kind and number ── prompt + JSON schema ──> Request
    Reply ── JSON of that schema? ── evidence found in the passage? ──> Question(s), with origin

A model is asked for one item at a time: a question, or a case with its questions. It quotes the
passage as evidence; the quotation is looked for there and its place recorded.
"""

from __future__ import annotations

import random
import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from residency import asking
from residency.answers import Reply, Request, loads, object_of, whole
from residency.passages import Passage, extracted, sentences
from residency.records import Kind, Question
from residency.section import Name, Section, Seed, draw

LEAST, MOST = 3, 8
"""Questions of a progressive case."""

SCALE = ("yes", "no", "maybe")
"""Options of a judgement, as in PubMedQA."""

LETTERS = "ABCDEFGHIJ"

Difficulty = Literal["easy", "medium", "hard"]


class Examples(Section):
    """Questions of an exam shown to the writer; always of its train split."""

    exam: Name = Field(description="The exam; its dev and test splits are never shown.")
    count: int = Field(ge=1, le=20, description="How many, drawn for each passage.")


class ModelWriter(Section):
    """Questions by a model: served, adopted or trained."""

    kind: Literal["model"] = Field(description="The writer that is a model.")
    model: Name = Field(description="The model, one of models.")
    how_many: dict[Kind, Annotated[int, Field(ge=1)]] = Field(
        min_length=1, description="Requests for each passage, by kind of question."
    )
    options: int = Field(
        ge=2, le=10, description="Options of each question; propositions where it has these."
    )
    passage_words: int = Field(ge=10, description="Longest passage, in words of whole paragraphs.")
    examples: Examples | None = Field(description="Questions to follow; null for none.")
    evidence: Literal["quote", "sentence"] = Field(
        description="quote: the model copies a stretch of the passage; sentence: the JSON schema "
        "has it choose one of the passage's sentences, which small models need, and some services "
        "are slow with, as each passage then has a schema of its own."
    )
    difficulty: Difficulty | None = Field(description="How hard; null leaves it to the model.")
    language: str | None = Field(
        min_length=2, description="BCP 47 tag of the questions; null for the document's."
    )
    prompt: str | None = Field(
        min_length=1, description="Path of a prompt of your own (docs/questions.md); null for ours."
    )
    temperature: Annotated[float, Field(ge=0, le=2)] | None = Field(
        description="0 takes the likeliest word; null leaves it to the server."
    )
    max_tokens: int = Field(ge=1, description="Longest reply, in the model's tokens.")
    seed: Seed = Field(description="Seed of replies, examples and the order of options.")

    @model_validator(mode="after")
    def _room_for_several(self) -> ModelWriter:
        if "multiple" in self.how_many and self.options < 3:
            raise ValueError("multiple needs 3 options or more, of which 2 are right")
        return self


class Unusable(Exception):
    """A reply, or a part of one, that is no question: a countable reason, and the detail."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """What is asked for at once: a question about a passage, or a case."""

    passage: Passage
    kind: Kind
    number: int  # of this kind on this passage, from 1

    @property
    def id(self) -> str:
        """Unlike any other's; changes if the passage does."""
        return f"{self.passage.id}:{self.kind}{self.number}"


def items(writer: ModelWriter, passage: Passage) -> list[Item]:
    """What is asked about a passage, in the order of asking: one of each kind, then again."""
    most = max(writer.how_many.values())
    return [
        Item(passage=passage, kind=kind, number=number)
        for number in range(1, most + 1)
        for kind, count in writer.how_many.items()
        if number <= count
    ]


def prompts(writer: ModelWriter) -> dict[Kind, asking.Prompt]:
    """The file of prompts by kind of question."""
    return {kind: asking.prompt("frame.jinja", writer.prompt) for kind in writer.how_many}


def check_prompt(writer: ModelWriter, root: Path) -> None:
    """Raise Complaint for a prompt of the user's own that cannot be rendered."""
    if writer.prompt:
        own = prompts(writer.model_copy(update={"prompt": (root / writer.prompt).as_posix()}))
        for kind, each in own.items():
            for shown in ([], ["?"]):
                each.render([], **_values(writer, kind, "?", (), "en", shown, shown, 2))


def request(
    writer: ModelWriter,
    item: Item,
    prompt: asking.Prompt,
    examples: Sequence[Question],
    asked: Sequence[str],
) -> Request:
    """What the model is asked; `asked`: stems it already wrote about the passage."""
    document, text = item.passage.document, item.passage.text
    told = [example_text(each) for each in examples]
    right = _right(writer, item)
    language = writer.language or document.language
    values = _values(writer, item.kind, text, document.section, language, told, list(asked), right)
    system, user = prompt.render([text, *document.section, *told, *asked], **values)
    return Request(
        system=system,
        user=user,
        schema=schema(
            item.kind,
            writer.options,
            right,
            sentences(text) if writer.evidence == "sentence" else None,
        ),
        temperature=writer.temperature,
        max_tokens=writer.max_tokens,
        seed=draw(writer.seed, item.id) % 2**31,
    )


def shown(
    writer: ModelWriter, item: Item, pool: Mapping[str, Sequence[Question]]
) -> list[Question]:
    """The examples for one passage: of its kind, if the exam has any, else of all ("")."""
    if writer.examples is None:
        return []
    among = pool.get(item.kind) or pool[""]
    chance = random.Random(f"{writer.seed} {item.passage.id} {item.kind}")
    return chance.sample(among, min(writer.examples.count, len(among)))


def by_kind(questions: Iterable[Question]) -> dict[str, list[Question]]:
    """Examples to draw from, by kind, and all of them under ""."""
    found: dict[str, list[Question]] = {"": []}
    for each in questions:
        found.setdefault(each.kind, []).append(each)
        found[""].append(each)
    return found


def example_text(question: Question) -> str:
    """A question with its answer, as an example."""
    lines = [question.asked]
    lines += [f"{letter}. {each}" for letter, each in zip(LETTERS, question.options, strict=False)]
    told = ", ".join(LETTERS[each] for each in question.answers if each < len(LETTERS))
    lines.append(f"Answer: {told or question.reference or '-'}")
    return "\n".join(lines)


def schema(
    kind: Kind, options: int, right: int, evidence: list[str] | None = None
) -> dict[str, Any]:
    """JSON schema of a reply; evidence comes first, so that the question is made from it.

    `evidence`: the only texts that may be quoted; None for any.
    """
    text = {"type": "string"}
    quote = {"type": "string", "enum": evidence} if evidence else text
    letter = {"type": "string", "enum": list(LETTERS[:options])}
    closed = {"stem": text, "options": _list(text, options, options), "answer": letter}
    match kind:
        case "single":
            return object_of(quote=quote, **closed, explanation=text)
        case "multiple":
            answers = _list(letter, right, right)
            several = {"stem": text, "options": _list(text, options, options), "answers": answers}
            return object_of(quote=quote, **several, explanation=text)
        case "judgement":
            scale = {"type": "string", "enum": list(SCALE)}
            return object_of(quote=quote, stem=text, answer=scale, explanation=text)
        case "propositions":
            one = object_of(text=text, true={"type": "boolean"})
            several = {"stem": text, "propositions": _list(one, options, options)}
            return object_of(quote=quote, **several, explanation=text)
        case "open":
            return object_of(quote=quote, stem=text, reference=text, explanation=text)
        case "progressive":
            step = object_of(quote=quote, news=text, **closed, explanation=text)
            return object_of(case=text, questions=_list(step, LEAST, MOST))


def read(writer: ModelWriter, item: Item, reply: Reply) -> list[Question | Unusable]:
    """The questions of a reply, in their order; in the place of one that is none, why.

    Raises Unusable where the reply as a whole is not JSON of its schema.
    """
    if reply.finish == "length":
        raise Unusable("cut off", f"at {writer.max_tokens} tokens: {reply.text[-80:]!r}")
    try:
        values = loads(reply.text)
    except ValueError as error:
        raise Unusable("not parsed", f"not JSON: {error}") from None
    values = _mapping(values, "the reply")
    draft = partial(_question, writer, item, reply)
    if item.kind != "progressive":
        return [_or_why(draft, values)]
    case = _text(values, "case")
    steps = _several(values, "questions")
    if not LEAST <= len(steps) <= MOST:
        detail = f"{len(steps)} questions, expected {LEAST} to {MOST}"
        raise Unusable("case too short" if len(steps) < LEAST else "not parsed", detail)
    found: list[Question | Unusable] = []
    told = case
    for order, step in enumerate(steps, 1):
        one = _or_why(draft, step)
        if isinstance(one, Question):
            try:
                told = f"{told}\n\n{_text(step, 'news', empty=True)}".strip()
            except Unusable as why:
                found.append(why)
                continue
            one = replace(
                one, id=f"{item.id}.{order}", kind="progressive", form="single",
                context=told, group=item.id, order=order,
            )  # fmt: skip
        found.append(one)
    return found


def locate(quote: str, text: str) -> tuple[int, int] | None:
    """Where `text` holds `quote`, but for case, white space, quotation marks and hyphens.

    Offsets in characters; the first place if there are several.
    """
    wanted, _ = _folded(quote.strip(_ENDS))
    if not wanted.strip():
        return None
    told, places = _folded(text)
    at = told.find(wanted.strip())
    if at < 0:
        return None
    last = places[at + len(wanted.strip()) - 1]
    return places[at], last + 1


def _or_why(draft: partial[Question], values: Any) -> Question | Unusable:
    try:
        return draft(_mapping(values, "a question"))
    except Unusable as why:
        return why


def _question(writer: ModelWriter, item: Item, reply: Reply, values: dict[str, Any]) -> Question:
    """The question of some values of a reply; raises Unusable."""
    kind = item.kind
    options: tuple[str, ...] = ()
    answers: tuple[int, ...] = ()
    document, passage = item.passage.document, item.passage
    if kind == "judgement":
        options, answers = SCALE, _chosen([values.get("answer")], SCALE)
    elif kind == "propositions":
        said = [_mapping(each, "a proposition") for each in _several(values, "propositions")]
        options = _so_many(writer, (_text(each, "text") for each in said))
        if any(not isinstance(each.get("true"), bool) for each in said):
            raise Unusable("not parsed", '"true" of a proposition is not true or false')
        answers = tuple(place for place, each in enumerate(said) if each["true"])
    elif kind != "open":
        told = _several(values, "options")
        options = _so_many(writer, (_text({"": each}, "") for each in told))
        many = kind == "multiple"
        named = _several(values, "answers") if many else [values.get("answer")]
        answers = _chosen(named, LETTERS[: len(options)])
        right = _right(writer, item)
        if many and len(answers) != right:
            detail = f"{len(answers)} named right, {right} asked for"
            raise Unusable("wrong number of right answers", detail)
    place = locate(quote := _text(values, "quote"), passage.text)
    if place is None:
        raise Unusable("quote not in passage", repr(quote))
    start, end = (passage.start + each for each in place)
    evidence = {"quote": document.text[start:end], "reply": reply.key, "model": reply.model}
    return Question(
        id=item.id,
        kind=kind,
        context="",
        stem=_text(values, "stem"),
        options=options,
        answers=answers,
        explanation=_text(values, "explanation"),
        group=document.id,
        labels={"kind": kind} | ({"difficulty": writer.difficulty} if writer.difficulty else {}),
        language=writer.language or document.language,
        origin=origin(passage, start, end) | evidence,
        reference=_text(values, "reference") if kind == "open" else "",
    )


def origin(passage: Passage, start: int, end: int) -> dict[str, Any]:
    """Where a question's evidence stands: in its document, and that in its raw file."""
    document = passage.document
    return {
        "document": document.id,
        "file": document.file,
        "sha256": document.sha256,
        "section": list(document.section),
        "pages": list(document.pages) if document.pages else None,
        "start": start,
        "end": end,
        "passage": [passage.start, passage.end],
        "extracted": list(extracted(document, start, end)),
    }


def _values(
    writer: ModelWriter,
    kind: Kind,
    passage: str,
    section: Sequence[str],
    language: str,
    examples: Sequence[str],
    asked: Sequence[str],
    right: int,
) -> dict[str, Any]:
    """What a prompt can speak of (docs/questions.md lists it)."""
    return {
        "kind": kind,
        "passage": passage,
        "section": list(section),
        "language": language,
        "examples": list(examples),
        "asked": list(asked),
        "options": writer.options,
        "letters": LETTERS[: writer.options],
        "right": right,
        "difficulty": writer.difficulty,
        "least": LEAST,
        "most": MOST,
    }


def _right(writer: ModelWriter, item: Item) -> int:
    """How many options of a multiple question are to be right: from 2 to all but one."""
    return 2 + draw(writer.seed, f"{item.id} right") % max(1, writer.options - 2)


def _list(of: Any, least: int, most: int) -> dict[str, Any]:
    return {"type": "array", "items": of, "minItems": least, "maxItems": most}


_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")


def _mapping(values: Any, what: str) -> dict[str, Any]:
    if not isinstance(values, dict):
        raise Unusable("not parsed", f"{what} is no JSON object: {values!r:.80}")
    return values


def _text(values: dict[str, Any], key: str, *, empty: bool = False) -> str:
    """A text of a reply, its white space at both ends removed; raises Unusable."""
    value = values.get(key)
    if not isinstance(value, str) or not (empty or value.strip()):
        raise Unusable("not parsed", f"{key or 'an option'}: expected a text, found {value!r:.80}")
    return unicodedata.normalize("NFC", _CONTROL.sub(" ", whole(value))).strip()


def _several(values: dict[str, Any], key: str) -> list[Any]:
    value = values.get(key)
    if not isinstance(value, list):
        raise Unusable("not parsed", f"{key}: expected a list, found {value!r:.80}")
    return value


def _so_many(writer: ModelWriter, options: Iterable[str]) -> tuple[str, ...]:
    found = tuple(options)
    if len(found) != writer.options:
        detail = f"{len(found)}, expected {writer.options}"
        raise Unusable("wrong number of options", detail)
    return found


def _chosen(named: Iterable[Any], among: Sequence[str]) -> tuple[int, ...]:
    """Indexes of answers named by letter, or by word of a scale; raises Unusable."""
    named = list(named)
    for each in named:
        if each not in list(among):
            detail = f"answer {each!r:.80}; known: {', '.join(among)}"
            raise Unusable("wrong number of right answers", detail)
    found = tuple(sorted({list(among).index(each) for each in named}))
    if not found:
        raise Unusable("wrong number of right answers", "none")
    return found


_ALIKE = str.maketrans(
    dict.fromkeys("‘’‚‛′`´", "'")
    | dict.fromkeys("“”„‟″«»「」『』", '"')
    | dict.fromkeys("‐‑‒–—―−﹣－", "-")
    | dict.fromkeys("\u00ad\u200b\u2060\ufeff", None)
)
_ENDS = " \t\n\r\"'“”‘’„«»「」『』.…。"


def _folded(text: str) -> tuple[str, list[int]]:
    """A text for comparing, and for each of its characters where it stood."""
    told: list[str] = []
    places: list[int] = []
    for place, character in enumerate(text):
        plain = unicodedata.normalize("NFKC", character.translate(_ALIKE)).casefold()
        for each in plain:
            if each.isspace():
                if not told or told[-1] == " ":
                    continue
                each = " "
            told.append(each)
            places.append(place)
    return "".join(told), places
