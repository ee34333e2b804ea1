"""The one command line of every step, the same for Snakemake, DVC and a person.

    python -m residency.clean corpora.textbooks build/corpora/textbooks \\
        --documents build/documents/primer --exams build/exams/boards

The first word is the section's place in params.yaml, the second the folder to write; each option
is one of the step function's path arguments. So a step stays a pure function over one frozen
section and paths, and knows neither Snakemake nor DVC.
"""

from __future__ import annotations

import argparse
import importlib
import inspect
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, get_args, get_type_hints

from pydantic import TypeAdapter

from residency import times
from residency.files import building
from residency.section import Complaint, Setback


def prepare_cpu() -> None:
    """Tell PyTorch, if it is not loaded yet, to take large pages and to sleep where it waits.

    Much of a training step goes into the page faults of its large, short-lived tensors. And threads
    that spin while they wait for each other take the cores from whatever else runs: beside other
    work a step took four times the CPU, and three times as long.
    """
    os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")


def setting(name: str, least: int, most: int) -> int | None:
    """RESIDENCY_<name> of the environment, None without it. Raises Complaint for another value."""
    told = os.environ.get(f"RESIDENCY_{name}")
    if told is None:
        return None
    if not (told.isascii() and told.isdecimal() and least <= int(told) <= most):
        raise Complaint(
            f"RESIDENCY_{name}: expected a whole number from {least} to {most}, found {told!r}; "
            "set it in the shell or the profile, or leave it out"
        )
    return int(told)


def run(
    step: Callable[..., None], section: Any, then: Callable[[Path], None] = lambda _out: None
) -> None:
    """Parse the command line, check the declaration, and build one artifact with `step`.

    `step(section, <paths by name>, out)`: the section is a Section or a union of some; arguments
    annotated `Path`, `Path | None` or `list[Path]` become options; `out` is an empty folder that
    is put in place when it returns, and `then` is told where. A step that takes a `name` is given
    its section's own.
    """
    parser = argparse.ArgumentParser(
        prog=f"python -m residency.{step.__name__}", description=(step.__doc__ or "").split("\n")[0]
    )
    parser.add_argument("section", help="its place in params.yaml, such as corpora.textbooks")
    parser.add_argument("out", type=Path, help="the folder to write")
    hints = get_type_hints(step)
    taken = list(inspect.signature(step).parameters)[1:]
    wanted = [name for name in taken if name not in ("name", "out")]
    for name in wanted:
        if hints[name] == list[Path]:
            parser.add_argument(f"--{name}", type=Path, nargs="*", default=[])
        else:
            optional = type(None) in get_args(hints[name])
            parser.add_argument(f"--{name}", type=Path, required=not optional)
    arguments = parser.parse_args()
    prepare_cpu()
    with complaints():
        values = _declared(arguments.section)
        with times.taken(arguments.out), building(arguments.out) as out:
            inputs = {name: getattr(arguments, name) for name in wanted}
            if "name" in taken:
                inputs["name"] = arguments.section.rpartition(".")[2]
            step(TypeAdapter(section).validate_python(values), **inputs, out=out)
        then(arguments.out)


@contextmanager
def complaints() -> Iterator[None]:
    """Turn a Complaint into one line on stderr and exit status 1.

    One that no other attempt mends is left in the file RESIDENCY_COMPLAINT, if a job names one.
    """
    try:
        yield
    except Complaint as error:
        print(f"error: {error}", file=sys.stderr)
        if (noted := os.environ.get("RESIDENCY_COMPLAINT")) and not isinstance(error, Setback):
            Path(noted).write_text(str(error))
        raise SystemExit(1) from None


def _declared(place: str) -> Any:
    """The values at `place` once the whole declaration has been found good.

    The declaration is looked up by name at run time, on purpose: it may stop a step but cannot
    change what one writes, so a stage does not depend on the code of every other step's section.
    """
    declaration = importlib.import_module("residency.declaration").load(Path("params.yaml"))
    importlib.import_module("residency.graph").check(declaration)
    return declaration.at(place)
