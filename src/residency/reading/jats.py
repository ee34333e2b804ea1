"""JATS, the markup of journal articles, and PubMed's sets of abstracts.

Of an article its title, abstracts, body, appendices and glossary come out; authors, affiliations,
funding, notes, references and the letters around it do not. A set gives one title of level 0 for
each of its articles. JATS: ANSI/NISO Z39.96-2019.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import TYPE_CHECKING

from residency.reading import marks
from residency.reading.blocks import Block, Lost, Unreadable

if TYPE_CHECKING:
    from lxml import etree

ROOTS = (
    "article",
    "pmc-articleset",
    "PubmedArticle",
    "PubmedArticleSet",
    "pubmed-articleset",
)


def read(content: bytes) -> Iterator[Block | Lost]:
    """The blocks of an article or of a set of articles. Raises Unreadable."""
    tree = marks.parsed(content)
    root = tree.getroot()
    if root.tag not in ROOTS:
        expected = ", ".join(ROOTS)
        raise Unreadable("unknown format", f"the root element is {root.tag}, expected {expected}")
    return marks.blocks(marks.transformed(_sheet(), tree))


@cache
def _sheet() -> etree.XSLT:
    return marks.stylesheet(
        {"m": "http://www.w3.org/1998/Math/MathML"}, marks.MATH + marks.CELLS + _TEMPLATES
    )


_TEMPLATES = """
<xsl:template match="article">
  <xsl:text>&block;0</xsl:text>
  <xsl:apply-templates select="front/article-meta/title-group/article-title/node()"/>
  <xsl:text>&end;</xsl:text>
  <xsl:apply-templates select="front/article-meta/abstract | front/article-meta/trans-abstract |
      body | back/app-group | back/app | back/glossary"/>
</xsl:template>
<xsl:template match="PubmedArticle">
  <xsl:text>&block;0</xsl:text>
  <xsl:apply-templates select="MedlineCitation/Article/ArticleTitle/node()"/>
  <xsl:text>&end;</xsl:text>
  <xsl:apply-templates select="MedlineCitation/Article/Abstract/AbstractText"/>
</xsl:template>
<xsl:template match="PubmedBookArticle | DeleteCitation"/>
<xsl:template match="AbstractText">
  <xsl:text>&block;7</xsl:text>
  <xsl:if test="@Label"><xsl:value-of select="@Label"/>: </xsl:if>
  <xsl:apply-templates/><xsl:text>&end;</xsl:text>
</xsl:template>

<xsl:template match="abstract[not(title)] | trans-abstract[not(title)]">
  <xsl:text>&block;1Abstract&end;</xsl:text><xsl:apply-templates/>
</xsl:template>
<xsl:template match="abstract[@abstract-type = 'graphical' or @abstract-type = 'toc']"/>
<xsl:template match="sec/title | app/title | abstract/title | trans-abstract/title | ack/title |
    glossary/title">
  <xsl:variable name="depth" select="count(ancestor::sec | ancestor::app | ancestor::abstract |
      ancestor::trans-abstract | ancestor::glossary)"/>
  <xsl:text>&block;</xsl:text>
  <xsl:choose>
    <xsl:when test="$depth &lt; 6"><xsl:value-of select="$depth"/></xsl:when>
    <xsl:otherwise>6</xsl:otherwise>
  </xsl:choose>
  <xsl:apply-templates/><xsl:text>&end;</xsl:text>
</xsl:template>

<xsl:template match="label | object-id | graphic | media | alternatives/graphic | fn-group |
    ref-list | sec-meta | permissions | attrib | supplementary-material | tex-math | alt-text |
    long-desc | contrib-group | sub-article | response | table-wrap-foot/fn-group |
    inline-supplementary-material | fn | sec[@sec-type = 'supplementary-material']"/>
<xsl:template match="table-wrap-foot//fn">
  <xsl:text>&block;7</xsl:text><xsl:apply-templates/><xsl:text>&end;</xsl:text>
</xsl:template>
<xsl:template match="p | title | disp-quote | boxed-text | disp-formula | statement | verse-group |
    verse-line | speech | table-wrap-foot | def-list | caption | fig | fig-group">
  <xsl:text>&block;7</xsl:text><xsl:apply-templates/><xsl:text>&end;</xsl:text>
</xsl:template>
<xsl:template match="glossary">
  <xsl:text>&block;g</xsl:text><xsl:apply-templates/><xsl:text>&end;</xsl:text>
</xsl:template>
<xsl:template match="def-item">
  <xsl:text>&line;</xsl:text><xsl:apply-templates select="term" mode="flat"/>
  <xsl:text>: </xsl:text><xsl:apply-templates select="def" mode="flat"/><xsl:text>&line;</xsl:text>
</xsl:template>
<xsl:template match="preformat | code">
  <xsl:text>&block;8</xsl:text><xsl:apply-templates/><xsl:text>&end;</xsl:text>
</xsl:template>
<xsl:template match="code[not(contains(., '&#10;'))]"><xsl:apply-templates/></xsl:template>

<xsl:template match="fig/caption | table-wrap/caption | boxed-text/caption">
  <xsl:text>&block;7</xsl:text>
  <xsl:variable name="title" select="normalize-space(title)"/>
  <xsl:apply-templates select="title/node()"/>
  <xsl:if test="$title and not(contains('.!?:', substring($title, string-length($title))))">
    <xsl:text>.</xsl:text>
  </xsl:if>
  <xsl:text> </xsl:text><xsl:apply-templates select="p" mode="joined"/><xsl:text>&end;</xsl:text>
</xsl:template>
<xsl:template match="p" mode="joined"><xsl:apply-templates/><xsl:text> </xsl:text></xsl:template>

<xsl:template match="table">
  <xsl:text>&block;9</xsl:text>
  <xsl:for-each select=".//tr">
    <xsl:text>&row;</xsl:text><xsl:apply-templates select="td | th" mode="cell"/>
  </xsl:for-each>
  <xsl:text>&end;</xsl:text>
</xsl:template>
<xsl:template match="thead//td" mode="cell">
  <xsl:text>&head;</xsl:text><xsl:call-template name="spans"/><xsl:apply-templates mode="flat"/>
</xsl:template>
<xsl:template match="*" mode="flat"><xsl:apply-templates select="."/></xsl:template>
<xsl:template match="p | title | list | list-item | break | def | disp-formula" mode="flat">
  <xsl:text> </xsl:text><xsl:apply-templates mode="flat"/><xsl:text> </xsl:text>
</xsl:template>

<xsl:template match="list">
  <xsl:text>&block;7</xsl:text><xsl:apply-templates select="title/node()"/>
  <xsl:call-template name="items"/><xsl:text>&end;</xsl:text>
</xsl:template>
<xsl:template match="list[.//p[2] or .//table or .//disp-formula or .//fig]">
  <xsl:for-each select="list-item">
    <xsl:text>&block;7</xsl:text><xsl:apply-templates/><xsl:text>&end;</xsl:text>
  </xsl:for-each>
</xsl:template>
<xsl:template match="list" mode="items"><xsl:call-template name="items"/></xsl:template>
<xsl:template name="items">
  <xsl:variable name="type" select="@list-type"/>
  <xsl:variable name="outside" select="ancestor::list"/>
  <xsl:for-each select="list-item">
    <xsl:text>&line;</xsl:text>
    <xsl:for-each select="$outside">&deeper;</xsl:for-each>
    <xsl:choose>
      <xsl:when test="$type = 'order' or contains($type, 'alpha') or contains($type, 'roman')">
        <xsl:value-of select="position()"/>. </xsl:when>
      <xsl:otherwise>- </xsl:otherwise>
    </xsl:choose>
    <xsl:apply-templates select="node()[not(self::list)]" mode="flat"/>
    <xsl:apply-templates select="list" mode="items"/>
  </xsl:for-each>
  <xsl:text>&line;</xsl:text>
</xsl:template>

<xsl:template match="break"><xsl:text> </xsl:text></xsl:template>
<xsl:template match="sup[not(xref)]">
  <xsl:variable name="before" select="preceding-sibling::node()[1]"/>
  <xsl:if test="contains('0123456789', substring($before, string-length($before)))
      and string($before)">^</xsl:if>
  <xsl:apply-templates/>
</xsl:template>
<xsl:template match="xref[@ref-type = 'fn' or @ref-type = 'table-fn']"/>
<xsl:template match="sup[xref[@ref-type = 'bibr']] |
    xref[@ref-type = 'bibr'][number(.) = number(.)]"/>
"""
