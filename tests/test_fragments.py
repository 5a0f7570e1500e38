"""What is dear or dangerous to read as YAML; what texts mean is in the tests of the configuration."""

import itertools
import subprocess
import sys

import pytest
from yaml.scanner import Scanner

from fallfromgrace import fragments, textfile
from fallfromgrace.errors import ConfigError
from fallfromgrace.fragments import DEEPEST, MOST_PASSES

MIB = textfile.LARGEST
DEEP = "this is nested too deeply; an action is one text, in single quotes if need be"


@pytest.fixture
def work(monkeypatch):
    """How often YAML was asked for more: what reading costs, whatever the machine."""
    asked = []
    fetch = Scanner.fetch_more_tokens
    monkeypatch.setattr(Scanner, "fetch_more_tokens", lambda scanner: (asked.append(1), fetch(scanner))[1])
    return asked


def read(text):
    """The entries, and what is wrong."""
    found = fragments.read(textfile.parse("x.conf", text.encode(errors="surrogateescape")[:MIB]))
    return found.entries, [problem.text for problem in found.problems]


def whole(part, end="\n"):
    """The same again and again, in the largest file that there may be."""
    return part * ((MIB - len(end)) // len(part)) + end


# What is given up at once, and what YAML may look ahead for, which is a key's length.
NESTED = [
    ("a: " + "[" * 50_000 + "\n", 1100),
    (whole("["), 1100),
    (whole("{"), 1100),
    (whole("[{"), 1100),
    (whole("- "), 10),
    (whole("? "), 10),
    ("".join(f"{' ' * depth}a:\n" for depth in range(1400)), 40),
    ("".join(f"{' ' * depth}- \n" for depth in range(1400)), 40),
]


@pytest.mark.parametrize(("text", "most"), NESTED, ids=range(len(NESTED)))
def test_what_is_nested_by_the_thousand_is_given_up_at_once(text, most, work):
    assert DEEP in read(text)[1]
    assert len(work) <= most


@pytest.mark.parametrize("opened", ["[", "{a: ", "- ", "? "])
def test_what_may_be_nested_has_a_depth(opened):
    assert DEEP not in read(opened * DEEPEST + "\n")[1]
    assert DEEP in read(opened * (DEEPEST + 1) + "\n")[1]


LAUGHS = "a: &a [x, x]\n" + "".join(f"{b}: &{b} [*{a}, *{a}]\n" for a, b in itertools.pairwise("abcdefghijklm"))
REFUSED = [
    ("a: &a x\n", "&"),
    ("a: &a x\nb: *a\n", "*"),
    ("a: &a [*a]\n", "&"),
    ("a: &a {x: y}\nb:\n  <<: [*a, *a]\n", "*"),
    (LAUGHS, "*"),
    ("&a a: x\n", "&"),
    ("a: !!python/object/apply:os.system [x]\n", "!"),
    ("a: !!int 5\n", "!"),
    ("a: ! x\n", "!"),
    ("!a b: x\n", "!"),
]


@pytest.mark.parametrize(("text", "sign"), REFUSED, ids=range(len(REFUSED)))
def test_references_and_types_are_refused_and_never_followed(text, sign, work):
    problems = read(text)[1]
    assert [each for each in problems if f"with '{sign}'" in each]
    assert len(work) < 20 * text.count("\n") + 20


ONCE = [
    "a: &a x\n",
    "a: *a\n",
    "b:\n  <<: [*a,*a,*a,*a,*a,*a,*a,*a]\n",
    "a: !!x [y]\n",
    "---\n",
    "a:\n",
    "[a]\n",
    "- a\n",
]


@pytest.mark.parametrize("part", ONCE)
def test_twice_as_much_is_twice_the_work(part, work):
    """Whoever followed references would do more with each, whoever began anew at each fault as well."""
    costs = []
    for times in (500, 1000, 2000):
        work.clear()
        read(part * times)
        costs.append(len(work))
    assert costs[2] - costs[1] <= 2 * (costs[1] - costs[0]) + 2
    assert costs[2] <= 25 * 2000


@pytest.mark.parametrize("line", ["a: [\n", "a: '\n", "}\n", "a: b: c\n", "%\n", "a: @\n"])
def test_a_file_with_a_fault_in_each_line_is_begun_anew_a_few_times_only(line, monkeypatch):
    passes = []
    made = fragments._Pass.__init__
    monkeypatch.setattr(fragments._Pass, "__init__", lambda *given: (passes.append(1), made(*given))[1])
    assert read(line * 5001)[1]
    assert len(passes) <= MOST_PASSES


@pytest.mark.parametrize("text", [whole("\0"), whole("\t\n"), "\ufeff" * 1000, "\0"])
def test_what_nobody_sees_is_an_empty_file(text):
    with pytest.raises(ConfigError, match="the file is empty"):
        read(text)


@pytest.mark.parametrize("text", ["a: b\0c\n", "a\0: b\n", 'a: "\\0"\n', "# \0\na: b\n", "a: |\n  \0\n"])
def test_a_nul_is_told_wherever_it_is(text):
    assert [each for each in read(text)[1] if "invisible character" in each]


LOOK = """
import sys
from fallfromgrace import config
from fallfromgrace.errors import ConfigError
from fallfromgrace.files import Contents
from pathlib import Path
for text in (b"m:\\n  cmdline: x\\n  actions:\\n    rmem > 1g: term\\n", b"[" * 100_000 + b"\\n", b"a: &a [*a]\\n"):
    try:
        config.understood([Contents(Path("x"), text)])
    except ConfigError as error:
        print(error.problems[0].text)
print("yaml" in sys.modules, [name for name in sys.modules if "_yaml" in name], hasattr(sys.modules["yaml"], "CLoader"))
"""


def test_the_parser_in_c_is_never_loaded_and_a_hundred_thousand_brackets_are_a_message():
    ran = subprocess.run([sys.executable, "-c", LOOK], capture_output=True, text=True, timeout=60)
    assert (ran.returncode, ran.stderr) == (0, "")
    *told, loaded = ran.stdout.splitlines()
    assert told == [DEEP, "a text cannot start with '&'; put the whole text in single quotes"]
    assert loaded == "True [] False"
