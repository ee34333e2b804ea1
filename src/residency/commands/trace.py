"""Tell everything that something came from, down to raw files, pages and sha256.

    residency trace finals/resident       a number in the report: an evaluation and a model
    residency trace finals.resident.low   one of its numbers, as `dvc metrics show` names it
    residency trace resident              a model, or anything else that is declared
    residency trace LD-145                a question of an exam or a question set, by its id
    residency trace 'data/raw/book.md#2'  a document of a corpus, by its id
    residency trace build/packs/resident  an artifact, or the name of the stage that makes it

What was made from what is read from dvc.lock and from the artifacts, as they were built. --verify
computes all hashes anew, of raw files and artifacts, and fails where one differs.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from residency.commands.project import Record
    from residency.declaration import Declaration
    from residency.graph import Stage

MOST_SHOWN = 20
"""Raw files told of one source, unless --all."""

SPLITS = ("train", "dev", "test")
QUOTED = 400  # characters of a text that are shown
KNOWN = 20_000  # ids among which a mistyped one is looked for


@dataclass(frozen=True, kw_only=True)
class Subject:
    """What is traced: what is said of it, the artifact it is in, and its own raw files if known."""

    told: list[str]
    stage: str
    files: dict[str, str] = field(default_factory=dict)  # sha256 by raw file
    wrong: list[str] = field(default_factory=list)  # what contradicts it, for --verify


def arguments(parser: argparse.ArgumentParser) -> None:
    """What to trace."""
    parser.add_argument("x", metavar="X", help="a number, question, model, document or artifact")
    parser.add_argument(
        "--verify", action="store_true", help="compute hashes anew; 1 if one differs"
    )
    parser.add_argument("--all", action="store_true", help="tell every raw file of large sources")


def run(arguments: argparse.Namespace) -> int:
    """Print where it came from; the status is 1 where --verify finds a hash that differs."""
    from residency import graph
    from residency.commands.project import declared, recorded

    declaration = declared()
    stages = {stage.name: stage for stage in graph.stages(declaration)}
    records = recorded()
    found = subjects(arguments.x, declaration, stages)
    lineage: dict[str, Stage] = {}
    for subject in found:
        print("\n".join(subject.told))
        lineage |= ancestors(stages[subject.stage], stages)
    print("\nmade by, the last step first")
    for stage in lineage.values():
        _tell(stage, records.get(stage.name), records, stages)
    own = {file: digest for subject in found for file, digest in subject.files.items()}
    print("\nraw")
    raw = {**_raw(lineage.values()), **own}
    narrow = bool(own) and all(subject.files for subject in found)
    _tell_raw(own if narrow else raw, {} if narrow else _pages(lineage.values()), arguments.all)
    _tell_weights(declaration, lineage.values())
    if not arguments.verify:
        return 0
    wrong = [line for subject in found for line in subject.wrong]
    return verified(declaration, lineage, records, raw, wrong)


def ancestors(stage: Stage, stages: dict[str, Stage]) -> dict[str, Stage]:
    """A stage and all that it was made from, each before those it reads."""
    from residency.graph import needed

    wanted = {stage.name}
    for each in reversed(stages.values()):
        if each.name in wanted:
            wanted.update(one.name for one in needed(each, stages.values()))
    return {name: stages[name] for name in reversed(stages) if name in wanted}


def subjects(x: str, declaration: Declaration, stages: dict[str, Stage]) -> list[Subject]:
    """What X means here; a document may be in several corpora.

    Raises Complaint where it means nothing, with the nearest thing that means something.
    """
    from residency.section import Complaint, nearest

    if named := _number(x, declaration) or _thing(x, stages):
        return [named]
    found, dropped = [*_questions(x, declaration), *_documents(x, declaration)], _dropped(x, stages)
    if found:
        found[-1].told.extend(f"  {each.told[0]}" for each in dropped)
        return found
    if ledgers := list(dropped):
        return ledgers
    sat = [
        f"{name}/{model}" for name, each in declaration.evaluations.items() for model in each.models
    ]
    ids = [each for _, each in zip(range(KNOWN), _ids(declaration), strict=False)]
    raise Complaint(
        f"{x!r} is no number of an evaluation, no question, document, model or artifact that is "
        f"built here; {nearest(x, [*sat, *_names(stages), *ids])}"
    )


def _names(stages: dict[str, Stage]) -> list[str]:
    """Names of declared things that `_thing` knows."""
    return sorted({stage.out.name for stage in stages.values() if stage.step != "evaluate"})


def _number(x: str, declaration: Declaration) -> Subject | None:
    """finals/resident, finals.resident or finals.resident.accuracy."""
    from residency.files import read_json, read_rows
    from residency.section import Complaint, nearest, placed

    name, _, rest = x.partition("/") if "/" in x else x.partition(".")
    if name not in declaration.evaluations or not rest:
        return None
    candidate, _, key = rest.replace("/", ".").partition(".")
    sat = declaration.evaluations[name].models
    if candidate not in sat:
        raise Complaint(f"{x}: {candidate!r} does not sit {name}; {nearest(candidate, sat)}")
    stage = f"evaluate-{name}-{placed(candidate)}"
    folder = Path("build/evaluations") / name / placed(candidate)
    _built(folder, stage)
    scores = read_json(folder / "scores.json")
    reported = _reported(name, candidate)
    if key and key not in reported and key not in scores:
        raise Complaint(f"{x}: no number {key!r}; {nearest(key, [*reported, *scores])}")
    exam = declaration.evaluations[name]
    told = [f"{name}/{candidate}: {candidate} on exams.{exam.exam}, its {exam.split} split"]
    told += [f"  {each}: {value}" for each, value in reported.items()]
    if key and key not in reported:
        told.append(f"  {key}: {scores[key]}")
    verdicts = [row.get("correct") for row in read_rows(folder / "predictions.jsonl")]
    wrong = []
    if verdicts and all(isinstance(each, bool) for each in verdicts):
        share = sum(map(bool, verdicts)) / len(verdicts)
        told.append(f"  its rows: {verdicts.count(True)} of {len(verdicts)} questions right")
        said = {f"{folder}/scores.json": scores, "build/report/metrics.json": reported}
        wrong = [
            f"{place}: says an accuracy of {numbers['accuracy']}, the rows {share:.6f}"
            for place, numbers in said.items()
            if abs(numbers.get("accuracy", share) - share) > 1e-6
        ]
    return Subject(told=told, stage=stage, wrong=wrong)


def _reported(evaluation: str, candidate: str) -> dict[str, Any]:
    """The report's own numbers, where there is one."""
    from residency.files import read_json

    path = Path("build/report/metrics.json")
    found: dict[str, Any] = read_json(path) if path.is_file() else {}
    numbers: dict[str, Any] = found.get(evaluation, {}).get(candidate, {})
    return numbers


def _built(folder: Path, stage: str) -> None:
    """Raise Complaint for an artifact that is not there."""
    from residency.section import Complaint

    if not folder.is_dir():
        raise Complaint(
            f"{folder} is not built, so there is nothing to trace; "
            f"to build it: snakemake --cores all {folder} (or dvc repro {stage})"
        )


def _thing(x: str, stages: dict[str, Stage]) -> Subject | None:
    """A stage, an artifact's folder or a file in it, a place in params.yaml, or a bare name."""
    from residency.graph import owner
    from residency.section import Complaint

    model, _, share = x.partition("@")
    if share:
        x = model
    path = Path(x.rstrip("/"))
    found = [stages[x]] if x in stages else []
    found = found or [each for each in [owner(path, stages.values())] if each]
    found = found or [each for each in stages.values() if _placed(each.section, x)]
    if not found:
        found = [each for each in stages.values() if each.out.name == x and each.step != "evaluate"]
        made = [each for each in found if each.step in ("train", "adopt")]
        found = made or found  # a model is meant rather than its pack
    if len(found) > 1:
        raise Complaint(f"{x!r} is several things; say which: {', '.join(e.name for e in found)}")
    if not found:
        return None
    (stage,) = found
    _built(stage.out, stage.name)
    return Subject(told=[f"{stage.out}: {stage.section}"], stage=stage.name)


def _placed(section: str, x: str) -> bool:
    """Whether models.resident means the stage of models.resident.train, rather than of its pack."""
    return section in (x, f"{x}.train", f"{x}.weights", f"{x}.endpoint")


def _ids(declaration: Declaration) -> Iterator[str]:
    """Ids of questions and documents, for the hint of a message."""
    from residency.files import read_rows

    for path in [*_question_files(declaration), *_document_files(declaration)]:
        yield from (row["id"] for row in read_rows(path))


def _question_files(declaration: Declaration) -> dict[Path, str]:
    """The files that hold questions, with the stage that wrote each."""
    files = {
        Path("build/exams") / name / f"{split}.jsonl": f"examine-{name}"
        for name in declaration.exams
        for split in SPLITS
    }
    for name in declaration.questions:
        files[Path("build/questions") / name / "questions.jsonl"] = f"write-{name}"
    return {path: stage for path, stage in files.items() if path.is_file()}


def _document_files(declaration: Declaration) -> dict[Path, str]:
    folders = {
        **{Path("build/corpora") / name: f"clean-{name}" for name in declaration.corpora},
        **{Path("build/documents") / name: f"ingest-{name}" for name in declaration.sources},
    }
    files = {folder / "documents.jsonl": stage for folder, stage in folders.items()}
    return {path: stage for path, stage in files.items() if path.is_file()}


def _row(path: Path, id: str) -> dict[str, Any] | None:
    """The row of that id, read without parsing the others."""
    import orjson

    wanted = b'"id":' + orjson.dumps(id)
    with path.open("rb") as file:
        for line in file:
            if wanted in line and orjson.loads(line).get("id") == id:
                row: dict[str, Any] = orjson.loads(line)
                return row
    return None


def _questions(x: str, declaration: Declaration) -> Iterator[Subject]:
    for path, stage in _question_files(declaration).items():
        row = _row(path, x)
        if row is None:
            continue
        origin = row["origin"]
        told = [f"question {x} of {path}", f"  {_quoted(row['stem'])}"]
        told += [
            f"  {chr(ord('A') + i)}. {_quoted(each)}{' (right)' if i in row['answers'] else ''}"
            for i, each in enumerate(row["options"])
        ]
        if "document" in origin:
            corpus = declaration.questions[path.parent.name].corpus
            told += _passage(origin, Path("build/corpora") / corpus / "documents.jsonl")
        else:
            told.append(
                f"  from {_quoted(origin['file'])}, row {_quoted(origin.get('row'))}, "
                f"sha256 {origin['sha256']}"
            )
            told += _answers(x, path, declaration)
        yield Subject(told=told, stage=stage, files={origin["file"]: origin["sha256"]})


def _passage(origin: dict[str, Any], documents: Path) -> Iterator[str]:
    """Where a written question's evidence stands."""
    yield f"  from document {origin['document']} of {documents.parent}"
    document = _row(documents, origin["document"]) if documents.is_file() else None
    if document is None:
        yield "  which the corpus that is there does not hold: it was cleaned anew since"
        return
    yield from _where(document)
    if "start" in origin and "end" in origin:
        text = document["text"][origin["start"] : origin["end"]]
        yield f"  its characters {origin['start']} to {origin['end']}: {_quoted(text)}"


def _where(document: dict[str, Any]) -> Iterator[str]:
    """A document's raw file, and its place in it."""
    pages = document.get("pages")
    place = f", pages {pages[0]} to {pages[1]}" if pages else ""
    place += f", characters {document['start']} to {document['end']}"
    yield f"  from {_quoted(document['file'])}{place}"
    yield f"  sha256 {document['sha256']}, {document['language']}, {document['licence']}"
    if document["section"]:
        yield f"  section {' > '.join(map(_quoted, document['section']))}"


def _answers(id: str, split: Path, declaration: Declaration) -> Iterator[str]:
    """What each model answered to an exam's question."""
    from residency import times
    from residency.section import placed

    for name, each in declaration.evaluations.items():
        if (each.exam, each.split) != (split.parent.name, split.stem):
            continue
        for candidate in each.models:
            path = Path("build/evaluations") / name / placed(candidate) / "predictions.jsonl"
            row = _row(path, id) if path.is_file() else None
            if row is not None and "correct" in row:
                took = times.took(path.parent)
                seconds = took.questions.get(id, (None, 0))[0] if took else None
                how_long = "" if seconds is None else f" in {seconds:.3g} s here"
                right = "right" if row["correct"] else "wrong"
                yield f"  {name}/{candidate} answered {right}{how_long}"


def _documents(x: str, declaration: Declaration) -> list[Subject]:
    """The document in every corpus that holds it; where none does, in its source."""
    found: list[Subject] = []
    for path, stage in _document_files(declaration).items():
        if stage.startswith("ingest-") and found:
            continue
        row = _row(path, x)
        if row is not None:
            told = [f"document {x} of {path.parent}", *_where(row), f"  {_quoted(row['text'])}"]
            found.append(Subject(told=told, stage=stage, files={row["file"]: row["sha256"]}))
    return found


def _dropped(x: str, stages: dict[str, Stage]) -> Iterator[Subject]:
    """What was dropped under that id, and why."""
    for stage in stages.values():
        path = stage.out / "rejected.jsonl"
        row = _row(path, x) if path.is_file() else None
        if row is not None:
            told = [
                f"{x} was dropped by {stage.name}: {row['reason']}",
                f"  {_quoted(row['detail'])}",
            ]
            yield Subject(told=told, stage=stage.name)


def _quoted(text: object) -> str:
    """Text from outside on one line, without what a terminal would obey."""
    words = " ".join("".join(c if c.isprintable() else " " for c in str(text)).split())
    return words if len(words) <= QUOTED else f"{words[: QUOTED - 3]}..."


def _tell(
    stage: Stage, was: Record | None, records: dict[str, Record], stages: dict[str, Stage]
) -> None:
    """One step of the lineage: its artifact, inputs and settings, as dvc.lock has them."""
    import json

    from residency.commands.project import at, differences, values
    from residency.graph import CODE_PLACE, owner

    if was is None:
        print(f"  {stage.name}: {stage.out} is not recorded in dvc.lock")
        return
    print(f"  {stage.name}: {was.out}, md5 {was.made.md5}, {was.made.bytes:,} bytes")
    code = [path for path in was.inputs if path.startswith(f"{CODE_PLACE.as_posix()}/")]
    for path, content in was.inputs.items():
        if path not in code:
            print(f"    from {path}, md5 {content.md5}")
            maker = owner(path, stages.values())
            made = records.get(maker.name) if maker else None
            if made and made.out == path and made.made.md5 != content.md5:
                print("      as it was before: it was built anew since")
    print(f"    by {len(code)} files of code")
    if stage.whole_declaration:
        return
    now = values()
    for place, value in was.values.items():
        print(f"    {place}: {json.dumps(value, ensure_ascii=False)}")
        for where, old, new in differences(place, value, at(now, place)):
            print(f"      params.yaml differs since: {where}: {old} -> {new}")


def _raw(lineage: Iterable[Stage]) -> dict[str, str]:
    """sha256 of every raw file that these stages read, as they recorded it."""
    from residency.files import read_rows

    found: dict[str, str] = {}
    for stage in lineage:
        ledger = stage.out / "files.jsonl"
        if stage.step == "ingest" and ledger.is_file():
            found |= {row["file"]: row["sha256"] for row in read_rows(ledger) if row["sha256"]}
        elif stage.step == "examine":
            for path in (stage.out / f"{split}.jsonl" for split in SPLITS):
                origins = (row["origin"] for row in read_rows(path)) if path.is_file() else ()
                found |= {each["file"]: each["sha256"] for each in origins}
    return found


def _pages(lineage: Iterable[Stage]) -> dict[str, tuple[int, int]]:
    """The first and last page that gave text, of raw files that have pages."""
    from residency.files import read_rows

    found: dict[str, tuple[int, int]] = {}
    for stage in lineage:
        path = stage.out / "documents.jsonl"
        if stage.step == "ingest" and path.is_file():
            for row in read_rows(path):
                if row["pages"]:
                    first, last = found.get(row["file"], row["pages"])
                    found[row["file"]] = min(first, row["pages"][0]), max(last, row["pages"][1])
    return found


def _tell_raw(raw: dict[str, str], pages: dict[str, tuple[int, int]], everything: bool) -> None:
    by_folder: dict[str, list[str]] = {}
    for file in raw:
        by_folder.setdefault(str(Path(file).parent), []).append(file)
    for files in by_folder.values():
        shown = files if everything else files[:MOST_SHOWN]
        for file in shown:
            read = "  pages {} to {}".format(*pages[file]) if file in pages else ""
            print(f"  {_quoted(file)}  sha256 {raw[file]}{read}")
        if len(files) > len(shown):
            print(f"  ... and {len(files) - len(shown)} more beside it (--all tells them)")


def _tell_weights(declaration: Declaration, lineage: Iterable[Stage]) -> None:
    """What the adopted models among these were."""
    for stage in lineage:
        if stage.step == "adopt":
            said = declaration.at(stage.section)
            print(f"  {stage.section}: " + ", ".join(f"{key} {each}" for key, each in said.items()))


def verified(
    declaration: Declaration,
    lineage: dict[str, Stage],
    records: dict[str, Record],
    raw: dict[str, str],
    wrong: list[str],
) -> int:
    """Compute every hash of a lineage anew and print what differs; 1 if anything does."""
    from residency.commands.hashes import md5s
    from residency.files import sha256

    wrong, count = list(wrong), 0
    for name in lineage:
        if name not in records:
            wrong.append(f"{name}: nothing is recorded in dvc.lock to hold it against")
    told: dict[str, set[str]] = {}
    for name in lineage.keys() & records.keys():
        was = records[name]
        for path, content in [*was.inputs.items(), (was.out, was.made)]:
            told.setdefault(path, set()).add(content.md5)
    for path, found in md5s(sorted(told)).items():
        count += 1
        for md5 in sorted(told[path] - {found}):
            is_now = f"it is {found}" if found else "it is not there"
            wrong.append(f"{path}: dvc.lock says md5 {md5}, {is_now}")
    for file, digest in raw.items():
        place = _on_disk(file, declaration)
        if place is None:
            continue  # in an archive, whose own digest is in the list
        count += 1
        there = sha256(place) if place.is_file() else None
        if there != digest:
            is_now = f"it is {there}" if there else "it is not there"
            wrong.append(f"{file}: was read with sha256 {digest}, {is_now}")
    weights, broken = _weights(declaration, lineage.values())
    count += weights
    wrong += broken
    said = f"{len(wrong)} things differ" if wrong else "all as recorded"
    print(f"\nverified {count} hashes: {said}")
    for line in wrong:
        print(f"  DIFFERS {line}")
    return 1 if wrong else 0


def _on_disk(file: str, declaration: Declaration) -> Path | None:
    """Where a raw file lies; None for a member of an archive."""
    from residency.fetch import RAW

    if "!/" in file:
        return None
    for source in declaration.sources.values():
        if source.path == file and source.sha256:
            return RAW / source.sha256
    return Path(file)


def _weights(declaration: Declaration, lineage: Iterable[Stage]) -> tuple[int, list[str]]:
    """How many files of packages were hashed, and what is wrong with them."""
    from residency.adopt import PackageWeights, in_package
    from residency.declaration import Adopted
    from residency.section import Complaint

    count, wrong = 0, []
    for stage in lineage:
        model = declaration.models.get(stage.out.name) if stage.step == "adopt" else None
        if isinstance(model, Adopted) and isinstance(model.weights, PackageWeights):
            count += 1
            try:
                in_package(model.weights)
            except Complaint as complaint:
                wrong.append(str(complaint))
    return count, wrong
