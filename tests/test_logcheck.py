"""What logcheck mails to an administrator: all that was done or went wrong, and nothing of the daemon's routine."""

import re
import subprocess
from pathlib import Path

import mock
import pytest

from fallfromgrace.actions import Performer
from fallfromgrace.adoption import Adoption
from fallfromgrace.errors import ConfigError, Problem
from fallfromgrace.keeper import Forgetful
from fallfromgrace.logs import INFO, SyslogLog
from fallfromgrace.loop import Loop
from fallfromgrace.memory import Memory
from fallfromgrace.protection import Self
from fallfromgrace.report import Reporter
from fallfromgrace.spawn import Spawner
from fallfromgrace.state import Past
from fallfromgrace.verdict import Kind, Outcome, Result
from tests.builders import config, monitor, process, verdict

DEBIAN = Path(__file__).parent.parent / "debian"
RULES = DEBIAN / "fall-from-grace.logcheck.ignore.server"
# How syslogd dates a line, by an old and by a new custom.
DATES = ["Nov 27 18:00:00", "Nov  3 08:09:10", "2026-11-27T18:00:00.123456+00:00"]
RULED = config(monitor({"rmem > 500m": "term", "rmem > 1g": "kill"}), monitor({"cpu > 90%": "term"}, name="n"))
SMALL = config(monitor({"rmem > 500m": "term"}), interval=2.5)
PROBLEM = ConfigError([Problem("/etc/fall-from-grace.conf", 3, 7, "this is no time")])


@pytest.fixture
def mailed(tmp_path):
    """What is left of lines. As logcheck has it, rules go without their comments to grep."""
    rules = tmp_path / "rules"
    kept = [line for line in RULES.read_text().splitlines() if line.strip() and not line.startswith("#")]
    rules.write_text("".join(f"{line}\n" for line in kept))

    def left(*lines):
        grep = ["grep", "-E", "--text", "-v", "-f", str(rules)]
        text = "".join(f"{line}\n" for line in lines)
        ran = subprocess.run(grep, input=text, capture_output=True, text=True, timeout=60, check=False)
        assert ran.stderr == ""
        return ran.stdout.splitlines()

    return left


@pytest.fixture
def written(monkeypatch):
    """What stands in a log file after something was told, under each kind of date."""
    sent = []
    monkeypatch.setattr(SyslogLog, "_send", lambda self, line: sent.append(line.decode()) or 0)

    def lines(tell):
        sent.clear()
        tell(SyslogLog())
        assert sent
        return [re.sub(r"^<\d+>.{15} ", f"{date} host-1.example ", line) for line in sent for date in DATES]

    return lines


def loop(log, keeper=None):
    """One that nobody runs, to say what it says."""
    return Loop(
        RULED,
        read=lambda now: None,
        source=None,
        performer=Performer(None, dry_run=True, log=log),
        log=log,
        myself=Self(1),
        keeper=keeper,
    )


class Left(Forgetful):
    """A state that another daemon has left."""

    def recall(self, now):
        return Past(4121, now - 1.25, Memory())


def started(log, ruled=RULED, dry_run=False):
    Reporter(log).started(ruled, "1.0.0", dry_run=dry_run)


def reloaded(log, timers=2):
    Reporter(log).reloaded(SMALL, Adoption(added=1, removed=12, changed=0, timers_kept=timers, left_behind=()))


def took_up(log):
    loop(log, Left())._take_up_state(1000.0)


def ended(log):
    loop(log)._leave()


def ended_leaving(log):
    left = loop(log)
    with mock.patch.object(Spawner, "leftovers", ", 1 command left running"):
        left._leave()


ROUTINE = {
    "start": started,
    "start of another": lambda log: started(log, SMALL),
    "start without rules": lambda log: started(log, config()),
    "reload": reloaded,
    "state": took_up,
    "end": ended,
}


@pytest.mark.parametrize("tell", ROUTINE.values(), ids=ROUTINE)
def test_routine_is_silent(written, mailed, tell):
    assert mailed(*written(tell)) == []


def outcome(result, action="term"):
    return lambda log: Reporter(log).outcome(Outcome(verdict(action, process=process(4121)), result, "why", "what"))


def stands_in_the_way(kind):
    return lambda log: Reporter(log).verdict(verdict(kind=kind, reason="why"))


NO_ROUTINE = {
    **{f"outcome {each.value}": outcome(each) for each in Result},
    "a line that a rule asks for": outcome(Result.TOLD, "log ended"),
    **{f"verdict {each.value}": stands_in_the_way(each) for each in (Kind.PROTECTED, Kind.SPARED, Kind.UNKNOWN)},
    "refused": lambda log: Reporter(log).refused(PROBLEM),
    "unread": lambda log: Reporter(log).unread("no answer"),
    "stopped": lambda log: Reporter(log).left_stopped([4121], "by a rule"),
    "fault": lambda log: Reporter(log).fault("a look", RuntimeError("no"), 0.0),
    "dry run": lambda log: started(log, dry_run=True),
    "commands left": ended_leaving,
    "output": lambda log: log.write(INFO, "monitor=m action=exec output=ended"),
}


@pytest.mark.parametrize("tell", NO_ROUTINE.values(), ids=NO_ROUTINE)
def test_what_is_no_routine_is_mailed(written, mailed, tell):
    lines = written(tell)
    assert mailed(*lines) == lines


def test_what_a_process_calls_itself_silences_nothing(written, mailed):
    [line] = {each for each in written(ended) if each.startswith("Nov 27")}
    for cmdline in (line, f"x\n{line}", f"x\n{line}\n", "\nended"):
        about = Outcome(verdict(process=process(4121, cmdline)), Result.SENT)
        lines = written(lambda log, about=about: Reporter(log).outcome(about))
        assert mailed(*lines) == lines


def systemd(*said):
    return [f"{date} host systemd[1]: {line}" for date in DATES for line in said]


def test_systemd_reloads_in_silence_and_fails_aloud(mailed):
    [name] = re.findall("^Description=(.*)$", (DEBIAN / "fall-from-grace.service").read_text(), re.M)
    unit = f"fall-from-grace.service - {name}"
    assert mailed(*systemd(f"Reloading {unit}...", f"Reloaded {unit}.")) == []
    loud = systemd(
        f"Reload failed for {unit}.",
        f"Failed to start {unit}.",
        "fall-from-grace.service: Main process exited, code=killed, status=9/KILL",
        "Reloaded another.service - Something else.",
    )
    assert mailed(*loud) == loud


def test_every_rule_is_of_use(written, mailed):
    """One that is left out is missed: so none is there that no line is for."""
    rules = [line for line in RULES.read_text().splitlines() if line.startswith("^")]
    lines = [line for tell in ROUTINE.values() for line in written(tell)]
    lines += systemd("Reloading fall-from-grace.service - X...")
    grep = [["grep", "-E", "--text", "-c", "-e", rule] for rule in rules]
    text = "\n".join(lines)
    counts = [subprocess.run(each, input=text, capture_output=True, text=True, check=False).stdout for each in grep]
    assert "0\n" not in counts
