"""`residency took`: what each step took here, and the report's copy that tells it."""

from __future__ import annotations

from pathlib import Path

import pytest
from project import Project, typed

from residency import times, took
from residency.files import building, read_rows, write_rows


def measured(out: Path) -> None:
    """As if the step that made an artifact had run here."""
    content = {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}
    asked = [row["id"] for row in read_rows(out / "predictions.jsonl")] if "ev" in str(out) else []
    with times.taken(out), building(out) as folder:
        for path, bytes in content.items():
            place = folder / path.relative_to(out)
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(bytes)
        times.spent(asked, [0.5 + number for number in range(len(asked))], [30] * len(asked))


FINALS = Path("build/evaluations/finals/resident")


def test_each_step_that_ran_here_is_told_and_what_is_not_known_is_named(
    mine: Project, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(times, "RAPL", mine.root / "nothing")
    measured(FINALS)
    measured(Path("build/models/resident"))
    done = typed(capsys, "took", "--core-hour", "3600")
    table, _, rest = done.out.partition("\n\n")
    lines = {line.split("  ")[0]: line.split()[1:] for line in table.splitlines()}
    questions = len(list(read_rows(FINALS / "predictions.jsonl")))
    assert done.status == 0
    assert "1,000" in lines["train-resident"]
    assert f"{30 * questions:,}" in lines["evaluate-finals-resident"]
    assert set(lines["clean-textbook"]) == {"–"}
    known = [times.took(out) for out in (FINALS, Path("build/models/resident"))]
    spent = sum(each.cpu_seconds for each in known if each)
    assert float(lines["all that is known"][-1].replace(",", "")) == pytest.approx(spent, abs=0.01)
    assert rest.splitlines()[1].split()[:2] == ["evaluate-finals-resident", f"{questions}"]
    assert "could not be read" in done.out
    assert "No time is kept of" in done.out
    assert "clean-textbook" in done.out.partition("No time is kept of")[2]


@pytest.mark.usefixtures("mine")
def test_the_questions_of_an_evaluation_are_told_the_slowest_first(
    capsys: pytest.CaptureFixture[str],
) -> None:
    measured(FINALS)
    found = list(read_rows(FINALS / "predictions.jsonl"))
    rows, said = [row["id"] for row in found], "right" if found[0]["correct"] else "wrong"
    done = typed(capsys, "took", "finals/resident")
    told = [line.split() for line in done.out.splitlines() if line][1:]
    assert [each[0] for each in told] == rows[::-1]
    assert told[-1][1:] == ["0.5000", "30"]
    assert f"finals/resident answered {said} in 0.5 s here" in typed(capsys, "trace", rows[0]).out
    assert "did you mean 'finals/resident'" in typed(capsys, "took", "finals/residant").err
    write_rows(FINALS / "predictions.jsonl", [])
    assert "no time is kept" in typed(capsys, "took", "finals/resident").err


@pytest.mark.usefixtures("mine")
def test_the_report_stays_as_it_is_and_a_copy_has_the_times(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("RESIDENCY_WORK", raising=False)
    before = times.digest(Path("build/report"))
    measured(FINALS)
    took.beside(Path("build/report"))
    whole = Path("work/report.html").read_text()
    assert whole.count('<section id="took"') == 1
    assert '<th scope="row">evaluate-finals-resident</th>' in whole
    assert times.digest(Path("build/report")) == before
    assert typed(capsys, "took", "--page", "took.html").status == 0
    assert Path("took.html").read_text() == whole
    assert "cannot be written" in typed(capsys, "took", "--page", "no/where.html").err
