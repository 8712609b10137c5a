"""The bridge in front of stock Node workers: how it stops, paces and resumes their queue."""

import time
import urllib.request
from functools import partial

import pytest

from breaker import State
from tests.integrations.contract.conftest import note, wait_for
from tests.topologies import free_port

pytestmark = [pytest.mark.integration, pytest.mark.timeout(120)]

# Seconds that a pause lasts: the upstream says so with each 429.
PAUSE = 3.0
# Calls per second that the upstream allows after the pause.
ALLOWED = 20.0
JOBS = 100
OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def answered(upstream, queue="content"):
    return len(upstream.answered(queue))


def trip(breaker, seconds=PAUSE):
    """Trip the breaker by reports alone."""
    for number in range(5):
        error_id = f"report-{number}"
        wait_for(partial(breaker.record_rate_limit_error, seconds, error_id))
    assert wait_for(breaker.status).trips == 1


def global_rate(setting):
    return setting.ask(lambda queue: queue.getGlobalRateLimit())


def mark(broker):
    return broker.client().hgetall("bull:content:breaker:mark")


def leads(setting):
    return setting.broker.client().exists("bull:content:breaker:health")


@pytest.mark.parametrize(
    ("bullmq", "stop"), [("bullmq", "pause"), ("bullmq5", "pause"), ("bullmq", "limiter")]
)
def test_failed_events_alone_stop_the_queue_and_it_recovers_at_a_pace(
    bullmq, stop, setting, upstream, breaker
):
    upstream.retry_after, upstream.allows = PAUSE, 25
    setting.bridge("--stop", stop)
    wait_for(lambda: leads(setting))
    setting.workers(2, BULLMQ=bullmq)
    setting.add(JOBS, attempts=20)
    wait_for(lambda: breaker.status().is_paused)
    tripped = time.monotonic()
    wait_for(lambda: mark(setting.broker))
    stopped = time.monotonic()
    setting.add(200, "other")
    upstream.refuses, upstream.rate = False, ALLOWED
    while (status := wait_for(breaker.status)).is_paused:  # late 429s may lengthen it
        resumes = time.monotonic() + status.resumes_in
    wait_for(lambda: answered(upstream) == JOBS and answered(upstream, "other") == 200)

    calls = upstream.of("content", since=tripped)
    leaked = [call for call in calls if call.at < resumes - 0.1]
    late = [call for call in leaked if call.at > stopped]
    recovery = [call for call in calls if call.at >= resumes - 0.1]
    limited = [call for call in recovery if call.status == 429]
    first = min(call.at for call in recovery)
    note(
        f"{bullmq}-{stop}",
        in_flight=len(leaked),
        leak=len(late),
        resume_after=first - resumes,
        limited=len(limited) / len(recovery),
        rate=len(recovery) / (time.monotonic() - resumes),
    )
    # What a worker took before the queue was stopped, it may call for a moment later.
    assert len(late) <= 4
    assert len(limited) <= max(4, 0.05 * len(recovery))
    assert set(upstream.answered("content").values()) == {1}
    assert set(upstream.answered("other").values()) == {1}
    refused = len(upstream.of("content", status=429))
    assert wait_for(breaker.status).rate_limit_errors <= refused  # each counted once
    counts = setting.counts()
    assert (counts["completed"], counts["failed"]) == (JOBS, 0)
    wait_for(breaker.resume)
    wait_for(lambda: global_rate(setting) is None and not mark(setting.broker))


def test_reports_alone_stop_the_queue_and_its_end_starts_it(setting, upstream, breaker):
    setting.bridge()
    wait_for(lambda: leads(setting))
    setting.workers(1)
    trip(breaker)
    wait_for(setting.is_paused)
    setting.add(10)
    setting.add(10, "other")
    wait_for(lambda: answered(upstream, "other") == 10)
    assert not upstream.of("content")
    wait_for(lambda: answered(upstream) == 10)
    assert not setting.is_paused()


def test_an_operator_ends_the_pause_early(setting, upstream, breaker):
    setting.bridge()
    wait_for(lambda: leads(setting))
    setting.workers(1)
    wait_for(breaker.pause)
    wait_for(setting.is_paused)
    setting.add(10)
    wait_for(breaker.resume)
    wait_for(lambda: answered(upstream) == 10)
    wait_for(lambda: not mark(setting.broker))


# A program that runs a bridge and kills it at the write that contains a word.
DYING = """
import os, signal, sys
from redis.asyncio.client import Pipeline
word, when = sys.argv.pop(1), sys.argv.pop(1)
execute = Pipeline.execute
async def dying(self, *args, **options):
    is_it = any(word in command for command, _ in self.command_stack)
    if is_it and when == "before":
        os.kill(os.getpid(), signal.SIGKILL)
    await execute(self, *args, **options)
    if is_it:
        os.kill(os.getpid(), signal.SIGKILL)
Pipeline.execute = dying
from breaker.cli import main
main()
"""


@pytest.mark.parametrize(
    ("word", "when", "left"),
    [
        ("paused", "before", ""),  # the mark and the pause
        ("paused", "after", "pause"),
        ("duration", "before", "pause"),  # the pace
        ("duration", "after", "pause"),
        ("resumed", "before", "pause"),  # the resume
        ("resumed", "after", "resuming"),
        ("HDEL", "before", "resuming"),  # the end of the resume
        ("HDEL", "after", ""),
    ],
)
def test_a_bridge_that_is_killed_at_any_of_its_writes_leaves_nothing_behind(
    word, when, left, setting, upstream, breaker
):
    dying = setting.dying_bridge(DYING, word, when)
    wait_for(lambda: leads(setting))
    setting.workers(1)
    trip(breaker)
    setting.add(5)
    assert wait_for(dying.popen.poll) == -9
    assert mark(setting.broker).get("stopped", "") == left
    assert setting.is_paused() == (left == "pause")
    setting.bridge()
    wait_for(lambda: answered(upstream) == 5)
    wait_for(breaker.resume)
    wait_for(lambda: not mark(setting.broker))
    assert not setting.is_paused()
    assert global_rate(setting) is None
    assert set(upstream.answered("content").values()) == {1}


def test_of_two_bridges_the_second_completes_what_the_first_began(setting, upstream, breaker):
    first = setting.bridge()
    wait_for(lambda: leads(setting))
    setting.bridge()
    upstream.retry_after, upstream.allows = 8.0, 10
    setting.workers(2)
    setting.add(40, attempts=20)
    wait_for(setting.is_paused)
    first.kill()
    upstream.refuses = False
    wait_for(lambda: answered(upstream) == 40)
    assert set(upstream.answered("content").values()) == {1}
    refused = len(upstream.of("content", status=429))
    assert wait_for(breaker.status).rate_limit_errors <= refused
    assert wait_for(breaker.status).trips == 1


def test_what_happened_while_no_bridge_ran_is_read_by_the_next(setting, upstream, breaker):
    first = setting.bridge()
    wait_for(lambda: leads(setting))
    setting.add(1)
    setting.workers(1)
    wait_for(lambda: answered(upstream) == 1)
    wait_for(lambda: setting.broker.client().exists("bull:content:breaker:cursor"))
    first.kill()
    upstream.refuses = True
    setting.add(5, first=1, attempts=1)
    wait_for(lambda: setting.counts()["failed"] == 5)
    setting.bridge()
    wait_for(lambda: breaker.status().is_paused)
    assert wait_for(breaker.status).rate_limit_errors == 5
    wait_for(setting.is_paused)


@pytest.mark.parametrize("moment", ["before", "during", "after"])
def test_a_queue_that_a_person_paused_stays_paused(moment, setting, upstream, breaker):
    setting.bridge()
    wait_for(lambda: leads(setting))
    setting.workers(1)
    if moment == "before":
        setting.ask(lambda queue: queue.pause())
    trip(breaker, 1.5)
    if moment == "during":
        wait_for(lambda: mark(setting.broker))
        setting.ask(lambda queue: queue.pause())
    wait_for(lambda: breaker.status().state == State.HALF_OPEN)
    if moment == "after":
        wait_for(lambda: not setting.is_paused())
        setting.ask(lambda queue: queue.pause())
    wait_for(breaker.resume)
    wait_for(lambda: not mark(setting.broker))
    setting.add(5)
    setting.add(5, "other")
    wait_for(lambda: answered(upstream, "other") == 5)
    assert setting.is_paused()
    assert not upstream.of("content")
    setting.ask(lambda queue: queue.resume())
    wait_for(lambda: answered(upstream) == 5)


def test_a_queue_that_a_person_resumes_is_left_to_flow_until_the_next_trip(
    setting, upstream, breaker
):
    setting.bridge()
    wait_for(lambda: leads(setting))
    setting.workers(1)
    trip(breaker, 60)
    wait_for(setting.is_paused)
    setting.ask(lambda queue: queue.resume())
    wait_for(lambda: "ceded" in mark(setting.broker))
    setting.add(5)
    wait_for(lambda: answered(upstream) == 5)
    assert not setting.is_paused()
    wait_for(breaker.resume)
    wait_for(breaker.pause)
    wait_for(setting.is_paused)


def test_the_users_own_rate_limit_is_put_back(setting, upstream, breaker):
    setting.ask(lambda queue: queue.setGlobalRateLimit(500, 1000))
    setting.bridge()
    wait_for(lambda: leads(setting))
    setting.workers(1)
    trip(breaker, 1.0)
    wait_for(lambda: global_rate(setting) != {"max": 500, "duration": 1000})
    wait_for(breaker.resume)
    wait_for(lambda: not mark(setting.broker))
    assert global_rate(setting) == {"max": 500, "duration": 1000}


def test_the_broker_restarts_in_mid_pause(setting, upstream, breaker):
    setting.bridge()
    wait_for(lambda: leads(setting))
    setting.workers(2)
    trip(breaker)
    wait_for(setting.is_paused)
    setting.add(20)
    setting.broker.restart()
    assert setting.is_paused()
    wait_for(lambda: answered(upstream) == 20)
    assert set(upstream.answered("content").values()) == {1}


def test_the_limiters_end_resumes_the_queue_though_no_bridge_is_alive(
    setting, upstream, breaker
):
    bridge = setting.bridge("--stop", "limiter")
    wait_for(lambda: leads(setting))
    setting.workers(1)
    trip(breaker)
    wait_for(lambda: mark(setting.broker))
    bridge.kill()
    setting.add(3)
    wait_for(lambda: answered(upstream) == 3)
    setting.bridge()
    wait_for(breaker.resume)
    wait_for(lambda: global_rate(setting) is None and not mark(setting.broker))


def test_once_completes_what_a_dead_bridge_left_and_check_says_whether_one_runs(
    setting, upstream, breaker
):
    assert setting.bridge("--check").popen.wait(30) == 1
    bridge = setting.bridge()
    wait_for(lambda: leads(setting))
    assert setting.bridge("--check").popen.wait(30) == 0
    wait_for(breaker.pause)
    wait_for(setting.is_paused)
    bridge.kill()
    wait_for(breaker.resume)
    wait_for(lambda: not setting.broker.client().exists("bull:content:breaker:lease"))
    assert setting.bridge("--once").popen.wait(30) == 0
    assert not setting.is_paused()
    assert not mark(setting.broker)


def test_jobs_that_rate_limits_failed_are_retried_if_asked(setting, upstream, breaker):
    upstream.retry_after, upstream.refuses = 2.0, True
    setting.bridge("--retry-failed")
    wait_for(lambda: leads(setting))
    setting.workers(1)
    setting.add(8, attempts=1)
    wait_for(setting.is_paused)
    upstream.refuses = False
    wait_for(lambda: answered(upstream) == 8)
    assert setting.counts()["failed"] == 0


def test_a_bridge_ends_by_signal_and_refuses_what_is_wrong(setting, store):
    bridge = setting.bridge()
    wait_for(lambda: leads(setting))
    bridge.popen.terminate()
    assert bridge.popen.wait(30) == 0
    wait_for(lambda: not setting.broker.client().exists("bull:content:breaker:lease"))
    assert setting.bridge("images=").popen.wait(30) == 2
    assert setting.bridge("--broker", "http://broker").popen.wait(30) == 2


def test_the_lag_is_a_metric(setting):
    port = free_port()
    setting.bridge("--metrics", str(port))
    wait_for(lambda: leads(setting))
    with OPENER.open(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
        text = answer.read().decode()
    assert 'breaker_bridge_lag_seconds{queue="content"} ' in text
