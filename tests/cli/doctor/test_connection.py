"""A store that does not answer, or not to this user."""

import pytest

from breaker.cli.doctor.connection import latency
from tests.cli.doctor.conftest import PASSWORD


def test_a_wrong_password(doctor, user):
    url = user("+@all").replace(PASSWORD, "wrong")
    found = doctor(url)
    assert set(found) == {"url", "connection"}
    assert "does not know this user and password" in found["connection"]["message"]
    assert "breaker doctor --acl" in found["connection"]["advice"]


def test_a_password_that_is_missing(doctor, new_server):
    server = new_server()
    with server.client() as admin:
        admin.config_set("requirepass", PASSWORD)
    found = doctor(server.url)["connection"]
    assert found["level"] == "fail"
    assert "asks for a password" in found["message"]


def test_nobody_there(doctor):
    found = doctor("redis://127.0.0.1:1/0")
    assert set(found) == {"url", "connection"}
    assert "does not answer" in found["connection"]["message"]
    assert "check that it runs" in found["connection"]["advice"]


def test_a_store_that_hangs(doctor, server):
    server.pause()
    assert "does not answer" in doctor(server.url)["connection"]["message"]


@pytest.mark.parametrize(
    "url", [f"http://me:{PASSWORD}@host", "redis://host:x", "redis://host/a"]
)
def test_a_url_that_is_none(doctor, url):
    found = doctor(url)
    assert list(found) == ["url"]
    assert found["url"]["level"] == "fail"


def test_a_store_that_is_slow():
    assert latency(0.001).level == "ok"
    found = latency(0.1)
    assert (found.level, found.message) == ("warn", "answers in 100.0 ms")
