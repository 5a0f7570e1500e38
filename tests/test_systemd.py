import os
import socket

import pytest

from fallfromgrace.systemd import sd_notify, to_journal


@pytest.mark.parametrize("abstract", [False, True])
def test_systemd_is_told_the_state(abstract, tmp_path, monkeypatch):
    name = str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind("\0" + name if abstract else name)
        listener.settimeout(5)
        monkeypatch.setenv("NOTIFY_SOCKET", "@" + name if abstract else name)
        sd_notify("READY=1")
        assert listener.recv(100) == b"READY=1"


@pytest.mark.parametrize("address", [None, "", "/nonexistent/notify", "@nobody-listens", "x" * 200])
def test_where_nobody_listens_nothing_happens(address, monkeypatch):
    if address is None:
        monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    else:
        monkeypatch.setenv("NOTIFY_SOCKET", address)
    sd_notify("READY=1")


def test_only_the_very_stream_that_systemd_connected_is_the_journal(tmp_path, monkeypatch):
    with open(tmp_path / "journal", "w") as journal, open(tmp_path / "terminal", "w") as terminal:
        status = os.fstat(journal.fileno())
        monkeypatch.setenv("JOURNAL_STREAM", f"{status.st_dev}:{status.st_ino}")
        assert to_journal(journal.fileno())
        assert not to_journal(terminal.fileno())
    assert not to_journal(-1)


@pytest.mark.parametrize("value", [None, "", "8", "a:b:c"])
def test_without_a_sound_variable_there_is_no_journal(value, monkeypatch):
    monkeypatch.delenv("JOURNAL_STREAM", raising=False)
    if value is not None:
        monkeypatch.setenv("JOURNAL_STREAM", value)
    assert not to_journal(2)
