"""A question in; an answer, a rationale and the student's own verdict out."""

import json
import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest
from tiny_world import data

import lib.ask
from lib import paths
from lib.ask import Reasoner, main
from lib.errors import UserError
from lib.inference import Written, write
from lib.records import VERDICTS, write_json
from lib.votes import judge

TEST = [q.text for q in data().split("test")]


def test_it_answers_explains_and_judges(trained):
    reasoner = Reasoner.load(trained["judge"], task="svamp")
    said = reasoner.ask(TEST[0])
    [answer] = write(reasoner.student, [f"predict: {TEST[0]}"], 8)
    [rationale] = write(reasoner.student, [f"explain: {TEST[0]}"], 32)
    assert (said.answer, said.rationale) == (answer.text or None, rationale.text)
    [judged] = judge(reasoner.student, [rationale.text])
    assert (said.verdict, said.p_correct) == (judged["student_verdict"], judged["p_correct"])
    assert 0 <= said.p_correct <= 1


def headline(run: Path, folder: Path) -> Path:
    """A headline student as 04_train leaves it, by that notebook's own lines."""
    cells = json.loads((paths.ROOT / "notebooks" / "04_train.ipynb").read_text())["cells"]
    [cell] = [text for text in ("".join(c["source"]) for c in cells) if "HEADLINE_STUDENT" in text]
    kept = SimpleNamespace(folder=run, run=SimpleNamespace(arm="5 CoTs w/ SE", seed=0))
    first = {"5 CoTs w/ SE": kept.run}
    names = {"json": json, "shutil": shutil, "write_json": write_json, "UserError": UserError}
    names |= {"cfg": SimpleNamespace(task="svamp", train=SimpleNamespace(headline=kept.run.arm)), "first": first}
    names |= {"paths": SimpleNamespace(HEADLINE_STUDENT=folder), "results": [kept]}
    exec(cell, names)
    return folder


DOCUMENTED = "Tom has 3 pens. Tom buys 4 pens. How many pens does Tom have now?"
HEADLINE_METRICS = paths.REPORTS / "metrics" / "05_ablate.json"


def of_the_default() -> bool:
    """Whether the headline student is here (`make pull`), and is the default profile's."""
    there = (paths.HEADLINE_STUDENT / "model.safetensors").is_file() and HEADLINE_METRICS.is_file()
    return there and json.loads(HEADLINE_METRICS.read_text(encoding="utf-8"))["profile"] == "default"


def test_the_documented_question_is_one():
    assert DOCUMENTED in (paths.ROOT / "README.md").read_text(encoding="utf-8") and DOCUMENTED in lib.ask.__doc__


@pytest.mark.skipif(not of_the_default(), reason="the default profile's headline student is not here")
def test_the_documented_question_is_answered_as_documented():
    said = Reasoner.load(paths.HEADLINE_STUDENT).ask(DOCUMENTED)
    # what exactly it says differs from processor to processor, as its training does
    assert said.answer and said.rationale.endswith(".") and said.rationale_answer and said.unknown == 0
    assert said.verdict in VERDICTS and 0 <= said.p_correct <= 1


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"samples": -1}, r"^samples: given -1; .*greater than or equal to 0"),
        ({"samples": 3, "temperature": 0.0}, r"^temperature: given 0\.0; .*greater than 0"),
        ({"samples": 3, "temperature": -1.0}, r"^temperature: given -1\.0"),
        ({"samples": 3, "temperature": float("nan")}, "^temperature: given nan"),
        ({"samples": 3, "top_p": 0.0}, r"^top_p: given 0\.0; .*greater than 0"),
        ({"samples": 3, "top_p": 1.5}, r"^top_p: given 1\.5; .*less than or equal to 1"),
    ],
)
def test_draws_that_cannot_be_made_are_refused(trained, given, said):
    with pytest.raises(UserError, match=said):
        Reasoner.load(trained["judge"], task="svamp").ask(TEST[0], **given)


def test_words_that_it_does_not_know_are_told(trained, capsys):
    reasoner = Reasoner.load(trained["judge"], task="svamp")
    known = data().split("train")[0].text
    assert [one.unknown for one in reasoner.ask_all([known, f"{known} Zebra quokka"])] == [0, 2]
    assert reasoner.ask("Zebra quokka", samples=2).unknown == 2
    assert main([str(trained["judge"]), "Zebra quokka", "--task", "svamp"]) == 0
    assert "tokens of the question that it does not know: 2" in capsys.readouterr().out
    assert main([str(trained["judge"]), known, "--task", "svamp"]) == 0
    assert "does not know" not in capsys.readouterr().out


def test_the_documented_example_works_on_the_headline_student(trained, tmp_path, capsys):
    """No predictions lie beside it, which would tell the task."""
    folder = headline(trained["judge"], tmp_path / "headline_student")
    assert {path.name for path in folder.iterdir()} == {
        *(path.name for path in (trained["judge"] / "student").iterdir()), "recipe.json"
    }  # fmt: skip
    reasoner, run = Reasoner.load(str(folder)), Reasoner.load(trained["judge"], task="svamp")
    assert reasoner.task.name == "svamp" and reasoner.judges and reasoner.explains
    said = reasoner.ask(TEST[0])
    assert said == run.ask(TEST[0]) and said.verdict in ("correct", "wrong", "uncertain") and 0 <= said.p_correct <= 1
    assert reasoner.ask(TEST[0], samples=3) == run.ask(TEST[0], samples=3)
    assert main([str(folder), TEST[0], "--samples", "3"]) == 0
    assert "P(correct)" in capsys.readouterr().out


def test_together_or_one_by_one(trained):
    reasoner = Reasoner.load(trained["judge"], task="svamp")
    for samples in (0, 3):
        together = reasoner.ask_all(TEST, samples=samples)
        alone = [reasoner.ask(text, samples=samples) for text in TEST]
        assert [(s.answer, s.rationale, s.verdict) for s in together] == [
            (s.answer, s.rationale, s.verdict) for s in alone
        ]
        assert [s.p_correct for s in together] == pytest.approx([s.p_correct for s in alone], abs=1e-5)


def test_it_says_no_more_than_it_learned(trained):
    said = Reasoner.load(trained["labels"], task="svamp").ask(TEST[0])
    assert (said.rationale, said.verdict, said.p_correct) == (None, None, None)
    first = Reasoner.load(trained["first"], task="svamp").ask(TEST[0])
    assert first.answer == first.rationale_answer and first.p_correct is None and first.rationale is not None


def test_samples_agree_on_the_answer_it_believes(trained, monkeypatch):
    """7 is said once with .9, 8 twice with .4 each: weighed, 7 wins; unweighed, 8 would."""
    texts = ["So 8. The answer is 8.", "So 7. The answer is 7.", "Thus 8. The answer is 8."]
    reasoner = Reasoner.load(trained["judge"], task="multi_arith")
    monkeypatch.setattr("lib.ask.draw", lambda *_: [[Written(text, 5, False) for text in texts]])
    belief = {"So 7. The answer is 7.": 0.9}
    answers = lambda _, shown: [{"student_verdict": "correct", "p_correct": belief.get(text, 0.4)} for text in shown]  # noqa: E731
    monkeypatch.setattr("lib.ask.judge", answers)
    said = reasoner.ask("How many?", samples=3)
    assert (said.answer, said.rationale, said.p_correct) == ("7", texts[1], 0.9)
    reasoner.judges = False
    said = reasoner.ask("How many?", samples=3)
    assert (said.answer, said.rationale, said.p_correct) == ("8", texts[0], None)


def test_an_arrow_without_a_label_is_no_answer_and_no_vote(trained, monkeypatch):
    reasoner = Reasoner.load(trained["first"], task="svamp")
    texts = ["So it is. -->", "Thus it is. -->", "3 + 4 = 7. --> (3 + 4)"]
    written = [Written(text, 5, False) for text in texts]
    monkeypatch.setattr("lib.ask.write", lambda *_: written[:1])
    said = reasoner.ask("How many?")
    assert (said.answer, said.rationale, said.rationale_answer) == (None, "So it is.", None)
    monkeypatch.setattr("lib.ask.draw", lambda *_: [written])
    assert reasoner.ask("How many?", samples=3).answer == "(3 + 4)"


@pytest.mark.parametrize(
    ("arm", "task", "reason"), [("judge", None, "task is not known"), ("labels", "svamp", "labels alone")]
)
def test_samples_that_cannot_vote_are_refused(trained, arm, task, reason):
    with pytest.raises(UserError, match=rf"samples: 3, but it.*{reason}.*allowed: 0"):
        Reasoner.load(trained[arm], task=task).ask(TEST[0], samples=3)


def test_bad_questions_are_refused(trained):
    reasoner = Reasoner.load(trained["judge"])
    with pytest.raises(UserError, match="question: an empty text"):
        reasoner.ask("  ")
    with pytest.raises(UserError, match="choices: given for 1 of 2 questions"):
        reasoner.ask_all(TEST, choices=[("a", "b")])
    with pytest.raises(UserError, match="unknown task 'sums'"):
        Reasoner.load(trained["judge"], task="sums")


def test_the_command_line(trained, tmp_path, capsys):
    assert main([str(trained["judge"]), TEST[0], "--task", "svamp"]) == 0
    assert "its own verdict:" in capsys.readouterr().out
    assert main([str(tmp_path), "How many?"]) == 1
    assert capsys.readouterr().err.startswith("error: ")
