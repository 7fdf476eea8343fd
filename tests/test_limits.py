"""What a scoring student cannot read: lengths beside its limits, tokens that its tokenizer does not know."""

from types import SimpleNamespace

import pytest
from transformers import PreTrainedTokenizerFast

from lib.errors import UserError
from lib.limits import lengths, unknown_tokens
from lib.records import Question, Rationale, Refined
from lib.scoring import Scorer
from lib.student import Student
from lib.words import continuing_tokenizer, words_tokenizer

KNOWN = ["Tom has 3 pens .", "( 3 + 4 ) - - > 7 ="]
QUESTION = Question(question_id="q", task="arithmetic", split="train", text="Tom has 3 pens.", gold_label="(3 + 4)")
OTHER = QUESTION.model_copy(update={"question_id": "p", "text": "Ann has 3 pens."})


def rationale(question: str = "q", sample: int = 0, reasoning: str = "3 + 4 = 7.", label: str = "(3 + 4)") -> Rationale:
    said = {"text": reasoning, "reasoning": reasoning, "teacher_label": label, "how": "answer sentence"}
    return Rationale(question_id=question, sample=sample, split="train", correct=None, wrong_steps=None, **said)


def scorer(tokenizer: PreTrainedTokenizerFast, encoder_decoder: bool = True) -> Scorer:
    model = SimpleNamespace(config=SimpleNamespace(is_encoder_decoder=encoder_decoder))
    return Scorer(Student(model, tokenizer), name="tiny", max_source=5, max_target=9)


def targets(*rationales: Rationale) -> dict[str, str]:
    return {r.id: "(3 + 4)" for r in rationales}


def test_lengths_by_hand():
    row = rationale(sample=2)
    [found] = lengths([(scorer(words_tokenizer(KNOWN)), [QUESTION])], [row], targets(row))
    # Tom has 3 pens . </s>, and 3 + 4 = 7 . - - > ( 3 + 4 ) </s>
    asked = {"question_id": "q", "sample": 2, "question": 6, "completion": 15}
    assert found == asked | {"longest question": 5, "longest completion": 9}


def test_rows_come_by_question_and_a_rewritten_one_says_of_which_round_it_is():
    rows = [rationale("q", 1), rationale("q", 0), rationale("p")]
    rows[1] = Refined(**rows[1].model_dump(), chain="slc_high", round=2)
    scorers = [(scorer(words_tokenizer(KNOWN)), [QUESTION]), (scorer(words_tokenizer(KNOWN)), [OTHER])]
    found = lengths(scorers, rows, targets(*rows))
    assert [(row["question_id"], row["sample"], row.get("chain")) for row in found] == [
        ("p", 0, None),
        ("q", 0, "slc_high"),
        ("q", 1, None),
    ]


def test_the_longer_answer_counts():
    row = rationale(label="7")
    [found] = lengths([(scorer(words_tokenizer(KNOWN)), [QUESTION])], [row], targets(row))
    assert found["completion"] == 15  # as it is towards the target; with its own answer it takes 11


@pytest.mark.parametrize(("make", "of"), [(words_tokenizer, True), (continuing_tokenizer, False)])
def test_unknown_tokens_of_questions_and_completions_by_hand(make, of):
    known, strange = rationale(), rationale(sample=1, reasoning="3 plus 4 = 7.")
    one = [(scorer(make(KNOWN), of), [QUESTION, OTHER])]
    assert unknown_tokens(one, [known], targets(known))[0] == 0
    rows = [known, strange, rationale("p")]
    unknown, _ = unknown_tokens(one, rows, targets(*rows))
    assert unknown == 2  # Ann, plus


def test_a_text_counts_once_and_every_scorer_for_its_own():
    rows = [rationale(), rationale(sample=1), rationale("p")]
    poor, rich = scorer(words_tokenizer(["3"])), scorer(words_tokenizer([*KNOWN, "Ann"]))
    alone = unknown_tokens([(poor, [QUESTION])], rows[:1], targets(*rows))
    assert unknown_tokens([(poor, [QUESTION])], rows[:2], targets(*rows)) == alone  # the same texts twice
    unknown, of = unknown_tokens([(poor, [QUESTION]), (rich, [OTHER])], rows, targets(*rows))
    assert unknown == alone[0] > 0 and of == 2 * alone[1]  # nothing is unknown to the second one


def test_an_end_token_that_serves_as_unknown_is_none():
    tokenizer = continuing_tokenizer([*KNOWN, "Ann"])
    tokenizer.unk_token = tokenizer.eos_token  # as in a GPT-2, whose tokens are bytes
    row = rationale()
    assert unknown_tokens([(scorer(tokenizer, False), [QUESTION])], [row], targets(row))[0] == 0


def test_nothing_to_read():
    assert unknown_tokens([(scorer(words_tokenizer(KNOWN)), [QUESTION])], [], {}) == (0, 0)
    assert lengths([(scorer(words_tokenizer(KNOWN)), [QUESTION])], [], {}) == []


@pytest.mark.parametrize("read", [lengths, unknown_tokens])
def test_a_rationale_of_no_scorers_question_is_refused(read):
    rows = [rationale(), rationale("p", 3)]
    with pytest.raises(UserError, match=r"^p/003: its question is of none of the 1 scorers$"):
        read([(scorer(words_tokenizer(KNOWN)), [QUESTION])], rows, targets(*rows))
