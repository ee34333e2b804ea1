"""evaluate: model x exam x protocol becomes one row per question, then scores with intervals.

    question ── ask ──> prompt ─┬─> reply "aorta"      log p = -3.1
                                ├─> reply "vena cava"  log p = -2.4   <- chosen
                                └─> ...

A candidate's log-likelihood is that of its whole reply, the stop token included: the model gives it
for saying this and no more. Without it "A" could never be less likely than "A; B".
"""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Sequence
from itertools import combinations
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from residency import prompts, step
from residency.files import write_json, write_rows
from residency.intervals import wilson
from residency.records import Question, questions
from residency.section import Complaint, Section

MOST_OPTIONS = 8  # of a question with several right answers: 255 candidates


class Likelihood(Section):
    """Each candidate answer is scored by its log-likelihood after the question; the best is chosen.

    A question with several right answers has every non-empty set of options as candidates.
    """

    kind: Literal["likelihood"] = Field(description="The protocol's name.")
    options: Literal["shown", "hidden"] = Field(description="Whether the prompt lists the options.")
    system: str | None = Field(
        description="What the system turn says; null leaves it to the chat template."
    )
    normalise: Literal["none", "tokens", "characters"] = Field(
        description="What a candidate's log-likelihood is divided by."
    )
    precision: Literal["float32", "bfloat16"] = Field(
        description="Of the weights and what is computed with them; the output layer, which "
        "decides between close candidates, is always computed in float32."
    )


def evaluate(protocol: Likelihood, model: Path, exam: Path, out: Path) -> None:
    """Sit one split of an exam: predictions.jsonl and scores.json.

    `model`: a folder of build/models; `exam`: a split's .jsonl file. Right is who names exactly
    the right options. Of equally good candidates the first is chosen.

    Raises Complaint where the exam is empty, a question is of a kind that cannot be asked this way,
    one with several right answers has more than eight options, or a question is longer than the
    model's context.
    """
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    asked = list(questions(exam))
    if not asked:
        raise Complaint(
            f"{exam}: holds no question, expected at least one; "
            "evaluate another split, or give this one a share in the exam's section"
        )
    others = [question for question in asked if question.kind not in prompts.ASKED]
    if others:
        raise Complaint(
            f"{exam}: {len(others)} of {len(asked)} questions are of another kind, first "
            f"{others[0].id!r} ({others[0].kind}); likelihood asks {', '.join(prompts.ASKED)}: "
            "evaluate another exam"
        )
    for question in asked:
        if question.kind == "multiple" and len(question.options) > MOST_OPTIONS:
            raise Complaint(
                f"{exam}: question {question.id!r} has {len(question.options)} options and several "
                f"right answers, expected at most {MOST_OPTIONS}; leave it out of the raw exam"
            )
    tokenizer = AutoTokenizer.from_pretrained(model, local_files_only=True)
    network: Any = AutoModelForCausalLM.from_pretrained(
        model, local_files_only=True, use_safetensors=True, dtype=protocol.precision
    )
    _output_in_float32(network)
    network.to("cuda" if torch.cuda.is_available() else "cpu").eval()
    rows = [_sit(question, protocol, network, tokenizer) for question in asked]
    write_rows(out / "predictions.jsonl", rows)
    write_json(out / "scores.json", _scores(asked, rows))


def candidates(question: Question) -> list[tuple[int, ...]]:
    """What may be answered, as indexes of options: each alone, or every non-empty set of them."""
    indexes = range(len(question.options))
    largest = len(question.options) if question.kind == "multiple" else 1
    return [each for size in range(1, largest + 1) for each in combinations(indexes, size)]


def loglikelihoods(
    model: Any, prompt: Sequence[int], replies: Sequence[Sequence[int]], batch: int = 16
) -> list[float]:
    """Log-probability in nats of each reply, all of its tokens, after the prompt.

    The prompt is computed once and its keys and values are shared. A reply that begins like another
    is read off that one's row: for all sets of five options that halves the work. Rows are padded
    on the right, where a causal model's real tokens do not look; `batch` rows run at once.
    """
    import torch

    contexts = {tuple(reply[:-1]) for reply in replies}
    hosts: list[tuple[int, ...]] = []
    host: dict[tuple[int, ...], tuple[int, ...]] = {}
    for context in sorted(contexts, reverse=True):  # just after the longer ones it begins
        if not hosts or hosts[-1][: len(context)] != context:
            hosts.append(context)
        host[context] = hosts[-1]
    hosts.sort(key=len)
    found: dict[tuple[int, ...], float] = {}
    with torch.inference_mode():
        start = torch.tensor([prompt[:-1]], device=model.device)
        cache = model(start, use_cache=True, logits_to_keep=1).past_key_values
        for first in range(0, len(hosts), batch):
            rows = hosts[first : first + batch]
            longest = len(rows[-1])
            ids = [[prompt[-1], *row, *[0] * (longest - len(row))] for row in rows]
            shared = copy.deepcopy(cache)
            shared.batch_repeat_interleave(len(rows))
            logits = model(torch.tensor(ids, device=model.device), past_key_values=shared).logits
            logprobs = logits.float().log_softmax(dim=-1)
            for reply in map(tuple, replies):
                if (row := host[reply[:-1]]) in rows:
                    tokens = torch.tensor(reply, device=model.device)
                    each = logprobs[rows.index(row), range(len(reply)), tokens]
                    found[reply] = float(each.double().sum())
    return [found[tuple(reply)] for reply in replies]


def _output_in_float32(model: Any) -> None:
    """Let the output layer compute in float32: bfloat16 logits are 0.1 apart where they matter."""
    import torch

    head = model.get_output_embeddings()
    if head.weight.dtype != torch.float32:
        exact = copy.deepcopy(head).float()  # a copy: the input embedding may be the same weights
        exact.register_forward_pre_hook(lambda _module, inputs: (inputs[0].float(),))
        model.set_output_embeddings(exact)


def _sit(question: Question, protocol: Likelihood, model: Any, tokenizer: Any) -> dict[str, Any]:
    """One question's row of predictions.jsonl.

    Log-likelihoods are rounded before they are compared, to what sums of float32 hold whatever the
    number of threads, so the choice can be repeated from the row alone.
    """
    user = prompts.ask(question, protocol.options)
    prompt = prompts.prompt(tokenizer, user, protocol.system)
    sets = candidates(question)
    texts = [prompts.answer(question, each) for each in sets]
    replies = [prompts.reply(tokenizer, text) for text in texts]
    needed = len(prompt) + max(len(reply) for reply in replies)
    context = getattr(model.config, "max_position_embeddings", needed)
    if needed > context:
        raise Complaint(
            f"question {question.id!r} takes {needed} tokens with its longest answer, expected at "
            f"most the model's {context}; leave it out of the raw exam or evaluate another model"
        )
    rows: list[dict[str, Any]] = []
    for each, text, reply, logprob in zip(
        sets, texts, replies, loglikelihoods(model, prompt, replies), strict=True
    ):
        logprob = round(logprob, 4)
        length = {"none": 1, "tokens": len(reply), "characters": len(text)}[protocol.normalise]
        score = round(logprob / length, 6)
        rows.append({"options": each, "logprob": logprob, "tokens": len(reply), "score": score})
    chosen = max(rows, key=lambda row: row["score"])["options"]
    right = tuple(sorted(question.answers))
    return {
        "id": question.id,
        "kind": question.kind,
        "group": question.group,
        "labels": question.labels,
        "prompt": user,
        "texts": question.options,
        "candidates": rows,
        "answer": chosen,
        "right": right,
        "correct": chosen == right,
    }


def _scores(asked: list[Question], rows: list[dict[str, Any]]) -> dict[str, Any]:
    total = _share([row["correct"] for row in rows])
    low, high = wilson(total["correct"], total["questions"], 0.95)
    by_label: dict[str, dict[str, list[bool]]] = {}
    for row in rows:
        for label, value in row["labels"].items():
            by_label.setdefault(label, {}).setdefault(value, []).append(row["correct"])
    return {
        **total,
        "wilson": {"confidence": 0.95, "low": round(low, 6), "high": round(high, 6)},
        "by_label": {
            label: {value: _share(verdicts) for value, verdicts in sorted(values.items())}
            for label, values in sorted(by_label.items())
        },
        "baselines": _baselines(asked),
    }


def _baselines(asked: list[Question]) -> dict[str, float]:
    """Accuracy without reading: by chance, by the most frequent answer, by the longest option."""
    chance = [1 / len(candidates(question)) for question in asked]
    answers = [tuple(sorted(question.answers)) for question in asked]
    longest = [
        (max(range(len(question.options)), key=lambda i: len(question.options[i])),)
        for question in asked
    ]
    hits = [one == other for one, other in zip(longest, answers, strict=True)]
    found = {
        "random": sum(chance) / len(asked),
        "majority": max(Counter(answers).values()) / len(asked),
        "longest": sum(hits) / len(asked),
    }
    return {name: round(value, 6) for name, value in found.items()}


def _share(verdicts: list[bool]) -> dict[str, Any]:
    correct, total = sum(verdicts), len(verdicts)
    return {"questions": total, "correct": correct, "accuracy": round(correct / total, 6)}


if __name__ == "__main__":
    step.run(evaluate, Likelihood)
