"""Event hooks for botocore and boto3: `install(boto3.client("bedrock-runtime"), content)`."""

import io
import json
import threading
from typing import Any
from xml.sax.saxutils import escape

import botocore
from botocore.awsrequest import AWSResponse
from botocore.client import BaseClient

from breaker.errors import ConfigurationError
from breaker.http.attempts import Answer, Attempt, Attempts, at_least, run
from breaker.sync import Breaker

OLDEST = "1.34"
_CODE = "BreakerOpen"


def install(client: Any, breaker: Breaker, *, timeout: float | None = 0.0) -> None:
    """Put a breaker before a client's connections: each attempt counts, repeated ones too.

    Args:
        client: a client, for example `boto3.client("bedrock-runtime")`.
        breaker: a Breaker.
        timeout: outside of a guard, how many seconds a request may wait for a permit while the
            breaker is open or paced; 0 answers at once, None waits for as long as it takes.

    Raises:
        ConfigurationError: naming what is wrong.
    """
    at_least(botocore, OLDEST)
    if not isinstance(client, BaseClient):
        raise ConfigurationError([f"install needs a client of botocore, not {client!r}"])
    hook = _Hook(Attempts(breaker, timeout, is_async=False), client)
    events, name = client.meta.events, f"breaker-{breaker.name}"
    events.register_first("before-send", hook.before_send, unique_id=f"{name}-before")
    events.register_last("response-received", hook.received, unique_id=f"{name}-after")


class _Hook:
    """The two events of an attempt; both come in the thread that sends it."""

    def __init__(self, attempts: Attempts, client: BaseClient) -> None:
        self._attempts = attempts
        model = client.meta.service_model
        self._protocol = getattr(model, "resolved_protocol", model.metadata.get("protocol"))
        self._service = model.service_name
        self._running = threading.local()

    def before_send(self, request: Any, **_more: Any) -> AWSResponse | None:
        """Acquire a permit; the response that is returned replaces the upstream's."""
        attempt = run(self._attempts.begin())
        if isinstance(attempt, Answer):
            self._running.attempt = None
            body = self._body(attempt)
            headers = attempt.headers | {"content-length": str(len(body))}
            return AWSResponse(request.url, attempt.status, headers, _Raw(body))
        self._running.attempt = attempt
        return None

    def received(self, response_dict: Any, parsed_response: Any, **_more: Any) -> None:
        """Report what came back: an answer, or an exception of the connection."""
        attempt: Attempt | None = getattr(self._running, "attempt", None)
        self._running.attempt = None
        if attempt is None:
            return
        if response_dict is None:
            run(attempt.failed())
            return
        headers = response_dict["headers"]
        run(attempt.answered(response_dict["status_code"], headers, parsed_response))

    def _body(self, answer: Answer) -> bytes:
        """Write the answer as the service would, so that the client can parse it."""
        message = json.loads(answer.body)["error"]["message"]
        error = f"<Code>{_CODE}</Code><Message>{escape(message)}</Message>"
        if self._protocol == "ec2":
            return f"<Response><Errors><Error>{error}</Error></Errors></Response>".encode()
        if self._service == "s3":
            return f"<Error>{error}</Error>".encode()
        if self._protocol in {"query", "rest-xml"}:
            return f"<ErrorResponse><Error>{error}</Error></ErrorResponse>".encode()
        if self._protocol == "smithy-rpc-v2-cbor":
            return _cbor({"__type": _CODE, "message": message})
        return json.dumps({"__type": _CODE, "message": message}).encode()


def _cbor(texts: dict[str, str]) -> bytes:
    """Write a map of texts as CBOR (RFC 8949): each length in two bytes."""
    parts = [bytes([0xA0 + len(texts)])]
    for text in (each for pair in texts.items() for each in pair):
        encoded = text.encode()
        parts.append(b"\x79" + len(encoded).to_bytes(2, "big") + encoded)
    return b"".join(parts)


class _Raw(io.BytesIO):
    """What botocore reads an answer from."""

    def stream(self, **_options: Any) -> Any:
        """Yield the body."""
        yield self.read()
