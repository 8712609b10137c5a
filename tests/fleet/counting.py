"""What the server counts of what this process sends."""

from tests.contract.waiting import eventually

HEARTBEATS = ("ping", "hmget")
SCRIPTS = ("evalsha", "eval")


def ran(client, *names):
    counted = client.info("commandstats")
    return sum(counted.get(f"cmdstat_{name}", {"calls": 0})["calls"] for name in names)


def scripts_in_two_heartbeats(client):
    """Scripts that the store runs while this process shows twice that it is alive."""
    beats, scripts = ran(client, *HEARTBEATS), ran(client, *SCRIPTS)
    eventually(lambda: ran(client, *HEARTBEATS) >= beats + 2)
    return ran(client, *SCRIPTS) - scripts
