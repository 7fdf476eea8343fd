"""How alike texts are: by tokens, by TF-IDF, by a model; and how they cluster by it."""

import sys
from math import log, sqrt

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.feature_extraction.text import TfidfVectorizer

from lib.errors import UserError
from lib.similarity import (
    SIMILARITIES,
    get_similarity,
    groups,
    in_words,
    jaccard,
    jaccard_matrix,
    tfidf,
    tokens,
    unpooled,
    words,
)

TEXTS = st.lists(st.text(max_size=20) | st.sampled_from(["3 + 4 = 7", "4 + 3 = 7", "he has", "...", ""]), max_size=6)


def test_jaccard_by_hand():
    # {he, has, pens} of {he, has, 3, 4, pens}
    assert jaccard("He has 3 pens.", "he has 4 pens") == pytest.approx(3 / 5)
    assert jaccard_matrix(["He has 3 pens.", "he has 4 pens"]) == pytest.approx(np.array([[1, 3 / 5], [3 / 5, 1]]))


def test_operators_and_decimals_count_punctuation_does_not():
    assert tokens("(84 / 2.5) = 33.6, yes!") == {"84", "/", "2.5", "=", "33.6", "yes"}
    assert jaccard("3 + 4", "3 - 4") == pytest.approx(2 / 4)


def test_nothing_in_common_and_nothing_at_all():
    for matrix in SIMILARITIES.values():
        assert matrix(["one", "two", "", "..."]).tolist() == [[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 1], [0, 0, 1, 1]]
        assert matrix([]).shape == (0, 0)


def test_tfidf_by_hand():
    # idf: "a" stands in both texts, ln(3/3) + 1 = 1; "b" and "c" in one, ln(3/2) + 1. Vectors (2, i, 0) and (1, 0, i)
    rare = 1 + log(3 / 2)
    expected = 2 / (sqrt(4 + rare**2) * sqrt(1 + rare**2))
    assert tfidf(["a b a", "A, c"])[0, 1] == pytest.approx(expected, abs=1e-6)


@settings(deadline=None)
@given(texts=TEXTS)
def test_tfidf_is_that_of_scikit_learn(texts):
    texts = [text for text in texts if tokens(text)]
    if texts:
        vectors = TfidfVectorizer(tokenizer=words, token_pattern=None, lowercase=False).fit_transform(texts)
        assert tfidf(texts) == pytest.approx((vectors @ vectors.T).toarray(), abs=2e-6)


@pytest.mark.parametrize("matrix", SIMILARITIES.values(), ids=SIMILARITIES)
@settings(deadline=None)
@given(texts=TEXTS, data=st.data())
def test_symmetric_bounded_1_for_itself_and_whatever_the_order(matrix, texts, data):
    alike = matrix(texts)
    assert alike.shape == (len(texts), len(texts))
    assert (alike >= 0).all() and (alike <= 1).all() and (alike == alike.T).all()
    assert all(alike[i, j] == 1 for i, a in enumerate(texts) for j, b in enumerate(texts) if a == b)
    order = data.draw(st.permutations(range(len(texts))))
    assert (matrix([texts[i] for i in order]) == alike[np.ix_(order, order)]).all()


def test_unknown_similarity_lists_the_allowed():
    with pytest.raises(
        UserError, match="'tfdif'; allowed: jaccard, tfidf, a sentence-transformers model as owner/name"
    ):
        get_similarity("tfdif")


# -- clusters ------------------------------------------------------------------------------------

NEAR = np.array([[1, 0.9, 0.1, 0.2], [0.9, 1, 0.2, 0.1], [0.1, 0.2, 1, 0.7], [0.2, 0.1, 0.7, 1]])


@pytest.mark.parametrize(
    "count, expected",
    [(1, [[0, 1, 2, 3]]), (2, [[0, 1], [2, 3]]), (3, [[0, 1], [2], [3]]), (4, [[0], [1], [2], [3]])],
)
def test_groups_by_hand(count, expected):
    assert sorted(groups(NEAR, count)) == expected
    assert sorted(groups(NEAR, 9)) == [[0], [1], [2], [3]]


def test_average_linkage_is_not_single_linkage():
    # 0-1-2 is a row in which each is near the next; on average 2 is nearer to 3 than to {0, 1}
    row = np.array([[1, 0.9, 0, 0], [0.9, 1, 0.8, 0], [0, 0.8, 1, 0.5], [0, 0, 0.5, 1]])
    assert sorted(groups(row, 2)) == [[0, 1], [2, 3]]


@settings(deadline=None)
@given(texts=TEXTS, count=st.integers(1, 7))
def test_groups_are_a_partition_into_exactly_as_many(texts, count):
    found = groups(tfidf(texts), count)
    assert len(found) == min(count, len(texts))
    assert sorted(i for group in found for i in group) == list(range(len(texts)))
    assert all(found)


# -- sentence-transformers -------------------------------------------------------------------------


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> str:
    """A folder with a tiny BERT of random weights, mean-pooled."""
    package = pytest.importorskip("sentence_transformers", reason="sentence-transformers is not installed")
    import torch
    from sentence_transformers import models
    from transformers import BertConfig, BertModel, BertTokenizerFast

    folder = tmp_path_factory.mktemp("bert")
    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    vocabulary += ["he", "has", "pens", "and", "buys", "so", "3", "4", "7", "+", "="]
    (folder / "vocab.txt").write_text("\n".join(vocabulary), encoding="utf-8")
    BertTokenizerFast(vocab_file=str(folder / "vocab.txt")).save_pretrained(folder)
    torch.manual_seed(0)
    size = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
    BertModel(BertConfig(vocab_size=len(vocabulary), max_position_embeddings=32, **size)).save_pretrained(folder)
    transformer = models.Transformer(str(folder))
    whole = package.SentenceTransformer(modules=[transformer, models.Pooling(16)], device="cpu")
    whole.save(str(folder / "whole"))
    return str(folder / "whole")


def test_a_model_of_a_local_folder(model):
    texts = ["he has 3 pens", "he has 4 pens and buys 3 so 3 + 4 = 7", "he has 3 pens", "7"]
    alike = get_similarity(model)(texts)
    from sentence_transformers import SentenceTransformer

    vectors = SentenceTransformer(model, device="cpu").encode(texts, normalize_embeddings=True)
    assert alike == pytest.approx(np.clip(vectors @ vectors.T, 0, 1), abs=1e-5)
    assert alike[0, 2] == 1 and len(set(np.round(alike[0], 4))) == 3
    assert (alike == alike.T).all() and (np.diag(alike) == 1).all()
    assert get_similarity(model)([]).shape == (0, 0)


@settings(max_examples=10, deadline=None)
@given(data=st.data())
def test_a_model_s_similarity_does_not_depend_on_the_order(model, data):
    texts = ["he has 3 pens", "3 + 4 = 7", "he buys", "he buys", ""]
    order = data.draw(st.permutations(range(len(texts))))
    alike = get_similarity(model)(texts)
    assert (get_similarity(model)([texts[i] for i in order]) == alike[np.ix_(order, order)]).all()


def test_a_model_chooses(model):
    from pools import candidate

    from lib.selection import select

    pool = [candidate(s, reasoning=text) for s, text in enumerate(["he has 3 pens", "he has 3 pens", "7 = 7"])]
    assert {r.sample for r in select(f"first | diversity(2, 1, {model})", pool, 2, 0)} == {0, 2}


def test_a_model_that_is_missing_or_broken(tmp_path):
    pytest.importorskip("sentence_transformers")
    with pytest.raises(UserError, match=r"similarity '/no/such': no such folder; allowed: jaccard, tfidf, "):
        get_similarity("/no/such")(["a"])
    with pytest.raises(UserError, match="no such model can be loaded") as error:
        get_similarity(str(tmp_path))(["a"])
    assert "\n" not in str(error.value)


def test_without_the_package_the_remedy_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "sentence_transformers", None)
    with pytest.raises(UserError, match="'owner/absent': pip install sentence-transformers"):
        get_similarity("owner/absent")(["a"])


def test_an_embedding_that_is_not_finite_is_refused(monkeypatch):
    class Broken:
        def encode(self, texts, **rest):
            return np.array([[1.0, 0.0], [np.nan, 0.0]])

    monkeypatch.setattr("lib.similarity._model", lambda name: Broken())
    with pytest.raises(UserError, match="similarity 'a/b': an embedding that is not finite, of 'two'"):
        get_similarity("a/b")(["two", "one"])


def test_unpooled_does_not_depend_on_the_other_texts():
    texts = ["3 + 4 = 7", "It is 7", "It is 7 cups", "7"]
    assert tfidf(texts[:2])[0, 1] != tfidf(texts)[0, 1]  # what it is for
    alone = unpooled("tfidf")
    assert alone(texts)[0, 1] == alone(texts[:2])[0, 1] == tfidf(texts[:2])[0, 1]
    assert np.array_equal(alone(texts), alone(texts).T) and (np.diag(alone(texts)) == 1).all()
    assert alone([]).shape == (0, 0)


def test_others_are_unpooled_as_they_are():
    assert unpooled("jaccard") is jaccard_matrix
    with pytest.raises(UserError, match="unknown similarity 'cosine'"):
        unpooled("cosine")


def test_what_a_similarity_is_called_in_a_caption():
    assert [in_words(name) for name in (*SIMILARITIES, "a/b")] == [
        "token-set Jaccard",
        "cosine of TF-IDF vectors",
        "cosine of embeddings by a/b",
    ]
