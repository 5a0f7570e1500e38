"""Texts and files that hypothesis draws: it varies what it has drawn, where dice forget."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, TypeVar

import hypothesis
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st

from tests.fuzz.texts import LINES, WORDS
from tests.strategies import action_texts, actions, steps, trigger_texts, triggers

T = TypeVar("T")

_QUIETLY = settings(
    database=None, deadline=None, derandomize=False, phases=[Phase.generate], suppress_health_check=list(HealthCheck)
)
_JOINED = st.lists(st.sampled_from(WORDS), max_size=12).map(" ".join)
_VALID = st.one_of(trigger_texts(), action_texts(), *(trees.map(str) for trees in (triggers, actions, steps)))
_TEXTS = st.one_of(
    st.tuples(_VALID, st.just(True)), *(st.tuples(each, st.just(False)) for each in (_JOINED, st.text(max_size=60)))
)


@st.composite
def _files(draw: Any) -> bytes:
    rule = st.builds("    '{}': '{}'".format, *(each.map(_quoted) for each in (trigger_texts(), action_texts())))
    start = draw(st.sampled_from([[], ["m:", "  cmdline: hog", "  actions:"]]))
    lines = st.lists(st.one_of(rule, st.sampled_from(LINES), st.text(max_size=20)), max_size=8)
    end = draw(st.sampled_from(["\n", "\n", "\n", "\r\n", ""]))
    return ("\n".join([*start, *draw(lines)]) + end).encode("utf-8", "surrogatepass")


def _quoted(text: str) -> str:
    return text.replace("\n", " ").replace("'", "''")


def drawn_texts(seed: str, number: int) -> Iterator[tuple[str, bool]]:
    """So many texts, each with whether it is valid."""
    return _drawn(_TEXTS, seed, number)


def drawn_files(seed: str, number: int) -> Iterator[bytes]:
    """So many small files."""
    return _drawn(st.one_of(_files(), st.binary(max_size=200)), seed, number)


def _drawn(strategy: st.SearchStrategy[T], seed: str, number: int) -> Iterator[T]:
    found: list[T] = []

    @hypothesis.seed(seed)
    @settings(_QUIETLY, max_examples=number)
    @hypothesis.given(strategy)
    def draw(value: T) -> None:
        found.append(value)

    draw()
    return iter(found)
