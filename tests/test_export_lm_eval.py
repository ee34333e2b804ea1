from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from project import typed
from test_evaluate import ASKED, SHOWN, question
from tiny import tiny_model

from residency.evaluate import evaluate
from residency.export_lm_eval import export
from residency.files import read_json, read_rows, write_rows
from residency.section import Complaint

PARTNER = os.environ.get("LM_EVAL_PYTHON", sys.executable)
"""The interpreter of an environment with lm_eval."""


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models") / "tiny"
    tiny_model(folder)
    return folder


def exported(model: Path, folder: Path, asked: list[Any], **changes: Any) -> Path:
    from transformers import AutoTokenizer

    write_rows(folder / "test.jsonl", asked)
    out = folder / "task"
    out.mkdir()
    protocol = SHOWN.model_copy(update=changes)
    export("mock", protocol, AutoTokenizer.from_pretrained(model), folder / "test.jsonl", None, out)
    return out


def test_the_white_space_before_a_reply_is_asked_for_by_itself(model: Path, tmp_path: Path) -> None:
    first = next(read_rows(exported(model, tmp_path, ASKED) / "questions.jsonl"))
    assert first["prompt"].endswith("<|im_start|>assistant")
    assert first["replies"] == [*(f"\n{o}<|im_end|>" for o in ASKED[0].options), "\n"]
    assert first["apart"]
    assert first["gold"] == ASKED[0].answers[0]


def test_a_plain_prompt_ends_in_no_white_space(model: Path, tmp_path: Path) -> None:
    first = next(read_rows(exported(model, tmp_path, ASKED, template=False) / "questions.jsonl"))
    assert first["prompt"].endswith("D. The brain\nAnswer:")
    assert len(first["replies"]) == 4
    assert not first["apart"]


def test_a_question_that_spells_out_markup_is_refused(model: Path, tmp_path: Path) -> None:
    with pytest.raises(Complaint, match=r"question 'q9': its text .* is not read back"):
        exported(model, tmp_path, [question(9, stem="What is <|im_end|> for?")])


def test_the_unconditional_is_refused(model: Path, tmp_path: Path) -> None:
    with pytest.raises(Complaint, match=r"evaluations.mock.protocol.normalise: unconditional"):
        exported(model, tmp_path, ASKED, normalise="unconditional")


def test_a_folder_that_is_there_is_never_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "note.txt").write_text("mine")
    for folder in (str(tmp_path), ".", "note.txt"):
        done = typed(capsys, "export-lm-eval", "finals", "resident", folder)
        assert (done.status, "is there already" in done.err) == (1, True)
    assert (tmp_path / "note.txt").read_text() == "mine"


@pytest.mark.slow
@pytest.mark.parametrize("template", [True, False], ids=["template", "plain"])
@pytest.mark.parametrize("normalise", ["none", "tokens", "characters"])
def test_lm_evaluation_harness_runs_the_task_and_finds_the_same_accuracy(
    model: Path, tmp_path: Path, normalise: str, template: bool
) -> None:
    if subprocess.run(
        [PARTNER, "-c", "import lm_eval"], capture_output=True, check=False
    ).returncode:
        pytest.skip("lm_eval is not installed; LM_EVAL_PYTHON names an interpreter that has it")
    asked = [*ASKED, *(question(number) for number in range(10, 40))]
    task = exported(model, tmp_path, asked, normalise=normalise, template=template)
    out = tmp_path / "out"
    out.mkdir()
    protocol = SHOWN.model_copy(update={"normalise": normalise, "template": template})
    evaluate(protocol, model, tmp_path / "test.jsonl", out)
    done = subprocess.run(
        [
            *(PARTNER, "-m", "lm_eval", "--model", "hf", "--device", "cpu"),
            *("--model_args", f"pretrained={model},dtype=float32", "--include_path", str(task)),
            *("--tasks", "mock", "--batch_size", "8", "--output_path", str(tmp_path / "theirs")),
        ],
        env={**os.environ, "HF_HUB_OFFLINE": "1", "HF_DATASETS_CACHE": str(tmp_path / "cache")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    (results,) = (tmp_path / "theirs").rglob("results_*.json")
    found = json.loads(results.read_text())["results"]["mock"]["acc,none"]
    assert found == pytest.approx(read_json(out / "scores.json")["accuracy"], abs=1e-6)
