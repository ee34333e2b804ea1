"""Talk to a built model in the terminal, with its chat template.

    residency ask resident                             Ctrl-C stops an answer, Ctrl-D ends
    residency ask resident < questions.txt             one question a line, one answer a line
    residency ask resident@50% --temperature 0.7

In the terminal the model is shown all that was said before; /new begins anew. Piped questions are
each asked by itself. Without --temperature the likeliest token is taken, so answers are the same
each time.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

NEW = "/new"


def arguments(parser: argparse.ArgumentParser) -> None:
    """The model, and how it answers."""
    parser.add_argument("model", metavar="MODEL", help="its name in params.yaml, or name@50%%")
    parser.add_argument("--system", metavar="TEXT", help="the system turn (as learned if left)")
    parser.add_argument("--temperature", type=_temperature, default=0.0, metavar="T", help="0 to 5")
    parser.add_argument("--max-tokens", type=_count, default=400, metavar="N", help="of an answer")
    parser.add_argument(
        "--seed", type=_seed, default=0, metavar="N", help="of the temperature's dice"
    )


def _temperature(word: str) -> float:
    try:
        found = float(word)
    except ValueError:
        found = -1
    if not 0 <= found <= 5:
        raise argparse.ArgumentTypeError(f"expected a number from 0 to 5, found {word!r}")
    return found


def _count(word: str) -> int:
    if not (word.isascii() and word.isdecimal() and int(word) > 0):
        raise argparse.ArgumentTypeError(f"expected a whole number above 0, found {word!r}")
    return int(word)


def _seed(word: str) -> int:
    if not (word.isascii() and word.isdecimal() and int(word) < 1 << 32):
        raise argparse.ArgumentTypeError(
            f"expected a whole number from 0 to {(1 << 32) - 1}, found {word!r}"
        )
    return int(word)


@dataclass(kw_only=True)
class Talk:
    """A model and what was said so far, in pairs of a question and the answer's ids."""

    model: Any
    tokenizer: Any
    system: str | None
    temperature: float
    max_tokens: int
    said: list[tuple[str, list[int]]] = field(default_factory=list)


def run(arguments: argparse.Namespace) -> None:
    """Talk until there are no more questions."""
    from residency.commands.models import built, system
    from residency.commands.project import declared

    declaration = declared()
    folder = built(arguments.model, declaration)
    told = arguments.system
    talk = Talk(
        **_loaded(folder, arguments.seed),
        system=system(arguments.model, declaration) if told is None else told,
        temperature=arguments.temperature,
        max_tokens=arguments.max_tokens,
    )
    if sys.stdin.isatty():
        _in_terminal(talk, arguments.model)
    else:
        _in_pipe(talk)


def _loaded(folder: Path, seed: int) -> dict[str, Any]:
    """Model and tokenizer, from safetensors alone, on the GPU if there is one."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer, set_seed
    from transformers.utils import logging

    logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    set_seed(seed)
    gpu = torch.cuda.is_available()
    model: Any = AutoModelForCausalLM.from_pretrained(
        folder,
        local_files_only=True,
        use_safetensors=True,
        dtype=torch.bfloat16 if gpu else torch.float32,
    )
    model.to("cuda" if gpu else "cpu").eval()
    return {
        "model": model,
        "tokenizer": AutoTokenizer.from_pretrained(folder, local_files_only=True),
    }


def _in_terminal(talk: Talk, name: str) -> None:
    import contextlib

    from residency.section import Complaint

    with contextlib.suppress(ImportError):
        import readline  # noqa: F401  arrow keys and earlier questions in input()
    print(f"talking to {name}; {NEW} begins anew, Ctrl-D ends", file=sys.stderr)
    while True:
        try:
            question = input("> ").strip()
        except (EOFError, KeyboardInterrupt):
            print()
            return
        if question == NEW:
            talk.said.clear()
        elif question:
            try:
                answered(talk, question, lambda text: print(text, end="", flush=True))
                print()
            except Complaint as complaint:
                print(f"error: {complaint}", file=sys.stderr)


def _in_pipe(talk: Talk) -> None:
    """Each line's answer on a line of its own, so that both can be laid side by side."""
    for line in _lines():
        talk.said.clear()
        question = line.strip()
        parts: list[str] = []
        if question:
            answered(talk, question, parts.append)
        print(" ".join("".join(parts).split()), flush=True)


def _lines() -> Iterator[str]:
    from residency.section import Complaint

    try:
        yield from sys.stdin
    except UnicodeDecodeError as error:
        raise Complaint(
            f"standard input: expected {error.encoding} text ({error.reason})"
        ) from None


def answered(talk: Talk, question: str, show: Callable[[str], Any]) -> None:
    """Answer a question after what was said before, piece by piece; it is then said too.

    What was said first is forgotten where the model's context is full. Raises Complaint for a
    question that is longer than it by itself.
    """
    import torch

    from residency import prompts
    from residency.section import Complaint

    context = getattr(talk.model.config, "max_position_embeddings", 1 << 30)
    room = min(talk.max_tokens, context // 2)
    while len(ids := conversation(talk, question)) + room > context:
        if not talk.said:
            raise Complaint(
                f"a question of {len(ids)} tokens with its template and {room} for an answer "
                f"is more than the model's context of {context}; ask in fewer words"
            )
        talk.said.pop(0)
    greedy = {"do_sample": False, "temperature": None, "top_p": None, "top_k": None}
    sampled = {"do_sample": True, "temperature": talk.temperature}
    stops = {talk.tokenizer.eos_token_id, prompts.stop(talk.tokenizer)[0]} - {None}
    shown = _Shown(talk.tokenizer, len(ids), stops, show)
    try:
        with torch.inference_mode():
            talk.model.generate(
                torch.tensor([ids], device=talk.model.device),
                attention_mask=torch.ones(
                    (1, len(ids)), device=talk.model.device, dtype=torch.long
                ),
                max_new_tokens=room,
                eos_token_id=sorted(stops),
                pad_token_id=talk.tokenizer.pad_token_id,
                streamer=shown,
                **(sampled if talk.temperature else greedy),
            )
    except KeyboardInterrupt:
        shown.end()
    talk.said.append((question, shown.ids))


def conversation(talk: Talk, question: str) -> list[int]:
    """Ids of all that was said and of a question, up to where its answer starts.

    As `prompts.prompt` puts earlier turns; answers stay the ids that the model wrote.
    """
    from residency import prompts
    from residency.section import Complaint

    try:
        return prompts.prompt(talk.tokenizer, question, talk.system, earlier=talk.said)
    except Complaint as complaint:
        if not talk.said:
            raise
        raise Complaint(f"{complaint}; {NEW} begins anew") from None


class _Shown:
    """What `generate` calls with each token: shows text once its characters are whole."""

    def __init__(
        self, tokenizer: Any, prompt: int, stops: set[int], show: Callable[[str], Any]
    ) -> None:
        self.tokenizer, self.stops, self.show = tokenizer, stops, show
        self.ids: list[int] = []
        self.prompt, self.told = prompt, ""

    def put(self, tokens: Any) -> None:
        """Take the prompt, then one token at a time."""
        if self.prompt:
            self.prompt = 0
            return
        self.ids += [int(each) for each in tokens.flatten() if int(each) not in self.stops]
        text = self.tokenizer.decode(self.ids, skip_special_tokens=True)
        if not text.endswith("\N{REPLACEMENT CHARACTER}"):
            self._tell(text)

    def end(self) -> None:
        """Show what is left."""
        self._tell(self.tokenizer.decode(self.ids, skip_special_tokens=True))

    def _tell(self, text: str) -> None:
        self.show("".join(printable(text[len(self.told) :])))
        self.told = text


def printable(text: Sequence[str]) -> Iterator[str]:
    """Text without what a terminal would obey."""
    return (each if each.isprintable() or each in "\n\t" else " " for each in text)
