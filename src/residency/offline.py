"""offline: exam questions by rule, without a model or a word list of any domain.

    sentence ── a term of it taken out ──> stem + answer ── terms of its kind ──> options

Terms and their kinds come from `residency.terms`. In
English a simple sentence is turned into a question ("What is confirmed by the Osk drop test?"); any
other is completed ("... is confirmed by ____."). Each term of a sentence is asked for in turn, so a
fact is asked in both directions. No wrong option ever stands in the answer's passage, or in one
sentence with the stem's term most bound to the answer: it might be right as well.
"""

from __future__ import annotations

import math
import random
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import Field

from residency.checks import Fault
from residency.records import Document, Question, Rejected
from residency.section import Section, Seed
from residency.terms import (
    ARTICLES,
    AUXILIARIES,
    BE,
    CLAUSE,
    COMMON,
    DETERMINERS,
    ENDS_IN_S,
    REFERRING,
    VERBS,
    Place,
    Sentence,
    alike,
    cut,
    find,
    likelihood_ratio,
)
from residency.words import words

BLANK = "____"
LONG = 30
"""A longer sentence is asked about by the clause that the answer stands in; in words."""

SHORT, TOO_LONG = 3, 80
"""A stem with fewer words asks nothing; with more, too much to be read as a question."""

ALIKE = 0.6
"""Options are at least so much like the answer as the one most like it, if enough terms are."""

LEAD = "Complete the statement: "
"""Stands before an English sentence with a blank."""

Form = Literal["cloze", "question", "action", "definition"]


class OfflineWriter(Section):
    """Cloze and definition questions by rule, without a model."""

    kind: Literal["offline"] = Field(description="The writer that needs no model.")
    cloze: int = Field(ge=0, description="Most cloze questions from one sentence.")
    definition: int = Field(ge=0, description="Most definition questions about one term.")
    options: int = Field(ge=2, le=10, description="Options of each question.")
    seed: Seed = Field(description="Seed of the choice and order of options.")


@dataclass(frozen=True, slots=True)
class Draft:
    """A stem and its answer before there are options; terms are given by number."""

    form: Form
    stem: str
    answer: int
    about: tuple[int, ...]  # the terms left in the stem
    article: str  # a or an where it stands before the blank


def written(
    writer: OfflineWriter, documents: Iterable[Document], fault: Fault
) -> Iterator[Question | Rejected]:
    """Questions about documents, in their order, the right option first; and drafts dropped.

    A sentence gives at most `writer.cloze` questions for which `fault` tells no fault, and a
    definition where it says what a term is. A sentence that nothing can be asked about is given
    as rejected.
    """
    text = Text(cut(documents))
    numbers: Counter[str] = Counter()
    defined: Counter[int] = Counter()
    for number, sentence in enumerate(text.sentences):
        drafts = list(text.drafts(number))
        if not drafts:
            yield _untold(sentence)
        taken = 0
        for draft in drafts:
            definition = draft.form == "definition"
            if defined[draft.answer] >= writer.definition if definition else taken >= writer.cloze:
                continue
            name = f"{sentence.document.id}:{numbers[sentence.document.id]}"
            numbers[sentence.document.id] += 1
            others = text.distractors(draft, sentence, writer.options - 1, f"{writer.seed} {name}")
            stem, answer = draft.stem, text.terms[draft.answer].text
            length = len(words(stem.removeprefix(LEAD).replace(BLANK, " ")))
            question = Question(
                id=name,
                kind="single",
                context="",
                stem=_which(draft, {text.terms[t].head for t in (draft.answer, *others)}),
                options=(answer, *(text.terms[other].text for other in others)),
                answers=(0,),
                explanation=sentence.text,
                group=sentence.document.id,
                labels={"kind": draft.form},
                language=sentence.document.language,
                origin=_origin(sentence),
            )
            faults = [
                (length < SHORT, "too short", f"{length} words"),
                (length > TOO_LONG, "too long", f"{length} words"),
                (text.rarest_word(draft.answer) in words(stem), "answer in stem", ""),
                (not others, "too few distractors", ""),
            ]
            found = next((each[1:] for each in faults if each[0]), None) or fault(question)
            if found:
                item = {"stem": stem, "answer": answer, "origin": _origin(sentence)}
                yield Rejected(id=name, reason=found[0], detail=found[1], item=item)
                continue
            defined[draft.answer] += definition
            taken += not definition
            yield question


def _origin(sentence: Sentence) -> dict[str, Any]:
    document = sentence.document
    return {
        "document": document.id,
        "file": document.file,
        "sha256": document.sha256,
        "start": sentence.start,
        "end": sentence.end,
    }


def _untold(sentence: Sentence) -> Rejected:
    return Rejected(
        id=f"{sentence.document.id}@{sentence.start}",
        reason="too few terms",
        detail="a sentence that does not tell of two terms, one of them worth asking for",
        item={"sentence": sentence.text, "origin": _origin(sentence)},
    )


class Text:
    """A corpus's sentences and terms, and what stands where."""

    def __init__(self, sentences: list[Sentence]) -> None:
        self.sentences = sentences
        self.terms = find(sentences)
        self.neighbours = alike(self.terms, sentences, 64)
        self.within: defaultdict[int, list[tuple[Place, int]]] = defaultdict(list)
        for number, term in enumerate(self.terms):
            for place in term.places:
                self.within[place.sentence].append((place, number))
        self.told = [{place.sentence for place in term.places} for term in self.terms]
        self.counts = Counter(word.folded for each in sentences for word in each.words)
        passages = {sentence.passage for sentence in sentences}
        self.everywhere = {
            number
            for number, term in enumerate(self.terms)
            if len(term.passages) > max(5, len(passages) / 10)
        }
        self.lower = {
            word.folded
            for each in sentences
            for word in each.words[1:]
            if each.text[word.start].islower()
        }

    def drafts(self, number: int) -> Iterator[Draft]:
        """Drafts from one sentence: a definition, then one for each term, the most bound first."""
        sentence, within = self.sentences[number], sorted(self.within[number])
        things = {term for _, term in within if self.terms[term].kind != "action"}
        named = [place for place, term in within if term in things]
        inside = {at for place in named for at in range(place.first, place.last)}
        if len(things) < 2:
            return
        definition = self._definition(sentence, within)
        if definition:
            yield definition
        seen: set[int] = set()
        for place, term in sorted(within, key=lambda each: self._rank(number, *each)):
            others = {
                other for at, other in within if at.last <= place.first or at.first >= place.last
            } - {term}
            heading = sentence.text[sentence.words[place.last - 1].end :].startswith(":")
            common = heading or term in self.everywhere
            if term in seen or common or not others - self.everywhere:
                continue
            seen.add(term)
            kind = self.terms[term].kind
            stem = _question(sentence, place, kind, inside, self.lower)
            form: Form = "action" if kind == "action" else "question" if stem else "cloze"
            if not stem:
                stem = self._cloze(sentence, place, [at for at, each in within if each == term])
            told = [o for o in sorted(others) if self.terms[o].text.casefold() in stem.casefold()]
            before = sentence.before(place.first) if place.first else ""
            article = before if before in ("a", "an") and BLANK in stem else ""
            yield Draft(form, stem, term, tuple(told), article)

    def distractors(
        self, draft: Draft, sentence: Sentence, count: int, seed: str
    ) -> tuple[int, ...]:
        """`count` terms of the answer's kind that are wrong, or none if there are fewer."""
        answer = self.terms[draft.answer]
        bound = max(
            draft.about, key=lambda other: (self._bond(draft.answer, other), -other), default=None
        )
        linked = {
            other
            for told in (self.told[bound] if bound is not None else ())
            for _, other in self.within[told]
        }
        texts = {answer.text.casefold()}
        fit: dict[int, float] = {}
        for number, likeness in self.neighbours[draft.answer].items():
            other = self.terms[number]
            if (
                number in linked
                or sentence.passage in other.passages
                or set(other.words) <= set(answer.words)
                or set(answer.words) <= set(other.words)
                or other.text.casefold() in texts
                or (draft.article and _vowel(other.text) != _vowel(answer.text))
            ):
                continue
            texts.add(other.text.casefold())
            fit[number] = likeness
            if len(fit) == 2 * count:
                break
        if len(fit) < count:
            return ()
        good = [number for number, likeness in fit.items() if likeness >= ALIKE * max(fit.values())]
        pool = good if len(good) >= count else list(fit)[:count]
        return tuple(random.Random(seed).sample(pool, count))

    def rarest_word(self, term: int) -> str:
        """The word that tells a term from others."""
        return min(self.terms[term].words, key=lambda word: (self.counts[word], word))

    def _rank(self, number: int, place: Place, term: int) -> tuple[Any, ...]:
        """A sentence's terms in order: first those most bound to another of its terms.

        Last comes what is only a part of an action that can be asked for.
        """
        apart = [
            other
            for at, other in self.within[number]
            if other != term and (at.last <= place.first or at.first >= place.last)
        ]
        covered = any(
            at.first <= place.first < at.last
            for at, other in self.within[number]
            if other != term and self.terms[other].kind == "action"
        )
        bound = max((self._bond(term, other) for other in apart), default=0.0)
        return covered, -round(bound * math.log2(1 + len(self.terms[term].words)), 6), place

    def _bond(self, one: int, other: int) -> float:
        left, right = self.told[one], self.told[other]
        return likelihood_ratio(len(left & right), len(left), len(right), len(self.sentences))

    def _definition(self, sentence: Sentence, within: list[tuple[Place, int]]) -> Draft | None:
        """From "T is a/an/the ...": which term is so described."""
        place, term = within[0]
        english = sentence.document.language.startswith("en")
        start = sentence.folded(0) in DETERMINERS
        if not english or place.first != start or self.terms[term].kind != "thing":
            return None
        if sentence.folded(place.last) not in BE or not sentence.together(0, place.last + 2):
            return None
        if sentence.folded(place.last + 1) not in ("a", "an", "the"):
            return None
        told = sentence.slice(place.last + 1, len(sentence.words)).replace('"', "'")
        about = tuple(sorted({other for _, other in within[1:]} - {term}))
        return Draft("definition", f'Which term is described: "{told}"?', term, about, "")

    def _cloze(self, sentence: Sentence, place: Place, hidden: list[Place]) -> str:
        """The sentence with a term blanked wherever it stands; a clause of it if it is long."""
        text, low, high = sentence.text, 0, len(sentence.text)
        if len(sentence.words) > LONG:
            ends = [match.end() for match in _CLAUSE_END.finditer(text)]
            low = max([low, *(e for e in ends if e <= sentence.words[place.first].start)])
            high = min([high, *(e for e in ends if e >= sentence.words[place.last - 1].end)])
        for at in sorted(hidden, reverse=True):
            start, end = sentence.words[at.first].start, sentence.words[at.last - 1].end
            if low <= start and end <= high:
                text = text[:start] + BLANK + text[end:]
                high += len(BLANK) - (end - start)
        text = text[low:high].lstrip("-*+•– ").rstrip(" ,;:—")
        if text.count('"') % 2:
            text = text.replace('"', "")
        text = text[:1].upper() + text[1:]
        english = sentence.document.language.startswith("en")
        return LEAD + text if english else text


_CLAUSE_END = re.compile(r"[;:—；：](?:\s+(?:and|but|or)\b)?|--")


def _question(
    sentence: Sentence, place: Place, kind: str, inside: set[int], lower: set[str]
) -> str:
    """An English sentence's first clause turned into a question for a term; empty if not simple.

    T governs the node      What governs the node?
    The node makes T        What does the node make?
    The node is ruled by T  What is the node ruled by?
    The node lies under T   Where does the node lie?     (T a place)
    The node T              What does the node do?       (T an action)
    """
    words, end = [word.folded for word in sentence.words], len(sentence.words)
    for at in range(1, end):
        if sentence.words[at].apart or words[at] in CLAUSE - {"for", "before", "after", "than"}:
            end = at
            break
    told = sentence.slice(0, end)
    first = place.first - (place.first > 0 and words[place.first - 1] in DETERMINERS)
    if (
        not sentence.document.language.startswith("en")
        or place.last > end
        or (REFERRING | {"what"}) & set(words[:end])
        or not told[-1:].isalnum()
        or not (words[0] in ARTICLES or words[0] not in COMMON)
    ):
        return ""

    def says(at: int) -> bool:
        verb = words[at] in AUXILIARIES | VERBS or ENDS_IN_S.fullmatch(words[at])
        return bool(verb) and at not in inside

    joined = next((at for at in range(end) if words[at] in ("and", "or")), end)
    verb = next((at for at in range(1, end) if says(at)), 0)
    if not verb or any(says(at) for at in range(joined, end)):
        return ""
    if first == 0 and kind == "thing":
        return f"What {sentence.slice(place.last, end)}?" if verb == place.last else ""
    subject = sentence.slice(0, verb)
    if words[0] in lower or words[0] in COMMON:
        subject = subject[:1].lower() + subject[1:]
    rest = f" {sentence.slice(verb + 1, first)}".rstrip()
    if place.last != end or verb - 1 not in inside or (verb > first and kind != "action"):
        return ""
    if kind == "action":
        return f"What does {subject} do?" if verb == place.first else ""
    asked = "Where" if kind == "place" else "What"
    if words[verb] in AUXILIARIES - {"has", "have", "had"}:
        return f"{asked} {words[verb]} {subject}{rest}?"
    if words[verb].endswith("s"):
        return f"{asked} does {subject} {_infinitive(words[verb])}{rest}?"
    return ""


def _infinitive(verb: str) -> str:
    """An English verb in -s without it: carries, reaches, does, has, makes."""
    if verb == "has":
        return "have"
    if verb.endswith("ies") and len(verb) > 4:
        return verb[:-3] + "y"
    return verb[:-2] if verb.endswith(("sses", "shes", "ches", "xes", "zes", "oes")) else verb[:-1]


def _which(draft: Draft, heads: set[str]) -> str:
    """The stem, which names the kind where all options are of one: "Which nerve governs ...?"."""
    named = draft.form == "question" and draft.stem.startswith("What ") and len(heads) == 1
    return f"Which {heads.pop()} {draft.stem.removeprefix('What ')}" if named else draft.stem


def _vowel(text: str) -> bool:
    return text[:1].lower() in "aeiou"
