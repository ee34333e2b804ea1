"""How many requests a second the asking of a served model manages, the store included.

    python benchmarks/ask.py [--requests 5000] [--concurrency 64] [--rounds 3]

A stub in another process answers at once over loopback, so what is measured is our side: building
requests, the official client, reading replies, and storing each before it counts. Beside it, in
alternation, the official client alone at the same concurrency, its retries and its typed replies
included, with nothing stored: what one would write by hand. Prints requests/s and CPU ms a request
(of the asking process) for each round, the ratio, and the versions.
"""

from __future__ import annotations

import argparse
import asyncio
import importlib.metadata
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from residency.answers import Budget, Request, ask
from residency.served import Endpoint, write_endpoint

STUB = Path(__file__).parents[1] / "tests/served.py"
PASSAGE = (
    "The kidneys filter the blood, and the liver stores sugar and breaks down what harms. " * 20
)
SCHEMA = {
    "type": "object",
    "properties": {
        "stem": {"type": "string"},
        "options": {"type": "array", "items": {"type": "string"}, "minItems": 5},
        "answer": {"type": "integer"},
        "quote": {"type": "string"},
    },
    "required": ["stem", "options", "answer", "quote"],
    "additionalProperties": False,
}


def requests(number: int, seed: int) -> list[Request]:
    """Requests of about the size of a question writer's."""
    return [
        Request(
            system="Write one exam question from the passage.",
            user=f"Passage {each}\n{PASSAGE}",
            schema=SCHEMA,
            temperature=0.7,
            max_tokens=800,
            seed=seed,
        )
        for each in range(number)
    ]


def ours(url: str, number: int, seed: int, folder: Path) -> None:
    """As a step asks: budget, pace, store."""
    model = folder / "model"
    model.mkdir(exist_ok=True)
    endpoint = Endpoint(
        url=url,
        model="stub",
        key=None,
        price=None,
        format="schema",
        limit="max_tokens",
        temperature="told",
    )
    write_endpoint(endpoint, model)
    replies = ask(model, requests(number, seed), Budget())
    assert len(replies) == number
    assert all(replies)


def bare(url: str, number: int, seed: int, concurrency: int) -> None:
    """The official client alone."""
    import openai

    async def all_of_them() -> None:
        client = openai.AsyncOpenAI(base_url=url, api_key="none")
        gate = asyncio.Semaphore(concurrency)

        async def one(request: Request) -> None:
            async with gate:
                told = {"name": "reply", "strict": True, "schema": request.schema}
                reply = await client.chat.completions.create(
                    model="stub",
                    messages=[
                        {"role": "system", "content": request.system},
                        {"role": "user", "content": request.user},
                    ],
                    response_format={"type": "json_schema", "json_schema": told},
                    temperature=0.7,
                    max_tokens=800,
                    seed=request.seed,
                )
                assert reply.choices[0].message.content

        await asyncio.gather(*map(one, requests(number, seed)))
        await client.close()

    asyncio.run(all_of_them())


def timed(what: Callable[[], None], number: int) -> float:
    """Requests/s; printed with CPU ms a request."""
    wall, cpu = time.perf_counter(), time.process_time()
    what()
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    print(f"{number / wall:7.0f} requests/s  {1000 * cpu / number:6.2f} CPU ms", flush=True)
    return number / wall


def main() -> None:
    """Measure both in alternation."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--requests", type=int, default=5000)
    parser.add_argument("--concurrency", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=3)
    told = parser.parse_args()
    os.environ["RESIDENCY_CONCURRENCY"] = str(told.concurrency)
    names = ["openai", "httpx2", "anyio", "orjson"]
    print(" ".join(f"{name} {importlib.metadata.version(name)}" for name in names))
    with (
        tempfile.TemporaryDirectory() as folder,
        subprocess.Popen([sys.executable, STUB], stdout=subprocess.PIPE, text=True) as stub,
    ):
        try:
            assert stub.stdout
            url = stub.stdout.readline().strip()
            os.environ["RESIDENCY_WORK"] = folder
            bare(url, 100, 0, told.concurrency)  # imports, and the first connections
            ratios, count = [], told.requests
            for seed in range(1, told.rounds + 1):
                print("with budget, pace and store:", end=" ")
                mine = timed(partial(ours, url, count, seed, Path(folder)), count)
                print("the official client alone:  ", end=" ")
                its = timed(partial(bare, url, count, seed, told.concurrency), count)
                ratios.append(mine / its)
        finally:
            stub.terminate()
        print("ratio of the two:", " ".join(f"{each:.2f}" for each in ratios))


if __name__ == "__main__":
    main()
