"""The engine against one pair at a time, what it refuses, and what it does not compute twice."""

import json
import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from tiny import KINDS, QUESTIONS, RATIONALES, TARGETS, TEXTS, question, tiny_gpt2, tiny_t5
from transformers import AutoTokenizer, GPT2Tokenizer

from lib import forcing, scoring
from lib.errors import UserError
from lib.pairs import Pair, encode_pairs, pairs_of
from lib.records import Question, Rationale, Refined
from lib.score_store import ScoreStore
from lib.scoring import Scorer, score_all
from lib.student import Student


@pytest.fixture(scope="module", params=KINDS)
def student(request) -> Student:
    return KINDS[request.param]()


def scorer(student: Student, **limits) -> Scorer:
    return Scorer(student, name="tiny", **{"max_source": 99, "max_target": 99, **limits})


@torch.no_grad()
def plain_log_probs(student: Student, pair: Pair) -> list[float]:
    """The plain way: one pair, the model's own forward, the whole log-softmax."""
    model, tokenizer = student.model.eval(), student.tokenizer
    text = f"{pair.reasoning} --> {pair.answer}".strip()
    if model.config.is_encoder_decoder:
        source, target = tokenizer(pair.question)["input_ids"], tokenizer(text)["input_ids"]
        logits = model(input_ids=torch.tensor([source]), labels=torch.tensor([target])).logits[0]
        if target[0] == tokenizer.bos_token_id:  # a BART is given it, and predicts what follows
            logits, target = logits[1:], target[1:]
    else:
        target = tokenizer(" " + text, add_special_tokens=False)["input_ids"] + [tokenizer.eos_token_id]
        prompt = f"{pair.question} ###" if pair.question else None
        begin = tokenizer.eos_token_id if tokenizer.bos_token_id is None else tokenizer.bos_token_id
        before = tokenizer(prompt)["input_ids"] if prompt else [begin]
        if before[-1] == tokenizer.eos_token_id and prompt:  # a T5's tokenizer, lent to a decoder-only student
            before = before[:-1]
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


def assert_equal(score, expected: dict[str, float]) -> None:
    """Equal to 1e-5. PMI is a sum over tokens, so to 1e-5 a token."""
    found = {name: getattr(score, name) for name in expected}
    for values in (found, expected):
        values["pmi"] /= score.tokens
    assert found == pytest.approx(expected, rel=1e-5, abs=1e-5)


def assert_plain(student: Student, scores, rationales=RATIONALES) -> None:
    by_id = {q.question_id: q for q in QUESTIONS}
    for score, one in zip(scores, rationales, strict=True):
        expected = plain_score(student, by_id[one.question_id], one, TARGETS[one.id])
        assert (score.rationale_id, score.student, score.scorer) == (one.id, "base", "tiny")
        assert_equal(score, expected)


def test_scores_equal_one_pair_at_a_time(student):
    assert_plain(student, scorer(student).score(QUESTIONS, RATIONALES, TARGETS))


@pytest.mark.parametrize("budget", [1, 40, 100_000])
def test_any_order_and_batch_size_gives_the_same(student, budget):
    rationales = RATIONALES[::-1]
    assert_plain(student, scorer(student, budget=budget).score(QUESTIONS[::-1], rationales, TARGETS), rationales)


def test_scoring_leaves_dropout_off(student):
    student.model.train()
    assert_plain(student, scorer(student).score(QUESTIONS, RATIONALES, TARGETS))


class Counted:
    """Notes every row that is forced, and every source that an encoder reads."""

    def __init__(self, monkeypatch):
        self.rows, self.sources = [], []
        forced, encoder_states = scoring.forced_sums, forcing._encoder_states

        def counting(model, encoded, *rest):
            self.rows += encoded
            return forced(model, encoded, *rest)

        def encoding(model, sources, budget):
            self.sources += sources
            return encoder_states(model, sources, budget)

        monkeypatch.setattr(scoring, "forced_sums", counting)
        monkeypatch.setattr(forcing, "_encoder_states", encoding)


@pytest.fixture
def counted(monkeypatch) -> Counted:
    return Counted(monkeypatch)


def test_equal_texts_are_scored_once_and_each_question_is_encoded_once(student, counted):
    one = scorer(student)
    one.token_log_probs([Pair("Tom has", "3", "pens")])  # so that its model has been looked at
    counted.sources.clear()
    one.score(QUESTIONS, RATIONALES, TARGETS)
    assert len(counted.rows) == len(set(counted.rows)) > 0
    seq2seq = student.model.config.is_encoder_decoder
    assert len(counted.sources) == (3 if seq2seq else 0)  # two questions, and no question
    before = len(counted.rows)
    one.score(QUESTIONS, RATIONALES, TARGETS)
    assert len(counted.rows) == before


@pytest.mark.parametrize("at_once", [1, 2])
def test_chunks_do_not_change_a_score(student, monkeypatch, at_once):
    monkeypatch.setattr(scoring, "QUESTIONS_AT_ONCE", at_once)
    mixed = [RATIONALES[i] for i in (3, 0, 4, 2, 1)]
    assert_plain(student, scorer(student).score(QUESTIONS, mixed, TARGETS), mixed)


def test_the_order_given_does_not_change_a_bit(student):
    scores = scorer(student).score(QUESTIONS, RATIONALES, TARGETS)
    assert scorer(student).score(QUESTIONS[::-1], RATIONALES[::-1], TARGETS)[::-1] == scores


def test_another_run_scores_only_what_is_new(student, counted, tmp_path):
    first = scorer(student, store=tmp_path).score(QUESTIONS, RATIONALES[:2], TARGETS)
    before = len(counted.rows)
    assert scorer(student, store=tmp_path).score(QUESTIONS, RATIONALES[:2], TARGETS) == first
    assert len(counted.rows) == before
    extended = scorer(student, store=tmp_path).score(QUESTIONS, RATIONALES[:3], TARGETS)
    assert extended[:2] == first and len(counted.rows) == before + 1  # "--> (3 + 4)" was known with its question


def test_what_a_killed_run_had_scored_is_kept_chunk_by_chunk(student, counted, monkeypatch, tmp_path):
    monkeypatch.setattr(scoring, "QUESTIONS_AT_ONCE", 1)
    killed = scorer(student, store=tmp_path)
    put, puts = ScoreStore.put, []

    def put_once(store, sums):
        if puts:
            raise KeyboardInterrupt
        puts.append(put(store, sums))

    monkeypatch.setattr(ScoreStore, "put", put_once)
    with pytest.raises(KeyboardInterrupt):
        killed.score(QUESTIONS, RATIONALES, TARGETS)
    monkeypatch.setattr(ScoreStore, "put", put)
    first_chunk = {pair for i in (3, 4) for pair in pairs_of(QUESTIONS[1], RATIONALES[i], TARGETS[RATIONALES[i].id])}
    counted.rows.clear()
    assert_plain(student, scorer(student, store=tmp_path).score(QUESTIONS, RATIONALES, TARGETS))
    known = set(encode_pairs(student, sorted(first_chunk)))
    assert counted.rows and not known & set(counted.rows)


def test_a_scorer_with_other_weights_knows_nothing_of_it(student, counted, tmp_path):
    scorer(student, store=tmp_path).score(QUESTIONS, RATIONALES, TARGETS)
    before = len(counted.rows)
    other = Student(type(student.model)(student.model.config), student.tokenizer)
    scorer(other, store=tmp_path).score(QUESTIONS, RATIONALES, TARGETS)
    assert len(counted.rows) == 2 * before


def test_a_refined_rationale_has_its_own_score(student):
    rewritten = Refined(**{**RATIONALES[1].model_dump(), "sample": 0}, chain="slc_high", round=2)
    both, targets = [RATIONALES[0], rewritten], {**TARGETS, rewritten.id: TARGETS[RATIONALES[0].id]}
    scores = scorer(student, student_name="small").score(QUESTIONS, both, targets)
    assert [s.id for s in scores] == ["qT/000 small", "qT/000@slc_high/2 small"]
    [alone] = scorer(student).score(QUESTIONS, [rewritten], targets)
    assert alone.slc == scores[1].slc != scores[0].slc


def test_bf16_is_near_and_its_scores_are_kept_apart(student, tmp_path):
    exact = scorer(student, store=tmp_path).score(QUESTIONS, RATIONALES, TARGETS)
    rough = scorer(student, store=tmp_path, precision="bf16").score(QUESTIONS, RATIONALES, TARGETS)
    assert [s.slc for s in rough] != [s.slc for s in exact]
    assert [s.log_p for s in rough] == pytest.approx([s.log_p for s in exact], rel=0.02)
    assert {s.precision for s in exact} == {"fp32"} and {s.precision for s in rough} == {"bf16"}
    assert len(list(tmp_path.iterdir())) == 2
    assert next(student.model.parameters()).dtype == torch.float32


@pytest.mark.parametrize("budget", [1, 40])
def test_in_bf16_a_score_may_depend_on_its_batch_but_little(student, budget):
    together = scorer(student, precision="bf16").score(QUESTIONS, RATIONALES, TARGETS)
    apart = scorer(student, precision="bf16", budget=budget).score(QUESTIONS, RATIONALES, TARGETS)
    assert [s.log_p for s in apart] == pytest.approx([s.log_p for s in together], abs=0.03)


def test_a_score_names_the_answer_that_its_rd_is_towards(student):
    [score] = scorer(student).score(QUESTIONS, RATIONALES[1:2], {"qT/001": "(4 + 3)"})
    assert (score.rd_target, score.precision) == ("(4 + 3)", "fp32")


def test_an_unknown_precision_lists_the_allowed(student):
    with pytest.raises(UserError, match=r"slc\.precision: unknown 'fp8'; allowed: fp32, bf16"):
        scorer(student, precision="fp8").score(QUESTIONS, RATIONALES, TARGETS)


def test_a_model_that_changes_its_logits_is_refused(student):
    class Squashed(type(student.model)):
        def forward(self, *args, **kwargs):
            out = super().forward(*args, **kwargs)
            return replace(out, logits=torch.tanh(out.logits * 9))

    model = Squashed(student.model.config)
    with pytest.raises(UserError, match="student Squashed: cannot be scored or trained, its logits are no projection"):
        scorer(Student(model, student.tokenizer)).score(QUESTIONS, RATIONALES, TARGETS)


def test_the_token_log_probs_of_a_pair_are_what_its_scores_sum_up(student):
    pairs = pairs_of(QUESTIONS[0], RATIONALES[0], TARGETS["qT/000"])
    given, alone = scorer(student).token_log_probs([pairs.given, pairs.alone])
    [score] = scorer(student).score(QUESTIONS, RATIONALES[:1], TARGETS)
    assert len(given) == len(alone) == score.tokens
    assert math.exp(np.mean(given - alone)) == pytest.approx(score.slc, rel=1e-5)


@pytest.mark.parametrize("make, kind, name", [(tiny_t5, AutoTokenizer, "t5"), (tiny_gpt2, GPT2Tokenizer, "gpt2")])
def test_real_tokenizers_on_messy_text(make, kind, name, real_data):
    student = make(kind.from_pretrained(real_data / "tokenizers" / name))
    asked = Question(question_id="qT", task="svamp", split="train", text=TEXTS[0][0], gold_label="( 3.0 + 4.0 )")
    messy = "Paco's  cookies:  $40.50 — “half”\tof 81.\n So (40.5 * 2) = 81"
    one = RATIONALES[0].model_copy(update={"reasoning": messy, "teacher_label": "(40.5 * 2)"})
    [score] = scorer(student, max_target=200).score([asked], [one], {one.id: asked.gold_label})
    expected = plain_score(student, asked, one, asked.gold_label)
    assert_equal(score, expected)


@pytest.mark.parametrize("budget", [1, 700])
@pytest.mark.parametrize("make, kind, name", [(tiny_t5, AutoTokenizer, "t5"), (tiny_gpt2, GPT2Tokenizer, "gpt2")])
def test_real_rationales_by_real_tokenizers_equal_one_pair_at_a_time(make, kind, name, budget, real_data):
    student = make(kind.from_pretrained(real_data / "tokenizers" / name))
    lines = (real_data / "teacher/strategy_qa.gpt35.3cot.jsonl").read_text(encoding="utf-8").split("\n")[:6]
    rows = [json.loads(line) for line in lines]
    questions = {
        r["question"]: question().model_copy(update={"question_id": f"q{i // 3}", "text": r["question"]})
        for i, r in enumerate(rows)
    }
    rationales = [
        RATIONALES[0].model_copy(
            update={
                "question_id": questions[r["question"]].id,
                "sample": r["sample"],
                "reasoning": r["response"],
                "teacher_label": r["gold_label"],
            }
        )
        for r in rows
    ]
    targets = {r.id: "Yes" for r in rationales}
    one = scorer(student, max_source=200, max_target=400, budget=budget)
    for score, r in zip(one.score(questions.values(), rationales[::-1], targets), rationales[::-1], strict=True):
        asked = next(q for q in questions.values() if q.id == r.question_id)
        assert_equal(score, plain_score(student, asked, r, "Yes"))


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


def test_what_is_stored_is_refused_by_a_narrower_scorer_all_the_same(student, tmp_path):
    scorer(student, store=tmp_path).score(QUESTIONS, RATIONALES, TARGETS)
    with pytest.raises(UserError, match="qT/000: question of"):
        scorer(student, store=tmp_path, max_target=20).score(QUESTIONS, RATIONALES, TARGETS)


def test_each_question_is_scored_by_its_own_scorer_and_the_too_long_are_listed(student):
    scorers = [(scorer(student, max_target=20), QUESTIONS[:1]), (replace(scorer(student), name="two"), QUESTIONS[1:])]
    scores, too_long = score_all(scorers, RATIONALES[::-1], TARGETS)
    assert [(s.rationale_id, s.scorer) for s in scores] == [
        ("qA/004", "two"), ("qA/003", "two"), ("qT/002", "tiny"), ("qT/001", "tiny")
    ]  # fmt: skip
    assert too_long == [RATIONALES[0]]
    with pytest.raises(UserError, match=r"qT/000 and others: 1 of 5 rationales are too long"):
        score_all(scorers, RATIONALES, TARGETS, allowed_share=0.1)
    with pytest.raises(UserError, match="qA/003: its question is of none of the 1 scorers"):
        score_all(scorers[:1], RATIONALES, TARGETS)
    assert score_all([], [], {}) == ([], [])
