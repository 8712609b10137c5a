"""The rules that tell a rate limit, an overload and an exhausted quota from all else.

They are tried in order; the first that has an answer counts. None of them knows a client
library: `tables` has the codes, phrases and statuses.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import replace

from breaker.classify import tables
from breaker.classify.answer import Kind, RateLimit, Refusal, Verdict
from breaker.classify.evidence import Evidence, as_status, gather
from breaker.classify.waits import exhausted, explicit_wait, window_wait

TOO_MANY_REQUESTS = 429
BAD_REQUEST = 400
PAYMENT_REQUIRED = 402
FORBIDDEN = 403
UNAVAILABLE = 503
SERVER_ERRORS = 500

Rule = Callable[[Evidence, float | None], Verdict | None]


def decide(error: object, now: float | None) -> Verdict | None:
    """Judge one error or response by itself; None where it says nothing about limits."""
    evidence = gather(error)
    if evidence.status is None and isinstance(error, BaseException):
        evidence = _from_text(evidence, error)
    return next((verdict for rule in RULES if (verdict := rule(evidence, now))), None)


def _not(why: str) -> Verdict:
    return Verdict(None, why)


def _limited(kind: Kind, why: str, evidence: Evidence, now: float | None) -> Verdict:
    wait = None
    if kind != "quota":  # a server's hint misleads there: Google says 34 s for a day's limit
        wait = explicit_wait(evidence, now) or window_wait(evidence, now)
    return Verdict(RateLimit(kind, wait, _scope(evidence)), why)


# -- the rules


def _ours(evidence: Evidence, now: float | None) -> Verdict | None:
    if evidence.header("x-breaker") != "open":
        return None
    why = "an open breaker answered this itself: nothing reached the upstream"
    return Verdict(None, why, Refusal(explicit_wait(evidence, now)))


def _fine(evidence: Evidence, _now: float | None) -> Verdict | None:
    """A response, not an error, that went through: its body is data, unless it says `errors`."""
    status = evidence.status
    if isinstance(evidence.error, BaseException) or status is None or status >= BAD_REQUEST:
        return None
    return None if evidence.keys & {"error", "errors"} else _not(f"status {status}")


def _too_big(evidence: Evidence, _now: float | None) -> Verdict | None:
    is_too_big = (
        evidence.status == tables.TOO_LARGE
        or evidence.words & tables.TOO_BIG_CODES
        or tables.TOO_BIG.search(evidence.text)
    )
    return (
        _not("too big to pass at any time, so that waiting does not help")
        if is_too_big
        else None
    )


def _card(evidence: Evidence, _now: float | None) -> Verdict | None:
    if evidence.words & tables.NEVER_CODES or _has_class(evidence, tables.NEVER_CLASS):
        return _not("about one customer's payment card")
    return None


def _salesforce(evidence: Evidence, now: float | None) -> Verdict | None:
    if tables.SALESFORCE_CODE not in evidence.words or evidence.status != FORBIDDEN:
        return None
    kind: Kind = "rate_limit" if tables.CONCURRENCY.search(evidence.text) else "quota"
    return _limited(kind, f"code {tables.SALESFORCE_CODE} with status 403", evidence, now)


def _quota(evidence: Evidence, now: float | None) -> Verdict | None:
    why = next(_quota_reasons(evidence), None)
    return _limited("quota", why, evidence, now) if why else None


def _quota_reasons(evidence: Evidence) -> Iterator[str]:
    for code in evidence.words & tables.QUOTA_CODES:
        yield f"code {code}"
    for _, code in evidence.codes & tables.QUOTA_CODES_BY_KEY:
        yield f"code {code}"
    status = evidence.status
    for pattern, statuses in (
        (tables.QUOTA, tables.QUOTA_PHRASE_STATUSES),
        (tables.BALANCE, tables.BALANCE_STATUSES),
    ):
        phrase = pattern.search(evidence.text)
        if phrase and status in statuses:
            yield f"the text says {phrase[0]!r}"
    if status == PAYMENT_REQUIRED:
        yield "status 402"
    if status in {None, TOO_MANY_REQUESTS}:
        window = tables.GOOGLE_QUOTA.search(evidence.text)
        if window and (status or tables.RESOURCE_EXHAUSTED in evidence.words):
            yield f"the text says {window[0]!r}"


def _overload(evidence: Evidence, now: float | None) -> Verdict | None:
    why = next(_overload_reasons(evidence), None)
    return _limited("overload", why, evidence, now) if why else None


def _overload_reasons(evidence: Evidence) -> Iterator[str]:
    for code in evidence.words & tables.OVERLOAD_CODES:
        yield f"code {code}"
    status = evidence.status
    if status in tables.OVERLOAD_STATUSES:
        yield f"status {status}"
    said = tables.OVERLOADED.search(evidence.text)
    if said and status == TOO_MANY_REQUESTS:
        yield f"status 429, and the text says {said[0]!r}"
    if status is not None and status >= SERVER_ERRORS:
        # litellm makes status 500 of Anthropic's 529.
        embedded = tables.EMBEDDED_OVERLOAD.search(evidence.text)
        if embedded:
            yield "the text quotes overloaded_error"


def _rate_limit(evidence: Evidence, now: float | None) -> Verdict | None:
    why = next(_rate_limit_reasons(evidence), None)
    if why is None:
        return None
    if _names_long_window(evidence.text) and explicit_wait(evidence, now) is None:
        return _limited("quota", f"{why}; the window is a day or a month", evidence, now)
    return _limited("rate_limit", why, evidence, now)


def _rate_limit_reasons(evidence: Evidence) -> Iterator[str]:
    status = evidence.status
    if status in tables.RATE_LIMIT_STATUSES:
        yield f"status {status}"
    if status in tables.RATE_LIMIT_CODE_STATUSES:
        for code in evidence.words & tables.RATE_LIMIT_CODES:
            yield f"code {code}"
    if status in {None, TOO_MANY_REQUESTS} and tables.RESOURCE_EXHAUSTED in evidence.words:
        yield f"code {tables.RESOURCE_EXHAUSTED}"
    banned = tables.BANNED.search(evidence.text)
    if status == tables.TEAPOT and banned:
        yield f"status 418, and the text says {banned[0]!r}"


def _unavailable(evidence: Evidence, now: float | None) -> Verdict | None:
    if evidence.status == UNAVAILABLE:
        return _limited("overload", "status 503", evidence, now)
    return None


def _forbidden(evidence: Evidence, now: float | None) -> Verdict | None:
    if evidence.status != FORBIDDEN:
        return None
    said = tables.FORBIDDEN_LIMIT.search(evidence.text)
    if said:
        return _limited(
            "rate_limit", f"status 403, and the text says {said[0]!r}", evidence, now
        )
    if evidence.header("retry-after") or exhausted(evidence):
        why = "status 403 with Retry-After, or with nothing remaining"
        return _limited("rate_limit", why, evidence, now)
    return None


def _other_status(evidence: Evidence, _now: float | None) -> Verdict | None:
    return _not(f"status {evidence.status}") if evidence.status is not None else None


def _by_class(evidence: Evidence, now: float | None) -> Verdict | None:
    name = _has_class(evidence, tables.RATE_LIMIT_CLASS)
    if name and not isinstance(evidence.error, tables.QUOTING):
        return _limited("rate_limit", f"class {name}", evidence, now)
    return None


RULES: tuple[Rule, ...] = (
    _ours,
    _fine,
    _too_big,
    _card,
    _salesforce,
    _quota,
    _overload,
    _rate_limit,
    _unavailable,
    _forbidden,
    _other_status,
    _by_class,
)


# -- errors that have only their text


def _from_text(evidence: Evidence, error: BaseException) -> Evidence:
    """Read status and codes from the text of an error that has lost its attributes."""
    text = evidence.text
    if tables.QUOTES.search(text):
        return replace(evidence, text="")
    match = tables.TEXT_STATUS.search(text)
    status = as_status(next(filter(None, match.groups()))) if match else None
    if isinstance(error, tables.QUOTING) and status != TOO_MANY_REQUESTS:
        return replace(evidence, text="")
    found = tables.TEXT_CODE.findall(text)
    codes = {("", next(filter(None, groups)).lower()) for groups in found}
    if tables.TEXT_OVERLOAD.search(text):
        codes.add(("", "overloaded_error"))
    if tables.TEXT_RATE_LIMIT.search(text):
        codes.add(("", "rate_limited"))
    return replace(evidence, status=status, codes=evidence.codes | codes)


# -- words


def _has_class(evidence: Evidence, pattern: re.Pattern[str]) -> str:
    return next((name for name in evidence.classes if pattern.match(name)), "")


def _names_long_window(text: str) -> bool:
    return bool(tables.LONG_WINDOW.search(text)) and not tables.SHORT_WINDOW.search(text)


def _scope(evidence: Evidence) -> str | None:
    return next(_scopes(evidence), None)


def _scopes(evidence: Evidence) -> Iterator[str]:
    text = evidence.text
    reason = evidence.header("stripe-rate-limited-reason") or ""
    policy = evidence.header("ratelimit-policy") or ""
    if any(map(tables.CONCURRENCY.search, (text, reason, policy))):
        yield "concurrency"
    if tables.SECONDARY.search(text):
        yield "secondary"
    if _names_long_window(text):
        yield "day"
    for code in evidence.words & tables.SCOPE_CODES.keys():
        yield tables.SCOPE_CODES[code]
    if tables.TOKENS.search(text):
        yield "tokens"
    if tables.REQUESTS.search(text):
        yield "requests"
    gone = exhausted(evidence)
    for scope in ("tokens", "requests"):
        if gone and all(scope in name for name in gone):
            yield scope
