"""The declaration: params.yaml, checked as a whole before any work is done.

    sources ── corpora ─┬─ tokenizers ─┬─ fertility ───────────┐
    exams ──────┬───────┴─ questions ──┴─ models ── evaluations ┴─ report

Everything is a named thing; names refer to names. Each step's module defines its own section; this
one composes them, resolves the names, and words every mistake: where, what was found, what was
expected. `python -m residency.declaration` writes params.schema.json and docs/declaration.md.
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, Tag, ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.constructor import DuplicateKeyError
from ruamel.yaml.error import MarkedYAMLError, YAMLError

from residency import author
from residency.adopt import LocalWeights, Weights
from residency.author import ModelWriter
from residency.clean import Corpus
from residency.decontaminate import Decontaminate
from residency.evaluate import EITHER, PROTOCOLS, WRITTEN, Protocol
from residency.examine import Exam, kinds
from residency.extend import Tokenizer
from residency.fertility import Fertility
from residency.fetch import is_url
from residency.files import write_file
from residency.ingest import Source
from residency.pack import Pack
from residency.report import Report
from residency.section import (
    CANDIDATE,
    NAME,
    PERCENT,
    Candidate,
    Complaint,
    Name,
    Section,
    nearest,
    told_by,
)
from residency.served import CURRENCY, VARIABLE, Endpoint
from residency.splits import may_hold
from residency.train import Train
from residency.write import Questions


class Adopted(Section):
    """A model that others published."""

    weights: Weights = Field(description="Where its weights come from.")


class Served(Section):
    """A model that others run: it writes, judges and answers; nothing is made of it."""

    endpoint: Endpoint = Field(description="Where and how it is asked.")


class Trained(Section):
    """A model made from its parent by one training step."""

    parent: Name = Field(alias="from", description="The model it starts from.")
    tokenizer: Name | None = Field(description="Grown tokenizer it takes; null keeps the parent's.")
    pack: Pack = Field(description="What it learns from.")
    train: Train = Field(description="How it is trained.")


Model = Annotated[
    Annotated[Adopted, Tag("<weights>")]
    | Annotated[Trained, Tag("<from>")]
    | Annotated[Served, Tag("<endpoint>")],
    told_by("weights", "from", "endpoint"),
]


class Evaluation(Section):
    """Models sit one split of an exam under one protocol."""

    exam: Name = Field(description="The exam.")
    split: Literal["train", "dev", "test"] = Field(description="Which of its splits.")
    models: list[Candidate] = Field(
        min_length=1,
        description="The candidates, each a model or what one was on its way, such as "
        "resident@50%; the report compares each with the first and the one before.",
    )
    protocol: Protocol = Field(description="How a model is asked, and its answer read.")


class Declaration(Section):
    """The whole of params.yaml."""

    sources: dict[Name, Source] = Field(description="Raw text, to build/documents/<name>.")
    exams: dict[Name, Exam] = Field(description="Raw exam dumps, to build/exams/<name>.")
    corpora: dict[Name, Corpus] = Field(description="Cleaned text, to build/corpora/<name>.")
    tokenizers: dict[Name, Tokenizer] = Field(
        description="Grown tokenizers, to build/tokenizers/<name>."
    )
    fertility: dict[Name, Fertility] = Field(
        description="What texts cost in a grown tokenizer, to build/fertility/<name>."
    )
    questions: dict[Name, Questions] = Field(
        description="Synthetic exam questions, to build/questions/<name>."
    )
    models: dict[Name, Model] = Field(
        min_length=1, description="Adopted, trained and served models, to build/models/<name>."
    )
    evaluations: dict[Name, Evaluation] = Field(
        description="Models x exam x protocol, to build/evaluations/<name>/<model>."
    )
    report: Report = Field(description="The page on everything, to build/report.")

    def at(self, place: str) -> Any:
        """The plain values at a dotted place such as corpora.textbooks."""
        values = self.canonical()
        for key in place.split("."):
            if not isinstance(values, dict) or key not in values:
                raise Complaint(f"params.yaml has no {place}; {nearest(key, values)}")
            values = values[key]
        return values


def load(path: Path, *, raw: bool = True) -> Declaration:
    """Read and check a declaration; `raw`: whether its raw files must be there.

    Raises Complaint for anything that would keep it from being built: YAML that does not parse, an
    unknown key, a wrong type or range, a name or path that does not exist, a cycle, or two things
    that would write one place.
    """
    values = _read(path)
    try:
        declaration = Declaration.model_validate(values)
    except ValidationError as error:
        _complain(path, [_worded(each) for each in error.errors()])
    absent = _raw_problems(declaration, path.parent) if raw else ()
    _complain(path, [*absent, *_problems(declaration, path.parent)])
    return declaration


def check_raw(declaration: Declaration, path: Path) -> None:
    """Raise Complaint where a raw file is not there, or lies where a step would write over it."""
    _complain(path, _raw_problems(declaration, path.parent))


def _complain(path: Path, problems: Iterable[str]) -> None:
    problems = list(dict.fromkeys(problems))
    if problems:
        raise Complaint("\n  ".join([f"{path.name} cannot be built:", *problems]))


def _read(path: Path) -> Any:
    try:
        return YAML(typ="safe", pure=True).load(path.read_text(encoding="utf-8"))
    except DuplicateKeyError as error:
        what = str(error.problem).partition(" with value")[0]
        line = error.problem_mark.line + 1
        raise Complaint(
            f"{path.name}:{line}: {what}: two things would write one place; rename one"
        ) from None
    except MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise Complaint(f"{path.name}:{line}: not YAML: {error.problem}") from None
    except YAMLError as error:
        raise Complaint(f"{path.name}: not YAML: {error}") from None
    except (OSError, UnicodeDecodeError) as error:
        raise Complaint(f"{path}: cannot be read: {error}") from None


SHAPES = {
    NAME: "expected a name of lower-case letters, digits and _",
    PERCENT: "expected a share from '1%' to '99%' in whole percent",
    VARIABLE: "expected the name of an environment variable; the key itself stands in no file",
    CURRENCY: "expected three letters, such as USD",
    CANDIDATE: "expected a model, such as resident, or a share of its training: resident@50%",
    "dict_type": "expected keys with values",
    "model_type": "expected keys with values",
    "list_type": "expected a list, such as [a, b]",
    "too_short": "expected at least one",
}
"""What pydantic would tell as a regular expression, or in Python's words."""


def _worded(error: Any) -> str:
    """One pydantic error as: place, what is wrong, what was found."""
    place = [
        str(part)
        for part in error["loc"]
        if part != "[key]" and not (isinstance(part, str) and part.startswith("<"))
    ]
    where = ".".join(place) or "the declaration"
    if error["type"] == "missing":
        return f"{where}: missing; every key is written out, nothing has a hidden default"
    if error["type"] == "string_pattern_mismatch" and "[key]" in error["loc"]:
        return f"{where}: a name is made of lower-case letters, digits and _"
    pattern = error.get("ctx", {}).get("pattern")
    message = SHAPES.get(pattern) or SHAPES.get(error["type"]) or error["msg"]
    message = message.removeprefix("Value error, ")
    message = message[0].lower() + message[1:]
    secret = pattern == VARIABLE or error["loc"][-1:] == ("url",)  # what may be a key is not shown
    found = "" if secret or isinstance(error["input"], dict) else f", found {error['input']!r}"
    return f"{where}: {message}{found}"


def _raw_problems(declaration: Declaration, root: Path) -> Iterator[str]:
    """Raw files that are not there, or that a step would write over."""
    for place, path in raw_paths(declaration):
        inside = (root / path).resolve()
        if inside.is_relative_to((root / "build").resolve()):
            yield f"{place}: {path!r} lies in build/, which the steps write; keep raw files outside"
        elif not inside.exists():
            page = homepage(declaration, place)
            had = f"; see {page}" if page else ""
            yield f"{place}: there is no {path!r} (looked in {root.resolve()}){had}"


def _problems(declaration: Declaration, root: Path) -> Iterator[str]:
    """Everything that a section cannot see by itself."""
    for place, kind, name, known in _references(declaration):
        if name not in known:
            yield f"{place}: there is no {name!r} in {kind}; {nearest(name, known)}"
    for place, names in _lists(declaration):
        for name, times in Counter(names).items():
            if times > 1:
                yield f"{place}: {name!r} stands {times} times, and would be written twice"
    for name in sorted(declaration.exams.keys() & declaration.questions.keys()):
        yield f"questions.{name}: exams has a {name!r} too; models.*.pack.data must tell them apart"
    for name, model in declaration.models.items():
        if isinstance(model, Trained):
            yield from _objective(f"models.{name}.pack", model.pack)
            yield from _unmeasured(f"models.{name}", model)
    yield from _prompts(declaration, root)
    yield from _unpriced(declaration)
    yield from _unkept(declaration)
    yield from _weightless(declaration)
    yield from _unwritten(declaration)
    yield from _empty_splits(declaration)
    yield from _unasked(declaration)
    yield from _cycles(declaration)


def _prompts(declaration: Declaration, root: Path) -> Iterator[str]:
    """Prompts of the user's own that cannot be rendered."""
    for name, questions in declaration.questions.items():
        writer = questions.writer
        if isinstance(writer, ModelWriter) and (root / (writer.prompt or "")).is_file():
            try:
                author.check_prompt(writer, root)
            except Complaint as error:
                yield f"questions.{name}.writer.prompt: {error}"


def _unpriced(declaration: Declaration) -> Iterator[str]:
    """Budgets in money that prices do not tell how to count."""
    spends = [
        (f"questions.{n}.budget", q.budget, q.models) for n, q in declaration.questions.items()
    ]
    spends += [
        (f"evaluations.{n}.protocol.budget", getattr(e.protocol, "budget", None), e.models)
        for n, e in declaration.evaluations.items()
    ]
    for budgeted, spend, models in spends:
        if spend is None or spend.money is None:
            continue
        place = f"{budgeted}.money"
        asked = {each: declaration.models.get(each) for each in models}
        served = {each: m.endpoint.price for each, m in asked.items() if isinstance(m, Served)}
        for each, price in served.items():
            if price is None:
                yield (
                    f"{place}: what {each!r} costs is not told; give models.{each}.endpoint.price, "
                    "or bound tokens instead"
                )
        currencies = sorted({price.currency for price in served.values() if price})
        if len(currencies) > 1:
            told = " and ".join(currencies)
            yield f"{place}: its models are paid in {told}; declare all prices in one currency"


def _unkept(declaration: Declaration) -> Iterator[str]:
    """Candidates on their way whose weights no model keeps."""
    for name, evaluation in declaration.evaluations.items():
        for candidate in evaluation.models:
            model, _, share = candidate.partition("@")
            made = declaration.models.get(model)
            kept = made.train.keep if isinstance(made, Trained) else []
            if made and share and share not in kept:
                hint = nearest(candidate, [f"{model}@{each}" for each in kept])
                yield (
                    f"evaluations.{name}.models: {candidate!r} is not kept; {hint}; "
                    f"models.{model}.train.keep says what is"
                    if isinstance(made, Trained)
                    else f"evaluations.{name}.models: {candidate!r}: {model} is not trained here"
                )


def _weightless(declaration: Declaration) -> Iterator[str]:
    """Uses of a served model that need weights or a tokenizer here."""
    uses = [
        *((f"tokenizers.{name}.base", each.base) for name, each in declaration.tokenizers.items()),
        *(
            (f"models.{name}.from", each.parent)
            for name, each in declaration.models.items()
            if isinstance(each, Trained)
        ),
    ]
    local = [n for n, each in declaration.models.items() if not isinstance(each, Served)]
    for place, name in uses:
        if isinstance(declaration.models.get(name), Served):
            yield (
                f"{place}: {name!r} is a served model, without weights here: it can write, "
                f"judge and answer questions only; expected one of {', '.join(local) or 'none'}"
            )


def _unwritten(declaration: Declaration) -> Iterator[str]:
    """Served models at exams that ask for more than what a model writes in a chat."""
    for name, evaluation in declaration.evaluations.items():
        protocol, models = evaluation.protocol, evaluation.models
        served = [each for each in models if isinstance(declaration.models.get(each), Served)]
        if not served:
            if getattr(protocol, "budget", None):
                place = f"evaluations.{name}.protocol.budget"
                yield f"{place}: bounds nothing, none of its models is served; set it to null"
            continue
        if protocol.kind not in WRITTEN and getattr(protocol, "by", None) != "generation":
            yield (
                f"evaluations.{name}.models: {served[0]!r} is a served model, which tells no "
                f"likelihoods, and {protocol.kind} needs them; expected one of "
                f"{', '.join(WRITTEN)} in evaluations.{name}.protocol.kind, or "
                f"{', '.join(EITHER)} with "
                "by: generation, or models that are here"
            )
        if not protocol.template:
            yield (
                f"evaluations.{name}.protocol.template: true where a served model such as "
                f"{served[0]!r} is asked, which is by chat alone, found false"
            )


def _empty_splits(declaration: Declaration) -> Iterator[str]:
    """Splits that are learned or sat, and that their exam's own section leaves empty."""

    def of(place: str, name: str, split: Literal["train", "dev", "test"]) -> Iterator[str]:
        exam = declaration.exams.get(name)
        if exam and not may_hold(exam.split, split):
            yield f"{place}: exams.{name}.split leaves {split} empty; give it a share"

    for name, model in declaration.models.items():
        if isinstance(model, Trained) and model.pack.objective == "instruct":
            for data in model.pack.data:
                yield from of(f"models.{name}.pack.data.{data}", data, "train")
    for name, evaluation in declaration.evaluations.items():
        yield from of(f"evaluations.{name}", evaluation.exam, evaluation.split)
    for name, questions in declaration.questions.items():
        if isinstance(questions.writer, ModelWriter) and questions.writer.examples:
            shown = questions.writer.examples.exam
            yield from of(f"questions.{name}.writer.examples", shown, "train")


def _unasked(declaration: Declaration) -> Iterator[str]:
    """Exams of which the protocol can ask no question, and examples that cannot be shown."""
    for name, evaluation in declaration.evaluations.items():
        exam, protocol = declaration.exams.get(evaluation.exam), evaluation.protocol
        asks = PROTOCOLS[protocol.kind].ASKS
        if exam and not set(asks) & set(given := kinds(exam.adapter)):
            yield (
                f"evaluations.{name}.exam: {evaluation.exam!r} has only questions of kind "
                f"{' or '.join(given)}, which {protocol.kind} cannot ask; expected "
                f"{' or '.join(asks)}: evaluate it by another protocol, or another exam"
            )
        if protocol.few_shot is None:
            continue
        if evaluation.split == "train":
            yield (
                f"evaluations.{name}.protocol.few_shot: shows questions of train with their "
                "answers, found split train; evaluate dev or test, or show none"
            )
        elif exam and not may_hold(exam.split, "train"):
            yield (
                f"evaluations.{name}.protocol.few_shot: exams.{evaluation.exam}.split leaves train "
                "empty; give it a share, or show none"
            )


def _objective(place: str, pack: Pack) -> Iterator[str]:
    if (pack.objective == "instruct") != (pack.options is not None):
        yield f"{place}.options: shown, hidden or each where objective is instruct, else null"
    if (pack.objective == "instruct") != (pack.explain is not None):
        yield f"{place}.explain: true or false where objective is instruct, else null"
    if (pack.objective == "instruct") != (pack.template is not None):
        yield f"{place}.template: true or false where objective is instruct, else null"
    if pack.template is False and pack.system:
        yield f"{place}.system: null or empty where template is false, found {pack.system!r}"
    if pack.objective == "pretrain" and pack.system is not None:
        yield f"{place}.system: null where objective is pretrain, found {pack.system!r}"


def _unmeasured(place: str, model: Trained) -> Iterator[str]:
    """A gate that would find nothing in the pack to measure."""
    gate, pack = model.train.gate, model.pack
    general = pack.general is not None and pack.general.held_out > 0
    if gate and gate.bounded and not general:
        yield (
            f"{place}.train.gate: bounds the loss on general text, of which nothing is kept to "
            f"measure it on; give {place}.pack.general a corpus and held_out a share, or set "
            "both bounds to null"
        )
    elif gate and not general and pack.held_out == 0:
        yield (
            f"{place}.train.gate: nothing is kept to measure; give {place}.pack.held_out or "
            f"{place}.pack.general.held_out a share, or set it to null"
        )


def raw_paths(declaration: Declaration) -> Iterator[tuple[str, str]]:
    """What the user brings: place in the declaration, and path."""
    for name, source in declaration.sources.items():
        if not is_url(source.path):
            yield f"sources.{name}.path", source.path
    for name, exam in declaration.exams.items():
        yield f"exams.{name}.path", exam.path
    for name, model in declaration.models.items():
        if isinstance(model, Adopted) and isinstance(model.weights, LocalWeights):
            yield f"models.{name}.weights.path", model.weights.path
    for name, questions in declaration.questions.items():
        if isinstance(questions.writer, ModelWriter) and questions.writer.prompt:
            yield f"questions.{name}.writer.prompt", questions.writer.prompt


def homepage(declaration: Declaration, place: str) -> str | None:
    """Where the raw files of a place such as exams.boards.path are had."""
    section, name, _ = place.split(".", 2)
    found = getattr(declaration, section)[name]
    return found.homepage if isinstance(found, (Source, Exam)) else None


def _references(declaration: Declaration) -> Iterator[tuple[str, str, str, Iterable[str]]]:
    """Each use of a name: its place, the kinds it may be of, the name, the names there are."""

    def of(place: str, names: Iterable[str], *kinds: str) -> Iterator[Any]:
        known = [name for kind in kinds for name in getattr(declaration, kind)]
        for name in names:
            yield place, " or ".join(kinds), name, known

    for name, corpus in declaration.corpora.items():
        yield from of(f"corpora.{name}.sources", corpus.sources, "sources")
    for place, rule in _decontaminations(declaration):
        yield from of(f"{place}.exams", rule.exams, "exams")
    for name, tokenizer in declaration.tokenizers.items():
        yield from of(f"tokenizers.{name}.base", [tokenizer.base], "models")
        yield from of(f"tokenizers.{name}.corpus", [tokenizer.corpus], "corpora")
    for name, fertility in declaration.fertility.items():
        yield from of(f"fertility.{name}.tokenizer", [fertility.tokenizer], "tokenizers")
        yield from of(f"fertility.{name}.corpora", fertility.corpora, "corpora")
        yield from of(f"fertility.{name}.exams", fertility.exams, "exams")
    for name, questions in declaration.questions.items():
        yield from of(f"questions.{name}.corpus", [questions.corpus], "corpora")
        if isinstance(questions.writer, ModelWriter):
            writer, place = questions.writer, f"questions.{name}.writer"
            yield from of(f"{place}.model", [writer.model], "models")
            if writer.examples:
                yield from of(f"{place}.examples.exam", [writer.examples.exam], "exams")
        if questions.verify:
            yield from of(f"questions.{name}.verify.judges", questions.verify.judges, "models")
    for name, model in declaration.models.items():
        if isinstance(model, Trained):
            yield from of(f"models.{name}.from", [model.parent], "models")
            if model.tokenizer is not None:
                yield from of(f"models.{name}.tokenizer", [model.tokenizer], "tokenizers")
            kinds = ["corpora"] if model.pack.objective == "pretrain" else ["exams", "questions"]
            yield from of(f"models.{name}.pack.data", model.pack.data, *kinds)
            if model.pack.general is not None:
                place = f"models.{name}.pack.general.corpus"
                yield from of(place, [model.pack.general.corpus], "corpora")
    for name, evaluation in declaration.evaluations.items():
        yield from of(f"evaluations.{name}.exam", [evaluation.exam], "exams")
        candidates = [candidate.partition("@")[0] for candidate in evaluation.models]
        yield from of(f"evaluations.{name}.models", candidates, "models")


def _decontaminations(declaration: Declaration) -> Iterator[tuple[str, Decontaminate]]:
    for name, corpus in declaration.corpora.items():
        yield f"corpora.{name}.decontaminate", corpus.decontaminate
    for name, questions in declaration.questions.items():
        yield f"questions.{name}.decontaminate", questions.decontaminate


def _lists(declaration: Declaration) -> Iterator[tuple[str, list[str]]]:
    for name, source in declaration.sources.items():
        yield f"sources.{name}.parts", list(source.parts)
    for name, corpus in declaration.corpora.items():
        yield f"corpora.{name}.sources", corpus.sources
    for place, rule in _decontaminations(declaration):
        yield f"{place}.exams", rule.exams
        yield f"{place}.splits", list(rule.splits)
    for name, questions in declaration.questions.items():
        if questions.verify:
            yield f"questions.{name}.verify.judges", questions.verify.judges
    for name, fertility in declaration.fertility.items():
        yield f"fertility.{name}.corpora", fertility.corpora
        yield f"fertility.{name}.exams", fertility.exams
    for name, model in declaration.models.items():
        if isinstance(model, Trained):
            yield f"models.{name}.train.keep", model.train.keep
    for name, evaluation in declaration.evaluations.items():
        yield f"evaluations.{name}.models", evaluation.models


def _cycles(declaration: Declaration) -> Iterator[str]:
    """Models that would have to exist before themselves.

    By `from`, through a tokenizer, or by questions that they write or judge and learn from.
    """

    def before(model: str) -> list[str]:
        made = declaration.models.get(model)
        if not isinstance(made, Trained):
            return []
        tokenizer = declaration.tokenizers.get(made.tokenizer or "")
        learned = [declaration.questions.get(each) for each in made.pack.data]
        asked = [model for each in learned if each for model in each.models]
        return [made.parent, *([tokenizer.base] if tokenizer else []), *asked]

    done: set[str] = set()

    def walk(model: str, path: list[str]) -> Iterator[str]:
        if model in path:
            circle = [*path[path.index(model) :], model]
            yield f"models.{model}: a cycle: {' from '.join(circle)}"
        elif model not in done:
            for parent in before(model):
                yield from walk(parent, [*path, model])
            done.add(model)

    for model in declaration.models:
        yield from walk(model, [])


def schema() -> dict[str, Any]:
    """JSON schema of params.yaml, for editors."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "residency params.yaml",
        **Declaration.model_json_schema(by_alias=True),
    }


def reference() -> str:
    """docs/declaration.md: every section and every field."""
    definitions = schema()["$defs"]
    parts = [
        "# The declaration\n",
        "Every key of params.yaml. All are required: nothing has a default hidden in code. A name",
        "is made of lower-case letters, digits and `_`. This page is generated by",
        "`python -m residency.declaration`.\n",
        *_section("params.yaml", schema()),
    ]
    for name, definition in definitions.items():
        parts += _section(name, definition)
    return "\n".join(parts).rstrip() + "\n"


def _section(title: str, definition: dict[str, Any]) -> list[str]:
    rows = [
        f"| `{key}` | {_type(field)} | {field.get('description', '')} |"
        for key, field in definition["properties"].items()
    ]
    return [
        f"## {title}\n",
        definition["description"].strip() + "\n",
        "| key | is | meaning |",
        "|---|---|---|",
        *rows,
        "",
    ]


def _type(field: dict[str, Any]) -> str:
    """A JSON schema type in a few words, with links to other sections."""
    if "$ref" in field:
        name = field["$ref"].rpartition("/")[2]
        return f"[{name}](#{name.lower()})"
    for union in ("anyOf", "oneOf"):
        if union in field:
            return " or ".join(_type(each) for each in field[union])
    if "enum" in field:
        return " or ".join(f"`{value}`" for value in field["enum"])
    if "const" in field:
        return f"`{field['const']}`"
    if field.get("type") == "array":
        return f"list of {_type(field['items'])}"
    if field.get("type") == "object":
        inner = next(iter(field.get("patternProperties", {}).values()), None)
        inner = inner or field["additionalProperties"]
        return f"name: {_type(inner)}"
    least = "exclusiveMinimum" if "exclusiveMinimum" in field else "minimum"
    bounds = {least: "≥" if least == "minimum" else ">", "maximum": "≤", "exclusiveMaximum": "<"}
    limits = [f"{sign} {field[key]:,}" for key, sign in bounds.items() if key in field]
    return " ".join([str(field["type"]), *limits])


def generated() -> dict[Path, str]:
    """The files that are written from this module, each with its content."""
    return {
        Path("params.schema.json"): json.dumps(schema(), indent=2, ensure_ascii=False) + "\n",
        Path("docs/declaration.md"): reference(),
    }


def main() -> None:
    """Write the generated files."""
    for path, content in generated().items():
        write_file(path, content)
        print(f"wrote {path}", file=sys.stderr)


if __name__ == "__main__":
    main()
