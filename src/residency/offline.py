"""offline: exam questions by rule, without a model or a word list of any domain.

    sentence ── a term of it taken out ──> stem + answer ── terms of its kind ──> options

Terms and their kinds come from `residency.terms`; `residency.phrasing` turns a plain English
sentence into a question, and any other is completed:

    cloze       The node is ruled by the Osk nerve; it ____.     each term of a sentence in turn
    question    What is the node ruled by?                       counted among the clozes
    action      What does the node do?                           likewise
    reversal    What rules the node?                             the same fact the other way round
    definition  Which term is described: "a node of the neck"?
    comparison  Which of these is true of the node but not of the sac?

No wrong option ever stands in the answer's passage, or in one sentence with the stem's term most
bound to the answer: it might be right as well. Wrong options come from the answer's chapter where
it has enough that are as much like it. In English they are also of its number, case and length,
and a sentence is left alone that leans on others ("These cells ...") or states nothing.
"""

from __future__ import annotations

import gc
import math
import random
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate, islice, pairwise
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from residency import phrasing
from residency.checks import Fault
from residency.records import Document, Question, Rejected
from residency.section import Section, Seed
from residency.terms import (
    BE,
    COMMON,
    DETERMINERS,
    MODALS,
    Place,
    Sentence,
    alike,
    cut,
    find,
    likelihood_ratios,
    listed,
    singular,
    tabled,
)
from residency.words import words

if TYPE_CHECKING:
    import numpy.typing as npt

    Array = npt.NDArray[Any]

BLANK = "____"
LONG = 30
"""A longer sentence is asked about by the clause that the answer stands in; in words."""

SHORT, TOO_LONG = 3, 80
"""A stem with fewer words asks nothing; with more, too much to be read as a question."""

ALIKE = 0.6
"""Options are at least so much like the answer as the one most like it, if enough terms are."""

LEAST, LEAST_MUTUAL, MUTUAL = 0.3, 0.12, 24
"""What is less like the answer is no wrong option, but a joke, unless each of the two is among
so many that are most like the other."""

BURST = 0.4
"""Least residual inverse document frequency, in bits, of an English word that is a term alone.

What a text is about comes in bursts; "amount" and "component" stand in all of it (Church and Gale
1995, https://aclanthology.org/W95-0110)."""

FEWEST_DOCUMENTS = 30
"""With fewer there is no telling bursts."""

LEAD = "Complete the statement: "
"""Stands before an English sentence with a blank."""

Form = Literal["cloze", "question", "action", "reversal", "definition", "comparison"]


class OfflineWriter(Section):
    """Questions by rule, without a model."""

    kind: Literal["offline"] = Field(description="The writer that needs no model.")
    cloze: int = Field(ge=0, description="Most cloze questions from one sentence.")
    definition: int = Field(ge=0, description="Most definition questions about one term.")
    reversal: int = Field(
        ge=0, description="Most questions from one sentence for what it is about."
    )
    comparison: int = Field(
        ge=0, description="Most questions about one term that tell it from another of its kind."
    )
    options: int = Field(ge=2, le=10, description="Options of each question.")
    seed: Seed = Field(description="Seed of the choice and order of options.")


@dataclass(frozen=True, slots=True)
class Draft:
    """A stem and its answer before there are options; terms are given by number."""

    form: Form
    stem: str
    answer: int  # of a comparison, the term that it is about
    about: tuple[int, ...]  # the terms left in the stem
    article: str  # a or an where it stands before the blank
    options: tuple[str, ...] = ()  # of a comparison, the right one first


@dataclass(frozen=True, slots=True)
class Fact:
    """What a plain sentence says of its subject."""

    term: int
    subject: str  # "the pellary node"
    told: str  # "makes glowmilk"
    about: frozenset[int]  # the other terms in it


def written(
    writer: OfflineWriter, documents: Iterable[Document], fault: Fault
) -> Iterator[Question | Rejected]:
    """Questions about documents, in their order, the right option first; and drafts dropped.

    A sentence gives at most `writer.cloze` questions for which `fault` tells no fault, so many
    reversals as `writer.reversal`, and a definition where it says what a term is. A sentence that
    nothing can be asked about is given as rejected.
    """
    with uncollected():
        text = Text(cut(documents))
    numbers: Counter[str] = Counter()
    limits = {"definition": writer.definition, "comparison": writer.comparison}
    spent: Counter[tuple[str, int]] = Counter()  # by form and term
    for number, sentence in enumerate(text.sentences):
        reason = text.unfit[number]
        if reason:
            yield _unasked(sentence, *reason)
            continue
        left = {"reversal": writer.reversal, "cloze": writer.cloze}
        asked: set[int] = set()
        for draft in text.drafts(number, writer.options):
            limited = draft.form in limits
            group = "reversal" if draft.form == "reversal" else "cloze"
            if limited:
                if spent[draft.form, draft.answer] >= limits[draft.form]:
                    continue
            elif not left[group] or draft.answer in asked:
                continue
            name = f"{sentence.document.id}:{numbers[sentence.document.id]}"
            numbers[sentence.document.id] += 1
            options = draft.options or text.options(
                draft, number, writer.options, f"{writer.seed} {name}"
            )
            if len(options) == writer.options:
                question, found = text.question(draft, sentence, name, options, fault)
            else:
                found = "too few distractors", ""
            if found:
                item = {"stem": draft.stem, "answer": options[0], "origin": _origin(sentence)}
                yield Rejected(id=name, reason=found[0], detail=found[1], item=item)
                continue
            if limited:
                spent[draft.form, draft.answer] += 1
            else:
                left[group] -= 1
                asked.add(draft.answer)
            yield question


@contextmanager
def uncollected() -> Iterator[None]:
    """Keep Python's collector of cycles from walking, then and later, what is made meanwhile.

    That are millions of tuples without a cycle; once nothing refers to them they are freed.
    """
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        if was_on:
            gc.enable()


def _origin(sentence: Sentence) -> dict[str, Any]:
    document = sentence.document
    return {
        "document": document.id,
        "file": document.file,
        "sha256": document.sha256,
        "start": sentence.start,
        "end": sentence.end,
    }


def _unasked(sentence: Sentence, reason: str, detail: str) -> Rejected:
    return Rejected(
        id=f"{sentence.document.id}@{sentence.start}",
        reason=reason,
        detail=detail,
        item={"sentence": sentence.text, "origin": _origin(sentence)},
    )


def chapter(document: Document) -> tuple[str, ...]:
    """What a document is a part of: two headings down from the title, or its file."""
    return document.section[:2] if len(document.section) > 1 else (document.file,)


class Text:
    """A corpus's sentences and terms, and what stands where."""

    def __init__(self, sentences: list[Sentence]) -> None:
        self.sentences = sentences
        self.table = tabled(sentences)
        self.terms = find(sentences, self.table)
        within: list[list[tuple[Place, int]]] = [[] for _ in sentences]
        for number, term in enumerate(self.terms):
            for place in term.places:
                within[place.sentence].append((place, number))
        self.within = [sorted(each) for each in within]
        self.told = [{place.sentence for place in term.places} for term in self.terms]
        self.counts = dict(
            zip(self.table.names, self.table.count(self.table.ids >= 0).tolist(), strict=True)
        )
        passages: dict[tuple[str, int], set[int]] = {each.passage: set() for each in sentences}
        for number, term in enumerate(self.terms):
            for passage in term.passages:
                passages[passage].add(number)
        self.passages = passages
        self.everywhere = {
            number
            for number, term in enumerate(self.terms)
            if len(term.passages) > max(5, len(passages) / 10)
        }
        self.lower = {
            word
            for each in sentences
            for word, start in zip(each.words[1:], each.starts[1:], strict=True)
            if each.text[start].islower()
        }
        common = self.table.are(COMMON | self.table.small_words())
        verbs = self.table.verbs(common) & ~common
        self.verbs = {self.table.names[each] for each in verbs.nonzero()[0].tolist()}
        attributes = self.table.attributes(common | verbs)
        self.attributes = {self.table.names[each] for each in attributes.nonzero()[0].tolist()}
        named = {word for term in self.terms if term.kind != "action" for word in term.words}
        content = ~common & ~verbs & self.table.are(named)
        self.content = {self.table.names[each] for each in content.nonzero()[0].tolist()}
        followed = self.table.count(content[self.table.after])
        often = 5 * followed > 3 * self.table.count(self.table.ids >= 0)
        self.modifiers = {self.table.names[each] for each in often.nonzero()[0].tolist()}
        self.chapters = {id(each.document): chapter(each.document) for each in sentences}
        self.moved, self.modifying = self._beside(
            self.table.are(MOVING)[self.table.before], content[self.table.after]
        )
        self.worth = [self._worth_asking(number) for number in range(len(self.terms))]
        self._see_terms()

    def _see_terms(self) -> None:
        """What options are chosen by, once for each term."""
        usable = [number for number, worth in enumerate(self.worth) if worth]
        near = alike([self.terms[number] for number in usable], self.sentences, 64, self.table)
        self.neighbours: list[dict[int, float]] = [{} for _ in self.terms]
        for number, others in zip(usable, near, strict=True):
            self.neighbours[number] = {usable[other]: score for other, score in others.items()}
        self.nearest = [frozenset(islice(near, MUTUAL)) for near in self.neighbours]
        self.stems = [frozenset(singular(word) for word in term.words) for term in self.terms]
        self.folded = [term.text.casefold() for term in self.terms]
        self.shapes = [_shape(term.text) for term in self.terms]
        self.rarest_word = [
            min(term.words, key=lambda word: (self.counts[word], word)) for term in self.terms
        ]
        self.standing = [
            {self.chapters[id(self.sentences[number].document)] for number in told}
            for told in self.told
        ]
        self.english = [
            self.sentences[term.places[0].sentence].document.language.startswith("en")
            for term in self.terms
        ]

    def _beside(self, first: Array, last: Array) -> tuple[list[int], list[int]]:
        """By term, at how many of its places the first word, and the last, is among these."""
        import numpy as np

        begin = self.table.begin
        term = np.repeat(np.arange(len(self.terms)), [len(each.places) for each in self.terms])
        places = np.array([at for each in self.terms for at in each.places], dtype=np.int64)
        which, start, end = places.reshape(-1, 3).T
        at_first, at_last = first[begin[which] + start], last[begin[which] + end - 1]
        size = len(self.terms)
        return np.bincount(term[at_first], minlength=size).tolist(), np.bincount(
            term[at_last], minlength=size
        ).tolist()

    def _worth_asking(self, number: int) -> bool:
        """Is a term a thing that the text is about, and no verb, attribute or everyday word?"""
        term = self.terms[number]
        first = self.sentences[term.places[0].sentence]
        if term.kind != "thing" or not first.document.language.startswith("en"):
            return True
        count = len(term.places)
        if 2 * self.moved[number] > count or 2 * self.modifying[number] > count:
            return False
        verbal = term.words[0] in self.verbs and self.moved[number] > 0
        if verbal or term.words[0] in VAGUE or term.words[0].endswith("ly"):
            return False
        if term.head in self.attributes:
            return False
        if len(term.words) > 1 or self._documents < FEWEST_DOCUMENTS:
            return True
        documents = {self.sentences[each].document.id for each in self.told[number]}
        expected = 1 - math.exp(-count / self._documents)
        burst = math.log2(self._documents * expected / len(documents))
        chapters = {self.chapters[id(self.sentences[each].document)] for each in self.told[number]}
        if 2 * len(chapters) > self._chapters:
            return False
        return number in self.defined or (burst >= BURST and term.head not in self.modifiers)

    @cached_property
    def _chapters(self) -> int:
        return len(set(self.chapters.values()))

    @cached_property
    def _documents(self) -> int:
        return len({sentence.document.id for sentence in self.sentences})

    @cached_property
    def defined(self) -> set[int]:
        """The terms that a glossary explains."""
        return {
            within[0][1]
            for sentence, within in zip(self.sentences, self.within, strict=True)
            if within and _entry(sentence, within[0][0])
        }

    def question(
        self, draft: Draft, sentence: Sentence, name: str, options: tuple[str, ...], fault: Fault
    ) -> tuple[Question, tuple[str, str] | None]:
        """The question of a draft, and what is wrong with it."""
        plain = words(draft.stem.removeprefix(LEAD).replace(BLANK, " "))
        question = Question(
            id=name,
            kind="single",
            context="",
            stem=draft.stem if draft.options else self.which(draft, options),
            options=options,
            answers=(0,),
            explanation=sentence.text,
            group=sentence.document.id,
            labels={"kind": draft.form},
            language=sentence.document.language,
            origin=_origin(sentence),
        )
        if len(plain) < SHORT:
            return question, ("too short", f"{len(plain)} words")
        if len(plain) > TOO_LONG:
            return question, ("too long", f"{len(plain)} words")
        if not draft.options and self.rarest_word[draft.answer] in plain:
            return question, ("answer in stem", "")
        return question, fault(question)

    @cached_property
    def unfit(self) -> list[tuple[str, str] | None]:
        """Why nothing can be asked about each sentence: reason and detail."""
        return [self._unfit(number) for number in range(len(self.sentences))]

    def _unfit(self, number: int) -> tuple[str, str] | None:
        sentence, within = self.sentences[number], self.within[number]
        if within and _entry(sentence, within[0][0]):
            return None
        things = {term for _, term in within if self.terms[term].kind != "action"}
        if len(things) < 2:
            return "too few terms", "a sentence that does not tell of two terms"
        if not sentence.document.language.startswith("en") or phrasing.row(sentence):
            return None
        if not phrasing.stating(sentence, self.verbs, self._inside(number)):
            return "no statement", "a heading or caption, or a sentence without a verb"
        if phrasing.leaning(sentence, within[0][0].first):
            return "leans on others", "understood only with other sentences, a picture or a reader"
        return None

    def drafts(self, number: int, options: int) -> Iterator[Draft]:
        """Drafts from one sentence: a definition, reversals, then clozes, and a comparison.

        Of the terms to be completed the one most bound to another comes first.
        """
        sentence, within = self.sentences[number], self.within[number]
        english = sentence.document.language.startswith("en")
        definition = self._definition(sentence, within)
        if definition:
            yield definition
        if within and _entry(sentence, within[0][0]):
            return
        inside = self._inside(number)
        wanted: list[tuple[Place, int, set[int]]] = []
        seen: set[int] = set()
        for place, term in self._ranked(number):
            others = {
                other for at, other in within if at.last <= place.first or at.first >= place.last
            } - {term}
            heading = sentence.text.startswith(":", sentence.ends[place.last - 1])
            telling = any(self.worth[other] for other in others - self.everywhere)
            if term in seen or heading or term in self.everywhere or not telling:
                continue
            whole = self.terms[term].kind != "thing" or self._whole(sentence, place)
            if not self.worth[term] or (english and not whole):
                continue
            seen.add(term)
            wanted.append((place, term, others))
        if not wanted:
            return
        clause = phrasing.clause(sentence, inside)
        for place, term, others in wanted if clause else ():
            if clause and self.terms[term].kind == "thing":
                told = phrasing.told_of(clause, place)
                stem = f"What {told}?" if told else phrasing.whose(clause, place, self.lower)
                if stem:
                    yield Draft("reversal", stem, term, self._left(others, stem), "")
        for place, term, others in wanted:
            kind = self.terms[term].kind
            stem = phrasing.asked(clause, place, kind, self.lower) if clause else ""
            form: Form = "action" if kind == "action" else "question" if stem else "cloze"
            if not stem:
                stem = self._cloze(sentence, place, [at for at, each in within if each == term])
            before = sentence.before(place.first) if place.first else ""
            article = before if before in ("a", "an") and BLANK in stem else ""
            yield Draft(form, stem, term, self._left(others, stem), article)
        fact = self.facts.get(number)
        if fact:
            yield from self._comparison(fact, options)

    def _inside(self, number: int) -> set[int]:
        """The places of a sentence's words that are within a thing or place."""
        return {
            at
            for place, term in self.within[number]
            if self.terms[term].kind != "action"
            for at in range(place.first, place.last)
        }

    def _left(self, others: set[int], stem: str) -> tuple[int, ...]:
        """The terms that a stem still names."""
        folded = stem.casefold()
        return tuple([other for other in sorted(others) if self.folded[other] in folded])

    def _whole(self, sentence: Sentence, place: Place) -> bool:
        """Is a term not only a part of a longer phrase, nor in brackets by itself?"""
        before = sentence.before(place.first) if place.first else ""
        if before in self.content or sentence.after(place.last - 1) in self.content:
            return False
        if before.endswith("ly"):
            return False
        start, end = sentence.starts[place.first], sentence.ends[place.last - 1]
        return not (
            sentence.text[start - 1 : start] in "([" and sentence.text[end : end + 1] in ")]"
        )

    def options(self, draft: Draft, number: int, count: int, seed: str) -> tuple[str, ...]:
        """The answer, then wrong terms of its kind; the answer alone if there are too few."""
        answer = self.terms[draft.answer]
        others = self._distractors(draft, number, count - 1, seed)
        return (answer.text, *(self.terms[other].text for other in others))

    def _distractors(self, draft: Draft, number: int, count: int, seed: str) -> list[int]:
        """`count` terms of the answer's kind that are wrong, or none if there are fewer.

        First those that stand in the same chapter; a farther one only where they are too few.
        """
        usable = self._usable(draft.answer)
        if len(usable) < count:
            return []
        sentence, bonds = self.sentences[number], self.bonds[draft.answer]
        bound = max(draft.about, key=lambda other: (bonds[other], -other), default=None)
        linked = self.bonds[bound] if bound is not None else {}
        beside = self.passages[sentence.passage]
        here = self.chapters[id(sentence.document)]
        vowel = _vowel(self.terms[draft.answer].text)
        taken: list[frozenset[str]] = []
        named: set[str] = set()  # all words of those taken
        near: list[int] = []
        far: list[int] = []
        least = 0.0
        for other, likeness in usable:
            if likeness < least and len(near) + len(far) >= count:
                break
            if (
                other in beside
                or other in linked
                or (draft.article and _vowel(self.terms[other].text) != vowel)
            ):
                continue
            stems = self.stems[other]
            if not stems.isdisjoint(named) and any(
                stems <= each or each <= stems for each in taken
            ):
                continue
            least = least or ALIKE * likeness
            taken.append(stems)
            named |= stems
            (near if here in self.standing[other] else far).append(other)
            if len(near) == 2 * count:
                break
        if len(near) + len(far) < count:
            return []
        chance = random.Random(seed)
        if len(near) >= count:
            return chance.sample(near[: 2 * count], count)
        return near + far[: count - len(near)]

    def _usable(self, answer: int) -> list[tuple[int, float]]:
        """The terms that could be wrong options beside an answer, most like it first."""
        found = self.usable.get(answer)
        if found is None:
            strict = self.english[answer] and self.terms[answer].kind == "thing"
            shape, mine = self.shapes[answer], self.stems[answer]
            found = self.usable[answer] = [
                (other, likeness)
                for other, likeness in self.neighbours[answer].items()
                if likeness >= LEAST_MUTUAL
                and (likeness >= LEAST or answer in self.nearest[other])
                and not (strict and not _fits(shape, self.shapes[other]))
                and not (self.stems[other] <= mine or mine <= self.stems[other])
                and (answer, other) not in self.same
            ]
        return found

    @cached_property
    def usable(self) -> dict[int, list[tuple[int, float]]]:
        """Of terms asked for so far, the possible wrong options."""
        return {}

    @cached_property
    def same(self) -> set[tuple[int, int]]:
        """Pairs of which the text says that one is the other: "A, also called B", "A is a B"."""
        pairs: set[tuple[int, int]] = set()
        for sentence, within in zip(self.sentences, self.within, strict=True):
            for (one, left), (two, right) in pairwise(within):
                if two.first - one.last > 4:
                    continue
                between = [sentence.folded(at) for at in range(one.last, two.first)]
                said = NAMING.intersection(between)
                text = sentence.text[sentence.ends[one.last - 1] : sentence.starts[two.first]]
                bracket = text.strip() in ("(", "[", "—")
                if bracket or (said and NAMED.issuperset(between)):
                    pairs |= {(left, right), (right, left)}
        return pairs

    @cached_property
    def bonds(self) -> list[dict[int, float]]:
        """For each term those it ever shares a sentence with: how surely they belong together."""
        import numpy as np
        from scipy.sparse import csr_array  # type: ignore[import-untyped]

        starts = [0, *accumulate(len(told) for told in self.told)]
        columns = [each for told in self.told for each in told]
        shape = len(self.terms), len(self.sentences)
        told = csr_array((np.ones(len(columns), dtype=np.int64), columns, starts), shape)
        both = told @ told.T
        sizes = np.diff(told.indptr).astype(np.int64)
        left = np.repeat(sizes, np.diff(both.indptr))
        ratios = likelihood_ratios(both.data, left, sizes[both.indices], len(self.sentences))
        others, bonds = both.indices.tolist(), ratios.tolist()
        return [
            dict(zip(others[a:b], bonds[a:b], strict=True))
            for a, b in pairwise(both.indptr.tolist())
        ]

    def _ranked(self, number: int) -> list[tuple[Place, int]]:
        """A sentence's terms in order: first those most bound to another of its terms.

        Last comes what is only a part of an action that can be asked for.
        """
        within = self.within[number]
        actions = [each for each in within if self.terms[each[1]].kind == "action"]

        def rank(each: tuple[Place, int]) -> tuple[Any, ...]:
            place, term = each
            _, first, last = place
            bonds = self.bonds[term]
            bound = max(
                (
                    bonds[other]
                    for (_, start, end), other in within
                    if other != term and (end <= first or start >= last)
                ),
                default=0.0,
            )
            covered = any(at.first <= first < at.last and other != term for at, other in actions)
            size = math.log2(1 + len(self.terms[term].words))
            return covered, -round(bound * size, 6), place

        return sorted(within, key=rank)

    def _definition(self, sentence: Sentence, within: list[tuple[Place, int]]) -> Draft | None:
        """From "T is a/an/the ..." or a glossary's "T: ...": which term is so described."""
        if not within:
            return None
        place, term = within[0]
        english = sentence.document.language.startswith("en")
        if _entry(sentence, place):
            told = sentence.text[sentence.ends[place.last - 1] + 1 :].strip()
        else:
            start = sentence.folded(0) in DETERMINERS
            if not english or place.first != start or self.terms[term].kind != "thing":
                return None
            if sentence.folded(place.last) not in BE or not sentence.together(0, place.last + 2):
                return None
            if sentence.folded(place.last + 1) not in ("a", "an", "the"):
                return None
            if not self.worth[term]:
                return None
            told = sentence.slice(place.last + 1, len(sentence.words))
        told = phrasing.without_references(told.replace('"', "'"))
        about = tuple(sorted({other for _, other in within[1:]} - {term}))
        lead = "Which term is described: " if english else ""
        stem = f'{lead}"{told}"?' if english else f"{BLANK}: {told}"
        return Draft("definition", stem, term, about, "")

    @cached_property
    def facts(self) -> dict[int, Fact]:
        """What plain English sentences say of their subjects, by sentence."""
        found: dict[int, Fact] = {}
        for number, (sentence, within) in enumerate(zip(self.sentences, self.within, strict=True)):
            if not within or not sentence.document.language.startswith("en"):
                continue
            (place, term), *rest = within
            if self.terms[term].kind != "thing" or term in self.everywhere or not self.worth[term]:
                continue
            if place.first > 1 or self.unfit[number]:
                continue
            clause = phrasing.clause(sentence, self._inside(number))
            told = phrasing.told_of(clause, place) if clause else ""
            about = frozenset(o for _, o in rest if o != term and o not in self.everywhere)
            named = {singular(word) for word in words(told)} & self.stems[term]
            if told and about and not named and 2 <= len(told.split()) <= LONG / 2:
                subject = phrasing.began(sentence, place.last, self.lower)
                found[number] = Fact(term, subject, told, about)
        return found

    @cached_property
    def known_of(self) -> dict[int, list[Fact]]:
        """The facts about each term, in order of the text."""
        result: defaultdict[int, list[Fact]] = defaultdict(list)
        for fact in self.facts.values():
            result[fact.term].append(fact)
        return result

    def _comparison(self, fact: Fact, options: int) -> Iterator[Draft]:
        """What is true of a term but not of another of its kind, which has a fact of its own.

        No wrong option tells of a thing that is anywhere named together with the term.
        """
        mine = self.bonds[fact.term]
        chosen: list[Fact] = []
        size = len(fact.told)
        verb = fact.told.split()[0]
        for other, likeness in self.neighbours[fact.term].items():
            if likeness < LEAST:
                break
            if (fact.term, other) in self.same or other not in self.known_of:
                continue
            if not _fits(self.shapes[fact.term], self.shapes[other]):
                continue
            if self.stems[other] & self.stems[fact.term] >= self.stems[other]:
                continue
            if not chosen and any(other in self.bonds[each] for each in fact.about):
                continue
            fits = [
                each
                for each in self.known_of[other]
                if 0.5 <= len(each.told) / size <= 2
                and mine.keys().isdisjoint(each.about)
                and each.told not in {one.told for one in chosen}
            ]
            if fits:
                chosen.append(min(fits, key=lambda each: each.told.split()[0] != verb))
            if len(chosen) == options - 1:
                break
        if len(chosen) < options - 1:
            return
        stem = f"Which of these is true of {fact.subject} but not of {chosen[0].subject}?"
        told = (fact.told, *(each.told for each in chosen))
        yield Draft("comparison", stem, fact.term, (), "", told)

    def which(self, draft: Draft, options: tuple[str, ...]) -> str:
        """The stem; it names the kind where all options are of one: "Which nerve governs ...?"."""
        heads = {option.split()[-1].casefold() for option in options}
        named = draft.form in ("question", "reversal") and len(heads) == 1 and len(options) > 1
        if not named or not all(" " in option for option in options):
            return draft.stem
        if draft.stem.startswith("What "):
            return f"Which {heads.pop()} {draft.stem.removeprefix('What ')}"
        if draft.stem.endswith(" what?"):
            return f"{draft.stem.removesuffix('what?')}which {heads.pop()}?"
        return draft.stem

    def _cloze(self, sentence: Sentence, place: Place, hidden: list[Place]) -> str:
        """The sentence with a term blanked wherever it stands; a clause of it if it is long."""
        text, low, high = sentence.text, 0, len(sentence.text)
        if len(sentence.words) > LONG:
            ends = [match.end() for match in _CLAUSE_END.finditer(text)]
            low = max([low, *(e for e in ends if e <= sentence.starts[place.first])])
            high = min([high, *(e for e in ends if e >= sentence.ends[place.last - 1])])
        for at in sorted(hidden, reverse=True):
            start, end = sentence.starts[at.first], sentence.ends[at.last - 1]
            if low <= start and end <= high:
                text = text[:start] + BLANK + text[end:]
                high += len(BLANK) - (end - start)
        text = text[low:high].lstrip("-*+•– ").rstrip(" ,;:—")
        if text.count('"') % 2:
            text = text.replace('"', "")
        text = text[:1].upper() + text[1:]
        english = sentence.document.language.startswith("en")
        return LEAD + phrasing.without_references(text) if english else text


_CLAUSE_END = re.compile(r"[;:—；：](?:\s+(?:and|but|or)\b)?|--")


VAGUE = listed(
    """additional adequate common deepest different entire excessive general greater individual
    larger largest lesser main major many minor multiple net normal overall particular primary
    relative remaining same several similar single small smaller smallest specific sufficient
    surrounding total typical underlying various whole"""
)
"""A term that begins with one of these is no name; it would often be right as well."""

MOVING = MODALS | {"to", "which", "who", "not", "you", "he", "she", "we", "they", "it", "them"}
"""After these stands a verb."""

NAMING = frozenset(["or", "called", "known", "is", "are", "termed", "named"])
NAMED = NAMING | {"also", "as", "a", "an", "the", "type", "types", "kind", "form", "example", "of"}
"""Between two names of one thing stand only such words, one of the first among them."""


def _entry(sentence: Sentence, place: Place) -> bool:
    """Does a glossary's entry explain the term at a place?"""
    if sentence.document.part != "glossary" or place.first:
        return False
    end = sentence.ends[place.last - 1]
    return sentence.text[end : end + 1] in (":", "：")


def _shape(text: str) -> tuple[bool, str, int, int]:
    """Plural or not; small letters, a capital, or more; length in characters and words."""
    plural = text.endswith("s") and not text.endswith(("ss", "us", "is"))
    rest = text[1:]
    marked = rest != rest.lower() or any(each.isdigit() for each in text)
    letters = "marked" if marked else "capital" if text[:1].isupper() else "small"
    return plural, letters, len(text), text.count(" ") + 1


def _fits(one: tuple[bool, str, int, int], other: tuple[bool, str, int, int]) -> bool:
    """Is a wrong option no giveaway beside the answer?"""
    if one[:2] != other[:2] or abs(one[3] - other[3]) > 1:
        return False
    short, long = sorted((one[2], other[2]))
    return long <= max(2.5 * short, short + 6)


def _vowel(text: str) -> bool:
    return text[:1].lower() in "aeiou"
