"""A journal article gives its title, abstract and body; a set of abstracts a title for each."""

from __future__ import annotations

from pathlib import Path

import pytest

from residency.reading import jats
from residency.reading.blocks import PARAGRAPH, Block, Unreadable

REAL = Path(__file__).parents[1].parent / "shared/data/formats/jats"

ARTICLE = """<article xmlns:m="http://www.w3.org/1998/Math/MathML"><front><journal-meta><journal-id>
J</journal-id></journal-meta><article-meta><title-group><article-title>On <italic>Bones</italic>
</article-title></title-group><contrib-group><contrib>Gray</contrib></contrib-group><aff>London</aff>
<abstract><p>Short.</p></abstract><funding-group>Money</funding-group></article-meta></front>
<body>%s</body><back><ack><p>Thanks</p></ack><ref-list><ref>Old</ref></ref-list>%s</back></article>"""


def texts(body: str, back: str = "") -> list[str]:
    blocks = jats.read((ARTICLE % (body, back)).encode())
    return [block.text for block in blocks if isinstance(block, Block)][3:]


def test_an_article_keeps_its_text_and_drops_what_is_around_it() -> None:
    body = """<p>A<xref ref-type="bibr"><sup>1</sup></xref> bone<sup><xref ref-type="bibr">2</xref>
      </sup> of 10<sup>5</sup> (<xref ref-type="bibr">Gray, 1858</xref>).</p>
      <sec><label>1</label><title>Hand</title><p>Five.</p></sec>"""
    assert list(jats.read((ARTICLE % (body, "")).encode())) == [
        Block("On Bones", 0),
        Block("Abstract", 1),
        Block("Short."),
        Block("A bone of 10^5 (Gray, 1858)."),
        Block("Hand", 1),
        Block("Five."),
    ]


def test_figures_give_their_captions_and_tables_their_rows() -> None:
    body = """<p>See<fig><label>Fig 1</label>
      <caption><title>A hand</title><p>It holds.</p></caption>
      <graphic/></fig> it.</p><table-wrap><caption><title>Doses</title></caption><table><thead><tr>
      <th>Drug</th><th>Dose</th></tr></thead><tbody>
      <tr><td rowspan="2">aspirin</td><td>5 mg</td></tr>
      <tr><td>6 mg</td></tr></tbody></table></table-wrap>"""
    assert texts(body) == [
        "See",
        "A hand. It holds.",
        "it.",
        "Doses.",
        "Drug: aspirin; Dose: 5 mg.\nDrug: aspirin; Dose: 6 mg.",
    ]


def test_lists_formulas_and_glossaries_are_readable() -> None:
    body = """<list list-type="order"><list-item><p>one</p></list-item><list-item><p>two</p>
      <list><list-item><p>in</p></list-item></list></list-item></list>
      <p><m:math><m:msub><m:mi>x</m:mi><m:mn>2</m:mn></m:msub><m:mo>=</m:mo>
      <m:mn>4</m:mn></m:math></p>"""
    back = """<glossary><title>Terms</title><def-list><def-item><term>os</term>
      <def><p>bone</p></def>
      </def-item></def-list></glossary>"""
    assert texts(body, back) == ["1. one\n2. two\n  - in", "x2 = 4", "Terms", "os: bone"]
    assert [
        block.part
        for block in jats.read((ARTICLE % ("", back)).encode())
        if isinstance(block, Block)
    ][-1] == "glossary"


def test_a_set_of_abstracts_gives_a_title_for_each() -> None:
    content = b"""<PubmedArticleSet><PubmedArticle><MedlineCitation><PMID>1</PMID><Article>
      <ArticleTitle>On <i>E. coli</i>.</ArticleTitle><Abstract>
      <AbstractText Label="BACKGROUND">Why.</AbstractText><AbstractText Label="RESULTS">What.
      </AbstractText><CopyrightInformation>(c)</CopyrightInformation></Abstract><AuthorList>
      <Author>Gray</Author></AuthorList></Article></MedlineCitation><PubmedData>x</PubmedData>
      </PubmedArticle><PubmedArticle><MedlineCitation><Article><ArticleTitle>Two</ArticleTitle>
      <Abstract><AbstractText>Plain.</AbstractText></Abstract></Article></MedlineCitation>
      </PubmedArticle></PubmedArticleSet>"""
    assert list(jats.read(content)) == [
        Block("On E. coli.", 0),
        Block("BACKGROUND: Why."),
        Block("RESULTS: What."),
        Block("Two", 0),
        Block("Plain."),
    ]


def test_other_xml_is_no_article() -> None:
    with pytest.raises(Unreadable) as caught:
        list(jats.read(b"<html/>"))
    assert caught.value.args[0] == "unknown format"
    assert caught.value.args[1].startswith("the root element is html, expected article, ")


@pytest.mark.skipif(not REAL.exists(), reason=f"{REAL} is absent")
def test_a_real_article_has_the_headings_that_another_converter_finds() -> None:
    expected = (REAL / "elife-56337.expected.md").read_text().split("\n")
    wanted = [line for line in expected if line.startswith("#")]
    wanted = wanted[: wanted.index("## Funding Information")]
    blocks = list(jats.read((REAL / "elife-56337.nxml").read_bytes()))
    found = [each for each in blocks if isinstance(each, Block) and each.level < PARAGRAPH]
    assert [f"{'#' * (each.level + 1)} {each.text}" for each in found] == wanted
    told = "\n".join(block.text for block in blocks if isinstance(block, Block))
    assert "Cluster: Chr2; Location: Chr2 qH4; Size (Mb): 3.1;" in told
    assert "We thank Alex Grinberg" not in told
    assert "Swiss National Science Foundation" not in told
