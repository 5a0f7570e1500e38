import contextlib
import inspect
import re
import subprocess
import sys
from itertools import dropwhile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fallfromgrace import config, fragments
from fallfromgrace.errors import ConfigError
from fallfromgrace.files import Contents
from fallfromgrace.rules import Config, Selector, User
from fallfromgrace.table import Image
from tests import builders

FIXTURES = Path(__file__).parent / "config"
GOOD = sorted(FIXTURES.glob("*.good.yaml"))
BAD = sorted(FIXTURES.glob("*.bad.yaml"))
MONITOR = "{}:\n  cmdline: hog\n  actions:\n    rmem > 500m: term\n"
cases = pytest.mark.parametrize


@pytest.fixture
def conf(tmp_path):
    """Writes a configuration, and files beside it by their names below its directory."""

    def write(text: str | bytes, **more: str | bytes) -> Path:
        path = tmp_path / "x.conf"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        for name, content in more.items():
            (tmp_path / "x.d").mkdir(exist_ok=True)
            (tmp_path / "x.d" / name).write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return write


def meaning(path: Path) -> Config:
    """What a file of ours means, whoever may write to a checkout."""
    return config.understood([Contents(path, path.read_bytes())]).config


def faults(path: Path) -> list[str]:
    """The first line of each problem, with names for paths."""
    with pytest.raises(ConfigError) as caught:
        config.load(path)
    return [problem.headline.replace(f"{path.parent}/", "") for problem in caught.value.problems]


def only_fault(path: Path) -> str:
    (fault,) = faults(path)
    return fault


def in_monitor(lines: str) -> str:
    return "m:\n  cmdline: hog\n  actions:\n    rmem > 500m: term\n" + lines


def with_action(action: str) -> str:
    return f"m:\n  cmdline: hog\n  actions:\n    rmem > 500m: {action}\n"


# --- whole files ------------------------------------------------------------------------------------------------


def test_the_example_means_what_it_says():
    conkeror = builders.monitor(
        {
            "rmem > 500m": 'exec notify-send "conkeror is using too much ram"',
            "rmem > 900m": "term",
        },
        name="conkeror",
        cmdline="xulrunner-bin .*conkeror",
        children=True,
        final=True,
    )
    browser = builders.monitor(
        {
            "rmem > 1.5g or (vmem >= 8g and not rmem < 1g)": [
                'exec @ 1h logger -t chrome "$NAME uses $VALUE"',
                "stop @ 10m",
            ],
            "4g < rmem": ["term", "kill"],
        },
        name="browser",
        cmdline="^/opt/google/chrome/chrome",
    )
    assert meaning(FIXTURES / "example.good.yaml") == builders.config(conkeror, browser, interval=5.0)


def test_every_key_and_every_kind_of_action_means_what_it_says():
    browser = builders.monitor(
        {
            "tree.pmem > 4g for 2m until tree.pmem < 3g": [
                'notify "$NAME uses $VALUE: it will be stopped"',
                "nice 10 tree",
                "oom 500",
                "after 5m stop tree @ 30m",
                "recovered log $NAME is back to $VALUE",
            ],
            "rmem > 25% and system.available < 10%": ["term", "after 30s kill"],
        },
        name="browser",
        cmdline="chrome",
        exe="^/opt/google/",
        uids=[1000, 1001],
        exclude="--type=zygote",
        children=True,
        final=True,
        observe=True,
    )
    crowd = builders.monitor(
        {"count > 100": 'exec @ 1h logger "$NAME has $VALUE"', "growth(group.rmem, 10m) > 1g": "term largest"},
        name="crowd",
        cmdline=None,
        uids=[1000],
    )
    protect = [
        Selector(exe=re.compile("^/usr/sbin/sshd$"), users=(User("0", 0),)),
        Selector(re.compile("^/usr/bin/precious")),
        Selector(users=(User("7", 7), User("8", 8))),
    ]
    meant = builders.config(browser, crowd, interval=5.0, protect=protect)
    assert meaning(FIXTURES / "everything.good.yaml") == meant


def test_quotes_and_blocks_keep_every_character():
    first, second = meaning(FIXTURES / "quoting.good.yaml").monitors
    assert (first.name, first.selector.cmdline.pattern) == ("it's mine", r"\bit's\b [a-z]+ #1")
    assert [str(item.action) for rule in first.rules for item in rule.items] == [
        'exec logger #1 mem: "$VALUE"',
        r"exec printf 'a\tb'",
        "exec echo one\necho two: 3 # not a comment",
        "exec logger goes on",
    ]
    assert second.name == "braces"


def test_a_file_of_comments_watches_nothing():
    assert meaning(FIXTURES / "comments.good.yaml") == builders.config()


@cases("path", BAD, ids=lambda path: path.name)
def test_a_bad_file_is_answered_with_all_that_is_wrong_and_where(path):
    with pytest.raises(ConfigError) as caught:
        meaning(path)
    assert str(caught.value).replace(f"{FIXTURES}/", "") + "\n" == path.with_suffix(".txt").read_text()


def test_ten_mistakes_are_told_in_one_run():
    with pytest.raises(ConfigError) as caught:
        meaning(FIXTURES / "ten.bad.yaml")
    assert len(caught.value.problems) == 10


def _cut_at_a_line(action: str, whole: set[str]) -> bool:
    return any(full == action or full.startswith((f"{action} ", f"{action}\n")) for full in whole)


def _actions(found) -> set[str]:
    return {f"{m.name}/{rule.text}/{item.action}" for m in found.monitors for rule in m.rules for item in rule.items}


@cases("path", GOOD, ids=lambda path: path.name)
def test_a_half_written_file_never_means_a_cut_line(path, conf):
    data = path.read_bytes()
    whole = _actions(meaning(path))
    for end in range(len(data)):
        try:
            found = config.load(conf(data[:end]))
        except ConfigError:
            continue
        assert data[:end].endswith(b"\n")
        assert all(_cut_at_a_line(action, whole) for action in _actions(found))


# --- files on the disk ------------------------------------------------------------------------------------------


def test_what_drop_ins_say_comes_after_the_file_in_the_order_of_their_names(conf):
    path = conf(MONITOR.format("z"), **{"20.conf": MONITOR.format("b"), "10.conf": "interval: 3s\n", "a.conf": "#\n"})
    found = config.load(path)
    assert [monitor.name for monitor in found.monitors] == ["z", "b"]
    assert found.settings.interval == 3
    assert [each.name for each in config.read(path).files] == ["x.conf", "10.conf", "20.conf", "a.conf"]


def test_every_problem_of_every_file_is_told_at_once(conf):
    path = conf("interval: 1\n", **{"a.conf": "x: y\n", "b.conf": b"\xff\n", "c.conf": "", "d.conf": "a: [\n"})
    assert [fault.partition(": ")[0] for fault in faults(path)] == [
        "x.conf:1:11",
        "x.d/a.conf:1:1",
        "x.d/b.conf:1:1",
        "x.d/c.conf",
        "x.d/d.conf:2:1",
    ]


def test_what_two_files_both_say_is_told_with_both_places(conf):
    path = conf("interval: 2s\n" + MONITOR.format("m"), **{"a.conf": MONITOR.format("m") + "interval: 2s\n"})
    main = path.parent / "x.conf"
    assert faults(path) == [
        f"x.d/a.conf:1:1: 'm' is already in {main}:2; keep one of the two".replace(f"{path.parent}/", ""),
        f"x.d/a.conf:5:1: 'interval' is already in {main}:1; keep one of the two".replace(f"{path.parent}/", ""),
    ]


def test_drop_ins_may_not_widen_or_replace_what_is_protected(conf):
    path = conf("protect: [{user: 0}]\n", **{"a.conf": "protect:\n  - exe: ^/x$\n"})
    assert only_fault(path) == "x.d/a.conf:1:1: 'protect' is already in x.conf:1; keep one of the two"


@cases("text", ["", "\n", "  \n\n", "\ufeff", "\ufeff \r\n"])
def test_a_file_with_nothing_in_it_is_an_accident(text, conf):
    fault = only_fault(conf(text))
    assert fault == "x.conf: the file is empty; write a monitor, or a comment if there is to be none"


def test_a_missing_last_newline_is_told_where_it_is_missing(conf):
    fault = only_fault(conf(with_action("term").rstrip("\n")))
    assert fault == "x.conf:4:22: the last line has no end, so the file may be half written; end it with a newline"


@cases(
    "rewritten",
    [lambda text: "\ufeff" + text, lambda text: text.replace("\n", "\r\n"), lambda text: f"---\n{text}...\n"],
)
def test_marks_and_line_ends_of_other_systems_and_programs_are_fine(rewritten, conf):
    assert config.load(conf(rewritten(MONITOR.format("m")))).monitors[0].name == "m"


# --- columns ----------------------------------------------------------------------------------------------------

COLUMNS = [
    ("cmdline: (x", 12),
    ("cmdline: '(x'", 13),
    ("cmdline: 'it''s (x'", 19),
    ('cmdline: "it\'s (x"', 18),
    (r'cmdline: "\u00e9\x20\\\\(x"', 27),
    ("cmdline: |\n    a(x", 12),
    ("cmdline: 'a\n    (x'", 12),
]


@cases(("line", "column"), COLUMNS)
def test_a_fault_inside_a_text_is_pointed_at(line, column, conf):
    path = conf(f"m:\n  {line}\n  actions:\n    rmem > 500m: term\n")
    assert only_fault(path).startswith(f"x.conf:2:{column}: this is not a regular expression: ")


def test_a_long_line_is_not_shown_for_each_of_its_faults(conf):
    path = conf("m: {" + "b," * 1000 + "}\n")
    with pytest.raises(ConfigError) as caught:
        config.load(path)
    assert not any(problem.source for problem in caught.value.problems if problem.line)


# --- what a key takes -------------------------------------------------------------------------------------------

TRUTHS = [(word, True) for word in ("yes", "Yes", "TRUE", "on", "1", "'1'")]
TRUTHS += [(word, False) for word in ("no", "No", "False", "OFF", "0", '"0"')]


@cases(("word", "truth"), TRUTHS)
def test_yes_and_no_have_many_names(word, truth, conf):
    (monitor,) = config.load(conf(in_monitor(f"  children: {word}\n  final: {word}\n"))).monitors
    assert (monitor.children, monitor.final) == (truth, truth)


@cases("word", ["2", "y", "~", "null", "0x1", "yes please", "1.0"])
def test_anything_else_is_neither_yes_nor_no(word, conf):
    assert f"'{word}' is neither yes nor no" in only_fault(conf(in_monitor(f"  final: {word}\n")))


@cases(("text", "seconds"), [("1s", 1), ("1h30m", 5400), ("'2.5s'", 2.5), ("1M", 60)])
def test_the_interval_is_a_time(text, seconds, conf):
    assert config.load(conf(f"interval: {text}\n")).settings.interval == seconds


@cases("text", ["10", "1:30", "0.5s", "999ms", "0s", "-1s", "", "[1s]", "{1s: 2s}", "fast", "1e3s", "999999999d"])
def test_an_interval_that_is_none_is_told(text, conf):
    assert only_fault(conf(f"interval: {text}\n")).startswith("x.conf:1:")


@cases(("text", "used"), [("process-events: no", False), ("process-events: yes", True), ("interval: 1s", True)])
def test_process_events_are_used_unless_told_otherwise(text, used, conf):
    assert config.load(conf(f"{text}\n")).settings.process_events is used


@cases(
    ("text", "told"),
    [
        ("process-events: maybe", "17: 'maybe' is neither yes nor no; write one of yes, true, on, 1, no, false, off,"),
        ("process-events:", "1: 'process-events' has nothing after its ':'; write process-events: no"),
        ("process-events: [no]", "17: 'process-events' takes one text, as in process-events: no; with '[' or '{' at"),
        ("process-events:\n  x: y", "'process-events' takes one text, as in process-events: no"),
        ("process_events: no", "1: there is no setting 'process_events'; did you mean 'process-events'?"),
        ("process-event: no", "1: there is no setting 'process-event'; did you mean 'process-events'?"),
    ],
)
def test_process_events_that_are_neither_used_nor_not_are_told(text, told, conf):
    assert told in only_fault(conf(f"{text}\n"))


@cases(("text", "gid"), [("status-group: root", 0), ("status-group: 77", 77), ("interval: 1s", None)])
def test_the_group_that_may_read_the_state_is_a_name_or_a_number(text, gid, conf):
    assert config.load(conf(f"{text}\n")).settings.status_group == gid


@cases(
    ("text", "told"),
    [
        ("status-group: nosuchgroup", "x.conf:1:15: there is no group 'nosuchgroup'; getent group lists them"),
        ("status-group:", "1: 'status-group' has nothing after its ':'; write status-group: adm"),
        ("status-group: 4294967295", "there is no group with a number above 4294967294; write a name"),
        (f"status-group: {'9' * 5000}", "there is no group with a number above 4294967294; write a name"),
        ("status-group: [adm]", "'status-group' takes one text, as in status-group: adm"),
        ("statusgroup: adm", "there is no setting 'statusgroup'; did you mean 'status-group'?"),
    ],
)
def test_a_group_that_is_none_is_told(text, told, conf):
    assert told in only_fault(conf(f"{text}\n"))


NO_LIST = "x.conf:1:1: protect takes a list; write protect: and below it, indented, - exe: ^/usr/sbin/sshd$"


@cases("text", ["sshd", "", "[]", "{exe: sshd}", "yes"])
def test_what_is_protected_is_a_list(text, conf):
    assert only_fault(conf(f"protect: {text}\n")) == NO_LIST


def test_a_list_of_what_is_protected_may_not_stand_outside_of_it(conf):
    assert "there is no setting 'protected'; did you mean 'protect'?" in only_fault(conf("protected:\n  - exe: x\n"))


@cases(
    ("written", "image", "protected"),
    [
        ("- exe: ^/usr/sbin/sshd$", ("x", 5, "/usr/sbin/sshd"), True),
        ("- exe: ^/usr/sbin/sshd$", ("/usr/sbin/sshd", 5, "/usr/bin/hog"), False),
        ("- {exe: sshd, user: 0}", ("x", 0, "/usr/sbin/sshd"), True),
        ("- {exe: sshd, user: 0}", ("x", 5, "/usr/sbin/sshd"), False),
        ("- user: [4, 5]\n  - cmdline: hog", ("x", 5), True),
        ("- user: [4, 5]\n  - cmdline: hog", ("hog", 6), True),
        ("- user: [4, 5]\n  - cmdline: hog", ("x", 6), False),
        ("- user: no-such-user", ("x", 0), False),
    ],
)
def test_who_matches_any_of_a_list_is_protected(written, image, protected, conf):
    found = config.load(conf(f"protect:\n  {written}\n")).settings
    assert bool(found.protects(Image(*image))) is protected
    assert found.interval == 10


def test_each_of_what_is_protected_is_told_with_the_place_where_it_is_written(conf):
    written = config.read(conf("protect:\n  - exe: a\n    user: 0\n  - {user: 7}\n" + MONITOR.format("m")))
    assert [(place.line, place.column) for place, _ in written.protect] == [(2, 5), (4, 6)]
    assert [selector for _, selector in written.protect] == list(written.config.settings.protect)
    assert [each.name.value for each in written.monitors] == ["m"]


@cases("pattern", ["a{99999999999}", f"'{'(' * 2000}'", "'(?P<a>x)(?P<a>y)'", "'*'", r"'\'"])
def test_a_pattern_that_does_not_compile_is_told(pattern, conf):
    path = conf(f"m:\n  cmdline: {pattern}\n  actions:\n    rmem > 500m: term\n")
    assert "regular expression" in only_fault(path)


def test_what_python_only_warns_of_in_a_pattern_is_fine(conf):
    path = conf("m:\n  cmdline: '[[a]'\n  actions:\n    rmem > 500m: term\n")
    assert config.load(path).monitors[0].selector.cmdline.search("[")


def test_triggers_that_share_an_action_keep_their_order_and_their_own_limits(conf):
    path = conf("m:\n  cmdline: hog\n  actions:\n    vmem > 1g: stop @ 1m\n    rmem > 1g: [term, stop @ 1m]\n")
    (monitor,) = config.load(path).monitors
    assert [rule.text for rule in monitor.rules] == ["vmem > 1g", "rmem > 1g"]
    assert [item.key for rule in monitor.rules for item in rule.items] == ["stop @ 1m", "term", "stop @ 1m #2"]


# --- YAML's traps -----------------------------------------------------------------------------------------------


@cases("start", ["%", "@", "`", "| x", "*", "&", "*x", "&x ", "& "])
@cases(
    "line",
    [
        "m:\n  cmdline: {}\n",
        "m:\n  actions:\n    {} rmem > 1g: term\n",
        "{}x:\n",
        "m:\n  actions:\n    rmem > 1g: [{}]\n",
    ],
)
def test_a_text_that_starts_with_a_sign_of_yaml_is_told_to_be_quoted(start, line, conf):
    cures = [fault for fault in faults(conf(line.format(start))) if "a text cannot start with" in fault]
    assert cures
    assert f"'{start[0]}'; put the whole text in single quotes" in cures[0]


@cases(
    ("key", "cure"),
    [
        ("> 500m", "write what is measured before it, such as rmem > 500m"),
        ("!rmem > 1g", "for the opposite of a condition write not"),
        ("! (rmem > 1g)", "for the opposite of a condition write not"),
    ],
)
def test_a_trigger_that_starts_with_a_sign_of_yaml_is_told_what_to_write(key, cure, conf):
    path = conf(f"m:\n  cmdline: hog\n  actions:\n    rmem > 2g: term\n    {key}: term\n")
    assert only_fault(path).endswith(cure)


@cases("action", ["exec logger #1", "exec logger  # why", "EXEC @ 1h logger #1", "exec #1", "[exec logger #1\n     ]"])
def test_a_comment_that_cuts_a_command_short_is_told(action, conf):
    assert only_fault(conf(with_action(action))).endswith(
        "this '#' starts a comment and cuts the command short; put the whole action in single quotes"
    )


@cases("action", ["term # why", "'exec logger' # why", "'exec logger #1'", "exec logger a#1"])
def test_a_comment_elsewhere_is_fine(action, conf):
    assert len(config.load(conf(with_action(action))).monitors) == 1


@cases("action", ["exec logger mem: $VALUE", "exec logger mem:", "\n    - exec logger mem: $VALUE", "[exec a: b]"])
def test_a_colon_that_makes_a_key_of_an_action_is_told_to_be_quoted(action, conf):
    fault = only_fault(conf(with_action(action)))
    assert "': '" in fault
    assert "single quotes" in fault


ACCIDENTS = [
    "a: " + "[" * 5000 + "\n",
    "a: " + "{" * 5000 + "\n",
    "- " * 5000 + "\n",
    "? " * 5000 + "\n",
    "".join(f"{' ' * depth}a:\n" for depth in range(300)),
    'a: "\\UFFFFFFFF"\n',
    'a: "\\ud800"\n',
    f"%YAML 1.{'1' * 5000}\n---\n",
    "%YAML 2.0\n---\n",
    "%TAG ! tag:x\n---\n",
    "%FOO\n---\n#\n",
    "a: !!python/object/apply:os.system [true]\n",
    "a: !x!y z\n",
    "a: &x [*x]\n",
    "<<: *a\n",
    f"{'a' * 2000}: b\n",
    f"m: {{actions: {{'{'not ' * 240}rmem > 1g': term}}}}\n",
    f"m: {{actions: {{'{'(' * 480}rmem > 1g{')' * 480}': term}}}}\n",
    "just words\n",
    "'closed' not\n",
    "- a\n- b\n",
    "--- |\n a\n",
    ": a\n",
    "? [a]\n: b\n",
    "\udcff",
    "a: b\n...\nc: d\n",
    "a: 'b #' \tc\n",
    "}\n" * 100,
    "a: '\n" * 101,
]


@cases("text", ACCIDENTS, ids=range(len(ACCIDENTS)))
def test_whatever_a_file_holds_is_answered_with_problems(text, conf):
    found = faults(conf(text.encode(errors="surrogateescape")))
    assert found
    assert not [fault for fault in found if "YAML cannot read this" in fault]


WORDS = [
    *"-?'\"[]{},#|>*&!%@`\\\n\r\t ",
    "\n  ",
    "a:",
    "cmdline:",
    "actions:",
    "interval:",
    "1s",
    "term",
    "exec",
    "rmem>1g",
]
TEXTS = st.one_of(st.text(max_size=200), st.lists(st.sampled_from(WORDS), max_size=40).map("".join))


@settings(max_examples=300, deadline=None)
@given(text=TEXTS)
def test_random_text_is_a_configuration_or_told_why_not(text, tmp_path_factory):
    path = tmp_path_factory.getbasetemp() / "random.conf"
    path.write_bytes(text.encode(errors="surrogatepass"))
    with contextlib.suppress(ConfigError):
        assert config.load(path)


@pytest.mark.parametrize(
    ("regex", "told"),
    [
        ("(?a)(?u)x", "this is not a regular expression: ASCII and UNICODE flags are incompatible"),
        ("a{" + "9" * 5000 + "}", "regular expression"),
        ("a{" + "9" * 50 + "}", "this regular expression is too large; make it simpler"),
    ],
)
def test_a_regex_that_python_refuses_in_another_way_is_a_problem_like_others(regex, told, conf):
    [fault] = faults(conf(f"m:\n  cmdline: '{regex}'\n  actions:\n    rmem > 1g: term\n"))
    assert told in fault


# --- what is too much -------------------------------------------------------------------------------------------


@cases(
    ("error", "told"),
    [
        (MemoryError, "there is not enough memory to read it"),
        (RecursionError, "it is nested too deeply to be read; make it simpler"),
    ],
)
def test_a_file_that_is_too_much_for_the_machine_is_named_beside_what_else_is_wrong(error, told, conf, monkeypatch):
    def read(file):
        if "a.conf" in file.path:
            raise error
        return fragments.Fragment((), ())

    monkeypatch.setattr(fragments, "read", read)
    path = conf("#\n", **{"a.conf": "#\n", "b.conf": ""})
    assert [each.partition(";")[0] for each in faults(path)] == [
        f"x.d/a.conf: {told}".partition(";")[0],
        "x.d/b.conf: the file is empty",
    ]


def test_so_is_the_first_where_it_is_all_of_them_together(conf, monkeypatch):
    def understood(*_):
        raise MemoryError

    monkeypatch.setattr(config, "understood", understood)
    assert only_fault(conf("#\n")) == "x.conf: there is not enough memory to read it"


def test_what_goes_deeper_than_python_may_is_told_wherever_that_is(conf):
    path = conf("m:\n  cmdlin: hog\n  actions:\n    (rmem > (1g)): term\n    rmen > 1g: tern\nn: {a: [b]}\n")

    def at(depth):
        if depth:
            return at(depth - 1)
        try:
            return config.load(path)
        except ConfigError as error:
            return str(error)
        except RecursionError:
            return ""  # there was not even room to begin

    left = sys.getrecursionlimit() - len(inspect.stack())
    told = [*dropwhile(lambda text: not text, (at(left - used) for used in range(10, 120)))]
    assert all(told)
    assert [each for each in told if "YAML cannot read what follows" in each]
    assert [each for each in told if "did you mean 'rmem'" in each]


SHORT_OF_MEMORY = """
import resource, sys
from pathlib import Path
from fallfromgrace import config, fragments
from fallfromgrace.errors import ConfigError
size = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (size + (20 << 20),) * 2)
try:
    config.load(Path(sys.argv[1]))
except ConfigError as error:
    print(error)
"""


def test_a_file_that_takes_more_memory_than_there_is_is_told(conf):
    path = conf("a:\n" * 300_000)
    ran = subprocess.run([sys.executable, "-c", SHORT_OF_MEMORY, path], capture_output=True, text=True, timeout=60)
    assert (ran.stdout, ran.stderr) == (f"{path}: there is not enough memory to read it\n", "")


@cases(("faulty", "told"), [(200, 200), (201, 201), (5000, 201)])
def test_of_thousands_of_faults_the_first_are_told_and_how_many_there_are(faulty, told, conf):
    found = faults(conf("".join(f"a{number}: b\n" for number in range(faulty))))
    assert len(found) == told
    assert found[-1].startswith("x.conf:200:1: ")
    if faulty > 200:
        assert found[0] == f"x.conf: there are {faulty} faults, of which the first 200 are told; put these right first"
