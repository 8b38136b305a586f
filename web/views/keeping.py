"""History that goes: rules of keeping and ranges to delete, each with a look at what would go before it does."""

from __future__ import annotations

import re
from datetime import date, timedelta
from typing import TYPE_CHECKING

from bouncer.errors import InvalidError, RefusedError
from bouncer.service import show_history
from bouncer.service.retention import EVERYTHING, Scope, days_field
from web.auth import flash
from web.context import form, me, path_id, render, see_other, service
from web.places import place_by_key
from web.zone import begin, zone_of

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence

    from aiohttp import web

    from bouncer.service.retention import Going

KEPT = (("default", "as what is around it"), ("forever", "for ever"), ("days", "for some days"))
KEPT_ALL = (("default", "as this bouncer does"), *KEPT[1:])
PAGE = "/history"


async def _scope(request: web.Request, key: str) -> tuple[Scope, str]:
    """What a key stands for, and what that is called; what is none of the user's is a 404."""
    scope = EVERYTHING
    if match := re.fullmatch(r"n([0-9]{1,18})", key):
        scope = Scope(int(match[1]))
    elif key.startswith("s"):
        scope = Scope((await place_by_key(request, key)).server.id, 0)
    elif key:
        scope = Scope(*(await place_by_key(request, key)).buffer)
    return scope, await service(request).retention.name(me(request).id, scope)


def _confirmed(fields: Mapping[str, str], going: Sequence[Going]) -> dict[str, str]:
    """What is wrong with the number typed to confirm; it is that of the preview the person has seen."""
    seen = re.sub(r"[\s,.']", "", fields.get("seen", ""))[:20]
    typed = re.sub(r"[\s,.']", "", fields.get("confirm", ""))[:20]
    if not going or (typed and typed == seen and typed.isascii() and typed.isdecimal()):
        return {}
    return {"confirm": f"type {sum(one.messages for one in going)}"}


def _preview(going: Sequence[Going]) -> dict[str, object]:
    return {
        "going": going[:SHOWN],
        "left_out": max(0, len(going) - SHOWN),
        "messages": sum(one.messages for one in going),
        "bytes": sum(one.bytes for one in going),
    }


SHOWN = 50
"""Buffers of a preview."""


# -- rules -------------------------------------------------------------------------------------------------------------


async def edit(request: web.Request) -> web.Response:
    """How long something is kept."""
    key = request.query.get("in", "")
    scope, name = await _scope(request, key)
    days = await service(request).retention.rule(me(request).id, scope)
    kept = "default" if days is None else "days" if days else "forever"
    return _rules(request, scope, name, {"kept": kept, "days": str(days or ""), "in": key}, {})


def _rules(
    request: web.Request,
    scope: Scope,
    name: str,
    values: Mapping[str, str],
    errors: Mapping[str, str],
    going: Sequence[Going] | None = None,
) -> web.Response:
    context = {
        "scope": scope,
        "name": name,
        "choices": KEPT_ALL if scope == EVERYTHING else KEPT,
        "values": {"confirm": "", **values},
        "errors": errors,
        "most": service(request).retention.most,
        "kept": show_history.kept,
        "preview": None if going is None else _preview(going),
    }
    return render(request, "history/rules.html", context, status=422 if errors else 200)


async def update(request: web.Request) -> web.Response:
    """Set a rule: at once where nothing goes by it, else when that has been seen and confirmed."""
    fields, call, user = await form(request), service(request), me(request)
    scope, name = await _scope(request, fields.get("in", ""))
    values = {field: fields.get(field, "")[:200] for field in ("in", "kept", "days", "confirm")}
    try:
        days = _days(values)
        going = await call.retention.preview_rule(user.id, scope, days)
        if going and "seen" not in fields:
            return _rules(request, scope, name, values, {}, going)
        if errors := _confirmed(fields, going):
            return _rules(request, scope, name, values, errors, going)
        await call.retention.set_rule(user.id, scope, days)
    except InvalidError as error:
        return _rules(request, scope, name, values, error.fields)
    except RefusedError as error:
        return _rules(request, scope, name, values, {"days": str(error)})
    job = await call.upkeep.apply_rules(user.id)
    await flash(request, "The rule is set." if job is None else "The rule is set; what it keeps no longer is going.")
    return see_other(f"{PAGE}#work" if job else PAGE)


def _days(values: Mapping[str, str]) -> int | None:
    if values["kept"] not in {choice for choice, _ in KEPT}:
        raise InvalidError({"kept": "one of these"})
    if values["kept"] == "days" and not values["days"].strip().rstrip("dD").isdecimal():
        raise InvalidError({"days": "a number of days"})
    return days_field(values["days"] if values["kept"] == "days" else values["kept"])


# -- ranges ------------------------------------------------------------------------------------------------------------


async def choose(request: web.Request) -> web.Response:
    """What to delete."""
    key = request.query.get("in", "")
    scope, name = await _scope(request, key)
    return _deletion(request, scope, name, {"in": key}, {})


def _deletion(
    request: web.Request,
    scope: Scope,
    name: str,
    values: Mapping[str, str],
    errors: Mapping[str, str],
    going: Sequence[Going] | None = None,
) -> web.Response:
    context = {
        "scope": scope,
        "name": name,
        "values": {"from": "", "until": "", "confirm": "", **values},
        "errors": errors,
        "preview": None if going is None else _preview(going),
    }
    return render(request, "history/deletion.html", context, status=422 if errors else 200)


async def delete(request: web.Request) -> web.Response:
    """Delete a range when what is in it has been seen and confirmed."""
    fields, call, user = await form(request), service(request), me(request)
    scope, name = await _scope(request, fields.get("in", ""))
    values = {field: fields.get(field, "")[:200] for field in ("in", "from", "until", "confirm")}
    try:
        after, before = _range(request, values)
        going = await call.retention.preview_range(user.id, scope, after, before)
    except InvalidError as error:
        return _deletion(request, scope, name, values, error.fields)
    except RefusedError as error:
        return _deletion(request, scope, name, values, {"from": str(error)})
    if not going or "seen" not in fields:
        return _deletion(request, scope, name, values, {}, going)
    if errors := _confirmed(fields, going):
        return _deletion(request, scope, name, values, errors, going)
    await call.upkeep.delete(user.id, scope, after, before)
    return see_other(f"{PAGE}#work")


def _range(request: web.Request, values: Mapping[str, str]) -> tuple[int | None, int | None]:
    """Two days of the reader's as moments (ms), the second exclusive."""
    zone, errors = zone_of(request), {}
    days: dict[str, date | None] = {}
    for field in ("from", "until"):
        text = values[field].strip()
        try:
            day = date.fromisoformat(text) if re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", text, re.ASCII) else None
        except ValueError:
            day = None
        if text and (day is None or not 1980 <= day.year <= 2200):
            errors[field] = "a day like 2026-01-31"
        days[field] = day
    first, last = days["from"], days["until"]
    if not errors and first is not None and last is not None and last < first:
        errors["until"] = "it is before the first day"
    if errors:
        raise InvalidError(errors)
    after = None if first is None else begin(first, zone)
    return after, None if last is None else begin(last + timedelta(days=1), zone)


# -- work --------------------------------------------------------------------------------------------------------------


async def stop(request: web.Request) -> web.Response:
    """Leave what is not deleted yet."""
    return await _asked(request, lambda: service(request).upkeep.stop(me(request).id, path_id(request)), "Not stopped")


async def resume(request: web.Request) -> web.Response:
    """Go on with what was stopped."""
    return await _asked(request, lambda: service(request).upkeep.resume(me(request).id, path_id(request)), "Not now")


async def give_space_back(request: web.Request) -> web.Response:
    """Make the file as small as what is in it."""
    return await _asked(request, lambda: service(request).upkeep.give_space_back(me(request).id), "Not now")


async def _asked(request: web.Request, work: Callable[[], Awaitable[object]], refusal: str) -> web.Response:
    """Do it and show what is at work, or why it was refused."""
    await form(request)
    try:
        await work()
    except RefusedError as refused:
        await flash(request, f"{refusal}: {refused}.")
    return see_other(f"{PAGE}#work")
