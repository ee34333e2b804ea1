"""From a tree of markup to blocks: a stylesheet marks the text, and the marks become blocks.

    XML ── parsed ──> tree ── stylesheet ──> marked text ── blocks ──> Block

A format is an XSLT stylesheet whose output is its text with marks in between, so that the walk
over the tree is done by libxslt. Marks are noncharacters (Unicode 16, section 23.7); those in a
file are marks as well, and do no more harm than its tags. In a stylesheet they are entities:

    &block;  ends what came before; the next character says what begins: 0 to 6 a heading,
             7 a paragraph, 8 preformatted lines, 9 a table; e and g enter exercises and the
             glossary, p leaves them again
    &line;   ends a line within a block
    &deeper; indents a line by two spaces
    &row;    begins a table's row
    &head; &cell;  begin a cell
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import cache
from typing import TYPE_CHECKING

from residency.reading.blocks import PARAGRAPH, Block, Part, Unreadable

if TYPE_CHECKING:
    from lxml import etree

BLOCK, LINE, DEEPER, ROW, HEAD, CELL = map(chr, range(0xFDD0, 0xFDD6))

_LEVELS = {str(level): level for level in range(PARAGRAPH + 1)}
_PARTS: dict[str, Part] = {"e": "exercises", "g": "glossary"}
_SHEET = """<!DOCTYPE xsl:stylesheet [
<!ENTITY block "&#xFDD0;"> <!ENTITY line "&#xFDD1;"> <!ENTITY deeper "&#xFDD2;">
<!ENTITY row "&#xFDD3;"> <!ENTITY head "&#xFDD4;"> <!ENTITY cell "&#xFDD5;">
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


def stylesheet(namespaces: dict[str, str], templates: str) -> etree.XSLT:
    """A stylesheet that marks text; it can read and write nothing but the tree that it is given."""
    from lxml import etree

    names = " ".join(f'xmlns:{prefix}="{name}"' for prefix, name in namespaces.items())
    denied = etree.XSLTAccessControl.DENY_ALL
    return etree.XSLT(etree.XML(_SHEET % (names, templates)), access_control=denied)


def parsed(content: bytes) -> etree._ElementTree:
    """The tree of an XML file that is not trusted; no other file is read, nothing is fetched.

    Entities that the file itself declares are replaced while libxml2 holds that they do not grow
    out of proportion. Of others those of HTML are. Raises Unreadable.
    """
    from lxml import etree

    try:
        root = etree.XML(content, _parser())
    except etree.XMLSyntaxError as error:
        hostile = "ntity" in error.msg or "xcessive" in error.msg or "loop" in error.msg
        raise Unreadable("hostile XML" if hostile else "unparsable", error.msg) from None
    tree = root.getroottree()
    if tree.docinfo.doctype:
        _settle_entities(root)
    return tree


def transformed(sheet: etree.XSLT, tree: etree._ElementTree | etree._Element) -> str:
    """The marked text of a tree. Raises Unreadable when it is nested too deep."""
    from lxml import etree

    try:
        return str(sheet(tree))
    except etree.XSLTApplyError as error:
        raise Unreadable("nested too deep", str(error)) from None


def blocks(marked: str) -> Iterator[Block]:
    """The blocks of a marked text, white space folded, empty ones left out."""
    parts: list[Part] = ["prose"]
    for run in f"{PARAGRAPH}{marked}".split(BLOCK):
        kind, text = run[:1], run[1:]
        if kind in _PARTS:
            parts.append(_PARTS[kind])
        elif kind == "p" and len(parts) > 1:
            parts.pop()
        elif text and not text.isspace():
            if kind == "9":
                text = "\n".join(table_lines(*_table(text)))
            elif kind == "8":
                text = "\n".join(line.rstrip() for line in text.split("\n") if line.strip())
            elif LINE in text:
                text = "\n".join(filter(str.strip, map(folded, text.split(LINE))))
            else:
                text = " ".join(text.split())
            if text:
                yield Block(text, _LEVELS.get(kind, PARAGRAPH), None, parts[-1])


def folded(text: str) -> str:
    """Text on one line; its indentation stays."""
    return " ".join(text.split()).replace(f"{DEEPER} ", DEEPER).replace(DEEPER, "  ")


def _table(text: str) -> tuple[list[str], list[list[str]], list[list[str]]]:
    """The lines above a marked table, its rows of headers and its other rows."""
    above, *rows = text.split(ROW)
    heads: list[list[str]] = []
    others: list[list[str]] = []
    for row in rows:
        is_head = CELL not in row and not others
        cells = row.replace(HEAD, CELL).split(CELL)[1:]
        (heads if is_head else others).append([folded(cell.replace(LINE, " ")) for cell in cells])
    return [folded(line) for line in above.split(LINE)], heads, others


def table_lines(
    above: Iterable[str], heads: list[list[str]], rows: list[list[str]]
) -> Iterator[str]:
    """A sentence per row, "header: cell; header: cell."; without headers "cell | cell".

    Of several rows of headers the last one names the columns.
    """
    yield from map(sentence, filter(None, above))
    named = [] if not rows else heads.pop() if heads else []
    for head in heads:
        if any(head):
            yield " | ".join(filter(None, head))
    if not any(len(row) == len(named) for row in rows):
        rows = [named, *rows]
        named = []
    for row in rows:
        if named and len(row) == len(named):
            pairs = zip(named, row, strict=True)
            yield sentence(
                "; ".join(f"{name}: {cell}" if name else cell for name, cell in pairs if cell)
            )
        elif any(row):
            yield " | ".join(row)


def sentence(text: str) -> str:
    """Text that ends as a sentence does."""
    return text if not text or text.endswith((".", "!", "?", ":", "。")) else f"{text}."


@cache
def _parser() -> etree.XMLParser:
    from lxml import etree

    return etree.XMLParser(
        resolve_entities="internal",
        load_dtd=False,
        no_network=True,
        huge_tree=False,
        remove_comments=True,
        remove_pis=True,
    )


def _settle_entities(root: etree._Element) -> None:
    """Replace references that a DTD out of reach would explain by the characters HTML names so.

    Names that HTML does not know stay as they are written.
    """
    from html.entities import html5

    from lxml import etree

    for entity in list(root.iter(etree.Entity)):
        replace(entity, html5.get(f"{entity.name};", f"&{entity.name};"))


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
