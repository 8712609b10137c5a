import json
import shlex

import pytest

from breaker import Breaker
from breaker.cli import checks
from breaker.cli.exits import Exit
from breaker.cli.permissions import OPTIONAL, commands
from breaker.cli.rehearsal import Rehearsal
from breaker.protocol.scripts import script_names
from breaker.store.run_sync import SyncStore
from breaker.store.target import Target
from tests.contract.waiting import eventually

PASSWORD = "hunter2-do-not-show"


@pytest.fixture
def doctor(run):
    """The checks by name (the first of each); no password is ever shown."""

    def look(url):
        result = run("doctor", "--json", url=url)
        assert PASSWORD not in result.output
        answer = json.loads(result.stdout)
        failed = any(check["level"] == "fail" for check in answer["checks"])
        assert answer["ok"] is not failed
        assert result.exit_code == (Exit.FAILED if failed else 0)
        return {check["name"]: check for check in answer["checks"][::-1]}

    return look


@pytest.fixture
def user(any_server, name, prefix):
    """A user of the store with some rights; returns the URL to be used."""
    if any_server.flavour == "external":
        pytest.skip("its users are not ours to make")
    with any_server.client() as admin:

        def grant(*rules, keys=(f"~{prefix}*", f"&{prefix}:*")):
            admin.execute_command(
                "ACL",
                "SETUSER",
                name,
                "reset",
                "resetchannels",
                "on",
                f">{PASSWORD}",
                *keys,
                *rules,
            )
            return any_server.url.replace("redis://", f"redis://{name}:{PASSWORD}@")

        yield grant
        admin.execute_command("ACL", "DELUSER", name)


def test_a_good_server_passes_and_stays_clean(doctor, any_server, prefix):
    found = doctor(any_server.url)
    assert {check["level"] for check in found.values()} == {"ok"}
    expected = any_server.version().replace("-", " ").capitalize()
    assert found["server"]["message"] == expected
    with any_server.client() as client:
        assert list(client.scan_iter(f"{prefix}*")) == []


def test_people_get_a_line_per_check(run):
    result = run("doctor")
    assert result.exit_code == 0
    assert all(line.startswith("ok    ") for line in result.stdout.splitlines())


def test_every_script_is_rehearsed(url, prefix):
    store = SyncStore(Target.of_url(url), lambda _: None)
    rehearsal = Noted(store, prefix)
    assert list(rehearsal.troubles()) == []
    store._command("DEL", *rehearsal.touched, is_write=True)
    store.close()
    assert rehearsal.ran == set(script_names())


class Noted(Rehearsal):
    """A rehearsal that says which scripts were run."""

    def __init__(self, *args):
        super().__init__(*args)
        self.ran = set()

    def _overheard(self, plan, asked, heard):
        yield from super()._overheard(plan, asked, heard)
        self.ran.update(ask.script.name for ask in asked)


@pytest.mark.parametrize("denied", [one for one in commands() if one != "SCRIPT"])
def test_a_missing_permission_is_named(doctor, user, denied):
    found = doctor(user("+@all", f"-{denied.lower()}"))
    level = "warn" if denied in OPTIONAL else "fail"
    found.pop("cleanup", None)  # without DEL the scratch keys stay
    lacking = [check for check in found.values() if check["level"] != "ok"]
    assert lacking
    assert {check["level"] for check in lacking} == {level}
    assert all(denied.lower() in check["message"].lower() for check in lacking)
    assert all(f"+{denied.lower()}" in check["advice"] for check in lacking)


@pytest.mark.parametrize(
    ("denied", "says"),
    [
        ("publish", "only push needs it, without it workers ask the store for each job"),
        ("ping", "only push needs it, without it workers ask the store for each job"),
        ("xadd", "only the history needs it, without it `breaker events` lacks entries"),
    ],
)
def test_a_right_that_breakers_can_do_without_is_a_warning(run, user, denied, says):
    url = user("+@all", f"-{denied}")

    def look():
        result = run("doctor", url=url)
        return result.exit_code == 0 and says in result.stdout

    eventually(look)  # on a busy machine a check may take too long


def test_the_rule_that_is_suggested_is_enough(doctor, user, prefix):
    keys = (f"~{prefix}:*", f"~{prefix}s", f"&{prefix}:*")
    url = user(keys=keys)
    rules = doctor(url)["connection"]["advice"].split()[3:]
    user(*rules, keys=keys)
    found = doctor(url)
    assert {name for name, check in found.items() if check["level"] != "ok"} == {"info"}
    assert found["info"]["level"] == "warn"
    with Breaker("content", url=url, prefix=prefix, threshold=1) as breaker:
        breaker.record_rate_limit_error()
        assert breaker.resume().state == "closed"


def test_keys_that_are_not_allowed(doctor, user, prefix):
    found = doctor(user("+@all", keys=("~other:*", "&*")))
    assert found["scripts"]["level"] == "fail"
    assert found["scripts"]["advice"].endswith(f" ~{prefix}:* ~{prefix}s")


def test_a_channel_that_is_not_allowed(doctor, user, prefix):
    found = doctor(user("+@all", keys=(f"~{prefix}*",)))
    assert found["push"]["level"] == "warn"
    assert found["push"]["advice"].endswith(f" &{prefix}:*")
    assert found["scripts"]["level"] == "warn"
    assert "channel" in found["scripts"]["message"]
    assert found["scripts"]["advice"] == found["push"]["advice"]


def test_the_scratch_keys_are_gone_even_so(user, doctor, any_server, prefix):
    doctor(user("+@all", "-xadd"))
    with any_server.client() as client:
        assert list(client.scan_iter(f"{prefix}*")) == []


def test_scratch_keys_that_cannot_be_removed_are_named(user, doctor, any_server, prefix):
    advice = doctor(user("+@all", "-del"))["cleanup"]["advice"]
    with any_server.client() as client:
        left = set(client.scan_iter(f"{prefix}*"))
        assert left
        client.execute_command(*shlex.split(advice))
        assert not set(client.scan_iter(f"{prefix}*"))


def test_a_wrong_password(doctor, user):
    url = user("+@all").replace(PASSWORD, "wrong")
    found = doctor(url)
    assert set(found) == {"url", "connection"}
    assert "invalid username-password pair" in found["connection"]["message"]
    assert "check user, password and scheme" in found["connection"]["advice"]


def test_a_password_that_is_missing(doctor, new_server):
    server = new_server()
    with server.client() as admin:
        admin.config_set("requirepass", PASSWORD)
    assert doctor(server.url)["connection"]["level"] == "fail"


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


def test_a_replica(doctor, new_server, server):
    port = server.url.rpartition(":")[2].partition("/")[0]
    replica = new_server("--replicaof", f"127.0.0.1 {port}")
    found = doctor(replica.url)
    assert found["role"]["level"] == "fail"
    assert found["role"]["advice"] == f"use the URL of its primary, 127.0.0.1:{port}"


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


def test_a_store_without_scripts(doctor, new_server):
    found = doctor(new_server("--rename-command", "EVAL", "").url)
    assert "unknown command" in found["scripts"]["message"]
    assert "this server lacks a command" in found["scripts"]["advice"]


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


def test_the_processes_that_listen_are_counted(doctor, make, new_server):
    url = new_server().url  # no other test's breaker listens there
    assert "; 0 processes listen" in doctor(url)["connections"]["message"]
    make("content", url=url)._watch._pump.wake(is_wanted=True)
    eventually(lambda: "; 1 processes listen" in doctor(url)["connections"]["message"])


@pytest.mark.parametrize(
    ("check", "level", "words"),
    [
        (checks.mode({"redis_mode": "cluster"}), "fail", "not supported yet"),
        (checks.mode({"redis_mode": "sentinel"}), "fail", "primary"),
        (checks.server({"redis_version": "6.0.16"}), "fail", "6.2"),
        (
            checks.server({"redis_version": "7.2.4", "valkey_version": "8.1"}),
            "ok",
            "Valkey 8.1",
        ),
        (checks.replicas({"connected_slaves": 2}), "ok", "min-replicas-to-write"),
        (checks.replicas({"connected_slaves": 2, "min_slaves_good_slaves": 1}), "ok", "2;"),
        (checks.persistence({"rdb_last_bgsave_status": "err"}), "warn", "MISCONF"),
        (checks.persistence({"aof_enabled": 1}), "ok", "append-only file"),
        (checks.clock(-90.0), "warn", "1m30s behind this machine's"),
        (checks.clock(3600.0), "warn", "1h ahead of this machine's"),
        (checks.clock(0.01), "ok", "10 ms"),
        (checks.latency(0.1), "warn", "100.0 ms"),
        (checks.connections(3, 1, 2, 0), "ok", "3; 1 processes listen"),
        (checks.connections(95, 60, 30, 100), "warn", "raise maxclients"),
    ],
)
def test_what_the_server_says_of_itself(check, level, words):
    assert check.level == level
    assert words in f"{check.message} {check.advice}"
