"""The keys of calls: which are known, for how long, and what a repeat is told."""

from __future__ import annotations

import pytest

from hopsack.errors import BadRequest, Overloaded
from hopsack_router.keyed import keys as module
from hopsack_router.keyed.keys import Key, Keys, Outcome, Row, Run, Wait

KEY = Key("shop.buy", "user:ann", "k1")
DONE = Outcome(None, [{"order": 7}], None)
WALL = 1_000_000.0


def _ask(keys: Keys, key: Key = KEY, *, waiter: str = "a", digest: bytes = b"d", now: float = 0.0) -> object:
    return keys.ask(key, digest, waiter, 60.0, now, WALL + now)


def test_the_first_runs_a_repeat_waits_and_a_later_one_is_told() -> None:
    keys = Keys()

    first, second = _ask(keys, waiter="a"), _ask(keys, waiter="b")
    row = keys.ended(KEY, DONE)

    assert first == Run(Row(KEY, b"d", WALL + 60, None))
    assert second == Wait()
    assert row is not None
    assert row.outcome is not None
    assert keys.take_waiting(KEY) == ["a", "b"]
    assert keys.take_waiting(KEY) == []
    assert _ask(keys, now=59.9) == DONE


def test_a_key_is_forgotten_after_its_time_and_not_while_its_call_runs() -> None:
    keys = Keys()
    _ask(keys)

    assert keys.sweep(61.0) == []
    assert isinstance(_ask(keys, now=61.0), Wait)
    keys.ended(KEY, DONE)
    assert keys.sweep(61.0) == [KEY]
    assert isinstance(_ask(keys, now=61.0), Run)


def test_a_key_belongs_to_its_user_and_its_procedure() -> None:
    keys = Keys()
    _ask(keys)

    assert isinstance(_ask(keys, KEY._replace(user="user:bob")), Run)
    assert isinstance(_ask(keys, KEY._replace(procedure="shop.sell")), Run)


def test_another_input_with_the_same_key_is_a_mistake() -> None:
    keys = Keys()
    _ask(keys)

    with pytest.raises(BadRequest, match="another input"):
        _ask(keys, digest=b"other")


def test_what_never_ran_is_free_again() -> None:
    keys = Keys()
    _ask(keys, waiter="a")
    _ask(keys, waiter="b")

    assert keys.unasked(KEY) == ["a", "b"]
    assert isinstance(_ask(keys), Run)


def test_keys_that_come_and_go_leave_nothing_behind() -> None:
    keys = Keys()
    for _ in range(5000):
        _ask(keys)
        keys.unasked(KEY)

    assert len(keys) == 0
    assert len(keys._ends) <= 1001


def test_what_began_before_a_restart_is_unknown_and_not_done_again() -> None:
    keys = Keys()
    other = KEY._replace(name="k2")
    done = Keys()
    _ask(done, other)
    row = done.ended(other, DONE)
    assert row is not None

    keys.recover([Row(KEY, b"d", WALL + 30, None), row], 0.0, WALL, 600.0)

    unknown = _ask(keys)
    assert isinstance(unknown, Outcome)
    assert unknown.kwargs is not None
    assert (unknown.kwargs["code"], unknown.kwargs["data"]) == ("hopsack.outcome_unknown", {"ran": "maybe"})
    assert _ask(keys, other) == DONE


@pytest.mark.parametrize(("until", "forgotten"), [(WALL + 30, 30.0), (WALL + 1e6, 600.0), (WALL - 5, 0.0)])
def test_after_a_restart_a_key_is_kept_for_what_is_left_and_no_longer_than_any(until: float, forgotten: float) -> None:
    keys = Keys()

    keys.recover([Row(KEY, b"d", until, None)], 100.0, WALL, 600.0)

    assert keys.sweep(100.0 + forgotten - 0.1) == ([] if forgotten else [KEY])
    assert keys.sweep(100.0 + forgotten) == ([KEY] if forgotten else [])


@pytest.mark.parametrize("bound", ["MAX_KEYS", "OF_ONE"])
def test_where_there_is_no_room_the_call_is_refused_and_nothing_forgotten(
    bound: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, bound, 2)
    keys = Keys()
    _ask(keys, KEY, now=0.0)
    _ask(keys, KEY._replace(name="k2"), now=1.0)

    with pytest.raises(Overloaded) as refused:
        _ask(keys, KEY._replace(name="k3"), now=10.0)

    assert refused.value.data == {"retry_after": 50.0}
    assert isinstance(_ask(keys, KEY), Wait)


def test_one_user_s_keys_do_not_take_another_s_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "OF_ONE", 1)
    keys = Keys()
    _ask(keys)

    assert isinstance(_ask(keys, KEY._replace(user="user:bob")), Run)


def test_outcomes_have_a_bound_and_one_that_is_too_large_is_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_OUTCOME", 100)
    keys = Keys()
    _ask(keys)
    keys.ended(KEY, Outcome(None, ["x" * 200], None))
    told = _ask(keys)
    assert isinstance(told, Outcome)
    assert told.kwargs is not None
    assert told.kwargs["code"] == "hopsack.outcome_unknown"

    monkeypatch.setattr(module, "MAX_BYTES", 50)
    other = KEY._replace(name="k2")
    _ask(keys, other)
    keys.ended(other, Outcome(None, ["x" * 60], None))
    with pytest.raises(Overloaded):
        _ask(keys, KEY._replace(name="k3"))


def test_who_leaves_waits_no_more() -> None:
    keys = Keys()
    _ask(keys, waiter="a")
    _ask(keys, waiter="b")

    assert (keys.leave(KEY, "a"), keys.leave(KEY, "b")) == (False, True)
    assert keys.take_waiting(KEY) == []
