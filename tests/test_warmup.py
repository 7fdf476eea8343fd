"""Folds, warm-up examples and cross-fitting."""

import json
from collections import Counter
from dataclasses import replace
from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lib import paths, training, warmup
from lib.config import load_config
from lib.errors import UserError
from lib.records import Question, Rationale
from lib.scoring import score_all
from lib.student import Student, start_student
from lib.warmup import MEND, cross_fitted, folds, story, warmup_examples
from lib.words import continuing_tokenizer, words_tokenizer

CONFIG = load_config()  # only for the settings that these tests do not name
SETTINGS = CONFIG.student.model_copy(
    update={"source": "scratch", "tokenizer": "words", "d_model": 16, "d_ff": 32, "layers": 1, "heads": 2, "dropout": 0}
)
GPT2 = SETTINGS.model_copy(update={"architecture": "gpt2"})
SLC = CONFIG.slc.model_copy(update={"warmup_steps": 2, "empty_share": 0.5})

QUESTIONS = [
    Question(
        question_id=f"q{i}", task="arithmetic", split="train", text=f"Has {i} pens, buys 4.", gold_label=f"({i} + 4)"
    )
    for i in range(6)
]
RATIONALES = [
    Rationale(
        question_id=q.id,
        sample=sample,
        split="train",
        text="",
        reasoning=f"So {i} + 4 = {i + 4}.",
        teacher_label=q.gold_label,
        how="answer sentence",
        correct=True,
        wrong_steps=(),
    )
    for i, q in enumerate(QUESTIONS)
    for sample in range(2)
]


def asked(ids, story=lambda i: f"About {i}", task="svamp") -> list[Question]:
    one = QUESTIONS[0]
    return [one.model_copy(update={"question_id": i, "task": task, "text": f"{story(i)}. And {i}?"}) for i in ids]


IDS = st.lists(st.text("abcdefgh", min_size=1, max_size=5), unique=True, max_size=20)


@given(IDS, st.integers(1, 4), st.integers(0, 5))
def test_folds_cut_all_ids_into_parts_of_like_size(ids, n, seed):
    parts = folds(asked(ids), n, seed)
    assert sorted(i for part in parts for i in part) == sorted(ids)
    assert len(parts) == n and max(map(len, parts)) - min(map(len, parts)) <= 1
    assert folds(asked(ids[::-1]), n, seed) == parts


@given(st.dictionaries(st.text(max_size=5), st.integers(0, 3), max_size=20), st.integers(1, 4), st.integers(0, 5))
def test_questions_about_one_story_stay_together_whatever_their_numbers(story_of, n, seed):
    names = ["pens", "cups", "boys", "figs"]
    questions = asked(story_of, lambda i: f"Tom has {len(i)}.5 {names[story_of[i]]}")
    parts = folds(questions, n, seed)
    stories = [[story_of[i] for i in part] for part in parts]
    assert sum(len(set(part)) for part in stories) == len(set(story_of.values()))
    largest = max(Counter(story_of.values()).values(), default=0)
    assert max(map(len, parts)) - min(map(len, parts)) <= max(largest, 1)


def test_another_question_of_one_sentence_and_a_generated_one_stand_alone():
    one = [q.model_copy(update={"text": f"Is it {q.id}?"}) for q in asked("ab", task="strategy_qa")]
    generated = asked("ab", lambda i: "Tom has 3 pens", task="arithmetic")
    assert [sorted(map(len, folds(questions, 2, 0))) for questions in (one, generated)] == [[1, 1], [1, 1]]


def test_few_of_svamps_twins_are_split(real_data):
    rows = json.loads((real_data / "datasets/SVAMP/SVAMP.json").read_text(encoding="utf-8"))
    texts = dict.fromkeys(f"{row['Body'].strip().rstrip('.')}. {row['Question']}" for row in rows)
    questions = [QUESTIONS[0].model_copy(update={"question_id": t, "task": "svamp", "text": t}) for t in texts]
    place = {i: n for n, part in enumerate(folds(questions, 2, 0)) for i in part}
    told = {q.id: story(q) for q in questions}
    near = [(a, b) for a, b in combinations(told, 2) if len(told[a] & told[b]) >= 0.8 * len(told[a] | told[b])]
    assert len(near) > 2000
    assert sum(place[a] != place[b] for a, b in near) < 0.25 * len(near)  # by chance half of them


def test_folds_change_with_the_seed():
    assert len({str(folds(QUESTIONS, 2, seed)) for seed in range(8)}) > 1


@pytest.fixture(scope="module")
def reader() -> Student:
    texts = [part for r in RATIONALES for part in ("--> Has pens, buys", r.reasoning, r.teacher_label)]
    return start_student(SETTINGS, words_tokenizer(texts), seed=0)


def read(reader: Student, ids) -> str:
    return reader.tokenizer.decode(ids)


def kinds(reader, examples) -> Counter:
    """How many examples there are of each (text, target)."""
    return Counter(tuple(read(reader, ids) for ids in pair) for example in examples for pair in example.pairs)


def test_the_kinds_of_example_come_in_the_set_shares(reader):
    many = [RATIONALES[6].model_copy(update={"sample": s}) for s in range(1000)]
    question, answer = "Has 3 pens , buys 4 . </s>", "- - > ( 3 + 4 ) </s>"
    whole = f"So 3 + 4 = 7 . {answer}"
    found = kinds(reader, warmup_examples(reader, QUESTIONS, many, empty_share=0.25, seed=0))
    assert set(found) == {(question, answer), (question, whole), ("</s>", whole)}
    assert 140 < found[question, answer] < 260  # binomial(1000, .2): more than four standard deviations
    assert 140 < found["</s>", whole] < 260  # binomial(1000, .8 * .25)


def test_no_completion_is_without_its_question_for_a_share_of_0_and_all_are_for_1(reader):
    none = kinds(reader, warmup_examples(reader, QUESTIONS, RATIONALES, empty_share=0, seed=0))
    every = kinds(reader, warmup_examples(reader, QUESTIONS, RATIONALES, empty_share=1, seed=0))
    assert not [source for source, _ in none if source == "</s>"]
    assert all((source == "</s>") == ("So" in target) for source, target in every)


def test_a_decoder_only_student_is_warmed_up_on_the_same_texts_in_its_own_form():
    texts = [part for r in RATIONALES for part in ("--> Has pens, buys", r.reasoning, r.teacher_label)]
    continuing = start_student(GPT2, continuing_tokenizer(texts), seed=0)
    many = [RATIONALES[6].model_copy(update={"sample": s}) for s in range(100)]
    question, answer = "Has 3 pens , buys 4 . # # #", "- - > ( 3 + 4 ) </s>"
    whole = f"So 3 + 4 = 7 . {answer}"
    found = kinds(continuing, warmup_examples(continuing, QUESTIONS, many, empty_share=0.25, seed=0))
    assert set(found) == {(question, answer), (question, whole), ("<s>", whole)}


def test_a_decoder_only_student_scores_after_its_warm_up(monkeypatch, tmp_path):
    monkeypatch.setattr("lib.paths.SCRATCH", tmp_path)
    found = [score for group in scores(1, GPT2) for score in group]
    assert len(found) == len(RATIONALES)
    assert all(score.slc > 0 and score.log_p < 0 for score in found)
    assert len({score.slc for score in found}) > 1


def test_only_the_given_questions_are_seen(reader):
    assert len(warmup_examples(reader, QUESTIONS[:2], RATIONALES, empty_share=0, seed=0)) == 4


def test_each_question_is_scored_once_by_the_student_that_did_not_see_it(monkeypatch, tmp_path):
    monkeypatch.setattr("lib.paths.SCRATCH", tmp_path)  # students of an earlier run would be found there
    seen = []

    def noting(student, questions, *rest):
        seen.append({q.id for q in questions})
        return warmup_examples(student, questions, *rest)

    monkeypatch.setattr("lib.warmup.warmup_examples", noting)
    fitted = cross_fitted(QUESTIONS, RATIONALES, SETTINGS, SLC, workers=1)
    assert sorted(q.id for _, held_out in fitted for q in held_out) == sorted(q.id for q in QUESTIONS)
    for (_, held_out), studied in zip(fitted, seen, strict=True):
        assert studied == {q.id for q in QUESTIONS} - {q.id for q in held_out}
    assert len({scorer.name for scorer, _ in fitted}) == 2


def scores(workers: int, settings=SETTINGS) -> list:
    targets = {r.id: r.teacher_label for r in RATIONALES}
    fitted = cross_fitted(QUESTIONS, RATIONALES, settings, SLC, workers=workers)
    return [  # without what is kept of an earlier run, which would be the same by itself
        replace(scorer, store=None).score(
            held_out, [r for r in RATIONALES if r.question_id in {q.id for q in held_out}], targets
        )
        for scorer, held_out in fitted
    ]


def test_scores_are_the_same_again_bit_for_bit():
    assert scores(1) == scores(1)


@pytest.mark.slow
def test_scores_do_not_depend_on_the_number_of_processes():
    assert scores(1) == scores(2)


def test_a_student_from_scratch_needs_warming_up():
    with pytest.raises(UserError, match=r"slc\.warmup_steps is 0 and student\.source is scratch"):
        cross_fitted(QUESTIONS, RATIONALES, SETTINGS, SLC.model_copy(update={"warmup_steps": 0}))


def test_one_question_cannot_be_cut_in_two():
    with pytest.raises(UserError, match="1 train questions; cross-fitting needs 2"):
        cross_fitted(QUESTIONS[:1], RATIONALES[:2], SETTINGS, SLC)


def test_scorers_say_whose_they_are_and_keep_what_they_score(monkeypatch, tmp_path):
    monkeypatch.setattr("lib.paths.SCRATCH", tmp_path)
    rough = SLC.model_copy(update={"precision": "bf16"})
    fitted = cross_fitted(QUESTIONS, RATIONALES, SETTINGS, rough, workers=1, name="small")
    targets = {r.id: r.teacher_label for r in RATIONALES}
    scored, too_long = score_all(fitted, RATIONALES, targets)
    assert [s.rationale_id for s in scored] == [r.id for r in RATIONALES] and not too_long
    assert {s.student for s in scored} == {"small"} and {s.precision for s, _ in fitted} == {"bf16"}
    assert {s.scorer for s in scored} == {f"scratch, 2 steps of warm-up, fold {fold}" for fold in (0, 1)}
    assert len(list((tmp_path / "scores").glob("*.sqlite"))) == 2


@pytest.mark.parametrize("said", ["out of memory", "training stopped at step 0: loss nan"])
def test_a_mishap_of_a_warm_up_names_what_it_reads(monkeypatch, tmp_path, said):
    def fails(model, *_):
        if said == "out of memory":
            raise MemoryError
        return sum(p.sum() for p in model.parameters()) * float("nan")

    monkeypatch.setattr(paths, "SCRATCH", tmp_path)
    monkeypatch.setattr(training, "batch_loss", fails)
    with pytest.raises(UserError, match=said) as error:
        cross_fitted(QUESTIONS, RATIONALES, SETTINGS, SLC, workers=1)
    assert MEND in str(error.value) and "train." not in str(error.value).replace("train:", "")


def test_every_scorer_is_warmed_up_in_fp32(monkeypatch, tmp_path):
    monkeypatch.setattr(paths, "SCRATCH", tmp_path)
    fit, plans = warmup.fit, []
    monkeypatch.setattr(warmup, "fit", lambda *own, **named: plans.append(own[2]) or fit(*own, **named))
    cross_fitted(QUESTIONS, RATIONALES, SETTINGS, SLC.model_copy(update={"precision": "bf16"}), workers=1)
    assert [plan.precision for plan in plans] == ["fp32", "fp32"]


def test_an_interrupted_warm_up_goes_on_and_ends_as_an_uninterrupted_one(monkeypatch, tmp_path):
    settings = SLC.model_copy(update={"warmup_steps": 6})

    def fitted(folder):
        monkeypatch.setattr(paths, "SCRATCH", folder)
        [(one, _), _] = cross_fitted(QUESTIONS, RATIONALES, SETTINGS, settings, workers=1)
        return [weight.tolist() for weight in one.student.model.state_dict().values()]

    whole = fitted(tmp_path / "whole")
    arguments, loss, calls = training._arguments, training.batch_loss, []
    monkeypatch.setattr(training, "_arguments", lambda *rest: replace(arguments(*rest), save_steps=2))

    def killed(*rest):
        calls.append(rest)
        if len(calls) == 5:
            raise KeyboardInterrupt
        return loss(*rest)

    monkeypatch.setattr(training, "batch_loss", killed)
    with pytest.raises(KeyboardInterrupt):
        fitted(tmp_path / "killed")
    [under_way] = (tmp_path / "killed/scorers").glob("*.under-way")
    assert (under_way / "checkpoint-4").is_dir()
    assert fitted(tmp_path / "killed") == whole
    assert len(calls) == 5 + 2 + 6  # steps 5 and 6 of the first fold, all of the second
    assert not list((tmp_path / "killed/scorers").glob("*.[up]*"))  # neither under way nor partial
