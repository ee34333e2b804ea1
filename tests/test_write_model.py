"""Questions by a served model, end to end against a stub; only the model is not real."""

from __future__ import annotations

import contextlib
import json
import os
import random
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from authors import author, fenced, schema_of
from project import REPOSITORY, Project
from ruamel.yaml import YAML
from served import Response, completion, stub
from test_write import CHECKS, KNOWN, TOWNS, document

from residency import declaration, graph
from residency.files import read_json, read_rows, write_json, write_rows
from residency.records import Document, Question, questions
from residency.section import Complaint
from residency.write import Questions, write

NAMES = ["tarn", "moor", "cairn", "beck", "fell"]
BOOK = [
    document(
        f"d{number}",
        "\n\n".join(
            f"The {name} of {place} holds {number}{row} stones. Nobody counts the {name} at "
            f"{place} by night. In {place} each {name} is older than the road to {row}{number}."
            for row, place in enumerate(["Osk", "Yelm", "Vosk", "Marr"])
        ),
    )
    for number, name in enumerate(NAMES)
]
WRITER: dict[str, Any] = {
    "kind": "model", "model": "teacher", "how_many": {"single": 1}, "options": 4,
    "passage_words": 60, "examples": None, "evidence": "quote",
    "difficulty": None, "language": None, "prompt": None,
    "temperature": 0.0, "max_tokens": 300, "seed": 0,
}  # fmt: skip
PRICE = {"currency": "USD", "prompt": 1.0, "reply": 2.0}


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("RESIDENCY_WORK", raising=False)  # replies lie below each folder


def served(name: str, url: str, price: Any = None, format: str = "schema") -> Path:
    """The folder of a served model."""
    folder = Path("build/models", name)
    folder.mkdir(parents=True, exist_ok=True)
    values = {"url": url, "model": name, "key": None, "price": price, "format": format}
    write_json(folder / "endpoint.json", values | {"limit": "max_tokens", "temperature": "told"})
    return folder


class Written:
    """What a run wrote."""

    def __init__(self, out: Path) -> None:
        self.kept = list(questions(out / "questions.jsonl"))
        self.rejected = list(read_rows(out / "rejected.jsonl"))
        self.counts = read_json(out / "counts.json")
        self.replies = list(read_rows(out / "replies.jsonl"))
        self.bytes = {each.name: each.read_bytes() for each in out.iterdir()}


def run(
    url: str,
    documents: list[Document] = BOOK,
    *,
    judges: list[str] | None = None,
    budget: Any = None,
    checks: Any = None,
    exams: list[Path] | None = None,
    shown: Path | None = None,
    price: Any = None,
    **writer: Any,
) -> Written:
    out = Path(f"out{len(list(Path().glob('out*')))}")
    out.mkdir()
    Path("corpus").mkdir(exist_ok=True)
    write_rows(Path("corpus/documents.jsonl"), documents)
    section = Questions.model_validate(
        {
            "corpus": "c",
            "writer": WRITER | writer,
            "verify": {"judges": judges, "max_tokens": 50} if judges else None,
            "budget": budget,
            "checks": CHECKS | (checks or {}),
            "decontaminate": KNOWN,
        }
    )
    bench = [served(each, url, price) for each in judges or []]
    model = served("teacher", url, price)
    write(section, Path("corpus"), exams or [], model, bench, shown, out)
    return Written(out)


def changed(edit: Callable[[dict[str, Any], str], Any]) -> Callable[[dict[str, Any]], str]:
    """A writer whose questions are edited: `edit(values, user)` in place."""

    def answer(body: dict[str, Any]) -> str:
        values = json.loads(author(body))
        if "quote" in values or "case" in values:
            edit(values, body["messages"][-1]["content"])
        return json.dumps(values)

    return answer


def is_writing(body: dict[str, Any]) -> bool:
    return "quote" in json.dumps(schema_of(body))


def test_every_kind_is_kept_with_its_evidence() -> None:
    kinds = ["single", "multiple", "judgement", "propositions", "open", "progressive"]
    with stub(author) as server:
        found = run(server.url, how_many=dict.fromkeys(kinds, 1), judges=["judge"])
    texts = {each.id: each.text for each in BOOK}
    passages = found.counts["kept"]["passages"]
    assert found.counts["kept"]["passages_asked_about"] == passages >= 10
    assert Counter(each.kind for each in found.kept)["progressive"] == 3 * passages
    for each in found.kept:
        origin = each.origin
        assert texts[origin["document"]][origin["start"] : origin["end"]] == origin["quote"]
        low, high = origin["passage"]
        assert low <= origin["start"] < origin["end"] <= high
        assert (origin["sha256"], origin["writer"]) == ("a" * 64, "teacher")
        assert origin["prompt"] == "src/residency/asking/frame.jinja"
        assert re.fullmatch("[0-9a-f]{64}", origin["prompt_sha256"])
    keys = {row["key"] for row in found.replies if row["asked"] == "teacher"}
    assert {each.origin["reply"] for each in found.kept} == keys
    assert len({each.origin["prompt_sha256"] for each in found.kept}) == len(kinds)
    assert len({each.id for each in found.kept}) == len(found.kept)
    assert found.counts["rejected"] == dict(Counter(row["reason"] for row in found.rejected))


def test_positions_of_right_answers_are_balanced() -> None:
    with stub(author) as server:
        found = run(server.url)
    places = Counter(each.answers[0] for each in found.kept)
    assert max(places.values()) - min(places.values()) <= 1
    assert all(each.options[each.answers[0]].endswith("good") for each in found.kept)


def test_order_and_bytes_do_not_depend_on_how_it_is_asked(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    kinds = {"single": 2, "progressive": 1}

    def late(body: dict[str, Any]) -> Response:
        chance = random.Random(json.dumps(body["messages"]))
        content = completion(body, author(body))
        return Response(body=content, delay=chance.uniform(0, 0.02))

    found = []
    with stub(late) as server:
        for folder, concurrency in enumerate(["1", "32", "32"]):
            monkeypatch.setenv("RESIDENCY_CONCURRENCY", concurrency)
            here = Path(f"project{folder}")
            here.mkdir()
            with contextlib.chdir(here):
                found.append(run(server.url, how_many=kinds, judges=["judge"]))
                asked = len(server.asked)
                again = run(server.url, how_many=kinds, judges=["judge"])
                assert len(server.asked) == asked == (folder + 1) * len(found[-1].replies)
                assert again.bytes == found[-1].bytes
    one, *others = found
    for other in others:
        for name in ("questions.jsonl", "counts.json", "rejected.jsonl"):
            assert one.bytes[name] == other.bytes[name]
        assert [row["key"] for row in one.replies] == [row["key"] for row in other.replies]
    starts = [(each.origin["document"], each.origin["passage"][0]) for each in one.kept]
    assert starts == sorted(starts, key=lambda each: (int(each[0][1:]), each[1]))


def test_nothing_is_asked_twice_and_a_changed_passage_asks_for_its_own_only() -> None:
    edited = list(BOOK)
    edited[3] = document("d3", BOOK[3].text.replace("holds 30 stones", "holds 99 stones"))
    with stub(author) as server:
        before = run(server.url, judges=["judge"], how_many={"single": 2})
        asked = len(server.asked)
        run(server.url, judges=["judge"], how_many={"single": 2})
        assert len(server.asked) == asked
        after = run(server.url, edited, judges=["judge"], how_many={"single": 2})
        new = server.asked[asked:]
    ids = {each.id for each in before.kept} ^ {each.id for each in after.kept}
    assert {each.partition(":")[0] for each in ids} == {"d3"}
    assert 0 < len(new) <= 6
    assert all("beck" in body["messages"][-1]["content"] for body in new)


def test_every_passage_is_asked_about_before_any_is_asked_twice() -> None:
    with stub(author) as server:
        run(server.url, how_many={"single": 2, "open": 1})
        users = [body["messages"][-1]["content"] for body in server.asked]
    third = len(users) // 3
    rounds = [users[:third], users[third : 2 * third], users[2 * third :]]
    assert all(len({fenced("passage", each) for each in part}) == third for part in rounds)
    assert all("exactly one of them right" in each for each in rounds[0])
    assert not any(fenced("asked", each) for each in rounds[0])
    assert all(fenced("asked", each).count("\n- ") == 1 for each in rounds[2])


def test_a_budget_ends_with_what_was_written_and_is_told() -> None:
    with stub(author) as server:
        whole = run(server.url, how_many={"single": 3}, price=PRICE)
        spent = whole.counts["asked"]
        tokens = spent["prompt_tokens"] + spent["reply_tokens"]
        found = run(server.url, how_many={"single": 3}, budget={"money": None, "tokens": tokens})
        half = {"money": spent["money"] / 2, "tokens": None}
        assert whole.counts["asked"]["stopped_by_budget"] is False
        some = run(server.url, how_many={"single": 3}, budget=half, price=PRICE)
    assert found.counts["rejected"]["budget spent"] > 0  # the last ones might have cost more
    assert some.counts["asked"]["stopped_by_budget"] is True
    assert 0 < some.counts["asked"]["money"] <= half["money"]
    assert some.counts["asked"]["money_per_kept_question"] == pytest.approx(
        some.counts["asked"]["money"] / len(some.kept), rel=1e-3
    )
    assert 0 < len(some.kept) < len(whole.kept)
    spared = some.counts["rejected"]["budget spent"]
    assert spared + some.counts["asked"]["requests"] == whole.counts["asked"]["requests"]
    assert some.kept[0].id == whole.kept[0].id


def test_a_budget_is_not_spent_on_drafts_that_nobody_judges() -> None:
    long = [
        document(f"e{number}", BOOK[number % 5].text.replace("stones", f"{number} stones"))
        for number in range(40)
    ]
    with stub(author) as server:
        whole = run(server.url, long, judges=["one", "two"])
        spent = whole.counts["asked"]
        tokens = (spent["prompt_tokens"] + spent["reply_tokens"]) // 2
        found = run(
            server.url, long, judges=["one", "two"], budget={"money": None, "tokens": tokens}
        )
    drafts = [row for row in found.rejected if row["detail"] == "before every judge sat"]
    assert len(drafts) <= 32
    assert len(found.kept) > len(whole.kept) / 4


def test_judges_decide_by_majority_and_tell_how_hard_a_question_is() -> None:
    def answer(body: dict[str, Any]) -> str:
        if is_writing(body):
            return author(body)
        asked = fenced("question", body["messages"][-1]["content"])
        passage = "<passage" in body["messages"][-1]["content"]
        wrong = body["model"] == "dull" or (body["model"] == "slow" and "at Osk" in asked)
        if wrong or (not passage and body["model"] != "bright"):
            return json.dumps({"reason": "?", "answers": ["A", "B"]})
        return author(body)

    with stub(answer) as server:
        found = run(server.url, how_many={"single": 2}, judges=["bright", "slow", "dull"])
        asked = [body for body in server.asked if not is_writing(body)]
    assert {each.labels["closed_book"] for each in found.kept} == {"1/3"}
    bad = [row for row in found.rejected if row["reason"] == "not answerable"]
    assert all("at Osk" in row["item"]["stem"] for row in bad)
    assert bad[0]["detail"] == "1 of 3 judges agree, given the passage"
    assert len(asked) == 3 * 2 * (len(found.kept) + len(bad))
    assert all(body["temperature"] == 0 for body in asked)


def by_rule(url: str, judges: list[str], budget: Any = None) -> Written:
    """What the offline writer and some judges make of the towns."""
    rule = {
        "kind": "offline", "cloze": 1, "definition": 0, "reversal": 0, "comparison": 0,
        "options": 4, "seed": 0,
    }  # fmt: skip
    section = Questions.model_validate(
        {
            "corpus": "c", "writer": rule, "verify": {"judges": judges, "max_tokens": 9},
            "budget": budget, "checks": CHECKS, "decontaminate": KNOWN,
        }
    )  # fmt: skip
    out = Path(f"out{len(list(Path().glob('out*')))}")
    out.mkdir()
    Path("corpus").mkdir(exist_ok=True)
    write_rows(Path("corpus/documents.jsonl"), TOWNS)
    write(section, Path("corpus"), [], None, [served(each, url) for each in judges], None, out)
    return Written(out)


def sees(body: dict[str, Any]) -> str:
    """A judge that names the options which stand in the passage."""
    user = body["messages"][-1]["content"]
    options = re.findall(r"^([A-J])\. (.*)$", fenced("question", user), re.MULTILINE)
    passage = fenced("passage", user)
    named = [letter for letter, option in options if option in passage] or ["A"]
    return json.dumps({"reason": "it stands there", "answers": named})


def test_a_budget_is_not_spent_by_the_first_of_an_offline_writers_judges(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("residency.write.BATCH", 4)
    with stub(sees) as server:
        whole = by_rule(server.url, ["one", "two"])
        spent = whole.counts["asked"]
        tokens = (spent["prompt_tokens"] + spent["reply_tokens"]) // 2
        found = by_rule(server.url, ["one", "two"], {"money": None, "tokens": tokens})
    assert found.counts["asked"]["stopped_by_budget"]
    assert found.counts["rejected"]["budget spent"]
    assert len(whole.kept) / 4 < len(found.kept) < len(whole.kept)


def test_an_offline_writers_questions_are_judged_too() -> None:
    with stub(sees) as server:
        found = by_rule(server.url, ["j"])
    assert found.kept
    assert {each.origin["writer"] for each in found.kept} == {"offline"}
    assert {each.labels["closed_book"] for each in found.kept} <= {"0/1", "1/1"}


def _edit(**values: Any) -> Callable[[dict[str, Any], str], None]:
    def edit(told: dict[str, Any], user: str) -> None:
        if "tarn" in user:
            told.update(values)

    return edit


@pytest.mark.parametrize(
    ("values", "checks", "reason"),
    [
        ({"options": ["red", "red", "blue", "x good"]}, {}, "options not distinct"),
        (
            {"options": ["a", "b", "c", "a very long option that gives itself away good"]},
            {"option_lengths": 3.0},
            "options of unlike length",
        ),
        ({"options": ["a", "b", "c", "All of the above"]}, {}, "option about options"),
        (
            {"stem": "Is it good luck then?", "options": ["a", "b", "c", "good"]},
            {},
            "answer in stem",
        ),
        ({"explanation": "Option D says so."}, {}, "explanation names a letter"),
        ({"quote": "There is no such sentence."}, {}, "quote not in passage"),
        ({"quote": "The tarn"}, {"min_quote_words": 3}, "quote too short"),
        ({"stem": "Why?"}, {"min_stem_words": 3}, "too short"),
        ({"stem": "Why " * 99}, {"max_stem_words": 50}, "too long"),
        ({"answer": "E"}, {}, "wrong number of right answers"),
    ],
)
def test_what_fails_a_check_is_in_the_ledger(
    values: dict[str, Any], checks: dict[str, Any], reason: str
) -> None:
    with stub(changed(_edit(**values))) as server:
        found = run(server.url, checks=checks)
    bad = [row for row in found.rejected if row["reason"] == reason]
    assert found.counts["rejected"][reason] == len(bad) > 0
    assert {row["id"].partition(":")[0] for row in bad} == {"d0"}
    assert not any(each.origin["document"] == "d0" for each in found.kept)


def test_duplicates_are_kept_once_also_when_nearly_so() -> None:
    same = {"stem": "Which of them is it?", "options": ["a", "b", "c", "so good"]}

    def numbered(told: dict[str, Any], user: str) -> None:
        told.update(
            same | {"stem": f"Which of all the nice old things up there is it {len(user)}?"}
        )

    with stub(changed(lambda told, _: told.update(same))) as server:
        exact = run(server.url)
    with stub(changed(numbered)) as server:
        alike = run(server.url, checks={"near_duplicate": 0.8})
        apart = run(server.url, checks={"near_duplicate": 0.95})
    assert len(exact.kept) == len(alike.kept) == 1
    assert len(apart.kept) > 1
    detail = next(row["detail"] for row in alike.rejected if row["reason"] == "duplicate question")
    assert detail == f"nearly {alike.kept[0].id}"


@pytest.mark.parametrize("bounded", [False, True])
def test_what_repeats_a_draft_that_judges_dropped_is_judged_itself(
    monkeypatch: pytest.MonkeyPatch, bounded: bool
) -> None:
    monkeypatch.setattr("residency.write.BATCH", 7)
    same = {"stem": "Which of them is it?", "options": ["a", "b", "c", "so good"]}

    def answer(body: dict[str, Any]) -> str:
        if is_writing(body):
            return changed(lambda told, _: told.update(same))(body)
        wrong = "moor" not in body["messages"][-1]["content"]
        return json.dumps({"reason": "?", "answers": ["A"]}) if wrong else author(body)

    with stub(answer) as server:
        budget = {"money": None, "tokens": 1_000_000} if bounded else None
        found = run(server.url, judges=["one"], budget=budget)
    assert [each.origin["document"] for each in found.kept] == ["d1"]
    reasons = Counter((row["id"].partition(":")[0], row["reason"]) for row in found.rejected)
    assert reasons["d0", "not answerable"] > 1
    assert reasons["d0", "duplicate question"] == 0
    assert reasons["d4", "duplicate question"] > 1
    assert len(found.rejected) == len({row["id"] for row in found.rejected})
    assert not {row["id"] for row in found.rejected} & {each.id for each in found.kept}


def exam(stem: str, options: list[str], context: str = "", explanation: str = "") -> Question:
    return Question(
        id="exam-1", kind="single", context=context, stem=stem, options=tuple(options),
        answers=(3,), explanation=explanation, group="g", labels={}, language="en", origin={},
    )  # fmt: skip


KEPT_SECRET = (
    "A silver drake of forty winters came limping to the northern gallery after swallowing six "
    "copper lantern hinges, and its crest turned violet while two keepers argued about vinegar. "
    "Its breath smelled faintly of burnt almonds, the left eyelid twitched seven times, and "
    "nobody could say whether the cook had locked the hinge cupboard on Tuesday before supper."
)


@pytest.mark.parametrize("where", ["question", "context", "explanation"])
def test_no_exam_is_repeated_whether_in_question_case_or_explanation(where: str) -> None:
    stem = "Which violet hinge did the silver drake of the northern gallery swallow last?"
    options = ["iron latch", "brass button", "tin spoon", "copper hinge"]

    def edit(told: dict[str, Any], user: str) -> None:
        if "tarn" not in user:
            return
        if where == "question":
            told.update(stem=stem, options=options)
        elif where == "context":
            told.update(case=KEPT_SECRET)
        else:
            told.update(explanation=KEPT_SECRET)

    path = Path("test.jsonl")
    write_rows(path, [exam(stem, options, "", KEPT_SECRET)])
    kind = "progressive" if where == "context" else "single"
    with stub(changed(edit)) as server:
        found = run(server.url, exams=[path], how_many={kind: 1})
    bad = [row for row in found.rejected if row["reason"] == "in exam"]
    assert bad
    assert {row["id"].partition(":")[0] for row in bad} == {"d0"}
    assert "exam-1" in bad[0]["detail"]
    assert not any(each.origin["document"] == "d0" for each in found.kept)


def test_examples_are_shown_and_must_not_be_given_back() -> None:
    stem = "Which violet hinge did the silver drake of the northern gallery swallow last?"
    options = ["iron latch", "brass button", "tin spoon", "copper hinge"]
    write_rows(Path("train.jsonl"), [exam(stem, options)])

    def edit(told: dict[str, Any], user: str) -> None:
        if "tarn" in user:
            told.update(stem=stem, options=options)

    section = {"exam": "boards", "count": 1}
    with stub(changed(edit)) as server:
        found = run(server.url, shown=Path("train.jsonl"), examples=section)
        users = [body["messages"][-1]["content"] for body in server.asked]
    assert all(stem in fenced("example", each) for each in users)
    bad = [row for row in found.rejected if row["reason"] == "repeats an example"]
    assert {row["id"].partition(":")[0] for row in bad} == {"d0"}
    assert len(bad) == sum("tarn" in each for each in users)


def test_a_case_keeps_what_comes_before_its_first_fault() -> None:
    def edit(told: dict[str, Any], user: str) -> None:
        steps = told["questions"]
        steps += [json.loads(json.dumps(steps[0])) for _ in range(3)]
        for number, step in enumerate(steps):
            step["stem"] = f"{step['stem']} Part {number}?"
        bad = 1 if "tarn" in user else 4
        steps[bad]["answer"] = "Z"

    with stub(changed(edit)) as server:
        found = run(server.url, how_many={"progressive": 1})
    orders: dict[str, list[int]] = {}
    for each in found.kept:
        orders.setdefault(each.group, []).append(each.order)
    assert set(map(tuple, orders.values())) == {(1, 2, 3, 4)}
    of_tarn = [row["reason"] for row in found.rejected if row["id"].startswith("d0:")]
    first = Counter(of_tarn)
    assert first["case too short"] == first["wrong number of right answers"]
    assert first["builds on a dropped one"] == 4 * first["wrong number of right answers"]
    assert not any(each.origin["document"] == "d0" for each in found.kept)


def test_refused_and_unreadable_replies_are_counted() -> None:
    def answer(body: dict[str, Any]) -> str | Response:
        user = body["messages"][-1]["content"]
        if "tarn" in user:
            return Response(body={"error": {"message": "content filter"}}, status=400)
        return "I would rather not." if "moor" in user else author(body)

    with stub(answer) as server:
        found = run(server.url)
    by_document = {row["id"].partition(":")[0]: row for row in found.rejected}
    assert set(by_document) == {"d0", "d1"}
    assert "content filter" in by_document["d0"]["detail"]
    assert by_document["d1"]["reason"] == "not parsed"
    assert by_document["d1"]["item"]["reply"] == "I would rather not."
    assert found.counts["asked"]["refused"] > 0


def test_a_reply_that_refuses_is_told_with_what_it_cost() -> None:
    def answer(body: dict[str, Any]) -> str | Response:
        told = completion(body, author(body))
        if "tarn" in body["messages"][-1]["content"]:
            told["choices"][0]["finish_reason"] = "content_filter"
        return Response(body=told)

    with stub(answer) as server:
        found = run(server.url, price=PRICE)
    refused = [row for row in found.replies if "refused" in row]
    assert refused
    assert all(row["cost"] > 0 and row["refused"] == "content filter" for row in refused)
    told = found.counts["asked"]
    assert told["money"] == pytest.approx(sum(row["cost"] for row in found.replies))
    assert told["refused"] == len(refused) == found.counts["rejected"]["content filter"]


def test_a_set_that_comes_to_nothing_says_why() -> None:
    with stub(lambda _: "no") as server, pytest.raises(Complaint) as caught:
        run(server.url)
    assert "no question of" in str(caught.value)
    assert "most often: not parsed" in str(caught.value)
    with stub(author) as server, pytest.raises(Complaint, match=r"most often: budget spent"):
        run(server.url, budget={"money": None, "tokens": 1})


def test_the_command_line_writes_what_is_declared(tmp_path: Path) -> None:
    params = YAML(typ="safe").load(REPOSITORY / "params.yaml")
    (tmp_path / "data").symlink_to(REPOSITORY / "data")
    (tmp_path / "src").symlink_to(REPOSITORY / "src")
    examples = {"exam": "boards", "count": 1}
    drills = params["questions"]["drills"]
    drills |= {"writer": WRITER | {"examples": examples}, "checks": CHECKS}
    drills |= {"verify": {"judges": ["teacher"], "max_tokens": 50}}
    drills |= {"budget": {"money": 5.0, "tokens": None}}
    Path("build/exams/boards").mkdir(parents=True)
    Path("build/corpora/textbook").mkdir(parents=True)
    write_rows(Path("build/corpora/textbook/documents.jsonl"), BOOK)
    shown = exam("Which organ glows in a healthy drake?", ["a", "b", "c", "node"])
    for exams in ("boards", "rounds"):
        for split in ("train", "dev", "test"):
            path = Path(f"build/exams/{exams}/{split}.jsonl")
            path.parent.mkdir(exist_ok=True)
            write_rows(path, [shown] if split == "train" else [])
    with stub(author) as server:
        endpoint = {"url": server.url, "model": "m", "key": "SECRET_KEY", "price": PRICE}
        endpoint |= {"format": "schema", "limit": "max_tokens", "temperature": "told"}
        params["models"]["teacher"] = {"endpoint": endpoint}
        YAML().dump(params, tmp_path / "params.yaml")
        declared = declaration.load(tmp_path / "params.yaml")
        (tmp_path / "dvc.yaml").write_text(graph.text(declared))
        stages = {each.name: each for each in graph.stages(declared)}
        for name in ("adopt-teacher", "write-drills"):
            words = stages[name].command.split()[1:]
            done = subprocess.run(
                [sys.executable, *words],
                env=os.environ | {"SECRET_KEY": "sk-canary-not-to-be-seen"},
                capture_output=True,
                text=True,
                check=False,
            )
            assert done.returncode == 0, done.stderr
    found = Written(Path("build/questions/drills"))
    assert len(found.kept) == found.counts["kept"]["passages"] > 5
    assert found.counts["asked"]["currency"] == "USD"
    assert found.counts["asked"]["money"] > 0
    written = list(Path("build").rglob("*.json*"))
    assert Path("build/questions/drills/replies.jsonl") in written
    assert all("canary" not in each.read_text() for each in written)
    assert all("canary" in each["authorization"] for each in server.headers)
    assert all(shown.stem in each["messages"][-1]["content"] for each in server.asked[:3])


@pytest.mark.slow
def test_a_build_writes_the_key_nowhere(
    mine: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    canary = "sk-canary-not-to-be-seen"
    monkeypatch.setenv("SECRET_KEY", canary)

    def echoing(body: dict[str, Any]) -> Response:
        told = completion(body, author(body))
        return Response(body=told | {"model": f"of {canary}"}, headers={"X-Key": canary})

    with stub(echoing) as server:
        endpoint = {"url": server.url, "model": "m", "key": "SECRET_KEY", "price": PRICE}
        endpoint |= {"format": "schema", "limit": "max_tokens", "temperature": "told"}
        params = mine.params()
        params["models"]["teacher"] = {"endpoint": endpoint}
        params["questions"]["drills"] |= {"writer": WRITER, "checks": CHECKS}
        mine.declare(params)
        said = mine.run("dvc", "repro", "--verbose", "write-drills").stdout
        mine.change("questions.drills.writer.max_tokens", 301)
        said += mine.snakemake("build/questions/drills")
        mine.commit("written")
    asked = len(server.asked)
    assert asked > 2
    assert {each["authorization"] for each in server.headers} == {f"Bearer {canary}"}
    assert "canary" not in said
    read = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert not [path for path in read if b"canary" in path.read_bytes()]
    ours = [path for path in read if path.is_relative_to(mine.root)]
    places = {path.relative_to(mine.root).as_posix() for path in ours}
    for place in ("dvc.lock", "logs/write/drills.log", ".dvc/", "work/replies"):
        assert any(each.startswith(place) for each in places), place
    for commit in mine.run("git", "rev-list", "--all").stdout.split():
        assert "canary" not in mine.run("git", "show", commit).stdout
    replies = list(read_rows(mine.root / "build/questions/drills/replies.jsonl"))
    assert {each["model"] for each in replies} == {"of ***"}
