"""What is recorded is read again; from a file that is cut short or damaged, what came before; and nothing else."""

import contextlib
import gzip
import io
import json
import os
import stat
import zlib
from math import inf

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from fallfromgrace import exits, recorded, recorder, recording
from fallfromgrace.frames import Frame
from fallfromgrace.readings import Facet
from fallfromgrace.recorded import Header
from fallfromgrace.recorder import FLUSH_SECONDS, TOO_LARGE, Unwritable, Writer
from fallfromgrace.table import UNREADABLE, Image, Process, ProcessId
from tests.builders import MIB, process
from tests.strategies import patiently

HEADER = Header("1.0", "boot", 5.0, 100.0, 1.0, None, "/etc/x.conf", (Facet.MACHINE, Facet.STAT, Facet.MEMORY))
HOG = process(10, "hog --main")
KID = process(11, "kid \udcff\n\u2028é\U0001f600", ppid=10, exe="/usr/bin/kid (deleted)")
SIZE = {"rmem": MIB, "vmem": 2 * MIB}


def frame(at, *seen, **machine):
    """A frame of (process, sample)."""
    return Frame(at, tuple(who for who, _ in seen), {None: machine, **{who.id: sample for who, sample in seen}})


def written(*frames, limit=1 << 30, header=HEADER):
    stream = io.BytesIO()
    writer = Writer(stream, header, limit)
    for each in frames:
        writer.add(each)
    writer.close()
    return stream.getvalue()


@pytest.fixture
def path(tmp_path):
    return tmp_path / "x.rec"


def read(path, data):
    path.write_bytes(data)
    with recording.opened(path) as found:
        return list(found), found.damage


FRAMES = [
    frame(100.0, (HOG, {**SIZE, "cputime": 1.5, "age": 30.0, "stopped": 0}), available=MIB, load=0.25),
    frame(101.0, (HOG, {"rmem": 2 * MIB, "vmem": 2 * MIB, "age": 31.0, "stopped": 1}), (KID, {**SIZE, "fdlimit": inf})),
    frame(102.0, (HOG._replace(state="T"), {**SIZE, "age": 32.0}), (KID._replace(image=Image("x", 0)), {}), load=1),
    frame(103.0, (process(11, "another", start=50), SIZE)),
    frame(104.0),
]


# --- what is written is read ---


def test_what_was_written_is_read_again(path):
    path.write_bytes(written(*FRAMES))
    with recording.opened(path) as found:
        assert found.header == HEADER
        assert found.size == path.stat().st_size
        assert list(found) == FRAMES
        assert (found.damage, found.done) == ("", found.size)


@st.composite
def movies(draw):
    """Frames in which a few processes come, go and change."""
    images = st.builds(Image, st.text(max_size=5) | st.just(UNREADABLE), st.integers(0, (1 << 32) - 1), st.just("/x"))
    sizes = st.integers(0, 1 << 63) | st.floats(0, 1e12)
    samples = st.dictionaries(st.sampled_from(["rmem", "swap", "cputime", "fds", "read_bytes"]), sizes)
    made, at = [], 100.0
    for _ in range(draw(st.integers(0, 6))):
        at = round(at + draw(st.floats(0.1, 1e4)), 3)
        seen = [
            (
                Process(ProcessId(pid, draw(st.integers(0, 2))), 1, pid, draw(st.sampled_from("RST")), draw(images)),
                found,
            )
            for pid, found in sorted(draw(st.dictionaries(st.integers(1, 4), samples)).items())
        ]
        made.append(frame(at, *seen, **draw(st.dictionaries(st.sampled_from(["load", "memory"]), sizes))))
    return made


@patiently
@given(movies())
def test_whoever_comes_goes_and_changes_is_read_again_as_it_was(tmp_path_factory, frames):
    assert read(tmp_path_factory.mktemp("x") / "x.rec", written(*frames)) == (frames, "")


def test_only_what_has_changed_is_written_and_anybody_can_read_it():
    lines = gzip.decompress(written(*FRAMES)).decode().splitlines()
    assert json.loads(lines[0])["facets"] == ["machine", "stat", "memory"]
    assert [json.loads(line) for line in lines[6:10]] == [
        ["process", 2, [11, 11, 10, 11, "S", KID.image.cmdline, 1000, KID.image.exe]],
        ["sample", 2, {"rmem": MIB, "vmem": 2 * MIB, "fdlimit": "unlimited"}],
        ["sample", 0, {"available": None, "load": None}],
        ["frame", 101.0],
    ]
    assert json.loads(lines[5]) == ["sample", 1, {"rmem": 2 * MIB, "stopped": 1, "cputime": None}]


def test_who_is_idle_takes_no_room_and_has_an_age_nevertheless(path):
    def seen(at):
        late = 0.08 * (at % 2)  # as on a machine that is busy now and then
        return frame(100.0 + at, *((process(pid), {**SIZE, "age": at + pid + late}) for pid in range(1, 301)))

    few, many = (len(written(*(seen(at) for at in range(seconds)))) for seconds in (10, 110))
    assert (many - few) / 100 / 300 < 0.1
    frames, _ = read(path, written(*(seen(at) for at in range(3))))
    assert frames[2].samples[ProcessId(7, 7)]["age"] == 9


def test_an_age_is_off_by_a_tenth_of_a_second_at_most_and_follows_a_sleep_of_the_machine(path):
    ages = [10.0, 11.04, 12.09, 13.2, 3614.0, 3615.0]
    frames, _ = read(path, written(*(frame(100.0 + at, (HOG, {"age": age})) for at, age in enumerate(ages))))
    assert [each.samples[HOG.id]["age"] for each in frames] == pytest.approx(ages, abs=0.11)
    assert frames[4].samples[HOG.id]["age"] == 3614


def test_frames_do_not_change_afterwards(path):
    frames = read(path, written(*FRAMES))[0]
    assert frames == FRAMES  # all of them were read before the first is looked at


# --- the writer ---


def test_what_was_written_is_there_for_whoever_reads_after_a_few_seconds(path):
    stream = io.BytesIO()
    writer = Writer(stream, HEADER, 1 << 30)
    for at in range(60):
        writer.add(frame(100.0 + at, (HOG, {"rmem": at})))
        frames, damage = read(path, stream.getvalue())
        assert frames
        assert frames[-1].at > 100 + at - FLUSH_SECONDS
        assert damage == f"after {len(frames)} frame{'s'[: len(frames) != 1]} " + BREAKS_OFF


@pytest.mark.parametrize("every", [0.1, 4.9, 5.0, 60.0])
def test_nothing_is_kept_back_for_longer_than_a_flush_or_until_the_next_frame(every, path):
    stream = io.BytesIO()
    writer = Writer(stream, HEADER, 1 << 30)
    for tick in range(30):
        at = 100 + tick * every
        writer.add(frame(at, (HOG, {"rmem": tick})))
        assert at - read(path, stream.getvalue())[0][-1].at < FLUSH_SECONDS


@pytest.mark.parametrize("limit", [1000, 1500, 2000, 5000, 20_000])
def test_a_limit_is_never_exceeded_and_then_it_ends_well(limit, path):
    stream = io.BytesIO()
    writer = Writer(stream, HEADER, limit)
    while writer.add(frame(100.0 + writer.frames, (HOG, {"rmem": zlib.crc32(b"%d" % writer.frames)}))):
        pass
    assert writer.full == TOO_LARGE
    assert limit - 100 < writer.size == len(stream.getvalue()) <= limit
    frames, damage = read(path, stream.getvalue())
    assert (len(frames), damage) == (writer.frames, "")
    assert not writer.add(frame(1e6))


def test_more_processes_than_a_reader_holds_end_it_well(path, monkeypatch):
    monkeypatch.setattr(recorded, "LARGEST_CROWD", 5000)
    monkeypatch.setattr(recorder, "LARGEST_CROWD", 5000)
    seen = [(process(pid, "x" * 900), {}) for pid in (1, 2, 3)]
    changing = [frame(100.0 + at, *seen[at % 2 :][:2]) for at in range(10)]
    changing += [frame(150.0 + at, (process(1, "x" * 900 + str(at)), {})) for at in range(10)]
    assert read(path, written(*changing)) == (changing, "")
    assert read(path, written(*changing, frame(200.0, *seen), frame(300.0))) == (changing, "")


def test_a_stream_may_take_a_part_of_what_is_written(path):
    class Slow(io.BytesIO):
        def write(self, data):
            return super().write(data[:7])

    writer = Writer(stream := Slow(), HEADER, 1 << 30)
    assert all(map(writer.add, FRAMES))
    writer.close()
    assert stream.getvalue() == written(*FRAMES)
    assert writer.size == len(stream.getvalue())


def test_a_full_disk_is_told_and_nothing_more_is_tried():
    class Full(io.BytesIO):
        def write(self, data):
            if self.tell() > 500:
                raise OSError(28, "No space left on device")
            return super().write(data[:200])  # as a disk may that has little room left

    writer = Writer(Full(), HEADER, 1 << 30)
    noisy = (frame(100.0 + at, (HOG, {"rmem": zlib.crc32(b"%d" % at)})) for at in range(1000))
    with pytest.raises(Unwritable, match="No space left on device"):
        all(map(writer.add, noisy))
    writer.close()
    assert not writer.add(frame(1e6))


# --- what is damaged ---

BREAKS_OFF = "it breaks off: it was not ended, or not copied whole"


def sound(path, data):
    """How many frames are read of these bytes, and what is told; the frames are those that were written."""
    frames, damage = read(path, data)
    assert frames == FRAMES[: len(frames)]
    return len(frames), damage


def test_cut_short_anywhere_it_has_every_frame_before_the_cut(path):
    stream, ends = io.BytesIO(), []
    writer = Writer(stream, HEADER, 1 << 30)
    begins = len(stream.getvalue())
    for each in FRAMES:
        writer._flushed_at = -inf
        writer.add(each)
        ends.append(len(stream.getvalue()))
    writer.close()
    data = stream.getvalue()
    for length in range(len(data)):
        whole = sum(end <= length for end in ends)
        try:
            frames, damage = sound(path, data[:length])
        except exits.UsageError:
            assert length < begins
            continue
        assert whole <= frames <= whole + 1  # a flush ends with bytes that say nothing
        assert damage.endswith(BREAKS_OFF)
    assert sound(path, data) == (5, "")


def test_all_that_can_be_is_read_however_small_the_pieces_are(path, monkeypatch):
    idle = [frame(100.0 + at, (HOG._replace(image=Image("x" * 200, at % 2)), {})) for at in range(4)]
    data = written(*idle)
    for length in range(len(data) - 60, len(data)):
        monkeypatch.setattr(recording, "_PIECE", 1 << 16)
        whole = read(path, data[:length])
        for piece in (1, 3, 50):
            monkeypatch.setattr(recording, "_PIECE", piece)
            assert read(path, data[:length]) == whole


def test_a_bit_that_is_another_anywhere_costs_no_more_than_what_follows(path):
    data = written(*FRAMES)
    for place in range(10, len(data)):
        for bit in (0, 3, 7):
            wrong = bytearray(data)
            wrong[place] ^= 1 << bit
            with contextlib.suppress(exits.Failure):
                frames, damage = read(path, bytes(wrong))
                assert damage or frames == FRAMES  # a few bits only fill up a byte
                assert len(frames) <= len(FRAMES)


@patiently
@given(st.data())
def test_lines_that_were_tampered_with_give_frames_and_a_word_about_it(tmp_path_factory, data):
    lines = gzip.decompress(written(*FRAMES)).splitlines()
    values = [json.loads(line) for line in lines]
    spots = [spot for value in values for spot in places(value)]
    holder, key = data.draw(st.sampled_from(spots))
    odd = st.sampled_from([None, True, -1, 0, 1, 1e999, 1 << 70, "", "age", "frame", [], {}, ["x"], {"rmem": 1}, 0.5])
    value = data.draw(odd)
    assume(holder[key] != value)
    holder[key] = value
    changed = gzip.compress("".join(json.dumps(each) + "\n" for each in values).encode())
    path = tmp_path_factory.mktemp("x") / "x.rec"
    try:
        frames, damage = read(path, changed)
    except exits.Failure:
        assert read_header_fails(values[0])
    else:
        assert len(frames) == len(FRAMES) or damage


def read_header_fails(value):
    try:
        recorded.read_header(json.dumps(value).encode())
    except recorded.Malformed:
        return True
    return False


def places(value):
    """Every place in it at which there is something."""
    for key in list(value) if isinstance(value, dict) else range(len(value)):
        yield value, key
        if isinstance(value[key], (dict, list)):
            yield from places(value[key])


@patiently
@given(st.binary(max_size=200), st.booleans())
def test_any_bytes_are_no_recording_and_nothing_worse(tmp_path_factory, data, compressed):
    path = tmp_path_factory.mktemp("x") / "x.rec"
    with pytest.raises(exits.UsageError, match="is no recording"):
        read(path, gzip.compress(data) if compressed else data)


def lines(*values):
    return gzip.compress(b"".join(json.dumps(value).encode() + b"\n" for value in (HEADER.plain, *values)))


WHO = [10, 10, 1, 10, "S", "hog", 0, ""]
ONE = (["process", 1, WHO], ["frame", 1])


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ([["frame", 1]], "a frame at 1, after one at 1"),
        ([["frame", 0.5]], "a frame at 0.5, after one at 1"),
        ([["frame", -1]], "-1 is no time"),
        ([["frame", 1e300]], "1e+300 is yet to come"),
        ([["frame"]], "this is no list of 2"),
        ([["gone", 2]], "nobody has the number 2"),
        ([["gone", 0]], "nobody has the number 0"),
        ([["gone", 1], ["sample", 1, {}]], "nobody has the number 1"),
        ([["sample", 2, {}]], "nobody has the number 2"),
        ([["sample", 1, {"cpu": 1}]], "'cpu' is nothing that is measured"),
        ([["sample", 1, {"age": 1}]], "'age' is nothing that is measured"),
        ([["sample", 1, {"rmem": "1"}]], "'1' is no number"),
        ([["sample", 1, {"rmem": True}]], "True is no number"),
        ([["sample", 1, {"rmem": "unlimited"}]], "'unlimited' is no number"),
        ([["sample", 1, []]], "this is no sample"),
        ([["process", 2, WHO]], "process 10 is there already"),
        ([["process", 0, WHO]], "process 10 is there already"),
        ([["process", 1, [10, 11, *WHO[2:]]]], "process 10 is there already"),
        ([["process", 2, [11, 11, 1, 10, "SS", "hog", 0, ""]]], "'SS' is no state of a process"),
        ([["process", 2, [1 << 23, 11, 1, 10, "S", "hog", 0, ""]]], "8388608 is no number from 0 to 4194304"),
        ([["process", 2, WHO[:-1]]], "this is no list of 8"),
        ([["end"]], "'end' is no word that it begins with"),
        ([[["frame"], 1]], "None is no word that it begins with"),
        ([{}], "None is no word that it begins with"),
        ([None], "None is no word that it begins with"),
    ],
)
def test_a_line_that_cannot_be_is_told_after_what_came_before(values, told, path):
    frames, damage = read(path, lines(*ONE, *values, ["frame", 9]))
    assert [each.at for each in frames] == [1]
    assert damage.startswith(f"after 1 frame a line is damaged: {told}")


def test_what_is_behind_its_end_is_told(path):
    for rest in (b"x", written(FRAMES[0]), b"\0" * 100_000):
        assert sound(path, written(*FRAMES) + rest) == (5, "after 5 frames there is something behind its end")


def test_a_checksum_that_is_wrong_is_told(path):
    data = written(*FRAMES)
    damage = "after 5 frames it is damaged: incorrect data check"
    assert sound(path, data[:-8] + bytes(8)) == (5, damage)


def test_a_line_without_end_is_damage_and_not_kept(path, monkeypatch):
    monkeypatch.setattr(recorded, "LONGEST_LINE", 1 << 20)
    bomb = gzip.compress(gzip.decompress(lines(*ONE)) + b"[" * (64 << 20))
    assert len(bomb) < 100_000
    path.write_bytes(bomb)
    with recording.opened(path) as found:
        assert len(list(found)) == 1
        assert found.damage == "after 1 frame there is a line of more than 1 MiB"
        assert found._inflater.copy().decompress(b"", 1)  # there was much more


def test_a_crowd_without_end_is_damage(path, monkeypatch):
    monkeypatch.setattr(recorded, "LARGEST_CROWD", 100_000)
    crowd = (["process", number, [number, 1, 1, 1, "S", "x", 0, ""]] for number in range(2, 1000))
    frames, damage = read(path, lines(*ONE[:1], *ONE[1:], *(each for each in crowd if each[1] != 10)))
    assert len(frames) == 1
    assert damage.startswith("after 1 frame more processes are there than it can hold")


def test_a_file_that_cannot_be_read_on_is_damage(path):
    class Failing(io.FileIO):
        def read(self, size=-1):
            if self.tell():
                raise OSError(5, "Input/output error")
            return super().read(300)

    path.write_bytes(written(*FRAMES))
    with Failing(path) as file:
        found = recording.Recording(path, file)
        list(found)
    assert found.damage.endswith(" it cannot be read: Input/output error")


def test_it_is_read_once_and_as_far_as_somebody_wants(path):
    path.write_bytes(written(*FRAMES))
    with recording.opened(path) as found:
        assert next(iter(found)) == FRAMES[0]
        assert list(found) == []


def test_a_long_one_needs_no_more_memory_than_a_short_one(path):
    import tracemalloc

    def peak(seconds):
        path.write_bytes(written(*(frame(100.0 + at, (HOG, {"rmem": at, "age": at})) for at in range(seconds))))
        tracemalloc.start()
        with recording.opened(path) as found:
            assert sum(1 for _ in found) == seconds
        most = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return most

    assert peak(20_000) < 2 * MIB  # its frames are twenty


# --- what is no recording ---


def refused(path, kind=exits.UsageError):
    with pytest.raises(kind) as caught:
        recording.opened(path)
    assert type(caught.value) is kind
    return str(caught.value)


# The time is of the essence: every worker has to come to the same names of tests.
@pytest.mark.parametrize("data", [b"", b"x", *(gzip.compress(each, mtime=0) for each in (b"", b"{}\n", b"[1]\n"))])
def test_what_is_no_recording_is_a_wrong_command_line(data, path):
    path.write_bytes(data)
    assert refused(path) == (
        f"{path} is no recording, or not even its beginning is whole; "
        "write the name of one that 'fall-from-grace record' has made"
    )


def test_another_format_is_told_as_that(path):
    path.write_bytes(gzip.compress(b'{"recording":2,"things":[]}\n'))
    assert refused(path, exits.Failure) == (f"{path} is a recording of format 2, but this version reads format 1 only")


def test_what_is_no_file_is_told_as_that(path, tmp_path):
    assert refused(path) == f"there is no file {path}; 'fall-from-grace record {path}' makes one"
    assert refused(tmp_path) == f"{tmp_path} is no file; write the name of a recording"
    os.mkfifo(path)
    assert refused(path) == f"{path} is no file; write the name of a recording"


def test_what_may_not_be_read_is_told_as_that(path, monkeypatch):
    def refuse(*_):
        raise PermissionError(13, "Permission denied")

    path.touch(stat.S_IRUSR)
    monkeypatch.setattr(recording.os, "open", refuse)
    assert refused(path, exits.NotPermitted) == f"cannot read {path}: Permission denied"
