import pytest

from breaker.cli import show
from breaker.model import State, Status


def status(**fields):
    given = {"name": "content", "state": State.CLOSED, "is_paused": False}
    numbers = {"consecutive_errors": 0, "threshold": 5, "cooldown": 60.0, "epoch": 0}
    return Status(**given | numbers | fields)


@pytest.fixture
def terminal(monkeypatch):
    def wide(columns):
        monkeypatch.setattr(show, "width", lambda: columns)

    return wide


def test_columns_stand_below_each_other(terminal):
    terminal(80)
    lines = show.columns([["a", "bb", "why not"], ["long name", "c", ""]], ("N", "X", "WHY"))
    assert [line.plain for line in lines] == [
        "N          X   WHY",
        "a          bb  why not",
        "long name  c",
    ]


def test_what_does_not_fit_stands_below_its_row_and_is_never_cut(terminal):
    terminal(20)
    lines = show.columns([["a", "bb", "a reason that is long"]], ("N", "X", "WHY"))
    assert [line.plain for line in lines] == ["N  X", "a  bb", "    a reason that is long"]


def test_no_rows_need_no_head():
    assert show.columns([], ("N", "X")) == []


def test_a_reason_cannot_steer_the_terminal():
    forged = status(state=State.OPEN, is_paused=True, reason="\x1b[2Jgone\r\n", by="eve\x07")
    assert show.why(forged) == "�[2Jgone�� (by eve�)"
    assert "\x1b" not in show.sentence(forged).plain


def test_a_forced_pause_without_an_end_says_so():
    assert show.end(status(state=State.FORCED_OPEN, is_paused=True)) == "until resumed"


def test_another_day_is_named():
    later = show.end(status(state=State.OPEN, is_paused=True, resumes_in=90_000.0))
    assert later.startswith("until 20")
    assert later.endswith("(in 1d 1h)")
