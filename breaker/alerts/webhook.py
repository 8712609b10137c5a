"""Webhooks: one in Slack's format, and a signed one for programs.

The signature is that of standardwebhooks.com, for which most languages have a library: the receiver
verifies it, and by the timestamp in it refuses an old message that is sent again.
"""

import base64
import hashlib
import hmac
import json
import time
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from urllib.parse import urlsplit

from breaker.alerts import http
from breaker.alerts.channel import Alert

# What a secret begins with that is written in base64, as the standard has it.
ENCODED = "whsec_"
_ICONS = {"trip": "🔴", "quota": "🔴", "recovery": "🟢", "store-lost": "🟠", "flapping": "🟠"}


@dataclass(frozen=True, repr=False)
class Slack:
    """A message for people, for Slack and for whatever takes its incoming webhooks."""

    url: str
    kinds: AbstractSet[str]

    @property
    def name(self) -> str:
        """The host, and a hash of the rest, which is a secret."""
        return f"slack:{_place(self.url)}"

    def send(self, alert: Alert) -> None:
        """Post the message."""
        text = f"{_ICONS.get(alert.kind, '⚪')} {_escaped(alert.text)}"
        if alert.page:
            text += f"\n<{alert.page}|See the breaker>"
        body = json.dumps({"text": text}).encode()
        http.post(self.url, body, {"Content-Type": "application/json"})


@dataclass(frozen=True, repr=False)
class Webhook:
    """A signed message for programs."""

    url: str
    secret: str
    kinds: AbstractSet[str]

    @property
    def name(self) -> str:
        """The host, and a hash of the rest, which may hold a secret."""
        return f"webhook:{_place(self.url)}"

    def send(self, alert: Alert) -> None:
        """Post the alert as JSON. A repeat has the same `webhook-id`."""
        body = json.dumps(alert.plain()).encode()
        sent_at = int(time.time())
        headers = {
            "Content-Type": "application/json",
            "webhook-id": alert.id,
            "webhook-timestamp": str(sent_at),
            "webhook-signature": f"v1,{sign(self.secret, alert.id, sent_at, body)}",
        }
        http.post(self.url, body, headers)


def sign(secret: str, message_id: str, sent_at: int, body: bytes) -> str:
    """The signature of a message, base64 of HMAC-SHA256."""
    signed = f"{message_id}.{sent_at}.".encode() + body
    return base64.b64encode(hmac.digest(key_of(secret), signed, hashlib.sha256)).decode()


def key_of(secret: str) -> bytes:
    """The key that a secret stands for.

    Raises:
        ValueError: it begins as base64, and is not.
    """
    if secret.startswith(ENCODED):
        return base64.b64decode(secret.removeprefix(ENCODED), validate=True)
    return secret.encode()


def _place(url: str) -> str:
    return f"{urlsplit(url).hostname}:{hashlib.sha256(url.encode()).hexdigest()[:12]}"


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
