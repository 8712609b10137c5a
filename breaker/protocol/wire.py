"""Encode what scripts are asked, decode what they answer. The only place that does."""

import json
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from breaker.model import Evidence, Grant, State, Status, Transition
from breaker.protocol.replies import Leave, Reply, Snapshot
from breaker.settings import OPTIONS, Settings

# Worked out once: every push to every subscriber comes by here.
_WIRED = tuple(
    (option.name, option.wire_name, option.is_duration) for option in OPTIONS.values()
)

# How an exported grant writes what it is.
_FLAGS = {"p": "is_probe", "l": "is_local", "s": "is_paced"}


def decode(reply: bytes | str | dict[str, Any]) -> Any:
    """Decode a script's reply; a local answer is one already."""
    return reply if isinstance(reply, dict) else json.loads(text(reply))


def text(value: bytes | str) -> str:
    """Text from a client that may or may not decode."""
    return value.decode(errors="replace") if isinstance(value, bytes) else value


def seconds(ms: float | None) -> float | None:
    """Seconds from the wire's milliseconds."""
    return None if ms is None else float(ms) / 1000


def resumes_in(reply: Reply) -> float | None:
    """Seconds until a pause ends by itself; None if it does not."""
    return seconds(reply.get("resumes_in_ms"))


def wait(reply: Leave) -> float | None:
    """Seconds until it is worth asking again; None if only an operator can tell."""
    return reply["wait_ms"] / 1000 if reply["wait_ms"] >= 0 else None


def moment(ms: float | None) -> datetime | None:
    """A UTC datetime from the store's clock in milliseconds."""
    return None if ms is None else datetime.fromtimestamp(float(ms) / 1000, UTC)


def options(wire: Mapping[str, Any]) -> dict[str, Any]:
    """Options in seconds from the wire's fields; other fields are left out."""
    return {name: value for name, value in settings(wire).items() if value is not None}


def settings(wire: Mapping[str, Any]) -> dict[str, Any]:
    """Options in seconds from what was set; None for an override that was removed."""
    return {
        name: value / 1000 if is_duration and value is not None else value
        for name, wire_name, is_duration in _WIRED
        if wire_name in wire
        for value in [wire[wire_name]]
    }


def changes(given: Mapping[str, Any]) -> str:
    """Encode what an operator sets; None takes an option back."""
    wire = {
        OPTIONS[name].wire_name: None
        if value is None
        else OPTIONS[name].to_wire(OPTIONS[name].read(value))
        for name, value in given.items()
    }
    return json.dumps(wire, sort_keys=True, separators=(",", ":"))


def status(name: str, view: Snapshot, assumed: Settings) -> Status:
    """A Status from a script's view; `assumed` fills in for a breaker the store does not know."""
    known = options(view)
    if len(known) < len(OPTIONS):
        known = {option: getattr(assumed, option) for option in OPTIONS} | known
    return Status(
        name=name,
        state=State(view["state"]),
        is_paused=view["paused"],
        consecutive_errors=int(view["count"]),
        epoch=int(view["epoch"]),
        resumes_in=resumes_in(view),
        opened_at=moment(view.get("opened_at")),
        reason=view.get("reason", ""),
        by=view.get("by", ""),
        trips=int(view["trips"]),
        cuts=int(view["cuts"]),
        rate_limit_errors=int(view["rate_limit_errors"]),
        paused_seconds=float(view["paused_ms"]) / 1000,
        pace=view.get("pace"),
        automaton=State(view.get("automaton") or view["state"]),
        order=view.get("order", ""),
        order_ends_in=seconds(view.get("order_left_ms")),
        trip_ends_in=seconds(view.get("trip_left_ms")),
        kind=view.get("kind", ""),
        conflict=_conflict(view),
        conflict_by=view.get("rival_by", ""),
        push_lost=view.get("push_lost", ""),
        probe_until=seconds(view.get("lease_left_ms")),
        overrides=options(_object(view.get("overrides"))),
        trip_id=view.get("trip_id", ""),
        incarnation=view.get("incarnation", ""),
        version=int(view["version"]),
        exists=view["exists"],
        tripped=view.get("tripped", False),
        duplicate=view.get("duplicate", False),
        **known,
    )


def transition(name: str, fields: Mapping[str, Any], event_id: str = "") -> Transition:
    """A Transition from a reply, or from an entry of the event stream (where all is text)."""
    at = moment(fields["at"])
    assert at is not None  # noqa: S101 - every event has its time
    return Transition(
        name=name,
        event=fields["event"],
        before=fields.get("from", ""),
        after=fields.get("to", ""),
        epoch=int(fields["epoch"]),
        at=at,
        reason=fields.get("reason", ""),
        by=fields.get("by", ""),
        pause=seconds(fields.get("pause_ms")),
        errors=int(fields.get("errors", 0)),
        evidence=_evidence(fields.get("evidence", "")),
        trip_id=fields.get("trip_id", ""),
        is_shadow="shadow" in fields,
        settings=settings(_object(fields.get("settings"))),
        replaces=fields.get("replaces", ""),
        kind=fields.get("kind", ""),
        incarnation=fields.get("incarnation", ""),
        version=int(fields.get("version", 0)),
        id=event_id,
    )


def grant(permit_id: str, reply: Leave) -> Grant:
    """A Grant from the answer to `acquire`."""
    return Grant(
        permit_id,
        int(reply["epoch"]),
        int(reply["run"]),
        reply["probe"],
        is_local="is_local" in reply,
        is_paced="pace" in reply,
        incarnation=reply["incarnation"],
    )


def export(grant: Grant) -> str:
    """A grant as short printable ASCII, to cross a process."""
    flags = "".join(letter for letter, name in _FLAGS.items() if getattr(grant, name))
    return f"1:{grant.id}:{grant.incarnation}:{grant.epoch}:{grant.run}:{flags}"


def imported(text: str) -> Grant:
    """The grant that `export` wrote.

    Raises:
        ValueError: it is not one.
    """
    version, permit_id, incarnation, epoch, run, flags = text.split(":")
    if version != "1" or not permit_id.isalnum() or set(flags) - _FLAGS.keys():
        raise ValueError(text)
    given = {name: letter in flags for letter, name in _FLAGS.items()}
    return Grant(permit_id, int(epoch), int(run), incarnation=incarnation, **given)


def state_lost(name: str, before: str, reply: Reply) -> Transition:
    """What there is to tell when the store has another state than the one known."""
    reason = (
        f"the store's state is a new one (it was {before}): flushed, evicted or failed over"
    )
    return _lost(name, reason, reply)


def state_rewound(name: str, version: int, reply: Reply) -> Transition:
    """What there is to tell when the store has an older state than the one known."""
    reason = (
        f"the store went back from version {version} to {reply['version']}: "
        "a backup was restored or a replica promoted"
    )
    return _lost(name, reason, reply)


def _lost(name: str, reason: str, reply: Reply) -> Transition:
    return Transition(
        name=name,
        event="state-lost",
        before="",
        after="",
        epoch=0,
        at=datetime.now(UTC),
        reason=reason,
        incarnation=reply.get("incarnation", ""),
        version=reply["version"],
    )


def events(name: str, entries: Iterable[tuple[Any, Mapping[Any, Any]]]) -> list[Transition]:
    """The entries of XREVRANGE, the oldest first."""
    found = (entry(name, fields, text(entry_id)) for entry_id, fields in entries)
    return [event for event in found if event is not None][::-1]


def entry(name: str, fields: Mapping[Any, Any], event_id: str) -> Transition | None:
    """One entry of the history; None for an entry that no script wrote."""
    try:
        plain = {text(key): text(value) for key, value in fields.items()}
        return transition(name, plain, event_id)
    except (AttributeError, KeyError, TypeError, ValueError, OverflowError, OSError):
        return None


def _conflict(view: Snapshot) -> dict[str, Any]:
    """The options that another release, running side by side, declares otherwise."""
    rival = options(_object(view.get("rival")))
    in_force = options(view)
    overridden = options(_object(view.get("overrides")))  # by an operator, for both releases
    return {
        name: value
        for name, value in rival.items()
        if name not in overridden and in_force.get(name) != value
    }


def _object(encoded: Any) -> Any:
    """JSON inside JSON; a local answer has it decoded."""
    return (
        json.loads(encoded or "{}") if encoded is None or isinstance(encoded, str) else encoded
    )


def _evidence(encoded: Any) -> tuple[Evidence, ...]:
    if not encoded:
        return ()
    return tuple(
        Evidence(
            id=error["id"],
            worker=error["worker"],
            at=datetime.fromtimestamp(error["at"] / 1000, UTC),
            retry_after=seconds(error["retry_after_ms"] or None),
        )
        for error in _object(encoded)
    )
