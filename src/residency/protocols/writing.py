"""writing: texts that a sitting model writes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from residency import prompts, times
from residency.generation import Task, generate
from residency.protocols import sitting as shared
from residency.protocols.sitting import Sitting

NEXT = "\nQuestion:"  # in the plain form, where a model goes on with a question of its own


@dataclass(frozen=True, slots=True, kw_only=True)
class Text:
    """A text to be written about a question."""

    id: str  # the question's
    user: str
    earlier: tuple[tuple[str, str], ...] = ()  # the conversation before
    temperature: float = 0.0
    seed: str = ""


def write(
    sitting: Sitting,
    texts: Sequence[Text],
    most: int,
    allowed: Sequence[Sequence[str]] | None = None,
) -> list[str]:
    """What the model says to each, without white space around it.

    `allowed`: for each, the answers of which it must be one.
    """
    tasks, meant = [], []
    for text, answers in zip(texts, allowed or [()] * len(texts), strict=True):
        prompt = shared.put(sitting, text.user, text.earlier)
        bound = {tuple(shared.said(sitting, each)): each for each in answers}
        needed = max(map(len, bound), default=most)
        shared.fits(sitting, text.id, len(prompt) + needed, "what may be written")
        tasks.append(
            Task(
                prompt=tuple(prompt),
                most=needed,
                temperature=text.temperature,
                seed=text.seed,
                allowed=tuple(bound),
            )
        )
        meant.append(bound)
    plain = sitting.tokenizer.chat_template is None or not sitting.template
    stops = {*prompts.stop(sitting.tokenizer, template=sitting.template)[:1]}
    if sitting.tokenizer.eos_token_id is not None:
        stops.add(sitting.tokenizer.eos_token_id)
    until = (NEXT,) if plain else ()
    seconds: list[float] = []
    written = generate(
        sitting.network, sitting.tokenizer, tasks, stops=stops, until=until, seconds=seconds
    )
    tokens = [len(task.prompt) + len(ids) for task, ids in zip(tasks, written, strict=True)]
    times.spent([text.id for text in texts], seconds, tokens)
    said = []
    for ids, bound in zip(written, meant, strict=True):
        if bound:
            said.append(bound[tuple(ids)])
            continue
        free = sitting.tokenizer.decode(ids, skip_special_tokens=True)
        said.append((free.partition(NEXT)[0] if plain else free).strip())
    return said
