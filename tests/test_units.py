import pytest
from hypothesis import given
from hypothesis import strategies as st

from fallfromgrace.units import (
    Dimension,
    exact,
    exact_with_unit,
    format_duration,
    format_number,
    format_size,
    human,
    human_size,
    parse_duration,
    parse_number,
    parse_percentage,
    parse_rate,
    parse_size,
)

cases = pytest.mark.parametrize


@cases(
    ("text", "size"),
    [
        ("0", 0),
        ("2097152", 2 << 20),
        ("7b", 7),
        ("2.2k", 2253),
        ("0.5k", 512),
        ("0.0004k", 0),
        ("0.0005k", 1),  # 0.512 bytes: rounded half up
        ("0.5b", 1),
        ("1.5", 2),
        ("2.5", 3),  # up, and not to the even one
        ("900m", 900 << 20),
        ("900M", 900 << 20),
        ("900MB", 900 << 20),
        ("900MiB", 900 << 20),
        ("900mb", 900 << 20),
        ("1g", 1 << 30),
        ("1.5t", 3 << 39),
        ("4194304t", 1 << 62),
    ],
)
def test_sizes_are_powers_of_1024_rounded_half_up(text, size):
    assert parse_size(text) == size


NO_SIZES = "k 1q -1 +1 1.k .5k 10s 1e9 1kk 1ki 1ib 1kbb \u0661k 1_0 1,5k 1k5 0x1 5\u212a 5\u212aB 25% 1m/s"


@cases("text", ["", "1 k", " 1k", "1k\n", *NO_SIZES.split()])
def test_what_is_no_size_is_refused_with_an_example(text):
    with pytest.raises(ValueError, match=r"is not a size; write a number with k, m, g or t, such as 500m"):
        parse_size(text)


@cases("text", ["9999999999t", "4194305t", "4611686018427387905"])
def test_a_size_beyond_any_memory_is_refused(text):
    with pytest.raises(ValueError, match=f"'{text}' is larger than any memory"):
        parse_size(text)


@cases(
    ("text", "seconds"),
    [
        ("10s", 10),
        ("10m", 600),
        ("1h30m", 5400),
        ("1h30m15s", 5415),
        ("30m1h", 5400),
        ("1H", 3600),
        ("2d", 172800),
        ("0.5s", 0.5),
        ("1.5h", 5400),
        ("0h1s", 1),
        ("0.1s0.2s", 0.3),  # not 0.30000000000000004
        ("36600d", 36600 * 86400),
    ],
)
def test_durations(text, seconds):
    assert parse_duration(text) == seconds


NO_TIMES = "10 m 10x 10minutes 10min 1hour -1s 500k \u0661s 5\u017f 1h30 1.s .5s 1e3s 0 10m/s"


@cases("text", ["", "1h 30m", " 1s", "1s\n", *NO_TIMES.split()])
def test_what_is_no_duration_is_refused_with_an_example(text):
    with pytest.raises(ValueError, match=r"is not a time; write a number with s, m, h or d, such as 10m"):
        parse_duration(text)


@cases(
    ("text", "why"),
    [
        ("0s", "'0s' is no time at all; write at least 1s"),
        ("0h0.0m", "'0h0.0m' is no time at all; write at least 1s"),
        ("99999999d", "'99999999d' is longer than any machine runs"),
        ("36600d1s", "'36600d1s' is longer than any machine runs"),
    ],
)
def test_durations_of_no_use_are_refused(text, why):
    with pytest.raises(ValueError, match=f"^{why}$"):
        parse_duration(text)


@cases(
    ("text", "rate"),
    [
        ("10m/s", 10 << 20),
        ("10MB/s", 10 << 20),
        ("10M/S", 10 << 20),
        ("2.2k/s", 2253),
        ("5/s", 5),
        ("5b/s", 5),
        ("0/s", 0),
    ],
)
def test_rates_are_sizes_a_second(text, rate):
    assert parse_rate(text) == rate


@cases("text", ["10m", "10", "", "/s/", "10m/m", "10m/sec", "10m /s ", "10%"])
def test_what_is_no_rate_is_refused_with_an_example(text):
    with pytest.raises(ValueError, match=f"^'{text}' is not a rate; write a size a second, such as 10m/s$"):
        parse_rate(text)


@cases(("text", "size"), [("/s", ""), ("5s/s", "5s"), ("10m/s/s", "10m/s"), ("1 m/s", "1 m")])
def test_a_rate_of_what_is_no_size_is_told_as_such(text, size):
    with pytest.raises(ValueError, match=f"^'{size}' is not a size"):
        parse_rate(text)


def test_forty_characters_are_not_too_many():
    long = f"1.{'0' * 37}"
    assert parse_size(f"{long}k") == 1024
    assert parse_duration(f"{long}s") == 1
    assert parse_percentage(f"{long}0%") == 1
    for read, text in ((parse_size, f"{long}0k"), (parse_duration, f"{long}0s"), (parse_percentage, f"{long}00%")):
        with pytest.raises(ValueError, match="too long"):
            read(text)
    assert parse_number(f"{long}000") == 1  # the ratio of the longest percentage
    with pytest.raises(ValueError, match="too long"):
        parse_number(f"{long}0000")


@cases(("text", "number"), [("4", 4), ("2.5", 2.5), ("0", 0), ("0.0", 0), ("007", 7)])
def test_numbers_and_percentages(text, number):
    assert parse_number(text) == number
    assert parse_percentage(f"{text}%") == number


@cases("text", ["", "x", "-1", "+1", "1e3", ".5", "5.", "1_0", "٥", "５", "²", "0x1", "1 ", "inf", "nan", "1k"])
def test_what_is_no_number_is_refused_with_an_example(text):
    with pytest.raises(ValueError, match=r"is not a number; write one such as 4 or 2\.5"):
        parse_number(text)
    with pytest.raises(ValueError, match="is not a percentage; write one such as 25%"):
        parse_percentage(f"{text}%")


@cases("text", ["25", "%", "25%%", "25 %", "%25"])
def test_what_is_no_percentage_is_refused_with_an_example(text):
    with pytest.raises(ValueError, match=f"^'{text}' is not a percentage; write one such as 25%$"):
        parse_percentage(text)


@cases(
    "read",
    [parse_size, parse_number, lambda text: parse_percentage(f"{text}%"), lambda text: parse_duration(f"{text}s")],
)
@cases("text", ["9" * 50, "9" * 5000, f"0.{'0' * 50}1"])
def test_numbers_of_no_end_are_refused(read, text):
    with pytest.raises(ValueError, match=r"^this number is too long; 40 digits are enough for anything$"):
        read(text)


@cases(
    ("text", "why"),
    [
        ("1000000000001", "is a larger number than anything has"),
        ("1000000000000.1", "is a larger number than anything has"),
        ("0.000000000009", "is next to nothing; write 0"),
    ],
)
def test_numbers_of_no_use_are_refused(text, why):
    with pytest.raises(ValueError, match=f"^'{text}' {why}$"):
        parse_number(text)
    with pytest.raises(ValueError, match=f"^'{text}%?' {why}$"):
        parse_percentage(f"{text}%")


def test_the_largest_and_the_least_are_of_use():
    assert parse_number("1000000000000") == parse_percentage("1000000000000%") == 10**12
    assert (parse_number("0.00000000001"), parse_percentage("0.000000001%")) == (1e-11, 1e-9)
    with pytest.raises(ValueError, match=r"^'0\.0000000009%' is next to nothing; write 0$"):
        parse_percentage("0.0000000009%")


# --- and back to text -------------------------------------------------------------------------------------------


@given(st.integers(0, 1 << 62))
def test_a_formatted_size_reads_back_exactly(size):
    assert parse_size(format_size(size)) == size


@given(st.one_of(st.integers(1, 10**9), st.floats(1e-6, 1e9)))
def test_a_formatted_duration_reads_back_exactly(seconds):
    assert parse_duration(format_duration(float(seconds))) == float(seconds)


@given(st.one_of(st.integers(0, 10**12), st.floats(1e-11, 1e12)))
def test_a_formatted_number_reads_back_exactly(number):
    assert parse_number(format_number(number)) == number


@cases(
    ("number", "text"),
    [
        (4, "4"),
        (4.0, "4"),
        (2.5, "2.5"),
        (-2.5, "-2.5"),
        (0.0, "0"),
        (-0.0, "0"),
        (1e-7, "0.0000001"),
        (-1.5e-7, "-0.00000015"),
        (1e16, "1" + "0" * 16),
    ],
)
def test_a_number_has_the_shortest_text_without_an_exponent(number, text):
    assert format_number(number) == text


@cases(
    ("dimension", "number", "text", "with_unit"),
    [
        (Dimension.SIZE, 1 << 30, "1g", "1g"),
        (Dimension.SIZE, 3 << 29, "1536m", "1536m"),
        (Dimension.SIZE, 1 << 40, "1t", "1t"),
        (Dimension.SIZE, 2253, "2253", "2253b"),
        (Dimension.SIZE, 0, "0", "0b"),
        (Dimension.SIZE, -2253, "-2253", "-2253b"),
        (Dimension.SIZE, -2048, "-2k", "-2k"),
        (Dimension.DURATION, 600.0, "10m", "10m"),
        (Dimension.DURATION, 5400.0, "90m", "90m"),
        (Dimension.DURATION, 172800.0, "2d", "2d"),
        (Dimension.DURATION, 61.5, "61.5s", "61.5s"),
        (Dimension.DURATION, 0, "0", "0s"),
        (Dimension.DURATION, -60, "-1m", "-1m"),
        (Dimension.RATE, 10 << 20, "10m/s", "10m/s"),
        (Dimension.RATE, 0, "0", "0/s"),
        (Dimension.COUNT, 4, "4", "4"),
        (Dimension.COUNT, 2.5, "2.5", "2.5"),
        (Dimension.PERCENT, 90, "90%", "90%"),
        (Dimension.PERCENT, 0.5, "0.5%", "0.5%"),
        (Dimension.RATIO, 0.5, "0.5", "0.5"),
        (Dimension.LOAD, 4.0, "4", "4"),
    ],
)
def test_the_exact_text_of_a_quantity(dimension, number, text, with_unit):
    assert exact(number, dimension) == text
    assert exact_with_unit(number, dimension) == with_unit


@cases(
    ("size", "text"),
    [(0, "0"), (2253, "2.2k"), (912 << 20, "912m"), (1288490189, "1.2g"), (1023, "1023"), (3 << 40, "3t")],
)
def test_sizes_for_people_are_rounded_to_a_tenth(size, text):
    assert human_size(size) == text


@cases(
    ("number", "dimension", "text"),
    [
        (912 << 20, Dimension.SIZE, "912m"),
        (-(3 << 29), Dimension.SIZE, "-1.5g"),
        (0.25, Dimension.DURATION, "0.2s"),
        (9.96, Dimension.DURATION, "10s"),
        (59.6, Dimension.DURATION, "1m"),
        (150, Dimension.DURATION, "2m30s"),
        (5400, Dimension.DURATION, "1h30m"),
        (93784, Dimension.DURATION, "1d2h"),
        (86400 + 59, Dimension.DURATION, "1d"),
        (-90, Dimension.DURATION, "-1m30s"),
        (10 << 20, Dimension.RATE, "10m/s"),
        (0, Dimension.RATE, "0/s"),
        (4, Dimension.COUNT, "4"),
        (2.5, Dimension.COUNT, "2.5"),
        (93.4, Dimension.PERCENT, "93%"),
        (9.34, Dimension.PERCENT, "9.3%"),
        (0.934, Dimension.RATIO, "93%"),
        (2, Dimension.RATIO, "200%"),
        (4, Dimension.LOAD, "4.00"),
    ],
)
def test_what_people_read(number, dimension, text):
    assert human(number, dimension) == text
