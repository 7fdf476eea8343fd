"""SLC, PMI and RD: hand-worked values, and the engine against one pair at a time."""

import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import (
    AutoTokenizer,
    GPT2Config,
    GPT2LMHeadModel,
    GPT2Tokenizer,
    T5Config,
    T5ForConditionalGeneration,
    set_seed,
)

from lib import scoring
from lib.errors import UserError
from lib.forcing import Encoded, Pair, batches_by_budget, encode_pairs, forced_log_probs, start_token, token_log_probs
from lib.masking import mask_answer
from lib.records import Question, Rationale
from lib.scoring import Scorer, pairs_of, rd_targets
from lib.student import Student, words_tokenizer

TEXTS = [
    ("Tom has 3 pens. He buys 4 pens. How many pens?", "He has 3. He buys 4. So 3 + 4 = 7.", "(3 + 4)"),
    ("Tom has 3 pens. He buys 4 pens. How many pens?", "3 - 4 = 1.", "(3 - 4)"),
    ("Tom has 3 pens. He buys 4 pens. How many pens?", "", "(3 + 4)"),
    ("Ann has 8 cups in 2 boxes. How many cups a box, if each box has the same?", "8 / 2 = 4 cups.", "(8 / 2)"),
    ("Ann has 8 cups in 2 boxes. How many cups a box, if each box has the same?", "8 / 2 = 4 cups.", "(8 / 2)"),
]


def question(i: int = 0, gold: str | None = "(3 + 4)") -> Question:
    text, _, _ = TEXTS[i]
    return Question(question_id=f"q{text[0]}", task="arithmetic", split="train", text=text, gold_label=gold)


def rationale(i: int) -> Rationale:
    text, reasoning, label = TEXTS[i]
    return Rationale(
        question_id=f"q{text[0]}",
        sample=i,
        split="train",
        text=f"{reasoning} The answer is {label}.",
        reasoning=reasoning,
        teacher_label=label,
        how="answer sentence",
        correct=None,
        wrong_steps=None,
    )


QUESTIONS = [question(0), question(3, "( 8.0 / 2.0 )")]
RATIONALES = [rationale(i) for i in range(len(TEXTS))]
TARGETS = rd_targets(QUESTIONS, RATIONALES, {}, "gold")


def tiny_t5(tokenizer) -> Student:
    set_seed(0)
    config = T5Config(
        vocab_size=len(tokenizer),
        d_model=16,
        d_kv=8,
        d_ff=32,
        num_layers=1,
        num_decoder_layers=1,
        num_heads=2,
        pad_token_id=tokenizer.pad_token_id,
        eos_token_id=tokenizer.eos_token_id,
        decoder_start_token_id=tokenizer.pad_token_id,
    )
    return Student(T5ForConditionalGeneration(config), tokenizer)


def tiny_gpt2(tokenizer) -> Student:
    set_seed(0)
    config = GPT2Config(vocab_size=len(tokenizer), n_embd=16, n_layer=1, n_head=2, n_positions=256)
    return Student(GPT2LMHeadModel(config), tokenizer)


@pytest.fixture(scope="module", params=[tiny_t5, tiny_gpt2], ids=["encoder-decoder", "decoder-only"])
def student(request) -> Student:
    return request.param(words_tokenizer(part for text in TEXTS for part in (" --> ###", *text)))


def scorer(student: Student, **limits) -> Scorer:
    return Scorer(student, name="tiny", **{"max_source": 99, "max_target": 99, **limits})


@torch.no_grad()
def plain_log_probs(student: Student, pair: Pair) -> list[float]:
    """The plain way: one pair, the model's own forward, the whole log-softmax."""
    model, tokenizer = student.model.eval(), student.tokenizer
    text = f"{pair.reasoning} --> {pair.answer}".strip()
    if model.config.is_encoder_decoder:
        source = tokenizer(pair.question, add_special_tokens=False)["input_ids"] + [tokenizer.eos_token_id]
        target = tokenizer(text, add_special_tokens=False)["input_ids"] + [tokenizer.eos_token_id]
        logits = model(input_ids=torch.tensor([source]), labels=torch.tensor([target])).logits[0]
    else:
        target = tokenizer(" " + text, add_special_tokens=False)["input_ids"] + [tokenizer.eos_token_id]
        prompt = f"{pair.question} ###" if pair.question else None
        before = tokenizer(prompt, add_special_tokens=False)["input_ids"] if prompt else [start_token(student)]
        logits = model(torch.tensor([before + target])).logits[0, len(before) - 1 : -1]
    return logits.log_softmax(-1)[range(len(target)), target].tolist()


def plain_score(student: Student, question: Question, rationale: Rationale, target: str) -> dict[str, float]:
    """Every score of one rationale from `plain_log_probs`; the answer is the last tokens but END."""
    pairs = pairs_of(question, rationale, target)
    log_p = {name: plain_log_probs(student, pair) for name, pair in zip(pairs._fields, pairs)}

    def size(answer: str) -> int:
        return len(student.tokenizer(" " + answer, add_special_tokens=False)["input_ids"])

    def tail(name: str, answer: str) -> float:
        return float(np.mean(log_p[name][-1 - size(answer) : -1]))

    own = rationale.teacher_label
    ratio = np.array(log_p["given"]) - np.array(log_p["alone"])
    return {
        "slc": math.exp(ratio.mean()),
        "pmi": ratio.sum(),
        "rd": math.exp(tail("prior", target) - tail("towards", target)),
        "rd_masked": math.exp(tail("prior", target) - tail("masked", target)),
        "rd_own": math.exp(tail("own_prior", own) - tail("given", own)),
        "log_p": float(np.mean(log_p["given"])),
        "log_p_answer": tail("own_prior", own),
        "tokens": len(log_p["given"]),
    }


def assert_plain(student: Student, scores, rationales=RATIONALES) -> None:
    by_id = {q.question_id: q for q in QUESTIONS}
    for score, one in zip(scores, rationales, strict=True):
        expected = plain_score(student, by_id[one.question_id], one, TARGETS[one.id])
        assert score.id == one.id
        assert {k: getattr(score, k) for k in expected} == pytest.approx(expected, rel=1e-5, abs=1e-5)


# -- equations ---------------------------------------------------------------------------------


def test_token_log_probs_by_hand():
    logits = torch.tensor([[0.0, math.log(3)], [math.log(3), 0.0]])  # P = (1/4, 3/4), (3/4, 1/4)
    found = token_log_probs(logits, torch.tensor([1, 1]))
    assert found.tolist() == pytest.approx([math.log(3 / 4), math.log(1 / 4)])


def test_token_log_probs_is_fp32_in_bf16():
    assert token_log_probs(torch.zeros(1, 2, dtype=torch.bfloat16), torch.tensor([0])).dtype == torch.float32


def test_slc_and_pmi_by_hand():
    # P(c|q) = 1/2 · 1/2, P(c) = 1/4 · 1/8; the third column is padding
    conditional, marginal = np.log([[0.5, 0.5, 1e-9]]), np.log([[0.25, 0.125, 1e-3]])
    mask = np.array([[True, True, False]])
    assert scoring.self_logic_consistency(conditional, marginal, mask) == pytest.approx([math.sqrt(8)])
    assert scoring.pointwise_mutual_information(conditional, marginal, mask) == pytest.approx([math.log(8)])


def test_slc_is_1_and_pmi_0_where_the_question_does_not_help():
    same, mask = np.log([[0.3, 0.2]]), np.ones((1, 2), bool)
    assert scoring.self_logic_consistency(same, same, mask) == pytest.approx([1])
    assert scoring.pointwise_mutual_information(same, same, mask) == pytest.approx([0])


def test_rationale_difficulty_by_hand():
    # PPL(a|q,r) = 2 and PPL(a|q) = 8
    mask = np.array([[True, True]])
    found = scoring.rationale_difficulty(np.log([[0.25, 1.0]]), np.log([[0.125, 0.125]]), mask)
    assert found == pytest.approx([2 / 8])


class Markov(torch.nn.Module):
    """Two tokens: after 0 both are as likely, after 1 the next is 1 with probability 3/4."""

    config, device = SimpleNamespace(is_encoder_decoder=False), torch.device("cpu")

    def get_decoder(self):
        return lambda input_ids, **_: (torch.nn.functional.one_hot(input_ids, 2).float(),)

    def get_output_embeddings(self):
        return lambda states: states @ torch.tensor([[0.0, 0.0], [0.0, math.log(3)]])


def test_two_token_vocabulary_by_hand():
    batch = [Encoded((), (1, 1, 0), (0, 2)), Encoded((0, 1), (1,), (0, 1)), Encoded((1, 0), (1, 0), (0, 1))]
    found = forced_log_probs(Markov(), batch, start=0)
    expected = [[1 / 2, 3 / 4, 1 / 4], [3 / 4], [1 / 2, 1 / 4]]
    for log_p, p in zip(found, expected, strict=True):
        assert np.exp(log_p).tolist() == pytest.approx(p)


# -- the engine --------------------------------------------------------------------------------


def test_scores_equal_one_pair_at_a_time(student):
    assert_plain(student, scorer(student).score(QUESTIONS, RATIONALES, TARGETS))


@pytest.mark.parametrize("budget", [1, 40, 100_000])
def test_any_order_and_batch_size_gives_the_same(student, budget):
    rationales = RATIONALES[::-1]
    assert_plain(student, scorer(student, budget=budget).score(QUESTIONS[::-1], rationales, TARGETS), rationales)


def test_scoring_leaves_dropout_off(student):
    student.model.train()
    assert_plain(student, scorer(student).score(QUESTIONS, RATIONALES, TARGETS))


def test_equal_texts_are_scored_once(student, monkeypatch):
    seen = []
    forced = scoring.forced_log_probs

    def counting(model, batch, start):
        seen.extend(batch)
        return forced(model, batch, start)

    monkeypatch.setattr(scoring, "forced_log_probs", counting)
    one = scorer(student)
    one.score(QUESTIONS, RATIONALES, TARGETS)
    assert len(seen) == len(set(seen)) > 0
    before = len(seen)
    one.score(QUESTIONS, RATIONALES, TARGETS)
    assert len(seen) == before


@pytest.mark.parametrize("make, kind, name", [(tiny_t5, AutoTokenizer, "t5"), (tiny_gpt2, GPT2Tokenizer, "gpt2")])
def test_real_tokenizers_on_messy_text(make, kind, name, real_data):
    student = make(kind.from_pretrained(real_data / "tokenizers" / name))
    asked = Question(question_id="qT", task="svamp", split="train", text=TEXTS[0][0], gold_label="( 3.0 + 4.0 )")
    messy = "Paco's  cookies:  $40.50 — “half”\tof 81.\n So (40.5 * 2) = 81"
    one = RATIONALES[0].model_copy(update={"reasoning": messy, "teacher_label": "(40.5 * 2)"})
    [score] = scorer(student, max_target=200).score([asked], [one], {one.id: asked.gold_label})
    expected = plain_score(student, asked, one, asked.gold_label)
    assert {k: getattr(score, k) for k in expected} == pytest.approx(expected, rel=1e-5, abs=1e-5)


def test_the_answer_is_its_tokens_without_the_end(student):
    [encoded] = encode_pairs(student, [Pair("Tom has 3 pens.", "3 + 4 = 7.", "(3 + 4)")])
    first, last = encoded.answer
    assert student.tokenizer.decode(encoded.target[first:last]) == "( 3 + 4 )"
    assert encoded.target[last:] == (student.tokenizer.eos_token_id,)


def test_no_question_is_the_end_alone_or_nothing(student):
    [encoded] = encode_pairs(student, [Pair("", "3 + 4 = 7.", "(3 + 4)")])
    seq2seq = student.model.config.is_encoder_decoder
    assert encoded.source == ((student.tokenizer.eos_token_id,) if seq2seq else ())


def test_no_rationales_no_scores(student):
    assert scorer(student).score(QUESTIONS, [], {}) == []


def test_logits_that_are_not_finite_name_the_rationale(student):
    broken = Student(type(student.model)(student.model.config), student.tokenizer)
    with torch.no_grad():
        broken.model.get_input_embeddings().weight[student.tokenizer.convert_tokens_to_ids("cups")] = float("nan")
    with pytest.raises(UserError, match=r"qA/003: slc is nan: the logits of tiny are not finite"):
        scorer(broken).score(QUESTIONS, RATIONALES[3:], TARGETS)


def test_too_long_is_refused_by_name_and_can_be_set_aside(student):
    narrow = scorer(student, max_target=20)
    with pytest.raises(UserError, match=r"qT/000: question of \d+ and completion of \d+ tokens; tiny takes 99 and 20"):
        narrow.score(QUESTIONS, RATIONALES, TARGETS)
    fitting, too_long = narrow.fitting(QUESTIONS, RATIONALES, TARGETS)
    assert too_long == [RATIONALES[0]]
    assert len(narrow.score(QUESTIONS, fitting, TARGETS)) == len(fitting)
    with pytest.raises(UserError, match=r"qT/000 and others: 1 of 5 rationales are too long to score .* \(now 0.1\)"):
        narrow.fitting(QUESTIONS, RATIONALES, TARGETS, allowed_share=0.1)


def test_an_answer_without_a_token_is_refused(student):
    with pytest.raises(UserError, match="the answer '' has no token"):
        encode_pairs(student, [Pair("Tom has 3 pens.", "3 + 4 = 7.", "")])


@given(st.lists(st.tuples(st.integers(1, 30), st.integers(1, 30)), max_size=40), st.integers(1, 200))
def test_batches_hold_every_row_once_and_keep_the_budget(sizes, budget):
    encoded = [Encoded((0,) * s, (0,) * t, (0, 1)) for s, t in sizes]
    batches = batches_by_budget(encoded, budget)
    assert sorted(i for batch in batches for i in batch) == list(range(len(sizes)))
    for batch in batches:
        width = max(sizes[i][0] for i in batch) + max(sizes[i][1] for i in batch)
        assert len(batch) * width <= budget or len(batch) == 1


# -- what RD is towards, and masking -----------------------------------------------------------


def test_rd_is_towards_gold_else_the_majority_never_silently_the_own_answer():
    asked, one = [question(0, None)], [RATIONALES[1]]
    majority = {"qT": "(3 + 4)"}
    assert rd_targets([question(0, "( 3.0 + 4.0 )")], one, majority, "gold") == {"qT/001": "( 3.0 + 4.0 )"}
    assert rd_targets(asked, one, majority, "gold") == {"qT/001": "(3 + 4)"}
    assert rd_targets(asked, one, majority, "majority") == {"qT/001": "(3 + 4)"}
    assert rd_targets(asked, one, majority, "own") == {"qT/001": "(3 - 4)"}


def test_unknown_rd_target_lists_the_allowed():
    with pytest.raises(UserError, match=r"slc\.rd_target: unknown 'glod'; allowed: gold, majority, own"):
        rd_targets([], [], {}, "glod")


@pytest.mark.parametrize(
    "reasoning, answer, masked",
    [
        ("He has 3 + 4 = 7.", "( 3.0 + 4.0 )", "He has _ = 7."),
        ("So (3+4) it is, not 13 + 4 or 3 + 41 or 3 + 4.5.", "(3 + 4)", "So _ it is, not 13 + 4 or 3 + 41 or 3 + 4.5."),
        ("((3 + 4) * 2) = 14", "((3 + 4) * 2)", "_ = 14"),
        ("(3 + 4) * (2 + 1) = 21", "(3 + 4) * (2 + 1)", "_ = 21"),
        ("Yes, the eyes say yes.", "yes", "_, the eyes say _."),
        ("Take .*, then yajo.", "yajo", "Take .*, then _."),
        ("Nothing here.", "(3 + 4)", "Nothing here."),
        ("Nothing to mask.", "", "Nothing to mask."),
    ],
)
def test_mask_answer(reasoning, answer, masked):
    assert mask_answer(reasoning, answer) == masked


NUMBERS, SIGNS = st.integers(0, 999), st.sampled_from("+-*/")
PROSE = st.text("ab .,=", max_size=12)


@given(NUMBERS, SIGNS, NUMBERS, PROSE, PROSE, st.sampled_from(["", ".0", ".00"]), st.sampled_from(["", " "]))
def test_every_mention_of_an_equation_is_masked(a, sign, b, before, after, zero, space):
    mention = f"{a}{zero}{space}{sign}{space}{b}"
    masked = mask_answer(f"{before} {mention} {after} ({mention})", f"( {a}.0 {sign} {b}.0 )")
    assert masked == f"{before} _ {after} _"
