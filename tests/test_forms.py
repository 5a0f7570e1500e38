import json
from math import inf, nan
from typing import NamedTuple

import pytest

from fallfromgrace.forms import (
    Malformed,
    decoded,
    each,
    encoded,
    fields,
    flag,
    maybe,
    number,
    plain,
    row,
    seconds,
    text,
)
from fallfromgrace.lifecycle import Phase


class Pair(NamedTuple):
    name: str
    phase: Phase


RULE = fields({"name": text, "at": seconds(10), "of": maybe(number(1, 9)), "on": flag, "ladder": each(row(text, text))})
GOOD = {"name": "x", "at": 10, "of": None, "on": True, "ladder": [["a", "b"]]}


def test_values_are_what_they_should_be():
    assert RULE(GOOD) == {**GOOD, "ladder": (("a", "b"),)}
    assert RULE({**GOOD, "of": 9, "at": 0.5, "ladder": []})["of"] == 9


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"name": 1}, "name: 1 is no text"),
        ({"at": 10.1}, "at: 10.1 is yet to come"),
        ({"at": -1}, "at: -1 is no time"),
        ({"at": nan}, "at: nan is no time"),
        ({"at": inf}, "at: inf is no time"),
        ({"at": True}, "at: True is no time"),
        ({"at": "5"}, "at: '5' is no time"),
        ({"of": 0}, "of: 0 is no number from 1 to 9"),
        ({"of": 2.0}, "of: 2.0 is no number from 1 to 9"),
        ({"of": True}, "of: True is no number from 1 to 9"),
        ({"on": 1}, "on: 1 is neither true nor false"),
        ({"on": None}, "on: None is neither true nor false"),
        ({"ladder": "ab"}, "ladder: 'ab' is no list"),
        ({"ladder": [["a", "b"], ["a"]]}, "ladder: 1: this is no list of 2"),
        ({"ladder": [["a", {}]]}, "ladder: 0: this is no text"),
        ({"more": 1}, "no object with name, at, of, on, ladder"),
    ],
)
def test_what_is_malformed_is_told_with_its_place(wrong, told):
    with pytest.raises(Malformed) as error:
        RULE({**GOOD, **wrong})
    assert str(error.value) == told


@pytest.mark.parametrize("value", [None, [], "x", {"name": "x"}])
def test_what_is_no_object_with_these_fields_is_malformed(value):
    with pytest.raises(Malformed, match="no object with name, at, of, on, ladder"):
        RULE(value)


def test_what_is_encoded_is_one_line_of_ascii_and_the_same_again():
    value = {"name": "\udcff\n\u2028é", "list": [1, 2.5, None, True]}
    data = encoded(value)
    assert data.isascii()
    assert data.count(b"\n") == 1
    assert decoded(data) == value


@pytest.mark.parametrize("data", [encoded(GOOD)[:length] for length in range(len(encoded(GOOD)) - 1)])
def test_what_was_cut_short_is_malformed(data):
    with pytest.raises(Malformed):
        decoded(data)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\0" * 100,
        b"\xff",
        "é".encode(),
        b"NaN",
        b'{"a": -Infinity}',
        b'{"a": 1, "a": 2}',
        b"[" * 100_000,
        b'{"a":' * 100_000,
        b"9" * 1_000_000,
        b"{} {}",
    ],
    ids=lambda data: repr(data[:12]),
)
def test_what_is_odd_is_malformed_whatever_it_does_to_a_parser(data):
    with pytest.raises(Malformed):
        decoded(data)


def test_no_number_is_written_that_is_none():
    with pytest.raises(ValueError, match="JSON compliant"):
        encoded({"at": nan})


def test_numbers_beyond_all_floats_are_no_times():
    with pytest.raises(Malformed):
        seconds()(json.loads("1e999"))


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("a\udcffb", "a\\udcffb"),
        (Pair("\udcff", Phase.FIRING), {"name": "\\udcff", "phase": "firing"}),
        ({"all": (Pair("x", Phase.PENDING), None)}, {"all": [{"name": "x", "phase": "pending"}, None]}),
        ((1, 0.5, True, ["x"]), [1, 0.5, True, ["x"]]),
    ],
)
def test_values_are_made_plain_for_json(value, expected):
    assert plain(value) == expected
