"""The doctor on a store with a fault of one kind, and users of a store with few rights."""

import json

import pytest

from breaker.cli.exits import Exit

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
