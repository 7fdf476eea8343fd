"""The students of a profile by name: section `student`, and what each of section `students` differs in from it.

all_students(cfg.student, {"small": {"d_model": 32}})["small"].d_model      # 32
all_students(cfg.student, {"small": {"d_model": 32}})["base"].d_model       # 64, as in section `student`
"""

from typing import Any

from pydantic import ValidationError

from lib.errors import UserError
from lib.settings import Student

BASE = "base"  # the name of section `student` among the students


def all_students(base: Student, others: dict[str, dict[str, Any]]) -> dict[str, Student]:
    """Sections `student` and `students` as settings by name, "base" first.

    others   {"small": {"d_model": 32}}: the difference of each from `base`
    Raises UserError naming `students.<name>.<key>`.
    """
    if BASE in others:
        raise UserError(f"students.{BASE}: the name of section `student`; give this one another")
    return {BASE: base, **{name: _differing(base, name, keys) for name, keys in others.items()}}


def _differing(base: Student, name: str, keys: dict[str, Any]) -> Student:
    try:
        return Student.model_validate({**base.model_dump(), **keys})
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(["students", name, *map(str, first["loc"])])
        if first["type"] == "extra_forbidden":
            raise UserError(f"{where}: unknown key; allowed: {', '.join(Student.model_fields)}") from None
        raise UserError(f"{where}: {first['msg']} (given {first['input']!r:.60})") from None
