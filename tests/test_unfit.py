"""A model, its tokenizer and the texts must fit each other."""

from types import SimpleNamespace

import pytest
from tiny import KINDS
from tiny_world import STUDENT

from lib.errors import UserError
from lib.unfit import refuse_no_room, refuse_other_end, refuse_positions, refuse_unfit


@pytest.mark.parametrize("kind", KINDS)
def test_what_fits_stays_as_it_is(kind):
    student = KINDS[kind]()
    before = student.tokenizer.pad_token_id
    refuse_unfit(student.model, student.tokenizer, "here", "its tokenizer")
    assert student.tokenizer.pad_token_id == before


@pytest.mark.parametrize(("spare", "refused"), [(0, False), (-1, True)])
def test_a_tokenizer_may_have_as_many_tokens_as_the_model(spare, refused):
    student = KINDS["encoder-decoder"]()
    size = len(student.tokenizer)
    student.model.config.vocab_size = size + spare
    if not refused:
        refuse_unfit(student.model, student.tokenizer, "here", "its tokenizer")
        return
    with pytest.raises(UserError, match=rf"^here: its tokenizer has {size} tokens, the model only {size - 1}; give"):
        refuse_unfit(student.model, student.tokenizer, "here", "its tokenizer")


@pytest.mark.parametrize("kind", ["encoder-decoder", "as LLaMA"])
def test_without_an_end_no_kind_is_read(kind):
    student = KINDS[kind]()
    student.tokenizer.eos_token = None
    with pytest.raises(UserError, match=r"^here: mine has no end token"):
        refuse_unfit(student.model, student.tokenizer, "here", "mine")


def test_a_decoder_pads_with_its_end_and_an_encoder_decoder_must_pad():
    decoder, encoder = KINDS["as LLaMA"](), KINDS["as BART"]()
    for student in (decoder, encoder):
        student.tokenizer.pad_token = None
    refuse_unfit(decoder.model, decoder.tokenizer, "here", "mine")
    assert decoder.tokenizer.pad_token_id == decoder.tokenizer.eos_token_id
    with pytest.raises(UserError, match="mine has no padding token"):
        refuse_unfit(encoder.model, encoder.tokenizer, "here", "mine")


@pytest.mark.parametrize(
    ("end", "refused"), [(1, False), (40, True), ([40, 1], False), ([40, 41], True), (None, False), (50256, False)]
)
def test_a_tokenizer_that_ends_otherwise_is_of_another_model(end, refused):
    """The model has 50 tokens: an end that it does not have was never set."""
    student = KINDS["encoder-decoder"]()
    student.model.config.vocab_size, student.model.config.eos_token_id = 50, end
    assert student.tokenizer.eos_token_id == 1
    if not refused:
        refuse_other_end(student.model, student.tokenizer, "here", "mine")
        return
    with pytest.raises(
        UserError, match=r"^here: mine ends a text by token 1, the model by 40( or 41)?; give the token"
    ):
        refuse_other_end(student.model, student.tokenizer, "here", "mine")


def positions(both: bool, number: int | None) -> SimpleNamespace:
    return SimpleNamespace(is_encoder_decoder=both, max_position_embeddings=number)


@pytest.mark.parametrize(
    ("both", "enough", "said"), [(False, 96, "together at most 95"), (True, 64, "at most 63 and 61")]
)
def test_positions_are_counted_together_or_apart(both, enough, said):
    """Sources of 64 tokens and targets of 32: one row of a decoder, or each by itself."""
    refuse_positions(STUDENT, positions(both, None))
    refuse_positions(STUDENT, positions(both, enough))
    with pytest.raises(UserError, match=rf"max_source_tokens 64 and max_target_tokens 32: {said}, for 'scratch' has"):
        refuse_positions(STUDENT, positions(both, enough - 1))


def test_an_encoder_decoders_targets_need_room_for_two_start_tokens():
    long = STUDENT.model_copy(update={"max_target_tokens": 63})
    refuse_positions(long, positions(True, 65))
    with pytest.raises(UserError, match="at most 64 and 62"):
        refuse_positions(long, positions(True, 64))


LIMIT = "student.max_target_tokens", 64


@pytest.mark.parametrize(
    ("tokens", "room", "written", "said"),
    [
        (10**6, None, LIMIT, None),
        (960, 1024, LIMIT, None),
        (961, 1024, LIMIT, "here: student.max_target_tokens 64: 'long' has 961 tokens; allowed: 960, so that what is "),
        (1024, 1024, None, None),
        (1025, 1024, None, "here: 'long' has 1025 tokens; allowed: the student's 1024 positions; shorten"),
    ],
)
def test_a_text_needs_positions_and_behind_it_what_a_decoder_writes(tokens, room, written, said):
    if said is None:
        refuse_no_room("long", tokens, room, written, "here: ")
        return
    with pytest.raises(UserError) as error:
        refuse_no_room("long", tokens, room, written, "here: ")
    assert str(error.value).startswith(said)
