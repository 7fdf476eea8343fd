"""The one exception that is shown without a traceback, and which errors say that memory ran out."""

from collections.abc import Iterable


class UserError(ValueError):
    """Something the user can mend: a setting, a file, a row.

    The message is one line and names the file or row, the value given and what is allowed.
    """


def quoted(names: Iterable[str]) -> str:
    """Names one by one, in quotes, as those of arms hold commas."""
    return ", ".join(map(repr, names))


def out_of_memory(error: BaseException) -> bool:
    """Whether an error means that: on a GPU it has a class of its own, on a CPU or of a mapped file only its words."""
    words = "can't allocate memory", "cannot allocate memory", "not enough memory", "out of memory"
    # torch.OutOfMemoryError by its name: for what reads settings alone, torch is long to import
    own = isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError"
    return own or any(w in str(error).lower() for w in words)
