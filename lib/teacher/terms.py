"""On what terms a teacher is asked: what a token costs, how much may be spent, what is asked again.

terms = terms_of(cfg.teacher)
terms.money(prompt_tokens=1_000_000, completion_tokens=0)      # 0.5, in the currency of teacher.prices
budget = Budget(terms, spent=4.2)
if budget.fits(0.01): ...                                      # False where it would go over teacher.budget
"""

from dataclasses import dataclass

from lib.errors import UserError
from lib.settings import Price, TeacherSettings


@dataclass(frozen=True)
class Terms:
    """What governs asking and changes no answer.

    price              money for a million prompt and completion tokens; None where it is not known
    budget             what the answers of a stage may cost; None: no limit
    dry_run            estimate only; refuse to send
    unusable_retries   how often an unusable answer is asked for again, over all runs
    accept_failed      do without calls that failed on the way, instead of stopping the stage
    """

    price: Price | None = None
    budget: float | None = None
    dry_run: bool = False
    unusable_retries: int = 1
    accept_failed: bool = True

    def money(self, prompt_tokens: int, completion_tokens: int) -> float | None:
        """What these tokens cost; None without a price."""
        if self.price is None:
            return None
        return (prompt_tokens * self.price.prompt + completion_tokens * self.price.completion) / 1e6


def terms_of(settings: TeacherSettings) -> Terms:
    """The terms in section `teacher`. UserError for a budget in a currency that nothing is priced in."""
    price = _price(settings)
    if settings.budget is not None and price is None:
        model = settings.openai.model if settings.kind == "openai" else settings.kind
        known = ", ".join(settings.prices) or "none"
        raise UserError(
            f"teacher.budget: {settings.budget:g} given, but no price of {model!r} in teacher.prices: {known}"
        )
    accept = settings.failed_calls == "accept"
    return Terms(price, settings.budget, settings.dry_run, settings.unusable_retries, accept)


def _price(settings: TeacherSettings) -> Price | None:
    """The model's price in this mode; for an embedded teacher one under the name of its kind, if there is one."""
    price = settings.prices.get(settings.openai.model or "" if settings.kind == "openai" else settings.kind)
    if price is None or settings.mode != "batch":
        return price
    return Price(prompt=price.prompt * price.batch, completion=price.completion * price.batch)


class Budget:
    """How much has been spent and how much is set aside for calls under way. Never more than the limit together.

    What a call can cost at most is known before it is sent: its completion's limit, and a prompt's tokens as bounded by
    lib/teacher/tokens.py.

    spent   what the answers at hand have cost already
    """

    def __init__(self, terms: Terms, spent: float = 0.0):
        self.terms, self.limit = terms, terms.budget
        self.spent, self.reserved, self.under_way = spent, 0.0, 0

    def fits(self, cost: float) -> bool:
        """Whether one more call of this cost stays within the limit, whatever those under way come to."""
        return self.limit is None or self.spent + self.reserved + cost <= self.limit

    def reserve(self, cost: float) -> None:
        """Set aside the most that a call can cost."""
        self.reserved += cost
        self.under_way += 1

    def charge(self, cost: float) -> None:
        """Spent without having been set aside: a batch's answer, or a try cut short that may have been paid for."""
        self.spent += cost

    def settle(self, cost: float, prompt_tokens: int, completion_tokens: int) -> None:
        """A call is over: what was set aside for it is free again, and what it did cost is spent."""
        self.under_way -= 1
        self.reserved = self.reserved - cost if self.under_way else 0.0
        self.spent += self.terms.money(prompt_tokens, completion_tokens) or 0.0

    def reached(self, left: int) -> UserError:
        """The error that ends a run with calls left that do not fit."""
        return UserError(
            f"teacher.budget: {self.limit:g} reached: {self.spent:.4f} spent, the next call might go over; {left} "
            "calls are left; all answers so far are stored: raise the budget and run again to go on"
        )
