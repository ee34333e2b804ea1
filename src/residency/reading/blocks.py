"""What every reader gives: a file's headings and paragraphs in reading order."""

from __future__ import annotations

from typing import Literal, NamedTuple

Part = Literal["prose", "exercises", "glossary"]

PARAGRAPH = 7
"""The level of what is no heading."""


class Block(NamedTuple):
    """A paragraph, or a heading with its level: 0 is the file's title, 1 to 6 as in HTML."""

    text: str
    level: int = PARAGRAPH
    page: int | None = None  # from 1, where the format has pages
    part: Part = "prose"


class Unreadable(Exception):
    """Why a file gives no text: a countable reason and a detail."""


class Lost(NamedTuple):
    """A piece of a file that gives no text, for the ledger: a countable reason and a detail."""

    reason: str
    detail: str
