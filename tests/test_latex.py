"""LaTeX gives the text that its author wrote, and none of its machinery."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from residency.reading import latex
from residency.reading.blocks import Block, Lost, Unreadable

PAPER = Path(__file__).parents[1].parent / "shared/data/formats/pdf/multicolumn.tex"


def texts(body: str) -> list[str]:
    return [block.text for block in latex.read(body) if isinstance(block, Block)]


def test_preamble_comments_labels_and_citations_give_nothing() -> None:
    paper = r"""\documentclass{article}
    \title{The \textbf{Heart}\thanks{a grant}} % \title{no}
    \author{A. Author}\newcommand{\x}[1]{gone}
    % \begin{document} not here
    \begin{document}\maketitle
    \section{Walls}\label{sec:walls} The \emph{left} wall~\cite[p.~3]{a,b}. % a remark
    \label{here}Caf\'e ``au lait'' --- 5\,\%.

    \subsection*{Doors} Four\footnote{Two on each side.}\def\y#1{never {#1}} of them.
    \iffalse hidden \fi \href{http://x}{Here}.
    \end{document} \section{Behind}"""
    assert list(latex.read(paper)) == [
        Block("The Heart", 0),
        Block("Walls", 1),
        Block("The left wall . Café “au lait” — 5 %."),
        Block("Doors", 2),
        Block("Four (Two on each side.) of them. Here."),
    ]


def test_a_chapter_alone_is_read_from_its_first_line() -> None:
    assert list(latex.read("\\chapter{One}\nText.\n\\section{Two}\nMore.")) == [
        Block("One", 1),
        Block("Text."),
        Block("Two", 2),
        Block("More."),
    ]


def test_formulas_stay_as_they_are_written() -> None:
    body = "Let $a_1^2 < \\alpha$ and\n\\begin{equation}E = mc^2\\label{e}\\end{equation} hold."
    equation = "\\begin{equation}E = mc^2\\end{equation}"
    assert texts(body) == ["Let $a_1^2 < \\alpha$ and", f"{equation} hold."]


def test_lists_read_as_a_line_per_item() -> None:
    body = r"""\begin{itemize}\item one
      \item two \begin{enumerate}\item in\item more\end{enumerate}\end{itemize}
      \begin{description}\item[Aorta] a vessel\end{description}"""
    assert texts(body) == ["- one\n- two\n  1. in\n  2. more", "Aorta: a vessel"]


def test_a_table_reads_as_a_sentence_per_row() -> None:
    body = r"""\begin{table}[h]\centering\caption{Doses}\begin{tabular}{|l|p{2cm}|}\hline
      Drug & Dose \\ \hline aspirin & 5 mg \\ \multicolumn{2}{c}{none} \\ \hline
      \end{tabular}\end{table} \begin{tabular}{ll} a & b \\ c & d \end{tabular} A \& B"""
    rows = "Drug: aspirin; Dose: 5 mg.\nDrug: none; Dose: none."
    assert texts(body) == ["Doses", rows, "a | b\nc | d", "A & B"]


def test_code_keeps_its_lines() -> None:
    assert texts("\\begin{verbatim}\nif x: % y\n\n   z\n\\end{verbatim}") == ["if x: % y\n   z"]


def test_inputs_are_told_as_lost_and_never_opened(tmp_path: Path) -> None:
    (tmp_path / "secret.tex").write_text("secret")
    body = f"One \\input{{{tmp_path}/secret}} two \\include{{chapter2}}."
    assert list(latex.read(body)) == [
        Lost("input not followed", f"{tmp_path}/secret"),
        Lost("input not followed", "chapter2"),
        Block("One two ."),
    ]


@pytest.mark.parametrize(
    "body", ["{" * 9000, "\\textbf{" * 5000 + "}" * 5000, "\\begin{itemize}\\item " * 900]
)
def test_nesting_too_deep_is_told(body: str) -> None:
    with pytest.raises(Unreadable) as caught:
        list(latex.read(body))
    assert caught.value.args[0] == "nested too deep"


def test_recursive_definitions_and_endless_openings_do_not_hang() -> None:
    began = time.monotonic()
    for body in ("\\def\\a{\\a\\a}\\a " * 999, "\\def\\a{" * 99, "$" * 999, "\\iffalse " * 999):
        list(latex.read(f"{body} text"))
    assert time.monotonic() - began < 5


@pytest.mark.parametrize("body", ["\\begin{verbatim} x", "\\begin{tabular}{l} a", "}", ""])
def test_broken_latex_is_read_as_far_as_it_goes(body: str) -> None:
    assert all(block.text for block in latex.read(body) if isinstance(block, Block))


@pytest.mark.skipif(not PAPER.exists(), reason=f"{PAPER} is absent")
def test_a_real_paper_gives_its_title_abstract_and_table() -> None:
    blocks = [block for block in latex.read(PAPER.read_text()) if isinstance(block, Block)]
    assert blocks[0] == Block("Two-Column Document with Lorem Ipsum", 0)
    assert blocks[1] == Block("Abstract", 1)
    assert blocks[3] == Block("EU Countries Information")
    assert blocks[4].text.split("\n")[0] == (
        "Country: Austria; Population (millions): 8.9; Area (km2): 83,879; Capital: Vienna; "
        "Official Language: German."
    )
    assert len(blocks[4].text.split("\n")) == 5


def test_a_reader_short_of_memory_is_not_called_unparsable(monkeypatch: pytest.MonkeyPatch) -> None:
    def short(*_: object) -> str:
        raise MemoryError

    monkeypatch.setattr(latex, "_marked", short)
    with pytest.raises(MemoryError):
        list(latex.read("\\begin{document}text\\end{document}"))
