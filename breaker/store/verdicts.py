"""What an error of the store means: an outage, which may pass, or a refusal, which will not.

The error's class and the code that the server put first decide, never text that a user controls: a
name may hold "certificate", an argument "limit".
"""

import re
import ssl

import redis

from breaker.errors import StoreError, StoreRefused, StoreUnavailable
from breaker.store.target import Target

# What a command may fail by. RuntimeError: an event loop or an interpreter that ends.
FAILURES = (redis.RedisError, OSError, RuntimeError)

# The codes of a server that will answer, or take writes, later.
_PASSING_CODES = frozenset(
    [
        "BUSY",
        "CLUSTERDOWN",
        "LOADING",
        "MASTERDOWN",
        "MISCONF",
        "NOREPLICAS",
        "OOM",
        "READONLY",
        "TRYAGAIN",
        "UNBLOCKED",
    ]
)
# Those of a server that reads, but takes no writes for now.
_READING_CODES = frozenset(["MISCONF", "NOREPLICAS", "OOM", "READONLY"])
# For errors that have their own class, redis-py strips the code from the message.
_CODE_OF_CLASS = {
    redis.exceptions.BusyLoadingError: "LOADING",
    redis.exceptions.ClusterDownError: "CLUSTERDOWN",
    redis.exceptions.MasterDownError: "MASTERDOWN",
    redis.exceptions.OutOfMemoryError: "OOM",
    redis.exceptions.ReadOnlyError: "READONLY",
    redis.exceptions.TryAgainError: "TRYAGAIN",
}
# Redis 6.2 wraps an error inside a script, so that its code stands behind the script's line.
_INNER_CODE = re.compile(r"@user_script: ?\d+: (?:-|@\w+: ?)?([A-Z]{2,})\b")
_CODE = re.compile(r"-?([A-Z]{2,})\b")
# What a managed store says with the general code ERR when its plan is used up, or when what stands
# before the server fails. What users control is quoted by servers, and is cut out before.
_PLAN = re.compile(
    r"\b(?:limit|limits|quota|exceeded|upstream|too many|max number of clients|capacity|"
    r"throttl\w+|unavailable|timed? ?out|timeout|overload\w*|try again|temporar\w+)\b",
    re.IGNORECASE,
)
_QUOTED = re.compile(r"'[^']*'|\"[^\"]*\"|`[^`]*`")
# Complaints of the server's own about the command or the user, which stand first.
_COMPLAINT = re.compile(
    r"ERR (?:unknown|wrong number|syntax|invalid|value|DB index|AUTH|Client sent AUTH|"
    r"ACL failure|user_script|Error (?:compiling|running) script|Script attempted|"
    r"This Redis command|This instance|operation not permitted)",
    re.IGNORECASE,
)
# A right that a script lacks has the general code ERR.
_LACKS = re.compile(r"ACL failure in script|The user executing the script can't")
# Errors that a server sent, which therefore was reached.
_ANSWERED = (redis.ResponseError, redis.exceptions.BusyLoadingError)


def is_store_error(error: Exception) -> bool:
    """Whether it is the store's, and not a fault of ours."""
    return isinstance(error, redis.RedisError | OSError | StoreError)


def only_reads(error: Exception) -> bool:
    """Whether the store is there, but takes no writes for now."""
    return _code(error) in _READING_CODES


def translate(error: Exception, target: Target) -> StoreError:
    """Tell an outage, which may pass, from a refusal, which will not."""
    verdict = _verdict(error, target)
    verdict.store = str(target)
    if isinstance(error, redis.RedisError):
        verdict.code = _code_of_login(error) or _code(error)
    return verdict


def _verdict(error: Exception, target: Target) -> StoreError:
    if _is_outage(error, target):
        fault = "refuses for now" if isinstance(error, _ANSWERED) else "does not answer"
        return StoreUnavailable(f"the store at {target} {fault}: {_shown(error)}")
    return StoreRefused(f"the store at {target} refused: {_shown(error)}")


def _shown(error: Exception) -> str:
    return str(error) or type(error).__name__


def _is_outage(error: Exception, target: Target) -> bool:
    if isinstance(error, redis.AuthenticationError | redis.exceptions.AuthorizationError):
        return False
    if isinstance(error, _ANSWERED):
        return _is_passing(error)
    if isinstance(error, redis.ConnectionError | redis.TimeoutError | OSError):
        return not any(_is_tls_refusal(one, target) for one in _chain(error))
    return isinstance(error, RuntimeError)


def _is_passing(error: Exception) -> bool:
    code = _code(error)
    if code != "ERR":
        return code in _PASSING_CODES
    text = str(error)
    if not text.startswith("ERR "):  # redis-py strips it
        text = f"ERR {text}"
    plain = _QUOTED.sub("", text)
    return not _COMPLAINT.match(plain) and _PLAN.search(plain) is not None


def _code_of_login(error: Exception) -> str:
    """The code of an error about users and rights; redis-py strips it, too."""
    if isinstance(error, redis.exceptions.NoPermissionError) or _LACKS.search(str(error)):
        return "NOPERM"
    if isinstance(error, redis.AuthenticationError):
        return "NOAUTH" if "required" in str(error) else "WRONGPASS"
    return ""


def _code(error: Exception) -> str:
    for kind, code in _CODE_OF_CLASS.items():
        if isinstance(error, kind):
            return code
    text = str(error)
    if inner := _INNER_CODE.search(_QUOTED.sub("", text)):
        return inner[1]
    first = _CODE.match(text)
    return first[1] if first else "ERR"


def _chain(error: BaseException | None) -> list[BaseException]:
    found: list[BaseException] = []
    while error is not None and error not in found:
        found.append(error)
        error = error.__cause__ or error.__context__
    return found


def _is_tls_refusal(error: BaseException, target: Target) -> bool:
    """Whether the handshake failed in a way that will not pass, or a file for it is missing."""
    if isinstance(error, ssl.SSLEOFError | ssl.SSLZeroReturnError | ssl.SSLSyscallError):
        return False
    if isinstance(error, ssl.SSLError):
        return not isinstance(error, TimeoutError)
    return target.kind == "tls" and isinstance(error, FileNotFoundError | PermissionError)
