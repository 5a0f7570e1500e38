import pytest

from fallfromgrace.rules import Exec, Signal
from fallfromgrace.table import Image
from tests.builders import monitor


@pytest.mark.parametrize(
    ("action", "text"),
    [
        (Signal("term"), "term"),
        (Signal("stop", 600.0), "stop @ 10m"),
        (Exec("logger x"), "exec logger x"),
        (Exec("logger x", 5400.0), "exec @ 90m logger x"),
    ],
)
def test_the_normal_form_of_an_action(action, text):
    assert str(action) == text


def test_an_action_keeps_its_key_whatever_the_trigger_and_one_written_again_gets_its_own():
    before = monitor({"rmem > 500m": ["exec @ 1h x", "term"], "rmem > 900m": "exec @ 1h x"})
    after = monitor({"rmem > 600m": ["exec  @  60m x", "TERM"], "rmem > 900m": "exec @ 1h x"})
    keys = [[item.key for rule in each.rules for item in rule.items] for each in (before, after)]
    assert keys == [["exec @ 1h x", "term", "exec @ 1h x #2"]] * 2


def test_a_monitor_selects_by_its_regex():
    assert monitor({}, cmdline="^a.*b$").selects(Image("a cb", 0))
    assert not monitor({}, cmdline="^a.*b$").selects(Image("xab", 0))
