"""Candidates to choose from, for the tests of selection."""

from hypothesis import strategies as st

from lib.records import Rationale, Score
from lib.steps import Candidate


def candidate(
    sample, *, slc=1.0, pmi=0.0, rd=1.0, correct=True, wrong_steps=None, verdicts=(), reasoning=None, question="q",
    **score,
) -> Candidate:  # fmt: skip
    """A rationale of sample number `sample`; not scored where slc is None."""
    reasoning = f"step {sample} of {sample}" if reasoning is None else reasoning
    rationale = Rationale(
        question_id=question,
        sample=sample,
        split="train",
        text=reasoning,
        reasoning=reasoning,
        teacher_label="(3 + 4)",
        how="answer sentence",
        correct=correct,
        wrong_steps=wrong_steps,
    )
    rest = {"rd_masked": 1, "rd_own": 1, "log_p": -1, "log_p_answer": -1, "tokens": 9, "scorer": "tiny"} | score
    rest = {"precision": "fp32", "rd_target": "(3 + 4)"} | rest
    row = {"question_id": question, "sample": sample, "slc": slc, "pmi": pmi, "rd": rd, "student": "base"} | rest
    return Candidate(rationale, None if slc is None else Score(**row), tuple(verdicts))


SCORES = st.sampled_from([0.5, 1.0, 2.0])  # few values: many ties
TEXTS = st.sampled_from(["one way", "one more way", "quite another", "3 + 4 = 7", "4 + 3 = 7", "", "..."])
POOLS = st.lists(
    st.builds(
        dict,
        slc=st.none() | SCORES,
        pmi=SCORES,
        rd=SCORES,
        rd_masked=SCORES,
        correct=st.none() | st.booleans(),
        wrong_steps=st.sampled_from([None, (), (0,)]),
        verdicts=st.lists(st.sampled_from(["correct", "wrong", "uncertain"]), max_size=3),
        reasoning=TEXTS,
    ),
    max_size=6,
).map(lambda rows: [candidate(sample, **row) for sample, row in enumerate(rows)])
