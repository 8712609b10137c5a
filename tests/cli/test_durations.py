import pytest
from hypothesis import given
from hypothesis import strategies as st

from breaker.cli import durations


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("90", 90),
        ("0.5", 0.5),
        ("90s", 90),
        ("5m", 300),
        ("1h30m", 5400),
        ("500ms", 0.5),
        ("1.5h", 5400),
        ("2d", 172_800),
        ("1m30s500ms", 90.5),
    ],
)
def test_spans_are_read(text, seconds):
    assert durations.parse(text) == seconds


@pytest.mark.parametrize("text", ["", "5 m", "m", "5x", "-5", "5m-", "1e3", "inf", "nan", "٣s"])
def test_what_is_no_span_is_refused_by_name(text):
    with pytest.raises(ValueError, match="write 90, 90s, 5m, 1h30m or 500ms") as caught:
        durations.parse(text)
    assert repr(text) in str(caught.value)


@given(st.integers(min_value=0, max_value=400 * 86_400_000))
def test_what_is_shown_exactly_can_be_typed_back(milliseconds):
    seconds = milliseconds / 1000
    assert durations.parse(durations.exact(seconds)) == pytest.approx(seconds, abs=1e-6)


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(0, "0s"), (0.4, "0s"), (59.6, "1m"), (252, "4m 12s"), (93_784, "1d 2h"), (7260, "2h 1m")],
)
def test_what_remains_is_shown_roughly(seconds, shown):
    assert durations.rough(seconds) == shown
