"""Progress bars go where somebody watches, and nowhere else."""

import os

import pytest

from lib.progress import TERMINAL, progress, say


def test_all_items_come_through_in_order(monkeypatch, tmp_path):
    for terminal in (None, "", str(tmp_path / "tty")):
        monkeypatch.delenv(TERMINAL, raising=False)
        if terminal is not None:
            monkeypatch.setenv(TERMINAL, terminal)
        assert list(progress(range(5), 5, "things")) == [0, 1, 2, 3, 4]


def test_the_terminal_shows_label_count_rate_and_nothing_else_is_written(monkeypatch, tmp_path, capfd):
    terminal = tmp_path / "tty"
    monkeypatch.setenv(TERMINAL, str(terminal))
    list(progress(iter("abc"), 3, "rationales"))
    say("3 calls to send")
    shown = terminal.read_text()
    assert "rationales: 100%" in shown and "3/3" in shown and "it/s" in shown
    assert shown.endswith("3 calls to send\n")
    assert capfd.readouterr() == ("", "")


def test_on_a_terminal_a_line_takes_the_place_of_a_bar(monkeypatch):
    own, terminal = os.openpty()
    monkeypatch.setenv(TERMINAL, os.ttyname(terminal))
    say("step 20")
    assert os.read(own, 100) == b"\r\x1b[Kstep 20\r\n"
    os.close(own)
    os.close(terminal)


@pytest.mark.parametrize("terminal", [None, ""])
def test_no_terminal_no_output(monkeypatch, capfd, terminal):
    monkeypatch.delenv(TERMINAL, raising=False)
    if terminal is not None:
        monkeypatch.setenv(TERMINAL, terminal)
    list(progress(range(3), 3, "rationales"))
    say("3 calls to send")
    assert capfd.readouterr() == ("", "")


def test_a_lost_terminal_does_not_stop_the_work(monkeypatch, tmp_path):
    monkeypatch.setenv(TERMINAL, str(tmp_path / "gone" / "tty"))
    assert list(progress(range(3), 3, "rationales")) == [0, 1, 2]
    say("still here")


def test_a_bar_in_jupyter_is_drawn_in_the_notebook(monkeypatch, capfd):
    monkeypatch.delenv(TERMINAL, raising=False)
    monkeypatch.setattr("lib.progress._in_jupyter", lambda: True)
    assert list(progress(range(3), 3, "rationales")) == [0, 1, 2]
    assert "rationales: 100%" in capfd.readouterr().err
