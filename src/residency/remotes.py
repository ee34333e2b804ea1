"""What was built, to and from the default remote of DVC, each object compared with its name.

    dvc.lock ── objects of an artifact ── push ──> remote ── pull ──> cache ── checkout ──> build/

`dvc push` and `dvc pull` move the same objects, but take one for whole that was cut off or spoilt:
a file that a broken push left behind (over SSH) stays as it is, and is put in place as it is.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from residency.section import Complaint, nearest

if TYPE_CHECKING:
    from dvc.repo import Repo

EXTRAS = {"ssh": "ssh", "s3": "s3"}
"""Schemes of remotes that an extra of residency brings the means for."""


def pull(repo: Repo, dry: bool) -> dict[str, str]:
    """Put in place what dvc.lock records, if it is absent and nothing that it comes from changed.

    Returns why it could not be, by stage; and what was never pushed is named on stderr, to be
    built. `dry`: only say what would be pulled.
    """
    absent = [
        stage
        for stage in repo.index.stages
        if not stage.is_repo_import
        and any(out.hash_info and not out.exists for out in stage.outs)
        and not stage.changed(allow_missing=True)
    ]
    name = repo.config["core"].get("remote")
    if not name or not any(True for stage in absent for _ in _lacking(repo, stage)):
        return {}  # what the cache has, a stage's own command puts in place
    count = f"{len(absent)} recorded artifacts that are not here"
    if dry:
        _tell(f"a build begins with pulling {count} from {name}")
        return {}
    try:
        remote = _reached(repo, name)
    except Complaint as complaint:
        _tell(f"warning: {complaint}")
        cure = "try again when it can be, or to build here what it has: RESIDENCY_PULL=no"
        return {stage.addressing: f"{complaint}; {cure}" for stage in absent}
    _tell(f"pulling {count} from {name} ({_place(remote, remote.path)})")
    failed = dict[str, BaseException | None]()
    for _ in ["the lists of what is in a folder", "the files"]:
        lacking = {oid for stage in absent for oid in _lacking(repo, stage)}
        failed |= _fetched(repo, remote, sorted(lacking - failed.keys()))
    if not any(failed.values()):
        known = repo.cloud.get_remote_odb(name, hash_name="md5-dos2unix")
        _runs(known, repo.cache.legacy, {})  # one that is missing costs work later, no more
    why, whole = {}, []
    for stage in absent:
        if not (first := next(_lacking(repo, stage), None)):
            whole.append(stage.addressing)
        elif isinstance(failed[first], FileNotFoundError):
            _tell(f"{stage.addressing} is not on {name}, or not all of it: it is built here")
        else:
            why[stage.addressing] = _blame(remote, name, stage.addressing, first, failed[first])
    for each in why.values():
        _tell(f"warning: {each}")
    if whole:  # none would be all
        repo.checkout(whole, force=True)
    return why


def push(repo: Repo, anew: Sequence[str]) -> int:
    """Send every recorded artifact, and what DVC knows of runs, to the default remote.

    An object that is there in its full size is left alone, but not those of the stages `anew`.
    A folder's list goes after its files. Returns how many objects were sent; raises Complaint if
    some could not be.
    """
    name = repo.config["core"].get("remote")
    if not name:
        raise Complaint(
            "there is no default remote; to name one: dvc remote add --default NAME URL "
            "(docs/remotes.md)"
        )
    stages = {stage.addressing: stage for stage in repo.index.stages if not stage.is_repo_import}
    for each in anew:
        if each not in stages:
            raise Complaint(f"there is no stage {each!r}; {nearest(each, stages)}")
    remote, cache = _reached(repo, name), repo.cache.local
    owner = {oid: each for each, stage in stages.items() for oid in _objects(repo, stage)}
    here = {oid for oid in owner if cache.exists(oid)}
    for each in sorted({owner[oid] for oid in owner.keys() - here}):
        _tell(f"{each} is recorded and not here: it is not sent")
    again = {oid for each in anew for oid in _objects(repo, stages[each])}
    try:
        with ThreadPoolExecutor(remote.fs.jobs) as pool:
            there = dict(zip(here, pool.map(lambda oid: _size(remote, oid), here), strict=True))
    except Exception as error:  # whatever the protocol raises
        raise Complaint(f"{name} broke off: {_said(error)}; nothing was sent; try again") from None
    wanted = sorted(oid for oid in here if oid in again or there[oid] != _size(cache, oid))
    failed = dict[str, BaseException]()
    for lists in [False, True]:
        if not failed:  # else a list would vouch for files that are not there
            batch = [oid for oid in wanted if oid.endswith(".dir") == lists]
            _moved(cache, remote, batch, failed)
    if not failed:
        known = repo.cloud.get_remote_odb(name, hash_name="md5-dos2unix")
        _runs(repo.cache.legacy, known, failed)
    if failed:
        hurt = ", ".join(sorted({owner[oid] for oid in failed if oid in owner}))
        first = next(iter(failed.values()))
        raise Complaint(
            f"{name} broke off: {_said(first)}; not sent whole: {hurt or 'what is known of runs'}; "
            "the same command sends the rest"
        )
    return len(wanted)


def _objects(repo: Repo, stage: Any) -> Iterator[str]:
    """The names of a stage's recorded objects; of a folder whose list is not here, just that."""
    from dvc_data.hashfile.tree import Tree

    cache = repo.cache.local
    for out in stage.outs:
        if out.use_cache and out.hash_info:
            yield out.hash_info.value
            if out.hash_info.isdir and cache.exists(out.hash_info.value):
                yield from (found.value for _, _, found in Tree.load(cache, out.hash_info))


def _lacking(repo: Repo, stage: Any) -> Iterator[str]:
    return (oid for oid in _objects(repo, stage) if not repo.cache.local.exists(oid))


def _reached(repo: Repo, name: str) -> Any:
    """The remote's store of objects. Raises Complaint where it cannot be reached."""
    url = repo.config["remote"].get(name, {}).get("url", name)
    try:
        remote = repo.cloud.get_remote_odb(name)
        remote.fs.exists(remote.path)
    except Exception as error:  # whatever the protocol raises
        scheme = url.partition("://")[0]
        cure = ""
        if "missing" in type(error).__name__.lower() and scheme in EXTRAS:
            cure = f": pip install 'residency[{EXTRAS[scheme]}]'"
        raise Complaint(f"{name} ({url}) cannot be reached: {_said(error)}{cure}") from None
    return remote


def _fetched(repo: Repo, remote: Any, oids: list[str]) -> dict[str, BaseException | None]:
    """Why objects could not be fetched: an error, or None for one that is not what it was."""
    failed = dict[str, BaseException]()
    _moved(remote, repo.cache.local, oids, failed)
    return {oid: failed.get(oid) for oid in oids if not repo.cache.local.exists(oid)}


def _moved(source: Any, target: Any, oids: list[str], failed: dict[str, BaseException]) -> None:
    """Copy objects whatever is there; those that come here are compared with their names."""
    from dvc.fs.callbacks import TqdmCallback

    if oids:
        paths = [source.oid_to_path(oid) for oid in oids]
        with TqdmCallback(desc="objects", unit="file") as shown:
            target.add(
                paths,
                source.fs,
                oids,
                check_exists=False,
                verify=target.fs.protocol == "local",
                on_error=failed.__setitem__,
                callback=shown,
            )


def _runs(source: Any, target: Any, failed: dict[str, BaseException]) -> None:
    """Copy what DVC knows of runs, where the target does not know it."""
    from dvc_objects.fs.generic import copy

    def known(store: Any) -> dict[str, str]:
        place = store.fs.join(store.path, "runs")
        found = store.fs.find(place) if store.fs.exists(place) else []
        return {store.fs.as_posix(store.fs.relpath(path, store.path)): path for path in found}

    def note(_source: str, path: str, error: BaseException) -> None:
        failed[path] = error

    theirs = known(source)
    if new := sorted(theirs.keys() - known(target).keys()):
        paths = [target.fs.join(target.path, *each.split("/")) for each in new]
        for parent in {target.fs.parent(path) for path in paths}:
            target.fs.makedirs(parent)
        copy(source.fs, [theirs[each] for each in new], target.fs, paths, on_error=note)


def _size(store: Any, oid: str) -> int | None:
    with suppress(FileNotFoundError):
        return int(store.fs.info(store.oid_to_path(oid))["size"])
    return None


def _blame(remote: Any, name: str, stage: str, oid: str, error: BaseException | None) -> str:
    place = _place(remote, remote.oid_to_path(oid))
    build = "or to build it here: RESIDENCY_PULL=no"
    if error is None:
        return (
            f"{stage}: {place} is not what was pushed; where it was built, residency push {stage} "
            f"sends it anew; {build}"
        )
    return f"{stage}: {name} broke off: {_said(error)}, at {place}; try again, {build}"


def _place(remote: Any, path: str) -> str:
    return str(remote.fs.unstrip_protocol(path))


def _said(error: BaseException) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]


def _tell(line: str) -> None:
    print(line, file=sys.stderr)
