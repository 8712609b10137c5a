"""A store that drops keys, or is full."""


def test_a_store_that_evicts(doctor, new_server):
    found = doctor(new_server("--maxmemory-policy", "allkeys-lru").url)
    assert found["eviction"]["level"] == "warn"
    assert "allkeys-lru" in found["eviction"]["message"]
    assert "noeviction" in found["eviction"]["advice"]


def test_a_store_that_is_full(doctor, new_server):
    found = doctor(new_server("--maxmemory", "100kb").url)
    assert found["memory"]["level"] == "warn"
    assert found["scripts"]["level"] == "fail"
    assert "maxmemory" in found["scripts"]["message"]
