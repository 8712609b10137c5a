"""A program of the user's own that is run for each alert."""

import json
import os
import subprocess
from collections.abc import Set as AbstractSet
from dataclasses import dataclass

from breaker.alerts.channel import Alert, NotDelivered

# Seconds that it may take.
TIMEOUT = 25.0
# Characters of its output that are shown.
SHOWN = 200


@dataclass(frozen=True)
class Command:
    """Runs a program: the alert as JSON on its standard input, exit code 0 means delivered."""

    path: str
    kinds: AbstractSet[str]

    @property
    def name(self) -> str:
        """The program's path."""
        return f"command:{self.path}"

    def send(self, alert: Alert) -> None:
        """Run it to its end."""
        about = {
            "BREAKER_ALERT_KIND": alert.kind,
            "BREAKER_ALERT_NAME": alert.name,
            "BREAKER_ALERT_TEXT": alert.text,
        }
        try:
            done = subprocess.run(  # noqa: S603 - the user named it
                [self.path],
                input=json.dumps(alert.plain()).encode(),
                env=os.environ | about,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                timeout=TIMEOUT,
                check=False,
            )
        except (OSError, subprocess.SubprocessError) as error:
            raise NotDelivered(f"{self.path}: {error}") from None
        if done.returncode:
            said = " ".join(done.stdout.decode(errors="replace").split())[:SHOWN]
            raise NotDelivered(f"{self.path} ended with {done.returncode}: {said}")
