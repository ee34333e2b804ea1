"""Look for anything that would stop a build, before it starts, and say what to do about it.

    stops    nothing can be built, or something declared cannot, until this is mended
    look     a build can go on, but may turn out otherwise than you expect
    ok       found in order

The status is 1 where anything stops. Nothing is built, fetched or changed. Keys of endpoints are
looked for by the name of their variable; their values are neither read nor shown.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from residency.declaration import Declaration
    from residency.graph import Stage

CONSTRAINTS, PROJECT = Path("constraints.txt"), Path("pyproject.toml")
STATES = 6
"""A training keeps its last two states, each three times the model's weights (docs/run.md)."""

MOST_NAMED = 8  # of packages and files in one finding


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that was looked at."""

    level: Literal["ok", "look", "stops"]
    about: str
    said: str


def arguments(parser: argparse.ArgumentParser) -> None:
    """How much is told."""
    parser.add_argument("--quiet", action="store_true", help="leave out what is in order")


def run(arguments: argparse.Namespace) -> int:
    """Print what was found; 1 where something stops a build."""
    levels = []
    for finding in findings():
        levels.append(finding.level)
        if finding.level != "ok" or not arguments.quiet:
            print(f"{finding.level:<6} {finding.about:<12} {finding.said}", flush=True)
    stops, looks = levels.count("stops"), levels.count("look")
    verdict = f"{stops} to mend before a build" if stops else "nothing would stop a build"
    print(f"\n{verdict}; {looks} to look at; {levels.count('ok')} in order")
    return 1 if stops else 0


def findings() -> Iterator[Finding]:
    """Everything there is to look at, in the order in which a build would meet it."""
    from residency import graph
    from residency.commands.project import declared
    from residency.section import Complaint

    yield from python()
    yield from packages()
    try:
        declaration = declared()
    except Complaint as complaint:
        yield Finding(level="stops", about="declaration", said=str(complaint))
        return
    stages = graph.stages(declaration)
    told = f"params.yaml: {len(declaration.models)} models, {len(stages)} stages"
    yield Finding(level="ok", about="declaration", said=told)
    yield from repositories()
    yield from _or_stops(lambda: graph.check(declaration), "graph", "dvc.yaml and code are current")
    yield from raw(declaration)
    yield from weights(declaration)
    yield from keys(declaration.canonical()["models"])
    yield from settings()
    yield from gpus(declaration)
    yield from memory(stages)
    yield from disk(declaration, stages)
    yield from locks()


def _or_stops(look: Callable[[], Any], about: str, fine: str) -> Iterator[Finding]:
    """The complaint of `look` as a finding, or that all is fine."""
    from residency.section import Complaint

    try:
        look()
    except Complaint as complaint:
        yield Finding(level="stops", about=about, said=str(complaint))
    else:
        yield Finding(level="ok", about=about, said=fine)


def python() -> Iterator[Finding]:
    """The interpreter, against what pyproject.toml requires."""
    import platform
    import tomllib

    from packaging.specifiers import SpecifierSet

    found = platform.python_version()
    wanted = tomllib.loads(PROJECT.read_text())["project"] if PROJECT.is_file() else {}
    required = wanted.get("requires-python", "")
    if found not in SpecifierSet(required, prereleases=True):
        cure = f"expected {required}; make the environment with one: make PYTHON=python3.12 eval"
        yield Finding(level="stops", about="python", said=f"{found}, {cure}")
    else:
        yield Finding(level="ok", about="python", said=found)


def packages() -> Iterator[Finding]:
    """What is installed, against pyproject.toml's dependencies and the pins of constraints.txt."""
    import tomllib

    from packaging.requirements import Requirement

    if PROJECT.is_file():
        listed = tomllib.loads(PROJECT.read_text())["project"].get("dependencies", [])
        missing = [each for each in map(Requirement, listed) if _version(each.name) is None]
        if missing:
            names = _some(str(each) for each in missing)
            cure = "pip install --constraint constraints.txt --editable ."
            yield Finding(
                level="stops", about="packages", said=f"not installed: {names}; to install: {cure}"
            )
    if not CONSTRAINTS.is_file():
        yield Finding(level="look", about="packages", said=f"no {CONSTRAINTS} to compare with")
        return
    pins = _pins(CONSTRAINTS.read_text())
    there = {name: found for name in pins if (found := _version(name)) is not None}
    others = [
        f"{name} {found} (pinned {pins[name]})"
        for name, found in there.items()
        if found.partition("+")[0] != pins[name].partition("+")[0]
    ]
    if others:
        cure = "results may differ; to install the pinned: pip install -r constraints.txt"
        said = f"{len(others)} of {len(there)} differ from their pins: {_some(others)}; {cure}"
        yield Finding(level="look", about="packages", said=said)
    else:
        yield Finding(level="ok", about="packages", said=f"{len(there)} as pinned")


def _pins(text: str) -> dict[str, str]:
    lines = (line.partition("#")[0].partition(";")[0].strip() for line in text.splitlines())
    pairs = (line.partition("==") for line in lines)
    return {name.strip(): version.strip() for name, equal, version in pairs if equal}


def _version(name: str) -> str | None:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _some(words: Iterable[str]) -> str:
    found = list(words)
    more = len(found) - MOST_NAMED
    return ", ".join(found[:MOST_NAMED]) + (f" and {more} more" if more > 0 else "")


def repositories() -> Iterator[Finding]:
    """Git and DVC, which both tools of a build work in."""
    import os
    import shutil

    wrong = [
        f"{program} is not on the path; enter the environment: source .venv/bin/activate"
        for program in ["git", "dvc", "snakemake"]
        if shutil.which(program) is None
    ]
    wrong += [
        f"this folder has no {folder}; to make it: {cure}"
        for folder, cure in [(".git", "git init"), (".dvc", "dvc init")]
        if not Path(folder).exists()
    ]
    if not os.access(".", os.W_OK):
        wrong.append(f"{Path.cwd()} cannot be written to; to allow it: chmod u+w")
    for said in wrong:
        yield Finding(level="stops", about="repository", said=said)
    if not wrong:
        yield Finding(level="ok", about="repository", said="git, DVC and Snakemake are here")


def raw(declaration: Declaration) -> Iterator[Finding]:
    """Raw files: that they can be read, and that folders hold any. That they exist is declared."""
    import os

    from residency.fetch import RAW, is_url
    from residency.unpack import files

    count = size = 0
    wrong = []
    places = [(f"sources.{name}", each.path) for name, each in declaration.sources.items()]
    places += [(f"exams.{name}", each.path) for name, each in declaration.exams.items()]
    for place, path in places:
        if is_url(path):
            digest = declaration.sources[place.partition(".")[2]].sha256 or ""
            if not (RAW / digest).is_file():
                said = f"{place}: {path} is fetched when it is built: that needs the network"
                yield Finding(level="look", about="raw files", said=said)
            continue
        found = [each for each in files(Path(path)) if not each.is_dir()]
        if not found:
            wrong.append(f"{place}: {path} holds no file; put texts there")
        for each in found:
            if not os.access(each, os.R_OK):
                wrong.append(f"{place}: {each} cannot be read; to allow it: chmod u+r")
            else:
                count += 1
                size += each.stat().st_size
    for said in wrong[:MOST_NAMED]:
        yield Finding(level="stops", about="raw files", said=said)
    if len(wrong) > MOST_NAMED:
        said = f"and {len(wrong) - MOST_NAMED} more that cannot be read"
        yield Finding(level="stops", about="raw files", said=said)
    if not wrong:
        from residency.commands.machine import bytes_told

        yield Finding(level="ok", about="raw files", said=f"{count} files, {bytes_told(size)}")


def weights(declaration: Declaration) -> Iterator[Finding]:
    """Published weights: installed and as declared, a whole folder, or in the hub's cache."""
    import os

    from residency.adopt import HubWeights, LocalWeights, PackageWeights, in_package
    from residency.declaration import Adopted

    for name, model in declaration.models.items():
        if not isinstance(model, Adopted):
            continue
        found, about = model.weights, "weights"
        if isinstance(found, PackageWeights):
            package: PackageWeights = found
            yield from _or_stops(
                lambda package=package: in_package(package),  # type: ignore[misc]
                about,
                f"models.{name}: {found.file} of {found.package}, its sha256 as declared",
            )
        elif isinstance(found, LocalWeights):
            folder = Path(found.path)
            lacks = [
                each
                for each in ["config.json", "*.safetensors", "tokenizer*"]
                if not any(folder.glob(each))
            ]
            if lacks:
                said = f"models.{name}.weights.path: {folder} has no {', no '.join(lacks)}"
                cure = "expected a model in Hugging Face layout, with safetensors"
                yield Finding(level="stops", about=about, said=f"{said}; {cure}")
            else:
                yield Finding(level="ok", about=about, said=f"models.{name}: {folder}")
        elif isinstance(found, HubWeights):
            if _cached(found.hub, found.revision):
                yield Finding(level="ok", about=about, said=f"models.{name}: in the hub's cache")
                continue
            offline = os.environ.get("HF_HUB_OFFLINE", "0").lower() in ("1", "true", "yes", "on")
            said = f"models.{name}: {found.hub} is not in the hub's cache"
            yield Finding(
                level="stops" if offline else "look",
                about=about,
                said=f"{said}, and HF_HUB_OFFLINE is set; unset it"
                if offline
                else f"{said}; its build needs the network",
            )


def _cached(hub: str, revision: str) -> bool:
    from huggingface_hub import try_to_load_from_cache

    return isinstance(try_to_load_from_cache(hub, "config.json", revision=revision), str)


def keys(models: dict[str, Any]) -> Iterator[Finding]:
    """Variables that hold the keys of declared endpoints: there or not, never what they say."""
    import os

    for name, model in models.items():
        endpoint = model.get("endpoint") or {}
        variable = endpoint.get("key")
        if not variable:
            continue
        if os.environ.get(variable, "").strip():
            said = f"models.{name}: {variable} is set"
            yield Finding(level="ok", about="keys", said=said)
        else:
            said = f"models.{name}: {variable} is not set; to set it: export {variable}=..."
            yield Finding(level="stops", about="keys", said=said)


def settings() -> Iterator[Finding]:
    """RESIDENCY_* in the environment."""
    from residency import devices, endpoint

    fine = "RESIDENCY_* variables, if any, make sense"
    yield from _or_stops(lambda: (devices.settings(), endpoint.settings()), "settings", fine)


def gpus(declaration: Declaration) -> Iterator[Finding]:
    """GPUs that the driver tells of, and whether torch can use them."""
    from residency.commands import machine
    from residency.declaration import Trained

    there = machine.gpus()
    four_bits = [
        name
        for name, model in declaration.models.items()
        if isinstance(model, Trained) and model.train.method == "qlora"
    ]
    if there:
        import torch  # only here: it takes seconds

        if not torch.cuda.is_available():
            said = f"{there} by the driver, but this torch ({torch.__version__}) cannot use them; "
            cure = "install a build of torch for its CUDA version"
            yield Finding(level="look", about="GPU", said=said + cure)
            there = 0
    if four_bits and not there:
        said = f"models.{four_bits[0]}.train.method is qlora, which takes a GPU; use lora here"
        yield Finding(level="stops", about="GPU", said=said)
    elif not there:
        yield Finding(level="ok", about="GPU", said=f"none, {machine.cores()} cores")
    else:
        yield Finding(level="ok", about="GPU", said=f"{there}, and torch can use them")
    if four_bits and _version("bitsandbytes") is None:
        said = "qlora takes bitsandbytes; to install it: pip install bitsandbytes"
        yield Finding(level="stops", about="GPU", said=said)


def memory(stages: list[Stage]) -> Iterator[Finding]:
    """Memory, against the most that a recorded run took."""
    import psutil

    from residency.commands.machine import bytes_told
    from residency.commands.takes import last_run

    there = psutil.virtual_memory()
    most, by = 0.0, ""
    for stage in stages:
        told = last_run(stage).get("max_rss", "")
        if told.replace(".", "", 1).isdigit() and float(told) * 1e6 > most:
            most, by = float(told) * 1e6, stage.name
    said = f"{bytes_told(there.available)} of {bytes_told(there.total)} free"
    if most:
        said += f"; {by} took {bytes_told(most)} when it last ran"
    level: Literal["ok", "look", "stops"] = "look" if most > there.available else "ok"
    if most > there.total:
        level, said = "stops", f"{said}, more than there is"
    yield Finding(level=level, about="memory", said=said)


def disk(declaration: Declaration, stages: list[Stage]) -> Iterator[Finding]:
    """Free space, against what is not there yet, after what it or its kin took before."""
    import shutil

    from residency.commands import takes
    from residency.commands.machine import bytes_told, cores
    from residency.commands.project import recorded

    records, rates = recorded(), takes.Rates(gpus=0, cores=cores())
    needed, unknown = 0.0, 0
    for stage in stages:
        if stage.out.exists():
            continue
        size = takes.reckoned(stage, declaration, records.get(stage.name), rates).bytes
        needed += size.value * (1 + (STATES if stage.step == "train" else 0)) if size else 0
        unknown += size is None
    free = shutil.disk_usage(".").free
    said = f"{bytes_told(free)} free; at least {bytes_told(needed)} is wanted"
    said += f", and more for {unknown} stages that never ran" if unknown else ""
    if needed > free:
        said += "; make room, or keep DVC's cache elsewhere: dvc cache dir"
        yield Finding(level="stops", about="disk", said=said)
    else:
        yield Finding(level="look" if 2 * needed > free else "ok", about="disk", said=said)


def locks() -> Iterator[Finding]:
    """Builds at work here, and locks of builds that were killed."""
    from residency.freshness import STATE, at_work

    jobs = at_work()
    for which, words in jobs.items():
        said = f"a build is at work here: {words} ({which}); a second one waits for it"
        yield Finding(level="look", about="locks", said=said)
    left = list((STATE / "locks").glob("*"))
    if left and not jobs:
        said = "a build was killed and left its locks; the next one clears them up by itself"
        yield Finding(level="look", about="locks", said=said)
    for path in [Path(".git/index.lock")]:
        if path.is_file() and not jobs:
            said = f"{path} is left of a killed git; if none is at work: rm {path}"
            yield Finding(level="look", about="locks", said=said)
    if not left and not jobs:
        yield Finding(level="ok", about="locks", said="no build is at work here")
