"""The manual page says what is so: its examples are lived through, its words exist, and the language has no others."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import pytest

from fallfromgrace import (
    agenda,
    config,
    events,
    grammar,
    kept,
    lint,
    linux,
    monitors,
    notify,
    reading,
    rules,
    source,
    spawn,
    textfile,
)
from fallfromgrace.entries import TRUTHS
from fallfromgrace.errors import ConfigError, RuleSyntaxError
from fallfromgrace.expression import METRICS, Sample, Scope
from fallfromgrace.grammar import parse_action, parse_trigger
from fallfromgrace.lexer import ACTIONS
from fallfromgrace.table import Process
from fallfromgrace.units import parse_duration, parse_percentage, parse_rate, parse_size
from tests.builders import MIB, Life, process

PAGE = Path(__file__).parent.parent / "man" / "fall-from-grace.conf.5"

# --- reading the page ---

_ESCAPES = {
    r"\-": "-",
    r"\e": "\\",
    r"\&": "",
    r"\(aq": "'",
    r"\(dq": '"',
    r"\(ha": "^",
    r"\(ti": "~",
    r"\(ga": "`",
    r"\(bu": "*",
}
_ESCAPE = re.compile(r"\\(?:\(..|.)")
_BOLD = re.compile(r"\\fB(.*?)\\fR")


def plain(text: str) -> str:
    """What a reader sees of a text; a KeyError is an escape that is to be added above."""
    return _ESCAPE.sub(lambda found: _ESCAPES[found[0]], re.sub(r"\\f[BIR]", "", text))


class Block(NamedTuple):
    """What is shown as it is to be typed; `kind` is the comment above it, empty for a whole configuration."""

    kind: str
    section: str
    heading: str
    lines: tuple[str, ...]

    @property
    def text(self) -> str:
        return "".join(f"{line}\n" for line in self.lines)

    @property
    def examples(self) -> list[str]:
        """The lines without their explanations."""
        return [re.split(r" {3,}", line)[0] for line in self.lines]


class Prose(NamedTuple):
    """A paragraph, or the word that a list explains."""

    kind: str
    section: str
    heading: str
    text: str
    tag: bool = False

    @property
    def bold(self) -> list[str]:
        return [plain(found) for found in _BOLD.findall(self.text)]


def read(page: str) -> Iterator[Block | Prose]:
    section = heading = kind = ""
    lines = iter(page.splitlines())
    paragraph: list[str] = []
    for line in lines:
        if paragraph and line.startswith("."):
            yield Prose(kind, section, heading, " ".join(paragraph))
            kind, paragraph = "", []
        if line.startswith((".SH ", ".SS ")):
            name = plain(line[4:]).strip('"')
            section, heading = (name, "") if line.startswith(".SH") else (section, name)
        elif line == ".EX":
            yield Block(kind, section, heading, tuple(plain(each) for each in iter(lambda: next(lines), ".EE")))
            kind = ""
        elif line == ".TP":
            yield Prose("", section, heading, next(lines), tag=True)
        elif line.startswith('.\\" '):
            kind = line[4:]
        elif not line.startswith("."):
            paragraph.append(line)


PARTS = list(read(PAGE.read_text()))
BLOCKS = [part for part in PARTS if isinstance(part, Block)]
PROSE = [part for part in PARTS if isinstance(part, Prose)]
WHOLE = [block for block in BLOCKS if not block.kind]
EXAMPLES = {block.heading: block for block in WHOLE if block.section == "EXAMPLES"}


def of_kind(kind):
    return [example for block in BLOCKS if block.kind == kind for example in block.examples]


def tags(section, heading=""):
    """The words that a list explains, and what stands behind them."""
    return [part for part in PROSE if part.tag and (part.section, part.heading) == (section, heading)]


def words(section, heading=""):
    return [word for tag in tags(section, heading) for word in tag.bold]


def under(section, heading=""):
    """All prose below a heading."""
    return " ".join(plain(p.text) for p in PROSE if (p.section, p.heading) == (section, heading))


def as_a_monitor(rules):
    """Rules with what stands above them."""
    return rules._replace(lines=("m:", "  cmdline: x", "  actions:", *(f"    {line}" for line in rules.lines)))


def loaded(block, directory):
    path = directory / "manual.conf"
    path.write_text(block.text)
    return config.read(path)


# --- what it shows is in the language ---


@pytest.mark.parametrize("block", WHOLE, ids=lambda block: f"{block.section} {block.heading}")
def test_every_configuration_can_be_used_and_nothing_in_it_is_hardly_meant(block, tmp_path):
    found = loaded(block, tmp_path)
    assert found.config.monitors or found.config.settings.protect
    of_this_machine = re.compile("there is no (program|user|')")
    assert [each.text for each in lint.warnings(found) if not of_this_machine.match(each.text)] == []


@pytest.mark.parametrize("text", of_kind("triggers"))
def test_every_trigger_is_one(text):
    parse_trigger(text)


@pytest.mark.parametrize("text", of_kind("refused triggers"))
def test_every_trigger_that_is_said_to_be_refused_is(text):
    with pytest.raises(RuleSyntaxError):
        parse_trigger(text)


@pytest.mark.parametrize("text", of_kind("actions"))
def test_every_action_is_one(text):
    parse_action(text)


@pytest.mark.parametrize("block", [block for block in BLOCKS if block.kind == "rules"])
def test_every_rule_is_one(block, tmp_path):
    assert loaded(as_a_monitor(block), tmp_path).config.monitors[0].rules


def test_the_steps_are_taken_as_the_page_says(tmp_path):
    """The notice comes after 0, 2 and 4 minutes, and not any more on the next step."""
    [block] = [block for block in BLOCKS if block.kind == "rules"]
    life = Life(*loaded(as_a_monitor(block), tmp_path).config.monitors)
    done = {
        at: [action.split()[0] for _, action in life.look(at, (process(1000, "x"), sized(5 * GIB)))] for at in LOOKS
    }
    assert {at: actions for at, actions in done.items() if actions} == {
        0: ["notify"], 120: ["notify"], 240: ["notify"], 300: ["log", "term"], 330: ["kill"]
    }  # fmt: skip


def test_every_block_is_looked_at():
    assert {block.kind for block in BLOCKS} == {"", "triggers", "refused triggers", "actions", "rules", "commands"}


KEYWORDS = {"and", "or", "not", "for", "until", "after", "recovered", "@"}
OPERATORS = {"<", "<=", ">", ">=", "==", "!=", "+", "-", "*", "/"}
UNITS = set("kmgtshd") | {"kb", "kib"}
SCOPES = {scope.value for scope in Scope if scope.value}
TARGETS = {target.value for target in rules.Target if target.value}
VARIABLES = {f"${name}" for name in rules.VARIABLES} | {"${NAME}"}
KEYS = {*monitors.MONITOR_KEYS, *config._SETTINGS}
LANGUAGE = {*METRICS, *ACTIONS, *TARGETS, *VARIABLES, *KEYS, *KEYWORDS, *OPERATORS, *UNITS, *SCOPES, *TRUTHS}
# What is shown besides: of YAML, of regexes, of the log, of this program and of others.
BESIDES = {
    *("1:30", "#", "- |", "_", "* & ! % @ ` { [ ] } | > ' \" # ,", "'exec logger \"too large: $NAME\"'", '"$CMDLINE"'),
    *("[term, after 30s kill]", "user: alice", "user: [alice, 1001]"),
    *("^", "$", "(?i)", "...", "(a+)+$"),
    *("result=dry-run", "result=refuted", "result=protected", "via=desktop", "via=terminals", "via=log"),
    *("-c", "-v", "check", "--strict", "fall-from-grace", "fall-from-grace check", ".conf", ".d", "growth"),
    *("/etc/fall-from-grace.conf", "/etc/fall-from-grace.d", "/etc/fall-from-grace.d/*.conf", "browser"),
    *("/run/fall-from-grace/status.json", "/tmp"),
    *("/usr/share/doc/fall-from-grace/", "/proc", "oom_score_adj", "/usr/bin/python3.11", "/bin/sh -c"),
    *("notify-send", "gdbus", "busctl", "mesg y", "kill -CONT"),
    *("stop @", "-20", "19", "-1000", "1000", "912m", "900m", "at most 300m"),
}


def reads(parse, text):
    try:
        parse(text)
    except (RuleSyntaxError, ValueError):
        return False
    return True


def is_right(shown):
    """Whether what is in bold is a word of the language, or something that it reads."""
    if shown in LANGUAGE | BESIDES:
        return True
    trigger, colon, action = shown.partition(": ")
    if colon:
        return reads(parse_trigger, trigger) and reads(parse_action, action)
    if shown.startswith(("@ ", "growth(")) and not re.search("[<=>]", shown):
        return reads(parse_trigger, f"{shown} > 0") or reads(parse_action, f"term {shown}")
    measures = (parse_trigger, parse_action, parse_size, parse_duration, parse_rate, parse_percentage)
    return any(reads(parse, shown) for parse in measures)


def test_everything_in_bold_exists():
    assert [shown for part in PROSE for shown in part.bold if not is_right(shown)] == []


def test_what_is_shown_besides_the_language_is_shown():
    assert {shown for part in PROSE for shown in part.bold} >= BESIDES


# --- what is in the language is on the page ---


def test_every_setting_and_every_key_of_a_monitor_is_explained():
    assert words("SETTINGS") == list(config._SETTINGS)
    assert words("MONITORS") == list(monitors.MONITOR_KEYS)
    assert set(TRUTHS) <= {word for part in PROSE if part.section == "MONITORS" for word in part.bold}


def test_every_metric_is_explained_with_what_it_measures():
    told = [
        (word, re.search(r"\((.*)\)", tag.text)[1])
        for tag in tags("TRIGGERS", "What can be measured")
        for word in tag.bold
    ]
    bare = {name: metric for name, metric in METRICS.items() if metric[1] in (Scope.OWN, Scope.SYSTEM)}
    dimensions = {name: parse_trigger(f"{name} > 0").condition.left.dimension.value for name in bare}
    assert dict(told) == dimensions
    assert len(told) == len(dimensions)


def test_every_scope_is_explained_with_one_of_its_metrics():
    assert [METRICS[word][1] for word in words("TRIGGERS", "Whose it is")] == list(Scope)
    told = under("TRIGGERS", "Whose it is")
    unsummed = {name for name, (_, scope) in METRICS.items() if scope is Scope.OWN and f"tree.{name}" not in METRICS}
    assert re.search("everything but (.*), and", told)[1].split(", ") == sorted(unsummed)


def test_what_a_percentage_is_of_is_told_for_all_that_it_goes_with():
    [told] = [part for part in PROSE if part.text.startswith("Beside ") and part.heading == "Numbers"]
    accepted = {name for name in METRICS if "." not in name or name.startswith("system.")}
    assert {word for word in told.bold if word in METRICS} == {
        name for name in accepted if reads(parse_trigger, f"{name} > 5%")
    }


def test_every_action_and_every_target_is_explained():
    explained = [word.removesuffix(" @") for word in words("ACTIONS", "What can be done")]
    assert sorted(explained) == sorted(ACTIONS)
    assert words("ACTIONS", "For whom") == [target.value for target in rules.Target if target.value]
    for word, (lowest, highest) in rules.ADJUSTABLE.items():
        assert f"from {lowest} to {highest}" in under("ACTIONS", "What can be done"), word


def test_the_signals_are_in_the_order_of_their_strength():
    [ordered] = [part.bold for part in PROSE if part.kind == "order of signals"]
    assert tuple(ordered) == rules.SIGNALS
    assert set(ordered[:6]) == rules.TERMINATING


def test_every_variable_is_explained_and_those_of_a_process_are_told():
    assert {word.removeprefix("$") for word in words("VARIABLES")} == set(rules.VARIABLES)
    about_all = {word for part in PROSE if part.heading == "Rules about all that is covered" for word in part.bold}
    assert {word.removeprefix("$") for word in about_all if word.startswith("$")} == set(rules.PROCESS_VARIABLES)


def test_the_limits_are_those_of_the_program():
    assert re.findall(r"\d+", under("LIMITS")) == [
        str(number)
        for number in (
            textfile.LARGEST >> 20,
            *(grammar.LONGEST_TRIGGER, grammar.DEEPEST_TRIGGER, grammar.LONGEST_COMMAND, grammar.LONGEST_TEXT),
            *(spawn.MOST_RUNNING, spawn.MOST_RUNNING_EACH, spawn.MOST_QUEUED_EACH),
            *(int(notify.DESKTOP_SECONDS), int(reading.LONGEST_SECONDS)),
            *(kept.MOST, kept.RESERVE),
        )
    ]
    assert f"the first {source.LONGEST_CMDLINE} characters" in under("MONITORS")
    assert f"The first {spawn.LONGEST_OUTPUT >> 10} KiB" in under("ACTIONS", "What can be done")
    assert config.SHORTEST_INTERVAL == grammar.SHORTEST_LIMIT == 1
    assert rules.Settings().interval == 10


def test_how_soon_it_looks_is_told_as_it_is():
    told = under("TRIGGERS", "When it is looked at")
    assert f"{agenda.TICK_SECONDS * 1000:g} milliseconds at the shortest" in told
    assert (agenda.GROWTH_RATE, "at a gibibyte a second" in told) == (1 << 30, True)
    assert (agenda.AGE_TICK_SECONDS, "an age within a quarter of a second" in told) == (0.25, True)
    slowest = agenda.GROWTH_RATE * agenda.TICK_SECONDS / MIB  # what is added between two looks
    assert slowest < int(re.search(r"within (\d+) MiB", told)[1]) - 10
    assert linux.ROUND_SECONDS + linux._TURN_SECONDS < 60
    assert (linux._YOUNG_SECONDS, events.ANEW_SECONDS) == (5, 5)


@pytest.mark.parametrize(("left", "seconds"), [(0, 0.05), (100, 0.05), (256, 0.25), (1024, 1), (10240, 10)])
def test_who_is_near_a_limit_is_looked_at_soon(left, seconds):
    assert agenda.Agenda(rules.Settings().interval)._period(left * MIB) == seconds


def test_the_same_trigger_in_two_spellings_is_refused_as_the_page_says(tmp_path):
    twice = Block("", "", "", ("m:", "  cmdline: x", "  actions:", "    rmem > 1g: term", "    rmem>1024m: kill"))
    with pytest.raises(ConfigError):
        loaded(twice, tmp_path)


# --- the examples, lived through ---


class Seen(NamedTuple):
    """One look: when, (process, what it uses) of everybody, and what is done by (pid, action); `free` MiB of 1000."""

    at: float
    who: Sequence[tuple[Process, Sample]]
    done: Sequence[tuple[int | None, str]] = ()
    free: float = 1000


def sized(mib, **more):
    return {"rmem": mib * MIB, "vmem": 2 * mib * MIB, "pmem": mib * MIB, "umem": mib * MIB, "swap": 0, **more}


def everybody(*processes, **sample):
    return [(each, sample) for each in processes]


BYTE = 1 / MIB
GIB = 1024
LOOKS = range(0, 700, 10)

RENDER, RENDERER = process(100, "/usr/bin/render --all"), process(101, "/usr/bin/renderer")

SIMULATION = [(200, 1), (201, 200), (202, 201)]


def simulation(mib, state="S"):
    """A program, its child and its grandchild, each with a third."""
    return [
        (process(pid, "/opt/simulation/run" if pid == 200 else "step", ppid=up, state=state), sized(mib / 3))
        for pid, up in SIMULATION
    ]


STOPPED = [(pid, "stop tree @ 30m") for pid, _ in SIMULATION]
ENCODER = process(300, "ffmpeg -i film", exe="/usr/bin/ffmpeg")


def busy(percent, seconds, done_at=None):
    """Looks at an encoder that has been there for long, every ten seconds."""
    for at in range(0, seconds + 1, 10):
        used = {"cputime": at * percent / 100, "age": 1e6 + at, "threads": 4}
        yield Seen(at, [(ENCODER, used)], [(300, "nice 10")] if at == done_at else [])


def webserver(children):
    kids = (process(1000 + number, "nginx: worker process", ppid=400) for number in range(children))
    return everybody(process(400, "nginx: master process /usr/sbin/nginx"), *kids)


MAIL = [(400, 'exec @ 1h echo "$VALUE" | mail -s "$NAME" root')]
WORKER = process(500, "/usr/bin/worker --queue=7")


def browser(mib):
    """A browser with three quarters of it in two processes of its own."""
    kids = [process(pid, "/usr/lib/firefox/firefox -contentproc 1", ppid=600) for pid in (601, 602)]
    return [(process(600, "/usr/lib/firefox/firefox"), sized(mib / 4)), *((kid, sized(mib * 3 / 8)) for kid in kids)]


ALERT = [(600, "notify $NAME uses $VALUE, more than $LIMIT")]
ALL_CLEAR = [(600, "notify $NAME is back to $VALUE")]


def database(descriptors):
    """A process that may have a thousand, and another one that has half of what it may."""
    server, worker = (process(pid, "postgres", exe="/usr/lib/postgresql/15/bin/postgres") for pid in (700, 701))
    return [(server, {"fds": descriptors, "fdlimit": 1000}), (worker, {"fds": 5000, "fdlimit": 10000})]


TOLD = [(700, "log $PID has $VALUE of $LIMIT descriptors")]
MAILSERVER = everybody(process(800, "exim4", exe="/usr/sbin/exim4", uid=0))
SOMEBODYS = everybody(process(801, "exim4", exe="/usr/sbin/exim4", uid=1000))
RESTART = [(None, "exec @ 10m /etc/init.d/exim4 restart")]
SSHD = process(900, "sshd", exe="/usr/sbin/sshd")
LARGE, SMALL = process(901, "large", exe="/bin/large"), process(902, "small", exe="/bin/small")
CROWD = [(SSHD, sized(500)), (LARGE, sized(300)), (SMALL, sized(100))]
SERVICE = process(950, "/usr/bin/service")


def leaking(mib_an_hour, done_at=None):
    """Two hours and ten minutes of a service, looked at every minute."""
    for at in range(0, 7800, 60):
        used = sized(100 + mib_an_hour * at / 3600, age=at + 1.0)
        yield Seen(at, [(SERVICE, used)], [(950, "term")] if at == done_at else [])


LIVES = {
    "Kill what grows above a limit": [
        [
            Seen(0, [(RENDER, sized(2 * GIB)), (RENDERER, sized(9 * GIB))]),
            Seen(10, [(RENDER, sized(2 * GIB + BYTE))], [(100, "kill")]),
            Seen(20, [(RENDER, sized(2 * GIB + BYTE))]),
        ]
    ],
    "Stop a whole tree that stays too large for five minutes": [
        [
            Seen(0, simulation(8 * GIB)),
            Seen(300, simulation(8 * GIB)),
            Seen(310, simulation(8 * GIB + 3)),
            Seen(609, simulation(8 * GIB + 3)),
            Seen(610, simulation(8 * GIB + 3), STOPPED),
            Seen(620, simulation(8 * GIB + 3, "T")),
            Seen(9000, simulation(8 * GIB + 3, "T")),
            Seen(9010, simulation(8 * GIB + 3)),
            Seen(10809, simulation(8 * GIB + 3)),
            Seen(10810, simulation(8 * GIB + 3), STOPPED),
        ],
        [
            Seen(0, simulation(9 * GIB)),
            Seen(290, simulation(8 * GIB)),
            Seen(300, simulation(9 * GIB)),
            Seen(599, simulation(9 * GIB)),
            Seen(600, simulation(9 * GIB), STOPPED),
        ],
    ],
    "Be nice to others after ten busy minutes": [list(busy(91, 700, done_at=610)), list(busy(89, 700))],
    "Tell somebody of too many children": [
        [
            Seen(0, webserver(200)),
            Seen(10, webserver(201), MAIL),
            Seen(20, webserver(250)),
            Seen(3609, webserver(250)),
            Seen(3610, webserver(250), MAIL),
        ]
    ],
    "Ask it to end, then make it end": [
        [
            Seen(0, [(WORKER, sized(4 * GIB))]),
            Seen(10, [(WORKER, sized(4 * GIB + 1))], [(500, "term")]),
            Seen(39, [(WORKER, sized(4 * GIB + 1))]),
            Seen(40, [(WORKER, sized(4 * GIB + 1))], [(500, "kill")]),
        ],
        [Seen(0, [(WORKER, sized(5 * GIB))], [(500, "term")]), Seen(30, [])],
        [Seen(0, [(WORKER, sized(5 * GIB))], [(500, "term")]), Seen(30, [(WORKER, sized(4 * GIB))])],
    ],
    "Alert, and all-clear": [
        [
            Seen(0, browser(4 * GIB)),
            Seen(60, browser(4 * GIB)),
            Seen(70, browser(4 * GIB + 8)),
            Seen(129, browser(4 * GIB + 8)),
            Seen(130, browser(4 * GIB + 8), ALERT),
            Seen(140, browser(3 * GIB)),
            Seen(150, browser(5 * GIB)),
            Seen(160, browser(3 * GIB - 8), ALL_CLEAR),
            Seen(170, browser(4 * GIB)),
        ]
    ],
    "Before descriptors run out": [
        [
            Seen(0, database(800)),
            Seen(10, database(801), TOLD),
            Seen(20, database(700)),
            Seen(30, database(900)),
            Seen(40, database(699)),
            Seen(50, database(800)),
            Seen(60, database(801), TOLD),
        ]
    ],
    "Start again what is missing": [
        [
            Seen(0, MAILSERVER),
            Seen(10, SOMEBODYS),
            Seen(69, []),
            Seen(70, [], RESTART),
            Seen(669, []),
            Seen(670, [], RESTART),
            Seen(680, MAILSERVER),
            Seen(9999, MAILSERVER),
        ]
    ],
    "When the machine runs out of memory": [
        [
            Seen(0, CROWD, free=50),
            Seen(10, CROWD, [(901, "term largest")], free=49),
            Seen(20, CROWD, [(901, "kill largest")], free=49),
            Seen(30, [CROWD[0], CROWD[2]], free=49),
            Seen(80, [CROWD[0], CROWD[2]], [(902, "term largest")], free=49),
            Seen(90, [CROWD[0], CROWD[2]], free=50),
        ]
    ],
    "A leak, while it is still small": [list(leaking(201, done_at=7200)), list(leaking(199))],
}


def test_every_example_is_lived_through():
    assert EXAMPLES.keys() == LIVES.keys()


@pytest.mark.parametrize(("heading", "story"), [(heading, story) for heading, told in LIVES.items() for story in told])
def test_an_example_does_what_it_is_for_and_nothing_before(heading, story, tmp_path):
    found = loaded(EXAMPLES[heading], tmp_path).config
    life = Life(*found.monitors, interval=found.settings.interval, protect=found.settings.protect)
    lived = []
    for seen in story:
        life.machine = {"memory": 1000 * MIB, "available": seen.free * MIB}
        lived.append((seen.at, sorted(life.look(seen.at, *seen.who))))
    assert lived == [(seen.at, sorted(seen.done)) for seen in story]


def test_the_example_that_only_observes_does(tmp_path):
    observing = {h: [m.observe for m in loaded(block, tmp_path).config.monitors] for h, block in EXAMPLES.items()}
    assert [heading for heading, flags in observing.items() if any(flags)] == ["A leak, while it is still small"]


# --- how it looks ---

PACKAGES = {"man": "man-db", "mandoc": "mandoc"}


def runs(program, *arguments):
    """What a program says, on stdout and on stderr."""
    if not shutil.which(program):
        pytest.skip(f"{program} is missing: apt-get install {PACKAGES[program]}")
    environment = {"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8", "MANWIDTH": "80"}
    ran = subprocess.run([program, *arguments], env=environment, capture_output=True, text=True)
    return ran.stdout, ran.stderr


def rendered():
    shown, _ = runs("man", "-P", "cat", "-l", str(PAGE))
    if "NAME" not in shown:
        pytest.skip("man shows nothing on this machine, which has been made small: apt-get install man-db")
    return re.sub(".\b", "", shown).splitlines()


def test_man_has_nothing_to_complain_about():
    assert runs("man", "--warnings", "-E", "UTF-8", "-l", "-Tutf8", "-Z", str(PAGE))[1] == ""


def test_mandoc_has_nothing_to_complain_about():
    assert runs("mandoc", "-T", "lint", str(PAGE)) == ("", "")


def test_it_fits_into_a_terminal_and_what_is_to_be_typed_is_shown_as_it_is_tested_here():
    lines = rendered()
    assert [line for line in lines if len(line) > 80 or line.endswith("\N{HYPHEN}")] == []
    shown = "\n".join(line.strip() for line in lines)
    assert [block.lines[0] for block in BLOCKS if "\n".join(line.strip() for line in block.lines) not in shown] == []
