"""Connections are counted by the names that the library gives them."""

import contextlib

import pytest

from breaker.cli.doctor.connections import counted
from tests.contract.waiting import eventually


def test_the_processes_that_listen_are_counted(doctor, make, new_server):
    url = new_server().url  # no other test's breaker listens there
    assert "; 0 processes listen" in doctor(url)["connections"]["message"]
    make("content", url=url)._watch._pump.wake(is_wanted=True)
    eventually(lambda: "; 1 processes listen" in doctor(url)["connections"]["message"])


def test_a_server_that_is_near_its_limit(doctor, new_server):
    server = new_server("--maxclients", "40")
    with contextlib.ExitStack() as opened:
        for _ in range(37):
            opened.enter_context(server.client()).ping()
        found = doctor(server.url)["connections"]
    assert found["level"] == "warn"
    assert "raise maxclients" in found["advice"]


def test_connections_for_commands_are_counted(doctor, make, new_server):
    url = new_server().url

    def count():
        text = doctor(url)["connections"]["message"]
        return int(text.split(", ")[-1].split()[0])

    assert count() == 0
    make("content", url=url, push=False).record_success()
    assert count() == 1


@pytest.mark.parametrize(
    ("limit", "level", "words"), [(0, "ok", "3; 1 processes"), (3, "warn", "3 of 3; 1")]
)
def test_a_limit_may_be_unknown(limit, level, words):
    found = counted(3, 1, 2, limit)
    assert found.level == level
    assert words in found.message
