"""Files of every known format become text that reads well and says where it came from."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from residency import records
from residency.files import read_json, read_rows
from residency.ingest import (
    READERS,
    Block,
    Source,
    decoded,
    extracted,
    ingest,
    read_html,
    read_markdown,
    read_text,
    split,
)
from residency.records import Document
from residency.section import Complaint

ROOT = Path(__file__).parents[1]
DATA = ROOT.parent / "shared" / "data"


def ingested(path: Path, out: Path, language: str = "en") -> list[Document]:
    out.mkdir()
    ingest(Source(path=str(path), language=language, licence="CC0-1.0"), out)
    return list(records.documents(out))


def texts(blocks: list[Block]) -> list[str]:
    return [block.text for block in blocks]


def sections(text: str, suffix: str) -> list[tuple[tuple[str, ...], str]]:
    return [(each.section, each.text) for each in split(READERS[suffix](text))]


def test_a_document_says_where_it_came_from(tmp_path: Path) -> None:
    folder = tmp_path / "book"
    (folder / "part").mkdir(parents=True)
    file = folder / "part/one.md"
    file.write_text("# One\n\nFirst.\n\n## Two\n\nSecond.\n\nThird.\n")
    documents = ingested(folder, tmp_path / "out")
    assert [(each.id, each.section) for each in documents] == [
        (f"{file.as_posix()}#1", ("One",)),
        (f"{file.as_posix()}#2", ("One", "Two")),
    ]
    assert documents[1].text == "Second.\n\nThird."
    assert documents[1].sha256 == hashlib.sha256(file.read_bytes()).hexdigest()
    whole = extracted(read_markdown(file.read_text()))
    assert all(whole[each.start : each.end] == each.text for each in documents)
    assert read_json(tmp_path / "out/counts.json")["kept"] == {
        "files": 1,
        "documents": 2,
        "words": 3,
    }


def test_files_are_read_in_the_order_of_their_paths_and_hidden_ones_are_not(
    tmp_path: Path,
) -> None:
    folder = tmp_path / "book"
    for name in ["b.txt", "a/z.txt", "B.txt", ".git/c.txt", ".d.txt"]:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(name)
    assert [each.text for each in ingested(folder, tmp_path / "out")] == [
        "B.txt",
        "a/z.txt",
        "b.txt",
    ]


def test_what_cannot_be_read_is_in_the_ledger(tmp_path: Path) -> None:
    folder = tmp_path / "book"
    folder.mkdir()
    (folder / "good.TXT").write_text("good")
    (folder / "table.xlsx").write_bytes(b"PK")
    (folder / "blank.txt").write_text("\n \n")
    (folder / "noise.txt").write_bytes(bytes(range(256)) * 4)
    (folder / "broken.txt").symlink_to(folder / "nowhere.txt")
    (tmp_path / "secret.txt").write_text("secret")
    (folder / "out.txt").symlink_to(tmp_path / "secret.txt")
    assert [each.text for each in ingested(folder, tmp_path / "out")] == ["good"]
    reasons = {
        Path(row["id"]).name: row["reason"] for row in read_rows(tmp_path / "out/rejected.jsonl")
    }
    assert reasons == {
        "blank.txt": "empty",
        "broken.txt": "not a file",
        "noise.txt": "undecodable",
        "out.txt": "link out of the source",
        "table.xlsx": "unknown format",
    }


def test_a_source_without_any_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.xlsx").write_bytes(b"PK")
    with pytest.raises(Complaint, match=r"1 unknown format.*\.htm, \.html"):
        ingested(tmp_path, tmp_path / ".out")
    with pytest.raises(Complaint, match="does not exist"):
        ingested(tmp_path / "nowhere", tmp_path / ".other")


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
def test_encodings_are_recognised(encoding: str) -> None:
    text = (
        "La thyroïde est située à la base du cou, en avant de la trachée.\n"
        "Elle sécrète des hormones dont le rôle est de régler le métabolisme.\n"
        "Lorsqu'elle est trop active, le malade maigrit malgré un appétit conservé, dort mal\n"
        "et présente une accélération du cœur; à l'inverse, un déficit entraîne fatigue,\n"
        "frilosité et prise de poids. Le diagnostic repose sur le dosage de la TSH, élevée\n"
        "où la sécrétion est basse. Le traitement a été décrit très tôt.\n"
    )
    assert decoded(text.replace("\n", "\r\n").encode(encoding)) == text


def test_wrapped_lines_are_joined_and_long_ones_are_paragraphs() -> None:
    wide = "word " * 30
    text = (
        f"A line\nwrapped twice\nhere.\n\n\n{wide}\n{wide}\n\nTo buy:\n- bread\n  and milk\n- salt"
    )
    assert texts(list(read_text(text))) == [
        "A line wrapped twice here.",
        wide.strip(),
        wide.strip(),
        "To buy:\n- bread and milk\n- salt",
    ]


def test_wrapped_chinese_is_joined_without_a_space() -> None:
    assert texts(list(read_text("病起于\n肝，\n故曰 liver\nfire"))) == ["病起于肝，故曰 liver fire"]


def test_underlined_lines_of_plain_text_are_headings() -> None:
    text = "BOOK\n====\n\nIntro.\n\nOne\n---\nFirst.\n\nTwo\n---\n\nSecond.\n"
    assert sections(text, ".txt") == [
        (("BOOK",), "Intro."),
        (("BOOK", "One"), "First."),
        (("BOOK", "Two"), "Second."),
    ]


def test_markdown_loses_its_marks_and_its_front_matter() -> None:
    text = "---\ntitle: x\n---\n# A *b*\n\nSee [the **map**](http://x) &amp;\n`code`.<!-- no -->\n"
    assert sections(text, ".md") == [(("A b",), "See the map & code.")]


def test_a_deeper_heading_ends_with_its_section() -> None:
    text = "# A\n\n### B\n\nb\n\n## C\n\nc\n\n# D\n\nd\n"
    assert sections(text, ".md") == [(("A", "B"), "b"), (("A", "C"), "c"), (("D",), "d")]


def test_a_table_reads_as_a_sentence_per_row() -> None:
    markdown = "| Drug | Dose |\n|--|--|\n| aspirin | *5* mg |\n| kelvask | |\n"
    rows = "Drug: aspirin; Dose: 5 mg.\nDrug: kelvask."
    assert texts(list(read_markdown(markdown))) == [rows]
    html = (
        "<table><caption>Doses</caption><tr><th>Drug<th>Dose</tr>"
        "<tr><td>aspirin</td><td><p>5 mg</p></td></tr><tr><td>kelvask</td><td></td></tr></table>"
        "<table><tr><td>a</td><td>b</td></tr></table>"
    )
    assert texts(list(read_html(html))) == [f"Doses.\n{rows}", "a | b"]


def test_a_list_reads_as_a_line_per_item() -> None:
    lines = "- one\n- two\n  1. in\n  2. more\n- three"
    assert texts(list(read_markdown("- one\n- two\n  1. in\n  2. more\n- three\n"))) == [lines]
    html = "<ul><li>one<li>two<ol><li>in<li>more</ol><li>three</ul>"
    assert texts(list(read_html(html))) == [lines]


def test_items_that_are_paragraphs_stay_paragraphs() -> None:
    assert texts(list(read_markdown("1. long\n\n2. longer\n"))) == ["long", "longer"]


def test_a_glossary_keeps_a_term_with_its_meaning() -> None:
    html = "<dl><dt>azygos</dt><dd>not one of a pair</dd><dt>axilla</dt><dd><p>armpit</p></dd></dl>"
    assert texts(list(read_html(html))) == ["azygos: not one of a pair", "axilla: armpit"]


def test_code_keeps_its_lines() -> None:
    assert texts(list(read_markdown("```py\nif x:\n\n    y\n```\n"))) == ["if x:\n    y"]


def test_a_page_gives_what_it_says_and_nothing_around_it() -> None:
    page = """<!DOCTYPE html><html><head><title>Organs</title><style>p{}</style></head><body>
    <header><nav><h4>Menu</h4></nav><h1>Organs</h1></header>
    <div>Loose<p>A<sub>2</sub> <!-- no -->&lt;b&gt;<br>line</p>end</div>
    <h2>Node</h2><p>one<br><br>two</p><form>f</form><script>s</script><aside>a</aside>
    <footer>f</footer></body></html>"""
    assert sections(page, ".html") == [
        (("Organs",), "Loose\n\nA2 <b> line\n\nend"),
        (("Organs", "Node"), "one\n\ntwo"),
    ]


def test_a_page_that_closes_nothing_is_read() -> None:
    blocks = list(read_html("<p>hello <i>there" * 3000))
    assert texts(blocks) == ["hello there"] * 3000


@given(
    st.sampled_from([".txt", ".md", ".html"]),
    st.text("ab#-=*>|<pli/h1&\n\t \u2028\u3000") | st.text(),
)
def test_offsets_are_true_and_paragraphs_stand_one_empty_line_apart(suffix: str, text: str) -> None:
    blocks = list(READERS[suffix](text))
    whole = extracted(blocks)
    for passage in split(blocks):
        assert whole[passage.start : passage.end] == passage.text
        assert all(part.strip() for part in passage.text.split("\n\n"))
        assert "\n\n\n" not in passage.text


def test_the_embedded_primer_is_read_whole(tmp_path: Path) -> None:
    primer = ROOT / "data/raw/primer"
    documents = ingested(primer, tmp_path / "out")
    assert {Path(each.file).name for each in documents} == {each.name for each in primer.iterdir()}
    assert all(each.section for each in documents)
    assert not any("<" in each.text or "](" in each.text for each in documents)


@pytest.mark.skipif(not DATA.exists(), reason="needs the real books in ../shared/data")
def test_real_books_are_read_whole(tmp_path: Path) -> None:
    (surgery,) = ingested(DATA / "gutenberg/24440.txt", tmp_path / "surgery")
    raw = (DATA / "gutenberg/24440.txt").read_text()
    assert surgery.text.split() == raw.split()
    classics = ingested(DATA / "tcm", tmp_path / "classics", "zh")
    assert [Path(each.file).name[:3] for each in classics] == ["437", "526"]
    assert "黄帝内经素问" in classics[0].text
    assert "至于不起，瑭愧恨难名，哀痛欲绝" in classics[1].text
