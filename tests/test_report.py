from __future__ import annotations

import base64
import csv
import hashlib
import json
import math
import random
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from project import REPOSITORY
from ruamel.yaml import YAML

from residency.adapters.pubmedqa import PubMedQA
from residency.files import read_json, read_rows, write_json, write_rows
from residency.published import published
from residency.records import Question, Rejected, write_ledger
from residency.report import Report, report
from residency.section import Complaint

SECTION = Report(title="From novice to resident", confidence=0.95, resamples=500, seed=7)
MODELS = {"base": 0.34, "reader": 0.41, "resident": 0.63}
EVIL_AS_TEXT = "&lt;script&gt;alert(1)&lt;/script&gt;"
LOSS = {"final_loss": 1.12, "bits_per_byte": 0.731, "bits_per_token": 1.616}
SUBJECTS = ("anatomy", "cardiology", "pharmacology", "surgery")


def sit(
    folder: Path, questions: int, skill: float, title: str = "A question", said: str = ""
) -> None:
    """An evaluation's artifact in which about a share `skill` of the answers is right."""
    dice = random.Random(folder.name + folder.parent.name)
    rows: list[dict[str, Any]] = []
    for number in range(questions):
        right = number % 4
        answer = right if dice.random() < skill else (right + dice.randint(1, 3)) % 4
        prompt = (
            f"{title} {number}: which structure passes through the foramen of Winslow, and why?"
        )
        rows.append(
            {
                "id": f"q{number}",
                "kind": "single",
                "group": f"case{number // 2}",
                "labels": {"subject": SUBJECTS[number % 4]},
                "prompt": prompt,
                "texts": ["the portal vein", "the vagus nerve", "the thoracic duct", "nothing"],
                "candidates": [],
                "answer": [answer],
                "right": [right],
                "correct": answer == right,
                **({"said": said} if said else {}),
            }
        )
    folder.mkdir(parents=True)
    write_rows(folder / "predictions.jsonl", rows)
    by_subject = {}
    for subject in SUBJECTS:
        same = [row["correct"] for row in rows if row["labels"]["subject"] == subject]
        by_subject[subject] = {"questions": len(same), "correct": sum(same)}
    write_json(
        folder / "scores.json",
        {
            "baselines": {"random": 0.25, "majority": 0.28, "longest": 0.31},
            "by_label": {"subject": by_subject},
        },
    )


def train(folder: Path, steps: int, *, per_byte: bool = True) -> None:
    """A trained model's log and summary; `per_byte`: the log has the loss in bits per byte too."""
    folder.mkdir(parents=True)
    dice = random.Random(folder.name)
    losses = [1.1 + 2.3 * math.exp(-5 * s / steps) + dice.gauss(0, 0.05) for s in range(steps)]
    rows = [{"step": number + 1, "epoch": 1.0, "loss": loss} for number, loss in enumerate(losses)]
    if per_byte:
        rows = [row | {"bits_per_byte": row["loss"] / 3} for row in rows]
    write_rows(folder / "log.jsonl", rows)
    summary = {"steps": steps, "tokens": steps * 4096, "learned": steps * 4000}
    write_json(folder / "training.json", {**summary, **LOSS})


def gate(folder: Path, grown: bool) -> None:
    """What a gate leaves with a model: domain text falls, general text rises."""
    rows = [
        {
            "step": 12 * number,
            "share": number / 5,
            "tokenizer": "its own",
            "domain_bits_per_byte": 1.2 - 0.1 * number,
            "general_bits_per_byte": 0.9 + 0.02 * number,
        }
        for number in range(6)
    ]
    if grown:
        before = {"domain_bits_per_byte": 1.0, "general_bits_per_byte": 0.8}
        rows.insert(0, rows[0] | before | {"tokenizer": "its parent's"})
    write_rows(folder / "gate.jsonl", rows)
    first, last = rows[0], rows[-1]
    numbers = {
        text: {"before": first[key], "after": last[key], "rise": last[key] / first[key] - 1}
        for text, key in ((text, f"{text}_bits_per_byte") for text in ("domain", "general"))
    }
    summary = read_json(folder / "training.json")
    write_json(folder / "training.json", summary | {"gate": numbers | {"warned": grown}})


def ledger(folder: Path, kept: dict[str, int], dropped: dict[str, int], text: str) -> None:
    """A filtering step's ledger."""
    folder.mkdir(parents=True)
    rejected = [
        Rejected(id=f"{reason}-{n}", reason=reason, detail=f"item {n}", item={"text": text})
        for reason, count in dropped.items()
        for n in range(count)
    ]
    write_ledger(folder, kept, rejected)


def build(build: Path, text: str = "A paragraph of the textbook.") -> dict[str, Any]:
    """Everything a report reads: three models, two evaluations and what they were made from."""
    for evaluation, questions in (("finals", 400), ("cases", 90)):
        for model, skill in MODELS.items():
            sit(build / "evaluations" / evaluation / model, questions, skill)
    (build / "models/base").mkdir(parents=True)
    train(build / "models/reader", 120)
    train(build / "models/resident", 60, per_byte=False)
    ledger(build / "documents/primer", {"documents": 412}, {"encrypted": 1}, text)
    ledger(build / "exams/boards", {"train": 800, "dev": 100, "test": 400}, {"no answer": 7}, text)
    reasons = {"near duplicate": 41, "exam overlap": 12, "too short": 133}
    ledger(build / "corpora/textbooks", {"documents": 226}, reasons, text)
    ledger(build / "questions/drills", {"questions": 8, "cloze": 8}, {"answer in stem": 2}, text)
    write(build / "questions/drills", text)
    grow(build)
    evaluations = [
        build / "evaluations" / evaluation / model
        for evaluation in ("finals", "cases")
        for model in MODELS
    ]
    return {
        "declaration": REPOSITORY / "params.yaml",
        "ledgers": sorted(path.parent for path in build.glob("*/*/counts.json")),
        "tokenizers": [build / "tokenizers/clinical"],
        "fertility": [build / "fertility/everywhere"],
        "models": [build / "models" / name for name in MODELS],
        "evaluations": evaluations,
    }


def write(folder: Path, text: str) -> None:
    """The questions of a set whose ledger is there, with where they come from."""
    rows = [
        Question(
            id=f"primer#{number}:0",
            kind="single",
            context="",
            stem=f"Complete the statement {number}: {text} ____",
            options=("one", "two", "three"),
            answers=(number % 3,),
            explanation=text,
            group=f"primer#{number}",
            labels={"kind": "cloze"},
            language="en",
            origin={"file": "data/raw/primer.md", "start": 3, "end": 9},
        )
        for number in range(8)
    ]
    write_rows(folder / "questions.jsonl", rows)


def costs(tokens: int, size: int) -> dict[str, float]:
    """What a text of `size` bytes costs."""
    ratios = {"tokens_per_word": 5 * tokens / size, "tokens_per_character": tokens / size}
    totals = {"tokens": tokens, "characters": size, "words": size // 5, "bytes": size}
    return {**totals, **ratios, "bytes_per_token": size / tokens}


def grow(build: Path) -> None:
    """A grown tokenizer, how its size was chosen, and what texts cost in it."""
    for folder in ("tokenizers/clinical", "fertility/everywhere"):
        (build / folder).mkdir(parents=True)
    before, after = costs(5000, 16000), costs(4000, 16000)
    learned = {"before": before, "after": after}
    general = {"before": costs(2000, 9000), "after": costs(2000, 9000)}
    exam = {"before": costs(900, 3000), "after": costs(800, 3000)}
    write_json(
        build / "tokenizers/clinical/fertility.json",
        {"added": 256, "corpus": "textbooks", **learned},
    )
    write_json(
        build / "tokenizers/clinical/curve.json",
        {
            "chosen": 256,
            "worth": 0.02,
            "per_piece": 576,
            "sizes": [
                {
                    "pieces": pieces,
                    "parameters": pieces * 576,
                    "tokens_per_byte": 0.3 - pieces / 10000,
                    "bits_per_byte": 1.4 + 0.1 * math.exp(-pieces / 60),
                }
                for pieces in (0, 64, 96, 128, 192, 256, 384, 512, 1024)
            ],
        },
    )
    texts = [
        {"kind": "corpora", "name": "textbooks", "learned": True, **learned},
        {"kind": "corpora", "name": "everyday", "learned": False, **general},
        {"kind": "exams", "name": "boards", "learned": False, **exam},
    ]
    told = {"tokenizer": "clinical", "base": "base", "added": 256, "texts": texts}
    write_json(build / "fertility/everywhere/fertility.json", told)


def written(folder: Path, **inputs: Any) -> Path:
    out = folder / "report"
    out.mkdir(parents=True)
    report(SECTION, **inputs, out=out)
    return out


class Page(HTMLParser):
    """Tags met with their attributes, and the text outside of them."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("whole")
    return written(folder, **build(folder / "build"))


def test_the_page_says_what_was_found(out: Path) -> None:
    text = Page((out / "report.html").read_text()).text
    for words in ("From novice to resident", "resident − base", "near duplicate", "Bits per byte"):
        assert words in text


def test_the_page_asks_nothing_of_the_network_and_runs_only_its_own_script(out: Path) -> None:
    html = (out / "report.html").read_text()
    page = Page(html)
    assert not {tag for tag, _ in page.tags} & {"link", "img", "iframe", "object", "base"}
    targets = [a[key] for _, a in page.tags for key in ("href", "src") if key in a]
    assert targets
    assert all(target is not None and target.startswith("#") for target in targets)
    assert not [url for url in re.findall(r"url\(([^)]*)", html) if not url.startswith("#")]
    assert "@import" not in html
    (data, script) = re.findall(r"<script[^>]*>(.*?)</script>", html, flags=re.DOTALL)
    assert json.loads(data)[0]["name"] == "finals"
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    (policy,) = [a["content"] or "" for _, a in page.tags if "http-equiv" in a]
    assert policy.startswith("default-src 'none';")
    assert f"script-src 'sha256-{digest}';" in policy  # a planted script has another


def test_every_link_within_the_page_has_its_target(out: Path) -> None:
    tags = Page((out / "report.html").read_text()).tags
    ids = [attributes["id"] for _, attributes in tags if "id" in attributes]
    assert len(ids) == len(set(ids))  # also those in charts
    links = {a["href"] for tag, a in tags if tag in ("a", "use")}
    assert "#results" in links
    assert links <= {f"#{each}" for each in ids}


def test_headers_have_a_scope_and_charts_a_name(out: Path) -> None:
    tags = Page((out / "report.html").read_text()).tags
    headers = [attributes for tag, attributes in tags if tag == "th"]
    charts = [attributes for tag, attributes in tags if tag == "svg"]
    assert headers
    assert len(charts) == 8  # two forests for each evaluation, two losses, a curve, the graph
    assert all("scope" in each for each in headers)
    assert all(each["role"] == "img" and each["aria-label"] for each in charts)


def test_the_page_says_what_training_did_to_text_that_was_not_learned(tmp_path: Path) -> None:
    inputs = build(tmp_path / "build")
    gate(tmp_path / "build/models/reader", grown=True)
    gate(tmp_path / "build/models/resident", grown=False)
    out = written(tmp_path, **inputs)
    text = " ".join(Page((out / "report.html").read_text()).text.split())
    assert "reader: domain text fell by 30.0 % from 1.000 to 0.700 bits per byte" in text
    assert "resident: domain text fell by 41.7 % from 1.200 to 0.700" in text
    assert "general text rose by 11.1 % from 0.900 to 1.000" in text
    assert text.count("General text rose past the declared bound") == 1
    assert text.count("against its parent in the parent’s own pieces") == 1
    assert read_json(out / "gate.json")["resident"]["general"]["after"] == 1.0
    with (out / "plots/gate/reader.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["step"] for row in rows] == [*map(str, range(0, 61, 12))]
    assert float(rows[-1]["domain"]) == pytest.approx(0.7)


def test_a_page_without_a_gate_says_nothing_of_one(out: Path) -> None:
    assert "Text that was not learned" not in (out / "report.html").read_text()
    assert not (out / "gate.json").exists()


def test_metrics_hold_each_models_accuracy_within_its_interval(out: Path) -> None:
    metrics = read_json(out / "metrics.json")
    assert list(metrics) == ["finals", "cases"]
    assert list(metrics["finals"]) == list(MODELS)
    for scores in metrics.values():
        for each in scores.values():
            assert each["low"] < each["accuracy"] < each["high"]
    assert metrics["cases"]["base"]["questions"] == 90


def test_plots_hold_one_row_for_each_score_and_each_step(out: Path) -> None:
    metrics = read_json(out / "metrics.json")
    for evaluation in ("finals", "cases"):
        with (out / f"plots/accuracy/{evaluation}.csv").open() as file:
            scores = list(csv.DictReader(file))
        assert [each["model"] for each in scores] == [*MODELS]
        told = [metrics[evaluation][model]["accuracy"] for model in MODELS]
        assert [float(each["accuracy"]) for each in scores] == told
    for model, steps, told in ("reader", 120, True), ("resident", 60, False):
        with (out / f"plots/loss/{model}.csv").open() as file:
            losses = list(csv.DictReader(file))
        assert len(losses) == steps
        assert float(losses[0]["bits_per_token"]) > float(losses[-1]["bits_per_token"])
        assert all(bool(each["bits_per_byte"]) == told for each in losses)  # as its log has it


def test_a_loss_is_told_per_byte_where_the_log_has_it_and_else_said_to_be_per_token(
    out: Path,
) -> None:
    tags = Page((out / "report.html").read_text()).tags
    labels = [attributes["aria-label"] for tag, attributes in tags if tag == "svg"]
    told = [label for label in labels if label and label.startswith("Loss of")]
    assert told[0].startswith("Loss of reader over its steps, in bits per byte: 1.1")
    assert told[1].startswith("Loss of resident over its steps, in bits per token: 4.")


def test_every_text_has_one_row_with_its_cost_before_and_after(out: Path) -> None:
    html = (out / "report.html").read_text()
    section = html[html.index('id="tokenizers"') : html.index('id="written"')]
    rows = Page(section).text
    assert rows.count("textbooks learned on") == 1
    assert "boards exam" in rows
    assert "5,000 → 4,000-20.0 %" in rows.replace("−", "-")
    assert "2,000 → 2,000+0.0 %" in rows
    assert "256 pieces were chosen out of 1,024" in rows


def test_a_tokenizer_of_a_declared_size_has_no_curve(tmp_path: Path) -> None:
    inputs = build(tmp_path / "build")
    (inputs["tokenizers"][0] / "curve.json").unlink()
    text = Page((written(tmp_path, **inputs) / "report.html").read_text()).text
    assert "textbooks learned on" in text
    assert "were chosen" not in text


def test_the_same_inputs_give_the_same_bytes(out: Path, tmp_path: Path) -> None:
    again = written(tmp_path, **build(tmp_path / "build"))
    files = sorted(path.relative_to(out) for path in out.rglob("*") if path.is_file())
    assert len(files) == 8
    for file in files:
        assert (out / file).read_bytes() == (again / file).read_bytes()


def test_a_stronger_model_is_said_to_be_stronger_and_the_best_is_marked(tmp_path: Path) -> None:
    inputs = build(tmp_path / "build")
    html = (written(tmp_path, **inputs) / "report.html").read_text()
    results = html[html.index('id="results"') : html.index('id="differences"')]
    best = [row for row in results.split("<tr>") if 'td class="best"' in row]
    assert len(best) == 1
    assert '<th scope="row">resident</th>' in best[0]
    assert "&lt; 0.0001" in html


def test_foreign_text_is_shown_and_never_run(tmp_path: Path) -> None:
    evil = "</script><script>alert(1)</script><!-- <img src=x onerror=alert(1)>"
    inputs = build(tmp_path / "build", text=evil)
    for model in ("<img src=x onerror=alert(1)>", '"><svg onload=alert(1)>'):
        folder = tmp_path / "build/evaluations" / "<b>exam" / model
        sit(folder, 8, 0.5, title=evil, said=evil)
        inputs["evaluations"].append(folder)
    html = (written(tmp_path, **inputs) / "report.html").read_text()
    page = Page(html)
    assert not {tag for tag, _ in page.tags} & {"img", "b"}
    assert [tag for tag, _ in page.tags].count("script") == 2
    assert not any(name.startswith("on") for _, attributes in page.tags for name in attributes)
    assert "alert(1)</script>" not in html
    assert html.count(EVIL_AS_TEXT) >= 3  # in a dropped paragraph, a question and an answer
    assert "<img src=x onerror=alert(1)>" in page.text
    data = json.loads(re.findall(r"<script type[^>]*>(.*?)</script>", html)[0])
    assert data[-1]["rows"][0]["a"][0]["s"] == evil


def test_models_that_answered_different_questions_are_not_compared(tmp_path: Path) -> None:
    inputs = build(tmp_path / "build")
    sit(tmp_path / "build/evaluations/finals/late", 399, 0.5)
    inputs["evaluations"].append(tmp_path / "build/evaluations/finals/late")
    with pytest.raises(Complaint, match=r"late and base answered different.*'q399'"):
        written(tmp_path, **inputs)


def test_an_evaluation_without_answers_is_refused(tmp_path: Path) -> None:
    inputs = build(tmp_path / "build")
    (inputs["evaluations"][0] / "predictions.jsonl").write_text("")
    with pytest.raises(Complaint, match=r"predictions\.jsonl is empty"):
        written(tmp_path, **inputs)


def test_a_declaration_without_models_still_has_its_page(tmp_path: Path) -> None:
    inputs = build(tmp_path / "build")
    inputs |= {"tokenizers": [], "fertility": [], "models": [], "evaluations": []}
    text = Page((written(tmp_path, **inputs) / "report.html").read_text()).text
    assert "What was dropped" in text
    assert "Did it work?" not in text


def test_at_most_three_examples_are_shown_of_each_reason(tmp_path: Path) -> None:
    inputs = build(tmp_path / "build", text="one dropped paragraph")
    html = (written(tmp_path, **inputs) / "report.html").read_text()
    dropped = html[html.index('id="dropped"') : html.index('id="graph"')]
    assert dropped.count("one dropped paragraph") == 1 + 3 + 2 + 3 * 3


def test_scores_along_a_training_are_drawn_from_its_parents_to_its_own(tmp_path: Path) -> None:
    inputs = build(tmp_path / "build")
    kept = tmp_path / "build/evaluations/finals/resident-50"
    sit(kept, 400, 0.5)
    inputs["evaluations"].insert(2, kept)
    out = written(tmp_path, **inputs)
    page = (out / "report.html").read_text()
    assert page.count("Accuracy of resident on finals along its training") == 1
    (told,) = re.findall(r"along its training, in percent: ([^\"]*)", page)
    assert [each.split(":")[0] for each in told.split(", ")] == ["0 %", "50 %", "100 %"]
    assert "resident@50%" in read_json(out / "metrics.json")["finals"]
    assert (
        "along its training"
        not in (written(tmp_path / "none", **build(tmp_path / "other")) / "report.html").read_text()
    )


def leak(question: str, document: str, split: str = "boards/test") -> dict[str, Any]:
    """A ledger's row of a passage that held a question."""
    detail = f"{split}/{question}: stem and options (0.97): exam “Which …?”, text “which …”"
    return {"id": document, "reason": "in exam", "detail": detail, "item": {"text": "which …"}}


def test_the_part_of_an_exam_that_no_raw_text_held_is_scored_by_itself(tmp_path: Path) -> None:
    inputs = build(tmp_path / "build")
    assert "clean part" not in (written(tmp_path / "no", **inputs) / "report.html").read_text()
    folder = tmp_path / "build/corpora/textbook"  # which params.yaml keeps from finals' exam
    ledger(folder, {"documents": 3}, {}, "")
    rows = [leak("q1", "a"), leak("q5", "b"), leak("q1", "c"), leak("elsewhere", "d")]
    rows[0]["detail"] += "\n" + rows[1]["detail"].replace("q5", "q7")  # two in one passage
    rows += [leak("q9", "e", split) for split in ("boards/dev", "rounds/test")]  # not what was sat
    write_rows(folder / "rejected.jsonl", rows)
    write_json(folder / "counts.json", {"kept": {"documents": 3}, "rejected": {"in exam": 6}})
    inputs["ledgers"].append(folder)
    html = (written(tmp_path, **inputs) / "report.html").read_text()
    assert "3 of its 400 questions were found in the raw text of textbook" in html
    answers = read_rows(tmp_path / "build/evaluations/finals/resident/predictions.jsonl")
    left = [row["correct"] for row in answers if row["id"] not in ("q1", "q5", "q7")]
    assert f"clean part: {100 * sum(left) / 397:.1f} %" in html


def test_an_exam_that_was_searched_for_and_not_found_is_said_to_be_clean(tmp_path: Path) -> None:
    inputs = build(tmp_path / "build")
    ledger(tmp_path / "build/corpora/textbook", {"documents": 3}, {}, "")
    inputs["ledgers"].append(tmp_path / "build/corpora/textbook")
    html = (written(tmp_path, **inputs) / "report.html").read_text()
    assert "None of its questions was found in the raw text of textbook" in html


def test_the_first_section_says_in_words_whether_it_worked(out: Path, tmp_path: Path) -> None:
    def verdict(folder: Path) -> str:
        html = (folder / "report.html").read_text()
        part = html[html.index('id="verdict"') : html.index('id="results"')]
        return " ".join(Page(f"<p {part}").text.split())

    assert verdict(out).startswith("Did it work? Yes. finals")
    assert "points more than base (" in verdict(out)
    inputs = build(tmp_path / "build")
    for model in ("same", "alone"):
        sit(tmp_path / "build/evaluations" / model / "base", 60, 0.4)
        inputs["evaluations"].append(tmp_path / "build/evaluations" / model / "base")
    sit(tmp_path / "build/evaluations/same/resident", 60, 0.4)
    inputs["evaluations"].append(tmp_path / "build/evaluations/same/resident")
    told = verdict(written(tmp_path, **inputs))
    assert (
        "Yes on finals and cases; not to be told from chance on same; "
        "nothing to compare with on alone." in told
    )
    assert "that may be chance" in told
    assert "No other model sat this" in told


def test_what_a_model_wrote_is_told_with_its_cost(tmp_path: Path) -> None:
    inputs = build(tmp_path / "build")
    folder = tmp_path / "build/questions/drills"
    replies = [
        {"model": "big-1", "prompt_tokens": 500, "reply_tokens": 100, "cost": 0.5, "seconds": 3.1},
        {"model": "big-1", "prompt_tokens": 700, "reply_tokens": 200, "cost": "0.25"},
        {"asked": "judge", "refused": "over and over"},
    ]
    write_rows(folder / "replies.jsonl", replies)
    counts = read_json(folder / "counts.json")
    asked = {"currency": "USD", "stopped_by_budget": True}
    write_json(folder / "counts.json", counts | {"asked": asked})
    html = (written(tmp_path, **inputs) / "report.html").read_text()
    section = Page(html[html.index('id="written"') : html.index('id="dropped"')]).text
    assert "big-121,2003000.750.09375" in section.replace("\n", "")
    assert "judge1–––" in section
    assert "Money USD" in section
    assert "budget was spent" in section
    assert "3.1" not in section  # no seconds on the page


def test_a_served_models_answers_are_told_with_their_cost(tmp_path: Path) -> None:
    inputs = build(tmp_path / "build")
    folder = inputs["evaluations"][0]
    told = {
        "requests": 60, "refused": 2, "prompt_tokens": 12000, "reply_tokens": 600, "money": 0.036,
        "currency": "EUR", "money_per_question": 0.0006, "reasons": {"content filter": 2},
        "models": ["large-2026<i>"],
    }  # fmt: skip
    write_json(folder / "scores.json", read_json(folder / "scores.json") | {"asked": told})
    out = written(tmp_path, **inputs)
    page = (out / "report.html").read_text()
    (table,) = re.findall(r'aria-label="What served models cost on .*?</table>', page, re.DOTALL)
    assert "large-2026&lt;i&gt;" in table
    for each in ("content filter 2", "12,000", "0.036 EUR", "0.0006"):
        assert each in table
    found = read_json(out / "metrics.json")[folder.parent.name][folder.name]
    assert (found["tokens"], found["money"]) == (12600, 0.036)


def test_published_scores_stand_beside_ours_with_their_source() -> None:
    exam = PubMedQA(kind="pubmedqa", setting="reasoning-required", fold=None)
    found = published(exam, "test", 500)
    assert found is not None
    assert (found["rows"][4]["name"], found["rows"][4]["accuracy"]) == ("AntGLM-Med-10B", 80.6)
    assert found["ours"] is None
    other = published(exam, "dev", 50)
    assert other is not None
    assert other["ours"] == "50 of dev"
    reading = published(PubMedQA(kind="pubmedqa", setting="reasoning-free", fold=None), "test", 500)
    assert reading is not None
    assert reading["rows"] == [{"name": "Human", "accuracy": 90.4}]


def test_every_published_score_is_named_and_a_percentage() -> None:
    known = YAML(typ="safe").load(REPOSITORY / "src/residency/published.yaml")
    assert set(known) >= {"cmexam"}
    for each in known.values():
        assert each["source"]
        assert all(row["name"] and 0 < row["accuracy"] < 100 for row in each["rows"])
