"""What changed from another revision to the files that are here.

    residency diff HEAD~1                        parameters, artifacts, counts, scores
    residency diff v1 --page compared.html       the report with a section on it

What DVC does not hold here at that revision is said to be missing, with what fetches it.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path


def arguments(parser: argparse.ArgumentParser) -> None:
    """The revision, and where to write a page."""
    parser.add_argument(
        "revision", metavar="REV", help="a commit, branch, tag or experiment, such as HEAD~1"
    )
    parser.add_argument(
        "--page", type=Path, metavar="FILE", help="write the report with a section on it"
    )


def run(arguments: argparse.Namespace) -> None:
    """Print what changed, or write the report with a section on it."""
    from residency.diff import changes, page, told
    from residency.files import write_file
    from residency.section import Complaint

    found = changes(arguments.revision)
    print(told(found), end="")
    if arguments.page:
        try:
            write_file(arguments.page, page(found))
        except (OSError, ValueError) as error:
            raise Complaint(f"{arguments.page}: cannot be written ({error})") from None
        print(f"wrote {arguments.page}", file=sys.stderr)
