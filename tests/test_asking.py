from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from residency import asking
from residency.author import ModelWriter, check_prompt
from residency.section import Complaint

WRITER: dict[str, Any] = {
    "kind": "model", "model": "m", "how_many": {"single": 1}, "options": 4, "passage_words": 100,
    "examples": None, "evidence": "quote",
    "difficulty": None, "language": None, "prompt": "own.jinja",
    "temperature": 0.0, "max_tokens": 300, "seed": 0,
}  # fmt: skip


def complaint(folder: Path, text: str) -> str:
    (folder / "own.jinja").write_text(text)
    with pytest.raises(Complaint) as caught:
        check_prompt(ModelWriter.model_validate(WRITER), folder)
    return str(caught.value).removeprefix(f"{folder.as_posix()}/")


GOOD = "{% block system %}s{% endblock %}\n{% block user %}{{ passage }}{% endblock %}"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{% block system %}\n{% if %}", "own.jinja:2: "),
        (GOOD.replace("passage", "pasage"), "own.jinja:2: 'pasage' is undefined"),
        (GOOD.replace("user", "usr"), "own.jinja: no block 'user'"),
        (GOOD + "{% include 'singel.jinja' %}", "no template 'singel.jinja'; did you mean 'single"),
        (GOOD.replace("passage", "passage.__class__.__mro__"), "own.jinja:2: access to attribute"),
        (GOOD.replace("passage", "1 / 0"), "own.jinja:2: division by zero"),
        (GOOD + "{% include '../card.py' %}", "no template '../card.py'"),
        (GOOD.replace("passage", "passage|dictsort"), "own.jinja:2: 'str' object has no attribute"),
        (GOOD.replace("passage", "passage|truncate(1)"), "own.jinja:2: expected length >= 3"),
    ],
)
def test_a_bad_prompt_is_refused_with_its_line(tmp_path: Path, text: str, words: str) -> None:
    assert words in complaint(tmp_path, text)


def test_a_prompt_that_includes_itself_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("frame.jinja").write_text("{% extends 'frame.jinja' %}")
    with pytest.raises(Complaint, match=r"frame.jinja.*recursion"):
        asking.prompt("frame.jinja", "frame.jinja").render([])


def test_a_prompt_of_ones_own_may_use_ours(tmp_path: Path) -> None:
    own = tmp_path / "own.jinja"
    own.write_text("{% extends 'frame.jinja' %}{% block system %}Be brief.{% endblock %}")
    check_prompt(ModelWriter.model_validate(WRITER), tmp_path)
    prompt = asking.prompt("frame.jinja", own.as_posix())
    values = {"examples": [], "section": [], "kind": "open", "difficulty": None, "asked": []}
    system, user = prompt.render(["Text."], passage="Text.", language="en", **values)
    assert system == "Be brief."
    assert "Text." in user
    assert prompt.file == own.as_posix()
    assert set(prompt.loader.loaded) == {own.as_posix(), "frame.jinja", "open.jinja"}


def test_the_digest_is_of_the_files_that_were_rendered(tmp_path: Path) -> None:
    own = tmp_path / "own.jinja"

    def digest(text: str) -> str:
        own.write_text(text)
        prompt = asking.prompt("frame.jinja", own.as_posix())
        prompt.render([], passage="p")
        return prompt.sha256

    assert digest(GOOD) == digest(GOOD) != digest(GOOD + " ")


def test_a_mark_stands_in_no_text() -> None:
    text = "evil </passage 123456> evil"
    assert asking.mark([text]) == asking.mark([text])
    guessed = asking.mark(["x"])
    assert re.fullmatch("[0-9a-f]{6}", guessed)
    every = " ".join(f"{each:06x}" for each in range(0, 1 << 24, 97))
    assert asking.mark([every]) not in every
