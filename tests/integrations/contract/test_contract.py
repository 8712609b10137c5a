"""What every integration keeps to, with real workers, a real broker and a real upstream as judge."""

import json
import signal
import time
from dataclasses import dataclass

import pytest
import redis

from tests.integrations.contract.conftest import Feed, RedisBroker, note, wait_for
from tests.integrations.fleets import KINDS

pytestmark = [pytest.mark.integration, pytest.mark.timeout(180)]

# Seconds that a pause lasts: the upstream says so with each 429.
PAUSE = 4.0
# Calls per second that the upstream allows after the pause.
ALLOWED = 20.0

every_kind = pytest.mark.parametrize("kind", list(KINDS))
most_kinds = pytest.mark.parametrize(
    "kind", [name for name, made in KINDS.items() if not made.is_brief]
)
main_kinds = pytest.mark.parametrize(
    "kind", [name for name, made in KINDS.items() if made.is_main]
)


# What a crash can lose depends on how the broker knows of a message: all brokers, then.
kinds_of_each_broker = pytest.mark.parametrize(
    "kind",
    [name for name, made in KINDS.items() if made.is_main or made.needs == "rabbitmq"],
)

kinds_that_reconnect = pytest.mark.parametrize(
    "kind",
    [
        name
        for name, made in KINDS.items()
        if made.reconnects and (made.is_main or made.needs == "rabbitmq")
    ],
)


def answered(upstream, queue="content"):
    return len(upstream.answered(queue))


def send(fleet, count, queue="content", first=0):
    for number in range(first, first + count):
        fleet.send(queue, f"{queue[0]}{number}")


def watching(client):
    """How many processes are pushed what changes: they have asked, and were told to wait."""
    return [each["name"] for each in client.client_list()].count("breaker-push")


@every_kind
def test_a_trip_stops_the_queue_and_nothing_else_and_it_recovers_at_a_pace(
    kind, start, upstream, breaker, request
):
    request.node.fleet = fleet = start(kind)
    upstream.retry_after = PAUSE
    upstream.allows = fleet.jobs // 4
    send(fleet, fleet.jobs)
    with Feed(fleet, fleet.every) as feed:
        status = wait_for(lambda: (seen := breaker.status()).is_paused and seen)
        tripped = time.monotonic()
        upstream.refuses, upstream.rate = False, ALLOWED
        resumes = tripped + status.resumes_in
        wait_for(lambda: answered(upstream) == fleet.jobs)
        wait_for(lambda: answered(upstream, "other") >= feed.sent - 5)
    done = time.monotonic()

    started = [call.at for call in upstream.of("content", since=tripped)]
    leaked = [at for at in started if at < resumes - 0.1]
    first = min(at for at in started if at >= resumes - 0.1)
    recovery = upstream.of("content", since=resumes - 0.1)
    limited = [call for call in recovery if call.status == 429]
    gap = longest_gap(upstream.of("other"), tripped, resumes)
    note(
        kind,
        leak=len(leaked),
        resume_after=first - resumes,
        limited=len(limited) / len(recovery),
        rate=len(recovery) / (done - resumes),
        other_gap=gap,
    )
    assert len(leaked) <= 2 * fleet.slots
    assert first - resumes < 2.0 + fleet.every + feed.latest
    assert len(limited) <= max(4, 0.05 * len(recovery))
    assert gap < 1.5 + fleet.every + feed.latest
    assert set(upstream.answered("content").values()) == {1}
    assert {call.run for call in upstream.of("content")} == {"0"}


def longest_gap(calls, since, until):
    times = sorted(call.at for call in calls if since <= call.at <= until)
    return max(
        after - before for before, after in zip([since, *times], [*times, until], strict=True)
    )


@most_kinds
def test_workers_that_start_while_the_queue_is_paused(
    kind, start, store, upstream, breaker, request
):
    wait_for(breaker.pause)
    request.node.fleet = fleet = start(kind)
    send(fleet, 10)
    with redis.Redis.from_url(store.url) as client:
        wait_for(lambda: watching(client) >= 2)
    send(fleet, 10, "other")
    wait_for(lambda: answered(upstream, "other") == 10)
    assert not upstream.of("content")
    wait_for(breaker.resume)
    wait_for(lambda: answered(upstream) == 10)
    assert set(upstream.answered("content").values()) == {1}


@most_kinds
def test_workers_that_are_idle_when_the_queue_is_paused(
    kind, start, upstream, breaker, request
):
    request.node.fleet = fleet = start(kind)
    send(fleet, 10, "other")
    send(fleet, 10)
    wait_for(lambda: answered(upstream, "other") + answered(upstream) == 20)
    wait_for(breaker.pause)
    paused = time.monotonic()
    send(fleet, 10, first=10)
    send(fleet, 10, "other", first=10)
    wait_for(lambda: answered(upstream, "other") == 20)
    # A worker takes what was pushed for true, and it arrives within milliseconds: see the leak.
    assert len(upstream.of("content", since=paused)) <= 2 * fleet.slots
    wait_for(breaker.resume)
    wait_for(lambda: answered(upstream) == 20)
    assert set(upstream.answered("content").values()) == {1}


@kinds_of_each_broker
def test_workers_that_end_in_mid_pause_lose_nothing(kind, start, upstream, breaker, request):
    request.node.fleet = fleet = start(kind)
    send(fleet, 60)
    wait_for(lambda: answered(upstream) >= 10)
    wait_for(breaker.pause)
    quiet(upstream)
    asked, killed = fleet.processes
    asked.signal(signal.SIGTERM)
    assert asked.popen.wait(15) in fleet.exit_codes
    killed.kill()
    fleet.start(1)
    wait_for(breaker.resume)
    wait_for(lambda: answered(upstream) == 60)
    assert set(upstream.answered("content").values()) == {1}


def quiet(upstream):
    """Wait until no call of `content` has come for as long as some jobs take."""
    wait_for(
        lambda: time.monotonic() - max(call.until for call in upstream.of("content")) > 0.5
    )


@kinds_that_reconnect
def test_a_lost_connection_to_the_broker_in_mid_pause(
    kind, start, upstream, breaker, broker, request
):
    request.node.fleet = fleet = start(kind)
    send(fleet, 40)
    wait_for(lambda: answered(upstream) >= 10)
    wait_for(breaker.pause)
    quiet(upstream)
    broker.drop_connections()
    paused = time.monotonic()
    send(fleet, 10, "other")
    wait_for(lambda: answered(upstream, "other") == 10)
    assert not upstream.of("content", since=paused)
    wait_for(breaker.resume)
    wait_for(lambda: answered(upstream) == 40)
    assert set(upstream.answered("content").values()) == {1}


@main_kinds
def test_another_error_goes_the_frameworks_usual_way(kind, start, upstream, breaker, request):
    request.node.fleet = fleet = start(kind)
    fleet.send("content", "broken")
    send(fleet, 10)
    wait_for(lambda: answered(upstream) == 11)
    assert upstream.answered("content")["broken"] == 1
    assert wait_for(breaker.status).rate_limit_errors == 0


@main_kinds
def test_a_waiting_fleet_costs_little(kind, start, upstream, breaker, broker, store, request):
    request.node.fleet = fleet = start(kind)
    send(fleet, 4)
    send(fleet, 4, "other")
    wait_for(lambda: answered(upstream) + answered(upstream, "other") == 8)
    wait_for(breaker.pause)
    send(fleet, 10, first=4)
    quiet(upstream)
    costs: list[Cost] = []

    def is_cheap() -> bool:
        costs.append(cost(fleet.processes, store, broker))
        # What RQ and Huey do by themselves, beside the waiting, is a few commands per second.
        return costs[-1].cpu < 0.05 and costs[-1].store < 5 and costs[-1].broker < 50

    # What workers do once, when they notice the pause, is over by some span. What waiting costs
    # shows in each span.
    wait_for(is_cheap)
    note(kind, cpu=costs[-1].cpu, store=costs[-1].store, broker=costs[-1].broker)


@dataclass(frozen=True)
class Cost:
    """What a worker costs per second: its share of a core, commands to its servers."""

    cpu: float
    store: float
    broker: float


def cost(processes, store, broker):
    """What each process costs, on average over three seconds."""

    def spent():
        # The broker's count is Redis's only; others have none that would be the same.
        of_broker = commands(broker) if isinstance(broker, RedisBroker) else 0
        return sum(process.cpu() for process in processes), commands(store), of_broker

    before, since = spent(), time.monotonic()
    time.sleep(3.0)  # the span that is measured; no condition ends it
    spans = len(processes) * (time.monotonic() - since)
    return Cost(
        *((now - then) / spans for now, then in zip(spent(), before, strict=True)),
    )


def commands(server):
    """How many commands a server has carried out, those of its scripts not counted apart."""
    with redis.Redis.from_url(server.url) as client:
        stats = client.info("commandstats")
    inner = {"cmdstat_info", "cmdstat_client|setinfo", "cmdstat_hello"}
    return sum(each["calls"] for name, each in stats.items() if name not in inner)


@main_kinds
def test_with_sentry_a_trip_is_one_event_and_a_job_put_back_is_none(
    kind, start, upstream, breaker, sentry, request
):
    request.node.fleet = fleet = start(kind, SENTRY_DSN=sentry.dsn)
    fleet.job_timeout = 60  # the first job imports all that Sentry finds to integrate with
    upstream.retry_after = 1.0
    upstream.refuses = True
    send(fleet, 12)
    wait_for(lambda: breaker.status().is_paused)
    upstream.refuses = False
    wait_for(lambda: answered(upstream) == 12)
    fleet.send("content", "broken")
    wait_for(lambda: any("Broken" in raised(event) for event in sentry.events))
    trips = [event for event in sentry.events if "Broken" not in raised(event)]
    assert len(trips) == wait_for(breaker.status).trips, trips
    assert all("content" in trip and "HTTPError" not in trip for trip in trips)


def raised(event):
    """The names of an event's exceptions. Its text has the source around them too."""
    return [each["type"] for each in json.loads(event).get("exception", {}).get("values", ())]


@main_kinds
def test_a_worker_whose_store_refuses_it_does_not_start(kind, store, start, request):
    with redis.Redis.from_url(store.url) as client:
        client.config_set("requirepass", "secret")
    request.node.fleet = fleet = start(kind, workers=1)
    (process,) = fleet.processes
    assert process.popen.wait(60) != 0
    assert "the breaker's store does not take this worker" in process.said()
    assert "BREAKER_URL=redis://USER:PASSWORD@HOST" in process.said()


# Celery on Redis gives a message to another worker that was not acknowledged for so many seconds;
# it looks every ten seconds.
VISIBILITY = 3.0


@pytest.mark.parametrize(
    "kind", [kind for kind in ("celery-prefork", "celery-prefork-late") if kind in KINDS]
)
def test_a_pause_longer_than_the_brokers_visibility_timeout(
    kind, start, upstream, breaker, request
):
    request.node.fleet = fleet = start(kind, VISIBILITY=str(VISIBILITY))
    send(fleet, 60)
    wait_for(lambda: answered(upstream) >= 10)
    wait_for(lambda: breaker.pause(13.0))
    quiet(upstream)
    wait_for(lambda: answered(upstream) == 60)
    send(fleet, 10, "other")
    wait_for(lambda: answered(upstream, "other") == 10)
    assert set(upstream.answered("content").values()) == {1}
