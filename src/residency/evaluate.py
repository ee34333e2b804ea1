"""evaluate: model x exam x protocol becomes one row per question, then scores with intervals.

predictions.jsonl   each question: what was asked, what was answered, all that led to it
scores.json         protocol and version, accuracy and the like with intervals, by label, baselines
pubmedqa.json       of PubMedQA: the prediction file its own evaluation takes
replies.jsonl       of a served model: each reply, its tokens, cost and time

docs/evaluation.md tells the protocols and the scores. A protocol is a module of
residency.protocols: its section, the kinds of question it asks, and `sit`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Annotated, Any

from pydantic import Tag

from residency import served, step
from residency.answers import Refused, Reply, Request
from residency.asked import Asked, budget
from residency.files import write_json, write_rows
from residency.protocols import (
    explain,
    generate,
    likelihood,
    permuted,
    progressive,
    propositions,
    self_consistency,
    voc,
)
from residency.protocols.sitting import MOST_OPTIONS, Ask, Sitting, chosen
from residency.records import Question, questions
from residency.scores import pubmedqa, pubmedqa_scores, scores
from residency.section import Complaint, known_kind, told_by_kind

PROTOCOLS: dict[str, ModuleType] = {
    "likelihood": likelihood,
    "generate": generate,
    "permuted": permuted,
    "self_consistency": self_consistency,
    "voc": voc,
    "propositions": propositions,
    "progressive": progressive,
    "explain": explain,
}

WRITTEN = ("generate", "self_consistency", "voc", "explain")
"""The protocols that need nothing of a model but what it writes."""

EITHER = ("permuted", "propositions", "progressive")
"""Those that say `by`: likelihood or generation."""

Protocol = Annotated[
    Annotated[
        Annotated[likelihood.Likelihood, Tag("<likelihood>")]
        | Annotated[generate.Generate, Tag("<generate>")]
        | Annotated[permuted.Permuted, Tag("<permuted>")]
        | Annotated[self_consistency.SelfConsistency, Tag("<self_consistency>")]
        | Annotated[voc.VoC, Tag("<voc>")]
        | Annotated[propositions.Propositions, Tag("<propositions>")]
        | Annotated[progressive.Progressive, Tag("<progressive>")]
        | Annotated[explain.Explain, Tag("<explain>")],
        told_by_kind(),
    ],
    known_kind(*PROTOCOLS),
]


def evaluate(
    protocol: Protocol, model: Path, exam: Path, out: Path, shown: Path | None = None
) -> None:
    """Sit one split of an exam: predictions.jsonl and scores.json.

    `model`: a folder of build/models; `exam`: a split's .jsonl file; `shown`: the train split's,
    for examples. Right is who names exactly the right options.

    Raises Complaint where the exam is empty, a question is of a kind that cannot be asked this way,
    one with several right answers has more than eight options, or a question is longer than the
    model's context; where a served model cannot be asked at all, or not within its budget.
    """
    asks = PROTOCOLS[protocol.kind]
    asked = asked_of(protocol, exam)
    examples = examples_of(protocol, shown)
    spend = getattr(protocol, "budget", None)  # likelihood has none
    bought = Asked(budget(spend)) if served.endpoint(model) else None
    sitting = _seated(protocol, model, examples, bought)
    answered = list(zip(asked, asks.sit(protocol, sitting, asked), strict=True))
    refused = _refused(bought)
    rows = [_row(question, found, refused.get(question.id)) for question, found in answered]
    write_rows(out / "predictions.jsonl", rows)
    found: dict[str, Any] = {"protocol": {"kind": protocol.kind, "version": protocol.version}}
    found |= scores(asked, rows)
    if bought:
        write_rows(out / "replies.jsonl", bought.rows)
        found["asked"] = _cost(bought, len(rows))
    if hasattr(asks, "scores"):
        found |= asks.scores(asked, rows)
    if (predicted := pubmedqa(asked, rows)) is not None:
        write_json(out / "pubmedqa.json", predicted)
        truth = {each.id: each.options[each.answers[0]] for each in asked}
        found["pubmedqa"] = pubmedqa_scores(predicted, truth)
    write_json(out / "scores.json", found)


def asked_of(protocol: Protocol, exam: Path) -> list[Question]:
    """The questions of the split; raises Complaint where one of them cannot be asked."""
    asked = list(questions(exam))
    if not asked:
        raise Complaint(
            f"{exam}: holds no question, expected at least one; "
            "evaluate another split, or give this one a share in the exam's section"
        )
    kinds = PROTOCOLS[protocol.kind].ASKS
    others = [question for question in asked if question.kind not in kinds]
    if others:
        raise Complaint(
            f"{exam}: {len(others)} of {len(asked)} questions are of another kind, first "
            f"{others[0].id!r} ({others[0].kind}); {protocol.kind} asks {', '.join(kinds)}: "
            "evaluate it by another protocol, or another exam"
        )
    for question in asked:
        several = (question.form or question.kind) == "multiple"
        if several and len(question.options) > MOST_OPTIONS:
            raise Complaint(
                f"{exam}: question {question.id!r} has {len(question.options)} options and several "
                f"right answers, expected at most {MOST_OPTIONS}; leave it out of the raw exam"
            )
    return asked


def examples_of(protocol: Protocol, shown: Path | None) -> list[tuple[str, str]]:
    """What is shown before each question, as user messages with their answers."""
    if protocol.few_shot is None or shown is None:
        return []
    asks = PROTOCOLS[protocol.kind]
    known = [question for question in questions(shown) if question.kind in asks.ASKS]
    return [
        turn
        for question in chosen(known, protocol.few_shot)
        for turn in asks.example(protocol, question)
    ]


def _seated(
    protocol: Protocol, model: Path, examples: Sequence[tuple[str, str]], bought: Asked | None
) -> Sitting:
    """The model at the exam; `bought` takes note of what a served one is asked."""
    network = tokenizer = ask = None
    if bought:
        ask = _within(bought, model)
    else:
        from residency.network import load

        network, tokenizer = load(model, protocol.precision)
    return Sitting(
        network=network,
        tokenizer=tokenizer,
        system=protocol.system,
        template=protocol.template,
        examples=tuple(examples),
        ask=ask,
    )


def _within(bought: Asked, model: Path) -> Ask:
    """How a served model is asked. A score on a part of the exam would be no score of it."""

    def ask(requests: Sequence[Request], about: Sequence[str]) -> list[Reply | Refused]:
        replies = bought.ask(model, requests, about, [{} for _ in requests])
        there = [each for each in replies if each is not None]
        if len(there) == len(replies):
            return there
        spent = f"{bought.budget.spent_tokens:,} tokens"
        if bought.currency:
            spent += f" and {bought.budget.spent_money:.6f} {bought.currency}"
        raise Complaint(
            f"protocol.budget: {model.name} has replied to {len(there)} of {len(requests)} "
            f"requests for {spent}, and the next one might not fit; a part of an exam has no "
            "score: raise it, or set it to null, and run the same command again; the replies "
            "are stored, and nothing is paid twice"
        )

    return ask


def _refused(bought: Asked | None) -> dict[str, str]:
    """Why the first request about a question was refused, by question."""
    rows = [row for row in bought.rows if "refused" in row] if bought else []
    return {row["about"]: row["refused"] for row in reversed(rows)}


def _cost(bought: Asked, questions: int) -> dict[str, Any]:
    """What asking a served model came to."""
    told = bought.told()
    reasons = Counter(row["refused"] for row in bought.rows if "refused" in row)
    return {
        **told,
        "money_per_question": round(told["money"] / questions, 6) if told["money"] else None,
        "reasons": dict(sorted(reasons.items())),
        "models": sorted({row["model"] for row in bought.rows if "model" in row}),
    }


def _row(question: Question, found: dict[str, Any], refused: str | None) -> dict[str, Any]:
    """A row of predictions.jsonl: the question, then what the protocol found.

    `refused`: why a served model gave no reply, if it did not.
    """
    right = tuple(sorted(question.answers))
    answer = found["answer"]
    return {
        "id": question.id,
        "kind": question.kind,
        "group": question.group,
        "labels": question.labels,
        "texts": question.options,
        **found,
        **({"refused": refused} if refused else {}),
        "right": right,
        "correct": found.get("correct", answer is not None and tuple(answer) == right),
    }


if __name__ == "__main__":
    step.run(evaluate, Protocol)
