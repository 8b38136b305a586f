"""Owns `bouncer run`: puts the parts together, starts them in order, tells systemd, and stops them in order."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import os
import shutil
import signal
import sys
import time
from typing import TYPE_CHECKING

from bouncer import config as configuration
from bouncer import logs, tasks, tenant
from bouncer.cli.lock import StorageLock
from bouncer.cli.parts import open_storage
from bouncer.cli.runner import STAGING
from bouncer.cli.welcome import welcome, write_password
from bouncer.control import ControlClient, ControlServer
from bouncer.errors import BouncerError, CommandError, UsageError
from bouncer.metrics import Metrics
from bouncer.notify import Notifier
from bouncer.service import commands
from bouncer.service.parser import HelpRequest, command_line, parse
from bouncer.supervisor import Supervisor
from web.app import start_panel
from web.monitoring import start_monitoring, web_figures

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
    from pathlib import Path

    from prometheus_client.core import Metric

    from bouncer.config import Config
    from bouncer.service import Service
    from bouncer.service.commands import Output
    from web.serving import HttpListener

log = logging.getLogger(__name__)

STEP_S, QUIT_S = 4.0, 8.0
"""What a step of the ordered stop may take, and the one that leaves the networks; together less than TimeoutStopSec."""
TAKE_OVER_S = 10.0
"""How long a start waits for a bouncer that is stopping, or for a command."""
RETRY_S = 0.05
NEEDS_RESTART = ("storage.", "main.", "timeouts.reply_s", "timeouts.commit_live_ms", "limits.journal_rows")
"""Keys that a reload cannot apply."""
GC_THRESHOLDS = (20_000, 20, 50)
"""A read of a busy network makes some thousand objects that all live until they are stored: with Python's own 700 the
collector would look through them again and again, and there is hardly a cycle to be found."""
SWITCH_S = 0.0005
"""A thread that wants the interpreter gets it after so long at the latest. A commit asks for it some twenty times: with
Python's own 5 ms, one message waited for 100 ms while the loop was busy with somebody else's flood."""
OF_THE_PANEL = ("web.", "limits.panel_", "timeouts.panel_s")
"""Keys for which the panel is closed and opened again."""


def run(path: Path | None) -> int:
    """Run until SIGTERM or SIGINT; gives the exit code. Raises ConfigError, CommandError when it cannot start."""
    config = configuration.load(path)
    lock = StorageLock(config.storage.path, "daemon")
    _take(lock, config)
    try:
        _setup_logs(config)
        with asyncio.Runner(loop_factory=_loop_factory()) as runner:
            runner.run(Daemon(config, path).run())
    finally:
        lock.release()
    return 0


def _take(lock: StorageLock, config: Config) -> None:
    """Have the storage for ourselves; raises CommandError when another bouncer has it."""
    deadline = time.monotonic() + TAKE_OVER_S
    while not lock.try_acquire():
        role, pid = lock.holder()
        client = ControlClient.connect(config.storage.control_socket)
        if client is not None or time.monotonic() > deadline:
            if client is not None:
                client.close()
            who = "a bouncer" if role == "daemon" else "a command"
            raise CommandError(f"{who} (process {pid}) uses {config.storage.path} already")
        time.sleep(RETRY_S)


def _setup_logs(config: Config) -> None:
    logs.setup(config.log.level, config.log.format, filters=[tenant.LogFilter()])
    logging.getLogger("alembic").setLevel(logging.WARNING)  # it tells of each file that it looks at


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    try:
        import uvloop  # noqa: PLC0415 - it is there on some systems only
    except ImportError:
        return None
    return uvloop.new_event_loop


class Daemon:
    """One run of the bouncer. `run` returns after an ordered stop."""

    def __init__(self, config: Config, path: Path | None) -> None:
        self._config = config
        self._path = path
        self._notifier = Notifier.from_environment()
        self._tasks = tasks.Group()
        self._stop = asyncio.Event()
        self._reloading = asyncio.Lock()
        self._panel: HttpListener | None = None
        self._monitoring: HttpListener | None = None
        self._supervisor: Supervisor
        self._metrics: Metrics
        self._service: Service

    async def run(self) -> None:
        """Start, serve, stop. Raises ConfigError and other BouncerErrors when the start fails."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._asked_to_stop, number)
        loop.add_signal_handler(signal.SIGHUP, self._asked_to_reload)
        # What is pushed is undone in the opposite order, after a failed start as after a good run.
        async with contextlib.AsyncExitStack() as stack:
            stack.callback(self._notifier.close)
            _tune_interpreter()
            await self._start(stack)
            gc.freeze()  # as above, for what the start has made
            self._notifier.ready(f"listening on {', '.join(self._supervisor.listening)}")
            if self._notifier.watchdog_s is not None:
                self._tasks.spawn(self._watchdog(self._notifier.watchdog_s), name="watchdog")
            await self._stop.wait()
            self._notifier.stopping("disconnecting from all networks")
        log.info("stopped")

    async def _start(self, stack: contextlib.AsyncExitStack) -> None:
        config = self._config
        log.info("starting; storage is %s, configuration %s", config.storage.path, config.file or "the defaults")
        await asyncio.to_thread(_sweep, config.storage.path)
        main, tenants = await open_storage(config)
        stack.push_async_callback(_step, "closing the main database", main.close)
        stack.push_async_callback(_step, "closing the users' files", tenants.close)
        self._supervisor = Supervisor(config, main, tenants)
        self._service = self._supervisor.service
        stack.callback(self._service.close)
        await self._service.users.repair()
        stack.push_async_callback(_step, "disconnecting", self._disconnect, QUIT_S)
        self._supervisor.on_reload = self._read_again
        await self._supervisor.start()
        stack.push_async_callback(_step, "leaving the history as it is", self._service.caretaker.close)
        self._service.caretaker.start()
        stack.push_async_callback(_step, "closing the panel", self._close_panel)
        if config.web.listen is not None:
            self._panel = await start_panel(config, self._service)
        self._metrics = Metrics(self._supervisor, self._figures, self._dead)
        stack.push_async_callback(_step, "closing the metrics", self._close_monitoring)
        if config.metrics.listen is not None:
            self._monitoring = await start_monitoring(config, self._metrics)
        stack.push_async_callback(_step, "ending tasks", self._tasks.cancel)
        control = ControlServer(config.storage.control_socket, self._command)
        stack.push_async_callback(_step, "closing the control socket", control.close)
        await control.start()
        await self._first_run()

    async def _first_run(self) -> None:
        made = await self._service.users.first_admin()
        if made is None:
            return
        user, password = made
        if sys.stdout.isatty():
            panel = self._panel.address if self._panel is not None else ""
            print("\n".join(welcome(user.name, password, self._supervisor.listening, panel)), flush=True)  # noqa: T201 - it is for the person who started us
            return
        file = self._config.storage.first_password
        await asyncio.to_thread(write_password, file, user.name, password)
        log.info("the first start made the admin %s; the one-time password is in %s", user.name, file)

    async def _command(self, words: Sequence[str], secrets: Mapping[str, str], output: Output) -> None:
        """One command from the control socket."""
        try:
            args = parse(command_line(), words)
        except HelpRequest as help_:
            output.line(str(help_))
            return
        if (args.noun, getattr(args, "verb", "")) not in commands.COMMANDS:
            raise UsageError(f"{args.noun} is not for a running bouncer")
        await commands.run(commands.Request(self._service, args, output, secrets))

    def _asked_to_stop(self, number: signal.Signals) -> None:
        if self._stop.is_set():
            log.warning("asked to stop again: stopping now; what a client was shown is on disk")
            os._exit(1)
        log.info("stopping: %s", signal.Signals(number).name)
        self._stop.set()

    def _asked_to_reload(self) -> None:
        self._tasks.spawn(self._reload(), name="reload")

    async def _reload(self) -> None:
        """Read the configuration again on a signal: what is wrong with it is for the log."""
        try:
            await self._read_again()
        except BouncerError as error:
            log.error("the configuration was not read again: %s", error)

    async def _read_again(self) -> None:
        """Read the configuration again; one that cannot be used raises and changes nothing."""
        async with self._reloading:
            self._notifier.reloading()
            try:
                await self._apply(await asyncio.to_thread(configuration.load, self._path))
            finally:
                self._notifier.ready()

    async def _apply(self, config: Config) -> None:
        changed = configuration.differences(self._config, config)
        for key in changed:
            if key.startswith(NEEDS_RESTART):
                log.warning("%s: changes with the next start only", key)
        await self._supervisor.reload(config)
        before, self._config = self._config, config
        self._service.configure(config)
        _setup_logs(config)
        if any(key.startswith(OF_THE_PANEL) for key in changed):
            await self._restart_panel(before)
        if "metrics.listen" in changed:
            await self._restart_monitoring(before)
        log.info("the configuration was read again; changed: %s", ", ".join(changed) or "nothing")

    async def _restart_panel(self, before: Config) -> None:
        """Panel listeners cannot be moved: close and open; on failure the old address is taken again."""
        await self._close_panel()
        for config in (self._config, before):
            if config.web.listen is None:
                return
            try:
                self._panel = await start_panel(config, self._service)
            except BouncerError as error:
                log.error("the panel did not start: %s", error)
            else:
                return

    async def _restart_monitoring(self, before: Config) -> None:
        """As for the panel."""
        await self._close_monitoring()
        for config in (self._config, before):
            if config.metrics.listen is None:
                return
            try:
                self._monitoring = await start_monitoring(config, self._metrics)
            except BouncerError as error:
                log.error("the metrics did not start: %s", error)
            else:
                return

    def _figures(self) -> Iterable[Metric]:
        return web_figures(self._panel)

    def _dead(self) -> list[str]:
        """Where nobody listens although somebody should; who is told this has reached the listener for figures."""
        wanted, panel = self._config.web.listen, self._panel
        return [wanted.uri] if wanted is not None and (panel is None or not panel.alive) else []

    async def _disconnect(self) -> None:
        await self._supervisor.stop("the bouncer is stopping")

    async def _close_panel(self) -> None:
        panel, self._panel = self._panel, None
        if panel is not None:
            await panel.close()

    async def _close_monitoring(self) -> None:
        monitoring, self._monitoring = self._monitoring, None
        if monitoring is not None:
            await monitoring.close()

    async def _watchdog(self, every_s: float) -> None:
        """Say that the loop turns; a loop that is stuck says nothing, and systemd starts us anew."""
        while True:
            self._notifier.watchdog()
            await asyncio.sleep(every_s)


def _tune_interpreter() -> None:
    """The program itself stays: no collection looks at it again. Threads take turns often."""
    sys.setswitchinterval(SWITCH_S)
    gc.collect()
    gc.freeze()
    gc.set_threshold(*GC_THRESHOLDS)


def _sweep(storage: Path) -> None:
    """Remove what commands left in the storage folder when they were killed."""
    for folder in storage.glob(f"{STAGING}*"):
        shutil.rmtree(folder, ignore_errors=True)


async def _step(what: str, act: Callable[[], Awaitable[object]], timeout_s: float = STEP_S) -> None:
    """One step of the stop; one that fails or takes too long must not keep the others from being made."""
    try:
        async with asyncio.timeout(timeout_s):
            await act()
    except TimeoutError:
        log.error("%s took longer than %s s", what, STEP_S)
    except Exception:
        log.exception("%s failed", what)
