"""Make a new project in an empty folder: the embedded default, whole, so that it builds at once.

    residency init drakes && cd drakes && make eval

Then docs/start.md leads to your own book, exam and base model. A project holds the code that
builds it (src/residency, rules): what it was built with is versioned with it, and changes where you
say so.
"""

from __future__ import annotations

import argparse
import re
from pathlib import Path

FILES = [
    "Snakefile",
    "Makefile",
    "LICENSE",
    "pyproject.toml",
    "constraints.txt",
    "params.yaml",
    "params.schema.json",
    ".gitignore",
    ".dvcignore",
]
FOLDERS = ["src/residency", "rules", "profiles", "docs", "recipes"]
OURS = {"default", "lint", "format", "test"}
"""Targets of the Makefile that are about residency's own tests; test-all and the like as well."""

PARTIAL = ".residency-init"
MOST_BYTES = 20_000_000  # of raw files; the default's are 160 kB

CONFIG = """\
[core]
    analytics = false
    check_update = false
[cache]
    type = "reflink,hardlink,copy"
"""

README = """\
# {name}

A project of residency: raw textbooks and exams in, an evaluated specialist and its report out.

```
make eval          build everything that params.yaml declares, and the report on it
residency check    would anything stop a build?
residency plan     what would run, and why
```

It begins as the embedded default, a primer on an invented animal. From there to your own book, exam
and base model: [docs/start.md](docs/start.md). Commit what you declare and dvc.lock
(`git add . && git commit`): experiments and comparisons start from commits.
"""


def arguments(parser: argparse.ArgumentParser) -> None:
    """Where."""
    parser.add_argument(
        "folder",
        type=Path,
        nargs="?",
        default=Path(),
        metavar="FOLDER",
        help="an empty folder, or one to make; the folder you are in if left out",
    )


def run(arguments: argparse.Namespace) -> None:
    """Lay the project out and say what to do next."""
    folder: Path = arguments.folder
    laid_out(folder)
    there = "" if folder.resolve() == Path.cwd() else f"cd {folder} && "
    print(f"made a project in {folder.resolve()}; to build it: {there}make eval")


def laid_out(folder: Path) -> None:
    """Write a new project to an empty folder, or to one that is not there yet.

    Nothing is in its place before all is laid out. Raises Complaint where the folder is not empty
    or what the project is made after is not there.
    """
    import shutil

    from residency import declaration, graph
    from residency.files import write_file
    from residency.section import Complaint

    _empty(folder)
    shape = pattern()
    declared = declaration.load(shape / graph.PARAMS)
    raw = _raw(declared, shape)
    partial = folder / PARTIAL
    try:
        partial.mkdir(parents=True)
    except OSError as error:
        raise Complaint(f"{folder}: cannot be written to ({error.strerror})") from None
    for name in FILES:
        _copy(shape / name, partial / name)
    for name in FOLDERS:
        ours = graph.CODE if name == graph.CODE_PLACE.as_posix() else shape / name
        ignored = shutil.ignore_patterns("__pycache__", "*.pyc")
        shutil.copytree(ours, partial / name, ignore=ignored)
    for path in raw:
        _copy(shape / path, partial / path)
    makefile = partial / "Makefile"
    makefile.write_text(without(makefile.read_text(encoding="utf-8"), OURS), encoding="utf-8")
    write_file(partial / "README.md", README.format(name=folder.resolve().name))
    write_file(partial / "dvc.yaml", graph.text(declaration.load(partial / graph.PARAMS)))
    _versioned(partial)
    for path in sorted(partial.iterdir(), key=lambda path: path.name == graph.PARAMS.name):
        path.rename(folder / path.name)
    partial.rmdir()


def _empty(folder: Path) -> None:
    """Raise Complaint unless a project can be laid out there; clear up after an init killed."""
    import shutil

    from residency.section import Complaint

    if folder.exists() and not folder.is_dir():
        raise Complaint(f"{folder}: is a file, expected an empty folder or a name for one")
    there = sorted(path.name for path in folder.iterdir()) if folder.exists() else []
    if there == [PARTIAL]:
        shutil.rmtree(folder / PARTIAL)
    elif PARTIAL in there:
        raise Complaint(f"{folder}: an init was killed half-way here; empty the folder, then again")
    elif there:
        raise Complaint(
            f"{folder}: expected an empty folder, found {there[0]!r} and {len(there) - 1} more; "
            "name another: residency init FOLDER"
        )


def pattern() -> Path:
    """The folder of the running installation that a project is laid out after.

    That is the repository whose code runs, or what a wheel put beside it.
    """
    import sys

    from residency.graph import CODE
    from residency.section import Complaint

    for folder in [CODE.parents[1], Path(sys.prefix) / "share/residency"]:
        if all((folder / name).exists() for name in [*FILES, *FOLDERS[1:]]):
            return folder
    raise Complaint(
        f"the installation in {CODE} does not hold the default project ({', '.join(FILES[:2])}, "
        "...); install residency from its repository or its wheel"
    )


def _raw(declared: object, shape: Path) -> list[Path]:
    """The raw files of the pattern, relative to it, with what tells of them."""
    from residency.adopt import LocalWeights
    from residency.declaration import Adopted, Declaration
    from residency.fetch import is_url
    from residency.section import Complaint
    from residency.unpack import files

    assert isinstance(declared, Declaration)
    places = [each.path for each in declared.sources.values() if not is_url(each.path)]
    places += [each.path for each in declared.exams.values()]
    places += [
        each.weights.path
        for each in declared.models.values()
        if isinstance(each, Adopted) and isinstance(each.weights, LocalWeights)
    ]
    found = [path for place in places for path in files(shape / place)]
    found += [path for path in [shape / "data/raw/README.md"] if path.is_file()]
    size = sum(path.stat().st_size for path in found)
    if size > MOST_BYTES or not all(path.is_relative_to(shape) for path in found):
        raise Complaint(
            f"{shape} is a project with raw files of its own ({size:,} bytes), and no pattern for "
            "another; run init of an installation that holds the embedded default"
        )
    return [path.relative_to(shape) for path in found]


def _copy(path: Path, to: Path) -> None:
    import shutil

    to.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(path, to)


def without(makefile: str, targets: set[str]) -> str:
    """A Makefile without the rules of these targets, with a suffix or none.

    Rules are parted by empty lines.
    """
    rules = []
    for rule in makefile.split("\n\n"):
        head = re.sub("^#.*\n", "", rule, flags=re.M).partition(":")
        if head[0] == ".PHONY":
            kept = [name for name in head[2].split() if name.partition("-")[0] not in targets]
            rules.append(f".PHONY: {' '.join(kept)}")
        elif head[0].partition("-")[0] not in targets:
            rules.append(rule)
    rules[0] = rules[0].replace(rules[0].partition("\n")[0], "# `make eval` builds everything.")
    return "\n\n".join(rules)


def _versioned(folder: Path) -> None:
    """Make a folder a repository of git and of DVC, with the default's settings of DVC."""
    import subprocess
    import sys

    from residency.section import Complaint

    for command in [
        ["git", "init", "-q", "-b", "main"],
        [sys.executable, "-m", "dvc", "init", "-q"],
    ]:
        try:
            done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
        except FileNotFoundError:
            raise Complaint(f"{command[0]} is not installed; install it, then again") from None
        if done.returncode:
            said = (done.stderr or done.stdout).strip()
            raise Complaint(f"{' '.join(command)} failed: {said}")
    (folder / ".dvc/config").write_text(CONFIG)
    _copy(pattern() / ".dvcignore", folder / ".dvcignore")
