"""Exam questions in a text or in another question: how an exam is kept out of what a model learns.

    known = index(kept_out(paths), section)
    for leak in leaks(paragraphs, known): ...   # which paragraphs, whose question, both quotes
    leak = copied(question, known)              # the exam's question that this one repeats, or None

    text ── runs of `ngram` words ── known ones, by question ── enough in one window?
                                                                    └─ compared word by word

A book may state the fact that is asked; it may not hold the question. So a passage is a leak where
it holds a stem together with its options in any order, a stem so long that it stands for itself, or
a long stretch of a case or an explanation. A question is a leak where stem *and* options (or the
right answer) are an exam's; of an exam's open question the stem is enough. Words are compared, so
case, accents, punctuation, line breaks and hyphenation are no matter; what is counted is how much
of the exam's text is covered by short runs that the passage has too (containment, Broder 1997), so
words may be changed or left out. A run that many of the exam's questions have counts for less
(inverse document frequency, Spärck Jones 1972). How common it is in the corpus is left out on
purpose: a verdict then depends on the passage and the exam alone, and a question copied a thousand
times is no less a leak.
"""

from __future__ import annotations

import difflib
import itertools
import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, get_args

from pydantic import Field

from residency.records import Question, questions
from residency.section import Name, Section, Share
from residency.words import CJK

if TYPE_CHECKING:
    import numpy.typing as npt

    Array = npt.NDArray[Any]

Split = Literal["train", "dev", "test"]
What = Literal["stem and options", "stem", "case", "explanation"]

STEM: What = "stem"
CASE: What = "case"
EXPLANATION: What = "explanation"

CHARACTER = 0.6
"""What a Chinese or Japanese character counts for, in words of other scripts."""

FEWEST = 4.0
"""Less than so many distinctive words in all is never a leak."""

COMMON = 64
"""Runs that more groups of questions have are counted, but not looked up in a text."""

SMOOTHING = 10
"""Groups added to an exam's, so that two questions of three do not make a phrase common."""

GAP = 0.3
"""What a word that is not the question's takes from a stretch to which each of its words adds 1."""

FIRST_LOOK = 0.3
"""Of what a leak needs, the share that a window must have to be compared word by word."""

QUOTED = 300
"""Longest quotation, in characters."""


class Decontaminate(Section):
    """Keep declared exams out: what holds one of their questions is dropped."""

    exams: list[Name] = Field(description="Exams to keep out.")
    splits: list[Split] = Field(description="Which of their splits; normally dev and test.")
    ngram: int = Field(
        ge=2,
        le=13,
        description="Length of the runs of words that are compared; a Chinese character is a word.",
    )
    stem: Share = Field(
        gt=0, description="Share of a stem's distinctive words from which on it counts as repeated."
    )
    options: Share = Field(
        gt=0, description="Share of a question's options that must stand beside its stem."
    )
    same: Share = Field(
        gt=0,
        description="Share of its words, in their order, that a synthetic question's stem must "
        "have in common with an exam's to be the same.",
    )
    alone: int = Field(
        ge=1, description="Distinctive words from which on a stem or a case is a leak by itself."
    )
    stretch: int = Field(
        ge=1,
        description="Distinctive words copied in one stretch from a case or an explanation "
        "from which on they are a leak, even if most of it is missing.",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Leak:
    """A question of an exam, and what of it was found where."""

    question: str  # its id
    what: What
    score: float  # share of the question's distinctive words (or of its explanation's)
    exam: str  # the exam's words
    passage: str  # the text's
    paragraphs: tuple[int, ...]  # those that hold it, from 0

    @property
    def detail(self) -> str:
        """Both sides, for a ledger."""
        return (
            f"{self.question}: {self.what} ({self.score:.2f}): exam “{self.exam}”, "
            f"text “{self.passage}”"
        )


def kept_out(splits: Iterable[Path]) -> Iterator[Question]:
    """The questions of some build/exams/<exam>/<split>.jsonl, each as <exam>/<split>/<its id>.

    Ids and groups are unique only within an exam.
    """
    for path in splits:
        for each in questions(path):
            exam = path.parent.name
            name = f"{exam}/{path.stem}/{each.id}"
            yield replace(each, id=name, group=f"{exam}/{each.group}")


def questions_in(details: str, exam: str, split: str) -> list[str]:
    """The ids of an exam's questions that leaked, by a ledger's details (lines: `Leak.detail`)."""
    name, what = re.escape(f"{exam}/{split}/"), "|".join(get_args(What))
    leak = rf"^{name}(.*?): (?:{what}) \(\d\.\d\d\): exam “"
    return re.findall(leak, details, flags=re.MULTILINE)


class Words(NamedTuple):
    """The words of some texts, one entry each."""

    hashes: Array  # uint64
    text: Array  # int32, which text it is in
    start: Array  # int64, where in that text as folded, in characters
    end: Array
    character: Array  # bool, of a script without spaces


@dataclass(frozen=True, slots=True)
class Index:
    """What is known of an exam; as large as the exam, whatever the corpus, and picklable.

    Texts are numbered: of question q, first[q] is its case, then come its stem and its options,
    and last[q] - 1 is its explanation. Words of text t are at begin[t]:begin[t + 1].
    """

    section: Decontaminate
    questions: tuple[Question, ...]
    first: Array
    last: Array
    begin: Array
    words: Array  # uint64
    runs: Array  # uint64, of the run that begins at a word; no meaning at a text's end
    weights: Array  # float, distinctive words that a word counts for
    sizes: Array  # float, their sum by text
    keys: Array  # uint64, ascending: runs to look up
    table: Array  # bool: may a run be among the keys? by its leading bits
    shift: int
    postings: Array  # int32, questions by key
    pointers: Array  # where each key's postings begin
    gains: Array  # float, what a key counts for
    need: Array  # float, by question: what a window must gain to be looked at
    reach: Array  # int64, by question: length of a window in words


def index(questions: Iterable[Question], section: Decontaminate) -> Index:
    """Index an exam's questions; those without a run of `ngram` words are never found."""
    import numpy as np

    asked = tuple(questions)
    texts: list[str] = []
    first, last = [], []
    for question in asked:
        first.append(len(texts))
        texts += [question.context, question.stem, *question.options, question.explanation]
        last.append(len(texts))
    found = _words(texts)
    n = section.ngram
    begin = np.searchsorted(found.text, np.arange(len(texts) + 1))
    lengths = np.diff(begin)
    question_of = np.repeat(np.arange(len(asked)), np.subtract(last, first).astype(int))
    names = {name: number for number, name in enumerate(dict.fromkeys(q.group for q in asked))}
    group_of = np.array([names[question.group] for question in asked], dtype=np.int64)

    runs = np.zeros(len(found.hashes), dtype=np.uint64)
    whole = _runs(found.hashes, n)
    runs[: len(whole)] = whole
    starts = np.arange(len(runs)) + n <= begin[found.text + 1]
    at = np.flatnonzero(starts)  # where runs begin
    by = question_of[found.text[at]]
    keys, key_of = np.unique(runs[at], return_inverse=True)
    rarity = _rarity(key_of, group_of[by], len(keys), len(names))

    base = np.where(found.character, CHARACTER, 1.0)
    total = np.zeros(len(runs))
    count = np.zeros(len(runs))
    for step in range(n):
        total[at + step] += rarity[key_of]  # no position stands twice in `at`
        count[at + step] += 1
    weights = base * total / np.maximum(count, 1)
    short = np.flatnonzero((lengths < n) & (lengths > 0))
    if len(short):  # too short for a run: compared as a whole
        content = [found.hashes[begin[t] : begin[t + 1]].tobytes() for t in short]
        _, number = np.unique(np.array(content, dtype=object), return_inverse=True)
        rare = _rarity(number, group_of[question_of[short]], int(number.max()) + 1, len(names))
        for text, share in zip(short, rare[number], strict=True):
            span = slice(begin[text], begin[text + 1])
            weights[span] = base[span] * share

    # A run is looked up if it is rare; per question each of them once.
    pairs = np.stack(np.divmod(np.unique(key_of * max(1, len(asked)) + by), max(1, len(asked))))
    spread = np.bincount(pairs[0], minlength=len(keys))
    gains = np.zeros(len(keys))
    gains[key_of] = rarity[key_of] * base[at]
    pairs = pairs[:, spread[pairs[0]] <= COMMON]
    used, pointers = np.unique(pairs[0], return_index=True)
    keys, gains = keys[used], gains[used]
    rank = np.searchsorted(used, key_of)
    rank[rank == len(used)] = 0
    usable = (used[rank] == key_of) if len(used) else np.zeros(len(key_of), dtype=bool)
    worth = np.where(usable, gains[rank], 0.0) if len(used) else np.zeros(len(key_of))

    kind = np.full(len(texts), 1)  # 0 stem, 1 option, 2 case or explanation
    ends = np.array(last, dtype=np.int64) - 1
    cases = np.array(first, dtype=np.int64)
    kind[cases + 1], kind[cases], kind[ends] = 0, 2, 2
    kind_at = kind[found.text[at]]
    stems = np.bincount(by[kind_at == 0], worth[kind_at == 0], len(asked))
    choices = np.bincount(by[kind_at == 1], worth[kind_at == 1], len(asked))
    need = FIRST_LOOK * np.where(stems >= FEWEST, stems, stems + choices)
    need = np.minimum(need, FIRST_LOOK * section.stretch)
    need[need <= 0] = np.inf if not len(used) else 1e-9
    size = np.bincount(question_of, np.where(kind < 2, lengths, 0), len(asked)).astype(np.int64)
    told = np.maximum(lengths[cases], lengths[ends])
    reach = np.maximum(size * 8 // 5 + 24, np.minimum(told, 4 * section.stretch))

    bits = max(10, min(26, int(np.ceil(np.log2(len(keys) + 1))) + 4))
    shift = 64 - bits
    table = np.zeros(1 << bits, dtype=bool)
    table[keys >> np.uint64(shift)] = True
    return Index(
        section=section,
        questions=asked,
        first=np.array(first, dtype=np.int64),
        last=np.array(last, dtype=np.int64),
        begin=begin,
        words=found.hashes,
        runs=runs,
        weights=weights,
        sizes=np.bincount(found.text, weights, len(texts)),
        keys=keys,
        table=table,
        shift=shift,
        postings=pairs[1].astype(np.int64),
        pointers=np.append(pointers, pairs.shape[1]).astype(np.int64),
        gains=gains,
        need=need,
        reach=reach,
    )


def leaks(paragraphs: Sequence[str], index: Index) -> list[Leak]:
    """What of an exam the paragraphs of one document hold, in order of the text.

    A question may stretch over several paragraphs. What is left once those named are taken out
    holds nothing, also where paragraphs thereby become neighbours.
    """
    left = list(range(len(paragraphs)))
    found: list[Leak] = []
    while left and len(index.keys):
        round = list(_found([paragraphs[number] for number in left], index))
        if not round:
            break
        gone: set[int] = set()
        for leak in round:
            if gone.isdisjoint(leak.paragraphs) or not gone.issuperset(leak.paragraphs):
                gone.update(leak.paragraphs)
                places = tuple(left[each] for each in leak.paragraphs)
                found.append(replace(leak, paragraphs=places))
        left = [number for place, number in enumerate(left) if place not in gone]
    return sorted(found, key=lambda leak: (leak.paragraphs, leak.question))


def copied(question: Question, index: Index) -> Leak | None:
    """The question of an exam that `question` repeats, in stem and options; the most alike.

    Of an open one no options tell it apart: its stem is enough, of `alone` distinctive words or
    word for word.
    """
    import numpy as np

    if not len(index.keys):
        return None
    section, n = index.section, index.section.ngram
    text = _words([question.context, question.stem, *question.options])
    found = list(_windows(_runs(text.hashes, n), index))
    if not found:
        return None
    borders = np.searchsorted(text.text, range(len(question.options) + 3))
    _, stem, *options = (text.hashes[a:b] for a, b in itertools.pairwise(borders))
    asked = text.hashes[: borders[2]]
    right = _right(question, options)
    best: Leak | None = None
    for number, _ in found:
        known = index.questions[number]
        case, first = int(index.first[number]), int(index.first[number]) + 1
        score, weight = _agreement(index, first, asked)
        told, retold = _agreement(index, case, asked)
        if known.context and told < section.same and weight < section.alone:
            continue  # the same words asked of another case
        theirs_asked = index.words[index.begin[case] : index.begin[first + 1]]
        back = sum(size for *_, size in _blocks(theirs_asked, stem)) / max(1, len(stem))
        score = min(score, back)
        if score < section.same:
            continue
        places = range(first + 1, int(index.last[number]) - 1)
        theirs = [_text(index, place) for place in places]
        same = [any(_alike(one, other, n, section.stem) for other in options) for one in theirs]
        answered = bool(right) and _right(known, theirs) == right
        if theirs:
            repeated = sum(same) >= section.options * len(same)
        else:
            weight += retold
            repeated = weight >= section.alone or np.array_equal(_text(index, first), stem)
        if not repeated and not answered:
            continue
        for place, (there, one) in enumerate(zip(same, theirs, strict=True), places.start):
            if there or one.tobytes() in right:
                weight += float(index.weights[index.begin[place] : index.begin[place + 1]].sum())
        if weight >= FEWEST and (best is None or score > best.score):
            best = Leak(
                question=known.id,
                what="stem and options" if theirs else STEM,
                score=round(score, 4),
                exam=_clipped(_quoted(known)),
                passage=_clipped(_quoted(question)),
                paragraphs=(),
            )
    return best


def _right(question: Question, options: Sequence[Array]) -> set[bytes]:
    """What is right, in words: options, or an open question's answer; nothing where none is."""
    right = [options[answer] for answer in question.answers] or [
        _words([question.reference]).hashes
    ]
    return {each.tobytes() for each in right if len(each)}


def _quoted(question: Question) -> str:
    return f"{question.stem} {' / '.join(question.options) or question.reference}"


def _agreement(index: Index, text: int, words: Array) -> tuple[float, float]:
    """How much of a text of the exam stands in other words in its order: share and weight.

    Blocks are matched as by Ratcliff and Obershelp (difflib).
    """
    weights = index.weights[slice(*_span(index, text))]
    theirs = _text(index, text)
    blocks = _blocks(theirs, words)
    weight = sum(float(weights[each.a : each.a + each.size].sum()) for each in blocks)
    total = float(index.sizes[text])
    if total < 1e-9:  # nothing distinctive: every word counts alike
        return sum(each.size for each in blocks) / max(1, len(theirs)), 0.0
    return weight / total, weight


def _blocks(one: Array, other: Array) -> list[difflib.Match]:
    matcher = difflib.SequenceMatcher(None, one.tolist(), other.tolist(), autojunk=False)
    return matcher.get_matching_blocks()


class _Covered(NamedTuple):
    """How much of a text of the exam a window holds."""

    weight: float  # distinctive words
    share: float  # of all its distinctive words
    mask: Array  # by word of the text


class _Evidence(NamedTuple):
    what: What
    score: float
    parts: list[tuple[int, int, int]]  # text of the exam, from word, to word


def _found(paragraphs: list[str], index: Index) -> Iterator[Leak]:
    """At most one leak of each question, found in one pass."""
    import numpy as np

    text = _words(paragraphs)
    runs = _runs(text.hashes, index.section.ngram)
    for number, windows in _windows(runs, index):
        options = index.begin[index.last[number] - 1] - index.begin[index.first[number] + 2]
        for start in windows:
            low = max(0, start - int(options))
            high = start + int(index.reach[number])
            window = text.hashes[low:high]
            evidence = _compared(index, number, _window(window, index.section.ngram))
            if evidence is None:
                continue
            mask = np.zeros(len(window), dtype=bool)
            for _, begin, end in evidence.parts:
                mask |= _held(window, index.words[begin:end], index.section.ngram)
            yield _told(index, number, evidence, text, low, mask, paragraphs)
            break


def _windows(runs: Array, index: Index) -> Iterator[tuple[int, list[int]]]:
    """Questions that may be in a text, each with the starts of its most promising windows."""
    import numpy as np

    near = np.flatnonzero(index.table[runs >> np.uint64(index.shift)])
    if not len(near):
        return
    key = np.searchsorted(index.keys, runs[near])
    key[key == len(index.keys)] = 0
    exact = index.keys[key] == runs[near]
    near, key = near[exact], key[exact]
    if not len(near):
        return
    counts = index.pointers[key + 1] - index.pointers[key]
    offsets = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
    question = index.postings[np.repeat(index.pointers[key], counts) + offsets]
    place = np.repeat(near, counts)
    gain = np.repeat(index.gains[key], counts)
    enough = np.bincount(question, gain, len(index.need)) >= index.need
    keep = enough[question]
    question, place, gain = question[keep], place[keep], gain[keep]
    if not len(question):
        return
    order = np.argsort(question, kind="stable")
    question, place, gain = question[order], place[order], gain[order]
    stride = len(runs) + int(index.reach.max()) + 1
    line = question * stride + place
    upto = np.searchsorted(line, line + index.reach[question])
    summed = np.concatenate([[0.0], np.cumsum(gain)])
    bound = summed[upto] - summed[:-1]
    chosen = np.flatnonzero(bound >= index.need[question] - 1e-6)
    for number in np.unique(question[chosen]):
        mine = chosen[question[chosen] == number]
        mine = mine[np.lexsort((place[mine], -np.round(bound[mine], 6)))]
        starts: list[int] = []
        for start in place[mine].tolist():
            if len(starts) == 4:
                break
            if all(abs(start - other) > index.reach[number] // 2 for other in starts):
                starts.append(start)
        yield int(number), starts


def _compared(index: Index, number: int, window: _Window) -> _Evidence | None:
    """Is the question in these words? Its parts that are, if so."""
    section = index.section
    case, stem, *options, explanation = range(int(index.first[number]), int(index.last[number]))
    told, asked = _cover(index, case, window), _cover(index, stem, window)
    size = float(index.sizes[stem])
    if asked.share > 0 and (asked.share >= section.stem or size < FEWEST):
        narrow = _dense(index, [stem, *options], window.words)
        asked_there = _cover(index, stem, narrow)
        there, weight = _beside(index, number, narrow)
        weight += asked_there.weight
        if (
            (asked_there.share >= section.stem or size < FEWEST)
            and len(there) >= max(2, section.options * len(options))
            and weight >= FEWEST
        ):
            parts = [stem, *there] if told.share < section.stem else [case, stem, *there]
            score = weight / (size + float(index.sizes[options].sum()))
            spans = [(place, *_span(index, place)) for place in parts]
            return _Evidence("stem and options", score, spans)
    for place, covered, what in ((stem, asked, STEM), (case, told, CASE)):
        if covered.share >= section.stem and covered.weight >= section.alone:
            score, weight = _agreement(index, place, _dense(index, [place], window.words).words)
            if score >= section.stem and weight >= section.alone:
                return _Evidence(what, score, [(place, *_span(index, place))])
    for place, what in ((stem, STEM), (case, CASE), (explanation, EXPLANATION)):
        if index.sizes[place] < section.stretch:
            continue
        covered = _cover(index, place, window)
        score, low, high = _stretch(index, place, covered.mask)
        if score >= section.stretch:
            begin, _ = _span(index, place)
            return _Evidence(what, covered.share, [(place, begin + low, begin + high)])
    return None


def _dense(index: Index, texts: list[int], window: Array) -> _Window:
    """The part of a window that is mostly words of these texts, whatever their order."""
    import numpy as np

    n = index.section.ngram
    mask = np.zeros(len(window), dtype=bool)
    for place in texts:
        mask |= _held(window, _text(index, place), n)
    low, high = _heaviest(np.where(mask, 1.0, -GAP))
    return _window(window[low:high], n)


def _beside(index: Index, number: int, window: _Window) -> tuple[list[int], float]:
    """Options found in a window, each at a place of its own, and what they count for."""
    import numpy as np

    stem, n = int(index.first[number]) + 1, index.section.ngram
    free = np.ones(len(window.words), dtype=bool)
    options = range(stem + 1, int(index.last[number]) - 1)
    longest = sorted(options, key=lambda place: (-len(_text(index, place)), place))
    there, weight = [], 0.0
    for place in [stem, *longest]:
        words = _text(index, place)
        held = _held(window.words, words, n) & free
        summed = np.concatenate([[0], np.cumsum(held)])
        size = min(len(words), len(window.words))
        inside = summed[size:] - summed[: len(summed) - size]
        start = int(np.argmax(inside))
        if size and (place == stem or inside[start] >= index.section.stem * len(words)):
            free[start : start + size] = False
            if place != stem:
                there.append(place)
                weight += _cover(index, place, window).weight
    return sorted(there), weight


def _cover(index: Index, text: int, window: _Window) -> _Covered:
    """How much of a text of the exam is in a window, by words that shared runs cover."""
    import numpy as np

    begin, end = _span(index, text)
    mask = np.zeros(end - begin, dtype=bool)
    length = min(index.section.ngram, end - begin)
    if not length:
        return _Covered(0.0, 0.0, mask)
    if length == index.section.ngram:
        hit = _among(index.runs[begin : end - length + 1], window.runs)
    else:
        hit = np.isin(_runs(index.words[begin:end], length), _runs(window.words, length))
    if hit.any():
        for step in range(length):
            mask[step : step + len(hit)] |= hit
    weights = index.weights[begin:end]
    total = float(index.sizes[text])
    if total < 1e-9:  # nothing distinctive: every word counts alike
        return _Covered(0.0, float(mask.mean()) if len(mask) else 0.0, mask)
    weight = float(weights[mask].sum())
    return _Covered(weight, weight / total, mask)


class _Window(NamedTuple):
    """Words of a text in their order, and their runs in ascending order."""

    words: Array
    runs: Array


def _window(words: Array, n: int) -> _Window:
    import numpy as np

    return _Window(words, np.sort(_runs(words, n)))


def _among(these: Array, ascending: Array) -> Array:
    """Which of these numbers are among the others."""
    import numpy as np

    if not len(ascending):
        return np.zeros(len(these), dtype=bool)
    place = np.searchsorted(ascending, these)
    place[place == len(ascending)] = 0
    found: Array = ascending[place] == these
    return found


def _held(words: Array, others: Array, n: int) -> Array:
    """Which of the words are part of a run of n that the others have; fewer count as a whole."""
    import numpy as np

    length = min(n, len(words))
    mask = np.zeros(len(words), dtype=bool)
    if 0 < len(others) < n:  # the shorter side decides the length
        length = min(length, len(others))
    if not length or len(others) < length:
        return mask
    hit = np.isin(_runs(words, length), _runs(others, length))
    for step in range(length):
        mask[step : step + len(hit)] |= hit
    return mask


def _shared(words: Array, others: Array, n: int) -> float:
    """Share of the words that are part of a shared run."""
    return float(_held(words, others, n).mean()) if len(words) else 0.0


def _alike(one: Array, other: Array, n: int, share: float) -> bool:
    if len(one) < n or len(other) < n:
        return one.tobytes() == other.tobytes()
    return min(_shared(one, other, n), _shared(other, one, n)) >= share


def _stretch(index: Index, text: int, mask: Array) -> tuple[float, int, int]:
    """The longest covered stretch: its distinctive words less half of those not covered."""
    import numpy as np

    span = slice(int(index.begin[text]), int(index.begin[text + 1]))
    if not mask.any():
        return 0.0, 0, 0
    weights = index.weights[span]
    score = np.where(mask, weights, -0.5 * weights)
    low, high = _heaviest(score)
    return float(score[low:high].sum()), low, high


def _heaviest(scores: Array) -> tuple[int, int]:
    """Where the stretch with the largest sum begins and ends (Bentley 1984)."""
    import numpy as np

    line = np.concatenate([[0.0], np.cumsum(scores)])
    high = int(np.argmax(line - np.minimum.accumulate(line)))
    return int(np.argmin(line[: high + 1])), high


def _told(
    index: Index,
    number: int,
    evidence: _Evidence,
    text: Words,
    low: int,
    mask: Array,
    paragraphs: list[str],
) -> Leak:
    """The leak in words: which paragraphs take part, and what both sides say."""
    import numpy as np

    positions = np.flatnonzero(mask) + low
    inside, held = np.unique(text.text[positions], return_counts=True)
    sizes = np.array([np.count_nonzero(text.text == each) for each in inside])
    part = (held >= 0.5 * sizes) | (held >= 0.2 * len(positions))
    part |= held == held.max()
    chosen = [int(each) for each in inside[part]]
    quotes = []
    for each in chosen:
        mine = positions[text.text[positions] == each]
        quotes.append(original(paragraphs[each], int(text.start[mine[0]]), int(text.end[mine[-1]])))
    question = index.questions[number]
    exam = []
    for place, begin, end in evidence.parts:
        said = _said(question, place - int(index.first[number]))
        if (begin, end) != (index.begin[place], index.begin[place + 1]):
            own = _words([said])
            offset = int(index.begin[place])
            said = original(said, int(own.start[begin - offset]), int(own.end[end - 1 - offset]))
        exam.append(said)
    return Leak(
        question=question.id,
        what=evidence.what,
        score=round(min(1.0, evidence.score), 4),
        exam=_clipped(" / ".join(exam)),
        passage=_clipped(" / ".join(quotes)),
        paragraphs=tuple(chosen),
    )


def _said(question: Question, place: int) -> str:
    parts = [question.context, question.stem, *question.options, question.explanation]
    return parts[place]


def _text(index: Index, text: int) -> Array:
    words: Array = index.words[index.begin[text] : index.begin[text + 1]]
    return words


def _span(index: Index, text: int) -> tuple[int, int]:
    return int(index.begin[text]), int(index.begin[text + 1])


def _clipped(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= QUOTED else f"{line[: QUOTED // 2 - 2]} … {line[2 - QUOTED // 2 :]}"


def _rarity(items: Array, groups: Array, size: int, total: int) -> Array:
    """By item, 1 if one group has it, falling with the logarithm of their number towards 0."""
    import numpy as np

    pairs = np.unique(items.astype(np.int64) * total + groups)
    frequency = np.bincount(pairs // total, minlength=size)
    everywhere = total + SMOOTHING
    rarity: Array = 1 - np.log(np.maximum(frequency, 1)) / np.log(everywhere)
    return rarity


def fold(text: str) -> str:
    """Case, compatibility forms and accents set apart; accents are then no part of a word."""
    return unicodedata.normalize("NFKD", text).casefold()


def original(text: str, start: int, end: int) -> str:
    """The part of a text that is `fold(text)[start:end]`."""
    at, low, high = 0, 0, len(text)
    for number, character in enumerate(text):
        if at <= start:
            low = number
        if at >= end:
            high = number
            break
        at += len(fold(character))
    return text[low:high]


SPACE, LETTER, SCRIPT, NOTHING, HYPHEN = range(5)
_SCRIPT = re.compile(f"[{CJK}]")


@lru_cache(maxsize=1)
def _classes() -> Array:
    """By code point: between words, of a word, a word of its own, not there, a hyphen."""
    import numpy as np

    table = np.zeros(0x110000, dtype=np.uint8)
    for point in range(0x323B0):  # beyond are no letters yet
        character = chr(point)
        if character.isalnum():
            table[point] = SCRIPT if _SCRIPT.match(character) else LETTER
        elif unicodedata.category(character) in ("Mn", "Cf"):
            table[point] = NOTHING
    for character in "-\u2010\u2011":
        table[ord(character)] = HYPHEN
    return table


_ODD = 0x9E3779B97F4A7C15
_MIX = 0xD6E8FEB86659FD93


@lru_cache(maxsize=4)
def _powers(size: int) -> tuple[Array, Array]:
    """Powers of an odd number and of its inverse modulo 2^64."""
    import numpy as np

    def powers(factor: int) -> Array:
        filled = np.full(size, factor, dtype=np.uint64)
        filled[0] = 1
        return np.multiply.accumulate(filled)

    return powers(_ODD), powers(pow(_ODD, -1, 2**64))


def _words(texts: Sequence[str]) -> Words:
    """The words of some texts as numbers; a word hyphenated at a line's end is one word."""
    import numpy as np

    folded = [fold(text) for text in texts]
    lengths = np.array([len(text) + 2 for text in folded], dtype=np.int64)
    whole = "".join(f"{text}\n\n" for text in folded) or "\n"
    points = np.frombuffer(whole.encode("utf-32-le", "replace"), dtype="<u4")
    kinds = _classes()[points]
    places: Array | None = None
    if kinds.max() >= NOTHING:
        gone = kinds == NOTHING
        hyphens = np.flatnonzero(kinds[:-2] == HYPHEN)
        spaced = (points[hyphens + 1] == 32) | (points[hyphens + 1] == 10)
        letters = (kinds[hyphens - 1] == LETTER) & (kinds[hyphens + 2] == LETTER)
        joined = hyphens[spaced & letters]
        gone[joined] = gone[joined + 1] = True
        if gone.any():
            places = np.flatnonzero(~gone)
            points, kinds = points[places], kinds[places]
    within = np.zeros(len(kinds) + 1, dtype=bool)  # the last character is never of a word
    np.equal(kinds, LETTER, out=within[1:])
    edges = np.flatnonzero(within[1:] != within[:-1])
    starts, ends = edges[::2], edges[1::2]
    alone = np.flatnonzero(kinds == SCRIPT)
    if len(alone):
        starts = np.sort(np.concatenate([starts, alone]))
        ends = np.sort(np.concatenate([ends, alone + 1]))
    size = 1 << max(16, len(points).bit_length())
    forward, backward = _powers(size)
    summed = np.zeros(len(points) + 1, dtype=np.uint64)
    np.cumsum((points.astype(np.uint64) + np.uint64(1)) * forward[: len(points)], out=summed[1:])
    hashes = _mixed((summed[ends] - summed[starts]) * backward[starts])
    character = kinds[starts] == SCRIPT
    if places is not None:
        starts, ends = places[starts], places[ends - 1] + 1
    borders = np.cumsum(lengths)
    text = np.searchsorted(borders, starts, side="right")
    offset = (borders - lengths)[text] if len(texts) else starts
    return Words(hashes, text, starts - offset, ends - offset, character)


def _mixed(hashes: Array) -> Array:
    import numpy as np

    mixed: Array = hashes * np.uint64(_MIX)
    mixed ^= mixed >> np.uint64(32)
    mixed *= np.uint64(_MIX)
    mixed ^= mixed >> np.uint64(29)
    return mixed


def _runs(words: Array, length: int) -> Array:
    """By position, a number for the run of so many words that begins there."""
    import numpy as np

    count = max(0, len(words) - length + 1)
    runs = words[:count].copy()
    for step in range(1, length):
        runs = runs * np.uint64(_ODD) + words[step : step + count]
    return _mixed(runs)
