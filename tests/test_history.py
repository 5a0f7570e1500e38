import pytest

from fallfromgrace.history import History, Series
from fallfromgrace.table import ProcessId

KEY = (ProcessId(100, 1), "cputime")


def watched(times, window=600.0, interval=10.0):
    history = History(interval)
    for now in times:
        history.add(KEY, now, now * 2, window)
    return history


@pytest.mark.parametrize(
    ("times", "now", "change"),
    [
        ([], 600, None),
        (range(0, 600, 10), 599, None),  # not watched for so long
        (range(0, 600, 10), 600, (0.0, 600.0)),
        (range(0, 5000, 10), 5000, (0.0, 600.0)),
        (range(0, 10, 10), 5000, None),  # what was seen last is from long before
    ],
)
def test_a_change_is_known_when_something_was_watched_for_its_window(times, now, change):
    found = watched(times).change(KEY, now, 2 * (now - 600), 15.0)
    assert found == pytest.approx(change) if change else found is None


def test_looks_that_come_a_little_early_or_late_do_not_matter():
    history = History(10.0)
    at = [0.0, 10.003, 19.998, 30.1]
    for now in at[:-1]:
        history.add(KEY, now, now, history.rate_window)
    assert history.change(KEY, at[-1], at[-1], 15.0) == pytest.approx((10.102, 10.102))
    assert history.change(KEY, 19.998, 19.998, 15.0) == pytest.approx((9.995, 9.995))


def test_a_series_keeps_a_bounded_count_of_numbers_over_any_window():
    for window, step in [(600.0, 0.05), (86400.0, 10.0)]:
        series = Series(window)
        for count in range(20_000):
            series.add(count * step, count)
        assert 55 <= len(series._kept) <= 64


def test_rates_are_taken_over_the_interval_and_over_a_second_at_least():
    assert [History(interval).rate_window for interval in (10.0, 1.0, 0.1)] == [10.0, 1.0, 1.0]


def test_with_another_window_a_series_begins_anew():
    history = watched(range(0, 700, 10))
    history.add(KEY, 700, 5, 60.0)
    assert history.change(KEY, 701, 5, 15.0) is None


def test_what_is_gone_is_forgotten():
    history = watched([0, 10])
    history.add((ProcessId(200, 1), "cputime"), 0, 1, 10)
    history.forget(lambda key: key == KEY)
    assert len(history) == 1
