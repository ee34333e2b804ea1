"""A new dump needs a mapping and no code: formats, nested keys, options and answers told anyhow."""

from __future__ import annotations

import json
import zipfile
from dataclasses import replace
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from exams import CSV, DATA, Examined, exam, examined, needs_data, tabular, write_jsonl

from residency.section import Complaint

ROW: dict[str, Any] = {"stem": "Which?", "options": ["x", "y", "z"], "answer": "B"}


def sat(tmp_path: Path, rows: list[Any], fields: dict[str, Any], **more: Any) -> Examined:
    path = write_jsonl(tmp_path / "exam.jsonl", rows)
    return examined(tmp_path / "out", exam(path, tabular("jsonl", fields, **more)))


@pytest.mark.parametrize(
    ("numbering", "written", "answers"),
    [
        ("letters", "B", (1,)),
        ("letters", "ac", (0, 2)),
        ("letters", "C; A", (0, 2)),
        ("letters", "A and C", (0, 2)),
        ("letters", "Ａ，Ｂ", (0, 1)),
        ("letters", ["A", "C"], (0, 2)),
        ("zero", "0,2", (0, 2)),
        ("zero", [1], (1,)),
        ("one", 3, (2,)),
        ("one", "2.0", (1,)),
        ("text", " Y", (1,)),
        ("text", ["x", "z"], (0, 2)),
        ("flags", [False, True, True], (1, 2)),
        ("flags", ["0", 1, "false"], (1,)),
    ],
)
def test_answers_are_read_as_they_are_numbered(
    tmp_path: Path, numbering: str, written: Any, answers: tuple[int, ...]
) -> None:
    (question,) = sat(tmp_path, [{**ROW, "answer": written}], {}, numbering=numbering).questions
    assert question.answers == answers
    assert question.kind == ("single" if len(answers) == 1 else "multiple")


@pytest.mark.parametrize(
    ("numbering", "written"),
    [("letters", "bad"), ("letters", "D"), ("zero", 3), ("one", 0), ("text", "w"), ("flags", [1])],
)
def test_answers_that_name_no_option_are_refused(
    tmp_path: Path, numbering: str, written: Any
) -> None:
    with pytest.raises(Complaint, match="most often: unknown answer"):
        sat(tmp_path, [{**ROW, "answer": written}], {}, numbering=numbering)


NESTED = {
    "q": {"text": "Which?", "case.no": 7},
    "choices": [{"t": "x", "ok": False}, {"t": "y", "ok": True}],
    "passages": ["One.", "Two."],
    "tags": ["a", "b"],
    "checked": True,
}


def test_keys_may_lie_in_one_another(tmp_path: Path) -> None:
    fields = {
        "stem": "q.text",
        "group": "q.case.no",
        "options": "choices.*.t",
        "answers": "choices.*.ok",
        "context": ["passages", "q.text"],
        "explanation": "choices.1.t",
        "labels": {"tags": "tags", "checked": "checked", "exam": {"value": "boards"}},
    }
    (question,) = sat(tmp_path, [NESTED], fields, numbering="flags").questions
    assert question.options == ("x", "y")
    assert question.answers == (1,)
    assert question.group == "7"
    assert question.context == "One.\n\nTwo.\n\nWhich?"
    assert question.explanation == "y"
    assert question.labels == {"tags": "a; b", "checked": "true", "exam": "boards"}


@pytest.mark.parametrize(
    ("options", "row", "found", "answer"),
    [
        ({"column": "o", "separator": "|"}, {"o": "x|y| z |"}, ("x", "y", "z"), "y"),
        ({"column": "o", "separator": "\n"}, {"o": "A. x\nB. y\nD) z"}, ("x", "y", "z"), "y"),
        (
            {"column": "o", "separator": ";"},
            {"o": "A cat; a dog; B"},
            ("A cat", "a dog", "B"),
            "a dog",
        ),
        ({"column": "o", "separator": "|"}, {"o": "B cell|T cell"}, ("B cell", "T cell"), "T cell"),
        ("o", {"o": ["(A) x", "(B) y", ""]}, ("x", "y"), "y"),
        ("o", {"o": ["B) x", "C) y", "E) z"]}, ("x", "y", "z"), "x"),
        (["o", "p"], {"o": "A、x", "p": "B、y"}, ("x", "y"), "y"),
        ("o", {"o": ["A w", "B x", "C y", "D z"]}, ("w", "x", "y", "z"), "x"),
        ("o", {"o": {"a": "x", "b": "y"}}, ("x", "y"), "y"),
        ("o", {"o": {"B": "x", "C": "y"}}, ("x", "y"), "x"),
        (["o", "p"], {"o": "x", "p": "y"}, ("x", "y"), "y"),
        ({"given": ["yes", "no"]}, {}, ("yes", "no"), "no"),
        (
            {"after_stem": True},
            {"stem": "Which is right? A) x one B) y C) z."},
            ("x one", "y", "z."),
            "y",
        ),
    ],
)
def test_options_may_be_told_in_many_ways(
    tmp_path: Path, options: Any, row: dict[str, Any], found: Any, answer: Any
) -> None:
    made = sat(tmp_path, [{**ROW, **row}], {"options": options})
    (question,) = made.questions
    assert question.stem.startswith("Which")
    assert "A)" not in question.stem
    assert question.options == found
    assert question.options[question.answers[0]] == answer


def test_an_empty_option_inside_a_cell_does_not_shift_the_others(tmp_path: Path) -> None:
    rows = [{**ROW, "o": "x|y|z"}, {**ROW, "o": "x||z", "answer": "C"}]
    found = sat(tmp_path, rows, {"options": {"column": "o", "separator": "|"}})
    assert found.counts["rejected"] == {"empty option": 1}


def test_a_stem_without_marked_options_is_in_the_ledger(tmp_path: Path) -> None:
    rows = [{**ROW, "stem": "Which?\n(a) x\n(b) y"}, {**ROW, "stem": "Which? (a) x"}]
    found = sat(tmp_path, rows, {"options": {"after_stem": True}})
    assert found.questions[0].options == ("x", "y")
    assert found.rejected[0]["detail"] == "the stem has no options marked A and B"


@pytest.mark.parametrize(
    ("stem", "found"),
    [
        ("Which?\nA. S. aureus\nB. with E. coli\nC. none", ("S. aureus", "with E. coli", "none")),
        ("Which? A. x B. y\nC. z D. w", ("x", "y", "z", "w")),
        ("Is vitamin A. good? A. yes B. no", None),
        ("Which? A. x B. y C. z D. or E. coli E. w", None),
        ("Which?\nA. x\nB. y\nC. z\nD. or E. coli", None),
    ],
)
def test_a_mark_that_may_be_text_is_in_the_ledger(tmp_path: Path, stem: str, found: Any) -> None:
    rows = [{**ROW, "stem": "Which? A) x B) y"}, {**ROW, "stem": stem}]
    made = sat(tmp_path, rows, {"options": {"after_stem": True}})
    assert made.counts["rejected"] == ({} if found else {"options not clear": 1})
    assert found is None or found in [question.options for question in made.questions]


def test_a_judgement_is_one_of_a_fixed_scale(tmp_path: Path) -> None:
    rows = [{"stem": "Is it?", "answer": "Maybe"}, {"stem": "Is he?", "answer": "perhaps"}]
    fields = {"options": {"given": ["yes", "no", "maybe"]}}
    found = sat(tmp_path, rows, fields, asks="judgement", numbering="text")
    assert [(each.kind, each.answers) for each in found.questions] == [("judgement", (2,))]
    assert found.counts["rejected"] == {"unknown answer": 1}


def test_propositions_may_be_indispensable_unacceptable_or_all_wrong(tmp_path: Path) -> None:
    rows = [{**ROW, "answer": "AB", "must": "A", "never": "C"}, {**ROW, "answer": []}]
    rows.append({**ROW, "answer": ""})
    fields = {"indispensable": "must", "unacceptable": "never"}
    found = sat(tmp_path, rows, fields, asks="propositions")
    first, second = sorted(found.questions, key=lambda question: question.id)
    assert found.counts["rejected"] == {"no answer": 1}  # an empty cell is a missing key
    assert first.kind == "propositions"
    assert (first.answers, first.indispensable, first.unacceptable) == ((0, 1), (0,), (2,))
    assert second.answers == ()


def test_open_questions_have_a_reference(tmp_path: Path) -> None:
    rows = [{"stem": "Why?", "model": "Because."}, {"stem": "How?", "model": ""}]
    fields = {"options": None, "answers": None, "reference": "model"}
    found = sat(tmp_path, rows, fields, asks="open")
    assert [(each.kind, each.reference) for each in found.questions] == [("open", "Because.")]
    assert found.counts["rejected"] == {"no answer": 1}


def test_questions_with_a_place_in_their_case_are_progressive(tmp_path: Path) -> None:
    rows = [{**ROW, "case": "c", "place": place} for place in [2, 1, "last"]]
    found = sat(tmp_path, rows, {"group": "case", "order": "place"})
    assert [(each.kind, each.form, each.order) for each in found.questions] == [
        ("progressive", "single", 2),
        ("progressive", "single", 1),
    ]
    assert found.counts["rejected"] == {"no order": 1}


def test_one_value_of_json_is_read_at_its_place(tmp_path: Path) -> None:
    path = tmp_path / "exam.json"
    path.write_text(json.dumps({"data": {"q7": ROW, "q8": 3}}))
    adapter = tabular({"kind": "json", "records": "data"}, {"id": "@key"})
    found = examined(tmp_path / "out", exam(path, adapter))
    assert [each.id for each in found.questions] == ["q7"]
    assert found.counts["rejected"] == {"bad row": 1}
    wrong = exam(path, tabular({"kind": "json", "records": "dat"}, {}))
    with pytest.raises(Complaint, match=r"records: nothing at 'dat'; did you mean 'data'"):
        examined(tmp_path / "out", wrong)
    path.write_text(f"{json.dumps(ROW)}\n{json.dumps(ROW)}\n")
    with pytest.raises(Complaint, match="where each line is an object, the format is jsonl"):
        examined(tmp_path / "out", exam(path, tabular({"kind": "json", "records": None}, {})))


def test_a_broken_line_of_json_is_in_the_ledger(tmp_path: Path) -> None:
    path = tmp_path / "exam.jsonl"
    path.write_text(json.dumps(ROW) + "\n{\n[1]\n")
    found = examined(tmp_path / "out", exam(path, tabular("jsonl", {})))
    assert found.counts["rejected"] == {"bad row": 2}
    assert [each["id"] for each in found.rejected] == ["exam.jsonl:2", "exam.jsonl:3"]


def test_delimiter_encoding_and_a_missing_header_are_declared(tmp_path: Path) -> None:
    path = tmp_path / "exam.tsv"
    path.write_bytes("哪个？\t甲\t乙\tB\n哪些？\t甲\n".encode("gb18030"))
    format = {**CSV, "delimiter": "\t", "encoding": "gb18030", "header": False}
    fields = {"stem": "1", "options": ["2", "3"], "answers": "4"}
    found = examined(tmp_path / "out", exam(path, tabular(format, fields)))
    (question,) = found.questions
    assert question.options[question.answers[0]] == "乙"
    assert found.rejected[0]["detail"] == "line 2: 2 cells, 4 in the header"
    with pytest.raises(Complaint, match=r"is not utf-8 .*declare its encoding"):
        examined(tmp_path / "out", exam(path, tabular(CSV, fields)))


@pytest.mark.parametrize("encoding", ["hex", "rot13", "base64", "zlib", "utf-9"])
def test_an_encoding_that_is_not_of_text_is_refused(tmp_path: Path, encoding: str) -> None:
    with pytest.raises(ValueError, match="expected a text encoding"):
        exam(tmp_path / "exam.csv", tabular({**CSV, "encoding": encoding}, {}))


def test_an_unclosed_quote_is_refused(tmp_path: Path) -> None:
    (tmp_path / "exam.csv").write_text('stem,options,answer\n"Which?,x,A\n')
    with pytest.raises(Complaint, match=r"exam\.csv:2: a quote is opened here"):
        examined(tmp_path / "out", exam(tmp_path / "exam.csv", tabular(CSV, {})))


def test_parquet_is_read(tmp_path: Path) -> None:
    import pyarrow
    from pyarrow import parquet

    parquet.write_table(pyarrow.Table.from_pylist([NESTED]), tmp_path / "exam.parquet")
    fields = {"stem": "q.text", "options": "choices.*.t", "answers": "choices.*.ok"}
    adapter = tabular("parquet", fields, numbering="flags")
    (question,) = examined(tmp_path / "out", exam(tmp_path / "exam.parquet", adapter)).questions
    assert question.answers == (1,)
    (tmp_path / "exam.parquet").write_text("no")
    with pytest.raises(Complaint, match="cannot be read as Parquet"):
        examined(tmp_path / "out", exam(tmp_path / "exam.parquet", adapter))


def test_odd_values_of_parquet_reach_the_ledger(tmp_path: Path) -> None:
    import pyarrow
    from pyarrow import parquet

    odd = {"fee": Decimal("1.5"), "raw": b"\xff", "day": date(2024, 5, 1), "score": float("nan")}
    rows = [{**ROW, **odd}, {**ROW, **odd, "answer": ""}]
    parquet.write_table(pyarrow.Table.from_pylist(rows), tmp_path / "exam.parquet")
    adapter = tabular("parquet", {"labels": {"score": "score", "day": "day"}})
    found = examined(tmp_path / "out", exam(tmp_path / "exam.parquet", adapter))
    assert found.questions[0].labels == {"score": "", "day": "2024-05-01"}
    assert found.rejected[0]["item"]["fee"] == "1.5"


def test_words_for_missing_cells_are_declared(tmp_path: Path) -> None:
    rows = [{**ROW, "why": "nan"}, {**ROW, "answer": " N/A ", "why": "so"}]
    found = sat(tmp_path, rows, {"explanation": "why"}, missing=["nan", "N/A"])
    assert [each.explanation for each in found.questions] == [""]
    assert found.counts["rejected"] == {"no answer": 1}


def test_a_spreadsheets_number_too_large_to_be_exact_is_text(tmp_path: Path) -> None:
    cells = {"stem": "Which?", "a": "x", "b": "y", "answer": 1e20}
    path = spreadsheet(tmp_path / "exam.xlsx", [list(cells), [*cells.values()], ["?", 3, 4, "A"]])
    adapter = tabular({"kind": "xlsx", "sheet": None, "header": True}, {"options": ["a", "b"]})
    found = examined(tmp_path / "out", exam(path, adapter))
    assert [each.options for each in found.questions] == [("3", "4")]
    assert found.rejected[0]["item"]["answer"] == "100000000000000000000"


def spreadsheet(path: Path, rows: list[list[str | float]]) -> Path:
    office = "http://schemas.openxmlformats.org"
    main = f'xmlns="{office}/spreadsheetml/2006/main"'
    links = f"{office}/officeDocument/2006/relationships"
    cells = "".join(
        "<row>"
        + "".join(
            f'<c t="inlineStr"><is><t>{each}</t></is></c>'
            if isinstance(each, str)
            else f"<c><v>{each}</v></c>"
            for each in row
        )
        + "</row>"
        for row in rows
    )
    pointing = f'<Relationships xmlns="{office}/package/2006/relationships"><Relationship Id="r1"'
    parts = {
        "_rels/.rels": f'{pointing} Type="{links}/officeDocument" Target="xl/workbook.xml"/>'
        "</Relationships>",
        "xl/workbook.xml": f'<workbook {main} xmlns:r="{links}"><sheets>'
        '<sheet name="one" sheetId="1" r:id="r1"/></sheets></workbook>',
        "xl/_rels/workbook.xml.rels": f'{pointing} Type="{links}/worksheet" '
        'Target="worksheets/one.xml"/>'
        "</Relationships>",
        "xl/worksheets/one.xml": f"<worksheet {main}><sheetData>{cells}</sheetData></worksheet>",
    }
    with zipfile.ZipFile(path, "w") as book:
        for name, text in parts.items():
            book.writestr(name, text)
    return path


def test_what_is_no_spreadsheet_is_refused(tmp_path: Path) -> None:
    (tmp_path / "exam.xlsx").write_text("no")
    adapter = tabular({"kind": "xlsx", "sheet": None, "header": True}, {})
    with pytest.raises(Complaint, match="cannot be read as a spreadsheet"):
        examined(tmp_path / "out", exam(tmp_path / "exam.xlsx", adapter))


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"stem": "stme"}, r"adapter.fields.stem: no column 'stme'; did you mean 'stem'\?"),
        ({"options": ["options", "b"]}, r"adapter.fields.options\[1\]: no column 'b'"),
        ({"options": {"column": "opts", "separator": "|"}}, r"fields.options.column: no column"),
        ({"labels": {"topic": "tpic"}}, r"adapter.fields.labels.topic: no column 'tpic'"),
        ({"context": ["stem", "case"]}, r"adapter.fields.context\[1\]: no column 'case'"),
    ],
)
def test_a_missing_column_is_named_with_the_nearest(
    tmp_path: Path, fields: dict[str, Any], said: str
) -> None:
    with pytest.raises(Complaint, match=said):
        sat(tmp_path, [ROW], fields)


@pytest.mark.parametrize(
    ("content", "format", "more", "said"),
    [
        ("", CSV, {}, "it has no rows; expected csv"),
        ("", "jsonl", {}, "it has no rows; expected jsonl"),
        ("PK\x03", "jsonl", {}, "its first row cannot be read: line 1: not JSON"),
        ("stem;options;answer\n", CSV, {}, "one column in all: is ',' its delimiter"),
        ("[]", {"kind": "json", "records": None}, {}, "it has no rows"),
        ('{"data": []}', {"kind": "json", "records": "dta"}, {}, "did you mean 'data'"),
        (json.dumps({f"k{n}": 0 for n in range(99)}), "jsonl", {}, r"\.\.\. \(99 in all\)$"),
        (f"{'long ' * 50},x\n", CSV, {}, r"known: (long ){16}\.\.\., x$"),
        ("stem\n", CSV, {"files": "*.csv"}, r"is a file; expected null, found '\*.csv'"),
    ],
)
def test_a_file_that_is_not_what_was_declared_is_told_apart(
    tmp_path: Path, content: str, format: Any, more: dict[str, Any], said: str
) -> None:
    (tmp_path / "exam").write_text(content)
    section = exam(tmp_path / "exam", tabular(format, {}, **more))
    with pytest.raises(Complaint, match=said):
        examined(tmp_path / "out", section)


@pytest.mark.parametrize("encoding", ["utf-8", "utf8", "UTF-8"])
def test_a_byte_order_mark_is_no_part_of_a_column(tmp_path: Path, encoding: str) -> None:
    path = tmp_path / "exam.csv"
    path.write_text("stem,a,b,answer\nWhich?,x,y,A\n", encoding="utf-8-sig")
    format = {**CSV, "encoding": encoding}
    section = exam(path, tabular(format, {"options": ["a", "b"]}))
    assert len(examined(tmp_path / "out", section).questions) == 1


def test_a_folder_needs_a_pattern_that_matches(tmp_path: Path) -> None:
    write_jsonl(tmp_path / "raw/a.jsonl", [ROW])
    for files, said in {None: "is a folder; expected a pattern", "*.csv": "no file"}.items():
        section = exam(tmp_path / "raw", tabular("jsonl", {}, files=files))
        with pytest.raises(Complaint, match=said):
            examined(tmp_path / "out", section)


@needs_data
@pytest.mark.parametrize(
    ("path", "kind", "format", "fields", "more"),
    [
        (
            "cmexam/val.xlsx",
            "cmexam",
            {"kind": "xlsx", "sheet": "Sheet1", "header": True},
            {
                "stem": "Question",
                "options": {"column": "Options", "separator": "\\n"},
                "answers": "Answer",
                "explanation": "Explanation",
            },
            {"missing": ["nan"]},
        ),
        (
            "medqa/en_5opt_first300.jsonl",
            "medqa",
            "jsonl",
            {"stem": "question", "answers": "answer_idx", "labels": {"step": "meta_info"}},
            {},
        ),
        (
            "frenchmedmcqa",
            "frenchmedmcqa",
            {"kind": "json", "records": None},
            {"id": "id", "stem": "question", "options": "answers", "answers": "correct_answers"},
            {"files": "*.json"},
        ),
        (
            "pubmedqa/ori_pqal.json",
            {"kind": "pubmedqa", "setting": "reasoning-required", "fold": None},
            {"kind": "json", "records": None},
            {
                "id": "@key",
                "context": "CONTEXTS",
                "stem": "QUESTION",
                "options": {"given": ["yes", "no", "maybe"]},
                "answers": "final_decision",
                "explanation": "LONG_ANSWER",
            },
            {"asks": "judgement", "numbering": "text"},
        ),
    ],
    ids=["cmexam", "medqa", "frenchmedmcqa", "pubmedqa"],
)
def test_a_mapping_reads_a_known_exam_as_its_adapter_does(
    tmp_path: Path,
    path: str,
    kind: str | dict[str, Any],
    format: str | dict[str, Any],
    fields: dict[str, Any],
    more: dict[str, Any],
) -> None:
    known = examined(tmp_path / "known", exam(DATA / path, kind, {"whole": "test"}))
    adapter = tabular(format, fields, **more)
    mapped = examined(tmp_path / "mapped", exam(DATA / path, adapter, {"whole": "test"}))
    assert mapped.counts == known.counts
    for ours, theirs in zip(mapped.questions, known.questions, strict=True):
        labels = theirs.labels if fields.get("labels") else {}
        assert ours == replace(theirs, labels=labels, origin=ours.origin)
