"""Breakers that cannot be read, and options that are in dispute."""


def test_odd_breakers_are_counted_and_named(run, make, client, prefix):
    make("good").record_rate_limit_error()
    client.hset(f"{prefix}:{{newer}}:state", "schema", 99)
    client.set(f"{prefix}:{{poisoned}}:state", "x")
    client.sadd(f"{prefix}s", "newer", "poisoned", "gone")
    lines = [line.split(maxsplit=2) for line in run("doctor").stdout.splitlines()]
    said = [(level, rest) for level, name, rest in lines if name == "breakers"]
    assert [level for level, _ in said] == ["warn", "warn", "warn", "ok"]
    texts = " ".join(rest for _, rest in said)
    assert "newer: the state was written by another release; upgrade" in texts
    assert "poisoned: the state is not a hash; something else has used this key" in texts
    assert "gone: the state is gone; flushed, evicted or failed over" in texts
    assert "4 known" in texts


def side_by_side(make, **more):
    """Two releases of a worker, each started more than once."""
    for _ in range(2):
        for worker, threshold in (("old", 3), ("new", 7)):
            make("content", worker=worker, threshold=threshold, push=False).record_success()


def test_overrides_and_releases_that_disagree_are_named(run, make):
    side_by_side(make)
    run("set", "content", "cooldown=5m")
    lines = [line.split(maxsplit=2) for line in run("doctor").stdout.splitlines()]
    assert [(level, rest) for level, name, rest in lines if name == "options"] == [
        (
            "ok",
            "content: an operator has set cooldown=5m; to undo: breaker set content cooldown=",
        ),
        (
            "warn",
            (
                "content: old declares threshold=3, but threshold=7 is in force; "
                "two releases run side by side: deploy one of them everywhere"
            ),
        ),
    ]
    run("set", "content", "threshold=9")
    assert "declares" not in run("doctor").stdout
