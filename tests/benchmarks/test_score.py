"""What the benchmark of recovery makes of logs that were made up."""

import math
from collections.abc import Callable

import pytest

from benchmarks.recovery.score import Logged, Score, score, settled_at, stopped_after
from benchmarks.recovery.upstreams import Shape, TokenBucket, by_time, steadily

STEADY = steadily(10.0)


def shape(allowed: Callable[[float], float] = STEADY, back_at: float | None = None) -> Shape:
    return Shape("made-up", "", lambda: TokenBucket(10.0), allowed, back_at=back_at)


def calls(since: float, until: float, rate: float, *, admitted: bool = True) -> list[Logged]:
    """`rate` calls per second, the first at `since`, none at `until`."""
    count = round((until - since) * rate)
    return [Logged(since + number / rate, 1000.0, admitted) for number in range(count)]


def judge(log: list[Logged], made_up: Shape | None = None, duration: float = 20.0) -> Score:
    return score(log, made_up or shape(), duration)


def test_a_fleet_that_is_never_refused_is_judged_from_the_start() -> None:
    worth = judge(calls(0, 20, 10))
    assert (worth.calls, worth.served, worth.refused) == (200, 200, 0)
    assert worth.settled == 0.0
    assert worth.goodput == pytest.approx(1.0)
    assert worth.overall == pytest.approx(1.0)
    assert worth.waste == 0.0
    assert worth.stop is None
    assert worth.back is None


def test_goodput_begins_with_the_end_of_the_first_pause() -> None:
    refused = calls(1, 1.5, 10, admitted=False)
    again = Logged(19.99, 1000.0, False)
    worth = judge([*calls(0, 1, 10), *refused, *calls(10, 20, 9), again])
    assert worth.settled == 10.0
    assert worth.goodput == pytest.approx(0.9)
    assert worth.overall == pytest.approx(100 / 200)
    assert (worth.refused, worth.later) == (6, 1)
    assert worth.waste == pytest.approx(6 / 106)


def test_a_window_that_is_used_up_is_a_pause_for_those_who_go_on_too() -> None:
    refused = calls(3, 10, 50, admitted=False)
    worth = judge([*calls(0, 3, 33), *refused, *calls(10, 20, 10)])
    assert worth.settled == 10.0
    assert worth.goodput == pytest.approx(1.0)


def test_a_fleet_that_goes_on_is_judged_from_its_next_success() -> None:
    served = [0.5, 1.0, 1.05, 1.15, 1.25, 1.35]
    assert settled_at(served, [1.02, 1.06, 1.16]) == 1.05


def test_a_pause_that_comes_late_is_not_the_first() -> None:
    served = [second / 10 for second in range(60)]
    assert settled_at([*served, 15.0], [1.05]) == pytest.approx(1.1)


def test_a_fleet_that_never_comes_back_has_no_goodput() -> None:
    worth = judge([*calls(0, 1, 10), Logged(1.05, 1000.0, False)])
    assert worth.settled is None
    assert worth.goodput == 0.0


def test_nobody_called() -> None:
    worth = judge([])
    assert (worth.calls, worth.goodput, worth.waste) == (0, 0.0, 0.0)


def test_what_comes_after_the_end_does_not_count() -> None:
    assert judge(calls(0, 30, 10), duration=19.95).calls == 200


def test_the_stop_is_told_from_the_fifth_refusal() -> None:
    refused = [1.0, 1.01, 1.02, 1.03, 1.04, 1.1]
    assert stopped_after([0.9, *refused, 5.0], refused, 6.0) == pytest.approx(0.06)


def test_a_gap_before_the_fifth_refusal_is_no_stop() -> None:
    refused = [1.0, 2.0, 3.0, 4.0, 5.0, 5.1]
    assert stopped_after(refused, refused, 5.2) is None


def test_a_stop_that_lasts_to_the_end_is_one() -> None:
    refused = [1.0, 1.01, 1.02, 1.03, 1.04]
    assert stopped_after(refused, refused, 20.0) == 0.0


def test_four_refusals_stop_nobody() -> None:
    assert stopped_after([1.0, 1.1, 1.2, 1.3], [1.0, 1.1, 1.2, 1.3], 20.0) is None


INCIDENT = shape(by_time({0.0: 10.0, 5.0: 1.0, 10.0: 10.0}), back_at=10.0)


def test_back_is_when_a_whole_window_was_full() -> None:
    worth = judge([*calls(0, 5, 10), *calls(5, 13, 1), *calls(13, 20, 10)], INCIDENT)
    assert worth.back is not None
    assert 4.5 <= worth.back <= 5.0


def test_what_was_served_before_the_end_of_the_incident_is_not_back() -> None:
    worth = judge([*calls(0, 5, 10), *calls(9, 10, 50), *calls(10, 20, 10)], INCIDENT)
    assert worth.back == pytest.approx(1.8, abs=0.2)


def test_never_back() -> None:
    worth = judge([*calls(0, 5, 10), *calls(5, 20, 5)], INCIDENT)
    assert worth.back == math.inf


def test_the_allowance_of_an_incident_is_smaller() -> None:
    worth = judge([*calls(0, 5, 10), *calls(5, 10, 1), *calls(10, 20, 10)], INCIDENT)
    assert worth.overall == pytest.approx(1.0, abs=0.01)
