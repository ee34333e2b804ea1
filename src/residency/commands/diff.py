"""What changed from another revision to the files that are here.

    residency diff HEAD~1                        parameters, artifacts, counts, scores
    residency diff v1 --page compared.html       the report with a section on it

What DVC does not hold here at that revision is said to be missing, with what fetches it.
"""

from __future__ import annotations

import argparse


def arguments(parser: argparse.ArgumentParser) -> None:
    """The revision, and where to write a page."""
    from residency.commands.project import page_option

    parser.add_argument(
        "revision", metavar="REV", help="a commit, branch, tag or experiment, such as HEAD~1"
    )
    page_option(parser)


def run(arguments: argparse.Namespace) -> None:
    """Print what changed, or write the report with a section on it."""
    from residency.commands.project import write_page
    from residency.diff import changes, page, told

    found = changes(arguments.revision)
    print(told(found), end="")
    if arguments.page:
        write_page(arguments.page, lambda: page(found))
