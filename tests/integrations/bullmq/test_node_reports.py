"""Node workers that report by themselves, as in `examples/bullmq-node`."""

import json
import subprocess
from functools import partial

import pytest

from tests.integrations.contract.conftest import wait_for

pytestmark = [pytest.mark.integration, pytest.mark.timeout(120)]

# A program that prints what the four calls answer.
ASKS = """
import { Redis } from "ioredis";
import { createBreaker } from "./breaker.mjs";
const store = new Redis(process.env.BREAKER_URL);
const { getQueueCircuitStatus, isQueuePaused, close } = createBreaker(store);
console.log(JSON.stringify([await getQueueCircuitStatus("content"), await isQueuePaused("content")]));
await close();
store.disconnect();
"""


def asked(setting, store):
    command = ["node", "--input-type=module", "-e", ASKS]
    folder = setting.node / "example"
    environment = setting.environment | {"PATH": "/usr/local/bin:/usr/bin:/bin"}
    said = subprocess.run(
        command, cwd=folder, env=environment, check=True, timeout=30, capture_output=True
    )
    return json.loads(said.stdout)


def test_reports_alone_trip_the_breaker_and_each_attempt_counts_once(
    setting, store, upstream, breaker
):
    upstream.refuses, upstream.retry_after = True, 60
    setting.workers(2, "example/worker.mjs")
    setting.add(5, attempts=1)
    wait_for(lambda: setting.counts()["failed"] == 5)
    status = wait_for(lambda: breaker.status().is_paused and breaker.status())
    # The fifth may be on its way; the `failed` events come after it.
    wait_for(lambda: sum(p.said().count('"level":40') for p in setting.processes) >= 5)
    assert wait_for(breaker.status).rate_limit_errors == 5
    assert status.trips == 1
    answer, is_paused = asked(setting, store)
    assert is_paused
    assert (answer["state"], answer["isPaused"], answer["trips"]) == ("open", True, 1)
    assert answer["threshold"] == status.threshold
    assert 0 < answer["resumesInMs"] <= 60_000
    assert store.client().smembers("breakers") == {"content"}


def test_what_a_worker_reports_and_a_bridge_reads_counts_once(setting, upstream, breaker):
    upstream.refuses, upstream.retry_after = True, 60
    setting.bridge()
    wait_for(lambda: setting.broker.client().exists("bull:content:breaker:health"))
    wait_for(lambda: breaker.configure({"threshold": 100}))
    setting.workers(2, "example/worker.mjs")
    setting.add(8, attempts=1)
    wait_for(lambda: setting.counts()["failed"] == 8)
    end = setting.broker.client().xrevrange("bull:content:events", count=1)[0][0]
    wait_for(lambda: setting.broker.client().get("bull:content:breaker:cursor") == end)
    assert wait_for(breaker.status).rate_limit_errors == 8


def test_a_success_ends_the_run(setting, upstream, breaker):
    for number in range(3):
        wait_for(partial(breaker.record_rate_limit_error, None, f"report-{number}"))
    setting.workers(1, "example/worker.mjs")
    setting.add(8)
    wait_for(lambda: breaker.status().consecutive_errors == 0)
