"""The slot schedule: which slot begins, which one answers, and how long its window is."""

import pytest
from dt_runtime.schedule import RING, Schedule
from hypothesis import given
from hypothesis import strategies as st


@st.composite
def schedules(draw):
    context = draw(st.integers(1, 40))
    return Schedule.of(context, draw(st.integers(1, context)))


def played(schedule, steps):
    """By step: its turn, and the step at which each slot's window begins after it."""
    began = [0] * schedule.slots
    for step in range(steps):
        turn = schedule.turn(step)
        for slot in turn.begins:
            began[slot] = step
        yield step, turn, tuple(began)


@given(schedules())
def test_the_slot_that_answers_has_the_longest_window_of_at_most_k(schedule):
    context = schedule.context_length
    for step, turn, began in played(schedule, 4 * context):
        windows = [step - begin + 1 for begin in began]
        assert turn.length == windows[turn.answers]
        assert turn.length == max(length for length in windows if length <= context)


@given(schedules())
def test_no_window_is_ever_longer_than_k(schedule):
    for step, _, began in played(schedule, 4 * schedule.context_length):
        assert step - min(began) + 1 <= schedule.context_length


@given(schedules())
def test_the_window_is_the_whole_episode_in_the_first_k_steps(schedule):
    for step in range(schedule.context_length):
        assert schedule.turn(step).length == step + 1


@given(schedules())
def test_every_window_after_k_steps_lacks_less_than_a_share_of_k(schedule):
    """Lengths from K - ceil(K / G) + 1 to K, and both ends are reached."""
    context, slots = schedule.context_length, schedule.slots
    lengths = {schedule.turn(step).length for step in range(context, 3 * context)}
    assert min(lengths) == context - -(-context // slots) + 1
    assert max(lengths) == context


@given(schedules())
def test_every_slot_begins_once_in_k_steps_and_never_two_at_once(schedule):
    context = schedule.context_length
    assert schedule.turn(0).begins == tuple(range(schedule.slots))
    for start in range(1, 2 * context):
        turns = [schedule.turn(step).begins for step in range(start, start + context)]
        assert all(len(begins) <= 1 for begins in turns)
        assert sorted(slot for begins in turns for slot in begins) == list(range(schedule.slots))


@given(schedules(), st.integers(0, 2**40))
def test_the_table_holds_every_step(schedule, step):
    table = schedule.table()
    assert len(table) == 2 * schedule.context_length
    assert table[schedule.row(step)] == schedule.turn(step)


@given(st.integers(1, 40))
def test_as_many_slots_as_timesteps_give_the_full_window_at_every_step(context):
    schedule = Schedule.of(context, context)
    for step in range(4 * context):
        assert schedule.turn(step).length == min(step + 1, context)


@given(st.integers(1, 40))
def test_a_ring_begins_once_and_always_holds_the_last_k(context):
    schedule = Schedule.of(context, RING)
    for step in range(4 * context):
        turn = schedule.turn(step)
        assert turn.begins == ((0,) if step == 0 else ())
        assert (turn.answers, turn.length) == (0, min(step + 1, context))


@pytest.mark.parametrize("slots", (0, -1, 7, 2.0, True, "rings", None))
def test_numbers_of_slots_that_do_not_exist(slots):
    with pytest.raises(ValueError, match=r"slots is .*, expected 1 to 6 \(K\), or 'ring'"):
        Schedule.of(6, slots)
