"""Our records and the library's, side by side: each test runs with both."""

from __future__ import annotations

import copy
import dataclasses
import pickle
import subprocess
import sys
from pathlib import Path
from typing import ClassVar

import pytest

from fallfromgrace import records

HERE = Path(__file__).parent.parent


def classes(made_by):
    """The same classes made by either."""
    dataclass, field = made_by.dataclass, made_by.field

    @dataclass(frozen=True, slots=True)
    class Point:
        """Where."""

        x: int
        y: int = 0
        unit: ClassVar[str] = "m"

        @property
        def far(self) -> bool:
            return self.x > 100

    @dataclass(frozen=True, slots=True)
    class Named(Point):
        name: str = ""

    @dataclass(frozen=True, slots=True)
    class Sum:
        parts: tuple[int, ...]
        total: int = field(init=False)

        def __post_init__(self) -> None:
            object.__setattr__(self, "total", sum(self.parts))

    @dataclass(slots=True)
    class Running:
        pid: int
        signals: list[int] = field(default_factory=lambda: [15, 9])

    @dataclass(frozen=True, slots=True, order=True)
    class Line:
        number: int
        text: str = ""

    return {each.__name__: each for each in (Point, Named, Sum, Running, Line)}


# pickle finds classes by their name in their module.
OURS, THEIRS = classes(records), classes(dataclasses)
for made in OURS.values():
    made.__qualname__ = made.__name__
globals().update(OURS)


@pytest.fixture(params=[OURS, THEIRS], ids=["ours", "the library's"])
def made(request):
    return request.param


@pytest.fixture
def replace(made):
    return records.replace if made is OURS else dataclasses.replace


@pytest.mark.parametrize(
    ("name", "values", "named", "fields"),
    [
        ("Point", [1], {}, {"x": 1, "y": 0, "unit": "m"}),
        ("Point", [1, 2], {}, {"x": 1, "y": 2}),
        ("Point", [1], {"y": 2}, {"x": 1, "y": 2}),
        ("Point", [], {"y": 2, "x": 101}, {"x": 101, "y": 2, "far": True}),
        ("Named", [1], {"name": "n"}, {"x": 1, "y": 0, "name": "n", "far": False}),
        ("Named", [1, 2, "n"], {}, {"x": 1, "y": 2, "name": "n"}),
        ("Sum", [(1, 2)], {}, {"parts": (1, 2), "total": 3}),
        ("Running", [7], {}, {"pid": 7, "signals": [15, 9]}),
        ("Running", [7], {"signals": []}, {"pid": 7, "signals": []}),
    ],
)
def test_fields_are_what_was_given_or_else_the_default(name, values, named, fields, made):
    record = made[name](*values, **named)
    assert {field: getattr(record, field) for field in fields} == fields


@pytest.mark.parametrize(
    ("name", "values", "named"),
    [
        ("Point", [], {}),
        ("Point", [], {"y": 1}),
        ("Point", [1, 2, 3], {}),
        ("Point", [1], {"x": 2}),
        ("Point", [1, 2], {"y": 2}),
        ("Point", [1], {"z": 2}),
        ("Point", [1], {"unit": "km"}),
        ("Sum", [(1,), 2], {}),
        ("Sum", [(1,)], {"total": 2}),
    ],
)
def test_what_is_missing_or_too_much_is_an_error(name, values, named, made):
    with pytest.raises(TypeError):
        made[name](*values, **named)


def test_each_record_has_a_made_value_of_its_own(made):
    first, second = made["Running"](1), made["Running"](1)
    first.signals.pop()
    assert second.signals == [15, 9]
    assert first != second


def test_records_are_equal_when_they_are_of_one_class_and_all_their_fields_are(made):
    point, named = made["Point"], made["Named"]
    assert point(1, 2) == point(1, 2)
    assert hash(point(1, 2)) == hash(point(1, 2))
    assert point(1, 2) != point(2, 1)
    assert point(1, 2) != (1, 2)
    assert named(1, 2) != point(1, 2)
    assert len({point(1), point(1, 0), point(2)}) == 2


def test_what_changes_cannot_be_a_key_and_what_does_not_cannot_be_changed(made):
    with pytest.raises(TypeError, match="unhashable"):
        hash(made["Running"](1))
    running = made["Running"](1)
    running.pid = 2
    assert running.pid == 2
    point = made["Point"](1)
    for name in ("x", "far", "other"):
        with pytest.raises((AttributeError, TypeError)):  # before Python 3.12 the library's own trips over its slots
            setattr(point, name, 2)
    with pytest.raises(AttributeError):
        del point.x
    assert point.x == 1


def test_there_is_no_room_for_anything_but_the_fields(made):
    assert not hasattr(made["Point"](1), "__dict__")
    assert not hasattr(made["Named"](1), "__dict__")
    with pytest.raises(AttributeError):
        made["Running"](1).other = 1


def test_a_changed_copy_has_all_else_and_what_is_worked_out_anew(made, replace):
    assert replace(made["Named"](1, 2, "n"), y=3) == made["Named"](1, 3, "n")
    assert replace(made["Sum"]((1, 2)), parts=(4,)).total == 4
    with pytest.raises(TypeError):
        replace(made["Point"](1), z=1)


def test_they_can_be_sorted_where_that_was_asked_for(made):
    line = made["Line"]
    assert sorted([line(2), line(1, "b"), line(1, "a")]) == [line(1, "a"), line(1, "b"), line(2)]
    with pytest.raises(TypeError):
        sorted([made["Point"](1), made["Point"](2)])


def test_they_can_be_read_and_matched(made):
    assert repr(made["Named"](1)).endswith("Named(x=1, y=0, name='')")
    assert made["Point"].__doc__ == "Where."
    Point = made["Point"]
    match Point(1, 2):
        case Point(x, y):
            assert (x, y) == (1, 2)
        case _:
            pytest.fail("it does not match its own class")


def test_a_copy_by_way_of_pickle_is_equal_and_nothing_is_worked_out_again():
    summed = OURS["Sum"]((1, 2))
    object.__setattr__(summed, "total", 99)
    for copied in (pickle.loads(pickle.dumps(summed)), copy.deepcopy(summed)):
        assert copied == summed
        assert copied.total == 99
    for record in (OURS["Named"](1, 2, "n"), OURS["Running"](7, [9])):
        assert pickle.loads(pickle.dumps(record)) == record


def test_nothing_dear_is_imported_for_them():
    code = "import sys, fallfromgrace.records; print(*sys.modules)"
    ran = subprocess.run(
        [sys.executable, "-S", "-c", code],
        cwd=HERE,
        capture_output=True,
        text=True,
        check=True,
    )
    assert not {"dataclasses", "inspect", "typing"} & set(ran.stdout.split())
