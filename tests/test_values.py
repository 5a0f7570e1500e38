import pwd

import pytest

from fallfromgrace.rules import VARIABLES
from fallfromgrace.values import expand, owner, values
from tests.builders import MIB, process, verdict

NOBODY_AT_ALL = 4_000_000_001


def test_every_variable_has_its_value():
    seen = process(100, 'hog "$(reboot)"', uid=NOBODY_AT_ALL)
    decided = verdict(
        "exec @ 1h x", "rmem > 0.1g", process=seen, name="conkeror", sample={"rmem": 0}, value="200m", limit="102.4m"
    )
    found = values(decided, {"rmem": 200 * MIB, "vmem": 300 * MIB})
    assert found == {
        "NAME": "conkeror",
        "PID": "100",
        "RULE": "rmem > 0.1g",
        "VALUE": "200m",
        "LIMIT": "102.4m",
        "RMEM": str(200 * MIB),
        "VMEM": str(300 * MIB),
        "OWNER": str(NOBODY_AT_ALL),
        "CMDLINE": 'hog "$(reboot)"',
        "ACTION": "exec @ 1h x",
    }
    assert found.keys() == set(VARIABLES)


def test_what_could_not_be_read_is_an_empty_value():
    found = values(verdict("exec x", "cpu > 90%"), {})
    assert (found["RMEM"], found["VMEM"]) == ("", "")


def test_where_a_rule_is_about_no_single_process_there_are_no_variables_of_one():
    found = values(verdict("log x", "count > 3", process=None, name="crowd", sample={"count": 4}), {})
    assert found == {"NAME": "crowd", "RULE": "count > 3", "VALUE": "200m", "LIMIT": "100m", "ACTION": "log x"}


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("$NAME uses $VALUE", "m uses 912m"),
        ("${NAME}s", "ms"),
        ("$NAMES", "$NAMES"),
        ("$PIDFILE ${PID}FILE $PID.", "$PIDFILE 7FILE 7."),
        ("$PIDé", "7é"),
        ("$NAME$NAME", "mm"),
        ("$$PID", "$7"),
        ("$pid ${ PID} ${PID $1 $ ${}", "$pid ${ PID} ${PID $1 $ ${}"),
        ("$CMDLINE", "hog $NAME ${PID}"),  # whose words are not ours
        (r"\$NAME", r"\m"),
        ("", ""),
    ],
)
def test_variables_in_a_text_are_replaced_once(text, told):
    assert expand(text, {"NAME": "m", "VALUE": "912m", "PID": "7", "CMDLINE": "hog $NAME ${PID}"}) == told


@pytest.mark.parametrize(("uid", "name"), [(0, pwd.getpwuid(0).pw_name), (NOBODY_AT_ALL, str(NOBODY_AT_ALL))])
def test_an_owner_has_a_name_or_is_a_number(uid, name):
    assert owner(uid) == name
