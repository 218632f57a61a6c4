"""Thresholds on hosts' load: raises and clears alerts, and asks the person on duty.

host.metrics -> on_sample -> Board -> effects -> alerts.raised, alerts.cleared, operator.{name}.ask

``alerts.raised`` keeps one value for each alert that stands. What it holds is read at every join, and it is brought to
agree with the board then, and after every sample that a publication has failed at.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterable

from alerts import ledger
from alerts.agreement import Put, Remove, differences
from alerts.board import CHOICES, Answered, Ask, Board, Clear, Describe, Described, Effect, Raise, Sampled
from alerts.settings import AlertsSettings
from hopsack import Service, procedure, subscribe
from hopsack.errors import Deadline, DeclaredError, HopsackError
from hopsack.settings import Settings
from hopsack_contracts import (
    ALERTS_CLEARED,
    ALERTS_LIST,
    ALERTS_RAISED,
    ALERTS_SET,
    HOST_DESCRIBE,
    HOST_METRICS,
    OPERATOR_NAME_ASK,
    Alert,
    AlertList,
    AlertMetric,
    AlertThreshold,
    HostName,
    HostSample,
    Question,
)


class Alerts(Service):
    async def start(self) -> None:
        self.settings = AlertsSettings.from_environ(os.environ, Settings.from_environ(os.environ).data)
        self.board = Board(self.load(), asks=bool(self.settings.operator))
        self.questions: dict[str, asyncio.Task[None]] = {}  # one for each standing alert at most, by its id
        self.operator = asyncio.Lock()  # a person answers one question at a time
        self.told: dict[str, Alert] | None = None  # what alerts.raised holds; None until that has been read
        self.agreeing = asyncio.Lock()

    async def joined(self) -> None:
        """The node may have lost what it kept, and alerts may have ended while it was away."""
        async with self.agreeing, await self.connection.map(ALERTS_RAISED) as held:
            self.told = dict(held)
        await self.agree()

    async def stop(self) -> None:
        for question in self.questions.values():
            question.cancel()

    @procedure(ALERTS_LIST)
    async def list_alerts(self) -> AlertList:
        return self.board.listing()

    @procedure(ALERTS_SET)
    async def set_threshold(self, threshold: AlertThreshold) -> AlertThreshold:
        self.board.set_threshold(threshold)
        self.save()
        return threshold

    @subscribe(HOST_METRICS)
    async def on_sample(self, sample: HostSample) -> None:
        values: dict[AlertMetric, float] = {
            "cpu": sample.cpu.total,
            "memory": sample.memory.percent,
            "disk": sample.disk.used_percent,
        }
        await self.do(self.board.receive(Sampled(sample.host, sample.at, values)))
        await self.agree()

    async def do(self, effects: Iterable[Effect]) -> None:
        for effect in effects:
            match effect:
                case Raise():
                    self.save()
                    await self.agree()
                case Clear(alert):
                    self.save()
                    self.withdraw(alert)
                    await self.agree()
                    await self.announce_end(alert)
                case Describe(host):
                    await self.do(self.board.receive(await self.describe(host)))
                case Ask(alert):
                    self.questions[alert.id] = asyncio.create_task(self.ask(alert))

    async def agree(self) -> None:
        """Bring ``alerts.raised`` to what the board says. What fails is tried again at the next sample, or join."""
        async with self.agreeing:
            if self.told is None:
                return
            for change in differences(self.told, self.board.listing().active):
                try:
                    await self.tell(change, self.told)
                except HopsackError as error:
                    self.log.warning("not published", topic=ALERTS_RAISED.uri, change=change, error=str(error))
                    return

    async def tell(self, change: Put | Remove, told: dict[str, Alert]) -> None:
        match change:
            case Put(alert):
                await self.publish(ALERTS_RAISED, alert)
                told[alert.id] = alert
            case Remove(id):
                await self.delete(ALERTS_RAISED, {"id": id})
                del told[id]

    async def announce_end(self, alert: Alert) -> None:
        """An end that cannot be published is not in the stream of ends; that it no longer stands, is told anyway."""
        try:
            await self.publish(ALERTS_CLEARED, alert)
        except HopsackError as error:
            self.log.warning("not published", topic=ALERTS_CLEARED.uri, alert=alert.id, error=str(error))

    async def describe(self, host: str) -> Described:
        try:
            description = await self.call(HOST_DESCRIBE, HostName(host=host), timeout=2.0)
        except HopsackError as error:
            self.log.info("nobody describes this host", host=host, error=str(error))
            return Described(host, None)
        return Described(host, description)

    # The person on duty ----------------------------------------------------------------------------------------------

    async def ask(self, alert: Alert) -> None:
        async with self.operator:
            answer = await self.answer_of(self.settings.operator, alert)
        self.questions.pop(alert.id, None)
        await self.do(self.board.receive(answer))

    async def answer_of(self, operator: str, alert: Alert) -> Answered:
        seconds = self.settings.ask_s
        question = Question(id=alert.id, text=alert.message, choices=CHOICES, timeout_s=seconds)
        try:
            answer = await self.call(OPERATOR_NAME_ASK, question, timeout=seconds, name=operator)
        except (Deadline, DeclaredError) as error:  # declined, busy: somebody is there
            self.log.info("no answer", operator=operator, alert=alert.id, error=str(error))
            return Answered(alert.id, choice=None, by=operator)
        except HopsackError as error:
            self.log.info("nobody to ask", operator=operator, alert=alert.id, error=str(error))
            return Answered(alert.id, choice=None, by=None)
        return Answered(alert.id, answer.choice, answer.by)

    def withdraw(self, alert: Alert) -> None:
        question = self.questions.pop(alert.id, None)
        if question is not None:
            question.cancel()

    # Over a restart --------------------------------------------------------------------------------------------------

    def load(self) -> AlertList | None:
        try:
            return ledger.load(self.settings.state)
        except (OSError, ValueError) as error:
            self.log.error("thresholds and alerts begin afresh", file=str(self.settings.state), error=str(error))
            return None

    def save(self) -> None:
        try:
            ledger.save(self.settings.state, self.board.listing())
        except OSError as error:
            self.log.error("a restart will forget the alerts", file=str(self.settings.state), error=str(error))
