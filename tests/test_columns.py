"""Tables of texts; what is said in them is in the tests of those who say it."""

import pytest

from fallfromgrace import terminal
from fallfromgrace.columns import Paper, Section, aligned, table
from tests.builders import HOSTILE


@pytest.mark.parametrize("width", [9, 20, 60, 100, 200])
def test_a_table_is_never_wider_than_the_terminal(width):
    section = Section("t", (">PID", "MONITOR", "ACTION", "COMMAND"), [("1", HOSTILE, "term", HOSTILE)] * 3)
    lines = list(table(section, Paper(width)))
    assert max(map(terminal.columns, lines)) <= width
    assert all(line.isprintable() for line in lines)
    assert len(lines) == 4


def test_a_number_or_a_time_is_cut_only_where_no_text_can_be():
    section = Section("t", (">AT", ">PID", "MONITOR", "WHY"), [("15:51:55", "4194303", "a monitor", "for some reason")])
    assert list(table(section, Paper(38)))[1] == "  15:51:55  4194303  a monitor  for..."
    assert list(table(section, Paper(35)))[1] == "  15:51:55  4194303  a m...  for..."
    assert list(table(section, Paper(32)))[1] == "  15:...  419...  a m...  for..."


@pytest.mark.parametrize(
    ("text", "width", "expected"),
    [
        ("abcdef", 6, "abcdef"),
        ("abcdefg", 6, "abc..."),
        ("漢字漢字", 8, "漢字漢字"),
        ("漢字漢字", 7, "漢字..."),
        ("漢字漢字", 6, "漢... "),
        ("e\u0301" * 6, 6, "e\u0301" * 6),
        ("abc", 2, "a."),
        ("abc", 1, "a"),
    ],
)
def test_a_text_is_cut_by_the_columns_that_it_takes(text, width, expected):
    assert terminal.placed(terminal.shortened(text, width), width) == expected


def test_what_an_encoding_does_not_have_is_escaped():
    assert Paper(encoding="ascii").plain("hög 漢 \x1b") == r"h\xf6g \u6f22 \x1b"
    assert Paper(encoding="latin-1").plain("hög 漢") == r"hög \u6f22"


def test_columns_are_as_wide_as_what_is_in_them_and_the_last_is_left_as_it_is():
    rows = [("1", "漢", "a", "x "), ("100", "b", "", "")]
    assert list(aligned(rows, right=[0])) == ["  1  漢  a  x ", "100  b      "]
    assert list(aligned([])) == []
