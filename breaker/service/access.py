"""Who may look and who may change things, by bearer token or by coming from this machine."""

import hmac
import ipaddress
import math
import time
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, TypeVar
from urllib.parse import urlsplit

from fastapi import Depends, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from breaker.errors import ConfigurationError
from breaker.service.problems import Problem

T = TypeVar("T")

# Tries with a wrong token that an address has in a minute; then it must wait.
MOST_TRIES = 20
TRIES_FORGOTTEN = 60.0
# Addresses whose tries are remembered.
MOST_ADDRESSES = 10_000

_BEARER = HTTPBearer(
    auto_error=False, description="BREAKER_TOKEN, or BREAKER_READ_TOKEN to look."
)
Credentials = Annotated[HTTPAuthorizationCredentials | None, Depends(_BEARER)]


@dataclass(frozen=True, slots=True)
class Tokens:
    """What callers must show.

    Attributes:
        change: the token that may change things; empty: only this machine may.
        read: the token that may look; empty: looking is free.
        are_metrics_open: whether /metrics asks for no token.
    """

    change: str = field(default="", repr=False)
    read: str = field(default="", repr=False)
    are_metrics_open: bool = False

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> "Tokens":
        """Read BREAKER_TOKEN, BREAKER_READ_TOKEN (or the files BREAKER_..._FILE), BREAKER_METRICS_OPEN.

        Raises:
            ConfigurationError: a file that cannot be read, or a token that is empty.
        """
        return cls(
            change=_secret("BREAKER_TOKEN", environment),
            read=_secret("BREAKER_READ_TOKEN", environment),
            are_metrics_open=environment.get("BREAKER_METRICS_OPEN", "") not in {"", "0"},
        )


def _secret(name: str, environment: Mapping[str, str]) -> str:
    if path := environment.get(f"{name}_FILE"):
        try:
            secret = Path(path).read_text(encoding="utf-8").strip()
        except (OSError, UnicodeError) as error:
            reason = getattr(error, "strerror", None) or "it is no text"
            raise ConfigurationError([f"{name}_FILE: cannot read {path}: {reason}"]) from None
        if not secret:
            raise ConfigurationError([f"{name}_FILE: {path} is empty; write the token into it"])
        return secret
    secret = environment.get(name, "").strip()
    if name in environment and not secret:
        raise ConfigurationError([f"{name} is empty: give it a token, or take it away"])
    return secret


class Access:
    """Decides each request, and remembers the addresses that try wrong tokens."""

    def __init__(self, tokens: Tokens) -> None:
        self.tokens = tokens
        self._tries: OrderedDict[str, tuple[float, int]] = OrderedDict()
        # Addresses that have shown a right token are not locked out: a whole fleet may share the
        # address of a proxy with the one caller whose token is wrong.
        self._proven: OrderedDict[str, None] = OrderedDict()

    def may_look(self, request: Request, shown: str) -> None:
        """Pass, or refuse.

        Raises:
            Problem: 401 without a right token, 429 after too many wrong ones.
        """
        if self.tokens.read and not self._is_one_of(request, shown, self._all()):
            raise _unauthorised("a token is needed: send it as `Authorization: Bearer TOKEN`")

    def may_change(self, request: Request, shown: str) -> None:
        """Pass, or refuse.

        Raises:
            Problem: 401 without a right token, 403 from elsewhere or with a token that may only
                look, 429 after too many wrong ones.
        """
        if self.tokens.change:
            if self._is_one_of(request, shown, (self.tokens.change,)):
                return
            if shown and self._is_one_of(request, shown, self._all()):
                raise Problem(403, "this token may look and not change", kind="read-only-token")
            raise _unauthorised("BREAKER_TOKEN is needed: `Authorization: Bearer TOKEN`")
        if self.tokens.read or not _is_from_here(request):
            raise Problem(
                403,
                "changes are refused: the service was started without BREAKER_TOKEN, so that only "
                "programs of its own machine may change things",
                kind="no-token-set",
            )

    def is_known(self, request: Request, shown: str) -> bool:
        """Whether it is one of the tokens; for the page's login.

        Raises:
            Problem: 429 after too many wrong ones.
        """
        return self._is_one_of(request, shown, self._all())

    def _all(self) -> tuple[str, ...]:
        return tuple(filter(None, (self.tokens.change, self.tokens.read)))

    def _is_one_of(self, request: Request, shown: str, right: tuple[str, ...]) -> bool:
        address = request.client.host if request.client else ""
        if shown and address not in self._proven:
            self._refuse_guessing(address)
        # All are compared, each in constant time: how long it takes tells nothing.
        given = shown.encode()
        found = {one: hmac.compare_digest(given, one.encode()) for one in self._all()}
        if any(found.values()):
            _remember(self._proven, address, None)
        elif shown:
            self._note_try(address)
        return any(found[one] for one in right)

    def _refuse_guessing(self, address: str) -> None:
        began, tries = self._tries.get(address, (0.0, 0))
        left = TRIES_FORGOTTEN - (time.monotonic() - began)
        if tries >= MOST_TRIES and left > 0:
            raise Problem(
                429,
                "too many wrong tokens from this address",
                kind="too-many-tries",
                headers={"Retry-After": f"{math.ceil(left)}"},
            )

    def _note_try(self, address: str) -> None:
        now = time.monotonic()
        began, tries = self._tries.get(address, (now, 0))
        is_old = now - began > TRIES_FORGOTTEN
        _remember(self._tries, address, (now, 1) if is_old else (began, tries + 1))


def _remember(addresses: OrderedDict[str, T], address: str, what: T) -> None:
    addresses[address] = what
    addresses.move_to_end(address)
    if len(addresses) > MOST_ADDRESSES:
        addresses.popitem(last=False)


def _unauthorised(why: str) -> Problem:
    return Problem(401, why, kind="no-token", headers={"WWW-Authenticate": "Bearer"})


def _is_from_here(request: Request) -> bool:
    """Whether a program of this machine asks, and not a foreign page in a browser on it.

    A page may let a name of its own point to this machine, so the Host is looked at too.
    """
    client = request.client
    origin = request.headers.get("origin")
    hosts = [request.headers.get("host", "")]
    if origin is not None:
        hosts.append(urlsplit(origin).netloc)
    is_near = client is None or _is_loopback(client.host)
    return is_near and all(_is_loopback(_hostname(host)) for host in hosts)


def _hostname(host: str) -> str:
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""


def _is_loopback(host: str) -> bool:
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _shown(request: Request, credentials: Credentials) -> str:
    if credentials:
        return credentials.credentials
    # A browser sends the cookie by itself, so it may look; changing takes a form of the page.
    is_look = request.method == "GET"
    token: str = request.app.state.sessions.token_of(request) if is_look else ""
    return token


Shown = Annotated[str, Depends(_shown)]


def may_look(request: Request, shown: Shown) -> None:
    """For routes that show something."""
    request.app.state.access.may_look(request, shown)


def may_change(request: Request, shown: Shown) -> None:
    """For routes that change something."""
    request.app.state.access.may_change(request, shown)


def may_scrape(request: Request, shown: Shown) -> None:
    """For the metrics."""
    access: Access = request.app.state.access
    if not access.tokens.are_metrics_open:
        access.may_look(request, shown)
