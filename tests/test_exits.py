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
