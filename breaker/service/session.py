"""A browser's session on the page: a signed cookie in place of the token, and the forms' own token.

Nothing is stored, so another instance with the same tokens knows the session too, and a token that
is changed ends all of its sessions.
"""

import hashlib
import hmac
import secrets
import time
from collections.abc import Iterator

from fastapi import Request

from breaker.service.access import Tokens

COOKIE = "breaker_session"
# Seconds that a session lasts.
LASTS = 12 * 3600


class Sessions:
    """Makes and checks sessions.

    Args:
        tokens: what callers must show.
    """

    def __init__(self, tokens: Tokens) -> None:
        self._tokens = tokens
        # Signs the forms of visitors who need no token; they end with the process.
        self._own = secrets.token_hex(32)

    def begin(self, token: str) -> str:
        """The cookie for a visitor who has shown this token."""
        session = f"{int(time.time()) + LASTS}.{secrets.token_hex(16)}"
        return f"{session}.{_sign(token, 'session', session)}"

    def token_of(self, request: Request) -> str:
        """The token that the session began with; empty without a session that is valid."""
        expiry, _, rest = request.cookies.get(COOKIE, "").partition(".")
        nonce, _, given = rest.partition(".")
        found = ""
        for token in self._known():
            wanted = _sign(token, "session", f"{expiry}.{nonce}")
            if hmac.compare_digest(given.encode(), wanted.encode()):
                found = token
        is_alive = expiry.isascii() and expiry.isdigit() and int(expiry) > time.time()
        return found if is_alive else ""

    def form_token(self, request: Request) -> str:
        """What a form of this session carries, and no other page can know."""
        token = self.token_of(request)
        session = request.cookies.get(COOKIE, "") if token else ""
        return _sign(token or self._own, "form", session)

    def is_form_token(self, request: Request, given: str) -> bool:
        """Whether a form of this session carries it."""
        return hmac.compare_digest(given.encode(), self.form_token(request).encode())

    def _known(self) -> Iterator[str]:
        return filter(None, (self._tokens.change, self._tokens.read))


def _sign(token: str, purpose: str, text: str) -> str:
    key = hashlib.sha256(f"fleet-breaker page {purpose}\0{token}".encode()).digest()
    return hmac.new(key, text.encode(), hashlib.sha256).hexdigest()
