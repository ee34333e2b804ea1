"""clean and near-duplicate removal beside datatrove's and text-dedup's, on the same files.

    python benchmarks/clean.py FOLDER PEER_PYTHON [--large GIGABYTES ...]

FOLDER takes the grown texts (benchmarks/grow.py), which are made when they are not there;
PEER_PYTHON is the Python of an environment with datatrove (benchmarks/clean_datatrove.py says with
what) and text-dedup 0.4.0 with datasets. 100 MB of English for all, 20 MB of Chinese and each
--large size for ours alone. Every rule has its published threshold (docs/thresholds.yaml); two
processes each. CPU seconds are user and system time of all processes, read once a second, since
other work may run on the machine; memory is the sum of their proportional set sizes, so shared
pages count once.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import time
from collections import Counter
from importlib.metadata import version
from pathlib import Path
from typing import Any

import psutil
from ruamel.yaml import YAML

from residency.words import words

HERE = Path(__file__).parent
WORKERS = 2
LINES = {"c4 line end", "c4 few words", "c4 phrase", "c4 long word"}
OURS = """
import sys
from pathlib import Path
import orjson
from residency.clean import Corpus, clean
corpus, out, *folders = sys.argv[1:]
clean(Corpus.model_validate(orjson.loads(corpus)), [Path(each) for each in folders], [], Path(out))
"""


def measured(command: list[str], log: Path) -> dict[str, float]:
    """Wall and CPU seconds of a command and all it starts, and the most memory in MB."""
    began, spent, most = time.perf_counter(), {}, 0.0
    environment = {**os.environ, "RESIDENCY_THREADS": str(WORKERS)}
    with log.open("wb") as file:
        process = subprocess.Popen(command, stdout=file, stderr=file, env=environment)
        tree = psutil.Process(process.pid)
        while process.poll() is None:
            memory = 0.0
            for each in [tree, *_children(tree)]:
                try:
                    used = each.cpu_times()
                    spent[each.pid] = used.user + used.system
                    memory += each.memory_full_info().pss / 1e6
                except psutil.Error:
                    continue
            most = max(most, memory)
            time.sleep(1)
    if process.returncode:
        sys.exit(f"{command[:3]} failed:\n{log.read_text()[-2000:]}")
    return {"wall": time.perf_counter() - began, "cpu": sum(spent.values()), "memory": most}


def _children(tree: psutil.Process) -> list[psutil.Process]:
    try:
        return tree.children(recursive=True)
    except psutil.Error:
        return []


def corpus(**other: Any) -> str:
    """A corpus with all published rules, as JSON."""
    rules = YAML(typ="safe").load(HERE.parent / "docs/thresholds.yaml")
    bounds = {"min_words": 1, "max_words": 1_000_000, "max_repetition": 1.0}
    default = YAML(typ="safe").load(HERE.parent / "params.yaml")["corpora"]["textbook"]
    exams = {**default["decontaminate"], "exams": []}
    rest = {"sources": ["grown"], "filter": bounds, "decontaminate": exams}
    return json.dumps({**rules, "language": None, "boilerplate": None, **rest, **other})


def ours(
    name: str, folders: list[Path], root: Path, declared: str
) -> tuple[Path, dict[str, float]]:
    """Clean folders of documents; the artifact and what it took."""
    out = root / f"ours-{name}"
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir()
    command = [sys.executable, "-c", OURS, declared, str(out), *map(str, folders)]
    return out, measured(command, root / f"ours-{name}.log")


def grown(root: Path, name: str, megabytes: int, seed: int, *options: str) -> Path:
    """A folder with grown documents."""
    folder = root / name
    if not (folder / "documents.planted.json").exists():
        folder.mkdir(parents=True, exist_ok=True)
        command = [sys.executable, str(HERE / "grow.py"), str(folder / "documents.jsonl")]
        subprocess.run([*command, str(megabytes), str(seed), *options], check=True)
    return folder


def size(folders: list[Path]) -> float:
    """MB of text and what is said of it."""
    return sum((folder / "documents.jsonl").stat().st_size for folder in folders) / 1e6


def planted(folder: Path) -> tuple[dict[str, str], dict[str, float]]:
    """Copies and look-alikes to their originals, and the Jaccard similarity of each."""
    near = {}
    for name, (twin, like) in json.loads((folder / "documents.planted.json").read_text()).items():
        near[name] = twin or like
    asked = set(near) | set(near.values())
    sets = {}
    with (folder / "documents.jsonl").open() as file:
        for line in file:
            row = json.loads(line)
            if row["id"] in asked:
                found = words(row["text"])
                sets[row["id"]] = {
                    hash(each) for each in zip(*(found[n:] for n in range(5)), strict=False)
                }
    shares = {
        name: len(sets[name] & sets[of]) / max(1, len(sets[name] | sets[of]))
        for name, of in near.items()
    }
    return near, shares


def quality_of(
    dropped: set[str], passed: set[str], near: dict[str, str], shares: dict[str, float]
) -> str:
    """Precision and recall of planted duplicates among documents that passed the filters.

    Which of two is dropped is the tool's choice. A copy counts where the original is there too.
    """
    groups: dict[str, set[str]] = {}
    for name, of in near.items():
        if shares[name] >= 0.7 and name in passed and of in passed:
            groups.setdefault(of, {of}).add(name)
    found = sum(min(len(group) - 1, len(group & dropped)) for group in groups.values())
    there = sum(len(group) - 1 for group in groups.values())
    precision, recall = found / max(1, len(dropped)), found / max(1, there)
    return f"precision {precision:.4f}, recall {recall:.4f} of {there}"


def rejected(out: Path) -> tuple[dict[str, str], set[str]]:
    """Documents that our filters dropped with the reason, and our near-duplicates."""
    filtered, near = {}, set()
    with (out / "rejected.jsonl").open() as file:
        for line in file:
            row = json.loads(line)
            if row["reason"] in ("near-duplicate", "duplicate document"):
                near.add(row["id"])
            elif row["reason"] not in LINES:
                filtered[row["id"]] = row["reason"]
    return filtered, near


def theirs(out: Path) -> tuple[set[str], set[str]]:
    """Documents that datatrove's filters dropped, and its near-duplicates."""
    filtered, near = set(), set()
    for path in (out / "dropped").rglob("*.jsonl"):
        names = {json.loads(line)["id"] for line in path.open()}
        (near if path.parent.name == "near" else filtered).update(names)
    return filtered, near


def told(name: str, megabytes: float, took: dict[str, float]) -> str:
    """A row of the table."""
    rate = megabytes / took["cpu"]
    return (
        f"| {name} | {megabytes:.0f} | {took['wall']:.0f} | {took['cpu']:.0f} | {rate:.2f} | "
        f"{took['memory']:.0f} |"
    )


def beside_text_dedup(root: Path, english: Path, peer: Path) -> None:
    """Near-duplicates alone, ours and text-dedup's with the same bands."""
    plain = {"repetition": None, "gopher": None, "c4": None, "fineweb": None}
    out, took = ours("100-near", [english], root, corpus(quality=plain))
    print(told("residency, near-duplicates only", size([english]), took), flush=True)
    for name in ("td", "td-cache"):
        shutil.rmtree(root / name, ignore_errors=True)
    options = {
        "path": "json", "data_files": english / "documents.jsonl", "split": "train",
        "column": "text", "output": root / "td", "cache_dir": root / "td-cache", "ngram": 5,
        "min_length": 1, "num_perm": 120, "b": 20, "r": 6, "hash_func": "xxh3",
        "num_proc": WORKERS, "threshold": 0.7,
    }  # fmt: skip
    said = [word for name, value in options.items() for word in (f"--{name}", str(value))]
    command = [str(peer), "-m", "text_dedup.minhash", *said]
    print(told("text-dedup 0.4.0", size([english]), measured(command, root / "td.log")), flush=True)
    ask = (
        "import datasets, json, sys; "
        "print(json.dumps(datasets.load_from_disk(sys.argv[1])['id'][:]))"
    )
    kept = subprocess.check_output([str(peer), "-c", ask, str(root / "td")], text=True)
    names = {json.loads(line)["id"] for line in (english / "documents.jsonl").open()}
    near, shares = planted(english)
    print("residency:", quality_of(rejected(out)[1], names, near, shares))
    print("text-dedup:", quality_of(names - set(json.loads(kept)), names, near, shares))


def main() -> None:
    """Grow, run all, compare, print Markdown."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("peer", type=Path)
    parser.add_argument("--large", type=int, nargs="*", default=[], help="gigabytes")
    asked = parser.parse_args()
    root = asked.folder
    print(f"numpy {version('numpy')}, Python {sys.version.split()[0]}, {WORKERS} processes\n")
    print("| what | MB | wall, s | CPU, s | MB per CPU second | peak memory, MB |")
    print("|---|---|---|---|---|---|")
    english = grown(root, "100", 100, 9)
    out, took = ours("100", [english], root, corpus())
    print(told("residency, 0.1 GB", size([english]), took), flush=True)
    zh = grown(root, "zh", 20, 9, "--chinese")
    plain = {"repetition": None, "gopher": None, "c4": None, "fineweb": None}
    out_zh, took_zh = ours("zh", [zh], root, corpus(quality=plain))
    print(told("residency, Chinese, duplicates only", size([zh]), took_zh), flush=True)
    for gigabytes in asked.large:
        folders = [grown(root, f"1000-{seed}", 1000, seed) for seed in range(gigabytes)]
        _, large = ours(f"{gigabytes}000", folders, root, corpus())
        print(told(f"residency, {gigabytes} GB", size(folders), large), flush=True)
    shutil.rmtree(root / "peer", ignore_errors=True)
    (root / "peer").mkdir()
    (root / "split").mkdir(exist_ok=True)
    rows = (english / "documents.jsonl").open("rb").readlines()
    for part in range(WORKERS):
        (root / f"split/{part}.jsonl").write_bytes(b"".join(rows[part::WORKERS]))
    script = str(HERE / "clean_datatrove.py")
    command = [str(asked.peer), script, str(root / "split"), str(root / "peer"), str(WORKERS)]
    peer = measured(command, root / "peer.log")
    print(told("datatrove 0.10.1", size([english]), peer), flush=True)
    ratio = {each: peer[each] / took[each] for each in ("cpu", "wall")}
    print(f"\nratio of CPU seconds {ratio['cpu']:.1f}, of wall seconds {ratio['wall']:.1f}")
    names = {json.loads(row)["id"] for row in rows}
    our_filtered, our_near = rejected(out)
    their_filtered, their_near = theirs(root / "peer")
    same = sum((name in our_filtered) == (name in their_filtered) for name in names)
    print(f"same filter decision: {same} of {len(names)} documents")
    near, shares = planted(english)
    print("residency:", quality_of(our_near, names - set(our_filtered), near, shares))
    print("datatrove:", quality_of(their_near, names - their_filtered, near, shares))
    filtered, found = rejected(out_zh)
    near, shares = planted(zh)
    chinese = {json.loads(line)["id"] for line in (zh / "documents.jsonl").open()}
    print("Chinese:", quality_of(found, chinese - set(filtered), near, shares))
    print("stages of datatrove, wall:", (root / "peer/stages.json").read_text())
    beside_text_dedup(root, english, asked.peer)
    print("our drops:", dict(Counter(our_filtered.values())))


if __name__ == "__main__":
    main()
