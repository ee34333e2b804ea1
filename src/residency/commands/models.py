"""models: a model that a command is given by name, as it lies in build/models."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from residency.declaration import Declaration

MODELS = Path("build/models")


def built(name: str, declaration: Declaration) -> Path:
    """The folder of a model, or of what it was on its way (resident@50%).

    Raises Complaint for a name that is not declared, for weights that are not here, and with the
    command that builds it for a model that is not built.
    """
    from residency.section import Complaint, nearest

    model, _, share = name.partition("@")
    if model not in declaration.models:
        raise Complaint(f"there is no model {name!r}; {nearest(name, declaration.models)}")
    folder = MODELS / model
    if not (folder / "config.json").is_file():
        if (folder / "endpoint.json").is_file():
            raise Complaint(f"models.{model} is served by an endpoint: its weights are not here")
        raise Complaint(
            f"models.{model} is not built; to build it: snakemake --cores all {folder.as_posix()}"
        )
    if not share:
        return folder
    kept = folder / "checkpoints" / share.removesuffix("%")
    if not (kept / "config.json").is_file():
        shares = [f"{model}@{path.name}%" for path in kept.parent.glob("*")]
        hint = nearest(name, shares)
        raise Complaint(f"{name!r} is not kept; {hint}; models.{model}.train.keep says what is")
    return kept


def system(name: str, declaration: Declaration) -> str | None:
    """What the system turn said when the model, or its nearest parent that did, learned answers."""
    from residency.declaration import Trained

    model = declaration.models[name.partition("@")[0]]
    while isinstance(model, Trained):
        if model.pack.objective == "instruct":
            return model.pack.system
        model = declaration.models[model.parent]
    return None
