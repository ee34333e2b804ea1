"""diff: what changed from another revision to the files that are here.

    git and DVC at REV ──┬─ params.yaml     every value that differs
                         ├─ dvc.lock        every artifact whose content differs
                         ├─ counts.json     of each of those: what was kept and dropped
                         └─ report, predictions   scores, the same questions in pairs

Scores and gates are those of build/report's metrics, which `dvc metrics diff REV` shows too. What
DVC does not hold here at REV is said to be missing, with the command that fetches it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import orjson

from residency.results import Difference, Sitting, compared, score
from residency.section import Complaint, placed

PLACE = "<!-- residency diff puts its section here -->"
"""Where report.html takes another section."""

REPORT = "build/report"
METRICS = ("metrics", "gate")


class Change(NamedTuple):
    """One value at a dotted place; None where a side does not have it."""

    place: str
    old: Any
    new: Any

    @property
    def told(self) -> str:
        """Both sides, and the way between numbers."""
        told = f"{_short(self.old)} → {_short(self.new)}"
        if all(isinstance(each, float) for each in (self.old, self.new)):
            told += f" ({self.new - self.old:+.4g})"
        return told


@dataclass(kw_only=True)
class Changes:
    """Everything that differs between a revision and the files here."""

    revision: str
    parameters: list[Change] = field(default_factory=list)
    artifacts: list[Change] = field(default_factory=list)  # by stage; the hash of what it wrote
    counts: list[Change] = field(default_factory=list)
    scores: list[Change] = field(default_factory=list)
    pairs: list[tuple[str, Difference]] = field(default_factory=list)  # now against then
    missing: list[str] = field(default_factory=list)  # why something is not compared


class Side:
    """The files of a revision, or of the folder here; None stands for what is not there."""

    def __init__(self, revision: str | None, missing: list[str]):
        self.revision, self.missing = revision, missing
        self.files: Any = None
        if revision is not None:
            from dvc.api import DVCFileSystem

            self.files = DVCFileSystem(rev=revision)

    def read(self, path: str) -> bytes | None:
        """A file's content; what DVC has recorded and does not hold here is told as missing."""
        if self.files is None:
            return Path(path).read_bytes() if Path(path).is_file() else None
        try:
            content: bytes = self.files.cat_file(f"/{path}")
        except FileNotFoundError:
            if self.files.exists(f"/{path}"):
                self._untold(path)
            return None
        except Exception as error:  # of any storage, in whatever words
            self._untold(path, f" ({error})")
            return None
        return content

    def json(self, path: str) -> Any:
        """A JSON file's value."""
        return self._parsed(path, orjson.loads)

    def yaml(self, path: str) -> Any:
        """A YAML file's value."""
        from ruamel.yaml import YAML

        return self._parsed(path, lambda told: YAML(typ="safe", pure=True).load(told.decode()))

    def _parsed(self, path: str, parse: Callable[[bytes], Any]) -> Any:
        """A file's mapping; Raises Complaint where it holds anything else."""
        from ruamel.yaml.error import YAMLError

        content = self.read(path)
        if content is None:
            return None
        try:
            found = parse(content)
        except (ValueError, YAMLError) as error:
            why = " ".join(str(error).split())
        else:
            if isinstance(found, Mapping):
                return found
            why = f"expected a mapping, found {type(found).__name__}"
        place = path if self.revision is None else f"{path} of {self.revision}"
        cure = "mend it" if self.revision is None else "compare with another revision"
        raise Complaint(f"{place} cannot be read ({why}); {cure}")

    def _untold(self, path: str, why: str = "") -> None:
        fetch = f"dvc fetch --all-commits, or dvc repro at {self.revision}"
        self.missing.append(f"{path} of {self.revision} is not in DVC's cache here{why}; {fetch}")


def changes(revision: str) -> Changes:
    """Compare the folder here with one of its revisions.

    Raises Complaint where this is no git repository with DVC in it, or has no such revision.
    """
    found = Changes(revision=revision)
    now, then = Side(None, found.missing), _at(revision, found.missing)
    found.parameters = list(differing(then.yaml("params.yaml"), now.yaml("params.yaml")))
    locks = [_outs(side.yaml("dvc.lock")) for side in (then, now)]
    names = [*locks[1], *(name for name in locks[0] if name not in locks[1])]
    both = ((name, locks[0].get(name), locks[1].get(name)) for name in names)
    found.artifacts = [Change(*each) for each in both if each[1] != each[2]]
    for stage in (each.place for each in found.artifacts):
        for path in dict.fromkeys(path for lock in locks for path in lock.get(stage, {})):
            if path.split("/")[1:2] not in (["models"], ["evaluations"], ["report"]):
                place = f"{path}/counts.json"
                told = differing(then.json(place), now.json(place), path.removeprefix("build/"))
                found.counts += told
    for name in METRICS:
        old, new = (side.json(f"{REPORT}/{name}.json") for side in (then, now))
        if old is not None and new is not None:
            found.scores += differing(old, new, "" if name == "metrics" else name)
        elif name == "metrics":
            which = revision if old is None else "the folder here"
            found.missing.append(f"{which} has no scores: {REPORT}/metrics.json is not there")
    found.pairs = _pairs(then, now, found)
    return found


def _at(revision: str, missing: list[str]) -> Side:
    from dvc.exceptions import DvcException, NotDvcRepoError
    from dvc.scm import RevError, SCMError

    try:
        side = Side(revision, missing)
        with suppress(FileNotFoundError):
            side.files.info("/params.yaml")  # it is opened when it is first asked
        return side
    except NotDvcRepoError:
        raise Complaint("this folder is not a DVC repository; run this in a project") from None
    except RevError:
        raise Complaint(
            f"git knows no revision {revision!r}; expected a commit, a branch, a tag or an "
            "experiment's name (git log --oneline; dvc exp list)"
        ) from None
    except (DvcException, SCMError) as error:
        raise Complaint(f"{revision!r} cannot be read: {error}") from None


def differing(old: Any, new: Any, place: str = "") -> Iterator[Change]:
    """Every leaf that differs between two nested mappings, in the order of the new one."""
    if isinstance(old, Mapping) or isinstance(new, Mapping):
        left, right = (each if isinstance(each, Mapping) else {} for each in (old, new))
        for key in [*right, *(key for key in left if key not in right)]:
            yield from differing(left.get(key), right.get(key), f"{place}.{key}" if place else key)
    elif old != new:
        yield Change(place, old, new)


def _outs(lock: Any) -> dict[str, dict[str, str]]:
    """What dvc.lock says each stage wrote: {stage: {path: hash}}."""
    stages = (lock or {}).get("stages", {})
    return {
        name: {out["path"]: out.get("md5", "") for out in stage.get("outs", [])}
        for name, stage in stages.items()
    }


def _pairs(then: Side, now: Side, found: Changes) -> list[tuple[str, Difference]]:
    """Each model that sat an evaluation in both, now against then, on the same questions."""
    from residency.declaration import load

    report = load(Path("params.yaml")).report
    scores = [side.json(f"{REPORT}/metrics.json") or {} for side in (then, now)]
    sittings: dict[str, list[Sitting]] = {}
    for name in scores[1]:
        before = scores[0].get(name)
        models = [
            each for each in scores[1][name] if isinstance(before, Mapping) and each in before
        ]
        for model in models:
            path = f"build/evaluations/{name}/{placed(model)}/predictions.jsonl"
            contents = [side.read(path) for side in (then, now)]
            if None in contents or contents[0] == contents[1]:
                continue
            try:
                rows = [_rows(content or b"") for content in contents]
            except (KeyError, TypeError, ValueError):
                found.missing.append(
                    f"{name}, {model}: {path} of {found.revision} or here has another layout; "
                    "not paired"
                )
                continue
            if rows[0].keys() != rows[1].keys():
                found.missing.append(f"{name}, {model}: other questions were asked; not paired")
                continue
            sittings[f"{name}: {model}"] = [
                Sitting(
                    model=called,
                    rows=each,
                    scores={},
                    score=score(each.values(), report.confidence),
                )
                for called, each in zip((found.revision, "here"), rows, strict=True)
            ]
    return [(name, each) for name, some in compared(sittings, report).items() for each in some]


def _rows(content: bytes) -> dict[str, dict[str, Any]]:
    """The rows of a predictions.jsonl by id, with what pairs are made of.

    Raises KeyError, TypeError or ValueError where they have another layout.
    """
    rows = {row["id"]: row for row in map(orjson.loads, content.splitlines())}
    return {id: {"correct": row["correct"], "group": row["group"]} for id, row in rows.items()}


def told(found: Changes) -> str:
    """The changes as text for a terminal."""
    lines = []
    sections = {
        "Parameters": [f"{each.place}: {each.told}" for each in found.parameters],
        "Artifacts": [f"{each.place}: {_came(each)}" for each in _made(found.artifacts)],
        "Counts": [f"{each.place}: {each.told}" for each in found.counts],
        "Scores": [f"{each.place}: {each.told}" for each in found.scores],
        "On the same questions, here against " + found.revision: [
            f"{name}: {each.points:+.1f} points ({each.low:+.1f} to {each.high:+.1f}), "
            f"p {each.corrected:.4f} after Holm: {'beyond' if each.shown else 'may be'} chance"
            for name, each in found.pairs
        ],
        "Not compared": list(dict.fromkeys(found.missing)),
    }
    for title, entries in sections.items():
        if entries:
            lines += [title, *(f"  {entry}" for entry in entries), ""]
    return "\n".join(lines) or f"Nothing differs from {found.revision}.\n"


def _made(artifacts: list[Change]) -> list[Change]:
    """The artifacts that differ, but for the report, which always does."""
    return [each for each in artifacts if each.place != "report"]


def _came(change: Change) -> str:
    return "new" if change.old is None else "gone" if change.new is None else "other content"


def section(found: Changes) -> str:
    """The changes as a section of report.html, every text escaped."""
    from residency.report import templates

    kinds = {
        "Scores": found.scores,
        "Parameters": found.parameters,
        "Counts": found.counts,
    }
    tables = {kind: [(each.place, each.told) for each in some] for kind, some in kinds.items()}
    tables["Artifacts"] = [(each.place, _came(each)) for each in _made(found.artifacts)]
    return templates().get_template("diff.html.jinja").render(found=found, tables=tables)


def _short(value: Any) -> str:
    if value is None:
        return "–"
    text = f"{value:.6g}" if isinstance(value, float) else str(value)
    return text if len(text) <= 60 else f"{text[:59]}…"


def page(found: Changes) -> str:
    """The report with the changes as a section of it. Raises Complaint where it is not built."""
    path = Path(REPORT, "report.html")
    if not path.is_file():
        raise Complaint(f"{path} is not there; build it first: snakemake --cores all eval")
    return path.read_text(encoding="utf-8").replace(PLACE, section(found), 1)
