from __future__ import annotations

from collections import Counter
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tiny import TEXT

from residency.files import read_json, read_rows, write_rows
from residency.fingerprint import fingerprint
from residency.pack import Pack, pack
from residency.pieces import titled
from residency.prompts import answer, ask, lessons, prompt, reply
from residency.records import Document, Question, documents, questions
from residency.section import Complaint

LINES = TEXT.splitlines()
MANY = [f"{line} No. {number}." for number in range(10) for line in LINES]
STEMS = ("tokens", "positions", "loss", "bytes")


@pytest.fixture
def tokenizer(tiny: Path) -> Any:
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(tiny)


def corpus(folder: Path, texts: list[str], name: str = "d") -> Path:
    folder.mkdir()
    write_rows(
        folder / "documents.jsonl",
        (
            Document(
                id=f"{name}{i}",
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


def packed(
    section: Pack, tiny: Path, data: list[Path], out: Path, general: Path | None = None
) -> dict[str, Any]:
    """The arrays of train/ by name, and the ledger's counts."""
    out.mkdir()
    pack(section, tiny, data, general, out)
    return part(out / "train") | read_json(out / "counts.json")


def part(folder: Path) -> dict[str, Any]:
    return {stem: np.load(folder / f"{stem}.npy") for stem in STEMS}


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


def pretrain(weights: dict[str, float], length: int = 32, **values: Any) -> Pack:
    section: dict[str, Any] = {
        "objective": "pretrain",
        "data": weights,
        "length": length,
        "held_out": 0.0,
        "general": None,
        "seed": 0,
        "options": None,
        "explain": None,
        "system": None,
        "template": None,
    }
    return Pack.model_validate(section | values)


def instruct(length: int = 128, **values: Any) -> Pack:
    chosen = {"objective": "instruct", "options": "shown", "explain": False, "template": True}
    values = {**chosen, **values}
    return pretrain({"drills": 1}, length, **values)


def written(tokenizer: Any, path: Path) -> Counter[tuple[int, ...]]:
    """The ids of a corpus's documents."""
    return Counter(
        (*tokenizer(titled(each)).input_ids, tokenizer.eos_token_id) for each in documents(path)
    )


def found_in(made: dict[str, Any], tokenizer: Any) -> Counter[tuple[int, ...]]:
    return Counter(tokens for tokens, _ in pieces(made, tokenizer.pad_token_id))


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
    assert made["bytes"].tolist() == [made["kept"]["bytes"]]


def test_bytes_are_told_of_each_block(tiny: Path, tokenizer: Any, tmp_path: Path) -> None:
    folder = corpus(tmp_path / "a", [*LINES, " ".join(LINES), "Größe und Mühe " * 9])
    made = packed(pretrain({"a": 1}), tiny, [folder], tmp_path / "out")
    for row, size in enumerate(made["bytes"].tolist()):
        learned = made["tokens"][row][made["loss"][row] == 1].tolist()
        text = tokenizer.decode(learned, skip_special_tokens=True)
        assert abs(len(text.encode()) - size) <= 3  # a piece may begin within a character
    assert made["bytes"].sum() == made["kept"]["bytes"]


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
        ((user, told),) = lessons(question, "shown", explain=False)
        asked = prompt(tokenizer, user, None)
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


def test_questions_that_say_nothing_right_are_in_the_ledger(tiny: Path, tmp_path: Path) -> None:
    path = drills(tmp_path / "drills.jsonl", ["Short?", "Long?"])
    first, second = questions(path)
    write_rows(path, [first, replace(second, kind="open", options=(), answers=())])
    made = packed(instruct(), tiny, [path], tmp_path / "out")
    assert made["kept"]["documents"] == 1
    (row,) = read_rows(tmp_path / "out" / "rejected.jsonl")
    assert (row["id"], row["reason"]) == ("q1", "no answer")
    assert row["detail"] == "open: nothing says what is right"


def test_nothing_left_to_learn_is_refused(tiny: Path, tmp_path: Path) -> None:
    path = drills(tmp_path / "drills.jsonl", ["Long? " * 200])
    with pytest.raises(Complaint, match=r"nothing to learn.*1 were left out: too long"):
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


def test_packing_again_writes_the_same_bytes_with_any_number_of_processes(
    tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("residency.pieces.CHUNK", 2000)
    folder, other = corpus(tmp_path / "a", MANY), corpus(tmp_path / "b", LINES, "e")
    section = pretrain({"a": 1.5}, held_out=0.2, general=around(0.3, 0.2))
    for threads in "1", "3":
        monkeypatch.setenv("RESIDENCY_THREADS", threads)
        packed(section, tiny, [folder], tmp_path / threads, other)
    paths = sorted(path for path in (tmp_path / "1").rglob("*") if path.is_file())
    assert len(paths) == 2 + 3 * 4
    for path in paths:
        twin = tmp_path / "3" / path.relative_to(tmp_path / "1")
        assert path.read_bytes() == twin.read_bytes(), path.name


def around(held_out: float, replay: float) -> dict[str, Any]:
    return {"corpus": "around", "held_out": held_out, "replay": replay}


def test_an_epoch_has_each_token_once_however_documents_and_windows_fall(
    tiny: Path, tokenizer: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("residency.bestfit.WINDOW", 700)
    monkeypatch.setattr("residency.bestfit.AT_A_TIME", 100)
    monkeypatch.setattr("residency.pieces.CHUNK", 1000)
    monkeypatch.setattr("residency.pieces.BATCH", 300)
    folder = corpus(tmp_path / "a", MANY)
    made = packed(pretrain({"a": 1}, 256), tiny, [folder], tmp_path / "out")
    assert found_in(made, tokenizer) == written(tokenizer, folder)
    assert made["kept"]["tokens"] == made["data"]["a"]["seen"]


@pytest.mark.parametrize("weight", [0.5, 1.5, 2.25])
def test_a_weight_is_how_often_tokens_are_seen(
    tiny: Path, tokenizer: Any, tmp_path: Path, weight: float
) -> None:
    folder = corpus(tmp_path / "a", MANY)
    made = packed(pretrain({"a": weight}, 256), tiny, [folder], tmp_path / "out")
    once, found = written(tokenizer, folder), found_in(made, tokenizer)
    assert set(found.values()) <= {int(weight), int(weight) + 1}
    assert sum(found.values()) == made["kept"]["documents"]
    total = sum(map(len, once))
    assert abs(sum(len(ids) * n for ids, n in found.items()) - weight * total) <= max(
        map(len, once)
    )
    if weight < 1:
        other = packed(pretrain({"a": weight}, 256, seed=1), tiny, [folder], tmp_path / "other")
        assert found_in(other, tokenizer) != found


def test_a_weight_that_takes_nothing_is_refused(tiny: Path, tmp_path: Path) -> None:
    folder = corpus(tmp_path / "a", LINES)
    with pytest.raises(Complaint, match=r"pack\.data\.a: 0\.01 takes no document of the 6 of 6"):
        packed(pretrain({"a": 0.01}), tiny, [folder], tmp_path / "out")


def test_what_is_held_out_is_never_learned_and_the_rest_is(
    tiny: Path, tokenizer: Any, tmp_path: Path
) -> None:
    folder = corpus(tmp_path / "a", MANY)
    made = packed(pretrain({"a": 2}, 256, held_out=0.25), tiny, [folder], tmp_path / "out")
    held = found_in(part(tmp_path / "out" / "held_out"), tokenizer)
    learned = found_in(made, tokenizer)
    assert 5 <= len(held) <= 25
    assert not held.keys() & learned.keys()
    assert held + held + learned == written(tokenizer, folder) + written(tokenizer, folder)
    assert made["parts"]["held_out"]["documents"] == len(held) == made["data"]["a"]["held_out"]
    assert not (tmp_path / "out" / "general").exists()


def test_what_is_held_out_does_not_depend_on_what_else_there_is(
    tiny: Path, tokenizer: Any, tmp_path: Path
) -> None:
    few, many = corpus(tmp_path / "few", MANY[:20]), corpus(tmp_path / "many", MANY)
    section = pretrain({"a": 1}, 256, held_out=0.4)
    for name, folder in ("one", few), ("two", many):
        packed(section, tiny, [folder], tmp_path / name)
    one, two = (found_in(part(tmp_path / n / "held_out"), tokenizer) for n in ("one", "two"))
    assert one
    assert one == two & written(tokenizer, few)


def test_a_text_held_out_in_one_corpus_is_not_learned_from_another(
    tiny: Path, tokenizer: Any, tmp_path: Path
) -> None:
    folders = [corpus(tmp_path / "a", MANY), corpus(tmp_path / "b", MANY, "copy")]
    made = packed(pretrain({"a": 1, "b": 1}, 256, held_out=0.2), tiny, folders, tmp_path / "out")
    held = found_in(part(tmp_path / "out" / "held_out"), tokenizer)
    assert held
    assert not held.keys() & found_in(made, tokenizer).keys()
    rows = list(read_rows(tmp_path / "out" / "rejected.jsonl"))
    assert made["rejected"] == {"held out elsewhere": len(rows)}
    assert {row["detail"][:4] for row in rows} == {"in a", "in b"}
    assert all(row["item"]["id"] == row["id"] for row in rows)
    told = made["data"].values()
    assert sum(each["documents"] - each["held_out"] for each in told) == made["kept"][
        "documents"
    ] + len(rows)


def test_questions_of_one_group_are_held_out_together(tiny: Path, tmp_path: Path) -> None:
    path = drills(tmp_path / "drills.jsonl", MANY)
    rows = [replace(each, group=f"case {i // 3}") for i, each in enumerate(questions(path))]
    write_rows(path, rows)
    made = packed(instruct(held_out=0.3), tiny, [path], tmp_path / "out")
    held = made["data"]["drills"]["held_out"]
    assert 0 < held < len(rows)
    assert held % 3 == 0


def test_general_text_is_measured_apart_and_replayed_by_its_share(
    tiny: Path, tokenizer: Any, tmp_path: Path
) -> None:
    folder, other = corpus(tmp_path / "a", MANY), corpus(tmp_path / "b", MANY[::2], "general")
    write_rows(  # of other texts than the domain's
        other / "documents.jsonl",
        [replace(each, text=each.text.upper()) for each in documents(other)],
    )
    other_ids = written(tokenizer, other)
    section = pretrain({"a": 1}, 256, general=around(0.3, 0.25))
    made = packed(section, tiny, [folder], tmp_path / "out", other)
    measured = found_in(part(tmp_path / "out" / "general"), tokenizer)
    learned = found_in(made, tokenizer)
    assert measured
    assert not measured.keys() & learned.keys()
    replayed = learned - written(tokenizer, folder)
    assert replayed.keys() <= other_ids.keys()
    size = sum(len(ids) * n for ids, n in replayed.items())
    assert size == made["data"]["around"]["seen"]
    wanted = made["data"]["a"]["seen"] / 3
    assert abs(size - wanted) <= max(map(len, other_ids))
    assert not (tmp_path / "out" / "held_out").exists()


def test_general_text_that_is_too_little_is_passed_over_again(
    tiny: Path, tokenizer: Any, tmp_path: Path
) -> None:
    folder, other = corpus(tmp_path / "a", MANY), corpus(tmp_path / "b", ["X", "Y", "Z Z"], "g")
    section = pretrain({"a": 1}, 256, general=around(0.0, 0.2))
    made = packed(section, tiny, [folder], tmp_path / "out", other)
    told = made["data"]["around"]
    assert told["weight"] > 3
    assert told["seen"] == pytest.approx(made["data"]["a"]["seen"] / 4, abs=12)
    replayed = found_in(made, tokenizer) - written(tokenizer, folder)
    assert set(replayed.values()) <= {int(told["weight"]), int(told["weight"]) + 1}


def test_general_text_beside_conversations_is_learned_in_full(
    tiny: Path, tokenizer: Any, tmp_path: Path
) -> None:
    path, other = drills(tmp_path / "drills.jsonl", MANY), corpus(tmp_path / "b", LINES, "g")
    section = instruct(general=around(0.3, 0.1))
    made = packed(section, tiny, [path], tmp_path / "out", other)
    texts = written(tokenizer, other)
    loss = [loss for tokens, loss in pieces(made, tokenizer.pad_token_id) if tokens in texts]
    assert loss
    assert all(each == (0, *[1] * (len(each) - 1)) for each in loss)
    general = part(tmp_path / "out" / "general")
    assert found_in(general, tokenizer).keys() <= texts.keys()


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"held_out": 1e-9}, r"pack\.held_out: 1e-09 of 6 documents is none"),
        ({"general": around(1e-9, 0.1)}, r"pack\.general\.held_out: 1e-09 of 2 documents is none"),
        (
            {"general": around(0.0, 1e-9)},
            r"pack\.general\.replay: 1e-09 takes no document of the 2",
        ),
    ],
)
def test_a_share_that_is_nobody_is_refused(
    tiny: Path, tmp_path: Path, values: dict[str, Any], message: str
) -> None:
    folder, other = corpus(tmp_path / "a", LINES), corpus(tmp_path / "b", ["X", "Y"], "g")
    with pytest.raises(Complaint, match=message):
        packed(pretrain({"a": 1}, **values), tiny, [folder], tmp_path / "out", other)


@pytest.mark.parametrize("general", [None, around(0.5, 0.1)])
def test_data_of_which_all_is_held_out_is_refused(
    tiny: Path, tmp_path: Path, general: dict[str, Any] | None
) -> None:
    many, few = corpus(tmp_path / "many", MANY), corpus(tmp_path / "few", ["X", "Y"], "copy")
    if general:
        section, data, place = pretrain({"a": 1}, general=general), [many], r"general\.replay: 0\.1"
    else:
        section, data = pretrain({"a": 1, "b": 1}, held_out=0.5), [many, few]
        place = r"data\.b: 1"
    message = rf"pack\.{place} takes no document of the 0 of 2 .* lower what is held out"
    with pytest.raises(Complaint, match=message):
        packed(section, tiny, data, tmp_path / "out", few if general else None)


def test_data_that_is_all_held_out_elsewhere_is_refused(tiny: Path, tmp_path: Path) -> None:
    folders = [corpus(tmp_path / "a", ["X", *LINES], "e"), corpus(tmp_path / "b", ["X"], "d")]
    with pytest.raises(Complaint, match=r"pack\.data\.b: 1 takes no document of the 0 of 1"):
        packed(pretrain({"a": 1, "b": 1}, held_out=0.5), tiny, folders, tmp_path / "out")


@pytest.mark.parametrize(
    ("general", "message"),
    [
        ({"corpus": "a", "held_out": 0.1, "replay": 0.1}, "'a' is in data too"),
        (around(0.0, 0.0), "nothing is done"),
        (around(1.0, 0.5), "nothing is left to replay"),
    ],
)
def test_general_text_that_makes_no_sense_is_refused(general: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        pretrain({"a": 1}, general=general)


def test_training_is_told_what_it_need_not_read(tiny: Path, tmp_path: Path) -> None:
    made = packed(pretrain({"a": 1}), tiny, [corpus(tmp_path / "a", LINES)], tmp_path / "out")
    assert made["objective"] == "pretrain"
    assert made["length"] == made["tokens"].shape[1]
    assert made["largest_token"] == made["tokens"].max()
    assert made["tokenizer"] == fingerprint(tiny)
    assert made["kept"]["blocks"] == len(made["tokens"])


def test_propositions_are_learned_one_by_one(tiny: Path, tokenizer: Any, tmp_path: Path) -> None:
    path = drills(tmp_path / "drills.jsonl", LINES[:2])
    rows = [replace(each, kind="propositions", answers=(0, 2)) for each in questions(path)]
    write_rows(path, rows)
    made = packed(instruct(), tiny, [path], tmp_path / "out")
    told = Counter(
        tokenizer.decode([t for t, one in zip(tokens, loss, strict=True) if one])
        for tokens, loss in pieces(made, tokenizer.pad_token_id)
    )
    assert told == {"True<|im_end|>": 4, "False<|im_end|>": 2}


def spoken(made: dict[str, Any], tokenizer: Any) -> Counter[tuple[str, str]]:
    """What is asked and what is learned, of each piece."""
    return Counter(
        (
            tokenizer.decode([t for t, one in zip(tokens, loss, strict=True) if not one]),
            tokenizer.decode([t for t, one in zip(tokens, loss, strict=True) if one]),
        )
        for tokens, loss in pieces(made, tokenizer.pad_token_id)
    )


def test_each_option_of_a_choice_is_judged_by_itself_where_so_declared(
    tiny: Path, tokenizer: Any, tmp_path: Path
) -> None:
    path = drills(tmp_path / "drills.jsonl", LINES[:1])
    (question,) = questions(path)
    made = packed(instruct(options="each"), tiny, [path], tmp_path / "out")
    judged = [told for (_, told), n in spoken(made, tokenizer).items() for _ in range(n)]
    assert judged.count("True<|im_end|>") == len(question.answers)
    assert judged.count("False<|im_end|>") == len(question.options) - len(question.answers)


def test_a_later_question_of_a_case_is_learned_after_the_earlier_ones_and_their_answers(
    tiny: Path, tokenizer: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = drills(tmp_path / "drills.jsonl", LINES[:3])
    one, two, other = (
        replace(each, kind="progressive", form="single", context="A man of 60.", group=group)
        for each, group in zip(questions(path), ["a", "a", "b"], strict=True)
    )
    rows = [replace(one, order=1), replace(two, order=2), replace(other, order=1)]
    write_rows(path, rows)
    section = instruct(length=512, template=False)
    made = packed(section, tiny, [path], tmp_path / "out")

    def plain(question: Question) -> tuple[str, str]:
        return ask(question, "shown"), answer(question, question.answers)

    (user, told), (user_2, told_2) = plain(one), plain(replace(two, context=""))
    (user_3, told_3) = plain(other)
    end = tokenizer.eos_token
    before = f"Question: {user}\nAnswer: {told}\n\n"
    asked = {
        (f"Question: {user}\nAnswer:", f" {told}{end}"): 1,
        (f"{before}Question: {user_2}\nAnswer:", f" {told_2}{end}"): 1,
        (f"Question: {user_3}\nAnswer:", f" {told_3}{end}"): 1,
    }
    assert spoken(made, tokenizer) == asked
    monkeypatch.setattr("residency.pieces.CHUNK", 10)
    assert spoken(packed(section, tiny, [path], tmp_path / "again"), tokenizer) == asked


def test_a_tokenizer_without_a_template_cannot_learn_conversations(
    tokenizer: Any, tmp_path: Path
) -> None:
    tokenizer.chat_template = None
    tokenizer.save_pretrained(tmp_path / "base")
    path = drills(tmp_path / "drills.jsonl", LINES)
    with pytest.raises(Complaint, match=r"base: .*no chat template.*chat_template\.jinja"):
        packed(instruct(), tmp_path / "base", [path], tmp_path / "out")
    folder = corpus(tmp_path / "a", LINES)
    packed(pretrain({"a": 1}), tmp_path / "base", [folder], tmp_path / "plain")
    packed(instruct(template=False), tmp_path / "base", [path], tmp_path / "asked")
