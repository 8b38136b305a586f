"""Owns the commands of the nouns `certfp` and `sasl`: how one is known to networks, and clients here."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bouncer.errors import NotFoundError, UsageError
from bouncer.service import show, show_personal
from bouncer.service.fields import WITH_PASSWORD

if TYPE_CHECKING:
    from bouncer.service.commands.request import Request, Table

METHODS = {"plain": "sasl-plain", "scram": "sasl-scram", "external": "sasl-external", "nickserv": "nickserv"}


async def _certfp_generate(request: Request) -> None:
    user, server_id = await request.server()
    view = await request.service.servers.make_certificate(user.id, server_id, anew=request.args.anew)
    request.say(*show.certificate(view))


async def _certfp_show(request: Request) -> None:
    user, server_id = await request.server()
    view = await request.service.servers.view(user.id, server_id)
    if not view.fingerprint:
        raise NotFoundError(f"{view.row.name} is shown no certificate: make one with `certfp generate`")
    request.say(*show.certificate(view))


async def _certfp_remove(request: Request) -> None:
    user, server_id = await request.server()
    await request.service.servers.remove_certificate(user.id, server_id)
    request.say(f"{request.args.server} is shown no certificate any more")


async def _certfp_enrol(request: Request) -> None:
    user = await request.user()
    fingerprint = request.args.fingerprint or request.certificate
    if not fingerprint:
        raise UsageError("this client shows no certificate: say certfp enrol FINGERPRINT")
    row = await request.service.certificates.enrol(user.id, fingerprint, request.args.name)
    request.say(f"certificate {row.id} is enrolled: a client that shows it logs in as {user.name} with SASL EXTERNAL")


async def _certfp_list(request: Request) -> None:
    user = await request.user()
    rows = await request.service.certificates.list(user.id)
    request.say(*(show_personal.certificates(rows) if rows else ["no certificates yet: say certfp enrol FINGERPRINT"]))


async def _certfp_revoke(request: Request) -> None:
    user = await request.user()
    which = request.args.certificate
    short = which.isdecimal() and len(which) < 19
    row = await request.service.certificates.remove(user.id, int(which) if short else which)
    request.say(f"certificate {row.id} lets nobody in any more")


async def _sasl_status(request: Request) -> None:
    user = await request.user()
    views = await request.service.servers.list(user.id)
    if request.args.server is not None:
        (_, server_id) = await request.server()
        views = [view for view in views if view.row.id == server_id]
    request.say(*(show_personal.sasl(view) for view in views))
    if not views:
        request.say("no servers yet: add one with `server add NAME ADDRESS`")


async def _sasl_set(request: Request) -> None:
    user, server_id = await request.server()
    method = METHODS[request.args.method]
    if method in WITH_PASSWORD and request.args.account is None:
        raise UsageError(f"say the account: sasl set {request.args.method} ACCOUNT")
    values: dict[str, object] = {"auth_method": method, "auth_account": request.args.account or "", **request.secrets}
    if request.args.require:
        values["auth_required"] = True
    await request.service.servers.update(user.id, server_id, values, trusted=request.trusted)
    view = await request.service.servers.view(user.id, server_id)
    request.say(show_personal.sasl(view), *(show.certificate(view) if method == "sasl-external" else []))


async def _sasl_off(request: Request) -> None:
    user, server_id = await request.server()
    values = {"auth_method": "none", "auth_account": "", "auth_required": False}
    await request.service.servers.update(user.id, server_id, values, trusted=request.trusted)
    request.say(show_personal.sasl(await request.service.servers.view(user.id, server_id)))


TABLE: Table = {
    ("certfp", "generate"): _certfp_generate,
    ("certfp", "show"): _certfp_show,
    ("certfp", "remove"): _certfp_remove,
    ("certfp", "enrol"): _certfp_enrol,
    ("certfp", "list"): _certfp_list,
    ("certfp", "revoke"): _certfp_revoke,
    ("sasl", "status"): _sasl_status,
    ("sasl", "set"): _sasl_set,
    ("sasl", "off"): _sasl_off,
}
