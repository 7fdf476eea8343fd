"""Examples as token ids and as batches, by hand; decoder-only students as they are scored."""

from types import SimpleNamespace

import pytest
import torch
from tiny import TEXTS, WORDS, spaces_tokenizer
from tiny_world import STUDENT, data
from transformers import GPT2Tokenizer

from lib.encoding import (
    Encoded,
    collate,
    collate_continuations,
    collator,
    continuations,
    encode,
    kept_ends,
    limit_lengths,
    padded,
    padded_with_mask,
    source_ids,
    step_collator,
    target_ids,
)
from lib.errors import UserError
from lib.examples import Example
from lib.pairs import Pair, encode_pairs
from lib.student import Student, new_student
from lib.words import continuing_tokenizer

EXAMPLE = Example("a", "Ann has 10 pens.", "(10 + 2)", "There were 10 pens. 10 + 2 = 12.")
LONG = [Encoded((([1] * 5, [2] * 3), ([1] * 5, [2] * 9))), Encoded((([1] * 4, [2] * 2), ([1] * 4, [2] * 2)))]


@pytest.fixture(scope="module", params=["t5", "gpt2"])
def student(request) -> Student:
    texts = [*data().training_texts(), "-->"]
    return new_student(STUDENT.model_copy(update={"architecture": request.param}), texts, seed=0)


def test_an_example_becomes_the_ids_of_its_pairs(student):
    [one] = encode(student.tokenizer, [EXAMPLE], student.decoder_only)
    before, after = (" ###", "") if student.decoder_only else ("", "")
    end = [student.tokenizer.eos_token_id] if student.decoder_only else []
    texts = EXAMPLE.pairs()
    assert one.pairs == tuple((student.ids(s + before), student.ids(t + after) + end) for s, t in texts)
    assert one.tokens == sum(len(source) + len(target) for source, target in one.pairs)
    assert encode(student.tokenizer, [], student.decoder_only) == []


def test_a_rationale_and_its_label_are_fed_as_they_are_scored(student):
    first = Example("a", EXAMPLE.source, EXAMPLE.label, EXAMPLE.rationale, rationale_first=True)
    [one] = encode(student.tokenizer, [first], student.decoder_only)
    [forced] = encode_pairs(student, [Pair(EXAMPLE.source, EXAMPLE.rationale, EXAMPLE.label)])
    assert [(tuple(source), tuple(target)) for source, target in one.pairs] == [(forced.source, forced.target)]


def test_no_question_is_the_token_that_a_text_begins_with(student):
    [[begin]] = source_ids(student.tokenizer, [""], student.decoder_only)
    assert begin == student.tokenizer.convert_tokens_to_ids("<s>" if student.decoder_only else "</s>")


SCHEMES = ["first", "always", "never", "LLaMA 2"]


@pytest.mark.parametrize("scheme", [*SCHEMES, "words"])
@pytest.mark.parametrize("question, reasoning, answer", TEXTS)
def test_source_and_target_are_the_tokens_of_one_text(scheme, question, reasoning, answer):
    tokenizer = continuing_tokenizer(WORDS) if scheme == "words" else spaces_tokenizer(WORDS, scheme)
    [source], [target] = source_ids(tokenizer, [question], True), target_ids(tokenizer, [answer], True)
    assert source + target == [*tokenizer(f"{question} ### {answer}")["input_ids"], tokenizer.eos_token_id]
    given = Pair(question, reasoning, answer)
    [encoded] = encode_pairs(
        Student(SimpleNamespace(config=SimpleNamespace(is_encoder_decoder=False)), tokenizer), [given]
    )
    whole = tokenizer(f"{question} ### {given.completion}")["input_ids"]
    assert encoded.source + encoded.target == (*whole, tokenizer.eos_token_id)
    read = tokenizer.convert_ids_to_tokens(encoded.target[slice(*encoded.answer)])
    assert "".join(read).replace("▁", "") == answer.replace(" ", "")


@pytest.mark.parametrize("scheme", ["first", "always", "never"])
def test_a_space_stands_before_a_target_unless_the_tokenizer_puts_one_itself(scheme):
    assert continuations(spaces_tokenizer(WORDS, scheme), ["3", "(4)"]) == [" 3", " (4)"]
    assert continuations(continuing_tokenizer(WORDS), ["3", "(4)"]) == [" 3", " (4)"]
    by_itself = spaces_tokenizer(WORDS, "LLaMA 2")
    assert by_itself.tokenize(" 3") == ["▁", "▁3"]
    assert continuations(by_itself, ["3", "(4)"]) == ["3", "(4)"]


def test_a_real_gpt2_is_given_its_space(real_data):
    tokenizer = GPT2Tokenizer.from_pretrained(real_data / "tokenizers" / "gpt2")
    [source], [target] = source_ids(tokenizer, ["Tom has 3"], True), target_ids(tokenizer, ["(3 + 4)"], True)
    assert source + target == [*tokenizer("Tom has 3 ### (3 + 4)")["input_ids"], tokenizer.eos_token_id]
    assert tokenizer.convert_ids_to_tokens(target[:2]) == ["Ġ(", "3"]


def test_no_texts_have_no_ids(student):
    assert source_ids(student.tokenizer, [], student.decoder_only) == []
    assert target_ids(student.tokenizer, [], student.decoder_only) == []


def test_texts_within_the_limits_stay_whole():
    assert limit_lengths(LONG, max_source=5, max_target=9, allowed_share=0) == LONG


def test_longer_texts_are_refused_with_the_numbers():
    with pytest.raises(UserError) as error:
        limit_lengths(LONG, max_source=5, max_target=8, allowed_share=0.2)
    assert str(error.value) == (
        "student.max_source_tokens 5, max_target_tokens 8: 1 of 4 training texts are longer (longest 5 and 9); "
        "raise the limits or student.max_truncated_share (now 0.2)"
    )


def test_the_allowed_share_of_longer_texts_is_cut():
    first, second = limit_lengths(LONG, max_source=5, max_target=8, allowed_share=0.25)
    assert first.pairs == (([1] * 5, [2] * 3), ([1] * 5, [2] * 8))
    assert second == LONG[1]
    cut = limit_lengths(LONG, max_source=2, max_target=1, allowed_share=1)
    assert {(len(source), len(target)) for e in cut for source, target in e.pairs} == {(2, 1)}


def test_a_cut_leaves_what_a_decoder_only_student_is_asked_by_and_ends_with(student):
    encoded = encode(student.tokenizer, [EXAMPLE], student.decoder_only)
    [cut] = limit_lengths(encoded, max_source=6, max_target=4, allowed_share=1)
    for (source, target), (short, written) in zip(encoded[0].pairs, cut.pairs):
        if student.decoder_only:
            separator = source_ids(student.tokenizer, ["Ann"], True)[0][1:]
            assert len(separator) == 3
            assert short == source[:3] + separator
            assert written == (target if len(target) <= 4 else [*target[:3], student.tokenizer.eos_token_id])
        else:
            assert (short, written) == (source[:6], target[:4])
    assert any(len(target) > 4 for _, target in encoded[0].pairs)
    assert (
        kept_ends(student.tokenizer, student.decoder_only) == cut.ends == ((3, 1) if student.decoder_only else (0, 0))
    )


def test_the_ends_are_kept_even_where_they_are_longer_than_the_limit():
    [cut] = limit_lengths([Encoded((([5, 6, 7, 8], [9, 9, 1]),), ends=(3, 1))], 2, 1, allowed_share=1)
    assert cut.pairs == (([6, 7, 8], [1]),)


def test_tokens_of_an_example_are_those_of_all_its_texts():
    assert [e.tokens for e in LONG] == [22, 12]


def test_an_encoder_decoders_batch_by_hand():
    explained = Encoded((([5, 1], [7, 1]), ([6, 5, 1], [8, 9, 1])))
    batch = collate([explained, Encoded((([5, 5, 1], [7, 7, 1]),))], pad=0, start=0)
    assert batch["sources"].tolist() == [[5, 1, 0], [5, 5, 1], [6, 5, 1]]
    assert batch["mask"].tolist() == [[1, 1, 0], [1, 1, 1], [1, 1, 1]]
    label, explanation = batch["tasks"]
    assert label["rows"].tolist() == [0, 1]
    assert label["inputs"].tolist() == [[0, 7, 1], [0, 7, 7]]
    assert label["targets"].tolist() == [7, 1, 7, 7, 1]
    assert (label["at"].tolist(), label["of"].tolist()) == ([0, 1, 3, 4, 5], [0, 0, 1, 1, 1])
    assert explanation["rows"].tolist() == [2]
    assert explanation["inputs"].tolist() == [[0, 8, 9]]
    assert explanation["targets"].tolist() == [8, 9, 1]


def test_padding_and_its_mask_by_hand():
    ids, mask = padded_with_mask([[5], [6, 7, 1]], pad=1)  # the end token pads, and is masked only where it does
    assert ids.tolist() == [[5, 1, 1], [6, 7, 1]] and mask.tolist() == [[1, 0, 0], [1, 1, 1]]
    ids, mask = padded_with_mask([[5], [6, 7, 1]], pad=0, left=True)
    assert ids.tolist() == [[0, 0, 5], [6, 7, 1]] and mask.tolist() == [[0, 0, 1], [1, 1, 1]]
    assert padded([[5], [6, 7]], -100).tolist() == [[5, -100], [6, 7]]


def test_a_decoder_only_students_batch_by_hand():
    explained = Encoded((([5, 6], [7, 1]), ([6], [8, 9, 1])))
    batch = collate_continuations([explained, Encoded((([5], [7, 1]),))], pad=1)  # it may pad with its end token
    label, explanation = batch["tasks"]
    assert label["inputs"].tolist() == [[5, 6, 7], [5, 7, 1]]
    assert label["mask"].tolist() == [[1, 1, 1], [1, 1, 0]]
    assert label["targets"].tolist() == [7, 1, 7, 1]  # nothing of the source, and the end once
    assert (label["at"].tolist(), label["of"].tolist()) == ([1, 2, 3, 4], [0, 0, 1, 1])  # [-, 7, 1], [7, 1, -]
    assert explanation["inputs"].tolist() == [[6, 8, 9]]
    assert explanation["targets"].tolist() == [8, 9, 1]


def test_each_kind_of_student_gets_its_own_batch(student):
    encoded = encode(student.tokenizer, [EXAMPLE], student.decoder_only)
    batch = collator(student)(encoded)
    assert ("sources" in batch) == (not student.decoder_only)
    real = [task["targets"].tolist() for task in batch["tasks"]]
    assert real == [target for _, target in encoded[0].pairs]
    assert all(task["targets"].dtype == torch.long for task in batch["tasks"])


def test_a_step_in_passes_by_hand(student):
    explained = Encoded((([5, 1], [7, 1]), ([6, 5, 1], [8, 9, 1])))
    short, long = Encoded((([5, 1], [7, 1]),)), Encoded((([5] * 9, [7, 7, 1]),))
    [whole] = step_collator(student, None)([explained, short, long])["passes"]
    assert "whole" not in whole
    cut = step_collator(student, 14)([explained, short, long])["passes"]
    assert [[len(task["inputs"]) for task in batch["tasks"]] for batch in cut] == [[1], [1, 1], [1]]  # longest first
    assert all(batch["whole"] == [(3, 2 + 2 + 3), (1, 3)] for batch in cut)  # rows and target tokens of each task
