import mock
import pytest

from fallfromgrace import exits
from fallfromgrace.errors import ConfigError, Problem
from fallfromgrace.exits import NotPermitted, UsageError, explain


@pytest.mark.parametrize(
    ("error", "status", "text"),
    [
        (UsageError("write -p"), 64, "fall-from-grace: write -p"),
        (exits.Failure("not there"), 69, "fall-from-grace: not there"),
        (NotPermitted("no"), 77, "fall-from-grace: no"),
        (ConfigError([Problem("b", 0, 0, "two"), Problem("a", 0, 0, "one")]), 78, "a: one\nb: two"),
    ],
)
def test_what_is_not_our_fault_is_explained_without_a_traceback(error, status, text):
    assert explain(error) == (status, text)


def test_a_missing_module_is_named():
    status, text = explain(ModuleNotFoundError("No module named 'ply.lex'", name="ply.lex"))
    assert status == 69
    assert text == "fall-from-grace: the Python module 'ply.lex' is missing; install it for this Python"


@pytest.mark.parametrize(
    "error", [ZeroDivisionError("x"), PermissionError(13, "x"), ModuleNotFoundError(name="fallfromgrace.x")]
)
def test_a_fault_of_ours_asks_to_be_reported_with_the_traceback(error):
    status, text = explain(error)
    assert status == 70
    assert type(error).__name__ in text
    assert "please report it" in text.splitlines()[-1]


def fail(depth):
    if depth:
        fail(depth - 1)
    raise ZeroDivisionError("oh")


def traced(depth=0):
    try:
        fail(depth)
    except ZeroDivisionError as error:
        return exits.trace(error).splitlines()


def test_a_trace_names_file_line_and_function_of_each_call():
    head, *calls, last = traced(1)
    assert (head, last) == ("Traceback (most recent call last):", "ZeroDivisionError: oh")
    line = fail.__code__.co_firstlineno
    assert calls[1:] == [f"  {__file__}, line {line + 2}, in fail", f"  {__file__}, line {line + 3}, in fail"]


def test_a_trace_has_what_an_error_came_of_first():
    try:
        try:
            fail(0)
        except ZeroDivisionError as error:
            raise ValueError("and so") from error
    except ValueError as error:
        told = exits.trace(error)
    assert told.index("ZeroDivisionError: oh") < told.index("ValueError: and so")


def test_a_trace_of_a_recursion_that_did_not_end_is_short():
    lines = traced(500)
    assert len(lines) < 50
    assert "  ..." in lines


def test_a_trace_is_made_of_what_is_loaded():
    """An upgrade may have replaced every file, or there is no descriptor left to open one."""
    with mock.patch("builtins.__import__", None):
        lines = traced()
    assert "in fail" in lines[-2]


class Unsayable(Exception):
    def __str__(self):
        raise MemoryError


def test_a_trace_never_fails():
    assert exits.trace(Unsayable()) == "Unsayable\n"


def test_what_is_complained_of_sends_a_terminal_nothing_but_text(capsys):
    exits.complain("/x\x1b[2J\u202e.conf:1:2: wr\u00f6ng\n    \tx\n    ^")
    assert capsys.readouterr().err == "/x\\x1b[2J\\u202e.conf:1:2: wr\u00f6ng\n    \tx\n    ^\n"
