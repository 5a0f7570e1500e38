import pytest
from hypothesis import given
from hypothesis import strategies as st

from fallfromgrace.units import format_duration, format_size, human_size, parse_duration, parse_size


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("0", 0),
        ("2097152", 2 << 20),
        ("7b", 7),
        ("2.2k", 2253),
        ("0.5k", 512),
        ("0.0004k", 0),
        ("0.0005k", 1),  # 0.512 bytes: rounded half up
        ("900m", 900 << 20),
        ("900M", 900 << 20),
        ("900MB", 900 << 20),
        ("900MiB", 900 << 20),
        ("1g", 1 << 30),
        ("1.5t", 3 << 39),
    ],
)
def test_sizes_are_powers_of_1024_rounded_half_up(text, size):
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "k", "1q", "-1", "1 k", "1.k", ".5k", "10s", "1e9", "1kk", "١k", "1_0"])
def test_what_is_no_size_is_refused_with_an_example(text):
    with pytest.raises(ValueError, match=r"is not a size; write a number with k, m, g or t, such as 500m"):
        parse_size(text)


@pytest.mark.parametrize("text", ["9999999999t", "9" * 5000])
def test_a_size_beyond_any_memory_is_refused(text):
    with pytest.raises(ValueError, match="larger than any memory"):
        parse_size(text)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("10s", 10), ("10m", 600), ("1h30m", 5400), ("1H", 3600), ("2d", 172800), ("0.5s", 0.5), ("1.5h", 5400)],
)
def test_durations(text, seconds):
    assert parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["", "10", "m", "10x", "10minutes", "-1s", "1h 30m", "500k", "١s"])
def test_what_is_no_duration_is_refused_with_an_example(text):
    with pytest.raises(ValueError, match=r"is not a time; write a number with s, m, h or d, such as 10m"):
        parse_duration(text)


@pytest.mark.parametrize(
    ("text", "why"), [("0s", "no time at all"), ("99999999d", "longer"), ("9" * 50 + "s", "longer")]
)
def test_durations_of_no_use_are_refused(text, why):
    with pytest.raises(ValueError, match=why):
        parse_duration(text)


@given(st.integers(0, 1 << 62))
def test_a_formatted_size_reads_back_exactly(size):
    assert parse_size(format_size(size)) == size


@given(st.one_of(st.integers(1, 10**9), st.floats(1e-6, 1e9)))
def test_a_formatted_duration_reads_back_exactly(seconds):
    assert parse_duration(format_duration(float(seconds))) == float(seconds)


@pytest.mark.parametrize(
    ("size", "text"),
    [(0, "0"), (2253, "2.2k"), (912 << 20, "912m"), (1288490189, "1.2g"), (1023, "1023"), (3 << 40, "3t")],
)
def test_sizes_for_people_are_rounded_to_a_tenth(size, text):
    assert human_size(size) == text
