"""Which channels there are: from `configure(alerts=[...])`, from BREAKER_ALERTS, or by default.

A channel is named as `sentry`, `slack+https://...`, `https://...`, `log`, `command:/path`; after a
`#` may follow what it wants to be told: `slack+https://...#trip+recovery`.
"""

import os
import sys
from collections.abc import Iterator, Sequence
from typing import Any
from urllib.parse import urlsplit

from breaker.alerts.channel import KINDS, Channel
from breaker.errors import ConfigurationError

# Where the names of channels and the secret of webhooks are.
VARIABLE = "BREAKER_ALERTS"
SECRET = "BREAKER_WEBHOOK_SECRET"  # noqa: S105 - its name
PAGE = "BREAKER_PAGE_URL"

EXPECTED = "sentry, slack+https://..., https://..., log, command:/path"
WEB = ("https://", "http://")
# What each channel gets unless it says otherwise. Sentry groups events by itself, and programs
# count for themselves. Only channels that people read get a digest in place of each trip.
TRIPS = frozenset(["trip", "quota"])
FOR_PROGRAMS = frozenset(KINDS) - {"flapping"}
FOR_PEOPLE = frozenset(KINDS)

_given: list[Any] | None = None
_is_service = False


def choose(alerts: Sequence[Any] | None) -> None:
    """Use these channels from now on; None: those of the environment.

    Raises:
        ConfigurationError: naming everything that is wrong.
    """
    global _given  # noqa: PLW0603 - one configuration per process is the point
    problems = [*problems_of(alerts)]
    if problems:
        raise ConfigurationError(problems)
    _given = None if alerts is None else list(alerts)


def serve() -> None:
    """This process is the service: by default it alerts too, if it has a DSN.

    Raises:
        ConfigurationError: naming everything that is wrong.
    """
    global _is_service  # noqa: PLW0603 - as above
    problems = [*problems_of(None)]
    if "sentry" in _kinds_named(_named()) and not _can_sentry():
        problems.append(f"{VARIABLE}: sentry needs SENTRY_DSN here")
    if problems:
        raise ConfigurationError(problems)
    _is_service = True


def channels() -> list[Channel]:
    """The channels that this process can use now, beside the log."""
    from breaker.alerts import sentry  # noqa: PLC0415 - before the first alert it is not needed

    named = _named()
    if named is None:
        is_usable = sentry.is_initialised() or (_is_service and sentry.has_dsn())
        return [sentry.Sentry(TRIPS)] if is_usable else []
    made = {channel.name: channel for channel in map(_made, named) if channel is not None}
    if "sentry" in made and not (sentry.is_initialised() or sentry.has_dsn()):
        del made["sentry"]  # another process may be able to
    return [*made.values()]


def problems_of(alerts: Sequence[Any] | None) -> Iterator[str]:
    """Yield what is wrong with the channels given, or with the environment's."""
    where, named = "alerts", alerts
    if named is None:
        where, named = VARIABLE, _from_environment()
    if isinstance(named, str) or not isinstance(named, Sequence | None):
        yield f"{where} must be a list of channels ({EXPECTED}), not {type(named).__name__}"
        return
    for one in named or ():
        if problem := _problem_of(one):
            yield f"{where}: {problem}"
    page = os.environ.get(PAGE, "").strip()
    if page and not page.startswith(WEB):
        yield f"{PAGE} must begin with https:// or http://, not {page!r}"


def _named() -> Sequence[Any] | None:
    return _given if _given is not None else _from_environment()


def _from_environment() -> list[str] | None:
    text = os.environ.get(VARIABLE, "")
    named = [one.strip() for one in text.split(",") if one.strip()]
    return named or None


def _kinds_named(named: Sequence[Any] | None) -> list[str]:
    return [_split(one)[0] for one in named or () if isinstance(one, str)]


def _can_sentry() -> bool:
    from breaker.alerts import sentry  # noqa: PLC0415 - as above

    return sentry.is_initialised() or sentry.has_dsn()


def _split(text: str) -> tuple[str, str]:
    """The channel, and what it wants to be told."""
    channel, _, wanted = text.partition("#")
    return channel.strip(), wanted.strip()


def _problem_of(one: Any) -> str:  # noqa: PLR0911 - one return for each kind of mistake
    if not isinstance(one, str):
        if isinstance(one, Channel) and set(one.kinds) <= set(KINDS):
            return ""
        return f"{one!r:.60} is no channel: it needs a name, kinds (of {', '.join(KINDS)}) and send()"
    channel, wanted = _split(one)
    unknown = [kind for kind in wanted.split("+") if wanted and kind not in KINDS]
    if unknown:
        return (
            f"{unknown[0]!r} is nothing to be told of; after the # may stand {'+'.join(KINDS)}"
        )
    if channel == "log":
        return ""
    if channel == "sentry":
        return _sentry_problem()
    if channel.startswith("command:"):
        return _command_problem(channel.removeprefix("command:"))
    is_slack = channel.startswith("slack+")
    url = channel.removeprefix("slack+")
    if url.startswith(WEB) and urlsplit(url).hostname:
        return "" if is_slack else _secret_problem()
    # What does not parse is not shown: any part of it may be a secret.
    if is_slack or "/" in channel or "." in channel:
        return f"a webhook must begin with https:// or http:// and name a host ({EXPECTED})"
    return f"there is no channel {channel!r:.40}, only {EXPECTED}"


def _sentry_problem() -> str:
    from importlib.util import find_spec  # noqa: PLC0415 - needed for this channel only

    if "sentry_sdk" in sys.modules or find_spec("sentry_sdk"):
        return ""
    return "sentry needs: pip install 'fleet-breaker[sentry]'"


def _command_problem(path: str) -> str:
    if not os.path.isabs(path):  # noqa: PTH117 - as below
        return f"command:{path} must name the program by its whole path"
    if os.path.isfile(path) and os.access(path, os.X_OK):  # noqa: PTH113 - pathlib is not imported otherwise
        return ""
    return f"command:{path} is not there, or this user may not run it"


def _secret_problem() -> str:
    secret = os.environ.get(SECRET, "")
    if not secret:
        return f"webhooks are signed: set {SECRET} to a secret that the receiver knows too"
    from breaker.alerts.webhook import key_of  # noqa: PLC0415 - needed for this channel only

    try:
        return "" if key_of(secret) else f"{SECRET} is empty"
    except ValueError:
        return f"what follows whsec_ in {SECRET} is not base64"


def _made(one: Any) -> Channel | None:
    """The channel; None for the log, to which every process writes anyway."""
    if not isinstance(one, str):
        return one  # type: ignore[no-any-return] # it was checked at the start
    channel, text = _split(one)
    wanted = frozenset(text.split("+")) if text else None
    if channel == "log":
        return None
    if channel == "sentry":
        from breaker.alerts.sentry import Sentry  # noqa: PLC0415 - only what is used is imported

        return Sentry(wanted or TRIPS)
    if channel.startswith("command:"):
        from breaker.alerts.command import Command  # noqa: PLC0415 - as above

        return Command(channel.removeprefix("command:"), wanted or FOR_PROGRAMS)
    from breaker.alerts.webhook import Slack, Webhook  # noqa: PLC0415 - as above

    if channel.startswith("slack+"):
        return Slack(channel.removeprefix("slack+"), wanted or FOR_PEOPLE)
    return Webhook(channel, os.environ.get(SECRET, ""), wanted or FOR_PROGRAMS)
