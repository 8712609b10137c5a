"""What the demo says: notes told once, an honest summary, a screen that fits."""

import dataclasses
import io

import pytest
from rich.console import Console

from breaker import State
from breaker.demo import narrator
from breaker.demo.ledger import Tally
from breaker.demo.live import LiveView, sparkline
from breaker.demo.narrator import Narrator
from breaker.demo.picture import Calls, Note
from breaker.demo.plain import PlainView, status_line
from breaker.demo.plan import Plan
from breaker.demo.stage import Course, Paused, Recovering
from breaker.demo.summary import problems, summary
from breaker.transitions import EVENTS
from tests.demo.pictures import (
    CLOSED,
    CUT,
    HALF_OPEN,
    PLAN,
    STARTED,
    TRIP,
    WITH,
    WITHOUT,
    outcome,
    picture,
    status,
    step,
)

# -- the plan


def test_the_default_run_ends_within_ninety_seconds():
    assert sum(phase.length for phase in PLAN.phases()) == 60
    for phase in PLAN.phases():
        assert phase.shortage_at + PLAN.shortage <= phase.length


def test_both_phases_meet_the_same_shortage_and_one_may_be_left_out():
    alone = dataclasses.replace(PLAN, only_without=True).phases()
    assert [phase.has_breaker for phase in alone] == [False]
    assert alone[0].length == PLAN.duration


def test_options_not_given_are_left_to_the_breaker():
    assert PLAN.settings == {"threshold": 5}
    assert Plan(4, 48, 60, 5, cooldown=2.0).settings == {"threshold": 5, "cooldown": 2.0}


# -- notes


def texts(*pictures):
    narrator = Narrator(STARTED)
    return [note.text for each in pictures for note in narrator.notes(each)]


def test_a_trip_says_who_why_and_until_when_and_only_once():
    told = texts(*[picture(status=status(State.OPEN), transitions=(TRIP,))] * 3)
    assert len(told) == 1
    assert told[0].startswith(
        "TRIPPED by w3: 5 rate limit errors in a row. Paused 12 s, until "
    )


@pytest.mark.parametrize(("pause", "count"), [(12.1, 1), (30.0, 2)])
def test_a_pause_that_grows_by_a_moment_is_not_worth_a_line(pause, count):
    grown = step("extended", 8.1, pause=pause, reason="Retry-After reaches further")
    assert len(texts(picture(status=status(State.OPEN), transitions=(TRIP, grown)))) == count


def test_recovery_is_told_when_the_backlog_is_gone():
    steps = (TRIP, HALF_OPEN, CLOSED)
    told = texts(
        picture(status=status(State.OPEN), transitions=steps[:1]),
        picture(transitions=steps, content=Tally(100, 0, 100, 0)),
        picture(transitions=steps, content=Tally(100, 98, 2, 0)),
        picture(transitions=steps, content=Tally(100, 100, 0, 0)),
    )
    assert [text.split(":")[0] for text in told] == [
        "TRIPPED by w3",
        "half-open",
        "CLOSED by w1",
        "recovered",
    ]


@pytest.mark.parametrize(
    ("recovery", "how"),
    [("pace", "workers continue at one shared pace"), ("probe", "one job tries first")],
)
def test_the_end_of_the_pause_says_how_it_goes_on(recovery, how):
    seen = status(State.HALF_OPEN, recovery=recovery)
    assert how in texts(picture(status=seen, transitions=(HALF_OPEN,)))[0]


def test_a_cut_says_from_which_pace_to_which_and_how_long_the_pause_is():
    steps = (HALF_OPEN, CUT, step("half-open", 27, reason="cooldown over"))
    told = texts(picture(status=status(State.HALF_OPEN, pace=50.4), transitions=steps))
    assert told[1].startswith(
        "a 429 by w2: paced down from 101 to 50.4 jobs/s. Paused 1 s, until "
    )
    assert told[2] == "half-open: the pause is over, workers continue, more slowly"
    alone = dataclasses.replace(CUT, pause=None)
    told = texts(picture(status=status(State.HALF_OPEN, pace=50.4), transitions=(alone,)))
    assert told == ["a 429 by w2: paced down from 101 to 50.4 jobs/s"]


def test_a_pace_beyond_what_the_workers_do_is_explained_once():
    def at(elapsed, pace):
        seen = status(State.HALF_OPEN, pace=pace, recovery="pace")
        return picture(elapsed=elapsed, status=seen, transitions=(HALF_OPEN,))

    told = texts(at(21, 99.0), at(23, 20.0), at(24, 64.0), at(25, 128.0))
    assert told[1:] == [
        "the pace allows 64 jobs/s, the workers do 10: it no longer limits them. The breaker closes if that lasts"
    ]


# -- counts


def test_each_second_gets_what_came_in_it():
    course = Course()
    course.add(0.9, Calls(9, 9, 0, 9), {})
    course.add(1.0, Calls(10, 9, 1, 9), {b"w1 content": b"10"})
    course.add(1.2, Calls(12, 11, 1, 11), {b"w1 content": b"12"})
    course.add(2.1, Calls(20, 11, 9, 11), {b"w1 content": b"20", b"w2 other": b"1"})
    assert [(second.answered, second.limited) for second in course.seconds] == [(9, 1), (2, 8)]
    assert [second.rate("content") for second in course.seconds] == [10, 10]
    assert course.seconds[1].workers_on("other") == 1


def test_only_what_comes_within_one_pause_is_counted_for_it():
    paused = Paused()
    for is_open, epoch, calls in [
        (0, 0, 5),
        (1, 1, 9),
        (1, 1, 10),
        (1, 2, 50),
        (1, 2, 53),
        (0, 2, 99),
    ]:
        state = State.OPEN if is_open else State.CLOSED
        paused.see(dataclasses.replace(status(state), epoch=epoch), calls, 0)
    assert paused.calls == 1 + 3


def test_only_what_comes_while_it_recovers_is_counted_for_that():
    recovering = Recovering()
    looks = [("open", 5), ("half-open", 5), ("half-open", 6), ("open", 8), ("closed", 99)]
    for state, limited in looks:
        pace = 8.0 + limited if state == "half-open" else None
        recovering.see(status(State(state), pace=pace), limited)
    assert recovering.limited == 3
    assert recovering.pace == 13.0


# -- the summary


def flat(text):
    return " ".join(text.split())


def drawn(renderable, width=100):
    console = Console(file=io.StringIO(), width=width)
    console.print(renderable)
    return console.file.getvalue()


def test_the_summary_has_both_sides():
    wasteful = outcome(WITHOUT, calls=Calls(1000, 50, 950, 50), content=Tally(300, 50, 20, 230))
    text = drawn(summary([wasteful, outcome()]))
    assert "950 (95.0%)" in text
    assert "230" in text
    assert "tripped once, by w3" in text
    assert "resumed by itself after 12 s, and was closed 13 s later; 0 more" in flat(text)
    assert "950 wasted calls without the breaker, and 10 with it" in flat(text)


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (
            {"pace": 8.125},
            "after 12 s at a pace, 8.12 jobs/s at first, and was closed 13 s later",
        ),
        ({"limited_while_recovering": 1}, "later; 1 more call wasted on the way."),
        (
            {"transitions": (TRIP, HALF_OPEN)},
            "after 12 s, and was still recovering at the end;",
        ),
        ({"transitions": (TRIP, HALF_OPEN, step("closed", 20.1))}, "and was closed at once;"),
    ],
)
def test_the_summary_tells_of_the_recovery(more, said):
    assert said in flat(drawn(summary([outcome(**more)])))


def test_a_trip_without_an_end_has_no_recovery():
    assert "resumed" not in drawn(summary([outcome(transitions=(TRIP,))]))


def test_a_good_run_has_no_problems():
    assert list(problems(outcome())) == []
    assert list(problems(outcome(WITHOUT))) == []


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"content": Tally(100, 90, 9, 0)}, "jobs of content lost with the breaker: 1"),
        ({"other": Tally(50, 40, 0, 0)}, "jobs of other lost with the breaker: 10"),
        (
            {"content": Tally(100, 90, 9, 1)},
            "jobs that failed although the breaker was there: 1",
        ),
        (
            {"calls": Calls(100, 90, 10, 88)},
            "calls for jobs that were already done with the breaker: 2",
        ),
        ({"transitions": ()}, "the breaker did not trip"),
        ({"transitions": (TRIP,)}, "the queue did not resume"),
    ],
)
def test_what_went_wrong_is_said(more, said):
    assert list(problems(outcome(**more))) == [said]


def test_a_run_without_an_end_may_be_ended_early():
    endless = dataclasses.replace(WITH, is_endless=True)
    assert list(problems(outcome(endless, transitions=()))) == []


# -- the views


def test_bars_fit_and_nothing_is_drawn_for_nothing():
    assert sparkline([0, 1, 40, 80], 10, 80) == " ▁▅█"
    assert len(sparkline(range(1000), 60, 1000)) <= 60
    assert sparkline([], 60, 1) == ""


@pytest.mark.parametrize(("width", "height"), [(80, 24), (100, 30), (200, 60)])
@pytest.mark.parametrize("phase", [WITHOUT, WITH])
@pytest.mark.parametrize("workers", [2, 32])
def test_the_screen_fills_the_terminal_and_no_more(width, height, phase, workers):
    console = Console(file=io.StringIO(), width=width, height=height, force_terminal=True)
    view = LiveView(PLAN, console)
    view.begin(phase)
    for number in range(20):
        view.tell(Note(number, "something that happened and takes a line or two to say " * 2))
    lines = console.render_lines(view._screen(picture(phase, workers)))
    assert len(lines) == height
    assert all(sum(segment.cell_length for segment in line) == width for line in lines)


@pytest.mark.parametrize("state", State)
def test_every_state_can_be_drawn(state):
    console = Console(file=io.StringIO(), width=100, height=30)
    view = LiveView(PLAN, console)
    seen = status(
        state, resumes_in=7.25 if state is State.OPEN else None, by="w3", reason="why"
    )
    console.print(view._screen(picture(status=seen)))
    text = console.file.getvalue()
    assert state.value.upper().replace("-", " ") in text.replace("-", " ")
    if state is State.OPEN:
        assert "by w3: why" in text
        assert "7.2 s more" in text


@pytest.mark.parametrize("width", [80, 100])
def test_a_pace_is_shown_with_what_led_to_it(width):
    console = Console(file=io.StringIO(), width=width, height=24)
    seen = status(State.HALF_OPEN, pace=96.42, by="w2", reason="paced down from 128 to 96.4")
    console.print(LiveView(PLAN, console)._screen(picture(status=seen)))
    text = console.file.getvalue()
    assert "HALF-OPEN  paced at most 96.4 jobs/s" in text
    assert "for all workers together; a 429 lowers it" in text
    assert "by w2: paced down from 128 to 96.4" in text
    assert "429s in a row" not in text


def test_a_plain_line_has_the_pace():
    seen = status(State.HALF_OPEN, pace=96.42)
    assert status_line(picture(status=seen)).startswith(
        "content half-open, paced at most 96.4 jobs/s: 10 answered"
    )


def test_plain_lines_come_every_two_seconds():
    console = Console(file=io.StringIO(), width=80)
    with PlainView(console) as view:
        view.begin(WITH)
        for tenth in range(45):
            view.show(picture(elapsed=tenth / 10))
        view.tell(Note(4.5, "[odd] text"))
    moment = (
        "content closed: 10 answered and 6 limited a second, 10 waiting, "
        "4 of 4 workers on it; other: 2 a second"
    )
    assert console.file.getvalue().splitlines()[1:] == [
        "with the breaker, 45 s",
        f"  2.0    {moment}",
        f"  4.0    {moment}",
        "  4.5  * [odd] text",
    ]


@pytest.mark.parametrize(
    ("event", "after", "mood"),
    [
        ("tripped", "open", "bad"),
        ("state-lost", "", "bad"),
        ("cut", "half-open", "wary"),
        ("paced", "half-open", "wary"),
        ("half-open", "half-open", "wary"),
        ("closed", "closed", "good"),
        ("disabled", "disabled", "plain"),
    ],
)
def test_a_note_has_the_mood_of_the_state_that_it_leads_to(event, after, mood):
    assert narrator.mood(step(event, after=after)) == mood


@pytest.mark.parametrize("event", EVENTS)
def test_every_event_has_a_note(event):
    text = narrator.describe(step(event, reason="a reason", pause=1.0), "pace")
    assert text.lower().startswith(("half-open", "a 429", "paused", event))
