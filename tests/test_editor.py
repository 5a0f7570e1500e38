"""What an editor shows by the JSON Schema, the patterns in it, and where an editor finds it."""

from __future__ import annotations

import json
import random
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft7Validator

from fallfromgrace import backtracking
from fallfromgrace.entries import TRUTHS
from fallfromgrace.expression import METRICS, PROCESS_METRICS
from fallfromgrace.lexer import ACTIONS
from fallfromgrace.rules import VARIABLES
from tests.fuzz.texts import texts
from tests.test_documents import CONF, README
from tests.test_schema import (
    ACTION,
    MEASURED,
    MONITOR,
    NEITHER,
    PROTECTED,
    SCHEMA,
    faults,
    keys,
    refused,
    rule,
)

HERE = Path(__file__).parent.parent
INSTALLED = "/usr/share/fall-from-grace/fall-from-grace.schema.json"
cases = pytest.mark.parametrize

# --- what it shows ---------------------------------------------------------------------------------------


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
    command = [vim, "-Nesn", "-u", "NONE", "-i", "NONE", "--cmd", "set modeline", "-c", asked, "-c", "qa!", str(CONF)]
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
