"""The one exception that is shown without a traceback."""


class UserError(ValueError):
    """Something the user can mend: a setting, a file, a row.

    The message is one line and names the file or row, the value given and what is allowed.
    """
