"""likelihoods: how probable replies are after a prompt, for many questions at once.

    common   question   replies as a tree
    system │ Which ...? ├─ the ─┬─ heart
           │            │       └─ lungs       each token sees the prompt and its own branch
           │            └─ blood

A question is one row: its prompt once, then the tree of its replies, in which equal beginnings are
one branch. Several rows stand in a line, so that next to nothing is padding; a mask keeps branches
and rows apart. What all prompts begin with is computed once and its keys and values are shared. The
output layer is computed only where a reply's token is foretold. (Tree attention as in SpecInfer,
Miao et al. 2023, arXiv 2305.09781, section 4.)

Not every network can be asked this way: one with a recurrent state, with positions that cannot be
told, or with a window shorter than the row, would see the branches mixed. The longest row's longest
reply is therefore compared with the plain computation, and where the two differ all are computed
plainly.
"""

from __future__ import annotations

import copy
import inspect
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain
from typing import Any

from residency.bestfit import best_fit

BRANCHES = 512  # tokens of a row's tree; more replies are put into further rows of the question
SUMMED = 256  # distributions over the vocabulary that are summed up at once
LINE = 384  # tokens of a line, if no row is longer: short ones are padded, long ones attend slowly
BATCH = {"cpu": 1024, "cuda": 32768}
"""Tokens that run at once, padding and what is common included."""
TOLERANCE = {"float32": 1e-3, "bfloat16": 0.25}
"""Nats per reply by which tree and plain computation may differ through rounding."""

Asked = tuple[Sequence[int], Sequence[Sequence[int]]]
"""Ids of a prompt, and of each reply to it."""


@dataclass(frozen=True, slots=True)
class Row:
    """A question's prompt and a tree over some of its replies, all but their last tokens."""

    question: int
    prompt: tuple[int, ...]  # without what is common to all
    tokens: list[int]  # of the tree, parents first
    parents: list[int]  # of each token; -1 is the end of the prompt
    depths: list[int]  # from 1
    wanted: list[tuple[int, list[tuple[int, int]]]]  # reply: (token it follows, its own token) ...


def loglikelihoods(
    network: Any,
    asked: Sequence[Asked],
    batch: int | None = None,
    seconds: list[float] | None = None,
) -> list[list[float]]:
    """Log-probability in nats of each reply, all of its tokens, after its prompt.

    `batch`: how many tokens run at once, else what the device takes; it changes nothing but time
    and memory (and rounding, in the sixth digit). Prompts and replies must not be empty. `seconds`:
    is given what each took, its share by tokens of what ran with it.
    """
    clock = [0.0] * len(asked) if seconds is None else seconds
    clock[:] = [0.0] * len(asked)
    if not asked:
        return []
    known = inspect.signature(network.forward).parameters
    if getattr(network, "_is_stateful", False) or "position_ids" not in known:
        return _all_plainly(network, asked, clock)
    import torch

    common = shared_start([prompt for prompt, _ in asked])
    rows = [
        row
        for number, (prompt, replies) in enumerate(asked)
        for row in _rows(number, tuple(prompt[common:]), replies)
    ]
    found: list[list[float]] = [[0.0] * len(replies) for _, replies in asked]
    longest = max(rows, key=_length)
    with torch.inference_mode():
        cache = _prefill(network, asked[0][0][:common]) if common else None
        most = batch or BATCH[network.device.type]
        for lines in _batches(_lines(rows, most, common), most, common):
            began = time.perf_counter()
            scored = _scored(network, lines, cache, common)
            some = list(chain.from_iterable(lines))
            each = (time.perf_counter() - began) / sum(map(_length, some))
            for row, sums in zip(some, scored, strict=True):
                clock[row.question] += each * _length(row)
                for (reply, _), value in zip(row.wanted, sums, strict=True):
                    found[row.question][reply] = value
            if longest in some and not _agree(network, asked, longest, found):
                return _all_plainly(network, asked, clock)
    return found


def _all_plainly(network: Any, asked: Sequence[Asked], clock: list[float]) -> list[list[float]]:
    found = []
    for number, (prompt, replies) in enumerate(asked):
        began = time.perf_counter()
        found.append(plainly(network, prompt, replies))
        clock[number] = time.perf_counter() - began
    return found


def _length(row: Row) -> int:
    return len(row.prompt) + len(row.tokens)


def shared_start(prompts: Sequence[Sequence[int]]) -> int:
    """How many tokens all prompts begin with, leaving each at least its last."""
    first, last = min(map(tuple, prompts)), max(map(tuple, prompts))
    pairs = enumerate(zip(first, last, strict=False))
    shared = next((at for at, (one, other) in pairs if one != other), len(first))
    return min([shared, *(len(prompt) - 1 for prompt in prompts)])


def _rows(question: int, prompt: tuple[int, ...], replies: Sequence[Sequence[int]]) -> list[Row]:
    """The rows of one question: replies in order of their tokens, cut where a tree is full."""
    rows: list[Row] = []
    nodes: dict[tuple[int, ...], int] = {}
    for number in sorted(range(len(replies)), key=lambda i: tuple(replies[i])):
        reply = tuple(replies[number])
        new = sum(reply[:end] not in nodes for end in range(1, len(reply)))
        if not rows or (rows[-1].tokens and len(rows[-1].tokens) + new > BRANCHES):
            rows.append(Row(question, prompt, [], [], [], []))
            nodes = {(): -1}
        row, wanted = rows[-1], []
        for end, token in enumerate(reply):
            wanted.append((nodes[reply[:end]], token))
            if end + 1 < len(reply) and reply[: end + 1] not in nodes:
                row.parents.append(nodes[reply[:end]])
                nodes[reply[: end + 1]] = len(row.tokens)
                row.tokens.append(token)
                row.depths.append(end + 1)
        row.wanted.append((number, wanted))
    return rows


def _lines(rows: Sequence[Row], batch: int, common: int) -> list[list[Row]]:
    """Rows side by side in as few lines as will do: the longest row's first, then the fullest."""
    import numpy as np

    lengths = np.array([_length(row) for row in rows])
    width = max(int(lengths.max()), min(LINE, batch - common))
    lines: dict[int, list[Row]] = {}
    for row, line in zip(rows, best_fit(lengths, width).tolist(), strict=True):
        lines.setdefault(line, []).append(row)
    first, *others = (lines[number] for number in sorted(lines))  # best_fit begins with the longest
    return [first, *sorted(others, key=_filled, reverse=True)]


def _filled(line: Sequence[Row]) -> int:
    return sum(map(_length, line))


def _batches(lines: Sequence[list[Row]], batch: int, common: int) -> Iterator[list[list[Row]]]:
    """Lines in order, as many at once as stay within `batch` tokens, at least one."""
    some: list[list[Row]] = []
    for line in lines:
        widest = max(map(_filled, [*some, line]))
        if some and (len(some) + 1) * (common + widest) > batch:
            yield some
            some = []
        some.append(line)
    if some:
        yield some


def _prefill(network: Any, ids: Sequence[int]) -> Any:
    """Keys and values of what all prompts begin with."""
    import torch
    from transformers import DynamicCache

    cache = DynamicCache()
    start = torch.tensor([list(ids)], device=network.device)
    network(start, past_key_values=cache, use_cache=True, logits_to_keep=1)
    return cache


def _scored(
    network: Any, lines: Sequence[Sequence[Row]], cache: Any, common: int
) -> list[list[float]]:
    """The replies' log-probabilities of each row, in the order in which it wants them."""
    import numpy as np
    import torch

    width = max(map(_filled, lines))
    ids = np.zeros((len(lines), width), dtype=np.int64)
    positions = np.zeros((len(lines), width), dtype=np.int64)
    seen = np.zeros((len(lines), width, common + width), dtype=bool)
    seen[:, np.arange(width), common + np.arange(width)] = True  # padding sees itself, not nothing
    seen[:, :, :common] = True
    steps = []  # of every reply of every row: (its place and the token it foretells) ...
    for number, line in enumerate(lines):
        end = 0
        for row in line:
            start, before, end = end, end + len(row.prompt), end + _length(row)
            ids[number, start:end] = [*row.prompt, *row.tokens]
            positions[number, start:before] = common + np.arange(len(row.prompt))
            positions[number, before:end] = common + len(row.prompt) - 1 + np.array(row.depths, int)
            own = seen[number, :, common:]
            own[start:before, start:before] = np.tri(len(row.prompt), dtype=bool)
            own[before:end, start:before] = True
            for node, parent in enumerate(row.parents):
                if parent >= 0:
                    own[before + node, before:end] |= own[before + parent, before:end]
            at = number * width + before
            steps.append([[(at + after, token) for after, token in each] for _, each in row.wanted])
    device, kind = network.device, network.dtype
    mask = torch.zeros(seen.shape, dtype=kind)
    mask.masked_fill_(~torch.from_numpy(seen), torch.finfo(kind).min)
    shared = None
    if cache is not None:
        shared = copy.deepcopy(cache)
        shared.batch_repeat_interleave(len(lines))
    pairs = [pair for row in steps for each in row for pair in each]
    places, index = np.unique([place for place, _ in pairs], return_inverse=True)
    with _foretelling(network, torch.from_numpy(places).to(device)):
        logits = network(
            torch.from_numpy(ids).to(device),
            attention_mask=mask[:, None].to(device),
            position_ids=torch.from_numpy(positions).to(device),
            past_key_values=shared,
            use_cache=shared is not None,
        ).logits.flatten(0, 1)
    if len(logits) > len(places):  # a network whose output layer is no module of its own
        logits = logits[torch.from_numpy(places).to(device)]
    totals = torch.cat([some.float().logsumexp(-1) for some in logits.split(SUMMED)])
    after = torch.from_numpy(index).to(device)
    token = torch.tensor([token for _, token in pairs], device=device)
    each = iter((logits[after, token].float() - totals[after]).double().tolist())
    return [[sum(next(each) for _ in reply) for reply in row] for row in steps]


@contextmanager
def _foretelling(network: Any, places: Any) -> Iterator[None]:
    """Let the output layer see these places alone, of all lines one after the other."""

    def only(_module: Any, inputs: tuple[Any, ...]) -> tuple[Any, ...]:
        return (inputs[0].flatten(0, 1)[places][None], *inputs[1:])

    head = network.get_output_embeddings()
    if head is None:
        yield
        return
    hook = head.register_forward_pre_hook(only, prepend=True)
    try:
        yield
    finally:
        hook.remove()


def _agree(
    network: Any, asked: Sequence[Asked], row: Row, found: Sequence[Sequence[float]]
) -> bool:
    """Whether the tree of a row gave what the plain computation gives, for its longest reply."""
    reply = max(row.wanted, key=lambda each: len(each[1]))[0]
    prompt, replies = asked[row.question]
    (plain,) = plainly(network, prompt, [replies[reply]])
    tolerance = TOLERANCE[str(network.dtype).removeprefix("torch.")]
    return abs(plain - found[row.question][reply]) <= tolerance * max(1.0, abs(plain) / 10)


def plainly(network: Any, prompt: Sequence[int], replies: Sequence[Sequence[int]]) -> list[float]:
    """The definition: each reply after its prompt, by itself and whole."""
    import torch

    found = []
    with torch.inference_mode():
        for reply in replies:
            ids = torch.tensor([[*prompt, *reply[:-1]]], device=network.device)
            logits = network(ids, use_cache=False, logits_to_keep=len(reply)).logits[0].float()
            tokens = torch.tensor(list(reply), device=network.device)
            logprobs = logits[range(len(reply)), tokens] - logits.logsumexp(-1)
            found.append(float(logprobs.double().sum()))
    return found
