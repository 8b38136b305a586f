"""Owns how sizes, rules of keeping and work on the history are put into words; reads no database."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bouncer.service.show import iso, printable, table, when
from bouncer.service.show_personal import size

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bouncer.service.histories import Sizes
    from bouncer.service.retention import Going, Rules
    from bouncer.service.show import Json
    from bouncer.service.upkeep import Job

MAX_BUFFERS = 30
"""Buffers that a list shows; the rest is counted together."""
PHASES = {"messages": "messages", "index": "forgetting their words", "space": "giving space back"}
KINDS = {
    "rules": "what is kept no longer",
    "quota": "the oldest, to stay within the limit",
    "range": "",
    "space": "giving space back",
}


def sizes(found: Sizes) -> list[str]:
    """The table of `history sizes`."""
    rows = [
        [
            one.server,
            one.name or "(the server)",
            str(one.messages),
            f"about {size(found.takes(one))}",
            when(one.oldest),
            when(one.newest),
        ]
        for one in found.buffers[:MAX_BUFFERS]
    ]
    rest = found.buffers[MAX_BUFFERS:]
    if rest:
        count, about = sum(one.messages for one in rest), size(found.takes(*rest))
        rows.append(["", f"({len(rest)} more)", str(count), f"about {about}", "", ""])
    lines = table(["SERVER", "BUFFER", "MESSAGES", "ON DISK", "FROM", "TO"], rows) if rows else []
    free = f", {size(found.disk.free)} of it free" if found.disk.free else ""
    behind = f"; some {found.behind} more are being counted" if found.behind > found.messages // 100 + 10_000 else ""
    return [*lines, f"{found.messages} messages in all; the file has {size(found.disk.file)}{free}{behind}"]


def kept(days: int | None) -> str:
    """A rule in words."""
    return "for ever" if not days else "for a day" if days == 1 else f"for {days} days"


def rules(found: Rules) -> list[str]:
    """The lines of `history retention`."""
    if found.kept is None:
        said = "until you clear them (`history clear`) or delete the server"
    else:
        said = kept(found.kept) + (", as long as this bouncer keeps any" if found.kept == found.most else "")
    lines = [f"messages are kept {said}"]
    for rule in found.special:
        where = f"{rule.name} on {rule.server}" if rule.name else f"all of {rule.server}"
        lines.append(printable(f"  {where}: {kept(rule.days)}"))
    return lines


def going(found: Sequence[Going]) -> list[str]:
    """What would go, most first."""
    if not found:
        return ["nothing would go"]
    rows = [
        [one.server, one.name or "(the server)", str(one.messages), size(one.bytes), when(one.oldest), when(one.newest)]
        for one in found[:MAX_BUFFERS]
    ]
    rest = found[MAX_BUFFERS:]
    if rest:
        count, about = sum(one.messages for one in rest), sum(one.bytes for one in rest)
        rows.append(["", f"({len(rest)} more)", str(count), size(about), "", ""])
    total, about = sum(one.messages for one in found), sum(one.bytes for one in found)
    lines = table(["SERVER", "BUFFER", "MESSAGES", "ABOUT", "FROM", "TO"], rows)
    return [*lines, f"{total} messages would go, about {size(about)}"]


def job(one: Job, name: str) -> str:
    """One line of `history work`; `name` is what it is about."""
    what = KINDS.get(one.kind) or f"{name}{_span(one)}"
    if one.running:
        far = f"{one.done} of {one.total} messages" if one.phase == "messages" else PHASES[one.phase]
        words = f"{far}{', ' if one.note else ''}{one.note}"
    else:
        words = f"{one.state} {when(one.ended_at)}, {'; '.join(ended(one))}"
    return printable(f"{one.id}: {what}: {words}")


def ended(one: Job) -> list[str]:
    """What a job did."""
    freed = f"{size(one.freed)} given back" if one.freed else ""
    words = [f"{one.done} messages deleted"] if one.kind != "space" else [freed or "there was nothing to give back"]
    if one.state == "stopped":
        words = [f"stopped, {one.done} of {one.total} messages deleted"]
    return [*words, *([one.note] if one.note else [])]


def _span(one: Job) -> str:
    first = "" if one.after is None else f" from {when(one.after)}"
    return first + ("" if one.before is None else f" to {when(one.before)}")


def job_json(one: Job) -> Json:
    """The same for scripts."""
    return {
        "id": one.id,
        "kind": one.kind,
        "state": one.state,
        "phase": one.phase,
        "done": one.done,
        "total": one.total,
        "freed": one.freed,
        "from": iso(one.after),
        "until": iso(one.before),
        "begun": iso(one.begun_at),
        "ended": iso(one.ended_at),
        "note": one.note,
    }
