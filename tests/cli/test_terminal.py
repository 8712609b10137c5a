"""On a real terminal of 80 and of 120 columns: what matters is never cut."""

import fcntl
import os
import pty
import re
import struct
import subprocess
import sys
import termios

import pytest

from tests.cli.conftest import recover, trip

LONG = "together:meta-llama/Llama-3.3-70B-Instruct-Turbo-very-long-name-x"


@pytest.fixture
def terminal(url, prefix):
    """Run the command in a pseudo-terminal; its lines, without colours."""

    def show(columns, *words, answer=""):
        screen, inside = pty.openpty()
        fcntl.ioctl(inside, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
        process = subprocess.Popen(
            [sys.executable, "-m", "breaker", *words],
            stdin=inside,
            stdout=inside,
            stderr=inside,
            env=os.environ | {"BREAKER_URL": url, "BREAKER_PREFIX": prefix, "TERM": "xterm"},
            start_new_session=True,
        )
        os.close(inside)
        os.write(screen, answer.encode())
        said = b""
        while chunk := _read(screen):
            said += chunk
        os.close(screen)
        plain = re.sub(r"\x1b\[[0-9;]*[A-Za-z]", "", said.decode())
        return plain.splitlines(), process.wait(30)

    return show


def _read(screen):
    try:
        return os.read(screen, 4096)
    except OSError:  # the command has ended
        return b""


@pytest.fixture
def fleet(make):
    trip(make(f"{LONG}1"), retry_after=3000)
    recover(make(f"{LONG}2"))
    make("content").pause(86_400 * 3, reason="provider incident 42", by="ada")
    make(f"{LONG}3").record_success()


@pytest.mark.usefixtures("fleet")
@pytest.mark.parametrize("columns", [80, 120])
def test_names_give_way_and_ends_do_not(terminal, columns):
    lines, code = terminal(columns, "status")
    assert code == 0
    assert max(map(len, lines)) <= columns + len("    ") + len("provider incident") * 4
    table = lines[: lines.index("")]
    rows = [line for line in table[1:] if not line.startswith(" ")]
    assert max(map(len, rows)) <= columns
    assert re.match(
        r"content +forced-open +until \d{4}-\d\d-\d\d [\d:]+ UTC \(in \S+.*\)", rows[0]
    )
    assert re.match(r"toget.*…\S*x1 +open +until .*\(in \S+.*\)", rows[1])
    assert re.match(r"toget.*…\S*x2 +half-open", rows[2])
    assert any("provider incident 42 (by ada)" in line for line in table)


@pytest.mark.usefixtures("fleet")
@pytest.mark.parametrize("columns", [80, 120])
def test_the_history_of_long_names(terminal, columns):
    lines, code = terminal(columns, "events")
    assert code == 0
    rows = [line for line in lines if not line.startswith(" ")]
    assert max(map(len, rows)) <= columns
    assert any("…" in line and "tripped" in line for line in rows)


@pytest.mark.parametrize(("answer", "code"), [("y\n", 0), ("n\n", 6)])
def test_a_person_is_asked_before_a_new_breaker_is_made(terminal, make, answer, code):
    make("content").record_success()
    lines, ended = terminal(80, "pause", "contents", answer=answer)
    assert ended == code
    assert "did you mean 'content'?" in "".join(lines)
    assert make("contents").is_paused() == (code == 0)
