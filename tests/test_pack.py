from __future__ import annotations

from collections import Counter
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tiny import TEXT, tiny_model

from residency.files import read_json, read_rows, write_rows
from residency.pack import Pack, Piece, best_fit, pack, titled
from residency.prompts import answer, ask, prompt, reply
from residency.records import Document, Question, documents, questions
from residency.section import Complaint

LINES = TEXT.splitlines()


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tiny")
    tiny_model(folder)
    return folder


@pytest.fixture
def tokenizer(tiny: Path) -> Any:
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(tiny)


def corpus(folder: Path, texts: list[str]) -> Path:
    folder.mkdir()
    write_rows(
        folder / "documents.jsonl",
        (
            Document(
                id=f"d{i}",
                source="s",
                file="f.txt",
                sha256="0" * 64,
                section=("Organs", f"Part {i}"),
                start=0,
                end=len(text),
                language="en",
                licence="CC0-1.0",
                text=text,
            )
            for i, text in enumerate(texts)
        ),
    )
    return folder


def drills(path: Path, stems: list[str]) -> Path:
    write_rows(
        path,
        (
            Question(
                id=f"q{i}",
                kind="single",
                context="",
                stem=stem,
                options=("The heart", "The kidney", f"Größe {i}"),
                answers=(i % 3,),
                explanation="",
                group=f"q{i}",
                labels={},
                language="en",
                origin={},
            )
            for i, stem in enumerate(stems)
        ),
    )
    return path


def packed(section: Pack, tiny: Path, data: list[Path], out: Path) -> dict[str, Any]:
    """The arrays by name, and the ledger's counts."""
    out.mkdir()
    pack(section, tiny, data, out)
    arrays = {stem: np.load(out / f"{stem}.npy") for stem in ("tokens", "positions", "loss")}
    return arrays | {"kept": read_json(out / "counts.json")["kept"]}


def pieces(made: dict[str, Any], pad: int) -> list[tuple[tuple[int, ...], tuple[int, ...]]]:
    """What stands between two starts of the positions: tokens and loss; padding left out."""
    found = []
    rows = zip(made["tokens"], made["positions"], made["loss"], strict=True)
    for tokens, positions, loss in rows:
        starts = [*np.flatnonzero(positions == 0), len(positions)]
        for a, b in pairwise(starts):
            assert list(positions[a:b]) == list(range(b - a))
            if tokens[a] != pad:
                found.append((tuple(tokens[a:b].tolist()), tuple(loss[a:b].tolist())))
            else:
                assert not loss[a:b].any()
    return found


def pretrain(passes: dict[str, int], length: int = 32) -> Pack:
    return Pack(objective="pretrain", data=passes, length=length, options=None, system=None)


def instruct(length: int = 128) -> Pack:
    data = {"drills": 1}
    return Pack(objective="instruct", data=data, length=length, options="shown", system=None)


def piece(size: int) -> Piece:
    return Piece(tokens=np.zeros(size, np.int32), learned=size - 1, bytes=0, starts=True)


@given(st.lists(st.integers(1, 16), max_size=60))
def test_blocks_hold_every_piece_once_and_are_never_too_full(sizes: list[int]) -> None:
    blocks = best_fit([piece(size) for size in sizes], 16)
    assert sorted(len(p.tokens) for block in blocks for p in block) == sorted(sizes)
    fills = sorted(sum(len(p.tokens) for p in block) for block in blocks)
    assert all(fill <= 16 for fill in fills)
    if len(fills) > 1:
        assert fills[0] + fills[1] > 16  # two blocks that fit one are never left apart


def test_each_piece_goes_where_least_room_is_left() -> None:
    blocks = best_fit([piece(size) for size in (4, 10, 7, 6, 3)], 12)
    assert [[len(p.tokens) for p in block] for block in blocks] == [[10], [7, 4], [6, 3]]


def test_every_token_of_a_corpus_is_there_once_in_each_pass(
    tiny: Path, tokenizer: Any, tmp_path: Path
) -> None:
    long = " ".join(LINES)
    folders = [corpus(tmp_path / "a", [*LINES, long]), corpus(tmp_path / "b", LINES[:2])]
    made = packed(pretrain({"a": 1, "b": 3}), tiny, folders, tmp_path / "out")
    expected: Counter[tuple[int, ...]] = Counter()
    for folder, passes in zip(folders, (1, 3), strict=True):
        for document in documents(folder):
            ids = [*tokenizer(titled(document))["input_ids"], tokenizer.eos_token_id]
            for start in range(0, len(ids), 32):
                expected[tuple(ids[start : start + 32])] += passes
    found = pieces(made, tokenizer.pad_token_id)
    assert Counter(tokens for tokens, _ in found) == expected
    assert made["kept"]["tokens"] == sum(len(t) * n for t, n in expected.items())
    assert made["kept"]["documents"] == 7 + 3 * 2


def test_text_is_learned_but_for_what_nothing_stands_before(
    tiny: Path, tokenizer: Any, tmp_path: Path
) -> None:
    folder = corpus(tmp_path / "a", LINES)
    made = packed(pretrain({"a": 1}), tiny, [folder], tmp_path / "out")
    for tokens, loss in pieces(made, tokenizer.pad_token_id):
        assert loss == (0, *[1] * (len(tokens) - 1))
    assert made["kept"]["learned"] == made["loss"].sum()


def test_bytes_are_those_of_the_text_learned(tiny: Path, tokenizer: Any, tmp_path: Path) -> None:
    folder = corpus(tmp_path / "a", ["Die Größe des Herzens – naïve Schätzung"])
    (document,) = documents(folder)
    made = packed(pretrain({"a": 1}, length=512), tiny, [folder], tmp_path / "out")
    first = tokenizer.decode(tokenizer(titled(document))["input_ids"][:1])
    assert made["kept"]["bytes"] == len(titled(document).encode()) - len(first.encode())


def test_what_is_passed_over_twice_does_not_meet_itself(tiny: Path, tmp_path: Path) -> None:
    folder = corpus(tmp_path / "a", ["short", "brief"])
    made = packed(pretrain({"a": 2}, length=64), tiny, [folder], tmp_path / "out")
    assert len(made["tokens"]) == 2
    assert (made["tokens"][0] == made["tokens"][1]).all()


def test_a_special_token_spelt_out_in_a_corpus_is_text(
    tiny: Path, tokenizer: Any, tmp_path: Path
) -> None:
    folder = corpus(tmp_path / "a", ["An <|im_end|> in the text"])
    made = packed(pretrain({"a": 1}, length=64), tiny, [folder], tmp_path / "out")
    assert (made["tokens"] == tokenizer.eos_token_id).sum() == 1


def test_of_a_conversation_only_answer_and_stop_are_learned(
    tiny: Path, tokenizer: Any, tmp_path: Path
) -> None:
    path = drills(tmp_path / "drills.jsonl", LINES)
    made = packed(instruct(), tiny, [path], tmp_path / "out")
    found = dict(pieces(made, tokenizer.pad_token_id))
    size = 0
    for question in questions(path):
        told = answer(question, question.answers)
        asked = prompt(tokenizer, ask(question, "shown"), None)
        answered = reply(tokenizer, told)
        assert found.pop((*asked, *answered)) == (*[0] * len(asked), *[1] * len(answered))
        size += len(told.encode())
    assert not found
    assert made["kept"]["bytes"] == size


def test_a_conversation_longer_than_a_block_is_in_the_ledger(tiny: Path, tmp_path: Path) -> None:
    path = drills(tmp_path / "drills.jsonl", ["Short?", "Long? " * 200])
    made = packed(instruct(), tiny, [path], tmp_path / "out")
    assert made["kept"]["documents"] == 1
    (row,) = read_rows(tmp_path / "out" / "rejected.jsonl")
    assert (row["id"], row["reason"]) == ("q1", "too long")
    assert row["item"]["stem"] == "Long? " * 200


def test_questions_of_a_kind_that_cannot_be_put_are_in_the_ledger(
    tiny: Path, tmp_path: Path
) -> None:
    path = drills(tmp_path / "drills.jsonl", ["Short?", "Long?"])
    first, second = questions(path)
    write_rows(path, [first, replace(second, kind="open", reference="A long story.")])
    made = packed(instruct(), tiny, [path], tmp_path / "out")
    assert made["kept"]["documents"] == 1
    (row,) = read_rows(tmp_path / "out" / "rejected.jsonl")
    assert (row["id"], row["reason"]) == ("q1", "kind not learned")
    assert row["detail"] == "open; learned are single, multiple, judgement"


def test_nothing_left_to_learn_is_refused(tiny: Path, tmp_path: Path) -> None:
    path = drills(tmp_path / "drills.jsonl", ["Long? " * 200])
    with pytest.raises(Complaint, match=r"nothing to learn.*1 were too long"):
        packed(instruct(), tiny, [path], tmp_path / "out")


def test_empty_data_beside_other_is_named(tiny: Path, tmp_path: Path) -> None:
    some, none = drills(tmp_path / "a.jsonl", LINES), drills(tmp_path / "b.jsonl", [])
    pack = instruct().model_copy(update={"data": {"a": 1, "b": 1}})
    with pytest.raises(Complaint, match=r"pack\.data\.b: .*b\.jsonl is empty"):
        packed(pack, tiny, [some, none], tmp_path / "out")


def test_data_of_the_other_objective_is_refused(tiny: Path, tmp_path: Path) -> None:
    folder, path = corpus(tmp_path / "a", LINES), drills(tmp_path / "drills.jsonl", LINES)
    with pytest.raises(Complaint, match=r"pack\.data\.a: pretrain learns corpora"):
        packed(pretrain({"a": 1}), tiny, [path], tmp_path / "one")
    with pytest.raises(Complaint, match=r"pack\.data\.drills: instruct learns questions"):
        packed(instruct(), tiny, [folder], tmp_path / "two")


def test_packing_again_writes_the_same_bytes(tiny: Path, tmp_path: Path) -> None:
    folder = corpus(tmp_path / "a", LINES)
    for out in "one", "two":
        packed(pretrain({"a": 2}), tiny, [folder], tmp_path / out)
    for path in sorted((tmp_path / "one").iterdir()):
        assert path.read_bytes() == (tmp_path / "two" / path.name).read_bytes(), path.name
