"""A report is never refused for its details: the fact counts, the hint is read or left out."""

import datetime as dt
import math
import uuid

import pytest

from breaker.protocol.keys import Keys

HINTS = [
    ("30", 30),
    ("2.0", 2),
    (dt.timedelta(seconds=30), 30),
    (b"30", 30),
    ("", None),
    ("soon", None),
    (-1, None),
    (-37.5, None),
    (math.nan, None),
    (math.inf, 3600),
    (10**400, 3600),
    (0, None),
    (True, None),
    (object(), None),
]


@pytest.mark.parametrize(("hint", "seconds"), HINTS, ids=lambda value: type(value).__name__)
def test_a_hint_of_any_kind_loses_no_error(make, hint, seconds):
    breaker = make(threshold=1, cooldown=300.0)
    permit = breaker.acquire()
    status = permit.rate_limited(hint)
    assert status.rate_limit_errors == 1
    expected = 300 if seconds is None else seconds
    assert expected - 5 < status.resumes_in <= expected


def test_a_date_is_read(make):
    at = dt.datetime.now(dt.UTC) + dt.timedelta(seconds=120)
    breaker = make(threshold=1, cooldown=300.0)
    status = breaker.record_rate_limit_error(at.strftime("%a, %d %b %Y %H:%M:%S GMT"))
    assert 100 < status.resumes_in <= 121


def test_a_hint_that_is_left_out_is_said_once(make, caplog):
    breaker = make()
    for _ in range(3):
        breaker.record_rate_limit_error("soon")
    assert [record.levelname for record in caplog.records if "'soon'" in record.message] == [
        "WARNING"
    ]


class Unspeakable:
    def __str__(self):
        raise ValueError


IDS = [7, uuid.UUID(int=7), "x" * 600, b"id", "\ud800", "probe", "", Unspeakable()]


@pytest.mark.parametrize("error_id", IDS, ids=lambda value: type(value).__name__)
def test_an_id_of_any_kind_loses_no_error(make, error_id):
    breaker = make(threshold=9)
    breaker.record_rate_limit_error(error_id=error_id)
    with_permit = breaker.acquire()
    with_permit.rate_limited(error_id=error_id)
    names_one_failure = error_id != "" and not isinstance(error_id, Unspeakable)
    assert breaker.status().rate_limit_errors == (1 if names_one_failure else 2)


def test_long_ids_are_told_apart(make):
    breaker = make(threshold=9)
    for end in ("a", "b"):
        breaker.record_rate_limit_error(error_id="x" * 600 + end)
    assert breaker.status().rate_limit_errors == 2


def test_the_stores_probe_is_no_report(make, client, name):
    """The key that is written to see if the store takes writes cannot be a report's."""
    breaker = make(threshold=9)
    breaker.record_success()
    breaker.face.finish(breaker.inner._store.run(breaker.inner._asker.probe()))
    assert breaker.record_rate_limit_error(error_id="probe").rate_limit_errors == 1
    keys = Keys("breaker", name)
    assert client.exists(keys["probe"], keys.seen("probe")) == 2
