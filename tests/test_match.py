import json
import os
import re
import signal

import pytest

from fallfromgrace import exits
from fallfromgrace.commands import match
from fallfromgrace.commands.match import Options
from fallfromgrace.readings import Facet
from fallfromgrace.source import Unready
from fallfromgrace.table import UNREADABLE
from tests.builders import MIB, Crowd, process, table

CONF = """\
final:
  cmdline: first
  final: yes
  actions: {rmem > 1g: term}
servers:
  cmdline: server
  exclude: --debug
  children: yes
  actions: {rmem > 1g: term}
nobody:
  cmdline: no such thing
  actions: {rmem > 1g: term}
"""
TOP = process(100, "server --main", uid=0)
KID = process(101, "worker \x1b[31m\udcff", ppid=100, uid=0)
DEBUG = process(102, "server --debug", uid=0)
FIRST = process(103, "first server", uid=0)
SELF = process(os.getpid(), "match server", uid=0)
SIZES = {
    TOP.id: {"rmem": 300 * MIB, "vmem": 1, "pmem": 100 * MIB, "umem": 1, "swap": 0},
    KID.id: {"rmem": 200 * MIB, "vmem": 1, "pmem": 50 * MIB, "umem": 1, "swap": 0},
    DEBUG.id: {"rmem": 5 * MIB, "vmem": 1},
    FIRST.id: {"rmem": 7 * MIB, "vmem": 1, "pmem": 6 * MIB, "umem": 1, "swap": 0},
}


class Source(Crowd):
    """What runs: a server with a child, one that is excluded, one that is another monitor's, and ourselves."""

    def __init__(self, tell):
        super().__init__(SIZES)
        self.unready = 2

    def close(self):
        pass

    def configure(self, selects, process_events):
        assert all(map(selects, (TOP.image, KID.image, DEBUG.image)))  # it wants to see everybody

    def look(self, now):
        self.unready -= 1
        if self.unready > 0:
            raise Unready
        return table(TOP, KID, DEBUG, FIRST, SELF)


@pytest.fixture
def matched(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(match, "LinuxSource", Source)
    handler = signal.getsignal(signal.SIGALRM)
    # To others these processes would be another user's.
    monkeypatch.setattr(match.privileges, "acts_on_everybody", lambda: True)
    path = tmp_path / "x.conf"
    path.write_text(CONF)

    def run(name=None, cmdline=None, as_json=False, text=""):
        if text:
            path.write_text(text)
        status = match.run(Options(path, name, cmdline, as_json))
        out, err = capsys.readouterr()
        run.told = err.splitlines()
        return status, out

    yield run
    signal.signal(signal.SIGALRM, handler)


def test_each_monitor_shows_whom_it_finds_and_whom_it_leaves_alone_in_columns(matched):
    status, out = matched("servers")
    assert status == exits.OK
    assert out.splitlines() == [
        "servers: 2 processes, rmem 500m (shared pages counted in each), pmem 150m",
        "  PID  OWNER  RMEM  PMEM  TREE RMEM  TREE PMEM  COMMAND",
        "  100  root   300m  100m       500m       150m  server --main",
        r"  101  root   200m   50m       200m        50m  [below 100] worker \x1b[31m\xff",
        "  102  root     5m     ?         5m          ?  [it is excluded] server --debug",
        "  103  root     7m    6m         7m         6m  ['final' is final for it] first server",
    ]


def test_all_monitors_are_shown_with_a_blank_line_between_them(matched):
    status, out = matched()
    assert status == exits.OK
    assert [block.splitlines()[0].partition(":")[0] for block in out.split("\n\n")] == ["final", "servers", "nobody"]


def test_what_the_terminal_cannot_show_is_escaped(matched, monkeypatch):
    monkeypatch.setattr(match.terminal, "encoding", lambda: "ascii")
    _, out = matched(text="größer:\n  cmdline: server\n  actions: {rmem > 9g: term}\n")
    assert out.startswith(r"gr\xf6\xdfer: ")


def test_where_nothing_matches_the_answer_is_no(matched):
    assert matched("nobody") == (exits.NO, "nobody: nothing matches\n")


def test_a_regex_can_be_tried_without_a_configuration_and_never_finds_ourselves(matched):
    status, out = matched(cmdline="match server")
    assert (status, out) == (exits.NO, "--cmdline: nothing matches\n")
    assert "103" in matched(cmdline="^first")[1]


def test_programs_get_bytes_and_null_for_what_cannot_be_read(matched):
    _, out = matched("servers", as_json=True)
    [found] = json.loads(out)
    assert {key: found[key] for key in ("monitor", "count", "rmem", "pmem")} == {
        "monitor": "servers", "count": 2, "rmem": 500 * MIB, "pmem": 150 * MIB
    }  # fmt: skip
    assert found["processes"][0] == {
        "pid": 100, "owner": "root", "below": None, "note": "", "rmem": 300 * MIB, "pmem": 100 * MIB,
        "tree_rmem": 500 * MIB, "tree_pmem": 150 * MIB, "cmdline": "server --main",
    }  # fmt: skip
    assert found["processes"][2]["pmem"] is None
    assert found["processes"][1]["cmdline"].endswith("\\udcff")


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        ({"name": "server"}, "has no monitor 'server'; did you mean 'servers'?"),
        ({"name": "xyzzy"}, "has no monitor 'xyzzy'; there are final, servers, nobody"),
        ({"cmdline": "("}, "'(': this is not a regular expression: missing ), unterminated subpattern"),
    ],
)
def test_what_cannot_be_looked_for_is_a_wrong_command_line(matched, asked, told):
    with pytest.raises(exits.UsageError) as caught:
        matched(**asked)
    assert told in str(caught.value)


@pytest.fixture
def on_a_terminal(matched, monkeypatch):
    monkeypatch.setattr(match.terminal, "width", lambda stream=None: 40)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    return matched


def test_on_a_terminal_no_line_is_wider_than_it(on_a_terminal, monkeypatch):
    monkeypatch.setenv("NO_COLOR", "1")
    assert {len(line) for line in on_a_terminal("servers")[1].splitlines()} == {40}


def test_on_a_terminal_whoever_is_left_alone_is_dim(on_a_terminal):
    summary, head, top, kid, debug, first = on_a_terminal("servers")[1].splitlines()
    assert summary.startswith("\x1b[1mservers: ")
    assert [line.startswith("\x1b[2m") for line in (head, top, kid, debug, first)] == [True, False, False, True, True]
    assert {len(re.sub("\x1b.*?m", "", line)) for line in (summary, head, top, kid, debug, first)} == {40}


def test_while_many_are_read_a_terminal_is_told_how_far_it_is(on_a_terminal, monkeypatch):
    steps = []
    crowd = [process(1000 + i, "crowd", uid=0) for i in range(60)]
    monkeypatch.setattr(Source, "look", lambda self, now: table(*crowd))
    monkeypatch.setattr(match.Progress, "step", lambda self, done: steps.append((done, self._total)))
    on_a_terminal(cmdline="crowd")
    assert steps == [(25, 60), (50, 60), (60, 60)]


def test_proportional_memory_is_read_of_those_asked_for_only(matched, monkeypatch):
    sources = []
    monkeypatch.setattr(match, "LinuxSource", lambda tell: sources.append(Source(tell)) or sources[0])
    matched("final")
    assert {want.identity.pid for want in sources[0].reads if want.facet is Facet.ROLLUP} == {103}


HOSTILE, UNREAD = process(104, "a" * 40 + "!", uid=0), process(105, UNREADABLE, uid=0)


PROGRAM = process(106, "x", uid=0, exe="/" + "a" * 40 + "!")


@pytest.fixture
def hostile(matched, tmp_path, monkeypatch):
    monkeypatch.setattr(Source, "look", lambda self, now: table(TOP, HOSTILE, UNREAD, PROGRAM))
    rule = "\n  actions: {rmem > 1g: term}\n"
    (tmp_path / "x.conf").write_text(f"paths:\n  exe: (a+)+${rule}roots:\n  user: root{rule}")
    return matched


def test_a_search_that_takes_too_long_is_stopped_as_in_the_daemon_and_this_is_said_of_the_process(hostile):
    status, out = hostile(cmdline="(a+)+$|server")
    assert status == exits.OK
    [_, _, found, not_found] = out.splitlines()
    assert found.endswith("  server --main")
    assert not_found.endswith("  [not found: the search by cmdline took too long] " + HOSTILE.image.cmdline)
    [told] = hostile.told
    assert "cmdline of monitor '--cmdline': the search for '(a+)+$|server' was stopped after" in told


def test_by_exe_too(hostile):
    _, out = hostile("paths")
    assert "  [not found: the search by exe took too long] x" in out


def test_a_command_line_that_cannot_be_read_is_found_by_other_keys_and_shown_as_that(hostile):
    assert "105" not in hostile(cmdline=".*")[1]
    assert re.search(r"^  105 .*  \(cannot be read\)$", hostile("roots")[1], re.M)
