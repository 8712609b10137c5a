import itertools
import math
import socket
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
import redis
from prometheus_client import CollectorRegistry

import breaker.fleet
import breaker.metrics.fleet
from breaker import Breaker, ConfigurationError, State
from breaker.metrics import Collector
from tests.contract.waiting import eventually
from tests.metrics.scraped import scrape, series, value
from tests.servers import Server

Make = Callable[..., Breaker]
ODD_NAMES = ['say "hi"', "back\\slash", "\\n", "köln 東京 🚦", "a=b,c", "#", " "]


def is_in(text: str, name: str) -> set[str]:
    """The states that are 1, out of all five."""
    states = {state: value(text, "breaker_state", breaker=name, state=state) for state in State}
    assert set(states.values()) <= {0.0, 1.0}
    return {str(state) for state, one in states.items() if one}


def test_an_empty_fleet_is_up_and_has_no_breakers(collector: Collector) -> None:
    assert series(scrape(collector)) == {("breaker_store_up", frozenset()): 1}


def test_closed(make: Make, collector: Collector, name: str) -> None:
    make(name, threshold=7).record_rate_limit_error()
    text = scrape(collector)
    assert is_in(text, name) == {"closed"}
    assert value(text, "breaker_paused", breaker=name) == 0
    assert value(text, "breaker_pause_remaining_seconds", breaker=name) == 0
    assert value(text, "breaker_consecutive_rate_limit_errors", breaker=name) == 1
    assert value(text, "breaker_threshold", breaker=name) == 7
    assert value(text, "breaker_trips_total", breaker=name) == 0
    assert value(text, "breaker_rate_limit_errors_total", breaker=name) == 1
    assert value(text, "breaker_paused_seconds_total", breaker=name) == 0


def test_open(make: Make, collector: Collector, name: str) -> None:
    make(name, threshold=1, cooldown=60.0).record_rate_limit_error()
    text = scrape(collector)
    assert is_in(text, name) == {"open"}
    assert value(text, "breaker_paused", breaker=name) == 1
    assert 0 < value(text, "breaker_pause_remaining_seconds", breaker=name) <= 60
    assert value(text, "breaker_trips_total", breaker=name) == 1
    first = value(text, "breaker_paused_seconds_total", breaker=name)
    deadline = time.monotonic() + 10
    while value(scrape(collector), "breaker_paused_seconds_total", breaker=name) <= first:
        assert time.monotonic() < deadline, "the present pause is not counted"


def test_half_open(make: Make, collector: Collector, name: str) -> None:
    tripped = make(name, threshold=1, cooldown=0.05, recovery="probe")
    tripped.record_rate_limit_error()
    assert tripped.wait(timeout=10)
    text = scrape(collector)
    assert is_in(text, name) == {"half-open"}
    assert value(text, "breaker_paused", breaker=name) == 0
    assert value(text, "breaker_pause_remaining_seconds", breaker=name) == 0
    assert value(text, "breaker_paused_seconds_total", breaker=name) >= 0.05


def test_a_paced_recovery(make: Make, collector: Collector, name: str) -> None:
    tripped = make(name, threshold=1, cooldown=0.05)
    tripped.record_rate_limit_error()
    pace = ("breaker_pace_jobs_per_second", frozenset({("breaker", name)}))
    assert pace not in series(scrape(collector))
    assert value(scrape(collector), "breaker_pace_cuts_total", breaker=name) == 0
    eventually(lambda: is_in(scrape(collector), name) == {"half-open"})
    assert series(scrape(collector))[pace] == tripped.status().pace > 0
    tripped.acquire(timeout=10).rate_limited()
    text = scrape(collector)
    assert value(text, "breaker_pace_cuts_total", breaker=name) == 1
    assert value(text, "breaker_trips_total", breaker=name) == 1
    tripped.resume()
    text = scrape(collector)
    assert pace not in series(text)
    assert value(text, "breaker_pace_cuts_total", breaker=name) == 1


def test_forced_open_has_no_end(make: Make, collector: Collector, name: str) -> None:
    make(name).pause(reason="the upstream is down")
    text = scrape(collector)
    assert is_in(text, name) == {"forced-open"}
    assert value(text, "breaker_paused", breaker=name) == 1
    assert value(text, "breaker_pause_remaining_seconds", breaker=name) == math.inf
    assert value(text, "breaker_trips_total", breaker=name) == 0


def test_forced_open_for_a_while_has_an_end(
    make: Make, collector: Collector, name: str
) -> None:
    make(name).pause(300)
    remaining = value(scrape(collector), "breaker_pause_remaining_seconds", breaker=name)
    assert 0 < remaining <= 300


def test_disabled(make: Make, collector: Collector, name: str) -> None:
    disabled = make(name, threshold=1)
    disabled.disable()
    disabled.record_rate_limit_error()
    text = scrape(collector)
    assert is_in(text, name) == {"disabled"}
    assert value(text, "breaker_paused", breaker=name) == 0
    assert value(text, "breaker_rate_limit_errors_total", breaker=name) == 1
    assert value(text, "breaker_trips_total", breaker=name) == 0


def test_shadow_trips_but_never_pauses(make: Make, collector: Collector, name: str) -> None:
    make(name, threshold=1, mode="shadow").record_rate_limit_error()
    text = scrape(collector)
    assert is_in(text, name) == {"closed"}
    assert value(text, "breaker_paused", breaker=name) == 0
    assert value(text, "breaker_trips_total", breaker=name) == 1


def test_names_come_through_whatever_they_are(make: Make, collector: Collector) -> None:
    for number, odd in enumerate(ODD_NAMES, start=1):
        make(odd, threshold=number).record_success()
    text = scrape(collector)
    for number, odd in enumerate(ODD_NAMES, start=1):
        assert value(text, "breaker_threshold", breaker=odd) == number


def test_another_prefix_is_another_fleet(make: Make, url: str, name: str) -> None:
    make(name).record_success()
    other = Collector(url=url, prefix="nobody's")
    try:
        assert series(scrape(other)) == {("breaker_store_up", frozenset()): 1}
    finally:
        other.close()


def test_a_scrape_changes_nothing(
    make: Make, collector: Collector, name: str, prefix: str, server: Server
) -> None:
    make(name).record_success()
    with server.client() as client:
        before = {key: client.dump(key) for key in client.scan_iter(f"{prefix}*")}
        scrape(collector)
        assert {key: client.dump(key) for key in client.scan_iter(f"{prefix}*")} == before


def test_many_scrapes_at_once_all_see_the_store(
    make: Make, collector: Collector, name: str
) -> None:
    make(name).record_success()
    with ThreadPoolExecutor(20) as threads:
        texts = threads.map(lambda _: scrape(collector), range(100))
        assert all(value(text, "breaker_store_up") == 1 for text in texts)


def test_registering_asks_the_store_nothing() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(0)
        registry = CollectorRegistry()
        collector = Collector(url=f"redis://127.0.0.1:{listener.getsockname()[1]}")
        registry.register(collector)
        with pytest.raises(BlockingIOError):
            listener.accept()
        with pytest.raises(ValueError, match="Duplicated timeseries"):
            registry.register(Collector())


def test_describe_names_what_collect_gives(make: Make, collector: Collector, name: str) -> None:
    make(name).record_success()
    described = [(family.name, family.type) for family in collector.describe()]
    assert described == [(family.name, family.type) for family in collector.collect()]


def test_a_dead_store_leaves_no_series_and_comes_back(
    new_server: Callable[..., Server], name: str, caplog: pytest.LogCaptureFixture
) -> None:
    server = new_server()
    collector = Collector(url=server.url)
    with Breaker(name, url=server.url) as paused:
        paused.pause()
    assert value(scrape(collector), "breaker_paused", breaker=name) == 1
    server.kill()
    for _ in range(3):
        assert series(scrape(collector)) == {("breaker_store_up", frozenset()): 0}
    server.start()
    with caplog.at_level("INFO", "breaker"):
        assert value(scrape(collector), "breaker_store_up") == 1
    collector.close()
    warnings = [record for record in caplog.records if record.levelname == "WARNING"]
    assert [record.getMessage().split(":")[0] for record in warnings] == ["metrics"]
    assert "answers again" in caplog.text


def test_a_hanging_store_does_not_hang_the_scrape(new_server: Callable[..., Server]) -> None:
    server = new_server()
    collector = Collector(url=server.url)
    assert value(scrape(collector), "breaker_store_up") == 1
    server.pause()
    start = time.monotonic()
    assert series(scrape(collector)) == {("breaker_store_up", frozenset()): 0}
    assert time.monotonic() - start < 5
    collector.close()


def test_a_slow_store_is_not_down(
    make: Make, collector: Collector, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for each in ("a", "b"):
        make(each).record_success()
    moments = itertools.chain([0.0, 0.0], itertools.repeat(6.0))
    monkeypatch.setattr(breaker.fleet, "monotonic", lambda: next(moments))
    text = scrape(collector)
    assert value(text, "breaker_store_up") == 1
    assert is_in(text, "a") == {"closed"}
    assert value(text, "breaker_unreadable", breaker="b") == 1


def test_a_store_too_slow_for_anything_is_down(
    make: Make, collector: Collector, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    make(name).record_success()
    monkeypatch.setattr(breaker.metrics.fleet, "DEADLINE", -1)
    assert series(scrape(collector)) == {("breaker_store_up", frozenset()): 0}


def test_a_large_fleet_is_read_in_few_round_trips(
    make: Make, collector: Collector, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = [f"{number:03}" for number in range(300)]
    for each in names:
        make(each, push=False).record_success()
    sent = []
    send = redis.connection.Connection.send_packed_command

    def count(connection: object, *args: object, **options: object) -> object:
        sent.append(args)
        return send(connection, *args, **options)

    monkeypatch.setattr(redis.connection.Connection, "send_packed_command", count)
    found = series(scrape(collector))
    for each in names:
        assert found["breaker_state", frozenset({("breaker", each), ("state", "closed")})] == 1
    # Connecting, the names, the first breaker, and the others in two batches.
    assert len(sent) <= 10


def test_a_name_without_a_state_leaves_the_list(
    make: Make, collector: Collector, client: redis.Redis, prefix: str, name: str
) -> None:
    make(name).record_success()
    client.sadd(f"{prefix}s", "gone")
    assert "gone" not in scrape(collector)
    assert client.smembers(f"{prefix}s") == {name}


def test_a_store_that_refuses_is_not_up(new_server: Callable[..., Server]) -> None:
    server = new_server()
    with server.client() as client:
        client.config_set("requirepass", "secret")
    collector = Collector(url=server.url)
    assert series(scrape(collector)) == {("breaker_store_up", frozenset()): 0}
    collector.close()


def test_one_that_cannot_be_read_hides_no_other(
    make: Make, collector: Collector, client: redis.Redis, prefix: str, name: str
) -> None:
    make(name).record_success()
    client.set(f"{prefix}:{{poisoned}}:state", "x")
    client.sadd(f"{prefix}s", "poisoned")
    text = scrape(collector)
    assert value(text, "breaker_store_up") == 1
    assert value(text, "breaker_unreadable", breaker="poisoned") == 1
    assert is_in(text, name) == {"closed"}
    client.delete(f"{prefix}:{{poisoned}}:state")
    assert "breaker_unreadable{" not in scrape(collector)


def test_a_fleet_of_which_nothing_can_be_read_is_not_up(
    client: redis.Redis, collector: Collector, prefix: str
) -> None:
    client.set(f"{prefix}:{{poisoned}}:state", "x")
    client.sadd(f"{prefix}s", "poisoned")
    assert series(scrape(collector)) == {("breaker_store_up", frozenset()): 0}


def test_a_wrong_url_is_said_when_the_collector_is_made() -> None:
    with pytest.raises(ConfigurationError):
        Collector(url="http://localhost")
