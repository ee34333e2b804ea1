"""CNXML, the markup of OpenStax textbooks: a module's prose, exercises and glossary told apart.

    <section><title>Cells</title>       ── read ──>       Block("Cells", 1), Block("…")
      <exercise><problem>…<list>…       ── read ──>       Block("…", part="exercises")
                                        ── exercises ──>  Exercise(id, stem, options, …)
    <col:collection>…                   ── collection ──> [("m46844", ()), ("m45981", (…)), …]

Metadata, labels, images and lists of references give nothing. An empty link to a figure or table
is told by its title. https://github.com/openstax/cnxml holds the schema (version 0.7).
"""

from __future__ import annotations

from collections.abc import Iterator
from copy import deepcopy
from functools import cache
from typing import TYPE_CHECKING, NamedTuple

from residency.reading import marks
from residency.reading.blocks import PARAGRAPH, Block, Lost, Unreadable

if TYPE_CHECKING:
    from lxml import etree

_C = "{http://cnx.rice.edu/cnxml}"
_MD = "{http://cnx.rice.edu/mdml}"
_COL = "{http://cnx.rice.edu/collxml}"


class Exercise(NamedTuple):
    """An exercise as it is written; of an open one `options` are empty."""

    id: str  # the module's, a number sign, and its own
    stem: str
    options: tuple[str, ...]
    solution: str  # "" when there is none
    section: tuple[str, ...]  # titles from the module's down


def read(content: bytes) -> Iterator[Block | Lost]:
    """The blocks of one module. Raises Unreadable.

    A paragraph of the prose that an exercise repeats, as those under "Interactive Link" do, belongs
    to the exercises. The glossary stands under the module's title and under no section.
    """
    tree = marks.parsed(content)
    _expect(tree.getroot(), f"{_C}document")
    found = list(marks.blocks(marks.transformed(_sheet(), tree)))
    glossary = next((n for n, block in enumerate(found) if block.part == "glossary"), 0)
    if glossary and found[0].level == 0:
        found.insert(glossary, found[0])
    asked = {block.text for block in found if block.part == "exercises"}
    if not asked:
        return iter(found)
    return (
        block._replace(part="exercises")
        if block.text in asked and block.level == PARAGRAPH and " " in block.text
        else block
        for block in found
    )


def exercises(content: bytes) -> Iterator[Exercise]:
    """The exercises of one module, in order. Raises Unreadable.

    Options are the items of the last enumerated list of the problem.
    """
    root = marks.parsed(content).getroot()
    _expect(root, f"{_C}document")
    module = root.findtext(f".//{_MD}content-id", "").strip()
    for exercise in root.iter(f"{_C}exercise"):
        titles = [_text(above.find(f"{_C}title")) for above in exercise.iterancestors()]
        problem = deepcopy(exercise.find(f"{_C}problem"))
        options: tuple[str, ...] = ()
        if problem is not None:
            enumerated = problem.xpath(".//*[local-name()='list'][@list-type='enumerated']")
            for choices in enumerated[-1:]:
                options = tuple(map(_text, choices.iterchildren(f"{_C}item")))
                marks.replace(choices)
        yield Exercise(
            id=f"{module}#{exercise.get('id', '')}",
            stem=_text(problem),
            options=options,
            solution="\n".join(map(_text, exercise.iterchildren(f"{_C}solution"))),
            section=tuple(filter(None, reversed(titles))),
        )


def collection(content: bytes) -> list[tuple[str, tuple[str, ...]]]:
    """The modules of a book in reading order, each with the titles of its unit and chapter.

    Raises Unreadable.
    """
    root = marks.parsed(content).getroot()
    _expect(root, f"{_COL}collection")
    found = []
    for module in root.iter(f"{_COL}module"):
        titles = [
            " ".join(each.findtext(f"{_MD}title", "").split())
            for each in module.iterancestors(f"{_COL}subcollection")
        ]
        found.append((module.get("document", ""), tuple(filter(None, reversed(titles)))))
    return found


def _expect(root: etree._Element, tag: str) -> None:
    if root.tag != tag:
        raise Unreadable("unknown format", f"the root element is {root.tag}, expected {tag}")


def _text(element: etree._Element | None) -> str:
    if element is None:
        return ""
    alone = deepcopy(element).getroottree()
    return "\n".join(block.text for block in marks.blocks(marks.transformed(_sheet(), alone)))


@cache
def _sheet() -> etree.XSLT:
    return marks.stylesheet(
        {"c": "http://cnx.rice.edu/cnxml", "m": "http://www.w3.org/1998/Math/MathML"},
        marks.MATH + _TEMPLATES,
    )


_TEMPLATES = """
<xsl:key name="named" match="c:figure | c:table" use="@id"/>

<xsl:template match="c:metadata | c:label | c:media | c:colspec | c:section[@class='references'] |
    c:section[contains(@class, 'contrib-auth')]"/>

<xsl:template match="c:para | c:problem | c:solution | c:note | c:equation | c:quote | c:rule |
    c:statement | c:proof | c:example | c:subfigure">
  &block;7<xsl:apply-templates/>&end;
</xsl:template>
<xsl:template match="c:title">&block;7<xsl:apply-templates/>&end;</xsl:template>
<xsl:template match="c:document/c:title">&block;0<xsl:apply-templates/>&end;</xsl:template>
<xsl:template match="c:section/c:title">
  <xsl:variable name="depth" select="count(ancestor::c:section)"/>
  <xsl:text>&block;</xsl:text>
  <xsl:choose>
    <xsl:when test="$depth &lt; 6"><xsl:value-of select="$depth"/></xsl:when>
    <xsl:otherwise>6</xsl:otherwise>
  </xsl:choose>
  <xsl:apply-templates/>&end;
</xsl:template>

<xsl:template match="c:exercise | c:section[contains(@class, 'exercise')
    or contains(@class, 'question') or contains(@class, 'problem')
    or contains(@class, 'multiple-choice') or contains(@class, 'free-response')
    or contains(@class, 'critical-thinking') or count(c:exercise) &gt; count(c:para)]">
  &block;e<xsl:apply-templates/>&end;
</xsl:template>
<xsl:template match="c:section"><xsl:apply-templates/></xsl:template>

<xsl:template match="c:glossary">
  &block;g<xsl:apply-templates/>&end;
</xsl:template>
<xsl:template match="c:glossary//c:definition">
  <xsl:text>&block;g</xsl:text><xsl:apply-templates select="c:term"/>
  <xsl:text>: </xsl:text><xsl:apply-templates select="c:meaning"/><xsl:text>&end;</xsl:text>
</xsl:template>
<xsl:template match="c:definition">
  <xsl:text>&line;</xsl:text><xsl:apply-templates select="c:term"/>
  <xsl:text>: </xsl:text><xsl:apply-templates select="c:meaning"/><xsl:text>&line;</xsl:text>
</xsl:template>

<xsl:template match="c:figure">
  <xsl:text>&block;7</xsl:text><xsl:call-template name="named"/>
  <xsl:apply-templates select="*[not(self::c:title)]"/><xsl:text>&end;</xsl:text>
</xsl:template>
<xsl:template match="c:caption">
  <xsl:text> </xsl:text><xsl:apply-templates/>
</xsl:template>
<xsl:template name="named">
  <xsl:variable name="title"><xsl:apply-templates select="c:title/node()"/></xsl:variable>
  <xsl:variable name="name" select="normalize-space($title)"/>
  <xsl:value-of select="$name"/>
  <xsl:if test="$name and not(contains('.!?:', substring($name, string-length($name))))">.</xsl:if>
</xsl:template>

<xsl:template match="c:table">
  <xsl:text>&block;9</xsl:text><xsl:call-template name="named"/>
  <xsl:text>&line;</xsl:text><xsl:apply-templates select="c:caption"/>
  <xsl:apply-templates select=".//c:row"/><xsl:text>&end;</xsl:text>
</xsl:template>
<xsl:template match="c:row"><xsl:text>&row;</xsl:text><xsl:apply-templates select="c:entry"/>
</xsl:template>
<xsl:template match="c:entry">&cell;<xsl:call-template name="entry"/></xsl:template>
<xsl:template match="c:thead//c:entry">&head;<xsl:call-template name="entry"/></xsl:template>
<xsl:template name="entry">
  <xsl:variable name="columns" select="ancestor::c:tgroup[1]/c:colspec"/>
  <xsl:variable name="first" select="$columns[@colname = current()/@namest]/@colnum"/>
  <xsl:variable name="last" select="$columns[@colname = current()/@nameend]/@colnum"/>
  <xsl:if test="$last > $first or @morerows > 0">
    <xsl:if test="$last > $first"><xsl:value-of select="$last - $first + 1"/></xsl:if>
    <xsl:text>,</xsl:text>
    <xsl:if test="@morerows > 0"><xsl:value-of select="@morerows + 1"/></xsl:if>
    <xsl:text>&span;</xsl:text>
  </xsl:if>
  <xsl:apply-templates mode="cell"/>
</xsl:template>
<xsl:template match="*" mode="cell"><xsl:apply-templates select="."/></xsl:template>
<xsl:template match="c:para | c:note" mode="cell">
  <xsl:apply-templates mode="cell"/><xsl:text> </xsl:text>
</xsl:template>
<xsl:template match="c:list" mode="cell">
  <xsl:for-each select="c:item">
    <xsl:apply-templates mode="cell"/><xsl:if test="position() != last()">, </xsl:if>
  </xsl:for-each>
</xsl:template>

<xsl:template match="c:list">
  <xsl:text>&block;7</xsl:text><xsl:apply-templates select="c:title/node()"/>
  <xsl:call-template name="items"/><xsl:text>&end;</xsl:text>
</xsl:template>
<xsl:template match="c:list[.//c:para or .//c:table or .//c:figure or .//c:equation]">
  <xsl:for-each select="c:item">&block;7<xsl:apply-templates/>&end;</xsl:for-each>
</xsl:template>
<xsl:template match="c:item/c:list | c:item/*/c:list">
  <xsl:call-template name="items"/>
</xsl:template>
<xsl:template name="items">
  <xsl:variable name="numbered" select="@list-type = 'enumerated'"/>
  <xsl:variable name="outside" select="ancestor::c:list"/>
  <xsl:for-each select="c:item">
    <xsl:text>&line;</xsl:text>
    <xsl:for-each select="$outside">&deeper;</xsl:for-each>
    <xsl:choose>
      <xsl:when test="$numbered"><xsl:value-of select="position()"/>. </xsl:when>
      <xsl:otherwise>- </xsl:otherwise>
    </xsl:choose>
    <xsl:apply-templates/>
  </xsl:for-each>
  <xsl:text>&line;</xsl:text>
</xsl:template>

<xsl:template match="c:newline | c:space"><xsl:text> </xsl:text></xsl:template>
<xsl:template match="c:code[@display='block'] | c:preformat">
  <xsl:text>&block;8</xsl:text><xsl:value-of select="."/><xsl:text>&end;</xsl:text>
</xsl:template>
<xsl:template match="c:sup">
  <xsl:variable name="before" select="preceding-sibling::node()[1]"/>
  <xsl:if test="contains('0123456789', substring($before, string-length($before)))
      and string($before)">^</xsl:if>
  <xsl:apply-templates/>
</xsl:template>
<xsl:template match="c:link[not(node())]">
  <xsl:variable name="name" select="normalize-space(key('named', @target-id)/c:title)"/>
  <xsl:if test="$name">“<xsl:value-of select="$name"/>”</xsl:if>
</xsl:template>
"""
