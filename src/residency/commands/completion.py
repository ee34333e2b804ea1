"""Print the completion of `residency` for a shell.

bash          eval "$(residency completion bash)"                  in ~/.bashrc
zsh           residency completion zsh > "${fpath[1]}/_residency"
fish          residency completion fish > ~/.config/fish/completions/residency.fish
tcsh          residency completion tcsh > ~/.residency.tcsh        and source it
powershell    residency completion powershell | Out-String | Invoke-Expression
"""

from __future__ import annotations

import argparse
from typing import Any

SHELLS = ["bash", "zsh", "fish", "tcsh", "powershell"]


def arguments(parser: argparse.ArgumentParser) -> None:
    """The shell."""
    parser.add_argument("shell", choices=SHELLS, metavar="SHELL", help=", ".join(SHELLS))


def run(arguments: argparse.Namespace) -> None:
    """Print it; models are completed by what is built in the folder where one types."""
    import shtab

    from residency.commands import parser

    whole = parser()
    known: dict[str, Any] = {
        "model": shtab.cmd("ls build/models 2>/dev/null"),
        "folder": shtab.DIRECTORY,
    }
    for each in [whole, *whole.commands.values()]:
        for action in each._actions:
            if action.dest in known:
                action.complete = known[action.dest]  # type: ignore[attr-defined]
    print(shtab.complete(whole, shell=arguments.shell))
