"""A test alert through each channel."""

import uuid
from collections.abc import Iterable
from datetime import UTC, datetime

from breaker.alerts import compose
from breaker.alerts.channel import Alert, Channel
from breaker.model import Transition

NAME = "test"


def send_through(channels: Iterable[Channel]) -> dict[str, str]:
    """Send it; returns by channel what went wrong, empty if it was delivered."""
    alert = _alert()
    return {channel.name: _send(channel, alert) for channel in channels}


def _send(channel: Channel, alert: Alert) -> str:
    try:
        channel.send(alert)
    except Exception as error:  # noqa: BLE001 - a channel of the user's own
        return f"not delivered: {error}" if str(error) else f"not delivered: {error!r}"
    return ""


def _alert() -> Alert:
    title = "This is a test of fleet-breaker's alerts"
    text = f"{title}: no queue is paused."
    made = Transition(NAME, "test", "", "", 0, datetime.now(UTC), reason=title)
    return Alert(uuid.uuid4().hex, "test", NAME, title, text, "", compose.page_of(NAME), made)
