"""Decoding with a cache of our own: the tokens that plain generation gives, draws that do not depend on the batch."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_world import STUDENT, data

from lib import decoding
from lib.decoding import Drawing, batches, decode, draw_tokens
from lib.encoding import encode, source_ids
from lib.errors import UserError
from lib.examples import Example
from lib.student import Student, new_student
from lib.training import Plan, fit

QUESTIONS = [q.text for q in data().split("train")]
TEXTS = [f"predict: {text}" for text in (*QUESTIONS, "Ann", "Bob has 11 pens", "Cat " * 9)]


@pytest.fixture(scope="module", params=["t5", "gpt2"])
def student(request, tmp_path_factory) -> Student:
    """Taught texts of different lengths, so that rows end at different steps, and untaught what "Cat Cat" asks."""
    settings = STUDENT.model_copy(update={"dropout": 0.0, "architecture": request.param})
    made = new_student(settings, data().training_texts(), seed=0)
    targets = [" ".join([text.split()[0]] * (1 + 3 * i)) for i, text in enumerate(QUESTIONS)]
    examples = [Example(str(i), text, target, None) for i, (text, target) in enumerate(zip(QUESTIONS, targets))]
    plan = Plan(steps=120 if request.param == "t5" else 300, batch=4, learning_rate=0.05, warmup_steps=5)
    fit(made, encode(made.tokenizer, examples, made.decoder_only), plan, tmp_path_factory.mktemp("fit"))
    return made


def sources(student: Student) -> list[list[int]]:
    return source_ids(student.tokenizer, TEXTS, student.decoder_only)


@torch.inference_mode()
def generated(student: Student, ids: list[int], max_tokens: int) -> list[int]:
    """What the library's own `generate` writes behind one source, its end included."""
    output = student.model.generate(
        input_ids=torch.tensor([ids]), attention_mask=torch.ones(1, len(ids), dtype=torch.long),
        max_new_tokens=max_tokens, do_sample=False, num_beams=1, eos_token_id=student.tokenizer.eos_token_id,
        pad_token_id=student.tokenizer.pad_token_id,
    )[0, len(ids) if student.decoder_only else 1 :].tolist()  # fmt: skip
    end = student.tokenizer.eos_token_id
    return output[: output.index(end) + 1] if end in output else output


@pytest.mark.parametrize("most_rows", [1, 3, 256])
@pytest.mark.parametrize("kept", [0.0, 0.5, 1.0])
def test_the_tokens_are_those_of_plain_generation(student, monkeypatch, most_rows, kept):
    """Whatever the batches, and whether rows that have ended leave at once, sometimes or never."""
    monkeypatch.setattr(decoding, "KEPT", kept)
    expected = [generated(student, ids, 16) for ids in sources(student)]
    assert len({len(ids) for ids in expected}) > 3, "rows that all end at one step show nothing"
    assert decode(student, sources(student), 16, most_rows=most_rows) == expected


def test_ended_rows_leave_the_batch(student, monkeypatch):
    """The model is asked for ever fewer rows."""
    seen, forward = [], student.model.forward

    def counted(*args, **kwargs):
        ids = kwargs.get("decoder_input_ids")
        seen.append(len(kwargs["input_ids"] if ids is None else ids))
        return forward(*args, **kwargs)

    monkeypatch.setattr(student.model, "forward", counted)
    monkeypatch.setattr(type(student.model), "__call__", lambda self, *a, **k: counted(*a, **k), raising=False)
    decode(student, sources(student), 16)
    assert seen[0] == len(TEXTS) and seen[-1] < len(TEXTS) and seen == sorted(seen, reverse=True)


def test_it_stops_at_the_limit(student):
    assert [len(ids) for ids in decode(student, sources(student)[:4], 1)] == [1, 1, 1, 1]


def uniforms(rows: int, width: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).random((rows, width))


def test_draws_do_not_depend_on_the_batch(student):
    given = sources(student)
    own = uniforms(len(given) * 3, 12)
    together = decode(student, given, 12, Drawing(1.5, 1.0, own), copies=3)
    assert len(set(map(tuple, together))) > len(given), "draws that are all alike show nothing"
    assert decode(student, given, 12, Drawing(1.5, 1.0, own), copies=3, most_rows=1) == together
    alone = [decode(student, [ids], 12, Drawing(1.5, 1.0, own[i : i + 1]))[0] for i, ids in enumerate(given * 1)]
    first = decode(student, given, 12, Drawing(1.5, 1.0, own[: len(given)]))
    assert first == alone


def test_other_random_numbers_other_draws(student):
    one, two = (decode(student, sources(student), 12, Drawing(1.5, 1.0, uniforms(7, 12, seed))) for seed in (0, 1))
    assert one != two


def test_a_low_temperature_or_a_small_share_is_greedy(student):
    given = sources(student)
    greedy = decode(student, given, 12)
    assert decode(student, given, 12, Drawing(1e-3, 1.0, uniforms(7, 12))) == greedy
    assert decode(student, given, 12, Drawing(2.0, 1e-6, uniforms(7, 12))) == greedy


def test_nothing_asked_nothing_written(student):
    assert decode(student, [], 5) == []


# -- one draw ----------------------------------------------------------------------------------------


def drawn(p: list[float], u: float, temperature: float = 1.0, top_p: float = 1.0) -> int:
    logits, uniform = torch.tensor([p]).log(), torch.tensor([u], dtype=torch.float64)
    return int(draw_tokens(logits, uniform, temperature, top_p)[0])


@pytest.mark.parametrize(("u", "token"), [(0.0, 0), (0.19, 0), (0.21, 1), (0.69, 1), (0.71, 2), (0.999999, 2)])
def test_a_token_is_drawn_by_the_cumulated_probabilities(u, token):
    """.2, .5, .3 cumulate to .2, .7, 1."""
    assert drawn([0.2, 0.5, 0.3], u) == token


def test_top_p_keeps_the_fewest_that_reach_it():
    """.5 and .3 reach .6, .2 is left out: of the .8 that are kept, the first .5 are token 1."""
    p = [0.2, 0.5, 0.3]
    assert drawn(p, 0.624, top_p=0.6) == 1  # .624 × .8 < .5
    assert drawn(p, 0.626, top_p=0.6) == 2
    assert {drawn(p, u / 100, top_p=0.6) for u in range(100)} == {1, 2}
    assert {drawn(p, u / 100, top_p=0.49) for u in range(100)} == {1}


def test_temperature_sharpens():
    """At half the temperature probabilities are squared: .2 and .8 are 1 : 16."""
    assert drawn([0.2, 0.8], 0.058, temperature=0.5) == 0 and drawn([0.2, 0.8], 0.06, temperature=0.5) == 1


@settings(deadline=None)
@given(
    p=st.lists(st.floats(0, 1), min_size=1, max_size=6).filter(lambda p: sum(p) > 0.01),
    u=st.floats(0, 1, exclude_max=True),
    top_p=st.floats(0.01, 1),
)
def test_an_impossible_token_is_never_drawn(p, u, top_p):
    token = drawn(p, u, top_p=top_p)
    assert p[token] > 0


# -- batches -----------------------------------------------------------------------------------------


def test_batches_by_hand():
    assert list(batches([5, 2, 9], max_tokens=1, budget=12)) == [[1, 0], [2]]
    assert list(batches([1, 1, 1], max_tokens=1, copies=2, most_rows=4)) == [[0, 1], [2]]
    assert list(batches([], max_tokens=1)) == []


@settings(deadline=None)
@given(
    st.lists(st.integers(1, 50), max_size=30), st.integers(1, 40), st.integers(1, 5), st.integers(1, 20),
    st.integers(1, 500),
)  # fmt: skip
def test_batches_hold_every_source_once_within_their_limits(lengths, max_tokens, copies, most_rows, budget):
    found = list(batches(lengths, max_tokens, copies, most_rows, budget))
    assert sorted(i for batch in found for i in batch) == list(range(len(lengths)))
    for batch in found:
        rows = len(batch) * copies
        assert len(batch) == 1 or (rows <= most_rows and rows * (lengths[batch[-1]] + max_tokens) <= budget)


# -- memory ------------------------------------------------------------------------------------------


def short_of_memory(monkeypatch, most: int) -> list[int]:
    """No more than `most` rows fit; the list takes how many each batch had."""
    seen, decoded = [], decoding._decoded

    def limited(student, sources, max_tokens, choose, twins):
        seen.append(len(sources) if twins is None else len(twins))
        if seen[-1] > most:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return decoded(student, sources, max_tokens, choose, twins)

    monkeypatch.setattr(decoding, "_decoded", limited)
    return seen


def test_batches_are_halved_until_they_fit(student, monkeypatch):
    expected = decode(student, sources(student), 12)
    seen = short_of_memory(monkeypatch, most=2)
    assert decode(student, sources(student), 12) == expected
    assert seen == [7, 3, 1, 1, 1, 1, 1, 1, 1]


def test_the_copies_of_one_source_are_parted_where_they_must(student, monkeypatch):
    drawing = Drawing(1.5, 1.0, uniforms(2 * 3, 12))
    expected = decode(student, sources(student)[:2], 12, drawing, copies=3)
    seen = short_of_memory(monkeypatch, most=2)
    assert decode(student, sources(student)[:2], 12, drawing, copies=3, most_rows=5) == expected
    assert seen == [3, 1, 1, 1, 1, 1, 1]


def test_one_row_that_does_not_fit_names_what_to_lower(student, monkeypatch):
    short_of_memory(monkeypatch, most=0)
    with pytest.raises(UserError, match=r"student.max_target_tokens: out of memory at one row alone, .* 12 tokens"):
        decode(student, sources(student), 12)


def test_other_errors_are_not_taken_for_it(student, monkeypatch):
    monkeypatch.setattr(decoding, "_decoded", lambda *_: (_ for _ in ()).throw(RuntimeError("shapes differ")))
    with pytest.raises(RuntimeError, match="shapes differ"):
        decode(student, sources(student), 12)
