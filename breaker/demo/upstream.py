"""The API that the fleet calls: it limits by rate, and counts its calls.

    GET  /content?job=ID          the work: 200, or 429 with Retry-After
    POST /spend-ahead?seconds=N   other clients of the account use up N seconds of the allowance
    GET  /stats                   the counts, as JSON

Run as `python -m breaker.demo.upstream --rate 40`; its first line of output is its address.
"""

import argparse
import json
import threading
import time
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

from breaker.demo.bucket import TokenBucket

HOST = "127.0.0.1"
# Seconds that an admitted call takes, as at a language model or a search.
WORK = 0.08


class Upstream(ThreadingHTTPServer):
    """The server with its bucket and its counts."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, rate: float, *, hints: bool) -> None:
        super().__init__((HOST, 0), Handler)
        self.bucket = TokenBucket(rate, capacity=max(1.0, rate))
        self.hints = hints
        self._lock = threading.Lock()
        self._limited = 0
        self._answered: Counter[str] = Counter()

    def admit(self, job: str) -> int:
        """Admit a call and return 0, or return the seconds to wait."""
        wait = self.bucket.take()
        with self._lock:
            if wait:
                self._limited += 1
            else:
                self._answered[job] += 1
        return wait

    def stats(self) -> dict[str, int]:
        """The counts: all calls, answered calls, calls with 429, jobs served."""
        with self._lock:
            answered = self._answered.total()
            return {
                "calls": answered + self._limited,
                "answered": answered,
                "limited": self._limited,
                "jobs": len(self._answered),
            }


class Handler(BaseHTTPRequestHandler):
    """One request."""

    server: Upstream

    def do_GET(self) -> None:
        """Do the work, or show the counts."""
        path, query = self._target()
        if path == "/stats":
            self._answer(200, self.server.stats())
        elif path == "/content":
            self._work(query.get("job", ""))
        else:
            self._answer(404, {"error": "not found"})

    def do_POST(self) -> None:
        """Let other clients use up the allowance."""
        path, query = self._target()
        if path == "/spend-ahead":
            self.server.bucket.spend_ahead(float(query["seconds"]))
            self._answer(200, {})
        else:
            self._answer(404, {"error": "not found"})

    def _work(self, job: str) -> None:
        wait = self.server.admit(job)
        if wait:
            hint = {"Retry-After": str(wait)} if self.server.hints else {}
            self._answer(429, {"error": "rate limit exceeded"}, hint)
        else:
            time.sleep(WORK)
            self._answer(200, {"job": job})

    def _target(self) -> tuple[str, dict[str, str]]:
        parts = urlsplit(self.path)
        return parts.path, {name: values[0] for name, values in parse_qs(parts.query).items()}

    def _answer(
        self,
        status: int,
        body: dict[str, int] | dict[str, str],
        more: dict[str, str] | None = None,
    ) -> None:
        content = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        for name, value in (more or {}).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        """Write no log: `/stats` has the counts."""


def main() -> None:
    """Serve until ended."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rate", type=float, required=True, help="calls per second allowed")
    parser.add_argument("--no-hints", action="store_true", help="leave Retry-After out")
    given = parser.parse_args()
    with Upstream(given.rate, hints=not given.no_hints) as server:
        print(f"http://{HOST}:{server.server_port}", flush=True)  # noqa: T201 - the parent reads it
        server.serve_forever()


if __name__ == "__main__":
    main()
