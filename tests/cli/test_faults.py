"""A store that refuses says so in a sentence: what is wrong, what it means, what to do."""

import re
import shutil

import pytest
import redis

from breaker.cli import faults
from breaker.cli.exits import Exit
from breaker.errors import StoreError, StoreUnavailable
from tests.contract.waiting import eventually

PASSWORD = "hunter2-do-not-show"
# What only readers of the server's manual understand.
RAW = re.compile(
    r"\b(READONLY|MISCONF|OOM|NOAUTH|WRONGPASS|NOPERM|ERR|EVALSHA?)\b|@user_script|Traceback"
)


def said(result, url):
    """The one line, without the store's address; it names all three things."""
    assert result.exit_code == Exit.STORE
    assert result.stdout == ""
    assert result.stderr.count("\n") == 1
    assert PASSWORD not in result.stderr
    where = f"the store at {re.sub('//.*@', '//', url)} "
    assert result.stderr.startswith(where)
    line = result.stderr.removeprefix(where)
    assert not RAW.search(line)
    wrong, _, meaning = line.partition("; ")
    assert "workers" in meaning
    return wrong, meaning


def test_a_replica(run, new_server, server):
    port = server.url.rpartition(":")[2].partition("/")[0]
    url = new_server("--replicaof", f"127.0.0.1 {port}").url
    wrong, meaning = said(run("pause", "content", "--new", url=url), url)
    assert wrong == "is a replica, which takes no writes"
    assert "`breaker doctor` names" in meaning


def test_a_disk_that_is_full(run, new_server):
    server = new_server("--save", "3600 1000000")
    shutil.rmtree(server.folder)
    with server.client() as admin:
        admin.set("anything", 1)
        admin.bgsave()
        eventually(lambda: admin.info("persistence")["rdb_last_bgsave_status"] == "err")
    wrong, meaning = said(run("pause", "content", "--new", url=server.url), server.url)
    assert "cannot write its data to its disk" in wrong
    assert "redis-cli BGSAVE" in meaning


@pytest.mark.parametrize("flavour", ["valkey-9", "redis-6.2"])
def test_a_store_that_is_full(run, new_server, flavour):
    url = new_server("--maxmemory", "100kb", flavour=flavour).url
    wrong, meaning = said(run("pause", "content", "--new", url=url), url)
    assert wrong == "is full: its maxmemory is used up"
    assert "CONFIG SET maxmemory" in meaning


def test_replicas_that_are_away(run, new_server):
    url = new_server("--min-replicas-to-write", "1").url
    wrong, _ = said(run("pause", "content", "--new", url=url), url)
    assert "fewer replicas" in wrong


@pytest.mark.parametrize("command", [("status",), ("pause", "content", "--new"), ("events",)])
def test_a_password_that_is_missing(run, new_server, command):
    server = new_server()
    with server.client() as admin:
        admin.config_set("requirepass", PASSWORD)
    wrong, meaning = said(run(*command, url=server.url), server.url)
    assert wrong == "asks for a password, and the URL has none"
    assert "BREAKER_URL" in meaning


def test_a_password_that_is_wrong(run, server):
    url = server.url.replace("redis://", f"redis://somebody:{PASSWORD}@")
    wrong, meaning = said(run("status", url=url), url)
    assert wrong == "does not know this user and password"
    assert "breaker doctor --acl" in meaning


def test_a_right_that_is_missing(run, any_server, name, prefix):
    if any_server.flavour == "external":
        pytest.skip("its users are not ours to make")
    url = any_server.url.replace("redis://", f"redis://{name}:{PASSWORD}@")
    with any_server.client() as admin:
        rules = ("on", f">{PASSWORD}", f"~{prefix}*", "&*", "+@all", "-incr", "-set", "-hset")
        admin.execute_command("ACL", "SETUSER", name, *rules)
        wrong, meaning = said(run("pause", "content", "--new", url=url), url)
        admin.execute_command("ACL", "DELUSER", name)
    assert wrong == "does not allow this user what breakers need"
    assert "run `breaker doctor`" in meaning


def test_a_key_that_something_else_has_taken(run, client, prefix, url):
    client.set(f"{prefix}:{{content}}:state", "x")
    wrong, meaning = said(run("status", "content"), url)
    assert wrong == "has something else under a key of this breaker"
    assert "delete the key" in meaning


def test_a_script_that_does_not_end(run, new_server):
    server = new_server("--lua-time-limit", "1")
    with server.client(socket_timeout=0.2, retry=None) as admin:
        with pytest.raises(redis.TimeoutError):
            admin.eval("while true do end", 0)
        wrong, meaning = said(run("status", url=server.url), server.url)
        admin.script_kill()
    assert wrong == "runs a script that does not end"
    assert "redis-cli SCRIPT KILL" in meaning


@pytest.mark.parametrize("code", faults.FAULTS)
def test_each_kind_names_all_three_things(code):
    error = StoreUnavailable("raw")
    assert "raw" in faults.sentence(error)
    error.code, error.store = code, "redis://host"
    sentence = faults.sentence(error)
    assert sentence.startswith("the store at redis://host ")
    assert sentence.count("; ") >= 2
    assert "raw" not in sentence


def test_an_error_without_a_code_keeps_its_words():
    error = StoreError("the store took too long.")
    assert faults.wrong(error) == "the store took too long"
    assert faults.order(error) == ""
