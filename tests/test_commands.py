"""The command `residency` itself: its table, its help, its mistakes, completion for shells."""

from __future__ import annotations

import re
import subprocess
import sys
import types

import pytest
from project import REPOSITORY, environment, typed

from residency.commands import COMMANDS, Command, main

HEAVY = {"torch", "transformers", "tokenizers", "dvc", "snakemake", "pydantic", "numpy", "ruamel"}


def said(*words: str, **options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-X", "importtime", "-m", "residency", *words]
    env = {**environment(), "PYTHONPATH": str(REPOSITORY / "src"), **options}
    return subprocess.run(command, env=env, capture_output=True, text=True, check=True)


@pytest.mark.parametrize("command", ["", *COMMANDS])
def test_help_loads_nothing_heavy(command: str) -> None:
    done = said(*command.split(), "--help")
    assert "usage: residency" in done.stdout
    loaded = set(re.findall(r"\| +(\w+)", done.stderr))
    assert "argparse" in loaded
    assert not loaded & HEAVY


def test_help_takes_little_longer_than_python_with_argparse() -> None:
    """Both in one run, the least of three each, in processor time: other jobs do not matter."""

    def least(*words: str) -> float:
        code = "import resource as r, subprocess as s, sys; s.run(sys.argv[1:], stdout=s.DEVNULL);"
        code += "u = r.getrusage(r.RUSAGE_CHILDREN); print(u.ru_utime + u.ru_stime)"
        env = {**environment(), "PYTHONPATH": str(REPOSITORY / "src")}
        command = [sys.executable, "-c", code, sys.executable, *words]
        runs = (subprocess.run(command, env=env, capture_output=True, text=True) for _ in range(3))
        return min(float(run.stdout) for run in runs)

    alone = least("-c", "import argparse, dataclasses, importlib")
    assert least("-m", "residency", "plan", "--help") < 3 * alone


def test_the_page_on_commands_tells_of_each() -> None:
    page = (REPOSITORY / "docs/commands.md").read_text()
    for name in COMMANDS:
        assert f"residency {name}" in page
    assert "docs/commands.md" in (REPOSITORY / "README.md").read_text()


def test_a_wrong_word_is_one_message_with_the_nearest_known(
    capsys: pytest.CaptureFixture[str],
) -> None:
    done = typed(capsys, "trase")
    assert done.status == 1
    assert done.err.startswith("error: there is no command 'trase'; did you mean 'trace'? known:")
    done = typed(capsys, "trace", "finals/resident", "--verfy")
    assert done.status == 1
    assert done.err.startswith("error: found '--verfy'; did you mean '--verify'? known:")
    assert done.err.count("\n") == 1
    done = typed(capsys, "--verson")
    assert (done.status, "found '--verson'; known: --help" in done.err) == (1, True)
    done = typed(capsys, "trace")
    assert (done.status, "residency trace --help" in done.err) == (1, True)


@pytest.mark.parametrize("word", ["check", "plan", "trace finals/resident", "ask resident"])
def test_outside_of_a_project_the_way_into_one_is_told(
    word: str,
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    folder = tmp_path_factory.mktemp("elsewhere")
    monkeypatch.chdir(folder)
    done = typed(capsys, *word.split())
    assert done.status == 1
    assert "found no params.yaml; make one with: residency init" in done.out + done.err
    (folder / "params.yaml").write_text("")
    (folder / "below").mkdir()
    monkeypatch.chdir(folder / "below")
    done = typed(capsys, *word.split())
    assert f"the project is {folder}: cd there" in done.out + done.err


def test_a_module_with_a_main_of_its_own_is_a_command_by_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    module = types.ModuleType("residency.comparing")
    module.main = lambda: print(sys.argv)  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "residency.comparing", module)
    line = Command("residency.comparing", "compare two revisions", whole=True)
    monkeypatch.setitem(COMMANDS, "compare", line)
    monkeypatch.setattr(sys, "argv", [])
    assert typed(capsys, "--help").out.count("compare two revisions") == 1
    with pytest.raises(SystemExit) as end:
        main(["compare", "HEAD~1", "--odd"])
    assert not end.value.code
    assert capsys.readouterr().out == "['residency compare', 'HEAD~1', '--odd']\n"
    assert "compare" in typed(capsys, "completion", "bash").out


def test_bash_completes_commands_options_and_models_that_are_built(
    tmp_path_factory: pytest.TempPathFactory, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path_factory.mktemp("completed")
    (folder / "build/models/resident").mkdir(parents=True)
    (folder / "completion").write_text(typed(capsys, "completion", "bash").out)

    def completed(*words: str) -> set[str]:
        listed = " ".join(f"'{word}'" for word in ["residency", *words])
        script = f"source completion; COMP_WORDS=({listed}); COMP_CWORD={len(words)};"
        script += "_shtab_residency; printf '%s\\n' \"${COMPREPLY[@]}\""
        done = subprocess.run(["bash", "-c", script], cwd=folder, capture_output=True, text=True)
        return set(done.stdout.split())

    assert completed("tr") == {"trace"}
    assert completed("trace", "--v") == {"--verify"}
    assert completed("ask", "") >= {"resident"}


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish", "tcsh", "powershell"])
def test_each_shell_is_told_every_command(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    told = typed(capsys, "completion", shell).out
    assert all(name in told for name in COMMANDS)


def test_completion_for_an_unknown_shell_names_the_known(
    capsys: pytest.CaptureFixture[str],
) -> None:
    done = typed(capsys, "completion", "cmd")
    assert done.status == 1
    assert "invalid choice: 'cmd'" in done.err
