"""Every address of the panel on one page; names are what the middlewares go by."""

from __future__ import annotations

from aiohttp import web

from web import assets, websocket
from web.views import account, channels, clients, events, history, messages, notifications, search, servers, session

ID = "{id:[0-9]+}"

ROUTES = (
    web.get("/", servers.home, name="home"),
    web.get("/session/new", session.new, name="session.new"),
    web.post("/session", session.create, name="session.create"),
    web.post("/session/delete", session.delete, name="session.delete"),
    web.get("/account", account.show, name="account"),
    web.get("/account/password", account.password, name="account.password"),
    web.post("/account/password", account.update_password, name="account.password.update"),
    web.post("/account/sessions/delete", account.end_other_sessions, name="account.sessions.delete"),
    web.get("/clients", clients.index, name="clients"),
    web.post("/clients", clients.update, name="client.update"),
    web.post(f"/clients/{ID}/delete", clients.disconnect, name="client.delete"),
    web.post("/tokens", clients.create_token, name="token.create"),
    web.post(f"/tokens/{ID}/delete", clients.revoke_token, name="token.delete"),
    web.post("/certificates", clients.enrol, name="certificate.create"),
    web.post(f"/certificates/{ID}/delete", clients.remove_certificate, name="certificate.delete"),
    web.get("/servers", servers.index, name="servers"),
    web.post("/servers", servers.create, name="server.create"),
    web.get("/servers/new", servers.new, name="server.new"),
    web.post("/servers/trial", servers.try_new, name="server.trial.create"),
    web.get(f"/servers/{ID}", servers.show, name="server"),
    web.get(f"/servers/{ID}/log", servers.log, name="server.log"),
    web.get(f"/servers/{ID}/clone", servers.clone, name="server.clone"),
    web.post(f"/servers/{ID}/trial", servers.try_changed, name="server.trial"),
    web.post(f"/servers/{ID}", servers.update, name="server.update"),
    web.get(f"/servers/{ID}/edit", servers.edit, name="server.edit"),
    web.get(f"/servers/{ID}/state", servers.state, name="server.state"),
    web.get(f"/servers/{ID}/delete", servers.confirm_delete, name="server.delete.confirm"),
    web.post(f"/servers/{ID}/delete", servers.delete, name="server.delete"),
    web.post(f"/servers/{ID}/connection", servers.connect, name="server.connect"),
    web.post(f"/servers/{ID}/connection/delete", servers.disconnect, name="server.disconnect"),
    web.post(f"/servers/{ID}/certificate", servers.make_certificate, name="server.certificate.create"),
    web.post(f"/servers/{ID}/certificate/delete", servers.remove_certificate, name="server.certificate.delete"),
    web.get(f"/servers/{ID}/channels", channels.index, name="channels"),
    web.post(f"/servers/{ID}/channels", channels.join, name="channel.create"),
    web.get(f"/channels/{ID}", channels.show, name="channel"),
    web.post(f"/channels/{ID}", channels.update, name="channel.update"),
    web.post(f"/channels/{ID}/delete", channels.part, name="channel.delete"),
    web.get("/chat", messages.index, name="chat"),
    *messages.routes(ID),
    web.get(f"/conversations/{ID}", messages.show_conversation, name="conversation"),
    web.post(f"/channels/{ID}/notify", messages.set_level, name="channel.notify"),
    web.get("/search", search.show, name="search"),
    web.get("/history", history.sizes, name="history"),
    web.get("/notifications", notifications.index, name="notifications"),
    web.get("/notifications/count", notifications.count, name="notifications.count"),
    web.post("/notifications/read", notifications.mark_all_read, name="notifications.read"),
    web.post(f"/notifications/{ID}/read", notifications.mark_read, name="notification.read"),
    web.post("/notifications/rules", notifications.set_rules, name="notifications.rules"),
    web.get("/events", events.stream, name="events"),
    web.get("/socket", websocket.attach, name="socket"),
    web.get("/static/{name}", assets.show, name="static"),
)
