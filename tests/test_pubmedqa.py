"""PubMedQA in both settings, with its official split and folds."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from exams import DATA, Examined, exam, examined, needs_data

from residency.section import Complaint


def adapter(setting: str = "reasoning-required", fold: int | None = None) -> dict[str, Any]:
    return {"kind": "pubmedqa", "setting": setting, "fold": fold}


@needs_data
def test_the_official_test_is_the_published_one(tmp_path: Path) -> None:
    found = examined(tmp_path / "out", exam(DATA / "pubmedqa", adapter(), {"official": True}))
    assert found.counts["kept"] == {"train": 500, "dev": 0, "test": 500}
    published = json.loads((DATA / "pubmedqa/test_ground_truth.json").read_text())
    labels = {each.id: each.options[each.answers[0]] for each in found.splits["test"]}
    assert labels == published
    assert Counter(labels.values()) == {"yes": 276, "no": 169, "maybe": 55}
    assert found.kinds == {"judgement": 1000}


@needs_data
def test_ten_folds_part_the_other_five_hundred(tmp_path: Path) -> None:
    seen: Counter[str] = Counter()
    for fold in range(10):
        section = exam(DATA / "pubmedqa/ori_pqal.json", adapter(fold=fold), {"official": True})
        found = examined(tmp_path / str(fold), section)
        assert found.counts["kept"] == {"train": 450, "dev": 50, "test": 500}
        seen.update(each.id for each in found.splits["dev"])
        shares = Counter(each.answers[0] for each in found.splits["dev"])
        assert 23 <= shares[0] <= 29  # 276 of 500 are yes
    assert len(seen) == 500
    assert set(seen.values()) == {1}


@needs_data
def test_of_the_official_test_a_part_can_be_sat_the_same_one_in_both_settings(
    tmp_path: Path,
) -> None:
    def sat(setting: str, share: float) -> Examined:
        section = exam(DATA / "pubmedqa", adapter(setting, 0), {"official_test": share, "seed": 0})
        return examined(tmp_path / f"{setting} {share}", section)

    required = sat("reasoning-required", 0.2)
    kept = len(required.splits["test"])
    assert 70 < kept < 130
    assert required.counts["kept"] == {"train": 450, "dev": 50, "test": kept}
    assert required.counts["rejected"] == {"not drawn": 500 - kept}
    ids = {each.id for each in required.splits["test"]}
    assert ids == {each.id for each in sat("reasoning-free", 0.2).splits["test"]}
    assert ids > {each.id for each in sat("reasoning-required", 0.04).splits["test"]}


@needs_data
def test_the_settings_differ_in_the_context(tmp_path: Path) -> None:
    path = DATA / "pubmedqa/ori_pqal.json"
    raw = json.loads(path.read_text())
    key = next(iter(raw))
    required = examined(tmp_path / "required", exam(path, adapter())).by_id(key)
    free = examined(tmp_path / "free", exam(path, adapter("reasoning-free"))).by_id(key)
    assert required.context.split("\n\n") == [each.strip() for each in raw[key]["CONTEXTS"]]
    assert required.explanation == free.context == raw[key]["LONG_ANSWER"]
    assert free.explanation == ""
    assert required.stem == free.stem == raw[key]["QUESTION"]
    assert required.options == ("yes", "no", "maybe")


def test_other_records_have_no_official_split(tmp_path: Path) -> None:
    record = {"QUESTION": "Is it?", "CONTEXTS": ["a"], "LONG_ANSWER": "b", "final_decision": "yes"}
    records = {"1": record, "2": {**record, "final_decision": "perhaps"}}
    (tmp_path / "ori_pqaa.json").write_text(json.dumps(records))
    path = tmp_path / "ori_pqaa.json"
    found = examined(tmp_path / "out", exam(path, adapter(), {"whole": "train"}))
    assert found.counts["rejected"] == {"unknown answer": 1}
    with pytest.raises(Complaint, match=r"ori_pqaa\.json tells no official split"):
        examined(tmp_path / "out", exam(path, adapter(), {"official": True}))


@needs_data
def test_test_ids_that_are_not_the_published_ones_are_refused(tmp_path: Path) -> None:
    (tmp_path / "ori_pqal.json").write_bytes((DATA / "pubmedqa/ori_pqal.json").read_bytes())
    (tmp_path / "test_ground_truth.json").write_text('{"1": "yes"}')
    with pytest.raises(Complaint, match="not the test ids dealt from"):
        examined(tmp_path / "out", exam(tmp_path, adapter(), {"official": True}))
