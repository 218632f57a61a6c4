"""Thresholds on hosts' load: raises and clears alerts, and asks the person on duty.

host.metrics -> on_sample -> Board -> effects -> alerts.raised, alerts.cleared, operator.{name}.ask
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterable

from alerts import ledger
from alerts.board import CHOICES, Answered, Ask, Board, Clear, Describe, Described, Effect, Raise, Sampled
from alerts.settings import AlertsSettings
from hopsack import Service, Topic, procedure, subscribe
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

    async def do(self, effects: Iterable[Effect]) -> None:
        for effect in effects:
            match effect:
                case Raise(alert):
                    self.save()
                    await self.announce(ALERTS_RAISED, alert)
                case Clear(alert):
                    self.save()
                    self.withdraw(alert)
                    await self.announce(ALERTS_CLEARED, alert)
                case Describe(host):
                    await self.do(self.board.receive(await self.describe(host)))
                case Ask(alert):
                    self.questions[alert.id] = asyncio.create_task(self.ask(alert))

    async def announce(self, topic: Topic[Alert], alert: Alert) -> None:
        """What cannot be published still stands in ``alerts.list``."""
        try:
            await self.publish(topic, alert)
        except HopsackError as error:
            self.log.warning("not published", topic=topic.uri, alert=alert.id, error=str(error))

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
