"""A student that runs on into a next question is stopped there."""

import pytest
import torch
from tiny import tiny_gpt2, tiny_t5
from tiny_world import STUDENT, data
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

from lib import decoding
from lib.inference import Written, write
from lib.stops import before_stop, runs_on
from lib.student import new_student


@pytest.mark.parametrize(
    ("text", "before"),
    [
        ("7\nQ: Ann", "7"), ("7 \n\nAnn", "7"), ("7 predict: Ann has", "7"), ("7. explain: Ann", "7."),
        ("7 Ann has 3 pens. ### 8", "7 Ann has 3 pens."), ("\n7", "\n7"), ("### 7", "### 7"), ("a#b predicts: c",) * 2,
        ("", ""),
    ],
)  # fmt: skip
def test_a_text_ends_before_the_next_question(text, before):
    assert before_stop(text) == before


def lines_tokenizer() -> PreTrainedTokenizerFast:
    """As GPT-2's: bytes, so that it knows lines."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(special_tokens=["<end>"], initial_alphabet=alphabet, show_progress=False)
    tokenizer.train_from_iterator(["a pen ###", "predict: a pen"], trainer)
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="<end>", pad_token="<end>")


class Scripted:
    """Instead of a model: each row writes what it is to, and its end behind it."""

    texts: tuple[str, ...] = ()

    def __init__(self, student, sources):
        end = student.tokenizer.eos_token_id
        self.left = [[*student.tokenizer(text)["input_ids"], end] for text in self.texts]
        self.vocabulary = len(student.tokenizer)

    def begin(self):
        return torch.nn.functional.one_hot(torch.tensor([ids.pop(0) for ids in self.left]), self.vocabulary).float()

    def step(self, tokens):
        for ids in self.left:
            ids.append(0)  # rows that have ended go on with their end
        return self.begin()

    def keep(self, rows):
        self.left = [list(self.left[i]) for i in rows.tolist()]


def write_scripted(monkeypatch, texts, limit: int) -> list[Written]:
    student = tiny_gpt2(lines_tokenizer())
    monkeypatch.setattr(decoding, "_Continuing", Scripted)
    monkeypatch.setattr(Scripted, "texts", texts)
    return write(student, ["a"] * len(texts), limit)


def test_a_row_that_runs_into_a_next_question_ends_there(monkeypatch):
    texts = (" 7\nQ: and so on, without end", " a pen", " 8 predict: a pen ### 9", " 10 ### 11")
    found = write_scripted(monkeypatch, texts, 40)
    assert [w.text for w in found] == ["7", "a pen", "8", "10"] and not any(w.at_limit for w in found)
    asked = lines_tokenizer()
    written = [len(asked(text)["input_ids"]) for text in (" 7\n", " a pen", " 8 predict:", " 10 ###")]
    assert [w.tokens for w in found] == written  # the stop was written, what follows it was not


def test_a_stop_with_the_last_token_is_no_limit(monkeypatch):
    [there] = write_scripted(monkeypatch, (" 7\nQ",), 3)
    assert there == Written("7", 3, at_limit=False)
    [before] = write_scripted(monkeypatch, (" 7\nQ",), 2)
    assert before == Written("7", 2, at_limit=True)


@pytest.mark.parametrize("architecture", ["t5", "gpt2"])
def test_only_students_that_know_lines_stop_so(architecture):
    words = new_student(STUDENT.model_copy(update={"architecture": architecture}), data().training_texts(), seed=0)
    assert not runs_on(words) and runs_on(tiny_gpt2(lines_tokenizer())) and not runs_on(tiny_t5(lines_tokenizer()))
