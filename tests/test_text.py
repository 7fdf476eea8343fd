from hypothesis import given
from hypothesis import strategies as st

from lib.text import LIMIT, sentences, tidy


def test_an_invented_next_question_is_cut_off():
    assert tidy("He has 2.5  cups.\n So 5. \n\nQ: Next?\nA: 7") == "He has 2.5 cups. So 5."


def test_only_a_line_that_starts_with_q_is_a_next_question():
    assert tidy("FAQ: none. See Q: here.") == "FAQ: none. See Q: here."


def test_the_head_of_a_long_text_is_read():
    assert len(tidy("a" * (3 * LIMIT))) == LIMIT


def test_a_decimal_point_ends_no_sentence():
    assert sentences("He has 2.5 cups. So 5! Or 6?") == ["He has 2.5 cups.", "So 5!", "Or 6?"]


@given(st.text())
def test_tidy_is_idempotent(text):
    assert tidy(tidy(text)) == tidy(text)


@given(st.text())
def test_sentences_lose_nothing(text):
    assert " ".join(sentences(tidy(text))) == tidy(text)
