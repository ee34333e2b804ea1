"""The terms a corpus is about, where they stand, and which could stand for which.

    sentences = cut(documents)
    terms = find(sentences)
    terms[0].text, terms[0].places   # "morrel gleet", [Place(sentence=4, first=0, last=2), ...]
    alike(terms, sentences, 64)[0]   # the terms used as terms[0] is, most alike first

No model and no word list of any domain: a term is a run of content words that the corpus repeats
as a unit (in the spirit of C-value, Frantzi et al. 2000, doi:10.1007/s007999900023: a run that is
nearly always part of a longer one is no term of its own); terms are alike that share head word
and neighbours (Harris's distributional hypothesis). The only list is of English's common words.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import accumulate, pairwise
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from residency.records import Document
from residency.words import CJK

if TYPE_CHECKING:
    import numpy.typing as npt

    Array = npt.NDArray[Any]


def listed(text: str) -> frozenset[str]:
    """The words of a list."""
    return frozenset(text.split())


ARTICLES = listed("a an the its his her their our your my this these those")
DETERMINERS = ARTICLES | listed(
    "that no any each every some all both either neither another such what whose"
)
BE = listed("is are was were be been being am")
MODALS = listed("can could may might must shall should will would do does did cannot")
AUXILIARIES = listed("is are was were has have had") | MODALS
PREPOSITIONS = listed(
    """about above across after against along among around as at before behind below beneath beside
    besides between beyond by despite during except for from in inside into near of off on onto out
    outside over past per since through throughout till to toward towards under until unto up upon
    via with within without"""
)
PARTICLES = listed("away down off out up")
WHERE = listed(
    """above across along among around behind below beneath beside between beyond inside near
    outside under"""
)
"""Prepositions that tell a place; those below tell one only if they nearly always stand there."""
PERHAPS_WHERE = listed("at in on over within")
REFERRING = listed(
    """i me my mine you your yours he him his she her hers it its we us our ours they them their
    theirs this that these those himself herself itself themselves one ones"""
)
CLAUSE = listed(
    """which who whom whose because when whenever while whilst although though since but so if where
    whereas wherever until unless lest than for yet nor before after"""
)
QUALIFIERS = listed(
    """first second third last next new old good bad great little long short high low large small
    big early late right left full upper lower inner outer"""
)
VERBS = listed(
    """make makes made making take takes took taken taking give gives gave given giving get gets got
    getting go goes went gone going come comes came coming put puts putting keep keeps kept keeping
    let lets see sees saw seen seeing say says said saying tell tells told telling show shows showed
    shown showing find finds found finding know knows knew known knowing think thinks thought use
    uses used using call calls called calling become becomes became becoming begin begins began
    begun beginning start starts started starting end ends ended ending leave leaves leaving bring
    brings brought bringing hold holds held holding turn turns turned turning follow follows
    followed following run runs ran running stand stands stood standing lie lies lay lying sit sits
    sat sitting need needs needed want wants wanted look looks looked looking seem seems seemed
    appear appears appeared include includes included including contain contains contained
    containing cause causes caused causing lead leads led leading mean means meant ask asks asked
    help helps helped set sets setting having done doing belong belongs belonged allow allows
    allowed provide provides provided produce produces produced occur occurs occurred"""
)
COMMON = (
    DETERMINERS | BE | AUXILIARIES | PREPOSITIONS | REFERRING | CLAUSE | QUALIFIERS | VERBS
) | listed(
    """and or not only also too very more most much many few less least several other others own
    same there here then now thus hence therefore however how why again once ever never always often
    usually sometimes still just even already almost quite rather soon later well together apart
    alone instead else perhaps indeed likewise moreover certain different various possible common
    general usual able like unlike whether none nothing something anything everything someone
    anyone everyone nobody somebody two three four five six seven eight nine ten eleven twelve thing
    things way ways part parts kind kinds sort sorts case cases number numbers lot yes etc s"""
)
"""English words that end a term; a corpus's own very frequent short words join them."""

BEFORE_A_PLACE = QUALIFIERS | DETERMINERS | WHERE | PERHAPS_WHERE

LONGEST = 5
"""Words in the longest term."""

WEIGHT = {"column": 3.0, "form": 0.3, "length": 0.3, "kind": 2.0, "with": 1.5}
"""Of the features by which terms are near, against 1 for the words beside them and the head."""

NEIGHBOURS = 20
"""So many of the nearest terms tell what a term is like."""

WIDEST = 300
"""What is beside so many terms, and beside one in twenty, does not tell them apart."""

BLOCK = 256
"""Terms compared with all others at once; bounds the memory, changes no result."""

_WORD = re.compile(rf"[{CJK}]|[^\W_{CJK}]+(?:[-'’](?!s\b)[^\W_{CJK}]+)*")
_STOP = re.compile(r"""[.!?…]+["'”’)\]*_]*(?=\s)|[。！？]["”’』」）]*""")
_ABBREVIATION = re.compile(
    r"(?:^|[\s(])(?:\w|\w\.\w|dr|mrs?|ms|prof|st|figs?|vs|al|etc|ca?|cf)$", re.IGNORECASE
)
_PARAGRAPH = re.compile(r"\S(?:.*?\S)??(?=\s*(?:\n[ \t]*\n|\Z))", re.DOTALL)
_LINE = re.compile(r"[^\n]*\S[^\n]*")
ENDS_IN_S = re.compile(r".{2,}[^su]s")
_LISTED = re.compile(r",|,? (?:and|or|and the|or the)|, (?:the|a|an)| ?[、／/]", re.IGNORECASE)
_OF_KINDS = listed("type group set pair form member series area collection")
_LETTER = re.compile(r"\w")
_ROW = re.compile(r"\s\|\s|\t|^\s*\|")
_ITEM = re.compile(r"\s*(?:[-*+•–]|\d{1,3}[.)])\s")
_ENTRY = re.compile(rf"{_ITEM.pattern}|{_ROW.pattern}|[.!?。！？][\"'”’)\]]*\s*$")

Kind = Literal["thing", "place", "action"]


@dataclass(frozen=True, slots=True, eq=False)
class Sentence:
    """A sentence, list item or table row; `start` and `end` are its place in the document."""

    document: Document
    passage: tuple[str, int]  # document and paragraph
    start: int
    end: int
    text: str  # in one line
    words: tuple[str, ...]  # with case folded
    starts: tuple[int, ...]  # of the words, in characters of the text
    ends: tuple[int, ...]
    apart: tuple[bool, ...]  # by punctuation from the word before

    def slice(self, first: int, last: int) -> str:
        """The text from word `first` up to word `last`, which is not in it."""
        return self.text[self.starts[first] : self.ends[last - 1]] if first < last else ""

    def folded(self, index: int) -> str:
        """A word, or the empty string beyond the sentence's ends."""
        return self.words[index] if 0 <= index < len(self.words) else ""

    def before(self, index: int) -> str:
        """The word before a word unless punctuation parts them."""
        return "" if self.apart[index] else self.folded(index - 1)

    def after(self, index: int) -> str:
        """The word after a word unless punctuation parts them."""
        return self.folded(index + 1) if self.together(index, index + 2) else ""

    def together(self, first: int, last: int) -> bool:
        """Whether no punctuation parts the words from `first` up to `last`."""
        return True not in self.apart[first + 1 : last]


class Place(NamedTuple):
    """Where a term stands: words `first` up to `last` of a sentence, given by number."""

    sentence: int
    first: int
    last: int


@dataclass(eq=False)
class Term:
    """A thing ("pellary node"), a place ("behind the jaw") or an action ("thickens the blood")."""

    words: tuple[str, ...]
    kind: Kind
    text: str = ""
    places: list[Place] = field(default_factory=list)
    passages: set[tuple[str, int]] = field(default_factory=set)

    @property
    def head(self) -> str:
        """The last word, which in English says what kind of thing it is."""
        return self.words[-1]


def cut(documents: Iterable[Document]) -> list[Sentence]:
    """The sentences of documents, in order."""
    result = []
    for document in documents:
        for number, (start, end) in enumerate(_passages(document.text)):
            for first, last in _pieces(document.text, start, end):
                text = " ".join(document.text[first:last].split())
                spans = [match.span() for match in _WORD.finditer(text)]
                words = tuple([text[start:end].casefold() for start, end in spans])
                starts, ends = zip(*spans, strict=True) if spans else ((), ())
                between = zip(ends, starts[1:], strict=False)
                apart = [start - end > (text[end] == " ") for end, start in between]
                where = (document.id, number)
                told = (words, starts, ends, (False, *apart)[: len(words)])
                result.append(Sentence(document, where, first, last, text, *told))
    return result


def _passages(text: str) -> Iterator[tuple[int, int]]:
    """Paragraphs, and each line of one that is a list or table."""
    for paragraph in _PARAGRAPH.finditer(text):
        lines = list(_LINE.finditer(text, paragraph.start(), paragraph.end()))
        if all(_ENTRY.search(line[0]) for line in lines):
            yield from (line.span() for line in lines)
        else:
            yield paragraph.span()


def _pieces(text: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    """Sentences between two offsets; an entry of a list begins one."""
    breaks = {start, end}
    for line in _LINE.finditer(text, start, end):
        if _ITEM.match(line[0]):
            breaks.add(line.start())
    for stop in _STOP.finditer(text, start, end):
        before = text[max(start, stop.start() - 6) : stop.start()]
        following = _LETTER.search(text, stop.end(), end)
        ended = stop[0][0] in "。！？" or not _ABBREVIATION.search(before)
        if ended and following and not following[0].islower():
            breaks.add(stop.end())
    for first, last in pairwise(sorted(breaks)):
        piece = text[first:last]
        if piece.strip():
            yield first + len(piece) - len(piece.lstrip()), last - len(piece) + len(piece.rstrip())


def find(sentences: list[Sentence], table: Table | None = None) -> list[Term]:
    """The corpus's terms, each met twice or more, in the order of their words.

    `table`: `tabled(sentences)`, if there is one already.
    """
    table = table or tabled(sentences)
    if not len(table.ids):
        return []
    common = table.are(COMMON | table.small_words())
    verbs = table.verbs(common) & ~common
    runs = table.content(common, verbs)
    found: dict[tuple[str, ...], Term] = {}
    number_of, at = table.sentence.tolist(), table.at.tolist()
    for start, length in _units(table, runs, table.nouns(common | verbs)):
        number, first = number_of[start], at[start]
        unit = sentences[number].words[first : first + length]
        if unit not in found:
            found[unit] = Term(unit, "thing")
        found[unit].places.append(Place(number, first, first + length))
    things = [term for term in found.values() if len(term.places) > 1]
    settled = [part for term in things for part in _in_place(term, sentences)]
    terms = [*settled, *_actions(things, sentences, table)]
    for term in terms:
        term.passages = {sentences[place.sentence].passage for place in term.places}
        term.text = _usual(term.places, sentences)
    return sorted(terms, key=lambda term: (term.words, term.kind))


@dataclass(frozen=True, slots=True)
class Table:
    """All words of a corpus as numbers, one after the other; a word's number is its name's.

    Number 0 is no word: what stands before the first word and after the last, and on the other
    side of punctuation. Sets of words are arrays of bool by number.
    """

    names: list[str]
    begin: Array  # by sentence, the first word
    ids: Array
    before: Array
    after: Array
    sentence: Array
    at: Array  # place in the sentence
    apart: Array
    english: Array

    def are(self, words: Iterable[str]) -> Array:
        """A set of words as an array."""
        import numpy as np

        wanted = frozenset(words)
        return np.array([name in wanted for name in self.names])

    def count(self, weights: Array) -> Array:
        """By word, the sum of what its places weigh."""
        import numpy as np

        return np.bincount(self.ids, weights, len(self.names)).astype(np.int64)

    def small_words(self) -> set[str]:
        """Very frequent short words: the function words of languages without a list here."""
        import numpy as np

        lengths = np.array([len(name) for name in self.names])
        counts = self.count(lengths[self.ids] <= np.where(self.english, 3, 4))
        often = np.flatnonzero(counts >= max(20, 0.004 * len(self.ids))).tolist()
        return {self.names[each] for each in often if not _cjk(self.names[each])}

    def verbs(self, common: Array) -> Array:
        """Words that stand where verbs and participles stand more often than where nouns do."""
        import numpy as np

        before, after = self.before, self.after
        articles, prepositions = self.are(ARTICLES), self.are(PREPOSITIONS)
        object_follows = articles[after]
        passive = self.are(BE)[before] & prepositions[after]
        moved = self.are(MODALS | {"to", "he", "she", "they", "it"})[before]
        verb = self.count((object_follows | passive).astype(int) + moved)
        named = articles[before] | self.are({"of"})[after]
        placed = (prepositions & ~self.are({"to"}))[before] & ~object_follows
        subject = (before > 0) & self.are(AUXILIARIES)[after]
        noun = self.count(named.astype(int) + placed + subject)
        transitive = (after > 0) & (~common[after] | object_follows)
        free = self.count(transitive.astype(int) + self.are(PARTICLES | QUALIFIERS)[after])
        count = self.count(np.ones(len(self.ids)))
        in_s = np.array([bool(ENDS_IN_S.fullmatch(name)) for name in self.names])
        found: Array = (verb > noun) & ((verb > 1) | (count < 3))
        found |= (noun == 0) & in_s & (2 * free >= count)
        found &= (count > 0) & ~np.array([_cjk(name) for name in self.names])
        return found

    def nouns(self, breaking: Array) -> Array:
        """Words that often enough stand alone as an English noun does; any of other languages."""
        alone, fitting = self._alone(breaking)
        found: Array = (fitting > 1) & (3 * fitting >= alone)
        return found

    def attributes(self, breaking: Array) -> Array:
        """English words that stand alone, but not as a noun does: "positive", "considerably"."""
        alone, fitting = self._alone(breaking)
        found: Array = (alone > 1) & (3 * fitting < alone)
        return found

    def _alone(self, breaking: Array) -> tuple[Array, Array]:
        """By word, how often it stands alone, and how often so as a noun would."""
        edges = breaking.copy()
        edges[0] = True
        alone = ~self.english | (edges[self.before] & edges[self.after])
        led = self.are(ARTICLES | PREPOSITIONS | QUALIFIERS)[self.before]
        leads = (self.before == 0) & self.are(AUXILIARIES | VERBS)[self.after]
        return self.count(alone), self.count(alone & (~self.english | led | leads))

    def content(self, common: Array, verbs: Array) -> Array:
        """By place, the number of its run of content words, ascending; -1 where there is none.

        A participle that stands before a noun, as in "lost appetite", belongs to the run.
        """
        import numpy as np

        in_s = np.array([bool(ENDS_IN_S.fullmatch(name)) for name in self.names])
        ends = common | verbs
        ends[0] = True
        participle = ~in_s[self.ids] & ~self.are(BE)[self.before] & ~ends[self.after]
        plain = ~common[self.ids] & ~verbs[self.ids]
        follows = np.zeros(len(plain), dtype=bool)  # whether the word before is of a run
        follows[1:] = plain[:-1] & (self.at[1:] > 0)
        content = plain | (verbs[self.ids] & ~common[self.ids] & participle & ~follows)
        begins = content.copy()
        begins[1:] &= ~content[:-1] | self.apart[1:] | (self.at[1:] == 0)
        return np.where(content, np.cumsum(begins) - 1, -1)


def tabled(sentences: list[Sentence]) -> Table:
    """The words of sentences as numbers."""
    import numpy as np

    names: dict[str, int] = {"": 0}
    ids = np.array(
        [names.setdefault(word, len(names)) for each in sentences for word in each.words],
        dtype=np.int64,
    )
    lengths = np.array([len(each.words) for each in sentences], dtype=np.int64)
    sentence = np.repeat(np.arange(len(sentences)), lengths)
    begin = np.cumsum(lengths) - lengths
    at = np.arange(len(ids)) - begin[sentence]
    apart = np.array([apart for each in sentences for apart in each.apart], dtype=bool)
    joined = ~apart[1:] & (at[1:] > 0)
    before, after = np.zeros_like(ids), np.zeros_like(ids)
    before[1:][joined] = ids[:-1][joined]
    after[:-1][joined] = ids[1:][joined]
    english = np.array([each.document.language.startswith("en") for each in sentences], dtype=bool)
    english = english[sentence]
    return Table(list(names), begin, ids, before, after, sentence, at, apart, english)


def alike(
    terms: list[Term], sentences: list[Sentence], most: int, table: Table | None = None
) -> list[dict[int, float]]:
    """For each term at most `most` others of its kind: their number and how alike, best first.

    Terms are alike that have nearest neighbours in common (Jarvis and Patrick 1973,
    doi:10.1109/T-C.1973.223640, with weights), so also two that never stood beside the same words.
    Nearness is the cosine of tf-idf vectors of what stands beside a term (up to three words on
    either side, its table column) and of its form (head, number of words, capital, plural).
    `table`: `tabled(sentences)`, if there is one already.
    """
    import numpy as np
    from scipy.sparse import csr_array  # type: ignore[import-untyped]

    if not terms:
        return []
    kinds = np.array([{"thing": 0, "place": 1, "action": 2}[term.kind] for term in terms])
    lengths = np.array([len(term.words) for term in terms])
    sorts, sort = np.unique(np.stack([kinds, lengths]), axis=1, return_inverse=True)
    sort = sort.reshape(-1)
    unlike = 0.5 ** np.abs(sorts[1][:, None] - sorts[1][None, :]) * (sorts[0][:, None] == sorts[0])
    factors = unlike[:, sort]  # by sort and term

    def cosines(vectors: Any, start: int) -> Any:
        """Of a block of terms with all; halved for each word they differ in length."""
        scores = vectors[start : start + BLOCK] @ vectors.T
        rows = np.repeat(np.arange(scores.shape[0]), np.diff(scores.indptr))
        scores.data *= factors[sort[start + rows], scores.indices]
        return scores

    def best(scores: Any, count: int) -> Iterator[tuple[list[int], list[float]]]:
        """Of each row the highest, best first; equal ones in order."""
        scores.data = scores.data.round(6)
        scores.eliminate_zeros()
        for first, last in pairwise(scores.indptr.tolist()):
            others, values = scores.indices[first:last], scores.data[first:last]
            if len(values) > count:
                low = np.partition(values, len(values) - count)[len(values) - count]
                high = values >= low
                others, values = others[high], values[high]
            order = np.lexsort((others, -values))[:count]
            yield others[order].tolist(), values[order].tolist()

    beside = _vectors(terms, sentences, table or tabled(sentences))
    near = [
        row
        for start in range(0, len(terms), BLOCK)
        for row in best(cosines(beside, start), NEIGHBOURS)
    ]
    starts = [0, *accumulate(len(others) for others, _ in near)]
    others, values = ([each for row in near for each in row[part]] for part in (0, 1))
    shared = _unit(csr_array((values, others, starts), (len(terms), len(terms))))
    result: list[dict[int, float]] = []
    for start in range(0, len(terms), BLOCK):
        scores = cosines(shared, start) + 0.3 * cosines(beside, start)
        rows = np.repeat(np.arange(scores.shape[0]), np.diff(scores.indptr))
        scores.data[scores.indices == start + rows] = 0  # itself
        result.extend(dict(zip(*row, strict=True)) for row in best(scores, most))
    return result


def _unit(vectors: Any) -> Any:
    """Sparse rows, each made of length 1; empty ones stay."""
    import numpy as np

    rows = np.repeat(np.arange(vectors.shape[0]), np.diff(vectors.indptr))
    norms = np.sqrt(np.bincount(rows, vectors.data**2, vectors.shape[0]))
    vectors.data /= norms[rows]
    return vectors


def _vectors(terms: list[Term], sentences: list[Sentence], table: Table) -> Any:
    """Of each term a row of length 1: by feature how often it has it (tf-idf)."""
    import numpy as np
    from scipy.sparse import csr_array, hstack

    rows = {number for number, each in enumerate(sentences) if _ROW.search(each.text)}
    formed = [_form(term, sentences, rows) for term in terms]
    _add_company(formed, terms, sentences)
    names = sorted({name for each in formed for name in each})
    column = {name: number for number, name in enumerate(names)}
    starts = [0, *accumulate(len(each) for each in formed)]
    features = [column[name] for each in formed for name in each]
    counted = [float(count) for each in formed for count in each.values()]
    forms = csr_array((counted, features, starts), (len(terms), len(names)))
    of, columns = _beside(terms, table)
    runs = csr_array((np.ones(len(of)), (of, columns)), (len(terms), int(columns.max()) + 1))
    vectors = hstack([runs, forms], format="csr")
    weight = np.ones(vectors.shape[1])
    weight[runs.shape[1] :] = [WEIGHT[name.split()[0]] for name in names]
    spread = np.bincount(vectors.indices, minlength=vectors.shape[1])  # terms that have it
    widest = min(len(terms), max(WIDEST, len(terms) / 20))
    weight *= np.log(len(terms) / np.maximum(spread, 1)) * ((spread > 1) & (spread < widest))
    vectors.data = (1 + np.log(vectors.data)) * weight[vectors.indices]
    vectors.eliminate_zeros()
    return _unit(vectors)


def _beside(terms: list[Term], table: Table) -> tuple[Array, Array]:
    """The one, two and three words on either side of each term's places: its number, the run's.

    Another term counts as one word. Beyond a sentence's ends stands the word of number 0.
    """
    import numpy as np

    begin = table.begin + np.arange(len(table.begin)) + 1  # each sentence lies between two 0
    ids = np.zeros(len(table.ids) + len(begin) + 1, dtype=np.int64)
    ids[begin[table.sentence] + table.at] = table.ids
    edges = np.arange(len(ids))
    another = len(table.names)
    row = np.repeat(np.arange(len(terms)), [len(term.places) for term in terms])
    which, first, last = np.array([place for term in terms for place in term.places]).T
    first, last = begin[which] + first, begin[which] + last
    part = np.array([term.kind != "action" for term in terms])[row]

    right, further = ids.copy(), edges + (ids > 0)  # by edge: the word after, the edge after that
    right[first[part]], further[first[part]] = another, last[part]
    before = np.append(0, ids[:-1])
    left, farther = before, edges - (before > 0)
    left[last[part]], farther[last[part]] = another, first[part]

    columns: list[Array] = []
    width = 0
    for at, beside, next_edge in ((last, right, further), (first, left, farther)):
        run = np.zeros(len(at), dtype=np.int64)
        for _ in range(3):
            names, run = np.unique(run * (another + 1) + beside[at], return_inverse=True)
            columns.append(width + run)
            width += len(names)
            at = next_edge[at]
    return np.tile(row, len(columns)), np.concatenate(columns)


def _form(term: Term, sentences: list[Sentence], rows: set[int]) -> Counter[str]:
    """How a term is formed, and where in those sentences that are a table's rows it stands."""
    result: Counter[str] = Counter()
    for place in term.places:
        if place.sentence in rows:
            sentence = sentences[place.sentence]
            before = sentence.text[: sentence.starts[place.first]]
            result[f"column {before.count('|')} {sentence.passage}"] += 1
    result[f"kind {singular(term.head)}"] = len(term.places)
    result[f"length {len(term.words)}"] = len(term.places)
    result[f"form {term.text[:1].isupper()} {term.text.endswith('s')}"] = len(term.places)
    return result


def _units(table: Table, run: Array, nouns: Array) -> Iterator[tuple[int, int]]:
    """Where the runs of words that the corpus uses as one stand: first place and length.

    Two words are one if met together more often than by chance (p < 0.001); a longer run if no
    part of it that stands alone does so much more often; a word alone if it is a noun.
    """
    import numpy as np

    places = np.flatnonzero(run >= 0)
    if not len(places):
        return
    words, run = table.ids[places], run[places]
    digit = np.array([name.isdigit() for name in table.names])
    small = np.array([len(name) < 2 and not _cjk(name) for name in table.names])
    short = np.array([len(name) < 3 for name in table.names])
    total = len(words)

    longest = np.zeros(total, dtype=np.int64)  # the longest unit that begins at a place
    _, ids = np.unique(words, return_inverse=True)
    one = ids
    single = counts = within = np.zeros(0, dtype=np.int64)
    kept = np.zeros(0, dtype=bool)
    for size in range(1, LONGEST + 1):
        begin = np.arange(total - size + 1)
        begin = begin[run[begin] == run[begin + size - 1]]
        if size > 1:
            shorter, parts_counts, parts_within, parts_kept = ids, counts, within, kept
            key = shorter[begin] * (int(words.max()) + 1) + words[begin + size - 1]
            ids = np.full(total, -1, dtype=np.int64)
            _, ids[begin] = np.unique(key, return_inverse=True)
        if not len(begin):
            break
        counts = np.bincount(ids[begin])
        where = np.zeros(len(counts), dtype=np.int64)  # one place of each run
        where[ids[begin]] = begin
        longer = begin[begin + size < total]
        longer = longer[run[longer] == run[np.minimum(longer + size, total - 1)]]
        within = np.zeros(len(counts), dtype=np.int64)  # met inside the most frequent longer run
        if len(longer) and size < LONGEST:
            key = ids[longer] * (int(words.max()) + 1) + words[longer + size]
            _, number, often = np.unique(key, return_inverse=True, return_counts=True)
            np.maximum.at(within, ids[longer], often[number])
            np.maximum.at(within, ids[longer + 1], often[number])
        fits = (counts >= 2) & (counts != within)
        fits &= ~digit[words[where]] & ~small[words[where + size - 1]]
        if size == 1:
            fits &= ~short[words[where]] & nouns[words[where]]
            single = counts
        elif size == 2:
            left, right = single[one[where]], single[one[where + 1]]
            fits &= likelihood_ratios(counts, left, right, total) > 10.83
        else:
            least = np.full(len(counts), np.iinfo(np.int64).max)
            for part in (shorter[where], shorter[where + 1]):
                alone = parts_kept[part] & (parts_counts[part] > parts_within[part])
                least = np.minimum(least, np.where(alone, parts_counts[part], least))
            least[least == np.iinfo(np.int64).max] = 0
            fits &= 2 * counts >= least
        kept = fits
        longest[begin[fits[ids[begin]]]] = size
    at, chosen, starts = 0, longest.tolist(), places.tolist()
    while at < total:
        if chosen[at]:
            yield starts[at], chosen[at]
        at += chosen[at] or 1


def _add_company(
    features: list[Counter[str]], terms: list[Term], sentences: list[Sentence]
) -> None:
    """What a text says a term is, "a hormone that ...", and what it is listed with."""
    within: dict[int, list[tuple[Place, int]]] = {}
    for number, term in enumerate(terms):
        for place in term.places if term.kind == "thing" else ():
            within.setdefault(place.sentence, []).append((place, number))
    for which, places in within.items():
        places.sort()
        sentence = sentences[which]
        for (one, left), (two, right) in pairwise(places):
            if two.first - one.last > 2:
                continue
            between = sentence.text[sentence.ends[one.last - 1] : sentence.starts[two.first]]
            if _LISTED.fullmatch(between):
                for number, other in ((left, right), (right, left)):
                    features[number][f"with {other}"] += 1
                    features[number][f"with {number}"] += 1
        place, number = places[0]
        kind = _genus(sentence, place)
        if kind:
            features[number][f"kind {kind}"] += len(terms[number].places)


def _genus(sentence: Sentence, place: Place) -> str:
    """The head of what an English sentence or a glossary says a term is; empty if it does not.

    The noun before the first function word, as in "T is a peptide hormone that" (Amsler 1981,
    doi:10.3115/981923.981956, of dictionaries); "one of the bones" is a bone.
    """
    at = place.last
    told = sentence.text[sentence.ends[at - 1] :][:1] == ":" and place.first == 0
    english = sentence.document.language.startswith("en")
    if not english or not (told or sentence.after(at - 1) in BE) or place.first > 1:
        return ""
    at += not told
    if not told and sentence.folded(at) not in ("a", "an", "one", "the"):
        return ""
    kind = ""
    for each in range(at, min(at + 12, len(sentence.words))):
        word = sentence.folded(each)
        common = word in COMMON or word in _OF_KINDS
        if kind and (common or sentence.apart[each]):
            return singular(kind)
        kind = "" if common else word
    return ""


def singular(word: str) -> str:
    """A word without the -s of an English plural."""
    return word[:-1] if len(word) > 3 and word.endswith("s") and word[-2] not in "siu" else word


def likelihood_ratios(both: Array, left: Array, right: Array, total: int) -> Array:
    """How surely two things met `both` times of `left` and `right` in `total` belong together.

    Dunning 1993, https://aclanthology.org/J93-1003; 0 where they meet less often than by chance.
    """
    import numpy as np

    cells = [
        (both, left * right),
        (left - both, left * (total - right)),
        (right - both, (total - left) * right),
        (total - left - right + both, (total - left) * (total - right)),
    ]
    summed = sum(n * np.log(np.maximum(n, 1) * total / np.maximum(of, 1)) for n, of in cells)
    ratios: Array = np.where(both * total > left * right, 2 * summed, 0.0)
    return ratios


def _in_place(term: Term, sentences: list[Sentence]) -> list[Term]:
    """A term parted into the thing and the places it marks, such as "behind the jaw"."""
    fronts = {place: _front(sentences[place.sentence], place.first) for place in term.places}
    if not any(fronts.values()):
        return [term]
    parts: dict[tuple[str, ...], Term] = {(): Term(term.words, "thing")}
    for front, count in sorted(Counter(fronts.values()).items()):
        share = 0.2 if front and front[0] in WHERE else 0.8
        if front and count > 1 and count >= share * len(fronts):
            parts[front] = Term(front + term.words, "place")
    for place, front in fronts.items():
        front = front if front in parts else ()
        parts[front].places.append(Place(place.sentence, place.first - len(front), place.last))
    return [part for part in parts.values() if part.places]


def _front(sentence: Sentence, first: int) -> tuple[str, ...]:
    """The word of place, with article and qualifier, before a word; empty if there is none."""
    if sentence.before(first) not in BEFORE_A_PLACE:
        return ()
    start = first
    for passed in (QUALIFIERS, DETERMINERS):
        start -= start > 0 and sentence.before(start) in passed
    fits = WHERE if start == first else WHERE | PERHAPS_WHERE
    if start == 0 or sentence.before(start) not in fits:
        return ()
    return sentence.words[start - 1 : first]


def _actions(things: list[Term], sentences: list[Sentence], table: Table) -> list[Term]:
    """What things are said to do more than once, in the same few words: "thickens the blood"."""
    import numpy as np

    places = [place for term in things for place in term.places]
    after = {(place.sentence, place.last) for place in places}
    which, starts, ends = np.array(places, dtype=np.int64).reshape(-1, 3).T
    depth = np.zeros(len(table.ids) + 1, dtype=np.int64)  # in how many things a word is
    np.add.at(depth, table.begin[which] + starts, 1)
    np.add.at(depth, table.begin[which] + ends, -1)
    outside = np.cumsum(depth)[:-1] == 0
    found: dict[tuple[str, ...], Term] = {}
    said: set[tuple[str, ...]] = set()
    in_s = table.are(n for n in table.names if n not in COMMON and ENDS_IN_S.fullmatch(n))
    for each in np.flatnonzero(in_s[table.ids] & outside).tolist():
        number, first = int(table.sentence[each]), int(table.at[each])
        sentence = sentences[number]
        last = _action(sentence, first)
        if last:
            words = sentence.words[first:last]
            found.setdefault(words, Term(words, "action")).places.append(Place(number, first, last))
            if (number, first) in after and not sentence.apart[first]:
                said.add(words)
    return [found[words] for words in sorted(said) if len(found[words].places) >= 2]


def _action(sentence: Sentence, first: int) -> int:
    """Where the action beginning at a verb in -s ends: particle, article, 1 or 2 words."""
    at = first + 1
    for passed in (PARTICLES, DETERMINERS, QUALIFIERS):
        at += sentence.folded(at) in passed
    last = at
    while last < min(at + 2, len(sentence.words)) and sentence.folded(last) not in COMMON:
        if not sentence.together(first, last + 1):
            break
        last += 1
    ended = last == len(sentence.words) or not sentence.together(last - 1, last + 1)
    return last if last > at and (ended or sentence.folded(last) in COMMON) else 0


def _usual(places: list[Place], sentences: list[Sentence]) -> str:
    """How a term is mostly written; not as at a sentence's start, if it ever stands elsewhere."""
    texts = Counter(
        sentences[place.sentence].slice(place.first, place.last)
        for place in places
        if place.first > 0 or len(sentences[place.sentence].words) == place.last
    )
    if texts:
        return min(texts, key=lambda text: (-texts[text], text))
    text = sentences[places[0].sentence].slice(places[0].first, places[0].last)
    return text[:1].lower() + text[1:] if text[1:] == text[1:].lower() else text


def _cjk(word: str) -> bool:
    return re.fullmatch(f"[{CJK}]", word) is not None
