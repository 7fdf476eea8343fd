"""The schedule of a training, and how its steps are cut into passes."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from lib.schedule import batches, padded_tokens, passes

LENGTHS = st.lists(st.integers(1, 200), min_size=1, max_size=30)


@given(LENGTHS, st.integers(1, 7), st.integers(1, 40), st.integers(0, 3))
def test_every_step_has_a_fixed_number_of_examples_and_none_is_favoured(lengths, batch, steps, seed):
    schedule = batches(lengths, batch, steps, seed)
    assert [len(rows) for rows in schedule] == [batch] * steps
    seen = Counter(i for rows in schedule for i in rows)
    counts = [seen[i] for i in range(len(lengths))]
    assert max(counts) - min(counts) <= 1


@given(LENGTHS, st.integers(1, 7), st.integers(1, 3))
def test_whole_passes_show_every_example_equally_often(lengths, batch, passes):
    schedule = batches(lengths, batch, steps=len(lengths) * passes, seed=0)
    assert Counter(i for rows in schedule for i in rows) == dict.fromkeys(range(len(lengths)), batch * passes)


@given(st.integers(2, 60), st.integers(1, 12), st.integers(1, 9), st.integers(0, 3))
def test_a_batch_within_one_pass_holds_no_example_twice(examples, batch, bucket, seed):
    """However many examples a stretch could hold: only the batch between two passes may hold one twice."""
    steps = 4 * examples // batch + 1
    schedule = batches([7] * examples, batch, steps, seed, bucket)
    twice = sum(len(set(rows)) < batch for rows in schedule)
    assert twice <= (4 if examples >= batch else steps)


def test_a_stretch_ends_with_its_pass():
    """720 examples in batches of 64, 50 of which would span four passes: as many different ones as without buckets."""
    schedule = batches(list(range(720)), 64, 500, seed=0)
    assert sum(len(set(rows)) for rows in schedule) / len(schedule) > 63


def test_the_schedule_follows_from_the_seed():
    lengths = list(range(40))
    assert batches(lengths, 4, 25, seed=1) == batches(lengths, 4, 25, seed=1)
    assert batches(lengths, 4, 25, seed=1) != batches(lengths, 4, 25, seed=2)


def test_examples_of_like_length_share_a_batch():
    lengths = [1, 100] * 20
    pure = [len({lengths[i] for i in rows}) == 1 for rows in batches(lengths, batch=4, steps=10, seed=0)]
    assert all(pure)
    firsts = [lengths[rows[0]] for rows in batches(lengths, batch=4, steps=10, seed=0)]
    assert firsts != sorted(firsts)  # and yet the short ones do not all come first


@given(LENGTHS, st.integers(1, 7), st.integers(1, 40), st.integers(0, 3))
def test_buckets_of_one_batch_are_plain_random_batches(lengths, batch, steps, seed):
    schedule = batches(lengths, batch, steps, seed, bucket=1)
    # what the lengths are then decides nothing but the order within a batch
    assert list(map(sorted, schedule)) == list(map(sorted, batches([1] * len(lengths), batch, steps, seed, bucket=1)))


# -- passes ----------------------------------------------------------------------------------------

STEP = st.lists(st.tuples(*[st.integers(1, 90)] * 4), min_size=1, max_size=20)


@given(STEP, st.integers(1, 2000))
def test_every_example_is_in_one_pass_within_the_budget(lengths, budget):
    cut = passes(lengths, budget)
    assert sorted(i for rows in cut for i in rows) == list(range(len(lengths)))
    assert all(len(rows) == 1 or padded_tokens([lengths[i] for i in rows]) <= budget for rows in cut)


def test_a_budget_puts_like_lengths_together():
    assert passes([(20, 4), (90, 5), (22, 4)], budget=100) == [[1], [2, 0]]


@given(STEP)
def test_without_a_budget_or_within_it_a_step_is_one_pass_in_its_order(lengths):
    whole = [list(range(len(lengths)))]
    assert passes(lengths, None) == whole == passes(lengths, padded_tokens(lengths))


def test_padding_counts():
    assert padded_tokens([(20, 4), (22, 3)]) == 2 * (22 + 4)
    assert padded_tokens([(20, 4, 20, 9), (22, 3)]) == 2 * (22 + 4 + 20 + 9)  # the second has no rationale
