"""Every raw file of a folder or archive is found, and nothing that an archive says is believed."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import os
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from residency.reading.blocks import Unreadable
from residency.unpack import Limits, Raw, container, raw_files

LIMITS = {
    "file_bytes": 10_000,
    "unpacked_bytes": 100_000,
    "members": 20,
    "depth": 2,
    "seconds": 10.0,
    "memory_bytes": 10**9,
}


def no_collection(_: bytes) -> list[tuple[str, tuple[str, ...]]]:
    raise Unreadable("unparsable", "no collection")


def found(path: Path, **limits: int) -> list[Raw]:
    return list(raw_files(path, "src", Limits.model_validate(LIMITS | limits), no_collection))


def told(path: Path, **limits: int) -> list[tuple[str, str | None]]:
    """Each raw file's name, and why it is not to be read."""
    return [(raw.file, raw.problem and raw.problem[0]) for raw in found(path, **limits)]


def zipped(members: dict[str, bytes]) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return stream.getvalue()


def tarred(members: dict[str, bytes]) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return stream.getvalue()


def put(folder: Path, name: str, content: bytes) -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


BOOK = {"b/two.txt": b"two", "a.txt": b"one", "b/.hidden": b"x", "__MACOSX/._a.txt": b"x"}


@pytest.mark.parametrize(
    ("pack", "kind"),
    [
        (zipped, "zip"),
        (tarred, "tar"),
        (lambda members: gzip.compress(tarred(members)), "gzip"),
        (lambda members: bz2.compress(tarred(members)), "bzip2"),
        (lambda members: lzma.compress(tarred(members)), "xz"),
    ],
    ids=["zip", "tar", "tar.gz", "tar.bz2", "tar.xz"],
)
def test_an_archive_is_known_by_its_content_and_read_in_the_order_of_names(
    tmp_path: Path, pack: Callable[[dict[str, bytes]], bytes], kind: str
) -> None:
    packed = pack(BOOK)
    path = put(tmp_path, "book.dat", packed)
    assert found(path) == [
        Raw("src!/a.txt", b"one"),
        Raw("src!/b/two.txt", b"two"),
        Raw("src", path, kind),
    ]
    assert container(packed) == kind


def test_a_single_compressed_file_loses_its_suffix(tmp_path: Path) -> None:
    put(tmp_path, "a/one.txt.gz", gzip.compress(b"one"))
    put(tmp_path, "a/two.md.xz", lzma.compress(b"two"))
    assert [(raw.file, raw.content) for raw in found(tmp_path) if not raw.container] == [
        ("src/a/one.txt.gz!/one.txt", b"one"),
        ("src/a/two.md.xz!/two.md", b"two"),
    ]


def test_archives_in_archives_are_read_to_a_depth(tmp_path: Path) -> None:
    inner = gzip.compress(tarred({"deep.txt": b"deep"}))
    path = put(tmp_path, "x.zip", zipped({"inner.tgz": inner, "z.txt": b"z"}))
    assert told(path) == [
        ("src!/inner.tgz!/deep.txt", None),
        ("src!/inner.tgz", None),
        ("src!/z.txt", None),
        ("src", None),
    ]
    assert told(path, depth=1) == [
        ("src!/inner.tgz", "too deep"),
        ("src!/z.txt", None),
        ("src", None),
    ]
    assert told(path, depth=0) == [("src", "too deep")]


def test_a_path_that_leads_out_of_its_archive_is_not_read(tmp_path: Path) -> None:
    names = ["../up.txt", "/root.txt", "a/../../b.txt", "C:\\windows.txt", "..\\back.txt", "ok.txt"]
    for pack in (zipped, tarred):
        path = put(tmp_path, "bad", pack(dict.fromkeys(names, b"text")))
        problems = dict(told(path))
        assert problems.pop("src!/ok.txt") is None
        assert problems.pop("src") is None
        assert set(problems.values()) == {"unsafe path"}
        assert len(problems) == 5
    assert sorted(each.name for each in tmp_path.rglob("*")) == ["bad"]


def test_links_and_devices_in_archives_are_not_followed(tmp_path: Path) -> None:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        for name, kind in [("s", tarfile.SYMTYPE), ("h", tarfile.LNKTYPE), ("f", tarfile.FIFOTYPE)]:
            info = tarfile.TarInfo(name)
            info.type, info.linkname = kind, "/etc/passwd"
            archive.addfile(info)
    assert told(put(tmp_path, "x.tar", stream.getvalue())) == [
        ("src!/f", "not a file"),
        ("src!/h", "unsafe path"),
        ("src!/s", "unsafe path"),
        ("src", None),
    ]
    link = zipfile.ZipInfo("link.txt")
    link.external_attr = 0o120777 << 16
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as zip_archive:
        zip_archive.writestr(link, "/etc/passwd")
    assert told(put(tmp_path, "x.zip", stream.getvalue()))[0] == ("src!/link.txt", "unsafe path")


def test_a_zip_bomb_is_not_unpacked(tmp_path: Path) -> None:
    bomb = zipped({f"{n}.txt": bytes(9_000) for n in range(12)})
    assert len(bomb) < 3_000
    assert told(put(tmp_path, "bomb.zip", bomb)) == [("src", "too large")]


def test_a_zip_that_lies_about_its_size_gives_no_more_than_it_said(tmp_path: Path) -> None:
    honest = zipped({"a.txt": bytes(5_000_000)})
    lie = honest.replace((5_000_000).to_bytes(4, "little"), (100).to_bytes(4, "little"))
    assert told(put(tmp_path, "lie.zip", lie)) == [("src!/a.txt", "broken archive"), ("src", None)]


def test_a_nested_bomb_is_stopped_by_what_comes_out_in_all(tmp_path: Path) -> None:
    inner = zipped({f"{n}.txt": bytes(9_000) for n in range(10)})
    path = put(tmp_path, "outer.zip", zipped({f"{n}.zip": inner for n in range(10)}))
    problems = told(path)
    assert problems[-1] == ("src", "too large")
    assert len([file for file, problem in problems if not problem]) <= 12


@pytest.mark.parametrize("compress", [gzip.compress, bz2.compress, lzma.compress])
def test_a_compressed_bomb_is_stopped(tmp_path: Path, compress: Callable[[bytes], bytes]) -> None:
    path = put(tmp_path, "bomb.gz", compress(bytes(5_000_000)))
    assert told(path) == [("src!/src", "too large"), ("src", None)]
    path = put(tmp_path, "bomb.tgz", compress(tarred({"a": bytes(5_000_000)})))
    assert told(path) == [("src", "too large")]


def test_a_member_that_is_too_large_leaves_the_others(tmp_path: Path) -> None:
    path = put(tmp_path, "x.zip", zipped({"a.txt": bytes(20_000), "b.txt": b"b"}))
    assert told(path) == [("src!/a.txt", "too large"), ("src!/b.txt", None), ("src", None)]
    assert told(put(tmp_path, "big.txt", bytes(20_000))) == [("src", "too large")]


def test_an_archive_of_too_many_files_is_refused(tmp_path: Path) -> None:
    for pack in (zipped, tarred):
        path = put(tmp_path, "many", pack({f"{n}": b"" for n in range(21)}))
        assert told(path) == [("src", "too many members")]


def test_a_broken_archive_gives_what_can_be_had(tmp_path: Path) -> None:
    packed = gzip.compress(tarred({"a.txt": os.urandom(3_000), "b.txt": os.urandom(3_000)}))
    assert told(put(tmp_path, "cut.tgz", packed[:4_000])) == [("src", "broken archive")]
    assert told(put(tmp_path, "cut.zip", zipped(BOOK)[:60])) == [("src", "broken archive")]
    damaged = bytearray(zipped({"a.txt": b"a" * 50, "b.txt": b"b" * 50}))
    damaged[37] ^= 255
    path = put(tmp_path, "damaged.zip", bytes(damaged))
    assert told(path) == [("src!/a.txt", "broken archive"), ("src!/b.txt", None), ("src", None)]


def test_an_encrypted_member_is_said_to_be(tmp_path: Path) -> None:
    packed = bytearray(zipped({"a.txt": b"secret", "b.txt": b"open"}))
    packed[packed.index(b"PK\1\2") + 8] |= 1
    path = put(tmp_path, "x.zip", bytes(packed))
    assert told(path) == [("src!/a.txt", "encrypted"), ("src!/b.txt", None), ("src", None)]


def test_a_name_twice_in_an_archive_is_read_once(tmp_path: Path) -> None:
    path = put(
        tmp_path, "x.zip", zipped({"a.txt": b"one", "b.txt": b"two"}).replace(b"b.t", b"a.t")
    )
    assert told(path) == [("src!/a.txt", None), ("src!/a.txt", "duplicate name"), ("src", None)]


def test_names_that_are_not_unicode_can_be_written(tmp_path: Path) -> None:
    (tmp_path / os.fsdecode(b"caf\xe9.txt")).write_text("coffee")
    assert told(tmp_path) == [("src/caf\\xe9.txt", None)]


def test_documents_that_are_zips_inside_are_no_archives() -> None:
    assert container(zipped({"mimetype": b"", "META-INF/container.xml": b""})) is None
    assert container(zipped({"[Content_Types].xml": b"", "word/document.xml": b""})) is None
    assert container(zipped({"[Content_Types].xml": b"", "xl/workbook.xml": b""})) is None
    assert container(b"plain") is None


@pytest.mark.parametrize("pack", [None, zipped, tarred], ids=["folder", "zip", "tar"])
def test_modules_are_read_in_their_books_order_with_its_chapters(
    tmp_path: Path, pack: Callable[[dict[str, bytes]], bytes] | None
) -> None:
    members = {
        "collections/book.collection.xml": b"order",
        "modules/m1/index.cnxml": b"1",
        "modules/m2/index.cnxml": b"2",
        "modules/m3/index.cnxml": b"3",
    }
    path = tmp_path / "book"
    if pack:
        put(tmp_path, "book", pack(members))
    else:
        for name, content in members.items():
            put(path, name, content)

    def collection(content: bytes) -> list[tuple[str, tuple[str, ...]]]:
        assert content == b"order"
        return [("m3", ("Unit", "Chapter 1")), ("m1", ("Unit", "Chapter 2"))]

    raws = list(raw_files(path, "src", Limits.model_validate(LIMITS), collection))
    assert [(raw.file.rpartition("modules/")[2], raw.chapters) for raw in raws][:4] == [
        ("m3/index.cnxml", ("Unit", "Chapter 1")),
        ("m1/index.cnxml", ("Unit", "Chapter 2")),
        (raws[2].file, ()),
        ("m2/index.cnxml", ()),
    ]
    assert raws[2].file.endswith("book.collection.xml")
