"""project: the folder that a command is typed in, and what dvc.lock says of what was built there.

declared() ── Declaration        recorded() ── {stage: Record}, as each last ran
"""

from __future__ import annotations

import sys
from argparse import ArgumentParser
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from residency.declaration import Declaration

LOCK = Path("dvc.lock")
ABSENT: Final = "nothing"
"""What a value that is not there is called."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Content:
    """A file, or a folder (its md5 ends with .dir), as DVC names it by what it holds."""

    md5: str
    bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """What a stage was made from when it last ran, and what came out."""

    command: str
    inputs: dict[str, Content]  # by path: data, raw files and code
    values: dict[str, Any]  # by place in params.yaml
    out: str
    made: Content


def declared(*, raw: bool = True) -> Declaration:
    """The declaration of this folder. Raises Complaint where it is wrong or there is none.

    `raw`: whether its raw files must be there.
    """
    from residency.declaration import load
    from residency.graph import PARAMS
    from residency.section import Complaint

    if not PARAMS.is_file():
        here = Path.cwd()
        above = next((each for each in here.parents if (each / PARAMS).is_file()), None)
        cure = f"the project is {above}: cd there" if above else "make one with: residency init"
        raise Complaint(f"{here}: expected a project, found no {PARAMS}; {cure}")
    return load(PARAMS, raw=raw)


def page_option(parser: ArgumentParser) -> None:
    """--page, of commands that write the report with a section of theirs."""
    parser.add_argument(
        "--page", type=Path, metavar="FILE", help="write the report with a section on it"
    )


def write_page(path: Path, page: Callable[[], str]) -> None:
    """Write the page that was asked for. Raises Complaint where that cannot be."""
    from residency.files import write_file
    from residency.section import Complaint

    try:
        write_file(path, page())
    except (OSError, ValueError) as error:
        raise Complaint(f"{path}: cannot be written ({error})") from None
    print(f"wrote {path}", file=sys.stderr)


def values() -> Any:
    """params.yaml as DVC compares it: plain, not checked."""
    from ruamel.yaml import YAML

    from residency.graph import PARAMS

    return YAML(typ="safe").load(PARAMS)


def recorded() -> dict[str, Record]:
    """What dvc.lock says, by stage; empty where nothing was built."""
    from ruamel.yaml import YAML

    from residency.graph import PARAMS

    if not LOCK.is_file():
        return {}
    found = YAML(typ="safe").load(LOCK) or {}
    return {
        name: Record(
            command=stage["cmd"],
            inputs={each["path"]: _content(each) for each in stage.get("deps", [])},
            values=stage.get("params", {}).get(PARAMS.name, {}),
            out=stage["outs"][0]["path"],
            made=_content(stage["outs"][0]),
        )
        for name, stage in found.get("stages", {}).items()
    }


def _content(entry: dict[str, Any]) -> Content:
    return Content(md5=entry["md5"], bytes=entry["size"])


def at(values: Any, place: str) -> Any:
    """The value at a dotted place, or ABSENT."""
    for key in place.split("."):
        if not isinstance(values, dict) or key not in values:
            return ABSENT
        values = values[key]
    return values


def differences(place: str, old: Any, new: Any) -> Iterator[tuple[str, Any, Any]]:
    """Each leaf that differs: its place, what it was, what it is."""
    if isinstance(old, dict) and isinstance(new, dict):
        for key in dict.fromkeys([*old, *new]):
            one, other = old.get(key, ABSENT), new.get(key, ABSENT)
            yield from differences(f"{place}.{key}".lstrip("."), one, other)
    elif type(old) is not type(new) or old != new:
        yield place, old, new
