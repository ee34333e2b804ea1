"""A section of params.yaml: what every step's parameters have in common.

Each step module declares its own section and, beneath it, the function that obeys it:

    class Corpus(Section):              # corpora.<name> in params.yaml
        sources: list[Name] = Field(description="...")

    def clean(corpus: Corpus, documents: list[Path], exams: list[Path], out: Path) -> None: ...

A section is frozen, refuses unknown keys, describes every field and hides no default in code.
This module loads no heavy library: `residency.declaration` composes all sections from it.
"""

from __future__ import annotations

import difflib
import hashlib
from collections.abc import Iterable
from typing import Annotated, Any

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    StringConstraints,
    model_validator,
)
from pydantic_core import PydanticCustomError

NAME = r"^[a-z0-9][a-z0-9_]*$"
PERCENT = r"^[1-9][0-9]?%$"
CANDIDATE = r"^[a-z0-9][a-z0-9_]*(@[1-9][0-9]?%)?$"

Name = Annotated[str, StringConstraints(pattern=NAME, max_length=64)]
"""What the user calls a thing: lower case, digits and `_`; `-` separates names inside a stage's."""

Percent = Annotated[str, StringConstraints(pattern=PERCENT)]
"""A share of a training's steps, from 1% to 99%."""

Candidate = Annotated[str, StringConstraints(pattern=CANDIDATE, max_length=68)]
"""A model, or what it was after a share of its training: resident, resident@50%."""

LONGEST_NAME, MOST_NAMES = 80, 40
"""Of names in a message: a wrong file's "column" may be a paragraph, and it may have thousands."""

Homepage = Annotated[
    str | None,
    Field(
        pattern=r"^https?://\S+$",
        description="Page where people find the raw files, told where they are missing; nothing is "
        "fetched from it. null where there is none.",
    ),
]

Seed = Annotated[int, Field(ge=0, lt=2**32)]
Share = Annotated[float, Field(ge=0, le=1)]


def draw(seed: int, key: str) -> int:
    """A number below 2**64, drawn for a key whatever others there are."""
    return int.from_bytes(hashlib.sha256(f"{seed} {key}".encode()).digest()[:8])


def placed(candidate: str) -> str:
    """A candidate's name in stages and paths: resident@50% is resident-50, which DVC can take."""
    return candidate.replace("@", "-").removesuffix("%")


def called(place: str) -> str:
    """The candidate of that name in stages and paths."""
    model, _, share = place.partition("-")
    return f"{model}@{share}%" if share else model


class Complaint(Exception):
    """A user's mistake: one message with the place, what was found, what was expected, the cure.

    Command lines print it without a traceback and end with status 1.
    """


class Setback(Complaint):
    """One that more memory, another hour or another machine may mend, with nothing changed.

    A cluster tries a job that ended in it again, and no job that ended in another Complaint.
    """


def nearest(found: object, known: Iterable[str]) -> str:
    """The hint of a message: the most similar known name, then all there are."""
    known = sorted(known)
    similar = difflib.get_close_matches(str(found), known, n=1)
    hint = f"did you mean {similar[0]!r}? " if similar else ""
    shown = [name if len(name) <= LONGEST_NAME else f"{name[:LONGEST_NAME]}..." for name in known]
    if len(known) > MOST_NAMES:
        shown[MOST_NAMES:] = [f"... ({len(known)} in all)"]
    return f"{hint}known: {', '.join(shown) or 'none'}"


def in_order(section: BaseModel, least: str, most: str) -> None:
    """For validators: a lower bound above its upper one would drop everything."""
    low, high = getattr(section, least), getattr(section, most)
    if low > high:
        raise ValueError(f"{least} is {low:g}, above {most}, which is {high:g}")


def keys_of(section: type[BaseModel]) -> list[str]:
    """The keys of a section as they stand in params.yaml."""
    return [field.alias or name for name, field in section.model_fields.items()]


class Section(BaseModel):
    """Base of every part of the declaration."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)

    @model_validator(mode="before")
    @classmethod
    def _known_keys(cls, values: Any) -> Any:
        if isinstance(values, dict):
            known = keys_of(cls)
            for key in values:
                if key not in known:
                    raise PydanticCustomError(
                        "unknown_key",
                        "unknown key {key}; {hint}",
                        {"key": repr(key), "hint": nearest(key, known)},
                    )
        return values

    def canonical(self) -> Any:
        """The section as plain JSON values under the names used in params.yaml."""
        return self.model_dump(mode="json", by_alias=True)


def told_by(*keys: str) -> Discriminator:
    """Tell the members of a union apart by which of `keys` is there; tag each `Tag("<key>")`."""

    def tag(values: Any) -> str | None:
        if not isinstance(values, dict | BaseModel):
            return None
        there = values if isinstance(values, dict) else keys_of(type(values))
        return next((f"<{key}>" for key in keys if key in there), None)

    return Discriminator(
        tag,
        custom_error_type="untold",
        custom_error_message=f"expected a mapping with one of the keys {', '.join(keys)}",
    )


def told_by_kind() -> Discriminator:
    """Tell the members of a union apart by their `kind`; tag each `Tag("<its kind>")`."""

    def tag(values: Any) -> str:
        kind = values.get("kind") if isinstance(values, dict) else getattr(values, "kind", None)
        return f"<{kind}>"

    return Discriminator(tag)


def known_kind(*kinds: str) -> BeforeValidator:
    """Put around such a union: refuses an unknown kind by name, with the nearest known one."""

    def check(values: Any) -> Any:
        kind = values.get("kind") if isinstance(values, dict) else getattr(values, "kind", None)
        if kind not in kinds:
            raise PydanticCustomError(
                "unknown_kind",
                "expected a mapping with a known kind, found kind {kind}; {hint}",
                {"kind": repr(kind), "hint": nearest(kind, kinds)},
            )
        return values

    return BeforeValidator(check)
