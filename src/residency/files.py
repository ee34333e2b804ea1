"""Reading and writing artifacts so that a killed process leaves nothing half-made.

with building(Path("build/corpora/textbooks")) as folder:
    write_rows(folder / "documents.jsonl", rows)
# only now does build/corpora/textbooks exist, whole and flushed to disk
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import orjson

from residency.section import Complaint


@contextmanager
def building(out: Path) -> Iterator[Path]:
    """Yield an empty folder that takes the name `out`, fsynced, if and when the block succeeds."""
    partial = out.with_name(f".{out.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    yield partial
    for path in sorted(partial.rglob("*")):
        sync(path)
    sync(partial)
    if out.exists():
        shutil.rmtree(out)
    partial.rename(out)
    sync(out.parent)


def sync(path: Path) -> None:
    """Flush a file or a folder's entries to disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_file(path: Path, content: str | bytes) -> None:
    """Replace a file by name, atomically."""
    partial = path.with_name(f".{path.name}.partial")
    partial.write_bytes(content.encode() if isinstance(content, str) else content)
    sync(partial)
    partial.replace(path)


def write_rows(path: Path, rows: Iterable[Any]) -> int:
    """Write dataclasses or mappings as JSON lines; the number written."""
    count = 0
    with path.open("wb") as file:
        for row in rows:
            file.write(orjson.dumps(row, option=orjson.OPT_APPEND_NEWLINE))
            count += 1
    return count


def read_rows(path: Path) -> Iterator[dict[str, Any]]:
    """The rows of a JSON-lines artifact, one at a time.

    Raises Complaint naming file and line where one is not JSON.
    """
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            try:
                yield orjson.loads(line)
            except orjson.JSONDecodeError as error:
                raise Complaint(f"{path}:{number}: not a JSON line ({error})") from None


def write_json(path: Path, value: Any) -> None:
    """Write one indented JSON value; keys keep their order."""
    path.write_bytes(orjson.dumps(value, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE))


def read_json(path: Path) -> Any:
    """The JSON value in a file."""
    return orjson.loads(path.read_bytes())


def sha256(path: Path) -> str:
    """Hex digest of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def work() -> Path:
    """work/ of the project, or below it what the environment variable RESIDENCY_WORK names.

    `dvc exp run --temp` builds in a copy below .dvc/tmp/exps, which it removes: what is kept there
    is kept in the project that it was copied from.
    """
    project = Path.cwd()
    parts = project.parts
    for at in range(len(parts) - 2):
        if parts[at : at + 3] == (".dvc", "tmp", "exps"):
            project = Path(*parts[:at])
            break
    return project / (os.environ.get("RESIDENCY_WORK") or "work")
