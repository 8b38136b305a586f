"""Owns what is told of the whole bouncer in figures: read when they are asked for, from counts that are kept anyway.

No figure has a name, an address or a word of anybody in it: labels are states and reasons from short lists of ours.
https://prometheus.io/docs/instrumenting/exposition_formats/
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, get_args

from prometheus_client import CollectorRegistry, GCCollector, PlatformCollector, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from bouncer.downstream import Drop
from bouncer.events import State
from bouncer.throttle import Outcome

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from bouncer.histogram import Histogram
    from bouncer.supervisor import Supervisor

DATABASE_S = 2.0
"""What the main database may take to answer anything at all."""
LATE_S, LATE_SAMPLES = 1.0, 10
"""The loop is not well when it was so late within so many seconds."""
REFUSALS = ("full", "proxy", "handshake")
WAYS = ("password", "token", "certificate")


class Metrics(Collector):
    """`text()` is what /metrics says, `health()` what /healthz does. `more` gives further figures, as of the panel.

    `listeners` gives the addresses, beside those for clients, at which nobody listens although somebody should.
    """

    def __init__(
        self, supervisor: Supervisor, more: Callable[[], Iterable[Metric]], listeners: Callable[[], list[str]]
    ) -> None:
        self._supervisor = supervisor
        self._more = more
        self._listeners = listeners
        self._ours = CollectorRegistry()
        self._ours.register(self)
        self._process = CollectorRegistry()
        for collector in (ProcessCollector, PlatformCollector, GCCollector):
            collector(registry=self._process)

    def describe(self) -> Iterable[Metric]:
        """Nothing: or registering would collect once."""
        return ()

    async def text(self) -> bytes:
        """The figures in the text format; those of the process are read in a thread, /proc can be slow."""
        process = await asyncio.to_thread(generate_latest, self._process)
        return generate_latest(self._ours) + process

    async def health(self) -> Mapping[str, str]:
        """What is looked at, each with "ok" or with what is wrong."""
        supervisor = self._supervisor
        late_s = supervisor.lag.worst_of(LATE_SAMPLES)
        dead = [*supervisor.listeners.dead, *self._listeners()]
        threads = supervisor.tenants.threads_alive and supervisor.journal.alive
        return {
            "main_database": await self._database(),
            "writers": "ok" if threads else "a thread has ended",
            "loop": "ok" if late_s <= LATE_S else f"{late_s:.1f} s late within the last {LATE_SAMPLES} s",
            "listeners": f"nobody listens on {', '.join(dead)}" if dead else "ok",
        }

    async def _database(self) -> str:
        try:
            async with asyncio.timeout(DATABASE_S), self._supervisor.service.main.session() as session:
                await session.execute(text("SELECT count(*) FROM users WHERE id = 0"))
        except TimeoutError:
            return f"no answer within {DATABASE_S:g} s"
        except SQLAlchemyError as error:
            return f"cannot be read: {type(error).__name__}"
        return "ok"

    def collect(self) -> Iterator[Metric]:
        """All figures but those of the process."""
        yield from self._loop()
        yield from self._storage()
        yield from self._upstreams()
        yield from self._clients()
        yield from self._logins()
        yield from self._more()

    def _loop(self) -> Iterator[Metric]:
        lag = self._supervisor.lag
        yield histogram("loop_lag_seconds", "How late the event loop runs a timer, measured once a second", lag.seconds)
        yield gauge("loop_lag_recent_max_seconds", "The latest within a minute", lag.worst_of())

    def _storage(self) -> Iterator[Metric]:
        journal, tenants = self._supervisor.journal, self._supervisor.tenants
        stats, waiting, counts = journal.stats, journal.waiting, tenants.counts
        yield histogram("journal_trip_seconds", "Trips to a writing thread, each with the commits due", stats.trip_s)
        yield histogram("journal_commit_rows", "Messages in one user's commit", stats.commit_rows)
        yield counter("messages_stored_total", "Messages committed", stats.rows)
        yield counter("messages_lost_total", "Messages that could not be kept", stats.lost)
        shown = "Messages shown before they were stored, as storage was slow or failing"
        yield counter("messages_sent_before_stored_total", shown, stats.sent_before_stored)
        yield counter("journal_failures_total", "Commits that failed, and are tried again", stats.failures)
        yield gauge("journal_waiting_rows", "Messages that are not on disk yet", waiting.rows)
        yield gauge("journal_waiting_users", "Users who have something that is not on disk yet", waiting.tenants)
        yield gauge("storage_failing_users", "Users whose storage fails now", waiting.troubled)
        yield gauge("tenant_files_open", "Users' files that are open for writing", tenants.open_files)
        yield counter("tenant_files_opened_total", "Users' files opened for writing", counts.opened)
        yield counter("tenant_files_evicted_total", "Those closed to make room for others", counts.evicted)
        yield counter("tenant_switches_total", "Blocks begun inside a user's file", counts.switches)
        yield gauge("tenant_reads_waiting", "Reads that wait for a thread", tenants.reads_waiting)

    def _upstreams(self) -> Iterator[Metric]:
        states = dict.fromkeys(get_args(State), 0)
        queued = most = 0
        for user in self._supervisor.users.values():
            for network in user.networks.values():
                states[network.phase if network.settings.enabled else "disabled"] += 1
                unsent = network.unsent
                queued, most = queued + unsent, max(most, unsent)
        yield gauge("users_live", "Users who are enabled", len(self._supervisor.users))
        yield labelled(GaugeMetricFamily, "upstreams", "Servers of all users, by state", "state", states)
        yield gauge("upstream_queue_lines", "Lines that wait for flood limits", queued)
        yield gauge("upstream_queue_max_lines", "The same, of the server with most", most)

    def _clients(self) -> Iterator[Metric]:
        supervisor = self._supervisor
        waiting = [session.client.waiting for user in supervisor.users.values() for session in user.sessions.values()]
        yield gauge("clients", "IRC clients attached", len(waiting))
        yield gauge("client_queue_bytes", "Bytes that wait for IRC clients to read", sum(waiting))
        yield gauge("client_queue_max_bytes", "The same, of the client with most", max(waiting, default=0))
        yield gauge("clients_registering", "Connections that have not signed in", supervisor.listeners.gate.total)
        drops = {why: supervisor.drops[why] for why in get_args(Drop)}
        yield labelled(CounterMetricFamily, "clients_dropped_total", "IRC clients ended by us", "reason", drops)
        refused = {why: supervisor.listeners.refused[why] for why in REFUSALS}
        words = "Connections to IRC listeners that were not let in"
        yield labelled(CounterMetricFamily, "connections_refused_total", words, "reason", refused)

    def _logins(self) -> Iterator[Metric]:
        users, entrance = self._supervisor.service.users, self._supervisor.entrance
        ended = {one.value: users.throttle.ended[one] for one in Outcome}
        words = "Passwords and codes of IRC and panel, by whether they were right"
        yield labelled(CounterMetricFamily, "logins_total", words, "outcome", ended)
        yield counter("logins_throttled_total", "Those that were not looked at", users.throttle.refused)
        ways = {way: entrance.admitted[way] for way in WAYS}
        yield labelled(CounterMetricFamily, "irc_logins_total", "IRC clients let in, by what", "way", ways)
        yield gauge("password_hashes_waiting", "Passwords being hashed, or waiting for it", users.passwords.pending)


def gauge(name: str, words: str, value: float) -> Metric:
    """One number that goes up and down."""
    return GaugeMetricFamily(f"bouncer_{name}", words, value=value)


def counter(name: str, words: str, value: float) -> Metric:
    """One number that only grows; the library puts `_total` behind its name."""
    return CounterMetricFamily(f"bouncer_{name}", words, value=value)


def labelled(
    kind: type[CounterMetricFamily | GaugeMetricFamily], name: str, words: str, label: str, values: Mapping[str, float]
) -> Metric:
    """One number for each value of a label; the values come from a list of ours, never from people."""
    family = kind(f"bouncer_{name}", words, labels=[label])
    for value, number in values.items():
        family.add_metric([value], number)
    return family


def histogram(name: str, words: str, values: Histogram) -> Metric:
    """How many were at most so large."""
    buckets = [("+Inf" if bound == float("inf") else f"{bound:g}", count) for bound, count in values.buckets()]
    return HistogramMetricFamily(f"bouncer_{name}", words, buckets=buckets, sum_value=values.total)
