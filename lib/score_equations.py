"""The equations of scoring, of PeCoTD and MoRSD, on log-probabilities in nats.

    self_logic_consistency(np.log([[0.5, 0.5]]), np.log([[0.25, 0.125]]), np.ones((1, 2), bool))    # [2.83] = sqrt(8)
    of_sums(given=Sums(-1.39, 2, ...), alone=Sums(-3.47, 2, ...), ...)["slc"]                       # 2.83 as well

The first form is the definition, on every token; the engine keeps a pair's sums only and uses the second one.
"""

import numpy as np

from lib.forcing import Sums


def mean_log_prob(log_probs: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Mean over each row's tokens.

    log_probs  float[B, T], nats;  mask  bool[B, T], True on the tokens that count, at least one a row
    returns    float[B]
    """
    return np.where(mask, log_probs, 0.0).sum(-1) / mask.sum(-1)


def perplexity(log_p):
    """PPL = exp( -mean_t log P(c_t|q,c_<t) ), ≥ 1, from the mean that `Score.log_p` holds: perplexity(-0.693) = 2.0."""
    return np.exp(-np.asarray(log_p))


def self_logic_consistency(conditional: np.ndarray, marginal: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """How much the question helps the student predict a completion.

    PeCoTD eq. 3, per token:  SLC = P(c|q) / P(c) = exp( mean_t log P(c_t|q,c_<t) - mean_t log P(c_t|c_<t) )
    conditional, marginal   float[B, T], log-probabilities in nats per token
    mask                    bool[B, T], True on completion tokens
    returns                 float[B] > 0; 1 means the question did not help
    """
    return np.exp(mean_log_prob(conditional, mask) - mean_log_prob(marginal, mask))


def pointwise_mutual_information(conditional: np.ndarray, marginal: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """The same summed over tokens, so that a longer completion counts for more:  PMI = log P(c|q) - log P(c).

    Arguments as for `self_logic_consistency`; returns float[B], nats; 0 means the question did not help.
    """
    return np.where(mask, conditional - marginal, 0.0).sum(-1)


def rationale_difficulty(with_rationale: np.ndarray, without: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """How much harder the answer is after the rationale than before it; below 1 the rationale helps.

    MoRSD:  RD = PPL(a|q,r) / PPL(a|q) = exp( mean_t log P(a_t|q,a_<t) - mean_t log P(a_t|q,r,a_<t) )
    with_rationale, without   float[B, A], log-probabilities of the answer's tokens, nats
    mask                      bool[B, A], True on answer tokens
    returns                   float[B] > 0
    """
    return np.exp(mean_log_prob(without, mask) - mean_log_prob(with_rationale, mask))


def of_sums(given: Sums, alone: Sums, towards: Sums, masked: Sums, prior: Sums, own_prior: Sums) -> dict[str, float]:
    """The columns of `records.Score` by name; the arguments are those of `scoring.Pairs`, scored.

    Not finite where an argument is not.
    """
    with np.errstate(over="ignore"):  # infinity is refused where the rationale can be named
        return {
            "slc": float(np.exp(given.mean - alone.mean)),
            "pmi": given.total - alone.total,
            "rd": float(np.exp(prior.answer_mean - towards.answer_mean)),
            "rd_masked": float(np.exp(prior.answer_mean - masked.answer_mean)),
            "rd_own": float(np.exp(own_prior.answer_mean - given.answer_mean)),
            "log_p": given.mean,
            "log_p_answer": own_prior.answer_mean,
        }
