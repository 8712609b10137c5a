"""What a process reports of its rate: how much, and once."""

import threading

from breaker.protocol.meter import SHORTEST, Meter


def test_one_of_all_threads_reports():
    meter, mine = Meter(), []
    barrier = threading.Barrier(16)

    def claim():
        barrier.wait(timeout=20)
        mine.append(meter.claim(("life", 1)))

    threads = [threading.Thread(target=claim) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=20)
    assert mine.count(True) == 1
    assert not meter.claim(("life", 1))


def test_each_recovery_and_each_life_of_the_state_is_reported_to():
    meter = Meter()
    assert [meter.claim(asked) for asked in (("a", 1), ("a", 2), ("b", 1))] == [True] * 3


def test_what_did_not_reach_the_store_is_reported_again():
    meter = Meter()
    assert meter.claim(("life", 1))
    meter.unclaim(("life", 1))
    assert meter.claim(("life", 1))


def test_a_rate_is_an_average():
    meter = Meter()
    for second in range(6):
        meter.mark(float(second))
        meter.done += 20
    assert meter.per_second() == 120 / 5
    burst = Meter()
    burst.mark(0.0)
    burst.done = 30
    assert burst.per_second() == 30 / SHORTEST
