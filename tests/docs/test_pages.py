"""The documentation is complete, its links lead somewhere, its tables say what the code says."""

import re

import pytest

from breaker.settings import OPTIONS
from breaker.transitions import EVENTS, STATES, is_allowed
from tests.docs.pages import INTEGRATIONS, PAGES, ROOT

LINK = re.compile(r"\]\((?!https?:|#)([^)#]+)[^)]*\)")
# Lines of one screen of a reader who looks at the README on the web.
ONE_SCREEN = 60


@pytest.mark.parametrize(
    "page", [*PAGES, *INTEGRATIONS], ids=lambda page: str(page.relative_to(ROOT))
)
def test_links_lead_to_files_that_exist(page) -> None:
    links = LINK.findall(page.read_text(encoding="utf-8"))
    assert not [link for link in links if not (page.parent / link).exists()]


@pytest.mark.parametrize("index", ["README.md", "docs/README.md"])
def test_the_index_lists_every_page(index) -> None:
    path = ROOT / index
    linked = {
        (path.parent / link).resolve()
        for link in LINK.findall(path.read_text(encoding="utf-8"))
    }
    assert not {*PAGES} - linked - {ROOT / "README.md", ROOT / "docs/README.md"}


def test_the_index_of_the_integrations_lists_every_page() -> None:
    index, *pages = INTEGRATIONS
    assert set(LINK.findall(index.read_text(encoding="utf-8"))) >= {page.name for page in pages}


def test_the_readme_is_one_screen() -> None:
    assert len((ROOT / "README.md").read_text().splitlines()) <= ONE_SCREEN


def test_the_table_of_options_is_that_of_the_code() -> None:
    page = (ROOT / "docs/options.md").read_text().split("## ")[0]
    rows = re.findall(r"^\| `.*$", page, re.MULTILINE)
    wanted = [f"| `{one.name}` | {one.default} | {one.help} |" for one in OPTIONS.values()]
    assert rows == wanted, "docs/options.md should have:\n" + "\n".join(wanted)


def test_the_diagram_has_the_steps_of_the_table() -> None:
    page = (ROOT / "docs/states.md").read_text()
    drawn = {
        (event, before.replace("_", "-"), after.replace("_", "-"))
        for before, after, event in re.findall(r"(\w+) --> (\w+): ([\w-]+)", page)
    }
    assert [step for step in drawn if not is_allowed(*step)] == []
    made_by_no_operator = {
        (name, str(before), str(after))
        for name, event in EVENTS.items()
        for before, after in event.steps
        if not event.is_order and before is not after
    }
    assert made_by_no_operator - drawn == set()


def test_the_tables_of_states_and_events_are_those_of_the_code() -> None:
    page = (ROOT / "docs/states.md").read_text()
    states = [
        f"| {state} | {info.meaning} | {'yes' if info.is_paused else 'no'} |"
        for state, info in STATES.items()
    ]
    events = [
        f"| `{name}` | {event.meaning} | {'yes' if event.is_order else ''} |"
        for name, event in EVENTS.items()
    ]
    for table in (states, events):
        wanted = "\n".join(table)
        assert wanted in page, f"docs/states.md should have:\n{wanted}"
