"""Exams sat by a served model, against a stub; only the model is not real."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from authors import schema_of
from served import Response, Served, canned, completion, proxy, stub
from test_evaluate import ASKED, question
from test_protocols import CASE, SINGLE, declared
from test_write_model import PRICE, served

from residency.evaluate import EITHER, PROTOCOLS, WRITTEN, evaluate
from residency.files import read_json, read_rows, write_rows
from residency.records import Question
from residency.section import Complaint


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("RESIDENCY_WORK", raising=False)


class Sat:
    """What an evaluation wrote."""

    def __init__(self, out: Path) -> None:
        self.rows = list(read_rows(out / "predictions.jsonl"))
        self.scores = read_json(out / "scores.json")
        self.replies = list(read_rows(out / "replies.jsonl"))
        self.bytes = {each.name: each.read_bytes() for each in out.iterdir()}


def sat(
    protocol: Any,
    url: str,
    asked: Sequence[Question] = SINGLE,
    shown: Sequence[Question] = (),
    price: Any = None,
    form: str = "schema",
) -> Sat:
    out = Path(f"out{len(list(Path().glob('out*')))}")
    out.mkdir()
    write_rows(Path("test.jsonl"), asked)
    write_rows(Path("train.jsonl"), shown)
    model = served("teacher", url, price, form)
    evaluate(protocol, model, Path("test.jsonl"), out, Path("train.jsonl"))
    return Sat(out)


def right(body: dict[str, Any]) -> str:
    """The first allowed answer, else a text that names the heart."""
    if "response_format" not in body:
        return " The heart\n\nbecause it is. "
    return json.dumps({"answer": schema_of(body)["properties"]["answer"]["enum"][0]})


def users(server: Served) -> list[str]:
    return [body["messages"][-1]["content"] for body in server.asked]


def writing(kind: str) -> Any:
    """A protocol of that kind that only needs what a model writes."""
    return declared(kind, **({"by": "generation"} if kind in EITHER else {}))


@pytest.mark.parametrize("kind", [*WRITTEN, *EITHER])
def test_bytes_do_not_depend_on_how_it_is_asked_and_nothing_is_asked_twice(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with stub() as server:
        monkeypatch.setenv("RESIDENCY_CONCURRENCY", "1")
        questions = CASE if kind == "progressive" else SINGLE[:3]
        one = sat(writing(kind), server.url, questions)
        asked = len(server.asked)
        again = sat(writing(kind), server.url, questions)
        assert len(server.asked) == asked == one.scores["asked"]["requests"]
        monkeypatch.setenv("RESIDENCY_CONCURRENCY", "8")
        monkeypatch.setenv("RESIDENCY_WORK", "elsewhere")
        with proxy(server.url, seed=3, faults={"delay": 0.3, "limit": 0.1}) as faulty:
            many = sat(writing(kind), faulty.url, questions)
    assert again.bytes == one.bytes
    assert many.bytes["predictions.jsonl"] == one.bytes["predictions.jsonl"]
    assert [row["id"] for row in one.rows] == [each.id for each in questions]
    assert set(PROTOCOLS) - {*WRITTEN, *EITHER} == {"likelihood"}
    assert [row["about"] for row in many.replies] == [row["about"] for row in one.replies]
    assert one.scores["protocol"] == {"kind": kind, "version": 1}
    assert one.scores["asked"]["models"] == ["teacher-stub"]


def test_the_allowed_answers_are_told_as_a_schema_and_nothing_else_is_an_answer() -> None:
    said = iter(['{"answer": "The lungs"}', '{"answer": "The spleen"}', "The brain", "[1]", "{}"])

    def answer(body: dict[str, Any]) -> str:
        assert schema_of(body)["properties"]["answer"]["enum"] == list(SINGLE[0].options)
        return next(said)

    asked = [question(number) for number in range(5)]
    with pytest.MonkeyPatch.context() as patch, stub(answer) as server:
        patch.setenv("RESIDENCY_CONCURRENCY", "1")
        found = sat(declared("generate", answer="constrained"), server.url, asked)
    assert [row["answer"] for row in found.rows] == [[2], None, [3], None, None]
    assert found.scores["unparsed"] == 3


def test_of_several_right_answers_every_set_is_allowed() -> None:
    with stub(canned) as server:
        found = sat(declared("generate", answer="constrained"), server.url, ASKED[:2])
        (several,) = [body for body in server.asked if "Several" in body["messages"][-1]["content"]]
    assert len(schema_of(several)["properties"]["answer"]["enum"]) == 31
    assert all(row["answer"] for row in found.rows)


def test_examples_and_what_was_said_before_are_earlier_turns() -> None:
    shown = [question(9, id="shown", stem="Shown?")]
    with stub(right) as server:
        sat(declared("generate", few_shot={"count": 1, "seed": 0}), server.url, shown=shown)
        first = server.asked[0]["messages"]
        sat(declared("voc", system="Be brief."), server.url, SINGLE[:1])
        last = server.asked[-1]["messages"]
    assert [turn["role"] for turn in first] == ["user", "assistant", "user"]
    assert first[0]["content"].startswith("Shown?")
    assert first[1]["content"] == "The kidney of the body"
    assert [turn["role"] for turn in last] == ["system", "user", "assistant", "user"]
    assert last[0]["content"] == "Be brief."
    assert last[2]["content"] == "The heart\n\nbecause it is."


def test_each_sample_is_asked_for_by_itself() -> None:
    with stub() as server:
        found = sat(declared("self_consistency", samples=4), server.url, SINGLE[:2])
        seeds = {(body["messages"][-1]["content"], body["seed"]) for body in server.asked}
    assert len(seeds) == len(server.asked) == 8
    assert {body["temperature"] for body in server.asked} == {1.0}
    assert len({row["key"] for row in found.replies}) == 8
    assert [row["about"] for row in found.replies] == ["q0"] * 4 + [SINGLE[1].id] * 4


def test_what_it_costs_stands_in_its_scores() -> None:
    with stub() as server:
        found = sat(declared("generate"), server.url, price=PRICE)
    told = found.scores["asked"]
    money = (told["prompt_tokens"] + 2 * told["reply_tokens"]) / 1_000_000
    assert told["money"] == pytest.approx(money, abs=1e-6)
    assert told["currency"] == "USD"
    assert told["money_per_question"] == pytest.approx(money / len(SINGLE), abs=1e-6)
    assert sum(row["prompt_tokens"] for row in found.replies) == told["prompt_tokens"]


def test_an_exam_beyond_its_budget_has_no_score_and_goes_on_once_it_is_raised() -> None:
    asked = [question(number) for number in range(20)]
    tight = {"money": 0.0008, "tokens": None}
    with stub(right) as server:
        with pytest.raises(Complaint) as refused:
            sat(declared("generate", budget=tight), server.url, asked, price=PRICE)
        told, before = str(refused.value), len(server.asked)
        assert 0 < before < 20
        assert f"protocol.budget: teacher has replied to {before} of 20 requests for" in told
        assert "USD" in told
        assert "nothing is paid twice" in told
        assert not list(Path("out0").iterdir())
        with pytest.raises(Complaint, match=f"replied to {before} of 20"):
            sat(declared("generate", budget=tight), server.url, asked, price=PRICE)
        assert len(server.asked) == before
        sat(declared("generate", budget={"money": 1.0, "tokens": None}), server.url, asked)
        assert len(server.asked) == 20


def test_a_refused_question_is_wrong_and_told_with_its_reason() -> None:
    def answer(body: dict[str, Any]) -> str | Response:
        if "case 0" not in body["messages"][-1]["content"]:
            return right(body)
        return Response(body={"error": {"message": "not about hearts"}}, status=400)

    for kind in (*WRITTEN, "permuted", "propositions"):
        with stub(answer) as server:
            found = sat(writing(kind), server.url)
        assert found.rows[0]["refused"] == "request refused"
        assert not found.rows[0]["correct"] or kind == "voc"  # which goes on with what it has
        assert "refused" not in found.rows[1]
        reasons = found.scores["asked"]["reasons"]
        assert reasons == {"request refused": found.scores["asked"]["refused"]}
        (first, *_) = [row for row in found.replies if "refused" in row]
        assert first["about"] == "q0"
        assert "not about hearts" in first["detail"]


def test_a_key_is_in_nothing_that_is_written(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EXAM_KEY", "sk-canary-not-to-be-seen")

    def answer(body: dict[str, Any]) -> Response:
        return Response(body=completion(body, "your key is sk-canary-not-to-be-seen"))

    with stub(answer) as server:
        folder = served("teacher", server.url)
        values = read_json(folder / "endpoint.json") | {"key": "EXAM_KEY"}
        (folder / "endpoint.json").write_text(json.dumps(values))
        write_rows(Path("test.jsonl"), SINGLE)
        Path("out").mkdir()
        evaluate(declared("generate"), folder, Path("test.jsonl"), Path("out"))
        assert server.headers[0]["authorization"] == "Bearer sk-canary-not-to-be-seen"
    written = [path for path in Path().rglob("*") if path.is_file()]
    assert any(path.parts[0] == "work" for path in written)
    assert not [path for path in written if b"canary" in path.read_bytes()]


def test_a_server_that_is_told_the_schema_in_the_prompt_may_fence_its_json() -> None:
    def answer(body: dict[str, Any]) -> str:
        assert "JSON schema" in body["messages"][0]["content"]
        return '```json\n{"answer": "B"}\n```'

    with stub(answer) as server:
        protocol = declared("generate", answer="constrained", of="letter")
        found = sat(protocol, server.url, form="text")
    assert [row["answer"] for row in found.rows] == [[1]] * len(SINGLE)
