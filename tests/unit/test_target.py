"""Where the store is: what is refused at the door, and that no password is shown."""

import pytest
import redis

from breaker import Breaker, ConfigurationError
from breaker.fleet import Fleet
from breaker.store.target import Target

# A generated password, and the pieces of it that no message may show.
PIECES = ("Sup3r", "Secret")
BAD = [
    "redis://:Sup3r/Secret@10.0.0.5:6379/0",
    "redis://:Sup3r#Secret@10.0.0.5:6379/0",
    "redis://app:Sup3r?Secret@10.0.0.5:6379/0",
    "redis://app:123?Secret@10.0.0.5:6379/0",
    "redis://app:Sup3r@Secret@10.0.0.5:port/0",
    "redis://app:a@Sup3r/Secret@10.0.0.5/0",
    "app:Sup3r-Secret@10.0.0.5:6379",
    "Sup3r-Secret",
    "http://app:Sup3r-Secret@10.0.0.5",
    "redis://app:Sup3r-Secret@10.0.0.5:99999/0",
    "redis://app:Sup3r-Secret@10.0.0.5/Secret",
    "redis://10.0.0.5/0?Sup3r=Secret",
]
GOOD = [
    "redis://app:Sup3r-Secret@10.0.0.5:6379/0",
    "redis://10.0.0.5:6379/0?password=Sup3r-Secret",
    "redis://:Sup3r%2FSecret@10.0.0.5",
    "unix://app:Sup3r-Secret@/run/redis.sock?db=2",
]


def shows(text):
    return any(piece in text for piece in PIECES)


@pytest.mark.parametrize("url", BAD)
def test_a_bad_url_shows_nothing_of_a_password(url):
    for make in (lambda: Breaker("q", url=url), lambda: Fleet(url=url)):
        with pytest.raises(ConfigurationError, match="redis://") as refused:
            make()
        error = refused.value
        assert not shows(str(error))
        trace = error.__traceback__.tb_next
        while trace is not None:  # tools show the local variables of every frame
            mine = "breaker/" in trace.tb_frame.f_code.co_filename
            assert not (mine and shows(repr(trace.tb_frame.f_locals)))
            trace = trace.tb_next


@pytest.mark.parametrize("url", GOOD)
def test_a_target_shows_nothing_of_a_password(url):
    target = Target.of_url(url)
    assert not shows(f"{target} {target!r} {target.identity}")
    breaker = Breaker("q", url=url, push=False)
    assert not shows(repr(vars(breaker)))


def test_targets_are_told_apart():
    one, two = Target.of_url(GOOD[0]), Target.of_url(GOOD[0].replace("Sup3r", "Other"))
    assert one.identity != two.identity
    assert one.identity == Target.of_url(GOOD[0]).identity


def test_a_ca_file_that_is_not_there_is_refused_at_the_door():
    with pytest.raises(ConfigurationError, match=r"ssl_ca_certs: .*nowhere"):
        Breaker("q", url="rediss://10.0.0.5/0?ssl_ca_certs=/nowhere/ca.pem")


class Fake(redis.Connection):
    """As the clients that tests put in a client's place have it."""


def test_a_client_with_connections_of_its_own_is_refused_by_name():
    client = redis.Redis(connection_pool=redis.ConnectionPool(connection_class=Fake))
    with pytest.raises(ConfigurationError, match=r"Fake"):
        Breaker("q", redis=client)
