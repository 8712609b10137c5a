"""A server on the loopback that answers what a test says, and tells what it was asked."""

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class Answer:
    status: int = 200
    body: Any = None
    headers: dict[str, str] = field(default_factory=dict)
    chunks: tuple[bytes, ...] = ()  # sent one by one, chunked, instead of the body
    held: threading.Event | None = None  # sent only when this is set
    cut: bool = False  # the connection is closed instead


def limited(wait: float | None = 1, **body: Any) -> Answer:
    """A 429 with a Retry-After."""
    headers = {} if wait is None else {"retry-after": str(wait)}
    return Answer(429, body or {"error": {"message": "slow down"}}, headers)


class Upstream:
    """The server: `script` has the next answers, the last one stays."""

    def __init__(self) -> None:
        self.script: list[Answer] = [Answer(body={"ok": True})]
        self.requests: list[tuple[str, str, dict[str, str], bytes]] = []
        self._lock = threading.Lock()
        upstream = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                upstream.answer(self)

            do_POST = do_PUT = do_GET  # noqa: N815 - the names that http.server looks for

            def log_message(self, *_args: object) -> None:
                pass

        class Server(ThreadingHTTPServer):
            def handle_error(self, *_args: object) -> None:
                """A client that has gone away is part of some tests."""

        self.server = Server(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"

    @property
    def calls(self) -> int:
        return len(self.requests)

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        body = handler.rfile.read(int(handler.headers.get("content-length") or 0))
        with self._lock:
            self.requests.append((handler.command, handler.path, dict(handler.headers), body))
            answer = self.script.pop(0) if len(self.script) > 1 else self.script[0]
        if answer.held is not None:
            answer.held.wait(20)
        if answer.cut:
            handler.close_connection = True
            return
        self._send(handler, answer)

    def _send(self, handler: BaseHTTPRequestHandler, answer: Answer) -> None:
        handler.send_response(answer.status)
        for name, value in answer.headers.items():
            handler.send_header(name, value)
        if answer.chunks:
            handler.send_header("transfer-encoding", "chunked")
            handler.end_headers()
            for chunk in answer.chunks:
                handler.wfile.write(b"%x\r\n%s\r\n" % (len(chunk), chunk))
                handler.wfile.flush()
            handler.wfile.write(b"0\r\n\r\n")
            return
        body = answer.body
        if not isinstance(body, bytes):
            body = b"" if body is None else json.dumps(body).encode()
            if "content-type" not in answer.headers:
                handler.send_header("content-type", "application/json")
        handler.send_header("content-length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body)


@contextmanager
def serving() -> Iterator[Upstream]:
    upstream = Upstream()
    thread = threading.Thread(target=upstream.server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    yield upstream
    upstream.server.shutdown()
    upstream.server.server_close()
    thread.join()


def until(look: Any, deadline: float = 10.0) -> Any:
    """Wait for a condition."""
    end = time.monotonic() + deadline
    while not (seen := look()):
        assert time.monotonic() < end, f"not within {deadline} s"
        time.sleep(0.005)
    return seen
