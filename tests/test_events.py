import pytest

from fallfromgrace.connector import Batch, Unavailable
from fallfromgrace.events import WAKE, Events

QUIET, LOST = Batch(set(), set(), False), Batch(set(), set(), True)


class Feed:
    """Batches that a test has made up, then quiet ones; an exception is raised."""

    def __init__(self, *batches):
        self.batches, self.closed = list(batches), False

    def drain(self):
        batch = self.batches.pop(0) if self.batches else QUIET
        if isinstance(batch, Exception):
            raise batch
        return batch

    def close(self):
        self.closed = True


def events(*feeds):
    """Events, and what they have told."""
    told, offered = [], list(feeds)

    def connect():
        feed = offered.pop(0)
        if isinstance(feed, Exception):
            raise feed
        return feed

    made = Events(told.append, connect)
    return made, told


def test_what_happens_is_passed_on():
    batch = Batch({1}, {2}, False)
    made, told = events(Feed(batch))
    made.use(True)
    assert made.wakes == {WAKE}
    assert made.complete
    assert [made.drain(0), made.drain(1)] == [batch, QUIET]
    assert told == []


def test_who_does_not_want_any_subscribes_to_nothing():
    made, told = events()
    made.use(False)
    assert (made.wakes, made.complete, made.drain(0), told) == (set(), False, QUIET, [])


def test_a_subscription_lasts_until_it_is_not_wanted_any_more():
    feed = Feed()
    made, _ = events(feed)
    made.use(True)
    made.use(True)
    assert not feed.closed
    made.use(False)
    assert feed.closed
    assert (made.wakes, made.complete) == (set(), False)


def test_where_there_are_none_is_said_once_and_why():
    made, told = events(Unavailable("only root may"), Unavailable("only root may"), Unavailable("not here"), Feed())
    for _ in range(2):
        made.use(True)
        assert (made.wakes, made.complete) == (set(), False)
    assert told == ["only root may; new processes are noticed within a second rather than at once"]
    made.use(True)
    assert len(told) == 2
    assert told[1].startswith("not here")
    made.use(True)
    assert made.complete


def test_what_ends_by_itself_is_said_and_everybody_is_to_be_read_anew():
    feed = Feed(QUIET, OSError(5, "Input/output error"))
    made, told = events(feed)
    made.use(True)
    made.drain(0), made.caught_up(0)
    assert made.drain(7).lost
    assert feed.closed
    assert (made.wakes, made.complete, made.overdue(7)) == (set(), False, True)
    assert told == [
        "process events have ended (Input/output error); "
        "new processes are noticed within a second rather than at once"
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("lost", "anew", "incomplete", "messages"),
    [
        ([20], [20], (20, 25), 2),
        ([20, 21, 22, 23, 24], [20, 25], (20, 29), 2),
        ([20, 23], [20, 25], (20, 28), 2),  # one storm, one message
        ([1], [5], (1, 6), 2),  # everybody was read when we started
        ([20, 40], [20, 40], (20, 25), 4),
    ],
)
def test_while_events_are_lost_everybody_is_read_anew_every_five_seconds(lost, anew, incomplete, messages):
    made, told = events(Feed(*(LOST if now in lost else QUIET for now in range(60))))
    made.use(True)
    read, complete = [], []
    for now in range(60):
        made.drain(now)
        complete.append(made.complete)
        if now == 0 or made.overdue(now):
            read.append(now)
            made.caught_up(now)
    assert read[1:] == anew
    begin, end = incomplete
    assert complete[: end + 1] == [True] * begin + [False] * (end - begin) + [True]
    assert len(told) == messages
    assert told[0].startswith("the kernel had more process events than it could keep")
    assert told[-1] == "process events are complete again: new processes are noticed at once"
