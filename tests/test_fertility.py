from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from residency.cost import cost, tokenizer_of
from residency.embeddings import Embeddings, Mean
from residency.extend import Tokenizer, extend
from residency.fertility import Fertility, asked, fertility
from residency.files import read_json, write_json, write_rows
from residency.records import Document, Question
from residency.section import Complaint

DOMAIN = "Gastrointestinal haemorrhage: the gastrointestinal tract bled. 胃肠道出血。<|turn|>"
GENERAL = "The cat sat on the mat, and then the rat ran. 猫和狗。"
SECTION = Fertility(tokenizer="grown", corpora=["domain", "general"], exams=["boards"])


def corpus(folder: Path, *texts: str) -> Path:
    folder.mkdir()
    rows = [
        Document(
            id=f"d{number}", source="s", file="f.txt", sha256="0" * 64, section=(), start=0,
            end=len(text), language="en", licence="CC0", text=text,
        )
        for number, text in enumerate(texts)
    ]  # fmt: skip
    write_rows(folder / "documents.jsonl", rows)
    return folder


def exam(folder: Path, **splits: list[str]) -> Path:
    """An exam with one question for each stem."""
    folder.mkdir()
    for split in ("train", "dev", "test"):
        rows = [
            Question(
                id=stem, kind="single", context="A case.", stem=stem, options=("the tract", "none"),
                answers=(0,), explanation="never measured", group=stem, labels={}, language="en",
                origin={},
            )
            for stem in splits.get(split, [])
        ]  # fmt: skip
        write_rows(folder / f"{split}.jsonl", rows)
    return folder


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """A base, the tokenizer grown from it on `domain`, and texts: what the step reads."""
    from tokenizers import Tokenizer as Backend
    from tokenizers import decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    folder = tmp_path_factory.mktemp("made")
    backend = Backend(models.BPE())
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(False)
    backend.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=300,
        show_progress=False,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        special_tokens=["<|turn|>"],
    )
    backend.train_from_iterator([GENERAL] * 3, trainer)
    backend.enable_truncation(8)
    backend.enable_padding(length=8)
    PreTrainedTokenizerFast(tokenizer_object=backend).save_pretrained(folder / "base")
    domain = corpus(folder / "domain", DOMAIN, DOMAIN)
    (folder / "grown").mkdir()
    section = Tokenizer(
        base="base",
        corpus="domain",
        new_tokens=30,
        auto=None,
        min_count=2,
        embeddings=Embeddings(start=Mean(kind="mean"), multiple=None),
    )
    extend(section, base=folder / "base", corpus=domain, out=folder / "grown")
    return {
        "base": folder / "base",
        "tokenizer": folder / "grown",
        "corpora": [domain, corpus(folder / "general", GENERAL)],
        "exams": [exam(folder / "boards", train=["Which tract bled?"], test=["Which organ?"])],
    }


def written(made: dict[str, Any], out: Path) -> Any:
    out.mkdir()
    fertility(SECTION, **made, out=out)
    return read_json(out / "fertility.json")


def test_each_text_is_measured_before_and_after_in_the_declared_order(
    made: dict[str, Any], tmp_path: Path
) -> None:
    found = written(made, tmp_path / "out")
    assert (found["tokenizer"], found["base"]) == ("grown", "base")
    assert found["added"] == len(read_json(made["tokenizer"] / "pieces.json"))
    told = [(each["kind"], each["name"], each["learned"]) for each in found["texts"]]
    assert told == [
        ("corpora", "domain", True),
        ("corpora", "general", False),
        ("exams", "boards", False),
    ]
    domain, general, boards = found["texts"]
    assert domain["after"]["tokens"] < 0.8 * domain["before"]["tokens"]
    assert general["after"]["tokens"] <= general["before"]["tokens"]
    assert boards["before"]["characters"] == sum(map(len, asked(made["exams"][0])))


def test_the_corpus_it_was_grown_on_costs_what_extend_itself_measured(
    made: dict[str, Any], tmp_path: Path
) -> None:
    own = read_json(made["tokenizer"] / "fertility.json")
    domain = written(made, tmp_path / "out")["texts"][0]
    for when in ("before", "after"):
        assert domain[when] == own[when]


def test_general_text_never_costs_more_than_before(made: dict[str, Any]) -> None:
    old, new = tokenizer_of(made["base"]), tokenizer_of(made["tokenizer"])
    for text in [*GENERAL.split(), GENERAL, DOMAIN, "naïve\n\n  ½ 🦆 \u0301 \x00"]:
        assert len(new.encode(text)) <= len(old.encode(text)), text


def test_a_tokenizer_that_makes_a_text_longer_is_complained_of(
    made: dict[str, Any], tmp_path: Path
) -> None:
    swapped = {**made, "base": made["tokenizer"], "tokenizer": tmp_path / "worse"}
    (tmp_path / "worse").mkdir()
    old = (made["base"] / "tokenizer.json").read_bytes()
    (tmp_path / "worse/tokenizer.json").write_bytes(old)
    write_json(tmp_path / "worse/fertility.json", {"corpus": "domain", "added": 1})
    with pytest.raises(Complaint, match=r"corpora\.domain: \d+ tokens in worse, expected at most"):
        written(swapped, tmp_path / "out")


def test_a_text_without_a_character_is_complained_of(made: dict[str, Any], tmp_path: Path) -> None:
    empty = {**made, "exams": [exam(tmp_path / "rounds")]}
    with pytest.raises(Complaint, match=r"exams\.rounds: no text to measure"):
        written(empty, tmp_path / "out")


def test_truncation_padding_and_special_tokens_of_the_base_do_not_count(
    made: dict[str, Any],
) -> None:
    tokenizer = tokenizer_of(made["base"])
    assert cost(tokenizer, ["a"])["tokens"] == 1
    assert cost(tokenizer, ["<|turn|>"])["tokens"] > 1
    assert cost(tokenizer, [GENERAL * 5])["tokens"] > 50


def test_a_chinese_character_is_a_word_and_a_run_of_letters_is_one(made: dict[str, Any]) -> None:
    found = cost(tokenizer_of(made["base"]), ["胃肠道。", "two words, not-quite"])
    assert found["words"] == 3 + 4
    assert found["characters"] == 4 + 20
    assert found["bytes"] == 12 + 20
    assert found["tokens_per_word"] == found["tokens"] / 7
    assert found["bytes_per_token"] == 32 / found["tokens"]


def test_an_exam_is_its_cases_stems_and_options_of_all_splits(tmp_path: Path) -> None:
    found = list(asked(exam(tmp_path / "boards", train=["One?"], dev=["Two?"], test=["Three?"])))
    assert found == [f"A case.\n\n{stem}\nthe tract\nnone" for stem in ("One?", "Two?", "Three?")]


def test_a_folder_without_a_tokenizer_is_complained_of(tmp_path: Path) -> None:
    with pytest.raises(Complaint, match=r"found no tokenizer\.json"):
        tokenizer_of(tmp_path)


def test_measuring_on_nothing_is_refused() -> None:
    with pytest.raises(ValidationError, match="name at least one text"):
        Fertility(tokenizer="grown", corpora=[], exams=[])
