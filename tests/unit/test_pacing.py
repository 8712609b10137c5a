"""Each rule of the pace by an example; that the Lua has the same is shown elsewhere."""

import itertools

import pytest

from breaker import pacing
from breaker.pacing import Pace

NOW = 1_700_000_000_000.0
RATE = 10.0
GAP = 1000.0 / RATE


def steady(rate=RATE, *, proven=True, **given):
    """A pace that does not change by itself; the first slot is now."""
    pace = Pace(top=rate, low=rate, rise=1e12, told=rate, slot=NOW, began=NOW, calm_from=NOW)
    pace.proven = NOW if proven else 0.0
    for name, value in given.items():
        setattr(pace, name, value)
    return pace


def take_all(pace, now=NOW, patience=60_000.0, *, in_turn=False):
    """All waits that are granted at one moment."""
    waits: list[float] = []
    while True:
        granted, wait = pace.take(now, patience, in_turn=in_turn)
        if not granted:
            return waits
        waits.append(wait)


# -- slots


def test_slots_are_a_gap_apart_and_given_as_far_ahead_as_the_horizon():
    expected = [number * GAP for number in range(int(pacing.HORIZON / GAP) + 1)]
    assert take_all(steady()) == pytest.approx(expected)


def test_at_least_one_slot_ahead_is_given():
    gap = 20 * pacing.HORIZON
    assert take_all(steady(1000 / gap)) == pytest.approx([0, gap])


def test_no_slot_further_away_than_the_caller_would_wait():
    assert take_all(steady(), patience=3.5 * GAP) == pytest.approx([0, GAP, 2 * GAP, 3 * GAP])
    assert take_all(steady(), patience=0.0) == [0]


def test_an_unused_slot_is_gone():
    pace = steady()
    assert take_all(pace, NOW + 60_000, patience=0.0) == [0]
    assert pace.idle == pace.calm_idle == 60_000


def test_a_refusal_takes_no_slot():
    pace = steady()
    take_all(pace)
    slot, given = pace.slot, pace.given
    for in_turn in (True, False):
        assert pace.take(NOW, 0.0, in_turn=in_turn)[0] is False
        assert (pace.slot, pace.given) == (slot, given)


# -- turns


def test_turns_are_a_gap_apart_and_begin_with_the_next_slot():
    pace = steady(1.0)
    pace.take(NOW, 0.0, in_turn=False)
    turns = [pace.take(NOW, 0.0, in_turn=False)[1] for _ in range(3)]
    assert turns == pytest.approx([1000, 2000, 3000])


def test_whoever_would_wait_comes_a_little_before_the_turn():
    pace = steady(1.0, slot=NOW + 5000)
    assert pace.take(NOW, 60_000.0, in_turn=False) == (False, 5000 - pacing.LEAD)


def test_slots_are_kept_for_those_in_line():
    pace = steady(slot=NOW + 200, line=NOW + 5000)
    assert not pace.take(NOW, 500.0, in_turn=False)[0]
    assert pace.take(NOW, 500.0, in_turn=True) == (True, 200)


def test_nobody_is_kept_from_a_slot_that_has_come():
    assert steady(line=NOW + 5000).take(NOW, 0.0, in_turn=False) == (True, 0)


def test_in_turn_one_may_go_a_little_early():
    ahead = {"slot": NOW + pacing.TOLERANCE}
    fast = 2000 / pacing.TOLERANCE
    assert steady(fast, **ahead).take(NOW, 1.0, in_turn=True)[0]
    assert not steady(fast, **ahead).take(NOW, 1.0, in_turn=False)[0]
    assert not steady(fast, slot=NOW + pacing.TOLERANCE + 1).take(NOW, 1.0, in_turn=True)[0]


def test_in_turn_and_unable_to_wait_one_may_go_a_gap_early():
    slow = 1.0
    assert steady(slow, slot=NOW + 1000).take(NOW, 0.0, in_turn=True)[0]
    assert not steady(slow, slot=NOW + 1001).take(NOW, 0.0, in_turn=True)[0]
    assert not steady(slow, slot=NOW + 1000).take(NOW, 1.0, in_turn=True)[0]


def test_the_line_is_a_minute_long():
    pace = steady(1.0, slot=NOW + 5000, line=NOW + pacing.LONGEST_WAIT + 1)
    assert pace.take(NOW, 0.0, in_turn=False) == (False, pacing.LONGEST_WAIT)
    assert pace.line == NOW + pacing.LONGEST_WAIT + 1


@pytest.mark.parametrize("ahead", [3_600_000, 600_000])
def test_a_clock_that_has_jumped_back_stops_nobody(ahead):
    """Whether the epoch began after the time it is now, or long before."""
    for began in (NOW + ahead, NOW - 3_600_000):
        pace = steady(slot=NOW + ahead, began=began)
        assert pace.take(NOW, 0.0, in_turn=False) == (True, 0)


# -- how fast


def test_unproven_and_without_a_miss_it_goes_at_the_low_rate():
    pace = steady(proven=False, top=50.0)
    assert pace.rate(NOW) == pace.rate(NOW + 60_000) == RATE


def test_after_misses_it_begins_hesitantly_and_doubles_each_second_up_to_the_low_rate():
    pace = steady(1000.0, proven=False, misses=1.0)
    first = 1000 / pacing.FIRST_SILENCE
    assert [pace.rate(NOW + second * 1000) for second in range(3)] == [
        first,
        2 * first,
        4 * first,
    ]
    assert pace.rate(NOW + 60_000) == 1000


def test_it_rises_from_low_to_top_lingers_and_doubles():
    pace = steady(low=10.0, top=20.0, rise=10_000.0, slot=NOW + 1e9)
    rates = [pace.rate(NOW + share * 10_000) for share in (0, 0.5, 1, pacing.LINGER)]
    assert rates[0] == 10
    assert rates[2] == 20
    assert rates == sorted(rates)
    each = max(pacing.DOUBLING, 10_000 / pacing.DOUBLINGS)
    late = NOW + pacing.LINGER * 10_000
    assert pace.rate(late + each) == pytest.approx(2 * rates[3])


def test_it_does_not_rise_while_slots_go_unused():
    pace = steady(low=10.0, top=20.0, rise=10_000.0)
    assert pace.rate(NOW + 60_000) == pace.rate(NOW) == 10
    pace.take(NOW + 60_000, 0.0, in_turn=False)
    assert pace.rate(NOW + 60_000) == 10
    assert pace.rate(NOW + 60_000 + GAP) > 10


def test_a_pace_that_has_doubled_is_told_once_and_turns_come_sooner():
    pace = steady(20.0, told=RATE, line=NOW + 8000)
    assert pace.has_risen(NOW)
    assert (pace.told, pace.line) == (20, NOW + 4000)
    assert not pace.has_risen(NOW)
    assert not steady(19.9, told=RATE).has_risen(NOW)


# -- proof


def test_the_first_success_of_an_epoch_proves_it():
    pace = steady(proven=False, misses=2.0, slot=NOW + 60_000)
    assert pace.prove(NOW)
    assert (pace.proven, pace.misses) == (NOW, 0)
    assert pace.slot == NOW + GAP
    assert pace.rise == pacing.QUICK_RISE
    assert not pace.prove(NOW + 1000)
    assert pace.proven == NOW


def test_an_epoch_begins_unproven_when_its_pause_is_over():
    pace = steady(given=5.0, idle=3.0, line=NOW + 5.0)
    pace.begin(NOW + 700)
    assert (pace.slot, pace.began, pace.calm_from) == (NOW + 700,) * 3
    assert (pace.line, pace.proven, pace.given, pace.idle) == (0, 0, 0, 0)
    assert not pace.take(NOW, 0.0, in_turn=False)[0]
    assert pace.take(NOW + 700, 0.0, in_turn=False)[0]


# -- errors


def cut_after(pace, now, pause=0.0):
    """Cut a pace all of whose slots were used until now."""
    pace.given += (now - pace.began) * RATE / 1000
    pace.slot = now
    return pace.cut(now, pause)


def test_after_a_telling_time_it_goes_by_what_was_delivered():
    pace = steady()
    cut_after(pace, NOW + 10_000)
    assert 0.9 * RATE < pace.low < RATE < pace.top < 1.1 * RATE
    assert (pace.early, pace.is_new) == (0, 0)


def test_a_cut_that_comes_early_lowers_the_rate_and_the_next_one_more():
    pace, lows = steady(100.0), []
    for _ in range(3):
        pace.cut(NOW, 0.0)
        lows.append(pace.low)
        pace.top, pace.slot, pace.proven = pace.low, NOW, NOW
        pace.began = NOW
    ratios = [after / before for before, after in itertools.pairwise([100.0, *lows])]
    assert ratios[1] < ratios[0]
    assert 0.5 <= ratios[-1] < ratios[0] < 1


def test_a_cut_begins_anew_after_the_pause_it_was_told():
    pace = steady()
    assert cut_after(pace, NOW + 10_000, 3000.0) == 3000
    assert pace.slot == pace.began == NOW + 13_000
    assert pace.proven == 0


def test_errors_before_any_success_keep_the_rate_and_double_the_silence():
    pace = steady(proven=False)
    silences = [pace.cut(NOW, 0.0) for _ in range(150)]
    assert silences[:4] == [pacing.FIRST_SILENCE * 2**times for times in range(4)]
    assert silences[6:11] == [pacing.USUAL_SILENCE] * 5
    # Later a little more each time: the end of a long outage is found within a tenth of it.
    assert silences[:120] == sorted(silences[:120])
    assert all(sum(silences[:n]) * 0.1 > silences[n] for n in range(20, 120))
    assert silences[-1] == pacing.LONGEST_SILENCE
    assert (pace.top, pace.low) == (RATE, RATE)


def test_an_error_long_after_the_last_job_never_speeds_up():
    pace = steady(low=RATE, top=2 * RATE, rise=2000.0)
    pace.take(NOW, 0.0, in_turn=False)
    pace.cut(NOW + 600_000, 0.0)
    assert pace.low <= RATE
    assert pace.top <= 2 * RATE


def test_jobs_that_all_came_at_first_are_no_pace():
    """Nobody came after them, which nothing has noted yet when the error comes."""
    pace = steady(given=20.0)
    pace.cut(NOW + 10_000, 0.0)
    assert pace.top <= 2 * 20 / 10


def test_a_rest_before_the_burst_is_counted_in():
    """What was saved up in the pause before is not what is allowed in the long run."""
    short, long = steady(paused=0.0), steady(paused=60_000.0)
    for pace in (short, long):
        cut_after(pace, NOW + 4000)
    assert long.low < short.low
    assert long.top < short.top


def test_the_rise_is_quick_while_less_gets_through_than_did_lately_or_nothing_is_known():
    known = steady(best=10 * RATE, best_at=NOW)
    unknown, forgotten = steady(), steady(best=10 * RATE, best_at=NOW - 3_600_000)
    for pace in (known, unknown, forgotten):
        cut_after(pace, NOW + 4000)
    assert known.rise == unknown.rise == pacing.QUICK_RISE
    assert forgotten.rise >= pacing.RISE


def test_what_was_delivered_for_long_is_remembered():
    short, long = steady(), steady()
    cut_after(short, NOW + 4000)
    cut_after(long, NOW + 10_000)
    assert short.best == 0
    assert long.best == pytest.approx(RATE)


# -- a trip


def test_a_trip_begins_where_the_fleet_was_all_together():
    pace = steady(best=0.0)
    pace.trip(NOW, 1000.0)
    assert (pace.top, pace.low, pace.misses) == (pacing.UNKNOWN, pacing.UNKNOWN, 1)
    for share in (3.0, 0.0, 5.0):
        pace.learn(share, NOW)
    assert (pace.top, pace.low, pace.best) == (8, 4, 8)


def test_what_comes_after_a_cut_is_no_news():
    pace = steady()
    pace.trip(NOW, 1000.0)
    pace.learn(4.0, NOW)
    pace.begin(NOW)
    pace.prove(NOW)
    pace.cut(NOW + 500, 0.0)
    before = (pace.top, pace.low)
    pace.learn(400.0, NOW)
    assert (pace.top, pace.low) == before


# -- its end


def calm(length, unused, **given):
    return steady(calm_from=NOW - length, calm_idle=unused, slot=NOW, **given).is_calm(NOW)


def test_it_is_over_when_a_third_of_a_calm_time_went_unused():
    third = pacing.CALM / 3 + 1
    assert calm(pacing.CALM, third)
    assert not calm(pacing.CALM, third - 2)
    assert not calm(pacing.CALM - 1, third)
    assert not calm(pacing.CALM, third, proven=False)


def test_what_is_unused_at_the_moment_counts_too():
    pace = steady(calm_from=NOW - pacing.CALM, slot=NOW - pacing.CALM / 2)
    assert pace.is_calm(NOW)


def test_a_time_that_was_not_calm_is_looked_at_no_more():
    pace = steady(calm_from=NOW - pacing.CALM, calm_idle=5.0)
    assert not pace.is_calm(NOW)
    assert (pace.calm_from, pace.calm_idle) == (NOW, 0)


def test_the_calm_is_as_long_as_the_pause_before_and_as_several_slots():
    assert not calm(pacing.CALM, pacing.CALM, paused=2 * pacing.CALM)
    slow = 500 * pacing.CALM_SLOTS / pacing.CALM
    assert not calm(pacing.CALM, pacing.CALM, rate=slow)
    assert calm(2 * pacing.CALM, 2 * pacing.CALM, rate=slow)


def test_each_trip_soon_after_doubles_the_calm():
    pace = steady()
    for times in range(1, 4):
        pace.calm_at = NOW
        pace.trip(NOW + pacing.RELAPSE - 1, 1000.0)
        assert pace.relapses == times
    assert not calm(2 * pacing.CALM - 1, 2 * pacing.CALM, relapses=1.0)
    assert calm(2 * pacing.CALM, 2 * pacing.CALM, relapses=1.0)
    pace.trip(NOW + pacing.RELAPSE, 1000.0)
    assert pace.relapses == 0
