"""`breaker demo` as a person or a script calls it, with everything real."""

import os
import re
import signal
import subprocess
import sys
import uuid
from pathlib import Path

import pytest

from tests.contract.waiting import eventually

MARK = "DEMO_TEST_MARK"


class Run:
    """One call of the command; all its processes carry a mark in their environment."""

    def __init__(self, folder: Path, *arguments: str) -> None:
        self.mark, self.folder = uuid.uuid4().hex, str(folder)
        self.process = subprocess.Popen(
            [sys.executable, "-m", "breaker", "demo", "--plain", *arguments],
            env=os.environ | {MARK: self.mark, "TMPDIR": str(folder), "COLUMNS": "100"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def processes(self) -> list[str]:
        """Whatever of it is running."""
        return [
            read(path / "cmdline") for path in Path("/proc").glob("[0-9]*") if self.has(path)
        ]

    def has(self, process: Path) -> bool:
        """Whether a process is of this run. A server hides its environment, not its folder."""
        try:
            environment = (process / "environ").read_bytes().split(b"\0")
            folder = str((process / "cwd").readlink())
        except OSError:  # it has just ended, or is not ours
            return False
        return f"{MARK}={self.mark}".encode() in environment or folder.startswith(self.folder)

    def read_until(self, text: str) -> str:
        read = ""
        while text not in read:
            line = self.process.stdout.readline()
            assert line, f"it ended without saying {text!r}:\n{read}"
            read += line
        return read

    def end(self) -> str:
        return self.process.communicate(timeout=100)[0]


@pytest.fixture
def run(tmp_path):
    """Call the command; whatever it leaves behind fails the test."""
    runs = []

    def run(*arguments):
        runs.append(Run(tmp_path, *arguments))
        return runs[-1]

    yield run
    for each in runs:
        each.process.kill()
        each.process.wait()
        each.process.stdout.close()
    eventually(lambda: not any(each.processes() for each in runs))
    assert not list(tmp_path.iterdir())


def counts(output: str) -> dict[str, list[int]]:
    """The summary's table: without a breaker, with it."""
    rows = re.findall(
        r"^ *(\D[^\n]*?)  +([\d,]+)[^\n]*?  +([\d,]+)[^\n]*$", output, re.MULTILINE
    )
    return {
        label.strip(): [int(cell.replace(",", "")) for cell in cells] for label, *cells in rows
    }


@pytest.mark.slow
@pytest.mark.timeout(150)
def test_a_short_run_shows_it_all_and_counts_right(run):
    demo = run("--workers", "3", "--duration", "14")
    output = demo.end()
    assert demo.process.returncode == 0, output
    in_order = [
        "without a breaker,",
        "429",
        "with the breaker,",
        "TRIPPED by",
        "half-open: the pause is over",
        "content half-open, paced at",
        "It resumed by itself",
    ]
    places = [output.index(text) for text in in_order]
    assert places == sorted(places)
    table = counts(output)
    for side in (0, 1):
        made, answered, limited = (
            table[row][side] for row in ("calls made", "answered", "429, wasted")
        )
        assert made == answered + limited
        enqueued = table["jobs of content, enqueued"][side]
        places = [
            "done",
            "waiting, safe in the queue",
            "failed, 3 retries spent on 429s",
            "lost",
        ]
        assert enqueued == sum(table[place][side] for place in places)
        assert table["lost"][side] == 0
        assert table["done"][side] == answered
    assert table["429, wasted"][1] < table["429, wasted"][0] / 4
    assert table["failed, 3 retries spent on 429s"][1] == 0


@pytest.mark.skipif(sys.platform != "linux", reason="needs /proc")
@pytest.mark.parametrize(
    ("number", "code"),
    [
        (signal.SIGINT, 130),
        pytest.param(signal.SIGTERM, 143, marks=pytest.mark.slow),
        pytest.param(signal.SIGHUP, 129, marks=pytest.mark.slow),
        (signal.SIGKILL, -9),
    ],
)
def test_interrupted_it_leaves_no_process_behind(run, number, code):
    demo = run("--workers", "2")
    demo.read_until("other clients of the same account")
    # Itself, the store, the upstream and the workers.
    assert len(demo.processes()) == 1 + 1 + 1 + 2
    demo.process.send_signal(number)
    demo.end()
    assert demo.process.returncode == code
    if number != signal.SIGKILL:
        assert not demo.processes()


@pytest.mark.skipif(sys.platform != "linux", reason="needs /proc")
def test_a_dead_worker_ends_it_with_an_error(run):
    demo = run("--workers", "2")
    demo.read_until("other clients of the same account")
    worker = next(
        int(path.name)
        for path in Path("/proc").glob("[0-9]*")
        if f"ppid:\t{demo.process.pid}\n" in read(path / "status").lower()
        and "breaker.demo.worker" in read(path / "cmdline")
    )
    os.kill(worker, signal.SIGKILL)
    assert "ended by itself, with exit code -9" in demo.end()
    assert demo.process.returncode == 1


def read(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""


@pytest.mark.slow
@pytest.mark.timeout(150)
def test_without_an_end_it_counts_when_it_is_ended(run):
    demo = run("--workers", "2", "--duration", "12", "--forever")
    demo.read_until("CLOSED by")
    demo.process.send_signal(signal.SIGINT)
    output = demo.end()
    assert demo.process.returncode == 0, output
    assert counts(output)["lost"] == [0, 0]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--workers", "1"], "--workers"),
        (["--recovery", "none"], "recovery must be 'pace', 'probe' or 'resume', not 'none'"),
        (["--duration", "3"], "--duration"),
    ],
)
def test_wrong_options_are_told_before_anything_starts(run, arguments, said):
    demo = run(*arguments)
    assert said in demo.end()
    assert demo.process.returncode == 2


def test_help_names_what_can_be_changed(run):
    output = run("--help").end()
    for option in (
        "workers",
        "rate",
        "duration",
        "threshold",
        "cooldown",
        "without",
        "forever",
    ):
        assert f"--{option}" in output
