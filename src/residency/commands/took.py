"""Tell what each step took on this machine: time, energy, tokens, money.

    residency took                                       what each artifact that is here took
    residency took finals/resident                       each question of an evaluation
    residency took --core-hour 0.05 --kilowatt-hour 0.3  with stated prices
    residency took --page took.html                      the report with a section on it

Times are kept in work/times as steps end, never in artifacts. What was made elsewhere has none.
"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from residency.graph import Stage


def arguments(parser: argparse.ArgumentParser) -> None:
    """What to tell of, prices, and where to write a page."""
    from residency.commands.plan import positive as number
    from residency.commands.project import page_option

    parser.add_argument("x", metavar="X", nargs="?", help="an evaluation and a model")
    parser.add_argument("--core-hour", type=number, metavar="PRICE", help="price of a core-hour")
    parser.add_argument("--gpu-hour", type=number, metavar="PRICE", help="price of a GPU-hour")
    parser.add_argument("--kilowatt-hour", type=number, metavar="PRICE", help="price of energy")
    page_option(parser)


def run(arguments: argparse.Namespace) -> None:
    """Print the table, or an evaluation's questions."""
    from residency import graph, took
    from residency.commands.project import declared, write_page

    stages = graph.stages(declared())
    if arguments.x:
        _questions(arguments.x, stages)
        return
    prices = took.Prices(
        core_hour=arguments.core_hour,
        gpu_hour=arguments.gpu_hour,
        kilowatt_hour=arguments.kilowatt_hour,
    )
    found = took.spent(stages, prices)
    for head, lines in ((took.HEAD, took.rows(found)), (took.ASKED, took.asked(found))):
        if lines:
            _tell([list(head), *lines])
    print("\n".join(took.notes(found)))
    if arguments.page:
        write_page(arguments.page, lambda: took.page(took.REPORT, found))


def _tell(lines: list[list[str]]) -> None:
    """Columns; the first from the left, numbers from the right."""
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    for first, *rest in lines:
        cells = (word.rjust(width) for word, width in zip(rest, widths[1:], strict=True))
        print("  ".join([first.ljust(widths[0]), *cells]))
    print()


def _questions(x: str, stages: list[Stage]) -> None:
    """Every question of an evaluation, the slowest first."""
    from residency import times
    from residency.section import Complaint, nearest

    folders = {"/".join(s.out.parts[-2:]): s.out for s in stages if s.step == "evaluate"}
    if x not in folders:
        raise Complaint(f"{x!r} is no evaluation and model; {nearest(x, folders)}")
    took = times.took(folders[x])
    if took is None or not took.questions:
        raise Complaint(f"no time is kept of {folders[x]}: it is not built, or was made elsewhere")
    lines = sorted(took.questions.items(), key=lambda each: (-each[1][0], each[0]))
    told = [[id, f"{seconds:.4f}", f"{tokens:,}"] for id, (seconds, tokens) in lines]
    _tell([["Question", "Seconds", "Tokens"], *told])
