"""The student and its tokenizer: text to ids and back, weights from a seed, a checkpoint on disk."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tiny_world import STUDENT, data

from lib.errors import UserError
from lib.student import load_student, make_tokenizer, new_student, parameters, tidy, unknown_share, words_tokenizer

TEXTS = data().training_texts()


@pytest.fixture(scope="module")
def student():
    return new_student(STUDENT, TEXTS, seed=0)


def weights(student) -> list[torch.Tensor]:
    return list(student.model.state_dict().values())


def same(one, other) -> bool:
    return all(torch.equal(a, b) for a, b in zip(weights(one), weights(other), strict=True))


def test_ids_end_in_the_end_of_sequence_token(student):
    ids = student.ids("Ann has 10 pens.")
    assert ids[-1] == student.tokenizer.eos_token_id
    assert student.tokenizer.convert_ids_to_tokens(ids) == ["Ann", "has", "10", "pens", ".", "</s>"]
    assert student.ids("") == [student.tokenizer.eos_token_id]


def test_a_text_of_known_words_comes_back(student):
    for text in TEXTS[1:]:  # the first is a list of words, not a sentence
        assert student.text(student.ids(text)) == tidy(text)


def test_special_tokens_are_no_text(student):
    pad = student.tokenizer.pad_token_id
    assert student.text([pad, *student.ids("(10 + 2)"), pad, pad]) == "(10 + 2)"


@pytest.mark.parametrize(
    ("apart", "together"),
    [
        ("( 3 + 4 ) .", "(3 + 4)."),
        ("Tom has 3 pens .", "Tom has 3 pens."),
        (" So , is it 7 ? ", "So, is it 7?"),
        ("12 + 7", "12 + 7"),
        ("", ""),
    ],
)
def test_spaces_around_punctuation_are_undone(apart, together):
    assert tidy(apart) == together


@given(st.lists(st.sampled_from(["(", ")", ".", ",", "+", "12", "pens", "[", "]"])))
def test_tidying_changes_no_character_but_spaces(tokens):
    text = tidy(" ".join(tokens))
    assert text.replace(" ", "") == "".join(tokens)
    assert tidy(text) == text


@given(st.permutations(TEXTS[:12]))
def test_the_tokenizer_does_not_depend_on_the_order_of_texts(texts):
    assert words_tokenizer(texts).get_vocab() == words_tokenizer(TEXTS[:12]).get_vocab()


def test_unknown_words_are_counted(student):
    assert unknown_share(student, ["Ann has pens"]) == 0
    assert unknown_share(student, ["Ann has zebras"]) == pytest.approx(1 / 4)  # the end token counts too
    assert unknown_share(student, []) == 0


def test_weights_follow_from_the_seed(student):
    assert same(student, new_student(STUDENT, TEXTS, seed=0))
    assert not same(student, new_student(STUDENT, TEXTS, seed=1))


def test_parameters_are_counted_once(student):
    d, ff, heads, vocabulary = 16, 32, 2, len(student.tokenizer)
    attention, feed_forward, relative_positions = 4 * d * d, 2 * d * ff, 32 * heads
    encoder = attention + relative_positions + feed_forward + 3 * d
    decoder = 2 * attention + relative_positions + feed_forward + 4 * d
    assert parameters(student) == vocabulary * d + encoder + decoder


def test_a_saved_student_is_the_same_student(student, tmp_path):
    student.save(tmp_path)
    loaded = load_student(tmp_path)
    assert same(student, loaded)
    assert loaded.ids(TEXTS[1]) == student.ids(TEXTS[1])
    assert (tmp_path / "model.safetensors").exists()


def test_a_saved_student_can_be_the_start_of_another(student, tmp_path):
    student.save(tmp_path)
    settings = STUDENT.model_copy(update={"source": str(tmp_path), "tokenizer": str(tmp_path)})
    continued = new_student(settings, ["other words"], seed=5)
    assert same(student, continued)
    assert continued.tokenizer.get_vocab() == student.tokenizer.get_vocab()


def test_heads_must_divide_the_width():
    with pytest.raises(UserError, match=r"student\.heads: 3 does not divide student\.d_model 16"):
        new_student(STUDENT.model_copy(update={"heads": 3}), TEXTS, seed=0)


@pytest.mark.parametrize("key", ["source", "tokenizer"])
def test_a_student_that_cannot_be_loaded_is_named_in_one_line(key, tmp_path):
    absent = str(tmp_path / "absent")
    with pytest.raises(UserError) as error:
        new_student(STUDENT.model_copy(update={key: absent}), TEXTS, seed=0)
    assert str(error.value).startswith(f"student.{key}: cannot load '{absent}'")
    assert "local folder" in str(error.value)
    assert "\n" not in str(error.value)


def test_a_tokenizer_of_words_is_trained_on_the_given_texts():
    vocabulary = make_tokenizer(STUDENT, ["one two"]).get_vocab()
    assert sorted(vocabulary) == ["</s>", "<pad>", "<unk>", "one", "two"]
