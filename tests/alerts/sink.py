"""The other end: a server that takes what would go to Sentry or to a webhook, or does not."""

import gzip
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Sink(ThreadingHTTPServer):
    """Keeps what it has accepted.

    Attributes:
        status: what it answers; 0: it takes the request, and answers nothing until it may.
        headers: what it answers beside.
        attempts: how many requests came.
        posts: the accepted ones: the headers and the body.
    """

    daemon_threads = True

    def __init__(self, port=0):
        self.status, self.headers, self.attempts = 200, {}, 0
        self.posts, self.may_answer = [], threading.Event()
        super().__init__(("127.0.0.1", port), Receiver)
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def dsn(self):
        return f"http://key@127.0.0.1:{self.server_port}/1"

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_port}/hook"

    @property
    def events(self):
        """Sentry's events."""
        found = []
        for _, body in tuple(self.posts):
            lines = body.split(b"\n")
            for header, payload in zip(lines[1::2], lines[2::2], strict=False):
                if json.loads(header).get("type") == "event":
                    found.append(json.loads(payload))
        return found

    def stop(self):
        self.may_answer.set()
        self.shutdown()
        self.server_close()


class Receiver(BaseHTTPRequestHandler):
    def do_POST(self):
        server = self.server
        server.attempts += 1
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.headers.get("Content-Encoding") == "gzip":
            body = gzip.decompress(body)
        status = server.status
        if status == 0:
            server.may_answer.wait(30)
            return
        if status < 300:
            server.posts.append(({k.lower(): v for k, v in self.headers.items()}, body))
        self.send_response(status)
        for name, value in server.headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(b"{}")

    def log_message(self, *_):
        pass
