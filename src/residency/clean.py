"""clean: keep the text worth training on; every drop has a reason.

    shard ── repair ── normalise ── filter ── quality ── in an exam? ──┐   (every core)
      keys of what repeats, sorted on disk ── pairs ── exact Jaccard <─┤   (every core)
      in order: seen before? near-duplicate? ──> corpus             <──┘   (one core, light)

A shard is some megabytes of documents, so memory is bounded by that and not by the corpus, and
the artifact is the same however many cores there are, or jobs that did the first line beforehand.
What is compared with the exams is the text as it will be read: where a paragraph is dropped, its
neighbours are compared as neighbours. Only what was kept makes a later copy a duplicate. With the
bounds on paragraphs and exact duplicates alone, cleaning a corpus again changes nothing.
"""

from __future__ import annotations

import hashlib
import re
import shutil
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache, partial
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Self

import orjson
from pydantic import Field, model_validator

from residency import parallel, quality, step
from residency.decontaminate import Decontaminate, Index, index, kept_out, leaks
from residency.duplicates import (
    NearDuplicates,
    band_keys,
    candidates,
    jaccard,
    ngram_sets,
    repeated,
    write_keys,
)
from residency.files import read_json, read_rows, write_json
from residency.language import Language, foreign
from residency.quality import Problem, Quality
from residency.section import Complaint, Name, Section, Share, in_order
from residency.words import words

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from residency.tokens import Cut, Cutter

SHARD = 4_000_000
"""Bytes of documents to work on at a time."""

# Control characters that are no white space, and invisible ones that only steer line breaking.
_INVISIBLE = re.compile("[\x00-\x08\x0e-\x1b\x7f-\x84\x86-\x9f\u00ad\u200b\u2060\ufeff]")
_BLANK_LINE = re.compile(r"\n\s*\n")


class Filter(Section):
    """Bounds that a paragraph must keep to."""

    min_words: int = Field(ge=0, description="Paragraphs with fewer words are dropped.")
    max_words: int = Field(ge=1, description="Paragraphs with more words are dropped.")
    max_repetition: Share = Field(
        description="Largest share of a paragraph's word 3-grams that may be repeats of another."
    )

    @model_validator(mode="after")
    def _bounds(self) -> Self:
        in_order(self, "min_words", "max_words")
        return self


class Boilerplate(Section):
    """Page furniture: short paragraphs that stand in many documents of one source."""

    documents: int = Field(ge=2, description="In so many documents of a source it is furniture.")
    max_words: int = Field(ge=1, description="Longer paragraphs are never taken for furniture.")


class Deduplicate(Section):
    """Duplicates are dropped after the first; case and white space are folded."""

    unit: Literal["paragraph", "document"] = Field(description="What is compared and dropped.")
    near: NearDuplicates | None = Field(
        description="Documents that are nearly one kept before; null for exact duplicates only."
    )


class Corpus(Section):
    """Cleaned text from one or more sources."""

    sources: list[Name] = Field(min_length=1, description="Sources to take the documents of.")
    mojibake: Literal["repair", "keep"] = Field(
        description="Whether text decoded by the wrong table is set right (ftfy)."
    )
    language: Language | None = Field(description="Documents in other languages are dropped.")
    boilerplate: Boilerplate | None = Field(description="Page furniture is dropped.")
    filter: Filter = Field(description="Bounds that a paragraph must keep to.")
    quality: Quality = Field(description="Published rules that a document must keep to.")
    deduplicate: Deduplicate = Field(description="Duplicates are dropped after the first.")
    decontaminate: Decontaminate = Field(description="Exams to keep out of the corpus.")


def clean(corpus: Corpus, documents: list[Path], exams: list[Path], out: Path) -> None:
    """Clean ingested documents into documents.jsonl; every drop has its reason in the ledger.

    `documents`: folders of build/documents; `exams`: the splits' .jsonl files to keep out.
    Raises Complaint when nothing is left.
    """
    work = out / "work"
    work.mkdir()
    exams_known = _known(corpus, exams)
    shards = list(_shards(documents, work))
    _sift_all(corpus, exams_known, shards, [each for each in shards if not each.done("sift")])
    repaired = sum(read_json(shard.file("repaired")) for shard in shards)
    near = _near_duplicates(corpus, shards)
    kept, rejected = _settle(corpus, exams_known, shards, near, out)
    if not kept["documents"]:
        raise Complaint(_nothing_left(corpus, rejected, out))
    if repaired:
        kept["repaired"] = repaired
    write_json(out / "counts.json", {"kept": kept, "rejected": dict(sorted(rejected.items()))})
    shutil.rmtree(work)


def phases(corpus: Corpus) -> list[str]:
    """What can be shared out among jobs, one phase after the other."""
    return ["sift"] if corpus.boilerplate is None else ["furniture", "sift"]


def share(
    corpus: Corpus,
    documents: list[Path],
    exams: list[Path],
    phase: str,
    mine: Callable[[int], bool],
    out: Path,
) -> None:
    """Do a phase for the shards whose numbers are `mine`; clean finds it by parallel.shared."""
    shards = list(_shards(documents, out))
    ours = [shard for shard in shards if mine(shard.number)]
    if phase == "sift":
        _sift_all(corpus, _known(corpus, exams), shards, ours)
    else:
        _count_all(corpus, ours)


def normalised(paragraph: str) -> str:
    """One line in Unicode NFC without control characters; runs of white space become a space."""
    line = " ".join(paragraph.split())
    if not line.isprintable():  # as all that has an invisible character
        line = " ".join(_INVISIBLE.sub("", paragraph).split())
    return unicodedata.normalize("NFC", line)


def repetition(paragraph: Sequence[str]) -> float:
    """Share of a paragraph's word 3-grams that repeat an earlier one (Rae et al. 2021, A1.1)."""
    runs = list(zip(paragraph, paragraph[1:], paragraph[2:], strict=False))
    return 1 - len(set(runs)) / len(runs) if runs else 0.0


class _Shard(NamedTuple):
    """Lines of a file of documents, and where what is found in them goes."""

    number: int
    path: Path
    begin: int
    end: int
    work: Path  # where nobody did a phase beforehand

    def lines(self) -> Iterator[bytes]:
        with self.path.open("rb") as file:
            file.seek(self.begin)
            while file.tell() < self.end:
                yield file.readline()

    def done(self, phase: str) -> bool:
        return parallel.shared(phase, self.number) is not None

    def file(self, name: str) -> Path:
        phase = "furniture" if name == "furniture.npy" else "sift"
        return (parallel.shared(phase, self.number) or self.work) / f"{self.number:06d}.{name}"

    @property
    def base(self) -> int:
        """The number of the shard's first document or paragraph among those of all."""
        return self.number << 32


def _known(corpus: Corpus, exams: Sequence[Path]) -> Index:
    return index(kept_out(exams), corpus.decontaminate)


def _shards(documents: Sequence[Path], work: Path) -> Iterator[_Shard]:
    number = 0
    for folder in documents:
        path = folder / "documents.jsonl"
        size, begin = path.stat().st_size, 0
        with path.open("rb") as file:
            while begin < size:
                file.seek(min(size, begin + SHARD) - 1)
                file.readline()
                yield _Shard(number, path, begin, file.tell(), work)
                number, begin = number + 1, file.tell()


def _leaked(paragraphs: Sequence[str], exams: Index) -> list[Problem | None]:
    """What of an exam each paragraph of a document holds, one line for each question."""
    held: list[list[str]] = [[] for _ in paragraphs]
    for leak in leaks(paragraphs, exams):
        for place in leak.paragraphs:
            held[place].append(leak.detail)
    return [("in exam", "\n".join(details)) if details else None for details in held]


@cache
def _cutter(*ways: Callable[[str], list[str]]) -> Cutter:
    from residency.tokens import Cutter

    return Cutter(*ways)


class _Paragraphs(NamedTuple):
    """The paragraphs of a shard's documents, one document after the other."""

    raw: list[str]
    normal: list[str]
    stretches: list[list[str]]  # what lies between white space
    sizes: list[int]  # paragraphs of each document
    repaired: int


def _paragraphs(corpus: Corpus, texts: Sequence[str]) -> _Paragraphs:
    found = _Paragraphs([], [], [], [], 0)
    repaired = 0
    for text in texts:
        raw = _BLANK_LINE.split(text.strip())
        found.sizes.append(len(raw))
        found.raw.extend(raw)
        for paragraph in raw:
            if corpus.mojibake == "repair" and not paragraph.isascii():
                mended = _mended(paragraph)
                repaired += mended != paragraph
            else:
                mended = paragraph
            stretches = mended.split()
            normal = " ".join(stretches)
            if not normal.isascii() or not normal.isprintable():
                normal = normalised(mended)
                stretches = normal.split()
            found.normal.append(normal)
            found.stretches.append(stretches)
    return found._replace(repaired=repaired)


def _mended(paragraph: str) -> str:
    from ftfy import fix_encoding
    from ftfy.badness import is_bad

    return fix_encoding(paragraph) if is_bad(paragraph) else paragraph


def _digest(text: str) -> bytes:
    folded = " ".join(unicodedata.normalize("NFC", text.casefold()).split())
    return hashlib.blake2b(folded.encode(), digest_size=16).digest()


def _digests(texts: Sequence[str]) -> NDArray[np.uint64]:
    import numpy as np

    joined = b"".join(map(_digest, texts))
    return np.frombuffer(joined, ">u8").reshape(-1, 2).astype(np.uint64)


def _sift_all(
    corpus: Corpus, exams: Index, shards: Sequence[_Shard], left: Sequence[_Shard]
) -> None:
    """Sift those `left` of all shards."""
    if left:
        furniture = _furniture(corpus, shards)
        for _ in parallel.each(partial(_sift, corpus, exams, furniture), left):
            pass


def _count_all(corpus: Corpus, shards: Sequence[_Shard]) -> None:
    assert corpus.boilerplate
    for _ in parallel.each(partial(_count_furniture, corpus, corpus.boilerplate), shards):
        pass


def _furniture(corpus: Corpus, shards: Sequence[_Shard]) -> frozenset[int]:
    """Keys of the short paragraphs that stand in many documents of their source."""

    import numpy as np

    if corpus.boilerplate is None:
        return frozenset()
    _count_all(corpus, [shard for shard in shards if not shard.done("furniture")])
    found: list[int] = []
    for rows in repeated([shard.file("furniture.npy") for shard in shards]):
        keys, counts = np.unique(rows[:, 0], return_counts=True)
        found.extend(keys[counts >= corpus.boilerplate.documents].tolist())
    return frozenset(found)


def _count_furniture(corpus: Corpus, boilerplate: Boilerplate, shard: _Shard) -> None:
    import numpy as np

    keys: list[int] = []
    for line in shard.lines():
        row = orjson.loads(line)
        found = _paragraphs(corpus, [row["text"]])
        short = {
            _furniture_key(row["source"], normal)
            for normal, stretches in zip(found.normal, found.stretches, strict=True)
            if 0 < len(stretches) <= boilerplate.max_words
        }
        keys.extend(short)
    rows = np.array(keys, np.uint64).reshape(-1, 1)
    write_keys(shard.file("furniture.npy"), rows)


def _furniture_key(source: str, paragraph: str) -> int:
    return int.from_bytes(_digest(f"{source}\n{paragraph}")[:8])


def _sift(corpus: Corpus, exams: Index, furniture: frozenset[int], shard: _Shard) -> None:
    """Judge all that can be judged within a document.

    Writes one line for each document, keys of what may repeat elsewhere, and the number of
    repaired paragraphs.
    """

    import numpy as np

    from residency.tokens import tokens

    rows = [orjson.loads(line) for line in shard.lines()]
    found = _paragraphs(corpus, [row["text"] for row in rows])
    rules = corpus.quality
    asked = rules.repetition or rules.gopher or rules.c4 or rules.fineweb
    cut, *more = (
        _cutter(words, tokens)(found.stretches) if asked else _cutter(words)(found.stretches)
    )
    problems = _unfit(corpus.filter, found, cut)
    edges = np.concatenate([[0], np.cumsum(found.sizes)]).tolist()
    if furniture and corpus.boilerplate:
        for row, (begin, end) in zip(rows, pairwise(edges), strict=True):
            for number in range(begin, end):
                text = found.normal[number]
                if (
                    number not in problems
                    and len(found.stretches[number]) <= corpus.boilerplate.max_words
                    and _furniture_key(row["source"], text) in furniture
                ):
                    problems[number] = "boilerplate", f"stands in many documents of {row['source']}"
    whole = _below_standard(corpus, rows, found, edges, problems, *more)
    left = [
        [each for each in range(begin, end) if each not in problems and number not in whole]
        for number, (begin, end) in enumerate(pairwise(edges))
    ]
    said = cut.counts.tolist()
    digests, signed, signed_sizes, signers, offsets = [], [], [], [], []
    with shard.file("jsonl").open("wb") as file:
        for number, (row, numbers) in enumerate(zip(rows, left, strict=True)):
            row["text"] = ""
            texts = [found.normal[each] for each in numbers]
            verdicts = _leaked(texts, exams)
            passed = [each for each, verdict in zip(numbers, verdicts, strict=True) if not verdict]
            begin, end = edges[number : number + 2]
            rejected = [
                (each - begin, *problems[each], found.normal[each] or found.raw[each])
                for each in range(begin, end)
                if each in problems
            ]
            if number in whole:
                text = "\n\n".join(
                    found.normal[each] for each in range(begin, end) if each not in problems
                )
                rejected.append((end - begin, *whole[number], text))
            if corpus.deduplicate.unit == "paragraph":
                digests.extend(texts)
            else:
                digests.append("\n\n".join(found.normal[each] for each in passed))
            if passed:
                signed.extend(passed)
                signed_sizes.append(len(passed))
                signers.append(number)
            offsets.append(file.tell())
            line = {
                "row": row,
                "texts": texts,
                "places": [each - begin for each in numbers],
                "words": [said[each] for each in numbers],
                "verdicts": verdicts,
                "rejected": rejected,
            }
            file.write(orjson.dumps(line, option=orjson.OPT_APPEND_NEWLINE))
    places = np.arange(len(digests), dtype=np.uint64)[:, None] + np.uint64(shard.base)
    write_keys(shard.file("exact.npy"), np.hstack([_digests(digests), places]))
    if corpus.deduplicate.near:
        documents = cut.take(np.array(signed, np.int64)).joined(signed_sizes)
        keys = band_keys(corpus.deduplicate.near, documents)
        signer = np.array(signers, np.uint64)[keys[:, 1].astype(np.int64)]
        keys[:, 1] = signer + np.uint64(shard.base)
        write_keys(shard.file("bands.npy"), keys)
        np.save(shard.file("offsets.npy"), np.array(offsets, np.int64))
    write_json(shard.file("repaired"), found.repaired)


def _unfit(bounds: Filter, found: _Paragraphs, cut: Cut) -> dict[int, Problem]:
    """The problems of paragraphs that do not keep to the bounds, by their numbers."""

    import numpy as np

    problems: dict[int, Problem] = {}
    counts = cut.counts
    for number in np.flatnonzero(counts < max(1, bounds.min_words)).tolist():
        if not found.normal[number]:
            problems[number] = "empty", "nothing but white space and control characters"
        elif counts[number] < bounds.min_words:
            problems[number] = "too short", f"{counts[number]} words"
    for number in np.flatnonzero(counts > bounds.max_words).tolist():
        problems[number] = "too long", f"{counts[number]} words"
    for number in _perhaps_repetitive(bounds.max_repetition, cut).tolist():
        if number not in problems:
            share = repetition(cut.text(number))
            if share > bounds.max_repetition:
                problems[number] = "repetitive", f"{share:.3f} of its word 3-grams repeat"
    return problems


def _perhaps_repetitive(most: float, cut: Cut) -> NDArray[np.int64]:
    # Hashes that clash make shares larger, never smaller: nothing is missed.
    import numpy as np

    hashes, starts = cut.runs(3)
    owners = cut.owners()[starts].astype(np.uint64)
    bits = np.uint64(max(1, len(cut.bounds).bit_length()))
    keys = np.sort((owners << (np.uint64(64) - bits)) | (hashes >> bits))
    repeats = keys[1:][keys[1:] == keys[:-1]] >> (np.uint64(64) - bits)
    number = len(cut.bounds) - 1
    share = np.bincount(repeats.astype(np.int64), minlength=number) / np.maximum(1, cut.counts - 2)
    return np.flatnonzero(share > most * (1 - 1e-9))


def _below_standard(
    corpus: Corpus,
    rows: Sequence[dict[str, Any]],
    found: _Paragraphs,
    edges: Sequence[int],
    problems: dict[int, Problem],
    cut: Cut | None = None,
) -> dict[int, Problem]:
    """The problems of whole documents by their numbers; those of C4's lines go to `problems`."""

    import numpy as np

    rules = corpus.quality
    whole: dict[int, Problem] = {}

    def left() -> tuple[list[int], list[list[int]]]:
        kept = [
            [each for each in range(begin, end) if each not in problems]
            for begin, end in pairwise(edges)
        ]
        numbers = [number for number, each in enumerate(kept) if each and number not in whole]
        return numbers, [kept[number] for number in numbers]

    def lines(paragraphs: Sequence[Sequence[int]]) -> list[list[str]]:
        return [[found.normal[each] for each in numbers] for numbers in paragraphs]

    if corpus.language:
        for number, text in zip(left()[0], lines(left()[1]), strict=True):
            problem = foreign(corpus.language, rows[number]["language"], "\n\n".join(text))
            if problem:
                whole[number] = problem
    if cut is None:
        return whole
    if rules.repetition or rules.gopher:
        numbers, paragraphs = left()
        chosen = np.array([each for some in paragraphs for each in some], np.int64)
        joined = cut.take(chosen).joined(list(map(len, paragraphs)))
        texts = lines(paragraphs)
        for judged in [
            quality.repetitive(rules.repetition, texts, joined) if rules.repetition else [],
            quality.unlike_gopher(rules.gopher, texts, joined) if rules.gopher else [],
        ]:
            for number, problem in zip(numbers, judged, strict=False):
                if problem:
                    whole.setdefault(number, problem)
    if rules.c4:
        numbers, paragraphs = left()
        for number, some in zip(numbers, paragraphs, strict=True):
            for each in some:
                if rules.c4.citations == "remove":
                    found.normal[each] = quality.uncited(found.normal[each])
                problem = quality.unlike_c4(
                    rules.c4, found.normal[each], len(found.stretches[each])
                )
                if problem:
                    problems[each] = problem
            kept = [each for each in some if each not in problems]
            (text,) = lines([kept])
            problem = quality.page_unlike_c4(rules.c4, text, map(cut.text, kept))
            if problem:
                whole[number] = problem
    if rules.fineweb:
        counts = cut.counts
        numbers, paragraphs = left()
        for number, some in zip(numbers, paragraphs, strict=True):
            (text,) = lines([some])
            problem = quality.unlike_fineweb(rules.fineweb, text, int(counts[some].sum()))
            if problem:
                whole[number] = problem
    return whole


def _near_duplicates(
    corpus: Corpus, shards: Sequence[_Shard]
) -> dict[int, list[tuple[int, float]]]:
    """For a document's number, those before it that it is nearly the same as, and how nearly."""
    near = corpus.deduplicate.near
    if near is None:
        return {}
    pairs = candidates([shard.file("bands.npy") for shard in shards])
    tasks = [pairs[start : start + 512] for start in range(0, len(pairs), 512)]
    found: dict[int, list[tuple[int, float]]] = {}
    for task, shares in zip(
        tasks, parallel.each(partial(_similarities, near, shards), tasks), strict=True
    ):
        for (later, earlier), share in zip(task.tolist(), shares, strict=True):
            if share >= near.jaccard:
                found.setdefault(later, []).append((earlier, share))
    return found


def _similarities(
    near: NearDuplicates, shards: Sequence[_Shard], pairs: NDArray[np.int64]
) -> list[float]:
    numbers = sorted(set(pairs.ravel().tolist()))
    texts = [_stored(shards, number) for number in numbers]
    (cut,) = _cutter(words)([" ".join(text).split() for text in texts])
    sets = dict(zip(numbers, ngram_sets(near, cut), strict=True))
    return [jaccard(sets[later], sets[earlier]) for later, earlier in pairs.tolist()]


def _line(shards: Sequence[_Shard], number: int) -> dict[str, Any]:
    import numpy as np

    shard = shards[number >> 32]
    place = number & 0xFFFFFFFF
    with shard.file("jsonl").open("rb") as file:
        file.seek(int(np.load(shard.file("offsets.npy"), mmap_mode="r")[place]))
        found: dict[str, Any] = orjson.loads(file.readline())
    return found


def _stored(shards: Sequence[_Shard], number: int) -> list[str]:
    line = _line(shards, number)
    return [text for text, no in zip(line["texts"], line["verdicts"], strict=True) if not no]


@dataclass(frozen=True)
class _Groups:
    """Texts of which there are exact copies."""

    places: NDArray[np.uint64]  # rising
    groups: NDArray[np.int64]  # of each place
    first: dict[int, str]  # groups to the ids of the documents that their first kept copy is in

    def of(self, shard: _Shard) -> dict[int, int]:
        import numpy as np

        begin, end = np.searchsorted(
            self.places, np.array([shard.base, shard.base + (1 << 32)], np.uint64)
        )
        places = (self.places[begin:end] - np.uint64(shard.base)).tolist()
        return dict(zip(places, self.groups[begin:end].tolist(), strict=True))


def _exact_duplicates(shards: Sequence[_Shard]) -> _Groups:
    import numpy as np

    places, groups, number = [np.zeros(0, np.uint64)], [np.zeros(0, np.int64)], 0
    for rows in repeated([shard.file("exact.npy") for shard in shards]):
        new = np.concatenate([[True], (rows[1:, :2] != rows[:-1, :2]).any(axis=1)])[: len(rows)]
        group = np.cumsum(new) - 1
        places.append(rows[:, 2])
        groups.append(group + number)
        number += int(new.sum())
    place, group = np.concatenate(places), np.concatenate(groups)
    order = np.argsort(place)
    return _Groups(place[order], group[order], {})


def _settle(
    corpus: Corpus,
    exams: Index,
    shards: Sequence[_Shard],
    near: dict[int, list[tuple[int, float]]],
    out: Path,
) -> tuple[Counter[str], Counter[str]]:
    """Drop duplicates in the documents' order, and write what is kept and what is not.

    The numbers of what was kept, and of the rejected by reason.
    """
    kept = Counter({"documents": 0, "paragraphs": 0, "words": 0})
    reasons: Counter[str] = Counter()
    copies = _exact_duplicates(shards)
    stayed: dict[int, str] = {}  # documents that are nearly repeated later
    wanted = {earlier for pairs in near.values() for earlier, _ in pairs}
    with (
        (out / "documents.jsonl").open("wb") as corpus_file,
        (out / "rejected.jsonl").open("wb") as ledger,
    ):
        for shard in shards:
            groups, paragraph = copies.of(shard), 0
            for number, line in enumerate(shard.file("jsonl").open("rb")):
                found = orjson.loads(line)
                row, texts = found["row"], found["texts"]
                number += shard.base
                rejected = found["rejected"]
                verdicts = found["verdicts"]
                twin = next(
                    (
                        (stayed[each], share)
                        for each, share in near.get(number, [])
                        if each in stayed
                    ),
                    None,
                )
                if corpus.deduplicate.unit == "paragraph":
                    ours = [groups.get(paragraph + each) for each in range(len(texts))]
                    paragraph += len(texts)
                    if not twin and any(group is not None for group in ours):
                        verdicts = _without_copies(exams, copies, row["id"], texts, verdicts, ours)
                elif not twin:
                    group = groups.get(number - shard.base)
                    if group is not None and not all(verdicts):
                        if group in copies.first:
                            twin = copies.first[group], -1.0
                        else:
                            copies.first[group] = row["id"]
                rejected += [
                    (place, *verdict, text)
                    for place, verdict, text in zip(found["places"], verdicts, texts, strict=True)
                    if verdict
                ]
                rejected.sort(key=lambda each: each[0])
                left = [each for each, verdict in enumerate(verdicts) if not verdict]
                text = "\n\n".join(texts[each] for each in left)
                if twin:
                    rejected.append((-1, *_twin(twin), text))
                for _, reason, detail, item in rejected:
                    reasons[reason] += 1
                    entry = {
                        "id": row["id"],
                        "reason": reason,
                        "detail": detail,
                        "item": {"document": row["id"], "text": item},
                    }
                    ledger.write(orjson.dumps(entry, option=orjson.OPT_APPEND_NEWLINE))
                if left and not twin:
                    kept["documents"] += 1
                    kept["paragraphs"] += len(left)
                    kept["words"] += sum(found["words"][each] for each in left)
                    if number in wanted:
                        stayed[number] = row["id"]
                    row["text"] = text
                    corpus_file.write(orjson.dumps(row, option=orjson.OPT_APPEND_NEWLINE))
    return kept, reasons


def _without_copies(
    exams: Index,
    copies: _Groups,
    document: str,
    texts: Sequence[str],
    verdicts: Sequence[Problem | None],
    groups: Sequence[int | None],
) -> list[Problem | None]:
    """The verdicts on a document's paragraphs now that it is known which ones came before.

    Where a copy goes, others become neighbours and are compared with the exams anew.
    """
    judged = list(verdicts)
    changed = True
    while changed:
        changed = False
        ours: set[int] = set()
        for number, group in enumerate(groups):
            if group is None or judged[number]:
                continue
            if group in copies.first or group in ours:
                first = copies.first.get(group, document)
                judged[number] = "duplicate paragraph", f"first in {first}"
                changed = True
            ours.add(group)
        if changed:
            left = [number for number in range(len(texts)) if not judged[number]]
            for number, leak in zip(left, _leaked([texts[n] for n in left], exams), strict=True):
                judged[number] = leak
    for group, problem in zip(groups, judged, strict=True):
        if group is not None and not problem:
            copies.first[group] = document
    return judged


def _twin(twin: tuple[str, float]) -> Problem:
    first, share = twin
    if share < 0:
        return "duplicate document", f"first in {first}"
    return "near-duplicate", f"Jaccard {share:.3f} with {first}"


def _nothing_left(corpus: Corpus, rejected: Counter[str], out: Path) -> str:
    sources = ", ".join(corpus.sources)
    if not rejected:
        return f"no text in the documents of {sources}; a corpus needs at least one paragraph"
    reason, count = rejected.most_common(1)[0]
    detail = next(
        row["detail"] for row in read_rows(out / "rejected.jsonl") if row["reason"] == reason
    )
    return (
        f"nothing is left of {sources}: {count} of {rejected.total()} dropped paragraphs were "
        f'"{reason}" (such as: {detail}); '
        "loosen what drops them under filter, quality, deduplicate or decontaminate"
    )


if __name__ == "__main__":
    step.run(clean, Corpus)
