"""A stub of an OpenAI-compatible server, and a proxy that misbehaves by a seeded plan.

    python tests/served.py          the stub; prints its address

    with stub() as server: ...                  answers at once, by the schema asked for
    with proxy(server.url, seed=0) as faulty:   the same server behind drops, delays, garbled bodies
                                                and rate limits

Both run in threads of their own and speak HTTP/1.1 with connections that stay open.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import random
import re
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from email.utils import formatdate
from typing import Any

Answer = Callable[[dict[str, Any]], "str | Response"]


@dataclass(frozen=True, kw_only=True)
class Response:
    """A whole HTTP response, where the text of a reply is not enough."""

    body: bytes | str | dict[str, Any]
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    delay: float = 0.0


@dataclass(kw_only=True)
class Served:
    """A running server and what it was asked."""

    url: str
    asked: list[dict[str, Any]] = field(default_factory=list)  # bodies, in order of arrival
    headers: list[dict[str, str]] = field(default_factory=list)
    times: list[float] = field(default_factory=list)  # of time.monotonic
    faults: Counter[str] = field(default_factory=Counter)
    under_way: int = 0
    most_under_way: int = 0

    def users(self) -> Counter[str]:
        """How often each user's message was asked."""
        return Counter(body["messages"][-1]["content"] for body in self.asked)


def instance(schema: dict[str, Any], chance: random.Random) -> Any:
    """A value of a JSON schema as writers and judges use them."""
    if "const" in schema:
        return schema["const"]
    if "enum" in schema:
        return chance.choice(schema["enum"])
    if "anyOf" in schema:
        return instance(schema["anyOf"][0], chance)
    kind = schema.get("type", "string")
    if kind == "object":
        return {name: instance(each, chance) for name, each in schema["properties"].items()}
    if kind == "array":
        least = schema.get("minItems", 1)
        return [instance(schema["items"], chance) for _ in range(least)]
    if kind == "integer":
        return chance.randint(schema.get("minimum", 0), schema.get("maximum", 3))
    if kind == "number":
        return round(chance.uniform(schema.get("minimum", 0), schema.get("maximum", 1)), 3)
    if kind == "boolean":
        return chance.random() < 0.5
    words = [f"{chance.getrandbits(32):08x}" for _ in range(3)]
    return " ".join(words)


def canned(body: dict[str, Any]) -> str:
    """A reply that depends on the request alone, and satisfies its schema."""
    said = json.dumps(body, sort_keys=True)
    chance = random.Random(hashlib.sha256(said.encode()).digest())
    told = body.get("response_format") or {}
    schema = (told.get("json_schema") or {}).get("schema") or told.get("schema")
    return json.dumps(instance(schema, chance)) if schema else f"reply {chance.getrandbits(32):08x}"


def completion(body: dict[str, Any], text: str) -> dict[str, Any]:
    """The body of a chat completion."""
    prompt = sum(len(turn["content"].split()) for turn in body["messages"])
    reply = len(text.split())
    return {
        "id": "stub",
        "object": "chat.completion",
        "created": 0,
        "model": body["model"] + "-stub",
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": text},
                "finish_reason": "stop",
            }
        ],
        "usage": {
            "prompt_tokens": prompt,
            "completion_tokens": reply,
            "total_tokens": prompt + reply,
        },
    }


def rendered(response: Response) -> bytes:
    """A response as it goes over the wire."""
    body = response.body if isinstance(response.body, str | bytes) else json.dumps(response.body)
    content = body.encode() if isinstance(body, str) else body
    headers = {"Content-Type": "application/json", **response.headers}
    headers.setdefault("Content-Length", str(len(content)))
    lines = [f"HTTP/1.1 {response.status} Said", *(f"{k}: {v}" for k, v in headers.items())]
    return "\r\n".join([*lines, "", ""]).encode() + content


class _Stub(asyncio.Protocol):
    """One connection; requests on it follow one another."""

    def __init__(self, served: Served, answer: Answer) -> None:
        self.served, self.answer = served, answer
        self.buffer = bytearray()
        self.transport: Any = None

    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        while (end := self.buffer.find(b"\r\n\r\n")) >= 0:
            head = self.buffer[:end].decode("latin-1")
            found = re.search(r"content-length: *(\d+)", head, re.IGNORECASE)
            length = int(found[1]) if found else 0
            if len(self.buffer) < end + 4 + length:
                return
            content = bytes(self.buffer[end + 4 : end + 4 + length])
            del self.buffer[: end + 4 + length]
            self.respond(head, content)

    def respond(self, head: str, content: bytes) -> None:
        served = self.served
        if not content:
            self.transport.write(rendered(Response(body={"error": "only POST"}, status=405)))
            return
        body = json.loads(content)
        fields = (line.partition(": ") for line in head.split("\r\n")[1:])
        served.headers.append({name.lower(): value for name, _, value in fields})
        served.asked.append(body)
        served.times.append(time.monotonic())
        served.under_way += 1
        served.most_under_way = max(served.most_under_way, served.under_way)
        told = self.answer(body)
        response = told if isinstance(told, Response) else Response(body=completion(body, told))
        if response.delay:
            asyncio.get_running_loop().call_later(response.delay, self.write, response)
        else:
            self.write(response)

    def write(self, response: Response) -> None:
        self.served.under_way -= 1
        if not self.transport.is_closing():
            self.transport.write(rendered(response))


@contextmanager
def stub(answer: Answer = canned, port: int = 0) -> Iterator[Served]:
    """A server that answers at once."""
    served = Served(url="")

    async def listen() -> asyncio.Server:
        loop = asyncio.get_running_loop()
        return await loop.create_server(lambda: _Stub(served, answer), "127.0.0.1", port)

    with _running(listen) as at:
        served.url = f"http://127.0.0.1:{at}/v1"
        yield served


@contextmanager
def _running(listen: Callable[[], Coroutine[Any, Any, asyncio.Server]]) -> Iterator[int]:
    """A server in a thread of its own; its port."""
    loop = asyncio.new_event_loop()
    server = loop.run_until_complete(listen())
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    try:
        yield server.sockets[0].getsockname()[1]
    finally:

        async def close() -> None:
            server.close()
            tasks = [each for each in asyncio.all_tasks() if each is not asyncio.current_task()]
            for each in tasks:
                each.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

        asyncio.run_coroutine_threadsafe(close(), loop).result(10)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        loop.close()


FAULTS = {
    "drop": 0.05,  # closed before the request is passed on
    "lose": 0.05,  # passed on, but the reply never comes back
    "delay": 0.10,
    "cut": 0.05,  # the connection ends within the reply
    "garble": 0.05,  # whole, but not JSON
    "empty": 0.03,  # JSON without choices
    "html": 0.02,
    "limit": 0.05,  # 429 with Retry-After in seconds
    "until": 0.02,  # 429 with Retry-After as a date
    "busy": 0.03,  # 429 without a word
    "error": 0.03,  # 500
    "away": 0.02,  # 503
}
"""How often each happens, of all attempts."""


@contextmanager
def proxy(
    upstream: str,
    *,
    seed: int,
    faults: dict[str, float] = FAULTS,
    pause: float = 0.05,
    port: int = 0,
) -> Iterator[Served]:
    """A proxy before `upstream`; what happens to an attempt follows from seed, body and number."""
    served = Served(url="")
    attempts: Counter[bytes] = Counter()
    host, upstream_port = re.fullmatch(r"http://([^:/]+):(\d+)/.*", upstream).groups()  # type: ignore[union-attr]

    def fault(content: bytes) -> str | None:
        attempts[content] += 1
        told = b"%d %d " % (seed, attempts[content]) + content
        drawn = random.Random(hashlib.sha256(told).digest()).random()
        for name, share in faults.items():
            if drawn < share:
                return name
            drawn -= share
        return None

    async def one(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            while True:
                head, content = await _message(reader)
                what = fault(content)
                served.faults[what or "none"] += 1
                if what == "drop":
                    break
                said = SAYS.get(what or "")
                if said:
                    later = formatdate(time.time() + 1, usegmt=True)
                    headers = {k: v.replace("LATER", later) for k, v in said.headers.items()}
                    writer.write(
                        rendered(Response(body=said.body, status=said.status, headers=headers))
                    )
                    await writer.drain()
                    continue
                up, down = await asyncio.open_connection(host, int(upstream_port))
                down.write(head + content)
                with suppress(Exception):
                    got, told = await _message(up)
                    down.close()
                    if what == "lose":
                        break
                    if what == "delay":
                        await asyncio.sleep(pause)
                    if what == "garble":
                        told = told[: len(told) // 2] + b"\x00" * (len(told) - len(told) // 2)
                    if what == "cut":
                        told = told[: len(told) // 2]
                    writer.write(got + told)
                    await writer.drain()
                    if what != "cut":
                        continue
                break
        writer.close()

    async def listen() -> asyncio.Server:
        return await asyncio.start_server(one, "127.0.0.1", port)

    with _running(listen) as at:
        served.url = f"http://127.0.0.1:{at}/v1"
        yield served


SAYS = {
    "empty": Response(body={"choices": []}),
    "html": Response(body="<html>Welcome!</html>", headers={"Content-Type": "text/html"}),
    "limit": Response(body={"error": "slow down"}, status=429, headers={"Retry-After": "0"}),
    "until": Response(body={"error": "slow down"}, status=429, headers={"Retry-After": "LATER"}),
    "busy": Response(body={"error": "slow down"}, status=429),
    "error": Response(body="oops", status=500),
    "away": Response(body="", status=503),
}


async def _message(reader: asyncio.StreamReader) -> tuple[bytes, bytes]:
    """Head and body of a message whose length is told."""
    head = await reader.readuntil(b"\r\n\r\n")
    found = re.search(rb"content-length: *(\d+)", head, re.IGNORECASE)
    if found:
        return head, await reader.readexactly(int(found[1]))
    if re.search(rb"transfer-encoding: *chunked", head, re.IGNORECASE):
        body = b""
        while size := int(await reader.readline(), 16):
            body += await reader.readexactly(size)
            await reader.readline()
        await reader.readline()
        head = re.sub(rb"(?i)transfer-encoding: *chunked", b"Content-Length: %d" % len(body), head)
        return head, body
    return head, b""


if __name__ == "__main__":
    with stub(port=int(sys.argv[1]) if sys.argv[1:] else 0) as running:
        print(running.url, flush=True)
        threading.Event().wait()
