"""A file is fetched once, and whatever the server does, it is the declared one or a complaint."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from residency import fetch
from residency.fetch import fetched
from residency.section import Complaint, Setback

BOOK = b"".join(b"line %d of the book\n" % number for number in range(50_000))
DIGEST = hashlib.sha256(BOOK).hexdigest()
MOST = 10**7

Answer = Callable[["Handler", int], None]


class Server(ThreadingHTTPServer):
    """A local server whose answer to a GET is a function of the test's."""

    answer: Answer
    ranges: list[str | None]  # what each request asked for

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/book.txt"


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        asked = self.headers["Range"]
        self.server.ranges.append(asked)
        start = int(asked.removeprefix("bytes=").removesuffix("-")) if asked else 0
        self.server.answer(self, start)

    def log_message(self, *_: object) -> None:
        pass

    def say(self, status: int, body: bytes, length: int | None = None, **headers: str) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body) if length is None else length))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)
        self.close_connection = True


def honest(handler: Handler, start: int, most: int = len(BOOK)) -> None:
    """Answer ranges truly, and cut off after `most` bytes."""
    body, rest = BOOK[start : start + most], len(BOOK) - start
    if start >= len(BOOK):
        handler.say(416, b"", Content_Range=f"bytes */{len(BOOK)}")
    elif start:
        span = f"bytes {start}-{len(BOOK) - 1}/{len(BOOK)}"
        handler.say(206, body, rest, Content_Range=span)
    else:
        handler.say(200, body, rest)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setattr(fetch, "PAUSE", 0.0)
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with Server(("127.0.0.1", 0), Handler) as server:
        server.answer, server.ranges = honest, []
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def test_a_file_is_fetched_once(server: Server, tmp_path: Path) -> None:
    path = fetched(server.url, DIGEST, tmp_path / "raw", MOST)
    assert path == tmp_path / "raw" / DIGEST
    assert path.read_bytes() == BOOK
    assert fetched(server.url, DIGEST, tmp_path / "raw", MOST) == path
    assert server.ranges == [None]
    assert [each.name for each in path.parent.iterdir()] == [DIGEST]


def test_a_kept_file_that_was_changed_is_fetched_anew(server: Server, tmp_path: Path) -> None:
    (tmp_path / DIGEST).write_bytes(BOOK[1:])
    assert fetched(server.url, DIGEST, tmp_path, MOST).read_bytes() == BOOK


def test_what_is_cut_off_is_resumed(server: Server, tmp_path: Path) -> None:
    server.answer = lambda handler, start: honest(handler, start, 300_000)
    assert fetched(server.url, DIGEST, tmp_path, MOST).read_bytes() == BOOK
    assert server.ranges == [None, *(f"bytes={n}-" for n in range(300_000, len(BOOK), 300_000))]


def test_a_later_run_goes_on_where_an_earlier_one_ended(server: Server, tmp_path: Path) -> None:
    def dying(handler: Handler, start: int) -> None:
        honest(handler, start, 0 if start else 300_000)

    server.answer = dying
    with pytest.raises(Complaint) as caught:
        fetched(server.url, DIGEST, tmp_path, MOST)
    for words in [server.url, DIGEST, "300000 bytes", "run again"]:
        assert words in str(caught.value)
    assert server.ranges == [None] + ["bytes=300000-"] * fetch.TRIES
    server.answer = honest
    assert fetched(server.url, DIGEST, tmp_path, MOST).read_bytes() == BOOK
    assert server.ranges[-1] == "bytes=300000-"


def test_a_partial_file_that_is_whole_already_is_taken(server: Server, tmp_path: Path) -> None:
    (tmp_path / f"{DIGEST}.partial").write_bytes(BOOK)
    assert fetched(server.url, DIGEST, tmp_path, MOST).read_bytes() == BOOK
    assert server.ranges == [f"bytes={len(BOOK)}-"]


def test_a_partial_file_of_something_else_is_started_over(server: Server, tmp_path: Path) -> None:
    (tmp_path / f"{DIGEST}.partial").write_bytes(b"x" * 1000)
    assert fetched(server.url, DIGEST, tmp_path, MOST).read_bytes() == BOOK
    assert server.ranges == ["bytes=1000-", None]


def test_a_server_that_ignores_ranges_is_read_from_the_start(
    server: Server, tmp_path: Path
) -> None:
    cuts = iter([400_000, 600_000, len(BOOK)])
    server.answer = lambda handler, _: handler.say(200, BOOK[: next(cuts)], len(BOOK))
    assert fetched(server.url, DIGEST, tmp_path, MOST).read_bytes() == BOOK
    assert len(server.ranges) == 3


def test_a_server_that_answers_another_range_is_not_believed(
    server: Server, tmp_path: Path
) -> None:
    def shifted(handler: Handler, start: int) -> None:
        if start:
            span = f"bytes {start - 5}-{len(BOOK) - 1}/{len(BOOK)}"
            handler.say(206, BOOK[start - 5 :], Content_Range=span)
        else:
            honest(handler, 0, 300_000 if len(server.ranges) == 1 else len(BOOK))

    server.answer = shifted
    assert fetched(server.url, DIGEST, tmp_path, MOST).read_bytes() == BOOK
    assert server.ranges == [None, "bytes=300000-", None]


@pytest.mark.parametrize(
    ("body", "length"),
    [(BOOK.upper(), len(BOOK)), (BOOK, 500_000), (BOOK + b"more", len(BOOK) + 4)],
    ids=["content", "too short", "too long"],
)
def test_a_server_that_lies_is_found_out(
    server: Server, tmp_path: Path, body: bytes, length: int
) -> None:
    server.answer = lambda handler, _: handler.say(200, body[:length], length)
    with pytest.raises(Complaint) as caught:
        fetched(server.url, DIGEST, tmp_path, MOST)
    for words in [server.url, DIGEST, hashlib.sha256(body[:length]).hexdigest()]:
        assert words in str(caught.value)
    assert not (tmp_path / DIGEST).exists()
    assert len(server.ranges) == 2


def test_a_server_that_is_busy_is_asked_again(server: Server, tmp_path: Path) -> None:
    def busy(handler: Handler, start: int) -> None:
        if len(server.ranges) < 3:
            handler.say(503, b"busy")
        else:
            honest(handler, start)

    server.answer = busy
    assert fetched(server.url, DIGEST, tmp_path, MOST).read_bytes() == BOOK


def test_what_is_not_there_is_asked_for_once(server: Server, tmp_path: Path) -> None:
    server.answer = lambda handler, _: handler.say(404, b"gone")
    with pytest.raises(Complaint, match="says 404"):
        fetched(server.url, DIGEST, tmp_path, MOST)
    assert len(server.ranges) == 1


def test_a_server_that_never_ends_is_stopped(server: Server, tmp_path: Path) -> None:
    server.answer = lambda handler, _: handler.say(200, bytes(2_000_000), 10**12)
    with pytest.raises(Complaint, match=r"larger than 1000000 bytes"):
        fetched(server.url, DIGEST, tmp_path, 1_000_000)
    assert (tmp_path / f"{DIGEST}.partial").stat().st_size == 0


def test_no_server_at_all_is_a_complaint(server: Server, tmp_path: Path) -> None:
    url = "http://127.0.0.1:9/book.txt"
    assert server.url != url
    with pytest.raises(Setback, match="not fetched"):
        fetched(url, DIGEST, tmp_path, MOST)


def test_two_processes_that_want_one_file_fetch_it_once(server: Server, tmp_path: Path) -> None:
    def get() -> None:
        fetched(server.url, DIGEST, tmp_path, MOST)

    threads = [threading.Thread(target=get) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert server.ranges == [None]
    assert (tmp_path / DIGEST).read_bytes() == BOOK
