"""Real texts grown to any size by seeded perturbation, with near-duplicates and junk planted.

    python benchmarks/grow.py OUT.jsonl MEGABYTES SEED [--chinese]

Sources: OpenStax Anatomy and Physiology 2e, Surgical Anatomy, PubMedQA's abstracts; with --chinese
the two TCM classics. A new document is a real one in which 40 % of the words are exchanged for
others of the same book, so that two of one origin are no near-duplicates. Planted beside them:
copies in which 1 to 3 % of the words are exchanged (`twin_of` names the original), look-alikes in
which 15 % are (`like`: no duplicate), and documents that the quality rules are made for.
"""

from __future__ import annotations

import json
import random
import re
import sys
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from pathlib import Path

DATA = Path(__file__).resolve().parents[1].parent / "shared/data"
TWINS, ALIKE, JUNK = 0.08, 0.04, 0.1
_WORD = re.compile(r"[^\W_]+")
_CHARACTER = re.compile("[\u4e00-\u9fff]")
_CNXML = "{http://cnx.rice.edu/cnxml}"


def english() -> Iterator[list[str]]:
    """Documents as paragraphs."""
    for path in sorted((DATA / "openstax_anatomy_physiology_2e/modules").rglob("*.cnxml")):
        for section in ET.parse(path).getroot().iter(f"{_CNXML}section"):
            found = (" ".join("".join(p.itertext()).split()) for p in section.iter(f"{_CNXML}para"))
            yield [paragraph for paragraph in found if paragraph]
    book = (DATA / "gutenberg/24440.txt").read_text(encoding="latin-1").replace("\r", "")
    book = book[book.index("*** START") : book.index("*** END")].split("\n", 1)[1]
    paragraphs = [" ".join(each.split()) for each in re.split(r"\n\s*\n", book) if each.strip()]
    for start in range(0, len(paragraphs), 12):
        yield paragraphs[start : start + 12]
    abstracts = json.loads((DATA / "pubmedqa/ori_pqal.json").read_text())
    for each in abstracts.values():
        yield [*each["CONTEXTS"], each["LONG_ANSWER"]]


def chinese() -> Iterator[list[str]]:
    """Documents as paragraphs."""
    for path in sorted((DATA / "tcm").glob("*.txt")):
        text = path.read_bytes().decode("gb18030", "replace").replace("\r", "")
        lines = [line.strip() for line in text.split("\n") if line.strip()]
        lines = [line for line in lines if not line.startswith("<")]
        for start in range(0, len(lines), 15):
            yield lines[start : start + 15]


def exchanged(
    paragraphs: list[str],
    share: float,
    pool: list[str],
    units: re.Pattern[str],
    seed: random.Random,
) -> list[str]:
    """Paragraphs in which a share of the words is exchanged."""

    def other(match: re.Match[str]) -> str:
        return pool[int(seed.random() * len(pool))] if seed.random() < share else match[0]

    return [units.sub(other, paragraph) for paragraph in paragraphs]


def junk(paragraphs: list[str], seed: random.Random) -> list[str]:
    """A document that one of the published rules was made for."""
    kind = seed.randrange(8)
    if kind == 0:
        return [paragraphs[0][: seed.randrange(40, 400)]]
    if kind == 1:
        return [paragraphs[0]] * seed.randrange(2, 5) + paragraphs
    if kind == 2:
        return [f"- {line[:60]}" for line in paragraphs for _ in range(3)]
    if kind == 3:
        return [*paragraphs, "Lorem ipsum dolor sit amet, consectetur adipiscing elit sed do."]
    if kind == 4:
        return [*paragraphs, "function f() { return 1 } is what the page says here."]
    if kind == 5:
        return [f"{line[:80]} ..." for line in paragraphs]
    if kind == 6:
        return [re.sub(r"[a-z]+", lambda _: str(seed.randrange(999)), paragraphs[0])] * 2
    return [
        *paragraphs,
        "Home",
        "Please enable Javascript to see this.",
        "By using this site you accept.",
    ]


def grown(megabytes: float, of_chinese: bool, seed: int) -> Iterator[dict[str, str]]:
    """Documents until their texts have that many megabytes of UTF-8."""
    chance = random.Random(seed)
    units = _CHARACTER if of_chinese else _WORD
    real = [each for each in (chinese() if of_chinese else english()) if sum(map(len, each)) > 200]
    pool = [word for each in real for text in each for word in units.findall(text)]
    size, number, recent = 0.0, 0, []
    while size < megabytes * 1e6:
        draw, twin, like = chance.random(), "", ""
        if recent and draw < TWINS + ALIKE:
            original, text = recent[chance.randrange(len(recent))]
            share = chance.uniform(0.01, 0.03) if draw < TWINS else 0.15
            text = exchanged(text, share, pool, units, chance)
            twin, like = (original, "") if draw < TWINS else ("", original)
        else:
            text = exchanged(real[chance.randrange(len(real))], 0.4, pool, units, chance)
            if draw < TWINS + ALIKE + JUNK:
                text = junk(text, chance)
            elif len(recent) < 2000:
                recent.append((f"d{seed}-{number}", text))
            else:
                recent[chance.randrange(2000)] = (f"d{seed}-{number}", text)
        joined = "\n\n".join(text)
        size += len(joined.encode())
        yield {"id": f"d{seed}-{number}", "text": joined, "twin_of": twin, "like": like}
        number += 1


def write(out: Path, megabytes: float, of_chinese: bool, seed: int) -> None:
    """Write documents as clean reads them, and what was planted beside them as .planted.json."""
    planted = {}
    with out.open("w") as file:
        for each in grown(megabytes, of_chinese, seed):
            if each["twin_of"] or each["like"]:
                planted[each["id"]] = [each["twin_of"], each["like"]]
            row = {
                "id": each["id"],
                "source": "grown",
                "file": "grown",
                "sha256": "0",
                "section": [],
                "start": 0,
                "end": len(each["text"]),
                "language": "zh" if of_chinese else "en",
                "licence": "mixed",
                "text": each["text"],
            }
            file.write(json.dumps(row, ensure_ascii=False) + "\n")
    out.with_suffix(".planted.json").write_text(json.dumps(planted))


if __name__ == "__main__":
    write(Path(sys.argv[1]), float(sys.argv[2]), "--chinese" in sys.argv, int(sys.argv[3]))
