"""A full store takes no writes, and still answers readers."""

from breaker import Breaker
from breaker.protocol.keys import Keys
from tests.contract.waiting import eventually
from tests.faults.states import out_of_memory


def test_a_pause_that_ends_in_a_full_store_is_read_and_told_later(new_server, name):
    server = new_server()
    with Breaker(name, url=server.url, push=False, cooldown=0.1) as breaker:
        for _ in range(5):
            breaker.record_rate_limit_error()
        with server.client() as client, out_of_memory(server):
            eventually(lambda: not client.exists(Keys("breaker", name)["pause"]))
            assert breaker.status().state == "half-open"
            assert not breaker.is_paused()
        eventually(lambda: breaker.status().state == "half-open")
        assert [event.event for event in breaker.events()] == ["tripped", "half-open"]
