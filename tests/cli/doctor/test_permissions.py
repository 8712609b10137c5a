"""A right that is missing is named, with the rule that grants it."""

import shlex

import pytest

from breaker import Breaker
from breaker.cli.doctor.permissions import OPTIONAL, commands
from breaker.cli.doctor.rehearsal import Rehearsal
from breaker.protocol.scripts import script_names
from breaker.store.run_sync import SyncStore
from breaker.store.target import Target
from tests.contract.waiting import eventually


def test_every_script_is_rehearsed(url, prefix):
    store = SyncStore(Target.of_url(url), lambda *_: None)
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


@pytest.mark.integration
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


def test_a_store_without_scripts(doctor, new_server):
    found = doctor(new_server("--rename-command", "EVAL", "").url)
    assert "unknown command" in found["scripts"]["message"]
    assert "this server lacks a command" in found["scripts"]["advice"]
