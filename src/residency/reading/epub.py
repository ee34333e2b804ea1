"""EPUB: a book's pages in reading order.

    META-INF/container.xml ──> package document ──> spine ──> pages ── markup ──> blocks

The book's title has level 0. A page without a heading of its own is headed as the table of
contents calls it. Pages outside the linear order and the table of contents itself give nothing.
EPUB 3.3, W3C 2023; EPUB 2 as well.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterator
from typing import TYPE_CHECKING
from urllib.parse import unquote
from zipfile import ZipFile

from residency.reading import gutenberg, markup, packed, plain
from residency.reading.blocks import PARAGRAPH, Block, Lost, Unreadable
from residency.reading.marks import parsed

if TYPE_CHECKING:
    from lxml import etree

_PAGES = ("application/xhtml+xml", "text/html", "text/x-oeb1-document")
_FONTS = ("http://www.idpf.org/2008/embedding", "http://ns.adobe.com/pdf/enc#RC")
"""Algorithms that hide fonts, which is no encryption of the text."""


def read(content: bytes) -> Iterator[Block | Lost]:
    """The blocks of a book. Raises Unreadable."""
    with packed.opened(content) as archive:
        names = set(archive.namelist())
        package = _package(archive, names)
        folder = posixpath.dirname(package)
        root = _tree(archive, package)
        items = {item.get("id"): item for item in _all(root, "item")}
        spine = [
            (items[entry.get("idref")], entry.get("linear"))
            for entry in _all(root, "itemref")
            if entry.get("idref") in items
        ]
        hidden = _encrypted(archive, names)
        headings = _contents(archive, names, folder, list(items.values()))
        aside = {
            _path(folder, each) for each in _all(root, "reference") if each.get("type") == "toc"
        }
        lost: list[Lost] = []
        blocks: list[Block] = []
        for title in _all(root, "title")[:1]:
            blocks += [Block(text, 0) for text in [_folded(title)] if text]
        for item, linear in spine:
            path = _path(folder, item)
            if linear == "no" or "nav" in item.get("properties", "").split() or path in aside:
                continue
            if path in hidden:
                raise Unreadable("encrypted", f"{path} is under digital rights management")
            if item.get("media-type") not in _PAGES:
                lost.append(Lost("no page", f"{path}: {item.get('media-type')}"))
            elif path not in names:
                lost.append(Lost("missing page", path))
            else:
                try:
                    page = list(markup.page(plain.decoded(packed.member(archive, path)).encode()))
                except Unreadable as problem:
                    lost.append(Lost(problem.args[0], f"{path}: {problem.args[1]}"))
                    continue
                page = [block for block in page if block.level > 0]
                if path in headings and page and all(block.level == PARAGRAPH for block in page):
                    blocks.append(headings[path])
                blocks += page
    yield from lost
    yield from gutenberg.body(blocks)


def _package(archive: ZipFile, names: set[str]) -> str:
    """The name of the package document."""
    if "META-INF/container.xml" in names:
        for root in _all(_tree(archive, "META-INF/container.xml"), "rootfile"):
            if root.get("full-path") in names:
                return str(root.get("full-path"))
    raise Unreadable("unparsable", "META-INF/container.xml names no package document")


def _encrypted(archive: ZipFile, names: set[str]) -> set[str]:
    if "META-INF/encryption.xml" not in names:
        return set()
    return {
        unquote(reference.get("URI", ""))
        for data in _all(_tree(archive, "META-INF/encryption.xml"), "EncryptedData")
        if not any(each.get("Algorithm") in _FONTS for each in _all(data, "EncryptionMethod"))
        for reference in _all(data, "CipherReference")
    }


def _contents(
    archive: ZipFile, names: set[str], folder: str, items: list[etree._Element]
) -> dict[str, Block]:
    """What the table of contents calls each page, as a heading as deep as its entry."""
    found: dict[str, Block] = {}
    for item in items:
        path = _path(folder, item)
        if path not in names:
            continue
        if "nav" in item.get("properties", "").split():
            entries = [
                (each, each.get("href"), "ol")
                for nav in _all(_tree(archive, path), "nav")
                if "toc" in nav.get("{http://www.idpf.org/2007/ops}type", "toc").split()
                for each in _all(nav, "a")
            ]
        elif item.get("media-type") == "application/x-dtbncx+xml":
            entries = [
                (label, content.get("src"), "navPoint")
                for point in _all(_tree(archive, path), "navPoint")
                for label in _own(point, "navLabel")
                for content in _own(point, "content")
            ]
        else:
            continue
        for label, link, level in entries:
            target = posixpath.normpath(
                posixpath.join(posixpath.dirname(path), unquote((link or "").partition("#")[0]))
            )
            depth = sum(1 for above in label.iterancestors() if _name(above) == level)
            if _folded(label):
                found.setdefault(target, Block(_folded(label), min(max(depth, 1), 6)))
    return found


def _tree(archive: ZipFile, name: str) -> etree._Element:
    return parsed(packed.member(archive, name)).getroot()


def _path(folder: str, item: etree._Element) -> str:
    href = unquote(item.get("href", "").partition("#")[0])
    return posixpath.normpath(posixpath.join(folder, href))


def _name(element: etree._Element) -> str:
    return str(element.tag).rpartition("}")[2]


def _all(root: etree._Element, name: str) -> list[etree._Element]:
    """The elements of this name in any namespace: old books have none or another one."""
    return list(root.iter(name, f"{{*}}{name}"))


def _own(element: etree._Element, name: str) -> list[etree._Element]:
    return [child for child in element if _name(child) == name]


def _folded(element: etree._Element) -> str:
    return " ".join("".join(element.itertext()).split())
