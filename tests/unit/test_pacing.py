"""Each rule of the pace by an example; that the Lua has the same is shown elsewhere."""

import itertools

import pytest

from breaker.pacing import Pace, slots, start
from breaker.pacing import pace as rates

NOW = 1_700_000_000_000.0
RATE = 10.0
GAP = 1000.0 / RATE


def steady(rate=RATE, *, proven=True, **given):
    """A pace that does not change by itself; the first slot is now."""
    pace = Pace(top=rate, low=rate, rise=1e12, told=rate, slot=NOW, began=NOW, calm_from=NOW)
    pace.proven, pace.quiet_from = NOW if proven else 0.0, NOW
    for name, value in given.items():
        setattr(pace, name, value)
    return pace


def take_all(pace, now=NOW, patience=60_000.0):
    """All waits that are granted at one moment."""
    waits: list[float] = []
    while (answer := pace.take(now, patience)).granted:
        waits.append(answer.wait)
    return waits


# -- slots


def test_slots_are_a_gap_apart_and_given_as_far_ahead_as_the_horizon():
    expected = [number * GAP for number in range(int(slots.HORIZON / GAP) + 1)]
    assert take_all(steady()) == pytest.approx(expected)


def test_at_least_one_slot_ahead_is_given():
    gap = 20 * slots.HORIZON
    assert take_all(steady(1000 / gap)) == pytest.approx([0, gap])


def test_no_slot_further_away_than_the_caller_would_wait():
    assert take_all(steady(), patience=3.5 * GAP) == pytest.approx([0, GAP, 2 * GAP, 3 * GAP])
    assert take_all(steady(), patience=0.0) == [0]


def test_an_unused_slot_is_gone():
    pace = steady()
    assert take_all(pace, NOW + 60_000, patience=0.0) == [0]
    assert pace.idle == 60_000


def test_a_refusal_takes_no_slot():
    pace = steady()
    take_all(pace)
    slot, given = pace.slot, pace.given
    for turn in (0.0, 1.0, 30.0):
        assert not pace.take(NOW, 0.0, turn).granted
        assert (pace.slot, pace.given) == (slot, given)


def test_a_job_that_costs_more_takes_as_many_slots():
    pace = steady()
    assert pace.take(NOW, 0.0, cost=3.0).granted
    assert (pace.slot, pace.given, pace.called) == (NOW + 3 * GAP, 3, 1)


# -- turns


def in_line(workers, rate=1.0, patience=0.0):
    """A pace whose next slot is a second away, and the answers to workers that found none."""
    pace = steady(rate)
    pace.take(NOW, 0.0)
    return pace, [pace.take(NOW, patience) for _ in range(workers)]


def test_turns_are_a_gap_apart_and_begin_with_the_next_slot():
    _, answers = in_line(3)
    assert [answer.wait for answer in answers] == pytest.approx([1000, 2000, 3000])
    assert [answer.turn for answer in answers] == [2, 3, 4]


def test_a_worker_that_would_wait_comes_a_little_before_its_turn():
    pace = steady(1.0, slot=NOW + 5000)
    answer = pace.take(NOW, 60_000.0)
    assert (answer.granted, answer.wait) == (False, 5000 - slots.LEAD)


def test_a_worker_that_would_wait_less_comes_as_long_before_its_turn_as_it_would_wait():
    assert steady(1.0, slot=NOW + 5000).take(NOW, 250.0).wait == 5000 - 250


def test_a_turn_keeps_its_number_however_often_its_worker_asks():
    pace, answers = in_line(4)
    for answer in answers[1:] * 3:
        again = pace.take(NOW, 0.0, answer.turn)
        assert (again.granted, again.wait, again.turn) == (False, answer.wait, answer.turn)
    assert pace.turns == 5


def test_slots_go_to_turns_in_their_order():
    pace, answers = in_line(3)
    first, second, third = (answer.turn for answer in answers)
    for turn in (third, second):
        assert not pace.take(NOW + 900, 100.0, turn).granted
    assert pace.take(NOW + 900, 100.0, first).granted
    assert not pace.take(NOW + 1900, 100.0, third).granted
    assert pace.take(NOW + 1900, 100.0, second).granted


def test_slots_are_kept_for_the_workers_in_line():
    pace, (oldest, *_) = in_line(5)
    assert not pace.take(NOW + 800, 500.0).granted
    assert pace.take(NOW + 800, 500.0, oldest.turn) == slots.Answer(True, 200, oldest.turn)


def test_no_worker_is_kept_from_a_slot_that_has_come():
    pace, _ = in_line(5)
    assert pace.take(NOW + 1000, 0.0).granted


def test_turns_pass_while_slots_go_unused():
    """Their workers are gone: the others need not wait for them."""
    pace, answers = in_line(10)
    late = pace.take(NOW + 9000, 0.0)
    assert late.granted
    assert pace.take(NOW + 9000, 60_000.0, answers[-1].turn).wait <= 1000


def test_a_worker_whose_turn_has_passed_gets_another():
    pace, answers = in_line(10)
    pace.take(NOW + 20_000, 0.0)
    again = pace.take(NOW + 20_000, 1.0, answers[0].turn)
    assert (again.granted, again.turn) == (False, pace.turns)


def test_turns_hold_over_a_cut_and_those_whose_slots_are_void_are_next():
    pace = steady(10.0)
    taken = [pace.take(NOW, 60_000.0) for _ in range(8)]
    waiting = [pace.take(NOW, 0.0) for _ in range(20)]
    pace.cut(NOW + 250, 0.0)
    # Three had begun; those after them are in line again, each at its place.
    due = [pace.take(NOW + 250, 0.0, one.turn).wait for one in (*taken[4:], *waiting)]
    assert due == sorted(due)
    assert due[0] < pace.slot - NOW - 250 + 2 * 1000 / pace.low


def test_a_trip_in_mid_recovery_keeps_the_turns_and_the_next_one_does_not():
    pace, answers = in_line(5)
    pace.trip(NOW, 1000.0, is_anew=False)
    pace.begin(NOW)
    assert pace.take(NOW, 0.0, answers[0].turn).granted
    assert not pace.take(NOW, 60_000.0, answers[-1].turn).granted
    pace.trip(NOW, 1000.0, is_anew=True)
    pace.begin(NOW)
    assert [pace.take(NOW, 60_000.0).granted for _ in range(2)] == [True, True]


def test_a_worker_in_line_that_can_wait_may_go_a_little_early():
    fast, ahead = 2000 / slots.TOLERANCE, {"slot": NOW + slots.TOLERANCE}
    assert steady(fast, turns=1.0, **ahead).take(NOW, 1.0, 1.0).granted
    assert not steady(fast, **ahead).take(NOW, 1.0).granted
    later = {"slot": NOW + slots.TOLERANCE + 1}
    assert not steady(fast, turns=1.0, **later).take(NOW, 1.0, 1.0).granted


def test_a_worker_in_line_that_cannot_wait_may_go_a_gap_early():
    slow = 1.0
    assert steady(slow, turns=1.0, slot=NOW + 1000).take(NOW, 0.0, 1.0).granted
    assert not steady(slow, turns=1.0, slot=NOW + 1001).take(NOW, 0.0, 1.0).granted
    assert not steady(slow, turns=1.0, slot=NOW + 1000).take(NOW, 1.0, 1.0).granted


def test_a_worker_in_line_asks_again_after_a_minute_and_keeps_its_turn():
    pace, answers = in_line(200)
    assert answers[-1].wait == slots.LONGEST_WAIT
    assert pace.take(NOW, 0.0, answers[-1].turn).turn == answers[-1].turn


def test_the_line_has_an_end():
    pace = steady(1.0, slot=NOW + 5000, turns=slots.LONGEST_LINE)
    assert pace.take(NOW, 0.0) == slots.Answer(False, slots.LONGEST_WAIT, 0.0)
    assert pace.turns == slots.LONGEST_LINE


@pytest.mark.parametrize("back", [100_000, 3_600_000])
def test_a_clock_that_is_set_back_takes_the_schedule_along(back):
    pace, _ = in_line(1)
    before = vars(pace).copy()
    pace.shift(-back)
    assert (pace.slot, pace.began) == (before["slot"] - back, before["began"] - back)
    assert pace.calm_at == 0
    assert pace.take(NOW - back + 1000, 0.0).granted


def test_no_turn_passes_in_an_operators_pause():
    pace, answers = in_line(5)
    pace.thaw(NOW + 60_000)
    assert pace.slot == NOW + 60_000
    assert (pace.calm_idle, pace.calm_from) == (0, NOW + 60_000)
    assert pace.take(NOW + 60_000, 0.0, answers[0].turn).granted
    assert not pace.take(NOW + 60_000, 1.0, answers[3].turn).granted


# -- how fast


def test_unproven_and_without_a_miss_it_goes_at_the_low_rate():
    pace = steady(proven=False, top=50.0)
    assert pace.rate(NOW) == pace.rate(NOW + 60_000) == RATE


def test_after_misses_it_begins_hesitantly_and_doubles_each_second_up_to_the_low_rate():
    pace = steady(1000.0, proven=False, misses=1.0)
    first = 1000 / rates.FIRST_SILENCE
    assert [pace.rate(NOW + second * 1000) for second in range(3)] == [
        first,
        2 * first,
        4 * first,
    ]
    assert pace.rate(NOW + 60_000) == 1000


def test_it_rises_from_low_to_top_lingers_and_doubles():
    pace = steady(low=10.0, top=20.0, rise=10_000.0, slot=NOW + 1e9)
    found = [pace.rate(NOW + share * 10_000) for share in (0, 0.5, 1, rates.LINGER)]
    assert found[0] == 10
    assert found[2] == 20
    assert found == sorted(found)
    each = max(rates.DOUBLING, 10_000 / rates.DOUBLINGS)
    late = NOW + rates.LINGER * 10_000
    assert pace.rate(late + each) == pytest.approx(2 * found[3])


def test_it_does_not_rise_while_slots_go_unused():
    pace = steady(low=10.0, top=20.0, rise=10_000.0)
    assert pace.rate(NOW + 60_000) == pace.rate(NOW) == 10
    pace.take(NOW + 60_000, 0.0)
    assert pace.rate(NOW + 60_000) == 10
    assert pace.rate(NOW + 60_000 + GAP) > 10


def test_a_pace_that_has_doubled_is_pushed_once():
    pace = steady(20.0, told=RATE)
    assert pace.has_risen(NOW)
    assert pace.told == 20
    assert not pace.has_risen(NOW)
    assert not steady(19.9, told=RATE).has_risen(NOW)


# -- proof


def test_the_first_success_of_an_epoch_proves_it():
    pace = steady(proven=False, misses=2.0, slot=NOW + 60_000)
    assert pace.prove(NOW)
    assert (pace.proven, pace.misses) == (NOW, 0)
    assert pace.slot == NOW + GAP
    assert pace.rise == rates.QUICK_RISE
    assert not pace.prove(NOW + 1000)
    assert pace.proven == NOW


def test_an_epoch_begins_unproven_when_its_pause_is_over():
    pace = steady(given=5.0, idle=3.0)
    pace.begin(NOW, 700)
    assert (pace.slot, pace.began, pace.calm_from, pace.quiet_from) == (NOW + 700,) * 4
    assert (pace.proven, pace.given, pace.idle) == (0, 0, 0)
    assert not pace.take(NOW, 0.0).granted
    assert pace.take(NOW + 700, 0.0).granted


@pytest.mark.parametrize("misses", [0.0, 3.0])
def test_jobs_without_any_result_count_as_a_success_in_the_end(misses):
    """They fail for reasons of their own, or nothing reports what becomes of them."""
    pace = steady(1.0, proven=False, misses=misses)
    for second in range(int(slots.PRESUMED / 1000)):
        assert pace.proven == 0
        pace.take(NOW + second * 1000, 60_000.0)
    pace.take(NOW + slots.PRESUMED, 60_000.0)
    assert (pace.proven, pace.misses) == (NOW + slots.PRESUMED, 0)


def test_time_without_jobs_is_not_a_success():
    pace = steady(1.0, proven=False)
    pace.take(NOW + 3_600_000, 0.0)
    pace.take(NOW + 3_601_000, 0.0)
    assert pace.proven == 0


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
    assert silences[:4] == [rates.FIRST_SILENCE * 2**times for times in range(4)]
    assert silences[6:11] == [rates.USUAL_SILENCE] * 5
    # Later a little more each time: the end of a long outage is found within a tenth of it.
    assert silences[:120] == sorted(silences[:120])
    assert all(sum(silences[:n]) * 0.1 > silences[n] for n in range(20, 120))
    assert silences[-1] == rates.LONGEST_SILENCE
    assert (pace.top, pace.low) == (RATE, RATE)


def test_an_error_long_after_the_last_job_never_speeds_up():
    pace = steady(low=RATE, top=2 * RATE, rise=2000.0)
    pace.take(NOW, 0.0)
    pace.cut(NOW + 600_000, 0.0)
    assert pace.low <= RATE
    assert pace.top <= 2 * RATE


def test_jobs_that_all_came_at_first_are_no_pace():
    """No job used the slots after them, and no script has noted that when the error arrives."""
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
    assert known.rise == unknown.rise == rates.QUICK_RISE
    assert forgotten.rise >= rates.USUAL_RISE


def test_what_was_delivered_for_long_is_remembered():
    short, long = steady(), steady()
    cut_after(short, NOW + 4000)
    cut_after(long, NOW + 10_000)
    assert short.best == 0
    assert long.best == pytest.approx(RATE)


# -- a trip


def test_a_trip_begins_where_the_fleet_was_all_together():
    pace = steady(best=0.0)
    pace.trip(NOW, 1000.0, is_anew=True)
    assert (pace.top, pace.low, pace.misses) == (rates.UNKNOWN, rates.UNKNOWN, 1)
    for share in (3.0, 0.0, 5.0):
        pace.learn(share, NOW)
    assert (pace.top, pace.low, pace.best) == (8, pytest.approx(7.6), 8)


def test_what_comes_after_a_cut_is_no_news():
    pace = steady()
    pace.trip(NOW, 1000.0, is_anew=True)
    pace.learn(4.0, NOW)
    pace.begin(NOW)
    pace.prove(NOW)
    pace.cut(NOW + 500, 0.0)
    before = (pace.top, pace.low)
    pace.learn(400.0, NOW)
    assert (pace.top, pace.low) == before


# -- its end


FORGET_AFTER = 600_000.0


def calm(length, unused, **given):
    pace = steady(calm_from=NOW - length, calm_idle=unused, slot=NOW, **given)
    return pace.is_over(NOW, FORGET_AFTER)


def test_it_is_over_when_a_third_of_a_calm_time_went_unused():
    third = slots.CALM / 3 + 1
    assert calm(slots.CALM, third)
    assert not calm(slots.CALM, third - 2)
    assert not calm(slots.CALM - 1, third)
    assert not calm(slots.CALM, third, proven=False, given=3.0)
    assert calm(slots.CALM, third, proven=False)


def test_what_is_unused_at_the_moment_counts_too():
    pace = steady(calm_from=NOW - slots.CALM, slot=NOW - slots.CALM / 2)
    assert pace.is_over(NOW, FORGET_AFTER)


def test_it_is_not_over_while_workers_stand_in_line():
    third = slots.CALM / 3 + 1
    assert not calm(slots.CALM, third, turns=5.0, called=3.0)
    assert calm(slots.CALM, third, turns=5.0, called=4.5)


@pytest.mark.parametrize("proven", [True, False])
def test_it_is_over_when_no_error_came_for_as_long_as_errors_count(proven):
    pace = steady(proven=proven, quiet_from=NOW)
    for second in range(100):
        take_all(pace, NOW + second * 1000)
    assert not pace.is_over(NOW + 100_000 - 1, 100_000)
    assert pace.is_over(NOW + 100_000, 100_000)


def test_it_is_not_over_while_it_is_held():
    pace = Pace()
    pace.hold(NOW, 1.0, 2.0, 3_000_000)
    assert not pace.is_over(NOW + 2_999_999, 1000)
    assert pace.is_over(NOW + 3_001_000, 1000)


def test_looking_whether_it_is_over_changes_nothing():
    pace = steady(calm_from=NOW - slots.CALM, calm_idle=5.0, slot=NOW - 5.0)
    before = vars(pace).copy()
    assert not pace.is_over(NOW, FORGET_AFTER)
    assert vars(pace) == before


def test_a_slot_that_no_job_used_is_unused_time():
    pace = steady(calm_from=NOW - slots.CALM, slot=NOW)
    for _ in range(int(slots.CALM / GAP / 3) + 1):
        assert not pace.is_over(NOW, FORGET_AFTER)
        pace.give_back(NOW)
    assert pace.is_over(NOW, FORGET_AFTER)


def test_a_time_that_was_not_calm_is_looked_at_no_more():
    pace = steady(calm_from=NOW - slots.CALM, calm_idle=5.0)
    pace.take(NOW, 0.0)
    assert (pace.calm_from, pace.calm_idle) == (NOW, 0)


def test_the_calm_is_as_long_as_the_pause_before_and_as_several_slots():
    assert not calm(slots.CALM, slots.CALM, paused=2 * slots.CALM)
    slow = 500 * slots.CALM_SLOTS / slots.CALM
    assert not calm(slots.CALM, slots.CALM, rate=slow)
    assert calm(2 * slots.CALM, 2 * slots.CALM, rate=slow)


def test_each_trip_soon_after_doubles_the_calm():
    pace = steady()
    for times in range(1, 4):
        pace.calm_at = NOW
        pace.trip(NOW + start.RELAPSE - 1, 1000.0, is_anew=True)
        assert pace.relapses == times
    assert not calm(2 * slots.CALM - 1, 2 * slots.CALM, relapses=1.0)
    assert calm(2 * slots.CALM, 2 * slots.CALM, relapses=1.0)
    pace.trip(NOW + start.RELAPSE, 1000.0, is_anew=True)
    assert pace.relapses == 0
