"""Windows and rooms: what producers are promised, and when a call cannot go on."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from hopsack_router.routing.flows import (
    LENIENCE,
    LOOKED_AT,
    OVERHEAD,
    UNDER_WAY,
    Effect,
    Overrun,
    Promise,
    Room,
    Window,
)

MIB = 1 << 20


def promised(effects: list[Effect]) -> int:
    return sum(one.items for one in effects if isinstance(one, Promise))


def opened(room: Room, takes: int | None, is_told: bool = True) -> Window:
    window = Window("call", takes, is_told)
    room.open(window, False)
    return window


def test_the_first_item_comes_alone_and_shows_how_large_the_others_are() -> None:
    room, window = Room(MIB), Window("call", 16, True)

    first = room.open(window, False)
    then = room.came(window, 64_000, False)

    assert first == [Promise(window, 1)]
    assert then == [Promise(window, MIB // 2 // (64_000 + OVERHEAD))]


def test_small_items_are_promised_as_far_as_the_consumer_takes_them() -> None:
    room, window = Room(MIB), Window("call", 16, True)

    told = [room.open(window, False), *(room.came(window, 100, False) for _ in range(16))]

    assert [promised(one) for one in told] == [1, 15, *[0] * 15]
    assert room.takes(window, 8, False) == [Promise(window, 8)]


def test_a_consumer_that_says_nothing_is_given_what_there_is_in_batches() -> None:
    room = Room(MIB)
    window = opened(room, None)

    told = [promised(room.came(window, 100, False)) for _ in range(100)]

    assert told[0] == UNDER_WAY
    assert [one for one in told[1:] if one] == [UNDER_WAY // 2] * 3


def test_nothing_is_promised_while_the_link_is_full_and_all_of_it_when_it_has_emptied() -> None:
    room = Room(MIB)
    window = opened(room, 16)

    meanwhile = [room.came(window, 100, True), room.takes(window, 4, True)]
    after = room.emptied()

    assert meanwhile == [[], []]
    assert after == [Promise(window, 19)]


def test_windows_of_one_link_share_its_room_and_each_has_at_least_one_item() -> None:
    room = Room(MIB)
    large = [opened(room, 100) for _ in range(3)]
    for window in large:
        room.came(window, 100_000, False)

    late = Window("late", 100, True)

    assert room.open(late, False) == [Promise(late, 1)]
    assert room.reserved <= room.allowance + 4 * (100_000 + OVERHEAD)
    assert all(window.promised >= 1 for window in large)


def test_room_that_becomes_free_goes_to_windows_that_lacked_it() -> None:
    room = Room(MIB)
    first, second = opened(room, 100), opened(room, 100)
    room.came(first, 100_000, False)
    room.came(second, 100_000, False)
    before = second.promised

    effects = room.close(first, False)

    assert before == 1
    assert effects == [Promise(second, 4)]


def test_an_item_costs_the_same_however_many_windows_lack_room_and_each_has_its_turn() -> None:
    room = Room(MIB)
    windows = [opened(room, 100) for _ in range(100)]
    for window in windows:
        room.came(window, 100_000, False)
    looked_at = []
    promise = room._promise
    room._promise = lambda window: looked_at.append(window) or promise(window)  # type: ignore[method-assign,func-returns-value]

    room.came(windows[0], 100_000, False)
    at_once = len(looked_at)
    for _ in range(20):
        room.came(windows[0], 100_000, False)

    assert at_once <= LOOKED_AT + 1
    assert set(looked_at) == set(windows)


def test_a_producer_that_is_not_told_may_run_ahead_so_far() -> None:
    room = Room(MIB)
    window = opened(room, 10, is_told=False)

    borne = [room.came(window, 10, False) for _ in range(10 + LENIENCE)]
    overrun = room.came(window, 10, False)

    assert borne == [[]] * (10 + LENIENCE)
    assert [type(one) for one in overrun] == [Overrun]


def test_what_came_beyond_counts_against_what_is_taken_later() -> None:
    room = Room(MIB)
    window = opened(room, 1, is_told=False)
    for _ in range(6):
        room.came(window, 10, False)

    room.takes(window, 7, False)

    assert (window.beyond, window.promised) == (0, 2)


def test_a_link_that_is_not_read_bears_three_quarters_of_its_budget() -> None:
    room = Room(MIB)
    window = opened(room, None, is_told=False)

    effects: list[Effect] = []
    count = 0
    while not effects:
        effects = room.came(window, 10_000, True)
        count += 1

    assert isinstance(effects[0], Overrun)
    assert count == MIB * 3 // 4 // (10_000 + OVERHEAD) + 1


def test_items_as_large_as_the_budget_come_one_at_a_time_however_slow_the_reader() -> None:
    room = Room(MIB)
    window = opened(room, None)

    told = []
    for _ in range(3):
        told += [room.came(window, MIB, True), room.emptied()]

    assert told == [[], [Promise(window, 1)]] * 3


@given(st.lists(st.integers(0, 200_000), min_size=1, max_size=60), st.integers(1, 40))
def test_a_producer_that_keeps_to_its_promises_never_sends_more_than_its_consumer_takes(
    sizes: list[int], takes: int
) -> None:
    room, window = Room(MIB), Window("call", takes, True)
    may, granted = promised(room.open(window, False)), takes

    for sent, size in enumerate(sizes, 1):
        while may == 0:
            granted += 1
            may += promised(room.takes(window, 1, False))
        may -= 1
        assert sent <= granted
        effects = room.came(window, size, False)
        may += promised(effects)
        assert not any(isinstance(one, Overrun) for one in effects)


class Rooms(RuleBasedStateMachine):
    """Honest producers, any consumers, a link that is full now and then, a size of item for each window."""

    LARGEST = 50_000

    @initialize()
    def begin(self) -> None:
        self.room = Room(MIB)
        self.may: dict[Window, int] = {}
        self.credit: dict[Window, int | None] = {}
        self.is_full = False

    def obey(self, effects: list[Effect]) -> None:
        for effect in effects:
            assert isinstance(effect, Promise), effect
            assert effect.items > 0
            self.may[effect.window] += effect.items

    @precondition(lambda self: len(self.may) < 5)
    @rule(takes=st.none() | st.integers(0, 200), size=st.integers(0, LARGEST))
    def open(self, takes: int | None, size: int) -> None:
        window = Window(size, takes, True)
        self.may[window], self.credit[window] = 0, takes
        self.obey(self.room.open(window, self.is_full))

    @precondition(lambda self: any(self.may.values()))
    @rule(n=st.integers(0, 9), times=st.integers(1, 40))
    def send(self, n: int, times: int) -> None:
        able = [window for window, may in self.may.items() if may]
        window = able[n % len(able)]
        for _ in range(min(times, self.may[window])):
            self.may[window] -= 1
            credit = self.credit[window]
            if credit is not None:
                assert credit > 0, "more than the consumer takes"
                self.credit[window] = credit - 1
            self.obey(self.room.came(window, window.of, self.is_full))

    @precondition(lambda self: self.may)
    @rule(n=st.integers(0, 9), items=st.integers(1, 100))
    def take(self, n: int, items: int) -> None:
        window = list(self.may)[n % len(self.may)]
        self.credit[window] = (self.credit[window] or 0) + items if self.credit[window] is not None else None
        if self.credit[window] is not None:
            self.obey(self.room.takes(window, items, self.is_full))

    @precondition(lambda self: self.may)
    @rule(n=st.integers(0, 9))
    def close(self, n: int) -> None:
        window = list(self.may)[n % len(self.may)]
        del self.may[window]
        self.obey(self.room.close(window, self.is_full))

    @rule()
    def fill(self) -> None:
        self.is_full = True

    @rule()
    def empty(self) -> None:
        self.is_full = False
        self.obey(self.room.emptied())

    @invariant()
    def the_books_agree(self) -> None:
        if not hasattr(self, "room"):
            return
        assert self.room.reserved == sum(window.reserved for window in self.may)
        assert all(window.promised == may for window, may in self.may.items())

    @invariant()
    def what_is_under_way_fits(self) -> None:
        if hasattr(self, "room"):
            assert self.room.reserved <= self.room.allowance + 5 * (self.LARGEST + OVERHEAD)
            assert self.room.held <= self.room.limit

    @invariant()
    def nobody_waits_in_vain(self) -> None:
        if not hasattr(self, "room") or self.is_full:
            return
        for window, may in self.may.items():
            credit = self.credit[window]
            assert may > 0 or credit == 0, "the consumer takes more, the link is empty, and nothing is promised"


Rooms.TestCase.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
TestRooms = Rooms.TestCase
