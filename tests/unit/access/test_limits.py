"""The names and values of limits, and what is spent of them, with a clock turned by hand."""

from __future__ import annotations

import pytest

from hopsack.errors import BadRequest
from hopsack.settings import ConfigError
from hopsack_router.access.limits import (
    DEFAULTS,
    NAMES,
    Limit,
    Rules,
    check,
    read,
    valued,
    with_numbers,
    written,
)
from hopsack_router.access.meters import (
    CALLS,
    CROWDED,
    HEARING,
    PUBLISHES,
    SUBSCRIPTIONS,
    TIMES,
    TOLD,
    Limits,
    Meter,
    host_of,
    network_of,
)


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def limits(text: str = "", spares: bool = False) -> tuple[Limits, Clock]:
    clock = Clock()
    return Limits(Rules(read(text)), clock, spares), clock


def meter_of(given: Limits, role: str = "user", subject: str | None = "ann", host: str = "10.0.0.1") -> Meter:
    meter = given.meter(role, subject, host)
    assert meter is not None
    return meter


# ---- names and values --------------------------------------------------------------------------------------------


def test_what_is_written_is_read() -> None:
    found = read("messages.connection=500/s, calls.connection.user=50/s burst 200, connections.address=none,")

    assert found == (
        Limit("messages.connection", None, 500, 1000, "configuration"),
        Limit("calls.connection", "user", 50, 200, "configuration"),
        Limit("connections.address", None, None, None, "configuration"),
    )
    assert read("payload.connection=4 MiB")[0].burst == 4 << 20
    assert read("auth_failures.subject=10/min burst 10")[0].rate == pytest.approx(1 / 6)
    assert read("") == ()


@pytest.mark.parametrize("limit", DEFAULTS, ids=lambda limit: f"{limit.name}-{limit.role}")
def test_a_value_as_written_is_read_back(limit: Limit) -> None:
    again = valued(limit.name, limit.role, written(limit), "default")

    assert again.burst == limit.burst
    assert again.rate == pytest.approx(limit.rate) if limit.rate else again.rate is limit.rate


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("mesages.connection=5/s", "did you mean messages.connection?"),
        ("messages.connection", "has no value"),
        ("messages.connection=5", "is not a value"),
        ("messages.connection=5/day", "neither a rate"),
        ("connections.address=5/s", "is not a value"),
        ("messages.connection.ops=5/s", "is not a role"),
        ("connects.address.user=5/s", "whatever the role is"),
        ("connects.connection=5/s", "is not a limit"),
    ],
)
def test_what_cannot_be_read_says_why(text: str, told: str) -> None:
    with pytest.raises(ConfigError, match="HOPSACK_LIMITS") as caught:
        read(text)

    assert told in str(caught.value)


def test_numbers_are_checked() -> None:
    with pytest.raises(BadRequest, match="level"):
        with_numbers("connections.address", None, 5.0, 5.0, "live")
    with pytest.raises(BadRequest):
        with_numbers("messages.connection", None, float("nan"), None, "live")
    with pytest.raises(BadRequest):
        check("messages", None)
    assert with_numbers("calls.connection", "user", 3.0, None, "live").burst == 6
    assert with_numbers("calls.connection", "user", None, None, "live").holds is False


def test_a_rate_that_was_forgotten_opens_nothing() -> None:
    with pytest.raises(BadRequest, match="has no rate"):
        with_numbers("calls.connection", "user", None, 7.0, "live")


def test_who_has_what() -> None:
    rules = Rules(read("calls.connection=7/s, calls.connection.service=70/s"))

    assert rules.of("calls.connection", "user").rate == 7
    assert rules.of("calls.connection", "guest").rate == 7
    assert rules.of("calls.connection", "service").rate == 70
    assert not rules.of("calls.connection", "operator").holds
    assert not rules.of("messages.connection", "service").holds
    assert rules.of("subscribed.connection", "service").burst == 1000
    assert rules.of("payload.connection", "operator").burst == 16 << 20
    assert {row.name for row in rules.rows()} == set(NAMES)


def test_live_changes_come_above_and_go_again() -> None:
    rules = Rules(read("calls.connection=7/s"))

    rules.set(with_numbers("calls.connection", None, 9.0, None, "live"))
    rules.set(with_numbers("bytes.subject", "user", 5.0, None, "live"))
    assert rules.of("calls.connection", "user").rate == 9
    assert [one.name for one in rules.live] == ["calls.connection", "bytes.subject"]
    back = rules.reset("calls.connection")

    assert [(one.rate, one.given) for one in back] == [(7, "configuration")]
    assert rules.of("calls.connection", "user").rate == 7
    assert [one.holds for one in rules.reset()] == [False]
    assert rules.live == ()

    rules.set(with_numbers("calls.connection", "guest", 1.0, None, "live"))
    assert [(one.role, one.rate) for one in rules.reset()] == [("guest", 7)]


# ---- what is spent -----------------------------------------------------------------------------------------------


def test_a_service_is_not_limited_unless_somebody_says_so() -> None:
    given, _ = limits()

    assert given.meter("service", "host", "10.0.0.1") is None
    assert given.meter("operator", "cli", "10.0.0.1") is None
    assert given.meter("user", "ann", "10.0.0.1") is not None

    named, _ = limits("publishes.connection.service=2/s burst 2")
    meter = meter_of(named, "service", "host")
    assert [bool(meter.asks(PUBLISHES)) for _ in range(3)] == [False, False, True]
    assert meter.asks(CALLS) == 0.0


def test_who_asks_too_often_is_told_when_to_come_back() -> None:
    given, clock = limits("calls.connection=10/s burst 2")
    meter = meter_of(given)

    assert [meter.asks(CALLS), meter.asks(CALLS)] == [0.0, 0.0]
    wait = meter.asks(CALLS)
    assert 0 < wait <= 0.11
    assert meter.refused == given.rules.of("calls.connection", "user")
    assert meter.asks(PUBLISHES) == 0.0
    clock.now += wait
    assert meter.asks(CALLS) == 0.0
    assert given.counted(given.rules.of("calls.connection")) == 1


def test_connections_of_a_subject_share_its_limit() -> None:
    given, _ = limits("publishes.subject=1/s burst 3")
    first, second = meter_of(given), meter_of(given, host="10.0.0.2")
    other, guest = meter_of(given, subject="bob"), meter_of(given, "guest", None)

    assert [bool(one.asks(PUBLISHES)) for one in (first, second, first, second)] == [False, False, False, True]
    assert other.asks(PUBLISHES) == guest.asks(PUBLISHES) == 0.0


def test_connections_of_an_address_share_its_limit() -> None:
    given, _ = limits("messages.address=1/s burst 2")
    guests = [meter_of(given, "guest", None) for _ in range(3)]

    assert [bool(one.asks(CALLS)) for one in guests] == [False, False, True]
    assert meter_of(given, host="10.0.0.9").asks(CALLS) == 0.0


def test_who_leaves_and_joins_again_over_one_connection_goes_on_with_what_it_had() -> None:
    given, _ = limits("calls.connection=1/s burst 2")
    first, second, elsewhere = meter_of(given), meter_of(given), meter_of(given)
    first.asks(CALLS)

    second.share(first.purse())

    assert [bool(second.asks(CALLS)) for _ in range(2)] == [False, True]
    assert elsewhere.asks(CALLS) == 0.0


def test_households_count_as_one() -> None:
    assert network_of("2001:db8:1:2:3::1") == network_of("2001:db8:1:2:ffff::9") == "2001:db8:1:2::/64"
    assert network_of("2001:db8:1:3::1") != network_of("2001:db8:1:2::1")
    assert network_of("::ffff:10.0.0.1") == "10.0.0.1"
    assert network_of("::1") == "::1"
    assert network_of("") is network_of("memory") is None
    assert host_of("tcp6:fe80::1%eth0:80") == "fe80::1%eth0"
    assert host_of("tcp4:10.0.0.1:80") == "10.0.0.1"
    assert host_of("unix") == host_of(None) == ""


def test_bytes_are_weighed() -> None:
    given, _ = limits("bytes.connection=1 MiB/s burst 2 MiB")
    meter = meter_of(given)

    told = []
    for _ in range(5):
        meter.size += 1 << 20
        told.append(bool(meter.asks(PUBLISHES)))
    assert told == [False, False, True, True, True]
    meter.size += 1 << 20
    meter.excused()
    assert meter.asks(PUBLISHES) == 0.0


def test_who_does_not_listen_is_to_be_closed() -> None:
    given, clock = limits("publishes.connection=100/s burst 10")
    meter = meter_of(given)

    asked = 0
    while not meter.is_beyond:
        clock.now += 1 / 2500  # a second has 25 times what it may
        meter.asks(PUBLISHES)
        asked += 1

    assert HEARING <= asked / 2500 < 0.5


def test_who_asks_a_little_too_much_goes_on_being_told() -> None:
    given, clock = limits("publishes.connection=100/s burst 10")
    meter = meter_of(given)

    for _ in range(20_000):
        clock.now += 1 / (100 * (TIMES - 1))
        meter.asks(PUBLISHES)
        assert not meter.is_beyond


def test_a_burst_that_was_sent_before_the_first_answer_is_no_flood() -> None:
    given, clock = limits("publishes.connection=100/s burst 10")
    meter = meter_of(given)

    for _ in range(50 * TOLD):
        meter.asks(PUBLISHES)
    assert not meter.is_beyond
    clock.now += 20
    assert meter.asks(PUBLISHES) == 0.0


def test_subscriptions_have_a_rate_that_a_page_which_comes_back_does_not_meet() -> None:
    given, _ = limits()
    meter = meter_of(given, "guest", None)

    assert not any(meter.asks(SUBSCRIPTIONS) for _ in range(1000))


# ---- connections and proofs ------------------------------------------------------------------------------------------


def test_connections_of_an_address_have_a_level_and_a_rate() -> None:
    given, clock = limits("connections.address=3, connects.address=1/s burst 5")

    assert [given.enters("10.0.0.1") for _ in range(4)] == [0.0, 0.0, 0.0, CROWDED]
    assert given.enters("10.0.0.2") == 0.0
    for _ in range(3):
        given.leaves("10.0.0.1")
    assert [bool(given.enters("10.0.0.1")) for _ in range(3)] == [False, False, True]
    clock.now += 10
    assert given.enters("10.0.0.1") == 0.0


def test_addresses_of_this_machine_are_spared_in_development_unless_somebody_has_set_a_limit() -> None:
    spared, _ = limits(spares=True)
    assert not any(spared.enters("127.0.0.1") for _ in range(5000))
    assert any(spared.enters("10.0.0.1") for _ in range(5000))

    held, _ = limits("connections.address=3", spares=True)
    assert [bool(held.enters("127.0.0.1")) for _ in range(4)] == [False, False, False, True]


def test_sessions_of_a_subject_have_a_level() -> None:
    given, _ = limits("connections.subject=2")

    assert given.joins("ann", "user") is None
    assert given.joins("ann", "user") is None
    assert given.joins("ann", "user") == given.rules.of("connections.subject", "user")
    assert given.joins("ann", "service") is None
    given.parts("ann")
    given.parts("ann")
    assert given.joins("ann", "user") is None


def test_guesses_are_counted_by_subject_and_by_address() -> None:
    given, clock = limits()

    for _ in range(10):
        assert given.may_try("ann", "127.0.0.1") == 0.0
        given.failed("ann", "127.0.0.1")
    assert given.may_try("ann", "127.0.0.1") > 0
    assert given.may_try("ann", "10.0.0.7") == 0.0
    for number in range(50):
        given.failed(f"user-{number}", "127.0.0.1")
    assert given.may_try("bob", "127.0.0.1") > 0
    clock.now += 1.1
    assert given.may_try("bob", "127.0.0.1") == 0.0
    given.succeeded("ann", "127.0.0.1")
    assert given.may_try("ann", "127.0.0.1") == 0.0


def test_a_change_begins_with_full_buckets() -> None:
    given, _ = limits("calls.subject=1/s burst 1")
    meter_of(given).asks(CALLS)
    assert meter_of(given).asks(CALLS) > 0

    given.rules.set(with_numbers("calls.subject", None, 1.0, 2.0, "live"))
    given.renew()

    fresh = meter_of(given)
    assert [bool(fresh.asks(CALLS)) for _ in range(3)] == [False, False, True]


def test_the_log_tells_once_of_a_guest_whose_every_request_is_a_session_of_its_own() -> None:
    given, clock = limits("messages.address=1/s burst 1")

    def refused(host: str) -> list[bool]:
        """Whether it is news, of sessions that ask once each."""
        meters = [meter_of(given, "guest", None, host) for _ in range(20)]
        return [meter.is_first and meter.is_news for meter in meters if meter.asks("calls")]

    assert refused("10.0.0.1") == [True] + [False] * 18
    assert any(refused("10.0.0.2"))
    clock.now += 11
    assert refused("10.0.0.1").count(True) == 1
    for number in range(3000):
        given.is_news(given.rules.of("messages.address"), f"10.1.{number // 256}.{number % 256}")
    assert len(given._told) <= 1024


def test_a_changed_limit_holds_for_the_next_session_over_a_connection_that_stands() -> None:
    given, _ = limits("calls.connection=100/s burst 100")
    purse = meter_of(given).purse()
    first = meter_of(given)
    first.share(purse)
    assert first.asks("calls") == 0

    given.rules.set(with_numbers("calls.connection", None, 1.0, 1.0, "live"))
    given.renew()
    second = meter_of(given)
    second.share(purse)

    assert second.asks("calls") == 0
    assert second.asks("calls") > 0
