"""HTML, and Markdown as the HTML that it stands for: one way for tables and lists to become text.

A paragraph is a run of text with the same nearest block element, also in old pages that close none
of their tags.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from typing import TYPE_CHECKING, Literal

from residency.reading import gutenberg, marks
from residency.reading.blocks import Block, Unreadable

if TYPE_CHECKING:
    from lxml import etree

HEADINGS = ("h1", "h2", "h3", "h4", "h5", "h6")
LISTS = ("ol", "ul")
DROPPED = ("aside", "footer", "form", "nav", "noscript", "script", "style", "svg",
           "template")  # fmt: skip
BLOCKS = ("address", "article", "blockquote", "body", "center", "dd", "details", "div", "dl", "dt",
    "fieldset", "figcaption", "figure", "hr", "li", "main", "p", "section", "summary", "table",
    "tbody", "td", "th", "thead", "tfoot", "tr", "caption")  # fmt: skip

_UNCLOSED = re.compile(rb"</?(?:a|b|big|em|font|i|small|span|strong|tt|u)\b[^>]*>", re.IGNORECASE)
_FRONT_MATTER = re.compile(
    r"\A(---|\+\+\+)[ \t]*\n.*?^(\1|\.\.\.)[ \t]*$", re.DOTALL | re.MULTILINE
)


def read_markdown(text: str) -> Iterator[Block]:
    """CommonMark with tables; front matter is dropped."""
    from markdown_it import MarkdownIt

    parser = MarkdownIt("commonmark").enable(["table", "strikethrough"])
    return read_html(parser.render(_FRONT_MATTER.sub("", text, count=1)))


def read_html(text: str) -> Iterator[Block]:
    """What a page says: without menus, forms and scripts, but with the headings in its header.

    Raises Unreadable.
    """
    return gutenberg.body(page(text.encode(errors="replace")))


def page(content: bytes) -> Iterator[Block]:
    """The blocks of a page in UTF-8. Raises Unreadable."""
    root = _root(content, huge_tree=False)
    if root == "too deep":  # by tags that old pages never close; they end no paragraph
        root = _root(_UNCLOSED.sub(b"", content), huge_tree=True)
    if root == "too deep":
        raise Unreadable("nested too deep", "more than 2048 tags within one another")
    return iter(()) if root is None else marks.blocks(marks.transformed(_sheet(), root))


def _root(content: bytes, *, huge_tree: bool) -> etree._Element | Literal["too deep"] | None:
    """The tree of a page, or None when it is empty; libxml2 would silently cut a deep one off."""
    from lxml import etree

    parser = etree.HTMLParser(encoding="utf-8", huge_tree=huge_tree)
    root = etree.HTML(content, parser) if content.strip() else None
    fatal = parser.error_log.filter_from_fatals()
    return "too deep" if any(each.type_name == "ERR_RESOURCE_LIMIT" for each in fatal) else root


@cache
def _sheet() -> etree.XSLT:
    def either(*names: str) -> str:
        return " | ".join(names)

    def inside(*names: str) -> str:
        return " or ".join(f".//{name}" for name in names)

    headings = "".join(
        f'<xsl:template match="{name}">&block;{level}<xsl:apply-templates/>&end;</xsl:template>'
        for level, name in enumerate(HEADINGS, 1)
    )
    return marks.stylesheet(
        {},
        f"""
<xsl:template match="/"><!-- the title first, wherever it stands -->
  <xsl:text>&block;0</xsl:text><xsl:value-of select="//title[1]"/><xsl:text>&end;</xsl:text>
  <xsl:apply-templates/>
</xsl:template>
<xsl:template match="{either("title", *DROPPED)}"/>
<xsl:template match="header">
  <xsl:apply-templates select="{either(*(f".//{name}" for name in HEADINGS))}"/>
</xsl:template>
<xsl:template match="section[contains(@class, 'pg-boilerplate')] |
    div[@id = 'pg-header' or @id = 'pg-footer'] |
    span[contains(@class, 'pagenum') or @role = 'doc-pagebreak'] |
    span[@*[name() = 'epub:type'] = 'pagebreak']"/>

<xsl:template match="{either(*BLOCKS)}">&block;7<xsl:apply-templates/>&end;</xsl:template>
{headings}
<xsl:template match="pre">&block;8<xsl:apply-templates/>&end;</xsl:template>
<xsl:template match="br">&break;</xsl:template>
<xsl:template match="sup[not(.//a)]" name="power">
  <xsl:variable name="before" select="preceding-sibling::node()[1]"/>
  <xsl:if test="contains('0123456789', substring($before, string-length($before)))
      and string($before)">^</xsl:if>
  <xsl:apply-templates/>
</xsl:template>
<xsl:template match="sup[not(.//a)]" mode="flat"><xsl:call-template name="power"/></xsl:template>
<xsl:template match="dt[following-sibling::*[self::dt or self::dd][1][self::dd]]">
  <xsl:text>&block;t</xsl:text><xsl:apply-templates mode="flat"/><xsl:text>&end;</xsl:text>
</xsl:template>

<xsl:template match="table[not({inside(*HEADINGS, *LISTS, "dl", "pre", "table")})]">
  <xsl:text>&block;9</xsl:text><xsl:apply-templates select=".//caption" mode="flat"/>
  <xsl:for-each select=".//tr">
    <xsl:text>&row;</xsl:text><xsl:apply-templates select="td | th" mode="cell"/>
  </xsl:for-each>
  <xsl:text>&end;</xsl:text>
</xsl:template>
{marks.CELLS}

<xsl:template match="ol | ul">&block;7<xsl:apply-templates/>&end;</xsl:template>
<xsl:template match="{
            either(
                *(f"{name}[not({inside(*HEADINGS, 'dl', 'p', 'pre', 'table')})]" for name in LISTS)
            )
        }" name="list">
  <xsl:text>&block;7</xsl:text>
  <xsl:call-template name="items"/>
  <xsl:text>&end;</xsl:text>
</xsl:template>
<xsl:template name="items">
  <xsl:param name="indent" select="''"/>
  <xsl:variable name="mixed" select="boolean(*[not(self::li)])"/>
  <xsl:for-each select="*">
    <xsl:if test="self::li">
      <xsl:text>&line;</xsl:text>
      <xsl:value-of select="$indent"/>
      <xsl:choose>
        <xsl:when test="not(parent::ol)">-</xsl:when>
        <xsl:when test="$mixed">
          <xsl:value-of select="count(preceding-sibling::li) + 1"/>.<!--
        --></xsl:when>
        <xsl:otherwise><xsl:value-of select="position()"/>.</xsl:otherwise>
      </xsl:choose>
      <xsl:text> </xsl:text>
      <xsl:apply-templates mode="flat"/>
    </xsl:if>
    <xsl:variable name="depth" select="count(ancestor::ol | ancestor::ul)"/>
    <xsl:for-each select="(self::ol | self::ul | .//ol | .//ul)
        [count(ancestor::ol | ancestor::ul) = $depth]">
      <xsl:call-template name="items">
        <xsl:with-param name="indent" select="concat($indent, '&deeper;')"/>
      </xsl:call-template>
    </xsl:for-each>
  </xsl:for-each>
</xsl:template>

<xsl:template match="*" mode="flat"><xsl:apply-templates mode="flat"/></xsl:template>
<xsl:template match="{either("br", *BLOCKS, *HEADINGS)}" mode="flat">
  <xsl:text> </xsl:text><xsl:apply-templates mode="flat"/><xsl:text> </xsl:text>
</xsl:template>
<xsl:template match="{either(*LISTS)}" mode="flat"><xsl:text> </xsl:text></xsl:template>
<xsl:template match="{either("title", *DROPPED)}" mode="flat"/>
""",
    )
