"""What is promised, under attack: `make torture` for the whole of it, `tests/test_torture.py` for a short form of each.

A row is a module here with a `TITLE` and a `GOAL`, in the words of SECURITY.md, a function `run` that gives a Figure,
and what that is called with: `FULL`, and `SHORT` for a few seconds. `needs` may say why the machine cannot run it.
"""

from __future__ import annotations

from importlib import import_module
from types import ModuleType
from typing import NamedTuple

# In the order of the table in SECURITY.md.
ROWS: tuple[str, ...] = (
    "reuse",
    "texts",
    "configurations",
    "prefixes",
    "hups",
    "churn",
    "growth",
    "hanging",
    "syslog",
    "patterns",
    "memory",
    "commands",
    "kills",
    "alphabet",
)


class Figure(NamedTuple):
    """What a row came to, in words with numbers, and whether that is the goal; `faults` are shown if it is not."""

    said: str
    met: bool
    faults: tuple[str, ...] = ()


def row(name: str) -> ModuleType:
    """The module of a row."""
    return import_module(f"tests.torture.{name}")


def lacking(name: str) -> str:
    """What the machine lacks for a row; empty where it can be run."""
    needs = getattr(row(name), "needs", None)
    return needs() if needs else ""
