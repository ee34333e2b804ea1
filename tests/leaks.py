"""A labelled set of leaks planted in real text, and of look-alikes that are none.

    cases = planted(material, seed=1)   # of one language: exam, hosts, look-alikes
    for case in cases: case.leak, case.kind, case.paragraphs or case.question

What is planted is drawn by the seed: no label is taken from what a detector says.
"""

from __future__ import annotations

import contextlib
import csv
import json
import random
import re
import tempfile
import xml.etree.ElementTree as ET
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from residency import declaration
from residency.decontaminate import Decontaminate, copied, index, leaks
from residency.records import Question
from residency.words import words

REPOSITORY = Path(__file__).parents[1]
SHARED = REPOSITORY.parent / "shared/data"


@dataclass(frozen=True)
class Case:
    """A passage (paragraphs of one document) or a question, and whether it leaks the exam."""

    kind: str
    language: str
    leak: bool
    source: str  # id of the exam's question that it is made of
    paragraphs: tuple[str, ...] = ()
    guilty: tuple[int, ...] = ()  # the paragraphs that hold it
    question: Question | None = None


@dataclass(frozen=True)
class Material:
    """An exam, text of books in its language, and other questions of its kind."""

    name: str
    language: str
    exam: list[Question]
    hosts: list[str]
    others: list[Question]
    statements: list[tuple[str, str]]  # real passages on what a question asks, and its id


def question(
    id: str, language: str, stem: str, options: Sequence[str], answers: Sequence[int], **rest: str
) -> Question:
    return Question(
        id=id,
        kind="multiple" if len(answers) > 1 else "single",
        context=rest.get("context", ""),
        stem=stem,
        options=tuple(options),
        answers=tuple(answers),
        explanation=rest.get("explanation", ""),
        group=rest.get("group", id),
        labels={},
        language=language,
        origin={},
    )


def medqa() -> list[Question]:
    found = []
    with (SHARED / "medqa/en_5opt_first300.jsonl").open() as file:
        for number, line in enumerate(file):
            row = json.loads(line)
            keys = sorted(row["options"])
            options = [row["options"][key] for key in keys]
            answer = keys.index(row["answer_idx"])
            found.append(question(f"medqa{number}", "en", row["question"], options, [answer]))
    return found


def pubmedqa() -> list[Question]:
    rows = json.loads((SHARED / "pubmedqa/ori_pqal.json").read_text())
    labels = ["yes", "no", "maybe"]
    return [
        question(
            f"pubmed{id}",
            "en",
            row["QUESTION"],
            labels,
            [labels.index(row["final_decision"])],
            context=" ".join(row["CONTEXTS"]),
            explanation=row["LONG_ANSWER"],
        )
        for id, row in rows.items()
    ]


def french(split: str) -> list[Question]:
    rows = json.loads((SHARED / f"frenchmedmcqa/{split}.json").read_text())
    return [
        question(
            row["id"][:12],
            "fr",
            row["question"],
            list(row["answers"].values()),
            [list(row["answers"]).index(each) for each in row["correct_answers"]],
        )
        for row in rows
    ]


def cmexam_test() -> list[Question]:
    with (SHARED / "cmexam/test10pct_a.ming.csv").open(newline="", encoding="utf-8-sig") as file:
        return _cmexam("test", csv.DictReader(file), "\n")


def cmexam_validation() -> list[Question]:
    from python_calamine import CalamineWorkbook

    sheet = CalamineWorkbook.from_path(str(SHARED / "cmexam/val.xlsx")).get_sheet_by_index(0)
    header, *rows = sheet.to_python()
    named = (dict(zip(map(str, header), map(str, row), strict=True)) for row in rows)
    return _cmexam("val", named, r"\n")


def _cmexam(name: str, rows: Iterable[dict[str, str]], separator: str) -> list[Question]:
    found = []
    for number, row in enumerate(rows):
        options = [each[1:].strip() for each in row["Options"].split(separator) if each.strip()]
        answers = ["ABCDE".index(each) for each in row["Answer"] if each in "ABCDE"]
        if row["Question"] and len(options) > 1 and answers and max(answers) < len(options):
            stem, said = row["Question"], row["Explanation"] or ""
            found.append(
                question(f"{name}{number}", "zh", stem, options, answers, explanation=said)
            )
    return found


def openstax() -> tuple[list[Question], list[tuple[str, str]], dict[str, list[str]]]:
    """Its keyed exercises, each with the module's own paragraph most like it, and its prose."""
    exam, alike, prose = [], [], {}
    for path in sorted((SHARED / "openstax_anatomy_physiology_2e/modules").glob("*/index.cnxml")):
        root = ET.parse(path).getroot()
        exercises = [each for each in root.iter() if _tag(each) == "exercise"]
        inside = {id(each) for exercise in exercises for each in exercise.iter()}
        own = [
            _line(each)
            for each in root.iter()
            if _tag(each) in ("para", "meaning", "item", "caption") and id(each) not in inside
        ]
        own = [each for each in own if len(each) > 30]
        prose[path.parent.name] = own
        bags = [set(words(each)) for each in own]
        for exercise in exercises:
            parts = {_tag(each): each for each in exercise.iter()}
            if "list" not in parts or "solution" not in parts:
                continue
            problem = next(each for each in exercise if _tag(each) == "problem")
            stem = _line(next(each for each in problem if _tag(each) == "para"))
            options = [_line(each) for each in problem.iter() if _tag(each) == "item"]
            key = _line(parts["solution"])[:1].upper()
            if len(options) < 2 or key not in "ABCDE"[: len(options)] or not key:
                continue
            id_ = f"openstax-{path.parent.name}-{len(exam)}"
            exam.append(question(id_, "en", stem, options, ["ABCDE".index(key)]))
            asked = set(words(f"{stem} {' '.join(options)}"))
            if own:
                best = max(range(len(own)), key=lambda n: len(bags[n] & asked) / (1 + len(asked)))
                alike.append((own[best], id_))
    return exam, alike, prose


def _tag(element: ET.Element) -> str:
    return element.tag.rsplit("}", 1)[-1]


def _line(element: ET.Element) -> str:
    return " ".join("".join(element.itertext()).split())


def gutenberg() -> list[str]:
    text = (SHARED / "gutenberg/24440.txt").read_text(encoding="utf-8", errors="replace")
    return _paragraphs(text)[40:-80]


def classics() -> list[str]:
    found = []
    for path in sorted((SHARED / "tcm").glob("*.txt")):
        text = path.read_bytes().decode("gb18030", errors="replace")
        found += [line.strip() for line in text.splitlines() if 30 <= len(line.strip()) <= 600]
    return found


def _paragraphs(text: str) -> list[str]:
    found = [" ".join(each.split()) for each in re.split(r"\n\s*\n", text)]
    return [each for each in found if 60 <= len(each) <= 2500]


def sentences(text: str) -> list[str]:
    return [each for each in re.split(r"(?<=[.!?;。！？；])\s*", text) if each]


# What is done to a text before it is planted.


def units(text: str, language: str) -> list[str]:
    return list(text) if language == "zh" else text.split(" ")


def joined(parts: Sequence[str], language: str) -> str:
    return ("" if language == "zh" else " ").join(parts)


def edited(text: str, language: str, chance: random.Random, pool: list[str]) -> str:
    """From a tenth to a fifth of the words changed, dropped or followed by a new one."""
    parts = units(text, language)
    if len(parts) < 5:
        return text
    size = 2 if language == "zh" else 1  # a Chinese word has about two characters
    count = max(1, round(len(parts) * chance.uniform(0.1, 0.2) / size))
    for place in sorted(chance.sample(range(len(parts) - size + 1), count), reverse=True):
        new = [chance.choice(pool)] if size == 1 else list(chance.choice(pool)[:size])
        old = parts[place : place + size]
        parts[place : place + size] = chance.choice([new, [], [*old, *new]])
    return joined(parts, language)


def punctuated(text: str, language: str) -> str:
    """Full-width, curly and dashed forms for plain ones, or the other way round."""
    if language == "zh":
        return text.translate(str.maketrans("，。：；？！（）、", ",.:;?!(),")).replace(",", ", ")
    table = str.maketrans(",.:;?()'\"-", "，。：；？（）’”‐")
    return text.translate(table).upper() if len(text) % 2 else text.translate(table)


def wrapped(text: str, language: str, chance: random.Random) -> str:
    """Hard line breaks, words hyphenated at them."""
    if language == "zh":
        width = chance.randint(12, 30)
        return "\n".join(text[at : at + width] for at in range(0, len(text), width))
    lines, line = [], ""
    for word in text.split(" "):
        if len(line) + len(word) > 46 and word.isalpha() and len(word) > 6:
            lines.append(f"{line} {word[:4]}-".strip())
            line = word[4:]
        elif len(line) + len(word) > 50:
            lines.append(line)
            line = word
        else:
            line = f"{line} {word}".strip()
    return "\n".join([*lines, line])


def shown(options: Sequence[str], chance: random.Random) -> str:
    """Options as a list, in one of the ways they are printed."""
    style = chance.choice(["letters", "numbers", "dots", "plain"])
    if style == "plain":
        return "; ".join(options)
    marks = {"letters": "ABCDEFGH", "numbers": "12345678", "dots": "abcdefgh"}[style]
    end = {"letters": ". ", "numbers": ") ", "dots": "、"}[style]
    return " ".join(f"{mark}{end}{option}" for mark, option in zip(marks, options, strict=False))


def size(text: str) -> float:
    """Length in words, where a Chinese character is 0.6 of one."""
    return sum(0.6 if "\u3400" <= word <= "\u9fff" else 1 for word in words(text))


def planted(material: Material, seed: int, count: int) -> list[Case]:
    """`count` leaks of each kind that the exam allows, and as many look-alikes."""
    chance = random.Random(f"{seed} {material.name}")
    language = material.language
    pool = [
        word
        for host in chance.sample(material.hosts, min(80, len(material.hosts)))
        for word in (
            units(host, language)
            if language != "zh"
            else [host[i : i + 2] for i in range(0, len(host) - 2, 2)]
        )
    ]
    asked = [
        each
        for each in material.exam
        if size(f"{each.stem}{' '.join(each.options)}") >= 8 and size(each.stem) >= 3
    ]
    binary = all(len(each.options) == 3 and "maybe" in each.options for each in material.exam)
    long = [each for each in asked if size(each.stem) >= (12 if binary else 24)]
    explained = [each for each in material.exam if size(each.explanation) >= 60]
    cased = [each for each in material.exam if size(each.context) >= 120]

    def host(kind: str, source: str, leak: bool, *plants: str) -> Case:
        """Plants as paragraphs between others, or inside one if there is one plant."""
        around = [chance.choice(material.hosts) for _ in range(4)]
        if len(plants) == 1 and chance.random() < 0.6:
            parts = sentences(around[1]) or [around[1]]
            at = chance.randint(0, len(parts))
            inside = joined([*parts[:at], plants[0], *parts[at:]], language)
            return Case(kind, language, leak, source, (around[0], inside, *around[2:]), (1,))
        guilty = tuple(range(2, 2 + len(plants)))
        return Case(kind, language, leak, source, (*around[:2], *plants, *around[2:]), guilty)

    def whole(each: Question, shuffle: bool = False) -> str:
        options = chance.sample(each.options, len(each.options)) if shuffle else each.options
        return f"{each.stem} {shown(options, chance)}"

    def scattered(each: Question) -> list[str]:
        """The stem in two paragraphs, each option in one."""
        parts = units(each.stem, language)
        half = len(parts) // 2
        options = [
            f"{mark}. {option}" for mark, option in zip("ABCDEFGH", each.options, strict=False)
        ]
        return [joined(parts[:half], language), joined(parts[half:], language), *options]

    def draw(what: list[Question], make: Callable[[Question], Case | None]) -> Iterator[Case]:
        made = 0
        for each in chance.sample(what, len(what)):
            case = make(each)
            if case is not None:
                yield case
                made += 1
            if made == count:
                return

    def partly(of: str) -> str:
        parts = units(of, language)
        length = round(len(parts) * chance.uniform(0.6, 0.9))
        at = chance.randint(0, len(parts) - length)
        return joined(parts[at : at + length], language)

    def asking(kind: str, each: Question, leak: bool, **changes: Any) -> Case:
        new = replace(each, id="new", explanation="", **changes)
        return Case(kind, language, leak, each.id, question=new)

    def altered(text: str) -> str:
        return edited(text, language, chance, pool)

    def own(each: Question) -> Case | None:
        wrong = [each.options[n] for n in range(len(each.options)) if n not in each.answers]
        if not wrong:
            return None
        other = chance.choice(wrong)
        swapped = chance.choice(chance.choice(material.others).options)
        options = [swapped if option == other else option for option in each.options]
        if len(set(options)) < len(options):
            return None
        chance.shuffle(options)
        changes = {
            "stem": altered(each.stem),
            "options": tuple(options),
            "answers": tuple(sorted(options.index(each.options[n]) for n in each.answers)),
        }
        return asking("question edited", each, True, **changes)

    cases: list[Case] = []
    cases += draw(asked, lambda q: host("exact", q.id, True, whole(q)))
    cases += draw(asked, lambda q: host("edited", q.id, True, altered(whole(q))))
    cases += draw(asked, lambda q: host("lines", q.id, True, wrapped(whole(q), language, chance)))
    cases += draw(asked, lambda q: host("paragraphs", q.id, True, q.stem, shown(q.options, chance)))
    cases += draw(asked, lambda q: host("scattered", q.id, True, *scattered(q)))
    cases += draw(asked, lambda q: host("reordered", q.id, True, whole(q, shuffle=True)))
    cases += draw(asked, lambda q: host("punctuation", q.id, True, punctuated(whole(q), language)))
    cases += draw(long, lambda q: host("stem alone", q.id, True, altered(q.stem)))
    cases += draw(explained, lambda q: host("explanation", q.id, True, partly(q.explanation)))
    cases += draw(cased, lambda q: host("case", q.id, True, partly(q.context)))
    if not binary:
        cases += draw(asked, own)

    # Look-alikes.
    shared = Counter(each.stem for each in material.exam)

    def restated(each: Question) -> Case:
        """The fact in a sentence: the answer, and half of the stem in another order."""
        parts = units(each.stem, language)
        step = 4 if language == "zh" else 2
        pieces = [parts[at : at + step] for at in range(0, len(parts), step)]
        kept = chance.sample(pieces, max(1, len(pieces) // 2))
        answer = each.options[each.answers[0]]
        said = [answer, *(word for piece in kept for word in piece)]
        return host("restated fact", each.id, False, joined(said, language))

    def opening(each: Question) -> Case:
        began = units(each.stem, language)[: 14 if language == "zh" else 10]
        said = joined([*began, chance.choice(material.hosts)], language)
        return host("common opening", each.id, False, said)

    def renewed(each: Question) -> Case | None:
        """The stem with another question's options and answer."""
        other = chance.choice(material.others)
        if set(other.options) & set(each.options) or other.stem == each.stem:
            return None
        return asking("other options", each, False, options=other.options, answers=other.answers)

    def reasked(each: Question) -> Case | None:
        """The options under another question's stem."""
        other = chance.choice(material.others)
        if shared[other.stem] or other.stem == each.stem:
            return None
        return asking("other stem", each, False, stem=other.stem)

    cases += draw(asked, restated)
    cases += draw([each for each in material.exam if size(each.stem) >= 24], opening)
    if not binary:
        cases += draw(asked, renewed)
    cases += draw(asked, reasked)
    short = [each for each in asked if all(size(option) <= 3 for option in each.options)]
    cases += draw(short, lambda q: host("options alone", q.id, False, shown(q.options, chance)))
    taken = chance.sample(material.statements, min(3 * count, len(material.statements)))
    cases += [Case("own chapter", language, False, id, (text,)) for text, id in taken]
    for _ in range(2 * count):
        start = chance.randrange(max(1, len(material.hosts) - 5))
        cases.append(Case("book", language, False, "", tuple(material.hosts[start : start + 5])))
    return cases


def to_publish() -> list[Material]:
    """Exams that no threshold was chosen on."""
    exercises, alike, prose = openstax()
    half = len(exercises) // 2
    english = [each for module in prose.values() for each in module if len(each) > 150]
    sat, abstracts = medqa(), pubmedqa()
    chinese, more = cmexam_validation(), cmexam_test()
    return [
        Material("medqa", "en", sat[150:], english + gutenberg(), sat[:150], []),
        Material("openstax", "en", exercises[half:], gutenberg(), exercises[:half], alike[half:]),
        Material("pubmedqa", "en", abstracts[500:], english, abstracts[:500], []),
        Material("cmexam", "zh", chinese, classics(), more, []),
        Material("french", "fr", french("test"), spoken(french("train")), french("train"), []),
    ]


def spoken(asked: list[Question]) -> list[str]:
    """Prose of statements: there is no French book among the real data."""
    return [
        " ".join(f"{option}." for each in asked[at : at + 3] for option in each.options)
        for at in range(0, len(asked) - 3, 3)
    ]


def default() -> list[Material]:
    """The embedded default's own exams and primer, which need no file from elsewhere."""
    from residency.examine import examine
    from residency.ingest import ingest
    from residency.records import documents, questions

    def read(folder: Path) -> list[Material]:
        declared = declaration.load(Path("params.yaml"))
        ingest(declared.sources["primer"], "primer", folder)
        told = [each.text.split("\n\n") for each in documents(folder)]
        hosts = [paragraph for each in told for paragraph in each if len(paragraph) > 60]
        found = []
        for name in ("boards", "rounds"):
            out = folder / name
            out.mkdir()
            examine(declared.exams[name], out)
            known, other = (list(questions(out / f"{each}.jsonl")) for each in ("test", "train"))
            found.append(Material(name, "en", known, hosts, other, []))
        return found

    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(REPOSITORY):
        return read(Path(folder))


@dataclass
class Score:
    """What a detector made of labelled cases."""

    right: Counter[str]
    wrong: Counter[str]
    exact: int = 0  # leaks found in exactly the paragraphs that hold them
    located: int = 0
    missed: int = 0
    false: int = 0
    found: int = 0

    @property
    def precision(self) -> float:
        return self.found / max(1, self.found + self.false)

    @property
    def recall(self) -> float:
        return self.found / max(1, self.found + self.missed)

    def add(self, other: Score) -> None:
        self.right += other.right
        self.wrong += other.wrong
        for name in ("exact", "located", "missed", "false", "found"):
            setattr(self, name, getattr(self, name) + getattr(other, name))


def scored(cases: Iterable[Case], detect: Callable[[Case], tuple[bool, set[int]]]) -> Score:
    """`detect` says whether a case is a leak, and which of its paragraphs are."""
    score = Score(Counter(), Counter())
    for case in cases:
        hit, where = detect(case)
        (score.right if hit == case.leak else score.wrong)[case.kind] += 1
        score.found += hit and case.leak
        score.missed += case.leak and not hit
        score.false += hit and not case.leak
        if hit and case.guilty:
            score.located += 1
            score.exact += where == set(case.guilty)
    return score


def ours(material: Material, section: Decontaminate) -> Callable[[Case], tuple[bool, set[int]]]:
    """The detector under test."""
    known = index(material.exam, section)

    def detect(case: Case) -> tuple[bool, set[int]]:
        if case.question:
            return copied(case.question, known) is not None, set()
        found = leaks(case.paragraphs, known)
        return bool(found), {place for leak in found for place in leak.paragraphs}

    return detect
