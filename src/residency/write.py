"""write: exam questions from passages, each with the passage it came from.

corpus ── writer ──> question ── checks ── judges ──> options in random order ──> kept
                                    └─────────┴─> the ledger, with the reason

A model is asked in rounds: every passage is asked about before any is asked about twice, so that
where a budget ends, what it bought is spread over the whole corpus.
"""

from __future__ import annotations

import itertools
import random
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, TypeVar

from pydantic import Field, Tag

from residency import author, judge, records, step
from residency.answers import Refused, Reply
from residency.asked import Asked, Spend, budget
from residency.asking import Prompt
from residency.author import Item, ModelWriter, Unusable
from residency.checks import DUPLICATE, Checks, Fault, checks
from residency.decontaminate import Decontaminate, kept_out
from residency.files import write_rows
from residency.judge import Verify
from residency.offline import OfflineWriter, written
from residency.passages import Passage, around, passages
from residency.records import Document, Question, Rejected
from residency.section import Complaint, Name, Section, known_kind, told_by_kind

BATCH = 32
"""Passages written about, or questions written by rule, before the judges sit, where there is a
budget.

All of a round at once could spend it before a single question is judged, and so keep none.
"""

FEWEST = author.LEAST

Each = TypeVar("Each")

Writer = Annotated[
    Annotated[OfflineWriter, Tag("<offline>")] | Annotated[ModelWriter, Tag("<model>")],
    told_by_kind(),
    known_kind("offline", "model"),
]


class Questions(Section):
    """Synthetic exam questions written from a corpus."""

    corpus: Name = Field(description="Corpus whose passages the questions are about.")
    writer: Writer = Field(description="Who writes, and how much.")
    verify: Verify | None = Field(description="Who must agree with the answers; null for nobody.")
    budget: Spend | None = Field(description="What models may cost; null for anything.")
    checks: Checks = Field(description="What a question must be like.")
    decontaminate: Decontaminate = Field(description="Exams that no question may repeat.")

    @property
    def models(self) -> list[str]:
        """The models that write and judge."""
        writes = [self.writer.model] if isinstance(self.writer, ModelWriter) else []
        return [*writes, *(self.verify.judges if self.verify else [])]


def write(
    questions: Questions,
    corpus: Path,
    exams: list[Path],
    model: Path | None,
    judges: list[Path],
    examples: Path | None,
    out: Path,
) -> None:
    """Write questions.jsonl from a corpus's passages; dropped drafts are in the ledger.

    `corpus`: a folder of build/corpora; `exams`: the splits' .jsonl files to keep out; `model`:
    the writer's folder, if it is a model; `judges`: theirs; `examples`: questions to show it.
    replies.jsonl has a row for each reply: of whom, to which prompt, its tokens, cost and time.

    Raises Complaint if no question comes of the corpus, or a model cannot be asked.
    """
    writer = questions.writer
    shown = list(records.questions(examples)) if examples else []
    fault = checks(questions.checks, kept_out(exams), questions.decontaminate, shown)
    spend = questions.budget
    asked = Asked(budget(spend))
    bench = Bench(questions.verify, judges, asked, writer.seed)
    if isinstance(writer, OfflineWriter):
        documents = list(records.documents(corpus))
        found = _by_rule(writer, documents, fault, bench, spend is not None)
    else:
        found = _by_model(writer, model, corpus, shown, fault, bench, spend is not None)
    kept = list(_placed(found.kept, writer.seed))
    if not kept:
        raise Complaint(f"{corpus}: {_nothing(questions, found)}")
    write_rows(out / "questions.jsonl", kept)
    write_rows(out / "replies.jsonl", asked.rows)
    forms = Counter(question.labels["kind"] for question in kept)
    counts = {"questions": len(kept), **dict(sorted(forms.items())), **found.counts(kept)}
    told = {"asked": _cost(asked, len(kept))} if asked.rows else {}
    records.write_ledger(out, counts, found.rejected, **told)


def _cost(asked: Asked, kept: int) -> dict[str, Any]:
    told = asked.told()
    each = round(told["money"] / kept, 6) if told["money"] and kept else None
    return {
        **told,
        "money_per_kept_question": each,
        "stopped_by_budget": asked.budget.stopped,
    }


@dataclass(slots=True)
class Found:
    """What came of a corpus."""

    kept: list[Question]
    rejected: list[Rejected]
    passages: int | None = None  # None: asked sentence by sentence
    asked_about: int = 0

    def counts(self, kept: list[Question]) -> dict[str, int]:
        """How much of the corpus was asked about."""
        if self.passages is None:
            told = {(each.origin["document"], each.origin["start"]) for each in kept}
            return {"sentences_asked_about": len(told)}
        covered = {(each.origin["document"], *each.origin["passage"]) for each in kept}
        return {
            "passages": self.passages,
            "passages_asked_about": self.asked_about,
            "passages_with_questions": len(covered),
        }


def _by_rule(
    writer: OfflineWriter, documents: list[Document], fault: Fault, bench: Bench, bounded: bool
) -> Found:
    found = Found([], [])
    for each in written(writer, documents, fault):
        if isinstance(each, Rejected):
            found.rejected.append(each)
        else:
            found.kept.append(each)
    by_id = {each.id: each for each in documents}
    passages = []
    for place, question in enumerate(found.kept):
        origin = question.origin
        document = by_id[origin["document"]]
        passage = around(document, origin["start"], origin["end"])
        passages.append(passage)
        told = author.origin(passage, origin["start"], origin["end"]) | {"writer": writer.kind}
        found.kept[place] = replace(question, origin=told)
    cases = [([question], passage) for question, passage in zip(found.kept, passages, strict=True)]
    found.kept = []
    for batch in _batches(cases, BATCH if bounded else len(cases)):
        for (case, _), verdict in zip(batch, bench.verdicts(batch), strict=True):
            _take(found, case, verdict, fault)
    return found


def _by_model(
    writer: ModelWriter,
    model: Path | None,
    corpus: Path,
    shown: list[Question],
    fault: Fault,
    bench: Bench,
    bounded: bool,
) -> Found:
    """Round by round, each in the order of passages; within one, drafts are checked in order."""
    if model is None:
        raise Complaint(f"--model is missing, expected the folder of {writer.model}")
    examples = author.by_kind(shown)
    if writer.examples and not shown:
        raise Complaint(
            f"writer.examples: the train split of {writer.examples.exam} has no question; "
            "give it a share, or set examples to null"
        )
    files = author.prompts(writer)
    plan = [author.items(writer, each) for each in _passages(writer, corpus)]
    found = Found([], [], passages=len(plan))
    stems: defaultdict[str, list[str]] = defaultdict(list)  # by passage
    about: set[str] = set()
    for round in itertools.zip_longest(*plan) if plan else ():
        wanted = [item for item in round if item is not None]
        for batch in _batches(wanted, BATCH if bounded and bench.judges else len(wanted)):
            requests = [
                author.request(
                    writer,
                    item,
                    files[item.kind],
                    author.shown(writer, item, examples),
                    stems[item.passage.id],
                )
                for item in batch
            ]
            told_by = [_file(files[item.kind]) for item in batch]
            replies = bench.asked.ask(model, requests, [each.id for each in batch], told_by)
            about |= {
                item.passage.id
                for item, reply in zip(batch, replies, strict=True)
                if reply is not None
            }
            waiting = list(zip(batch, requests, replies, strict=True))
            while waiting:
                cases, again, refused = [], [], []
                for item, request, reply in waiting:
                    case, rejected = _drafted(writer, item, reply, fault)
                    if not case and any(each.reason == DUPLICATE for each in rejected):
                        again.append((item, request, reply))
                        refused += rejected
                        continue
                    found.rejected += rejected
                    stems[item.passage.id] += [each.stem for each in case]
                    told = {"writer": model.name, **_file(files[item.kind]), "seed": request.seed}
                    if case:
                        case = [replace(each, origin=each.origin | told) for each in case]
                        cases.append((case, item.passage))
                before = len(found.rejected)
                for (case, _), verdict in zip(cases, bench.verdicts(cases), strict=True):
                    _take(found, case, verdict, fault)
                # What repeats a draft of this batch that judges dropped is no duplicate any more.
                waiting = again if len(found.rejected) > before else []
                found.rejected += [] if waiting else refused
    found.asked_about = len(about)
    places = {each.id: place for place, row in enumerate(plan) for each in row}
    order = {each.id: (places[each.id], each.kind, each.number) for row in plan for each in row}
    found.kept.sort(key=lambda each: (*order[_item_of(each)], each.order))
    return found


def _passages(writer: ModelWriter, corpus: Path) -> Iterator[Passage]:
    return passages(records.documents(corpus), writer.passage_words)


def _batches(some: Sequence[Each], size: int) -> Iterator[Sequence[Each]]:
    for start in range(0, len(some), max(1, size)):
        yield some[start : start + size]


def _file(prompt: Prompt) -> dict[str, str]:
    return {"prompt": prompt.file, "prompt_sha256": prompt.sha256}


def _item_of(question: Question) -> str:
    return question.group if question.kind == "progressive" else question.id


def _drafted(
    writer: ModelWriter,
    item: Item,
    reply: Reply | Refused | None,
    fault: Fault,
) -> tuple[list[Question], list[Rejected]]:
    """The questions of one reply without fault, and why the others are not kept.

    Of a case those up to the first with a fault are kept, if they are three or more: what comes
    later builds on it.
    """
    rejected: list[Rejected] = []

    def reject(id: str, reason: str, detail: str, told: dict[str, Any]) -> None:
        document = item.passage.document
        place = {"document": document.id, "passage": [item.passage.start, item.passage.end]}
        item_told = told | {"origin": place}
        rejected.append(Rejected(id=id, reason=reason, detail=detail, item=item_told))

    if reply is None:
        reject(item.id, "budget spent", "", {})
        return [], rejected
    if isinstance(reply, Refused):
        reject(item.id, reply.reason, reply.detail, {"key": reply.key})
        return [], rejected
    try:
        drafts = author.read(writer, item, reply)
    except Unusable as why:
        reject(item.id, why.args[0], why.args[1], {"reply": reply.text, "key": reply.key})
        return [], rejected
    case: list[Question] = []
    for place, draft in enumerate(drafts, 1):
        id = item.id if item.kind != "progressive" else f"{item.id}.{place}"
        if len(case) < place - 1:
            reject(id, "builds on a dropped one", "", {"key": reply.key})
        elif isinstance(draft, Unusable):
            reject(id, draft.args[0], draft.args[1], {"reply": reply.text, "key": reply.key})
        elif found_fault := fault(draft):
            reject(id, *found_fault, _told(draft))
        else:
            case.append(draft)
    if item.kind == "progressive" and len(case) < FEWEST:
        for each in case:
            fault.forget(each)
            reject(each.id, "case too short", f"{len(case)} good questions of it", _told(each))
        return [], rejected
    return case, rejected


def _told(question: Question) -> dict[str, Any]:
    """A question as an item of the ledger."""
    right = [question.options[each] for each in question.answers]
    return {
        "stem": question.stem,
        "options": list(question.options),
        "answer": "; ".join(right) or question.reference,
        "key": question.origin.get("reply"),
    }


@dataclass(frozen=True, slots=True)
class Verdict:
    """What judges say of a question."""

    reason: str = ""  # why it is not kept; empty if it is
    detail: str = ""
    closed_book: str = ""  # share of judges right without the passage, as a label


def _take(found: Found, case: list[Question], verdicts: list[Verdict], fault: Fault) -> None:
    """Keep a case's questions up to the first that the judges do not; none if too few are left."""
    good = list(itertools.takewhile(lambda each: not each.reason, verdicts))
    short = case[0].kind == "progressive" and len(good) < FEWEST
    for place, (question, verdict) in enumerate(zip(case, verdicts, strict=True)):
        if place < len(good) and not short:
            labels = question.labels
            if verdict.closed_book:
                labels = labels | {"closed_book": verdict.closed_book}
            found.kept.append(replace(question, labels=labels))
            continue
        fault.forget(question)
        reason, detail = verdict.reason, verdict.detail
        if not reason:
            late = place > len(good)
            reason = "builds on a dropped one" if late else "case too short"
            detail = "" if late else f"{len(good)} good questions of it"
        item = _told(question) | {"origin": question.origin}
        found.rejected.append(Rejected(id=question.id, reason=reason, detail=detail, item=item))


@dataclass(frozen=True, slots=True)
class Bench:
    """The judges of a set of questions."""

    verify: Verify | None
    judges: list[Path]
    asked: Asked
    seed: int

    def verdicts(self, cases: Sequence[tuple[list[Question], Passage]]) -> list[list[Verdict]]:
        """What the majority says of each question of each case."""
        if self.verify is None or not cases:
            return [[Verdict()] * len(case) for case, _ in cases]
        if not self.judges:
            raise Complaint(f"--judges is missing, expected {', '.join(self.verify.judges)}")
        prompt = judge.prompt()
        flat = [
            (question, case[:place], passage.text)
            for case, passage in cases
            for place, question in enumerate(case)
        ]
        requests = [
            judge.requests(self.verify, question, text, before, prompt, self.seed)
            for question, before, text in flat
        ]
        about = [q.id for (q, *_), made in zip(flat, requests, strict=True) for _ in made]
        every = [each for made in requests for each in made]
        said = []
        for model in self.judges:
            replies = iter(self.asked.ask(model, every, about, [_file(prompt)] * len(every)))
            said.append([[next(replies) for _ in made] for made in requests])
        verdicts = iter(
            _verdict(question, [replies[place] for replies in said])
            for place, (question, *_) in enumerate(flat)
        )
        return [[next(verdicts) for _ in case] for case, _ in cases]


def _verdict(question: Question, replies: list[list[Reply | Refused | None]]) -> Verdict:
    """The majority's; `replies`: by judge, with the passage and then without."""
    count = len(replies)
    if any(each is None for said in replies for each in said):
        return Verdict("budget spent", "before every judge sat")
    right = sum(judge.agrees(question, said[0]) for said in replies)
    if 2 * right <= count:
        return Verdict("not answerable", f"{right} of {count} judges agree, given the passage")
    if any(len(said) == 1 for said in replies):
        return Verdict()
    known = sum(judge.agrees(question, said[1]) for said in replies)
    return Verdict(closed_book=f"{known}/{count}")


def _placed(questions: Iterable[Question], seed: int) -> Iterator[Question]:
    """Questions with their options in random order, each place of the right one as frequent."""
    decks: dict[int, Iterator[int]] = {}
    for each in questions:
        count, form = len(each.options), each.form or each.kind
        if form == "single":
            deck = decks.setdefault(count, _dealt(count, random.Random(seed)))
            place = next(deck)
            right = each.options[each.answers[0]]
            wrong = [option for at, option in enumerate(each.options) if at != each.answers[0]]
            options = (*wrong[:place], right, *wrong[place:])
            yield replace(each, options=options, answers=(place,))
        elif form in ("multiple", "propositions"):
            order = random.Random(f"{seed} {each.id}").sample(range(count), count)
            answers = sorted(order.index(answer) for answer in each.answers)
            options = tuple(each.options[at] for at in order)
            yield replace(each, options=options, answers=tuple(answers))
        else:
            yield each


def _dealt(options: int, chance: random.Random) -> Iterator[int]:
    """Positions of answers: shuffled rounds of all of them, so that each is as frequent."""
    while True:
        places = list(range(options))
        chance.shuffle(places)
        yield from places


def _nothing(questions: Questions, found: Found) -> str:
    """Why a set is empty, and what to do."""
    writer = questions.writer
    if isinstance(writer, OfflineWriter) and not questions.verify:
        return (
            "no question could be written from it, expected terms met twice or more "
            f"with {writer.options - 1} others of their kind; "
            "give a larger corpus or ask for fewer options"
        )
    reasons = Counter(each.reason for each in found.rejected).most_common(3)
    if not reasons:
        return "no question could be written from it: it has no passage"
    told = ", ".join(f"{reason} ({count})" for reason, count in reasons)
    first = next(each for each in found.rejected if each.reason == reasons[0][0])
    return (
        f"no question of {len(found.rejected)} drafts was kept, most often: {told}; "
        f"the first: {first.detail or first.reason}; "
        "raise the budget, loosen the checks, or take a stronger model"
    )


if __name__ == "__main__":
    step.run(write, Questions)
