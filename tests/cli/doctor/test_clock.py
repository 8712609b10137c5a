"""The store's clock beside this machine's."""

import pytest

from breaker.cli.doctor.clock import apart


@pytest.mark.parametrize(
    ("ahead", "level", "words"),
    [
        (-90.0, "warn", "1m30s behind this machine's"),
        (3600.0, "warn", "1h ahead of this machine's"),
        (0.01, "ok", "10 ms"),
    ],
)
def test_clocks_that_are_apart(ahead, level, words):
    found = apart(ahead)
    assert found.level == level
    assert words in found.message


def test_a_machine_whose_clock_is_wrong(doctor, url, monkeypatch):
    from breaker.cli.doctor import clock

    monkeypatch.setattr(clock.time, "time", Behind(clock.time.time))
    found = doctor(url)["clock"]
    assert found["level"] == "warn"
    assert "ahead of this machine's" in found["message"]
    assert "NTP" in found["advice"]


class Behind:
    """This machine's clock, an hour behind."""

    def __init__(self, clock):
        self.clock = clock

    def __call__(self):
        return self.clock() - 3600
