"""A loopback OpenAI-compatible server for the tests: scripted answers, faults and latencies, and a log of the requests.

In a test::

    with LLMServer(["first answer", Reply(status=429, retry_after_s=2)]) as server:
        ...  # llm=litellm llm.model=openai/test llm.api_base={server.api_base}
        assert server.calls == ["1", "2"]

As a program, which outlives a killed run (the first line it prints is the api_base)::

    python -m tests.llm_server --port 0 --latency 0.2 --log requests.jsonl --rate 20/1 --storm 500:40-59 --storm 429:3-5s

Without a script every answer is a valid edit of the parent in the prompt, in whichever message that is, and a different one for
every call. `Storm` and `Rate` stand before the script: outages, and limits as providers keep them.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import math
import random
import re
import signal
import socket
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count, takewhile
from pathlib import Path
from typing import Any, Self

PARENT = re.compile(r"^## Parent\b[^\n]*\n.*?^(?P<fence>`{3,})[\w+-]*\n(?P<program>.*?)^(?P=fence)[ \t]*$", re.M | re.S)
FLOAT = re.compile(r"(?<![\w.])(?:\d+\.\d*(?:[eE][+-]?\d+)?|\d+[eE][+-]?\d+)(?![\w.])")
FAULTS = ("stall", "drip", "malformed", "cut", "empty", "drop")
DRIP_S = 0.05  # between two bytes of an answer that never comes
CACHED_CHARS = 256  # a prompt's beginning is cached in steps of so much


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """What the server does with one request; without `text` it answers with an edit of the prompt's parent.

    `fault`: `stall` accepts and answers only when the server closes, `drip` meanwhile sends a space now and then,
    `malformed` sends text that is no JSON, `cut` half of the answer, `empty` a completion without content, `drop` closes the
    connection. Another status than 200 sends `message` and `code`; `body` is sent as it is, whatever the status.
    """

    text: str | None = None
    status: int = 200
    message: str = "scripted error"
    code: str = ""
    body: bytes | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    retry_after_s: float | None = None
    fault: str = ""
    latency_s: float | None = None
    tokens_in: int | None = None
    tokens_out: int | None = None
    tokens_cached: int | None = None
    usage: bool = True
    finish_reason: str = "stop"

    @classmethod
    def parse(cls, word: str) -> Reply:
        """Returns the reply that a word of the command line means: `ok`, a status such as `429`, or a fault."""
        if word.isdigit():
            return cls(status=int(word), retry_after_s=0.1 if word == "429" else None)
        if word not in ("ok", *FAULTS):
            raise ValueError(f"reply {word!r} is none of: ok, a status number, {', '.join(FAULTS)}")
        return cls(fault="" if word == "ok" else word)


@dataclass(frozen=True, slots=True, kw_only=True)
class Storm:
    """Gives one reply for a while: to the requests with those indices, or between two times after the first request."""

    reply: Reply
    calls: range = range(0)
    seconds: tuple[float, float] = (0.0, 0.0)

    @classmethod
    def parse(cls, word: str) -> Storm:
        """Returns the storm that `REPLY:FIRST-LAST` means, such as 429:0-19 (requests) or 500:2-5s (seconds)."""
        reply, _, when = word.partition(":")
        first, _, last = when.removesuffix("s").partition("-")
        if when.endswith("s"):
            return cls(reply=Reply.parse(reply), seconds=(float(first), float(last)))
        return cls(reply=Reply.parse(reply), calls=range(int(first), int(last) + 1))

    def covers(self, index: int, since_s: float) -> bool:
        return index in self.calls or self.seconds[0] <= since_s < self.seconds[1]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rate:
    """Lets so many requests through in any window of so many seconds; what is refused does not count."""

    requests: int
    window_s: float

    @classmethod
    def parse(cls, word: str) -> Rate:
        """Returns the rate that `REQUESTS/SECONDS` means."""
        requests, _, window_s = word.partition("/")
        return cls(requests=int(requests), window_s=float(window_s))


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One request for a completion as it arrived; `index` counts from 0, `time` is the Unix time.

    `user` is the text of all user messages, `text` that of all messages. `since_s` are the seconds since the first request,
    `refused_s` those after which to ask again, None where the rate allows it. `cached` characters came before.
    """

    index: int
    time: float
    call: str
    prompt_sha: str
    user: str
    text: str
    since_s: float
    refused_s: float | None
    cached: int
    body: dict[str, Any]
    headers: dict[str, str]


Script = Sequence[Reply | str] | Callable[[int, Request], Reply | str] | None


class LLMServer:
    """Serves `/v1/chat/completions` and `/v1/models` on 127.0.0.1 from `with` to the end of its block.

    `script`: replies (or answer texts) used up in order of arrival, then edits again; with `cycle` over and over; or a
    function of (index, request), which may run in several threads at once. The first of `storms` that covers a request
    stands above the script, `rate` above both: it answers 429 with the exact Retry-After. With `caching` the usage says
    how much of a prompt began an earlier one. `latency_s` is the median of a lognormal with `latency_sigma`, drawn from
    (`seed`, call) so that it does not depend on the order of arrival. `clock` counts the seconds of storms and rates.
    """

    def __init__(
        self,
        script: Script = None,
        *,
        cycle: bool = False,
        latency_s: float = 0.0,
        latency_sigma: float = 0.0,
        seed: int = 0,
        port: int = 0,
        log: str | Path | None = None,
        storms: Sequence[Storm] = (),
        rate: Rate | None = None,
        caching: bool = False,
        clock: Callable[[], float] = time.monotonic,
    ):
        self.script = script
        self.storms = storms
        self.rate = rate
        self.caching = caching
        self.cycle = cycle
        self.latency_s = latency_s
        self.latency_sigma = latency_sigma
        self.seed = seed
        self.port = port
        self.log = Path(log) if log else None
        self.requests: list[Request] = []
        self.in_flight = 0
        self.peak = 0
        self.closing = threading.Event()
        self._clock = clock
        self._first_s: float | None = None
        self._let_through: deque[float] = deque()
        self._beginnings: set[int] = set()
        self._changed = threading.Condition()
        self._http: _HTTPServer | None = None

    def __enter__(self) -> Self:
        self._http = _HTTPServer(("127.0.0.1", self.port), self)
        self.port = self._http.server_address[1]
        threading.Thread(target=self._http.serve_forever, args=(0.05,), daemon=True, name="llm-server").start()
        return self

    def __exit__(self, *_: object) -> None:
        assert self._http is not None
        self.closing.set()
        self._http.shutdown()
        self._http.close_connections()
        self._http.server_close()

    @property
    def api_base(self) -> str:
        """The URL to give as `llm.api_base`."""
        return f"http://127.0.0.1:{self.port}/v1"

    @property
    def calls(self) -> list[str]:
        """The X-Evolve-Call headers so far, in order of arrival."""
        return [request.call for request in list(self.requests)]

    def wait_requests(self, number: int, timeout_s: float = 10.0) -> bool:
        """Waits until so many requests have arrived in all; returns whether they did in time."""
        with self._changed:
            return self._changed.wait_for(lambda: len(self.requests) >= number, timeout_s)

    def admit(self, body: dict[str, Any], headers: dict[str, str]) -> Request:
        """Records a request in memory and in the log before anything is answered."""
        messages = [(message.get("role"), _text(message)) for message in body.get("messages", ())]
        text = "\n".join(text for _, text in messages)
        digest = hashlib.sha256(json.dumps(body.get("messages"), sort_keys=True).encode()).hexdigest()
        call = headers.get("x-evolve-call", "")
        with self._changed:
            now = self._clock()
            self._first_s = now if self._first_s is None else self._first_s
            request = Request(
                index=len(self.requests),
                time=time.time(),
                call=call,
                prompt_sha=digest,
                user="\n".join(text for role, text in messages if role == "user"),
                text=text,
                since_s=now - self._first_s,
                refused_s=self._refused_s(now),
                cached=self._cached(text),
                body=body,
                headers=headers,
            )
            self.requests.append(request)
            self.in_flight += 1
            self.peak = max(self.peak, self.in_flight)
            self._write_log(request)
            self._changed.notify_all()
        return request

    def release(self) -> None:
        """Counts a request as answered."""
        with self._changed:
            self.in_flight -= 1

    def reply(self, request: Request) -> Reply:
        """Returns what the script says to a request, with its text and latency filled in."""
        reply = self._scripted(request)
        if isinstance(reply, str):
            reply = Reply(text=reply)
        if reply.text is None and reply.status == 200 and reply.fault in ("", "cut"):
            text = request.user if PARENT.search(request.user) else request.text
            reply = replace(reply, text=edit(text, request.call or str(request.index)))
        return reply if reply.latency_s is not None else replace(reply, latency_s=self._latency(request))

    def _scripted(self, request: Request) -> Reply | str:
        if request.refused_s is not None:
            return Reply(status=429, message="rate limit reached", retry_after_s=request.refused_s, latency_s=0.0)
        for storm in self.storms:
            if storm.covers(request.index, request.since_s):
                return storm.reply
        if self.script is None:
            return Reply()
        if callable(self.script):
            return self.script(request.index, request)
        index = request.index % len(self.script) if self.cycle else request.index
        return self.script[index] if index < len(self.script) else Reply()

    def _refused_s(self, now: float) -> float | None:
        """Counts a request that the rate lets through; returns when another may come where it does not."""
        if self.rate is None:
            return None
        while self._let_through and self._let_through[0] + self.rate.window_s <= now:
            self._let_through.popleft()
        if len(self._let_through) >= self.rate.requests:
            return self._let_through[0] + self.rate.window_s - now
        self._let_through.append(now)
        return None

    def _cached(self, text: str) -> int:
        """Returns how many characters of a prompt's beginning an earlier prompt had, in whole steps."""
        if not self.caching:
            return 0
        beginnings = [hash(text[:end]) for end in range(CACHED_CHARS, len(text) + 1, CACHED_CHARS)]
        known = len(list(takewhile(self._beginnings.__contains__, beginnings)))
        self._beginnings.update(beginnings)
        return known * CACHED_CHARS

    def _latency(self, request: Request) -> float:
        rng = random.Random(f"{self.seed}:{request.call or request.index}")
        return self.latency_s * math.exp(rng.gauss(0.0, self.latency_sigma))

    def _write_log(self, request: Request) -> None:
        if self.log is None:
            return
        names = ("index", "time", "call", "prompt_sha")
        line = json.dumps({name: getattr(request, name) for name in names} | {"model": request.body.get("model")})
        with self.log.open("a", encoding="utf-8") as file:
            file.write(line + "\n")


class _HTTPServer(ThreadingHTTPServer):
    """Keeps hold of its connections, so that closing the server ends them."""

    daemon_threads = True
    block_on_close = False
    request_queue_size = 256

    def __init__(self, address: tuple[str, int], llm: LLMServer):
        self.llm = llm
        self.connections: set[socket.socket] = set()
        super().__init__(address, _Handler)

    def close_connections(self) -> None:
        for connection in list(self.connections):
            _hang_up(connection)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Says nothing: the clients of these tests are killed on purpose."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _HTTPServer

    def setup(self) -> None:
        super().setup()
        self.connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, True)
        self.server.connections.add(self.connection)

    def finish(self) -> None:
        self.server.connections.discard(self.connection)
        super().finish()

    def log_message(self, format: str, *args: Any) -> None:
        """Says nothing."""

    def do_GET(self) -> None:
        if self.path == "/v1/models":
            self._send_json(200, {"object": "list", "data": [{"id": "test", "object": "model"}]})
        else:
            self._send_json(404, _error(404, f"no such path: {self.path}"))

    def do_POST(self) -> None:
        data = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if self.path == "/v1/embeddings":
            return self._send_json(200, _embeddings(json.loads(data)["input"]))
        if self.path != "/v1/chat/completions":
            return self._send_json(404, _error(404, f"no such path: {self.path}"))
        body = json.loads(data)
        llm = self.server.llm
        request = llm.admit(body, {name.lower(): value for name, value in self.headers.items()})
        try:
            self._answer(request, llm.reply(request))
        finally:
            llm.release()

    def _answer(self, request: Request, reply: Reply) -> None:
        closing = self.server.llm.closing
        if reply.fault == "drip":
            return self._drip(closing)
        if closing.wait(None if reply.fault == "stall" else reply.latency_s) or reply.fault == "drop":
            self.close_connection = True
            return _hang_up(self.connection)
        if reply.fault == "malformed":
            return self._send(200, b'{"id": "chatcmpl-1", "choices": [{"mess')
        headers = dict(reply.headers)
        if reply.retry_after_s is not None:
            headers["Retry-After"] = f"{math.ceil(reply.retry_after_s * 1000) / 1000:g}"
        if reply.body is not None:
            return self._send(reply.status, reply.body, headers)
        if reply.status != 200:
            return self._send_json(reply.status, _error(reply.status, reply.message, reply.code), headers)
        if reply.fault == "cut":
            return self._cut(json.dumps(_completion(request, reply)).encode())
        return self._send_json(200, _completion(request, reply), headers)

    def _drip(self, closing: threading.Event) -> None:
        """Sends spaces, which may stand before JSON, until the server closes or the client has gone."""
        self._head(200, {"Content-Type": "application/json", "Content-Length": "1000000"})
        while not closing.wait(DRIP_S):
            self.wfile.write(b" ")
        self.close_connection = True

    def _cut(self, data: bytes) -> None:
        self._head(200, {"Content-Type": "application/json", "Content-Length": str(len(data))})
        self.wfile.write(data[: len(data) // 2])
        self.close_connection = True
        _hang_up(self.connection)

    def _send_json(self, status: int, value: Any, headers: dict[str, str] | None = None) -> None:
        self._send(status, json.dumps(value).encode(), headers)

    def _send(self, status: int, data: bytes, headers: Mapping[str, str] | None = None) -> None:
        own = {"Content-Type": "application/json", "Content-Length": str(len(data))}
        self._head(status, {**own, **(headers or {})})
        self.wfile.write(data)

    def _head(self, status: int, headers: Mapping[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()


def edit(prompt: str, key: str) -> str:
    """Returns an answer in Evolve's format that changes one number of the prompt's parent, which and how by `key`."""
    found = PARENT.search(prompt)
    if found is None:
        return "TITLE: No program found\nHYPOTHESIS: The prompt has no parent to change.\n"
    number = int.from_bytes(hashlib.sha256(key.encode()).digest()[:8], "big")
    old, new = perturb(found["program"], number)
    title = f"TITLE: Change a constant ({number % 100000})\nHYPOTHESIS: Another value may score better.\n\n"
    return f"{title}<<<<<<< SEARCH\n{old}\n=======\n{new}\n>>>>>>> REPLACE\n"


def perturb(program: str, n: int) -> tuple[str, str]:
    """Returns a line of the program's evolve block, found exactly once in its text, and its replacement for `n`.

    One float literal of the line is scaled by a lognormal factor (a zero is replaced). Where no line has one, a
    harmless assignment is put before the block's first line.
    """
    rng = random.Random(n)
    lines = [line for line in _editable(program) if line.strip() and program.count(line) == 1]
    literals = [(line, match) for line in lines if not line.lstrip().startswith("#") for match in FLOAT.finditer(line)]
    if not literals:
        line = lines[0]
        indent = line[: len(line) - len(line.lstrip())]
        return line, f"{indent}variant_{n % 100000} = {n}\n{line}"
    line, match = rng.choice(literals)
    return line, f"{line[: match.start()]}{_other(float(match[0]), rng)}{line[match.end() :]}"


def _editable(program: str) -> list[str]:
    lines = program.splitlines()
    starts = [i for i, line in enumerate(lines) if "EVOLVE-BLOCK-START" in line]
    if not starts:
        return lines
    ends = (i for i in count(starts[0] + 1) if i == len(lines) or "EVOLVE-BLOCK-END" in lines[i])
    return lines[starts[0] + 1 : next(ends)]


def _other(value: float, rng: random.Random) -> str:
    new = value * math.exp(rng.gauss(0.0, 0.2)) if value else abs(rng.gauss(0.0, 0.1))
    text = f"{new:.9g}"
    return text if "." in text or "e" in text else f"{text}.0"


def _text(message: dict[str, Any]) -> str:
    content = message.get("content") or ""
    return content if isinstance(content, str) else "\n".join(part.get("text", "") for part in content)


def _completion(request: Request, reply: Reply) -> dict[str, Any]:
    text = "" if reply.fault == "empty" else reply.text or ""
    tokens_in = reply.tokens_in if reply.tokens_in is not None else len(request.text) // 4
    tokens_out = reply.tokens_out if reply.tokens_out is not None else len(text) // 4
    tokens_cached = reply.tokens_cached if reply.tokens_cached is not None else min(request.cached // 4, tokens_in)
    message = {"role": "assistant", "content": text}
    value: dict[str, Any] = {
        "id": f"chatcmpl-{request.index}",
        "object": "chat.completion",
        "created": int(request.time),
        "model": request.body.get("model", "test"),
        "choices": [{"index": 0, "message": message, "finish_reason": reply.finish_reason}],
    }
    if reply.usage:
        total = tokens_in + tokens_out
        value["usage"] = {"prompt_tokens": tokens_in, "completion_tokens": tokens_out, "total_tokens": total}
        if tokens_cached:
            value["usage"]["prompt_tokens_details"] = {"cached_tokens": tokens_cached}
    return value


def _embeddings(texts: Sequence[str]) -> dict[str, Any]:
    """Answers with how often each letter occurs: texts that differ in little have nearly the same direction."""
    letters = "abcdefghijklmnopqrstuvwxyz0123456789=+-*/()"
    data = [
        {"object": "embedding", "index": i, "embedding": [float(text.count(letter)) for letter in letters]}
        for i, text in enumerate(texts)
    ]
    tokens = sum(map(len, texts)) // 4
    return {"object": "list", "model": "test", "data": data, "usage": {"prompt_tokens": tokens, "total_tokens": tokens}}


def _error(status: int, message: str, code: str = "") -> dict[str, Any]:
    return {"error": {"message": message, "type": "scripted", "param": None, "code": code or str(status)}}


def _hang_up(connection: socket.socket) -> None:
    try:
        connection.shutdown(socket.SHUT_RDWR)
    except OSError:
        return


def main(arguments: Sequence[str] | None = None) -> None:
    """Serves until SIGTERM or SIGINT."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--latency", type=float, default=0.0, help="seconds before an answer (median)")
    parser.add_argument("--sigma", type=float, default=0.0, help="sigma of a lognormal latency")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--log", help="a JSONL file: one object per request, written before it is answered")
    parser.add_argument("--replies", type=lambda words: [Reply.parse(word) for word in words.split(",")],
                        help="a cycle of replies such as ok,ok,429,500,stall,malformed,empty,drop")  # fmt: skip
    parser.add_argument("--storm", type=Storm.parse, action="append", default=[], metavar="REPLY:FIRST-LAST[s]",
                        help="this reply to those requests, or for those seconds after the first request")  # fmt: skip
    parser.add_argument("--rate", type=Rate.parse, metavar="REQUESTS/SECONDS", help="429 to what is more than that")
    parser.add_argument("--caching", action="store_true", help="say in the usage what of a prompt came before")
    options = parser.parse_args(arguments)
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    server = LLMServer(options.replies, cycle=True, latency_s=options.latency, latency_sigma=options.sigma,
                       seed=options.seed, port=options.port, log=options.log, storms=options.storm,
                       rate=options.rate, caching=options.caching)  # fmt: skip
    with server:
        print(server.api_base, flush=True)
        stop.wait()


if __name__ == "__main__":
    main()
