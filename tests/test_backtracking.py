import re
import signal
import threading
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fallfromgrace.backtracking import LONGEST, attack


def slowness(regex, text):
    """The CPU seconds of the fastest of three searches."""
    pattern, taken = re.compile(regex), []
    for _ in range(3):
        start = time.thread_time()
        pattern.search(text)
        taken.append(time.thread_time() - start)
    return min(taken)


class Searched:
    """A regex whose searches are done by a function that gets their text and number."""

    flags = re.UNICODE

    def __init__(self, searching=lambda text, number: None, regex="a+b"):
        self.pattern, self._searching = regex, searching
        self.texts = []

    def search(self, text):
        self.texts.append(text)
        self._searching(text, len(self.texts))


def busy(seconds):
    end = time.thread_time() + seconds
    while time.thread_time() < end:
        pass


EXPONENTIAL = [
    r"(a+)+$", r"(a|a)*b", r"(\w+\s?)*$", r"^(([a-z])+.)+[A-Z]([a-z])+$", r"(x+x+)+y", r"^x(a|aa)+$", r"(.+)+x",
    r"(?s)(.+)+x", r"(foo|f.o)+bar", r"(a|b|ab)*c", r"^--name=(\w+,?)+;", r"(?i)(A+)+$", r"(a+)+?b",
    r"/(\S+/)*\S+\.jar$", r"(?=(a+)+$)x", r"(?!(a+)+$)y", r"x|(a+)+$", r"([^,]|\w)*;", r"^(?:a?b?c?)*!",
    r"(a*b*)*c", r"(.+)+$", r"(?m)^(a+)+$", r"^(a+)+[^a]", r"^([a-z]+[^a-y])+1$", r"^(a+)+\b",
    r"^.{2000}(a+)+$", r"(?:a?){30}a{30}", r"^(ab)\1(c+)+$", r"(b.)+.$",
]  # fmt: skip
POWERS = [
    r".*foo.*bar$", r"java .*-jar .*tomcat", r"(.*a){20}", r"(.*a){12}", r"(.*,){12}x", r"\w+\w+\w+!", r"^.*.*.*=",
    r"(.*)\1x",
]  # fmt: skip


@pytest.mark.parametrize("regex", EXPONENTIAL + POWERS)
def test_a_regex_that_backtracks_badly_is_attacked(regex):
    text = attack(re.compile(regex), 0.01)
    assert text is not None
    assert len(text) <= LONGEST


# Their time grows with the square of the length: some pass the usual limit and some do not, which is for the machine to
# say. Each with limits from which it is far on every one.
SQUARES = [
    (r".*foo", 0.01, 10), (r"(?:foo|bar)+baz", 0.01, 5), (r"\s+$", 0.01, 10), (r"[a-z]+ --port=\d+", 0.02, 5),
    (r"(?m)^\s*foo", 0.005, 10), (r"python3? .*manage\.py", 0.001, 1), (r"xulrunner-bin .*conkeror", 0.001, 1),
]  # fmt: skip


@pytest.mark.alone
@pytest.mark.parametrize(("regex", "exceeded", "kept"), SQUARES)
def test_the_limit_decides_and_the_attack_does_what_it_says(regex, exceeded, kept):
    # What it may spend is in proportion to the limit, and of so short a one noise may take all.
    text = next(filter(None, (attack(re.compile(regex), exceeded) for _ in range(5))), None)
    assert text is not None
    assert slowness(regex, text) > exceeded / 2
    assert attack(re.compile(regex), kept) is None


INNOCENT = [
    r"^/usr/bin/foo", r"firefox", r"^/opt/google/chrome/chrome", r"", r".", r".*", r"^\S+/backup( |$)",
    r"(?i)chrome|chromium", r"a{3}", r"\bworker\b", r"^(\S+\s*)+$", r"^\S*/java .*tomcat", r"^(/usr)?/s?bin/\w+d( |$)",
    r"nginx: worker process \S+$", r"\d+", r"(?=)(?!)", r"(?P<x>a)?b(?(x)c|d)", r"(a)\1", r"[^\W\d]x", r"\x00+a",
]  # fmt: skip


@pytest.mark.parametrize("regex", INNOCENT)
def test_an_innocent_regex_is_not_attacked_and_costs_little(regex):
    start = time.thread_time()
    assert attack(re.compile(regex)) is None
    assert time.thread_time() - start < 0.25


@pytest.mark.parametrize(
    "regex",
    ["(" * 80 + "a" + ")+" * 80, "(" * 350 + "a" + ")" * 350, "".join(f"(a{n}|b+)*" for n in range(90)), "x" * 20000],
)
def test_a_huge_regex_takes_no_long_time(regex):
    start = time.thread_time()
    attack(re.compile(regex))
    assert time.thread_time() - start < 3


TRIED = [
    (r"a .*bc .*de", "(?s)(a ){9,}(bc ){9,}d{9,}.*"),
    (r"^a .*bc .*de", "(?s)a (bc ){9,}d{9,}.*"),
    (r"ab\S+c", "(ab!){9,}"),
    (r"^(.*a){5}", "(!{9,}a){4}"),
]


@pytest.mark.parametrize(("regex", "tried"), TRIED)
def test_each_part_keeps_those_before_it_busy(regex, tried):
    pattern = Searched(regex=regex)
    attack(pattern)
    assert [text for text in pattern.texts if re.fullmatch(tried, text)]


def test_what_was_said_when_a_regex_was_compiled_is_not_said_again(capsys):
    with pytest.warns(FutureWarning, match="nested set"):
        pattern = re.compile("[[a]+b", re.DEBUG)
    capsys.readouterr()
    attack(pattern)
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize("regex", [r"(\0+)+a", r"(\s+)+x", r" +x", r"(.+)+x", r"^.{9000}(a+)+b"])
def test_what_is_tried_can_be_a_command_line(regex):
    pattern = Searched(regex=regex)
    attack(pattern)
    assert pattern.texts
    assert not [text for text in pattern.texts if "\0" in text or text != text.rstrip() or len(text) > LONGEST]


# --- how it is measured -----------------------------------------------------------------------------------------


def forever(*_):
    while True:
        pass


def test_a_search_without_end_is_ended():
    assert attack(Searched(forever), 0.01) is not None


def test_a_blocked_alarm_is_heard_all_the_same():
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGALRM})
    try:
        start = time.thread_time()
        assert attack(Searched(lambda text, number: busy(1)), 0.01)
        assert time.thread_time() - start < 1
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def test_waiting_is_not_what_is_measured():
    assert attack(Searched(lambda text, number: time.sleep(0.004)), 0.003) is None


@pytest.mark.parametrize(("taken", "attacked"), [(0.06, True), (0.03, False)])
def test_the_usual_limit_is_a_twentieth_of_a_second(taken, attacked):
    pattern = Searched(lambda text, number: busy(taken) if number <= 3 else None)
    assert (attack(pattern) is not None) is attacked


def test_what_was_slow_once_or_twice_was_the_machine():
    assert attack(Searched(lambda text, number: busy(0.004) if number <= 2 else None), 0.002) is None


def test_what_is_slow_three_times_is_an_attack_with_that_text():
    pattern = Searched(lambda text, number: busy(0.004) if len(text) > 1000 else busy(len(text) * 1e-7))
    text = attack(pattern, 0.002)
    assert len(text) > 1000
    assert pattern.texts[-3:] == [text] * 3


# --- what is not tried ------------------------------------------------------------------------------------------

MANY_SHAPES = "a+b+c+d+e+f+g+h+i+j+k"


def test_no_more_is_spent_than_ten_times_the_limit_and_the_search_that_exceeds_it():
    pattern = Searched(lambda text, number: busy(0.009), MANY_SHAPES)
    start = time.thread_time()
    assert attack(pattern, 0.01) is None
    assert time.thread_time() - start < 0.15


def test_what_is_not_suspicious_leaves_half_of_that_to_long_texts():
    pattern = Searched(lambda text, number: busy(0.00015 if len(text) < 1000 else 0.02), MANY_SHAPES)
    assert attack(pattern, 0.01) is not None


def test_what_is_much_too_fast_is_not_tried_at_length():
    pattern = Searched()
    assert attack(pattern, 1) is None
    assert 500 < max(map(len, pattern.texts)) < 2000


def test_what_takes_the_same_time_however_long_it_is_is_not_tried_at_length():
    pattern = Searched(lambda text, number: busy(0.004))
    assert attack(pattern, 0.05) is None
    assert max(map(len, pattern.texts)) < 100
    assert len(set(pattern.texts)) == len(pattern.texts)


def test_an_alarm_after_the_result_is_not_heard():
    def searching(text, number):
        handlers.append(signal.getsignal(signal.SIGALRM))

    handlers = []
    attack(Searched(searching))
    assert handlers[0](signal.SIGALRM, None) is None


@pytest.mark.parametrize(("taken", "attacked"), [(0, False), (0.02, True)])
def test_an_alarm_that_comes_early_neither_ends_a_search_nor_proves_anything(taken, attacked):
    def searching(text, number):
        signal.raise_signal(signal.SIGALRM)
        busy(taken)

    assert (attack(Searched(searching), 0.01) is not None) is attacked


def test_an_alarm_that_came_early_comes_again():
    def searching(text, number):
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.raise_signal(signal.SIGALRM)
        busy(1)

    start = time.thread_time()
    assert attack(Searched(searching), 0.01) is not None
    assert time.thread_time() - start < 1


# --- what it leaves behind --------------------------------------------------------------------------------------


@pytest.fixture
def of_somebody_else():
    """A handler and a running timer, which nobody may change."""

    def handler(*_):
        handler.heard = True

    handler.heard = False

    before = signal.signal(signal.SIGALRM, handler)
    signal.setitimer(signal.ITIMER_REAL, 1000, 500)
    yield handler
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, before)


def interrupted(*_):
    raise KeyboardInterrupt


@pytest.mark.parametrize(
    ("pattern", "raised"),
    [
        (re.compile("firefox"), None),
        (re.compile("a.*b"), None),
        (re.compile("(a+)+$"), None),
        (Searched(interrupted), KeyboardInterrupt),
    ],
)
def test_handler_timer_and_mask_are_as_they_were(of_somebody_else, pattern, raised):
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGALRM})
    try:
        if raised:
            with pytest.raises(raised):
                attack(pattern, 0.01)
        else:
            attack(pattern, 0.01)
        assert signal.SIGALRM in signal.pthread_sigmask(signal.SIG_BLOCK, ())
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    left, interval = signal.getitimer(signal.ITIMER_REAL)
    assert 990 < left <= 1001
    assert interval == 500
    assert signal.getsignal(signal.SIGALRM) is of_somebody_else


def test_the_timer_of_somebody_else_goes_on_meanwhile(of_somebody_else):
    before = signal.getitimer(signal.ITIMER_REAL)[0]
    attack(Searched(lambda text, number: time.sleep(0.2) if number == 1 else None))
    assert 0.2 <= before - signal.getitimer(signal.ITIMER_REAL)[0] < 100


def test_what_was_due_meanwhile_is_done_afterwards(of_somebody_else):
    signal.setitimer(signal.ITIMER_REAL, 0.01)
    attack(Searched(lambda text, number: time.sleep(0.1) if number == 1 else None))
    deadline = time.monotonic() + 10
    while not of_somebody_else.heard and time.monotonic() < deadline:
        time.sleep(0.01)
    assert of_somebody_else.heard


def test_no_timer_is_left_where_none_was():
    before = signal.signal(signal.SIGALRM, signal.SIG_DFL)
    attack(re.compile("(a+)+$"), 0.01)
    assert signal.getitimer(signal.ITIMER_REAL) == (0, 0)
    assert signal.signal(signal.SIGALRM, before) is signal.SIG_DFL


def test_outside_the_main_thread_it_is_an_error():
    def attacking():
        with pytest.raises(ValueError, match="main thread"):
            attack(re.compile("(a+)+$"))
        raised.append(True)

    raised = []
    thread = threading.Thread(target=attacking)
    thread.start()
    thread.join()
    assert raised


# --- anything ---------------------------------------------------------------------------------------------------

PIECES = [
    "a", "b", ".", r"\w", r"\s", r"\D", r"[^a\s]", "[a-c-]", "foo", "^", "$", r"\b", "(?i:A)", "(?=a+)", "(?!b*)",
    "(?<=a)", r"(a|ab)", "(?:|b)", "é", r"\n", r"(?:(x)?(?(1)y|z))",
]  # fmt: skip
REPEATS = ["", "", "*", "+", "?", "*?", "{2,}", "{3}", "{0,40}"]

REGEXES = st.recursive(
    st.builds(str.__add__, st.sampled_from([piece for piece in PIECES if piece not in "^$"]), st.sampled_from(REPEATS))
    | st.sampled_from(PIECES),
    lambda inner: st.builds(
        lambda inside, between, repeat: f"(?:{between.join(inside)}){repeat}",
        st.lists(inner, min_size=1, max_size=3),
        st.sampled_from(["", "|"]),
        st.sampled_from(REPEATS),
    ),
    max_leaves=8,
)


@settings(max_examples=30, deadline=None)
@given(regex=REGEXES)
def test_any_regex_has_an_answer_in_bounded_time(regex):
    try:
        pattern = re.compile(regex)
    except re.error:
        return
    start = time.thread_time()
    text = attack(pattern, 0.01)
    assert time.thread_time() - start < 1
    assert text is None or (len(text) <= LONGEST and text == text.rstrip())
