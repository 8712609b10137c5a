import json
import os
import subprocess
import sys
from types import SimpleNamespace

import click
import pytest

from breaker.cli import exits, group
from breaker.cli.exits import Exit
from breaker.fleet import Fleet
from tests.cli.conftest import PATIENCE

COMMANDS = [
    "status",
    "watch",
    "events",
    "doctor",
    "pause",
    "resume",
    "reset",
    "disable",
    "enable",
    "set",
    "forget",
    "demo",
    "serve",
]
PASSWORD = "hunter2-do-not-show"


def python(*words, **env):
    return subprocess.run(
        [sys.executable, *words],
        capture_output=True,
        text=True,
        env=os.environ | env,
        timeout=PATIENCE,
        check=False,
    )


def test_python_m_breaker_is_the_command(url, prefix, make):
    make("content").pause(None, "deploy", "ana")
    done = python("-m", "breaker", "status", "--json", "--prefix", prefix, BREAKER_URL=url)
    assert done.returncode == 0
    assert done.stderr == ""
    assert json.loads(done.stdout)[0]["name"] == "content"


def test_help_lists_the_commands_and_the_exit_codes(run):
    result = run("--help")
    assert result.exit_code == 0
    for command in COMMANDS:
        assert f"\n  {command} " in result.stdout
    for code, meaning in exits.MEANINGS.items():
        assert f"{code:>4}  {meaning}" in result.stdout
    assert set(exits.MEANINGS) == {0, *Exit}


def test_the_help_says_of_each_command_what_it_says_of_itself():
    for name, place in group.COMMANDS.items():
        assert place.line == place.load(name).help.splitlines()[0]


def test_the_help_needs_neither_store_nor_terminal():
    code = "import sys; sys.argv = ['breaker', '--help']; from breaker.cli import main; main()"
    done = python("-X", "importtime", "-c", code)
    assert done.returncode == 0
    assert " click" in done.stderr
    for heavy in ("redis", "rich", "asyncio", "breaker.sync"):
        assert f" {heavy}\n" not in done.stderr


def test_status_brings_no_rules_and_no_push(url, prefix):
    code = "import sys; from breaker.cli import main; sys.argv = ['breaker', *sys.argv[1:]]; main()"
    options = ("--url", url, "--prefix", prefix)
    done = python("-X", "importtime", "-c", code, *options, "status")
    assert done.returncode == 0
    assert " breaker.fleet" in done.stderr
    for heavy in ("machine", "pacing", "classify", "push", "protocol.plans", "aio"):
        assert f" breaker.{heavy}\n" not in done.stderr
    for heavy in ("rich.console", "opentelemetry", "pydantic"):
        assert f" {heavy}\n" not in done.stderr


def test_colours_without_a_terminal_are_there_if_they_are_asked_for(run, make, monkeypatch):
    make("content").pause()
    assert "\x1b[" not in run("status").stdout
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm")
    assert "\x1b[" in run("status").stdout


def test_no_command_is_the_help(run):
    assert run().stdout == run("--help").stdout


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help(run, command):
    result = run(command, "--help")
    assert result.exit_code == 0
    assert f"Usage: breaker {command}" in result.stdout


def test_version(run):
    result = run("--version")
    assert result.exit_code == 0
    assert result.stdout.startswith("breaker ")


def test_the_store_is_named_before_or_behind_the_command(run, url, prefix, make):
    make("content").pause()
    elsewhere = "redis://127.0.0.1:1/0"
    assert run("status", "content", "--url", url, url=elsewhere).exit_code == 0
    assert run("status", "content", "--prefix", f"{prefix}x").exit_code == Exit.UNKNOWN
    assert run("status", "content", url=elsewhere).exit_code == Exit.STORE


def test_the_environment_names_the_store(run, url, make, monkeypatch):
    make("content").pause()
    monkeypatch.setenv("BREAKER_URL", url)
    assert run("status", "content", url=None).exit_code == 0


def test_an_empty_url_is_not_the_local_server(run):
    result = run("status", url="")
    assert result.exit_code == Exit.USAGE
    assert "redis://[user:password@]host[:port][/database]" in result.stderr


@pytest.mark.parametrize(
    "words",
    [
        ["status"],
        ["status", "content"],
        ["events"],
        ["events", "--follow"],
        ["pause", "content"],
        ["resume", "content"],
        ["resume", "--all"],
        ["set", "content", "threshold=3"],
    ],
)
def test_a_store_that_is_not_there_is_one_line(run, words):
    result = run(*words, url=f"redis://me:{PASSWORD}@127.0.0.1:1/0")
    assert result.exit_code == Exit.STORE
    assert result.stderr.startswith("the store at redis://127.0.0.1:1/0 does not answer: ")
    assert result.stderr.endswith("; set --url or BREAKER_URL, or run `breaker doctor`\n")
    assert result.stderr.count("\n") == 1
    assert PASSWORD not in result.output


def test_a_store_that_refuses_is_one_line(run, url):
    result = run("status", url=url.replace("redis://", f"redis://nobody:{PASSWORD}@"))
    assert result.exit_code == Exit.STORE
    assert "does not know this user and password" in result.stderr
    assert PASSWORD not in result.output


def test_the_way_out_shows_no_password(run, server, name, prefix):
    with server.client() as admin:
        admin.execute_command("ACL", "SETUSER", name, "on", f">{PASSWORD}", "~*", "&*", "+@all")
        url = server.url.replace("redis://", f"redis://{name}:{PASSWORD}@")
        run("pause", "content", "--new", url=url)
        last = run("status", url=url).stdout.splitlines()[-1]
        admin.execute_command("ACL", "DELUSER", name)
    assert last.endswith(f"breaker --prefix {prefix} --url ... resume content")


def test_ctrl_c_is_quiet(run, monkeypatch):
    def interrupted(_self):
        raise KeyboardInterrupt

    monkeypatch.setattr(Fleet, "statuses", interrupted)
    result = run("status")
    assert result.exit_code == Exit.INTERRUPTED
    assert result.output == ""


def test_a_misspelt_command_is_one_line(run):
    result = run("stats")
    assert result.exit_code == Exit.USAGE
    assert "no such command 'stats'" in result.stderr
    assert "status" in result.stderr
    assert result.stderr.count("\n") == 1


def test_a_reader_who_leaves_early_is_no_error(url, prefix, make):
    for _ in range(50):
        make("content").pause()
    command = [sys.executable, "-m", "breaker", "--prefix", prefix, "--url", url, "events"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout
        assert process.stderr
        process.stdout.close()
        assert process.stderr.read() == b""
        process.wait(PATIENCE)


@pytest.mark.parametrize("missing", ["click", "rich"])
def test_without_the_extra_one_line_says_what_to_install(missing):
    code = f"import sys; sys.modules[{missing!r}] = None; from breaker.cli import main; main()"
    done = python("-c", code, "status")
    assert done.returncode == Exit.FAILED
    assert "pip install 'fleet-breaker[cli]'" in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_guest_without_its_extra_says_what_to_install():
    code = "import sys; sys.modules['uvicorn'] = None; from breaker.cli import main; main()"
    done = python("-c", code, "serve")
    assert done.returncode == Exit.FAILED
    assert done.stderr == "breaker serve needs: pip install 'fleet-breaker[service]'\n"


@pytest.fixture
def guest(monkeypatch):
    """A command of another part of the package, which says what it was given."""
    given: dict[str, object] = {}

    @click.command("serve")
    @click.option("--port", type=int, default=1)
    @click.option("--url", default="")
    @click.option("--prefix", default="")
    def serve(**options: object) -> None:
        given.update(options)

    place = group.COMMANDS["serve"]
    monkeypatch.setitem(sys.modules, place.module, SimpleNamespace(serve=serve))
    return given


def test_what_stood_before_a_command_is_its_default(run, guest, url, prefix):
    assert run("serve", "--port", "5").exit_code == 0
    assert guest == {"port": 5, "url": url, "prefix": prefix}
    assert run("serve", "--prefix", "other").exit_code == 0
    assert guest == {"port": 1, "url": url, "prefix": "other"}


def test_bad_options_of_a_guest_are_one_line(run):
    bad = run("serve", "--port", "x")
    assert bad.exit_code == Exit.USAGE
    assert bad.stderr.startswith("breaker serve: ")
    assert bad.stderr.count("\n") == 1


@pytest.mark.parametrize("service", ["breaker", "breaker-serve", "breaker-http", "breaker-url"])
def test_what_kubernetes_sets_beside_a_service_is_passed_over(
    run, make, service, monkeypatch, url
):
    name = service.upper().replace("-", "_")
    link = "tcp://10.96.0.12:8429"
    for variable, value in {
        "SERVICE_HOST": "10.96.0.12",
        "SERVICE_PORT": "8429",
        "SERVICE_PORT_HTTP": "8429",
        "PORT": link,
        "PORT_8429_TCP": link,
        "PORT_8429_TCP_PROTO": "tcp",
        "PORT_8429_TCP_PORT": "8429",
        "PORT_8429_TCP_ADDR": "10.96.0.12",
    }.items():
        monkeypatch.setenv(f"{name}_{variable}", value)
    make("content").record_rate_limit_error()
    assert run("status", "content").exit_code == 0
    context = group.COMMANDS["serve"].load("serve").make_context("serve", [])
    assert (context.params["host"], context.params["port"]) == ("127.0.0.1", 8429)


def test_names_are_completed(url, prefix, make):
    for name in ("content", "contact", "mail"):
        make(name).record_rate_limit_error()
    typed = f"breaker --prefix {prefix} status cont"
    done = python(
        "-m",
        "breaker",
        BREAKER_URL=url,
        _BREAKER_COMPLETE="bash_complete",
        COMP_WORDS=typed,
        COMP_CWORD="4",
    )
    assert done.stdout.split() == ["plain,contact", "plain,content"]
