import pytest

from fallfromgrace.errors import ConfigError, Problem, RuleSyntaxError, did_you_mean


@pytest.mark.parametrize(
    ("problem", "shown"),
    [
        (Problem("x.conf", 0, 0, "there is no such file"), "x.conf: there is no such file"),
        (Problem("x.conf", 3, 5, "wrong"), "x.conf:3:5: wrong"),
        (Problem("x.conf", 3, 3, "wrong", "a bcd e", 3), "x.conf:3:3: wrong\n    a bcd e\n      ^^^"),
        (Problem("x.conf", 3, 3, "wrong", "a\tb\x1b[31m", 0), "x.conf:3:3: wrong\n    a?b?[31m\n      ^"),
    ],
)
def test_a_problem_shows_its_place_with_a_mark_under_the_fault(problem, shown):
    assert str(problem) == shown


def test_problems_are_told_in_the_order_of_the_files():
    error = ConfigError([Problem("b", 1, 1, "x"), Problem("a", 2, 1, "x"), Problem("a", 1, 9, "x")])
    assert str(error) == "a:1:9: x\na:2:1: x\nb:1:1: x"


def test_what_is_known_of_a_file_as_a_whole_has_no_line_to_show():
    assert Problem("x.conf", 0, 0, "wrong").headline == "x.conf: wrong"
    assert Problem("x.conf", 3, 5, "wrong", "a bcd").headline == "x.conf:3:5: wrong"


def test_an_error_of_the_language_covers_a_character_if_nothing_is_said():
    assert (RuleSyntaxError("x", 4).start, RuleSyntaxError("x", 4).end) == (4, 5)


NEAR = [
    ("childern", "; did you mean 'children'?"),
    ("FINAL", "; did you mean 'final'?"),
    ("$name", "; did you mean '$NAME'?"),
    ("qqq", ""),
    ("", ""),
]


@pytest.mark.parametrize(("word", "hint"), NEAR)
def test_only_near_misses_are_guessed(word, hint):
    assert did_you_mean(word, ["children", "final", "$NAME"]) == hint
