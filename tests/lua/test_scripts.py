"""The scripts' headers, the loader, and the table that other languages work from."""

import re
from pathlib import Path

import pytest

from breaker.protocol import scripts
from breaker.protocol.asking import Asker
from breaker.protocol.keys import Keys
from breaker.protocol.plans import Plans
from breaker.protocol.requests import Ask, Send
from breaker.settings import OPTIONS, Settings

LUA = Path(__file__).parents[2] / "lua"
SHARED = ("token", "channel", "who", "declares")
# The alerts' outbox changes no state of a breaker, and so takes other arguments.
OUTBOX = ("claim", "note_loss", "renew")
RULES = [name for name in scripts.script_names() if name not in OUTBOX]


@pytest.mark.parametrize("name", RULES)
def test_every_header_has_the_same_form(name):
    script = scripts.build(name)
    assert script.keys[:4] == ("failures", "pause", "state", "events")
    assert script.keys[4:] in ((), ("seen",))
    assert script.args[:4] == SHARED
    lines = (LUA / f"{name}.lua").read_text().splitlines()
    assert lines[0].startswith(f"-- {name}: ")
    assert lines[1].startswith("-- KEYS  ")
    assert lines[2].startswith("-- ARGV  ")
    assert any(line.startswith("-- reply ") for line in lines[:6])


@pytest.mark.parametrize("name", OUTBOX)
def test_the_outbox_reads_what_its_headers_name(name):
    script = scripts.build(name)
    body = (LUA / f"{name}.lua").read_text()
    for table, names in (("KEYS", script.keys), ("ARGV", script.args)):
        read = {int(number) for number in re.findall(rf"{table}\[(\d+)\]", body)}
        assert read == {*range(1, len(names) + 1)}


@pytest.mark.parametrize("name", RULES)
def test_the_header_counts_what_the_script_reads(name):
    body = (LUA / f"{name}.lua").read_text()
    own = [int(number) for number in re.findall(r"ARGV\[(\d+)\]", body)]
    assert sorted(set(own)) == [*range(5, len(scripts.build(name).args) + 1)]


def test_no_include_reads_keys_or_arguments():
    for include in (LUA / "include").iterdir():
        assert not re.search(r"\b(KEYS|ARGV)\b", include.read_text()), include.name


def test_every_function_of_an_include_has_a_caller():
    texts = [file.read_text() for file in LUA.rglob("*.lua")]
    for name in re.findall(r"^local function (\w+)", "\n".join(texts), re.MULTILINE):
        assert len(re.findall(rf"\b{name}\b", "\n".join(texts))) > 1, name


def test_the_readme_has_every_script_with_its_arguments():
    text = (LUA / "README.md").read_text().split("## Scripts")[1].split("KEYS and ARGV")[0]
    rows = dict(re.findall(r"^\| `(\w+)` \|[^|]*\|([^|]*)\|", text, re.MULTILINE))
    assert sorted(rows) == scripts.script_names()
    for name, arguments in rows.items():
        own = scripts.build(name).args[0 if name in OUTBOX else len(SHARED) :]
        assert tuple(re.findall(r"`(\w+)`", arguments)) == own, name


def test_the_readme_has_every_setting():
    text = (LUA / "README.md").read_text()
    assert all(f"`{option.wire_name}`" in text for option in OPTIONS.values())


def test_scripts_stay_small():
    for file in LUA.rglob("*.lua"):
        limit = 220 if file.parent.name == "include" else 60
        assert len(file.read_text().splitlines()) <= limit, file.name


CALLS = {
    "acquire": lambda plans: plans.acquire(0),
    "observe": lambda plans: plans.observe(
        {"x-ratelimit-remaining": "0", "x-ratelimit-reset": "9"}
    ),
    "rate_limit_error": lambda plans: plans.rate_limit_error(1.0, "e"),
    "success": lambda plans: plans.success(),
    "snapshot": lambda plans: plans.status(),
    "pause": lambda plans: plans.pause(1.0, "", ""),
    "resume": lambda plans: plans.order("resume", "", ""),
    "reset": lambda plans: plans.order("reset", "", ""),
    "disable": lambda plans: plans.order("disable", "", ""),
    "enable": lambda plans: plans.order("enable", "", ""),
}


def plans_of(name):
    settings = Settings.resolve({}, {})
    asker = Asker(Keys("breaker", name), "c", "w", settings, clock=lambda: 0)
    return Plans(asker, random=lambda: 0)


@pytest.mark.parametrize("name", CALLS)
def test_callers_send_what_the_header_names(name):
    plans = plans_of("q")
    request = next(CALLS[name](plans))
    assert isinstance(request, Ask)
    assert request.script.name == name
    assert len(request.keys) == len(request.script.keys)
    assert len(request.args) == len(request.script.args)
    assert all(key.startswith("breaker:{q}:") for key in request.keys)


def test_a_caller_and_a_header_that_disagree_fail_at_once(monkeypatch):
    plans = plans_of("q")
    with pytest.raises(TypeError, match=r"lua/pause.lua takes"):
        next(plans.order("pause", "", ""))


def test_events_are_read_without_a_script():
    plans = plans_of("q")
    assert isinstance(next(plans.events(1)), Send)


def test_the_channel_has_the_database_in_its_name():
    """Pub/sub knows no databases: two applications on one server must not hear each other."""
    assert Keys("breaker", "q").channel(3) == "breaker:{q}:changes:3"


# -- the loader


def write(folder, **files):
    (folder / "include").mkdir(exist_ok=True)
    for name, text in files.items():
        place = folder / "include" if name.startswith("i_") else folder
        (place / f"{name}.lua").write_text(text)


def test_an_include_is_spliced_once_before_its_first_use(tmp_path):
    write(
        tmp_path,
        main="-- @include i_a\n-- @include i_b\nend",
        i_a="A",
        i_b="-- @include i_a\nB",
    )
    assert scripts.splice("main", folder=tmp_path).split() == ["A", "B", "end"]


def test_a_missing_include_is_named(tmp_path):
    write(tmp_path, main="-- @include i_none")
    with pytest.raises(ValueError, match=r"lua/main.lua: there is no i_none.lua"):
        scripts.splice("main", folder=tmp_path)


def test_an_include_cycle_is_named(tmp_path):
    write(tmp_path, main="-- @include i_a", i_a="-- @include i_b", i_b="-- @include i_a")
    with pytest.raises(ValueError, match="cycle i_a > i_b > i_a"):
        scripts.splice("main", folder=tmp_path)


def test_a_script_without_its_header_is_refused(monkeypatch, tmp_path):
    write(tmp_path, main="return 1")
    monkeypatch.setattr(scripts, "lua_folder", lambda: tmp_path)
    with pytest.raises(ValueError, match="its header must open with"):
        scripts.build("main")


def test_rendered_scripts_are_what_is_sent(tmp_path):
    scripts.render(tmp_path / "out")
    assert {file.stem for file in (tmp_path / "out").iterdir()} == set(scripts.script_names())
    assert (tmp_path / "out" / "acquire.lua").read_text() == scripts.script("acquire").body


@pytest.mark.parametrize("name", scripts.script_names())
def test_a_script_is_far_from_luas_limit_of_200_locals(name):
    assert len(re.findall(r"^local ", scripts.build(name).body, re.MULTILINE)) < 160
