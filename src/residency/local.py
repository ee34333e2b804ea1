"""local: a model of ours, adopted or trained, answers requests on this machine.

    admitted in order, by the budget, a window at a time
        └── in batches of like length ── every token by the schema's grammar ── store ─> answers

A reply that must be JSON of a schema is held to it token by token: what the grammar cannot go on
with is left out before the likeliest is taken, or one is drawn (Willard and Louf 2023, "Efficient
Guided Generation for Large Language Models"; the grammar is llguidance's). Draws come from a
generator of each request's own. A window's batches are the same whatever is stored already, so that
rounding, which depends on what shares a batch, does not depend on it either.
"""

from __future__ import annotations

import hashlib
import random
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

from residency import prompts
from residency.answers import Budget, Cost, Refused, Request, cost, identified, key, whole
from residency.files import read_json, sha256
from residency.replies import Answer, Store
from residency.section import Complaint

WINDOW, BATCH = 64, 16
"""Requests that are sorted by length together, and that are answered at once."""

DECODING = 1
"""Raised by hand when this module comes to answer the same request otherwise."""

SHAPING = (
    "*.safetensors",
    "config.json",
    "generation_config.json",
    "tokenizer*",
    "vocab*",
    "merges.txt",
    "*.model",
    "*.tiktoken",
    "added_tokens.json",
    "special_tokens_map.json",
    "*.jinja",
)
"""Files of a model that shape its replies; its card and its training's log do not."""

JSON: Any = {"whitespace_flexible": False, "item_separator": ", ", "key_separator": ": "}
"""Replies in JSON have no more white space than a writer would put; it would only cost tokens."""


def answered(
    model: Path, requests: Sequence[Request], budget: Budget, store: Store
) -> list[Answer | Refused]:
    """The answers to the requests from the first on, as far as the budget reaches.

    Raises Complaint where the model's tokenizer cannot be used.
    """
    from transformers import AutoTokenizer

    of = identity(model)
    tokenizer = AutoTokenizer.from_pretrained(model, local_files_only=True)
    longest = _configured(read_json(model / "config.json"), "max_position_embeddings")
    results: dict[str, Answer | Refused] = {}
    names = [key(of, request) for request in requests]
    number = 0
    while number < len(requests):
        window: list[_Asked] = []
        waiting: set[str] = set()
        while number < len(requests) and len(window) < WINDOW:
            name, request = names[number], requests[number]
            stored = store.get(name)
            if name in results or name in waiting:
                number += 1
                continue
            if stored and name in budget.charged:
                results[name] = stored
                number += 1
                continue
            ids = _prompt(tokenizer, request)
            if longest and len(ids) + request.max_tokens > longest:
                told = f"{len(ids)} tokens and {request.max_tokens} to come, above {longest}"
                results[name] = Refused(reason="too long for the model", detail=told, key=name)
                number += 1
                continue
            asked = _Asked(name=name, request=request, ids=ids)
            if not budget.fits(asked.most):
                break
            budget.hold(asked.most)
            budget.charged.add(name)
            window.append(asked)
            waiting.add(name)
            number += 1
        if not window:
            budget.stopped = budget.stopped or number < len(requests)
            break
        for each in _window(model, of, tokenizer, window, store):
            results[each.key] = each
        for asked in window:
            done = results[asked.name]
            assert isinstance(done, Answer)
            budget.settle(asked.most, cost(done.prompt_tokens, done.reply_tokens, None))
    return [results[name] for name in names[:number]]


def _configured(values: dict[str, Any], name: str) -> int | None:
    """A number of a model's configuration, also where it stands in the part on text."""
    found = values.get(name, (values.get("text_config") or {}).get(name))
    return found if isinstance(found, int) else None


def identity(model: Path) -> str:
    """What shapes a local model's replies: the digest of its files.

    A digest reads weights at the speed of the disk, and generating reads them for every token: it
    costs less than a single reply. Time stamps would not do: DVC writes files anew.
    """
    paths = sorted({path for kind in SHAPING for path in model.glob(kind) if path.is_file()})
    return _identity(tuple((path, path.stat().st_mtime_ns, path.stat().st_size) for path in paths))


@cache
def _identity(files: tuple[tuple[Path, int, int], ...]) -> str:
    return identified({"decoding": DECODING} | {path.name: sha256(path) for path, _, _ in files})


@dataclass(frozen=True, kw_only=True)
class _Asked:
    name: str
    request: Request
    ids: list[int]  # of the prompt

    @property
    def most(self) -> Cost:
        return cost(len(self.ids), self.request.max_tokens, None)


def _prompt(tokenizer: Any, request: Request) -> list[int]:
    """Ids of the prompt; where the template has no system turn, it opens the user's."""
    user, earlier = request.user, request.earlier
    try:
        return prompts.prompt(tokenizer, user, request.system or None, earlier=earlier)
    except Complaint:
        if not request.system:
            raise
        if earlier:
            earlier = ((f"{request.system}\n\n{earlier[0][0]}", earlier[0][1]), *earlier[1:])
        else:
            user = f"{request.system}\n\n{user}"
        return prompts.prompt(tokenizer, user, None, earlier=earlier)


def _window(
    model: Path, of: str, tokenizer: Any, window: list[_Asked], store: Store
) -> list[Answer]:
    """The answers to a window of requests: batches with none missing are not computed."""
    found: list[Answer] = []
    window = sorted(window, key=lambda each: len(each.ids))
    for start in range(0, len(window), BATCH):
        batch = window[start : start + BATCH]
        stored = {each.name: store.get(each.name) for each in batch}
        if None in stored.values():
            asked_at, started = datetime.now(UTC), time.perf_counter()
            network = _network(model, model.stat().st_mtime_ns)
            replies = _generate(network, tokenizer, [_Row(model, network, each) for each in batch])
            seconds = (time.perf_counter() - started) / len(batch)
            new = [
                Answer(
                    key=asked.name,
                    of=of,
                    text=whole(tokenizer.decode(ids, skip_special_tokens=True)),
                    prompt_tokens=len(asked.ids),
                    reply_tokens=len(ids),
                    estimated=False,
                    finish="stop" if ended else "length",
                    model=model.name,
                    asked_at=asked_at.isoformat(timespec="seconds").replace("+00:00", "Z"),
                    seconds=round(seconds, 3),
                )
                for asked, (ids, ended) in zip(batch, replies, strict=True)
            ]
            new = [each for each in new if stored[each.key] is None]
            store.keep(new)
            stored |= {each.key: each for each in new}
        found += [each for each in stored.values() if each]
    return found


@lru_cache(maxsize=1)
def _network(model: Path, _changed: int) -> Any:
    """The model in the dtype that it is stored in."""
    import torch
    from transformers import AutoModelForCausalLM
    from transformers.utils import logging

    logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    network: Any = AutoModelForCausalLM.from_pretrained(
        model, local_files_only=True, use_safetensors=True, dtype="auto"
    )
    return network.to("cuda" if torch.cuda.is_available() else "cpu").eval()


def _matcher(model: Path, network: Any, schema: dict[str, Any]) -> Any:
    """What tells, token by token, how a reply to a schema may go on."""
    import llguidance

    known = _vocabulary(
        model, model.stat().st_mtime_ns, network.config.get_text_config().vocab_size
    )
    try:
        told = llguidance.LLMatcher.grammar_from_json_schema(schema, defaults=JSON)
        return llguidance.LLMatcher(known, told)
    except ValueError as error:
        raise Complaint(f"not a JSON schema that a reply can be held to: {error}") from None


@lru_cache(maxsize=1)
def _vocabulary(model: Path, _changed: int, size: int) -> Any:
    from llguidance.hf import from_tokenizer
    from transformers import AutoTokenizer

    tokenizer: Any = AutoTokenizer.from_pretrained(model, local_files_only=True)
    try:
        return from_tokenizer(tokenizer, n_vocab=size, eos_token=_stops(tokenizer))
    except ValueError as error:
        raise Complaint(
            f"{model}: its tokenizer cannot be held to a JSON schema ({error}); expected one with "
            "a tokenizer.json"
        ) from None


def _stops(tokenizer: Any) -> list[int]:
    """The tokens that end an assistant's turn."""
    return sorted({prompts.stop(tokenizer)[0], tokenizer.eos_token_id})


def _generate(network: Any, tokenizer: Any, rows: list[_Row]) -> list[tuple[list[int], bool]]:
    """Ids of each reply without what stopped it, and whether it did stop before max_tokens."""
    import torch

    stops = set(_stops(tokenizer))
    batch = [row.asked for row in rows]
    width = max(len(asked.ids) for asked in batch)
    fill = tokenizer.pad_token_id or 0
    device = network.device
    ids = torch.tensor([[fill] * (width - len(a.ids)) + a.ids for a in batch], device=device)
    seen = torch.tensor(
        [[0] * (width - len(a.ids)) + [1] * len(a.ids) for a in batch], device=device
    )
    places = (seen.cumsum(-1) - 1).clamp(min=0)
    alive, past = rows, None
    with torch.inference_mode():
        while alive:
            out = network(
                input_ids=ids,
                attention_mask=seen,
                position_ids=places,
                past_key_values=past,
                use_cache=True,
                logits_to_keep=1,
            )
            past = out.past_key_values
            logits = out.logits[:, -1].float().cpu()
            for row, scores in zip(alive, logits, strict=True):
                row.go_on(scores, stops)
            left = [index for index, row in enumerate(alive) if not row.over]
            if len(left) < len(alive):
                alive = [alive[index] for index in left]
                if not alive:
                    break
                chosen = torch.tensor(left, device=device)
                past.batch_select_indices(chosen)
                seen, places = seen[chosen], places[chosen]
            ids = torch.tensor([[row.ids[-1]] for row in alive], device=device)
            seen = torch.cat([seen, seen.new_ones(len(alive), 1)], dim=1)
            places = places[:, -1:] + 1
    return [(row.ids, row.ended) for row in rows]


class _Row:
    """One reply on its way."""

    def __init__(self, model: Path, network: Any, asked: _Asked) -> None:
        self.asked, self.request, schema = asked, asked.request, asked.request.schema
        self.matcher = _matcher(model, network, schema) if schema else None
        self.chance = random.Random(hashlib.sha256(asked.name.encode()).digest())
        self.ids: list[int] = []
        self.ended = False

    @property
    def over(self) -> bool:
        return self.ended or len(self.ids) >= self.request.max_tokens

    def go_on(self, scores: Any, stops: set[int]) -> None:
        """Take the next token: `scores` are the logits of all, (vocabulary,)."""
        import torch

        if self.matcher is not None:
            bits = torch.frombuffer(bytearray(self.matcher.compute_bitmask()), dtype=torch.uint8)
            spread = (bits[:, None] >> torch.arange(8, dtype=torch.uint8)) & 1
            scores = scores.masked_fill(spread.flatten()[: len(scores)] == 0, -torch.inf)
        if self.request.temperature:
            odds = torch.softmax(scores.double() / self.request.temperature, -1).cumsum(-1)
            drawn = self.chance.random() * odds[-1]
            token = int(torch.searchsorted(odds, drawn, right=True).clamp(max=len(odds) - 1))
        else:
            token = int(scores.argmax())
        if token in stops:
            self.ended = True
            return
        self.ids.append(token)
        if self.matcher is not None:
            self.matcher.consume_token(token)
