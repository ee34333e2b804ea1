"""PDF files become paragraphs in reading order, without what belongs to the paper alone."""

from __future__ import annotations

import random
import re
import shutil
import stat
from collections import Counter
from pathlib import Path

import pytest

from residency.reading import layout, pdf, scan
from residency.reading.blocks import PARAGRAPH, Block, Lost, Unreadable

REAL = Path(__file__).parents[1].parent / "shared/data/formats/pdf"
real = pytest.mark.skipif(not REAL.is_dir(), reason="the real files are not at hand")

Text = tuple[float, float, str] | tuple[float, float, str, float]  # left, baseline, text[, size]


def made(*pages: list[Text], outline: list[tuple[str, int, float]] | None = None) -> bytes:
    """A PDF of Helvetica texts on pages of 600 × 800 points; outline: title, page from 1, top."""
    font = b"<</Type/Font/Subtype/Type1/BaseFont/Helvetica/Encoding/WinAnsiEncoding>>"
    objects = [b"", b"", font]
    kids = []
    for page in pages:
        drawn = b""
        for left, baseline, text, *size in page:
            told = text.encode("cp1252").replace(b"\\", b"\\\\")
            told = told.replace(b"(", b"\\(").replace(b")", b"\\)")
            drawn += b"BT /F %d Tf %f %f Td (%s) Tj ET\n" % (*(size or [10]), left, baseline, told)
        objects.append(b"<</Length %d>>stream\n%s\nendstream" % (len(drawn), drawn))
        kids.append(len(objects) + 1)
        objects.append(
            b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 600 800]/Contents %d 0 R"
            b"/Resources<</Font<</F 3 0 R>>>>>>" % len(objects)
        )
    marks = b""
    if outline:
        root = len(objects) + 1
        marks = b"/Outlines %d 0 R" % root
        last = root + len(outline)
        objects.append(b"<</First %d 0 R/Last %d 0 R/Count %d>>" % (root + 1, last, len(outline)))
        for place, (title, page_number, top) in enumerate(outline, root + 1):
            around = b"/Prev %d 0 R" % (place - 1) if place > root + 1 else b""
            around += b"/Next %d 0 R" % (place + 1) if place < last else b""
            objects.append(
                b"<</Title(%s)/Parent %d 0 R%s/Dest[%d 0 R/XYZ 50 %f 0]>>"
                % (title.encode(), root, around, kids[page_number - 1], top)
            )
    objects[0] = b"<</Type/Catalog/Pages 2 0 R%s>>" % marks
    refs = b" ".join(b"%d 0 R" % kid for kid in kids)
    objects[1] = b"<</Type/Pages/Count %d/Kids[%s]>>" % (len(kids), refs)
    return built(*objects)


def built(*objects: bytes) -> bytes:
    """A PDF of these objects, numbered from 1, the first its catalogue, without an index."""
    whole = b"%PDF-1.4\n"
    for number, each in enumerate(objects, 1):
        whole += b"%d 0 obj\n%s\nendobj\n" % (number, each)
    return whole + b"trailer<</Root 1 0 R/Size %d>>\n%%%%EOF" % (len(objects) + 1)


def column(left: float, top: float, *lines: str) -> list[Text]:
    """Lines 12 points apart."""
    return [(left, top - 12 * place, line) for place, line in enumerate(lines)]


def texts(content: bytes, language: str = "en") -> list[str]:
    return [each.text for each in pdf.read(content, language) if isinstance(each, Block)]


def lost(content: bytes) -> list[Lost]:
    return [each for each in pdf.read(content) if isinstance(each, Lost)]


PROSE = (
    "The thyroid gland lies in front of the windpipe and makes hormones that set the",
    "pace of metabolism in almost every tissue of the body, from heart to skin, and in",
    "doing so it consumes most of the iodine that is eaten. A lack of it makes it swell.",
)


def test_lines_become_paragraphs_at_gaps_indents_and_short_last_lines() -> None:
    page = [
        *column(50, 700, *PROSE[:2], "doing so."),
        *column(62, 664, "Indented, the second paragraph goes on and on until it gets to the end"),
        *column(
            50, 652, "of its line and a little more. And then it stops before the column's", "end."
        ),
        *column(50, 610, "After a gap there is a third one."),
    ]
    assert [each.split()[0] for each in texts(made(page))] == ["The", "Indented,", "After"]
    assert texts(made(page))[0].endswith("from heart to skin, and in doing so.")


def test_words_broken_at_line_ends_are_joined_and_compounds_keep_their_hyphen() -> None:
    page = column(
        50, 700,
        "The anterior pituitary gland secretes several hormones, among them the thyro-",
        "tropin that drives the thyroid gland, and is itself under a hypothalamic-pituitary",
        "feedback: it is this long-known loop of the hypothalamic-",
        "pituitary axis that textbooks draw. Among those of the US-",
        "American kind, COVID-",
        "19 is named too, and soft\xad",
        "ware.",
    )  # fmt: skip
    (text,) = texts(made(page))
    assert "thyrotropin that" in text
    assert "the hypothalamic-pituitary axis" in text
    assert "US-American kind, COVID-19 is" in text
    assert "software." in text
    assert "long-known" in text


def test_a_suspended_german_hyphen_keeps_its_space() -> None:
    page = column(50, 700, "Man wäge sorgsam die Vor-", "und Nachteile der Behand-", "lung ab.")
    assert texts(made(page), "de") == ["Man wäge sorgsam die Vor- und Nachteile der Behandlung ab."]


def test_a_paragraph_goes_on_over_a_page_break_and_is_told_at_its_first_page() -> None:
    first = [*column(50, 700, *PROSE), *column(50, 650, PROSE[0], "pace of the meta-")]
    second = [*column(50, 700, "bolism, and so on.", *PROSE[:1]), *column(50, 500, "New one.")]
    blocks = list(pdf.read(made(first, second)))
    assert [each.page for each in blocks if isinstance(each, Block)][:2] == [1, 1]
    assert "pace of the metabolism, and so on." in texts(made(first, second))[1]
    assert blocks[-1] == Block("New one.", page=2)


def pages_with_heads(count: int) -> list[list[Text]]:
    roman = ["i", "ii", "iii", "iv", "v", "vi", "vii", "viii"]
    return [
        [
            (50.0, 770.0, f"{number} Physiology of the endocrine glands"),
            (300.0, 30.0, roman[number - 1] if number < 5 else str(number)),
            *column(50, 700, f"Page {number} tells of something quite its own."),
            (50.0, 400.0, "Exercises"),
            *column(50, 300, f"Solve number {number}."),
        ]
        for number in range(1, count + 1)
    ]


def test_running_heads_and_page_numbers_go_and_are_counted_once() -> None:
    content = made(*pages_with_heads(8))
    assert lost(content) == [
        Lost("running head", "page number on 8 pages"),
        Lost("running head", "1 Physiology of the endocrine glands on 8 pages"),
    ]
    assert not any("endocrine" in text or text.isdigit() for text in texts(content))


def test_what_is_repeated_in_mid_page_or_on_distant_pages_stays() -> None:
    pages = pages_with_heads(8)
    for number in (1, 5):
        pages[number][1:1] = [(50.0, 740.0, "Summary")]
    found = Counter(texts(made(*pages)))
    assert found["Exercises"] == 8
    assert found["Summary"] == 2


def test_a_number_that_does_not_count_the_pages_stays() -> None:
    pages: list[list[Text]] = [
        [*column(50, 700, "The answer is"), (50.0, 40.0, "42")] for _ in range(3)
    ]
    assert texts(made(*pages)).count("42") == 3


def test_letters_that_look_like_numerals_are_no_page_number() -> None:
    pages = [[*column(50, 700, *PROSE), (300.0, 40.0, letters)] for letters in ("ii", "l", "c")]
    assert lost(made(*pages)) == []
    assert not layout._BARE.fullmatch("ı")  # folds to i in some languages


def test_a_single_page_loses_its_number_at_the_foot_and_no_other() -> None:
    page = [*column(50, 760, "1", *PROSE), (300.0, 40.0, "1")]
    assert lost(made(page)) == [Lost("running head", "page number on 1 page")]
    assert texts(made(page))[0] == "1"


def test_questions_and_their_options_stay_apart() -> None:
    page: list[Text] = [(50.0, 700.0, "1."), (70.0, 700.0, "Which gland makes TSH?")]
    for row, (letter, option) in enumerate([("A", "thyroid"), ("B", "pituitary")], 1):
        page += [(70.0, 700.0 - 12 * row, f"{letter})"), (90.0, 700.0 - 12 * row, option)]
    assert texts(made(page)) == ["1. Which gland makes TSH?", "A) thyroid", "B) pituitary"]


def test_columns_are_read_one_after_the_other_between_what_spans_them() -> None:
    lines = [[f"{name}{row} runs on to fill its column" for row in range(9)] for name in "abc"]
    page: list[Text] = [
        (50.0, 740.0, "A title that spans all three of the columns below " + "it " * 20)
    ]
    for row in range(9):  # drawn row by row, as some programs do
        page += [(50.0 + 175 * at, 700.0 - 12 * row, lines[at][row]) for at in range(3)]
    page += [(50.0, 560.0, "A closing note that spans all three of the columns " + "too " * 20)]
    told = " ".join(texts(made(page)))
    order = re.findall(r"A title|[abc]\d|A closing", told)
    expected = [f"{name}{row}" for name in "abc" for row in range(9)]
    assert order == ["A title", *expected, "A closing"]


def test_rows_of_a_table_stay_together() -> None:
    cells = [
        ("Hormone", "Gland", "Effect"),
        ("TSH", "pituitary", "growth"),
        ("T4", "thyroid", "heat"),
    ]
    page = [
        (50.0 + 150 * at, 700.0 - 14 * row, text)
        for row, line in enumerate(cells)
        for at, text in enumerate(line)
    ]
    assert texts(made(page)) == [
        "Hormone | Gland | Effect\nTSH | pituitary | growth\nT4 | thyroid | heat"
    ]


def test_the_outline_gives_headings_once_and_at_their_lines() -> None:
    page = [
        (50.0, 700.0, "2.1 The thyroid"),
        *column(50, 660, *PROSE),
        *column(50, 560, "More about", "the adrenals"),
        *column(50, 500, *PROSE),
    ]
    marks = [("The thyroid", 1, 712.0), ("More about the adrenals", 1, 572.0), ("Unseen", 1, 470.0)]
    blocks = [each for each in pdf.read(made(page, outline=marks)) if isinstance(each, Block)]
    headings = [each for each in blocks if each.level < PARAGRAPH]
    assert [each.text for each in headings] == [
        "2.1 The thyroid",
        "More about the adrenals",
        "Unseen",
    ]
    assert {each.level for each in headings} == {1}
    assert blocks[0] == headings[0]
    assert len(blocks) == 5


def test_without_an_outline_larger_type_makes_headings() -> None:
    page = [(50.0, 720.0, "Glands", 20.0), *column(50, 680, *PROSE), (50.0, 620.0, "Iodine", 14.0)]
    page += column(50, 590, *PROSE)
    blocks = [each for each in pdf.read(made(page)) if isinstance(each, Block)]
    assert [(each.text, each.level) for each in blocks if each.level < PARAGRAPH] == [
        ("Glands", 1),
        ("Iodine", 2),
    ]


@pytest.mark.parametrize("rotation", [90, 180, 270])
def test_a_rotated_page_is_read_as_it_is_seen(rotation: int) -> None:
    matrix = {90: "0 1 -1 0 600 0", 180: "-1 0 0 -1 600 800", 270: "0 -1 1 0 0 800"}[rotation]
    content = made(column(50, 500, *PROSE, "End."))
    content = content.replace(b"/MediaBox", b"/Rotate %d/MediaBox" % rotation)
    drawn = re.search(rb"stream\n(.*?)\nendstream", content, re.DOTALL)
    assert drawn
    turned = f"{matrix} cm\n".encode() + drawn[1]
    assert texts(content.replace(drawn[1], turned)) == [" ".join([*PROSE, "End."])]


def test_a_page_without_text_is_lost_by_name_where_tesseract_is_missing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(shutil, "which", lambda _: None)
    content = made([(50, 700, "Some text.")], []).replace(b"<</Length 0>>stream\n", LINE)
    assert lost(content) == [
        Lost("scanned page", "page 2: no text layer, and Tesseract is not installed")
    ]
    assert lost(made([(50, 700, "Some text.")], [])) == [
        Lost("blank page", "page 2: nothing on it")
    ]


LINE = b"<</Length 22>>stream\n9 w 50 50 m 500 700 l S"
HEAD = "level page_num block_num par_num line_num word_num left top width height conf text"
WORDS = [
    ("Iodine", 200, 1000),
    ("defi-", 1100, 1000),
    ("ciency", 200, 1050),
    ("swells.", 1100, 1050),
]
ROWS = [
    HEAD,
    "1 1 0 0 0 0 0 0 2500 3333 -1 ",
    *(f"5 1 1 1 {top} 1 {left} {top} 880 40 96 {text}" for text, left, top in WORDS),
]
TABLE = "\\n".join(row.replace(" ", "\\t") for row in ROWS)


def fake_tesseract(folder: Path, monkeypatch: pytest.MonkeyPatch, body: str) -> None:
    script = folder / "tesseract"
    script.write_text(
        f"#!/bin/sh\nif [ $1 = --list-langs ]; then echo eng; echo deu; exit; fi\n{body}\n"
    )
    script.chmod(script.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")


def scanned() -> bytes:
    return made([]).replace(b"<</Length 0>>stream\n", LINE)


@pytest.mark.parametrize(("language", "model"), [("de-AT", "deu"), ("tlh", "eng"), ("fr", "eng")])
def test_a_scanned_page_is_read_by_tesseract_in_its_language(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, language: str, model: str
) -> None:
    asked = tmp_path / "asked"
    fake_tesseract(
        tmp_path, monkeypatch, f'echo "$@" > {asked}\nhead -c 15 "$1" >> {asked}\nprintf "{TABLE}"'
    )
    assert list(pdf.read(scanned(), language)) == [Block("Iodine deficiency swells.", page=1)]
    assert re.search(rf"page\.pgm stdout -l {model} --dpi 300 tsv\nP5 2500 3333", asked.read_text())


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        ("echo broken >&2; exit 3", "Tesseract failed: status 3 broken"),
        ("echo hello", "Tesseract failed: it printed no table of words"),
        (f'printf "{TABLE}" | head -2', "Tesseract found no words"),
    ],
)
def test_a_scanned_page_that_tesseract_cannot_read_is_lost_with_its_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, body: str, problem: str
) -> None:
    fake_tesseract(tmp_path, monkeypatch, body)
    assert lost(scanned()) == [Lost("scanned page", f"page 1: no text layer, and {problem}")]


def test_a_tesseract_that_hangs_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake_tesseract(tmp_path, monkeypatch, "exec sleep 60")
    monkeypatch.setattr(scan, "_OCR_SECONDS", 0.5)
    (only,) = lost(scanned())
    assert "timed out" in only.detail


CATALOGUE = b"<</Type/Catalog/Pages 2 0 R>>"


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "unparsable"),
        (b"no PDF at all", "unparsable"),
        (b"%PDF-1.7\n" + bytes(range(256)) * 50, "unparsable"),
        (made([(50, 700, "Text.")])[:200], "unparsable"),
        (
            built(
                CATALOGUE,
                b"<</Type/Pages/Count 3/Kids[2 0 R 3 0 R]>>",
                b"<</Type/Pages/Parent 2 0 R/Count 2/Kids[2 0 R 3 0 R]>>",
            ),
            "unparsable",
        ),
        (built(CATALOGUE, b"<</Type/Pages/Count 0/Kids[]>>"), "unparsable"),
    ],
    ids=["nothing", "no PDF", "garbage", "cut off", "a page tree that loops", "no pages"],
)
def test_what_cannot_be_read_says_why(content: bytes, reason: str) -> None:
    with pytest.raises(Unreadable) as caught:
        list(pdf.read(content))
    assert caught.value.args[0] == reason


def test_ten_thousand_pages_of_one_object_end() -> None:
    page = made([(50, 700, "Bomb.")]).replace(
        b"/Count 1/Kids[5 0 R]", b"/Count 10000/Kids[5 0 R %s]"
    )
    content = page.replace(b"%s", b"5 0 R " * 9999)
    assert " ".join(texts(content)).count("Bomb.") in (0, 10_000)


def test_pages_that_are_not_there_are_one_loss() -> None:
    content = made([(50, 700, "Bomb.")]).replace(b"/Count 1/", b"/Count 5000/")
    assert lost(content) == [
        Lost("broken page", "page 2: pdfium cannot load it, nor the 4998 after it")
    ]
    assert texts(content) == ["Bomb."]


def test_damaged_bytes_never_end_in_an_exception_of_the_library() -> None:
    content = made(*pages_with_heads(4))
    outcomes = Counter[bool]()
    for seed in range(60):
        chance = random.Random(seed)
        damaged = bytearray(content)
        for _ in range(30):
            damaged[chance.randrange(len(damaged))] = chance.randrange(256)
        try:
            outcomes[bool(list(pdf.read(bytes(damaged))))] += 1
        except Unreadable:
            outcomes[False] += 1
    assert outcomes[True] > 10


@real
def test_a_password_is_a_reason() -> None:
    with pytest.raises(Unreadable) as caught:
        list(pdf.read((REAL / "libreoffice-writer-password.pdf").read_bytes()))
    assert caught.value.args[0] == "encrypted"


@real
def test_two_columns_are_read_in_the_order_of_their_source() -> None:
    source = (REAL / "multicolumn.tex").read_text()
    told = texts((REAL / "multicolumn.pdf").read_bytes())
    title, author = (re.search(rf"\\{it}{{(.*?)}}", source)[1] for it in ("title", "author"))
    abstract = re.search(r"begin{abstract}\n(.*?)\n", source)[1]
    assert told[:2] == [title, author]
    assert told[4] == abstract
    # the first ten paragraphs that the package lipsum gives: their first and last words
    assert [(each.split()[:3], each.split()[-2:]) for each in told[5:15]] == [
        (start.split(), end.split())
        for start, end in [
            ("Lorem ipsum dolor", "dignissim rutrum."),
            ("Nam dui ligula,", "luctus mauris."),
            ("Nulla malesuada porttitor", "eu massa."),
            ("Quisque ullamcorper placerat", "porta vehicula."),
            ("Fusce mauris. Vestibulum", "Curabitur consectetuer."),
            ("Suspendisse vel felis.", "vel, odio."),
            ("Sed commodo posuere", "eu, lacus."),
            ("Pellentesque habitant morbi", "a, dui."),
            ("Morbi luctus, wisi", "Nulla lacus.".replace("Nulla", "nec")),
            ("Suspendisse vitae elit.", "sed wisi."),
        ]
    ]
    rows = re.search(r"\\midrule\n(.*?)\\bottomrule", source, re.DOTALL)[1]
    expected = [
        " | ".join(cell.strip() for cell in row.split("&"))
        for row in rows.split(r"\\")
        if row.strip()
    ]
    assert told[15] == "Table 1: EU Countries Information"
    assert told[16].splitlines()[1:] == expected
    assert told[16].startswith("Country | Population (millions) | Area (km2) | Capital | Official")
    assert len(told) == 17


@real
def test_arabic_is_in_logical_order() -> None:
    (text,) = texts((REAL / "habibi.pdf").read_bytes())
    assert "habibi" in text.split()
    assert "حَبيبي" in text.split()


@real
def test_a_picture_with_a_stamp_counts_as_scanned(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda _: None)
    assert lost((REAL / "base64image.pdf").read_bytes()) == [
        Lost(
            "scanned page",
            "page 1: 69 characters beside a picture, and Tesseract is not installed",
        )
    ]


@real
def test_headings_of_a_real_outline_stand_before_their_text() -> None:
    blocks = list(pdf.read((REAL / "pdflatex-outline.pdf").read_bytes()))
    headings = [each for each in blocks if isinstance(each, Block) and each.level < PARAGRAPH]
    names = [f"{n} {name}" for n, name in enumerate(["Foo", "Bar", "Baz"] * 3, 1)]
    assert [each.text for each in headings] == names
    assert [each.page for each in headings] == [2, 2, 2, 2, 3, 3, 3, 4, 4]


@real
def test_a_german_textbook_reads_as_paragraphs() -> None:
    blocks = list(pdf.read((REAL / "GeoTopo-komprimiert.pdf").read_bytes(), "de"))
    told = [each for each in blocks if isinstance(each, Block)]
    whole = "\n".join(each.text for each in told)
    heads = [each for each in blocks if isinstance(each, Lost)]
    assert {each.reason for each in heads} == {"running head"}
    assert not re.search(r"^\d+ \d\.\d\. [A-ZÄÖÜ -]+$", whole, re.MULTILINE)
    assert "4.1. AXIOME FÜR DIE EUKLIDISCHE EBENE on 9 pages" in {each.detail for each in heads}
    assert (
        "Die Kugeloberfläche S2 lässt sich durch strecken, stauchen und umformen zur "
        "Würfeloberfläche oder der Oberfläche einer Pyramide verformen, aber nicht zum R2 oder "
        "zu einem Torus T2. Für den R2 müsste man die Oberfläche unendlich ausdehnen und für "
        "einen Torus müsste man ein Loch machen."
    ) in whole
    assert "Widerspruchsbeweisen" in whole  # broken over lines in print
    assert "Schwarz-Weiß" in whole  # a compound broken at its hyphen
    assert not re.search("[ﬀ-ﬆ\ufffe]", whole)
    headings = [each for each in told if each.level < PARAGRAPH]
    assert len(headings) == 35
    assert headings[1] == Block("1.1 Topologische Räume", 2, 6)
    assert [each.page for each in told] == sorted(each.page or 0 for each in told)


@real
@pytest.mark.skipif(not shutil.which("tesseract"), reason="Tesseract is not installed")
def test_tesseract_itself_reads_a_picture() -> None:
    told = " ".join(texts((REAL / "base64image.pdf").read_bytes()))
    assert "assign it to yourself" in told
