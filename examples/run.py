"""See a fleet stop and resume: two workers, a producer, a store and a rate-limited upstream.

    python examples/run.py celery   (or arq, dramatiq, huey, procrastinate, rq, saq, streaq, taskiq)

Needs `pip install 'fleet-breaker[FRAMEWORK,demo]'`. Everything runs on this machine, on free ports,
and ends with this program; but Procrastinate needs an empty database of yours, DATABASE_URL.
"""

import argparse
import json
import os
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

from breaker import Breaker
from breaker.embedded import EmbeddedStore

FOLDER = Path(__file__).parent
PYTHON = [sys.executable, "-m"]
WORKERS = {
    "arq": [*PYTHON, "breaker.integrations.arq", "app.WorkerSettings"],
    "celery": [
        *PYTHON,
        "celery",
        "-A",
        "app",
        "worker",
        "-Q",
        "content",
        "-c",
        "2",
        "-l",
        "ERROR",
    ],
    "dramatiq": [*PYTHON, "dramatiq", "app", "--processes", "1", "--threads", "2"],
    "huey": [*PYTHON, "huey.bin.huey_consumer", "app.huey", "-w", "2"],
    "procrastinate": [
        *PYTHON,
        "procrastinate",
        "--app=app.app",
        "worker",
        "-q",
        "content",
        "-c",
        "2",
    ],
    "rq": [
        *PYTHON,
        *(
            "rq.cli",
            "worker",
            "-q",
            "-w",
            "breaker.integrations.rq.BreakerSimpleWorker",
            "content",
        ),
    ],
    "saq": [*PYTHON, "saq", "app.settings"],
    "streaq": [*PYTHON, "streaq", "run", "app:worker"],
    "taskiq": [*PYTHON, "taskiq", "worker", "app:broker", "-w", "1", "--max-async-tasks", "2"],
}
# Calls per second that the upstream allows, and jobs to do.
RATE = 20
JOBS = 160
# How many jobs are done when other clients use up the allowance of the next seconds.
SHORTAGE_AFTER = 40
SHORTAGE = 5
# Seconds after which something must be wrong.
LONGEST = 90
OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("framework", choices=WORKERS)
    framework = parser.parse_args().framework
    started: list[subprocess.Popen[str]] = []
    with EmbeddedStore() as store:
        try:
            watch(framework, store.url, started)
        finally:
            for process in started:
                process.terminate()
            for process in started:
                end(process)


def watch(framework: str, store: str, started: list[subprocess.Popen[str]]) -> None:
    """Start everything, and print a line each second until all jobs are done."""
    upstream = start([*PYTHON, "breaker.demo.upstream", "--rate", str(RATE)], FOLDER, {})
    started.append(upstream)
    address = upstream.stdout.readline().strip()
    environment = {
        "BREAKER_URL": store,
        "BREAKER_QUEUES": "content",
        "BROKER_URL": store,
        "RQ_REDIS_URL": store,
        "UPSTREAM": address,
        "PYTHONPATH": str(FOLDER / framework),
    }
    folder = FOLDER / framework
    subprocess.run(
        [sys.executable, "producer.py", str(JOBS)],
        cwd=folder,
        env={**os.environ, **environment},
        check=True,
    )
    for number in range(2):
        name = ["-n", f"worker{number}@example"] if framework == "celery" else []
        started.append(start([*WORKERS[framework], *name], folder, environment))
    with Breaker("content", url=store) as content:
        report(content, address)


def end(process: subprocess.Popen[str]) -> None:
    # With redis-py 8, a worker of taskiq's streams takes half a minute to end.
    try:
        process.wait(5)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def start(
    command: list[str], folder: Path, environment: dict[str, str]
) -> subprocess.Popen[str]:
    # The upstream's first line is its address; the workers' lines are not wanted here.
    is_worker = bool(environment)
    return subprocess.Popen(
        command,
        cwd=folder,
        env={**os.environ, **environment},
        stdout=subprocess.DEVNULL if is_worker else subprocess.PIPE,
        stderr=subprocess.DEVNULL if is_worker else None,
        text=True,
    )


def report(content: Breaker, address: str) -> None:
    began = time.monotonic()
    is_short = False
    while (elapsed := time.monotonic() - began) < LONGEST:
        with OPENER.open(f"{address}/stats") as answer:
            stats = json.load(answer)
        if stats["answered"] >= SHORTAGE_AFTER and not is_short:
            is_short = True
            OPENER.open(f"{address}/spend-ahead?seconds={SHORTAGE}", data=b"").close()
            print(f"      -- others use up the allowance of {SHORTAGE} seconds")
        status = content.status()
        until = f" for {status.resumes_in:.0f} s" if status.resumes_in else ""
        pace = f" at {status.pace:.0f} jobs/s" if status.pace else ""
        print(
            f"{elapsed:4.0f} s  {stats['answered']:4} jobs done  {stats['limited']:3} x 429  "
            f"{status.state}{until}{pace}",
            flush=True,
        )
        if stats["jobs"] == JOBS:
            lost_or_twice = stats["answered"] - JOBS
            print(f"all {JOBS} jobs done; done twice: {lost_or_twice}; trips: {status.trips}")
            return
        time.sleep(1)
    sys.exit(f"not all jobs are done after {LONGEST} s")


if __name__ == "__main__":
    main()
