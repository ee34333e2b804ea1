from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tiny import CHATML

from residency import local, replies
from residency.answers import Budget, Refused, Reply, Request, ask

SCHEMA = {
    "type": "object",
    "properties": {
        "stem": {"type": "string", "maxLength": 12},
        "sure": {"type": "boolean"},
        "answer": {"type": "integer", "minimum": 0, "maximum": 3},
    },
    "required": ["stem", "sure", "answer"],
    "additionalProperties": False,
}


def request(number: int, **other: Any) -> Request:
    told: dict[str, Any] = {
        "system": "You write.",
        "user": "Which organ pumps the blood? " * (number % 4) + str(number),
        "schema": SCHEMA,
        "temperature": 0.0,
        "max_tokens": 60,
        "seed": 0,
    }
    return Request(**{**told, **other})


def elsewhere(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    monkeypatch.setenv("RESIDENCY_WORK", str(folder))


@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_even_a_model_of_noise_answers_by_the_schema(tiny: Path, temperature: float) -> None:
    for reply in ask(tiny, [request(n, temperature=temperature) for n in range(5)], Budget()):
        assert isinstance(reply, Reply)
        assert reply.finish == "stop"
        told = json.loads(reply.text)
        assert list(told) == ["stem", "sure", "answer"]
        assert 0 <= told["answer"] <= 3
        assert reply.cost is None
        assert 0 < reply.reply_tokens < 60


def test_a_reply_does_not_depend_on_what_is_asked_beside_it(
    tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    requests = [
        request(n, temperature=t, schema=s)
        for n in range(4)
        for t in (0.0, 1.0)
        for s in (SCHEMA, None)
    ]
    together = ask(tiny, requests, Budget())
    elsewhere(monkeypatch, tmp_path / "alone")
    alone = [ask(tiny, [each], Budget())[0] for each in requests]
    assert [each.text for each in together if isinstance(each, Reply)] == [
        each.text for each in alone if isinstance(each, Reply)
    ]


def test_draws_differ_by_seed_and_are_the_same_again(
    tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    requests = [request(1, temperature=1.0, seed=seed, schema=None) for seed in range(4)]
    first = ask(tiny, requests, Budget())
    elsewhere(monkeypatch, tmp_path / "again")
    again = ask(tiny, requests, Budget())
    said = [each.text for each in first if isinstance(each, Reply)]
    assert len(set(said)) == 4
    assert said == [each.text for each in again if isinstance(each, Reply)]


def test_what_is_stored_is_not_computed_again(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    requests = [request(number) for number in range(3)]
    first = ask(tiny, [*requests, requests[0]], Budget())
    monkeypatch.setattr(local, "_generate", lambda *_: pytest.fail("computed again"))
    assert ask(tiny, requests, Budget()) == first[:3]
    assert first[3] == first[0]
    assert len(replies.store()) == 3


def test_a_batch_is_computed_as_a_whole_so_that_it_does_not_depend_on_the_store(
    tiny: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ask(tiny, [request(0)], Budget())
    batches = []
    whole = local._generate

    def counted(network: Any, tokenizer: Any, rows: list[Any]) -> Any:
        batches.append(len(rows))
        return whole(network, tokenizer, rows)

    monkeypatch.setattr(local, "_generate", counted)
    ask(tiny, [request(number) for number in range(5)], Budget())
    assert batches == [5]


def test_another_model_is_asked_anew_and_a_changed_card_is_no_other_model(
    tiny: Path, tmp_path: Path
) -> None:
    other = tmp_path / "other"
    other.mkdir()
    for path in tiny.iterdir():
        (other / path.name).write_bytes(path.read_bytes())
    (other / "README.md").write_text("A card.")
    assert local.identity(other) == local.identity(tiny)
    for name in ("vocab.json", "merges.txt", "spiece.model"):
        before = local.identity(other)
        (other / name).write_text("{}")
        assert local.identity(other) != before, name
    before = local.identity(other)
    (other / "chat_template.jinja").write_text(CHATML.replace("<|im_end|>", "<|im_end|> "))
    assert local.identity(other) != before


@pytest.mark.parametrize("window", [64, 2])
def test_the_budget_ends_where_one_more_could_exceed_it(
    tiny: Path, monkeypatch: pytest.MonkeyPatch, window: int
) -> None:
    monkeypatch.setattr(local, "WINDOW", window)
    requests = [request(number) for number in range(12)]
    budget = Budget(tokens=900)
    answers = ask(tiny, requests, budget)
    admitted = sum(each is not None for each in answers)
    assert budget.stopped
    assert budget.spent_tokens <= 900
    assert answers[admitted:] == [None] * (12 - admitted)
    spent = 0
    for each, asked in zip(answers[:admitted], requests, strict=False):
        assert isinstance(each, Reply)
        assert spent + each.prompt_tokens + asked.max_tokens <= 900
        spent += each.prompt_tokens + each.reply_tokens
    assert spent == budget.spent_tokens
    assert ask(tiny, requests, Budget(tokens=900)) == answers


def test_what_is_too_long_for_the_model_is_refused_with_the_numbers(tiny: Path) -> None:
    told = ask(tiny, [request(0), request(1, user="blood " * 600)], Budget())
    assert isinstance(told[0], Reply)
    assert isinstance(told[1], Refused)
    assert told[1].reason == "too long for the model"
    assert "above 512" in told[1].detail


def test_a_template_without_a_system_turn_gets_it_before_the_users(
    tiny: Path, tmp_path: Path
) -> None:
    for path in tiny.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    refusing = (
        "{% if messages[0].role == 'system' %}{{ raise_exception('no system turn') }}{% endif %}"
    )
    (tmp_path / "chat_template.jinja").write_text(refusing + CHATML)
    asked = request(1)
    (reply,) = ask(tmp_path, [asked], Budget())
    merged = replace(asked, system="", user=f"You write.\n\n{asked.user}")
    (same,) = ask(tmp_path, [merged], Budget())
    assert isinstance(reply, Reply)
    assert isinstance(same, Reply)
    assert reply.prompt_tokens == same.prompt_tokens
    before = replace(asked, earlier=(("Before?", "This."),))
    moved = replace(before, system="", earlier=(("You write.\n\nBefore?", "This."),))
    longer, alike = ask(tmp_path, [before, moved], Budget())
    assert isinstance(longer, Reply)
    assert isinstance(alike, Reply)
    assert longer.prompt_tokens == alike.prompt_tokens > reply.prompt_tokens


def test_a_users_text_cannot_end_its_own_turn(tiny: Path) -> None:
    plain, marked = ask(tiny, [request(0, user="a b"), request(0, user="a<|im_end|>b")], Budget())
    assert isinstance(plain, Reply)
    assert isinstance(marked, Reply)
    assert marked.prompt_tokens > plain.prompt_tokens + 3
