"""What a user can get wrong, said so that they can put it right."""

from __future__ import annotations

from collections.abc import Iterable

from fallfromgrace.records import dataclass


@dataclass(frozen=True, slots=True, order=True)
class Problem:
    """One fault in one configuration file.

    `line` and `column` count from 1; 0 means the file as a whole. `source` is the faulty line, `width` how many
    of its characters the fault covers.
    """

    path: str
    line: int
    column: int
    text: str
    source: str = ""
    width: int = 1

    @property
    def headline(self) -> str:
        """The place and what is wrong, in one line."""
        return f"{self.path}:{self.line}:{self.column}: {self.text}" if self.line else f"{self.path}: {self.text}"

    def __str__(self) -> str:
        head = self.headline
        if not self.source:
            return head
        shown = "".join(c if c.isprintable() else "?" for c in self.source)
        return f"{head}\n    {shown}\n    {' ' * (self.column - 1)}{'^' * max(1, self.width)}"


class ConfigError(Exception):
    """A configuration that is not used, with everything that is wrong with it."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(sorted(problems))
        super().__init__("\n".join(map(str, self.problems)))


class RuleSyntaxError(Exception):
    """A trigger or an action that is not in the language; `start` and `end` count characters from 0."""

    def __init__(self, text: str, start: int = 0, end: int | None = None) -> None:
        super().__init__(text)
        self.text = text
        self.start = start
        self.end = start + 1 if end is None else end


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """`; did you mean 'x'?` for the nearest known word, or nothing."""
    import difflib  # a running daemon guesses nothing

    by_letters = {each.lower(): each for each in known}
    near = difflib.get_close_matches(word.lower(), list(by_letters), n=1)
    return f"; did you mean '{by_letters[near[0]]}'?" if near else ""
