"""The report's page in a real browser, without a window: needs a Chromium, else it skips."""

from __future__ import annotations

import io
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from test_report import build, gate, sit, written

from residency.diff import PLACE, Change, Changes, section
from residency.files import read_rows, write_rows
from residency.report import LIMIT
from residency.results import Difference

sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
EVIL = "</script><script>window.owned = true</script><img src=x onerror='window.owned = true'>"
MANY = 10_000


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """A Chromium of the system, or the one that `playwright install chromium` keeps."""
    names = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
    path = next(filter(None, map(shutil.which, names)), None)
    with sync_api.sync_playwright() as playwright:
        if path is None and not Path(playwright.chromium.executable_path).exists():
            pytest.skip("no Chromium: install one, or `playwright install chromium`")
        browser = playwright.chromium.launch(executable_path=path)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A page with all there is, in which every foreign text is hostile."""
    folder = tmp_path_factory.mktemp("page")
    inputs = build(folder / "build", text=EVIL)
    gate(folder / "build/models/reader", grown=True)
    for model in ("base", "resident"):
        sit(folder / "build/evaluations/evil" / model, 12, 0.5, title=EVIL, said=EVIL)
        path = folder / "build/evaluations/evil" / model / "predictions.jsonl"
        rows = list(read_rows(path))
        for number, row in enumerate(rows):
            row["labels"] |= {"chapter": f"{number}", EVIL: EVIL}
        write_rows(path, rows)
        inputs["evaluations"].append(folder / "build/evaluations/evil" / model)
    return written(folder, **inputs) / "report.html"


def expects(page: Any, status: str) -> None:
    """Wait until the search tells a count that begins so."""
    sync_api.expect(page.locator("#status")).to_have_text(re.compile(f"^{status}"))


def opened(browser: Any, report: Path, **context: Any) -> Any:
    """The page in a window of its own; `said` are the errors and requests met on the way."""
    context = {"viewport": {"width": 1280, "height": 900}} | context
    page = browser.new_context(**context).new_page()
    page.said = []
    page.on("pageerror", lambda error: page.said.append(f"error: {error}"))
    page.on("console", lambda message: page.said.append(f"{message.type}: {message.text}"))
    page.on("request", lambda request: page.said.append(f"request: {request.url}"))
    page.goto(report.as_uri())
    page.said.remove(f"request: {report.as_uri()}")
    return page


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
def test_the_page_is_shown_whole_and_without_an_error(
    browser: Any, report: Path, width: int, scheme: str
) -> None:
    page = opened(browser, report, viewport={"width": width, "height": 900}, color_scheme=scheme)
    assert page.said == []
    assert page.evaluate("document.documentElement.scrollWidth") == width  # nothing sticks out
    picture = Image.open(io.BytesIO(page.screenshot())).convert("L")
    light = sum(picture.histogram()[128:]) / (picture.width * picture.height)
    assert (0.8 < light < 0.995) if scheme == "light" else (0.005 < light < 0.2)
    assert page.locator("#verdict .figure").first.bounding_box()["y"] < 900  # in the first screen
    charts = page.locator("svg.chart")
    assert charts.count() > 6
    drawn = Image.open(io.BytesIO(charts.first.screenshot())).convert("RGB")
    assert len(drawn.getcolors(maxcolors=10**6)) > 20


@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (390, "dark")])
def test_axe_finds_no_fault_with_everything_unfolded(
    browser: Any, report: Path, width: int, scheme: str
) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright")
    page = opened(browser, report, viewport={"width": width, "height": 900}, color_scheme=scheme)
    page.evaluate("document.querySelectorAll('details').forEach((each) => { each.open = true })")
    found = axe.Axe().run(page).response
    assert len(found["passes"]) > 20
    assert [
        (each["impact"], each["id"], each["nodes"][0]["html"]) for each in found["violations"]
    ] == []


def test_axe_finds_no_fault_in_a_comparison_with_another_revision(
    browser: Any, report: Path, tmp_path: Path
) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright")
    pair = Difference(
        model="here", against="v1", won=9, lost=1, points=8.0, low=2.0, high=14.0, p=0.02,
        corrected=0.04, shown=True,
    )  # fmt: skip
    changed = [Change("a.b", None, 2.5), Change(EVIL, EVIL, [EVIL * 5])]
    found = Changes(
        revision=EVIL, parameters=changed, artifacts=changed, counts=changed, scores=changed,
        pairs=[("finals: resident", pair), (EVIL, pair)], missing=[EVIL, "why"],
    )  # fmt: skip
    whole = tmp_path / "compared.html"
    whole.write_text(report.read_text().replace(PLACE, section(found), 1))
    for width, scheme in ((1280, "light"), (390, "dark")):
        size = {"width": width, "height": 900}
        page = opened(browser, whole, viewport=size, color_scheme=scheme)
        assert page.locator("#compared table").count() == 5
        assert page.evaluate("document.documentElement.scrollWidth") == width
        told = axe.Axe().run(page, context="#compared").response
        assert len(told["passes"]) > 10
        assert [(each["id"], each["nodes"][0]["html"]) for each in told["violations"]] == []
        assert page.said == []


def test_of_several_labels_the_table_chosen_is_shown(browser: Any, report: Path) -> None:
    page = opened(browser, report)
    group = page.locator(".labels").filter(has=page.locator("select"))
    assert group.count() == 1  # the others have one label each
    tables = group.locator("details")
    assert tables.count() == 3
    assert [each.is_visible() for each in tables.all()] == [True, False, False]
    chosen = page.get_by_label("Scores by")
    assert chosen.locator("option").all_inner_texts() == [EVIL, "chapter", "subject"]
    chosen.focus()
    page.keyboard.press("Home")
    page.keyboard.press("ArrowDown")
    assert [each.is_visible() for each in tables.all()] == [False, True, False]
    assert tables.nth(1).locator("tbody tr").count() == 12
    assert tables.nth(1).locator("table").is_visible()
    assert page.said == []
    without = opened(browser, report, java_script_enabled=False)
    assert all(each.is_visible() for each in without.locator(".labels details").all())


def test_questions_are_found_by_words_and_by_who_was_right(browser: Any, report: Path) -> None:
    page = opened(browser, report)
    folder = report.parents[1] / "build/evaluations/finals"
    rows = {
        model: list(read_rows(folder / model / "predictions.jsonl"))
        for model in ("base", "reader", "resident")
    }
    right = [[row["correct"] for row in rows[model]] for model in rows]
    verdicts = list(zip(*right, strict=True))

    def told() -> str:
        return page.inner_text("#status")

    assert told() == f"{sum(len(set(each)) > 1 for each in verdicts)} of 400 questions"
    page.select_option("#model", label="only resident right")
    only = [each == (False, False, True) for each in verdicts]
    assert told() == f"{sum(only)} of 400 questions"
    page.select_option("#model", label="whatever the answers")
    page.fill("#words", "SURGERY question 17")
    expects(page, r"3 of 400")
    ids = page.locator("#found summary .count").all_inner_texts()
    assert sorted(ids) == ["q171", "q175", "q179"]
    page.locator("#found summary").first.click()
    page.locator("#found details .text").first.wait_for()
    assert "the portal vein" in page.inner_text("#found details")
    page.fill("#words", "no such words")
    expects(page, r"0 of 400")
    assert page.locator("#found details").count() == 0


def test_the_page_is_walked_by_keyboard(browser: Any, report: Path) -> None:
    page = opened(browser, report)
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to the content"
    assert page.locator(".skip").bounding_box()["x"] > 0
    page.keyboard.press("Enter")
    assert page.evaluate("location.hash") == "#main"
    page.focus("#words")
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    assert page.locator("#found details").first.get_attribute("open") is not None
    page.focus("#more")
    page.keyboard.press("Enter")
    assert page.locator("#found details").count() == 40
    at = "[...document.querySelectorAll('#found summary')].indexOf(document.activeElement)"
    assert page.evaluate(at) == 20  # the first of those that came


def test_planted_scripts_are_shown_and_never_run(browser: Any, report: Path) -> None:
    page = opened(browser, report)
    page.select_option("#exam", label="evil")
    page.evaluate("document.querySelectorAll('details').forEach((each) => { each.open = true })")
    page.wait_for_timeout(100)
    assert page.inner_text("#found").count(EVIL) > 12
    assert page.inner_text("#dropped").count(EVIL) > 3
    assert page.inner_text("#written").count(EVIL) > 3
    assert page.evaluate("window.owned") is None
    assert page.said == []


def test_a_script_that_came_into_the_page_is_refused(
    browser: Any, report: Path, tmp_path: Path
) -> None:
    spoilt = tmp_path / "spoilt.html"
    spoilt.write_text(report.read_text().replace("<main", f"<p>{EVIL}</p><main", 1))
    page = opened(browser, spoilt)
    assert page.evaluate("window.owned") is None
    assert any("Content Security Policy" in each for each in page.said)
    assert page.inner_text("#status")  # our own runs


def test_without_scripts_a_few_questions_stand_there(browser: Any, report: Path) -> None:
    page = opened(browser, report, java_script_enabled=False)
    assert page.locator("#few details").count() == 18
    assert not page.locator("#filters").is_visible()


def test_ten_thousand_questions_are_a_page_of_less_than_five_megabytes(
    browser: Any, tmp_path: Path
) -> None:
    inputs = build(tmp_path / "build")
    inputs["evaluations"] = []
    for model in ("base", "resident"):
        folder = tmp_path / "build/evaluations/large" / model
        sit(folder, MANY, 0.5, title="A case told at some length, as exams do. " * 12)
        inputs["evaluations"].append(folder)
    report = written(tmp_path, **inputs) / "report.html"
    assert LIMIT - 20_000 < report.stat().st_size < 5_000_000
    page = opened(browser, report)
    told = page.inner_text("#questions .soft")
    shown = page.evaluate(
        "JSON.parse(document.getElementById('question-data').textContent)[0].rows.length"
    )
    assert 1_000 < shown < MANY
    assert f"large: {shown:,} of 10,000 questions, as many as this page has room for" in told
    page.select_option("#model", label="whatever the answers")
    page.fill("#words", "question 4999:")
    expects(page, r"[01] of")
    assert page.said == []
