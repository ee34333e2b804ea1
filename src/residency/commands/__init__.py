"""commands: what people type.

    residency ── COMMANDS ──> one module per command ── arguments(parser), run(arguments) -> status

A command is hooked by its line in COMMANDS. Its module loads nothing heavy by being imported, or by
`arguments`, so that `--help` answers at once; what `run` needs is imported there. A module that has
a `main` of its own instead is hooked as `whole`, and answers as fast as it is imported.
"""

from __future__ import annotations

import argparse
import importlib
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NoReturn


@dataclass(frozen=True, slots=True)
class Command:
    """A word after `residency`: the module that obeys it, and what it does in a few words."""

    module: str
    summary: str
    whole: bool = False  # the module has a `main` that reads the command line by itself


COMMANDS = {
    "init": Command("residency.commands.init", "make a new project that builds"),
    "check": Command("residency.commands.check", "would anything stop a build, and what to do"),
    "plan": Command("residency.commands.plan", "what would run, why, and what it takes"),
    "took": Command("residency.commands.took", "what each step took here: time, energy, money"),
    "trace": Command("residency.commands.trace", "everything that a result came from"),
    "ask": Command("residency.commands.ask", "talk to a model that was built"),
    "export": Command("residency.commands.export", "a model as a folder for others, and as GGUF"),
    "export-lm-eval": Command(
        "residency.commands.export_lm_eval", "an evaluation as a task of lm-evaluation-harness"
    ),
    "diff": Command("residency.commands.diff", "what changed from another revision"),
    "push": Command("residency.commands.push", "everything that was built, to a remote"),
    "completion": Command("residency.commands.completion", "completion for your shell"),
}

MISUSED = 1
"""Status of a command line that cannot be obeyed, as of any other mistake."""


class Parser(argparse.ArgumentParser):
    """An ArgumentParser whose every mistake is one message with the nearest known word."""

    def __init__(self, **options: Any) -> None:
        super().__init__(
            **{"formatter_class": argparse.RawDescriptionHelpFormatter, **options},
            allow_abbrev=False,
        )
        self.commands: dict[str, Parser] = {}

    def error(self, message: str) -> NoReturn:
        """Say what is wrong and where to read more, and leave."""
        self.exit(MISUSED, f"error: {message}; see {self.prog} --help\n")

    def words(self) -> list[str]:
        """The long options there are."""
        return [word for each in self._actions for word in each.option_strings if word[:2] == "--"]


def parser(only: str | None = None) -> Parser:
    """The parser of the command line; with the arguments of `only` that command, else of all."""
    whole = Parser(prog="residency", description="From raw books and exams to a specialist model.")
    commands = whole.add_subparsers(metavar="COMMAND", dest="command")
    for name, command in COMMANDS.items():
        if only in (None, name) and not command.whole:
            module = importlib.import_module(command.module)
            each = commands.add_parser(name, help=command.summary, description=module.__doc__)
            module.arguments(each)
            each.set_defaults(run=module.run)
            whole.commands[name] = each
        else:
            commands.add_parser(name, help=command.summary)
    return whole


def main(words: Sequence[str] | None = None) -> NoReturn:
    """Obey a command line, and leave with its status."""
    words = sys.argv[1:] if words is None else words
    word = words[0] if words else "--help"
    if word in COMMANDS and COMMANDS[word].whole:
        sys.argv = [f"residency {word}", *words[1:]]
        raise SystemExit(importlib.import_module(COMMANDS[word].module).main())
    whole = parser(word)
    if not word.startswith("-") and word not in COMMANDS:
        whole.error(f"there is no command {word!r}; {_nearest(word, COMMANDS)}")
    found, odd = whole.parse_known_args(words or ["--help"])
    if odd:
        each = whole.commands.get(found.command, whole)
        each.error(f"found {odd[0]!r}; {_nearest(odd[0], each.words())}")
    raise SystemExit(_obeyed(found))


def _obeyed(found: argparse.Namespace) -> int:
    from residency.step import complaints

    try:
        with complaints():
            return found.run(found) or 0
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:  # as with `residency trace X | head`: who reads has read enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


def _nearest(word: str, known: Any) -> str:
    from residency.section import nearest

    return nearest(word, known)
