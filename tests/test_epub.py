"""A book is unpacked in memory and read in the order of its spine."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import pytest

from residency.reading import epub
from residency.reading.blocks import Block, Lost, Unreadable

BOOKS = Path(__file__).parents[1].parent / "shared/data/formats/epub"

CONTAINER = """<container xmlns="urn:oasis:names:tc:opendocument:xmlns:container"><rootfiles>
<rootfile full-path="OPS/book.opf" media-type="application/oebps-package+xml"/></rootfiles>
</container>"""

PACKAGE = """<package xmlns="http://www.idpf.org/2007/opf" version="3.0">
<metadata xmlns:dc="http://purl.org/dc/elements/1.1/"><dc:title>Bones</dc:title>
<dc:creator>Gray</dc:creator></metadata><manifest>
<item id="nav" href="nav.xhtml" properties="nav" media-type="application/xhtml+xml"/>
<item id="b" href="text/b%20c.xhtml" media-type="application/xhtml+xml"/>
<item id="a" href="text/a.xhtml" media-type="application/xhtml+xml"/>
<item id="n" href="text/notes.xhtml" media-type="application/xhtml+xml"/>
<item id="p" href="p.svg" media-type="image/svg+xml"/>
<item id="gone" href="gone.xhtml" media-type="application/xhtml+xml"/></manifest>
<spine><itemref idref="nav"/><itemref idref="a"/><itemref idref="b"/><itemref idref="p"/>
<itemref idref="gone"/><itemref idref="n" linear="no"/></spine></package>"""

NAV = """<html xmlns="http://www.w3.org/1999/xhtml" xmlns:epub="http://www.idpf.org/2007/ops"><body>
<nav epub:type="landmarks"><ol><li><a href="text/a.xhtml">Start</a></li></ol></nav>
<nav epub:type="toc"><ol><li><span>Part</span><ol><li><a href="text/a.xhtml#x">The
Skull</a></li></ol></li><li><a href="text/b%20c.xhtml">Unused</a></li></ol></nav></body></html>"""

FILES = {
    "mimetype": "application/epub+zip",
    "META-INF/container.xml": CONTAINER,
    "OPS/book.opf": PACKAGE,
    "OPS/nav.xhtml": NAV,
    "OPS/text/a.xhtml": "<html><head><title>x</title><script src='s'/></head><body><p>caf&eacute;"
    "&nbsp;one</p></body></html>",
    "OPS/text/b c.xhtml": "<html><body><h2>The Hand</h2><p>two</p></body></html>",
    "OPS/text/notes.xhtml": "<html><body><p>aside</p></body></html>",
    "OPS/p.svg": "<svg/>",
}


def book(**changed: str) -> bytes:
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in {**FILES, **changed}.items():
            archive.writestr(name, text)
    return target.getvalue()


def reason(content: bytes) -> tuple[str, str]:
    with pytest.raises(Unreadable) as caught:
        list(epub.read(content))
    return caught.value.args[0], caught.value.args[1]


def test_pages_come_in_spine_order_with_chapters_kept() -> None:
    assert list(epub.read(book())) == [
        Lost("no page", "OPS/p.svg: image/svg+xml"),
        Lost("missing page", "OPS/gone.xhtml"),
        Block("Bones", 0),
        Block("The Skull", 2),
        Block("café one"),
        Block("The Hand", 2),
        Block("two"),
    ]


def test_an_old_book_is_headed_by_its_ncx() -> None:
    package = """<package version="2.0"><metadata/><manifest>
      <item id="ncx" href="toc.ncx" media-type="application/x-dtbncx+xml"/>
      <item id="c" href="c.xhtml" media-type="application/xhtml+xml"/>
      <item id="a" href="text/a.xhtml" media-type="application/xhtml+xml"/></manifest>
      <spine toc="ncx"><itemref idref="c"/><itemref idref="a"/></spine>
      <guide><reference type="toc" href="c.xhtml#top"/></guide></package>"""
    ncx = """<!DOCTYPE ncx PUBLIC "-//NISO//DTD ncx 2005-1//EN" "http://x/ncx-2005-1.dtd">
      <ncx xmlns="http://www.daisy.org/z3986/2005/ncx/"><navMap><navPoint><navLabel><text>Skull
      </text></navLabel><content src="text/a.xhtml#b"/></navPoint></navMap></ncx>"""
    files = {"OPS/book.opf": package, "OPS/toc.ncx": ncx, "OPS/c.xhtml": "<p>Contents</p>"}
    assert list(epub.read(book(**files))) == [Block("Skull", 1), Block("café one")]


def test_a_book_under_rights_management_is_told() -> None:
    encryption = """<encryption xmlns:enc="http://www.w3.org/2001/04/xmlenc#"><enc:EncryptedData>
      <enc:EncryptionMethod Algorithm="{}"/><enc:CipherData>
      <enc:CipherReference URI="OPS/text/b%20c.xhtml"/></enc:CipherData></enc:EncryptedData>
      </encryption>"""
    drm = encryption.format("http://www.w3.org/2001/04/xmlenc#aes128-cbc")
    assert reason(book(**{"META-INF/encryption.xml": drm})) == (
        "encrypted",
        "OPS/text/b c.xhtml is under digital rights management",
    )
    fonts = encryption.format("http://www.idpf.org/2008/embedding")
    assert Block("two") in epub.read(book(**{"META-INF/encryption.xml": fonts}))


def test_a_zip_bomb_is_never_unpacked() -> None:
    bomb = book(**{"OPS/text/a.xhtml": "<p>" + "a" * 2**26})
    assert reason(bomb)[0] == "zip bomb"
    assert "bytes that unpack to 671" in reason(bomb)[1]


def test_broken_books_tell_why() -> None:
    assert reason(b"PK\3\4 not really")[0] == "unparsable"
    assert reason(book(**{"META-INF/container.xml": "<container/>"})) == (
        "unparsable",
        "META-INF/container.xml names no package document",
    )
    assert reason(book(**{"OPS/book.opf": "<package>"}))[0] == "unparsable"


def test_a_damaged_page_is_lost_and_the_others_stay() -> None:
    content = bytearray(book(**{"OPS/text/a.xhtml": "<p>" + " ".join(map(str, range(999)))}))
    start = content.index(b"OPS/text/a.xhtml") + 200
    content[start : start + 40] = bytes(40)
    found = list(epub.read(bytes(content)))
    assert [each.reason for each in found if isinstance(each, Lost)].count("unparsable") == 1
    assert Block("two") in found


def test_a_book_from_project_gutenberg_loses_its_wrapping() -> None:
    files = {
        "OPS/text/a.xhtml": "<pre>The Project Gutenberg EBook\n*** START OF THIS PROJECT GUTENBERG "
        "EBOOK BONES ***</pre><p>Produced by X</p><p>one</p>",
        "OPS/text/b c.xhtml": "<p>two</p><p>End of Project Gutenberg's Bones</p><p>Licence</p>",
    }
    found = [each.text for each in epub.read(book(**files)) if isinstance(each, Block)]
    assert found[0] == "Bones"
    assert "Licence" not in found
    assert not any("Gutenberg" in text for text in found)
    assert found[-2:] == ["Unused", "two"]


@pytest.mark.skipif(not BOOKS.exists(), reason=f"{BOOKS} is absent")
def test_real_books_keep_their_chapters_and_lose_their_page_numbers() -> None:
    waste = list(epub.read((BOOKS / "wasteland.epub").read_bytes()))
    headings = [each.text for each in waste if isinstance(each, Block) and each.level < 3]
    assert headings[:4] == [
        "The Waste Land",
        "The Waste Land",
        "I. THE BURIAL OF THE DEAD",
        "II. A GAME OF CHESS",
    ]
    children = list(epub.read((BOOKS / "childrens-literature.epub").read_bytes()))
    assert children[:3] == [
        Block("Children's Literature", 0),
        Block("SECTION IV FAIRY STORIES—MODERN FANTASTIC TALES", 2),
        Block("BIBLIOGRAPHY", 3),
    ]
    paragraphs = [each.text for each in children if isinstance(each, Block) and each.level == 7]
    assert len(paragraphs) > 500
    assert not any(text.isdecimal() for text in paragraphs)
