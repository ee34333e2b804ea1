"""A page or a Markdown file gives what it says, and nothing around it."""

from __future__ import annotations

import pytest

from residency.ingest import READERS, split
from residency.reading import markup
from residency.reading.blocks import Block, Unreadable


def texts(blocks: list[Block]) -> list[str]:
    return [block.text for block in blocks]


def sections(text: str, suffix: str) -> list[tuple[tuple[str, ...], str]]:
    return [(each.section, each.text) for each in split(READERS[suffix](text))]


def test_markdown_loses_its_marks_and_its_front_matter() -> None:
    text = "---\ntitle: x\n---\n# A *b*\n\nSee [the **map**](http://x) &amp;\n`code`.<!-- no -->\n"
    assert sections(text, "markdown") == [(("A b",), "See the map & code.")]


def test_a_deeper_heading_ends_with_its_section() -> None:
    text = "# A\n\n### B\n\nb\n\n## C\n\nc\n\n# D\n\nd\n"
    assert sections(text, "markdown") == [(("A", "B"), "b"), (("A", "C"), "c"), (("D",), "d")]


def test_a_table_reads_as_a_sentence_per_row() -> None:
    markdown = "| Drug | Dose |\n|--|--|\n| aspirin | *5* mg |\n| kelvask | |\n"
    rows = "Drug: aspirin; Dose: 5 mg.\nDrug: kelvask."
    assert texts(list(markup.read_markdown(markdown))) == [rows]
    html = (
        "<table><caption>Doses</caption><tr><th>Drug<th>Dose</tr>"
        "<tr><td>aspirin</td><td><p>5 mg</p></td></tr><tr><td>kelvask</td><td></td></tr></table>"
        "<table><tr><td>a</td><td>b</td></tr></table>"
    )
    assert texts(list(markup.read_html(html))) == [f"Doses.\n{rows}", "a | b"]


def test_a_list_reads_as_a_line_per_item() -> None:
    lines = "- one\n- two\n  1. in\n  2. more\n- three"
    assert texts(list(markup.read_markdown("- one\n- two\n  1. in\n  2. more\n- three\n"))) == [
        lines
    ]
    html = "<ul><li>one<li>two<ol><li>in<li>more</ol><li>three</ul>"
    assert texts(list(markup.read_html(html))) == [lines]


def test_items_that_are_paragraphs_stay_paragraphs() -> None:
    assert texts(list(markup.read_markdown("1. long\n\n2. longer\n"))) == ["long", "longer"]


def test_a_glossary_keeps_a_term_with_its_meaning() -> None:
    html = "<dl><dt>azygos</dt><dd>not one of a pair</dd><dt>axilla</dt><dd><p>armpit</p></dd></dl>"
    assert texts(list(markup.read_html(html))) == ["azygos: not one of a pair", "axilla: armpit"]


def test_a_power_of_a_number_is_told_from_its_digits() -> None:
    html = (
        "<p>10<sup>9</sup> per mm<sup>3</sup> of H<sub>2</sub>O</p>"
        "<table><tr><td>5 × 10<sup>-3</sup></td></tr></table>"
    )
    assert texts(list(markup.read_html(html))) == ["10^9 per mm3 of H2O", "5 × 10^-3"]


def test_code_keeps_its_lines() -> None:
    assert texts(list(markup.read_markdown("```py\nif x:\n\n    y\n```\n"))) == ["if x:\n    y"]


def test_a_page_gives_what_it_says_and_nothing_around_it() -> None:
    page = """<!DOCTYPE html><html><head><title>Organs</title><style>p{}</style></head><body>
    <header><nav><h4>Menu</h4></nav><h1>Organs</h1></header>
    <div>Loose<p>A<sub>2</sub> <!-- no -->&lt;b&gt;<br>line</p>end</div>
    <h2>Node</h2><p>one<br><br>two</p><form>f</form><script>s</script><aside>a</aside>
    <footer>f</footer></body></html>"""
    assert sections(page, "html") == [
        (("Organs",), "Loose\n\nA2 <b> line\n\nend"),
        (("Organs", "Node"), "one\n\ntwo"),
    ]


def test_a_page_that_closes_nothing_is_read() -> None:
    blocks = list(markup.read_html("<p>hello <i>there" * 3000))
    assert texts(blocks) == ["hello there"] * 3000


def test_a_page_too_deep_for_its_parser_is_read_whole_or_not_at_all() -> None:
    assert texts(list(markup.read_html("<font><p>x" * 3000))) == ["x"] * 3000
    with pytest.raises(Unreadable) as caught:
        list(markup.read_html("<div>" * 100_000 + "x"))
    assert caught.value.args == ("nested too deep", "more than 2048 tags within one another")


def test_a_long_list_takes_no_longer_per_item() -> None:
    [block] = markup.read_html("<ol>" + "<li>x" * 20_000)
    assert block.text.endswith("\n20000. x")


def test_a_cell_over_several_rows_tells_in_each_of_them() -> None:
    html = (
        "<table><tr><th>Drug<th>Dose</tr><tr><td rowspan=2>aspirin<td>5 mg</tr>"
        "<tr><td>6 mg</tr></table>"
    )
    [block] = markup.read_html(html)
    assert block.text == "Drug: aspirin; Dose: 5 mg.\nDrug: aspirin; Dose: 6 mg."


def test_named_entities_and_closed_empty_tags_are_read_as_in_xhtml() -> None:
    page = "<?xml version='1.0' encoding='gb2312'?><title/><a id='x'/><p>caf&eacute;&nbsp;中</p>"
    assert texts(list(markup.read_html(page))) == ["café 中"]
