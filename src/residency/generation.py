"""generation: texts written after prompts, many at once, with shared keys and values.

    what all begin with, once ─┬─ prompts, some at a time ─┬─> keys and values ── all rows ─> token
                               └─ prompts, some at a time ─┘   with room for more         └─> ...

Rows of about the same length run together, padded on the left; equal prompts are read once; rows
that have ended leave. What a row draws depends on its own seed alone, never on what runs beside it.
"""

from __future__ import annotations

import copy
import hashlib
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from residency.likelihoods import shared_start
from residency.room import room

ROWS = {"cpu": 32, "cuda": 256}
TOKENS = {"cpu": 16384, "cuda": 262144}
"""How many rows, and tokens of all rows with what they may yet write, run at once."""
READ = {"cpu": 1024, "cuda": 32768}
"""Tokens of prompts, padding included, that are read at once: more would only leave the caches."""
LEFT = 0.75
"""The share of rows still being written below which the others are taken out, which copies all."""
TAIL = 16  # tokens at the end of a text in which the words that end it are looked for


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """A text to be written: by the most probable token each time, unless it draws or is bound."""

    prompt: tuple[int, ...]
    most: int  # tokens
    temperature: float = 0.0  # 0: nothing is drawn
    seed: str = ""  # of what is drawn
    allowed: tuple[tuple[int, ...], ...] = ()  # if any: the texts, one of which it must be


@dataclass(slots=True)
class Row:
    """A task on its way."""

    number: int
    task: Task
    written: list[int] = field(default_factory=list)
    chance: Any = None
    ended: bool = False
    seconds: float = 0.0  # its share of what ran


def generate(
    network: Any,
    tokenizer: Any,
    tasks: Sequence[Task],
    *,
    stops: Iterable[int],
    until: Sequence[str] = (),
    rows: int | None = None,
    seconds: list[float] | None = None,
) -> list[list[int]]:
    """The ids written for each task, without the stop token; of a bound one, the allowed text.

    `stops`: tokens that end a text; `until`: words after which nothing more is written (they and
    what stands behind may be among the ids). `rows`: how many run at once, else what the device
    takes. `seconds`: is given what each took, its share of what ran with it.
    """
    import numpy as np
    import torch

    device = network.device.type
    written: list[list[int]] = [[] for _ in tasks]
    clock = [] if seconds is None else seconds
    clock[:] = [0.0] * len(tasks)
    order = sorted(range(len(tasks)), key=lambda i: (-len(tasks[i].prompt), tasks[i].prompt, i))
    with torch.inference_mode():
        for some in _batches(order, tasks, rows or ROWS[device], TOKENS[device]):
            alive = [Row(number, tasks[number]) for number in some]
            for row in alive:
                digest = hashlib.sha256(row.task.seed.encode()).digest()
                row.chance = np.random.Generator(np.random.Philox(list(digest[:16])))
            _write(network, tokenizer, alive, frozenset(stops), until)
            for row in alive:
                written[row.number], clock[row.number] = row.written, row.seconds
    return written


def _batches(
    order: Sequence[int], tasks: Sequence[Task], rows: int, tokens: int
) -> Iterator[list[int]]:
    some: list[int] = []
    for number in order:
        widest = max(len(tasks[each].prompt) + tasks[each].most for each in [*some, number])
        if some and (len(some) == rows or (len(some) + 1) * widest > tokens):
            yield some
            some = []
        some.append(number)
    if some:
        yield some


def _write(
    network: Any, tokenizer: Any, rows: list[Row], stops: frozenset[int], until: Sequence[str]
) -> None:
    """Write the texts of some rows."""
    import torch

    began = time.perf_counter()
    prompts = list(dict.fromkeys(row.task.prompt for row in rows))
    cache, seen, logits = _read(network, prompts, max(row.task.most for row in rows))
    numbers = {prompt: number for number, prompt in enumerate(prompts)}
    if len(prompts) < len(rows):
        each = torch.tensor([numbers[row.task.prompt] for row in rows], device=network.device)
        cache.batch_select_indices(each)
        seen, logits = seen[each], logits[each]
    while True:
        going = [row for row in rows if not row.ended]
        _choose(rows, logits, tokenizer, stops, until)
        for row in going:
            row.seconds += (time.perf_counter() - began) / len(going)
        began = time.perf_counter()
        kept = [number for number, row in enumerate(rows) if not row.ended]
        if not kept:
            return
        if len(kept) < LEFT * len(rows):
            some = torch.tensor(kept, device=network.device)
            cache.batch_select_indices(some)
            seen, rows = seen[some], [rows[number] for number in kept]
        last = [row.written[-1] if row.written else 0 for row in rows]
        seen = torch.cat([seen, seen.new_ones(len(rows), 1)], dim=1)
        logits = _next(network, torch.tensor(last, device=network.device)[:, None], seen, cache)


def _read(network: Any, prompts: Sequence[tuple[int, ...]], more: int) -> tuple[Any, Any, Any]:
    """Keys and values of some prompts, which of them are no padding, and the logits that follow.

    Where every layer keeps all keys and values, what all prompts begin with is read once and the
    rest some at a time; else all in one.
    """
    import torch
    from transformers import DynamicCache
    from transformers.cache_utils import DynamicLayer

    width, device = max(map(len, prompts)), network.device
    whole = DynamicCache(config=network.config)
    if not whole.layers or any(type(layer) is not DynamicLayer for layer in whole.layers):
        ids, seen = _padded(prompts, width, device)
        return whole, seen, _next(network, ids, seen, whole)
    common = shared_start(prompts) if len(prompts) > 1 else 0
    if common:
        ids, seen = _padded([prompts[0][:common]], common, device)
        _next(network, ids, seen, whole)
    slices = list(_slices([len(each) - common for each in prompts], READ[device.type]))
    parts, seens, logits = [], [], []
    for some in slices:
        rest = [prompts[number][common:] for number in some]
        ids, seen = _padded(rest, max(map(len, rest)), device)
        seen = torch.cat([seen.new_ones(len(some), common), seen], dim=1)
        part = copy.deepcopy(whole)
        part.batch_repeat_interleave(len(some))
        logits.append(_next(network, ids, seen, part))
        parts.append(part)
        seens.append(torch.nn.functional.pad(seen, (width - seen.shape[1], 0)))
    layers = zip(*(part.layers for part in parts), strict=True)
    whole.layers = [room(layer, width, more) for layer in layers]
    return whole, torch.cat(seens), torch.cat(logits)


def _padded(prompts: Sequence[Sequence[int]], width: int, device: Any) -> tuple[Any, Any]:
    """Ids with zeros on the left, and which are no padding."""
    import torch

    ids = [[0] * (width - len(each)) + list(each) for each in prompts]
    seen = [[0] * (width - len(each)) + [1] * len(each) for each in prompts]
    return torch.tensor(ids, device=device), torch.tensor(seen, device=device)


def _slices(lengths: Sequence[int], tokens: int) -> Iterator[list[int]]:
    """Numbers in order, as many at once as stay within `tokens` with padding, at least one."""
    some: list[int] = []
    for number, length in enumerate(lengths):
        widest = max([length, *(lengths[each] for each in some)])
        if some and (len(some) + 1) * widest > tokens:
            yield some
            some = []
        some.append(number)
    yield some


def _next(network: Any, ids: Any, seen: Any, cache: Any) -> Any:
    """Logits of each row's next token, in float32."""
    import inspect

    places = {}
    if "position_ids" in inspect.signature(network.forward).parameters:
        positions = (seen.cumsum(-1) - 1).clamp(min=0)
        places = {"position_ids": positions[:, -ids.shape[1] :]}
    return (
        network(
            ids,
            attention_mask=seen,
            past_key_values=cache,
            use_cache=True,
            logits_to_keep=1,
            **places,
        )
        .logits[:, -1]
        .float()
    )


def _choose(
    rows: Sequence[Row], logits: Any, tokenizer: Any, stops: frozenset[int], until: Sequence[str]
) -> None:
    """Add a token to each row, and mark those that end."""
    best = logits.argmax(-1).tolist()
    for number, row in enumerate(rows):
        if row.ended:
            continue
        if row.task.allowed:
            _bound(row, logits[number])
            continue
        token = _drawn(row, logits[number]) if row.task.temperature > 0 else best[number]
        if token in stops:
            row.ended = True
            continue
        row.written.append(token)
        row.ended = len(row.written) >= row.task.most
        if until and not row.ended:
            tail = tokenizer.decode(row.written[-TAIL:])
            row.ended = any(words in tail for words in until)


def _drawn(row: Row, logits: Any) -> int:
    """A token by its probability, in float64, from the row's own stream of chance."""
    import torch

    chances = (logits.double() / row.task.temperature).softmax(-1).cumsum(-1)
    place = torch.searchsorted(chances, row.chance.random() * float(chances[-1]), right=True)
    return min(int(place), len(chances) - 1)


def _bound(row: Row, logits: Any) -> None:
    """The most probable next token with which the text can still be an allowed one.

    Once only one is left, the text is known and nothing more needs to be computed.
    """
    done = len(row.written)
    left = [each for each in row.task.allowed if list(each[:done]) == row.written]
    tokens = sorted({each[done] for each in left if len(each) > done})
    token = max(tokens, key=lambda each: float(logits[each]))
    row.written.append(token)
    left = [each for each in left if each[done] == token]
    if len(left) == 1 or any(len(each) == done + 1 for each in left):
        row.written = list(next((e for e in left if len(e) == done + 1), left[0]))
        row.ended = True
