"""What both faces promise while a fleet recovers at a pace."""

import asyncio
import threading
from collections import deque

import pytest

from breaker import AsyncBreaker, Breaker, BreakerOpen
from breaker.model import Grant
from breaker.pacing.slots import LONGEST_LINE
from breaker.protocol import line, requests
from tests.contract.pacing import Clock, commands, pace_of, set_pace, store_now
from tests.contract.waiting import eventually

LONG = 600.0
# One job in 40 s: nothing in a test lasts as long.
CRAWL = 0.025
FAST = 1000.0


@pytest.fixture
def recovering(make, client, name):
    """A breaker whose pause is over, at a pace that is given."""

    def bring(rate, *, is_proven=False, **given):
        breaker = make(threshold=1, **{"cooldown": LONG, **given})
        # One caller, although each call of the asynchronous face is a task of its own here.
        breaker.inner._plans.line._who = lambda: 1
        breaker.record_rate_limit_error(retry_after=0.01)
        eventually(lambda: not breaker.is_paused())
        # By now the store has written down that the pause is over, and what the pace is.
        eventually(lambda: breaker.status().state == "half-open")
        set_pace(client, name, rate, proven=store_now(client) if is_proven else 0)
        return breaker

    return bring


@pytest.fixture
def other(url, name):
    """Another worker of the fleet, which asks the store each time."""
    with Breaker(name, url=url, worker="other", push=False) as other:
        yield other


def told(breaker):
    return [event.event for event in breaker.events()]


def only(request):
    """A plan of one request."""
    return (yield request)


def in_background(act):
    """Start `act` in a thread; its result, or that there was none, comes into the list."""
    came = []

    def run():
        try:
            came.append(act())
        except BreakerOpen as refused:
            came.append(refused)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    return thread, came


def sent_away(breaker, client):
    """Take a slot at a crawl, be sent away; returns the clock, at the turn."""
    clock = breaker.inner._asker.clock = Clock()
    breaker.acquire(timeout=0)
    with pytest.raises(BreakerOpen) as refused:
        breaker.acquire(timeout=0)
    clock.now += refused.value.retry_after
    return clock


# -- slots and turns


def test_permits_are_spaced_and_the_refused_are_told_when_to_come(recovering, client, name):
    breaker = recovering(CRAWL)
    clock = breaker.inner._asker.clock = Clock()
    assert breaker.acquire(timeout=0).is_probe
    with pytest.raises(BreakerOpen) as refused:
        breaker.acquire(timeout=0)
    assert refused.value.state == "half-open"
    assert 30 < refused.value.retry_after <= 40

    client.config_resetstat()
    clock.now += refused.value.retry_after - 0.5
    breaker.inner._asker.replied_at = clock.now
    for _ in range(3):
        with pytest.raises(BreakerOpen) as again:
            breaker.acquire(timeout=0)
        assert again.value.retry_after == pytest.approx(0.5)
    assert commands(client) == 0

    clock.now += 0.6
    set_pace(client, name, CRAWL)
    breaker.acquire(timeout=0)
    assert commands(client) == 1


def test_who_comes_in_turn_goes_before_who_does_not(recovering, other, client, name):
    breaker = recovering(CRAWL)
    sent_away(breaker, client)
    now = store_now(client)
    set_pace(client, name, CRAWL, slot=now + 5_000, called=1)
    with pytest.raises(BreakerOpen) as stranger:
        other.acquire(timeout=0)
    assert stranger.value.retry_after > 20
    breaker.acquire(timeout=0)


def test_zero_never_waits_also_in_turn(recovering, client):
    """A slot that is a gap away is granted to who comes in turn: it may go so early."""
    breaker = recovering(CRAWL)
    sent_away(breaker, client)
    thread, came = in_background(lambda: breaker.acquire(timeout=0))
    thread.join(timeout=20)
    assert [type(one) for one in came] not in ([], [BreakerOpen])


@pytest.mark.parametrize("timeout", [0.0, 0.02, 0.3])
def test_a_timeout_is_kept_to(recovering, client, monkeypatch, timeout):
    breaker = recovering(CRAWL)
    plans = breaker.inner._plans
    clock = plans.asker.clock = Clock()
    breaker.acquire(timeout=0)
    slept = []

    def drive(plan):
        """As a store does, but with sleeps that take no time and end when they should."""
        answer = None
        while True:
            request = plan.send(answer)
            answer = None
            if isinstance(request, requests.Sleep):
                slept.append(request.seconds)
                clock.now += request.seconds + 1e-6
            else:
                answer = breaker.face.finish(breaker.inner._store.run(only(request)))

    with pytest.raises(BreakerOpen):
        drive(plans.acquire(timeout))
    assert sum(slept) == pytest.approx(timeout, abs=1e-4)


def test_a_full_line_is_come_back_to_at_a_random_moment_and_not_in_turn(
    recovering, client, name
):
    breaker = recovering(CRAWL)
    plans = breaker.inner._plans
    clock = plans.asker.clock = Clock()
    now = store_now(client)
    set_pace(client, name, CRAWL, slot=now + 100_000, turns=LONGEST_LINE, called=0)
    for random, expected in ((0.0, 60), (1.0, 30)):
        plans.line.random = lambda random=random: random
        with pytest.raises(BreakerOpen):
            breaker.acquire(timeout=0)
        turn = plans.line.left_turns.pop()
        assert turn.at - clock() == pytest.approx(expected)
        assert turn.number == 0


# -- results


def test_a_paced_success_that_proves_nothing_costs_no_command(recovering, client):
    breaker = recovering(FAST, is_proven=True)
    permit = eventually(lambda: breaker.acquire(timeout=20))
    assert not permit.is_probe
    client.config_resetstat()
    permit.success()
    assert commands(client) == 0


def test_the_first_success_proves_and_those_after_it_are_not_asked_for(
    recovering, client, name
):
    breaker = recovering(FAST)
    permits = [breaker.acquire(timeout=20) for _ in range(2)]
    assert [permit.is_probe for permit in permits] == [True, True]
    permits[0].success()
    assert pace_of(client, name)["proven"] > 0
    assert not breaker.acquire(timeout=20).is_probe


def test_an_error_slows_down_and_is_no_trip(recovering, caplog):
    breaker = recovering(FAST, is_proven=True)
    permit = breaker.acquire(timeout=20)
    caplog.clear()
    status = permit.rate_limited()
    assert (status.state, status.is_paused, status.tripped) == ("half-open", False, False)
    assert (status.trips, status.epoch) == (1, 2)
    assert status.pace < FAST
    assert told(breaker) == ["tripped", "half-open", "cut"]
    cut = breaker.events()[-1]
    assert cut.evidence[-1].id == permit.id
    assert "paced down from" in cut.reason
    assert ": tripped" not in caplog.text


def test_errors_before_any_success_are_counted_and_told_until_there_is_one(recovering):
    breaker = recovering(FAST)
    before = breaker.status().consecutive_errors
    status = breaker.acquire(timeout=20).rate_limited()
    assert status.consecutive_errors == before + 1
    assert status.reason == f"still limited: {before + 1} rate limit errors in a row"
    breaker.acquire(timeout=20).success()
    assert breaker.status().consecutive_errors == 0


def test_an_error_pauses_for_its_retry_after(recovering):
    breaker = recovering(FAST, is_proven=True)
    status = breaker.acquire(timeout=20).rate_limited(retry_after=300)
    assert (status.state, status.is_paused, status.tripped) == ("open", True, False)
    assert 290 < status.resumes_in <= 300
    assert (status.trips, told(breaker)[-1]) == (1, "cut")
    assert breaker.is_paused()


def test_a_retry_after_as_long_as_the_cooldown_is_a_trip(recovering):
    breaker = recovering(FAST, is_proven=True)
    status = breaker.acquire(timeout=20).rate_limited(retry_after=LONG)
    assert (status.state, status.tripped, status.trips) == ("open", True, 2)
    assert LONG - 10 < status.resumes_in <= LONG
    assert told(breaker)[-1] == "tripped"


def test_an_error_from_before_the_cut_does_not_cut_again(recovering):
    breaker = recovering(FAST, is_proven=True)
    permits = [breaker.acquire(timeout=20) for _ in range(4)]
    for permit in permits:
        status = permit.rate_limited()
    assert (status.epoch, status.rate_limit_errors) == (2, 5)
    assert told(breaker).count("cut") == 1


def test_a_success_from_before_the_cut_proves_nothing(recovering, client, name):
    breaker = recovering(FAST)
    early, late = (breaker.acquire(timeout=20) for _ in range(2))
    late.rate_limited()
    early.success()
    assert pace_of(client, name)["proven"] == 0


# -- without permits


def test_without_permits_the_first_error_pauses_for_twice_as_long(recovering):
    status = recovering(FAST, is_proven=True).record_rate_limit_error()
    assert (status.tripped, status.trips) == (True, 2)
    assert 2 * LONG - 10 < status.resumes_in <= 2 * LONG


def test_without_permits_successes_close_after_a_calm_time(recovering, client, name):
    breaker = recovering(FAST)
    breaker.record_success()
    assert breaker.status().state == "half-open"
    # As eleven seconds later.
    now = store_now(client)
    set_pace(client, name, FAST, calm_from=now - 11_000, slot=now - 11_000, proven=now - 11_000)
    breaker.record_success()
    assert breaker.status().state == "closed"
    assert told(breaker)[-1] == "closed"


def test_a_calm_fleet_closes_when_the_next_job_comes(recovering, client, name):
    breaker = recovering(FAST, is_proven=True)
    now = store_now(client)
    set_pace(client, name, FAST, calm_from=now - 11_000, slot=now - 11_000, proven=now - 11_000)
    assert not breaker.acquire(timeout=20).is_probe
    assert breaker.status().state == "closed"


# -- called back


# A worker without push cannot be called back.
pushed = pytest.mark.parametrize("face", ["sync pushed", "async pushed"], indirect=True)


@pytest.fixture
def sleeper(recovering, client, name):
    """Sleeps towards a slot that is 40 s away."""
    breaker = recovering(CRAWL, is_proven=True)
    eventually(breaker.inner._watch.known)
    breaker.acquire(timeout=20)
    thread, came = in_background(lambda: breaker.acquire(timeout=50))
    eventually(lambda: pace_of(client, name)["given"] == 2)
    assert not came
    return thread, came


@pushed
@pytest.mark.parametrize("order", ["resume", "reset", "disable"])
def test_an_operator_ends_the_pacing_at_once(sleeper, other, order):
    thread, came = sleeper
    getattr(other, order)()
    thread.join(timeout=20)
    (permit,) = came
    assert not permit._grant.is_paced


@pushed
def test_an_operators_pause_calls_back(sleeper, other):
    thread, came = sleeper
    other.pause()
    other.resume()
    thread.join(timeout=20)
    (permit,) = came
    assert (permit.epoch, permit._grant.is_paced) == (2, False)


@pushed
def test_a_cut_calls_back(sleeper, other, client, name):
    thread, came = sleeper
    late = Grant("p", 1, 0, is_probe=False)
    client.config_resetstat()
    status = other._run(other._plans.rate_limit_error(None, "e", late))
    assert (status.epoch, status.state) == (2, "half-open")
    # Long before its slot it asks for one of the new epoch.
    eventually(lambda: commands(client) > 1)
    other.resume()
    thread.join(timeout=20)
    (permit,) = came
    assert permit.epoch == 2


def test_a_turn_ends_with_the_pacing(recovering, other, client, name, face):
    """Also for those who found no slot and wait for the next: told by push, or looking up."""
    breaker = recovering(CRAWL, is_proven=True)
    breaker.acquire(timeout=20)
    now = store_now(client)
    set_pace(client, name, CRAWL, slot=now + 45_000, proven=now)
    turns = pace_of(client, name)["turns"]
    thread, came = in_background(lambda: breaker.acquire(timeout=50))
    eventually(lambda: pace_of(client, name)["turns"] > turns)
    assert not came
    other.resume()
    thread.join(timeout=20)
    (permit,) = came
    assert not permit._grant.is_paced


# -- waiting before the queue is read


def test_wait_hands_its_slot_to_the_next_permit(recovering, client, name):
    breaker = recovering(CRAWL)
    breaker.inner._asker.clock = Clock()
    assert breaker.wait(timeout=0)
    client.config_resetstat()
    assert breaker.acquire(timeout=0).is_probe
    assert commands(client) == 0
    assert pace_of(client, name)["given"] == 1
    assert breaker.wait(timeout=0) is False


def test_wait_hands_its_slot_to_the_guard(face, recovering, client, name):
    breaker = recovering(CRAWL)
    assert breaker.wait(timeout=0)
    face.guarded(breaker, lambda: None, timeout=0)
    assert pace_of(client, name)["given"] == 1
    assert pace_of(client, name)["proven"] > 0


def test_a_slot_that_was_kept_too_long_is_dropped(recovering, client, name):
    breaker = recovering(FAST)
    clock = breaker.inner._asker.clock = Clock()
    assert breaker.wait(timeout=0)
    clock.now += line.SLOT_KEPT
    set_pace(client, name, FAST)
    breaker.acquire(timeout=0)
    assert pace_of(client, name)["given"] == 1


def test_looking_at_an_empty_queue_again_and_again_does_not_keep_a_slot(
    recovering, client, name
):
    breaker = recovering(FAST)
    clock = breaker.inner._asker.clock = Clock()
    for _ in range(3):
        assert breaker.wait(timeout=0)
        clock.now += 0.4 * line.SLOT_KEPT
    assert pace_of(client, name)["given"] == 1
    set_pace(client, name, FAST)
    assert breaker.wait(timeout=0)
    assert pace_of(client, name)["given"] == 1


@pushed
def test_a_kept_slot_is_called_back(recovering, other):
    breaker = recovering(FAST)
    breaker.inner._asker.clock = Clock()
    assert breaker.wait(timeout=0)
    other.pause()
    eventually(breaker.is_paused)
    with pytest.raises(BreakerOpen):
        breaker.acquire(timeout=0)


def test_a_kept_slot_is_its_waiters_own(recovering, client, name):
    """Each thread that waits gets a slot of its own, and takes no other's."""
    line = recovering(FAST).inner._plans.line
    me = 1
    line._who = lambda: me
    own, others = Grant("own", 1, 1, is_probe=False), Grant("other", 1, 1, is_probe=False)
    assert not line.has_slot()
    line.keep_slot(own)
    me = 2
    assert not line.has_slot()
    assert line.take_slot() is None
    line.keep_slot(others)
    assert line.has_slot()
    me = 1
    assert line.take_slot() is own
    assert line.take_slot() is None
    me = 3  # it never waits: another thread has waited for its job
    assert line.take_slot() is others


# -- threads, tasks, lost states


class Raced(deque):
    """Another thread takes the slot between the look and the use."""

    def __bool__(self):
        self.clear()
        return True


def test_two_threads_may_reach_for_one_turn(recovering):
    breaker = recovering(FAST)
    waiting = breaker.inner._plans.line
    waiting.left_turns = Raced([None])
    assert breaker.acquire(timeout=20)


@pytest.mark.parametrize("push", [True, False])
async def test_a_cancelled_task_leaves_its_turn_and_nothing_else(url, name, client, push):
    async with AsyncBreaker(name, url=url, threshold=1, cooldown=LONG, push=push) as breaker:
        await breaker.record_rate_limit_error(retry_after=0.01)
        await breaker.wait(timeout=20)
        breaker._plans.line.kept_slots.clear()
        now = store_now(client)
        set_pace(client, name, CRAWL, slot=now + 5000)
        waiting = asyncio.create_task(breaker.acquire(timeout=50))
        # Not before the answer has come: whose turn it is, only that says.
        asker = breaker._asker
        await asyncio.to_thread(eventually, lambda: asker.last_reply.get("wait_ms", 0) > 4000)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        (turn,) = breaker._plans.line.left_turns
        assert turn.number
        assert not push or breaker._watch._view._waiting == {}
        clock = breaker._asker.clock = Clock()
        turn.at = clock.now
        # Without its turn it would be sent behind the line.
        line = {"turns": turn.number + 5, "called": turn.number - 1}
        set_pace(client, name, CRAWL, slot=store_now(client) + 10, **line)
        await breaker.acquire(timeout=0)


def test_a_new_state_of_the_store_is_told_what_was_delivered(make, client, name):
    """It counts its trips from one again, as the lost one did."""
    breaker = make(threshold=1, cooldown=LONG)
    meter = breaker.inner._plans.meter
    for _ in range(2):
        client.delete("none yet", *client.keys(f"breaker:{{{name}}}:*"))
        breaker.record_rate_limit_error(retry_after=0.01)
        eventually(lambda: not breaker.is_paused())
        eventually(lambda: breaker.status().state == "half-open")
        meter.done, meter._marks = 400, deque([(0.0, 0), (10.0, 400)])
        for _ in range(2):
            breaker.acquire(timeout=20)
            assert pace_of(client, name)["delivered"] == 40


def test_a_process_reports_its_rate_once_however_many_of_its_tasks_ask(url, name, client):
    async def ask_together():
        async with AsyncBreaker(name, url=url, threshold=1, cooldown=LONG) as breaker:
            await breaker.record_rate_limit_error(retry_after=0.01)
            await breaker.wait(timeout=20)
            meter = breaker._plans.meter
            meter.forget()
            meter.done, meter._marks = 400, deque([(0.0, 0), (10.0, 400)])
            tasks = [asyncio.create_task(breaker.acquire(timeout=1)) for _ in range(50)]
            await asyncio.gather(*tasks, return_exceptions=True)

    asyncio.run(ask_together())
    assert pace_of(client, name)["delivered"] == 40


def test_a_recovery_without_work_ends_by_itself(make):
    """Even if idle workers look whether they may read the queue."""
    breaker = make(threshold=1, cooldown=0.3, forget_after=1.5)
    breaker.record_rate_limit_error()
    eventually(lambda: not breaker.is_paused())
    eventually(lambda: breaker.wait(timeout=0) and breaker.status().state == "closed")


def test_errors_that_are_never_in_a_row_begin_a_pace_in_the_end(make, caplog):
    """Demand is a little above the limit: a success always comes in between."""
    breaker = make()
    for number in range(40):
        permit = breaker.acquire(timeout=20)
        if breaker.status().state == "half-open":
            break
        if number % 4:
            permit.success()
        else:
            permit.rate_limited()
    status = breaker.status()
    assert (status.state, status.trips, status.is_paused) == ("half-open", 0, False)
    assert status.pace > 0
    assert told(breaker) == ["paced"]
    assert "results were rate limit errors" in breaker.events()[-1].reason
    assert all(record.levelname != "WARNING" for record in caplog.records)
