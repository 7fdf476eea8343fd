"""The tasks by name. A new task is one file with its functions and one entry here.

task = get_task("arithmetic")
splits = load_splits("arithmetic", cfg.tasks, cfg.data)
splits.questions[0].id, splits.left_out["train"]["in another split"]        # ("arithmetic-test-00000", 0)
task.extract("Tom has 3 pens. 3 + 4 = 8. The answer is (3 + 4).").label      # "(3 + 4)"
task.equal("(3 + 4)", "7")                                                  # True
task.check(question, rationale).wrong_steps                                 # (1,)
"""

from collections.abc import Callable, Sequence

from lib.errors import UserError
from lib.records import SPLITS, Question, Split
from lib.settings import Data, Tasks
from lib.tasks import (
    add_sub,
    anli,
    aqua,
    arithmetic,
    arithmetic_check,
    coin_flip,
    commonsense_qa,
    date_understanding,
    gsm8k,
    last_letter,
    multi_arith,
    single_eq,
    strategy_qa,
    svamp,
    tracking_shuffled_objects,
)
from lib.tasks.answers import (
    equal_choices,
    equal_dates,
    equal_equations,
    equal_numbers,
    equal_words,
    extract_choice,
    extract_date,
    extract_equation,
    extract_named_choice,
    extract_number,
    extract_string,
    extract_yes_no,
)
from lib.tasks.base import Answer, Extract, Task
from lib.tasks.card import data_card, label_balance
from lib.tasks.datasets import DataSet
from lib.tasks.splits import Splits, limited, published
from lib.verification import Check, Step, check_equations

__all__ = [
    "TASKS", "Answer", "Check", "DataSet", "Splits", "Step", "Task",
    "data_card", "get_task", "label_balance", "load_questions", "load_splits", "published_source",
]  # fmt: skip

Checker = Callable[[Question, str], Check]


def _steps(question: Question, text: str) -> Check:
    return check_equations(text)


def _data_set(
    data_set: DataSet, kind: str, extract: Extract, equal: Callable, check: Checker | None = None, prompts: str = ""
) -> Task:
    """A task whose questions are all published."""
    return Task(data_set.name, kind, prompts or data_set.name, extract, equal, check, data_set=data_set)


TASKS: dict[str, Task] = {
    task.name: task
    for task in (
        Task(
            "arithmetic", "equation", "arithmetic", extract_equation, equal_equations, arithmetic_check.check,
            arithmetic.load,
        ),
        Task(
            "coin_flip", "yes_no", "coin_flip", extract_yes_no, equal_words, coin_flip.check,
            coin_flip.load, coin_flip.DATA_SET,
        ),
        Task(
            "last_letter", "string", "last_letter", extract_string, equal_words, last_letter.check,
            last_letter.load, last_letter.DATA_SET,
        ),
        _data_set(svamp.DATA_SET, "equation", extract_equation, equal_equations, _steps),
        _data_set(single_eq.DATA_SET, "number", extract_number, equal_numbers, _steps),
        _data_set(add_sub.DATA_SET, "number", extract_number, equal_numbers, _steps),
        _data_set(multi_arith.DATA_SET, "number", extract_number, equal_numbers, _steps),
        _data_set(gsm8k.DATA_SET, "number", extract_number, equal_numbers, _steps),
        _data_set(aqua.DATA_SET, "choice", extract_choice, equal_choices),
        _data_set(commonsense_qa.DATA_SET, "choice", extract_choice, equal_choices),
        _data_set(strategy_qa.DATA_SET, "yes_no", extract_yes_no, equal_words),
        _data_set(anli.ROUND_1, "choice", extract_named_choice, equal_choices, prompts="anli"),
        _data_set(anli.ROUND_2, "choice", extract_named_choice, equal_choices, prompts="anli"),
        _data_set(anli.ROUND_3, "choice", extract_named_choice, equal_choices, prompts="anli"),
        _data_set(date_understanding.DATA_SET, "date", extract_date, equal_dates),
        _data_set(tracking_shuffled_objects.DATA_SET, "choice", extract_choice, equal_choices),
    )
}  # fmt: skip


def get_task(name: str) -> Task:
    """The task of that name. UserError lists the allowed ones."""
    if name not in TASKS:
        raise UserError(f"task: unknown task {name!r}; allowed: {', '.join(TASKS)}")
    return TASKS[name]


def published_source(name: str, tasks: Tasks) -> DataSet | None:
    """The data set that a task's questions come from; None where they are generated."""
    task = get_task(name)
    both = task.generate is not None and task.data_set is not None
    return None if both and getattr(tasks, name).source == "generated" else task.data_set


def load_splits(name: str, tasks: Tasks, data: Data, splits: Sequence[Split] = SPLITS) -> Splits:
    """A task's questions, sorted by id, and how many were left out, by split and reason.

    tasks, data   the sections of params.yaml
    splits        those that are wanted; where the publishers split, test and validation can be had without train

    No question text stands in two splits, and a split is the same whichever others are wanted. Raises UserError for an
    unknown task and for files it cannot use.
    """
    data_set = published_source(name, tasks)
    if data_set:
        return limited(published(data_set, data, splits), data.limits)
    questions = get_task(name).generate(getattr(tasks, name))
    wanted = sorted((q for q in questions if q.split in splits), key=lambda question: question.id)
    return limited(Splits(wanted), data.limits)


def load_questions(name: str, tasks: Tasks, data: Data) -> list[Question]:
    """All questions of a task, sorted by id; `load_splits` also says how many were left out."""
    return load_splits(name, tasks, data).questions
