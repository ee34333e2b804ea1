"""hashes: what DVC would record of files and folders now, with nothing taken from its memory."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path


def md5s(paths: Iterable[str]) -> dict[str, str | None]:
    """The md5 of each file, or of each folder as DVC writes it in dvc.lock; None if not there.

    Computed by DVC's own code, so that what .dvcignore leaves out is left out, but without its
    state, which would take a file for unchanged by its time and size.
    """
    from dvc.repo import Repo
    from dvc_data.hashfile.build import build
    from dvc_data.hashfile.db import HashFileDB

    found: dict[str, str | None] = {}
    with Repo() as repo:
        files = repo.cache.local.fs
        for path in paths:
            if not Path(path).exists():
                found[path] = None
                continue
            place = HashFileDB(files, str(Path(repo.tmp_dir or ".") / "hashes"))
            whole = (
                str(Path(path).resolve()) if Path(path).is_symlink() else str(Path(path).absolute())
            )
            _, _, content = build(place, whole, files, "md5", dry_run=True, ignore=repo.dvcignore)
            found[path] = content.hash_info.value
    return found
