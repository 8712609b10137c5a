"""What a store's error means: what is wrong, what becomes of the queues, what to do.

The store's own words are for readers of its manual, so they are left out where the code says all.
"""

from dataclasses import dataclass

from breaker.errors import StoreError, StoreRefused

# What workers do while the store takes no reports.
LOCAL = "workers that fare the same go on, each with a breaker of its own; nothing was changed"
REFUSED = "workers with this URL do not start; nothing was changed"


@dataclass(frozen=True, slots=True)
class Fault:
    """One kind of error.

    Attributes:
        wrong: what is wrong with the store.
        meaning: what becomes of the queues, and of this command.
        order: what to do.
    """

    wrong: str
    meaning: str
    order: str


FAULTS = {
    "READONLY": Fault(
        "is a replica, which takes no writes",
        LOCAL,
        "use the URL of its primary, which `breaker doctor` names",
    ),
    "MISCONF": Fault(
        "cannot write its data to its disk, and takes no writes until it can",
        LOCAL,
        "free space on its disk (see its log), then run `redis-cli BGSAVE` there",
    ),
    "OOM": Fault(
        "is full: its maxmemory is used up",
        LOCAL,
        "free memory, or run `redis-cli CONFIG SET maxmemory SIZE` there",
    ),
    "NOREPLICAS": Fault(
        "has fewer replicas than its min-replicas-to-write, and takes no writes",
        LOCAL,
        "bring its replicas back, or run `redis-cli CONFIG SET min-replicas-to-write 0` there",
    ),
    "LOADING": Fault("loads its data and answers later", LOCAL, "try again in a moment"),
    "BUSY": Fault(
        "runs a script that does not end", LOCAL, "run `redis-cli SCRIPT KILL` there"
    ),
    "MASTERDOWN": Fault(
        "is a replica that has lost its primary",
        LOCAL,
        "use the URL of a primary, or bring this one back",
    ),
    "NOAUTH": Fault(
        "asks for a password, and the URL has none",
        REFUSED,
        "set BREAKER_URL to redis://USER:PASSWORD@HOST:PORT/DATABASE",
    ),
    "WRONGPASS": Fault(
        "does not know this user and password",
        REFUSED,
        "correct them in BREAKER_URL or --url, or make the user: `breaker doctor --acl` prints how",
    ),
    "NOPERM": Fault(
        "does not allow this user what breakers need",
        "workers with this URL may not work; nothing was changed",
        "run `breaker doctor`, which names what is missing",
    ),
    "WRONGTYPE": Fault(
        "has something else under a key of this breaker",
        "workers of this queue are not guarded; nothing was changed",
        "run `breaker doctor`, which names the breaker, and delete the key",
    ),
}


def fault_of(error: StoreError) -> Fault | None:
    """What kind of error it is; None if its own words have to do."""
    return FAULTS.get(error.code) if error.store else None


def wrong(error: StoreError) -> str:
    """What is wrong, alone."""
    fault = fault_of(error)
    return f"the store at {error.store} {fault.wrong}" if fault else str(error).rstrip(".")


def order(error: StoreError) -> str:
    """What to do; empty if the error's own words have to do."""
    fault = fault_of(error)
    return fault.order if fault else ""


def sentence(error: StoreError) -> str:
    """The error in one line: what is wrong, what it means for the queues, what to do."""
    if fault := fault_of(error):
        return f"{wrong(error)}; {fault.meaning}; {fault.order}"
    meaning = REFUSED if isinstance(error, StoreRefused) else LOCAL
    return f"{wrong(error)}; {meaning}; set --url or BREAKER_URL, or run `breaker doctor`"
