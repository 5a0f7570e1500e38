import re

import pytest

from fallfromgrace.expression import Growth, Metric
from fallfromgrace.rules import (
    PROCESS_VARIABLES,
    VARIABLES,
    Adjust,
    Config,
    Exec,
    Log,
    Monitor,
    Notify,
    Selector,
    Settings,
    Signal,
    Step,
    Target,
    User,
    counted,
    unquoted,
)
from fallfromgrace.table import Image
from tests.builders import monitor

cases = pytest.mark.parametrize


def rule_of(trigger, *actions):
    return monitor({trigger: list(actions) or "term"}).rules[0]


# --- actions as text --------------------------------------------------------------------------------------------


@cases(
    ("action", "text", "verb"),
    [
        (Signal("term"), "term", "term"),
        (Signal("stop", 600.0), "stop @ 10m", "stop @ 10m"),
        (Signal("kill", None, Target.LARGEST), "kill largest", "kill largest"),
        (Signal("stop", 90.0, Target.TREE), "stop tree @ 90s", "stop tree @ 90s"),
        (Adjust("nice", -5), "nice -5", "nice -5"),
        (Adjust("oom", 500, Target.GROUP), "oom 500 group", "oom 500 group"),
        (Exec("logger x"), "exec logger x", "exec"),
        (Exec("logger x", 5400.0), "exec @ 90m logger x", "exec @ 90m"),
        (Exec('"x"'), 'exec "x"', "exec"),
        (Notify("a b"), "notify a b", "notify"),
        (Notify("a b", 60.0), "notify @ 1m a b", "notify @ 1m"),
        (Log("x"), "log x", "log"),
        # texts that would not read back without quotes
        (Log(" x"), 'log " x"', "log"),
        (Log("x\n"), 'log "x\n"', "log"),
        (Log("\xa0x"), 'log "\xa0x"', "log"),
        (Log("@ 5m"), 'log "@ 5m"', "log"),
        (Log('"x"'), 'log ""x""', "log"),
        (Log("'x'"), "log \"'x'\"", "log"),
        (Log('"'), 'log "', "log"),
        (Log('"x'), 'log "x', "log"),
    ],
)
def test_the_normal_form_of_an_action(action, text, verb):
    assert (str(action), action.verb) == (text, verb)


@cases(
    ("step", "text"),
    [
        (Step(Signal("term")), "term"),
        (Step(Signal("kill"), after=30.0), "after 30s kill"),
        (Step(Exec("x", 60.0), after=5400.0), "after 90m exec @ 1m x"),
        (Step(Log("fine"), recovered=True), "recovered log fine"),
    ],
)
def test_when_an_action_is_due_stands_before_it(step, text):
    assert str(step) == text


@cases(
    ("text", "inner"),
    [('"x"', "x"), ("'x'", "x"), ('""', ""), ('"', '"'), ("'x\"", "'x\""), ('"x', '"x'), ('""x""', '"x"'), ("x", "x")],
)
def test_one_surrounding_pair_of_quotes_is_taken_off(text, inner):
    assert unquoted(text) == inner


def test_the_variables_of_a_process_are_variables():
    assert set(PROCESS_VARIABLES) < set(VARIABLES)


# --- rules ------------------------------------------------------------------------------------------------------


def test_an_action_keeps_its_key_whatever_the_trigger_and_one_written_again_gets_its_own():
    before = monitor({"rmem > 500m": ["exec @ 1h x", "term"], "rmem > 900m": "exec @ 1h x"})
    after = monitor({"rmem > 600m": ["exec  @  60m x", "TERM"], "rmem > 900m": "exec @ 1h x"})
    keys = [[item.key for rule in each.rules for item in rule.items] for each in (before, after)]
    assert keys == [["exec @ 1h x", "term", "exec @ 1h x #2"]] * 2


@cases(
    ("actions", "rungs", "recovered"),
    [
        (["term"], [(0, ["term"])], []),
        (["term", "log x"], [(0, ["term", "log x"])], []),
        (["after 5m term"], [(0, []), (300, ["term"])], []),
        (
            ["log x", "after 5m term", "log y", "after 30s kill"],
            [(0, ["log x"]), (300, ["term", "log y"]), (30, ["kill"])],
            [],
        ),
        (["after 1m log x", "after 1m log x"], [(0, []), (60, ["log x"]), (60, ["log x #2"])], []),
        (
            ["recovered log x", "term", "recovered cont", "after 5m kill"],
            [(0, ["term"]), (300, ["kill"])],
            ["log x", "cont"],
        ),
        (["recovered log x", "log x"], [(0, ["log x #2"])], ["log x"]),
    ],
)
def test_each_after_begins_a_rung_which_what_follows_joins(actions, rungs, recovered):
    rule = rule_of("rmem > 1", *actions)
    assert [(after, [item.key for item in items]) for after, items in rule.rungs] == rungs
    assert [item.key for item in rule.recovered] == recovered
    assert len(list(rule.items)) == len(actions)


@cases(
    ("trigger", "shared", "remembered", "growths", "ages"),
    [
        ("rmem > 1", False, [], [], ()),
        ("count > 1", True, [], [], ()),
        ("cpu > 5% and tree.read > 1/s", False, ["cpu", "tree.read"], [], ()),
        ("growth(rmem, 5m) > 1", False, ["growth(rmem, 5m)"], ["growth(rmem, 5m)"], ()),
        ("growth(cpu, 5m) > 1%", False, ["growth(cpu, 5m)", "cpu"], ["growth(cpu, 5m)"], ()),
        ("rmem > 1 until group.write < 1/s", False, ["group.write"], [], ()),
        ("age > 5m until age > 10m", False, [], [], (300.0, 600.0)),
    ],
)
def test_a_rule_knows_what_does_not_change_from_look_to_look(trigger, shared, remembered, growths, ages):
    rule = rule_of(trigger)
    assert rule.shared is shared
    assert sorted(map(str, rule.remembered)) == sorted(remembered)
    assert [str(each) for each in rule.growths] == growths
    assert rule.ages == ages


def test_a_rule_keeps_the_text_of_its_user_and_is_known_by_the_normal_form():
    rule = rule_of("RMEM>1024k  for 60s")
    assert (rule.text, rule.key) == ("RMEM>1024k  for 60s", "rmem > 1m for 1m")
    assert rule_of("growth(rmem, 60s) > 0").growths == (Growth(Metric("rmem"), 60),)


# --- monitors ---------------------------------------------------------------------------------------------------

IMAGE = Image("/usr/bin/hog --now", 1000, "/usr/bin/hog")


@cases(
    ("selector", "misses"),
    [
        (Selector(), ""),
        (Selector(cmdline=re.compile("^/usr.*now$")), ""),
        (Selector(cmdline=re.compile("^hog")), "cmdline"),
        (Selector(exe=re.compile("bin/hog$")), ""),
        (Selector(exe=re.compile("--now")), "exe"),
        (Selector(users=(User("root", 0), User("alice", 1000))), ""),
        (Selector(users=(User("root", 0),)), "user"),
        (Selector(users=(User("nobody-knows", None),)), "user"),
        (Selector(re.compile("x"), re.compile("x"), (User("root", 0),)), "cmdline"),
        (Selector(None, re.compile("x"), (User("root", 0),)), "user"),
        (Selector(re.compile("x"), re.compile("hog"), (User("alice", 1000),)), "cmdline"),
    ],
)
def test_a_selector_matches_where_all_that_is_given_does(selector, misses):
    assert selector.misses(IMAGE) == misses
    assert selector.matches(IMAGE) is (not misses)


def test_an_executable_that_cannot_be_read_matches_no_regex():
    assert Selector(exe=re.compile("")).misses(Image("hog", 1000, "")) == "exe"


def test_a_monitor_selects_by_its_regex_and_leaves_out_what_it_excludes():
    assert monitor({}, cmdline="^a.*b$").selects(Image("a cb", 0))
    assert not monitor({}, cmdline="^a.*b$").selects(Image("xab", 0))
    assert not monitor({}, cmdline="^a.*b$", exclude="c").selects(Image("a cb", 0))
    assert monitor({}, cmdline="^a.*b$", exclude="c").excludes(Image("a cb", 0)) == "it is excluded"
    assert monitor({}, cmdline="^a.*b$", exclude="d").selects(Image("a cb", 0))


def test_settings_protect_what_any_of_their_selectors_matches():
    settings = Settings(protect=(Selector(cmdline=re.compile("x")), Selector(exe=re.compile("hog$"))))
    assert settings.protects(IMAGE) == "it is protected"
    assert not settings.protects(Image("cat", 1000, "/usr/bin/cat"))
    assert not Settings().protects(IMAGE)


NO_EXE = "it may be protected: what it executes cannot be read"


@pytest.mark.parametrize(
    ("selector", "why"),
    [
        (Selector(exe=re.compile("cat")), NO_EXE),
        (Selector(exe=re.compile("cat"), users=(User("me", 1000),)), NO_EXE),
        (Selector(exe=re.compile("cat"), users=(User("other", 1001),)), ""),
        (Selector(re.compile("hog"), re.compile("cat")), NO_EXE),
        (Selector(re.compile("dog"), re.compile("cat")), ""),
        (Selector(re.compile("hog")), "it is protected"),
    ],
)
def test_who_executes_what_cannot_be_read_may_be_protected_and_is_not_selected(selector, why):
    unknown = Image("hog", 1000, "")
    assert Settings(protect=(selector,)).protects(unknown) == why
    assert selector.matches(unknown) is (why == "it is protected")


class Unsure:
    """A regular expression that does not know."""

    pattern, flags = "hog", 0

    def search(self, text):
        return "nobody knows"


def test_a_reason_not_to_know_is_the_reason_to_leave_alone():
    hog = Monitor("m", Selector(re.compile("hog")), (), exclude=Unsure())
    assert hog.excludes(IMAGE) == "it may be excluded: nobody knows"
    assert not hog.selects(IMAGE)
    settings = Settings(protect=(Selector(Unsure(), re.compile("/")), Selector(re.compile("hog"))))
    assert settings.protects(IMAGE) == "it may be protected: nobody knows"


def test_a_configuration_says_how_much_there_is():
    several = Config(Settings(), (monitor({"rmem > 1": "term", "rmem > 2": "kill"}), monitor({"rmem > 1": "term"})))
    assert several.summary == "2 monitors, 3 rules"
    assert Config(Settings(), (monitor({"rmem > 1": "term"}),)).summary == "1 monitor, 1 rule"


COUNTED = [
    (0, "rule", "0 rules"),
    (1, "rule", "1 rule"),
    (0, "process", "0 processes"),
    (1, "process", "1 process"),
    (2, "process", "2 processes"),
]


@pytest.mark.parametrize(("number", "noun", "text"), COUNTED)
def test_what_there_is_of_something_is_counted_in_english(number, noun, text):
    assert counted(number, noun) == text
