"""What every request passes on its way in and out: limits, names as they were sent, safe headers."""

import json

from starlette.types import ASGIApp, Message, Receive, Scope, Send

# Bytes of a request's body. An order with the longest reason takes about 1,500.
MOST_BYTES = 65_536

_SAFE = (
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"cache-control", b"no-store"),
)


class Doors:
    """Bounds the body, keeps an encoded slash in a name, and adds the headers that browsers obey."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let the request in, and its answer out."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_safely(message: Message) -> None:
            if message["type"] == "http.response.start":
                given = {name.lower() for name, _ in message["headers"]}
                added = [one for one in _SAFE if one[0] not in given]
                message = {**message, "headers": [*message["headers"], *added]}
            await send(message)

        # As it was sent: "a%2Fb" is one name, and a path that is decoded has lost that.
        raw = scope.get("raw_path") or scope["path"].encode()
        inner = {**scope, "path": raw.split(b"?")[0].decode("latin-1")}
        if scope["method"] in {"GET", "HEAD", "OPTIONS"}:
            await self._app(inner, receive, send_safely)
            return
        body = await _read(receive)
        if body is None:
            await _refuse(send_safely)
            return
        await self._app(inner, _replay(body, receive), send_safely)


async def _read(receive: Receive) -> bytes | None:
    """The whole body; None if it is too long."""
    body = b""
    while True:
        message = await receive()
        body += bytes(message.get("body", b""))
        if len(body) > MOST_BYTES:
            return None
        if not message.get("more_body"):
            return body


def _replay(body: bytes, receive: Receive) -> Receive:
    messages = [{"type": "http.request", "body": body, "more_body": False}]

    async def again() -> Message:
        return messages.pop() if messages else await receive()

    return again


async def _refuse(send: Send) -> None:
    document = {
        "type": "urn:breaker:too-long",
        "title": "Content Too Large",
        "status": 413,
        "detail": f"the body is longer than {MOST_BYTES:,} bytes",
    }
    headers = [(b"content-type", b"application/problem+json"), (b"connection", b"close")]
    await send({"type": "http.response.start", "status": 413, "headers": headers})
    await send({"type": "http.response.body", "body": json.dumps(document).encode()})
