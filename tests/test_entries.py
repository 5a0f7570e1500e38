import pytest

from fallfromgrace import entries
from fallfromgrace.errors import RuleSyntaxError
from fallfromgrace.fragments import Entry, Listing, Mapping, Text
from fallfromgrace.textfile import Place

EXAMPLE = "colour: red"


def place(line=2, column=11, source="  colour: green"):
    return Place("x.conf", line, column, source)


def text(value, raw=None, **where):
    return Text(value, place(**where), value if raw is None else raw)


KEY = text("colour", column=3)


def told(read):
    """What a reading comes to, and the column and text of each problem."""
    found = []
    answer = read(found.append)
    return answer, [(problem.column, problem.text) for problem in found]


@pytest.mark.parametrize(
    ("node", "answer", "problems"),
    [
        (text("green"), "GREEN", []),
        (text(""), None, [(3, "'colour' has nothing after its ':'; write colour: red")]),
        (
            Listing((text("green"),), place()),
            None,
            [(11, "'colour' takes one text, as in colour: red; with '[' or '{' at its start it needs single quotes")],
        ),
        (
            Mapping((), place(), True),
            None,
            [(11, "'colour' takes one text, as in colour: red; with '[' or '{' at its start it needs single quotes")],
        ),
        (None, None, []),  # of what was refused before nothing more is said
    ],
)
def test_a_key_takes_one_text(node, answer, problems):
    assert told(lambda report: entries.value(Entry(KEY, node), str.upper, EXAMPLE, report)) == (answer, problems)


ONE_OR_SEVERAL = [(3, "'colour' takes a text or a list of texts; write colour: red")]


@pytest.mark.parametrize(
    ("node", "values", "problems"),
    [
        (text("green"), ["green"], []),
        (Listing((text("green"), text("blue")), place()), ["green", "blue"], []),
        (text(""), [], ONE_OR_SEVERAL),
        (Listing((), place()), [], ONE_OR_SEVERAL),
        (Listing((text("green"), text("")), place()), [], ONE_OR_SEVERAL),
        (Listing((Listing((text("green"),), place()),), place()), [], ONE_OR_SEVERAL),
        (Mapping((), place(), True), [], ONE_OR_SEVERAL),
        (Listing((text("green"), None), place()), ["green"], []),
        (None, [], []),
    ],
)
def test_a_key_may_take_a_text_or_a_list_of_them(node, values, problems):
    found, reported = told(lambda report: entries.several(Entry(KEY, node), EXAMPLE, report))
    assert ([each.value for each in found], reported) == (values, problems)


def test_a_key_in_several_places_is_reported_at_each_but_the_first():
    keys = [("a", 1), ("b", 2), ("a", 3), ("a", 5), ("B", 6)]
    found = []
    entries.report_twice([Entry(text(name, line=line), None) for name, line in keys], found.append)
    assert [(problem.line, problem.text) for problem in found] == [
        (3, "'a' is already in line 1; keep one of the two"),
        (5, "'a' is already in line 1; keep one of the two"),
    ]


def test_a_key_in_another_file_is_named_with_it():
    there = Text("a", Place("y.conf", 7, 1, "a: b"), "a")
    _, problems = told(lambda report: entries.report_twice([Entry(text("a"), None), Entry(there, None)], report))
    assert problems == [(1, "'a' is already in x.conf:2; keep one of the two")]


@pytest.mark.parametrize(("raw", "column"), [("green", 13), ("'green'", 14), ('"gr\\x65en"', 14)])
def test_a_fault_inside_a_text_is_reported_where_it_stands(raw, column):
    def picky(value):
        raise RuleSyntaxError("not that", 2, 3)

    assert told(lambda report: entries.parsed(text("green", raw), picky, report)) == (None, [(column, "not that")])


# --- what a text may have to be ---


@pytest.mark.parametrize(
    ("word", "truth"),
    [(word, True) for word in ("yes", "TRUE", "On", "1")] + [(word, False) for word in ("no", "False", "OFF", "0")],
)
def test_yes_and_no_have_many_names(word, truth):
    assert entries.yes_or_no(word) is truth


@pytest.mark.parametrize("word", ["", "2", "y", "yes ", "ja", "null", "~"])
def test_other_words_are_neither(word):
    with pytest.raises(RuleSyntaxError) as caught:
        entries.yes_or_no(word)
    assert (caught.value.start, caught.value.end) == (0, len(word))
    assert caught.value.text == f"'{word}' is neither yes nor no; write one of yes, true, on, 1, no, false, off, 0"


@pytest.mark.parametrize("pattern", ["a", "", "^/usr/bin/[a-z]+$", "[[a]", "(?i)x", r"\d", "é"])
def test_a_regular_expression_is_one_as_python_has_it(pattern):
    assert entries.regex(pattern).pattern == pattern


@pytest.mark.parametrize(
    ("pattern", "start", "words"),
    [
        ("(x", 0, "missing ), unterminated subpattern; put a \\ before a character that stands for itself"),
        ("ab*c(", 4, "unterminated subpattern"),
        ("a**", 2, "multiple repeat"),
        ("x[", 1, "unterminated character set"),
        ("(?a)(?u)x", 0, "incompatible"),
        ("a{" + "9" * 5000 + "}", 0, "this is not a regular expression"),
        ("a{" + "9" * 50 + "}", 0, "this regular expression is too large; make it simpler"),
        ("(" * 5000, 0, "regular expression"),
    ],
)
def test_what_is_no_regular_expression_is_told_with_the_place_and_the_cure(pattern, start, words):
    with pytest.raises(RuleSyntaxError) as caught:
        entries.regex(pattern)
    assert words in caught.value.text
    assert caught.value.start == start


@pytest.mark.parametrize(("written", "seconds"), [("10s", 10), ("1h30m", 5400), ("0.5s", 0.5)])
def test_a_duration_is_in_seconds(written, seconds):
    assert entries.duration(written) == seconds


@pytest.mark.parametrize("written", ["", "10", "10x", "0s", "-1s", "1e3s"])
def test_what_is_no_duration_is_told_as_a_whole(written):
    with pytest.raises(RuleSyntaxError) as caught:
        entries.duration(written)
    assert (caught.value.start, caught.value.end) == (0, len(written))
