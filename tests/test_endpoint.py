from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import pytest
from served import Response, canned, completion, proxy, stub

from residency import endpoint as asking
from residency import replies
from residency.answers import Budget, Refused, Reply, Request, ask
from residency.endpoint import retry_after, settings
from residency.section import Complaint, Setback
from residency.served import Endpoint, Price, write_endpoint

CANARY = "sk-canary0123456789"
SCHEMA = {
    "type": "object",
    "properties": {"stem": {"type": "string"}, "answer": {"type": "integer"}},
    "required": ["stem", "answer"],
    "additionalProperties": False,
}
EURO = Price(currency="EUR", prompt=1000.0, reply=2000.0)


def request(number: int, **other: Any) -> Request:
    told: dict[str, Any] = {
        "system": "You write.",
        "user": f"Passage {number}",
        "schema": SCHEMA,
        "temperature": 0.0,
        "max_tokens": 20,
        "seed": 0,
    }
    return Request(**{**told, **other})


def model(folder: Path, url: str, **other: Any) -> Path:
    told: dict[str, Any] = {
        "url": url,
        "model": "gpt",
        "key": None,
        "price": None,
        "format": "schema",
        "limit": "max_tokens",
        "temperature": "told",
    }
    (folder / "model").mkdir(exist_ok=True)
    write_endpoint(Endpoint(**{**told, **other}), folder / "model")
    return folder / "model"


def texts(answers: Sequence[Reply | Refused | None]) -> list[str | None]:
    return [each.text if isinstance(each, Reply) else None for each in answers]


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asking, "FIRST", 0.005)
    monkeypatch.setattr(asking, "MOST", 0.02)
    for name in asking.VARIABLES:
        monkeypatch.delenv(f"RESIDENCY_{name.upper()}", raising=False)


def test_replies_come_in_the_order_of_the_requests_and_are_asked_once(tmp_path: Path) -> None:
    requests = [request(number) for number in (3, 1, 2, 1)]
    with stub() as server:
        place = model(tmp_path, server.url)
        first = ask(place, requests, Budget())
        again = ask(place, requests, Budget())
    assert again == first
    assert first[1] == first[3]
    assert len(server.asked) == 3
    for reply, asked in zip(first, requests, strict=True):
        assert isinstance(reply, Reply)
        body = next(b for b in server.asked if b["messages"][-1]["content"] == asked.user)
        assert reply.text == canned(body)
        assert set(json.loads(reply.text)) == {"stem", "answer"}
        assert reply.model == "gpt-stub"
        assert reply.finish == "stop"
        assert reply.cost is None


def test_what_shapes_a_reply_is_sent_and_nothing_else(tmp_path: Path) -> None:
    with stub() as server:
        ask(model(tmp_path, server.url), [request(1, temperature=0.7, seed=5)], Budget())
        plain = request(1, system="", schema=None, temperature=None)
        ask(model(tmp_path, server.url, limit="max_completion_tokens"), [plain], Budget())
    told = {"name": "reply", "strict": True, "schema": SCHEMA}
    assert server.asked == [
        {
            "model": "gpt",
            "seed": 5,
            "max_tokens": 20,
            "temperature": 0.7,
            "response_format": {"type": "json_schema", "json_schema": told},
            "messages": [
                {"role": "system", "content": "You write."},
                {"role": "user", "content": "Passage 1"},
            ],
        },
        {
            "model": "gpt",
            "seed": 0,
            "max_completion_tokens": 20,
            "messages": [{"role": "user", "content": "Passage 1"}],
        },
    ]
    assert "authorization" not in server.headers[0]


def test_a_conversation_is_sent_in_its_turns_and_its_server_may_keep_its_temperature(
    tmp_path: Path,
) -> None:
    asked = request(1, schema=None, earlier=(("Before?", "This."), ("And?", "That.")))
    with stub() as server:
        ask(model(tmp_path, server.url, temperature="own"), [asked], Budget())
        ask(model(tmp_path, server.url), [asked], Budget())
    own, told = server.asked
    assert own["messages"] == [
        {"role": "system", "content": "You write."},
        {"role": "user", "content": "Before?"},
        {"role": "assistant", "content": "This."},
        {"role": "user", "content": "And?"},
        {"role": "assistant", "content": "That."},
        {"role": "user", "content": "Passage 1"},
    ]
    assert own == {key: value for key, value in told.items() if key != "temperature"}
    assert told["temperature"] == 0.0


def test_servers_are_told_the_schema_in_the_declared_way(tmp_path: Path) -> None:
    with stub(lambda _: '```json\n{"a": 1}\n```') as server:
        ask(model(tmp_path, server.url, format="object"), [request(1)], Budget())
        (reply,) = ask(model(tmp_path, server.url, format="text"), [request(1)], Budget())
    assert server.asked[0]["response_format"] == {"type": "json_object", "schema": SCHEMA}
    assert "response_format" not in server.asked[1]
    assert json.dumps(SCHEMA) in server.asked[1]["messages"][0]["content"]
    assert texts([reply]) == ['{"a": 1}']


@pytest.mark.parametrize(
    "other",
    [
        {"system": "x"},
        {"user": "x"},
        {"schema": None},
        {"schema": {**SCHEMA, "properties": {"answer": {"type": "integer"}}}},
        {"temperature": 0.1},
        {"max_tokens": 9},
        {"seed": 1},
        {"earlier": (("x", "y"),)},
    ],
)
def test_another_request_is_another_key(other: dict[str, Any]) -> None:
    assert asking.key("m", request(1, **other)) != asking.key("m", request(1))


def test_a_changed_price_or_key_asks_nothing_anew_and_another_model_does(tmp_path: Path) -> None:
    with stub() as server:
        ask(model(tmp_path, server.url), [request(1)], Budget())
        (reply,) = ask(model(tmp_path, server.url, key="K", price=EURO), [request(1)], Budget())
        assert isinstance(reply, Reply)
        assert reply.cost == pytest.approx((4 * 1000 + reply.reply_tokens * 2000) / 1e6)
        assert len(server.asked) == 1
        ask(model(tmp_path, server.url, model="other"), [request(1)], Budget())
    assert len(server.asked) == 2


def test_no_more_requests_are_under_way_than_are_allowed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RESIDENCY_CONCURRENCY", "5")

    def slow(body: dict[str, Any]) -> Response:
        return Response(body=completion(body, "{}"), delay=0.02)

    with stub(slow) as server:
        ask(model(tmp_path, server.url), [request(number) for number in range(40)], Budget())
    assert server.most_under_way == 5


def test_requests_keep_the_declared_distance(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RESIDENCY_REQUESTS_PER_MINUTE", "1200")
    with stub() as server:
        started = time.monotonic()
        ask(model(tmp_path, server.url), [request(number) for number in range(8)], Budget())
    assert server.times[-1] - started >= 7 * 0.05


def test_one_answer_of_too_many_requests_holds_all_requests_back(tmp_path: Path) -> None:
    told: list[float] = []

    def limited(body: dict[str, Any]) -> str | Response:
        if body["messages"][-1]["content"] == "Passage 0" and not told:
            told.append(time.monotonic())
            return Response(body={}, status=429, headers={"Retry-After": "1"})
        return Response(body=completion(body, "{}"), delay=0.05)

    with stub(limited) as server:
        ask(model(tmp_path, server.url), [request(number) for number in range(60)], Budget())
    after = [when for when in server.times if when > told[0] + 0.03]
    assert min(after) - told[0] > 0.97
    assert len(server.asked) == 61


def test_a_pause_is_told_in_seconds_or_as_a_date() -> None:
    soon = format_datetime(datetime.now(UTC) + timedelta(seconds=30), usegmt=True)
    assert retry_after({"retry-after": "7"}) == 7
    assert 28 < (retry_after({"retry-after": soon}) or 0) <= 30
    assert retry_after({"retry-after": "Wed, 21 Oct 2015 07:28:00 GMT"}) == 0
    assert retry_after({"retry-after": "soon"}) is None
    assert retry_after({}) is None


def test_behind_a_faulty_proxy_the_replies_are_those_without_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    requests = [request(number) for number in range(150)]
    with stub() as server:
        undisturbed = texts(ask(model(tmp_path, server.url), requests, Budget()))
        monkeypatch.setenv("RESIDENCY_WORK", str(tmp_path / "other"))
        with proxy(server.url, seed=1) as faulty:
            disturbed = texts(ask(model(tmp_path, faulty.url), requests, Budget()))
    assert disturbed == undisturbed
    assert None not in undisturbed
    assert faulty.faults.keys() >= {"drop", "lose", "cut", "garble", "limit", "busy", "error"}


@pytest.mark.parametrize(
    "body",
    [
        "",
        "{",
        "[]",
        "null",
        {"choices": []},
        {"choices": [{"message": {}, "finish_reason": "stop"}]},
        {"choices": [{"message": {"content": 3}, "finish_reason": "stop"}]},
        {"error": {"message": "upstream", "code": 502}},
        b"\xff\xfe",
        "[" * 100_000,
    ],
)
def test_a_reply_that_is_not_what_was_agreed_is_asked_again(tmp_path: Path, body: Any) -> None:
    bad = [True]

    def once(asked: dict[str, Any]) -> str | Response:
        return Response(body=body) if bad and bad.pop() else canned(asked)

    with stub(once) as server:
        (reply,) = ask(model(tmp_path, server.url), [request(1)], Budget())
    assert isinstance(reply, Reply)
    assert len(server.asked) == 2


def test_half_a_surrogate_pair_becomes_a_replacement_character(tmp_path: Path) -> None:
    def odd(body: dict[str, Any]) -> Response:
        told = json.dumps(completion(body, "HERE"))
        return Response(body=told.replace("HERE", r"\ud83e\udec0 \ud800 \u2028"))

    with stub(odd) as server:
        place = model(tmp_path, server.url)
        (reply,) = ask(place, [request(1)], Budget())
        assert ask(place, [request(1)], Budget()) == [reply]
    assert texts([reply]) == ["🫀 \ufffd \u2028"]


def test_a_server_that_tells_no_tokens_is_charged_from_above_and_that_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def silent(body: dict[str, Any]) -> Response:
        return Response(body={**completion(body, "{}"), "usage": None})

    with stub(silent) as server:
        (reply,) = ask(model(tmp_path, server.url), [request(1)], Budget())
    assert isinstance(reply, Reply)
    assert reply.estimated
    assert reply.reply_tokens == 20
    assert "estimated from above" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("status", "message"),
    [
        (401, r"environment variable SECRET is not accepted \(401 Unauthorized\)"),
        (402, "the account is empty"),
        (403, "what the key in SECRET may do"),
        (404, "has no model 'gpt'"),
        (307, "a key goes to the declared address alone"),
    ],
)
def test_what_no_request_can_pass_stops_at_once_and_says_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, status: int, message: str
) -> None:
    monkeypatch.setenv("SECRET", CANARY)
    monkeypatch.setenv("RESIDENCY_CONCURRENCY", "4")
    told = {"error": {"message": f"bad key {CANARY} Bearer {CANARY} sk-can***789"}}
    headers = {"Location": "http://127.0.0.1:9/v1"}
    with stub(lambda _: Response(body=told, status=status, headers=headers)) as server:
        place = model(tmp_path, server.url, key="SECRET")
        with pytest.raises(Complaint, match=message) as complaint:
            ask(place, [request(number) for number in range(50)], Budget())
    assert len(server.asked) <= 4
    assert "canary" not in str(complaint.value)
    assert "sk-can" not in str(complaint.value)


def test_an_account_without_credit_is_not_waited_for(tmp_path: Path) -> None:
    told = {"error": {"message": "You exceeded your quota", "code": "insufficient_quota"}}
    with (
        stub(lambda _: Response(body=told, status=429)) as server,
        pytest.raises(Complaint, match=r"the account is empty .*0 replies are stored"),
    ):
        ask(model(tmp_path, server.url), [request(1)], Budget())


@pytest.mark.parametrize("value", [None, "", "two words", "wörter"])
def test_a_key_that_cannot_be_is_told_by_its_variable_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, value: str | None
) -> None:
    monkeypatch.delenv("SECRET", raising=False)
    if value is not None:
        monkeypatch.setenv("SECRET", value)
    with stub() as server, pytest.raises(Complaint, match="environment variable SECRET") as told:
        ask(model(tmp_path, server.url, key="SECRET"), [request(1)], Budget())
    assert not value or value not in str(told.value)
    assert not server.asked


def test_a_single_request_that_is_refused_is_told_apart(tmp_path: Path) -> None:
    def picky(body: dict[str, Any]) -> str | Response:
        if body["messages"][-1]["content"] in ("Passage 0", "Passage 3"):
            return Response(body={"error": {"message": "flagged"}}, status=400)
        return canned(body)

    with stub(picky) as server:
        place = model(tmp_path, server.url)
        answers = ask(place, [request(number) for number in range(6)], Budget())
        alone = ask(place, [request(3)], Budget())
    assert [isinstance(each, Refused) for each in answers] == [
        True,
        *[False] * 2,
        True,
        *[False] * 2,
    ]
    assert isinstance(answers[0], Refused)
    assert answers[0].reason == "request refused"
    assert answers[0].detail == "400 Bad Request: flagged"
    assert alone == [answers[3]]


def test_a_server_that_insists_on_its_temperature_is_told_how_to_be_declared(
    tmp_path: Path,
) -> None:
    told = Response(body={"error": {"message": "temperature does not support 0"}}, status=400)
    with stub(lambda _: told) as server, pytest.raises(Complaint, match="`temperature: own`"):
        ask(model(tmp_path, server.url), [request(1)], Budget())


@pytest.mark.parametrize("number", [1, 3, 40])
def test_a_server_that_refuses_every_request_is_not_asked_to_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    monkeypatch.setenv("RESIDENCY_CONCURRENCY", "8")
    told = Response(body={"error": {"message": "response_format is not supported"}}, status=400)
    with stub(lambda _: told) as server, pytest.raises(Complaint, match="declare object or text"):
        ask(model(tmp_path, server.url), [request(each) for each in range(number)], Budget())
    assert len(server.asked) <= min(number, 8 + 4)


def test_refusals_and_filtered_replies_are_paid_stored_and_refused(tmp_path: Path) -> None:
    def refusing(body: dict[str, Any]) -> Response:
        told = completion(body, "")
        if body["messages"][-1]["content"] == "Passage 0":
            told["choices"][0]["message"] = {"content": None, "refusal": "I cannot help"}
        else:
            told["choices"][0]["finish_reason"] = "content_filter"
        return Response(body=told)

    with stub(refusing) as server:
        place = model(tmp_path, server.url)
        budget = Budget()
        answers = ask(place, [request(0), request(1)], budget)
        assert ask(place, [request(0), request(1)], Budget()) == answers
    assert len(server.asked) == 2
    assert [each.reason for each in answers if isinstance(each, Refused)] == [
        "refused by the model",
        "content filter",
    ]
    assert budget.spent_tokens > 0


def test_a_server_that_stays_away_is_given_up_with_how_to_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with stub() as server:
        place = model(tmp_path, server.url)
        ask(place, [request(1), request(2)], Budget())
    monkeypatch.setattr(asking, "PATIENCE", 0.2)
    with pytest.raises(Setback, match=r"no reply for .*2 replies are stored in .*same command"):
        ask(place, [request(number) for number in range(5)], Budget())


def test_a_server_that_fails_over_the_schema_is_given_up_with_the_cure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As llama-cpp-python does, by status 500."""
    monkeypatch.setattr(asking, "STRANGE", 0.1)
    told = Response(body={"error": {"message": "body.response_format.type"}}, status=500)
    with stub(lambda _: told) as server, pytest.raises(Complaint, match="declare object or text"):
        ask(model(tmp_path, server.url), [request(1)], Budget())


def test_a_server_that_hangs_is_asked_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RESIDENCY_REQUEST_SECONDS", "1")
    hung: list[int] = []

    def hanging(body: dict[str, Any]) -> str | Response:
        hung.append(1)
        return Response(body="", delay=5) if len(hung) == 1 else canned(body)

    with stub(hanging) as server:
        (reply,) = ask(model(tmp_path, server.url), [request(1)], Budget())
    assert isinstance(reply, Reply)
    assert len(server.asked) == 2


@pytest.mark.parametrize("fault", [Response(body={}, status=500), Response(body="", delay=5)])
def test_one_request_that_always_fails_is_refused_and_the_others_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: Response
) -> None:
    if fault.delay:
        monkeypatch.setenv("RESIDENCY_REQUEST_SECONDS", "1")
        monkeypatch.setattr(asking, "PATIENCE", 0.9)

    def answer(body: dict[str, Any]) -> str | Response:
        return fault if body["messages"][-1]["content"] == "Passage 3" else canned(body)

    requests = [request(number) for number in range(5)]
    budget = Budget()
    with stub(answer) as server:
        place = model(tmp_path, server.url, price=EURO)
        first = ask(place, requests, budget)
        asked = len(server.asked)
        again = ask(place, requests, Budget())  # nothing but the one that fails is left
    for answers in (first, again):
        refused = answers[3]
        assert isinstance(refused, Refused)
        assert refused.reason == "no reply"
        assert refused.detail == (
            "no reply in 1 seconds" if fault.delay else "500 Internal Server Error: {}"
        )
        assert all(isinstance(each, Reply) for each in answers[:3] + answers[4:])
    probes = [body for body in server.asked if body["messages"][-1]["content"] == asking.PROBE]
    assert len(probes) == 2
    assert probes[0]["response_format"]  # as the one that fails
    assert len(server.asked) == asked + (1 if fault.delay else asking.TRIES) + 1
    paid = [each.cost for each in first if isinstance(each, Reply)]
    assert float(budget.spent_money) > sum(each or 0 for each in paid)


def test_a_server_that_goes_away_refuses_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(asking, "PATIENCE", 0.6)
    asked: list[int] = []

    def answer(body: dict[str, Any]) -> str | Response:
        asked.append(1)
        return Response(body={}, status=500) if len(asked) > 3 else canned(body)

    with stub(answer) as server, pytest.raises(Setback, match=r"no reply for .* 3 replies are"):
        ask(model(tmp_path, server.url), [request(number) for number in range(8)], Budget())
    assert len(asked) > 5 * asking.TRIES


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), RuntimeError("odd")])
def test_what_cannot_be_stored_is_one_message_and_is_paid(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    monkeypatch.setenv("RESIDENCY_CONCURRENCY", "1")
    whole, kept = replies.Store.keep, []

    def keep(store: replies.Store, answers: Sequence[replies.Answer]) -> None:
        kept.append(1)
        if len(kept) == 3:
            raise error
        whole(store, answers)

    monkeypatch.setattr(replies.Store, "keep", keep)
    budget = Budget()
    with stub() as server:
        place = model(tmp_path, server.url, price=EURO)
        told = r"a reply cannot be stored \(.*(space|odd).*; 2 replies are stored in "
        with pytest.raises(Complaint, match=told):
            ask(place, [request(number) for number in range(8)], budget)
        assert len(server.asked) == 3
        assert budget.idle
        stored = Budget()
        ask(place, [request(0), request(1)], stored)
    assert len(server.asked) == 3
    assert budget.spent_money > stored.spent_money


@pytest.mark.parametrize(
    ("name", "value"),
    [("CONCURRENCY", "0"), ("REQUESTS_PER_MINUTE", "many"), ("REQUEST_SECONDS", "1.5")],
)
def test_a_variable_that_makes_no_sense_is_refused_by_name(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(f"RESIDENCY_{name}", value)
    with pytest.raises(Complaint, match=f"RESIDENCY_{name}: expected a whole number"):
        settings()


def uneven(body: dict[str, Any]) -> Response:
    """Replies of other lengths, in other orders."""
    number = int(body["messages"][-1]["content"].split()[1])
    text = " ".join(["word"] * (number * 7 % 19))
    return Response(body=completion(body, text), delay=number * 13 % 7 / 500)


@pytest.mark.parametrize("limit", [{"tokens": 800}, {"money": Decimal(1)}])
def test_the_budget_admits_the_same_requests_however_many_are_under_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: dict[str, Any]
) -> None:
    requests = [request(number) for number in range(60)]
    found = []
    with stub(uneven) as server:
        place = model(tmp_path, server.url, price=EURO)
        for concurrency in (1, 2, 7, 33, 60):
            monkeypatch.setenv("RESIDENCY_CONCURRENCY", str(concurrency))
            monkeypatch.setenv("RESIDENCY_WORK", str(tmp_path / str(concurrency)))
            budget = Budget(**limit)
            answers = ask(place, requests, budget)
            assert budget.stopped
            assert budget.idle
            found.append((texts(answers), budget.spent_tokens, budget.spent_money))
            resumed = Budget(**limit)
            assert ask(place, requests, resumed) == answers
            assert resumed.spent_money == budget.spent_money
    assert all(each == found[0] for each in found)
    answered, tokens, money = found[0]
    admitted = sum(each is not None for each in answered)
    assert 10 < admitted < 60
    assert answered[admitted:] == [None] * (60 - admitted)
    assert tokens <= 800 or "money" in limit
    assert money <= 1 or "tokens" in limit


def test_a_budget_holds_over_several_calls_and_charges_a_request_once(tmp_path: Path) -> None:
    with stub(uneven) as server:
        place = model(tmp_path, server.url)
        budget = Budget(tokens=1000)
        first = ask(place, [request(1)], budget)
        spent = budget.spent_tokens
        assert ask(place, [request(1)], budget) == first
        assert budget.spent_tokens == spent
        assert ask(place, [request(2, max_tokens=2000)], budget) == [None]
        assert None not in ask(place, [request(3)], budget)
        assert budget.spent_tokens > spent


# Ctrl-C is ignored where the tests run in a shell's background.
CHILD = """
import signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)
from pathlib import Path
from test_endpoint import request
from residency.answers import Budget, ask
from residency.step import complaints
with complaints():
    answers = ask(Path(sys.argv[1]), [request(n) for n in range(int(sys.argv[2]))], Budget())
    print(len([each for each in answers if each]))
"""


def child(place: Path, number: int, **environment: str) -> subprocess.Popen[str]:
    path = os.pathsep.join([str(Path(__file__).parent), *sys.path])
    return subprocess.Popen(
        [sys.executable, "-c", CHILD, str(place), str(number)],
        env={**os.environ, "PYTHONPATH": path, **environment},
        cwd=place.parent,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_a_process_killed_in_the_middle_loses_only_what_was_under_way(tmp_path: Path) -> None:
    def slow(body: dict[str, Any]) -> Response:
        return Response(body=completion(body, "{}"), delay=0.05)

    with stub(slow) as server:
        place = model(tmp_path, server.url)
        killed = child(place, 120, RESIDENCY_CONCURRENCY="8")
        while len(server.asked) < 60:
            assert killed.poll() is None
            time.sleep(0.01)
        killed.send_signal(signal.SIGKILL)
        killed.wait()
        time.sleep(0.1)
        asked = len(server.asked)
        assert asked < 120
        said, errors = child(place, 120, RESIDENCY_CONCURRENCY="8").communicate(timeout=60)
    assert said.strip() == "120", errors
    assert len(server.asked) - 120 <= 8
    assert len(server.users()) == 120


@pytest.mark.parametrize("status", [200, 401, 500])
def test_the_key_is_nowhere_but_in_the_request(tmp_path: Path, status: int) -> None:
    """Whatever a server echoes, in bodies or in headers."""

    def echoing(body: dict[str, Any]) -> Response:
        said = f"your key {CANARY} of Bearer {CANARY}"
        if status == 200:
            return Response(body={**completion(body, said), "model": CANARY})
        told = {"error": {"message": said, "code": "insufficient_quota"}}
        return Response(body=told, status=status, headers={"X-Key": CANARY})

    with stub(echoing) as server:
        place = model(tmp_path, server.url, key="SECRET")
        done = child(place, 3, SECRET=CANARY, RESIDENCY_WORK="work")
        if status == 500:
            while not server.asked and done.poll() is None:
                time.sleep(0.01)
            done.send_signal(signal.SIGINT)
        said, errors = done.communicate(timeout=60)
    assert server.headers[0]["authorization"] == f"Bearer {CANARY}"
    assert (done.returncode == 0) == (status == 200), errors
    assert "canary" not in said + errors
    written = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert written
    assert not [path for path in written if b"canary" in path.read_bytes()]
    if status == 200:
        assert "***" in "".join(p.read_text() for p in (tmp_path / "work/replies").iterdir())


def test_a_key_that_a_server_writes_in_json_its_own_way_is_not_stored(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """PHP writes / as \\/; others escape any character."""
    secret = "canary/0123=="
    monkeypatch.setenv("SECRET", secret)

    def echoing(body: dict[str, Any]) -> Response:
        told = json.dumps({**completion(body, f"your key {secret}"), "model": secret})
        escaped = told.replace("/", "\\/").replace("=", "\\u003d")
        return Response(body=escaped.encode())

    with stub(echoing) as server:
        (reply,) = ask(model(tmp_path, server.url, key="SECRET"), [request(1)], Budget())
    assert isinstance(reply, Reply)
    assert (reply.text, reply.model) == ("your key ***", "***")
    (segment,) = replies.folder().iterdir()
    assert b"canary" not in segment.read_bytes()


def test_more_tokens_than_can_be_are_not_believed(tmp_path: Path) -> None:
    def boasting(body: dict[str, Any]) -> Response:
        usage = {"prompt_tokens": 10**30, "completion_tokens": 1}
        told = {**completion(body, "half \ud83d of a pair"), "usage": usage}
        return Response(body=json.dumps(told).encode())

    with stub(boasting) as server:
        (reply,) = ask(model(tmp_path, server.url), [request(1)], Budget())
    assert isinstance(reply, Reply)
    assert reply.estimated


def test_another_store_is_not_looked_into(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with stub() as server:
        place = model(tmp_path, server.url)
        ask(place, [request(1)], Budget())
        monkeypatch.setenv("RESIDENCY_WORK", str(tmp_path / "new"))
        ask(place, [request(1)], Budget())
    assert len(server.asked) == 2
    assert len(replies.store()) == 1
