import time

import pytest

from fallfromgrace.errors import RuleSyntaxError
from fallfromgrace.expression import (
    METRICS,
    And,
    Calculation,
    Comparison,
    Growth,
    Metric,
    Quantity,
    Scope,
    Share,
    Whole,
)
from fallfromgrace.grammar import parse_trigger
from fallfromgrace.units import Dimension
from tests.strategies import marked

cases = pytest.mark.parametrize
SIZE, DURATION, RATE, COUNT = Dimension.SIZE, Dimension.DURATION, Dimension.RATE, Dimension.COUNT
PERCENT, RATIO, LOAD = Dimension.PERCENT, Dimension.RATIO, Dimension.LOAD
RMEM, VMEM, UMEM, AGE, CPU = (Metric(name) for name in ("rmem", "vmem", "umem", "age", "cpu"))
MIB, GIB = 1 << 20, 1 << 30


def size(number):
    return Quantity(number, SIZE)


def ratio(number):
    return Quantity(number, RATIO)


def left_of(text):
    return parse_trigger(text).condition.left


def right_of(text):
    return parse_trigger(text).condition.right


# --- what a number beside each metric is ------------------------------------------------------------------------

MEMORY = ("rmem", "vmem", "pmem", "umem")
SUMMED = ("", "tree.", "group.")
# Every word for something measured: what it measures, what `5m` and `5%` beside it are; None is an error.
MEASURED = {
    **{f"{scope}{name}": (SIZE, 5 * MIB, Whole.MEMORY) for scope in SUMMED for name in MEMORY},
    **{f"{scope}swap": (SIZE, 5 * MIB, Whole.SWAP) for scope in SUMMED},
    **{f"{scope}cpu": (PERCENT, None, 5) for scope in SUMMED},
    **{f"{scope}cputime": (DURATION, 300, None) for scope in SUMMED},
    **{f"{scope}threads": (COUNT, None, None) for scope in SUMMED},
    **{f"{scope}fds": (COUNT, None, None if scope else Whole.DESCRIPTORS) for scope in SUMMED},
    **{f"{scope}{name}": (RATE, None, None) for scope in SUMMED for name in ("read", "write")},
    "age": (DURATION, 300, None),
    "children": (COUNT, None, None),
    "count": (COUNT, None, None),
    "system.available": (SIZE, 5 * MIB, Whole.MEMORY),
    "system.swapfree": (SIZE, 5 * MIB, Whole.SWAP),
    "system.load": (LOAD, None, None),
    "system.pressure": (PERCENT, None, 5),
}


def test_there_is_nothing_else_to_be_measured():
    assert METRICS.keys() == MEASURED.keys()


@cases(("word", "meaning"), MEASURED.items())
def test_a_number_means_what_it_is_compared_with(word, meaning):
    dimension, minutes_or_mebibytes, part = meaning
    for text, value in ((f"{word} > 5m", minutes_or_mebibytes), (f"{word} > 5%", part)):
        if value is None:
            with pytest.raises(RuleSyntaxError, match=f"^{word} is {dimension.value} and 5[m%] is |^every process has"):
                parse_trigger(text)
        elif isinstance(value, Whole):
            assert right_of(text) == Share(5, value)
        else:
            assert right_of(text) == Quantity(value, dimension)


@cases(
    ("text", "quantity"),
    [
        ("rmem > 5", size(5)),
        ("rmem > 2.2k", size(2253)),
        ("rmem > 0", size(0)),
        ("rmem > -5m", size(-5 * MIB)),
        ("rmem > - 5m", size(-5 * MIB)),
        ("rmem > 25%", Share(25, Whole.MEMORY)),
        ("rmem > 0.5%", Share(0.5, Whole.MEMORY)),
        ("rmem > -25%", Share(-25, Whole.MEMORY)),
        ("age > 1h30m", Quantity(5400, DURATION)),
        ("age > 0", Quantity(0, DURATION)),
        ("age > 0s", Quantity(0, DURATION)),
        ("age > 0.0h", Quantity(0, DURATION)),
        ("read > 10MB/s", Quantity(10 * MIB, RATE)),
        ("read > 10m/S", Quantity(10 * MIB, RATE)),
        ("read > 5/s", Quantity(5, RATE)),
        ("read > 0", Quantity(0, RATE)),
        ("threads > 4", Quantity(4, COUNT)),
        ("threads > 2.5", Quantity(2.5, COUNT)),
        ("cpu > 150%", Quantity(150, PERCENT)),
        ("cpu > 0", Quantity(0, PERCENT)),
        ("system.load > 4", Quantity(4, LOAD)),
        ("growth(system.available, 1m) < -1g", size(-GIB)),
        ("rmem / vmem > 0.5", ratio(0.5)),
        ("rmem / vmem > 50%", ratio(0.5)),
        ("rmem / vmem > 0.7%", ratio(0.007)),
        ("cpu / 50% > 2", ratio(2)),
    ],
)
def test_constants(text, quantity):
    assert right_of(text) == quantity


@cases(
    "text",
    ["growth({}, 10m) > {}", "tree.{} > {}", "2 * {} > {}", "{1} < {0}", "{0} + {0} > {1}", "{0} > {1} and {0} > 0"],
)
def test_a_number_means_the_same_wherever_it_stands(text):
    found = [parse_trigger(text.format(*pair)).condition for pair in (("rmem", "5m"), ("cputime", "5m"))]
    found = [each.parts[0] if isinstance(each, And) else each for each in found]
    sides = [{str(each.left): each.left, str(each.right): each.right}["5m"] for each in found]
    assert sides == [size(5 * MIB), Quantity(300, DURATION)]


# --- calculations -----------------------------------------------------------------------------------------------


@cases(
    ("text", "left"),
    [
        ("rmem + vmem > 1g", Calculation(RMEM, "+", VMEM, SIZE)),
        ("rmem - 500m > 1g", Calculation(RMEM, "-", size(500 * MIB), SIZE)),
        ("rmem - -500m > 1g", Calculation(RMEM, "-", size(-500 * MIB), SIZE)),
        ("500m - rmem > 1g", Calculation(size(500 * MIB), "-", RMEM, SIZE)),
        ("rmem + 25% > 1g", Calculation(RMEM, "+", Share(25, Whole.MEMORY), SIZE)),
        ("cpu + 25% > 1%", Calculation(CPU, "+", Quantity(25, PERCENT), PERCENT)),
        ("2 * rmem > 1g", Calculation(ratio(2), "*", RMEM, SIZE)),
        ("rmem * -2 > 1g", Calculation(RMEM, "*", ratio(-2), SIZE)),
        ("rmem / 2 > 1g", Calculation(RMEM, "/", ratio(2), SIZE)),
        ("rmem / vmem > 1", Calculation(RMEM, "/", VMEM, RATIO)),
        ("rmem / 500m > 1", Calculation(RMEM, "/", size(500 * MIB), RATIO)),
        ("500m / rmem > 1", Calculation(size(500 * MIB), "/", RMEM, RATIO)),
        ("rmem / 2.2k > 1", Calculation(RMEM, "/", size(2253), RATIO)),  # no number: 2253 bytes
        ("rmem / 50% > 1", Calculation(RMEM, "/", Share(50, Whole.MEMORY), RATIO)),
        ("cputime / age > 1", Calculation(Metric("cputime"), "/", AGE, RATIO)),
        ("age / 5m > 1", Calculation(AGE, "/", Quantity(300, DURATION), RATIO)),
        ("write / read > 2", Calculation(Metric("write"), "/", Metric("read"), RATIO)),
        ("cpu / system.pressure > 2", Calculation(CPU, "/", Metric("pressure", Scope.SYSTEM), RATIO)),
        ("rmem * (umem / vmem) > 1g", Calculation(RMEM, "*", Calculation(UMEM, "/", VMEM, RATIO), SIZE)),
        ("umem / vmem * rmem > 1g", Calculation(Calculation(UMEM, "/", VMEM, RATIO), "*", RMEM, SIZE)),
        ("rmem / (umem / vmem) > 1g", Calculation(RMEM, "/", Calculation(UMEM, "/", VMEM, RATIO), SIZE)),
        ("2 * (rmem / vmem) > 1", Calculation(ratio(2), "*", Calculation(RMEM, "/", VMEM, RATIO), RATIO)),
        ("1 / (rmem / vmem) > 1", Calculation(ratio(1), "/", Calculation(RMEM, "/", VMEM, RATIO), RATIO)),
        ("1 - rmem / vmem > 1", Calculation(ratio(1), "-", Calculation(RMEM, "/", VMEM, RATIO), RATIO)),
        ("growth(rmem, 1m) / rmem > 1", Calculation(Growth(RMEM, 60), "/", RMEM, RATIO)),
        ("rmem * (4 - 2) > 1g", Calculation(RMEM, "*", ratio(2), SIZE)),
        ("rmem / (8 / 4) > 1g", Calculation(RMEM, "/", ratio(2), SIZE)),
    ],
)
def test_calculations_have_a_dimension(text, left):
    assert left_of(text) == left


@cases(
    ("text", "right"),
    [
        ("rmem > 2 * 500m", size(1000 * MIB)),
        ("rmem > 500m * 2", size(1000 * MIB)),
        ("rmem > 1g + 500m - 1k", size(GIB + 500 * MIB - 1024)),
        ("rmem > 1g / 3", size(357913941)),
        ("rmem > 1 / 2", size(1)),  # half a byte, rounded up
        ("rmem > 3 * 5", size(15)),
        ("rmem > 1g - 2g", size(-GIB)),
        ("rmem > (1 + 2) * 4k", size(12 << 10)),
        ("rmem > 1g - 1g", size(0)),
        ("age > 2 * 5m", Quantity(600, DURATION)),
        ("age > 5m / 7", Quantity(300 / 7, DURATION)),
        ("age > 0.1s + 0.2s", Quantity(0.3, DURATION)),
        ("read > 2 * 5m/s", Quantity(10 * MIB, RATE)),
        ("read > 10/s / 4", Quantity(3, RATE)),
        ("cpu > 3 * 33.3%", Quantity(99.9, PERCENT)),
        ("threads > 2 * 2 + 1", Quantity(5, COUNT)),
        ("threads > 5 / 2", Quantity(2.5, COUNT)),
        ("rmem / vmem > 1 / 4 + 10%", ratio(0.35)),
        ("rmem > 2 * 25%", Calculation(ratio(2), "*", Share(25, Whole.MEMORY), SIZE)),  # only the machine knows
        ("rmem > 25% - 1g", Calculation(Share(25, Whole.MEMORY), "-", size(GIB), SIZE)),
    ],
)
def test_constants_are_calculated_when_they_are_read(text, right):
    assert right_of(text) == right


def test_of_three_in_a_row_each_neighbours_are_compared():
    low, high = size(GIB), size(2 * GIB)
    assert parse_trigger("1g < rmem < 2g").condition == And((Comparison(low, "<", RMEM), Comparison(RMEM, "<", high)))
    assert parse_trigger("2g >= rmem > 1g").condition == And((Comparison(high, ">=", RMEM), Comparison(RMEM, ">", low)))
    assert parse_trigger("rmem < 1g < vmem").condition == And((Comparison(RMEM, "<", low), Comparison(low, "<", VMEM)))


# --- what does not go together ----------------------------------------------------------------------------------

UNLIKE = [  # what does not belong is between « and »
    ("rmem > «10s»", "rmem is a size and 10s is a time"),
    ("«10s» < rmem", "rmem is a size and 10s is a time"),
    ("rmem > «-10s»", "rmem is a size and 10s is a time"),
    ("rmem > 1g + «10s»", "rmem is a size and 10s is a time"),
    ("rmem + «10s» > 1g", "rmem is a size and 10s is a time"),
    ("rmem > 2 * «10s»", "rmem is a size and 10s is a time"),
    ("rmem / «1s» > 10", "rmem is a size and 1s is a time"),
    ("1g < rmem < «10s»", "rmem is a size and 10s is a time"),
    ("«10s» < rmem < 1g", "rmem is a size and 10s is a time"),
    ("growth(rmem, 10m) > «10s»", "growth(rmem, 10m) is a size and 10s is a time"),
    ("rmem > «10m/s»", "rmem is a size and 10m/s is a rate"),
    ("age > «500k»", "age is a time and 500k is a size"),
    ("age > «10%»", "age is a time and 10% is a percentage; write one such as 10m"),
    ("age > «10m/s»", "age is a time and 10m/s is a rate"),
    ("read > «10m»", "read is a rate and 10m is a size; write 10m/s"),
    ("read > «10k»", "read is a rate and 10k is a size; write 10k/s"),
    ("read > «10s»", "read is a rate and 10s is a time"),
    ("read > «10%»", "read is a rate and 10% is a percentage; write one such as 10m/s"),
    ("cpu > «500m»", "cpu is a percentage and 500m is a size; write one such as 90%"),
    ("cpu > «10s»", "cpu is a percentage and 10s is a time; write one such as 90%"),
    ("cpu > «10m/s»", "cpu is a percentage and 10m/s is a rate; write one such as 90%"),
    ("threads > «100k»", "threads is a count and 100k is a size; write one such as 4"),
    ("threads > «10s»", "threads is a count and 10s is a time; write one such as 4"),
    ("threads > «10%»", "threads is a count and 10% is a percentage; write one such as 4"),
    ("count > «5%»", "count is a count and 5% is a percentage; write one such as 4"),
    ("system.load > «400%»", "system.load is a load and 400% is a percentage; write one such as 4"),
    ("system.load > «4g»", "system.load is a load and 4g is a size; write one such as 4"),
    ("rmem / vmem > «1g»", "rmem / vmem is a ratio and 1g is a size; write one such as 0.5 or 50%"),
    ("rmem / 2m > «1g»", "rmem / 2m is a ratio and 1g is a size; write one such as 0.5 or 50%"),
    ("rmem / vmem > «10s»", "rmem / vmem is a ratio and 10s is a time; write one such as 0.5 or 50%"),
    ("«rmem > age»", "rmem is a size and age is a time; they cannot be compared"),
    ("«cpu > read»", "cpu is a percentage and read is a rate; they cannot be compared"),
    ("not («rmem > threads») for 5m", "rmem is a size and threads is a count; they cannot be compared"),
    ("«rmem > 5m > age»", "rmem is a size and age is a time; they cannot be compared"),
    ("«(rmem + vmem) * 2 > age»", "(rmem + vmem) * 2 is a size and age is a time; they cannot be compared"),
    ("«rmem - (vmem + umem) > age»", "rmem - (vmem + umem) is a size and age is a time; they cannot be compared"),
    ("«rmem + threads» > 1g", "rmem is a size and threads is a count; they cannot be added"),
    ("vmem > «rmem - age»", "rmem is a size and age is a time; they cannot be subtracted"),
    ("«system.load + threads» > 1", "system.load is a load and threads is a count; they cannot be added"),
]
BARE = [
    ("cpu > «90»", "90% or 9000%? write one with its '%'"),
    ("cpu > «0.9»", "0.9% or 90%? write one with its '%'"),
    ("cpu > «1»", "1% or 100%? write one with its '%'"),
    ("2 * cpu > «50»", "50% or 5000%? write one with its '%'"),
    ("system.pressure > «40»", "40% or 4000%? write one with its '%'"),
    ("age > «10»", "age is a time; 10 of what? write 10s, 10m or 10h"),
    ("growth(age, 1m) > «5»", "growth(age, 1m) is a time; 5 of what? write 5s, 5m or 5h"),
    ("read > «10»", "read is a rate; 10 of what? write 10k/s or 10m/s"),
]
UNREADABLE = [
    ("rmem > «5q»", "'5q' is not a size; write a number with k, m, g or t, such as 500m"),
    ("rmem > «1.5.3»", "'1.5.3' is not a size; write a number with k, m, g or t, such as 500m"),
    ("rmem > «1e9»", "'1e9' is not a size; write a number with k, m, g or t, such as 500m"),
    ("rmem > «1g%»", "'1g%' is not a percentage; write one such as 25%"),
    ("rmem > «9999999999t»", "'9999999999t' is larger than any memory"),
    ("rmem > «" + "9" * 41 + "»", "this number is too long; 40 digits are enough for anything"),
    ("cpu > «" + "9" * 400 + "»", "this number is too long; 40 digits are enough for anything"),
    ("age > «5minutes»", "'5minutes' is not a time; write a number with s, m, h or d, such as 10m"),
    ("age > «1h30»", "'1h30' is not a time; write a number with s, m, h or d, such as 10m"),
    ("age > «5\u017f»", "'5\u017f' is not a time; write a number with s, m, h or d, such as 10m"),
    ("age > «0\u017f»", "'0\u017f' is not a time; write a number with s, m, h or d, such as 10m"),
    ("age > «\u0665»", "'\u0665' is not a time; write a number with s, m, h or d, such as 10m"),
    ("age > «99999999999d»", "'99999999999d' is longer than any machine runs"),
    ("read > «10x»", "'10x' is not a rate; write a size a second, such as 10m/s"),
    ("read > «5s/s»", "'5s' is not a size; write a number with k, m, g or t, such as 500m"),
    ("cpu > «1e5%»", "'1e5%' is not a percentage; write one such as 25%"),
    ("cpu > «\u0665»", "'\u0665' is not a percentage; write one such as 25%"),
    ("rmem * «9999999999999» > 1", "'9999999999999' is a larger number than anything has"),
    ("rmem > «0.0000000001%»", "'0.0000000001%' is next to nothing; write 0"),
    ("threads > «5x»", "'5x' is not a number; write one such as 4 or 2.5"),
]
WHOLES = [
    ("swap + rmem > «10%»", "10% of what? memory and swap are both in this comparison; write a size such as 500m"),
    ("rmem > swap - «10%»", "10% of what? memory and swap are both in this comparison; write a size such as 500m"),
    ("tree.fds > «80%»", "every process has a limit of its own; write a number, or fds > 80% with children: yes"),
    ("group.fds > «80%»", "every process has a limit of its own; write a number, or fds > 80% with children: yes"),
    ("fds + tree.fds > «80%»", "every process has a limit of its own; write a number, or fds > 80% with children: yes"),
    ("fds - threads > «80%»", "threads is a count and 80% is a percentage; write one such as 4"),
]
CONSTANTS = [
    ("«1 < 2k»", "this compares two constants; one side has to be measured, such as rmem"),
    ("«5m > 5s»", "this compares two constants; one side has to be measured, such as rmem"),
    ("«1 + 1 > 2»", "this compares two constants; one side has to be measured, such as rmem"),
    ("«1g < 2g» < rmem", "this compares two constants; one side has to be measured, such as rmem"),
    ("rmem > 1g and «1g < 2g»", "this compares two constants; one side has to be measured, such as rmem"),
    ("rmem > «1g / 1s»", "this divides two constants; write the number that it comes to"),
    ("rmem > «1g / 500m»", "this divides two constants; write the number that it comes to"),
]
CALCULATED = [
    ("rmem / «0» > 1", "this divides by zero"),
    ("rmem / «0m» > 1", "this divides by zero"),
    ("rmem / «(1 - 1)» > 1", "this divides by zero"),
    ("«rmem * vmem» > 1g", "rmem is a size and vmem is a size; '*' takes a plain number on one side"),
    ("«cpu * age» > 1", "cpu is a percentage and age is a time; '*' takes a plain number on one side"),
    ("rmem > «500m * 2m»", "'*' takes a plain number on one side, such as 2 * 500m"),
    ("rmem > «50% * vmem»", "'*' takes a plain number on one side; write 0.5 for 50%"),
    ("«cpu * 7%» > 50%", "'*' takes a plain number on one side; write 0.07 for 7%"),
    ("«rmem / vmem * 1g» > umem", "rmem / vmem is a ratio and 1g is a size; '*' takes a plain number on one side"),
    (
        "«rmem / threads» > 1g",
        "rmem is a size and threads is a count; '/' takes a plain number on its right, or divides like by like",
    ),
    (
        "«2 / rmem» > 1",
        "2 is a number and rmem is a size; '/' takes a plain number on its right, or divides like by like",
    ),
    (
        "«5% / (rmem / vmem)» > 2",
        "5% is a percentage and rmem / vmem is a ratio; '/' takes a plain number on its right, or divides like by like",
    ),
    ("rmem > «1t * 999999999999»", "this comes to more than anything has, or to next to nothing"),
    ("rmem * «(1000000 * 1000001)» > 1g", "this comes to more than anything has, or to next to nothing"),
    ("threads > «0.001 * 0.0001»", "this comes to more than anything has, or to next to nothing"),
    ("age > «99999d» * 2", "'99999d' is longer than any machine runs"),
    ("age > «9999d * 9»", "this comes to more than anything has, or to next to nothing"),
]


@cases(("text", "message"), [*UNLIKE, *BARE, *UNREADABLE, *WHOLES, *CONSTANTS, *CALCULATED])
def test_what_does_not_go_together_is_told_in_the_users_words(text, message):
    plain, start, end = marked(text)
    with pytest.raises(RuleSyntaxError) as caught:
        parse_trigger(plain)
    assert (caught.value.text, caught.value.start, caught.value.end) == (message, start, end)


def test_each_further_step_does_not_double_the_time():
    started = time.process_time()
    parse_trigger("0.5 * (" * 19 + "rmem * 1" + ")" * 19 + " > 1g")
    assert time.process_time() - started < 2
