"""Which answer does a text give, and do two answers mean the same? One pair of functions a kind of label.

    kind        label                 an answer is read by         and compared by
    equation    "(84 / 2)"            extract_equation             equal_equations, by value
    number      "42", "0.5", "1/3"    extract_number               equal_numbers, by value
    choice      "math problem"        extract_choice (lettered)    equal_choices, letter case and white space aside
                                      extract_named_choice         (the same; the question shows no letters)
    date        "05/01/2021"          extract_date                 equal_dates, as days of the calendar
    yes_no      "yes"                 extract_yes_no               equal_words
    string      "yajo"                extract_string               equal_words

    extract_equation("Luke scored 84 points. 84 / 2 = 42. The answer is (84/2).\\n\\nQ: There are 120 ...")
    # Answer(label="(84 / 2)", how="answer sentence", reasoning="Luke scored 84 points. 84 / 2 = 42.",
    #        text="Luke scored 84 points. 84 / 2 = 42. The answer is (84 / 2).")

The text is the teacher's or the student's and is not trusted: any text is read in bounded time and without raising.
It is made tidy (lib/text.py) and free of markup (markup.py) first. The last answer sentence counts; where there is
none, the fallback named in `Answer.how`. An answer that cannot be told, such as "(2 * x)" or "(a) or (b)", is None,
with the reason, and never guessed. What an `Answer` holds is a fixed point: its text, read again, gives the same label
and the same text.
"""

from lib.equations import equal_equations, equal_numbers
from lib.tasks.answers.choices import choice_extractor, equal_choices, extract_choice, extract_named_choice
from lib.tasks.answers.dates import equal_dates, extract_date
from lib.tasks.answers.numbers import extract_equation, extract_number
from lib.tasks.answers.words import equal_words, extract_string
from lib.tasks.answers.yes_no import extract_yes_no

__all__ = [
    "choice_extractor",
    "equal_choices",
    "equal_dates",
    "equal_equations",
    "equal_numbers",
    "equal_words",
    "extract_choice",
    "extract_date",
    "extract_equation",
    "extract_named_choice",
    "extract_number",
    "extract_string",
    "extract_yes_no",
]
