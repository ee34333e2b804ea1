"""An evaluation by likelihood as a task that lm-evaluation-harness runs as it is.

    residency export-lm-eval finals resident exported/finals
    lm_eval --model hf --model_args pretrained=build/models/resident,dtype=float32 \\
        --include_path exported/finals --tasks finals

Others can so check a score with their own program.
"""

from __future__ import annotations

import argparse
from pathlib import Path


def arguments(parser: argparse.ArgumentParser) -> None:
    """The evaluation, the model, and where to."""
    parser.add_argument("evaluation", metavar="NAME", help="an evaluation of params.yaml")
    parser.add_argument("model", metavar="MODEL", help="one of its models")
    parser.add_argument(
        "folder", type=Path, metavar="FOLDER", help="a folder that is not there yet"
    )


def run(arguments: argparse.Namespace) -> None:
    """Export, and say where to."""
    from residency.commands.export import free
    from residency.commands.project import declared
    from residency.export_lm_eval import exported
    from residency.section import Complaint

    out = arguments.folder.absolute()
    free(out)
    try:
        exported(declared(), arguments.evaluation, arguments.model, out)
    except OSError as error:
        raise Complaint(f"{out}: not exported ({error.strerror or error})") from None
    print(f"wrote {arguments.folder}")
