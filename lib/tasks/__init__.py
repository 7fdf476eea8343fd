"""The tasks by name. A new task is one file with its functions and one entry here.

task = get_task("arithmetic")
question = load_questions("arithmetic", cfg.tasks)[0]
task.extract("Tom has 3 pens. 3 + 4 = 8. The answer is (3 + 4).").label      # "(3 + 4)"
task.equal("(3 + 4)", "7")                                                  # True
task.check(question, rationale).wrong_steps                                 # (1,)
"""

from lib.config import Tasks
from lib.equations import equal_equations
from lib.errors import UserError
from lib.records import Question
from lib.tasks import arithmetic, arithmetic_check, coin_flip, last_letter, svamp
from lib.tasks.answers import equal_words, extract_equation, extract_string, extract_yes_no
from lib.tasks.base import Answer, Task
from lib.verification import Check, Step, check_equations

__all__ = ["TASKS", "Answer", "Check", "Step", "Task", "get_task", "load_questions"]

TASKS: dict[str, Task] = {
    task.name: task
    for task in (
        Task("arithmetic", "equation", arithmetic.load, extract_equation, equal_equations, arithmetic_check.check),
        Task("coin_flip", "yes_no", coin_flip.load, extract_yes_no, equal_words, coin_flip.check),
        Task("last_letter", "string", last_letter.load, extract_string, equal_words, last_letter.check),
        Task("svamp", "equation", svamp.load, extract_equation, equal_equations, lambda _, text: check_equations(text)),
    )
}


def get_task(name: str) -> Task:
    """The task of that name. UserError lists the allowed ones."""
    if name not in TASKS:
        raise UserError(f"task: unknown task {name!r}; allowed: {', '.join(TASKS)}")
    return TASKS[name]


def load_questions(name: str, settings: Tasks) -> list[Question]:
    """All questions of a task, sorted by id. `settings` is the section `tasks` of params.yaml.

    No question text stands in two splits. Raises UserError for an unknown task and for files it cannot use.
    """
    return sorted(get_task(name).load(getattr(settings, name)), key=lambda question: question.id)
