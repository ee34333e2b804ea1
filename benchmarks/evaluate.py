"""Likelihood of option texts, side by side with lm-evaluation-harness: answers, speed, memory.

    python benchmarks/evaluate.py LM_EVAL_PYTHON MODEL DATA [QUESTIONS [EXAM ...]]

LM_EVAL_PYTHON: the interpreter of an environment with lm_eval; MODEL: a folder of build/models;
DATA: the folder with medqa, pubmedqa and frenchmedmcqa. The same ids are scored by both, in plain
form and float32, each in a process of its own. A batch holds as many tokens in both. Questions are
taken from the whole split at equal distances, so that those with several right answers are among
them: every set of options is then a reply.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path

from residency import prompts
from residency.examine import Exam, examine
from residency.protocols.sitting import candidates, told
from residency.records import questions

TOKENS = 1024
EXAMS = {
    "medqa": ("medqa", {"kind": "medqa"}, 1.0),
    "pubmedqa": ("pubmedqa", {"kind": "pubmedqa", "setting": "reasoning-required", "fold": 0}, 0.5),
    "frenchmedmcqa": ("frenchmedmcqa", {"kind": "frenchmedmcqa"}, 0.5),
}
CLOCK = """
import json, resource, sys, time
def used(): return time.perf_counter(), time.process_time()
def told(found, began):
    wall, cpu = (one - other for one, other in zip(used(), began))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"found": found, "wall": wall, "cpu": cpu, "peak": peak}))
model, items, tokens = sys.argv[1], json.load(open(sys.argv[2])), int(sys.argv[3])
"""
OURS = (
    CLOCK
    + """
from pathlib import Path
from residency.likelihoods import loglikelihoods
from residency.network import load
network, _ = load(Path(model), "float32")
began = used()
told(loglikelihoods(network, [(each["prompt"], each["replies"]) for each in items], tokens), began)
"""
)
THEIRS = (
    CLOCK
    + """
from lm_eval.api.instance import Instance
from lm_eval.models.huggingface import HFLM
longest = max(len(each["prompt"]) + max(map(len, each["replies"])) for each in items)
rows = max(1, round(tokens / longest))
lm = HFLM(pretrained=model, dtype="float32", device="cpu", batch_size=rows)
asked = [(each["text"], text) for each in items for text in each["texts"]]
requests = [Instance("loglikelihood", {}, pair, i) for i, pair in enumerate(asked)]
began = used()
scores = iter(lm.loglikelihood(requests, disable_tqdm=True))
told([[next(scores)[0] for _ in each["texts"]] for each in items], began)
"""
)


def main() -> None:
    """Print a table."""
    from transformers import AutoTokenizer

    python, model, data = sys.argv[1:4]
    count = int(sys.argv[4]) if len(sys.argv) > 4 else 40
    tokenizer = AutoTokenizer.from_pretrained(model)
    print(
        "| exam | questions | replies | | questions/s | CPU s | peak MB | right | same answers "
        "| widest |\n|---|---|---|---|---|---|---|---|---|---|"
    )
    for name in sys.argv[5:] or EXAMS:
        folder, adapter, share = EXAMS[name]
        with tempfile.TemporaryDirectory() as place:
            items = asked(
                tokenizer, Path(data) / folder, adapter, Path(place), max(1, int(count * share))
            )
            file = Path(place) / "items.json"
            file.write_text(json.dumps(items))
            ours = ran(sys.executable, OURS, model, file)
            theirs = ran(python, THEIRS, model, file)
        pairs = list(zip(ours["found"], theirs["found"], strict=True))
        chosen = [[each.index(max(each)) for each in pair] for pair in pairs]
        same = sum(one == other for one, other in chosen)
        right = [
            sum(pair[who] == item["right"] for pair, item in zip(chosen, items, strict=True))
            for who in (0, 1)
        ]
        widest = max(abs(a - b) for one, other in pairs for a, b in zip(one, other, strict=True))
        replies = sum(len(each["replies"]) for each in items)
        for who, each, hits in zip(("residency", "lm-eval"), (ours, theirs), right, strict=True):
            print(
                f"| {name} | {len(items)} | {replies} | {who} | {len(items) / each['wall']:.3f} | "
                f"{each['cpu']:.1f} | {each['peak']:.0f} | {hits} | {same} | {widest:.1e} |",
                flush=True,
            )
        print(
            f"  ratio: {theirs['wall'] / ours['wall']:.2f} by wall, "
            f"{theirs['cpu'] / ours['cpu']:.2f} by CPU seconds",
            flush=True,
        )


def asked(tokenizer, path: Path, adapter: dict, place: Path, count: int) -> list[dict]:
    """Prompts and replies, as ids and as the texts that give these ids."""
    exam = Exam.model_validate(
        {
            "path": str(path),
            "language": "en",
            "licence": "as published",
            "homepage": None,
            "adapter": adapter,
            "split": {"whole": "test"},
        }
    )
    out = place / "exam"
    out.mkdir()
    examine(exam, out)
    found = []
    whole = list(questions(out / "test.jsonl"))
    for each in whole[:: max(1, len(whole) // count)][:count]:
        user = prompts.ask(each, "shown")
        texts = [" " + told(each, one, "text") + tokenizer.eos_token for one in candidates(each)]
        item = {
            "right": candidates(each).index(tuple(sorted(each.answers))),
            "text": f"Question: {user}\nAnswer:",
            "texts": texts,
            "prompt": prompts.prompt(tokenizer, user, None, template=False),
            "replies": [
                prompts.reply(tokenizer, told(each, one, "text"), template=False)
                for one in candidates(each)
            ],
        }
        for text, reply in zip(texts, item["replies"], strict=True):
            assert tokenizer(item["text"] + text)["input_ids"] == item["prompt"] + reply
        found.append(item)
    return found


def ran(python: str, script: str, model: str, file: Path) -> dict:
    """What a process of its own measured."""
    done = subprocess.run(
        [python, "-c", script, model, str(file), str(TOKENS)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        check=True,
    )
    return json.loads(done.stdout.splitlines()[-1])


if __name__ == "__main__":
    main()
