"""Greedy texts, side by side with Hugging Face's generate one by one: texts and speed.

    python benchmarks/generate.py MODEL DATA [QUESTIONS]

MODEL: a folder of build/models; DATA: the folder with medqa. Float32, 32 tokens each.
"""

from __future__ import annotations

import json
import sys
import time
from itertools import islice
from pathlib import Path

MOST = 32


def main() -> None:
    """Print what each did."""
    from residency.step import prepare_cpu

    prepare_cpu()
    import torch
    import transformers

    from residency import prompts
    from residency.generation import Task, generate
    from residency.network import load

    transformers.logging.set_verbosity_error()
    model, data = Path(sys.argv[1]), Path(sys.argv[2])
    count = int(sys.argv[3]) if len(sys.argv) > 3 else 16
    network, tokenizer = load(model, "float32")
    with (data / "medqa/en_5opt_first300.jsonl").open() as file:
        asked = [json.loads(line)["question"] for line in islice(file, count)]
    put = [tuple(prompts.prompt(tokenizer, each, "")) for each in asked]
    stop = prompts.stop(tokenizer)[0]

    def theirs() -> list[list[int]]:
        found = []
        for prompt in put:
            ids = torch.tensor([prompt], device=network.device)
            new = network.generate(
                ids,
                attention_mask=torch.ones_like(ids),
                do_sample=False,
                max_new_tokens=MOST,
                eos_token_id=stop,
                pad_token_id=stop,
            )[0].tolist()[len(prompt) :]
            found.append(new[: new.index(stop)] if stop in new else new)
        return found

    def ours() -> list[list[int]]:
        return generate(
            network, tokenizer, [Task(prompt=each, most=MOST) for each in put], stops=[stop]
        )

    told = {}
    put, all_of_them = put[:1], put  # a first one of each, so that neither pays for starting
    with torch.inference_mode():
        ours(), theirs()
    put = all_of_them
    with torch.inference_mode():
        for name, each in (("residency", ours), ("one by one", theirs)):
            wall, cpu = time.perf_counter(), time.process_time()
            texts = each()
            told[name] = texts, time.perf_counter() - wall, time.process_time() - cpu
    print(f"torch {torch.__version__}, transformers {transformers.__version__}")
    for name, (texts, wall, cpu) in told.items():
        tokens = sum(map(len, texts))
        print(f"{name}: {tokens} tokens, {tokens / wall:.1f} a second, {cpu:.1f} CPU s")
    (one, wall, cpu), (other, slow, spent) = told.values()
    same = sum(a == b for a, b in zip(one, other, strict=True))
    ratios = f"{slow / wall:.2f} by wall, {spent / cpu:.2f} by CPU seconds"
    print(f"same texts: {same} of {len(put)}; ratio {ratios}")


if __name__ == "__main__":
    main()
