import random
import re

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from ply import yacc

from fallfromgrace import grammar
from fallfromgrace.errors import RuleSyntaxError
from fallfromgrace.expression import (
    And,
    Calculation,
    Comparison,
    Growth,
    Lasting,
    Metric,
    Not,
    Or,
    Quantity,
    Scope,
    Share,
    Trigger,
    Whole,
)
from fallfromgrace.grammar import LONGEST_TRIGGER, parse_action, parse_trigger
from fallfromgrace.rules import SIGNALS, VARIABLES, Adjust, Exec, Log, Notify, Signal, Step, Target
from fallfromgrace.units import Dimension
from tests import strategies
from tests.fuzz.checks import check_file, check_text
from tests.fuzz.texts import configurations, texts
from tests.strategies import marked

cases = pytest.mark.parametrize
RMEM, VMEM, UMEM, CPU = Metric("rmem"), Metric("vmem"), Metric("umem"), Metric("cpu")
GIB = 1 << 30


def size(number):
    return Quantity(number, Dimension.SIZE)


def sum_of(left, operator, right):
    return Calculation(left, operator, right, Dimension.SIZE)


A, B, C, D = (Comparison(RMEM, ">", size(n)) for n in (1, 2, 3, 4))
# The same as texts.
LETTERS = {"A": "rmem > 1", "B": "rmem > 2", "C": "rmem > 3", "D": "rmem > 4"}

# --- triggers ---------------------------------------------------------------------------------------------------

COMPARISONS = [
    ("rmem > 1g", Comparison(RMEM, ">", size(GIB))),
    ("1g < rmem", Comparison(size(GIB), "<", RMEM)),
    ("vmem > 900m", Comparison(VMEM, ">", size(900 << 20))),
    ("rmem > 2097152", Comparison(RMEM, ">", size(2 << 20))),
    ("rmem<=2.2k", Comparison(RMEM, "<=", size(2253))),
    ("123 >= rmem", Comparison(size(123), ">=", RMEM)),
    ("rmem < 5", Comparison(RMEM, "<", size(5))),
    ("rmem == 5", Comparison(RMEM, "==", size(5))),
    ("rmem != 5", Comparison(RMEM, "!=", size(5))),
    ("rmem > vmem", Comparison(RMEM, ">", VMEM)),
    ("  RMEM>5 ", Comparison(RMEM, ">", size(5))),
    ("rmem >\n 5", Comparison(RMEM, ">", size(5))),
    ("Tree.Rmem > 1G", Comparison(Metric("rmem", Scope.TREE), ">", size(GIB))),
    ("group.rmem > 25%", Comparison(Metric("rmem", Scope.GROUP), ">", Share(25, Whole.MEMORY))),
    ("system.available < 1g", Comparison(Metric("available", Scope.SYSTEM), "<", size(GIB))),
    ("cpu > 90%", Comparison(CPU, ">", Quantity(90, Dimension.PERCENT))),
    ("age > 1h30m", Comparison(Metric("age"), ">", Quantity(5400, Dimension.DURATION))),
    ("read > 10M/S", Comparison(Metric("read"), ">", Quantity(10 << 20, Dimension.RATE))),
    ("count > 3", Comparison(Metric("count"), ">", Quantity(3, Dimension.COUNT))),
    ("growth(rmem, 10m) > 100m", Comparison(Growth(RMEM, 600), ">", size(100 << 20))),
    ("GROWTH ( tree.rmem ,1H )>1", Comparison(Growth(Metric("rmem", Scope.TREE), 3600), ">", size(1))),
    ("((rmem) > (5))", Comparison(RMEM, ">", size(5))),
    ("1g < rmem < 2g", And((Comparison(size(GIB), "<", RMEM), Comparison(RMEM, "<", size(2 * GIB))))),
    ("2g >= rmem > 1g", And((Comparison(size(2 * GIB), ">=", RMEM), Comparison(RMEM, ">", size(GIB))))),
]
CALCULATIONS = [  # of the left side of `> 1g`
    ("rmem + vmem - umem", sum_of(sum_of(RMEM, "+", VMEM), "-", UMEM)),
    ("rmem - (vmem - umem)", sum_of(RMEM, "-", sum_of(VMEM, "-", UMEM))),
    ("rmem + 2 * vmem", sum_of(RMEM, "+", sum_of(Quantity(2, Dimension.RATIO), "*", VMEM))),
    ("(rmem + vmem) * 2", sum_of(sum_of(RMEM, "+", VMEM), "*", Quantity(2, Dimension.RATIO))),
    ("rmem / 2 * 4", sum_of(sum_of(RMEM, "/", Quantity(2, Dimension.RATIO)), "*", Quantity(4, Dimension.RATIO))),
    ("rmem / (2 * 4)", sum_of(RMEM, "/", Quantity(8, Dimension.RATIO))),
    ("rmem*-2", sum_of(RMEM, "*", Quantity(-2, Dimension.RATIO))),
    ("rmem--2", sum_of(RMEM, "-", size(-2))),
    ("-2+rmem", sum_of(size(-2), "+", RMEM)),
]
CONDITIONS = [
    ("A", A),
    ("((A))", A),
    ("not A", Not(A)),
    ("not not A", Not(Not(A))),
    ("not(A)", Not(A)),
    ("A and B", And((A, B))),
    ("A and B and C", And((A, B, C))),
    ("(A and B) and C", And((A, B, C))),
    ("A and (B and C)", And((A, B, C))),
    ("A or B or C", Or((A, B, C))),
    ("A or (B or C)", Or((A, B, C))),
    ("A or B AND C", Or((A, And((B, C))))),
    ("A and B Or C and D", Or((And((A, B)), And((C, D))))),
    ("(A or B) and C", And((Or((A, B)), C))),
    ("NOT A and B", And((Not(A), B))),
    ("not (A and B)", Not(And((A, B)))),
    ("not (A or B) or C", Or((Not(Or((A, B))), C))),
    ("A and not B or not C", Or((And((A, Not(B))), Not(C)))),
    ("not 1 < rmem < 2", Not(And((Comparison(size(1), "<", RMEM), Comparison(RMEM, "<", size(2)))))),
    ("1 < rmem < 2 and A", And((Comparison(size(1), "<", RMEM), Comparison(RMEM, "<", size(2)), A))),
]
LASTING = [
    ("A", Trigger(Lasting(A))),
    ("A for 5m", Trigger(Lasting(A, 300))),
    ("A or B for 1h30m", Trigger(Lasting(Or((A, B)), 5400))),
    ("not A FOR 0.5s", Trigger(Lasting(Not(A), 0.5))),
    ("A until B", Trigger(Lasting(A), Lasting(B))),
    ("A for 5m until B", Trigger(Lasting(A, 300), Lasting(B))),
    ("A until B for 10s", Trigger(Lasting(A), Lasting(B, 10))),
    ("A or B for 5m until C and D for 10s", Trigger(Lasting(Or((A, B)), 300), Lasting(And((C, D)), 10))),
    ("(A) UNTIL (B)", Trigger(Lasting(A), Lasting(B))),
]


def spelt(text):
    return re.sub(r"\b[ABCD]\b", lambda letter: LETTERS[letter[0]], text)


@cases(("text", "condition"), COMPARISONS)
def test_comparisons_are_read_as_trees(text, condition):
    assert parse_trigger(text) == Trigger(Lasting(condition))


@cases(("text", "left"), CALCULATIONS)
def test_calculations_are_read_as_trees(text, left):
    assert parse_trigger(f"{text} > 1g").condition == Comparison(left, ">", size(GIB))


@cases(("text", "condition"), CONDITIONS)
def test_conditions_are_read_as_trees(text, condition):
    assert parse_trigger(spelt(text)).condition == condition


@cases(("text", "trigger"), LASTING)
def test_how_long_and_until_when_is_of_the_whole_condition(text, trigger):
    assert parse_trigger(spelt(text)) == trigger


WRITTEN = "a trigger is written like rmem > 500m"
JOINED = "'and' and 'or' stand between whole comparisons: rmem > 1g and cpu > 90%"
FOR = "'for' is for the whole condition and stands at its end: (rmem > 1g or cpu > 90%) for 5m"
UNTIL = "a trigger has one 'until' at most, behind a condition: rmem > 1g until rmem < 500m"
GROWTH = "growth is written like growth(rmem, 10m) > 100m"
LASTS = "write how long it has to last: rmem > 1g for 5m"
BAD_TRIGGERS = [  # what is wrong is between « and »
    ("«»", f"it ends too early; {WRITTEN}"),
    ("  «»", f"it ends too early; {WRITTEN}"),
    ("rmem«»", f"it ends too early; {WRITTEN}"),
    ("rmem >«»", f"it ends too early; {WRITTEN}"),
    ("not«»", f"it ends too early; {WRITTEN}"),
    ("rmem > 1g -«»", f"it ends too early; {WRITTEN}"),
    ("«>» 5", f"'>' does not belong here; {WRITTEN}"),
    ("rmem > «>» 5", f"'>' does not belong here; {WRITTEN}"),
    ("rmem > 1g «5»", f"'5' does not belong here; {WRITTEN}"),
    ("rmem > 1g «5m»", f"'5m' does not belong here; {WRITTEN}"),
    ("rmem > 1g «vmem»", f"'vmem' does not belong here; {WRITTEN}"),
    ("rmem «vmem» > 1g", f"'vmem' does not belong here; {WRITTEN}"),
    ("rmem > 1g «not» vmem > 1g", f"'not' does not belong here; {WRITTEN}"),
    ("rmem > -«-»5m", f"'-' does not belong here; {WRITTEN}"),
    ("-«rmem» > 5m", f"'rmem' does not belong here; {WRITTEN}"),
    ("rmem > «+»5m", f"'+' does not belong here; {WRITTEN}"),
    ("rmem *«*» 2 > 5m", f"'*' does not belong here; {WRITTEN}"),
    ("rmem > 5 «,» 3", f"',' does not belong here; {WRITTEN}"),
    ("rmem «@» 5m", f"'@' does not belong here; {WRITTEN}"),
    # between comparisons
    ("rmem > 1g and«»", f"it ends too early; {JOINED}"),
    ("rmem > 1g or 2g«»", f"it ends too early; {JOINED}"),
    ("rmem > 1g and «<» 2g", f"'<' does not belong here; {JOINED}"),
    ("«and» rmem > 1g", f"'and' does not belong here; {JOINED}"),
    ("rmem > 1g or «or» vmem > 1g", f"'or' does not belong here; {JOINED}"),
    ("rmem «and» vmem > 1g", f"'and' does not belong here; {JOINED}"),
    ("1g < rmem «>» 2g", "'<' and '>' do not go together; write 1g < rmem < 2g, or two comparisons with and"),
    ("rmem == vmem «==» umem", "'==' and '==' do not go together; write 1g < rmem < 2g, or two comparisons with and"),
    ("1g < rmem «!=» 2g", "'<' and '!=' do not go together; write 1g < rmem < 2g, or two comparisons with and"),
    ("1g < rmem < vmem «<» 2g", f"'<' does not belong here; {WRITTEN}"),
    ("(rmem > 5) «==» (vmem > 5)", f"'==' does not belong here; {WRITTEN}"),
    # parentheses
    ("rmem > 5«)»", "')' does not belong here; there is no '(' that it closes"),
    ("(rmem > 5)«)» and vmem > 5", "')' does not belong here; there is no '(' that it closes"),
    ("(rmem > 5«»", "it ends too early; a ')' is missing"),
    ("(rmem > 5 or (vmem > 5%)«»", "it ends too early; a ')' is missing"),
    ("((rmem + vmem) * 2 > 5 «»", "it ends too early; a ')' is missing"),
    ("(rmem >«»", f"it ends too early; {WRITTEN}"),
    ("(not«»", f"it ends too early; {WRITTEN}"),
    ("(«)»", f"')' does not belong here; {WRITTEN}"),
    ("rmem > («)»", f"')' does not belong here; {WRITTEN}"),
    # for and until
    ("rmem > 1g for«»", f"it ends too early; {LASTS}"),
    ("rmem > 1g for «rmem»", f"'rmem' does not belong here; {LASTS}"),
    ("rmem > 1g for «-»5m", f"'-' does not belong here; {LASTS}"),
    ("rmem > 1g for «5»", "'5' is not a time; write a number with s, m, h or d, such as 10m"),
    ("rmem > 1g for «5%»", "'5%' is not a time; write a number with s, m, h or d, such as 10m"),
    ("rmem > 1g for «10m/s»", "'10m/s' is not a time; write a number with s, m, h or d, such as 10m"),
    ("rmem > 1g for «0s»", "'0s' is no time at all; write at least 1s"),
    ("«for» 5m rmem > 1g", f"'for' does not belong here; {FOR}"),
    ("rmem > 1g for 5m «for» 6m", f"'for' does not belong here; {FOR}"),
    ("rmem > 1g for 5m «and» vmem > 1g", f"'and' does not belong here; {FOR}"),
    ("(rmem > 1g «for» 5m) and vmem > 1g", f"'for' does not belong here; {FOR}"),
    ("rmem > 1g for 5m until rmem < 1g for 5m «or» vmem > 1g", f"'or' does not belong here; {FOR}"),
    ("rmem > 1g until«»", f"it ends too early; {UNTIL}"),
    ("rmem > 1g until «for» 5m", f"'for' does not belong here; {UNTIL}"),
    ("«until» rmem < 1g", f"'until' does not belong here; {UNTIL}"),
    ("rmem > 1g until rmem < 1g «until» cpu < 5%", f"'until' does not belong here; {UNTIL}"),
    ("(rmem > 1g «until» rmem < 1g)", f"'until' does not belong here; {UNTIL}"),
    # growth
    ("growth(rmem«)» > 100m", f"')' does not belong here; {GROWTH}"),
    ("growth «rmem» 10m > 5", f"'rmem' does not belong here; {GROWTH}"),
    ("growth(rmem «10m») > 5", f"'10m' does not belong here; {GROWTH}"),
    ("growth(«10m», rmem) > 5", f"'10m' does not belong here; {GROWTH}"),
    ("growth(rmem «+» vmem, 10m) > 5", f"'+' does not belong here; {GROWTH}"),
    ("growth(«growth»(rmem, 10m), 10m) > 5", f"'growth' does not belong here; {GROWTH}"),
    ("growth(rmem, «-»10m) > 5", f"'-' does not belong here; {GROWTH}"),
    ("growth(«»", f"it ends too early; {GROWTH}"),
    ("growth «>» 5", f"'>' does not belong here; {GROWTH}"),
    ("growth(rmem, 10m)«»", f"it ends too early; {WRITTEN}"),
    ("growth(rmem, «10») > 5", "'10' is not a time; write a number with s, m, h or d, such as 10m"),
    ("growth(rmem, «10k») > 5", "'10k' is not a time; write a number with s, m, h or d, such as 10m"),
    ("«growth(rmem, 0.5s)» > 5", "growth is over 1s at least; write a longer time"),
    ("growth(rmem, «0s») > 5", "'0s' is no time at all; write at least 1s"),
    # more than anyone needs
    ("«n»ot " + "not " * 20 + "rmem > 5", "this is nested deeper than 20 levels"),
    ("«" + "rmem" + " + vmem" * 21 + "» > 5", "this calculates in more than 20 steps"),
    ("«rmem > 5 " + "and rmem > 5 " * 100 + "»", "a trigger has at most 1000 characters"),
    (
        "«rmem>5" + " or rmem>5" * 85 + "»",
        "a trigger has at most 1000 characters, with the spaces around its operators",
    ),
]

# --- actions ----------------------------------------------------------------------------------------------------

ACTIONS = [
    *((word, Signal(word)) for word in SIGNALS if word != "stop"),
    ("KILL", Signal("kill")),
    ("  term  ", Signal("term")),
    ("kill @ 1h30m", Signal("kill", 5400)),
    ("term @ 1s", Signal("term", 1)),
    ("stop @ 10m", Signal("stop", 600)),
    ("stop@10m", Signal("stop", 600)),
    ("Stop Tree @ 10M", Signal("stop", 600, Target.TREE)),
    ("term tree", Signal("term", None, Target.TREE)),
    ("term group", Signal("term", None, Target.GROUP)),
    ("term largest", Signal("term", None, Target.LARGEST)),
    ("usr1 largest@1m", Signal("usr1", 60, Target.LARGEST)),
    ("nice 10", Adjust("nice", 10)),
    ("nice +5", Adjust("nice", 5)),
    ("nice -20", Adjust("nice", -20)),
    ("nice 19 tree", Adjust("nice", 19, Target.TREE)),
    ("oom 1000 group", Adjust("oom", 1000, Target.GROUP)),
    ("oom -1000", Adjust("oom", -1000)),
    ('exec logger "program is using too much ram"', Exec('logger "program is using too much ram"')),
    ('exec logger "$NAME ($PID)"', Exec('logger "$NAME ($PID)"')),
    ("exec echo $ANYTHING", Exec("echo $ANYTHING")),
    ('exec @ 1h logger "$NAME"', Exec('logger "$NAME"', 3600)),
    ("exec@2m x y", Exec("x y", 120)),
    ("exec @ 10m @ x", Exec("@ x", 600)),
    ("exec killall firefox", Exec("killall firefox")),
    ("exec kill @ 5", Exec("kill @ 5")),
    ("exec ./x", Exec("./x")),
    ("exec 7z a", Exec("7z a")),
    ("exec 10m x", Exec("10m x")),
    ("exec tree x", Exec("tree x")),
    ("exec after-hours.sh", Exec("after-hours.sh")),
    ("EXEC 'X'  y ", Exec("'X'  y")),
    ('exec "x"', Exec('"x"')),
    ("exec if x; then\n  y @ 3\nfi\n", Exec("if x; then\n  y @ 3\nfi")),
    ("exec " + "x" * 30_000, Exec("x" * 30_000)),
    ("notify $NAME uses $VALUE", Notify("$NAME uses $VALUE")),
    ('notify "$NAME uses $VALUE"', Notify("$NAME uses $VALUE")),
    ("notify '$NAME uses $VALUE'", Notify("$NAME uses $VALUE")),
    ("notify @ 1h ${NAME}s", Notify("${NAME}s", 3600)),
    ('notify @1h "@ 5m"', Notify("@ 5m", 3600)),
    ('notify " x "', Notify(" x ")),
    ('notify ""x""', Notify('"x"')),
    ('notify "x', Notify('"x')),
    ("notify isn't", Notify("isn't")),
    ("notify 'it isn't'", Notify("it isn't")),
    ("notify 5$ for $1, and $$", Notify("5$ for $1, and $$")),
    (f"log {' '.join(f'${name}' for name in VARIABLES)}", Log(" ".join(f"${name}" for name in VARIABLES))),
    ("LOG @ 5m Hog", Log("Hog", 300)),
    ("log recovered", Log("recovered")),
]
STEPS = [
    ("after 5m term", Step(Signal("term"), after=300)),
    ("AFTER 30s KILL", Step(Signal("kill"), after=30)),
    ("after 5m stop tree @ 10m", Step(Signal("stop", 600, Target.TREE), after=300)),
    ("after 1h exec @ 5m x", Step(Exec("x", 300), after=3600)),
    ("after 1h nice 5", Step(Adjust("nice", 5), after=3600)),
    ("recovered cont", Step(Signal("cont"), recovered=True)),
    ("recovered notify '$NAME is fine'", Step(Notify("$NAME is fine"), recovered=True)),
    ("Recovered exec @ 1h x", Step(Exec("x", 3600), recovered=True)),
    ("recovered nice 0 tree", Step(Adjust("nice", 0, Target.TREE), recovered=True)),
]


@cases(("text", "action"), ACTIONS)
def test_actions_are_read_as_values(text, action):
    assert parse_action(text) == Step(action)


@cases(("text", "step"), STEPS)
def test_when_an_action_is_due_stands_before_it(text, step):
    assert parse_action(text) == step


NO_TIME = "is not a time; write a number with s, m, h or d, such as 10m"
AN_ACTION = "an action is written like term or stop @ 10m"
TERM = "write term, term tree or term tree @ 10m"
STOP = "write stop @ 10m, or stop tree @ 10m"
NICE = "write nice 10, or nice 10 tree"
NICER = "nice takes a whole number from -20 to 19; a higher one is nicer to others"
EXEC = "exec needs a command: exec logger hello, or exec @ 1h logger hello"
NOTIFY = "notify needs a text: notify $NAME uses $VALUE, or notify @ 1h $NAME uses $VALUE"
LOG = "log needs a text: log $NAME uses $VALUE, or log @ 1h $NAME uses $VALUE"
AFTER = "write how long after, and what is then done: after 30s kill"
ONCE = "an action has either after or recovered before it, and only once"
LIST = "several actions are a list, each in a line of its own: - term"
BAD_ACTIONS = [
    ("«»", f"it ends too early; {AN_ACTION}"),
    (" «»", f"it ends too early; {AN_ACTION}"),
    ("«@» 5m", f"'@' does not belong here; {AN_ACTION}"),
    ("«5m»", f"'5m' does not belong here; {AN_ACTION}"),
    ("«-» term", f"'-' does not belong here; {AN_ACTION}"),
    # signals
    ("kill «-9»", "'-9' does not belong here; write kill, kill tree or kill tree @ 10m"),
    ("term «10m»", f"'10m' does not belong here; {TERM}"),
    ("term @«»", f"it ends too early; {TERM}"),
    ("term @ «tree»", f"'tree' does not belong here; {TERM}"),
    ("term @ 10m «tree»", f"'tree' does not belong here; {TERM}"),
    ("term tree «group»", f"'group' does not belong here; {TERM}"),
    ("term @10m«@»5m", f"'@' does not belong here; {TERM}"),
    ("term «#» x", f"'#' does not belong here; {TERM}"),
    ("term @ «10»", f"'10' {NO_TIME}"),
    ("term @ «0s»", "'0s' is no time at all; write at least 1s"),
    ("term @ «0.5s»", "that is too often; write at least 1s"),
    ("«tree» term", "'tree' does not belong here; it stands behind what is done: term tree"),
    ("«largest»", "'largest' does not belong here; it stands behind what is done: term largest"),
    # several
    ("term «kill»", f"'kill' does not belong here; {LIST}"),
    ("term«,» kill", f"',' does not belong here; {LIST}"),
    ("term«;» rm", f"';' does not belong here; {LIST}"),
    ("after 5m term tree «and» kill", f"'and' does not belong here; {LIST}"),
    # stop
    ("«stop»", "stop needs to know how long the process may run before it is stopped again, such as stop @ 10m"),
    ("«stop» tree", "stop needs to know how long the process may run before it is stopped again, such as stop @ 10m"),
    ("stop «10m»", f"'10m' does not belong here; {STOP}"),
    ("stop tree «10m»", f"'10m' does not belong here; {STOP}"),
    ("stop @ «500k»", f"'500k' {NO_TIME}"),
    ("stop @«»", f"it ends too early; {STOP}"),
    # nice and oom
    ("nice«»", f"it ends too early; {NICE}"),
    ("nice «20»", NICER),
    ("nice «-21»", NICER),
    ("nice «5.5»", NICER),
    ("nice «1_0»", NICER),
    ("nice «10tree»", NICER),
    ("nice «\u0661»", NICER),
    ("nice «99999999999999999999»", NICER),
    ("nice «tree» 10", f"'tree' does not belong here; {NICE}"),
    ("nice 10 «10»", f"'10' does not belong here; {NICE}"),
    ("nice 10 «@» 5m", f"'@' does not belong here; {NICE}"),
    ("oom «1001»", "oom takes a whole number from -1000 to 1000"),
    ("oom «tree»", "'tree' does not belong here; write oom 500, or oom 500 tree"),
    # commands
    ("exec«»", f"it ends too early; {EXEC}"),
    ("exec  «»", f"it ends too early; {EXEC}"),
    ("exec @ 1h«»", f"it ends too early; {EXEC}"),
    ("exec @ «x»", f"'x' {NO_TIME}"),
    ("exec @ «10minutes» x", f"'10minutes' {NO_TIME}"),
    ("exec @ «2mlogger»", f"'2mlogger' {NO_TIME}"),
    ("exec @ «0.001s» x", "that is too often; write at least 1s"),
    ("exec «x»" + "x" * 30_000, "a command has at most 30000 characters; put it into a script"),
    # texts
    ("notify«»", f"it ends too early; {NOTIFY}"),
    ("notify @ 1h«»", f"it ends too early; {NOTIFY}"),
    ("log«»", f"it ends too early; {LOG}"),
    ("recovered log«»", f"it ends too early; {LOG}"),
    ('notify «""»', "there is nothing between the quotes; write what to notify"),
    ("log «' '»", "there is nothing between the quotes; write what to log"),
    ("notify «x»" + "x" * 1000, "a text has at most 1000 characters"),
    ("notify «$name» x", "there is no $name; did you mean '$NAME'?"),
    ("notify x «$NAMES»", "there is no $NAMES; did you mean '$NAME'?"),
    ('log "uses «${VALU}»"', "there is no $VALU; did you mean '$VALUE'?"),
    (
        "after 5m log @ 1h «$FOO»",
        "there is no $FOO; there are $NAME, $RULE, $VALUE, $LIMIT, $ACTION, $PID, $OWNER, $CMDLINE, $RMEM, $VMEM",
    ),
    # when
    ("after«»", f"it ends too early; {AFTER}"),
    ("after 5m«»", f"it ends too early; {AFTER}"),
    ("after «term»", f"'term' does not belong here; {AFTER}"),
    ("after «5» term", f"'5' {NO_TIME}"),
    ("after «5minutes» term", f"'5minutes' {NO_TIME}"),
    ("after «#»5 xyz", f"'#' does not belong here; {AN_ACTION}"),
    ("after «0s» term", "'0s' is no time at all; write at least 1s"),
    ("after 5m «after» 5m term", f"'after' does not belong here; {ONCE}"),
    ("after 5m «recovered» term", f"'recovered' does not belong here; {ONCE}"),
    ("recovered «after» 5m term", f"'after' does not belong here; {ONCE}"),
    ("term «after» 10m", "'after' does not belong here; it stands before what is done: after 30s kill"),
    ("recovered«»", "it ends too early; write what is then done: recovered log $NAME is fine again"),
    ("recovered «5m» term", f"'5m' does not belong here; {AN_ACTION}"),
]


@cases(
    ("parse", "text", "message"),
    [(parse_trigger, *case) for case in BAD_TRIGGERS] + [(parse_action, *case) for case in BAD_ACTIONS],
)
def test_mistakes_are_named_with_their_place(parse, text, message):
    plain, start, end = marked(text)
    with pytest.raises(RuleSyntaxError) as caught:
        parse(plain)
    assert (caught.value.text, caught.value.start, caught.value.end) == (message, start, end)


def test_a_mistake_leaves_nothing_behind_for_the_next_text():
    for text, _ in BAD_TRIGGERS:
        with pytest.raises(RuleSyntaxError):
            parse_trigger(marked(text)[0])
        assert parse_trigger("rmem > 1") == Trigger(Lasting(A))
    for text, _ in BAD_ACTIONS:
        with pytest.raises(RuleSyntaxError):
            parse_action(marked(text)[0])
        assert parse_action("exec @ 1h x") == Step(Exec("x", 3600))


# --- the normal form --------------------------------------------------------------------------------------------


@cases(
    ("text", "normal"),
    [
        ("RMEM>1024k", "rmem > 1m"),
        ("1g<rmem<2048M", "1g < rmem and rmem < 2g"),
        ("(not((rmem>1)))", "not rmem > 1"),
        ("(rmem>1 and vmem>1) or (cpu>5%)for 60s", "rmem > 1 and vmem > 1 or cpu > 5% for 1m"),
        ("(rmem>1 or vmem>1)and cpu>5.0%", "(rmem > 1 or vmem > 1) and cpu > 5%"),
        ("not(rmem>1 and vmem>1)until not(rmem>1)for 3600s", "not (rmem > 1 and vmem > 1) until not rmem > 1 for 1h"),
        ("growth(Tree.RMEM,90s)>0", "growth(tree.rmem, 90s) > 0"),
        ("(rmem+vmem)-umem>1g", "rmem + vmem - umem > 1g"),
        ("(rmem*2)*2>1g", "rmem * 2 * 2 > 1g"),
        ("(rmem-(vmem-umem))*2>1g", "(rmem - (vmem - umem)) * 2 > 1g"),
        ("((rmem*2)/(vmem*2))>50%", "rmem * 2 / (vmem * 2) > 0.5"),
        ("rmem/2.2k>1", "rmem / 2253b > 1"),  # and not the 2253rd part of it
        ("0s/age<1", "0s / age < 1"),
        ("rmem>2*500m+1b", "rmem > 1048576001"),
        ("rmem>-0.0%", "rmem > 0%"),
        ("threads>999999999999.0", "threads > 999999999999"),
        ("rmem / vmem > 0.000000001%", "rmem / vmem > 0.00000000001"),
    ],
)
def test_the_normal_form_of_a_trigger(text, normal):
    assert str(parse_trigger(text)) == normal
    assert parse_trigger(normal) == parse_trigger(text)


@cases(
    ("text", "normal"),
    [
        ("STOP  Tree@600s", "stop tree @ 10m"),
        ("after 60s  kill", "after 1m kill"),
        ("recovered  nice +5 tree", "recovered nice 5 tree"),
        ("exec@90s  x  y ", "exec @ 90s x  y"),
        ('notify "x"', "notify x"),
        ("notify 'x '", 'notify "x "'),
        ('log "@ 5m"', 'log "@ 5m"'),
        ('log ""x""', 'log ""x""'),
        ('log "\xa0x"', 'log "\xa0x"'),  # which would be taken for a space
    ],
)
def test_the_normal_form_of_an_action(text, normal):
    assert str(parse_action(text)) == normal
    assert parse_action(normal) == parse_action(text)


@strategies.patiently
@given(strategies.trigger_texts())
def test_the_normal_form_of_a_trigger_is_the_same_trigger_and_stays_as_it_is(text):
    trigger = parse_trigger(text)
    again = parse_trigger(str(trigger))
    assert again == trigger
    assert str(again) == str(trigger)


@strategies.patiently
@given(strategies.action_texts())
def test_the_normal_form_of_an_action_is_the_same_action_and_stays_as_it_is(text):
    step = parse_action(text)
    again = parse_action(str(step))
    assert again == step
    assert str(again) == str(step)


@settings(strategies.patiently, max_examples=60)
@given(strategies.triggers)
def test_the_text_of_a_trigger_reads_back_as_the_trigger(trigger):
    assert parse_trigger(str(trigger)) == trigger


@strategies.patiently
@given(strategies.steps)
def test_the_text_of_an_action_reads_back_as_the_action(step):
    assert parse_action(str(step)) == step


# --- whatever the text ------------------------------------------------------------------------------------------


@settings(strategies.patiently, max_examples=50)
@given(st.text(max_size=40), st.randoms(use_true_random=False))
@example("not " * 247 + "rmem > 1", random.Random(0))
@example("not " * 20 + "rmem > 1", random.Random(0))
@example("(not " * 20 + "rmem > 1" + ")" * 20, random.Random(0))
@example("(rmem > 1 and (rmem > 2 or " * 10 + "rmem > 1" + "))" * 10, random.Random(0))
@example("(" * 990 + "rmem > 1", random.Random(0))
@example("(" * 490 + "rmem" + ")" * 490 + " > 1", random.Random(0))
@example("1g<" * 300 + "rmem", random.Random(0))
@example("-" * LONGEST_TRIGGER, random.Random(0))
@example("rmem>1" + " or rmem>1" * 99, random.Random(0))
@example("exec " + "9" * 100_000, random.Random(0))
@example("after " + "9" * 100_000 + " m", random.Random(0))
@example("term " * 20_000, random.Random(0))
def test_whatever_the_text_the_only_error_is_the_languages_own(text, dice):
    check_text(text, False, dice)


def test_the_same_for_thousands_of_words_and_accidents():
    dice = random.Random(20260801)
    read = [check_text(text, valid, dice) for text, valid in texts(dice, 4000)]
    assert 500 < sum(map(bool, read)) < 3500  # enough of both


def test_the_same_for_whole_files():
    for data in configurations(random.Random(20260801), 60):
        check_file(data)


# --- the grammar itself -----------------------------------------------------------------------------------------


@cases("start", ["trigger", "step"])
def test_the_grammar_has_no_conflicts(start):
    class Heard:
        def __init__(self):
            self.lines = []

        def warning(self, text, *values):
            self.lines.append(text % values)

        info = debug = error = critical = warning

    heard = Heard()
    yacc.yacc(
        module=grammar, start=start, tabmodule="fallfromgrace._none", write_tables=False, debug=False, errorlog=heard
    )
    assert heard.lines  # the words of the other start symbol are not used
    assert not [line for line in heard.lines if "conflict" in line]
