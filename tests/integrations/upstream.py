"""The upstream of the contract: a real HTTP server that logs every request, and so is the judge."""

import threading
import time
from collections import Counter
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Self
from urllib.parse import parse_qs, urlsplit

# Seconds that a job of `content` takes.
LATENCY = 0.05


@dataclass(frozen=True)
class Call:
    """One request. `at` and `until` are monotonic seconds."""

    at: float
    until: float
    queue: str
    job: str
    status: int
    run: str


class Upstream:
    """Answers /content?job=ID and /other?job=ID; `content` is limited as the test says.

    Attributes:
        calls: every request so far, in the order of the answers.
        refuses: whether every call of `content` is answered 429.
        allows: calls of `content` that are answered 200 until it refuses by itself; a test that
            looked and then said so could be too late. None: it does not.
        rate: calls of `content` that are answered 200 per second; None: all.
        retry_after: what a 429 says, in seconds; None: nothing.
    """

    def __init__(self) -> None:
        self.calls: list[Call] = []
        self.refuses = False
        self.allows: int | None = None
        self.rate: float | None = None
        self.burst = 5.0
        self.retry_after: float | None = None
        self._lock = threading.Lock()
        self._tokens = self.burst
        self._filled = time.monotonic()

    def __enter__(self) -> Self:
        upstream = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                upstream.answer(self)

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        at = time.monotonic()
        url = urlsplit(handler.path)
        asked = {key: values[0] for key, values in parse_qs(url.query).items()}
        queue = url.path.strip("/")
        status = 200 if queue != "content" or self._allows() else 429
        if status == 200 and queue == "content":
            time.sleep(LATENCY)
        self.calls.append(
            Call(at, time.monotonic(), queue, asked["job"], status, asked.get("run", ""))
        )
        handler.send_response(status)
        if status == 429 and self.retry_after is not None:
            handler.send_header("Retry-After", f"{self.retry_after:g}")
        handler.send_header("Content-Length", "0")
        handler.end_headers()

    def _allows(self) -> bool:
        with self._lock:
            now = time.monotonic()
            if self.allows is not None:
                self.allows -= 1
                if self.allows < 0:
                    self.refuses, self.allows = True, None
            if self.refuses:
                return False
            if self.rate is None:
                return True
            filled = self._tokens + (now - self._filled) * self.rate
            self._tokens, self._filled = min(self.burst, filled), now
            if self._tokens < 1:
                return False
            self._tokens -= 1
            return True

    # -- what it saw

    def of(self, queue: str, *, since: float = 0.0, status: int | None = None) -> list[Call]:
        return [
            call
            for call in tuple(self.calls)
            if call.queue == queue
            and call.at >= since
            and (status is None or call.status == status)
        ]

    def answered(self, queue: str) -> Counter[str]:
        """How often each job was answered 200."""
        return Counter(call.job for call in self.of(queue, status=200))
