"""What is scored of a rationale: its token ids, the answer among them, and the answer that RD is towards."""

import pytest
from tiny import KINDS, RATIONALES, question, rationale

from lib.errors import UserError
from lib.pairs import Pair, encode_pairs, rd_targets
from lib.student import Student


@pytest.fixture(scope="module", params=KINDS)
def student(request) -> Student:
    return KINDS[request.param]()


def test_the_answer_is_its_tokens_without_the_end(student):
    [encoded] = encode_pairs(student, [Pair("Tom has 3 pens.", "3 + 4 = 7.", "(3 + 4)")])
    first, last = encoded.answer
    assert student.tokenizer.decode(encoded.target[first:last]) == "( 3 + 4 )"
    assert encoded.target[last:] == (student.tokenizer.eos_token_id,)


def test_the_answer_is_found_behind_spaces_and_before_them(student):
    pairs = [Pair("", "  3 + 4 = 7.", "(3 + 4)  "), Pair("", "3 + 4 = 7.", "(3 + 4)")]
    padded, plain = encode_pairs(student, pairs)
    assert padded.target == plain.target and padded.answer == plain.answer


def test_no_question_is_what_the_tokenizer_makes_of_nothing():
    alone = {kind: encode_pairs(made(), [Pair("", "7.", "7")])[0].source for kind, made in KINDS.items()}
    tokens = {kind: made().tokenizer for kind, made in KINDS.items()}
    named = {kind: tokens[kind].convert_ids_to_tokens(list(source)) for kind, source in alone.items()}
    assert named == {
        "encoder-decoder": ["</s>"],
        "decoder-only": ["</s>"],
        "as BART": ["<s>", "</s>"],
        "as LLaMA": ["<s>"],
    }


def test_nothing_to_encode_is_nothing(student):
    assert encode_pairs(student, []) == []


def test_an_answer_without_a_token_is_refused(student):
    with pytest.raises(UserError, match="the answer '' has no token"):
        encode_pairs(student, [Pair("Tom has 3 pens.", "3 + 4 = 7.", "")])
    with pytest.raises(UserError, match="the answer '  ' has no token"):
        encode_pairs(student, [Pair("Tom has 3 pens.", "3 + 4 = 7.", "  ")])


def test_rd_is_towards_gold_else_the_majority_never_silently_the_own_answer():
    asked, one = [question(0, None)], [RATIONALES[1]]
    majority = {"qT": "(3 + 4)"}
    assert rd_targets([question(0, "( 3.0 + 4.0 )")], one, majority, "gold") == {"qT/001": "( 3.0 + 4.0 )"}
    assert rd_targets(asked, one, majority, "gold") == {"qT/001": "(3 + 4)"}
    assert rd_targets(asked, one, majority, "majority") == {"qT/001": "(3 + 4)"}
    assert rd_targets(asked, one, majority, "own") == {"qT/001": "(3 - 4)"}


def test_the_gold_label_is_spelt_as_the_teacher_spells_it():
    one = rationale(0).model_copy(update={"correct": True})
    labels = ["(3+4)", "(4 + 3)", "(4 + 3)"]
    by_teacher = [one.model_copy(update={"sample": i, "teacher_label": label}) for i, label in enumerate(labels)]
    towards = rd_targets([question(0, "( 3.0 + 4.0 )")], by_teacher, {}, "gold")
    assert set(towards.values()) == {"(4 + 3)"}


def test_unknown_rd_target_lists_the_allowed():
    with pytest.raises(UserError, match=r"slc\.rd_target: unknown 'glod'; allowed: gold, majority, own"):
        rd_targets([], [], {}, "glod")
