"""What a process asks of the store while it has nothing to do, and how soon it stops asking."""

import itertools
import threading
from typing import Any

import pytest

from breaker import Breaker
from breaker.push.view import CALM, CALM_FROM, View
from tests.contract.waiting import eventually
from tests.fleet.counting import scripts_in_two_heartbeats


@pytest.fixture
def server(new_server):
    """A server that no other test's breaker asks anything."""
    return new_server()


def test_a_process_that_has_had_no_job_asks_for_nothing(url, name, client):
    with (
        Breaker(f"{name}-wait", url=url) as waits,
        Breaker(f"{name}-look", url=url) as looks,
        Breaker(f"{name}-hear", url=url) as hears,
    ):
        heard: list[Any] = []
        hears.subscribe(heard.append)
        eventually(lambda: heard and waits.wait(timeout=0) and not looks.is_paused())
        for breaker in (waits, looks):
            eventually(breaker._watch.runs)
        assert scripts_in_two_heartbeats(client) == 0


def test_a_process_whose_store_lost_its_state_asks_for_nothing(url, name, client):
    with Breaker(name, url=url) as breaker:
        breaker.acquire().success()
        eventually(breaker._watch.is_quiet)
        known = breaker._watch.last["incarnation"]
        client.delete(*client.keys(f"breaker:{{{name}}}:*"))
        # Nothing is pushed; a heartbeat finds it.
        eventually(lambda: breaker._watch.last.get("incarnation") != known)
        eventually(breaker._watch.runs)
        assert scripts_in_two_heartbeats(client) == 0


def test_a_busy_process_becomes_quiet_after_its_start_and_after_an_error(url, name):
    """Each reply to an own success is newer than the proof that all is calm."""
    stop = threading.Event()

    def work(breaker):
        while not stop.is_set():
            with breaker.guard():
                pass

    with Breaker(name, url=url) as breaker, Breaker(name, url=url, push=False) as other:
        threads = [threading.Thread(target=work, args=(breaker,)) for _ in range(4)]
        for thread in threads:
            thread.start()
        try:
            eventually(breaker._watch.is_quiet)
            other.record_rate_limit_error()
            eventually(lambda: not breaker._watch.is_quiet())
            eventually(breaker._watch.is_quiet)
        finally:
            stop.set()
            for thread in threads:
                thread.join()
        assert breaker.status().consecutive_errors == 0


def brief(**more: Any) -> Any:
    said = {"incarnation": "i", "version": 7, "news": 3, "state": "closed", "paused": False}
    return {**said, "epoch": 0, "run": 1, "count": 0, **more}


def whole(**more: Any) -> Any:
    return brief(exists=True, **more)


def test_a_worker_is_quiet_at_once_where_the_store_says_that_all_is_calm():
    view = View()
    view.learn(whole(), 0.0, is_proof=True)
    assert not view.is_quiet
    view.introduce("i")
    assert view.is_quiet
    assert view.grant


@pytest.mark.parametrize("each", [0.001, 0.2])
def test_a_worker_is_quiet_within_three_seconds_of_an_error_at_any_load(each):
    view, now = View(), 0.0
    view.learn(whole(), now, is_proof=True)
    view.introduce("i")
    view.hear(whole(version=8, news=4, count=1, untold_for_ms=1000), now)
    assert not view.is_quiet
    asked_with = None
    version = 9
    while not view.is_quiet:
        now += each
        assert now < 3.0
        if asked_with is not None:
            # The reply was overtaken by that of the success below.
            proof = whole(version=asked_with, news=4)
            view.learn(proof, now, is_proof=True, version=asked_with)
            asked_with = None
        elif view.wants_proof(now):
            asked_with = version
        version += 1
        view.learn(brief(version=version, news=4), now)
    assert now >= CALM_FROM
    version += 1
    view.learn(brief(version=version, news=4), now)
    assert view.is_quiet


def test_no_own_reply_says_that_all_is_calm():
    view = View()
    view.learn(whole(untold_for_ms=500), 0.0, is_proof=True)
    view.introduce("i")
    view.learn(brief(version=8), 0.1)
    assert not view.is_quiet


@pytest.mark.parametrize("known_to", ["", "a state that was lost"])
def test_a_view_without_jobs_wants_one_proof_in_fifteen_to_thirty_seconds(known_to):
    view, proofs = View(), []
    view.introduce(known_to)
    view.learn(whole(), 0.0, is_proof=True)
    for tick in range(5 * 600):
        now = tick / 5
        if view.wants_proof(now):
            view.learn(whole(), now, is_proof=True)
            proofs.append(now)
    spans = [after - before for before, after in itertools.pairwise(proofs)]
    assert all(15.0 <= span <= 30.2 for span in spans)
    assert 20 <= len(proofs) <= 40


def test_a_reading_that_publishes_is_not_taken_for_a_push_that_was_lost():
    view = View()
    view.learn(whole(), 0.0, is_proof=True)
    ended = whole(version=8, news=4, transitions=[{}])
    view.learn(ended, 1.0, is_proof=True, version=7)
    assert view.is_proven
    view.check_owed(4)
    assert not view.is_proven
    assert view.is_deaf
    view.hear(ended, 1.1)
    assert not view.is_deaf


def test_a_fleet_does_not_ask_at_one_moment_whether_all_is_calm():
    dues = []
    for _ in range(200):
        view = View()
        view.learn(whole(untold_for_ms=1000), 0.0, is_proof=True)
        for reply in range(50):  # of own successes
            view.learn(brief(version=8 + reply), reply / 100)
        dues.append(view.due)
    assert min(dues) >= CALM_FROM
    assert max(dues) <= CALM
    assert max(dues) - min(dues) > (CALM - CALM_FROM) / 2


def test_a_reading_that_comes_late_does_not_revive_a_view_that_was_closed():
    view = View()
    view.learn(whole(), 0.0, is_proof=True)
    view.introduce("i")
    view.end()
    view.learn(whole(), 0.1, is_proof=True)
    assert not view.is_proven
    assert not view.runs
    assert view.grant is None
