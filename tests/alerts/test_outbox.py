"""A trip is told once by a worker that is alive, whatever happens to the one that tripped."""

import contextlib
import json
import logging
import threading

import pytest

from breaker import Breaker
from breaker.alerts import chosen, log, outbox
from breaker.alerts.channel import NotDelivered
from breaker.fleet import Fleet
from breaker.protocol import outbox as plans
from breaker.protocol.keys import Keys
from breaker.store.run_sync import SyncStore
from breaker.store.target import Target
from tests.contract.waiting import eventually


@pytest.fixture
def store(new_server):
    return new_server()


@pytest.fixture
def use():
    """Use these channels in this process."""
    yield chosen.choose
    chosen.choose(None)


class Channel:
    """A channel of a user's own."""

    def __init__(self, name, *kinds, fail=lambda: None):
        self.name, self.kinds = name, frozenset(kinds or ("trip",))
        self.alerts, self.attempts, self._fail = [], 0, fail

    def send(self, alert):
        self.attempts += 1
        self._fail()
        self.alerts.append(alert)


def trip(store, name, **options):
    with Breaker(name, url=store.url, threshold=1, **options) as breaker:
        assert breaker.record_rate_limit_error().tripped
        return breaker.events()[-1]


def couriers():
    return tuple(outbox._couriers.values())


def left(store, name):
    """How many entries are under way, by channel."""
    target = Target.of_url(store.url)
    runner = SyncStore(target, lambda *_: None)
    try:
        return runner.run(plans.waiting(Keys("breaker", name)))
    finally:
        runner.close()


def test_a_worker_killed_before_it_could_tell(store, name, sink, start, kill_between):
    start("worker.py", store.url, sink.dsn, name)
    kill_between(store.url, name)
    (event,) = eventually(lambda: sink.events)
    with Breaker(name, url=store.url, push=False) as breaker:
        (tripped,) = breaker.events()
    assert event["event_id"] == tripped.trip_id
    assert name in event["message"]


@pytest.mark.integration
@pytest.mark.timeout(300)
def test_thirty_workers_killed_before_they_could_tell(store, name, sink, start, kill_between):
    names = [f"{name}-{number}" for number in range(30)]
    start("worker.py", store.url, sink.dsn, *names)
    for each in names:
        kill_between(store.url, each)
    eventually(lambda: len(sink.events) >= 30)
    assert len(sink.events) == 30
    assert len({event["event_id"] for event in sink.events}) == 30


@pytest.mark.integration
@pytest.mark.parametrize(
    ("status", "headers"), [(500, {}), (429, {"Retry-After": "2"}), (0, {})], ids=str
)
def test_sentry_that_is_away_is_told_when_it_is_back(store, name, sink, start, status, headers):
    sink.status, sink.headers = status, headers
    start("worker.py", store.url, sink.dsn, name)
    with Breaker(name, url=store.url, threshold=1, push=False) as other:
        assert other.record_rate_limit_error().tripped
    eventually(lambda: sink.attempts)
    assert eventually(lambda: left(store, name).get("sentry")) == 1
    sink.status, sink.headers = 200, {}
    sink.may_answer.set()
    eventually(lambda: sink.events)
    eventually(lambda: left(store, name).get("sentry") == 0)
    assert len({event["event_id"] for event in sink.events}) == 1


def test_a_trip_whose_reply_was_lost_is_logged(store, name, caplog, kill_between):
    with Breaker(name, url=store.url, threshold=1) as worker:
        worker.acquire().success()
        kill_between(store.url, name)
        eventually(lambda: f"{name}: tripped" in caplog.text)
        eventually(lambda: left(store, name).get("log") == 0)
    assert caplog.text.count(f"{name}: tripped") == 1


def test_a_trip_is_logged_once_by_the_process_that_made_it(store, name, caplog):
    trip(store, name)
    eventually(lambda: left(store, name).get("log") == 0)
    assert caplog.text.count(f"{name}: tripped") == 1


def test_a_channel_that_raises_stops_no_other(store, name, use, caplog):
    def fail():
        raise SystemExit(3)

    bad, good = Channel("bad", fail=fail), Channel("good")
    use([bad, good])
    told = trip(store, name)
    eventually(lambda: good.alerts and bad.attempts)
    assert [alert.id for alert in good.alerts] == [told.trip_id]
    assert left(store, name)["bad"] == 1
    eventually(lambda: "did not reach bad (attempt 1)" in caplog.text)


def test_what_fails_is_tried_again_and_told_once(store, name, use):
    failures = iter([NotDelivered("not now")])

    def fail():
        for failure in failures:
            raise failure

    channel = Channel("own", fail=fail)
    use([channel])
    trip(store, name)
    eventually(lambda: channel.alerts)
    eventually(lambda: left(store, name)["own"] == 0)
    assert (channel.attempts, len(channel.alerts)) == (2, 1)


def test_what_is_refused_for_good_is_logged_and_not_tried_again(store, name, use, caplog):
    def fail():
        raise NotDelivered("HTTP 401: wrong key", is_final=True)

    channel = Channel("own", fail=fail)
    use([channel])
    trip(store, name)
    eventually(lambda: "refused the alert 'tripped' for good: HTTP 401" in caplog.text)
    eventually(lambda: left(store, name)["own"] == 0)
    assert channel.attempts == 1


def test_one_process_of_several_delivers(store, name, use):
    """Two targets stand for two processes: each has couriers of its own."""
    channel = Channel("own")
    use([channel])
    urls = [store.url, store.url.replace("127.0.0.1", "localhost")]
    with (
        Breaker(name, url=urls[0], threshold=1) as one,
        Breaker(name, url=urls[1], threshold=1) as other,
    ):
        one.acquire().success()
        other.acquire().success()
        one.record_rate_limit_error()
        eventually(other.is_paused)
        eventually(lambda: left(store, name).get("own") == 0)
        eventually(lambda: not any(Keys("breaker", name) in each._due for each in couriers()))
    assert len(channel.alerts) == 1


def test_a_recovery_is_told_with_the_kind(store, name, use):
    channel = Channel("own", "trip", "recovery")
    use([channel])
    with Breaker(name, url=store.url, threshold=1) as breaker:
        breaker.pause()
        breaker.resume()  # an operator's pause is no trip, and its end no recovery
        breaker.record_rate_limit_error()
        breaker.resume(by="ann")
        eventually(lambda: len(channel.alerts) == 2)
    assert [alert.kind for alert in channel.alerts] == ["trip", "recovery"]
    assert "(by ann)" in channel.alerts[1].text


def test_a_lost_state_is_written_into_the_history_once_and_told(store, name, use):
    channel = Channel("own", "store-lost")
    use([channel])
    with (
        store.client() as client,
        Breaker(name, url=store.url) as one,
        Breaker(name, url=store.url, push=False) as other,
    ):
        one.acquire().success()
        other.acquire().success()
        client.flushall()
        other.record_rate_limit_error()
        eventually(lambda: channel.alerts)
        one.status()
        found = [event for event in one.events() if event.event == "state-lost"]
        assert len(found) == 1
    assert "breaker doctor" in channel.alerts[0].text


def test_a_hung_channel_keeps_its_entry(store, name, use, monkeypatch):
    monkeypatch.setattr(plans, "LEASE", 300)
    monkeypatch.setattr(outbox, "RENEW", 0.05)
    may_end = threading.Event()
    channel = Channel("own", fail=lambda: may_end.wait(20))
    use([channel])
    trip(store, name)
    eventually(lambda: channel.attempts)
    target, keys = Target.of_url(store.url), Keys("breaker", name)
    runner = SyncStore(target, lambda *_: None)
    # Longer than the lease: without renewals another worker would get it.
    for _ in range(10):
        taken = runner.run(plans.take(keys, "own"))
        assert (taken.entries, taken.again is not None) == ((), True)
        threading.Event().wait(0.06)
    runner.close()
    may_end.set()
    eventually(lambda: channel.alerts)


def test_every_server_hands_out_what_was_not_acknowledged(any_server, name, monkeypatch):
    keys = Keys("breaker", name)
    monkeypatch.setattr(outbox, "_is_silent", True)
    runner = SyncStore(Target.of_url(any_server.url), lambda *_: None)
    assert runner.run(plans.take(keys, "g")) == plans.Taken((), None)
    with (
        any_server.client() as client,
        Breaker(name, url=any_server.url, threshold=1, push=False) as breaker,
    ):
        breaker.record_rate_limit_error()
        client.xadd(keys["events"], {"by": "hand"})
        first = runner.run(plans.take(keys, "g"))
        assert [entry.deliveries for entry in first.entries] == [1, 1]
        assert first.entries[0].transition.event == "tripped"
        assert first.entries[1].transition is None
        again = runner.run(plans.take(keys, "g"))
        assert again.entries == ()
        assert 0 < again.again <= plans.LEASE / 1000
        monkeypatch.setattr(plans, "LEASE", 0)
        client.xdel(keys["events"], first.entries[1].id)
        second = runner.run(plans.take(keys, "g"))
        assert [entry.deliveries for entry in second.entries] == [2]
        runner.run(plans.hold(keys, "g", 5.0))
        held = runner.run(plans.take(keys, "g"))
        assert held.entries == ()
        assert 0 < held.again <= 5
        client.delete(keys["hold:g"])
        runner.run(plans.acknowledge(keys, "g", second.entries[0]))
        assert runner.run(plans.take(keys, "g")) == plans.Taken((), None)
        assert runner.run(plans.waiting(keys)) == {"g": 0}
    runner.close()


def test_a_log_record_can_be_written_as_json(store, name, caplog):
    with caplog.at_level(logging.INFO, logger="breaker"):
        trip(store, name)
    (record,) = (one for one in caplog.records if "tripped" in one.getMessage())
    plain = json.loads(json.dumps(record.breaker))
    assert plain["event"] == "tripped"
    assert plain["at"].endswith("Z")
    assert plain["evidence"][0]["retry_after"] is None


def test_a_process_before_its_first_trip_has_no_thread_for_alerts(store, name):
    with Breaker(name, url=store.url) as breaker:
        for _ in range(5):
            with breaker.guard():
                pass
        names = [thread.name for thread in threading.enumerate()]
        with store.client() as client:
            assert client.info("commandstats").get("cmdstat_xreadgroup") is None
    assert name not in {keys.name for each in outbox._couriers.values() for keys in each._due}
    assert names


def test_a_scrape_looks_for_no_alerts(store, name, monkeypatch):
    trip(store, name, push=False)
    looked: list[object] = []
    monkeypatch.setattr(outbox, "look", lambda *given, **_: looked.append(given))
    with contextlib.closing(Fleet(url=store.url)) as fleet:
        assert [status.state for status in fleet.statuses()] == ["open"]
        assert fleet.status(name).is_paused
    assert looked == []
    with Breaker(name, url=store.url, push=False) as worker:
        assert worker.is_paused()
    assert looked


def test_old_transitions_are_forgotten(monkeypatch, store, name):
    monkeypatch.setattr(log, "REMEMBERED", 3)
    with Breaker(name, url=store.url, push=False) as breaker:
        for _ in range(4):
            breaker.pause()
            breaker.resume()
    assert len(log._logged) <= 3
