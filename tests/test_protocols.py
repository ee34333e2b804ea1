"""The protocols on a tiny model: what is asked, what is kept, what follows from it."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError
from test_evaluate import ASKED, question, several
from tiny import tiny_model

from residency import prompts
from residency.evaluate import EITHER, PROTOCOLS, Protocol, evaluate
from residency.files import read_json, read_rows, write_rows
from residency.records import Question
from residency.section import Complaint

COMMON = {"version": 1, "system": None, "template": True, "few_shot": None, "precision": "float32"}
SHOWN = {**COMMON, "of": "text", "options": "shown"}
RATED = {"by": "likelihood", "budget": None}
DECLARED: dict[str, dict[str, Any]] = {
    "likelihood": {**SHOWN, "normalise": "none"},
    "generate": {**SHOWN, "answer": "free", "reason": False, "most_tokens": 12, "budget": None},
    "permuted": {**COMMON, **RATED, "of": "letter", "normalise": "none"},
    "self_consistency": {
        **SHOWN,
        "samples": 3,
        "temperature": 1.0,
        "seed": 0,
        "reason": False,
        "most_tokens": 8,
        "budget": None,
    },
    "voc": {**COMMON, "argument_tokens": 8, "check_tokens": 6, "budget": None},
    "propositions": {**COMMON, **RATED},
    "progressive": {**SHOWN, **RATED, "earlier": "own", "normalise": "none"},
    "explain": {**COMMON, "options": "shown", "most_tokens": 12, "budget": None},
}


def declared(kind: str, **changes: Any) -> Any:
    values = {"kind": kind, **DECLARED[kind], **changes}
    return TypeAdapter(Protocol).validate_python(values)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from transformers import AutoModelForCausalLM

    folder = tmp_path_factory.mktemp("models") / "tiny"
    tiny_model(folder)
    network = AutoModelForCausalLM.from_pretrained(folder)
    for weights in network.parameters():  # untrained, every answer is about as likely
        weights.data *= 3
    network.save_pretrained(folder)
    return folder


def sat(
    model: Path, folder: Path, protocol: Any, asked: list[Question], shown: Sequence[Question] = ()
) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    out = folder / "out"
    out.mkdir(parents=True)
    write_rows(folder / "test.jsonl", asked)
    write_rows(folder / "train.jsonl", shown)
    evaluate(protocol, model, folder / "test.jsonl", out, folder / "train.jsonl")
    return list(read_rows(out / "predictions.jsonl")), read_json(out / "scores.json")


SINGLE = [each for each in ASKED if each.kind == "single"]
CASE = [
    question(
        number,
        kind="progressive",
        form="propositions" if number == 2 else "single",
        group="case",
        context="A man of 60.",
        order=number,
    )
    for number in (1, 2, 3)
]
ASKS = {
    "voc": SINGLE,
    "progressive": [*CASE, question(7, kind="progressive", form="multiple", order=1)],
}


@pytest.mark.parametrize("kind", PROTOCOLS)
def test_every_protocol_keeps_a_row_per_question_and_names_itself(
    model: Path, tmp_path: Path, kind: str
) -> None:
    asked = ASKS.get(kind, ASKED)
    rows, scores = sat(model, tmp_path / "one", declared(kind), asked)
    assert [row["id"] for row in rows] == [each.id for each in asked]
    for row in rows:
        assert row["prompt"]
        assert row["correct"] == (row["answer"] == row["right"])
    assert scores["protocol"] == {"kind": kind, "version": 1}
    assert scores["correct"] == sum(row["correct"] for row in rows)
    assert scores["unparsed"] == sum(row["answer"] is None for row in rows)
    again, _ = sat(model, tmp_path / "two", declared(kind), asked)
    assert again == rows


@pytest.mark.parametrize("kind", EITHER)
def test_by_generation_the_answer_is_what_was_written_and_always_one_that_is_allowed(
    model: Path, tmp_path: Path, kind: str
) -> None:
    rows, scores = sat(model, tmp_path, declared(kind, by="generation"), ASKS.get(kind, ASKED))
    assert "confidence" not in rows[0]
    for row in rows:
        assert "candidates" not in row
        for each in row.get("rotations", ()):
            places = [(i - each["by"]) % len(row["texts"]) for i in each["answer"]]
            assert each["said"] == "; ".join("ABCDE"[place] for place in sorted(places))
        for each in row.get("judged", ()):
            assert each["said"] in ("True", "False")
        if "said" in row:
            assert row["said"] == "; ".join(row["texts"][i] for i in row["answer"])
    assert "calibration_error" not in scores.get("propositions", {})


def test_of_a_single_answer_question_one_proposition_alone_may_be_written_as_true() -> None:
    from residency.protocols.propositions import ticked

    def judged(*said: str) -> list[dict[str, Any]]:
        return [{"option": number, "said": each} for number, each in enumerate(said)]

    assert ticked(question(0), judged("False", "True", "False")) == (1,)
    assert ticked(question(0), judged("True", "True", "False")) is None
    assert ticked(question(0), judged("False", "", "False")) is None
    assert ticked(several(0), judged("True", "", "True")) is None
    assert ticked(several(0), judged("True", "False", "True")) == (0, 2)
    assert ticked(several(0), judged("False", "False")) == ()


def test_letters_are_answered_where_letters_are_asked_for(model: Path, tmp_path: Path) -> None:
    protocol = declared("likelihood", of="letter")
    rows, _ = sat(model, tmp_path, protocol, [question(0), several(1)])
    assert rows[0]["prompt"].endswith("D. The brain\n(Answer with the letter.)")
    assert rows[1]["prompt"].endswith("of every right option, such as A; C.)")
    assert [each["tokens"] for each in rows[0]["candidates"]] == [2] * 4  # and the stop token


def test_the_confidence_is_the_chosen_ones_share(model: Path, tmp_path: Path) -> None:
    rows, scores = sat(model, tmp_path, declared("likelihood"), ASKED)
    chances = [[math.exp(each["logprob"]) for each in row["candidates"]] for row in rows]
    for row, each in zip(rows, chances, strict=True):
        assert row["confidence"] == pytest.approx(max(each) / sum(each), rel=1e-3)
    assert 0 <= scores["calibration_error"] <= 1


def test_the_unconditional_takes_off_what_is_likely_without_a_question(
    model: Path, tmp_path: Path
) -> None:
    rows, _ = sat(model, tmp_path / "one", declared("likelihood", normalise="unconditional"), ASKED)
    bare = {}
    for row in rows:
        for each in row["candidates"]:
            text = "; ".join(row["texts"][i] for i in each["options"])
            assert bare.setdefault(text, each["unconditional"]) == each["unconditional"]
            assert each["score"] == pytest.approx(each["logprob"] - each["unconditional"], abs=1e-3)
    assert len(set(bare.values())) > 4


def test_examples_stand_before_the_question_as_earlier_turns(model: Path, tmp_path: Path) -> None:
    from transformers import AutoTokenizer

    shown = [question(number, stem=f"Shown {number}?") for number in range(20, 26)]
    protocol = declared("likelihood", few_shot={"count": 2, "seed": 1})
    with_two, _ = sat(model, tmp_path / "two", protocol, ASKED, shown)
    without, _ = sat(model, tmp_path / "none", declared("likelihood"), ASKED, shown)
    assert [r["prompt"] for r in with_two] == [r["prompt"] for r in without]
    assert with_two[0]["candidates"] != without[0]["candidates"]
    tokenizer = AutoTokenizer.from_pretrained(model)
    earlier = [("Shown?", "The heart")]
    ids = prompts.prompt(tokenizer, "Asked?", None, earlier=earlier)
    turns = [
        {"role": "user", "content": "Shown?"},
        {"role": "assistant", "content": "The heart"},
        {"role": "user", "content": "Asked?"},
    ]
    text = tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True)
    assert tokenizer.decode(ids) == text
    plain = prompts.prompt(tokenizer, "Asked?", None, earlier=earlier, template=False)
    said = "Question: Shown?\nAnswer: The heart\n\nQuestion: Asked?\nAnswer:"
    assert tokenizer.decode(plain) == said


def test_too_few_examples_are_refused(model: Path, tmp_path: Path) -> None:
    protocol = declared("likelihood", few_shot={"count": 2, "seed": 1})
    with pytest.raises(Complaint, match=r"few_shot.count: 2, but the train split has 1 questions"):
        sat(model, tmp_path, protocol, ASKED, [question(20), question(21, kind="open")])


def test_keys_that_cannot_stand_together_are_refused() -> None:
    with pytest.raises(ValidationError, match="options: shown where letters are answered"):
        declared("likelihood", of="letter", options="hidden")
    with pytest.raises(ValidationError, match="there is no system turn"):
        declared("propositions", template=False, system="You are a doctor.")
    with pytest.raises(ValidationError, match="reason: false where the answer is constrained"):
        declared("generate", answer="constrained", reason=True)
    for kind in ("permuted", "progressive"):
        with pytest.raises(ValidationError, match="normalise: none where by is generation"):
            declared(kind, by="generation", normalise="tokens")
    with pytest.raises(ValidationError, match="did you mean 'permuted'"):
        TypeAdapter(Protocol).validate_python({"kind": "permute"})


def test_a_constrained_answer_is_always_one_that_is_allowed(model: Path, tmp_path: Path) -> None:
    rows, scores = sat(model, tmp_path, declared("generate", answer="constrained"), ASKED)
    for row in rows:
        assert row["said"] == "; ".join(row["texts"][i] for i in row["answer"])
    assert scores["unparsed"] == 0


def test_what_cannot_be_read_is_wrong_and_counted(model: Path, tmp_path: Path) -> None:
    rows, scores = sat(model, tmp_path, declared("generate"), ASKED)
    unread = [row for row in rows if row["answer"] is None]
    assert unread  # an untrained model babbles
    assert not any(row["correct"] for row in unread)
    assert scores["unparsed"] == len(unread)


def test_each_rotation_is_answered_and_most_of_them_decide(model: Path, tmp_path: Path) -> None:
    rows, scores = sat(model, tmp_path, declared("permuted"), ASKED)
    right = []
    for row in rows:
        size = len(row["texts"])
        assert [each["by"] for each in row["rotations"]] == list(range(size))
        votes = Counter(tuple(each["answer"]) for each in row["rotations"])
        assert votes[tuple(row["answer"])] == max(votes.values())
        right.append(sum(e["answer"] == row["right"] for e in row["rotations"]) / size)
        for each in row["rotations"]:
            best = max(candidate["score"] for candidate in each["candidates"])
            (chosen,) = [c for c in each["candidates"] if c["options"] == each["answer"]]
            assert chosen["score"] == best
    told = scores["rotations"]
    assert told["accuracy"]["value"] == pytest.approx(sum(right) / len(right), abs=1e-6)
    same = [len({tuple(e["answer"]) for e in row["rotations"]}) == 1 for row in rows]
    assert told["consistency"]["value"] == pytest.approx(sum(same) / len(rows), abs=1e-6)


def test_a_rotated_question_asks_the_same() -> None:
    from residency.protocols.permuted import agreed, rotated

    asked = several(0)
    turned = rotated(asked, 2)
    assert turned.options == (*asked.options[2:], *asked.options[:2])
    assert {turned.options[i] for i in turned.answers} == {asked.options[i] for i in asked.answers}
    scored = [{"options": [0], "score": -1.0}, {"options": [1], "score": -1.5}]
    tie = [
        {"answer": [0], "candidates": scored},
        {"answer": [1], "candidates": [{"options": [0], "score": -9.0}, scored[1]]},
    ]
    assert agreed(tie) == [1]
    assert agreed([{"answer": [2]}, {"answer": None}, {"answer": [1]}]) == [1]
    assert agreed([{"answer": None}]) is None


def test_most_samples_decide_and_of_equals_the_first() -> None:
    from residency.protocols.self_consistency import majority

    assert majority([(0,), (1,), (1,)]) == ((1,), 2)
    assert majority([(2,), None, (0,), (0,), (2,)]) == ((2,), 2)
    assert majority([None, None]) == (None, 0)


def test_samples_differ_and_are_all_kept(model: Path, tmp_path: Path) -> None:
    rows, scores = sat(model, tmp_path, declared("self_consistency", samples=4), SINGLE)
    said = [[each["said"] for each in row["samples"]] for row in rows]
    assert all(len(each) == 4 for each in said)
    assert all(len(set(each)) > 1 for each in said)
    assert scores["samples"]["drawn"] == 4 * len(SINGLE)


def test_every_text_of_a_verification_is_kept_and_shown_to_it(model: Path, tmp_path: Path) -> None:
    rows, _ = sat(model, tmp_path, declared("voc"), SINGLE)
    for row in rows:
        assert len(row["arguments"]) == len(row["texts"])
        for letter, argument in zip("ABCD", row["arguments"], strict=True):
            assert f"For {letter}: {argument}" in row["check_prompt"]
        assert row["answer"] == ["ABCD".index(row["said"])]
        assert isinstance(row["check"], str)


def test_propositions_are_ticked_where_true_is_likelier(model: Path, tmp_path: Path) -> None:
    asked = [
        question(0, kind="propositions", answers=(0, 2), indispensable=(0,)),
        question(1, kind="propositions", answers=()),
        question(2),
    ]
    rows, scores = sat(model, tmp_path, declared("propositions"), asked)
    for row in rows[:2]:
        assert row["answer"] == [e["option"] for e in row["judged"] if e["true"] > e["false"]]
        assert row["prompt"].count("(True or false?)") == 4
    leads = [each["true"] - each["false"] for each in rows[2]["judged"]]
    assert rows[2]["answer"] == [leads.index(max(leads))]
    assert scores["propositions"]["judged"] == 12
    assert 0 <= scores["discordance"]["value"] <= 1


@pytest.mark.parametrize("earlier", ["own", "right"])
def test_a_case_is_asked_in_order_after_its_earlier_answers(
    model: Path, tmp_path: Path, earlier: str
) -> None:
    asked = [CASE[2], CASE[0], question(7, kind="progressive", form="single"), CASE[1]]
    rows, scores = sat(model, tmp_path, declared("progressive", earlier=earlier), asked)
    third, first, other, second = rows
    assert first["earlier"] == other["earlier"] == []
    assert third["earlier"][0] == second["earlier"][0]
    assert third["earlier"][0][0] == first["prompt"]
    assert len(third["earlier"]) == 2
    assert "A man of 60." in first["prompt"]
    assert "A man of 60." not in second["prompt"] + third["prompt"]
    answer = first["answer"] if earlier == "own" else first["right"]
    assert second["earlier"][0][1] == "; ".join(first["texts"][i] for i in answer)
    assert scores["by_order"]["1"]["questions"] == 1


def test_explanations_are_compared_and_what_has_none_is_counted(
    model: Path, tmp_path: Path
) -> None:
    asked = [
        question(0, explanation="The heart pumps the blood."),
        question(1),
        question(2, kind="open", options=(), answers=(), reference="The heart."),
    ]
    rows, scores = sat(model, tmp_path, declared("explain"), asked)
    assert rows[0]["prompt"].endswith("(Explain your answer.)")
    assert rows[1]["overlap"] is None
    assert set(rows[0]["overlap"]) == {"characters", "words"}
    told = scores["explanations"]
    assert (told["compared"], told["nothing to compare"]) == (2, 1)
    values = [rows[i]["overlap"]["words"]["rouge_l"] for i in (0, 2)]
    assert told["words"]["rouge_l"]["value"] == pytest.approx(sum(values) / 2, abs=1e-6)


def test_a_model_without_a_template_is_asked_in_plain_form(model: Path, tmp_path: Path) -> None:
    rows, _ = sat(model, tmp_path, declared("generate", template=False, most_tokens=30), ASKED)
    assert all("\nQuestion:" not in row["said"] for row in rows)
