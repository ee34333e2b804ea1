"""Formats that are zip archives inside: opened in memory, and not if they are bombs."""

from __future__ import annotations

import io
import zipfile
from zipfile import ZipFile

from residency.reading.blocks import Unreadable

_LARGEST = 2**30
_SMALL = 2**25
_DENSEST = 200
"""Marked-up text shrinks to a tenth or a twentieth; deflate reaches a thousandth at most."""


def opened(content: bytes) -> ZipFile:
    """The archive; all of it unpacked is at most 1 GiB, and over 32 MiB at most 200 times as large.

    No member can unpack to more than it declares. Raises Unreadable.
    """
    try:
        archive = ZipFile(io.BytesIO(content))
    except (zipfile.BadZipFile, ValueError, OverflowError) as error:
        raise Unreadable("unparsable", f"no zip archive: {error}") from None
    size = sum(member.file_size for member in archive.infolist())
    if size > _LARGEST or (size > _SMALL and size > _DENSEST * len(content)):
        raise Unreadable("zip bomb", f"{len(content)} bytes that unpack to {size}")
    if any(member.flag_bits & 1 for member in archive.infolist()):
        raise Unreadable("encrypted", "the archive needs a password")
    return archive


def member(archive: ZipFile, name: str) -> bytes:
    """The content of one member. Raises Unreadable, KeyError when there is none of this name."""
    import zlib

    try:
        return archive.read(name)
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError) as error:
        raise Unreadable("unparsable", f"{name}: {error}") from None
