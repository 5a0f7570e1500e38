"""The JSON Schema for editors and the parser agree, but for what a schema cannot see."""

from __future__ import annotations

import itertools
import json
import random
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import assume, given
from hypothesis import strategies as st
from jsonschema import Draft7Validator, ValidationError

from fallfromgrace import backtracking, config, monitors
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
from tests.test_documents import CONF, CONFIGURATIONS, README, lines_below
from tests.test_manual import WHOLE, of_kind

HERE = Path(__file__).parent.parent
PATH = HERE / "schema" / "fall-from-grace.schema.json"
INSTALLED = "/usr/share/fall-from-grace/fall-from-grace.schema.json"
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
    """Any number of that kind will do where the text is an odd one, such as 1_000 or 1:30."""
    return next((made for make in (int, float) if (made := _made(make, text)) is not None), 1000)


def _made(make: Any, text: str) -> Any:
    try:
        return make(text)
    except ValueError:
        return None


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


def with_rule(trigger: str = "rmem > 1g", action: str = "term") -> str:
    return f"m:\n  cmdline: hog\n  actions:\n    {trigger}: {action}\n"


def in_monitor(line: str) -> str:
    return f"m:\n  {line}\n  user: 0\n  actions:\n    rmem > 1g: term\n"


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
    text = f"m:\n  {key}: {value}\n  {'user: 0' if key != 'user' else 'exe: x'}\n  actions:\n    rmem > 1g: term\n"
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
STOP = "stop needs to know how long"
TRIGGER = "a trigger is written like rmem > 500m"
TRUTH = "comparisons are <, <=, >, >=, == and !=; and, or and not are words"
NUMBER = "a number has no unit, or one like 500m"
MEASURED = "what can be measured is rmem"
COMPARES = "a trigger compares, as in rmem > 500m"
CONSTANTS = "this compares two constants"
LASTS = "for stands behind the whole condition"
GROWTH = "growth is written like growth(rmem, 10m) > 100m"
INTERVAL = "write a time with s, m, h or d, 1s at least"

# Each kind of mistake, and what an editor says of it: the beginning of a text, or the keyword of the schema.
MISTAKES = [
    ("just words\n", "type"),
    ("- a\n- b\n", "type"),
    ("intervall: 10s\n", NO_SETTING),
    ("cmdline: firefox\n", NO_SETTING),
    ("actions:\n  rmem > 1g: term\n", "required"),
    ("nothing:\n", NO_SETTING),
    ("m:\n  - cmdline: firefox\n", NO_SETTING),
    (with_rule().replace("m:", "'':", 1), "a monitor needs a name"),
    (with_rule().replace("m:", "' ':", 1), "a monitor needs a name"),
    (with_rule().replace("m:", '"\\x07":', 1), CHARACTER),
    *(
        (f"interval: {value}\n", INTERVAL)
        for value in ("10", "fast", "0.5s", "0s", "-1s", "1:30", "1h 30m", "", "[1s]")
    ),
    *((f"process-events: {value}\n", NEITHER) for value in ("maybe", "", "[no]", "1.5")),
    *((f"process-events: {value}\n", key) for value, key in ((2, "maximum"), (-1, "minimum"))),
    *((f"protect: {value}\n", PROTECT) for value in ("sshd", "yes", "", "{exe: sshd}")),
    ("protect: []\n", "minItems"),
    ("protect: [{}]\n", "minProperties"),
    *(
        (f"protect: [{value}]\n", "this has to be exe, user or cmdline")
        for value in ("sshd", "[exe, a]", "'exe: x'", "~")
    ),
    ("protect: [{exclude: x}]\n", "additionalProperties"),
    ("protect: [{exe: }]\n", PATTERN),
    ("protect: [{user: []}]\n", "minItems"),
    *((f"status-group: {value}\n", "write the name or the number of a group") for value in ("", "[adm]", "''")),
    *((f"status-group: {value}\n", key) for value, key in ((4294967295, "maximum"), (-1, "minimum"))),
    (in_monitor("childern: yes"), "additionalProperties"),
    (in_monitor("rmem > 500m: term"), "additionalProperties"),
    ("m:\n  actions:\n    rmem > 1g: term\n", "a monitor has cmdline, exe or user to find processes by"),
    ("m:\n  cmdline: x\n", "required"),
    *(
        (in_monitor(f"cmdline: {value}"), PATTERN)
        for value in ("", "''", "[a-z]", "{a: b}", "'*'", "'*fox'", "+", "'?'")
    ),
    (in_monitor('exe: "\\bfox\\b"'), CHARACTER),
    (in_monitor("exclude:"), PATTERN),
    *((in_monitor(f"final: {value}"), NEITHER) for value in ("maybe", "''", "y", "yes please", "", "[yes]", "1.5")),
    *((in_monitor("exe: x").replace("user: 0", f"user: {value}"), OWNER) for value in ("", "{a: b}", "[[a]]")),
    *((in_monitor("exe: x").replace("user: 0", f"user: {value}"), "minLength") for value in ("''", "['']")),
    (in_monitor("exe: x").replace("user: 0", "user: []"), "minItems"),
    *((f"m:\n  cmdline: x\n  actions: {value}\n", "below actions, indented") for value in ("term", "", "[rmem > 1g]")),
    ("m:\n  cmdline: x\n  actions: {}\n", "minProperties"),
    *((with_rule(action=value), NO_ACTION) for value in ("", "[[term]]", "{kill}", "[term, ]\n    rmem > 2g: ", "9")),
    (with_rule(action="[]"), "minItems"),
    *(
        (with_rule(f"rmem {sign} 1g"), TRUTH)
        for sign in ("=>", "=<", "=", "===", "<>", "> 1g && rmem <", "> 1g | rmem <")
    ),
    (with_rule("'! rmem > 1g'"), TRUTH),
    *(
        (with_rule(f"rmem > {number}"), NUMBER)
        for number in ("500x", "5minutes", "1.", "1.2.3", "1e9", "0x1", "1gand 2", ".5g")
    ),
    *(
        (with_rule(f"{word} > 1g"), MEASURED)
        for word in ("rmen", "rss", "tree.age", "system.rmem", "tree.", "_", "gmem")
    ),
    *((with_rule(text), MEASURED) for text in ("rmem > 1 g", "rmem > 10m /s")),
    *((with_rule(text), GROWTH) for text in ("growth(rmem) > 1g", "growth rmem > 1g", "growth(rmem, 0.5s) > 1g")),
    *((with_rule(text), GROWTH) for text in ("growth(rmem, 10) > 1g", "rmem > 1,5g", "growth > 1g", "rmem > 1g,")),
    *(
        (with_rule(text), COMPARES)
        for text in ("rmem", "rmem 500m", "rmem and cpu > 90%", "cpu > 90% or", "rmem > 1g until rmem")
    ),
    (with_rule("rmem > 1g until"), COMPARES),
    *(
        (with_rule(text), "of one comparison with two signs")
        for text in ("1g < rmem > 2g", "1 == count == 1", "rmem > 1g rmem < 2g")
    ),
    *((with_rule(text), "of one comparison with two signs") for text in ("1g < rmem < 2g < vmem", "rmem > < 1g")),
    *(
        (with_rule(text), CONSTANTS)
        for text in ("1g < 2g", "rmem > 1g and 1 < 2", "not 1g < 2g", "'> 500m'", "() > 1g")
    ),
    *((with_rule(text), LASTS) for text in ("rmem > 1g for", "rmem > 1g for 5", "rmem > 1g for 5m and cpu > 90%")),
    (with_rule("rmem > 1g for 1h 30m"), LASTS),
    (with_rule("rmem > 1g until rmem < 1m until rmem < 2m"), "a trigger has one until at most"),
    *((with_rule(text), TRIGGER) for text in ("rmem > 1g 'and cpu > 90%", "rmem $ > 1g", "rmem cpu > 1g")),
    (with_rule("rmem > 1g" + " or rmem > 1g" * 77), "maxLength"),
    *((with_rule(action=text), ACTION) for text in ("kil", "SIGTERM", "killall x", "''", "/bin/true", "after 5 term")),
    *((with_rule(action=text), ACTION) for text in ("after term", "after 5m recovered term", "recovered", "terminate")),
    *((with_rule(action=text), SIGNAL) for text in ("term @ 10", "term all", "term @", "term and kill", "term now")),
    *(
        (with_rule(action=text), SIGNAL)
        for text in ("term @ 0.5s", "term @ 1m tree", "'term, kill'", "term tree group")
    ),
    *((with_rule(action=text), STOP) for text in ("stop", "stop tree", "stop @", "stop @ 10", "stop 10m")),
    *((with_rule(action=text), "nice takes a whole number") for text in ("nice", "nice 20", "nice -21", "nice 1 @ 5m")),
    *((with_rule(action=text), "oom takes a whole number") for text in ("oom", "oom 1001", "oom 5x", "oom tree")),
    *(
        (with_rule(action=text), "exec needs a command")
        for text in ("exec", "exec @ 1h", "exec @ 10minutes x", "exec @")
    ),
    *((with_rule(action=text), "log needs a text") for text in ("log", "log @ 1h", "'log \"\"'", "\"log ' '\"")),
    *((with_rule(action=text), "notify needs a text") for text in ("notify", "notify @1h")),
    *((with_rule(action=text), "there is no such variable") for text in ("log $FOO", "notify ${PIDS}", "log $NAMES")),
    (with_rule(action='"exec logger \\x07"'), CHARACTER),
]


@cases(("text", "told"), MISTAKES)
def test_a_mistake_is_one_and_an_editor_says_what_to_write(text, told):
    assert refused(text)
    assert [fault for fault in seen(text) if fault.startswith(told)], seen(text)


@cases(("text", "told"), [each for each in MISTAKES if each[1] in (TRUTH, NUMBER, GROWTH)])
def test_where_one_thing_is_wrong_with_a_trigger_one_thing_is_said(text, told):
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
@cases("key", ["cmdline", "exe", "exclude"])
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


# --- what an editor shows ---------------------------------------------------------------------------------------


def schemas(part: Any = SCHEMA) -> Iterator[dict[str, Any]]:
    """All that are in it, but for what is data."""
    if isinstance(part, list):
        for each in part:
            yield from schemas(each)
    elif isinstance(part, dict):
        yield part
        for word, each in part.items():
            if word in ("properties", "patternProperties", "definitions"):
                yield from schemas(list(each.values()))
            elif word not in ("defaultSnippets", "examples"):
                yield from schemas(each)


def test_it_is_a_schema_and_has_no_words_but_those_of_schemas_and_editors():
    Draft7Validator.check_schema(SCHEMA)
    known = {*Draft7Validator.META_SCHEMA["properties"], "errorMessage", "defaultSnippets"}
    assert {word for each in schemas() for word in each} <= known


def test_every_reference_leads_somewhere():
    named = {each["$ref"].rpartition("/")[2] for each in schemas() if "$ref" in each}
    assert named == set(SCHEMA["definitions"])


def described(part: dict[str, Any]) -> str:
    """The description of a key, which may be in what it refers to."""
    referred = SCHEMA["definitions"].get(part.get("$ref", "").rpartition("/")[2], {})
    return str({**referred, **part}.get("description", ""))


@cases(
    ("place", "key"), [(p, key) for p in (SCHEMA, MONITOR, PROTECTED) for key in keys(p)], ids=lambda key: str(key)[:20]
)
def test_every_key_is_explained(place, key):
    assert len(described(place["properties"][key])) > 20


@cases("metric", METRICS)
def test_everything_that_can_be_measured_is_explained(metric):
    shown = SCHEMA["definitions"]["measured"]["patternProperties"]
    found = [told["title"] for pattern, told in shown.items() if re.search(pattern, f"({metric}>1g)")]
    assert [told.partition(":")[0] for told in found] == [re.sub(r"^(tree|group)\.", "", metric)]


@cases("word", ACTIONS)
def test_every_action_is_explained(word):
    [told] = [
        part["then"]["description"]
        for part in SCHEMA["definitions"]["action"]["allOf"]
        if re.search(part.get("if", {}).get("pattern", "$^"), f"after 5m {word.upper()}")
    ]
    assert re.match(rf"{word}\b", told)


def said(beginning: str) -> str:
    """The one text for a fault that begins like this."""
    [found] = {text for each in schemas() if (text := each.get("errorMessage", "")).startswith(beginning)}
    return str(found)


@cases(
    ("beginning", "named"),
    [
        (MEASURED, [*PROCESS_METRICS, *(metric for metric in METRICS if metric.startswith("system."))]),
        (ACTION, ACTIONS),
        ("there is no such variable", [f"${name}" for name in VARIABLES]),
        (NEITHER, TRUTHS),
    ],
)
def test_what_is_said_of_a_fault_names_all_that_could_be_written(beginning, named):
    assert [word for word in named if not re.search(rf"(?<![\w$]){re.escape(word)}\b", said(beginning))] == []


def typed(body: Any) -> Any:
    """A snippet as it is inserted: with its placeholders as they are proposed, and no `^` at its start."""
    if isinstance(body, dict):
        return {typed(key): typed(value) for key, value in body.items()}
    if isinstance(body, list):
        return [typed(each) for each in body]
    return re.sub(r"\$\{\d:((?:[^}\\]|\\.)*)\}", r"\1", body).replace("\\$", "$").removeprefix("^")


def snippets(part: dict[str, Any]) -> list[Any]:
    return [typed(each["body"]) for each in part["defaultSnippets"]]


def test_every_snippet_and_every_example_is_right():
    rules_ = [{"m": {"cmdline": "x", "actions": body}} for body in snippets(MONITOR["properties"]["actions"])]
    actions = [rule(action=body) for body in snippets(SCHEMA["definitions"]["steps"])]
    protected = [{"protect": body} for body in snippets(SCHEMA["properties"]["protect"])]
    proposed = [*snippets(SCHEMA), *rules_, *actions, *protected]
    assert len(proposed) > 15
    for data in proposed:
        assert faults(data) == []
        assert not refused(f"{json.dumps(data)}\n"), data


# --- its patterns, which several languages read -----------------------------------------------------------------

PATTERNS = sorted(
    {each["pattern"] for each in schemas() if "pattern" in each}
    | {pattern for each in schemas() for pattern in each.get("patternProperties", ())}
)
ANYTHING = r"[\s\S]"
A_CLASS = re.compile(r"\[(?:[^\]\\]|\\.)*\]")
# Classes and edges that are wider in Python, what stands in front of a group there, and repeats that give nothing back.
WIDER = re.compile(r"\\[AZdDwWsSbB]")
ONLY_PYTHON = re.compile(r"\(\?[^:=!]|[*+?}]\+")


@cases("pattern", PATTERNS)
def test_a_pattern_keeps_to_what_ecmascript_and_python_have_in_common(pattern):
    assert not WIDER.search(pattern.replace(ANYTHING, "."))
    assert not ONLY_PYTHON.search(A_CLASS.sub(".", pattern))


@cases("pattern", PATTERNS)
def test_no_text_takes_a_pattern_for_ever(pattern):
    assert backtracking.attack(re.compile(pattern)) is None


IN_NODE = """
const {patterns, texts} = JSON.parse(require("fs").readFileSync(0));
const found = patterns.map(each => new RegExp(each, "u"));
console.log(JSON.stringify(found.map(each => texts.map(text => each.test(text)))));
"""


def test_javascript_finds_the_same():
    node = shutil.which("node") or shutil.which("nodejs")
    if not node:
        pytest.skip("needs nodejs: what JavaScript makes of the patterns was not tested")
    made = [text for text, _ in texts(random.Random("node"), 600)]
    # Python's `$` is also before a last line end; and lone surrogates are no JSON.
    sent = [text for text in made if not text.endswith("\n") and not re.search("[\ud800-\udfff]", text)]
    asked = json.dumps({"patterns": PATTERNS, "texts": sent})
    ran = subprocess.run([node, "-e", IN_NODE], input=asked, capture_output=True, text=True, timeout=60, check=True)
    for pattern, found in zip(PATTERNS, json.loads(ran.stdout), strict=True):
        assert found == [bool(re.search(pattern, text)) for text in sent], pattern


# --- where editors find it --------------------------------------------------------------------------------------

EDITED = CONF.read_text().splitlines()


def test_the_configuration_names_the_schema_where_the_package_puts_it():
    assert f"# yaml-language-server: $schema={INSTALLED}" in EDITED
    assert '("share/fall-from-grace", ["schema/fall-from-grace.schema.json"])' in (HERE / "setup.py").read_text()


def test_emacs_knows_the_configuration_for_yaml():
    assert re.search(r"-\*- mode: yaml -\*-$", EDITED[0])


def test_vim_knows_the_configuration_for_yaml_and_indents_it_with_blanks(tmp_path):
    vim = shutil.which("vim")
    if not vim or "+eval" not in subprocess.run([vim, "--version"], capture_output=True, text=True, timeout=20).stdout:
        pytest.skip("needs vim (not vim-tiny): the line for vim was not tested")
    said = tmp_path / "said"
    asked = f"call writefile([&filetype, &expandtab, &shiftwidth, &softtabstop], '{said}')"
    command = [vim, "-Nes", "-u", "NONE", "-i", "NONE", "--cmd", "set modeline", "-c", asked, "-c", "qa!", str(CONF)]
    subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=20, check=True)
    assert said.read_text().split() == ["yaml", "1", "2", "2"]


IN_YOUR_EDITOR = README.partition("### In your editor\n")[2].partition("\n##")[0]


def test_the_readme_has_the_lines_for_ones_own_file():
    [_, *lines] = re.findall(r"^# .*", IN_YOUR_EDITOR, re.M)
    assert lines == EDITED[1:3]


def test_the_readme_has_the_settings_for_vs_code():
    [settings] = [json.loads(text) for text in re.findall(r"^```json\n(.*?)^```$", IN_YOUR_EDITOR, re.M | re.S)]
    assert list(settings["yaml.schemas"]) == [INSTALLED]
    assert settings["yaml.schemas"][INSTALLED] == list(settings["files.associations"])
