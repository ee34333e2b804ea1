"""Send everything that was built to the default remote, whole (docs/remotes.md)."""

from __future__ import annotations

import argparse


def arguments(parser: argparse.ArgumentParser) -> None:
    """What follows `residency push`."""
    parser.add_argument(
        "anew", nargs="*", metavar="STAGE", help="send this one anew, whatever the remote has of it"
    )


def run(arguments: argparse.Namespace) -> None:
    """Push, and say how much was sent."""
    from residency.freshness import asked
    from residency.remotes import push

    with asked() as repo:
        sent = push(repo, arguments.anew)
        print(f"{sent} objects sent to {repo.config['core']['remote']}; the rest was there")
