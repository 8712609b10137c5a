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
        "UNBLOCKED",
    ]
)
# Those of a server that reads, but takes no writes for now.
_READING_CODES = frozenset(["MISCONF", "NOREPLICAS", "OOM", "READONLY"])
# Those of a cluster's node that has not, or not any more, all keys of a command.
_MOVING_CODES = frozenset(["ASK", "MOVED", "TRYAGAIN"])
# For errors that have their own class, redis-py strips the code from the message.
_CODE_OF_CLASS = {
    redis.exceptions.MovedError: "MOVED",  # which is an AskError too
    redis.exceptions.AskError: "ASK",
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
# What a Sentinel says to the first command that a store would carry out.
_LACKS_ALL = re.compile(r"(?:ERR )?unknown command .?(?:select|evalsha)\b\W?", re.IGNORECASE)
_REPLICA = (
    "if it is a replica for good, give the URL of its primary, or that of its Sentinels, "
    "redis+sentinel://host:26379/PRIMARY/database"
)
_CLUSTER = "it is a node of a cluster: its URL is redis+cluster://host:port"
_SENTINEL = "if it is a Sentinel, its URL is redis+sentinel://host:26379/PRIMARY/database"
# Errors that a server sent, which therefore was reached.
_ANSWERED = (redis.ResponseError, redis.exceptions.BusyLoadingError)


def is_store_error(error: Exception) -> bool:
    """Whether it is the store's, and not a fault of ours."""
    return isinstance(error, redis.RedisError | OSError | StoreError)


def only_reads(error: Exception) -> bool:
    """Whether the store is there, but takes no writes for now."""
    return code_of(error) in _READING_CODES


def is_moving(error: BaseException | None) -> bool:
    """Whether a cluster's node sends the command elsewhere: the node itself is well."""
    return isinstance(error, redis.ResponseError) and code_of(error) in _MOVING_CODES


def translate(error: Exception, target: Target, where: str = "") -> StoreError:
    """Tell an outage, which may pass, from a refusal, which will not.

    Args:
        error: what a command failed by.
        target: the store.
        where: which of its servers, without the password.
    """
    verdict = _verdict(error, target, where or str(target))
    verdict.store = str(target)
    if isinstance(error, redis.RedisError):
        verdict.code = _code_of_login(error) or code_of(error)
    return verdict


def _verdict(error: Exception, target: Target, where: str) -> StoreError:
    if _is_outage(error, target):
        fault = "refuses for now" if isinstance(error, _ANSWERED) else "does not answer"
        return StoreUnavailable(f"the store at {where} {fault}: {_shown(error, target)}")
    return StoreRefused(f"the store at {where} refused: {_shown(error, target)}")


def _shown(error: Exception, target: Target) -> str:
    """What the server said, and what to do, where the URL names the wrong kind of server."""
    text = str(error) or type(error).__name__
    if target.peers is not None or not isinstance(error, redis.ResponseError):
        return text
    if code_of(error) == "READONLY":
        return f"{text.rstrip('.')}; {_REPLICA}"
    if code_of(error) in _MOVING_CODES or "in cluster mode" in text:
        return f"{text.rstrip('.')}; {_CLUSTER}"
    lacks_all = _LACKS_ALL.match(text)
    return f"{lacks_all[0]}; {_SENTINEL}" if lacks_all else text


def _is_outage(error: Exception, target: Target) -> bool:
    if target.peers is not None and is_moving(error):
        return True
    if isinstance(error, redis.AuthenticationError | redis.exceptions.AuthorizationError):
        return False
    if isinstance(error, _ANSWERED):
        return _is_passing(error)
    if isinstance(error, redis.ConnectionError | redis.TimeoutError | OSError):
        return not any(_is_tls_refusal(one, target) for one in _chain(error))
    return isinstance(error, RuntimeError)


def _is_passing(error: Exception) -> bool:
    code = code_of(error)
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


def code_of(error: Exception) -> str:
    """The code that a server put first, else ERR."""
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
