"""Say what a build would run and why, field by field, and what it would take.

    residency plan                                 what recorded runs took is reckoned with
    residency plan --gpu-hour 2.5 --core-hour 0.05       prices, to be told money
    residency plan --tokens-per-second 8000        of trainings that never ran here
    residency plan --answers-per-second 20         of evaluations and written questions likewise
    residency plan --gpu h100 --utilisation 0.4 --gpus 8   trainings, by their FLOP

Nothing is built. A stage whose inputs others would build anew may turn out the same, and stop the
rebuild there: these are told apart as "may follow".
"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

PEAK = {"a100": 312e12, "h100": 989e12, "h200": 989e12, "l40s": 362e12, "mi300x": 1307e12}
"""FLOP/s of dense bfloat16 products, by the makers' data sheets (SXM where there are several)."""

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from residency.commands.project import Record
    from residency.declaration import Declaration
    from residency.graph import Stage

MOST_SHOWN = 12
"""Differences told of one stage; the rest are counted."""


def arguments(parser: argparse.ArgumentParser) -> None:
    """Rates that no run has recorded."""
    number = positive
    parser.add_argument(
        "--gpus", type=_count, metavar="N", help="GPUs to reckon with (found if left)"
    )
    parser.add_argument("--gpu-hour", type=number, metavar="PRICE", help="price of a GPU-hour")
    parser.add_argument("--core-hour", type=number, metavar="PRICE", help="price of a core-hour")
    parser.add_argument(
        "--tokens-per-second", type=number, metavar="RATE", help="of trainings never run here"
    )
    parser.add_argument(
        "--answers-per-second",
        type=number,
        metavar="RATE",
        help="of models, ours or served, that sit, write or judge and never did here",
    )
    parser.add_argument(
        "--gpu", choices=sorted(PEAK), help="trainings that never ran here, reckoned by their FLOP"
    )
    parser.add_argument(
        "--utilisation",
        type=number,
        metavar="SHARE",
        help="of the GPU's peak that training reaches (benchmarks/gpu_train.py measures it)",
    )


def _count(word: str) -> int:
    if not (word.isascii() and word.isdecimal() and len(word) < 10):
        raise argparse.ArgumentTypeError(f"expected a whole number from 0 on, found {word!r}")
    return int(word)


def positive(word: str) -> float:
    """A price or rate, for argparse."""
    try:
        found = float(word)
    except ValueError:
        found = 0
    if not 0 < found < float("inf"):
        raise argparse.ArgumentTypeError(f"expected a number above 0, found {word!r}")
    return found


def run(arguments: argparse.Namespace) -> None:
    """Print the plan."""
    from residency import graph
    from residency.commands import machine, takes
    from residency.commands.project import declared, recorded, values
    from residency.freshness import at_work, status
    from residency.section import Complaint

    if (arguments.gpu is None) != (arguments.utilisation is None):
        raise Complaint("--gpu and --utilisation: both or none; of a GPU's peak a share is reached")
    if arguments.utilisation and arguments.utilisation > 1:
        raise Complaint(f"--utilisation: a share up to 1, found {arguments.utilisation:g}")
    declaration = declared(raw=False)
    graph.check(declaration)
    if jobs := at_work():
        which, words = next(iter(jobs.items()))
        raise Complaint(f"a build is at work here ({words}, {which}); plan when it has ended")
    stages, records = graph.stages(declaration), recorded()
    why = status()
    reasons = {
        stage.name: reason(stage, records.get(stage.name), why[stage.name], values())
        for stage in stages
        if stage.name in why
    }
    kept = {name for name, said in why.items() if "kept" in said}
    following = follow(stages, set(reasons))
    rates = takes.Rates(
        gpus=(machine.gpus() or int(arguments.gpu is not None))
        if arguments.gpus is None
        else arguments.gpus,
        cores=machine.cores(),
        gpu_hour=arguments.gpu_hour,
        core_hour=arguments.core_hour,
        tokens_per_second=arguments.tokens_per_second,
        answers_per_second=arguments.answers_per_second,
        flops=arguments.gpu and PEAK[arguments.gpu] * arguments.utilisation,
    )
    reckoned = {
        stage.name: takes.reckoned(stage, declaration, records.get(stage.name), rates)
        for stage in stages
        if stage.name in reasons or stage.name in following
    }
    restored = {name for name in kept if not set(following.get(name, ()))}
    to_bring(declaration)
    told(stages, reasons, following, restored, reckoned)
    takes.told(reckoned, restored, rates)


def to_bring(declaration: Declaration) -> None:
    """Print the raw files that are not there, and where they are had."""
    from pathlib import Path

    from residency.declaration import homepage, raw_paths

    absent = [each for each in raw_paths(declaration) if not Path(each[1]).exists()]
    if absent:
        print("to bring, before anything is built")
    for place, path in absent:
        page = homepage(declaration, place)
        print(f"  {path} ({place})" + (f": see {page}" if page else ""))
    if absent:
        print()


def reason(stage: Stage, was: Record | None, said: list[Any], now: Any) -> list[str]:
    """Why DVC calls a stage changed, a line for each difference.

    `was`: how it last ran; `said`: DVC's words (freshness.status); `now`: params.yaml's values.
    """
    from residency.commands.project import at, differences

    if was is None:
        return ["was never built here"]
    found: list[str] = []
    for place, old in was.values.items():
        for where, one, other in differences(place, old, at(now, place)):
            found.append(f"{where}: {_short(one)} -> {_short(other)}")
    if stage.whole_declaration:
        found += [f"{key}: new" for key in now if key not in was.values]
    elif stage.section not in was.values:
        found.append(f"{stage.section}: new")
    deps = {path: how for each in said if "changed deps" in each for path, how in _pairs(each)}
    for path, how in deps.items():
        if isinstance(how, str):
            found += _input(stage, path, how)
    if was.command != stage.command:
        found += _command(was.command, stage.command)
    for each in said:
        if isinstance(each, dict):
            for path, how in each.get("changed outs", {}).items():
                found.append(f"output {path}: {OUTPUTS.get(how, how)}")
    return found or ["DVC calls it changed"]


OUTPUTS = {
    "deleted": "is not there",
    "modified": "was changed by hand, or by a run that DVC did not see",
    "not in cache": "is not in DVC's cache",
    "new": "was not recorded",
}
INPUTS = {"modified": "changed", "deleted": "is gone", "new": "is read now"}


def _pairs(each: dict[str, Any]) -> Iterable[tuple[str, Any]]:
    found: dict[str, Any] = each["changed deps"]
    return found.items()


def _input(stage: Stage, path: str, how: str) -> Iterator[str]:
    """A changed input: code, raw file by file where that is known, or what another stage made."""
    from residency.graph import BUILD, CODE_PLACE

    word = INPUTS.get(how, how)
    if path.startswith(f"{CODE_PLACE.as_posix()}/"):
        yield f"code {path}: {word}"
    elif path.startswith(f"{BUILD.as_posix()}/"):
        yield f"input {path}: {word}"
    else:
        yield f"raw {path}: {word}"
        yield from (f"  {line}" for line in _raw_files(stage, path))


def _raw_files(stage: Stage, path: str) -> Iterator[str]:
    """Which files of a raw folder differ from those that were read, by their sha256."""
    from pathlib import Path

    from residency.files import read_rows, sha256
    from residency.unpack import files

    ledger = stage.out / "files.jsonl"
    if not ledger.is_file() or not Path(path).exists():
        return
    rows = (row for row in read_rows(ledger) if "!/" not in row["file"])
    was = {row["file"]: row["sha256"] for row in rows}
    there = {each.as_posix() for each in files(Path(path))}
    for each in sorted(there | was.keys()):
        if each not in there:
            yield f"{each}: is gone"
        elif each not in was:
            yield f"{each}: new"
        elif was[each] and Path(each).is_file() and sha256(Path(each)) != was[each]:
            yield f"{each}: changed, its sha256 was {was[each]}"


def _command(old: str, new: str) -> Iterator[str]:
    import shlex

    was, now = shlex.split(old), shlex.split(new)
    yield from (f"command: no longer takes {word}" for word in was if word not in now)
    yield from (f"command: takes {word}" for word in now if word not in was)
    if sorted(was) == sorted(now):
        yield "command: takes the same in another order"


def _short(value: Any) -> str:
    import json

    from residency.commands.project import ABSENT

    text = ABSENT if value is ABSENT else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 80 else f"{text[:77]}..."


def follow(stages: list[Stage], changed: set[str]) -> dict[str, list[str]]:
    """The stages that read what changed ones write, at any remove: {stage: those it reads}."""
    from residency.graph import needed

    found: dict[str, list[str]] = {}
    for stage in stages:
        names = (each.name for each in needed(stage, stages))
        if before := [name for name in names if name in changed or name in found]:
            found[stage.name] = before
    return found


def told(
    stages: list[Stage],
    reasons: dict[str, list[str]],
    following: dict[str, list[str]],
    restored: set[str],
    reckoned: dict[str, Any],
) -> None:
    """Print the stages that would or may run, in the order of the graph, and why."""
    from residency.commands import takes

    only = following.keys() - reasons.keys()
    fresh = len(stages) - len(reasons) - len(only)
    if not reasons:
        print(f"nothing to do: {fresh} stages are up to date")
        return
    print(
        f"{len(reasons)} of {len(stages)} stages would run"
        + (f", {len(restored)} of them restored from DVC's cache" if restored else "")
        + f"; {len(only)} may follow; {fresh} are up to date"
    )
    for stage in stages:
        name = stage.name
        if name in reasons:
            how = "is restored from DVC's cache, not computed" if name in restored else "would run"
            print(f"\n{name}: {how}")
            for line in reasons[name][:MOST_SHOWN]:
                print(f"  {line}")
            if len(reasons[name]) > MOST_SHOWN:
                print(f"  ... and {len(reasons[name]) - MOST_SHOWN} more differences")
        elif name in only:
            print(f"\n{name}: may follow, if what it reads comes out different")
        else:
            continue
        if name in following:
            print(f"  after {takes.some(following[name])}")
        if name not in restored:
            print(f"  takes {reckoned[name]}")
