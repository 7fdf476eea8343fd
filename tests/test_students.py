"""Several students by name: each as the base but for what it says, a wrong difference refused by its key."""

import pytest
from tiny_world import STUDENT

from lib.errors import UserError
from lib.students import all_students


def test_students_differ_from_the_base_by_what_they_say():
    students = all_students(STUDENT, {"small": {"d_model": 8}, "gpt2": {"architecture": "gpt2"}})
    assert list(students) == ["base", "small", "gpt2"]
    assert students["base"] == STUDENT
    assert students["small"] == STUDENT.model_copy(update={"d_model": 8})
    assert students["gpt2"] == STUDENT.model_copy(update={"architecture": "gpt2"})
    assert all_students(STUDENT, {}) == {"base": STUDENT}


@pytest.mark.parametrize(
    ("others", "said"),
    [
        ({"small": {"d_modle": 8}}, "students.small.d_modle: unknown key; allowed: source, architecture, tokenizer, d"),
        ({"small": {"d_model": 0}}, "students.small.d_model: Input should be greater than or equal to 1 (given 0)"),
        ({"g": {"architecture": "bert"}}, "students.g.architecture: Input should be 't5' or 'gpt2' (given 'bert')"),
        ({"base": {}}, "students.base: the name of section `student`; give this one another"),
    ],
)
def test_a_wrong_student_is_refused_by_its_key(others, said):
    with pytest.raises(UserError) as error:
        all_students(STUDENT, others)
    assert str(error.value).startswith(said)
