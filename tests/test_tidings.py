import pytest

from fallfromgrace.lifecycle import Instance, Phase, RunningClock
from fallfromgrace.memory import Memory, Ways
from fallfromgrace.published import Act, Loading, Looks, Published, Reload, RuleText, Spread, Watching
from fallfromgrace.state import Moment
from fallfromgrace.table import ProcessId
from fallfromgrace.tidings import Basis, coming, deeds, heading, silence
from tests.builders import config, monitor

NOW = 10_000.0
RULES = config(monitor({"rmem > 900m": "term @ 1m"}, name="browser"))
BROWSER = Watching("browser", False, (RuleText("rmem > 900m", "rmem>900m", ("term @ 1m",)),), 1, ())
CHANGED = 1e9 - 5000
NO_TIME = Spread(0, 0.0, (), (0,))


def moment(before):
    return Moment(1e9, NOW - before)


def daemon(**other):
    given = {
        "program": "1.0", "boot": "b", "pid": 4121, "start": 7, "config": "/etc/x.conf", "started": moment(3720),
        "written": moment(4), "interval": 10.0, "configuration": Loading(1, 1, moment(3720), 0, 0, None),
        "monitors": (BROWSER,), "watched": 1, "actions": (), "counters": (), "looks": Looks(NO_TIME, ()),
        "reactions": NO_TIME, "cpu": 1.858, "memory": Memory(),
    }  # fmt: skip
    return Published(**{**given, **other})


def said(found, rules=RULES):
    return heading(found, Basis(rules, "/etc/x.conf", CHANGED), 12, NOW, "1.1")


def test_a_daemon_is_told_by_its_pid_and_what_it_costs():
    told = said(daemon())
    assert told.title == "fall-from-grace 1.0: pid 4121, up 1h2m, cpu 0.05%"
    assert told.facts == "12 processes watched, 1 monitor, 1 rule, interval 10s, /etc/x.conf"
    assert told.warnings == ()


def test_that_there_is_none_is_told():
    told = said(None)
    assert told.title.startswith("fall-from-grace 1.1: no daemon runs")
    assert told.warnings == ()


@pytest.mark.parametrize(
    ("other", "warning"),
    [
        ({"written": moment(40)}, "the daemon says nothing: it last did 40s ago, and its interval is 10s"),
        (
            {
                "configuration": Loading(
                    1, 1, moment(99), 0, 1, Reload(moment(180), False, ("x.conf:4:2: no\n  ^", "b"))
                )
            },
            "the last reload was refused 3m ago: x.conf:4:2: no",
        ),
        (
            {"configuration": Loading(1, 1, moment(99), 0, 1, Reload(moment(60), False, ()))},
            "the last reload was refused 1m ago",
        ),
        (
            {"monitors": ()},
            "the daemon has loaded other rules than there are now; 'kill -HUP 4121' makes it take these",
        ),
        ({"monitors": (BROWSER._replace(rules=()),)}, "the daemon has loaded other rules than there are now"),
        ({"monitors": (BROWSER._replace(observe=True),)}, "the daemon has loaded other rules than there are now"),
        ({"config": "/etc/y.conf"}, "the daemon goes by /etc/y.conf, and not by what is shown here"),
        (
            {"configuration": Loading(1, 1, Moment(CHANGED - 1, NOW - 99), 0, 0, None)},
            "/etc/x.conf was changed after the daemon had loaded it; 'kill -HUP 4121' makes it take that",
        ),
    ],
)
def test_what_is_not_as_it_should_be_is_told(other, warning):
    [told] = said(daemon(**other)).warnings
    assert told.startswith(warning)


def test_a_daemon_that_writes_nothing_is_said_to_be_silent():
    assert silence(daemon(written=moment(25)), NOW) == ""
    assert silence(daemon(written=moment(26)), NOW) == (
        "the daemon says nothing: it last did 26s ago, and its interval is 10s; it is stopped, hangs, or cannot write"
    )


def test_a_reload_that_was_taken_is_as_it_should_be():
    taken = Loading(1, 1, moment(99), 1, 0, Reload(moment(60), True, ()))
    assert said(daemon(configuration=taken)).warnings == ()


def test_a_daemon_that_has_only_just_started_has_used_any_share():
    assert "cpu" in said(daemon(started=moment(0), written=moment(0))).title


HOG = ProcessId(4242, 7)
KEY = ("browser", "rmem > 900m for 2m")


def remembered():
    memory = Memory(Ways({KEY: (((0.0, ("term @ 1m",)),), ())}))
    memory.instances[KEY, HOG] = Instance(Phase.PENDING, since=NOW - 80)
    memory.limits["browser", "term @ 1m", HOG] = NOW - 10
    memory.clocks[ProcessId(9, 9), False] = RunningClock(None, ("browser", "stop @ 10m"))
    return daemon(memory=memory)


def test_timers_are_told_after_those_who_are_stopped_the_next_first():
    assert [tuple(each) for each in coming(remembered(), NOW, str)] == [
        ("stopped", "browser 9", "by stop @ 10m, until continued", True),
        ("in 40s", "browser 4242", "rmem > 900m for 2m: fires, if it goes on", True),
        ("in 50s", "browser 4242", "term @ 1m may be sent again", True),
    ]


def act(**other):
    given = Act(moment(75), "browser", "rmem > 900m", "term", 4242, "x", "912m", "900m", "sent", "", False, 0.001)
    return given._replace(**other)


@pytest.mark.parametrize(
    ("done", "entry"),
    [
        (act(), ("1m15s ago", "browser 4242", "term sent at 912m, limit 900m", True)),
        (act(pid=None, value=""), ("1m15s ago", "browser", "term sent", True)),
        (
            act(result="failed", detail="no\x1b"),
            ("1m15s ago", "browser 4242", "term failed at 912m, limit 900m: noESC", False),
        ),
        (act(result="denied"), ("1m15s ago", "browser 4242", "term denied at 912m, limit 900m", False)),
        (act(recovered=True), ("1m15s ago", "browser 4242", "recovered term sent at 912m, limit 900m", True)),
    ],
)
def test_what_was_done_is_told(done, entry):
    assert [tuple(each) for each in deeds(daemon(actions=(done,)), NOW, lambda text: text.replace("\x1b", "ESC"))] == [
        entry
    ]


def test_the_last_action_comes_first():
    acts = (act(), act(at=moment(5)))
    assert [each.when for each in deeds(daemon(actions=acts), NOW, str)] == ["5s ago", "1m15s ago"]
