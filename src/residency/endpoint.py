"""endpoint: ask a served model, through the official client; a good citizen of its API.

    admitted in order, by the budget ─> paced ─> sent ─┬─> reply ─> store, flushed ─> the result
                                          ^            ├─> 429, 5xx, time-out, cut off, garbled
                                          └── waits ───┘     (again, until patience ends)
                                                       ├─> this request only: Refused
                                                       └─> key, address, quota: Complaint

The client's own retries are off: here all requests obey what the server said to one. How many are
under way, how often, and how long each may take is no part of an artifact's identity; a profile or
the environment says it: RESIDENCY_CONCURRENCY, RESIDENCY_REQUESTS_PER_MINUTE and
RESIDENCY_REQUEST_SECONDS.
"""

from __future__ import annotations

import asyncio
import email.utils
import json
import os
import random
import re
import sys
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any

import orjson

from residency.answers import (
    NOTHING,
    SHOWN,
    Budget,
    Cost,
    Refused,
    Request,
    cost,
    identified,
    key,
    whole,
)
from residency.replies import Answer, Store
from residency.section import Complaint, Setback
from residency.served import Endpoint
from residency.step import setting

VARIABLES = ("concurrency", "requests_per_minute", "request_seconds")
"""The settings, as a profile names them; in the environment RESIDENCY_<NAME>."""

FRAME = 256
"""Tokens that a server may put around our text: the template's, and a system turn of its own."""

PATIENCE, STRANGE = 600.0, 60.0
"""Seconds without one good reply after which a server is given up, and one that never answered;
what it asks to wait is added."""

LONGEST_WAIT = 3600.0
"""Seconds that a server may ask to wait."""

TRIES = 12
"""Of one request, if others are answered; the server then is not away, it cannot answer this."""

PROBE = "Hello"
"""What is asked, in the form of a request that keeps failing, where nothing else is."""

FIRST, MOST = 0.5, 60.0
"""Seconds: upper bounds of the pause after the first failure, and after any."""

DOUBTS = 4
"""Requests that may be refused before the first reply, until the cause is sought in all of them."""

SECRET = 8
"""Characters from which on a key is looked for in replies; shorter ones are placeholders."""

COUNTED = 1 << 53
"""Tokens that a server cannot have counted; the store could not hold some of such numbers."""

EVERY = 60.0
"""Seconds between two lines about how far the asking is."""

INSTEAD = "Answer with one JSON value that satisfies this JSON schema, and with nothing else:"
"""What stands before a schema that only the prompt can tell."""


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What the environment says of how to ask."""

    concurrency: int
    spacing: float  # seconds from one request to the next
    seconds: float  # of one request, from its first byte sent to the reply's last


def settings() -> Settings:
    """The environment's variables. Raises Complaint for a value that makes no sense."""
    minute = setting("REQUESTS_PER_MINUTE", 1, 10_000_000)
    return Settings(
        concurrency=setting("CONCURRENCY", 1, 4096) or 16,
        spacing=60 / minute if minute else 0.0,
        seconds=setting("REQUEST_SECONDS", 1, 86_400) or 300,
    )


def identity(endpoint: Endpoint) -> str:
    """What of an endpoint shapes its replies: neither the key nor the price."""
    told = {"url": endpoint.url, "model": endpoint.model}
    told |= {"format": endpoint.format, "limit": endpoint.limit}
    return identified(told | ({"temperature": "own"} if endpoint.temperature == "own" else {}))


def most(endpoint: Endpoint, request: Request) -> Cost:
    """The most that a request can cost: a token is a byte or more."""
    return cost(_most_prompt(request), request.max_tokens, endpoint.price)


def _most_prompt(request: Request) -> int:
    texts = [request.system, request.user, *(each for turn in request.earlier for each in turn)]
    told = json.dumps(request.schema) if request.schema else ""
    frames = FRAME * (1 + len(request.earlier))
    return sum(len(each.encode()) for each in texts) + len(told) + frames


def answered(
    endpoint: Endpoint, requests: Sequence[Request], budget: Budget, store: Store
) -> list[Answer | Refused]:
    """The answers to the requests from the first on, as far as the budget reaches.

    Raises Complaint where the key, the address or the model is wrong, or the server stays away.
    """
    return asyncio.run(_Asking(endpoint, requests, budget, store).all())


class _Again(Exception):
    """A failure that may pass: what happened, and what the server asks to wait."""

    def __init__(self, what: str, wait: float | None = None, *, busy: bool = False) -> None:
        super().__init__(what)
        self.wait = wait
        self.busy = busy  # all requests are to wait


class _No(Exception):
    """The server's refusal of one request."""


class _Pace:
    """When the next request may be sent; what one is told, all obey.

    A busy server (429, 503) halves how many may be under way, at most once a pause; each full
    round of good replies allows one more (additive increase, multiplicative decrease: Chiu and
    Jain 1989).
    """

    def __init__(self, told: Settings) -> None:
        self.told = told
        self.window = float(told.concurrency)
        self.under_way = 0
        self.not_before = 0.0  # of time.monotonic
        self.last_good = time.monotonic()
        self.waited = 0.0  # as the server asked, since the last good reply
        self.over = asyncio.Event()
        self._left = asyncio.Event()

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """Wait until a request may be sent, and count it as under way."""
        while not self.over.is_set():
            if (wait := self.not_before - time.monotonic()) > 0:
                await self.sleep(wait)
            elif self.under_way >= int(self.window):
                self._left.clear()
                await self._left.wait()
            else:
                break
        self.under_way += 1
        if self.told.spacing:
            self.not_before = max(self.not_before, time.monotonic() + self.told.spacing)
        try:
            yield
        finally:
            self.under_way -= 1
            self._left.set()

    async def sleep(self, seconds: float) -> None:
        """Sleep, but not beyond the end of it all."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self.over.wait()

    def stop(self) -> None:
        """Nobody is to wait any longer."""
        self.over.set()
        self._left.set()

    def good(self) -> None:
        """A reply came."""
        self.last_good, self.waited = time.monotonic(), 0.0
        if self.window < self.told.concurrency:
            self.window = min(self.told.concurrency, self.window + 1 / self.window)

    def busy(self, wait: float) -> None:
        """The server is busy: all wait so long, and are fewer afterwards."""
        now = time.monotonic()
        if self.not_before < now:
            self.window = max(1.0, self.window / 2)
        until = max(self.not_before, now + wait)
        self.waited = min(LONGEST_WAIT, self.waited + until - max(self.not_before, now))
        self.not_before = until

    def gone(self, patience: float) -> bool:
        """Whether the server has stayed away for longer than that."""
        return time.monotonic() - self.last_good > patience + self.waited


class _Asking:
    """One call: its requests, what became of each, and what all have in common."""

    def __init__(
        self, endpoint: Endpoint, requests: Sequence[Request], budget: Budget, store: Store
    ) -> None:
        self.endpoint, self.requests, self.budget, self.store = endpoint, requests, budget, store
        self.of = identity(endpoint)
        self.keys = [key(self.of, request) for request in requests]
        self.most = [most(endpoint, request) for request in requests]
        self.results: dict[str, Answer | Refused] = {}
        self.next = 0  # of the requests
        self.begun: set[str] = set()
        self.admission = asyncio.Lock()
        self.settled = asyncio.Event()
        self.told = settings()
        self.pace = _Pace(self.told)
        self.secret = ""
        self.client: Any = None
        self.headers: dict[str, Any] = {}
        self.arrived: asyncio.Queue[tuple[Answer, asyncio.Future[None]] | None] = asyncio.Queue()
        self.failure: Complaint | None = None
        self.good = 0  # replies that came
        self.known = store.knows(self.of)  # the endpoint has answered, now or earlier
        self.doubts = 0  # requests refused while it had not
        self.refusal = ""
        self.trying = 0  # workers whose request is not decided
        self.news = asyncio.Event()
        self.warned: set[str] = set()
        self.shown_at = time.monotonic()

    async def all(self) -> list[Answer | Refused]:
        """Ask all that are admitted; the answers as far as the budget reaches."""
        keeper = asyncio.create_task(self._keep())
        try:
            async with asyncio.TaskGroup() as workers:
                for _ in range(min(self.told.concurrency, len(self.requests))):
                    workers.create_task(self._work())
        except BaseExceptionGroup as errors:
            raise errors.exceptions[0] from None
        finally:
            self.arrived.put_nowait(None)
            await keeper
            if self.client:
                await self.client.close()
        if self.doubts and not self.known:
            self._fail(self._refuses())
        if self.failure:
            raise self.failure
        return [self.results[each] for each in self.keys[: self.next]]

    async def _work(self) -> None:
        while (number := await self._admitted()) is not None:
            self.trying += 1
            try:
                await self._one(number)
            except Complaint as complaint:
                self._fail(complaint)
            finally:
                self.trying -= 1
                self.news.set()

    def _fail(self, failure: Complaint) -> None:
        """Nothing is sent from now on; what is under way is waited for, and stored."""
        self.failure = self.failure or failure
        self.pace.stop()
        self.settled.set()
        self.news.set()

    async def _admitted(self) -> int | None:
        """The next request to send, its most held back; None where there is none."""
        async with self.admission:
            while self.next < len(self.requests) and not self.failure:
                number, name = self.next, self.keys[self.next]
                stored = self.store.get(name)
                if name in self.begun or (stored and name in self.budget.charged):
                    if stored and name not in self.begun:
                        self.results[name] = stored
                    self.next += 1
                    continue
                ceiling = self.most[number]
                if not self.budget.fits(ceiling):
                    if self.budget.idle:
                        self.budget.stopped = True
                        return None
                    self.settled.clear()
                    await self.settled.wait()
                    continue
                self.next += 1
                self.begun.add(name)
                self.budget.charged.add(name)
                self.budget.hold(ceiling)
                if stored is None:
                    return number
                self._settle(number, stored)
        return None

    def _settle(
        self, number: int, result: Answer | Refused | None, paid: Answer | None = None
    ) -> None:
        """A request is decided, or came to nothing; `paid`: what was answered in its stead."""
        actual, paid = NOTHING, result if isinstance(result, Answer) else paid
        if paid:
            actual = cost(paid.prompt_tokens, paid.reply_tokens, self.endpoint.price)
        if result:
            self.results[self.keys[number]] = result
        self.budget.settle(self.most[number], actual)
        self.settled.set()

    async def _one(self, number: int) -> None:
        """Ask one request until it is decided, or all have failed."""
        tries, good, seconds = 0, self.good, 0.0
        if self.client is None:
            self.client = self._client()
        while True:
            try:
                async with self.pace.turn():
                    if self.failure:
                        return
                    begun = time.monotonic()
                    answer = await self._tried(self.requests[number], self.keys[number])
                break
            except _No as no:
                self.refusal = str(no)
                if await self._only_this():
                    self._settle(number, self._refused(number, "request refused", str(no)))
                return
            except _Again as again:
                tries, seconds = tries + 1, seconds + time.monotonic() - begun
                if tries >= TRIES or seconds > PATIENCE:
                    lively = self.good - good >= TRIES
                    probed = None if lively else await self._probed(number)
                    if lively or probed:
                        no_reply = self._refused(number, "no reply", str(again))
                        self._settle(number, no_reply, probed)
                        return
                if self.pace.gone(PATIENCE if self.known else STRANGE):
                    raise self._away(str(again)) from None
                await self._pause(again, tries)
        kept = asyncio.get_running_loop().create_future()
        self.arrived.put_nowait((answer, kept))
        try:
            await kept
        except Complaint:
            self._settle(number, None, answer)
            raise
        self.known = True
        self.good += 1
        self.pace.good()
        self.news.set()
        self._settle(number, answer)
        self._tell()

    async def _probed(self, number: int) -> Answer | None:
        """The reply to a question of no weight in a request's form; None where none comes."""
        probe = replace(self.requests[number], system="", user=PROBE)
        with suppress(_Again, _No):
            async with self.pace.turn():
                if not self.failure:
                    answer = await self._tried(probe, self.keys[number])
                    self.known = True
                    self.pace.good()
                    return answer
        return None

    async def _only_this(self) -> bool:
        """Whether a refusal concerns one request alone, which a reply to another one shows.

        Raises Complaint once there is nothing left that could show it.
        """
        self.doubts += not self.known
        if self.known or self.doubts < DOUBTS:
            return True
        self.trying -= 1
        try:
            while not self.known and not self.failure:
                if self.trying == 0:
                    raise self._refuses()
                self.news.clear()
                await self.news.wait()
        finally:
            self.trying += 1
        return not self.failure

    async def _pause(self, again: _Again, tries: int) -> None:
        """Exponential back-off with full jitter (Brooker 2015), or what the server asks for."""
        wait = again.wait
        if wait is None:
            # Pauses are no part of any result.
            wait = random.uniform(0, min(MOST, FIRST * 2 ** (tries - 1)))
        if wait > LONGEST_WAIT:
            raise Setback(
                f"{self.endpoint.url}: asks to wait {wait:.0f} seconds ({again}); {self._go_on()}"
            )
        if again.busy:
            self.pace.busy(wait)
        else:
            await self.pace.sleep(wait)

    async def _keep(self) -> None:
        """Store what arrives, as much at once as has come; then hand it on."""
        while (first := await self.arrived.get()) is not None:
            batch, last = [first], False
            while not self.arrived.empty() and not last:
                item = self.arrived.get_nowait()
                last = item is None
                if item is not None:
                    batch.append(item)
            try:
                await asyncio.to_thread(self.store.keep, [answer for answer, _ in batch])
            except Exception as error:  # each of them waits to be told
                complaint = error if isinstance(error, Complaint) else self._unstored(error)
                for _, kept in batch:
                    if not kept.done():
                        kept.set_exception(complaint)
            for _, kept in batch:
                if not kept.done():
                    kept.set_result(None)
            if last:
                return

    async def _tried(self, request: Request, name: str) -> Answer:
        """Send a request once. Raises _Again, _No or Complaint."""
        import httpx2
        import openai

        asked_at, started = datetime.now(UTC), time.perf_counter()
        try:
            async with asyncio.timeout(self.told.seconds):
                response = await self.client.post(
                    "/chat/completions",
                    cast_to=httpx2.Response,
                    body=_sent(self.endpoint, request),
                    options={"headers": self.headers},
                )
        except TimeoutError:
            raise _Again(f"no reply in {self.told.seconds:g} seconds") from None
        except openai.APIStatusError as error:
            raise self._status(
                error.status_code, error.response.text, error.response.headers
            ) from None
        except openai.APIConnectionError as error:
            what = self._clean(f"{error.__cause__ or error}") or type(error.__cause__).__name__
            if "CERTIFICATE_VERIFY_FAILED" in what:
                raise Complaint(
                    f"{self.endpoint.url}: its certificate is not trusted here ({what}); name the "
                    "authority's file in SSL_CERT_FILE, or check the address"
                ) from None
            raise _Again(what) from None
        return self._read(response.content, request, name, asked_at, time.perf_counter() - started)

    def _client(self) -> Any:
        """The official client, with the key out of the environment."""
        import openai

        name = self.endpoint.key
        if name is not None:
            self.secret = os.environ.get(name, "").strip()
            if not self.secret:
                raise Complaint(
                    f"{self.endpoint.url}: its key is to be in the environment variable {name}, "
                    f"which is not set; set it in the shell that starts the build "
                    "(not in a file of the project)"
                )
            if not re.fullmatch("[!-~]+", self.secret):
                raise Complaint(
                    f"{self.endpoint.url}: the key in the environment variable {name} has a space "
                    "or a character beyond ASCII within; copy it anew"
                )
        if not self.secret:
            self.headers = {"Authorization": openai.Omit()}
        bound = openai.DefaultAioHttpClient(
            timeout=None,  # of the whole request, in _tried
            follow_redirects=False,  # a key goes to the declared address alone
            limits=_limits(self.told.concurrency),
        )
        return openai.AsyncOpenAI(
            base_url=self.endpoint.url,
            api_key=self.secret or "none",
            max_retries=0,
            http_client=bound,
        )

    def _status(self, status: int, body: str, headers: Mapping[str, str]) -> Exception:
        """What an HTTP status means for a request, or for all."""
        words = self._clean(_words(body))
        what = f"{status} {_phrase(status)}" + (f": {words}" if words else "")
        place, name = self.endpoint.url, self.endpoint.key
        if status == 401:
            cure = (
                f"the key in the environment variable {name} is not accepted"
                if name
                else "it wants a key; put it into an environment variable and name that in `key`"
            )
            return Complaint(f"{place}: {cure} ({status} {_phrase(status)}); {self._go_on()}")
        if status == 402 or (status == 429 and "insufficient_quota" in body):
            return Complaint(f"{place}: the account is empty ({what}); {self._go_on()}")
        if status in (403, 405):
            return Complaint(
                f"{place}: refuses ({what}); check the address, and what the key in "
                f"{name or '(none is declared)'} may do; {self._go_on()}"
            )
        if status == 404:
            return Complaint(
                f"{place}: has no model {self.endpoint.model!r}, or no /chat/completions at this "
                f"address ({what}); an address ends with the API's version, often /v1; "
                f"{self._go_on()}"
            )
        if status in (408, 409, 425, 429) or status >= 500:
            wait = retry_after(headers)
            return _Again(what, wait, busy=status == 429 or wait is not None)
        if 300 <= status < 400:
            return Complaint(
                f"{place}: sends elsewhere ({what}), and a key goes to the declared address alone; "
                "declare the address that answers"
            )
        return _No(what)

    def _read(
        self, content: bytes, request: Request, name: str, asked_at: datetime, seconds: float
    ) -> Answer:
        """A reply's body as an answer. Raises _Again where it is not what was agreed."""
        body = _parsed(content)
        told = body.get("error")
        if isinstance(told, dict) and not body.get("choices"):
            # Some services say so with status 200.
            code = told.get("code")
            if isinstance(code, int) and 400 <= code < 600:
                raise self._status(code, content.decode(errors="replace"), {})
            raise _Again(self._clean(_words(content.decode(errors="replace"))))
        try:
            choice = body["choices"][0]
            message, finish = choice["message"], choice["finish_reason"] or "unknown"
            refusal, text = message.get("refusal"), message["content"]
        except (KeyError, IndexError, TypeError, AttributeError):
            raise _Again("a reply without the fields of a chat completion") from None
        if not isinstance(finish, str) or not isinstance(text, str | None):
            raise _Again("a reply whose fields have other types than a chat completion's")
        if isinstance(refusal, str) and refusal and not text:
            text, finish = refusal, "refusal"
        text = self._keyless(text or "")
        if self.endpoint.format == "text" and request.schema:
            text = _unfenced(text)
        prompt, reply, estimated = _usage(body.get("usage"), request)
        if estimated:
            self._warn("tells no tokens; they are estimated from above")
        return Answer(
            key=name,
            of=self.of,
            text=text,
            prompt_tokens=prompt,
            reply_tokens=reply,
            estimated=estimated,
            finish=self._keyless(finish),
            model=self._keyless(str(body.get("model") or self.endpoint.model)),
            asked_at=asked_at.isoformat(timespec="seconds").replace("+00:00", "Z"),
            seconds=round(seconds, 3),
        )

    def _refused(self, number: int, reason: str, detail: str) -> Refused:
        return Refused(reason=reason, detail=detail, key=self.keys[number])

    def _refuses(self) -> Complaint:
        return Complaint(
            f"{self.endpoint.url}: refuses every request so far ({self.refusal})"
            f"{self._hint(self.refusal)}"
        )

    def _away(self, what: str) -> Complaint:
        gone = time.monotonic() - self.pace.last_good
        hint = "" if self.known else self._hint(what)
        return Setback(
            f"{self.endpoint.url}: no reply for {gone:.0f} s ({what}){hint}; {self._go_on()}"
        )

    def _unstored(self, error: Exception) -> Complaint:
        return Setback(
            f"{self.store.folder}: a reply cannot be stored ({type(error).__name__}: {error}); "
            f"{self._go_on()}"
        )

    def _hint(self, words: str) -> str:
        """The cure where a server's words tell that it speaks another dialect."""
        if re.search(r"response_format|json_schema|json_object|schema|grammar", words):
            others = [each for each in FORMATS if each != self.endpoint.format]
            return (
                f"; if it cannot be told a JSON schema by `format: {self.endpoint.format}`, "
                f"declare {' or '.join(others)}"
            )
        if re.search(r"max_(completion_)?tokens", words):
            return f"; if it does not know `limit: {self.endpoint.limit}`, declare the other"
        if "temperature" in words and self.endpoint.temperature == "told":
            return "; if it insists on its own temperature, declare `temperature: own`"
        return ""

    def _go_on(self) -> str:
        return (
            f"{len(self.store)} replies are stored in {self.store.folder}; "
            "run the same command again, and it goes on from there"
        )

    def _clean(self, text: str) -> str:
        """A server's words for a message: one line, not long, and without the key."""
        if self.secret:
            text = text.replace(self.secret, "***")
        text = " ".join(_KEYLIKE.sub("***", text).split())
        return whole(text[:SHOWN]) + ("..." if len(text) > SHOWN else "")

    def _keyless(self, text: str) -> str:
        """What a server said, for the store: whole, and without the key."""
        text = whole(text)
        return text.replace(self.secret, "***") if len(self.secret) >= SECRET else text

    def _warn(self, what: str) -> None:
        if what not in self.warned:
            self.warned.add(what)
            print(f"{self.endpoint.url}: {what}", file=sys.stderr)

    def _tell(self) -> None:
        if time.monotonic() - self.shown_at > EVERY:
            self.shown_at = time.monotonic()
            done = f"{len(self.results)} of {len(self.requests)} requests are decided"
            print(f"{self.endpoint.url}: {done}", file=sys.stderr)


FORMATS = ("schema", "object", "text")

_KEYLIKE = re.compile(r"\bsk-[^\s\"',}]+|\bBearer\s+[^\s\"',}]+", re.IGNORECASE)


def _limits(concurrency: int) -> Any:
    import httpx2

    return httpx2.Limits(max_connections=concurrency, max_keepalive_connections=concurrency)


def _sent(endpoint: Endpoint, request: Request) -> dict[str, Any]:
    """The body of a chat completion."""
    system, schema = request.system, request.schema
    sent: dict[str, Any] = {
        "model": endpoint.model,
        "seed": request.seed,
        endpoint.limit: request.max_tokens,
    }
    if request.temperature is not None and endpoint.temperature == "told":
        sent["temperature"] = request.temperature
    if schema and endpoint.format == "schema":
        told = {"name": "reply", "strict": True, "schema": schema}
        sent["response_format"] = {"type": "json_schema", "json_schema": told}
    elif schema and endpoint.format == "object":
        sent["response_format"] = {"type": "json_object", "schema": schema}
    elif schema:
        system = f"{system}\n\n{INSTEAD}\n{json.dumps(schema)}".strip()
    turns = [{"role": "system", "content": system}] if system else []
    for asked, said in request.earlier:
        turns.append({"role": "user", "content": asked})
        turns.append({"role": "assistant", "content": said})
    sent["messages"] = [*turns, {"role": "user", "content": request.user}]
    return sent


def _parsed(content: bytes) -> dict[str, Any]:
    try:
        body = orjson.loads(content)
    except orjson.JSONDecodeError:
        try:
            body = json.loads(content)  # takes half a surrogate pair, as some servers cut them
        except (ValueError, RecursionError):
            raise _Again("a reply that is not JSON") from None
    if not isinstance(body, dict):
        raise _Again("a reply that is not a JSON object")
    return body


def _usage(told: Any, request: Request) -> tuple[int, int, bool]:
    """Tokens of prompt and reply as the server told them; else the most there can be."""
    if isinstance(told, dict):
        prompt, reply = told.get("prompt_tokens"), told.get("completion_tokens")
        numbers = type(prompt) is int and type(reply) is int and (prompt, reply)
        if numbers and 0 <= min(numbers) <= max(numbers) < COUNTED:
            return *numbers, False
    return _most_prompt(request), request.max_tokens, True


def _unfenced(text: str) -> str:
    """The text inside a Markdown fence, where all of it stands in one."""
    fenced = re.fullmatch(r"\s*```\w*\n(.*?)\n?```\s*", text, re.DOTALL)
    return fenced[1] if fenced else text


def _words(body: str) -> str:
    """The message in an error's body, else the body."""
    with suppress(ValueError, RecursionError):
        told = json.loads(body)
        told = told.get("error", told) if isinstance(told, dict) else told
        told = told.get("message", told) if isinstance(told, dict) else told
        return told if isinstance(told, str) else json.dumps(told)
    return body


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return ""


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds that a response asks to wait, told as seconds or as a date (RFC 9110, 10.2.3)."""
    told = headers.get("retry-after", "").strip()
    if re.fullmatch(r"\d+(\.\d*)?", told):
        return float(told)
    if told:
        with suppress(ValueError, TypeError):
            until = email.utils.parsedate_to_datetime(told)
            until = until if until.tzinfo else until.replace(tzinfo=UTC)
            return max(0.0, (until - datetime.now(UTC)).total_seconds())
    return None
