import contextlib
import json
import os
import pty
import signal
import subprocess
import sys
import time

from breaker.cli.exits import Exit
from tests.cli.conftest import PATIENCE, recover, trip


def test_changes_are_lines_where_no_terminal_is(start, make):
    content = make("content", threshold=2)
    content.record_rate_limit_error()
    running = start("watch", "--interval", "0.1")
    running.line("content  closed, 1/2 errors")
    trip(content, retry_after=60)
    running.line("content  open until", "2/2 errors: 2 rate limit errors in a row")
    content.resume()
    running.line("content  closed, 0/2 errors")
    make("mail").pause()
    running.line("mail  forced-open until resumed")
    assert running.interrupt() == 0


def test_a_pace_is_a_line_when_it_has_grown_and_not_for_each_job(start, make):
    content = make("content", threshold=1, cooldown=60)
    recover(content)
    running = start("watch", "--interval", "0.1")
    running.line(
        "content  half-open, paced at most ", " jobs/s, 1/1 errors: 1 rate limit errors"
    )
    content.acquire(timeout=10).success()
    for _ in range(5):
        content.acquire(timeout=10).success()
    content.resume()
    shown: list[str] = []
    while not shown or "closed" not in shown[-1]:
        shown.append(running.line("content"))
    paces = [line.split("paced at most ")[1].split()[0] for line in shown[:-1]]
    assert len({f"{float(pace):.1g}" for pace in paces}) == len(paces)
    assert running.interrupt() == 0


def test_machines_get_an_object_per_change(start, make):
    make("content").record_rate_limit_error()
    running = start("watch", "--interval", "0.1", "--json")
    assert json.loads(running.line())["state"] == "closed"
    make("content").disable()
    assert json.loads(running.line())["state"] == "disabled"
    assert running.interrupt() == 0


def test_an_outage_is_a_line_and_passes(start, make, server):
    make("content").record_rate_limit_error()
    running = start("watch", "--interval", "0.1")
    running.line("content  closed")
    server.pause()
    running.line("does not answer", "retrying", stderr=True)
    server.resume()
    running.line("the store answers again", stderr=True)
    make("content").pause()
    running.line("content  forced-open")
    assert running.interrupt() == 0


def test_it_waits_for_a_store_that_is_not_there_yet(start, make, server):
    server.pause()
    running = start("watch", "--interval", "0.1")
    running.line("does not answer", stderr=True)
    server.resume()
    make("content").pause()
    running.line("content  forced-open")
    assert running.interrupt() == 0


def test_what_will_not_pass_ends_it(run, url):
    wrong = url.replace("redis://", "redis://nobody:wrong@")
    assert run("watch", url=wrong).exit_code == Exit.STORE


def test_a_bad_interval_is_one_clear_line(run):
    result = run("watch", "--interval", "0")
    assert result.exit_code == Exit.USAGE
    assert "--interval" in result.stderr
    assert result.stderr.count("\n") == 1


def test_a_terminal_gets_a_table_that_is_drawn_anew(url, prefix, make):
    make("content").pause(None, "deploy", "ana")
    store = ("--url", url, "--prefix", prefix)
    with terminal(*store, "watch", "--interval", "0.1") as (seen, process):
        seen("content", "forced-open", "until resumed", "deploy (by ana)", "1 of 1 paused")
        make("content").resume()
        seen("closed", "0 of 1 paused")
        process.send_signal(signal.SIGINT)
        seen("\x1b[?25h")  # the cursor is back


def test_of_many_breakers_those_that_fit_are_shown_and_the_rest_is_counted(url, prefix, make):
    for number in range(60):
        make(f"together:{number:02}", push=False).record_success()
    make("together:42", push=False).record_rate_limit_error()
    make("other", push=False).record_success()
    store = ("--url", url, "--prefix", prefix)
    with terminal(*store, "watch", "together:*", "--sort", "errors") as (seen, process):
        seen("together:42", "together:00", "... and 37 more", "0 of 60 paused", "Press Ctrl-C")
        process.send_signal(signal.SIGINT)


def test_only_the_breakers_that_are_meant_are_watched(start, make):
    make("images").record_rate_limit_error()
    make("content").record_rate_limit_error()
    running = start("watch", "c*", "--interval", "0.1")
    assert "content" in running.line()
    make("images").pause()
    make("content").pause()
    assert "content  forced-open" in running.line()
    assert running.interrupt() == 0


@contextlib.contextmanager
def terminal(*words):
    """The command on a terminal: a way to wait for what it shows, and its process."""
    ours, theirs = pty.openpty()
    env = os.environ | {"TERM": "xterm", "COLUMNS": "120", "LINES": "30"}
    command = [sys.executable, "-m", "breaker", *words]
    process = subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs, env=env)
    os.close(theirs)
    os.set_blocking(ours, False)

    def seen(*wanted):
        shown = ""
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            with contextlib.suppress(BlockingIOError, OSError):
                shown += os.read(ours, 65_536).decode()
            if all(word in shown for word in wanted):
                return
            time.sleep(0.01)
        raise AssertionError(f"no {wanted} in {shown}")

    try:
        yield seen, process
        assert process.wait(PATIENCE) == 0
    finally:
        process.kill()
        process.wait()
        os.close(ours)
