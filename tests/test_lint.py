import os
import re
import time
from types import SimpleNamespace

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from fallfromgrace import backtracking, config, lint, lint_commands, lint_never, lint_patterns, lint_samples
from fallfromgrace.expression import evaluate
from fallfromgrace.files import Contents
from fallfromgrace.grammar import parse_trigger
from tests.builders import Life, Seen, monitor, process


@pytest.fixture
def warned(tmp_path):
    """What is warned about a configuration: line, column and text of each, without the file's name."""

    def warned(text):
        path = tmp_path / "x.conf"
        path.write_text(text)
        written = config.understood([Contents(path, text.encode())])  # whoever it belongs to
        return [each.headline.removeprefix(f"{path}:") for each in lint.warnings(written)]

    return warned


@pytest.fixture
def rules_warned(warned):
    """The same about the rules of one monitor, whose lines count from 4."""
    return lambda *rules: warned("m:\n  cmdline: hog\n  actions:\n" + "".join(f"    {rule}\n" for rule in rules))


def begin(found, expected):
    """Whether there are as many texts as beginnings, and each has its own."""
    return len(found) == len(expected) and all(map(str.startswith, found, expected))


def marked(problem):
    """What of a line the carets are under."""
    return problem.source[problem.column - 1 :][: problem.width]


MONITOR = "{name}:\n  {keys}\n  actions:\n    {rule}\n"


def monitors(*keys, rule="rmem > 1g: term"):
    """Monitors a, b... with these keys each, in lines 1, 5...; their keys are in lines 2, 6..."""
    return "".join(MONITOR.format(name="abcd"[at], keys=each, rule=rule) for at, each in enumerate(keys))


# --- nothing is said of what is fine ---


@pytest.mark.parametrize(
    "text",
    [
        "interval: 10s\nhog:\n  cmdline: hog\n  actions:\n    rmem > 500m: exec logger hog\n    rmem > 900m: term\n",
        "hog:\n  cmdline: .\n  children: 1\n  final: 1\n  actions:\n    rmem > 6g or vmem > 60g: stop @ 10m\n",
        "x:\n  cmdline: '^/opt/google/chrome/chrome'\n  user: [root]\n  exclude: --type=renderer\n  actions:\n"
        "    tree.pmem > 4g for 2m until tree.pmem < 3g:\n      - notify $NAME\n      - after 5m stop tree @ 30m\n"
        "    rmem > 25% and system.available < 10%: [term, after 30s kill]\n",
        "protect:\n  - exe: ^/usr/sbin/sshd$\n  - user: root\n    cmdline: sshd\n",
    ],
)
def test_what_is_fine_is_not_warned_about(text, warned):
    assert warned(text) == []


def test_a_file_that_seems_to_be_a_drop_in_is_warned_about(warned, tmp_path):
    (tmp_path / "x.d").mkdir()
    (tmp_path / "x.d" / "more.yaml").write_text("a:\n")
    assert begin(warned("#\n"), [f"{tmp_path}/x.d/more.yaml: this is passed over: the name of a drop-in is"])


# --- monitors that get no process ---


@pytest.mark.parametrize(
    "keys",
    [
        ("cmdline: firefox", "cmdline: firefox"),
        ("cmdline: firefox", "cmdline: firefox\n  children: 1"),
        ("cmdline: firefox", "cmdline: firefox\n  user: root"),
        ("cmdline: firefox", "cmdline: ^/usr/lib/firefox --headless\n  exclude: web"),
        ("cmdline: ^/usr", "cmdline: ^/usr/bin"),
        ("cmdline: .", "cmdline: firefox"),
        ("cmdline: .*\n  exe: ^/bin", "exe: ^/bin/sh$"),
        ("cmdline: .*", "exe: ^/bin"),
        ("exe: .", "exe: ^/bin"),
        ("user: [root, '7']", "cmdline: firefox\n  user: '7'"),
        ("cmdline: hog\n  exclude: web", "cmdline: hog\n  exclude: web"),
        ("cmdline: hog\n  exclude: web-app", "cmdline: hog\n  exclude: web"),
    ],
)
def test_a_final_monitor_that_takes_everything_is_told_at_the_one_that_gets_nothing(keys, warned):
    text = monitors(f"{keys[0]}\n  final: 1", keys[1])
    line = text.splitlines().index("b:") + 1
    found = [each for each in warned(text) if "matches every" not in each]
    assert begin(found, [f"{line}:1: no process is left for 'b': 'a' in line 1 is final and takes all that this one"])


@pytest.mark.parametrize(
    "keys",
    [
        ("cmdline: firefox", "cmdline: firefox"),  # not final
        ("cmdline: firefox-bin\n  final: 1", "cmdline: firefox"),
        ("cmdline: firefox\n  user: root\n  final: 1", "cmdline: firefox"),
        ("cmdline: firefox\n  user: root\n  final: 1", "cmdline: firefox\n  user: ['0', '7']"),
        ("user: root\n  final: 1", "user: zz9"),  # it finds nobody anyway
        ("cmdline: firefox\n  exclude: web\n  final: 1", "cmdline: firefox"),
        ("cmdline: firefox\n  exclude: web\n  final: 1", "cmdline: firefox\n  exclude: web-app"),
        ("cmdline: .\n  final: 1", "exe: ^/bin"),  # who hides the command line has an executable
        ("cmdline: .\n  final: 1", "user: root"),
        ("cmdline: .\n  final: 1", "cmdline: ^(firefox)?$"),
        ("cmdline: ^.*$\n  final: 1", "cmdline: hog"),  # not one with a line break in its arguments
        ("exe: .\n  final: 1", "cmdline: firefox"),
        ("cmdline: (?i)fire\n  final: 1", "cmdline: firefox"),  # it does, but nobody has shown it
        ("cmdline: fire$\n  final: 1", "cmdline: firefox"),
        ("cmdline: ^fire\n  final: 1", "cmdline: /usr/bin/firefox"),
        ("cmdline: fire\n  final: 1", "cmdline: (firefox)?bird"),
        ("cmdline: fire\n  final: 1", "cmdline: (?!firefox)bird"),
        ("cmdline: hog\n  children: 1\n  final: 1", "cmdline: web"),
    ],
)
def test_a_final_monitor_that_leaves_something_is_none_to_warn_about(keys, warned):
    assert [each for each in warned(monitors(*keys)) if "final" in each] == []


@pytest.mark.parametrize(
    ("rule", "count"),
    [
        ("system.available < 5%: exec logger low", 0),  # it is done all the same
        ("system.available < 5%: term largest", 1),
        ("count < 1: exec logger none", 1),
        ("group.pmem > 1g: exec logger big", 1),
    ],
)
def test_a_rule_about_the_machine_needs_no_process(rule, count, warned):
    found = warned(monitors("cmdline: hog\n  final: 1", "cmdline: hog", rule=rule))
    assert len(found) == count


def test_the_first_of_several_final_monitors_is_named_with_its_file(tmp_path):
    (tmp_path / "x.conf").write_text(monitors("cmdline: web\n  final: 1", "cmdline: hog\n  final: 1"))
    (tmp_path / "x.d").mkdir()
    (tmp_path / "x.d/y.conf").write_text("c:\n  cmdline: hog\n  final: 1\n  actions:\n    rmem > 1g: term\n")
    [found] = lint.warnings(config.read(tmp_path / "x.conf"))
    assert (found.path, found.line) == (f"{tmp_path}/x.d/y.conf", 1)
    assert f"'b' in {tmp_path}/x.conf:6 is final" in found.text
    assert marked(found) == "c"


# --- rules that come too late ---


@pytest.mark.parametrize(
    "rules",
    [
        ("rmem > 500m: kill", "rmem > 900m: term"),
        ("rmem > 500m: kill", "rmem >= 900m for 5m until rmem < 800m: [term, after 1m kill]"),
        ("rmem > 500m: [exec logger x, kill]", "rmem > 500m for 1m: term"),
        ("rmem > 500m: kill", "rmem > 900m: kill"),
        ("rmem > 500m: kill tree", "not rmem <= 900m: after 1m term"),
        ("rmem > 500m: kill @ 1h", "500m < rmem < 600m: int"),
        ("rmem > 500m for 10s: kill", "rmem > 500m and age > 1h for 10s: term"),
        ("rmem > 500m or cpu > 90%: kill", "rmem > 1g and cpu > 10%: term"),
        ("rmem > 500m until rmem < 400m: kill", "rmem > 900m: term"),
        ("rmem > 25%: kill", "rmem > 50%: term"),
        ("system.available < 10% and rmem > 1g: kill", "system.available < 5% and rmem > 1g: term"),
        ("threads > 9: kill", "threads >= 10: term"),
        ("growth(rmem, 10m) > 1m: kill", "growth(rmem, 10m) > 2m: hup"),
    ],
)
def test_a_rule_behind_a_kill_is_warned_about(rules, rules_warned):
    text = f"5:5: this never gets to {rules[1].partition(': ')[2].strip('[]').replace('after 1m ', '')}: "
    assert begin(rules_warned(*rules), [f"{text}'{rules[0].partition(': ')[0]}' in line 4 kills the process first; "])


def test_a_weaker_signal_is_too_late_wherever_it_is_written(rules_warned):
    found = rules_warned("rmem > 900m: term", "rmem > 500m: kill")
    assert begin(found, ["4:5: this never gets to term: 'rmem > 500m' in line 5 kills"])


@pytest.mark.parametrize(
    "rules",
    [
        ("rmem > 500m: kill", "rmem > 400m: term"),
        ("rmem > 500m: kill", "rmem < 900m: term"),
        ("rmem > 500m: kill", "vmem > 900m: term"),
        ("rmem > 500m: kill", "rmem > 900m or cpu > 90%: term"),
        ("rmem > 500m and cpu > 10%: kill", "rmem > 900m: term"),
        ("rmem > 500m and fds >= 0: kill", "rmem > 900m: term"),  # fds may not be readable
        ("rmem > 500m: after 1m kill", "rmem > 900m: term"),
        ("rmem > 500m: recovered kill", "rmem > 900m: term"),
        ("rmem > 500m: term", "rmem > 900m: kill"),
        ("rmem > 500m for 1m: kill", "rmem > 900m: term"),
        ("rmem > 500m for 1m: kill", "rmem > 900m for 30s: term"),
        ("rmem > 500m: kill", "rmem > 900m: [exec logger x, term]"),  # done first if both come true in one look
        ("rmem > 500m: kill", "rmem > 900m: nice 19"),
        ("rmem > 500m: kill", "rmem > 900m: term tree"),
        ("rmem > 900m: kill", "rmem > 500m: kill"),
        ("rmem > 500m and rmem < 800m: kill", "rmem > 700m: term"),
        ("rmem > 500m until rmem > 800m: kill", "rmem > 900m: term"),
        ("rmem > 500m until cpu < 1%: kill", "rmem > 900m: term"),
        ("rmem > 500m: kill", "rmem > 50%: term"),  # on a small machine
        ("rmem > 500m: kill", "rmem >= 500m: term"),
        ("rmem != 500m: kill", "rmem == 500m: term"),
        ("threads > 9: kill", "threads > 8: term"),
        ("system.available < 500m: kill largest", "system.available < 400m: term largest"),
        ("count > 5: kill", "count > 9: term"),
        ("count > 5: kill", "count > 9 and rmem > 1g: term"),  # who comes later is not killed
        ("tree.pmem > 1g: kill", "pmem > 2g: term"),
        ("2 * rmem > 1g: kill", "rmem > 1g: term"),
        ("rmem > 500m and system.load > 3: kill largest", "rmem > 900m and system.load > 4: term"),
    ],
)
def test_a_rule_that_may_come_first_is_not_warned_about(rules, rules_warned):
    assert rules_warned(*rules) == []


def test_where_nothing_is_done_a_kill_is_none(warned):
    text = "m:\n  cmdline: hog\n  observe: {}\n  actions:\n    rmem > 500m: kill\n    rmem > 900m: term\n"
    assert warned(text.format("yes")) == []
    assert len(warned(text.format("no"))) == 1


@pytest.mark.parametrize(
    "rules",
    [
        {"rmem > 500m: kill": "rmem > 900m: term"},
        {"rmem > 500m for 1m: kill": "rmem > 900m for 1m until rmem < 300m: term"},
        {"rmem > 500m until rmem < 400m: kill": "rmem > 600m: term"},
        {"rmem > 500m: kill @ 1h": "rmem > 500m and vmem > 900m for 1m: term"},
        {"rmem > 500m: kill tree": "rmem > 900m: term"},
    ],
    ids=str,
)
@given(sizes=st.lists(st.sampled_from([100, 350, 450, 550, 700, 1000]), max_size=8))
@settings(deadline=None, max_examples=50)
def test_what_is_said_to_come_too_late_never_comes_in_the_engine(rules, sizes):
    [texts] = [dict([first.split(": "), second.split(": ")]) for first, second in rules.items()]
    life, hog = Life(monitor(texts)), process(100)
    for now, size in enumerate(sizes):
        done = [action for _, action in life.look(30.0 * now, (hog, size))]
        assert "term" not in done
        if done:
            break  # it is dead


NUMBERS = st.sampled_from([0, 1, 2, 3])
OPERATORS = st.sampled_from(["<", "<=", ">", ">=", "==", "!="])
COMPARED = st.builds("{} {} {}".format, st.sampled_from(["rmem", "threads", "growth(rmem, 1m)"]), OPERATORS, NUMBERS)
CONDITIONS = st.recursive(
    COMPARED,
    lambda part: st.one_of(
        st.builds("not ({})".format, part),
        st.builds("({}) and ({})".format, part, part),
        st.builds("({}) or ({})".format, part, part),
    ),
    max_leaves=4,
)
SIZES = st.sampled_from([0, 0.5, 1, 1.5, 2, 2.5, 3, 3.5, 9])


def seen(rmem, threads, growth):
    view = Seen(rmem=rmem, threads=threads)
    view.read["growth(rmem, 1m)"] = growth
    return view


@given(CONDITIONS, CONDITIONS, st.builds(seen, SIZES, st.integers(0, 5), st.one_of(SIZES, st.just(-1))))
@settings(deadline=None, max_examples=300)
def test_what_samples_say_is_so_everywhere(one, other, view):
    one, other = parse_trigger(one), parse_trigger(other)
    assume(evaluate(one.condition, view).truth)
    assert not lint_samples.impossible(one.condition)
    if lint_samples.follows(one.condition, other):
        assert evaluate(other.condition, view).truth


# --- conditions that are never true ---


@pytest.mark.parametrize(
    "trigger",
    [
        "2g < rmem < 1g",
        "rmem > 2g and rmem < 1g",
        "rmem < 0",
        "rmem == -1",
        "count < 0",
        "threads == 1.5",
        "not rmem >= 0 for 1m",
    ],
)
def test_a_condition_that_is_never_true_is_warned_about(trigger, rules_warned):
    found = rules_warned(f"{trigger}: exec logger x")
    assert begin(found, ["4:5: this condition is never true, so that nothing is ever done; turn"])


@pytest.mark.parametrize(
    "trigger",
    [
        "rmem >= 1g and rmem <= 1g",
        "rmem == 1g",
        "rmem > -1 and rmem < 3",
        "swap <= 0",
        "growth(rmem, 10m) < 0",
        "growth(rmem, 10m) < -5m",
        "rmem > 50% and rmem < 1g",
        "rmem > 50% and rmem < 51%",
        "rmem > 1g and vmem < 500m",
        "rmem > vmem",
        "count < 1",
        "fds > 90% and fds < 20",
        "rmem < 1% + 10m",
    ],
)
def test_a_condition_that_can_be_true_is_not_warned_about(trigger, rules_warned):
    assert rules_warned(f"{trigger}: exec logger x") == []


# --- until ---


@pytest.mark.parametrize(
    ("trigger", "part", "example"),
    [
        ("rmem > 1g until rmem < 2g", "rmem < 2g", "rmem 1.5g"),
        ("rmem > 1g for 5m until rmem < 2g for 5m", "rmem < 2g", "rmem 1.5g"),
        ("rmem > 2 * 512m until not rmem >= 2g", "not rmem >= 2g", "rmem 1.5g"),
        ("rmem > -5 until rmem < 2", "rmem < 2", "rmem 1"),
        ("system.available < 1g until system.available > 512m", "system.available > 512m", "system.available 768m"),
        ("count > 3 until count <= 4", "count <= 4", "count 4"),
        ("rmem > 1g or cpu > 50% until rmem < 500m", "rmem < 500m", "rmem 250m and cpu 100%"),
        ("rmem > 1g until age > 1h or rmem < 2g", "rmem < 2g", "rmem 1.5g"),
        ("rmem > 25% until rmem < 50%", "rmem < 50%", ""),
    ],
)
def test_an_until_that_is_true_with_its_condition_is_warned_about(trigger, part, example, tmp_path, rules_warned):
    [found] = rules_warned(f"{trigger}: exec logger x")
    assert found.startswith(f"4:{5 + trigger.index('until')}: '{part}' can be true while the condition is")
    assert (", as with" in found, example in found) == (bool(example), True)
    [problem] = lint.warnings(config.read(tmp_path / "x.conf"))
    assert marked(problem) == trigger[trigger.index("until") :]


@pytest.mark.parametrize(
    "trigger",
    [
        "rmem > 1g until rmem < 900m",
        "rmem > 1g until rmem <= 1g",
        "rmem >= 1g until rmem <= 1g",  # together only on the byte
        "age > 10m until age > 1h",  # from ten minutes to an hour
        "rmem > 1g and age > 10m until rmem < 500m or age > 1h",
        "rmem > 1g until cpu < 10%",
        "rmem > 1g until cpu < 10% and rmem < 2g",
        "rmem > 1g until rmem < 2g for 5m",
        "rmem > 1g or cpu > 50% until rmem < 500m and cpu < 20%",
        "rmem > 25% until rmem < 2g",  # depends on the machine
        "rmem > 25% until rmem < 20%",
        "count > 3 until count <= 3",
        "swap > 0 until swap == 0",
        "rmem - vmem > 1g until rmem < 2g",
        " or ".join(f"{name} > 5" for name in ("rmem", "vmem", "umem", "swap", "fds", "threads", "children", "count"))
        + " until rmem < 6",  # too much to try out
    ],
)
def test_an_until_that_may_be_meant_so_is_not_warned_about(trigger, rules_warned):
    assert rules_warned(f"{trigger}: exec logger x") == []


# --- sums ---


def test_sums_that_count_shared_memory_several_times_are_warned_about(rules_warned):
    found = rules_warned(
        "GROUP.rmem > 4g: term group", "growth(tree.rmem, 10m) > 1m or tree.rmem > 1g: term", "tree.vmem > 1t: term"
    )
    assert begin(found, ["4:5: group.rmem counts memory", "5:12: tree.rmem counts memory"])
    assert "tree.pmem divides it among them" in found[1]


# --- regexes ---


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (monitors("cmdline: firefox|"), ["2:12: this matches every command line, as it matches the empty text; "]),
        (monitors("cmdline: '(web)?'\n  user: root"), ["2:12: this matches every command line, as it matches the"]),
        (monitors("cmdline: hog\n  exclude: .*"), ["3:12: this matches every command line, so that no process is"]),
        (monitors("exe: a*"), ["2:8: this matches the path of every program, as it"]),
        (monitors("cmdline: ^.*$"), ["2:12: this matches every command line"]),
        ("protect:\n  - user: root\n    cmdline: x*\n", ["2:5: the cmdline 'x*' matches every command line, as it"]),
        ("protect:\n  - cmdline: x*\n", ["2:5: the cmdline 'x*' matches every command line, as it"]),
        ("protect:\n  - exe: x*\n", ["2:5: the exe 'x*' matches the path of every program, as it"]),
    ],
)
def test_a_regex_that_matches_everything_is_warned_about(text, expected, warned):
    assert begin(warned(text), expected)


@pytest.mark.parametrize(
    ("keys", "cure"),
    [
        ("cmdline: .*", "correct it, or write . if every process is meant"),
        ("cmdline: .*\n  user: root", "correct it, or leave it out"),
        ("cmdline: hog\n  exclude: .*", "correct it, or leave it out"),
    ],
)
def test_it_is_told_what_to_write_for_everything(keys, cure, warned):
    [found] = warned(monitors(keys))
    assert found.endswith(cure)


EVERYWHERE = [
    "",
    "^",
    "$",
    "x*",
    "x*?",
    "(a|b|)",
    "(?:ab?)*c?",
    "^(a|)",
    "a?$",
    r"\Z",
    "(?!a)",
    "(?!.)$",
    "$(?!x)",
    "(?<!x)^",
    "(?s)^.*$",
]
IN_LINES = ["^.*$", "^(.*)$", "^(?:a|.*)$", r"\A.*?"]
NOT_EVERYWHERE = [
    ".",
    ".+",
    "^$",
    "^(hog)?$",
    "^(?!.*--type=)",
    r"\b",
    r"\B",
    "a|b",
    "^a*$",
    "(?=a)",
    "x*y",
    "(?!x*)",
    "(?<!x)$",
]
TEXTS = ["", "a", "x", "hog", "--type=", "b x", "\n", "a\nb", "ab" * 9]


@pytest.mark.parametrize("pattern", EVERYWHERE)
def test_what_finds_something_in_every_text_is_known(pattern):
    assert lint_patterns.finds_anything(re.compile(pattern))
    assert all(re.search(pattern, text) for text in TEXTS)


@pytest.mark.parametrize("pattern", IN_LINES)
def test_what_finds_something_in_every_line_is_known(pattern):
    compiled = re.compile(pattern)
    assert lint_patterns.finds_anything(compiled, in_lines=True)
    assert all(compiled.search(text) for text in TEXTS if "\n" not in text)


@pytest.mark.parametrize("pattern", NOT_EVERYWHERE)
def test_what_does_not_find_something_in_every_text_is_not_taken_for_it(pattern):
    assert not lint_patterns.finds_anything(re.compile(pattern), in_lines=True)


PARTS = st.sampled_from(["a", "b", ".", "^", "$", "a*", "b?", "[ab]", "(a|b)", "(?!a)", "(?<!a)", "|", r"\b", "(?:.*)"])
PATTERNS = st.lists(PARTS, min_size=1, max_size=5).map("".join)


@given(PATTERNS, PATTERNS, st.text("abc\n ", max_size=6).map(str.rstrip))
@settings(deadline=None, max_examples=500)
def test_what_is_told_of_patterns_is_so_in_every_text(wide, narrow, text):
    wide, narrow = re.compile(wide), re.compile(narrow)
    if lint_patterns.finds_anything(wide):
        assert wide.search(text)
    if lint_patterns.finds_anything(wide, in_lines=True):
        assert wide.search(text.replace("\n", ""))
    if lint_patterns.covers(wide, narrow) and narrow.search(text):
        assert wide.search(text)


# --- regexes that backtrack ---


@pytest.mark.parametrize(
    ("text", "place", "name"),
    [
        (monitors("cmdline: '(a+)+$'"), "2:12", "this"),
        (monitors("exe: (x+x+)+y"), "2:8", "this"),
        (monitors("cmdline: hog\n  exclude: (a|a)*b"), "3:12", "this"),
        ("protect:\n  - exe: sshd\n    cmdline: (a+)+$\n", "2:5", "the cmdline '(a+)+$'"),
    ],
)
def test_a_regex_that_backtracks_badly_is_warned_about(text, place, name, warned):
    assert begin(warned(text), [f"{place}: {name} takes very long on some texts, such as '"])


def test_each_regex_is_tried_once_and_told_wherever_it_is(warned, monkeypatch):
    tried = []
    monkeypatch.setattr(backtracking, "attack", lambda pattern: tried.append(pattern.pattern) or "\x01" + "a" * 99)
    found = warned(monitors("cmdline: x", "cmdline: x", "exe: x", "cmdline: y"))
    assert tried == ["x", "y"]
    assert [each.partition(": ")[0] for each in found] == ["2:12", "6:12", "10:8", "14:12"]
    assert f"such as '?{'a' * 19}...'; " in found[0]


def test_after_some_seconds_no_more_regexes_are_tried(warned, monkeypatch):
    clock = [0.0]

    def attack(_pattern):
        clock[0] += 2
        return "a"

    monkeypatch.setattr(backtracking, "attack", attack)
    monkeypatch.setattr(lint, "time", SimpleNamespace(monotonic=lambda: clock[0]))
    assert len(warned(monitors(*(f"cmdline: x{at}" for at in range(4))))) == 3


# --- users, and who is protected ---


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            monitors("user: rooot"),
            ["2:9: there is no user 'rooot', so that nobody is found by that name; did you mean"],
        ),
        (monitors("user: [root, 'zz9', '12345']"), ["2:16: there is no user 'zz9', so that nobody is found by that"]),
        (monitors("user:\n    - zz9\n    - zz8"), ["3:7: there is no user 'zz9'", "4:7: there is no user 'zz8'"]),
        ("protect:\n  - exe: ^/x\n    user: zz9\n", ["2:5: there is no user 'zz9', so that nobody is protected by"]),
    ],
)
def test_a_user_whom_nobody_knows_is_warned_about(text, expected, warned):
    assert begin(warned(text), expected)


PROTECT = "protect:\n  - cmdline: ^/usr/sbin/sshd\n"


@pytest.fixture
def as_user(tmp_path, monkeypatch):
    """A user checks a file of their own."""
    (tmp_path / "x.conf").touch()
    if os.geteuid() == 0:
        os.chown(tmp_path / "x.conf", 1000, 1000)
    monkeypatch.setattr(os, "geteuid", lambda: 1000)


@pytest.mark.usefixtures("as_user")
def test_root_is_warned_that_a_command_line_is_no_proof(warned, monkeypatch):
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert begin(warned(PROTECT), ["2:5: anybody can start a process with such a command line, which is then"])


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has files that are root's")
@pytest.mark.usefixtures("as_user")
def test_so_is_who_checks_a_file_of_root(warned, tmp_path):
    os.chown(tmp_path / "x.conf", 0, 0)
    assert len(warned(PROTECT)) == 1


@pytest.mark.usefixtures("as_user")
def test_a_user_has_only_processes_of_their_own_to_protect(warned):
    assert warned(PROTECT) == []


@pytest.mark.parametrize("more", ["user: root", "exe: ^/usr/sbin/sshd$"])
def test_a_command_line_beside_something_else_is_fine(more, warned, monkeypatch):
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert warned(f"{PROTECT}    {more}\n") == []


# --- commands ---


@pytest.fixture
def programs(tmp_path, monkeypatch):
    """A PATH of our own with `have`, and beside it a script that may not be executed."""
    for name, mode in (("have", 0o755), ("script.sh", 0o644)):
        (tmp_path / "bin").mkdir(exist_ok=True)
        (tmp_path / "bin" / name).touch()
        (tmp_path / "bin" / name).chmod(mode)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    return tmp_path / "bin"


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ("hav", ["hav"]),
        ("hav -x have; have; hava", ["hav", "hava"]),
        ("A=b C='d e' hav x", ["hav"]),
        ("2>/dev/null hav", ["hav"]),
        ("< /nosuch hav", ["hav"]),
        ("have > hav | hav 2>&1 & hava", ["hav", "hava"]),
        ("have\nhav", ["hav"]),
        ("hav && hava", ["hav"]),
        ("hav '; hava' \"; $hava\" \\; hava # ; hava", ["hav"]),
        ('hav "$(hava)"; hava', ["hav"]),
        ("hav `hava`", ["hav"]),
        ("echo x; hav", ["hav"]),
        ("hav <<E\nhava\nE", ["hav"]),
        ("/nosuch/hav; nosuch/hav; ./nosuch", ["/nosuch/hav", "nosuch/hav", "./nosuch"]),
    ],
)
@pytest.mark.usefixtures("programs")
def test_programs_that_are_not_there_are_found(command, words):
    assert [command[start:end] for start, end, _ in lint_commands.missing(command)] == words


@pytest.mark.parametrize(
    "command",
    [
        "have",
        "have hav",
        "sh -c hav",  # from the usual directories, whatever our PATH
        "/bin/sh -c hav",
        "bin/sh -c hav",
        "./bin/sh -c hav",
        "echo hav; test -e x; : hav; true; kill 1; printf x",
        "[ -x /nosuch/hav ] && /nosuch/hav",
        "[ -x /nosuch/hav ] || exit 0; /nosuch/hav",
        "test -x /nosuch/hav || exit 0\n/nosuch/hav",
        "hav || have",
        "hav && have || have",
        'hav "$(have)" || have',
        "if hav; then hav; fi",
        "for x in 1 2; do hav; done",
        "while hav; do hav; done",
        "case x in x) hav;; esac",
        "{ hav; }",
        "(hav)",
        "! hav",
        "hav() { have; }; hav",
        "hav () { have; }; hav",
        "cd /nosuch; ./hav",
        ". /nosuch; hav",
        "eval hav",
        "alias hav=have\nhav",
        "command -v hav",
        "exec hav",
        "export PATH=/nosuch:$PATH; hav",
        "PATH=/nosuch hav",
        "PATH=/nosuch; hav",
        "$HAV; $HAV/hav; ${HAV}; hav$HAV; 'hav x'; \"hav\"; ha\\v; ~/hav; ha?; ha*",
        "A=$(hav) hav",
        "$(hav) hav",
        "hav$(have)",
        'hav"$(have)"',
        "`hav`",
        "have <(hav)",
        "# hav",
        "have ${X:-; hav}",
        'have "$(have "; hav y")"',
        "A=b",
        "trap hav EXIT; hav",
    ],
)
@pytest.mark.usefixtures("programs")
def test_of_commands_that_may_be_fine_nothing_is_said(command):
    assert list(lint_commands.missing(command)) == []


def test_it_is_told_what_is_wrong_with_a_program(programs):
    def told(command):
        return [text for _, _, text in lint_commands.missing(command)]

    assert told("hav") == ["there is no program 'hav'; correct its name, install it, or write its whole path"]
    assert told("/nosuch/x") == ["there is no '/nosuch/x'; correct the path, or install it"]
    assert told("./nosuch/x") == [
        "there is no '/nosuch/x', which this is, as commands run in /; write its whole path",
    ]
    assert told(str(programs)) == [f"'{programs}' is a directory; write which program in it"]
    script = programs / "script.sh"
    assert told(str(script)) == [f"'{script}' may not be executed; run chmod +x {script}"]


def test_what_we_may_not_see_may_be_there(monkeypatch):
    def stat(path):
        raise PermissionError if path.startswith("/root/") else FileNotFoundError

    monkeypatch.setattr(os, "stat", stat)
    assert list(lint_commands.missing("/root/hav; /else/hav")) == [
        (11, 20, "there is no '/else/hav'; correct the path, or install it")
    ]


@pytest.mark.parametrize(
    ("action", "column"),
    [("exec exe x", 21), ("after 5m exec @ 1h exe x", 35), ("recovered exec exe", 31), ('"exec have; exe"', 28)],
)
@pytest.mark.usefixtures("programs")
def test_the_carets_are_under_the_program(action, column, tmp_path, rules_warned):
    found = rules_warned(f"rmem > 1g: {action}")
    assert begin(found, [f"4:{column}: there is no program 'exe'"])
    assert marked(lint.warnings(config.read(tmp_path / "x.conf"))[0]) == "exe"


# --- all together ---


def test_warnings_come_in_the_order_of_the_file(warned):
    text = monitors("cmdline: hog|", "user: zz9", rule="tree.rmem > 1g until tree.rmem < 2g: exec nosuch-program x")
    places = [each.partition(": ")[0] for each in warned(text)]
    assert places == ["2:12", "4:5", "4:20", "4:47", "6:9", "8:5", "8:20", "8:47"]


def test_a_thousand_monitors_take_a_few_seconds_at_most(tmp_path):
    text = "".join(
        f"m{at}:\n  cmdline: ^/usr/bin/prog{at} .*--x={at}\n  final: 1\n  actions:\n"
        f"    rmem > {at + 1}m for 1m until rmem < {at + 1}k: [exec logger x, term]\n    rmem > {2 * at + 2}m: kill\n"
        for at in range(1000)
    )
    path = tmp_path / "x.conf"
    path.write_text(text)
    written = config.read(path)
    start = time.process_time()
    assert lint.warnings(written) == ()
    assert time.process_time() - start < 20  # five of them for regexes


def test_of_too_many_rules_nothing_is_said_in_time(warned, monkeypatch):
    clock = iter(range(100))
    monkeypatch.setattr(lint_never, "time", SimpleNamespace(monotonic=lambda: next(clock)))
    rules = "".join(f"    rmem > {size}m: kill\n" for size in range(9, 0, -1)) + "    rmem > 50m: term\n"
    assert warned(f"m:\n  cmdline: hog\n  actions:\n{rules}") == []
