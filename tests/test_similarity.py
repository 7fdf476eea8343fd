"""Token-set Jaccard."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lib.similarity import SIMILARITIES, jaccard, tokens


def test_by_hand():
    # {he, has, pens} of {he, has, 3, 4, pens}
    assert jaccard("He has 3 pens.", "he has 4 pens") == pytest.approx(3 / 5)


def test_operators_and_decimals_count_punctuation_does_not():
    assert tokens("(84 / 2.5) = 33.6, yes!") == {"84", "/", "2.5", "=", "33.6", "yes"}
    assert jaccard("3 + 4", "3 - 4") == pytest.approx(2 / 4)


def test_nothing_in_common_and_nothing_at_all():
    assert jaccard("one", "two") == 0
    assert jaccard("", "...") == 1
    assert jaccard("", "one") == 0


@pytest.mark.parametrize("similarity", SIMILARITIES.values(), ids=SIMILARITIES)
@given(a=st.text(max_size=30), b=st.text(max_size=30))
def test_symmetric_bounded_and_1_for_itself(similarity, a, b):
    assert 0 <= similarity(a, b) == similarity(b, a) <= 1
    assert similarity(a, a) == 1
