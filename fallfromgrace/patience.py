"""How long a regular expression may search in a text that somebody else has chosen, and what a search counts as that
was stopped: no match, and in `exclude` and `protect` a match, for what is not known is no reason to act.
"""

from __future__ import annotations

import re
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from math import inf
from types import FrameType

from fallfromgrace.records import replace
from fallfromgrace.rules import Config, Monitor, Searches, Selector
from fallfromgrace.table import UNREADABLE

# A search has the first, or the second where it can be put off, of the time that we spend computing: others that keep
# the machine busy stop nobody's search.
LONGEST_SECONDS = 0.05
BRIEF_SECONDS = 0.00025
# A search hears of the alarm only now and then. So it rings again and again, and tells how often it is heard.
_FIRST_RING, _RINGS = 0.005, 0.001
# Long searches of one pattern are paid from a purse that fills again slowly. While it is empty each has less time: what
# is asked in the middle of a look must not take for ever because very many ask for it to.
_PURSE_SECONDS, _FILLS_AGAIN = 0.15, 0.005
_TIRED_SECONDS = 0.001
# What takes less is not worth counting.
_NOTED_SECONDS = 0.00005
# For how many texts each pattern remembers what a long search came to.
_MOST_TEXTS = 4096
_LONGEST_SHOWN = 60
# A pattern of so few characters, none of which repeats or chooses, looks at each character of a text so often at most:
# that takes a millisecond, and the alarm is left out, which costs several times as much as most searches.
_SHORT = 40
_REPEATS_OR_CHOOSES = frozenset("*+?{|(")
# Until some 3.11 a search counts anew at each character of the text how long ago it has listened.
_DEAF = sys.version_info < (3, 12)
# They are known of the pattern, and stand at its beginning only.
_FLAGS = re.compile(r"\A\s*\(\?[aimsux]+\)")


class Unfinished(Exception):
    """A search that was to be brief was not: it is to be done later."""


class _Stopped:
    """What a search found that was stopped."""


# The second where it had but little time: it is done again when there is more.
_STOPPED, _HURRIED = _Stopped(), _Stopped()


# --- the alarm ---


class _EnoughError(BaseException):
    """The alarm, raised out of a search."""


class _Alarm:
    """SIGALRM, and the one search that it may end. It raises nothing outside of a search, however late it rings."""

    def __init__(self) -> None:
        self._ringing = False
        self._began = inf  # of the search that is under way
        self._heard, self._longest = 0.0, inf

    def install(self) -> None:
        """Be what the signal is for, whoever had it before, or had it blocked."""
        signal.signal(signal.SIGALRM, self._heed)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGALRM})

    def ring(self, first: float, then: float) -> None:
        """Ring from now on, until it is silent again."""
        if not self._ringing:
            self._ringing = True
            signal.setitimer(signal.ITIMER_REAL, first, then)

    def silence(self) -> None:
        if self._ringing:
            signal.setitimer(signal.ITIMER_REAL, 0)
            self._ringing = False

    def _heed(self, _signal: int, _frame: FrameType | None) -> None:
        """End the search if it would be too late when it hears of us the next time: after as long again."""
        now = time.thread_time()
        unheard, self._heard = now - self._heard, now
        if now - self._began + unheard > self._longest:
            self._began = inf  # once: where it is heard again on the way out, that way would be left before its end
            raise _EnoughError

    def timed(self, search: Callable[[str], object], text: str, longest: float) -> tuple[object, float]:
        """What a search finds while it rings, or that it was stopped, and how long that took.

        We may be heard at any point of the inner block, above all just after the search: what was found by then counts.
        Where `re` itself cannot go on, for want of memory or by its own bounds, that is as if it had been stopped.
        """
        found: list[object] = []
        searched = map(search, (text,))
        self._longest = longest
        self._heard = began = time.thread_time()
        try:
            try:
                self._began = began
                found.extend(searched)  # one call, which searches and keeps it: between these it would be lost
            finally:
                self._began = inf
        except (_EnoughError, MemoryError, RuntimeError):
            pass
        return found[0] if found else _STOPPED, time.thread_time() - began


_ALARM = _Alarm()


# --- patience ---


class Patience:
    """The time that searches have. `tell` is told of each pattern that was stopped, once.

    `spent` are the seconds that went into searches which were not quick, stopped or not: who asks much can see how much
    that came to. `hurried` becomes true where a search was stopped for want of time that others have used up: who asks
    can ask again later. One configuration at a time has the same patience.
    """

    def __init__(self, tell: Callable[[str], None]) -> None:
        self.tell = tell
        self.spent = 0.0
        self.hurried = False
        self._brief = False
        self._patterns: dict[object, Pattern] = {}
        _ALARM.install()

    @contextmanager
    def briefly(self) -> Iterator[None]:
        """Within it a search that takes long raises Unfinished."""
        outer, self._brief = self._brief, True
        try:
            yield
        finally:
            self._brief = outer
            if not outer:
                _ALARM.silence()

    def search(self, search: Callable[[str], object], text: str, longest: float) -> tuple[object, float]:
        """What is found, and how long that took. Raises Unfinished."""
        brief = self._brief
        longest = BRIEF_SECONDS if brief else longest
        try:
            _ALARM.ring(min(longest, _FIRST_RING), min(longest, _RINGS))
            found, seconds = _ALARM.timed(search, text, longest)
        finally:
            if not brief:
                _ALARM.silence()
        if seconds > _NOTED_SECONDS:
            self.spent += seconds
        if brief and found is _STOPPED:
            raise Unfinished
        return found, seconds

    def patterns(self) -> _Make:
        """What makes the patterns of a configuration. Those of the one before are taken over with what they know."""
        before, self._patterns = self._patterns, {}

        def make(pattern: re.Pattern[str], whose: str, undecided: bool) -> Pattern:
            key = pattern, whose, undecided
            made = before.get(key) or Pattern(pattern, self, whose, undecided=undecided)
            return self._patterns.setdefault(key, made)

        return make


class Pattern:
    """A regular expression and the patience with it; see rules.Searches.

    `undecided` is whether what cannot be known counts as found, `whose` how it is called in what is told.
    """

    def __init__(
        self, pattern: re.Pattern[str], patience: Patience, whose: str = "a pattern", *, undecided: bool = False
    ) -> None:
        self._pattern, self._search = pattern, _audible(pattern) if _DEAF else pattern.search
        self._harmless = len(pattern.pattern) <= _SHORT and not _REPEATS_OR_CHOOSES & set(pattern.pattern)
        self._patience = patience
        self._whose = whose
        self._undecided = undecided
        self._known: dict[int, object] = {}
        self._purse, self._filled_at = _PURSE_SECONDS, time.monotonic()
        self._told = False

    @property
    def pattern(self) -> str:
        return self._pattern.pattern

    @property
    def flags(self) -> int:
        return self._pattern.flags

    def __eq__(self, other: object) -> bool:
        return self._pattern == (other._pattern if isinstance(other, Pattern) else other)

    def __hash__(self) -> int:
        return hash(self._pattern)

    def __repr__(self) -> str:
        return f"Pattern({self._pattern!r}, undecided={self._undecided})"

    def search(self, string: str, /) -> object:
        """Something true if it is found, None if not; the reason where that is not known. Raises Unfinished."""
        if string == UNREADABLE:
            return self._unknown("its command line cannot be read")
        if self._harmless:
            return self._search(string)
        longest = LONGEST_SECONDS if self._purse == _PURSE_SECONDS else self._affordable()
        if self._known and (key := hash(string)) in self._known:
            known = self._known[key]
            if known is not _HURRIED or longest < LONGEST_SECONDS:
                return self._answer(known)
        found, seconds = self._patience.search(self._search, string, longest)
        if found is _STOPPED or seconds > BRIEF_SECONDS:
            self._note(string, found, seconds, longest)
        return self._answer(_HURRIED if found is _STOPPED and longest < LONGEST_SECONDS else found)

    def stopped(self, text: str) -> bool:
        """Whether a search in this text was stopped."""
        return isinstance(self._known.get(hash(text)), _Stopped)

    def _answer(self, found: object) -> object:
        if found is _HURRIED:
            self._patience.hurried = True
        return self._unknown("a search took too long") if isinstance(found, _Stopped) else found

    def _unknown(self, why: str) -> str | None:
        return why if self._undecided else None

    def _affordable(self) -> float:
        now = time.monotonic()
        self._purse = min(_PURSE_SECONDS, self._purse + _FILLS_AGAIN * (now - self._filled_at))
        self._filled_at = now
        return LONGEST_SECONDS if self._purse > 0 else _TIRED_SECONDS

    def _note(self, text: str, found: object, seconds: float, longest: float) -> None:
        """Pay for what took long, and remember what it came to."""
        hurried = longest < LONGEST_SECONDS
        if not hurried:
            self._affordable()
            self._purse -= seconds
        if seconds > BRIEF_SECONDS:
            if len(self._known) >= _MOST_TEXTS:
                del self._known[next(iter(self._known))]
            stopped = _HURRIED if hurried else _STOPPED
            self._known[hash(text)] = stopped if found is _STOPPED else bool(found) or None
        if found is _STOPPED and not self._told:
            self._told = True
            self._patience.tell(self._complaint(text, seconds))

    def _complaint(self, text: str, seconds: float) -> str:
        counts = "a match" if self._undecided else "no match"
        stopped = f"the search for {_shown(self.pattern)} was stopped after {seconds * 1000:.0f} ms"
        where = f"in a text that begins with {_shown(text)}; where it takes so long it counts as {counts}"
        cure = "write a simpler one, which `fall-from-grace check` does not warn about"
        return f"{self._whose}: {stopped}, {where}; {cure}"


def _audible(pattern: re.Pattern[str]) -> Callable[[str], object]:
    """A search as a single match, which hears the alarm as often as one does."""
    import warnings

    end = "\n" if pattern.flags & re.VERBOSE else ""  # of a comment
    whole = f"(?s:.*?)(?:{_FLAGS.sub('', pattern.pattern)}{end})"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about flags that are somewhere else
        return re.compile(whole, pattern.flags & ~re.DEBUG).match


def _shown(text: str) -> str:
    return f"'{text[:_LONGEST_SHOWN]}...'" if len(text) > _LONGEST_SHOWN else f"'{text}'"


# --- a configuration ---

_Make = Callable[[re.Pattern[str], str, bool], Pattern]


def limited(config: Config, patience: Patience) -> Config:
    """The same configuration, its searches limited."""
    make = patience.patterns()
    protect = tuple(_selector(each, "protect", make, undecided=True) for each in config.settings.protect)
    monitors = tuple(_monitor(each, make) for each in config.monitors)
    return replace(config, settings=replace(config.settings, protect=protect), monitors=monitors)


def _monitor(monitor: Monitor, make: _Make) -> Monitor:
    whose = f"monitor '{monitor.name}'"
    exclude = _pattern(monitor.exclude, f"exclude of {whose}", make, undecided=True)
    return replace(monitor, selector=_selector(monitor.selector, whose, make, undecided=False), exclude=exclude)


def _selector(selector: Selector, whose: str, make: _Make, *, undecided: bool) -> Selector:
    cmdline = _pattern(selector.cmdline, f"cmdline of {whose}", make, undecided=undecided)
    return replace(selector, cmdline=cmdline, exe=_pattern(selector.exe, f"exe of {whose}", make, undecided=undecided))


def _pattern(pattern: Searches | None, whose: str, make: _Make, *, undecided: bool) -> Searches | None:
    return make(pattern, whose, undecided) if isinstance(pattern, re.Pattern) else pattern
