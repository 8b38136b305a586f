// What the pages gain with script: state that follows the bouncer, times in the reader's own words. Without it all works too.
"use strict";

const RELATIVE = new Intl.RelativeTimeFormat(undefined, { numeric: "auto" });
const FULL = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "short" });
const DATE = new Intl.DateTimeFormat(undefined, { dateStyle: "medium" });
const CLOCK = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit" });
const UNITS = [["day", 86400], ["hour", 3600], ["minute", 60]];

function relative(seconds) {
  for (const [unit, size] of UNITS) {
    if (Math.abs(seconds) >= size) return RELATIVE.format(Math.round(seconds / size), unit);
  }
  return RELATIVE.format(Math.round(seconds / 10) * 10, "second"); // by tens: nothing on the page has to tick
}

function countdown(seconds) {
  const left = Math.max(0, Math.round(seconds));
  if (left < 100) return `${left} s`;
  return left < 6000 ? `${Math.round(left / 60)} min` : `${Math.round(left / 3600)} h`;
}

function say(element, words) {
  if (element.textContent !== words) element.textContent = words;
}

function tellTimes(root) {
  const now = Date.now();
  for (const element of root.querySelectorAll("time[data-as]")) {
    const moment = Date.parse(element.dateTime);
    const seconds = (moment - now) / 1000;
    if (element.dataset.as === "countdown") say(element, countdown(seconds));
    else if (element.dataset.as === "clock") say(element, CLOCK.format(moment));
    else if (element.dataset.as === "day") say(element, DATE.format(moment));
    else if (element.dataset.as === "relative") say(element, relative(seconds));
    else say(element, FULL.format(moment));
    if (!element.title && element.dataset.as !== "countdown") element.title = FULL.format(moment);
  }
}

async function fetched(address) {
  const answer = await fetch(address, { headers: { Accept: "text/html" }, cache: "no-store", redirect: "manual" });
  if (answer.status === 401 || answer.type === "opaqueredirect") location.reload(); // signed out: the page leads to the form
  return answer.ok ? new DOMParser().parseFromString(await answer.text(), "text/html") : null;
}

// Put a fresh part in the place of the old one, keeping the focus where it was.
function swap(old, fresh) {
  if (!fresh || old.isEqualNode(fresh)) return;
  const focused = old.contains(document.activeElement) ? focusKey(document.activeElement) : null;
  old.replaceWith(document.adoptNode(fresh));
  tellTimes(fresh);
  if (focused) [...fresh.querySelectorAll("a, button")].find((item) => focusKey(item) === focused)?.focus();
}

function focusKey(element) {
  return `${element.tagName} ${element.getAttribute("href") ?? element.form?.getAttribute("action") ?? ""}`;
}

const waiting = new Map();
const SETTLE_MS = 250;
const RETRY_MS = 10000; // after a refusal: by a proxy while the bouncer restarts, or because one is signed out

// Many events in a moment (a netsplit) make one fetch.
function soon(key, work) {
  if (waiting.has(key)) return;
  waiting.set(key, setTimeout(async () => {
    waiting.delete(key);
    try {
      await work();
    } catch {
      // The next event, or the next visit, brings it up to date.
    }
  }, SETTLE_MS));
}

function refreshServer(id) {
  for (const part of document.querySelectorAll(`[data-server="${CSS.escape(String(id))}"]`)) {
    soon(part.dataset.live, async () => {
      const fresh = await fetched(part.dataset.live);
      const current = document.querySelector(`[data-live="${CSS.escape(part.dataset.live)}"]`);
      if (fresh && current) swap(current, fresh.querySelector("[data-live]"));
    });
  }
}

function refreshAll() {
  const list = document.querySelector('[data-live="list"]');
  if (list) {
    soon("list", async () => {
      const fresh = await fetched(location.href);
      if (fresh) swap(list.isConnected ? list : document.querySelector('[data-live="list"]'), fresh.querySelector('[data-live="list"]'));
    });
  }
  for (const part of document.querySelectorAll(".stack[data-server]")) refreshServer(part.dataset.server);
}

// Days on pages that the server makes are the reader's own from the second page on.
document.cookie = `zone=${encodeURIComponent(Intl.DateTimeFormat().resolvedOptions().timeZone ?? "")}; path=/; max-age=31536000; SameSite=Strict`;

let stream = null;
let notices = 0;
const TITLE = document.title;

function tellNotices(count) {
  notices = count;
  const badge = document.getElementById("notices");
  if (!badge) return;
  badge.hidden = !count;
  say(badge.querySelector(".n"), count < 1000 ? String(count) : "999+");
  document.title = count ? `(${count}) ${TITLE}` : TITLE;
}

// What a page listens to by kind of event, each with the data; other scripts add theirs, and parameters.
const HEARD = {
  server: (data) => refreshServer(data.server),
  roster: (data) => refreshServer(data.server),
  servers: refreshAll,
  overflow: refreshAll,
  waiting: (data) => tellNotices(data.notices),
  beat: () => {},
};
const STREAM = { parameters: () => "", opened: () => {} };

function linked(open) {
  document.body.dataset.link = open ? "open" : "lost";
  STREAM.opened(open);
}

let heardAt = Date.now();
const SILENT_MS = 40000; // the bouncer says something every 15 s; a stream that says nothing died unseen, as in a sleep

function listen() {
  heardAt = Date.now();
  if (stream || document.hidden || !document.body.dataset.events) return;
  stream = new EventSource(`${document.body.dataset.events}?unread=${notices}${STREAM.parameters()}`);
  for (const [kind, hear] of Object.entries(HEARD)) stream.addEventListener(kind, (event) => {
    heardAt = Date.now();
    hear(JSON.parse(event.data), event);
  });
  stream.addEventListener("open", refreshAll); // whatever happened while nobody listened
  stream.addEventListener("open", () => linked(true));
  stream.addEventListener("error", () => {
    const over = stream.readyState === EventSource.CLOSED; // otherwise it tries again by itself
    if (over) hush();
    linked(false);
    if (over) setTimeout(() => fetched("/notifications/count").then(listen, listen), RETRY_MS);
  });
}

// A hidden page holds no connection: browsers have six for a site, and phones have batteries.
function hush() {
  stream?.close();
  stream = null;
  delete document.body.dataset.link;
}

document.addEventListener("visibilitychange", () => (document.hidden ? hush() : listen()));
// After a sleep, or in another network, the old connection may hang for minutes.
function anew() {
  if (!stream) return;
  hush();
  listen();
}
addEventListener("online", anew);
setInterval(() => { if (Date.now() - heardAt > SILENT_MS) anew(); }, 1000);
// Its title still tells of what calls the reader, a little later.
setInterval(async () => {
  if (!document.hidden || !document.body.dataset.events || !navigator.onLine) return;
  try {
    const answer = await fetch("/notifications/count", { cache: "no-store", redirect: "manual" });
    if (answer.ok) tellNotices((await answer.json()).notices);
  } catch {
    // The next time will do.
  }
}, 30000);
addEventListener("pagehide", hush);
addEventListener("pageshow", listen);
addEventListener("submit", (event) => {
  // Not disabled at once: the button's own value is part of what is sent.
  if (event.defaultPrevented || event.target.method === "dialog") return; // a sheet is closed again and again
  setTimeout(() => event.target.querySelectorAll("button").forEach((button) => { button.disabled = true; }));
});
// What was typed and not sent stays in this browser only as long as one is signed in.
document.querySelector('form[action="/session/delete"]')?.addEventListener("submit", () => {
  for (const store of [localStorage, sessionStorage]) {
    for (const key of Object.keys(store)) if (/^(draft|sent):/.test(key)) store.removeItem(key);
  }
});
addEventListener("pageshow", () => document.querySelectorAll("button:disabled").forEach((button) => { button.disabled = false; }));

// The usual port follows the encryption; any other number is the reader's own.
const PORTS = { true: "6697", false: "6667" };
document.getElementById("tls")?.addEventListener("change", ({ target }) => {
  const port = document.getElementById("port");
  if (port.value === PORTS[!target.checked]) port.value = PORTS[target.checked];
});

// Lines for a client can be copied as a whole; without script, or over plain HTTP from elsewhere, they are selected by hand.
function offerCopy(pre) {
  const box = document.createElement("div");
  const button = document.createElement("button");
  box.className = "copyable";
  button.type = "button";
  button.className = "compact";
  button.textContent = "Copy";
  button.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(pre.textContent);
      button.textContent = "Copied";
    } catch {
      button.textContent = "Not copied";
    }
    setTimeout(() => { button.textContent = "Copy"; }, 2000);
  });
  pre.replaceWith(box);
  box.append(pre, button);
}

if (navigator.clipboard) document.querySelectorAll(".client pre").forEach(offerCopy);
tellTimes(document);
setInterval(() => tellTimes(document), 1000);
document.addEventListener("DOMContentLoaded", listen); // when the page's other scripts have said what they want to hear
tellNotices(Number(document.body.dataset.notices ?? 0));
