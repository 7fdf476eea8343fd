"""Texts that do not fit are found in all planned runs before the first of them is trained."""

from dataclasses import replace

import pytest
from tiny_world import STUDENT, data, runs

from lib import lengths, paths
from lib import runs as runs_module
from lib.encoding import encode
from lib.errors import UserError
from lib.lengths import refuse_unfit_runs, text_lengths, unknown_share
from lib.records import VERDICTS
from lib.student import decoder_only, new_student

KINDS = ["t5", "gpt2"]
ARMS = {
    "labels": {"explain": False},
    "CoT": {},
    "SE": {"evaluations": 2},
    "first": {"format": "rationale then answer"},
}


def students(**changes):
    return {"base": STUDENT.model_copy(update=changes)}


def with_gold(text: str, split: str):
    world = data()
    name = f"{split}-0"
    world.questions[name] = world.questions[name].model_copy(update={"gold_label": text})
    return world


@pytest.mark.parametrize("kind", KINDS)
def test_lengths_are_those_of_what_is_learned(kind):
    planned = runs(ARMS, students=students(architecture=kind))
    rows = {(row["arm"], row["phase"]): row for row in text_lengths(planned)}
    assert set(rows) == {(arm, "reasoning") for arm in ARMS} | {("SE", "self-evaluation")}
    for run in planned:
        pairs = [p for e in encode(run.tokenizer, run.reasoning_phase, kind == "gpt2") for p in e.pairs]
        row = rows[run.arm, "reasoning"]
        assert row["texts"] == len(pairs)
        assert (row["longest source"], row["longest target"]) == tuple(max(map(len, own)) for own in zip(*pairs))
        assert (row["truncated"], row["share"]) == (0, 0)
    assert rows["labels", "reasoning"]["texts"] == 4 and rows["SE", "self-evaluation"]["texts"] == 16
    refuse_unfit_runs(planned)


def test_what_is_cut_is_counted_by_hand():
    """Every rationale of four questions takes more than ten tokens, no label does."""
    [row] = text_lengths(runs({"CoT": {}}, students=students(max_target_tokens=10)))
    assert (row["texts"], row["truncated"], row["share"]) == (8, 4, 0.5)


def test_the_worst_seed_is_shown():
    few, many = ({"share": share, "longest source": s, "longest target": 5} for share, s in ((0.1, 9), (0.2, 7)))
    assert lengths._worse(few, many) == {"share": 0.2, "longest source": 9, "longest target": 5}


def test_a_text_is_read_once_whatever_learns_from_it(monkeypatch):
    read = []
    ids = lengths.source_ids
    monkeypatch.setattr(lengths, "source_ids", lambda t, texts, d: (read.extend(texts), ids(t, texts, d))[1])
    monkeypatch.setattr(lengths, "READ_AT_ONCE", 3)
    text_lengths(runs({**ARMS, "again": {"rationales": 3}}, seeds=[0, 1]))
    # the arrow's arm has a tokenizer of its own, and asks without a prefix
    assert len(read) == len(set(read)) > 8


def test_an_arm_behind_others_is_refused_by_its_name():
    planned = runs({"labels": {"explain": False}, "CoT": {}}, students=students(max_target_tokens=10))
    with pytest.raises(
        UserError,
        match=r"^arm 'CoT', reasoning: student\.max_source_tokens 64, max_target_tokens 10: 4 of 8 training texts",
    ):
        refuse_unfit_runs(planned)
    allowed = students(max_target_tokens=10, max_truncated_share=0.5)
    refuse_unfit_runs(runs({"CoT": {}}, students=allowed))
    with pytest.raises(UserError, match=r"arm 'SE', self-evaluation: .* 8 of 16 training texts"):
        refuse_unfit_runs(runs({"SE": {"evaluations": 2}}, students=students(max_target_tokens=10)))


@pytest.mark.parametrize("kind", KINDS)
def test_a_label_that_could_never_be_written_is_refused(kind):
    """( 10 + 2 ) are five tokens, and an end."""
    fits, short = (students(architecture=kind, max_label_tokens=most) for most in (5, 4))
    refuse_unfit_runs(runs({"CoT": {}}, students=fits))
    with pytest.raises(UserError) as error:
        refuse_unfit_runs(runs({"CoT": {}}, students=short))
    assert str(error.value) == (
        "arm 'CoT': student.max_label_tokens 4: 4 of 4 training labels are longer and could never be written "
        "(longest 5 tokens: '(13 + 5)'); raise it"
    )
    refuse_unfit_runs(runs({"first": ARMS["first"]}, students=short))  # its label is written with its rationale


@pytest.mark.parametrize("split", ["validation", "test"])
@pytest.mark.parametrize("arm", ["CoT", "first"])
def test_a_gold_label_that_could_never_be_written_is_refused(split, arm):
    world = with_gold("( 10 + 2 ) + 0 + 0 + 0", split)
    few = {"max_label_tokens": 11, "max_target_tokens": 64}
    refuse_unfit_runs(runs({arm: ARMS[arm]}, world, students=students(**few)))
    world = with_gold(" + ".join(["10"] * 33), split)
    name, most = ("max_label_tokens", 11) if arm == "CoT" else ("max_target_tokens", 64)
    with pytest.raises(UserError, match=rf"student\.{name} {most}: 1 of 2 {split} labels .*longest 65 tokens"):
        refuse_unfit_runs(runs({arm: ARMS[arm]}, world, students=students(**few)))


def test_nothing_to_learn_from_is_refused():
    [run] = runs({"SE": {"evaluations": 2}})
    with pytest.raises(UserError, match="arm 'SE': no usable training examples"):
        refuse_unfit_runs([replace(run, reasoning_phase=())])
    with pytest.raises(UserError, match="evaluations: 2, but none of its 4 rationales has a self-evaluation"):
        refuse_unfit_runs([replace(run, evaluation_phase=())])


@pytest.mark.parametrize(("arm", "written"), [("labels", 8), ("CoT", 32), ("first", 32), ("SE", 32)])
def test_a_held_out_question_must_leave_a_decoder_room_to_write(arm, written):
    """Of 64 + 32 + 8 positions; a T5 has no end of them."""
    world = data()
    most = 104 - written - {"first": 3}.get(arm, 5)  # "predict: q ###" are five tokens more than q, "q ###" three
    for extra in (0, 1):
        question = world.questions["test-1"]
        world.questions["test-1"] = question.model_copy(update={"text": " ".join(["pens"] * (most + extra))})
        refuse_unfit_runs(runs({arm: ARMS[arm]}, world))
        planned = runs({arm: ARMS[arm]}, world, students=students(architecture="gpt2"))
        if not extra:
            refuse_unfit_runs(planned)
            continue
        with pytest.raises(UserError, match=rf"_tokens {written}: .* has {105 - written} tokens; .* 104 positions"):
            refuse_unfit_runs(planned)


def test_a_question_beyond_an_encoders_learned_positions_is_refused_before_training(monkeypatch):
    world, planned = data(), runs({"CoT": {}})
    asked = [f"explain: {q.text}" for split in ("validation", "test") for q in world.split(split)]
    longest = max(len(planned[0].tokenizer(text)["input_ids"]) for text in asked)
    for room in (longest, longest - 1):
        monkeypatch.setattr(lengths, "positions", lambda _, room=room: room)
        if room == longest:
            refuse_unfit_runs(planned)
            continue
        with pytest.raises(UserError, match=rf"^arm 'CoT': .* has {longest} tokens; allowed: the student's {room} "):
            refuse_unfit_runs(planned)


def test_a_judged_rationale_must_leave_a_decoder_room_for_a_verdict():
    [run] = runs({"SE": {"evaluations": 2}}, students=students(architecture="gpt2"))
    assert decoder_only(run.student)
    longest = 104 - 5 - 2  # a verdict and its end
    assert len(encode(run.tokenizer, run.evaluation_phase, True)[0].pairs[0][1]) == 2 and len(VERDICTS) == 3
    for tokens in (longest, longest + 1):
        judged = tuple((r, " ".join(["pens"] * tokens), verdict) for r, _, verdict in run.held_out.judged)
        changed = replace(run, held_out=replace(run.held_out, judged=judged))
        if tokens == longest:
            refuse_unfit_runs([changed])
            continue
        with pytest.raises(UserError, match="a verdict of 2: 'predict: pens"):
            refuse_unfit_runs([changed])


def test_unknown_words_are_counted():
    student = new_student(STUDENT, data().training_texts(), seed=0)
    assert unknown_share(student, ["Ann has pens"]) == 0
    assert unknown_share(student, ["Ann has zebras"]) == pytest.approx(1 / 4)  # the end token counts too
    assert unknown_share(student, []) == 0


def test_nothing_is_trained_before_all_runs_were_looked_at(tmp_path, monkeypatch):
    """The longest run goes first and would fit; the last is the one that does not."""
    trained = []
    monkeypatch.setattr(runs_module, "_train_run", lambda run, folder: trained.append(run.arm))
    monkeypatch.setattr(runs_module, "estimate", lambda runs: 0.0)
    monkeypatch.setattr(paths, "SCRATCH", tmp_path / "scratch")
    labels, cot = runs({"labels": {"explain": False, "steps": 99}, "CoT": {}})
    short = replace(cot, student=STUDENT.model_copy(update={"max_target_tokens": 10}))
    with pytest.raises(UserError, match=r"^arm 'CoT', reasoning: .* 4 of 8 training texts"):
        runs_module.train_all([labels, short], tmp_path / "runs", workers=1)
    assert trained == []
