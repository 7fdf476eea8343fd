"""What a student writes and how it judges: greedy, in the given order, whatever the batches."""

import numpy as np
import pytest
import torch
from tiny_world import STUDENT, data

from lib.examples import Example
from lib.inference import to_device, verdict_probabilities, write
from lib.student import Student, new_student
from lib.training import Plan, encode, fit

QUESTIONS = [q.text for q in data().split("train")]
SOURCES = [f"predict: {text}" for text in (*QUESTIONS, "Ann", "Bob has 11 pens")]
JUDGED = ["Ann: There were 10 pens. 10 + 2 = 12.", "Nothing.", "Bob: 3 pens are gone. The answer is (11 - 3)."]


@pytest.fixture(scope="module")
def student(tmp_path_factory) -> Student:
    """Trained a little, so that what it writes differs from question to question."""
    made = new_student(STUDENT.model_copy(update={"dropout": 0.0}), data().training_texts(), seed=0)
    examples = [Example(str(i), text, f"{text.split()[0]} has {10 + i}", None) for i, text in enumerate(QUESTIONS)]
    plan = Plan(steps=80, batch=4, learning_rate=0.05, warmup_steps=5)
    fit(made, encode(made.tokenizer, examples), plan, tmp_path_factory.mktemp("fit"))
    return made


def test_the_student_writes_what_it_learned(student):
    assert write(student, SOURCES[:4], max_tokens=8) == ["Ann has 10", "Bob has 11", "Cat has 12", "Dan has 13"]


@pytest.mark.parametrize("batch", [1, 2, 5])
def test_what_it_writes_does_not_depend_on_order_or_batch(student, batch):
    alone = [write(student, [source], max_tokens=8)[0] for source in SOURCES]
    assert len(set(alone)) >= 4
    assert write(student, SOURCES, max_tokens=8, batch=batch) == alone
    assert write(student, SOURCES[::-1], max_tokens=8, batch=batch) == alone[::-1]


def test_it_writes_no_more_tokens_than_allowed(student):
    assert write(student, SOURCES[:2], max_tokens=1) == ["Ann", "Bob"]


def test_dropout_is_off_while_it_writes(student):
    student.model.train()
    write(student, SOURCES[:1], max_tokens=2)
    assert not student.model.training


def test_nothing_asked_is_nothing_written(student):
    assert write(student, [], max_tokens=8) == []
    assert verdict_probabilities(student, []).shape == (0, 3)


def test_verdicts_are_weighed_by_their_probability(student):
    def log_p(text: str, verdict: str) -> float:
        inputs = student.tokenizer([f"predict: {text}"], return_tensors="pt")
        labels = student.tokenizer([verdict], return_tensors="pt")["input_ids"]
        with torch.inference_mode():
            mean = student.model(input_ids=inputs["input_ids"], labels=labels).loss
        return -mean.item() * labels.shape[1]

    log_ps = np.array([[log_p(text, verdict) for verdict in ("correct", "wrong", "uncertain")] for text in JUDGED])
    expected = np.exp(log_ps) / np.exp(log_ps).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(verdict_probabilities(student, JUDGED), expected, atol=1e-5)


@pytest.mark.parametrize("batch", [1, 2])
def test_verdict_probabilities_sum_to_one_whatever_the_batch(student, batch):
    p = verdict_probabilities(student, JUDGED, batch=batch)
    np.testing.assert_allclose(p.sum(axis=1), 1)
    np.testing.assert_allclose(p, verdict_probabilities(student, JUDGED), atol=1e-5)
    assert not np.allclose(p[0], p[1], atol=1e-4)


def test_a_batch_moves_with_all_that_is_in_it():
    moved = to_device({"a": torch.ones(2), "tasks": [{"rows": torch.ones(1)}]}, torch.device("meta"))
    assert moved["a"].device.type == moved["tasks"][0]["rows"].device.type == "meta"
