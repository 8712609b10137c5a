"""Sentry: the event is made by the user's own client, and sent by a transport that sees the status.

The SDK's transport cannot say whether an event has arrived. Everything else is the SDK's: release,
environment, tags, `before_send`, the sampling, proxies and certificates.
"""

import contextlib
import importlib.util
import logging
import os
import sys
from collections.abc import Iterator, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from functools import cache
from typing import Any

from breaker.alerts.channel import Alert, NotDelivered
from breaker.model import Transition

# Seconds that the transport of a user's own may take.
FLUSH = 2.0
# Seconds that Sentry may take to answer.
TIMEOUT = 10.0

_LOGGER = logging.getLogger("breaker")


@dataclass(frozen=True)
class Sentry:
    """One warning for each trip."""

    kinds: AbstractSet[str]
    name: str = "sentry"

    def send(self, alert: Alert) -> None:
        """Deliver it. An event that `before_send` or the sampling drops counts as delivered."""
        sdk, client = _client()
        if client is None:
            raise NotDelivered("sentry-sdk is not initialised, and there is no SENTRY_DSN")
        given = client.transport
        if given is None:
            raise NotDelivered("sentry-sdk was initialised without a DSN", is_final=True)
        transport = _reporting(client) if _is_the_sdks(given) else None
        with sdk.new_scope() as scope:
            scope.set_client(_with(client, transport) if transport else client)
            scope.capture_event(event_of(alert))
        if transport is None:  # it cannot say what came of it
            client.flush(timeout=FLUSH)
        elif transport.failure is not None:
            raise transport.failure


def is_initialised() -> bool:
    """Whether the user has initialised the SDK. It is never imported to find out."""
    sdk = sys.modules.get("sentry_sdk")
    return sdk is not None and sdk.get_client().is_active()


def has_dsn() -> bool:
    """Whether this process can send without the SDK having been initialised."""
    return bool(os.environ.get("SENTRY_DSN")) and is_installed()


def is_installed() -> bool:
    """Whether the SDK is there."""
    return "sentry_sdk" in sys.modules or importlib.util.find_spec("sentry_sdk") is not None


@contextlib.contextmanager
def no_second_event(transition: Transition) -> Iterator[None]:
    """Keep what is logged from becoming an event of its own.

    Sentry's logging integration makes events of log lines, also of warnings if it is configured so.
    A trip is an event of its own already.
    """
    with contextlib.ExitStack() as stack:
        try:
            if transition.event == "tripped" and is_initialised():
                scope = stack.enter_context(sys.modules["sentry_sdk"].new_scope())
                scope.add_event_processor(_drop_log_record)
        except Exception:
            _LOGGER.exception("Sentry may show the next line as an event of its own")
        yield


def _drop_log_record(event: Any, hint: Mapping[str, Any]) -> Any:
    return None if "log_record" in hint else event


def event_of(alert: Alert) -> Any:
    """Make the Sentry event: what the on-call engineer needs to know, grouped by breaker."""
    told = alert.transition
    kinds = [alert.kind] if alert.kind != "trip" else []
    return {
        "event_id": alert.id,
        "level": "info" if alert.kind == "recovery" else "warning",
        "logger": "breaker",
        "message": alert.text,
        "fingerprint": ["breaker", alert.name, *kinds],
        "tags": {
            "breaker": alert.name,
            "breaker.kind": told.kind or ("rate_limit" if alert.kind == "trip" else alert.kind),
            "breaker.epoch": str(told.epoch),
            "breaker.shadow": str(told.is_shadow).lower(),
        },
        "extra": {
            "reason": told.reason,
            "pause_seconds": told.pause,
            "tripped_by": told.by,
            "evidence": [
                {
                    "error_id": error.id,
                    "worker": error.worker,
                    "at": error.at.isoformat(),
                    "retry_after": error.retry_after,
                }
                for error in told.evidence
            ],
            **({"page": alert.page} if alert.page else {}),
        },
    }


def _client() -> tuple[Any, Any]:
    """The SDK, and the user's client or one of our own; None without either."""
    if is_initialised():
        sdk = sys.modules["sentry_sdk"]
        return sdk, sdk.get_client()
    return _own_client(os.environ.get("SENTRY_DSN", ""))


@cache
def _own_client(dsn: str) -> tuple[Any, Any]:
    if not dsn:
        return None, None
    import sentry_sdk  # noqa: PLC0415 - an optional extra, imported in the alerts' own thread

    # Release and environment are taken from the environment by the SDK.
    client = sentry_sdk.Client(dsn=dsn, default_integrations=False, enable_backpressure_handling=False)  # fmt: skip
    return sentry_sdk, client


def _is_the_sdks(transport: Any) -> bool:
    """Whether it is a transport that speaks HTTP, and not one of the user's own."""
    from sentry_sdk.transport import HttpTransport  # noqa: PLC0415 - imported by its user already

    is_http = isinstance(transport, HttpTransport)
    return is_http and type(transport).__module__.startswith("sentry_sdk.")


def _with(client: Any, transport: Any) -> Any:
    """The user's client with another transport. A new client would set up all integrations again."""
    twin = object.__new__(type(client))
    twin.__dict__.update(client.__dict__)
    twin.transport = transport
    return twin


def _reporting(client: Any) -> Any:
    """A transport with the client's options that sends at once, and keeps what came back."""
    import gzip  # noqa: PLC0415 - needed for a trip only

    from sentry_sdk.transport import HttpTransport  # noqa: PLC0415 - as above

    from breaker.alerts.http import refused  # noqa: PLC0415 - as above

    class Reporting(HttpTransport):
        failure: NotDelivered | None = None

        def capture_envelope(self, envelope: Any) -> None:
            assert self.parsed_dsn is not None  # noqa: S101 - the client has a DSN
            auth = self.parsed_dsn.to_auth("breaker")
            headers = {
                "Content-Type": "application/x-sentry-envelope",
                "Content-Encoding": "gzip",
                "User-Agent": "breaker",
                "X-Sentry-Auth": str(auth.to_header()),
            }
            body = gzip.compress(envelope.serialize())
            try:
                answer = self._pool.request(
                    "POST",
                    str(auth.get_api_url()),
                    body=body,
                    headers=headers,
                    timeout=TIMEOUT,
                    retries=False,
                    redirect=False,
                )
            except Exception as error:  # noqa: BLE001 - the HTTP library's own, of any kind
                self.failure = NotDelivered(f"no answer: {error}")
                return
            if not 200 <= answer.status < 300:  # noqa: PLR2004 - HTTP's own numbers
                said = bytes(answer.data or b"").decode(errors="replace")
                self.failure = refused(answer.status, said, answer.headers.get("Retry-After"))

    return Reporting(client.options)
