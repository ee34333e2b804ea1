"""Files of every known format become text that reads well and says where it came from."""

from __future__ import annotations

import gzip
import hashlib
import threading
import zipfile
from collections import Counter
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_unpack import zipped

from residency import records
from residency.files import building, read_json, read_rows
from residency.ingest import READERS, Source, extracted, ingest, share, split
from residency.reading import markup
from residency.reading.blocks import Block
from residency.records import Document
from residency.section import Complaint, Setback

ROOT = Path(__file__).parents[1]
DATA = ROOT.parent / "shared" / "data"
REAL = pytest.mark.skipif(not DATA.exists(), reason="needs the real books in ../shared/data")

LIMITS: dict[str, Any] = {
    "file_bytes": 10**8,
    "unpacked_bytes": 10**8,
    "members": 1000,
    "depth": 2,
    "seconds": 60.0,
    "memory_bytes": 10**9,
}
BOMB = (
    '<?xml version="1.0"?><!DOCTYPE document [<!ENTITY a "ha ha ">'
    + "".join(
        f'<!ENTITY {b} "{f"&{a};" * 10}">' for a, b in zip("abcdefgh", "bcdefghi", strict=True)
    )
    + ']><document xmlns="http://cnx.rice.edu/cnxml"><content><para>&i;</para></content></document>'
)


def source(path: Path | str, limits: dict[str, Any] | None = None, **values: Any) -> Source:
    given = {
        "path": str(path),
        "sha256": None,
        "only": ["*"],
        "language": "en",
        "licence": "CC0-1.0",
        "homepage": None,
        "encoding": None,
        "rows": None,
        "parts": ["prose"],
        "limits": LIMITS | (limits or {}),
        "max_rejected": 1.0,
    }
    return Source.model_validate(given | values)


def ingested(section: Source, out: Path) -> list[Document]:
    out.mkdir()
    ingest(section, "books", out)
    return list(records.documents(out))


def reasons(out: Path) -> dict[str, str]:
    """Why each file has no text, by its name."""
    return {Path(row["id"]).name: row["reason"] for row in read_rows(out / "rejected.jsonl")}


def folder_of(folder: Path, files: dict[str, bytes]) -> Path:
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return folder


def test_a_document_says_where_it_came_from(tmp_path: Path) -> None:
    text = b"# One\n\nFirst.\n\n## Two\n\nSecond.\n\nThird.\n"
    file = folder_of(tmp_path / "book", {"part/one.md": text}) / "part/one.md"
    documents = ingested(source(tmp_path / "book"), tmp_path / "out")
    assert [(each.id, each.section) for each in documents] == [
        (f"{file.as_posix()}#1", ("One",)),
        (f"{file.as_posix()}#2", ("One", "Two")),
    ]
    assert documents[1].text == "Second.\n\nThird."
    assert documents[1].sha256 == hashlib.sha256(text).hexdigest()
    assert {(each.source, each.part, each.pages) for each in documents} == {
        ("books", "prose", None)
    }
    whole = extracted(markup.read_markdown(text.decode()))
    assert all(whole[each.start : each.end] == each.text for each in documents)
    assert read_json(tmp_path / "out/counts.json")["kept"] == {
        "files": 1,
        "documents": 2,
        "words": 3,
    }


def test_files_are_read_in_the_order_of_their_paths_and_hidden_ones_are_not(
    tmp_path: Path,
) -> None:
    names = ["b.txt", "a/z.txt", "B.txt", ".git/c.txt", ".d.txt"]
    folder = folder_of(tmp_path / "book", {name: name.encode() for name in names})
    assert [each.text for each in ingested(source(folder), tmp_path / "out")] == [
        "B.txt",
        "a/z.txt",
        "b.txt",
    ]


def test_what_cannot_be_read_is_in_the_ledger(tmp_path: Path) -> None:
    folder = folder_of(
        tmp_path / "book",
        {
            "good.TXT": b"good",
            "table.xlsx": zipped({"[Content_Types].xml": b"", "xl/workbook.xml": b""}),
            "broken.docx": b"PK\3\4 and no more",
            "blank.txt": b"\n \n",
            "noise.txt": bytes(range(256)) * 4,
            "rows.csv": b"text\na\n",
            "picture.txt": b"\x89PNG\r\n\x1a\n",
        },
    )
    (folder / "broken.txt").symlink_to(folder / "nowhere.txt")
    (tmp_path / "secret.txt").write_text("secret")
    (folder / "out.txt").symlink_to(tmp_path / "secret.txt")
    documents = ingested(source(folder), tmp_path / "out")
    assert [each.text for each in documents] == ["good"]
    assert reasons(tmp_path / "out") == {
        "blank.txt": "empty",
        "broken.docx": "broken archive",
        "broken.txt": "not a file",
        "noise.txt": "undecodable",
        "out.txt": "link out of the source",
        "picture.txt": "unknown format",
        "rows.csv": "rows not declared",
        "table.xlsx": "unknown format",
    }


def test_every_raw_file_has_a_row_that_says_what_it_was_found_to_be(tmp_path: Path) -> None:
    member = "素问。".encode("utf-16")
    folder = folder_of(
        tmp_path / "book",
        {"a.md": b"# A\n\nOne two.\n", "b.zip": zipped({"b.txt": member, "c.bin": b"\0\1\2\0"})},
    )
    ingested(source(folder), tmp_path / "out")
    rows = list(read_rows(tmp_path / "out/files.jsonl"))
    assert rows[0] == {
        "file": f"{folder}/a.md",
        "sha256": hashlib.sha256(b"# A\n\nOne two.\n").hexdigest(),
        "bytes": 14,
        "format": "markdown",
        "encoding": "utf-8",
        "documents": 1,
        "words": 2,
        "lost": 0,
    }
    keys = ("file", "format", "encoding", "bytes", "documents", "lost")
    assert [tuple(row[key] for key in keys) for row in rows[1:]] == [
        (f"{folder}/b.zip!/b.txt", "text", "utf-16", len(member), 1, 0),
        (f"{folder}/b.zip!/c.bin", None, None, 4, 0, 1),
        (f"{folder}/b.zip", "zip", None, (folder / "b.zip").stat().st_size, 0, 0),
    ]
    assert rows[1]["sha256"] == hashlib.sha256(member).hexdigest()
    assert rows[3]["sha256"] == hashlib.sha256((folder / "b.zip").read_bytes()).hexdigest()


def test_the_number_of_processes_and_of_jobs_does_not_change_the_artifact(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = {f"{n:02}.txt": f"Text {n}.\n\n{'word ' * (n % 7 * 1000)}".encode() for n in range(40)}
    files |= {"07.txt": b"", "21.zip": zipped(files), "33.html": b"<p>Hypertext"}
    folder = folder_of(tmp_path / "book", files)
    for processes in ["1", "3"]:
        monkeypatch.setenv("RESIDENCY_THREADS", processes)
        ingested(source(folder), tmp_path / processes)
    shares = tmp_path / "shares/3"
    for part in range(3):
        with building(shares / "read" / str(part)) as out:
            share(source(folder), "books", "read", lambda n, part=part: n % 3 == part, out)
    (folder / "00.txt").write_text("changed since, and not read again")
    monkeypatch.setenv("RESIDENCY_SHARES", str(shares))
    ingested(source(folder), tmp_path / "shared")
    names = sorted(each.name for each in (tmp_path / "1").iterdir())
    assert names == ["counts.json", "documents.jsonl", "files.jsonl", "rejected.jsonl"]
    for name in names:
        assert (tmp_path / "1" / name).read_bytes() == (tmp_path / "3" / name).read_bytes()
        assert (tmp_path / "1" / name).read_bytes() == (tmp_path / "shared" / name).read_bytes()


def test_only_files_that_match_a_pattern_are_read(tmp_path: Path) -> None:
    book = tmp_path / "book"
    (book / "modules").mkdir(parents=True)
    (book / "LICENSE").write_text("You may copy this.")
    (book / "modules/one.txt").write_text("One.")
    with zipfile.ZipFile(book / "more.zip", "w") as archive:
        archive.writestr("modules/two.txt", "Two.")
        archive.writestr("README", "Read me.")
    only = ["modules/*", "*!/modules/*"]
    documents = ingested(source(book, only=only, max_rejected=0.0), tmp_path / "out")
    assert [each.text for each in documents] == ["One.", "Two."]
    ledger = list(read_rows(tmp_path / "out/rejected.jsonl"))
    assert [(Path(row["id"]).name, row["reason"]) for row in ledger] == [
        ("LICENSE", "left out"),
        ("README", "left out"),
    ]


def test_a_source_without_any_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.xlsx").write_bytes(b"\0\1\2\3")
    with pytest.raises(Complaint, match=r"1 unknown format.*expected files of plain text"):
        ingested(source(tmp_path), tmp_path / ".out")
    with pytest.raises(Complaint, match=r"^only: .*a.xlsx: matches none of \['\*.txt'\]$"):
        ingested(source(tmp_path, only=["*.txt"]), tmp_path / ".third")
    with pytest.raises(Complaint, match="does not exist"):
        ingested(source(tmp_path / "nowhere"), tmp_path / ".other")


def test_too_many_files_without_text_stop_the_build(tmp_path: Path) -> None:
    files = {"a.txt": b"a", "b.txt": b"b", "c.txt": b"", "d.png": b"\x89PNG", "e.txt": b""}
    folder = folder_of(tmp_path / "book", files)
    with pytest.raises(Complaint) as caught:
        ingested(source(folder, max_rejected=0.5), tmp_path / "out")
    assert "3 of 5 files" in str(caught.value)
    assert "2 empty, 1 unknown format" in str(caught.value)
    assert "book/c.txt: 0 bytes without a paragraph; " in str(caught.value)
    assert "book/d.png: begins with" in str(caught.value)
    assert len(ingested(source(folder, max_rejected=0.6), tmp_path / "other")) == 2


def test_rows_of_texts_are_documents(tmp_path: Path) -> None:
    table = "标题,正文\n甲,第一段。\n乙,第二段。\n丙,\n".encode("gb18030")
    folder = folder_of(
        tmp_path / "rows",
        {"a.csv": table, "b.jsonl": '{"正文": "Third.", "标题": "C"}\n{"x": 1}\n'.encode()},
    )
    section = source(
        folder, rows={"text": "正文", "title": "标题"}, encoding="gb18030", language="zh"
    )
    documents = ingested(section, tmp_path / "out")
    assert [(each.id[-8:], each.section, each.text) for each in documents] == [
        ("/a.csv#1", ("甲",), "第一段。"),
        ("/a.csv#2", ("乙",), "第二段。"),
        (".jsonl#1", ("C",), "Third."),
    ]
    ledger = list(read_rows(tmp_path / "out/rejected.jsonl"))
    assert [(row["reason"], row["detail"].partition(":")[0]) for row in ledger] == [
        ("empty row", "row 3"),
        ("bad row", "row 2"),
    ]


MODULE = """<document xmlns="http://cnx.rice.edu/cnxml"><title>Bones</title><content>
<para>Bones carry.</para>
<section class="review-questions"><title>Review</title><exercise><problem><para>Which bone?</para>
</problem></exercise></section></content>
<glossary><definition><term>bone</term><meaning>what carries</meaning></definition></glossary>
</document>"""
ORDER = """<col:collection xmlns="http://cnx.rice.edu/collxml" xmlns:md="http://cnx.rice.edu/mdml"
 xmlns:col="http://cnx.rice.edu/collxml"><col:content><col:subcollection>
<md:title>Support</md:title><col:content><col:module document="m9"/><col:module document="m1"/>
</col:content></col:subcollection></col:content></col:collection>"""


def book(folder: Path) -> Path:
    files = {f"modules/{each}/index.cnxml": MODULE.encode() for each in ["m1", "m2", "m9"]}
    return folder_of(folder, files | {"collections/b.collection.xml": ORDER.encode()})


def test_a_books_modules_are_in_its_order_and_its_exercises_in_the_ledger(tmp_path: Path) -> None:
    documents = ingested(source(book(tmp_path / "book")), tmp_path / "out")
    assert [(Path(each.file).parent.name, each.section) for each in documents] == [
        ("m9", ("Support", "Bones")),
        ("m1", ("Support", "Bones")),
        ("m2", ("Bones",)),
    ]
    assert read_json(tmp_path / "out/counts.json")["rejected"] == {"exercises": 3, "glossary": 3}
    lost = next(read_rows(tmp_path / "out/rejected.jsonl"))
    assert "Which bone?" in lost["item"]["text"]
    assert lost["id"] == lost["item"]["id"]


def test_parts_are_kept_as_declared(tmp_path: Path) -> None:
    section = source(book(tmp_path / "book"), parts=["prose", "glossary"])
    documents = ingested(section, tmp_path / "out")
    assert [each.part for each in documents] == ["prose", "glossary"] * 3
    assert documents[1].text == "bone: what carries"


def test_a_passage_ends_where_another_part_or_heading_begins() -> None:
    blocks = [
        Block("Title", 0, page=1),
        Block("One.", page=1),
        Block("Two.", page=3),
        Block("Three?", page=3, part="exercises"),
        Block("Four.", page=4),
        Block("Next", 1, page=4),
        Block("Five."),
    ]
    assert [(each.section, each.part, each.pages, each.text) for each in split(blocks)] == [
        (("Title",), "prose", (1, 3), "One.\n\nTwo."),
        (("Title",), "exercises", (3, 3), "Three?"),
        (("Title",), "prose", (4, 4), "Four."),
        (("Title", "Next"), "prose", None, "Five."),
    ]
    whole = extracted(blocks)
    assert all(whole[each.start : each.end] == each.text for each in split(blocks))


@given(
    st.sampled_from(["text", "markdown", "html"]),
    st.text("ab#-=*>|<pli/h1&\n\t \u2028\u3000") | st.text(),
)
def test_offsets_are_true_and_paragraphs_stand_one_empty_line_apart(form: str, text: str) -> None:
    blocks = [each for each in READERS[form](text) if isinstance(each, Block)]
    whole = extracted(blocks)
    for passage in split(blocks):
        assert whole[passage.start : passage.end] == passage.text
        assert all(part.strip() for part in passage.text.split("\n\n"))
        assert "\n\n\n" not in passage.text


def test_a_source_can_be_a_url(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

    content = zipped({"one.md": b"# One\n\nText.\n"})
    (tmp_path / "served").mkdir()
    (tmp_path / "served/book").write_bytes(content)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    handler = partial(Quiet, directory=str(tmp_path / "served"))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,)).start()
        url = f"http://127.0.0.1:{server.server_port}/book"
        section = source(url, sha256=hashlib.sha256(content).hexdigest())
        (document,) = ingested(section, tmp_path / "out")
        server.shutdown()
    assert (document.file, document.section) == (f"{url}!/one.md", ("One",))
    again = ingested(section, tmp_path / "again")
    assert again == [document]


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"path": "https://example.org/a.zip"}, "a URL needs the sha256"),
        ({"path": "ftp://example.org/a.zip", "sha256": "0" * 64}, "http:// or https://"),
        ({"sha256": "0" * 64}, "sha256 is null for a path"),
        ({"encoding": "utf-9"}, "expected an encoding that Python knows"),
        ({"encoding": "hex"}, "expected an encoding that Python knows"),
        ({"parts": ["answers"]}, "'glossary'"),
    ],
)
def test_a_source_that_cannot_be_is_refused(values: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        source(**({"path": "data/raw/primer"} | values))


def test_hostile_files_are_in_the_ledger_and_the_others_are_read(tmp_path: Path) -> None:
    layer = zipped({f"{n}.txt": bytes(9 * 10**6) for n in range(5)})
    folder = folder_of(
        tmp_path / "book",
        {
            "bomb.zip": zipped({"a.txt": bytes(2 * 10**8)}),
            "entities.xml": BOMB.encode(),
            "nested.zip": zipped({f"{n}.zip": layer for n in range(5)}),
            "slip.zip": zipped({"../../slipped.txt": b"out", "good.txt": b"Inside."}),
            "squeezed.txt.gz": gzip.compress(bytes(2 * 10**8)),
            "z.txt": b"Last.",
        },
    )
    documents = ingested(source(folder, limits={"file_bytes": 10**7}), tmp_path / "out")
    assert [each.text for each in documents if "ha ha" not in each.text] == ["Inside.", "Last."]
    assert sum(len(each.text) for each in documents) < 10**4
    found = reasons(tmp_path / "out")
    assert found.pop("entities.xml", "hostile XML") == "hostile XML"
    zeros = {f"{n}.txt": "undecodable" for n in range(5)}
    assert found == zeros | {
        "bomb.zip": "too large",
        "2.zip": "too large",
        "nested.zip": "too large",
        "slipped.txt": "unsafe path",
        "squeezed.txt": "too large",
    }
    assert not list(tmp_path.parent.rglob("slipped.txt"))


LATEX = b"\\documentclass{book}\\begin{document}" + b"a $b$ \\emph{c} " * 500_000  # half a minute


@pytest.mark.parametrize(
    ("content", "limits", "reason"),
    [
        (LATEX, {"seconds": 3.0}, "timed out"),
        (b"large " * 2 * 10**7, {"memory_bytes": 50_000_000}, "out of memory"),
    ],
    ids=["time", "memory"],
)
def test_a_file_that_takes_too_long_or_too_much_is_given_up(
    tmp_path: Path, content: bytes, limits: dict[str, Any], reason: str
) -> None:
    content = content[: 10**8]
    folder = folder_of(tmp_path / "book", {"large.txt": content, "small.txt": b"Small."})
    (document,) = ingested(source(folder, limits=limits), tmp_path / "out")
    assert document.text == "Small."
    assert reasons(tmp_path / "out") == {"large.txt": reason}
    row = next(read_rows(tmp_path / "out/files.jsonl"))
    assert row["sha256"] == hashlib.sha256(content).hexdigest()


def test_too_many_files_given_up_for_want_of_time_may_be_read_another_time(tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "book", {"large.txt": LATEX, "small.txt": b"Small."})
    with pytest.raises(Setback, match=r"1 of 2 files .*\(1 timed out"):
        ingested(source(folder, limits={"seconds": 3.0}, max_rejected=0), tmp_path / "out")


@pytest.mark.slow
@pytest.mark.parametrize("encoding", ["utf-8", "gb18030"])
def test_a_line_of_200_mb_is_read_in_bounded_time_and_memory(tmp_path: Path, encoding: str) -> None:
    piece = "医者，仁术也 word ".encode(encoding)
    with (tmp_path / "line.txt").open("wb") as file:
        for _ in range(200):
            file.write(piece * (10**6 // len(piece)))
    limits = {"file_bytes": 10**9, "memory_bytes": 1_200_000_000, "seconds": 60.0}
    (document,) = ingested(source(tmp_path / "line.txt", limits=limits), tmp_path / "out")
    assert document.end > 7 * 10**7
    row = next(read_rows(tmp_path / "out/files.jsonl"))
    assert (row["encoding"], row["lost"]) == (encoding, 0)
    assert row["words"] == 6 * document.text.count("word")
    assert len(document.text) == document.end - document.start


def test_the_embedded_primer_is_read_whole(tmp_path: Path) -> None:
    primer = ROOT / "data/raw/primer"
    documents = ingested(source(primer, max_rejected=0.0), tmp_path / "out")
    assert {Path(each.file).name for each in documents} == {each.name for each in primer.iterdir()}
    assert all(each.section for each in documents)
    assert not any("<" in each.text or "](" in each.text for each in documents)


@REAL
def test_real_books_are_read_whole(tmp_path: Path) -> None:
    (surgery,) = ingested(source(DATA / "gutenberg/24440.txt"), tmp_path / "surgery")
    raw = (DATA / "gutenberg/24440.txt").read_text()
    book = raw[raw.index("[Transcriber's Notes]") : raw.index("End of the Project Gutenberg")]
    assert surgery.text.split() == book.split()
    classics = ingested(source(DATA / "tcm", language="zh"), tmp_path / "classics")
    assert Counter(each.section[0] for each in classics) == {"黄帝内经素问": 84, "温病条辨": 86}
    assert not any(
        mark in each.text for each in classics for mark in ("<篇名", "属性：", "书名：", "\r")
    )
    assert any("至于不起，瑭愧恨难名，哀痛欲绝" in each.text for each in classics)
    rows = list(read_rows(tmp_path / "classics/files.jsonl"))
    assert [row["encoding"] for row in rows] == ["gb18030", "gb18030"]


@REAL
def test_real_files_of_every_format_are_read(tmp_path: Path) -> None:
    documents = ingested(source(DATA / "formats"), tmp_path / "out")
    rows = {Path(row["file"]).name: row for row in read_rows(tmp_path / "out/files.jsonl")}
    assert {row["format"] for row in rows.values() if row["documents"]} == {
        "docx", "epub", "jats", "latex", "markdown", "pdf", "text",
    }  # fmt: skip
    assert rows["elife-56337.nxml"]["words"] > 10_000
    found = reasons(tmp_path / "out")
    assert found["libreoffice-writer-password.pdf"] == "encrypted"
    pages = [each.pages for each in documents if each.file.endswith("GeoTopo-komprimiert.pdf")]
    assert all(pages)
    assert max(last for _, last in filter(None, pages)) > 100


@REAL
def test_the_real_textbook_is_read_in_its_order_without_its_exercises(tmp_path: Path) -> None:
    folder = DATA / "openstax_anatomy_physiology_2e"
    documents = ingested(source(folder), tmp_path / "out")
    rows = list(read_rows(tmp_path / "out/files.jsonl"))
    modules = [row for row in rows if row["format"] == "cnxml"]
    assert len(modules) == 198
    assert all(row["documents"] for row in modules)
    assert documents[0].section[0] == "Preface"
    chapters = list(dict.fromkeys(each.section[:2] for each in documents))
    body, heart = (
        next(n for n, each in enumerate(chapters) if name in " / ".join(each))
        for name in ["An Introduction to the Human Body", "The Cardiovascular System: The Heart"]
    )
    assert body < heart
    counts = read_json(tmp_path / "out/counts.json")["rejected"]
    assert counts["exercises"] > 198
    assert counts["glossary"] > 150
