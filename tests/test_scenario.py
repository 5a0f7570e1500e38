import contextlib
from pathlib import Path

import pytest

from fallfromgrace import scenario
from fallfromgrace.errors import ConfigError

FIXTURES = Path(__file__).parent / "scenarios"
BAD = sorted(FIXTURES.glob("*.bad.yaml"))
EXAMPLE = Path(__file__).parent.parent / "examples" / "fall-from-grace.test.yaml"


def read(text):
    return scenario.read("x.test.yaml", text.encode())


@pytest.mark.parametrize("path", BAD, ids=lambda path: path.name)
def test_a_bad_file_is_answered_with_all_that_is_wrong_and_where(path):
    with pytest.raises(ConfigError) as caught:
        scenario.read(path.name, path.read_bytes())
    assert f"{caught.value}\n" == path.with_suffix(".txt").read_text()


def test_a_test_has_processes_a_machine_and_what_is_expected():
    script = read("""\
config: x.conf
a test, with a comma:
  step: 5s
  until: 1h
  monitors: [m, n]
  machine: {memory: 8g, load: 1 2.5}
  processes:
    a: {cmdline: hog, cpu: 90%}
  expect: [1m a term, 2m exec]
""")
    (found,) = script.scenarios
    assert (script.config, found.name, found.place.line) == ("x.conf", "a test, with a comma", 2)
    assert (found.step, found.until, [each.value for each in found.monitors]) == (5, 3600, ["m", "n"])
    assert found.machine == {"memory": (8 << 30,), "load": (1, 2.5)}
    assert [(each.name, dict(each.measured)) for each in found.actors] == [("a", {"cpu": (90,)})]
    assert [(each.at, each.process, str(each.deed)) for each in found.expected] == [
        (60, "a", "term"),
        (120, "", "exec x"),
    ]


@pytest.mark.parametrize("text", ["nothing", "Nothing", "'nothing'"])
def test_nothing_can_be_expected(text):
    (found,) = read(f"a test:\n  expect: {text}\n").scenarios
    assert (found.expected, found.actors, found.step, found.until) == ((), (), None, None)


def test_one_expectation_needs_no_list():
    (found,) = read("a test:\n  expect: 20s log x\n").scenarios
    assert [each.at for each in found.expected] == [20]


def test_a_comment_behind_what_has_no_text_is_one():
    (found,) = read("a test:\n  processes: {a: {cmdline: x}}\n  expect:\n    - 20s a term # now\n").scenarios
    assert str(found.expected[0].deed) == "term"


@pytest.mark.parametrize("text", [EXAMPLE.read_text(), (FIXTURES / "expect.bad.yaml").read_text()])
def test_a_file_that_is_cut_anywhere_is_no_fault_of_ours(text):
    for end in range(0, len(text), 7):
        with contextlib.suppress(ConfigError):
            assert read(text[:end]).scenarios
