"""Files of every known format become text that reads well and says where it came from."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from residency import records
from residency.files import read_json, read_rows
from residency.ingest import READERS, Source, extracted, ingest, split
from residency.reading import markup
from residency.records import Document
from residency.section import Complaint

ROOT = Path(__file__).parents[1]
DATA = ROOT.parent / "shared" / "data"


def ingested(path: Path, out: Path, language: str = "en") -> list[Document]:
    out.mkdir()
    ingest(Source(path=str(path), language=language, licence="CC0-1.0"), out)
    return list(records.documents(out))


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
    whole = extracted(markup.read_markdown(file.read_text()))
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
    book = raw[raw.index("[Transcriber's Notes]") : raw.index("End of the Project Gutenberg")]
    assert surgery.text.split() == book.split()
    classics = ingested(DATA / "tcm", tmp_path / "classics", "zh")
    assert [Path(each.file).name[:3] for each in classics] == ["437", "526"]
    assert "黄帝内经素问" in classics[0].text
    assert "至于不起，瑭愧恨难名，哀痛欲绝" in classics[1].text
