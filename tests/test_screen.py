import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fallfromgrace.logs import one_line
from fallfromgrace.pen import ASCII, PLAIN, UNICODE, Paper, Ruler, columns_for, names_for
from fallfromgrace.picture import Entry, Gauge, Level, Picture, Row, Section
from fallfromgrace.screen import lines, plain

WIDTHS = (1, 8, 20, 40, 59, 60, 80, 100, 120, 200)
HEIGHTS = (1, 4, 6, 10, 15, 24, 30, 60, None)

FIRING = Gauge("rmem > 900m", 1.01, "912m", "900m", "firing 1/2, kill in 25s", Level.FIRING)
NEAR = Gauge("rmem > 1g for 2m", 0.89, "912m", "1g", "", Level.NEAR)
BLIND = Gauge("cpu > 90%", None, "unknown", "90%", "not known yet")
CALM = Gauge("count > 10", 0.2, "2", "10")


def row(pid, *gauges, command="/usr/lib/firefox/firefox -contentproc", note=""):
    return Row(pid, "alice", "912m", "12%", command, note, gauges)


def section(*rows, name="browser", gauges=(), total=None):
    return Section(name, f"{len(rows)} processes", gauges, rows, len(rows) if total is None else total)


def picture(*sections, coming=(), deeds=(), **other):
    title = "fall-from-grace 1.0: pid 4121, up 3h2m, cpu 0.02%"
    facts = "2 processes watched, 2 monitors, 4 rules, interval 10s, /etc/fall-from-grace.conf"
    return Picture(title, facts, "q quits", sections=sections, coming=coming, deeds=deeds, **other)


SMALL = picture(
    section(row(4242, FIRING, NEAR), row(4243, BLIND, note="below 4242"), gauges=(CALM,)),
    section(name="mail", total=0),
    coming=(Entry("in 25s", "browser 4242", "rmem > 900m: step 2: kill"),),
    deeds=(
        Entry("5s ago", "browser 4242", "term sent at 912m, limit 900m"),
        Entry("1h ago", "mail", "exec failed", well=False),
    ),
)

AT_60 = """\
fall-from-grace 1.0: pid 4121, up 3h2m, cpu 0.02%    q quits
2 processes watched, 2 monitors, 4 rules, interval 10s, /et…

     PID  OWNER        RMEM    CPU  COMMAND
browser: 2 processes
    count > 10    █░░░░░    20%         2
    4242  alice        912m    12%  /usr/lib/firefox/firefo…
    rmem > 900m   ██████   101%      912m  firing 1/2, kill…
    rmem > 1g f…  █████░    89%      912m
    4243  alice        912m    12%  [below 4242] /usr/lib/f…
    cpu > 90%                     unknown  not known yet
mail: 0 processes

Armed timers
    in 25s  browser 4242  rmem > 900m: step 2: kill

Last actions
    5s ago  browser 4242  term sent at 912m, limit 900m
    1h ago  mail          exec failed
"""
AT_100 = """\
fall-from-grace 1.0: pid 4121, up 3h2m, cpu 0.02%                                            q quits
2 processes watched, 2 monitors, 4 rules, interval 10s, /etc/fall-from-grace.conf

     PID  OWNER        RMEM    CPU  COMMAND
browser: 2 processes
    count > 10        ██░░░░░░░░    20%         2 / 10
    4242  alice        912m    12%  /usr/lib/firefox/firefox -contentproc
    rmem > 900m       ██████████   101%      912m / 900m     firing 1/2, kill in 25s
    rmem > 1g for 2m  █████████░    89%      912m / 1g
    4243  alice        912m    12%  [below 4242] /usr/lib/firefox/firefox -contentproc
    cpu > 90%                             unknown / 90%      not known yet
mail: 0 processes

Armed timers
    in 25s  browser 4242  rmem > 900m: step 2: kill

Last actions
    5s ago  browser 4242  term sent at 912m, limit 900m
    1h ago  mail          exec failed
"""


def shown(asked, width=None, height=None, glyphs=UNICODE):
    return "".join(f"{plain(line)}\n" for line in lines(asked, Paper(width, height, PLAIN, glyphs)))


@pytest.mark.parametrize(("width", "expected"), [(60, AT_60), (100, AT_100)])
def test_a_small_scene_is_shown_whole(width, expected):
    assert shown(SMALL, width, 30) == expected


def test_a_wide_screen_has_longer_bars_and_owners():
    wide = shown(SMALL, 200, 30).splitlines()
    assert "█" * 30 + "   101%" in wide[7]
    assert wide[6].endswith("-contentproc")


def test_in_a_pipe_nothing_is_cut_and_all_is_ascii():
    asked = SMALL._replace(hint="", deeds=tuple(Entry(f"{n}s ago", "x" * 30, "y" * 200) for n in range(50)))
    text = shown(asked, glyphs=ASCII)
    assert text.isascii()
    assert "..." not in text
    assert text.count("y" * 200) == 50
    assert "    rmem > 900m       ##########   101%      912m / 900m     firing 1/2, kill in 25s\n" in text


MANY = picture(
    *(
        section(*(row(n * 1000 + m, FIRING, NEAR, BLIND, CALM) for m in range(40)), name=f"m{n}", gauges=(CALM,))
        for n in range(5)
    ),
    coming=tuple(Entry(f"in {n}s", f"m{n}", "fires") for n in range(30)),
    deeds=tuple(Entry(f"{n}s ago", f"m{n}", "term sent") for n in range(30)),
    warnings=("the last reload was refused 3m ago: x.conf:4:23: '10minutes' is not a time",),
)
# Wide, of no width, both, right to left, of rich's markup, and what terminals and libraries disagree about.
ODD = (
    "漢字かな",
    "e\u0301\u0302\u0303" * 9,
    "ｗｉｄｅ",
    "[red]x[/red]",
    "\u05e9\u05dc\u05d5\u05dd",
    "👩\u200d🔬",
    "🇩🇪",
    "\u1100\u1161",
)
HOSTILE = picture(
    *(
        section(
            *(row(n, FIRING._replace(rule=odd * 9, state=odd * 9), command=odd * 99, note=odd) for n in range(9)),
            name=odd * 30,
        )
        for odd in map(one_line, (*ODD, "\x1b[31m\x1b]0;x\x07", "\n\r\t", "\udcff" * 9))
    ),
    coming=tuple(Entry("in 1s", odd * 20, odd * 20) for odd in map(one_line, ODD)),
)


def by_rich():
    cells = pytest.importorskip("rich.cells")
    return Ruler(cells.cell_len, cells.set_cell_size)


@pytest.mark.parametrize(("width", "height"), [*itertools.product(WIDTHS, HEIGHTS)])
@pytest.mark.parametrize("asked", [SMALL, MANY, HOSTILE], ids=["small", "many", "hostile"])
def test_no_line_is_wider_than_the_screen_and_there_are_no_more_than_it_has_room_for(asked, width, height):
    ruler = by_rich()
    drawn = lines(asked, Paper(width, height, ruler, UNICODE))
    assert all(sum(ruler.measure(text) for text, _ in line) <= width for line in drawn)
    assert height is None or len(drawn) <= height
    assert not [character for line in drawn for text, _ in line for character in text if not character.isprintable()]


@given(st.text(max_size=60).map(one_line), st.integers(1, 130), st.sampled_from([UNICODE, ASCII]))
def test_nor_whatever_anybody_writes_into_a_command_line(text, width, glyphs):
    ruler = by_rich()
    asked = picture(section(row(1, FIRING._replace(rule=text, value=text, limit=text), command=text), name=text))
    for line in lines(asked, Paper(width, 30, ruler, glyphs)):
        assert sum(ruler.measure(part) for part, _ in line) <= width


def test_the_columns_of_all_rules_are_at_the_same_places():
    texts = shown(SMALL, 100, 30).splitlines()
    assert {line.index("%  ") for line in texts if "░" in line or "██" in line} == {38}


def test_what_there_is_no_room_for_is_left_out_in_this_order():
    order, gone = ["value", "bar", "state"], []
    wide = columns_for(200, 60)
    for width in range(200, 20, -1):
        columns = columns_for(width, 60)
        assert columns.taken <= max(width, columns_for(1, 60).taken)
        gone += [
            name
            for name in order
            if name not in gone and (not getattr(columns, name) or (name == "value" and columns.value < wide.value))
        ]
    assert gone == order
    assert columns_for(1, 60).rule > 0
    assert [bool(part) for part in names_for(45)] == [True, True, True, False]
    assert [bool(part) for part in names_for(35)] == [True, False, True, False]
    assert [bool(part) for part in names_for(20)] == [True, False, False, False]


@pytest.mark.parametrize("width", [60, 100, 200])
def test_columns_stay_where_they_are_whatever_the_values_are(width):
    other = FIRING._replace(value="<=1023.9m", limit="16.5g", state="pending 59m59s of 1h", share=99.0)
    texts = [shown(picture(section(row(1, each))), width, 20).splitlines()[6] for each in (FIRING, other)]
    assert len({text.index("%") for text in texts}) == 1
    assert len({text.rindex("  ", 0, text.index("ing ")) for text in texts}) == 1


def test_of_timers_and_actions_it_is_said_how_many_more_there_are():
    text = shown(MANY, 100, 40)
    timers, deeds = (next(line for line in text.splitlines() if line.startswith(word)) for word in ("Armed", "Last"))
    assert (timers, deeds) == ("Armed timers, 24 more", "Last actions, 24 more")


def test_what_the_processes_leave_free_is_for_timers_and_actions():
    text = shown(MANY._replace(sections=(section(row(1, FIRING)),)), 100, 90)
    assert "more" not in text


def test_on_a_low_screen_the_processes_come_first():
    text = shown(MANY, 100, 12)
    assert "Armed" not in text
    assert text.count("COMMAND") == 1
    assert "rmem > 900m" in text


def test_there_is_a_heading_for_processes_only_where_there_are_some():
    assert "COMMAND" not in shown(picture(section(total=0)), 100, 30)


@pytest.mark.parametrize(
    ("level", "style"),
    [(Level.CALM, "green"), (Level.NEAR, "yellow"), (Level.PENDING, "yellow"), (Level.FIRING, "red")],
)
def test_what_is_urgent_is_seen_by_its_colour(level, style):
    drawn = lines(picture(section(row(1, CALM._replace(level=level)))), Paper(100, 30, PLAIN, UNICODE))
    bars = [span for line in drawn for span in line if "█" in span[0]]
    assert {each for _, each in bars} == {style}
