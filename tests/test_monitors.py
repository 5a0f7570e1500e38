"""Monitors from the text of a file: what they mean, and what is wrong with them, at which line and column."""

import pwd

import pytest

from fallfromgrace import fragments, monitors, textfile
from fallfromgrace.rules import SIGNALS, Selector, User
from tests import builders

ROOT = pwd.getpwuid(0).pw_name


@pytest.fixture
def read():
    """The monitors of a text, and its problems as (line, column, text)."""

    def read(text):
        problems = []
        fragment = fragments.read(textfile.parse("x.conf", text.encode()))
        assert not fragment.problems
        found = [each for key, node in fragment.entries for each in monitors.read(key, node, problems.append)]
        return found, [(each.line, each.column, each.text) for each in problems]

    return read


def with_keys(lines, selector="cmdline: hog"):
    """A monitor with these lines; they begin in the third line, their keys in the third column."""
    return f"m:\n  {selector}\n" + "".join(f"  {line}\n" for line in lines) + "  actions: {rmem > 1g: term}\n"


def with_rule(trigger, *actions):
    """A monitor with one rule; its actions begin in the fifth line, their texts in the ninth column."""
    return f"m:\n  cmdline: hog\n  actions:\n    {trigger}:\n" + "".join(f"      - {each}\n" for each in actions)


def only(found):
    ((monitor,), problems) = found
    assert not problems
    return monitor.monitor


# --- whom a monitor is about ---


@pytest.mark.parametrize(
    ("written", "users"),
    [
        (ROOT, [(ROOT, 0)]),
        ("0", [("0", 0)]),
        ("'0'", [("0", 0)]),
        (f"[{ROOT}, 1000]", [(ROOT, 0), ("1000", 1000)]),
        ("[1000]", [("1000", 1000)]),
        (f"\n    - {ROOT}\n    - 4000000001", [(ROOT, 0), ("4000000001", 4_000_000_001)]),
        ("no such user", [("no such user", None)]),
        ("[no-such-user, 7]", [("no-such-user", None), ("7", 7)]),
        ("-1", [("-1", None)]),
        ("1e3", [("1e3", None)]),
        ("0x10", [("0x10", None)]),
        ("９９", [("９９", None)]),
        ("99999999999", [("99999999999", None)]),
        ("9" * 5000, [("9" * 5000, None)]),
    ],
)
def test_a_user_is_a_name_or_a_number_and_nobody_where_there_is_none(written, users, read):
    monitor = only(read(with_keys([], selector=f"user: {written}")))
    assert monitor.selector == Selector(users=tuple(User(*each) for each in users))


@pytest.mark.parametrize("key", ["cmdline", "exe", "user"])
def test_one_of_the_three_is_enough_to_find_processes_by(key, read):
    selector = only(read(with_keys([], selector=f"{key}: '7'"))).selector
    given = {"cmdline": selector.cmdline, "exe": selector.exe, "user": selector.users}
    assert [name for name, value in given.items() if value] == [key]


def test_all_of_the_three_are_kept_each_for_itself(read):
    selector = only(read(with_keys(["exe: ^/opt/", "user: 7"]))).selector
    assert (selector.cmdline.pattern, selector.exe.pattern) == ("hog", "^/opt/")
    assert selector.users == (User("7", 7),)


def test_what_is_not_written_is_no(read):
    monitor = only(read(with_keys([])))
    assert (monitor.children, monitor.final, monitor.observe, monitor.exclude) == (False, False, False, None)


@pytest.mark.parametrize("key", ["children", "final", "observe"])
@pytest.mark.parametrize(("word", "truth"), [("yes", True), ("1", True), ("off", False)])
def test_each_flag_is_its_own(key, word, truth, read):
    monitor = only(read(with_keys([f"{key}: {word}"])))
    flags = {"children": monitor.children, "final": monitor.final, "observe": monitor.observe}
    assert flags == {**dict.fromkeys(flags, False), key: truth}


def test_what_is_excluded_is_a_regular_expression(read):
    assert only(read(with_keys(["exclude: --type=[a-z]+"]))).exclude.pattern == "--type=[a-z]+"


REGEX = "this is not a regular expression: missing ), unterminated subpattern; "
REGEX += "put a \\ before a character that stands for itself"
NOBODY = "'m' has no cmdline, exe or user to find processes by; write cmdline: firefox"
USER = "'user' takes a text or a list of texts; write user: alice, or user: [alice, bob]"
ONE_TEXT = "'exclude' takes one text, as in exclude: --type=renderer; "
ONE_TEXT += "with '[' or '{' at its start it needs single quotes"
KEYS = "cmdline, exe, user, exclude, children, final, observe, actions"
NEITHER = "'maybe' is neither yes nor no; write one of yes, true, on, 1, no, false, off, 0"


@pytest.mark.parametrize(
    ("text", "problems"),
    [
        (with_keys([], selector="exe: (x"), [(2, 8, REGEX)]),
        (with_keys(["exclude: a(x"]), [(3, 13, REGEX)]),
        (with_keys(["observe: maybe"]), [(3, 12, NEITHER)]),
        (with_keys(["user:"]), [(3, 3, USER)]),
        (with_keys(["user: []"]), [(3, 3, USER)]),
        (with_keys(["user: [a, '']"]), [(3, 3, USER)]),
        (with_keys(["user: [[a]]"]), [(3, 3, USER)]),
        (with_keys(["user: {a: b}"]), [(3, 3, USER)]),
        (with_keys(["exe:"]), [(3, 3, "'exe' has nothing after its ':'; write exe: ^/usr/bin/firefox$")]),
        (with_keys(["exclude: ''"]), [(3, 3, "'exclude' has nothing after its ':'; write exclude: --type=renderer")]),
        (with_keys(["exclude:", "  - a"]), [(4, 5, ONE_TEXT)]),
        (with_keys([], selector="children: yes"), [(1, 1, NOBODY)]),
        (with_keys([], selector="exclude: x"), [(1, 1, NOBODY)]),
        (with_keys(["users: alice"]), [(3, 3, "a monitor has no 'users'; did you mean 'user'?")]),
        (with_keys(["observed: yes"]), [(3, 3, "a monitor has no 'observed'; did you mean 'observe'?")]),
        (with_keys(["exec: x"]), [(3, 3, "a monitor has no 'exec'; did you mean 'exe'?")]),
        (with_keys(["zzz: x"]), [(3, 3, f"a monitor has no 'zzz'; its keys are {KEYS}")]),
        (with_keys(["exe: a", "exe: b"]), [(4, 3, "'exe' is already in line 3; keep one of the two")]),
        ("exclude:\n  x: y\n", [(1, 1, "'exclude' belongs to a monitor; indent it below the monitor's name")]),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_monitor_is_told_where_it_stands(text, problems, read):
    assert read(text)[1] == problems


@pytest.mark.parametrize(
    "text",
    [
        with_keys([], selector="cmdline: (x"),
        with_keys(["exe: (x"]),
        with_keys(["user: []"]),
        with_keys(["exclude: (x"]),
        with_keys([], selector="final: yes"),
    ],
)
def test_a_monitor_that_might_be_about_others_than_meant_is_none(text, read):
    assert read(text)[0] == []


# --- rules ---


def test_rules_mean_what_their_triggers_and_actions_say_and_their_texts_are_kept(read):
    [written], problems = read(
        "m:\n  cmdline: hog\n  actions:\n"
        "    RMEM > 0.5g for 2m until rmem < 300m:\n"
        "      - notify '$NAME is large'\n"
        "      - after 5m stop tree @ 30m\n"
        '      - recovered log "$NAME is back"\n'
        "    tree.cpu > 90%: nice 10 tree\n"
    )
    assert not problems
    assert written.monitor == builders.monitor(
        {
            "RMEM > 0.5g for 2m until rmem < 300m": [
                "notify $NAME is large",
                "after 5m stop tree @ 30m",
                "recovered log $NAME is back",
            ],
            "tree.cpu > 90%": "nice 10 tree",
        }
    )
    assert [rule.text.value for rule in written.rules] == ["RMEM > 0.5g for 2m until rmem < 300m", "tree.cpu > 90%"]
    assert [[text.value for text, _ in rule.steps] for rule in written.rules] == [
        ["notify '$NAME is large'", "after 5m stop tree @ 30m", 'recovered log "$NAME is back"'],
        ["nice 10 tree"],
    ]


def test_a_rule_that_is_wrong_costs_the_others_nothing(read):
    [written], problems = read(
        "m:\n  cmdline: hog\n  actions:\n    rmem > 1x: term\n    rmem > 2g: [tern, kill]\n    rmem > 3g: term\n"
    )
    assert [(line, column) for line, column, _ in problems] == [(4, 12), (5, 17)]
    assert [rule.text for rule in written.monitor.rules] == ["rmem > 2g", "rmem > 3g"]
    assert [[str(item.action) for item in rule.items] for rule in written.monitor.rules] == [["kill"], ["term"]]


@pytest.mark.parametrize(
    ("first", "second"),
    [("rmem > 1g", "RMEM>1024m"), ("rmem > 1g for 1h", "rmem > 1g  for 60m"), ("count>3", "count > 3")],
)
def test_the_same_trigger_in_other_words_is_told_with_both_places(first, second, read):
    _, problems = read(f"m:\n  cmdline: hog\n  actions:\n    {first}: term\n    {second}: kill\n")
    text = f"this is the same trigger as '{first}' in line 4; write the actions of both as a list below one"
    assert problems == [(5, 5, text)]


# --- what is about no single process ---

SHARED = [
    "count > 3",
    "group.rmem > 4g",
    "system.available < 10%",
    "growth(group.rmem, 10m) > 1g",
    "count > 3 for 1m until count < 2",
    "not system.load > 4 or group.cpu > 200%",
]
OF_EACH = ["rmem > 1g", "rmem > 1g and system.available < 10%", "count > 3 until rmem < 1g", "tree.rmem > 1g"]


def alone(trigger, cure):
    return f"'{trigger}' is about no single process, so there is no {cure}"


@pytest.mark.parametrize("trigger", SHARED)
def test_where_a_rule_is_about_no_single_process_there_is_no_tree_of_it(trigger, read):
    actions = ["term tree", "after 5m stop tree @ 30m", "nice 5 tree", "oom -5  TREE", "recovered cont tree"]
    columns = [14, 23, 16, 17, 24]
    _, problems = read(with_rule(trigger, *actions))
    text = alone(trigger, "tree; write group or largest")
    assert problems == [(5 + number, column, text) for number, column in enumerate(columns)]


@pytest.mark.parametrize(
    ("action", "column", "variable"),
    [
        ("notify $PID", 16, "$PID"),
        ("log ${PID}", 13, "${PID}"),
        ("log @ 1h '$NAME, $OWNER'", 26, "$OWNER"),
        ("'log ''$CMDLINE'''", 16, "$CMDLINE"),
        ('"log it\'s $VMEM"', 19, "$VMEM"),
        ("after 5m log $RMEM of $NAME", 22, "$RMEM"),
        ("recovered notify $VALUE $PID", 33, "$PID"),
    ],
)
@pytest.mark.parametrize("trigger", SHARED)
def test_where_a_rule_is_about_no_single_process_a_text_has_none_of_its_variables(
    trigger, action, column, variable, read
):
    assert read(with_rule(trigger, action))[1] == [(5, column, alone(trigger, f"{variable}; leave it out"))]


def test_each_variable_of_a_text_is_told_for_itself_also_when_it_is_there_twice(read):
    _, problems = read(with_rule("count > 3", "log $PID $NAME $PID ${PID} $OWNER"))
    assert [(column, text.partition("no $")[2].partition(";")[0]) for _, column, text in problems] == [
        (13, "PID"),
        (24, "PID"),
        (29, "{PID}"),
        (36, "OWNER"),
    ]


@pytest.mark.parametrize(
    ("triggers", "actions"),
    [
        (
            SHARED,
            ["log $NAME $VALUE $LIMIT $RULE $ACTION", "notify it costs 5$", "term group", "kill largest", "nice 5"],
        ),
        (SHARED, [f"{word} @ 1h" for word in SIGNALS]),
        (SHARED, ["exec logger $PID"]),  # in a shell it is empty, as any other that is not set
        (OF_EACH, ["term tree", "nice 5 tree", "log $PID $OWNER $CMDLINE $RMEM ${VMEM}", "notify $PID"]),
    ],
)
def test_what_such_a_rule_may_do_and_what_the_others_may_is_no_problem(triggers, actions, read):
    for trigger in triggers:
        assert len(only(read(with_rule(trigger, *actions))).rules) == 1


# --- what YAML cuts short ---


@pytest.mark.parametrize(
    ("action", "column", "what"),
    [
        ("exec x #1", 16, "command"),
        ("after 5m exec x #1", 25, "command"),
        ("recovered log a #b", 25, "text"),
        ("notify @ 1h a  # b", 24, "text"),
        ("EXEC @ 1h x #1", 21, "command"),
        ("After 5m  Notify a #b", 28, "text"),
        ('log "a #b"', 16, "text"),
        ("exec #1", 14, "command"),
    ],
)
def test_a_comment_that_cuts_words_short_is_told_where_it_starts(action, column, what, read):
    text = f"this '#' starts a comment and cuts the {what} short; put the whole action in single quotes"
    assert read(with_rule("rmem > 1g", action))[1] == [(5, column, text)]


@pytest.mark.parametrize(
    "action",
    [
        "term # why",
        "after 5m stop @ 10m # why",
        "nice 5 # why",
        "recovered cont # why",
        "'exec x #1' # why",
        "'recovered log a #b'",
        '"after 5m exec x #1"',
        "log a#b",
    ],
)
def test_a_comment_that_cuts_nothing_short_is_fine(action, read):
    assert only(read(with_rule("rmem > 1g", action))).rules[0].items
