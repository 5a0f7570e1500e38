import os
import pickle
import re
import signal
import time
from contextlib import nullcontext, suppress

import pytest

from fallfromgrace import patience
from fallfromgrace.adoption import Rulebook
from fallfromgrace.patience import Patience, Pattern, Unfinished, limited
from fallfromgrace.rules import Selector
from fallfromgrace.table import UNREADABLE, Image
from tests.builders import config, monitor

BAD = r"(a+)+$"
NOTHING = {"rmem > 1g": "term"}


@pytest.fixture(autouse=True)
def no_alarm_is_left():
    handler = signal.getsignal(signal.SIGALRM)
    yield
    assert signal.getitimer(signal.ITIMER_REAL) == (0, 0)
    signal.signal(signal.SIGALRM, handler)


@pytest.fixture
def told():
    return []


@pytest.fixture
def patient(told):
    return Patience(told.append)


def explode(number=0):
    """A text on which BAD would search for hours, another one for each number."""
    return "a" * (40 + number) + "!"


def seconds(call):
    """The result, or the error, and the CPU time that it took."""
    began = time.thread_time()
    try:
        result = call()
    except Unfinished as error:
        result = type(error)
    return result, time.thread_time() - began


# --- a search ---


@pytest.mark.alone  # in microseconds
@pytest.mark.parametrize(
    ("pattern", "text", "found"),
    [("fire.*fox", "/usr/bin/firefox", True), ("^fire.*fox", "/usr/bin/firefox", False), ("fox$", "firefox", True)],
)
@pytest.mark.parametrize("undecided", [True, False])
def test_a_search_finds_what_it_would_without_a_limit(pattern, text, found, undecided, patient, told):
    limited_pattern = Pattern(re.compile(pattern), patient, undecided=undecided)

    def spent():
        before = patient.spent
        assert bool(limited_pattern.search(text)) is found
        with patient.briefly():
            assert bool(limited_pattern.search(text)) is found
        return patient.spent - before

    assert 0 in [spent() for _ in range(5)]  # the kernel may have something to do in the middle of one
    assert told == []


@pytest.mark.parametrize("briefly", [True, False])
def test_what_a_search_has_found_counts_however_long_it_took(briefly, patient):
    """`sorted` hears no alarm before its end, as no search in a short text does; then it is heard at once."""
    text = "ba" * 500_000
    with patient.briefly() if briefly else nullcontext():
        found, took = patient.search(sorted, text, 0.001)
    assert len(found) == len(text)
    assert took > 0.001


@pytest.mark.parametrize(("undecided", "found"), [(False, None), (True, "a search took too long")])
def test_a_search_that_takes_too_long_is_stopped_and_counts_as_undecided(undecided, found, patient):
    pattern = Pattern(re.compile(BAD), patient, undecided=undecided)
    result, took = seconds(lambda: pattern.search(explode()))
    assert result == found
    assert 0.02 < took < 0.06
    assert patient.spent == pytest.approx(took, abs=0.005)


def test_it_is_remembered_for_that_text_and_no_other(patient):
    pattern = Pattern(re.compile(BAD), patient)
    pattern.search(explode())
    assert (pattern.stopped(explode()), pattern.stopped("b")) == (True, False)
    result, took = seconds(lambda: pattern.search(explode()))
    assert (result, took < 0.001) == (None, True)
    assert pattern.search("aaa")


def test_a_long_search_that_was_done_is_remembered_too(patient):
    counted = []
    slow = Pattern(re.compile("x+"), patient)
    slow._search = lambda text: counted.append(text) or _busy(0.005, text == "yes")
    for _ in range(3):
        assert (bool(slow.search("yes")), bool(slow.search("no"))) == (True, False)
    assert counted == ["yes", "no"]
    assert patient.spent == pytest.approx(0.010, abs=0.005)  # who makes others wait counts, stopped or not


def test_only_so_many_texts_are_remembered_the_oldest_goes_first(patient, monkeypatch):
    monkeypatch.setattr(patience, "_MOST_TEXTS", 2)
    pattern = Pattern(re.compile(BAD), patient)
    for number in range(3):
        pattern.search(explode(number))
    assert [pattern.stopped(explode(number)) for number in range(3)] == [False, True, True]


def _busy(cpu, result=None):
    until = time.thread_time() + cpu
    while time.thread_time() < until:
        pass
    return result


def test_others_that_keep_the_machine_busy_stop_nobodys_search(patient, told):
    """Only what we compute counts, however long it takes."""
    pattern = Pattern(re.compile("x+"), patient)
    pattern._search = lambda text: time.sleep(0.2) or True
    assert pattern.search("x")
    assert not told


@pytest.mark.parametrize("error", [RecursionError, MemoryError, RuntimeError("internal error")])
def test_where_re_cannot_go_on_that_is_as_if_it_had_been_stopped(error, patient, told):
    def search(text):
        raise error

    pattern = Pattern(re.compile("x+"), patient, undecided=True)
    pattern._search = search
    assert pattern.search("x") == pattern.search("x") == "a search took too long"
    with patient.briefly(), pytest.raises(Unfinished):
        pattern.search("y")  # the other may have taken so long that it is remembered
    assert len(told) == 1


def test_a_pattern_that_cannot_take_long_is_not_timed(patient, monkeypatch):
    monkeypatch.setattr(patient, "search", lambda *_: pytest.fail("it was timed"))
    for harmless in ("^/usr/sbin/sshd$", r"\bfirefox", "a[bc]d", "x" * 40):
        assert Pattern(re.compile(harmless), patient).search("no such text") is None
    for harmful in ("a+", "a*", "a?", "a{3}", "a|b", "(a)", "x" * 41):
        with pytest.raises(pytest.fail.Exception):
            Pattern(re.compile(harmful), patient).search("a")


@pytest.mark.parametrize(
    "regex",
    [
        "fox",
        "^fox",
        "fox$",
        "(?i)FOX",
        "(?x) f o x # a comment",
        r"(.)(.)\1\2",
        r"(?<=i)r",
        "a|f",
        "^$",
        "(?m)^b",
        "",
        "(?i:R)e",
    ],
)
@pytest.mark.parametrize("text", ["", "fox", "firefox", "foxy", "abab", "a\nb", "\nfire"])
def test_a_search_that_has_to_be_one_match_finds_the_same(regex, text):
    pattern = re.compile(regex)
    assert bool(patience._audible(pattern)(text)) is bool(pattern.search(text))


@pytest.mark.parametrize("regex", [r"\w*\w*!", r".*.*x", r"[^\W\d_]*[^\W\d_]*;"])
@pytest.mark.parametrize("length", [2000, 4000, 8192])
def test_a_search_that_begins_anew_at_each_character_is_stopped_too(regex, length, patient):
    """Python 3.10 hears of nothing while it does, for minutes."""
    result, took = seconds(lambda: Pattern(re.compile(regex), patient).search("a" * length))
    assert result is None
    assert took < 0.5  # `re` hears seldom where each step looks at the whole text


# --- briefly ---


def test_briefly_a_long_search_is_put_off_and_not_remembered(patient, told):
    pattern = Pattern(re.compile(BAD), patient)

    def briefly():
        with patient.briefly():
            return pattern.search(explode())

    for _ in range(2):
        result, took = seconds(briefly)
        assert result is Unfinished
        assert took < 0.01
    assert not pattern.stopped(explode())
    assert not told
    assert 0 < patient.spent < 0.01


def test_briefly_within_briefly_is_brief_and_afterwards_it_is_not(patient):
    pattern = Pattern(re.compile(BAD), patient)
    with patient.briefly():
        with pytest.raises(Unfinished), patient.briefly():
            pattern.search(explode())
        with pytest.raises(Unfinished):
            pattern.search(explode())
    assert pattern.search(explode()) is None


def test_what_is_remembered_is_not_put_off(patient):
    pattern = Pattern(re.compile(BAD), patient)
    pattern.search(explode())
    with patient.briefly():
        assert pattern.search(explode()) is None


def test_several_searches_share_one_alarm_and_each_has_its_own_time(patient):
    pattern = Pattern(re.compile("x+"), patient)
    pattern._search = lambda text: _busy(0.00002, True)
    finished = 0
    for number in range(200):
        with suppress(Unfinished), patient.briefly():  # the machine itself may hiccup once or twice
            finished += bool(pattern.search(str(number)))
    assert finished > 190


# --- a pattern that is under attack ---


def test_after_some_long_searches_a_pattern_has_less_time_for_each(patient):
    pattern = Pattern(re.compile(BAD), patient)
    _, took = seconds(lambda: [pattern.search(explode(number)) for number in range(200)])
    assert took < 0.8
    assert all(pattern.stopped(explode(number)) for number in range(150))


def test_other_patterns_keep_theirs(patient):
    attacked, other = Pattern(re.compile(BAD), patient), Pattern(re.compile("x+"), patient)
    for number in range(20):
        attacked.search(explode(number))
    other._search = lambda text: _busy(0.02, True)
    assert other.search("x")


def test_and_so_does_the_same_one_after_a_while(patient, monkeypatch):
    pattern = Pattern(re.compile(BAD), patient)
    for number in range(20):
        pattern.search(explode(number))
    now = time.monotonic()
    monkeypatch.setattr(patience.time, "monotonic", lambda: now + 60)
    pattern._search = lambda text: _busy(0.02, True)
    assert pattern.search("x")
    assert pattern.search(explode(19))  # which had been stopped in a hurry
    assert not pattern.search(explode(0))


# --- the alarm ---


def test_an_alarm_outside_of_a_search_does_nothing(patient):
    os.kill(os.getpid(), signal.SIGALRM)
    with patient.briefly():
        os.kill(os.getpid(), signal.SIGALRM)
    signal.raise_signal(signal.SIGALRM)


def test_an_alarm_that_comes_too_soon_ends_no_search(patient):
    pattern = Pattern(re.compile("x+"), patient)
    pattern._search = lambda text: signal.raise_signal(signal.SIGALRM) or True
    assert pattern.search("x")


def test_an_alarm_just_as_the_search_ends_leaks_no_error_and_loses_no_result(patient):
    """Searches that take about as long as they may: each is found or put off, whenever it rings."""
    pattern = Pattern(re.compile("x*x*y|.*z"), patient)
    came_to = {True: 0, False: 0}
    until, number = time.monotonic() + 1.0, 0
    while time.monotonic() < until:
        number += 1
        try:
            with patient.briefly():
                assert pattern.search(f"{'x' * (20 * number % 6000)}{number}z")
            came_to[True] += 1
        except Unfinished:
            came_to[False] += 1
    assert min(came_to.values()) > 10, came_to


def test_who_had_the_alarm_before_or_blocked_it_does_not_keep_it_from_us(told):
    signal.signal(signal.SIGALRM, signal.SIG_IGN)
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGALRM})
    try:
        assert Pattern(re.compile(BAD), Patience(told.append)).search(explode()) is None
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def test_one_who_has_patience_does_not_take_it_from_another(told):
    first = Patience(told.append)
    Patience(told.append)
    assert Pattern(re.compile(BAD), first).search(explode()) is None


# --- what is told ---


@pytest.mark.parametrize(("undecided", "counts"), [(False, "it counts as no match;"), (True, "it counts as a match;")])
def test_it_is_told_once_whose_pattern_it_is_and_what_that_means(undecided, counts, patient, told):
    pattern = Pattern(re.compile(f"{BAD}|" + "x" * 100), patient, "cmdline of monitor 'hogs'", undecided=undecided)
    for number in range(3):
        pattern.search(explode(number) * 20)
    [line] = told
    assert line.startswith("cmdline of monitor 'hogs': the search for '(a+)+$|xxxxx")
    assert re.search(r"x\.\.\.' was stopped after \d\d ms, in a text that begins with 'aaa[^']*\.\.\.'; ", line)
    assert counts in line
    assert "write a simpler one" in line
    assert len(line) < 450


# --- the same as a regular expression ---


def test_patterns_are_the_same_if_the_regular_expressions_are(patient, told):
    same = [Pattern(re.compile("a+"), each) for each in (patient, Patience(told.append))]
    assert same[0] == same[1] == re.compile("a+") == same[0]
    assert hash(same[0]) == hash(same[1]) == hash(re.compile("a+"))
    assert same[0] != Pattern(re.compile("(?i)a+"), patient)
    assert same[0] != "a+"
    assert (same[0].pattern, same[0].flags) == ("a+", re.compile("a+").flags)
    assert repr(same[0]) == "Pattern(re.compile('a+'), undecided=False)"


def test_a_command_line_that_cannot_be_read_is_not_searched(patient):
    for regex in (".*", "^.$", "fox", "\0"):
        assert Pattern(re.compile(regex), patient).search(UNREADABLE) is None
        guard = Pattern(re.compile(regex), patient, undecided=True)
        assert guard.search(UNREADABLE) == "its command line cannot be read"


# --- a configuration ---


def whole():
    return config(
        monitor(NOTHING, "hogs", BAD, exe="^/usr/(a+)+$", exclude=f"x{BAD}", final=True),
        monitor(NOTHING, "users", None, uids=[1000]),
        protect=[Selector(re.compile(f"p{BAD}"), re.compile(f"q{BAD}"))],
    )


def test_a_configuration_is_the_same_with_every_search_limited(patient):
    found = limited(whole(), patient)
    assert found == whole()
    hogs, users = found.monitors
    [protect] = found.settings.protect
    limited_ones = [hogs.selector.cmdline, hogs.selector.exe, hogs.exclude, protect.cmdline, protect.exe]
    assert [each._undecided for each in limited_ones] == [False, False, True, True, True]
    assert [each._whose for each in limited_ones] == [
        "cmdline of monitor 'hogs'", "exe of monitor 'hogs'", "exclude of monitor 'hogs'", "cmdline of protect",
        "exe of protect",
    ]  # fmt: skip
    assert (users.selector.cmdline, users.exclude) == (None, None)
    assert limited(found, patient) == found  # what is limited already stays so


def test_after_a_reload_what_has_not_changed_is_not_tried_or_told_again(patient, told):
    first, then = (limited(pickle.loads(pickle.dumps(whole())), patient) for _ in range(2))
    first.monitors[0].selector.cmdline.search(explode())
    pattern = then.monitors[0].selector.cmdline
    assert pattern.stopped(explode())
    assert len(told) == 1
    key = ("hogs", then.monitors[0].rules[0].key)
    assert not Rulebook(then).differs_from(Rulebook(first), key)
    other = limited(config(monitor(NOTHING, "hogs", "b+")), patient)
    assert Rulebook(other).differs_from(Rulebook(first), key)
    assert not limited(whole(), patient).monitors[0].selector.cmdline.stopped(explode())  # it was gone meanwhile


def test_what_is_stopped_is_selected_by_nobody_and_left_out_and_protected(patient):
    hogs = limited(config(monitor(NOTHING, "hogs", BAD)), patient).monitors[0]
    assert not hogs.selects(Image(explode(), 0))
    others = limited(config(monitor(NOTHING, "others", "a", exclude=BAD)), patient).monitors[0]
    assert others.excludes(Image(explode(), 0)) == "it may be excluded: a search took too long"
    assert not others.selects(Image(explode(), 0))
    settings = limited(config(protect=[Selector(re.compile(BAD))]), patient).settings
    assert settings.protects(Image(explode(), 0)) == "it may be protected: a search took too long"


def test_the_alarm_ends_a_search_once_however_often_it_rings_on_the_way_out():
    alarm = patience._ALARM
    alarm._began, alarm._heard, alarm._longest = time.thread_time() - 1, 0.0, 0.05
    with pytest.raises(patience._EnoughError):
        alarm._heed(signal.SIGALRM, None)
    alarm._heed(signal.SIGALRM, None)
