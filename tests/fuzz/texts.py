"""Texts for the language and for configuration files, from nonsense to valid, made from a `random.Random`."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from pathlib import Path

from fallfromgrace.expression import METRICS
from fallfromgrace.lexer import ACTIONS
from fallfromgrace.rules import VARIABLES
from tests.strategies import Rolled, Writer

CONFIGURATIONS = [path.read_bytes() for path in sorted((Path(__file__).parent.parent / "config").glob("*.yaml"))]

_SIGNS = """
    and or not for until growth ( ) , + - * / < <= > >= == != = => =< <> && || ! after recovered tree group largest @
    1g 500m 2.2k 5MiB 7b 10s 5m 1h30m 2d 0.5s 10m/s 5/s 25% 150% 90 0 0.0 0s -1 .5 1. 1.2.3 1e9 0x1 1_0 5q 5minutes
    9999999999999t 99999999999d 1000000000000000000000 0.000000001 4611686018427387904 ' " # ; : $ ${ $FOO . .. %
    system. tree. rss mem SIGTERM killall x RMEM Term
"""
# Signs for comparing and calculating, letters that become others in small letters, and digits of other scripts.
_ODD = "\u2265\u2212\u00d7\u00e9\u017f\u212a\u0130\u00df\u0665\uff15\u00b2\u00bd\u2167\U0001d7d7\\"
_INVISIBLE = ("\n", "\t", "\x00", "\x1b", "\x7f", "\xa0", "\u200b", "\u2028", "\ufeff", "\ud800", "\U0010ffff")
WORDS = (*METRICS, *ACTIONS, *_SIGNS.split(), *_ODD, *_INVISIBLE, *(f"${name}" for name in VARIABLES), "${NAME}")


def _joined(dice: random.Random) -> str:
    """Words of the language in any order."""
    between = dice.choice((" ", " ", " ", "", "  "))
    return between.join(dice.choices(WORDS, k=dice.randrange(12)))


def _trigger(dice: random.Random) -> str:
    return Writer(Rolled(dice)).trigger()


def _action(dice: random.Random) -> str:
    return Writer(Rolled(dice)).action()


def _valid(dice: random.Random) -> str:
    return _trigger(dice) if dice.random() < 0.6 else _action(dice)


def _mutated(dice: random.Random) -> str:
    """A valid text with up to three accidents."""
    text = _valid(dice)
    for _ in range(1 + dice.randrange(3)):
        start = dice.randrange(len(text) + 1)
        end = min(len(text), start + dice.randrange(8))
        text = dice.choice(_ACCIDENTS)(dice, text, start, end)
    return text


_ACCIDENTS: tuple[Callable[[random.Random, str, int, int], str], ...] = (
    lambda dice, text, start, end: text[:start] + text[end:],
    lambda dice, text, start, end: text[:end] + text[start:],
    lambda dice, text, start, end: text[:start] + dice.choice(WORDS) + text[start:],
    lambda dice, text, start, end: text[:start] + dice.choice(WORDS) + text[end:],
    lambda dice, text, start, end: text[:start] + _character(dice) + text[end:],
    lambda dice, text, start, end: text[:start] + text[start:end][::-1] + text[end:],
    lambda dice, text, start, end: text[:start] + _valid(dice)[start:],
    lambda dice, text, start, end: text[:start] + text[start:end].swapcase() + text[end:],
    lambda dice, text, start, end: text[:start] + text[start:end] * dice.randrange(2, 60) + text[end:],
)


def _character(dice: random.Random) -> str:
    kind = dice.random()
    if kind < 0.5:
        return chr(dice.randrange(32, 127))
    return chr(
        dice.randrange(256) if kind < 0.7 else dice.randrange(0x3000) if kind < 0.9 else dice.randrange(0x110000)
    )


def _characters(dice: random.Random) -> str:
    return "".join(_character(dice) for _ in range(dice.randrange(30)))


def _deep(dice: random.Random) -> str:
    """The same again and again, up to more than can be read."""
    part = dice.choice(
        ("(", "not ", "((", "not (", "rmem + ", "(rmem * ", "growth(", "rmem > 1 or (", "1 - (", "1g<", "9")
    )
    times = dice.choice((5, 19, 20, 21, 22, 60, 400, 2000))
    text = part * times + dice.choice(("rmem > 1", "rmem", "", "1"))
    return text + ")" * dice.choice((0, times, times * part.count("("))) + dice.choice(("", " > 1", " for 5m"))


_KINDS = (_joined, _valid, _mutated, _characters, _deep)
_SHARES = (30, 16, 40, 13, 1)


def texts(dice: random.Random, number: int) -> Iterator[tuple[str, bool]]:
    """So many texts, each with whether it is valid."""
    for kind in dice.choices(_KINDS, _SHARES, k=number):
        yield kind(dice), kind is _valid


# --- configuration files ----------------------------------------------------------------------------------------

LINES = (
    *("interval: 10s", "interval: 0", "protect:", "  - exe: ^/usr/sbin/sshd$", "m:", "firefox:", "  cmdline: hog"),
    *("  exe: ^/bin/x$", "  user: root", "  user: [root, nobody]", "  children: yes", "  final: 1", "  observe: no"),
    *(
        "  exclude: x",
        "  actions:",
        "    rmem > 1g: term",
        "    count > 3: term largest",
        "      - kill",
        "      - term",
    ),
    *(
        "    'rmem > 1g':",
        '    "cpu > 90%": |',
        "    cpu > 90% for 5m: nice 10",
        "# comment",
        "---",
        "...",
        "%YAML 1.1",
    ),
    *(
        "&a",
        "*a",
        "!!python/object:os.system x",
        "? x",
        "- - - -",
        "{a: [b, {c: d}]}",
        "\t",
        "x: >",
        "[" * 50,
        "'",
        '"',
    ),
)
_BITES = (
    b"\x00",
    b"\xff",
    b"\xc3",
    b"\n",
    b"\r\n",
    b"\t",
    b": ",
    b" #",
    b"'",
    b'"',
    b"{",
    b"[",
    b"- ",
    b"&a ",
    b"*a",
    b"!",
)


def configurations(dice: random.Random, number: int) -> Iterator[bytes]:
    """So many small files."""
    for _ in range(number):
        data = dice.choice(CONFIGURATIONS) if dice.random() < 0.4 else _written(dice)
        for _ in range(dice.randrange(5)):
            start = dice.randrange(len(data) + 1)
            end = min(len(data), start + dice.choice((0, 0, 1, 5, 40)))
            data = data[:start] + dice.choice((b"", dice.choice(_BITES), dice.randbytes(2))) + data[end:]
        yield data


def _written(dice: random.Random) -> bytes:
    lines = ["m:", "  cmdline: hog", "  actions:"] if dice.random() < 0.5 else []
    for text, _ in texts(dice, dice.randrange(6)):
        plain = (f"    {text}: term", f"    rmem > 1g: {text}", f"      - {text}", dice.choice(LINES))
        lines.append(dice.choice((*plain, _rule(dice), _rule(dice))))
    return "\n".join([*lines, ""]).encode("utf-8", "surrogatepass")


def _rule(dice: random.Random) -> str:
    """A valid trigger and a valid action."""
    trigger, action = (text.replace("\n", " ").replace("'", "''") for text in (_trigger(dice), _action(dice)))
    return f"    '{trigger}': '{action}'"
