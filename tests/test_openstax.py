"""OpenStax exercises: all 714 keyed ones accounted for."""

from __future__ import annotations

from pathlib import Path

from exams import DATA, exam, examined, needs_data

MODULE = """<document xmlns="http://cnx.rice.edu/cnxml"><title>Cells</title>
<metadata xmlns:md="http://cnx.rice.edu/mdml"><md:content-id>m1</md:content-id></metadata>
<content>{}</content></document>"""
EXERCISE = """<exercise id="{id}"><problem><para>{stem}</para>
<list list-type="enumerated"><item>x</item><item>y</item><item>z</item></list></problem>
{solution}</exercise>"""
BOTH = {"kind": "openstax", "exercises": ["choice", "open"]}


@needs_data
def test_the_keyed_exercises_of_a_whole_book_are_questions(tmp_path: Path) -> None:
    path = DATA / "openstax_anatomy_physiology_2e"
    found = examined(tmp_path / "out", exam(path, BOTH))
    assert found.counts["rows"] == 1226
    assert found.kinds == {"single": 714, "open": 512}
    assert all(each.reference for each in found.questions if each.kind == "open")
    first = found.by_id("m45983#fs-id2662649")
    assert first.options[first.answers[0]] == "regional anatomy"
    assert first.stem.endswith("the structures of the ankle and foot?")
    assert first.labels == {
        "chapter": "An Introduction to the Human Body",
        "section": "Overview of Anatomy and Physiology",
        "module": "m45983",
    }
    assert len({each.labels["chapter"] for each in found.questions}) == 28


def test_solutions_that_are_no_letter_are_two_letters_or_in_the_ledger(tmp_path: Path) -> None:
    solutions = {"a": "A and B", "b": "", "c": "C.", "d": "see the text", "e": "D"}
    exercises = [
        EXERCISE.format(
            id=id,
            stem=f"Which is {id}?",
            solution=f"<solution><para>{told}</para></solution>" if told else "",
        )
        for id, told in solutions.items()
    ]
    module = tmp_path / "book/modules/m1/index.cnxml"
    module.parent.mkdir(parents=True)
    module.write_text(MODULE.format("".join(exercises)))
    broken = tmp_path / "book/modules/m2/index.cnxml"
    broken.parent.mkdir()
    broken.write_text("<document")
    found = examined(
        tmp_path / "out",
        exam(tmp_path / "book", BOTH, {"whole": "test"}),
    )
    assert {each.id: each.answers for each in found.questions} == {"m1#a": (0, 1), "m1#c": (2,)}
    assert found.by_id("m1#a").kind == "multiple"
    assert found.counts["rejected"] == {"no answer": 1, "unknown answer": 2, "bad row": 1}


def test_open_exercises_can_be_left_to_the_ledger(tmp_path: Path) -> None:
    module = tmp_path / "book/index.cnxml"
    module.parent.mkdir()
    solution = "<solution><para>B</para></solution>"
    both = EXERCISE.format(id="a", stem="Which?", solution=solution) + (
        '<exercise id="b"><problem><para>Why?</para></problem>'
        "<solution><para>So.</para></solution></exercise>"
    )
    module.write_text(MODULE.format(both))
    choice = {"kind": "openstax", "exercises": ["choice"]}
    section = exam(tmp_path / "book", choice, {"whole": "test"})
    found = examined(tmp_path / "out", section)
    assert found.kinds == {"single": 1}
    assert [row["reason"] for row in found.rejected] == ["not taken"]
