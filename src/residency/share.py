"""share: a part of what ingest or clean does to much text, as a job of its own on a cluster.

    python -m residency.share clean-textbooks sift 3 8      part 3 of 8: shards 3, 11, 19, ...

    work/shares/clean-textbooks/8/sift/3 ── RESIDENCY_SHARES ──> clean: the same artifact, sooner

The parts are no stages: DVC runs and records clean itself, which does what it finds no part of.
They are jobs only while clean is stale. One that was done for the same inputs, parameters and code
is not done again, and none is where DVC has kept what clean would write.
"""

from __future__ import annotations

import importlib
import inspect
import shutil
import sys
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Any

from residency import declaration, freshness, graph, job
from residency.files import building, work, write_file
from residency.graph import Stage
from residency.step import complaints, prepare_cpu


def parts(stage: Stage, among: Iterable[Stage], size: int) -> int:
    """How many jobs share a stage when each is to have `size` bytes of raw files; 0: all of them.

    1 where none do. What a URL gives has no size before it is there, and counts as nothing.
    """
    if not size or stage.step not in ("ingest", "clean"):
        return 1
    read = [stage, *graph.needed(stage, among)]
    found = sum(_bytes(path) for each in read if each.step == "ingest" for path in each.raw)
    return max(1, -(-found // size))


def phases(stage: Stage, declared: declaration.Declaration) -> list[str]:
    """What parts of a stage can be done of, one after the other."""
    found: list[str] = _step(stage).phases(_section(stage, declared))
    return found


def folder(stage: str, of: int) -> Path:
    """Where the parts of a stage lie."""
    return work() / "shares" / stage / str(of)


def main() -> None:
    """Do one part, unless it is done already."""
    name, phase, part, of = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
    with complaints():
        declared = declaration.load(Path("params.yaml"))
        stage = next(each for each in graph.stages(declared) if each.name == name)
        job.alone(f"share-{name}-{of}-{phase}-{part}")
        identity, kept = freshness.identity(name)
        out = folder(name, of) / phase / str(part)
        known = out / "identity"
        if known.is_file() and known.read_text() == identity:
            return
        shutil.rmtree(out, ignore_errors=True)  # of other inputs: it must not be found
        if kept:
            return
        prepare_cpu()
        share = _step(stage).share
        inputs: dict[str, Any] = dict(stage.inputs)
        if "name" in inspect.signature(share).parameters:
            inputs["name"] = stage.out.name
        with building(out) as partial:
            share(
                _section(stage, declared),
                **inputs,
                phase=phase,
                mine=lambda number: number % of == part,
                out=partial,
            )
        write_file(known, identity)


def _step(stage: Stage) -> Any:
    return importlib.import_module(f"residency.{stage.step}")


def _section(stage: Stage, declared: declaration.Declaration) -> Any:
    kind, name = stage.section.split(".")
    return getattr(declared, kind)[name]


@cache
def _bytes(path: Path) -> int:
    files = path.rglob("*") if path.is_dir() else [path]
    return sum(each.stat().st_size for each in files if each.is_file())


if __name__ == "__main__":
    main()
