"""How many worker processes there are, by load."""

from __future__ import annotations

from pynenc.runners.scaling import Load, Scaling

PRESSED = Load(pressed=True, idle=0)
BUSY = Load(pressed=False, idle=0)


def idle(count: int) -> Load:
    return Load(pressed=False, idle=count)


def scaling(least: int, most: int, *, size: int | None = None) -> Scaling:
    made = Scaling(least, most, grow_after_s=0.1, shrink_after_s=4.0)
    if size is not None:
        made.size = size
    return made


def play(policy: Scaling, load: Load, *, from_s: float, to_s: float, step_s: float = 0.05) -> list[int]:
    """Return the sizes while the load stays as it is."""
    sizes = []
    for step in range(round((to_s - from_s) / step_s) + 1):
        policy.look(from_s + step * step_s, load)
        sizes.append(policy.size)
    return sizes


def test_it_grows_by_half_while_bodies_wait_and_stops_at_the_most() -> None:
    policy = scaling(1, 8)

    sizes = play(policy, PRESSED, from_s=0.0, to_s=2.0)

    assert list(dict.fromkeys(sizes)) == [1, 2, 3, 4, 6, 8]


def test_a_moment_of_pressure_changes_nothing() -> None:
    policy = scaling(1, 8)

    for at_s in (0.0, 1.0, 2.0, 3.0):
        policy.look(at_s, PRESSED)
        policy.look(at_s + 0.05, BUSY)

    assert policy.size == 1


def test_it_shrinks_by_those_that_were_idle_all_the_time() -> None:
    policy = scaling(1, 8, size=6)

    play(policy, idle(4), from_s=0.0, to_s=2.0)
    play(policy, idle(2), from_s=2.0, to_s=3.0)
    play(policy, idle(5), from_s=3.0, to_s=4.0)

    assert policy.size == 4


def test_it_never_shrinks_below_the_least() -> None:
    policy = scaling(2, 8, size=3)

    play(policy, idle(3), from_s=0.0, to_s=20.0)

    assert policy.size == 2


def test_a_load_that_comes_and_goes_does_not_make_it_flap() -> None:
    policy = scaling(1, 8, size=4)
    sizes = set()

    for second in range(60):
        sizes.update(play(policy, idle(3), from_s=second, to_s=second + 0.9))
        sizes.update(play(policy, BUSY, from_s=second + 0.95, to_s=second + 0.95))

    assert sizes == {4}


def test_it_says_when_it_changes_by_itself() -> None:
    growing, shrinking, steady = scaling(1, 2), scaling(1, 2, size=2), scaling(2, 2)

    growing.look(10.0, PRESSED)
    shrinking.look(10.0, idle(1))
    steady.look(10.0, PRESSED)

    assert (growing.due_at_s(), shrinking.due_at_s(), steady.due_at_s()) == (10.1, 14.0, None)


def test_its_room_is_the_next_step_of_growth() -> None:
    assert [scaling(1, 8, size=size).room for size in (1, 4, 7, 8)] == [1, 2, 1, 0]
