"""Magic Wormhole as asyncio has it: one wormhole, with the real library, over the mailbox of one's own choice.

The library runs on Twisted; so does this process, with the reactor on the asyncio loop (:func:`run`). A mailbox that
goes away is connected to again by the library, and both sides go on where they were.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from hopsack.cli.exits import Unreachable
from hopsack.errors import LocalError, UsageError

__all__ = ["APP", "NotInstalled", "Wormhole", "WrongCode", "run"]

APP = "hopsack/enrolment/1"
"""Wormholes of other programs never meet ours, even with the same code."""

CLOSED_WITHIN = 5.0
"""Seconds to say goodbye to the mailbox."""

T = TypeVar("T")


class NotInstalled(LocalError):
    """The packages of enrolment are missing here."""

    def __init__(self, what: str, package: str) -> None:
        self.message = f"{what} is not installed here"
        self.advice = f"pip install '{package}'"
        super().__init__(f"{self.message}: {self.advice}")


class WrongCode(LocalError):
    """The two sides did not use the same code: this wormhole is of no use any more."""


class Wormhole:
    """One side of a wormhole; a :class:`hopsack.enrolment.Channel`.

    :param mailbox: its WebSocket URL. :param given: the code that somebody was told; ``None`` makes a new one.
    :raises NotInstalled: the library is missing. :raises UsageError: this is no code.
    """

    def __init__(self, mailbox: str, given: str | None = None) -> None:
        try:
            import wormhole
            from wormhole import errors
        except ModuleNotFoundError as error:
            raise NotInstalled("Magic Wormhole", "hopsack[enrol]") from error
        from twisted.internet import reactor

        self._errors = errors
        self._mailbox = mailbox
        self._closing: asyncio.Future[Any] | None = None
        self._wormhole: Any = wormhole.create(APP, mailbox, reactor)
        try:
            if given is None:
                self._wormhole.allocate_code()
            else:
                self._wormhole.set_code(given)
        except errors.KeyFormatError as error:
            raise UsageError(f"{given!r} is not a code: they look like 7-crossover-clockwork") from error

    async def code(self) -> str:
        code: str = await self._wait(self._wormhole.get_code())
        return code

    async def verifier(self) -> bytes:
        verifier: bytes = await self._wait(self._wormhole.get_verifier())
        return verifier

    async def send(self, message: bytes) -> None:
        self._wormhole.send_message(message)

    async def receive(self) -> bytes:
        message: bytes = await self._wait(self._wormhole.get_message())
        return message

    async def close(self) -> None:
        if self._closing is None:
            self._closing = self._future(self._wormhole.close())
        try:
            async with asyncio.timeout(CLOSED_WITHIN):
                await asyncio.shield(self._closing)
        except (TimeoutError, self._errors.WormholeError):
            pass  # how it ended has been told where it mattered

    async def _wait(self, deferred: Any) -> Any:
        try:
            return await self._future(deferred)
        except self._errors.WrongPasswordError as error:
            raise WrongCode("the code that was used on one of the two sides is wrong") from error
        except self._errors.ServerConnectionError as error:
            raise Unreachable(
                f"cannot reach the mailbox {self._mailbox}: {_in_words(error.reason)}",
                "`hopsack up` and `hopsack mailbox` run one; HOPSACK_MAILBOX or --mailbox names another",
            ) from error
        except (self._errors.WormholeError, self._errors.WormholeClosed) as error:
            what = "three sides have used this code" if "crowded" in str(error) else str(error) or "it has closed"
            raise LocalError(f"the wormhole came to nothing: {what}") from error

    def _future(self, deferred: Any) -> asyncio.Future[Any]:
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()

        def fired(result: Any) -> None:
            if not future.done():
                future.set_result(result)

        def failed(failure: Any) -> None:
            if not future.done():
                future.set_exception(failure.value)
                future.exception()  # who waits for nothing any more has heard of it elsewhere

        deferred.addCallbacks(fired, failed)
        return future


def _in_words(reason: Exception) -> str:
    """Twisted says the same three times: in its own words, as a number, and in the system's."""
    number = getattr(reason, "osError", None)
    if isinstance(number, int):
        return os.strerror(number).lower()
    return (str(reason) or type(reason).__name__).lower().rstrip(".")


def run(main: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Run a coroutine with Twisted's reactor on its loop. Once in a process: the reactor ends with it.

    :raises KeyboardInterrupt: Ctrl-C; ``main`` was cancelled, and has ended.
    """
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    from twisted.internet import asyncioreactor

    asyncioreactor.install(loop)
    from twisted.internet import reactor
    from twisted.logger import STDLibLogObserver, globalLogBeginner

    quiet = logging.getLogger("twisted")
    quiet.addHandler(logging.NullHandler())
    quiet.propagate = False  # what matters to the person comes as an error
    globalLogBeginner.beginLoggingTo([STDLibLogObserver("twisted")], discardBuffer=True, redirectStandardIO=False)
    work: list[asyncio.Task[T]] = []
    core: Any = reactor

    def begin() -> None:
        task = loop.create_task(main())
        work.append(task)
        loop.add_signal_handler(signal.SIGINT, task.cancel)
        loop.add_signal_handler(signal.SIGTERM, task.cancel)
        task.add_done_callback(lambda _: core.stop())

    core.callWhenRunning(begin)
    core.run(installSignalHandlers=False)
    try:
        return work[0].result()
    except asyncio.CancelledError:
        raise KeyboardInterrupt from None


async def ask(question: Callable[[], T]) -> T:
    """Let a person answer, on a thread that keeps nobody from ending."""
    import threading

    loop = asyncio.get_running_loop()
    answer: asyncio.Future[T] = loop.create_future()

    def settle(value: T | None, error: BaseException | None) -> None:
        if answer.done():
            return
        if error is None:
            answer.set_result(value)  # type: ignore[arg-type]
        else:
            answer.set_exception(error)

    def work() -> None:
        try:
            loop.call_soon_threadsafe(settle, question(), None)
        except BaseException as error:
            loop.call_soon_threadsafe(settle, None, error)

    threading.Thread(target=work, name="question", daemon=True).start()
    return await answer
