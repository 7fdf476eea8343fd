"""Terms: what tokens cost, and a budget that calls under way never exceed together."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lib import paths
from lib.config import load_config
from lib.errors import UserError
from lib.settings import Price, TeacherSettings
from lib.teacher.terms import Budget, Terms, terms_of

DEFAULTS = load_config(paths.ROOT / "params" / "default.yaml").teacher
TERMS = Terms(Price(prompt=1.0, completion=10.0), budget=1.0)


def settings(**changes) -> TeacherSettings:
    model = changes.pop("model", None)
    openai = DEFAULTS.openai.model_copy(update={"model": model})
    return DEFAULTS.model_copy(update={"openai": openai, "prices": {}, **changes})


# -- prices --------------------------------------------------------------------------------------


def test_money_for_a_million_tokens():
    assert TERMS.money(1_000_000, 100_000) == 2.0
    assert TERMS.money(0, 0) == 0.0
    assert Terms().money(5, 5) is None


PRICES = {"m": Price(prompt=2.0, completion=4.0, batch=0.5), "simulated": Price(prompt=1.0, completion=1.0)}


@pytest.mark.parametrize(
    ("kind", "mode", "model", "money"),
    [
        ("openai", "live", "m", 6.0), ("openai", "batch", "m", 3.0), ("openai", "live", "other", None),
        ("simulated", "live", "m", 2.0), ("recorded", "live", "m", None),
    ],
)  # fmt: skip
def test_the_price_is_the_models_and_the_modes(kind, mode, model, money):
    assert terms_of(settings(kind=kind, mode=mode, model=model, prices=PRICES)).money(10**6, 10**6) == money


def test_without_a_share_for_batches_they_cost_the_same():
    price = {"m": Price(prompt=2.0, completion=4.0)}
    assert terms_of(settings(kind="openai", mode="batch", model="m", prices=price)).money(10**6, 0) == 2.0


def test_terms_are_the_settings():
    given_terms = settings(kind="openai", model="m", prices=PRICES, budget=3.0, dry_run=True, unusable_retries=4)
    assert terms_of(given_terms) == Terms(PRICES["m"], 3.0, True, 4, accept_failed=False)
    assert terms_of(given_terms.model_copy(update={"failed_calls": "accept"})).accept_failed


@pytest.mark.parametrize(("prices", "known"), [({}, "none"), (PRICES, "m, simulated")])
def test_a_budget_without_a_price_is_refused(prices, known):
    with pytest.raises(UserError, match=f"budget: 3 given, but no price of 'other' in teacher.prices: {known}"):
        terms_of(settings(kind="openai", model="other", prices=prices, budget=3.0))


# -- budget --------------------------------------------------------------------------------------


def test_a_budget_by_hand():
    """A limit of 1; a call takes at most 10,000 prompt and 40,000 completion tokens: 0.01 + 0.4."""
    most = TERMS.money(10_000, 40_000)
    budget = Budget(TERMS, spent=0.1)
    assert most == pytest.approx(0.41) and budget.fits(most)
    budget.reserve(most)
    assert budget.fits(most)
    budget.reserve(most)
    assert not budget.fits(most) and not budget.fits(0.09) and budget.fits(0.07)
    budget.settle(most, 10_000, 1_000)  # it took 0.02
    assert (budget.spent, budget.reserved) == (pytest.approx(0.12), pytest.approx(0.41))
    assert budget.fits(most)


def test_a_call_that_just_fits_fits():
    budget = Budget(Terms(Price(prompt=1.0, completion=1.0), budget=0.5), spent=0.25)
    assert budget.fits(0.25) and not budget.fits(0.2500001)


def test_a_budget_of_nothing_lets_nothing_through_but_what_is_free():
    assert not Budget(Terms(TERMS.price, budget=0.0)).fits(1e-9)
    assert Budget(Terms(Price(prompt=0, completion=0), budget=0.0)).fits(0.0)


def test_no_limit():
    budget = Budget(Terms())
    assert budget.fits(1e12)
    budget.reserve(1e12)
    budget.settle(1e12, 5, 5)
    assert (budget.spent, budget.reserved) == (0.0, 0.0)


def test_a_call_that_failed_gives_back_what_was_set_aside():
    budget = Budget(TERMS)
    budget.reserve(0.3)
    budget.settle(0.3, 0, 0)
    assert (budget.spent, budget.reserved, budget.under_way) == (0.0, 0.0, 0)


def test_the_error_names_limit_and_what_is_left():
    error = str(Budget(TERMS, spent=0.98765).reached(left=17))
    assert "teacher.budget: 1 reached: 0.9877 spent" in error and "17 calls are left" in error
    assert "\n" not in error


TOKENS = st.tuples(st.integers(0, 5000), st.integers(0, 5000))


@given(
    limit=st.floats(0, 0.2),
    spent=st.floats(0, 0.1),
    calls=st.lists(st.tuples(TOKENS, st.floats(0, 1), st.floats(0, 1), st.booleans()), max_size=60),
)
def test_whatever_calls_take_within_their_reserve_the_limit_holds(limit, spent, calls):
    """Calls begin where they fit and end in any order; each takes a share of the most it could."""
    budget = Budget(Terms(TERMS.price, budget=limit), spent)
    under_way = []
    for most, prompt_share, completion_share, ends in calls:
        if budget.fits(TERMS.money(*most)):
            budget.reserve(TERMS.money(*most))
            under_way.append((most, round(most[0] * prompt_share), round(most[1] * completion_share)))
        if ends and under_way:
            reserved, *taken = under_way.pop(len(calls) % len(under_way))
            budget.settle(TERMS.money(*reserved), *taken)
        assert budget.spent <= max(limit, spent) + 1e-12
    for reserved, *taken in under_way:
        budget.settle(TERMS.money(*reserved), *taken)
    assert budget.spent <= max(limit, spent) + 1e-12
    assert (budget.reserved, budget.under_way) == (0.0, 0)
