"""A bad declaration is refused by name; the files generated from the sections are current."""

from __future__ import annotations

import copy
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from dvc.fs import LocalFileSystem
from dvc.utils.serialize import load_path
from project import REPOSITORY, set_at
from ruamel.yaml import YAML

from residency import declaration, graph
from residency.section import Complaint, Section

Edit = Callable[[dict[str, Any]], None]


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A folder with the default declaration and the raw files it names."""
    shutil.copy(REPOSITORY / "params.yaml", tmp_path)
    (tmp_path / "data").symlink_to(REPOSITORY / "data")
    return tmp_path / "params.yaml"


def complaint(place: Path, edit: Edit) -> str:
    params = YAML(typ="safe").load(place)
    edit(params)
    YAML().dump(params, place)
    with pytest.raises(Complaint) as caught:
        declaration.load(place)
    return str(caught.value)


def setting(dotted: str, value: Any) -> Edit:
    return lambda params: set_at(params, dotted.split("."), value)


def test_the_default_declaration_is_good(place: Path) -> None:
    loaded = declaration.load(place)
    assert loaded.at("models.reader.pack.data") == {"textbook": 1}


SERVED = {
    "url": "https://api.example.org/v1",
    "model": "large",
    "key": "EXAMPLE_KEY",
    "price": {"currency": "USD", "prompt": 2.5, "reply": 10.0},
    "format": "schema",
    "limit": "max_tokens",
    "temperature": "told",
}


def test_a_served_model_is_a_folder_that_nothing_but_its_declaration_makes(place: Path) -> None:
    params = YAML(typ="safe").load(place)
    params["models"]["teacher"] = {"endpoint": SERVED}
    YAML().dump(params, place)
    stages = {each.name: each for each in graph.stages(declaration.load(place))}
    assert stages["adopt-teacher"].command == (
        "python -m residency.adopt models.teacher.endpoint build/models/teacher"
    )
    assert stages["adopt-teacher"].inputs == {}
    assert Path("build/models/teacher") not in stages["report"].inputs["models"]


@pytest.mark.parametrize(
    ("use", "value"),
    [
        ("models.reader.from", "teacher"),
        ("tokenizers.clinical.base", "teacher"),
    ],
)
def test_a_served_model_is_refused_where_weights_are_needed(
    place: Path, use: str, value: Any
) -> None:
    def edit(params: dict[str, Any]) -> None:
        params["models"]["teacher"] = {"endpoint": SERVED}
        set_at(params, use.split("."), value)

    told = complaint(place, edit)
    assert f"{use}: 'teacher" in told
    assert "is a served model, without weights here" in told
    assert "expected one of smollm2, reader" in told


GENERATE: dict[str, Any] = {
    "kind": "generate", "version": 1, "answer": "free", "reason": False, "of": "text",
    "options": "shown", "most_tokens": 20, "system": "", "template": True, "few_shot": None,
    "precision": "float32", "budget": {"money": 1.0, "tokens": None},
}  # fmt: skip
NO_PRICE = {"endpoint": SERVED | {"price": None}}
LIKELIHOOD = "evaluations.ward.models: 'teacher' is a served model, which tells no likelihoods"


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (
            {"evaluations.ward.models": ["smollm2", "teacher"]},
            [
                f"{LIKELIHOOD}, and likelihood needs them; expected one of generate, "
                "self_consistency, voc, explain in evaluations.ward.protocol.kind, or permuted, "
                "propositions, progressive with by: generation"
            ],
        ),
        (
            {"evaluations.finals.models": ["smollm2", "teacher@50%"]},
            ["'teacher@50%': teacher is not trained here"],
        ),
        (
            {"evaluations.finals.protocol": GENERATE | {"template": False, "system": None}},
            ["evaluations.finals.protocol.template: true where a served model such as 'teacher'"],
        ),
        (
            {"evaluations.finals.models": ["smollm2"]},
            ["evaluations.finals.protocol.budget: bounds nothing, none of its models is served"],
        ),
        (
            {"models.teacher": NO_PRICE},
            ["evaluations.finals.protocol.budget.money: what 'teacher' costs is not told"],
        ),
    ],
)
def test_a_served_model_sits_only_what_a_chat_can_answer(
    place: Path, changes: dict[str, Any], words: list[str]
) -> None:
    def sits(params: dict[str, Any]) -> None:
        params["models"]["teacher"] = {"endpoint": SERVED}
        params["evaluations"]["finals"].update(models=["smollm2", "teacher"], protocol=GENERATE)

    def edit(params: dict[str, Any]) -> None:
        sits(params)
        for dotted, value in changes.items():
            set_at(params, dotted.split("."), value)

    params = YAML(typ="safe").load(place)
    sits(params)
    YAML().dump(params, place)
    stages = {each.name: each for each in graph.stages(declaration.load(place))}
    assert stages["evaluate-finals-teacher"].inputs["model"] == [Path("build/models/teacher")]
    told = complaint(place, edit)
    for each in words:
        assert each in told


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("url", "api.openai.com/v1", "expected an address such as"),
        ("url", "ftp://example.org/v1", "expected an address such as"),
        ("url", "https://user:secret@example.org/v1", "without user, password"),
        ("url", "https://example.org/v1?key=secret", "a key belongs into an environment variable"),
        ("key", "sk-canary-0123", "expected the name of an environment variable"),
        ("price", {"currency": "dollar", "prompt": 1.0, "reply": 1.0}, "three letters"),
        ("price", {"currency": "USD", "prompt": -1.0, "reply": 1.0}, "greater than or equal to 0"),
        ("format", "xml", "'schema', 'object' or 'text'"),
    ],
)
def test_an_endpoint_that_cannot_be_is_refused_and_secrets_are_not_repeated(
    place: Path, key: str, value: Any, words: str
) -> None:
    def edit(params: dict[str, Any]) -> None:
        params["models"]["teacher"] = {"endpoint": {**SERVED, key: value}}

    told = complaint(place, edit)
    assert f"models.teacher.endpoint.{key}" in told
    assert words in told
    assert "canary" not in told
    assert "secret" not in told


@pytest.mark.parametrize(
    ("bound", "kept", "words"),
    [
        (None, {}, "nothing is kept to measure; give models.reader.pack.held_out"),
        (0.1, {"held_out": 0.1}, "bounds the loss on general text, of which nothing is kept"),
    ],
)
def test_a_gate_that_would_find_nothing_to_measure_is_refused(
    place: Path, bound: float | None, kept: dict[str, Any], words: str
) -> None:
    gate = {
        "every": 0.5,
        "blocks": 4,
        "warn_if_general_loss_rises_by": None,
        "stop_if_general_loss_rises_by": bound,
    }

    def edit(params: dict[str, Any]) -> None:
        params["models"]["reader"]["train"]["gate"] = gate
        params["models"]["reader"]["pack"] |= {"held_out": 0.0, "general": None} | kept

    assert f"models.reader.train.gate: {words}" in complaint(place, edit)


@pytest.mark.parametrize(
    ("edit", "words"),
    [
        (
            setting("corpora.textbook.filter.min_wrods", 3),
            ["corpora.textbook.filter", "'min_wrods'", "did you mean 'min_words'?"],
        ),
        (
            setting("corpora.textbook.filter.min_words", 500),
            ["corpora.textbook.filter: min_words is 500, above max_words, which is 400"],
        ),
        (
            lambda params: params["corpora"]["textbook"]["filter"].pop("min_words"),
            ["corpora.textbook.filter.min_words", "missing"],
        ),
        (
            setting("models.reader.train.epochs", "three"),
            ["models.reader.train.epochs", "integer", "'three'"],
        ),
        (
            setting("models.reader.train.learning_rate", -1.0),
            ["models.reader.train.learning_rate", "greater than 0", "-1.0"],
        ),
        (
            setting("models.reader.train.schedule", "cosin"),
            ["models.reader.train.schedule", "'cosine'", "'cosin'"],
        ),
        (
            setting("evaluations.finals.models", ["smolm2"]),
            ["evaluations.finals.models", "'smolm2'", "did you mean 'smollm2'?"],
        ),
        (
            setting("models.reader.pack.data", {"boards": 1}),
            ["models.reader.pack.data", "no 'boards' in corpora"],
        ),
        (
            setting("models.reader.from", "resident"),
            ["a cycle: reader from resident from reader"],
        ),
        (setting("models.reader.from", "reader"), ["a cycle: reader from reader"]),
        (
            setting("evaluations.finals.models", ["resident@55%"]),
            ["evaluations.finals.models: 'resident@55%' is not kept", "models.resident.train.keep"],
        ),
        (
            setting("evaluations.finals.models", ["smollm2@50%"]),
            ["evaluations.finals.models: 'smollm2@50%': smollm2 is not trained here"],
        ),
        (
            setting("evaluations.finals.models", ["residnt@50%"]),
            ["evaluations.finals.models: there is no 'residnt' in models; did you mean 'resident'"],
        ),
        (setting("models.resident.train.keep", ["100%"]), ["models.resident.train.keep", "'100%'"]),
        (
            setting("models.resident.train.keep", ["50"]),
            ["models.resident.train.keep.0: expected a share from '1%' to '99%'", "found '50'"],
        ),
        (
            setting("evaluations.finals.models", ["resident@50"]),
            [
                "evaluations.finals.models.0: expected a model",
                "resident@50%",
                "found 'resident@50'",
            ],
        ),
        (
            setting("models.resident.from", "reader@50%"),
            ["models.resident.from: expected a name of lower-case letters, digits and _"],
        ),
        (
            setting("models.reader.pack.general", "everyday"),
            ["models.reader.pack.general: expected keys with values, found 'everyday'"],
        ),
        (
            setting("models.reader.pack.data", {}),
            ["models.reader.pack.data: expected at least one"],
        ),
        (setting("models.resident.train.keep", ["5%", "5%"]), ["train.keep: '5%' stands 2 times"]),
        (
            setting("tokenizers.clinical.base", "resident"),
            ["a cycle", "reader", "resident"],
        ),
        (
            setting("sources.primer.path", "data/raw/primmer"),
            ["sources.primer.path", "'data/raw/primmer'"],
        ),
        (
            setting("sources.primer.path", "build/documents"),
            ["sources.primer.path", "lies in build/"],
        ),
        (
            setting("sources.primer.path", "https://example.org/primer.zip"),
            ["sources.primer", "a URL needs the sha256", "https://example.org/primer.zip"],
        ),
        (setting("sources.primer.encoding", "utf-9"), ["sources.primer.encoding", "'utf-9'"]),
        (setting("sources.primer.parts", ["prose", "prose"]), ["sources.primer.parts", "2 times"]),
        (
            setting("evaluations.finals.models", ["reader", "reader"]),
            ["evaluations.finals.models", "'reader'", "written twice"],
        ),
        (setting("models.smollm2.weights", {"packidge": "x"}), ["package, path, hub"]),
        (setting("models.smollm2.weights.sha256", "abc"), ["models.smollm2.weights.sha256"]),
        (setting("models.Bad-Name", {"weights": {"path": "data"}}), ["Bad-Name", "lower-case"]),
        (setting("exams.boards.split.train", 0.5), ["exams.boards.split", "unknown key 'train'"]),
        (setting("exams.rounds.split.dev", 0.9), ["exams.rounds.split", "more than 1"]),
        (
            setting("exams.rounds.adapter.kind", "tabula"),
            ["exams.rounds.adapter:", "found kind 'tabula'; did you mean 'tabular'?", "mediq"],
        ),
        (
            setting("exams.rounds.adapter.format.kind", "json-lines"),
            ["exams.rounds.adapter.format:", "did you mean 'jsonl'?"],
        ),
        (
            setting("exams.boards.adapter.format.encoding", "utf-9"),
            ["exams.boards.adapter.format.encoding:", "such as utf-8", "'utf-9'"],
        ),
        (
            setting("exams.boards.adapter.fields.options", {"seperator": "|"}),
            ["exams.boards.adapter.fields.options:", "separator, after_stem, given"],
        ),
        (
            setting("exams.boards.adapter.fields.options", {"separator": "|"}),
            ["exams.boards.adapter.fields.options.column: missing"],
        ),
        (
            setting("exams.boards.split", "official"),
            ["exams.boards.split: expected a mapping with one of the keys", "'official'"],
        ),
        (
            setting("exams.boards.adapter.fields.options", 4),
            ["exams.boards.adapter.fields.options: expected a key", "found 4"],
        ),
        (
            setting("exams.boards.adapter.fields.answers", None),
            ["exams.boards.adapter: fields.answers: null; asks: choice needs it"],
        ),
        (
            setting("exams.rounds.adapter.asks", "open"),
            ["exams.rounds.adapter: fields.reference: null; asks: open needs it"],
        ),
        (
            setting("exams.boards.split", {"official": True}),
            ["exams.boards: split.official: adapter tabular knows none", "cmexam"],
        ),
        (
            setting("exams.boards.split", {"whole": "test"}),
            ["models.resident.pack.data.boards: exams.boards.split leaves train empty"],
        ),
        (
            setting("exams.rounds.split", {"train": 0.9, "dev": 0.1, "seed": 0}),
            ["evaluations.ward: exams.rounds.split leaves test empty"],
        ),
        (
            setting("exams.rounds.adapter", {"kind": "mediq"}),
            ["evaluations.ward.exam: 'rounds' has only questions of kind progressive", "judgement"],
        ),
        (
            setting("exams.boards.split", {"offical": True}),
            ["exams.boards.split:", "column, train, label, whole, official, official_test"],
        ),
        (setting("models.reader.train.method", "lora"), ["models.reader.train", "lora"]),
        (setting("models.reader.pack.options", "shown"), ["models.reader.pack.options", "null"]),
        (setting("models", []), ["models: expected keys with values"]),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else "",
)
def test_a_mistake_is_named_with_its_cure(place: Path, edit: Edit, words: list[str]) -> None:
    said = complaint(place, edit)
    for word in words:
        assert word in said


VOC = {
    "kind": "voc",
    "version": 1,
    "argument_tokens": 64,
    "check_tokens": 64,
    "system": None,
    "template": True,
    "few_shot": None,
    "precision": "float32",
    "budget": None,
}


@pytest.mark.parametrize("adapter", [None, {"kind": "medqa"}, {"kind": "medmcqa", "cop": "one"}])
def test_an_exam_that_may_have_questions_of_the_protocol_is_not_refused(
    place: Path, adapter: dict[str, str] | None
) -> None:
    params = YAML(typ="safe").load(place)
    params["evaluations"]["ward"]["protocol"] = VOC
    params["exams"]["rounds"]["adapter"] = adapter or params["exams"]["rounds"]["adapter"]
    YAML().dump(params, place)
    assert declaration.load(place).at("evaluations.ward.protocol.kind") == "voc"


def test_a_source_by_url_is_no_path_to_look_for(place: Path) -> None:
    params = YAML(typ="safe").load(place)
    params["sources"]["primer"] |= {"path": "https://example.org/a.zip", "sha256": "0" * 64}
    YAML().dump(params, place)
    (stage,) = (
        each for each in graph.stages(declaration.load(place)) if each.name == "ingest-primer"
    )
    assert stage.raw == []
    assert not any("example.org" in path for path in stage.dependencies)


def test_several_mistakes_are_told_in_one_message(place: Path) -> None:
    def edit(params: dict[str, Any]) -> None:
        params["report"]["seed"] = -1
        params["sources"]["primer"]["langauge"] = "en"

    said = complaint(place, edit)
    assert "report.seed" in said
    assert "langauge" in said


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("models:\n  a: {}\n  a: {}\n", ["params.yaml:3", "two things would write one place"]),
        ("models: [\n", ["params.yaml:2", "not YAML"]),
        ("", ["the declaration"]),
        ("- 1\n", ["the declaration"]),
        ("models: !!python/object:os.system {}\n", ["params.yaml"]),
    ],
)
def test_what_is_not_a_declaration_is_refused(tmp_path: Path, text: str, words: list[str]) -> None:
    (tmp_path / "params.yaml").write_text(text)
    with pytest.raises(Complaint) as caught:
        declaration.load(tmp_path / "params.yaml")
    for word in words:
        assert word in str(caught.value)


def test_a_missing_declaration_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Complaint, match=r"params.yaml: cannot be read"):
        declaration.load(tmp_path / "params.yaml")


def test_generated_files_are_current() -> None:
    for path, content in declaration.generated().items():
        assert (REPOSITORY / path).read_text() == content, "to repair: make generate"


def test_the_schema_accepts_what_is_accepted() -> None:
    import jsonschema

    params = YAML(typ="safe").load(REPOSITORY / "params.yaml")
    schema = json.loads((REPOSITORY / "params.schema.json").read_text())
    jsonschema.validate(params, schema)
    params["models"]["reader"]["train"]["epoch"] = 1
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(params, schema)


def sections(kind: type[Section] = Section) -> list[type[Section]]:
    return [each for sub in kind.__subclasses__() for each in [sub, *sections(sub)]]


def test_every_section_is_frozen_and_closed_and_its_fields_described_without_defaults() -> None:
    found = [each for each in sections() if each.__module__.startswith("residency.")]
    assert len(found) > 15
    for section in found:
        for name, field in section.model_fields.items():
            assert field.description, f"{section.__name__}.{name}"
            assert field.is_required(), f"{section.__name__}.{name}"
        assert section.model_config["extra"] == "forbid", section.__name__
        assert section.model_config["frozen"], section.__name__


def test_dvc_reads_values_as_we_do(tmp_path: Path) -> None:
    # DVC parses with libyaml where it is installed, we in Python for the places of mistakes.
    path = tmp_path / "params.yaml"
    values = "1e-3 1.0e-3 0.0001 1E5 .5 012 0o14 0x1F 1_000 12:30 no yes on null ~ .inf '1' é 五"
    path.write_text("".join(f"{n}: {value}\n" for n, value in enumerate(values.split())))
    assert repr(load_path(str(path), LocalFileSystem())) == repr(declaration._read(path))


def test_the_nearest_kept_checkpoint_is_named(place: Path) -> None:
    def edit(values: dict[str, Any]) -> None:
        values["models"]["resident"]["train"]["keep"] = ["25%", "50%"]
        values["evaluations"]["finals"]["models"] = ["resident@55%"]

    assert "did you mean 'resident@50%'? known: resident@25%, resident@50%" in complaint(
        place, edit
    )


WRITER = {
    "kind": "model", "model": "teacher", "how_many": {"single": 1}, "options": 4,
    "passage_words": 100, "examples": {"exam": "boards", "count": 2}, "evidence": "quote",
    "difficulty": None,
    "language": None, "prompt": None, "temperature": 0.0, "max_tokens": 300, "seed": 0,
}  # fmt: skip
ENDPOINT = {
    "url": "http://127.0.0.1:1/v1", "model": "m", "key": None, "price": None, "format": "schema",
    "limit": "max_tokens",
    "temperature": "told",
}  # fmt: skip
USD = {"currency": "USD", "prompt": 1.0, "reply": 1.0}


def by_model(**values: Any) -> Edit:
    """Questions by a served model; `values` by dotted place within them, or at models.*."""

    def edit(params: dict[str, Any]) -> None:
        drills = params["questions"]["drills"]
        drills["writer"] = copy.deepcopy(WRITER)
        params["models"]["teacher"] = {"endpoint": dict(ENDPOINT)}
        params["models"]["judge"] = {"endpoint": dict(ENDPOINT)}
        for place, value in values.items():
            within = params if place.startswith(("models.", "exams.")) else drills
            set_at(within, place.split("."), value)

    return edit


def test_questions_by_a_served_model_are_declared(place: Path) -> None:
    params = YAML(typ="safe").load(place)
    verify = {"judges": ["judge", "smollm2"], "max_tokens": 99}
    by_model(verify=verify, budget={"money": None, "tokens": 9})(params)
    YAML().dump(params, place)
    stages = {each.name: each for each in graph.stages(declaration.load(place))}
    assert stages["write-drills"].command.endswith(
        " --model build/models/teacher --judges build/models/judge build/models/smollm2"
        " --examples build/exams/boards/train.jsonl"
    )
    needed = {each.name for each in graph.needed(stages["write-drills"], stages.values())}
    assert {"adopt-teacher", "adopt-judge", "adopt-smollm2"} <= needed


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"writer.model": "techer"}, ["writer.model: there is no 'techer'", "'teacher'"]),
        ({"writer.kind": "modle"}, ["writer", "'modle'", "did you mean 'model'"]),
        ({"writer.how_many": {}}, ["writer.how_many: expected at least one"]),
        ({"writer.how_many": {"singel": 1}}, ["writer.how_many", "'singel'"]),
        ({"writer.how_many": {"single": 0}}, ["writer.how_many.single", "greater than or equal"]),
        ({"writer.options": 2, "writer.how_many": {"multiple": 1}}, ["multiple needs 3 options"]),
        (
            {"writer.examples.exam": "bords"},
            ["writer.examples.exam: there is no 'bords' in exams", "'boards'"],
        ),
        (
            {"exams.boards.split": {"whole": "test"}},
            ["questions.drills.writer.examples: exams.boards.split leaves train empty"],
        ),
        ({"writer.prompt": "none.jinja"}, ["writer.prompt: there is no 'none.jinja'"]),
        ({"verify": {"judges": [], "max_tokens": 9}}, ["verify.judges: expected at least one"]),
        (
            {"verify": {"judges": ["judge", "judge"], "max_tokens": 9}},
            ["verify.judges: 'judge' stands 2 times"],
        ),
        (
            {"verify": {"judges": ["smolm2"], "max_tokens": 9}},
            ["verify.judges: there is no 'smolm2' in models; did you mean 'smollm2'?"],
        ),
        ({"budget": {"money": 0.0, "tokens": None}}, ["budget.money", "greater than 0"]),
        ({"budget": {"money": None, "tokens": 0}}, ["budget.tokens", "greater than or equal to 1"]),
        ({"budget": {"money": None, "tokens": None}}, ["bounds neither money nor tokens"]),
        (
            {"budget": {"money": 1.0, "tokens": None}},
            ["budget.money: what 'teacher' costs is not told", "models.teacher.endpoint.price"],
        ),
        (
            {
                "budget": {"money": 1.0, "tokens": None},
                "models.teacher.endpoint.price": USD,
                "models.judge.endpoint.price": USD | {"currency": "EUR"},
                "verify": {"judges": ["judge"], "max_tokens": 9},
            },
            ["budget.money: its models are paid in EUR and USD"],
        ),
        ({"checks.max_stem_words": 2}, ["min_stem_words is 3, above max_stem_words, which is 2"]),
        ({"writer.model": "resident"}, ["a cycle: resident from resident"]),
        (
            {"verify": {"judges": ["resident"], "max_tokens": 9}},
            ["a cycle: resident from resident"],
        ),
    ],
)
def test_mistakes_about_questions_by_a_model_are_told(
    place: Path, values: dict[str, Any], words: list[str]
) -> None:
    found = complaint(place, by_model(**values))
    for each in words:
        assert each in found


def test_a_prompt_of_ones_own_is_checked_before_any_work(place: Path) -> None:
    (place.parent / "own.jinja").write_text("{% block system %}\n{% endblok %}")
    found = complaint(place, by_model(**{"writer.prompt": "own.jinja"}))
    assert "questions.drills.writer.prompt: " in found
    assert "own.jinja:2: " in found
