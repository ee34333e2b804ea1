r"""LaTeX: the text between \begin{document} and its end, as pylatexenc parses it.

Nothing is expanded: what \newcommand and \def define is passed over, and a macro that nobody knows
gives its arguments. Formulas stay as they are written. References, labels and citations give
nothing; files that \input names are not followed and come out as lost.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from typing import Any

from residency.reading import marks
from residency.reading.blocks import Block, Lost, Unreadable
from residency.reading.marks import BLOCK, BREAK, CELL, DEEPER, HEAD, LINE, ROW, SPAN

HEADINGS = ("part", "chapter", "section", "subsection", "subsubsection")
LISTS = ("itemize", "enumerate", "description", "compactitem", "compactenum")
TABLES = {"tabular": "[{", "tabular*": "{[{", "tabularx": "{[{", "tabulary": "{[{",
          "longtable": "[{", "supertabular": "{"}  # fmt: skip
RULES = ("hline", "midrule")
INPUTS = ("input", "include", "subfile", "import")
SILENT = {
    "*{": "ref pageref autoref cref Cref eqref nameref vref vspace hspace addcontentsline",
    "*[[{": "cite citep citet parencite textcite autocite citeauthor citeyear citealp footcite",
    "*[{": "includegraphics includepdf",
    "[{": "author affil address email thanks institute",
    "{": "label bibliography bibliographystyle pagestyle thispagestyle pagenumbering index nocite "
    "graphicspath cline theoremstyle hypersetup date keywords",
    "{{": "setcounter addtocounter setlength addtolength",
    "*{[{[": "newtheorem",
    "[": "lipsum blindtext Blindtext",
    "": "maketitle tableofcontents listoffigures listoftables toprule bottomrule centering today",
}
"""Macros that give nothing, by their arguments as pylatexenc writes those."""
LEFT_OUT = ("comment", "thebibliography", "tikzpicture", "filecontents", "filecontents*")

_BODY = re.compile(r"^[^%\n]*\\begin\{document\}", re.MULTILINE)
_END = re.compile(r"^[^%\n]*?\\end\{document\}", re.MULTILINE)
_TITLE = re.compile(r"^[^%\n]*?(\\title\b)", re.MULTILINE)
_PASSED_OVER = re.compile(
    r"\\iffalse\b.*?\\fi\b"
    r"|\\[gex]?def\s*\\[A-Za-z@]+[^{}\n]{0,80}\{(?:[^{}]|\{[^{}]*\}){0,2000}\}"
    r"|\\label\s*\{[^{}\n]*\}"
    r"|\\cmidrule\s*(?:\[[^\]\n]*\])?(?:\([^)\n]*\))?\{[^}\n]*\}",
    re.DOTALL,
)
_EMPTY_LINE = re.compile(r"\n\s*\n")


def read(text: str) -> Iterator[Block | Lost]:
    """The blocks of a LaTeX file, of all of it where there is no \\begin{document}.

    Raises Unreadable.
    """
    logging.getLogger("pylatexenc").addHandler(logging.NullHandler())
    begin = _BODY.search(text)
    preamble = text[: begin.start()] if begin else ""
    end = _END.search(text, begin.end() if begin else 0)
    body = text[begin.end() if begin else 0 : end.start() if end else len(text)]
    title = _TITLE.search(preamble)
    found: dict[str, list[str]] = {"title": [], "input": []}
    try:
        marked = _marked(_PASSED_OVER.sub("", body), found)
        if title and not found["title"]:
            _marked(preamble[title.start(1) :], found, nodes=1)
    except RecursionError:
        raise Unreadable("nested too deep", "braces or environments within one another") from None
    except MemoryError:  # the pool of readers has a word for it
        raise
    except Exception as error:  # pylatexenc fails in more ways than it names
        raise Unreadable("unparsable", f"{type(error).__name__}: {error}") from None
    yield from (Lost("input not followed", name) for name in found["input"])
    for name in found["title"][:1]:
        yield from (block._replace(level=0) for block in marks.blocks(name))
    for block in marks.blocks(_EMPTY_LINE.sub(f"\n{BREAK}{BREAK}\n", marked)):
        text = " ".join(block.text.split(CELL)) if CELL in block.text else block.text
        yield from [block._replace(text=text)] if text.strip() else []


def _marked(text: str, found: dict[str, list[str]], nodes: int | None = None) -> str:
    """The marked text of a piece of LaTeX; its titles and inputs are put into `found`."""
    from pylatexenc import latex2text, latexwalker
    from pylatexenc.latex2text import EnvironmentTextSpec, MacroTextSpec, SpecialsTextSpec
    from pylatexenc.macrospec import MacroSpec, std_environment

    used = [name for name in HEADINGS[:3] if f"\\{name}" in text]
    first = HEADINGS.index(used[0]) if used else 2
    levels = {name: level for level, name in enumerate(HEADINGS[first:], 1)}
    depth = 0

    def argument(node: Any, number: int, l2tobj: Any) -> str:
        return str(l2tobj.node_arg_to_text(node, number)) if node.nodeargd else ""

    def heading(node: Any, l2tobj: Any) -> str:
        return f"{BLOCK}{levels.get(node.macroname, 1)}{argument(node, 2, l2tobj)}{BLOCK}."

    def run_in(node: Any, l2tobj: Any) -> str:
        return f"{BREAK}{BREAK}{marks.sentence(argument(node, 2, l2tobj).strip())} "

    def noted(node: Any, l2tobj: Any) -> str:
        kind = "title" if node.macroname == "title" else "input"
        found[kind].append(argument(node, 0, l2tobj).strip())
        return ""

    def caption(node: Any, l2tobj: Any) -> str:
        return f"{BLOCK}7{argument(node, 2, l2tobj)}{BLOCK}."

    def abstract(node: Any, l2tobj: Any) -> str:
        return f"{BLOCK}1Abstract{BLOCK}.{BLOCK}7{l2tobj.nodelist_to_text(node.nodelist)}{BLOCK}."

    def verbatim(node: Any) -> str:
        text = getattr(node.nodeargd, "verbatim_text", "")  # absent where its end is missing
        return f"{BLOCK}8{text}{BLOCK}."

    def listed(node: Any, l2tobj: Any) -> str:
        nonlocal depth
        lines = []
        items: list[tuple[Any, list[Any]]] = []
        for each in node.nodelist:
            if each.isNodeType(latexwalker.LatexMacroNode) and each.macroname == "item":
                items.append((each.nodeoptarg, []))
            elif items:
                items[-1][1].append(each)
        depth += 1
        for number, (term, inner) in enumerate(items, 1):
            marker = f"{number}. " if "enum" in node.environmentname else "- "
            if term is not None:
                marker = f"{l2tobj.nodelist_to_text([term]).strip().strip('[]').rstrip(':')}: "
            told = _EMPTY_LINE.sub(" ", l2tobj.nodelist_to_text(inner))
            lines.append(f"{DEEPER * (depth - 1)}{marker}{told}")
        depth -= 1
        text = LINE + LINE.join(lines) + LINE
        return text if depth else f"{BLOCK}7{text}{BLOCK}."

    def table(node: Any, l2tobj: Any) -> str:
        text = _EMPTY_LINE.sub(" ", l2tobj.nodelist_to_text(node.nodelist))
        rows = [row for row in text.split(BREAK) if row.replace(LINE, "").strip()]
        kinds = [CELL] * len(rows)
        if len(rows) > 1 and LINE in rows[1]:
            kinds[0] = HEAD
        cells = (
            ROW + kind + row.replace(LINE, "").replace(CELL, kind)
            for kind, row in zip(kinds, rows, strict=True)
        )
        return f"{BLOCK}9{''.join(cells)}{BLOCK}."

    def spanned(node: Any, l2tobj: Any) -> str:
        return f"{argument(node, 0, l2tobj)},1{SPAN}{argument(node, 2, l2tobj)}"

    def last(node: Any, l2tobj: Any) -> str:
        return argument(node, len(node.nodeargd.argnlist) - 1, l2tobj) if node.nodeargd else ""

    def aside(node: Any, l2tobj: Any) -> str:
        return f" ({argument(node, 1, l2tobj).strip()})"

    kept = {"href": "{{", "multirow": "{[{[{", "textcolor": "[{{", "texorpdfstring": "{{"}
    silent = {name: arguments for arguments, names in SILENT.items() for name in names.split()}
    arguments = {
        **dict.fromkeys((*HEADINGS, "paragraph", "subparagraph", "caption"), "*[{"),
        **silent,
        **kept,
        **dict.fromkeys(RULES, ""),
        "multicolumn": "{{{",
        "subfile": "{",
        "import": "{{",
    }
    syntax = latexwalker.get_default_latex_context_db()
    syntax.add_context_category(
        "residency",
        prepend=True,
        macros=[MacroSpec(name, each) for name, each in arguments.items()],
        environments=[std_environment(name, each) for name, each in TABLES.items()],
    )
    texts = latex2text.get_default_latex_context_db()
    texts.add_context_category(
        "residency",
        prepend=True,
        macros=[
            *(MacroTextSpec(name, heading) for name in HEADINGS),
            *(MacroTextSpec(name, run_in) for name in ("paragraph", "subparagraph")),
            *(MacroTextSpec(name, noted) for name in ("title", *INPUTS)),
            *(MacroTextSpec(name, discard=True) for name in silent),
            *(MacroTextSpec(name, last) for name in kept),
            *(MacroTextSpec(name, LINE) for name in RULES),
            MacroTextSpec("caption", caption),
            MacroTextSpec("multicolumn", spanned),
            MacroTextSpec("footnote", aside),
            MacroTextSpec("url", last),
            *(MacroTextSpec(name, BREAK) for name in ("\\", "newline", "tabularnewline")),
            *(MacroTextSpec(name, f"{BREAK}{BREAK}") for name in ("par", "newpage", "clearpage")),
        ],
        environments=[
            *(EnvironmentTextSpec(name, listed) for name in LISTS),
            *(EnvironmentTextSpec(name, table) for name in TABLES),
            *(EnvironmentTextSpec(name, verbatim) for name in ("verbatim", "lstlisting")),
            *(EnvironmentTextSpec(name, discard=True) for name in LEFT_OUT),
            EnvironmentTextSpec("abstract", abstract),
        ],
        specials=[SpecialsTextSpec("&", CELL)],
    )
    converter = latex2text.LatexNodes2Text(
        latex_context=texts, math_mode="verbatim", strict_latex_spaces=True
    )
    walker = latexwalker.LatexWalker(text, latex_context=syntax, tolerant_parsing=True)
    return str(converter.nodelist_to_text(walker.get_latex_nodes(read_max_nodes=nodes)[0]))
