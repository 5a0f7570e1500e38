"""The JSON Schema for editors and the parser agree, but for what a schema cannot see."""

from __future__ import annotations

import itertools
import json
import random
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import assume, given
from hypothesis import strategies as st
from jsonschema import Draft7Validator, ValidationError

from fallfromgrace import config, monitors
from fallfromgrace.entries import TRUTHS
from fallfromgrace.errors import ConfigError, RuleSyntaxError
from fallfromgrace.expression import METRICS, PROCESS_METRICS, SYSTEM_METRICS, Scope
from fallfromgrace.files import Contents
from fallfromgrace.grammar import LONGEST_TRIGGER, parse_action, parse_trigger
from fallfromgrace.lexer import ACTIONS
from fallfromgrace.rules import ADJUSTABLE, VARIABLES, Target
from fallfromgrace.textfile import INVISIBLE
from tests.fuzz.texts import WORDS, configurations, texts
from tests.strategies import action_texts, patiently, steps, trigger_texts, triggers
from tests.test_documents import CONF, CONFIGURATIONS, lines_below
from tests.test_manual import WHOLE, of_kind

HERE = Path(__file__).parent.parent
PATH = HERE / "schema" / "fall-from-grace.schema.json"
SCHEMA = json.loads(PATH.read_text())
VALIDATOR = Draft7Validator(SCHEMA)
cases = pytest.mark.parametrize

# --- what an editor makes of a text -----------------------------------------------------------------------------


class Yaml11(yaml.SafeLoader):
    """YAML 1.1, in which `yes` is true."""


class Yaml12(yaml.SafeLoader):
    """YAML 1.2, in which `yes` is a text."""

    yaml_implicit_resolvers: dict[str, Any] = {}  # noqa: RUF012 - as PyYAML has it


for tag, words in (
    ("null", r"~|null|Null|NULL|"),
    ("bool", r"true|True|TRUE|false|False|FALSE"),
    ("int", r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+"),
    ("float", r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)"),
):
    Yaml12.add_implicit_resolver(f"tag:yaml.org,2002:{tag}", re.compile(rf"^(?:{words})$"), None)

READINGS = (Yaml11, Yaml12)


def read(text: str, reading: type[yaml.SafeLoader]) -> Any:
    """The data, as JSON would have it; YAMLError where YAML cannot read it."""
    loader = reading(text)
    node = loader.get_single_node()
    return None if node is None else _data(node)


def _data(node: yaml.Node) -> Any:
    if isinstance(node, yaml.MappingNode):
        return {key.value: _data(value) for key, value in node.value}
    if isinstance(node, yaml.SequenceNode):
        return [_data(each) for each in node.value]
    kind = node.tag.rpartition(":")[2]
    if kind == "null":
        return None
    if kind == "bool":
        return node.value.lower() in ("true", "yes", "on")
    if kind in ("int", "float"):
        return _number(node.value)
    return node.value


def _number(text: str) -> float:
    """Any number will do where the text is an odd one, such as 0x1F or 1:30."""
    try:
        return float(text)
    except ValueError:
        return 1000


# --- what the two say of it -------------------------------------------------------------------------------------


def refused(text: str) -> bool:
    """Whether the parser refuses it."""
    try:
        config.understood([Contents(Path("x.conf"), text.encode())])
    except ConfigError:
        return True
    return False


def faults(data: Any) -> list[str]:
    """What an editor shows about the data; for a fault without a text of its own the keyword of the schema."""
    return [_told(fault) for fault in _each(VALIDATOR.iter_errors(data))]


def _told(fault: ValidationError) -> str:
    own = fault.validator in ("type", "pattern", "required")
    return str(fault.schema.get("errorMessage", fault.validator) if own else fault.validator)


def _each(found: Any) -> Iterator[ValidationError]:
    for fault in found:
        yield from _each(fault.context) if fault.context else [fault]


def seen(text: str) -> list[str]:
    """The same of a text, as both YAMLs read it."""
    first, second = (faults(read(text, reading)) for reading in READINGS)
    assert bool(first) == bool(second), (first, second)
    return first


def rule(trigger: str = "rmem > 1g", action: str = "term") -> dict[str, Any]:
    return {"m": {"cmdline": "x", "actions": {trigger: action}}}


def with_rule(trigger: str = "rmem > 1g", action: str = "term", name: str = "m") -> str:
    return f"{name}:\n  cmdline: hog\n  actions:\n    {trigger}: {action}\n"


def in_monitor(line: str) -> str:
    """A monitor that is right but for this line."""
    other = "exe: x" if line.startswith("user:") else "user: 0"
    return f"m:\n  {line}\n  {other}\n  actions:\n    rmem > 1g: term\n"


def reads(parse: Any, text: str) -> bool:
    """Whether a text can be used, in a file, too."""
    if INVISIBLE.search(text):
        return False
    try:
        parse(text)
    except RuleSyntaxError:
        return False
    return True


# --- what is right is right for both ----------------------------------------------------------------------------

GOOD = {path.name: path.read_text() for path in sorted((HERE / "tests" / "config").glob("*.good.yaml"))}
GOOD.update({path.name: path.read_text() for path in sorted((HERE / "examples").glob("*.conf"))})
GOOD["as it comes"] = CONF.read_text()
GOOD["all used"] = re.sub(r"^#(?=[a-z]|  )", "", CONF.read_text(), flags=re.M)
GOOD.update({f"README {number}": text for number, text in enumerate(CONFIGURATIONS)})
GOOD.update({f"{block.section} {block.heading}": block.text for block in WHOLE})


@cases("name", GOOD)
def test_a_good_configuration_is_one(name):
    assert not refused(GOOD[name])
    assert seen(GOOD[name]) == []


@cases("spelt", [str, str.upper])
@cases("text", [*lines_below("Triggers"), *of_kind("triggers")])
def test_a_good_trigger_is_one_however_it_is_spelt(text, spelt):
    assert reads(parse_trigger, spelt(text))
    assert faults(rule(trigger=spelt(text))) == []


@cases("spelt", [str, str.upper])
@cases("text", [*lines_below("Actions"), *of_kind("actions"), "kill largest", "oom -5 group"])
def test_a_good_action_is_one_however_it_is_spelt(text, spelt):
    assert reads(parse_action, spelt(text))
    assert faults(rule(action=spelt(text))) == []


SCALARS = [
    *("1", "1.5", "007", "1_000", "0x1F", "0o17", "0b1", "1e3", "-1", "1:30", ".inf", ".nan", ".", "'-'", "=", "<<"),
    *("yes", "No", "on", "OFF", "true", "True", "y", "n", "2001-01-01", "'~'", "'null'", "'1'", '"\\t"', "|\n    x"),
]


@cases("key", ["cmdline", "exe", "exclude", "user"])
@cases("value", SCALARS)
def test_a_text_is_one_whatever_yaml_takes_it_for(key, value):
    text = in_monitor(f"{key}: {value}")
    assert refused(text) == bool(seen(text))


@cases("key", ["children", "final", "observe"])
@cases("value", [make(word) for word in TRUTHS for make in (str, str.upper, str.title, "'{}'".format)])
def test_yes_and_no_have_many_names(key, value):
    text = in_monitor(f"{key}: {value}")
    assert not refused(text)
    assert seen(text) == []


@cases("value", ["0", "adm", "root", "'77'", "077", "08", "4294967294"])
def test_a_group_is_a_name_or_a_number(value):
    assert seen(f"status-group: {value}\n") == []


@cases("text", ["", "# nothing yet\n", "--- {}\n"])
def test_nothing_is_nothing_to_tell_of(text):
    assert seen(text) == []


STYLES = [
    with_rule().replace("\n", "\r\n"),
    f"---\n{with_rule()}...\n",
    '{"m": {"cmdline": "x", "actions": {"rmem > 1g": ["term", "after 30s kill"]}}}\n',
    "m: {user: [0, alice, on], children: 1, actions: {rmem > 1g: [term, after 30s kill]}}\n",
    "? m\n: cmdline: x\n  actions:\n    ? rmem > 1g\n      and cpu > 50%\n    : term\n",
    "8080:\n  user:\n  - 0\n  - alice\n  actions:\n    rmem > 1g:\n    - term\n",
    with_rule("? >\n      rmem > 1g\n      or cpu > 50%\n    ", "|\n      exec if true\n      then logger x; fi"),
    with_rule("'RMEM>1G'", ">-\n      after 1m\n      term"),
    with_rule('"rmem\\x20> 1g"', '"log it\'s\\n\\u00fc"'),
    with_rule(name="'Größe: \U0001f600'"),
]


@cases("text", STYLES)
def test_yaml_is_written_in_many_styles(text):
    assert not refused(text)
    assert seen(text) == []


# --- what is wrong is wrong for both ----------------------------------------------------------------------------

CHARACTER = "in double quotes a \\ starts an escape, and this one makes a character that no one can see"
PATTERN = "write a regular expression, such as ^/usr/lib/firefox"
OWNER = "write a user by name or number"
NEITHER = "this is neither yes nor no"
PROTECT = "protect takes a list"
NO_SETTING = "there is no such setting; a monitor has cmdline and actions below its name"
NO_ACTION = "an action is one text, such as term, or a list of such texts"
ACTION = "an action is one of kill, abrt"
SIGNAL = "write term, term tree or term tree @ 10m"
TRIGGER = "a trigger is written like rmem > 500m"
TRUTH = "comparisons are <, <=, >, >=, == and !=; and, or and not are words"
NUMBER = "a number has no unit, or one like 500m"
MEASURED = "what can be measured is rmem"
BETWEEN = "of one comparison with two signs"
COMPARES = "a trigger compares, as in rmem > 500m"
CONSTANTS = "this compares two constants"
LASTS = "for stands behind the whole condition"
GROWTH = "growth is written like growth(rmem, 10m) > 100m"
INTERVAL = "write a time with s, m, h or d, 1s at least"

# Each kind of mistake by what an editor says of it: the beginning of a text, or the keyword of the schema.
FILES = [
    ("type", ["just words\n", "- a\n- b\n"]),
    (NO_SETTING, ["intervall: 10s\n", "cmdline: firefox\n", "nothing:\n", "m:\n  - cmdline: firefox\n"]),
    ("required", ["actions:\n  rmem > 1g: term\n", "m:\n  cmdline: x\n"]),
    ("a monitor needs a name", [with_rule(name="''"), with_rule(name="' '")]),
    (CHARACTER, [with_rule(name='"\\x07"')]),
    ("a monitor has cmdline, exe or user to find processes by", ["m:\n  actions:\n    rmem > 1g: term\n"]),
    ("additionalProperties", [in_monitor("childern: yes"), in_monitor("rmem > 500m: term")]),
    ("below actions, indented", [f"m:\n  cmdline: x\n  actions: {value}\n" for value in ("term", "", "[rmem > 1g]")]),
    ("minProperties", ["m:\n  cmdline: x\n  actions: {}\n"]),
    (NO_ACTION, ["m:\n  cmdline: x\n  actions:\n    rmem > 1g:\n    rmem > 2g: term\n"]),
]
VALUES = [
    ("interval", INTERVAL, ["10", "fast", "0.5s", "0s", "-1s", "1:30", "1h 30m", "", "[1s]"]),
    ("process-events", NEITHER, ["maybe", "", "[no]", "1.5"]),
    ("process-events", "maximum", ["2"]),
    ("process-events", "minimum", ["-1"]),
    ("protect", PROTECT, ["sshd", "yes", "", "{exe: sshd}"]),
    ("protect", "this has to be exe, user or cmdline", ["[sshd]", "[[exe, a]]", "['exe: x']", "[~]"]),
    ("protect", "minItems", ["[]", "[{user: []}]"]),
    ("protect", "minProperties", ["[{}]"]),
    ("protect", "additionalProperties", ["[{exclude: x}]"]),
    ("protect", PATTERN, ["[{exe: }]"]),
    ("status-group", "write the name or the number of a group", ["", "[adm]", "''"]),
    ("status-group", "maximum", ["4294967295"]),
    ("status-group", "minimum", ["-1"]),
]
VALUES_OF_MONITORS = [
    ("cmdline", PATTERN, ["", "''", "[a-z]", "{a: b}", "'*'", "'*fox'", "+", "'?'"]),
    ("exe", CHARACTER, ['"\\bfox\\b"']),
    ("exclude", PATTERN, [""]),
    ("final", NEITHER, ["maybe", "''", "y", "yes please", "", "[yes]", "1.5"]),
    ("user", OWNER, ["", "{a: b}", "[[a]]"]),
    ("user", "minLength", ["''", "['']"]),
    ("user", "minItems", ["[]"]),
]
TRIGGERS = [
    (TRUTH, ["rmem => 1g", "rmem =< 1g", "rmem = 1g", "rmem === 1g", "rmem <> 1g", "'! rmem > 1g'"]),
    (TRUTH, ["rmem > 1g && rmem < 1g", "rmem > 1g | rmem < 1g"]),
    (NUMBER, ["rmem > 500x", "age > 5minutes", "rmem > 1.", "rmem > 1.2.3", "rmem > 1e9", "rmem > 0x1"]),
    (NUMBER, ["rmem > 1gand 2", "rmem > .5g"]),
    (MEASURED, ["rmen > 1g", "rss > 1g", "tree.age > 1g", "system.rmem > 1g", "tree. > 1g", "_ > 1g", "gmem > 1g"]),
    (MEASURED, ["rmem > 1 g", "rmem > 10m /s"]),
    (GROWTH, ["growth(rmem) > 1g", "growth rmem > 1g", "growth(rmem, 0.5s) > 1g", "growth(rmem, 10) > 1g"]),
    (GROWTH, ["growth > 1g", "rmem > 1,5g", "rmem > 1g,"]),
    (COMPARES, ["rmem", "rmem 500m", "rmem and cpu > 90%", "cpu > 90% or", "rmem > 1g until rmem", "rmem > 1g until"]),
    (BETWEEN, ["1g < rmem > 2g", "1 == count == 1", "rmem > 1g rmem < 2g", "1g < rmem < 2g < vmem", "rmem > < 1g"]),
    (CONSTANTS, ["1g < 2g", "rmem > 1g and 1 < 2", "not 1g < 2g", "'> 500m'", "() > 1g"]),
    (LASTS, ["rmem > 1g for", "rmem > 1g for 5", "rmem > 1g for 5m and cpu > 90%", "rmem > 1g for 1h 30m"]),
    ("a trigger has one until at most", ["rmem > 1g until rmem < 1m until rmem < 2m"]),
    (TRIGGER, ["rmem > 1g 'and cpu > 90%", "rmem $ > 1g", "rmem cpu > 1g"]),
    ("maxLength", ["rmem > 1g" + " or rmem > 1g" * 77]),
]
STEPS = [
    (NO_ACTION, ["", "[[term]]", "{kill}", "[term, ]\n    rmem > 2g: ", "9"]),
    ("minItems", ["[]"]),
    (ACTION, ["kil", "SIGTERM", "killall x", "''", "/bin/true", "terminate", "recovered"]),
    (ACTION, ["after 5 term", "after term", "after 5m recovered term"]),
    (SIGNAL, ["term @ 10", "term @", "term @ 0.5s", "term @ 1m tree", "term tree group", "term all", "term now"]),
    (SIGNAL, ["term and kill", "'term, kill'"]),
    ("stop needs to know how long", ["stop", "stop tree", "stop @", "stop @ 10", "stop 10m"]),
    ("nice takes a whole number", ["nice", "nice 20", "nice -21", "nice 1 @ 5m"]),
    ("oom takes a whole number", ["oom", "oom 1001", "oom 5x", "oom tree"]),
    ("exec needs a command", ["exec", "exec @", "exec @ 1h", "exec @ 10minutes x"]),
    ("log needs a text", ["log", "log @ 1h", "'log \"\"'", "\"log ' '\""]),
    ("notify needs a text", ["notify", "notify @1h"]),
    ("there is no such variable", ["log $FOO", "notify ${PIDS}", "log $NAMES"]),
    (CHARACTER, ['"exec logger \\x07"']),
]
WRONG_TRIGGERS = [(told, with_rule(text)) for told, each in TRIGGERS for text in each]
MISTAKES = [
    *((told, text) for told, each in FILES for text in each),
    *((told, f"{key}: {value}\n") for key, told, each in VALUES for value in each),
    *((told, in_monitor(f"{key}: {value}")) for key, told, each in VALUES_OF_MONITORS for value in each),
    *WRONG_TRIGGERS,
    *((told, with_rule(action=text)) for told, each in STEPS for text in each),
]


@cases(("told", "text"), MISTAKES)
def test_a_mistake_is_one_and_an_editor_says_what_to_write(told, text):
    assert refused(text)
    assert [fault for fault in seen(text) if fault.startswith(told)], seen(text)


@cases(("told", "text"), [each for each in WRONG_TRIGGERS if each[0] in (TRUTH, NUMBER, GROWTH)])
def test_where_one_thing_is_wrong_with_a_trigger_one_thing_is_said(told, text):
    """But where nothing is measured: then that is said, too."""
    assert {fault.startswith(told) or fault.startswith((COMPARES, CONSTANTS)) for fault in seen(text)} == {True}


# What the parser refuses and a schema does not see, each with why.
UNSEEN = [
    ("interval: 1s\ninterval: 2s\n", "of a key that stands twice only the last is left in the data"),
    (with_rule() + with_rule(), "the same"),
    (in_monitor("exe: x\n  exe: y"), "the same"),
    (with_rule() + "    RMEM>1024m: kill\n", "two texts may be the same trigger"),
    (with_rule("cpu > 500m"), "what a number means beside something measured is not a pattern"),
    (with_rule("age > 5"), "the same"),
    (with_rule("rmem + count > 5"), "the same"),
    (with_rule("(rmem > 1g"), "a pattern does not count parentheses"),
    (with_rule("rmem > 1g)"), "the same"),
    (with_rule(f"{'not ' * 30}rmem > 1g"), "a pattern does not count levels"),
    (with_rule("rmem > 99999999999t"), "a pattern does not calculate"),
    (with_rule("rmem > 1g for 0s"), "the same"),
    (with_rule(action="term @ 9999999d"), "the same"),
    ("interval: 0.001m\n", "the same"),
    (with_rule(action=f"exec {'x' * 30_001}"), "a pattern that counts so far is too large for some programs"),
    (with_rule(action=f"log {'x' * 1001}"), "the same"),
    (with_rule("count > 1", "term tree"), "an action is not seen beside its trigger"),
    (with_rule("count > 1", "log $PID"), "the same"),
    (in_monitor("cmdline: (x"), "regular expressions are Python's, and editors have JavaScript's"),
    (in_monitor("cmdline: (?P<a>x)(?P<a>y)"), "the same"),
    ("status-group: no-such-group\n", "groups are the machine's"),
    (in_monitor("cmdline: +1"), "numbers are read before a schema sees them"),
    (in_monitor("final: 1.0"), "the same"),
    ("status-group: 0x10\n", "the same"),
    (with_rule(action="exec logger #1 is full"), "comments are gone before a schema sees the data"),
    (with_rule(action="'exec logger\tx'"), "the parser wants an escape for a tab, and in the data there is none"),
    (with_rule().rstrip("\n"), "so are line ends"),
    ("", "a file without anything in it is no data, nor is one of comments"),
    (in_monitor("exe: &a x"), "anchors are gone before a schema sees the data"),
    (in_monitor("exe: !!str x"), "and tags"),
    (f"%YAML 1.1\n---\n{with_rule()}", "and what is for YAML itself"),
]


@cases(("text", "reason"), UNSEEN)
def test_a_mistake_that_a_schema_cannot_see_is_not_seen(text, reason):
    """One that is seen, as it may be one day, belongs above."""
    assert refused(text)
    assert seen(text) == [], f"it was said: {reason}"


# Nothing and `null` are the same to YAML, and who has written nothing behind a ':' has to be told.
@cases("value", ["~", "null"])
@cases("key", ["cmdline", "exe", "exclude", "user"])
def test_a_null_that_is_meant_as_a_text_needs_quotes_in_an_editor_alone(key, value):
    assert not refused(in_monitor(f"{key}: {value}"))
    assert seen(in_monitor(f"{key}: {value}"))
    assert seen(in_monitor(f"{key}: '{value}'")) == []


BAD = sorted((HERE / "tests" / "config").glob("*.bad.yaml"))
UNSEEN_FILES = {
    "empty.bad.yaml": "a file without anything in it is no data, nor is one of comments",
    "twice.bad.yaml": "of a key that stands twice only the last is left in the data",
}


@cases("path", BAD, ids=lambda path: path.name)
def test_a_bad_file_is_bad_in_an_editor_but_for_what_a_schema_cannot_see(path):
    try:
        found = seen(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError):  # which an editor shows, too
        found = ["YAML"]
    assert bool(found) == (path.name not in UNSEEN_FILES), found


# --- what is made up --------------------------------------------------------------------------------------------


@patiently
@given(st.one_of(trigger_texts(), triggers.map(str)))
def test_whatever_the_parser_takes_for_a_trigger_is_one(text):
    assert faults(rule(trigger=text)) == []


@patiently
@given(st.one_of(action_texts(), steps.map(str)))
def test_whatever_the_parser_takes_for_an_action_is_one(text):
    assume(reads(parse_action, text))
    assert faults(rule(action=text)) == []


@st.composite
def mutated(draw, of):
    """A text with up to three accidents."""
    text = draw(of)
    for _ in range(draw(st.integers(1, 3))):
        start, length = draw(st.integers(0, len(text))), draw(st.integers(0, 8))
        instead = draw(st.one_of(st.just(""), st.sampled_from(WORDS), st.just(text[start : start + length] * 2)))
        text = text[:start] + instead + text[start + length :]
    return text


@patiently
@given(mutated(trigger_texts()))
def test_a_trigger_with_an_accident_that_is_refused_is_refused_by_the_parser(text):
    assert not (faults(rule(trigger=text)) and reads(parse_trigger, text)), faults(rule(trigger=text))


@patiently
@given(mutated(action_texts()))
def test_an_action_with_an_accident_that_is_refused_is_refused_by_the_parser(text):
    assert not (faults(rule(action=text)) and reads(parse_action, text)), faults(rule(action=text))


def test_of_all_that_the_parser_refuses_little_is_not_seen():
    verdicts = [
        (reads(parse, text), faults(rule(**{part: text})) == [])
        for text, _ in texts(random.Random("schema"), 800)
        for parse, part in ((parse_trigger, "trigger"), (parse_action, "action"))
    ]
    assert (True, False) not in verdicts
    assert verdicts.count((False, True)) < 0.02 * sum(not taken for taken, _ in verdicts)


def test_a_file_with_accidents_that_is_refused_is_refused_by_the_parser():
    taken = 0
    for data in configurations(random.Random("schema"), 800):
        text = data.decode(errors="replace")
        if not refused(text):
            taken += 1
            assert seen(text) == [], text
    assert taken > 20


# --- it knows all words of the code, and no others --------------------------------------------------------------


def every_case(word: str) -> set[str]:
    return {word, word.upper(), word.title(), word.swapcase()}


def keys(part: dict[str, Any]) -> list[str]:
    return list(part["properties"])


MONITOR = SCHEMA["definitions"]["monitor"]["allOf"][1]
PROTECTED = SCHEMA["properties"]["protect"]["items"]["allOf"][1]


def test_it_has_every_setting_and_every_key():
    assert keys(SCHEMA) == list(config._SETTINGS)
    assert keys(MONITOR) == list(monitors.MONITOR_KEYS)
    assert set(keys(PROTECTED)) == set(monitors.SELECTORS)


def test_it_has_everything_that_can_be_measured_and_nothing_else():
    names = [*PROCESS_METRICS, *SYSTEM_METRICS]
    scopes = [scope.value for scope in Scope]
    written = {word for scope, name in itertools.product(scopes, names) for word in every_case(f"{scope}{name}")}
    assert {word for word in written if not faults(rule(f"{word} > 0"))} == {
        word for metric in METRICS for word in every_case(metric)
    }
    assert [
        word for metric in METRICS for word in (f"{metric}x", f"x{metric}") if not faults(rule(f"{word} > 0"))
    ] == []


def test_it_has_every_action_and_every_target():
    rest = {"stop": " @ 1m", **dict.fromkeys(ADJUSTABLE, " 5"), **dict.fromkeys(("exec", "notify", "log"), " x")}
    for action in ACTIONS:
        for spelt in every_case(action):
            assert faults(rule(action=f"{spelt}{rest.get(action, '')}")) == []
            assert faults(rule(action=f"{spelt}x{rest.get(action, '')}"))
    assert [target for target in Target if faults(rule(action=f"term {target.value}"))] == []


@cases(("word", "span"), ADJUSTABLE.items())
def test_what_is_adjusted_is_adjusted_within_its_bounds(word, span):
    lowest, highest = span
    within = [lowest, lowest + 1, -9, -1, 0, 1, 9, 10, 19, highest - 1, highest]
    beyond = [lowest - 1, 10 * lowest, highest + 1, 10 * highest + 9]
    assert [number for number in within + beyond if not faults(rule(action=f"{word} {number}"))] == within


def test_it_has_every_variable():
    written = [*VARIABLES, *(f"{name}X" for name in VARIABLES), *(name[:-1] for name in VARIABLES), "name"]
    for form in ("${}", "${{{}}}", "a$${}.", "'${}'"):
        assert [name for name in written if not faults(rule(action=f"log {form.format(name)}"))] == list(VARIABLES)


def test_bounds_are_those_of_the_code():
    assert SCHEMA["definitions"]["faults"]["maxLength"] == LONGEST_TRIGGER
    assert SCHEMA["properties"]["status-group"]["maximum"] == config._MOST_GID
