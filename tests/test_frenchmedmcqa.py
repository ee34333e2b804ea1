"""FrenchMedMCQA: three files, five propositions, one to five of them right."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from exams import DATA, exam, examined, needs_data


@needs_data
def test_the_three_files_are_the_official_split(tmp_path: Path) -> None:
    path = DATA / "frenchmedmcqa"
    found = examined(tmp_path / "out", exam(path, "frenchmedmcqa", {"official": True}))
    assert found.counts["rows"] == 2171 + 312 + 622
    # A question stands twice in train, with one id.
    assert found.counts["rejected"] == {"duplicate id": 1}
    assert found.counts["kept"] == {"train": 2170, "dev": 312, "test": 622}
    right = Counter(len(each.answers) for each in found.splits["test"])
    assert right == {1: 321, 2: 97, 3: 141, 4: 56, 5: 7}
    assert all((each.kind == "single") == (len(each.answers) == 1) for each in found.questions)
    assert {len(each.options) for each in found.questions} == {5}
    first = found.splits["dev"][0]
    assert first.options == (
        *("Glycolyse", "Lipolyse", "Néoglucogénèse"),
        *("Glycogénolyse", "Cétogénèse"),
    )
    assert first.answers == (4,)
    assert first.labels == {"subject": "pharmacie", "right": "1"}
