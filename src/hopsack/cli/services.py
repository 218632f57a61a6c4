"""``services ls``, ``services info`` and ``drain``: what services tell of themselves, and how one is told to leave."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

import click

from hopsack.cli.client import joined, remote_settings, run
from hopsack.cli.control import duration
from hopsack.cli.exits import DeadlinePassed
from hopsack.cli.main import json_option, own_name, remote_options
from hopsack.cli.output import Column, emit_rows, for_people, plain, say
from hopsack.errors import HopsackError, UsageError

if TYPE_CHECKING:
    from hopsack.connection import Connection

PATIENCE = 2.0
"""Seconds that a service has to tell of itself; one that does not is shown all the same."""

TO_LEAVE = 5.0
"""Seconds that a drained service has on top of its own, for stop() and for leaving."""

Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Instance:
    """One that answers for itself.

    :ivar name: of the service, as the node lists it. :ivar service: as it calls itself.
    """

    name: str
    service: str
    instance: str
    session: int

    @property
    def prefix(self) -> str:
        return f"hopsack.service.{self.service}.{self.instance}"


@click.group(short_help="The services that are connected, and how they are.")
def services() -> None:
    """The services that are connected, and how they are."""


# ----- ls

_COLUMNS = (
    Column("name", "service"),
    Column("instance", "instance"),
    Column("version", "version"),
    Column("up", "up", "right"),
    Column("num_requests", "requests", "right"),
    Column("num_errors", "errors", "right"),
    Column("average", "mean", "right"),
    Column("last_error", "last error", wraps=True),
)


@services.command(short_help="Every instance, with its requests and errors.")
@click.argument("prefix", default="")
@remote_options
@json_option
def ls(prefix: str, as_json: bool, **given: Any) -> None:
    """Every instance of every service: requests, errors, mean time, last error. With PREFIX, those that begin with it.

    The figures are since the instance began. A program that does not answer for itself is listed without.
    """
    rows = run(_rows(given, prefix))
    if for_people(as_json):
        rows = [_dressed(row, time.time()) for row in rows]
    emit_rows(rows, _COLUMNS, as_json, "hopsack: no service is connected")


async def _rows(given: dict[str, Any], prefix: str) -> list[Row]:
    async with joined(remote_settings(**given)) as connection:
        listed = [row for row in await connection.call("hopsack.services.list") if row["name"].startswith(prefix)]
        instances = list(_instances(listed))
        stats = await asyncio.gather(*(_told(connection, one, "stats") for one in instances))
    rows = [_row(one, told) for one, told in zip(instances, stats, strict=True)]
    answering = {one.session for one in instances}
    for row in listed:
        rows += [{"name": row["name"], "session": session} for session in row["sessions"] if session not in answering]
    served = {row["name"]: row["procedures"] for row in listed}
    return [{**row, "procedures": served[row["name"]]} for row in sorted(rows, key=lambda row: str(row["name"]))]


def _instances(listed: Iterable[Row]) -> Iterable[Instance]:
    for row in listed:
        for one in row.get("answering", ()):
            yield Instance(row["name"], one["service"], one["instance"], one["session"])


async def _told(connection: Connection, instance: Instance, what: str) -> dict[str, Any] | None:
    try:
        told: dict[str, Any] = await connection.call(f"{instance.prefix}.{what}", timeout=PATIENCE)
    except HopsackError:  # it has just left, or its loop stands still
        return None
    return told


def _row(instance: Instance, stats: Row | None) -> Row:
    facts = {"name": instance.name, "instance": instance.instance, "session": instance.session}
    if stats is None:
        return {**facts, "last_error": "it does not answer"}
    return {**facts, "version": stats["version"], "started": stats["started"], **_sum(stats["endpoints"])}


def _sum(endpoints: list[Row]) -> Row:
    """The figures of an instance; its last error is that of the endpoint that had most."""
    requests = sum(one["num_requests"] for one in endpoints)
    spent = sum(one["processing_time"] for one in endpoints)
    worst = max(endpoints, key=lambda one: one["num_errors"], default={"last_error": ""})
    return {
        "num_requests": requests,
        "num_errors": sum(one["num_errors"] for one in endpoints),
        "processing_time": spent,
        "average_processing_time": spent // requests if requests else 0,
        "last_error": worst["last_error"],
    }


def _dressed(row: Row, now: float) -> Row:
    """The same for a person."""
    up = duration(now - datetime.fromisoformat(row["started"]).timestamp()) if "started" in row else ""
    return {**row, "up": up, "average": lasted(row["average_processing_time"]) if row.get("num_requests") else ""}


def lasted(nanoseconds: int) -> str:
    """``1.20 ms``: three digits and the unit that fits."""
    value, unit = float(nanoseconds), "ns"
    for larger in ("µs", "ms", "s"):
        if value < 999.5:
            break
        value, unit = value / 1000, larger
    digits = 0 if value >= 99.95 or unit == "ns" else 1 if value >= 9.995 else 2
    return f"{value:.{digits}f} {unit}"


# ----- info

_ENDPOINTS = (
    Column("subject", "procedure"),
    Column("num_requests", "requests", "right"),
    Column("num_errors", "errors", "right"),
    Column("average", "mean", "right"),
    Column("last_error", "last error", wraps=True),
)


@services.command(short_help="What one service serves, and how each procedure does.")
@click.argument("name")
@click.option("--instance", metavar="ID", help="Only this one.")
@remote_options
@json_option
def info(name: str, instance: str | None, as_json: bool, **given: Any) -> None:
    """What each instance of the service NAME serves, with the figures of every procedure."""
    for told in run(_infos(given, name, instance)):
        if not for_people(as_json):
            emit_rows([told], (), True, "")
            continue
        about = f"  {plain(told['description'])}" if told["description"] else ""
        say(
            click.style(f"{plain(told['name'])} {plain(told['id'])}, version {plain(told['version'])}", bold=True)
            + about
        )
        rows = [{**one, "average": lasted(one["average_processing_time"])} for one in told["endpoints"]]
        emit_rows(rows, _ENDPOINTS, as_json, "it serves nothing")


async def _infos(given: dict[str, Any], name: str, instance: str | None) -> list[dict[str, Any]]:
    async with joined(remote_settings(**given)) as connection:
        found = await _named(connection, name, instance)
        infos = await asyncio.gather(*(_told(connection, one, "info") for one in found))
        stats = await asyncio.gather(*(_told(connection, one, "stats") for one in found))
    told = [_joined(one, figures) for one, figures in zip(infos, stats, strict=True) if one and figures]
    if not told:
        raise DeadlinePassed(f"{name} does not answer within {PATIENCE:g} s")
    return told


def _joined(told: dict[str, Any], figures: Row) -> dict[str, Any]:
    counted = {one["subject"]: one for one in figures["endpoints"]}
    endpoints = [{**one, **counted.get(one["subject"], {})} for one in told["endpoints"]]
    return {**told, "started": figures["started"], "endpoints": endpoints}


async def _named(connection: Connection, name: str, instance: str | None) -> list[Instance]:
    """The instances of a service.

    :raises UsageError: there are none; it says which there are.
    """
    known = list(_instances(await connection.call("hopsack.services.list")))
    found = [one for one in known if name in (one.name, one.service) and instance in (None, one.instance)]
    if found:
        return found
    which = f"{name} has no instance {instance}" if instance and any(name == one.service for one in known) else None
    there = ", ".join(sorted({f"{one.service} {one.instance}" for one in known})) or "none"
    raise UsageError(f"{which or f'no service {name} is connected that answers for itself'}; there are: {there}")


# ----- drain


@click.command(short_help="Let a service finish what it has in hand, and end.")
@click.argument("name", metavar="SERVICE")
@click.option("--instance", metavar="ID", help="Only this one; `services ls` lists them.")
@click.option("--timeout", type=click.FloatRange(0, 86400), metavar="S", help="For what is in hand, in seconds.")
@remote_options
@json_option
def drain(name: str, instance: str | None, timeout: float | None, as_json: bool, **given: Any) -> None:
    """Let every instance of a service finish what it has in hand and end, and wait until all have left.

    It takes nothing new; other instances get the calls. Without --timeout it has what it was started with: 10 s, or
    HOPSACK_FINISH. What `up` runs is started again when it has ended.
    """
    run(_drain(given, name, instance, timeout, as_json))


async def _drain(given: dict[str, Any], name: str, instance: str | None, seconds: float | None, as_json: bool) -> None:
    async with joined(remote_settings(**given)) as connection:
        left: set[int] = set()
        news = asyncio.Event()

        async def on_left(member: dict[str, Any]) -> None:
            left.add(member["session"])
            news.set()

        await connection.subscribe("presence.left", on_left)
        found = await _named(connection, name, instance)
        longest = 0.0
        for one in found:
            order = {} if seconds is None else {"seconds": seconds}
            told = await connection.call(f"{one.prefix}.drain", order)
            longest = max(longest, told["seconds"])
            if not for_people(as_json):
                emit_rows([told], (), True, "")
            else:
                limit = f"{told['in_hand']} calls in hand, {told['seconds']:g} s at most"
                say(f"hopsack: {plain(one.service)} {one.instance} is draining: {limit}")
        await _gone({one.session for one in found}, left, news, longest * 1.25 + TO_LEAVE)
        if for_people(as_json):
            say(f"hopsack: {plain(name)} has left")


async def _gone(sessions: set[int], left: set[int], news: asyncio.Event, seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            while not sessions <= left:
                news.clear()
                await news.wait()
    except TimeoutError:
        advice = f"`{own_name()} sessions ls` shows whether it is there"
        raise DeadlinePassed(f"it has not left after {seconds:g} s; {advice}") from None
