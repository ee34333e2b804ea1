from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tiny import tiny_model

from residency import prompts, times
from residency.evaluate import evaluate
from residency.files import read_json, read_rows, write_rows
from residency.intervals import wilson
from residency.likelihoods import plainly
from residency.protocols.likelihood import Likelihood
from residency.protocols.sitting import candidates
from residency.records import Question
from residency.section import Complaint

SHOWN = Likelihood(
    kind="likelihood",
    version=1,
    of="text",
    options="shown",
    normalise="none",
    system=None,
    template=True,
    few_shot=None,
    precision="float32",
)


def question(number: int, **changes: Any) -> Question:
    fields: dict[str, Any] = {
        "id": f"q{number}",
        "kind": "single",
        "context": "",
        "stem": f"Which organ pumps the blood, case {number}?",
        "options": ("The heart", "The kidney of the body", "The lungs", "The brain"),
        "answers": (number % 2,),
        "explanation": "",
        "group": f"q{number}",
        "labels": {"subject": "heart" if number < 4 else "kidney"},
        "language": "en",
        "origin": {},
    }
    return Question(**(fields | changes))


def several(number: int) -> Question:
    options = ("the heart", "the heart and lungs", "blood", "the liver", "nerves")
    return question(number, kind="multiple", options=options, answers=(2, 0))


ASKED = [question(0), several(1), *(question(number) for number in range(2, 6))]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models") / "tiny"
    tiny_model(folder)
    return folder


def sat(model: Path, folder: Path, asked: list[Question], protocol: Likelihood = SHOWN) -> Path:
    exam, out = folder / "test.jsonl", folder / "out"
    out.mkdir()
    write_rows(exam, asked)
    evaluate(protocol, model, exam, out)
    return out


def test_what_each_question_took_is_kept_beside_and_not_in_the_artifact(
    model: Path, tmp_path: Path
) -> None:
    out = tmp_path / "build/evaluations/finals/tiny"
    with times.taken(out):
        (tmp_path / "made").mkdir()
        out.parent.mkdir(parents=True)
        sat(model, tmp_path / "made", ASKED).rename(out)
    took = times.took(out)
    assert took is not None
    assert took.questions.keys() == {each.id for each in ASKED}
    assert all(seconds > 0 and tokens > 20 for seconds, tokens in took.questions.values())
    assert took.questions["q1"][1] > 5 * took.questions["q0"][1]  # 31 candidates, not 4
    assert sum(seconds for seconds, _ in took.questions.values()) < took.seconds


def test_a_question_with_several_right_answers_has_every_set_as_candidate() -> None:
    assert len(candidates(several(0))) == 31
    assert len(set(candidates(several(0)))) == 31
    assert candidates(question(0)) == [(0,), (1,), (2,), (3,)]


def test_predictions_hold_every_question_in_order_and_follow_from_their_scores(
    model: Path, tmp_path: Path
) -> None:
    rows = list(read_rows(sat(model, tmp_path, ASKED) / "predictions.jsonl"))
    assert [row["id"] for row in rows] == [each.id for each in ASKED]
    for row in rows:
        scores = [each["score"] for each in row["candidates"]]
        assert row["answer"] == row["candidates"][scores.index(max(scores))]["options"]
        assert row["correct"] == (row["answer"] == row["right"])
    assert rows[1]["right"] == [0, 2]
    assert "B. The kidney" in rows[0]["prompt"]


def test_a_candidates_likelihood_includes_the_token_that_ends_the_reply(
    model: Path, tmp_path: Path
) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    network, tokenizer = (
        kind.from_pretrained(model) for kind in (AutoModelForCausalLM, AutoTokenizer)
    )
    row = next(read_rows(sat(model, tmp_path, ASKED[:1]) / "predictions.jsonl"))
    prompt = prompts.prompt(tokenizer, row["prompt"], None)
    reply = [*prompts.text_ids(tokenizer, "The heart"), tokenizer.eos_token_id]
    first = row["candidates"][0]
    assert first["tokens"] == len(reply)
    assert first["logprob"] == pytest.approx(plainly(network, prompt, [reply])[0], abs=1e-3)


def test_the_protocol_hides_options_and_divides_by_length(model: Path, tmp_path: Path) -> None:
    for normalise in ("tokens", "characters"):
        folder = tmp_path / normalise
        folder.mkdir()
        protocol = SHOWN.model_copy(update={"options": "hidden", "normalise": normalise})
        row = next(read_rows(sat(model, folder, ASKED[:1], protocol) / "predictions.jsonl"))
        assert "kidney" not in row["prompt"]
        for each in row["candidates"]:
            text = row["texts"][each["options"][0]]
            length = each["tokens"] if normalise == "tokens" else len(text)
            assert each["score"] == pytest.approx(each["logprob"] / length, abs=1e-6)


def test_scores_count_what_the_predictions_say(model: Path, tmp_path: Path) -> None:
    out = sat(model, tmp_path, ASKED)
    rows, scores = list(read_rows(out / "predictions.jsonl")), read_json(out / "scores.json")
    correct = sum(row["correct"] for row in rows)
    assert scores["questions"] == 6
    assert scores["correct"] == correct
    assert scores["accuracy"] == pytest.approx(correct / 6, abs=1e-6)
    interval = (scores["wilson"]["low"], scores["wilson"]["high"])
    assert interval == pytest.approx(wilson(correct, 6, 0.95), abs=1e-6)
    subjects = scores["by_label"]["subject"]
    assert {value: each["questions"] for value, each in subjects.items()} == {
        "heart": 4,
        "kidney": 2,
    }
    assert sum(each["correct"] for each in subjects.values()) == correct


def test_baselines_are_what_guessing_would_reach(model: Path, tmp_path: Path) -> None:
    baselines = read_json(sat(model, tmp_path, ASKED) / "scores.json")["baselines"]
    assert baselines["random"] == pytest.approx((5 / 4 + 1 / 31) / 6, abs=1e-6)
    assert baselines["majority"] == pytest.approx(3 / 6, abs=1e-6)  # A: questions 0, 2, 4
    assert baselines["longest"] == pytest.approx(2 / 6, abs=1e-6)  # B: questions 3, 5


def test_the_same_exam_gives_the_same_bytes(model: Path, tmp_path: Path) -> None:
    folders = [tmp_path / "one", tmp_path / "two"]
    for folder in folders:
        folder.mkdir()
    one, two = (sat(model, folder, ASKED) for folder in folders)
    for file in ("predictions.jsonl", "scores.json"):
        assert (one / file).read_bytes() == (two / file).read_bytes()


def test_an_empty_exam_is_refused(model: Path, tmp_path: Path) -> None:
    with pytest.raises(Complaint, match=r"test\.jsonl: holds no question"):
        sat(model, tmp_path, [])


def test_too_many_options_for_every_set_are_refused(model: Path, tmp_path: Path) -> None:
    options = tuple("abcdefghi")
    with pytest.raises(Complaint, match=r"'q7' has 9 options"):
        sat(model, tmp_path, [question(7, kind="multiple", options=options)])


def test_kinds_that_cannot_be_asked_are_refused_in_one_message(model: Path, tmp_path: Path) -> None:
    asked = [question(0), question(1, kind="open", options=(), answers=())]
    asked.append(question(2, kind="progressive", form="single"))
    said = r"test\.jsonl: 2 of 3 questions are of another kind, first 'q1' \(open.*another protocol"
    with pytest.raises(Complaint, match=said):
        sat(model, tmp_path, asked)


def test_a_judgement_is_answered_like_a_single_choice(model: Path, tmp_path: Path) -> None:
    judged = question(0, kind="judgement", options=("yes", "no", "maybe"))
    out = sat(model, tmp_path, [judged])
    (row,) = read_rows(out / "predictions.jsonl")
    assert [each["options"] for each in row["candidates"]] == [[0], [1], [2]]


def test_a_question_longer_than_the_models_context_is_refused(model: Path, tmp_path: Path) -> None:
    with pytest.raises(Complaint, match=r"'q0' takes \d+ tokens .* at most the model's 512"):
        sat(model, tmp_path, [question(0, context="heart and lungs " * 300)])
