"""A textbook module gives its prose, and apart from it its exercises and its glossary."""

from __future__ import annotations

from pathlib import Path

import pytest

from residency.reading import cnxml
from residency.reading.blocks import Block, Unreadable

BOOK = Path(__file__).parents[1].parent / "shared/data/openstax_anatomy_physiology_2e"
real = pytest.mark.skipif(not BOOK.exists(), reason=f"{BOOK} is absent")

MODULE = """<document xmlns="http://cnx.rice.edu/cnxml" xmlns:m="http://www.w3.org/1998/Math/MathML"
  xmlns:md="http://cnx.rice.edu/mdml"><title>Cells </title><metadata>
  <md:content-id>m1</md:content-id><md:title>Cells</md:title>
  <md:abstract><para id="a">By the end</para></md:abstract><md:uuid>0-0</md:uuid></metadata>
<content>%s</content>%s</document>"""

EXERCISES = """<section class="multiple-choice"><title>Review</title>
<exercise id="e1"><problem id="p"><para>Which
  is <term>it</term>?</para><list list-type="enumerated"><item>The one</item>
  <item>H<sub>2</sub>O</item></list></problem><solution><label/><para>B</para></solution></exercise>
<exercise id="e2"><problem><para>Why is it so?</para></problem></exercise></section>"""


def blocks(content: str, after: str = "") -> list[Block]:
    return [b for b in cnxml.read((MODULE % (content, after)).encode()) if isinstance(b, Block)]


def texts(content: str) -> list[str]:
    return [block.text for block in blocks(content)[1:]]


def test_a_module_keeps_its_title_and_sections_but_no_metadata() -> None:
    content = """<para>One
      two</para><section><title>Wall</title><para>three</para>
      <section><title>Door</title><para>four</para></section></section>"""
    assert blocks(content) == [
        Block("Cells", 0),
        Block("One two"),
        Block("Wall", 1),
        Block("three"),
        Block("Door", 2),
        Block("four"),
    ]


def test_exercises_and_glossary_are_parts_of_their_own() -> None:
    glossary = """<glossary><definition><term>axon</term> <meaning>a fibre</meaning></definition>
      <definition><term>soma</term> <meaning>the body</meaning></definition></glossary>"""
    found = blocks(f"<para>Why is it so?</para><para>So.</para>{EXERCISES}", glossary)
    assert [(block.part, block.text) for block in found] == [
        ("prose", "Cells"),
        ("exercises", "Why is it so?"),  # the prose asks what an exercise asks
        ("prose", "So."),
        ("exercises", "Review"),
        ("exercises", "Which is it?"),
        ("exercises", "1. The one\n2. H2O"),
        ("exercises", "B"),
        ("exercises", "Why is it so?"),
        ("prose", "Cells"),
        ("glossary", "axon: a fibre"),
        ("glossary", "soma: the body"),
    ]
    assert found[-3].level == 0  # or it would be the glossary of the section "Review"


def test_exercises_come_out_as_they_are_written() -> None:
    assert list(cnxml.exercises((MODULE % (EXERCISES, "")).encode())) == [
        cnxml.Exercise("m1#e1", "Which is it?", ("The one", "H2O"), "B", ("Cells", "Review")),
        cnxml.Exercise("m1#e2", "Why is it so?", (), "", ("Cells", "Review")),
    ]


def test_an_empty_link_is_told_by_the_title_of_its_figure() -> None:
    content = """<para>Cold (<link target-id="f" document=""/>), <link url="http://x">here</link>,
      <link target-id="none"/>.</para><figure id="f"><title>Ice</title><media alt="x"/>
      <caption>It floats.</caption></figure>"""
    assert texts(content) == ["Cold (“Ice”), here, .", "Ice. It floats."]


def test_formulas_read_on_one_line() -> None:
    content = """<para>10<sup>5</sup> Ca<sup>2+</sup> <m:math><m:mrow><m:mtext>N + 3H</m:mtext>
      <m:mo>→</m:mo><m:msub><m:mrow> <m:mtext>NH</m:mtext> </m:mrow> <m:mtext>3</m:mtext></m:msub>
      </m:mrow></m:math></para><equation><m:math><m:mfrac><m:mrow><m:mi>a</m:mi><m:mo>+</m:mo>
      <m:mi>b</m:mi></m:mrow><m:msup><m:mi>c</m:mi><m:mn>2</m:mn></m:msup></m:mfrac></m:math>
      </equation>"""
    assert texts(content) == ["10^5 Ca2+ N + 3H → NH3", "(a + b)/c^2"]


def test_a_table_reads_as_a_sentence_per_row() -> None:
    content = """<table><title>Doses</title><tgroup><thead><row><entry>All</entry></row>
      <row><entry>Drug</entry><entry>Dose</entry></row></thead><tbody>
      <row><entry>aspirin</entry>
      <entry><list><item>5 mg</item><item>6 mg</item></list></entry></row>
      <row><entry>odd</entry></row></tbody></tgroup></table>"""
    assert texts(content) == ["Doses.\nAll\nDrug: aspirin; Dose: 5 mg, 6 mg.\nodd"]


def test_a_list_reads_as_a_line_per_item() -> None:
    content = """<para>Both:<list><item>one</item><item>two<list list-type="enumerated">
      <item>in</item></list></item></list>end</para>
      <list><item><para>long</para></item><item>longer</item></list>"""
    assert texts(content) == ["Both:", "- one\n- two\n  1. in", "end", "long", "longer"]


def test_a_collection_names_its_modules_in_order_with_their_chapters() -> None:
    book = b"""<col:collection xmlns:col="http://cnx.rice.edu/collxml"
      xmlns:md="http://cnx.rice.edu/mdml"><metadata><md:title>Book</md:title></metadata><col:content>
      <col:module document="m9"/><col:subcollection><md:title>Unit</md:title><col:content>
      <col:subcollection><md:title>The
      Cell</md:title><col:content><col:module document="m1"/></col:content></col:subcollection>
      </col:content></col:subcollection></col:content></col:collection>"""
    assert cnxml.collection(book) == [("m9", ()), ("m1", ("Unit", "The Cell"))]


def test_another_kind_of_xml_is_no_module() -> None:
    with pytest.raises(Unreadable) as caught:
        list(cnxml.read(b"<article/>"))
    reason, detail = caught.value.args
    assert reason == "unknown format"
    assert detail.startswith("the root element is article, expected ")


@real
def test_the_whole_book_is_read_with_its_exercises_apart() -> None:
    [collection] = (BOOK / "collections").glob("*.xml")
    order = cnxml.collection(collection.read_bytes())
    assert len(order) == 198
    assert order[1] == (
        "m45981",
        ("Levels of Organization", "An Introduction to the Human Body"),
    )
    prose: list[str] = []
    stems: list[str] = []
    options = 0
    for module, _ in order:
        content = (BOOK / f"modules/{module}/index.cnxml").read_bytes()
        for block in cnxml.read(content):
            if isinstance(block, Block) and block.part == "prose":
                prose.append(block.text)
        found = list(cnxml.exercises(content))
        assert all(each.stem for each in found)
        assert all(each.id.startswith(f"{module}#") for each in found)
        stems += [each.stem for each in found if each.options]
        options += sum(len(each.options) for each in found)
    assert (len(stems), options) == (714, 2844)
    told = "\n".join(prose)
    assert [stem for stem in stems if stem in told] == []
    assert "By the end of this section" not in told
    assert len(told) > 2_800_000
