"""The benchmarks hold: their bounds, and that a missed one is noticed."""

import sys

import pytest
import torch
from tiny import KINDS

from benchmarks import scoring
from benchmarks import teacher as benchmark

ROWS = {
    "ours : bare, create": 2.0, "ours : bare, post": 0.9, "replay of 20,000 (s)": 0.5, "connections": 0,
    "opening 500,000 (s)": 10.0, "peak memory (GiB)": 2.0,
}  # fmt: skip
BOUNDS = benchmark.THROUGHPUT | benchmark.REPLAY | benchmark.OPENING


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.delenv(benchmark.SETTINGS.key_variable, raising=False)


def test_what_lies_on_its_bound_is_within():
    assert benchmark.missed(ROWS, BOUNDS) == []


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("ours : bare, create", 0.89, "0.89, allowed: at least 0.9"),
        ("ours : bare, post", 0.8999, "0.8999, allowed: at least 0.9"),
        ("replay of 20,000 (s)", 0.51, "0.51, allowed: 0 to 0.5"),
        ("connections", 1, "1, allowed: 0 to 0"),
        ("opening 500,000 (s)", 10.01, "10.01, allowed: 0 to 10"),
        ("peak memory (GiB)", 2.01, "2.01, allowed: 0 to 2"),
        ("peak memory (GiB)", float("nan"), "nan, allowed: 0 to 2"),
    ],
)
def test_what_misses_its_bound_is_named(name, value, said):
    assert benchmark.missed(ROWS | {name: value}, BOUNDS) == [f"{name}: {said}"]


def test_a_bound_without_its_measure_is_an_error():
    with pytest.raises(KeyError, match="peak memory"):
        benchmark.missed({name: value for name, value in ROWS.items() if name != "peak memory (GiB)"}, BOUNDS)


@pytest.mark.parametrize(("words", "connections", "status"), [(["--check"], 0, 0), (["--check"], 1, 1), ([], 1, 0)])
def test_exit_status(monkeypatch, capsys, words, connections, status):
    rows = ROWS | {"connections": connections}
    for measured in ("throughput", "replay", "opening"):
        part = {name: rows[name] for name in getattr(benchmark, measured.upper())}
        monkeypatch.setattr(benchmark, measured, lambda *_, part=part: part)
    monkeypatch.setattr(sys, "argv", ["teacher.py", *words])
    monkeypatch.setenv("no_proxy", "")  # so that what main sets is taken back
    assert benchmark.main() == status
    said = capsys.readouterr()
    assert "connections " in said.out and ("missed: connections" in said.err) == bool(status)


@pytest.mark.slow
def test_twenty_thousand_replays_take_half_a_second_and_no_connection():
    assert benchmark.missed(benchmark.replay(20_000), benchmark.REPLAY) == []


@pytest.mark.slow
def test_half_a_million_responses_open_in_ten_seconds_and_two_gib():
    assert benchmark.missed(benchmark.opening(500_000), benchmark.OPENING) == []


@pytest.mark.slow
def test_the_throughput_is_near_that_of_the_bare_client():
    """A short run on a machine that may be busy, so a loose bound; `make bench` has the true one."""
    rows = benchmark.throughput(calls=600, pairs=3, concurrency=64)
    assert benchmark.missed(rows, dict.fromkeys(benchmark.THROUGHPUT, (0.75, None))) == []


# -- scoring ---------------------------------------------------------------------------------------

SPEED = {"fp32, ours : plain": 1.9, "bf16, ours : plain": 2.7, scoring.MORE: 16.0}


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("fp32, ours : plain", 1.89, "1.89, allowed: at least 1.9"),
        ("bf16, ours : plain", 2.69, "2.69, allowed: at least 2.7"),
        (scoring.MORE, 16.1, "16.1, allowed: at most 16"),
        (scoring.MORE, float("nan"), "nan, allowed: at most 16"),
    ],
)
def test_scoring_that_misses_its_bound_is_named(monkeypatch, capsys, tmp_path, name, value, said):
    assert scoring.missed(SPEED, scoring.BOUNDS) == []
    monkeypatch.setattr(scoring, "speed", lambda *_: SPEED)
    monkeypatch.setattr(scoring, "memory", lambda *_: {name: value})
    monkeypatch.setattr(scoring.torch, "set_num_threads", lambda _: None)
    monkeypatch.setattr(sys, "argv", ["scoring.py", "--check", "--data", str(tmp_path)])
    assert scoring.main() == 1
    assert f"missed: {name}: {said}" in capsys.readouterr().err


def test_scoring_without_the_real_text_says_so(monkeypatch, capsys, tmp_path):
    monkeypatch.setattr(sys, "argv", ["scoring.py", "--check", "--data", str(tmp_path / "none")])
    assert scoring.main() == 0
    assert f"not measured: no folder {tmp_path / 'none'}; set REAL_DATA or --data" in capsys.readouterr().out


def test_both_ways_of_scoring_find_the_same(real_data):
    texts, student = scoring.real_pairs(real_data, 6), scoring.random_student(real_data, width=64, layers=1)
    assert len({text for _, text, _ in texts}) == 6
    assert scoring.ours(student, texts) == pytest.approx(scoring.plain(student, texts), rel=1e-5)


# Two completions, "3 - - > ( 3 ) </s>" and the like with 4, of 8 tokens; each with its question and without: 4 rows.
WORK = {
    # The encoder reads "Tom has 3 </s>" once and "</s>" once, 5 tokens: 4 matrices of 16 x 16 and 2 of 16 x 32, 2048
    # weights. Their keys and values, 2 of 16 x 16, 512: once a row, 4 + 4 + 1 + 1 = 10 tokens. The decoder's others,
    # 6 of 16 x 16 and 2 of 16 x 32, 2560, and the vocabulary of 38 words, 38 x 16 = 608: 32 target tokens.
    "encoder-decoder": 2 * (5 * 2048 + 10 * 512 + 32 * 2560 + 32 * 608),
    # It reads "Tom has 3 # # #", 6 tokens, or "</s>", 1, and 7 of the target's 8: 13 + 13 + 8 + 8 = 42 tokens. One
    # matrix of 16 x 48, one of 16 x 16, two of 16 x 64: 3072 weights. The vocabulary as above.
    "decoder-only": 2 * (42 * 3072 + 32 * 608),
}


@pytest.mark.parametrize(("kind", "expected"), WORK.items())
def test_the_work_of_scoring_is_two_flops_a_weight_and_token(kind, expected):
    texts = [("Tom has 3", "3", "(3)"), ("Tom has 3", "4", "(4)")]
    assert scoring.flops(KINDS[kind](), texts) == expected


@pytest.mark.parametrize("kind", ["encoder-decoder", "decoder-only"])
def test_a_shape_is_timed_with_its_share_of_the_peak(monkeypatch, kind):
    monkeypatch.setattr(scoring, "SHAPES", {"tiny": lambda data: KINDS[kind]()})
    monkeypatch.setattr(scoring, "real_pairs", lambda data, count: [("Tom has 3", "3", "(3)")])
    rows = scoring.of_shape(None, "tiny", 1, 1, peak=1e-3)
    assert rows["  share of the peak"] == pytest.approx(rows["  TFLOP/s"] / 1e-3)
    assert rows["tiny on cpu (pairs/s)" if not torch.cuda.is_available() else "tiny on cuda (pairs/s)"] > 0
