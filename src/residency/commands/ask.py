"""To come."""

from __future__ import annotations

import argparse


def arguments(parser: argparse.ArgumentParser) -> None:
    """None yet."""


def run(arguments: argparse.Namespace) -> None:
    """Nothing yet."""
