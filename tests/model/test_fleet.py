"""What a recovering fleet as a whole may count on, on a clock that is moved by hand."""

import itertools

import pytest

from breaker.pacing import HORIZON
from breaker.protocol.line import POLL
from tests.model.fleet import Fleet, jobs


class Bucket:
    """An upstream with a rate of calls per second and a burst."""

    def __init__(self, fleet, rate, burst):
        self._fleet, self._rate, self._burst = fleet, rate, burst
        self._tokens, self._at = 0.0, fleet.now
        self.calls: list[float] = []

    def __call__(self):
        now = self._fleet.now
        self._tokens = min(self._burst, self._tokens + (now - self._at) * self._rate)
        self._at = now
        self.calls.append(now)
        if self._tokens < 1:
            return 0.0
        self._tokens -= 1
        return None


def recovering(rate, **options):
    """A fleet whose pause has just ended, at a pace that does not change by itself."""
    fleet = Fleet(**{"cooldown": 60.0, **options})
    plans = fleet.process("first", push=False)
    fleet.at_once(plans.rate_limit_error(None, None))
    fleet.now += 61
    fleet.at_once(plans.view())
    pace = fleet.machine.pace
    pace.top = pace.low = pace.told = rate
    pace.rise, pace.misses, pace.proven = 1e12, 0.0, fleet.now * 1000
    fleet.commands, fleet.news = 0, []
    return fleet


def always():
    return None


def of_kinds(fleet, kinds, threads=2):
    """Start processes of several kinds; returns when each of them did jobs."""
    counts = []
    for number, (push, timeout) in enumerate(kinds):
        plans = fleet.process(f"p{number}", push=push)
        done: list[float] = []
        counts.append(done)
        for _ in range(threads):
            fleet.start(jobs(fleet, plans, always, done, timeout=timeout))
    return counts


PATIENT, BLIND = (True, None), (False, None)
HASTY, BRIEF, BLIND_HASTY = (True, 0), (True, 0.1), (False, 0)


@pytest.mark.parametrize("rate", [0.5, 7.0, 60.0])
@pytest.mark.parametrize("kind", [PATIENT, BLIND, HASTY, BRIEF, BLIND_HASTY])
def test_a_fleet_goes_as_fast_as_it_may_and_not_faster_and_nobody_starves(rate, kind):
    fleet = recovering(rate)
    began, seconds = fleet.now, max(30.0, 120 / rate)
    counts = of_kinds(fleet, [kind] * 8)
    fleet.run(seconds)
    done = sorted(moment for count in counts for moment in count)
    ahead = max(HORIZON / 1000, 1 / rate) * rate
    assert len(done) <= rate * seconds + ahead + 1
    assert len(done) >= 0.9 * rate * seconds - ahead - 1
    for first in range(int(seconds)):
        start = began + first
        assert sum(start <= moment < start + 1 for moment in done) <= rate + ahead + 1
    assert min(map(len, counts)) >= len(done) / 8 / 3


def test_whoever_waits_long_and_whoever_never_waits_both_get_their_part():
    fleet = recovering(8.0)
    counts = of_kinds(fleet, [PATIENT, PATIENT, BLIND, BLIND, HASTY, HASTY, BRIEF, BRIEF])
    fleet.run(60)
    total = sum(map(len, counts))
    assert total >= 0.8 * 8 * 60
    assert min(map(len, counts)) >= total / 8 / 3


def test_a_small_fleet_asks_once_for_each_job():
    """It finds a slot within the horizon each time."""
    fleet = recovering(40.0)
    counts = of_kinds(fleet, [PATIENT] * 8)
    fleet.run(30)
    assert fleet.commands <= sum(map(len, counts)) + 2 * 16
    assert fleet.news == []


def test_a_large_fleet_asks_a_few_times_for_each_job():
    fleet = recovering(4.0)
    counts = of_kinds(fleet, [PATIENT] * 20)
    fleet.run(120)
    assert fleet.commands <= 2.5 * sum(map(len, counts)) + 2 * 40
    assert fleet.news == []


def test_a_pace_that_doubles_is_told_as_often_as_it_doubles():
    fleet = recovering(2.0)
    pace = fleet.machine.pace
    pace.top, pace.low, pace.rise = 200.0, 2.0, 10_000.0
    of_kinds(fleet, [PATIENT] * 40)
    fleet.run(9)
    # 2 to 200 is between six and seven doublings; it is evaluated when a worker asks.
    assert 2 <= len(fleet.news) <= 7


def test_a_turn_comes_sooner_when_the_pace_has_risen():
    fleet = recovering(0.1)
    counts = of_kinds(fleet, [PATIENT] * 6)
    fleet.run(5)
    pace = fleet.machine.pace
    pace.top = pace.low = 50.0
    pace.slot = fleet.now * 1000
    other = fleet.process("other", push=False)
    fleet.at_once(other.acquire(0))
    fleet.run(5)
    # All but those who sleep towards a slot of the old pace.
    assert sum(len(count) > 10 for count in counts) >= 4


@pytest.mark.parametrize("kind", [PATIENT, BLIND, HASTY, BLIND_HASTY])
@pytest.mark.parametrize("order", ["resume", "disable", "reset"])
def test_an_order_ends_the_pacing_for_all_who_wait(kind, order):
    fleet = recovering(0.05)
    counts = of_kinds(fleet, [kind] * 6)
    fleet.run(10)
    assert sum(map(len, counts)) <= 3
    fleet.at_once(fleet.process("ops", push=False).order(order, "", "ops"))
    fleet.run(2 * POLL + 0.5)
    assert all(count for count in counts)


def test_a_worker_that_dies_with_a_slot_delays_nobody_else():
    fleet = recovering(2.0)
    dead = fleet.process("dead")
    fleet.at_once(dead.acquire(0))
    counts = of_kinds(fleet, [PATIENT] * 4)
    fleet.run(10)
    done = sorted(moment for count in counts for moment in count)
    assert done[0] <= 1_000_061 + 1 / 2.0 + 0.2
    assert all(after - before <= 0.7 for before, after in itertools.pairwise(done))


@pytest.mark.parametrize("push", [True, False])
@pytest.mark.parametrize("burst", [2, 10, 60])
def test_it_finds_what_the_upstream_allows(push, burst):
    """From the trip on: most of what is allowed is done, and few calls are refused."""
    fleet = Fleet(cooldown=10.0)
    upstream = Bucket(fleet, 20.0, burst)
    done: list[float] = []
    for number in range(8):
        plans = fleet.process(f"p{number}", push=push)
        for _ in range(4):
            fleet.start(jobs(fleet, plans, upstream, done))
    fleet.run(240)
    late = [moment for moment in done if moment > fleet.now - 120]
    refused = len(upstream.calls) - len(done)
    assert len(late) >= 0.7 * 20 * 120
    assert refused <= 0.1 * len(upstream.calls)


def test_cuts_do_not_make_a_storm_of_news():
    """Every second call is refused, whatever the pace."""
    fleet = recovering(100.0)
    flips = iter(range(10**9))
    for number in range(8):
        plans = fleet.process(f"p{number}")
        for _ in range(4):
            call = lambda: 0.0 if next(flips) % 2 else None  # noqa: E731
            fleet.start(jobs(fleet, plans, call, []))
    began = fleet.now
    fleet.run(60)
    assert (
        max(
            sum(second <= moment - began < second + 1 for moment in fleet.news)
            for second in range(60)
        )
        <= 20
    )
    assert len(fleet.news) <= 3 * 60


def waits_of(fleet, workers, seconds):
    """Run workers that outnumber the slots by far; how long each had to wait for its jobs."""
    waits: list[float] = []

    def work(plans):
        while True:
            began = fleet.now
            yield from fleet.do(plans.acquire(None))
            waits.append(fleet.now - began)
            yield 0.1

    for number in range(workers):
        fleet.start(work(fleet.process(f"p{number}")))
    fleet.run(seconds)
    return sorted(waits)


@pytest.mark.parametrize("cut_every", [None, 40])
def test_the_worker_that_has_waited_longest_is_next(cut_every):
    fleet = recovering(1.0)
    even = 120 / 1.0
    if cut_every:
        fleet.start(cutting(fleet, cut_every))
    waits = waits_of(fleet, 120, 6 * even)
    late = waits[int(0.99 * len(waits))]
    assert late <= 2 * even
    assert len(waits) >= 0.8 * 1.0 * 6 * even


def cutting(fleet, every):
    """A rate limit error now and then, and a rate that is back soon after."""
    plans = fleet.process("unlucky")
    while True:
        yield every
        grant = yield from fleet.do(plans.acquire(None))
        yield from fleet.do(plans.rate_limit_error(None, None, grant))
        pace = fleet.machine.pace
        pace.top = pace.low = pace.told = 1.0
        pace.rise, pace.proven = 1e12, fleet.now * 1000


def test_jobs_that_report_nothing_do_not_hold_a_recovery():
    """They fail for reasons of their own: no evidence is no verdict."""
    fleet = Fleet(cooldown=10.0)
    plans = fleet.process("first")
    fleet.at_once(plans.rate_limit_error(None, None))
    waits_of(fleet, 8, 60)
    assert fleet.machine.snapshot(fleet.ms)["state"] == "closed"
