"""From a tree of markup to blocks: a stylesheet marks the text, and the marks become blocks.

    XML ── parsed ──> tree ── stylesheet ──> marked text ── blocks ──> Block

A format is an XSLT stylesheet whose output is its text with marks in between, so that the walk
over the tree is done by libxslt. Marks are noncharacters (Unicode 16, section 23.7); those in a
file are marks as well, and do no more harm than its tags. In a stylesheet they are entities:

    &block;  begins a block; the next character says which: 0 to 6 a heading, 7 a paragraph,
             8 preformatted lines, 9 a table, t a term that the next block explains; e and g
             begin the exercises and the glossary
    &end;    ends a block; what contains it goes on
    &line;   ends a line within a block
    &break;  ends a line as <br> does: two of them end a paragraph
    &deeper; indents a line by two spaces
    &row;    begins a table's row
    &head; &cell;  begin a cell; before &span; stand the columns and rows that it covers,
             as in 2,1
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from functools import cache
from html.entities import html5
from itertools import takewhile
from typing import TYPE_CHECKING, NamedTuple

from residency.reading.blocks import PARAGRAPH, Block, Part, Unreadable

if TYPE_CHECKING:
    from lxml import etree

BLOCK, LINE, BREAK, DEEPER, ROW, HEAD, CELL, SPAN = map(chr, range(0xFDD0, 0xFDD8))

_KINDS: dict[str, tuple[int, Part | None]] = {
    **{str(level): (level, None) for level in range(PARAGRAPH + 1)},
    "8": (PARAGRAPH, None),
    "9": (PARAGRAPH, None),
    "t": (PARAGRAPH, None),
    "e": (PARAGRAPH, "exercises"),
    "g": (PARAGRAPH, "glossary"),
}
_WIDEST = 100
"""A cell that claims to cover more columns or rows than this covers no more."""

_HOSTILE = ("amplification", "reference loop", "PARSE_HUGE", "Excessive", "limit")
"""What libxml2 says of files that would cost too much."""

_PARAGRAPHS = re.compile(rf"{BREAK}\s*{BREAK}")
_SHEET = """<!DOCTYPE xsl:stylesheet [
<!ENTITY block "&#xFDD0;"> <!ENTITY end "&#xFDD0;."> <!ENTITY line "&#xFDD1;">
<!ENTITY break "&#xFDD2;"> <!ENTITY deeper "&#xFDD3;"> <!ENTITY row "&#xFDD4;">
<!ENTITY head "&#xFDD5;"> <!ENTITY cell "&#xFDD6;"> <!ENTITY span "&#xFDD7;">
]>
<xsl:stylesheet version="1.0" xmlns:xsl="http://www.w3.org/1999/XSL/Transform" %s>
<xsl:output method="text"/>
%s
</xsl:stylesheet>"""

MATH = """
<xsl:strip-space elements="m:*"/>
<xsl:template match="m:annotation | m:annotation-xml"/>
<xsl:template match="m:mo"><xsl:text> </xsl:text><xsl:value-of select="."/><xsl:text> </xsl:text>
</xsl:template>
<xsl:template match="m:msup/m:mo | m:msub/m:mo | m:msubsup/m:mo | m:mo[@stretchy='true'] |
    m:mo[contains('()[]{}|,;.!^', normalize-space())]">
  <xsl:value-of select="normalize-space()"/>
</xsl:template>
<xsl:template match="m:msup">
  <xsl:apply-templates select="*[1]"/>^<xsl:apply-templates select="*[2]"/>
</xsl:template>
<xsl:template match="m:mfrac">
  <xsl:call-template name="term"><xsl:with-param name="of" select="*[1]"/></xsl:call-template>/<!--
  --><xsl:call-template name="term"><xsl:with-param name="of" select="*[2]"/></xsl:call-template>
</xsl:template>
<xsl:template name="term">
  <xsl:param name="of"/>
  <xsl:choose>
    <xsl:when test="$of//m:mo or contains(normalize-space($of), ' ')">
      <xsl:text>(</xsl:text><xsl:apply-templates select="$of"/><xsl:text>)</xsl:text>
    </xsl:when>
    <xsl:otherwise><xsl:apply-templates select="$of"/></xsl:otherwise>
  </xsl:choose>
</xsl:template>
<xsl:template match="m:msqrt">√(<xsl:apply-templates/>)</xsl:template>
<xsl:template match="m:mtr"><xsl:apply-templates/>&line;</xsl:template>
<xsl:template match="m:mtd"><xsl:apply-templates/><xsl:text> </xsl:text></xsl:template>
"""
"""Templates that write MathML on one line: x^2, (a + b)/c, √(x); prefix m."""

CELLS = """
<xsl:template match="th" mode="cell">
  <xsl:text>&head;</xsl:text><xsl:call-template name="spans"/><xsl:apply-templates mode="flat"/>
</xsl:template>
<xsl:template match="td" mode="cell">
  <xsl:text>&cell;</xsl:text><xsl:call-template name="spans"/><xsl:apply-templates mode="flat"/>
</xsl:template>
<xsl:template name="spans">
  <xsl:if test="@colspan > 1 or @rowspan > 1">
    <xsl:value-of select="concat(@colspan, ',', @rowspan)"/>&span;
  </xsl:if>
</xsl:template>
"""
"""Templates for the cells of a table as HTML has them; modes cell and flat."""


def stylesheet(namespaces: dict[str, str], templates: str) -> etree.XSLT:
    """A stylesheet that marks text; it can read and write nothing but the tree that it is given."""
    from lxml import etree

    names = " ".join(f'xmlns:{prefix}="{name}"' for prefix, name in namespaces.items())
    denied = etree.XSLTAccessControl.DENY_ALL
    return etree.XSLT(etree.XML(_SHEET % (names, templates)), access_control=denied)


def parsed(content: bytes) -> etree._ElementTree:
    """The tree of an XML file that is not trusted; no other file is read, nothing is fetched.

    Entities that the file itself declares are replaced as long as libxml2 holds that they do not
    grow out of proportion. References that a DTD out of reach would explain become the characters
    that HTML names so, or stay as they are written. Raises Unreadable.
    """
    from lxml import etree

    root = _root(content, resolve_entities=False)
    tree = root.getroottree()
    if tree.docinfo.doctype:
        references = list(root.iter(etree.Entity))
        declared = tree.docinfo.internalDTD
        names = {each.name for each in declared.iterentities()} if declared is not None else set()
        if any(each.name in names for each in references):
            return _root(content, resolve_entities="internal").getroottree()
        for each in references:
            replace(each, html5.get(f"{each.name};", f"&{each.name};"))
    return tree


def _root(content: bytes, *, resolve_entities: bool | str) -> etree._Element:
    from lxml import etree

    try:
        return etree.XML(content, _parser(resolve_entities))
    except etree.XMLSyntaxError as error:
        hostile = any(sign in error.msg for sign in _HOSTILE)
        raise Unreadable("hostile XML" if hostile else "unparsable", error.msg) from None


def transformed(sheet: etree.XSLT, tree: etree._ElementTree | etree._Element) -> str:
    """The marked text of a tree. Raises Unreadable when it is nested too deep."""
    from lxml import etree

    try:
        return str(sheet(tree))
    except etree.XSLTApplyError as error:
        raise Unreadable("nested too deep", str(error)) from None


def blocks(marked: str) -> Iterator[Block]:
    """The blocks of a marked text, white space folded, empty ones left out."""
    above: list[tuple[str, Part]] = [("7", "prose")]
    term = ""
    for run in f"7{marked}".split(BLOCK):
        mark = run[:1]
        if mark in _KINDS:
            above.append((mark, _KINDS[mark][1] or above[-1][1]))
        elif len(above) > 1:
            above.pop()
        if len(run) < 2 or run[1:].isspace():
            continue
        kind, part = above[-1]
        level = _KINDS[kind][0]
        for text in _texts(kind, run[1:]):
            if kind == "t":
                term = f"{text}: "
            else:
                yield Block(term + text, level, None, part)
                term = ""
    if term:
        yield Block(term[:-2])


def _texts(kind: str, text: str) -> list[str]:
    """The text of a block; of a paragraph with <br><br> inside it several."""
    if kind == "9":
        text = "\n".join(filter(None, _table(text)))
    elif kind == "8":
        lines = text.replace(BREAK, "\n").split("\n")
        text = "\n".join(line.rstrip() for line in lines if line.strip())
    elif LINE in text:
        text = "\n".join(filter(str.strip, map(folded, text.split(LINE))))
    elif BREAK in text and _KINDS[kind][0] == PARAGRAPH:
        return list(filter(None, map(folded, _PARAGRAPHS.split(text))))
    else:
        text = folded(text)
    return [text] if text else []


def folded(text: str) -> str:
    """Text on one line; its indentation stays."""
    text = text.strip()
    if "  " not in text and text.isprintable():
        return text  # so without marks and other white space: most are, and splitting is slow
    text = " ".join(text.replace(BREAK, " ").split())
    return text.replace(f"{DEEPER} ", DEEPER).replace(DEEPER, "  ") if DEEPER in text else text


def _table(text: str) -> Iterator[str]:
    """The lines of a marked table: those above it, and a sentence per row.

    The last of the first rows that hold headers alone names the columns: "header: cell;
    header: cell."; without headers "cell | cell".
    """
    above, *marked = text.split(ROW)
    yield from map(sentence, filter(None, map(folded, above.split(LINE))))
    rows = [row for row in _grid(marked) if row]
    heads = list(takewhile(lambda row: all(cell.kind == HEAD for cell in row), rows))
    rows = rows[len(heads) :]
    names = [cell.text for cell in heads[-1]] if heads and rows else []
    for row in heads[:-1] if names else heads:
        yield _unnamed(row)
    for row in rows:
        if len(row) == len(names):
            pairs = ((name, cell.text) for name, cell in zip(names, row, strict=True) if cell.text)
            yield sentence("; ".join(f"{name}: {text}" if name else text for name, text in pairs))
        else:
            yield _unnamed(row)


class _Cell(NamedTuple):
    kind: str
    text: str
    is_copy: bool  # of the cell to its left


def _unnamed(row: list[_Cell]) -> str:
    cells = [cell.text for cell in row if not cell.is_copy]
    return " | ".join(cells) if any(cells) else ""


def _grid(marked: Iterable[str]) -> Iterator[list[_Cell]]:
    """The cells of each row, repeated in all columns and rows that they cover."""
    covered: dict[int, tuple[int, _Cell]] = {}  # column: rows still to cover, by what
    for text in marked:
        row: list[_Cell] = []
        for kind, content in re.findall(rf"([{HEAD}{CELL}])([^{HEAD}{CELL}]*)", text):
            _fill(row, covered)
            spans, mark, inner = content.rpartition(SPAN)
            columns, rows = map(_span, spans.split(",")) if mark else (1, 1)
            told = folded(inner.replace(LINE, " "))
            for number in range(columns):
                cell = _Cell(kind, told, is_copy=number > 0)
                if rows > 1:
                    covered[len(row)] = (rows - 1, cell)
                row.append(cell)
        _fill(row, covered)
        yield row


def _fill(row: list[_Cell], covered: dict[int, tuple[int, _Cell]]) -> None:
    """Append what cells of the rows above put into the next columns."""
    while len(row) in covered:
        left, cell = covered.pop(len(row))
        if left > 1:
            covered[len(row)] = (left - 1, cell)
        row.append(cell)


def _span(text: str) -> int:
    return min(max(int(text), 1), _WIDEST) if text.strip().isdecimal() else 1


def sentence(text: str) -> str:
    """Text that ends as a sentence does."""
    return text if not text or text.endswith((".", "!", "?", ":", "。")) else f"{text}."


@cache
def _parser(resolve_entities: bool | str) -> etree.XMLParser:
    from lxml import etree

    return etree.XMLParser(
        resolve_entities=resolve_entities,
        load_dtd=False,
        no_network=True,
        huge_tree=False,
        remove_comments=True,
        remove_pis=True,
    )


def replace(node: etree._Element, text: str = "") -> None:
    """Take a node out of its tree and put text in its place; the text behind it stays."""
    parent, before = node.getparent(), node.getprevious()
    if parent is None:
        return
    text += node.tail or ""
    if before is None:
        parent.text = (parent.text or "") + text
    else:
        before.tail = (before.tail or "") + text
    parent.remove(node)
