"""Fetch a file named by its URL and SHA-256: once, checked, resumed where it was cut off.

    path = fetched("https://example.org/book.zip", sha256, RAW, most=10**9)

The digest is the file's identity, so a file that is there and matches is never fetched again, and
whatever a server says of length, range or content is only believed once the digest agrees.
"""

from __future__ import annotations

import fcntl
import os
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING

from residency import files
from residency.section import Complaint, Setback

if TYPE_CHECKING:
    from requests import Response

RAW = Path(".residency/raw")
"""Where fetched files are kept, each under its digest; ignored by git and DVC."""

TRIES = 4
"""Connections in a row that may bring nothing new."""

PAUSE = 1.0
"""Seconds to wait after the first of these; twice as long after each further one."""

_TIMEOUT = (20, 60)  # seconds to connect, and between bytes
_CHUNK = 1 << 18
_FOR_GOOD = frozenset({400, 401, 403, 404, 405, 406, 410, 451})


def is_url(path: str) -> bool:
    """Whether a path is to be fetched."""
    return "://" in path


def fetched(url: str, sha256: str, folder: Path, most: int) -> Path:
    """The file of a URL in `folder`, fetched unless it is there.

    Raises Complaint if it cannot be had, is larger than `most` bytes, or has another digest.
    """
    path = folder / sha256
    folder.mkdir(parents=True, exist_ok=True)
    with _alone(folder / f"{sha256}.partial") as partial:
        if not (path.is_file() and files.sha256(path) == sha256):
            _fetch(url, sha256, partial, most)
            Path(partial.name).replace(path)
            files.sync(folder)
        else:
            Path(partial.name).unlink()
    return path


@contextmanager
def _alone(path: Path) -> Iterator[IO[bytes]]:
    """The partial file, locked against another process that fetches the same."""
    while True:
        with path.open("ab") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            # Whoever held the lock may have put the file in its place.
            if path.exists() and os.path.samestat(path.stat(), os.fstat(file.fileno())):
                yield file
                return


def _fetch(url: str, sha256: str, partial: IO[bytes], most: int) -> None:
    """Fill the partial file with what the digest names, from where it ends now."""
    from requests import RequestException, Session
    from urllib3.exceptions import HTTPError

    furthest = idle = 0
    wrong: list[str] = []  # digests of what came whole
    problem = ""
    with Session() as session:
        while idle < TRIES and len(wrong) < 2:
            try:
                start = _size(partial)
                headers = {"Accept-Encoding": "identity"}
                headers |= {"Range": f"bytes={start}-"} if start else {}
                with session.get(url, headers=headers, stream=True, timeout=_TIMEOUT) as response:
                    problem = _receive(response, start, url, partial, most)
            except (RequestException, HTTPError) as error:
                problem = str(error)
            partial.flush()
            if not problem:
                os.fsync(partial.fileno())
                digest = files.sha256(Path(partial.name))
                if digest == sha256:
                    return
                wrong.append(digest)
                partial.truncate(0)
            elif _size(partial) > furthest:
                furthest, idle = _size(partial), 0
            else:
                idle += 1
                time.sleep(PAUSE * 2 ** (idle - 1) if idle < TRIES else 0)
    if wrong:
        raise Complaint(
            f"{url}: the file's SHA-256 is {wrong[-1]}, expected {sha256}; "
            "if it is the file that is wanted, declare its digest"
        )
    raise Setback(
        f"{url}: not fetched: {problem}; expected SHA-256 {sha256}, found {_size(partial)} bytes, "
        "which are kept: run again to go on from there"
    )


def _receive(response: Response, start: int, url: str, partial: IO[bytes], most: int) -> str:
    """Append a response's body, or start over with it; what is wrong if it is not the whole."""
    begins, total = _range(response.headers.get("Content-Range", ""))
    if response.status_code == 416 and total == start:
        return ""
    if response.status_code in _FOR_GOOD:
        raise Complaint(f"{url}: the server says {response.status_code} {response.reason}")
    if response.status_code == 200 or response.status_code == 416 or begins != start:
        partial.truncate(0)
    if response.status_code not in (200, 206) or begins not in (None, start):
        return f"the server says {response.status_code} {response.reason}"
    for chunk in response.raw.stream(_CHUNK, decode_content=False):
        partial.write(chunk)
        if partial.tell() > most:
            partial.truncate(0)
            raise Complaint(f"{url}: larger than {most} bytes; see limits.unpacked_bytes")
    return "" if total in (None, partial.tell()) else "the server ended the connection early"


def _range(header: str) -> tuple[int | None, int | None]:
    """First byte and whole length out of `bytes 100-199/200` or `bytes */200`."""
    found = re.fullmatch(r"bytes (?:(\d+)-\d+|\*)/(?:(\d+)|\*)", header.strip())
    first, total = found.groups() if found else (None, None)
    return (int(first) if first else None, int(total) if total else None)


def _size(file: IO[bytes]) -> int:
    return os.fstat(file.fileno()).st_size
