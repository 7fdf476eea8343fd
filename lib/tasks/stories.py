"""The stories that arithmetic word problems tell.

    Tom has 12 pens. Ann has 9 pens. Tom buys 7 pens. How many pens does Tom have now?

is the story `buy`: facts "{N} has {a} {O}." and "{N} buys {b} {O}.", one distractor ("{X} has {d} {O}.") put anywhere
between them, one step  a + b. Slots: a, b, c numbers that count, d the one that does not; N, M the people of the
story, X another; O its object, T another; C a container, E another (CS, ES in the plural); D, G, H weekdays.
"""

from dataclasses import dataclass

NAMES = ("Tom", "Ann", "Ben", "Eva", "Sam", "Mia", "Leo", "Zoe", "Max", "Ivy", "Dan", "Amy", "Jim", "Kim", "Ron", "Sue")
OBJECTS = (
    "pens", "books", "apples", "marbles", "cards", "coins", "shells", "stamps",
    "eggs", "cups", "hats", "balls", "kites", "flowers", "stickers", "cookies",
)  # fmt: skip
CONTAINERS = {"box": "boxes", "bag": "bags", "jar": "jars", "basket": "baskets", "tray": "trays"}
DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")

# A distractor looks like a fact: another person's, another object's, another day's number.
HAS = ("{X} has {d} {O}.", "{N} has {d} {T}.")
AGE = ("{N} is {d} years old.",)

# ... or looks like none: its wording alone tells it apart.
UNRELATED = ("{N} is {d} years old.", "{X} is {d} years old.", "{N} walks {d} miles.")


@dataclass(frozen=True)
class Story:
    """A family of questions with the same solution.

    steps    (left, operator, right, what the result r means); r1 is the result of the first step
    counts   the unit of the final result
    ordered  whether the facts must be told in this order
    """

    name: str
    facts: tuple[str, ...]
    distractors: tuple[str, ...]
    question: str
    steps: tuple[tuple[str, str, str, str], ...]
    counts: str = "{O}"
    ordered: bool = True


NOW = "How many {O} does {N} have now?"
FIRST = "How many {O} did {N} have at first?"
LEFT = "How many {O} does {N} have left?"
IS_NOW, IS_LEFT, WAS_FIRST = "{N} has {r} {O} now.", "{N} has {r} {O} left.", "{N} had {r} {O} at first."
IN_BOXES = "{N} has {r} {O} in the {CS}."
BOX_DISTRACTORS = ("{N} has {d} {ES}.", "{X} has {d} {CS}.", "Each {E} holds {d} {O}.", "Each {C} holds {d} {T}.")

ONE_OPERATION = (
    Story(
        "buy",
        ("{N} has {a} {O}.", "{N} buys {b} {O}."),
        (*HAS, "{N} buys {d} {T}.", "{X} buys {d} {O}."),
        NOW,
        (("a", "+", "b", IS_NOW),),
    ),
    Story(
        "receive",
        ("{N} has {a} {O}.", "{M} gives {b} {O} to {N}."),
        (*HAS, *AGE, "{M} gives {d} {T} to {N}.", "{M} gives {d} {O} to {X}."),
        NOW,
        (("a", "+", "b", IS_NOW),),
    ),
    Story(
        "together",
        ("{N} has {a} {O}.", "{M} has {b} {O}."),
        (*HAS, "{M} has {d} {T}.", *AGE),
        "How many {O} do {N} and {M} have together?",
        (("a", "+", "b", "{N} and {M} have {r} {O} together."),),
        ordered=False,
    ),
    Story(
        "two days",
        ("{N} finds {a} {O} on {D}.", "{N} finds {b} {O} on {G}."),
        ("{N} finds {d} {O} on {H}.", "{X} finds {d} {O} on {G}.", "{N} finds {d} {T} on {D}."),
        "How many {O} does {N} find on {D} and {G} in all?",
        (("a", "+", "b", "{N} finds {r} {O} in all."),),
        ordered=False,
    ),
    Story(
        "sold before",
        ("{N} sells {a} {O}.", "Now {N} has {b} {O} left."),
        (*HAS, "{X} sells {d} {O}.", "{N} sells {d} {T}."),
        FIRST,
        (("a", "+", "b", WAS_FIRST),),
    ),
    Story(
        "give",
        ("{N} has {a} {O}.", "{N} gives {b} {O} to {M}."),
        (*HAS, "{N} gives {d} {T} to {M}.", "{X} gives {d} {O} to {M}."),
        LEFT,
        (("a", "-", "b", IS_LEFT),),
    ),
    Story(
        "lose",
        ("{N} has {a} {O}.", "{N} loses {b} {O}."),
        (*HAS, *AGE, "{X} loses {d} {O}.", "{N} loses {d} {T}."),
        LEFT,
        (("a", "-", "b", IS_LEFT),),
    ),
    Story(
        "bought before",
        ("{N} buys {b} {O}.", "Now {N} has {a} {O}."),
        (*HAS, "{X} buys {d} {O}.", "{N} buys {d} {T}."),
        FIRST,
        (("a", "-", "b", WAS_FIRST),),
    ),
    Story(
        "gone",
        ("{N} had {a} {O}.", "Now {N} has {b} {O} left."),
        ("{X} had {d} {O}.", "{N} had {d} {T}.", "Now {N} has {d} {T} left."),
        "How many {O} did {N} sell?",
        (("a", "-", "b", "{N} sold {r} {O}."),),
    ),
    Story(
        "more",
        ("{N} has {a} {O}.", "{M} has {b} {O}."),
        (*HAS, "{M} has {d} {T}.", *AGE),
        "How many more {O} does {N} have than {M}?",
        (("a", "-", "b", "{N} has {r} more {O} than {M}."),),
        ordered=False,
    ),
    Story(
        "fewer",
        ("{N} has {b} {O}.", "{M} has {a} {O}."),
        (*HAS, "{M} has {d} {T}."),
        "How many fewer {O} does {N} have than {M}?",
        (("a", "-", "b", "{N} has {r} fewer {O} than {M}."),),
        ordered=False,
    ),
    Story(
        "boxes",
        ("{N} has {a} {CS}.", "Each {C} holds {b} {O}."),
        BOX_DISTRACTORS,
        "How many {O} does {N} have in the {CS}?",
        (("a", "*", "b", IN_BOXES),),
        ordered=False,
    ),
    Story(
        "work",
        ("{N} makes {a} {O} each day.", "{N} works for {b} days."),
        ("{X} makes {d} {O} each day.", "{N} makes {d} {T} each day.", "{X} works for {d} days."),
        "How many {O} does {N} make?",
        (("a", "*", "b", "{N} makes {r} {O}."),),
        ordered=False,
    ),
    Story(
        "pay",
        ("The {O} cost {a} dollars each.", "{N} buys {b} {O}."),
        ("The {T} cost {d} dollars each.", "{X} buys {d} {O}.", "{N} buys {d} {T}."),
        "How many dollars does {N} pay for the {O}?",
        (("a", "*", "b", "{N} pays {r} dollars for the {O}."),),
        counts="dollars",
        ordered=False,
    ),
    Story(
        "share",
        ("{N} has {a} {O}.", "{N} shares the {O} among {b} friends."),
        (*HAS, *AGE, "{N} shares the {T} among {d} friends."),
        "How many {O} does each friend get?",
        (("a", "/", "b", "Each friend gets {r} {O}."),),
    ),
    Story(
        "fill",
        ("{N} has {a} {O}.", "{N} puts {b} {O} in each {C}."),
        (*HAS, "{N} puts {d} {O} in each {E}.", "{X} puts {d} {O} in each {C}."),
        "How many {CS} of {O} does {N} fill?",
        (("a", "/", "b", "{N} fills {r} {CS}."),),
        counts="{CS}",
    ),
    Story(
        "price",
        ("{N} buys {b} {O}.", "{N} pays {a} dollars for the {O}."),
        ("{N} buys {d} {T}.", "{N} pays {d} dollars for the {T}.", "{X} buys {d} {O}."),
        "How many dollars do the {O} cost each?",
        (("a", "/", "b", "The {O} cost {r} dollars each."),),
        counts="dollars",
    ),
)

TWO_OPERATIONS = (
    Story(
        "buy and give",
        ("{N} has {a} {O}.", "{N} buys {b} {O}.", "{N} gives {c} {O} to {M}."),
        (*HAS, "{X} buys {d} {O}.", "{N} gives {d} {T} to {M}."),
        LEFT,
        (("a", "+", "b", IS_NOW), ("r1", "-", "c", IS_LEFT)),
    ),
    Story(
        "lose and buy",
        ("{N} has {a} {O}.", "{N} loses {b} {O}.", "{N} buys {c} {O}."),
        (*HAS, "{X} loses {d} {O}.", "{N} buys {d} {T}."),
        NOW,
        (("a", "-", "b", IS_LEFT), ("r1", "+", "c", IS_NOW)),
    ),
    Story(
        "buy and compare",
        ("{N} has {a} {O}.", "{M} has {c} {O}.", "{N} buys {b} {O}."),
        (*HAS, "{X} buys {d} {O}.", "{M} has {d} {T}."),
        "How many more {O} does {N} have now than {M}?",
        (("a", "+", "b", IS_NOW), ("r1", "-", "c", "{N} has {r} more {O} than {M}.")),
    ),
    Story(
        "before",
        ("{N} buys {b} {O}.", "{N} loses {c} {O}.", "Now {N} has {a} {O}."),
        (*HAS, "{N} loses {d} {T}.", "{X} buys {d} {O}."),
        FIRST,
        (("a", "-", "b", "{N} had {r} {O} without the new ones."), ("r1", "+", "c", WAS_FIRST)),
    ),
    Story(
        "boxes and more",
        ("{N} has {a} {CS}.", "Each {C} holds {b} {O}.", "{N} buys {c} {O}."),
        (*BOX_DISTRACTORS, "{X} buys {d} {O}."),
        "How many {O} does {N} have in all?",
        (("a", "*", "b", IN_BOXES), ("r1", "+", "c", "{N} has {r} {O} in all.")),
    ),
    Story(
        "boxes and sell",
        ("{N} has {a} {CS}.", "Each {C} holds {b} {O}.", "{N} sells {c} {O}."),
        (*BOX_DISTRACTORS, "{N} sells {d} {T}."),
        LEFT,
        (("a", "*", "b", IN_BOXES), ("r1", "-", "c", IS_LEFT)),
    ),
    Story(
        "share together",
        ("{N} has {a} {O}.", "{M} has {b} {O}.", "{N} and {M} share the {O} among {c} friends."),
        (*HAS, "{M} has {d} {T}."),
        "How many {O} does each friend get?",
        (("a", "+", "b", "{N} and {M} have {r} {O} together."), ("r1", "/", "c", "Each friend gets {r} {O}.")),
    ),
    Story(
        "lose and fill",
        ("{N} has {a} {O}.", "{N} loses {b} {O}.", "{N} puts {c} {O} in each {C}."),
        (*HAS, "{X} loses {d} {O}.", "{N} puts {d} {O} in each {E}."),
        "How many {CS} of {O} does {N} fill?",
        (("a", "-", "b", IS_LEFT), ("r1", "/", "c", "{N} fills {r} {CS}.")),
        counts="{CS}",
    ),
    Story(
        "change",
        ("{N} has {c} dollars.", "The {O} cost {a} dollars each.", "{N} buys {b} {O}."),
        ("{X} has {d} dollars.", "The {T} cost {d} dollars each.", "{X} buys {d} {O}."),
        "How many dollars does {N} have left?",
        (("a", "*", "b", "{N} pays {r} dollars for the {O}."), ("c", "-", "r1", "{N} has {r} dollars left.")),
        counts="dollars",
        ordered=False,
    ),
    Story(
        "work together",
        ("{N} makes {a} {O} each day.", "{M} makes {b} {O} each day.", "{N} and {M} work for {c} days."),
        ("{X} makes {d} {O} each day.", "{X} works for {d} days.", "{N} makes {d} {T} each day."),
        "How many {O} do {N} and {M} make?",
        (("a", "+", "b", "{N} and {M} make {r} {O} each day."), ("r1", "*", "c", "{N} and {M} make {r} {O}.")),
    ),
)
