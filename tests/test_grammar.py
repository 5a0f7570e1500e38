import os
import subprocess
import sys

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from ply import yacc

from fallfromgrace import grammar
from fallfromgrace.errors import RuleSyntaxError
from fallfromgrace.expression import OPERATORS, And, Comparison, Metric, Not, Or, Quantity, Trigger
from fallfromgrace.grammar import parse_action, parse_trigger
from fallfromgrace.rules import Exec, Signal
from fallfromgrace.units import Dimension

RMEM, VMEM = Metric("rmem"), Metric("vmem")


def size(number):
    return Quantity(number, Dimension.SIZE)


A, B, C = (Comparison(RMEM, ">", size(n)) for n in (1, 2, 3))

TRIGGERS = [
    ("rmem > 1g", Comparison(RMEM, ">", size(1 << 30))),
    ("1g < rmem", Comparison(size(1 << 30), "<", RMEM)),
    ("vmem > 900m", Comparison(VMEM, ">", size(900 << 20))),
    ("rmem > 2097152", Comparison(RMEM, ">", size(2 << 20))),
    ("rmem<=2.2k", Comparison(RMEM, "<=", size(2253))),
    ("123 >= rmem", Comparison(size(123), ">=", RMEM)),
    ("rmem == 5", Comparison(RMEM, "==", size(5))),
    ("rmem != 5", Comparison(RMEM, "!=", size(5))),
    ("  RMEM>5 ", Comparison(RMEM, ">", size(5))),
    ("rmem > vmem", Comparison(RMEM, ">", VMEM)),
    ("rmem >\n 5", Comparison(RMEM, ">", size(5))),
    ("rmem > 1 and rmem > 2 and rmem > 3", And((A, B, C))),
    ("rmem > 1 or rmem > 2 AND rmem > 3", Or((A, And((B, C))))),
    ("(rmem > 1 or rmem > 2) and rmem > 3", And((Or((A, B)), C))),
    ("not rmem > 1 and rmem > 2", And((Not(A), B))),
    ("not (rmem > 1 and rmem > 2)", Not(And((A, B)))),
    ("((rmem > 1))", A),
]

BAD_TRIGGERS = [  # text, message, first and last+1 character
    ("", "it ends too early; a trigger is written like rmem > 500m", 0, 1),
    ("rmem >", "it ends too early; a trigger is written like rmem > 500m", 6, 7),
    ("rmem > 10s", "rmem is a size and 10s is a time", 7, 10),
    ("rmm > 3", "'rmm' is not something that can be measured; did you mean 'rmem'?", 0, 3),
    ("1 < 2k", "this compares two constants; one side has to be measured, such as rmem", 0, 6),
    ("rmem > 5q", "'5q' is not a size; write a number with k, m, g or t, such as 500m", 7, 9),
    ("rmem > 1g 5", "'5' does not belong here; a trigger is written like rmem > 500m", 10, 11),
    ("rmem > 1g vmem", "'vmem' does not belong here; a trigger is written like rmem > 500m", 10, 14),
    ("rmem > 5)", "')' does not belong here; a trigger is written like rmem > 500m", 8, 9),
    ("rmem = 5", "'=' is not in the language; write '=='", 5, 6),
    ("rmem => 5", "'=>' is not in the language; write '>='", 5, 7),
    ("rmem > 5 && vmem > 5", "'&&' is not in the language; write 'and'", 9, 11),
    ("rmem > 5 || vmem > 5", "'||' is not in the language; write 'or'", 9, 11),
    ("! rmem > 5", "'!' is not in the language; write 'not'", 0, 1),
    ("rmem > $", "'$' does not belong here; a trigger is written like rmem > 500m", 7, 8),
    ("rmem > 5 g", "there is a space between 5 and g; write 5g", 9, 10),
    ("rmem > 1 GB and vmem > 1", "there is a space between 1 and GB; write 1g", 9, 11),
    ("rmem > 1g for 5m", "'for' does not belong here; a trigger is written like rmem > 500m", 10, 13),
    (
        "rss > 1g",
        "'rss' is not something that can be measured; write rmem (resident memory) or vmem (virtual memory)",
        0,
        3,
    ),
    ("rmem > 1\x07", "'\\x07' does not belong here; remove it", 8, 9),
    ("rmem\xa0> 5", "'\\xa0' only looks like a space; write a plain one", 4, 5),
    ("not " * 21 + "rmem > 5", "this is nested deeper than 20 levels", 0, 1),
    ("rmem > 5 " + "and rmem > 5 " * 100, "a trigger has at most 1000 characters", 0, 1309),
]

ACTIONS = [
    ("term", Signal("term")),
    ("KILL", Signal("kill")),
    ("kill @ 1h30m", Signal("kill", 5400)),
    ("stop @ 10m", Signal("stop", 600)),
    ("stop@10m", Signal("stop", 600)),
    ('exec logger "program is using too much ram"', Exec('logger "program is using too much ram"')),
    ('exec logger "$NAME ($PID)"', Exec('logger "$NAME ($PID)"')),
    ('exec @ 1h logger "$NAME"', Exec('logger "$NAME"', 3600)),
    ("exec@2m x y", Exec("x y", 120)),
    ("exec killall firefox", Exec("killall firefox")),
    ("exec kill @ 5", Exec("kill @ 5")),
    ("exec ./x", Exec("./x")),
    ("exec 7z a", Exec("7z a")),
    ("exec after-hours.sh", Exec("after-hours.sh")),
    ("exec if x; then\n  y @ 3\nfi\n", Exec("if x; then\n  y @ 3\nfi")),
]

BAD_ACTIONS = [
    ("", "it ends too early; an action is written like term or stop @ 10m", 0, 1),
    ("tern", "'tern' is not an action; did you mean 'term'?", 0, 4),
    ("eat", "'eat' is not an action; an action is one of kill, term, stop, exec", 0, 3),
    ("execlogger", "'execlogger' is not an action; an action is one of kill, term, stop, exec", 0, 10),
    ("stop", "stop needs to know how long the process may run before it is stopped again, such as stop @ 10m", 0, 4),
    ("stop 10m", "'10m' does not belong here; write stop @ 10m", 5, 8),
    ("stop @ 10", "'10' is not a time; write a number with s, m, h or d, such as 10m", 7, 9),
    ("stop @ 500k", "'500k' is not a time; write a number with s, m, h or d, such as 10m", 7, 11),
    ("stop @ 0s", "'0s' is no time at all; write at least 1s", 7, 9),
    ("exec @ 0.001s x", "that is too often; write at least 1s", 7, 8),
    ("term @", "it ends too early; write term, or term @ 10m", 6, 7),
    ("term term", "'term' does not belong here; write term, or term @ 10m", 5, 9),
    ("exec", "it ends too early; exec needs a command: exec logger hello, or exec @ 1h logger hello", 4, 5),
    ("exec @ 1h", "it ends too early; exec needs a command: exec logger hello, or exec @ 1h logger hello", 9, 10),
    ("exec @ 10minutes x", "'10minutes' is not a time; write a number with s, m, h or d, such as 10m", 7, 16),
    ("exec @ 2mlogger", "'2mlogger' is not a time; write a number with s, m, h or d, such as 10m", 7, 15),
    ("@ 5m", "'@' does not belong here; an action is written like term or stop @ 10m", 0, 1),
    ("term; rm", "';' does not belong here; write term, or term @ 10m", 4, 5),
    ("kill -9", "'-' does not belong here; write kill, or kill @ 10m", 5, 6),
    ("exec " + "x" * 30_001, "a command has at most 30000 characters; put it into a script", 5, 6),
]


@pytest.mark.parametrize(("text", "tree"), TRIGGERS)
def test_triggers_are_read_as_trees(text, tree):
    assert parse_trigger(text) == Trigger(tree)


@pytest.mark.parametrize(("text", "action"), ACTIONS)
def test_actions_are_read_as_values(text, action):
    assert parse_action(text) == action


@pytest.mark.parametrize(
    ("parse", "text", "message", "start", "end"),
    [(parse_trigger, *case) for case in BAD_TRIGGERS] + [(parse_action, *case) for case in BAD_ACTIONS],
)
def test_mistakes_are_named_with_their_place(parse, text, message, start, end):
    with pytest.raises(RuleSyntaxError) as caught:
        parse(text)
    assert (caught.value.text, caught.value.start, caught.value.end) == (message, start, end)


def test_a_mistake_leaves_nothing_behind_for_the_next_text():
    for text, *_ in BAD_TRIGGERS:
        with pytest.raises(RuleSyntaxError):
            parse_trigger(text)
        assert parse_trigger("rmem > 1") == Trigger(A)
    for text, *_ in BAD_ACTIONS:
        with pytest.raises(RuleSyntaxError):
            parse_action(text)
        assert parse_action("exec @ 1h x") == Exec("x", 3600)


quantities = st.integers(0, 1 << 62).map(size)
metrics = st.sampled_from([RMEM, VMEM])
operators = st.sampled_from(sorted(OPERATORS))
comparisons = st.one_of(
    st.builds(Comparison, metrics, operators, st.one_of(quantities, metrics)),
    st.builds(Comparison, quantities, operators, metrics),
)
conditions = st.recursive(
    comparisons,
    lambda parts: st.one_of(
        st.builds(Not, parts),
        st.lists(parts, min_size=2, max_size=3).map(lambda found: And(tuple(found))),
        st.lists(parts, min_size=2, max_size=3).map(lambda found: Or(tuple(found))),
    ),
    max_leaves=6,
)
limits = st.one_of(st.none(), st.floats(1, 1e8), st.integers(1, 10**8).map(float))
commands = st.text(min_size=1).map(lambda text: "x" + text.rstrip(" \n"))
actions = st.one_of(
    st.builds(Signal, st.sampled_from(["term", "kill"]), limits),
    st.builds(Signal, st.just("stop"), limits.filter(lambda limit: limit is not None)),
    st.builds(Exec, commands, limits),
)


@given(conditions.map(Trigger))
def test_the_text_of_a_trigger_reads_back_as_the_trigger(trigger):
    assert parse_trigger(str(trigger)) == trigger


@given(actions)
def test_the_text_of_an_action_reads_back_as_the_action(action):
    assert parse_action(str(action)) == action


WORDS = "rmem vmem > >= < == 1g 2.2k 10s and or not ( ) term kill stop exec @ 10m logger $ ="
fragments = st.sampled_from(WORDS.split(" "))
texts = st.one_of(st.text(max_size=40), st.lists(fragments, max_size=12).map(" ".join))


@given(texts)
@example("not " * 247 + "rmem > 1")
@example("not " * 20 + "rmem > 1")
@example("(not " * 20 + "rmem > 1" + ")" * 20)
@example("(rmem > 1 and (rmem > 2 or " * 10 + "rmem > 1" + "))" * 10)
@example("(" * 990 + "rmem > 1")
def test_whatever_the_text_the_only_error_is_the_languages_own(text):
    for parse in (parse_trigger, parse_action):
        try:
            value = parse(text)
        except RuleSyntaxError as error:
            assert 0 <= error.start < error.end  # noqa: PT017 - raising or not, both are right
        else:
            assert parse(str(value)) == value


@pytest.mark.parametrize("start", ["trigger", "action"])
def test_the_grammar_has_no_conflicts(start, capsys):
    class Heard:
        def __init__(self):
            self.lines = []

        def warning(self, text, *values):
            self.lines.append(text % values)

        info = debug = error = critical = warning

    heard = Heard()
    yacc.yacc(
        module=grammar, start=start, tabmodule="fallfromgrace._none", write_tables=False, debug=False, errorlog=heard
    )
    assert not [line for line in heard.lines if "conflict" in line]


def test_python_without_docstrings_is_told_so_instead_of_failing_oddly():
    ran = subprocess.run(
        [sys.executable, "-OO", "-c", "import fallfromgrace.grammar"], capture_output=True, text=True, env=os.environ
    )
    assert "cannot run under 'python -OO': its grammar is in docstrings" in ran.stderr
