"""What a student writes and how it judges: greedy, in the given order, whatever the batches."""

import numpy as np
import pytest
import torch
from tiny import KINDS
from tiny_world import STUDENT, data

from lib import inference
from lib.encoding import encode
from lib.errors import UserError
from lib.examples import Example
from lib.inference import Written, verdict_probabilities, write
from lib.student import Student, new_student
from lib.training import Plan, fit

QUESTIONS = [q.text for q in data().split("train")]
SOURCES = [f"predict: {text}" for text in (*QUESTIONS, "Ann", "Bob has 11 pens")]
JUDGED = ["Ann: There were 10 pens. 10 + 2 = 12.", "Nothing.", "Bob: 3 pens are gone. The answer is (11 - 3)."]


@pytest.fixture(scope="module", params=["t5", "gpt2"])
def student(request, tmp_path_factory) -> Student:
    """Trained a little, so that what it writes differs from question to question."""
    settings = STUDENT.model_copy(update={"dropout": 0.0, "architecture": request.param})
    made = new_student(settings, data().training_texts(), seed=0)
    examples = [Example(str(i), text, f"{text.split()[0]} has {10 + i}", None) for i, text in enumerate(QUESTIONS)]
    plan = Plan(steps=80 if request.param == "t5" else 160, batch=4, learning_rate=0.05, warmup_steps=5)
    fit(made, encode(made.tokenizer, examples, made.decoder_only), plan, tmp_path_factory.mktemp("fit"))
    return made


def texts(student: Student, sources, **limits) -> list[str]:
    return [written.text for written in write(student, sources, **limits)]


def test_the_student_writes_what_it_learned(student):
    assert texts(student, SOURCES[:4], max_tokens=8) == ["Ann has 10", "Bob has 11", "Cat has 12", "Dan has 13"]


@pytest.mark.parametrize("batch", [1, 2, 5])
def test_what_it_writes_does_not_depend_on_order_or_batch(student, batch):
    alone = [write(student, [source], max_tokens=8)[0] for source in SOURCES]
    assert {written.at_limit for written in alone[:4]} == {False}
    assert len(set(alone)) >= 4
    assert write(student, SOURCES, max_tokens=8, batch=batch) == alone
    assert write(student, SOURCES[::-1], max_tokens=8, batch=batch) == alone[::-1]


def test_it_writes_no_more_tokens_than_allowed(student):
    assert write(student, SOURCES[:2], max_tokens=1) == [Written("Ann", 1, True), Written("Bob", 1, True)]


def test_its_length_is_counted_without_the_end(student):
    three = [Written("Ann has 10", tokens=3, at_limit=False), Written("Bob has 11", tokens=3, at_limit=False)]
    assert write(student, SOURCES[:2], max_tokens=8) == three
    assert write(student, SOURCES[:2], max_tokens=4) == three  # the end is the fourth
    assert [(w.tokens, w.at_limit) for w in write(student, SOURCES[:2], max_tokens=3)] == [(3, True)] * 2


def test_an_input_that_leaves_no_room_to_write_is_refused():
    student = new_student(STUDENT.model_copy(update={"architecture": "gpt2"}), data().training_texts(), seed=0)
    positions = STUDENT.max_source_tokens + STUDENT.max_target_tokens + 8
    fits = positions - 8 - 3  # ### are three tokens
    write(student, [" ".join(["pens"] * fits)], max_tokens=8)
    limit = rf"student\.max_label_tokens or max_target_tokens 8: 'pens .* has {fits + 4} tokens; allowed: {fits + 3}, "
    with pytest.raises(UserError, match=limit):
        write(student, [" ".join(["pens"] * (fits + 1))], max_tokens=8)


def test_an_encoder_with_learned_positions_reads_as_many_tokens_and_no_more():
    """What is written has places of its own."""
    bart = KINDS["as BART"]()
    spare = len(bart.ids("3 " * 9)) - 9  # its tokenizer's own marks around a text
    write(bart, ["3 " * (256 - spare)], max_tokens=2)
    for ask in (lambda text: write(bart, [text], max_tokens=2), lambda text: verdict_probabilities(bart, [text])):
        with pytest.raises(UserError, match=r"has 2\d\d tokens; allowed: the student's 256 positions"):
            ask("3 " * (257 - spare))


def test_a_text_to_be_judged_that_leaves_no_room_for_a_verdict_is_refused():
    student = new_student(STUDENT.model_copy(update={"architecture": "gpt2"}), data().training_texts(), seed=0)
    positions = STUDENT.max_source_tokens + STUDENT.max_target_tokens + 8
    fits = positions - 2 - 5  # a verdict and its end; predict, its colon and ###
    assert verdict_probabilities(student, [" ".join(["pens"] * fits)]).shape == (1, 3)
    with pytest.raises(UserError, match=rf"a verdict of 2: 'pens .* has {fits + 6} tokens; allowed: {fits + 5}, "):
        verdict_probabilities(student, [" ".join(["pens"] * (fits + 1))])


def test_dropout_is_off_while_it_writes(student):
    student.model.train()
    write(student, SOURCES[:1], max_tokens=2)
    assert not student.model.training


def test_nothing_asked_is_nothing_written(student):
    assert write(student, [], max_tokens=8) == []
    assert verdict_probabilities(student, []).shape == (0, 3)


def log_p(student: Student, text: str, verdict: str) -> float:
    """log P(verdict and its end | text), by one plain pass of Hugging Face's model."""
    tokenizer = student.tokenizer
    if student.decoder_only:
        source = tokenizer(f"predict: {text} ###")["input_ids"]
        target = [*tokenizer(f" {verdict}")["input_ids"], tokenizer.eos_token_id]
        inputs, labels = torch.tensor([source + target]), torch.tensor([[-100] * len(source) + target])
    else:
        inputs = tokenizer([f"predict: {text}"], return_tensors="pt")["input_ids"]
        labels = tokenizer([verdict], return_tensors="pt")["input_ids"]
    with torch.inference_mode():
        mean = student.model(input_ids=inputs, labels=labels).loss
    return -mean.item() * (labels >= 0).sum().item()


def test_verdicts_are_weighed_by_their_probability(student):
    weighed = [[log_p(student, text, verdict) for verdict in ("correct", "wrong", "uncertain")] for text in JUDGED]
    expected = np.exp(weighed) / np.exp(weighed).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(verdict_probabilities(student, JUDGED), expected, atol=1e-5)


@pytest.mark.parametrize("batch", [1, 2])
def test_verdict_probabilities_sum_to_one_whatever_the_batch(student, batch):
    p = verdict_probabilities(student, JUDGED, batch=batch)
    np.testing.assert_allclose(p.sum(axis=1), 1)
    np.testing.assert_allclose(p, verdict_probabilities(student, JUDGED), atol=1e-5)
    assert not np.allclose(p[0], p[1], atol=1e-4)


def test_texts_are_judged_in_halves_where_memory_is_short(student, monkeypatch):
    expected, judged = verdict_probabilities(student, JUDGED), inference._verdicts_log_p
    seen = []

    def limited(student, sources, targets):
        seen.append(len(sources))
        if len(sources) > 1:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return judged(student, sources, targets)

    monkeypatch.setattr(inference, "_verdicts_log_p", limited)
    np.testing.assert_allclose(verdict_probabilities(student, JUDGED), expected, atol=1e-5)
    assert seen == [3, 1, 1, 1]
