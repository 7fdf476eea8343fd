"""How alike texts are, 0 to 1. Symmetric; a text is wholly like itself.

jaccard("He has 3 pens.", "He has 4 pens.")         # 0.6: {he, has, pens} of {he, has, 3, 4, pens}
tfidf(["3 + 4 = 7", "It is 7", "It is 7"])          # float[3, 3]: [[1, .14, .14], [.14, 1, 1], [.14, 1, 1]]
get_similarity("sentence-transformers/all-MiniLM-L6-v2")    # the same by a model of the hub, or of a local folder

To add one, enter a function of texts in SIMILARITIES.
"""

import re
from collections import Counter
from collections.abc import Callable, Sequence
from functools import lru_cache, partial
from pathlib import Path

import numpy as np

from lib.errors import UserError

Similarity = Callable[[str, str], float]
Matrix = Callable[[Sequence[str]], np.ndarray]  # N texts -> float[N, N]

DECIMALS = 6  # so that rounding errors, which follow the order of the texts, break no tie


def jaccard(a: str, b: str) -> float:
    """Token-set Jaccard, |A ∩ B| / |A ∪ B|. Two texts without a token are alike: 1."""
    return _overlap(tokens(a), tokens(b))


def jaccard_matrix(texts: Sequence[str]) -> np.ndarray:
    """`jaccard` of each two texts, float[N, N]."""
    sets = [tokens(text) for text in texts]
    alike = np.ones((len(sets), len(sets)))
    for i, first in enumerate(sets):
        for j in range(i):
            alike[i, j] = alike[j, i] = _overlap(first, sets[j])
    return alike


def tfidf(texts: Sequence[str]) -> np.ndarray:
    """Cosine of the texts' TF-IDF vectors, float[N, N]: shared tokens count for more the fewer texts have them.

    Fitted on the N texts given and on nothing else:  idf(t) = 1 + ln((1 + N) / (1 + texts that have t)).
    Two texts without a token are alike: 1; one without and one with: 0.
    """
    counts = [Counter(words(text)) for text in texts]
    column = {word: i for i, word in enumerate(sorted(set().union(*counts)))}
    vectors = np.zeros((len(counts), len(column)))
    for row, own in zip(vectors, counts):
        row[[column[word] for word in own]] = list(own.values())
    having = np.count_nonzero(vectors, axis=0)
    return _cosine(vectors * (1 + np.log((1 + len(counts)) / (1 + having))))


def embedded(model: str, texts: Sequence[str]) -> np.ndarray:
    """Cosine of a sentence-transformers model's embeddings, float[N, N]; a negative one counts as 0.

    model    owner/name on the Hugging Face hub, or a local folder
    raises   UserError where package or model is missing, or an embedding is not finite
    """
    different = sorted(set(texts))  # one text has one embedding, wherever in a padded batch it stands
    if not different:
        return np.ones((0, 0))
    vectors = np.asarray(_model(model).encode(different, show_progress_bar=False), dtype=float)
    if not np.isfinite(vectors).all():
        worst = different[int(np.argmin(np.isfinite(vectors).all(axis=1)))]
        raise UserError(f"similarity {model!r}: an embedding that is not finite, of {worst!r:.80}")
    place = [different.index(text) for text in texts]
    return _cosine(vectors)[np.ix_(place, place)]


SIMILARITIES: dict[str, Matrix] = {"jaccard": jaccard_matrix, "tfidf": tfidf}


def get_similarity(name: str) -> Matrix:
    """By name, or by a model's owner/name or folder (a name with a slash); a model is loaded when first used.

    Raises UserError listing what is allowed.
    """
    if name in SIMILARITIES:
        return SIMILARITIES[name]
    if "/" in name:
        return partial(embedded, name)
    raise UserError(f"unknown similarity {name!r}; allowed: {_allowed()}")


def unpooled(name: str) -> Matrix:
    """`get_similarity`, but what two texts have in common does not depend on which others stand beside them.

    tfidf weighs a token by the texts that it is fitted on: here by the two that are compared, nothing else.
    """
    matrix = get_similarity(name)
    return partial(_pair_by_pair, matrix) if matrix is tfidf else matrix


def in_words(name: str) -> str:
    """What a similarity is, for a caption: "token-set Jaccard", "cosine of TF-IDF vectors", ... of a model."""
    known = {"jaccard": "token-set Jaccard", "tfidf": "cosine of TF-IDF vectors"}
    return known.get(name, f"cosine of embeddings by {name}")


def words(text: str) -> list[str]:
    """The lower-cased words, numbers and operators of a text, in order; punctuation does not count."""
    return re.findall(r"\d+(?:\.\d+)?|\w+|[-+*/=]", text.lower())


def tokens(text: str) -> frozenset[str]:
    """`words`, each once."""
    return frozenset(words(text))


def groups(alike: np.ndarray, count: int) -> list[list[int]]:
    """N texts in exactly `count` clusters (N, where that is less): agglomerative, average linkage on 1 - similarity.

    alike     float[N, N]
    returns   the texts' positions by cluster. Among equally near pairs the order of the texts decides

    groups([[1, .9, .1], [.9, 1, .2], [.1, .2, 1]], 2) is [[2], [0, 1]].
    """
    alike = np.asarray(alike, dtype=float)
    texts = len(alike)
    clusters = {i: [i] for i in range(texts)}
    if texts > count:
        # loaded here, for every check of params.yaml loads this module
        from scipy.cluster.hierarchy import linkage
        from scipy.spatial.distance import squareform

        merges = linkage(squareform(1 - alike, checks=False), "average")
        for number, (left, right) in enumerate(merges[: texts - count, :2].astype(int)):
            clusters[texts + number] = sorted(clusters.pop(left) + clusters.pop(right))
    return list(clusters.values())


def _pair_by_pair(matrix: Matrix, texts: Sequence[str]) -> np.ndarray:
    alike = np.ones((len(texts), len(texts)))
    for i, first in enumerate(texts):
        for j in range(i):
            alike[i, j] = alike[j, i] = matrix([first, texts[j]])[0, 1]
    return alike


def _overlap(first: frozenset[str], second: frozenset[str]) -> float:
    union = len(first | second)
    return len(first & second) / union if union else 1.0


def _cosine(vectors: np.ndarray) -> np.ndarray:
    """float[N, V] -> float[N, N], negative values cut off; a vector of zeros is like another one and like no other."""
    norms = np.linalg.norm(vectors, axis=1, keepdims=True)
    unit = vectors / np.where(norms, norms, 1)
    nothing = norms[:, 0] == 0
    alike = np.clip(np.round(unit @ unit.T, DECIMALS), 0, 1)
    alike[np.ix_(nothing, nothing)] = 1
    np.fill_diagonal(alike, 1)
    return np.maximum(alike, alike.T)  # of two roundings of one number


@lru_cache
def _model(name: str):
    """A sentence-transformers model, loaded once a process."""
    try:
        from sentence_transformers import SentenceTransformer  # seconds to import: only where it is used
    except ImportError as error:
        raise UserError(f"similarity {name!r}: pip install sentence-transformers ({error}); or {_allowed()}") from None
    if name.startswith((".", "/", "~")) and not Path(name).expanduser().is_dir():
        raise UserError(f"similarity {name!r}: no such folder; allowed: {_allowed()}")
    try:
        return SentenceTransformer(str(Path(name).expanduser()))
    except Exception as error:  # which of a dozen kinds it is depends on hub, network and file format
        reason = " ".join(str(error).split())[:200]
        raise UserError(f"similarity {name!r}: no such model can be loaded ({reason}); allowed: {_allowed()}") from None


def _allowed() -> str:
    return f"{', '.join(SIMILARITIES)}, a sentence-transformers model as owner/name of the hub or as a folder"
