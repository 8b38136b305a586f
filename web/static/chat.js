// Conversations: lines as they come, older ones as one scrolls, what waits elsewhere, the keyboard. Without it all is pages.
"use strict";

const talk = document.querySelector(".talk[data-key]");
const scroll = document.getElementById("scroll");
const list = document.getElementById("messages");
const fresh = document.getElementById("fresh");
const buffers = document.getElementById("buffers");
const LOCAL_DAY = new Intl.DateTimeFormat("sv-SE", { dateStyle: "short" }); // 2026-11-23
const DAY = new Intl.DateTimeFormat(undefined, { dateStyle: "full" });
const FOLDED = { join: "joined", part: "left", quit: "quit", nick: "renamed" };
const NEAR_PX = 80;
const MOST_LINES = 600;
const KEPT_LINES = 400;
let following = true; // the last line is to stay in sight
let missed = 0;

// -- lines ------------------------------------------------------------------------------------------------------------

const momentOf = (line) => Date.parse(line.querySelector("time").dateTime);
const linesOf = (root) => root.querySelectorAll(".message[id]");
const atEnd = () => list.dataset.newer === "";
const nearBottom = () => scroll.scrollHeight - scroll.scrollTop - scroll.clientHeight < NEAR_PX;
const lastLine = () => [...linesOf(list)].at(-1);
const lineIn = (item) => (item?.matches(".fold") ? item.querySelector(".message") : item?.matches(".message[id]") ? item : null);

function toBottom() {
  scroll.scrollTop = scroll.scrollHeight;
  following = true;
  missed = 0;
  fresh.hidden = true;
}

function dayBefore(line) {
  const moment = momentOf(line);
  const separator = document.createElement("h2");
  separator.className = "day";
  separator.dataset.day = LOCAL_DAY.format(moment);
  separator.append(document.createElement("span"));
  separator.firstChild.textContent = DAY.format(moment);
  return separator;
}

// Until the server knows the reader's zone its days may be others.
function checkDays(root) {
  let last = "";
  for (const item of [...root.children]) {
    const line = lineIn(item);
    if (item.matches(".day")) {
      const next = lineIn(item.nextElementSibling?.matches(".unread") ? item.nextElementSibling.nextElementSibling : item.nextElementSibling);
      const day = next && LOCAL_DAY.format(momentOf(next));
      if (!next || day === last) item.remove();
      else item.replaceWith(dayBefore(next));
      last = day ?? last;
    } else if (line) {
      const day = LOCAL_DAY.format(momentOf(line));
      if (day !== last) item.before(dayBefore(line));
      last = day;
    }
  }
}

function countFold(fold) {
  const counts = {};
  for (const line of fold.querySelectorAll("[data-fold]")) counts[line.dataset.fold] = (counts[line.dataset.fold] ?? 0) + 1;
  fold.querySelector(".words").textContent = Object.entries(FOLDED).filter(([kind]) => counts[kind]).map(([kind, word]) => `${counts[kind]} ${word}`).join(", ");
}

function newFold() {
  const fold = document.createElement("details");
  fold.className = "fold";
  const summary = document.createElement("summary");
  const sign = document.createElement("span");
  const words = document.createElement("span");
  sign.className = "icon-fold";
  sign.textContent = "–";
  words.className = "words";
  summary.append(sign, " ", words);
  fold.append(summary);
  return fold;
}

// One new line behind the others: with its day, and folded with comings and goings before it.
function place(line) {
  const previous = lastLine();
  if (!previous || LOCAL_DAY.format(momentOf(previous)) !== LOCAL_DAY.format(momentOf(line))) list.append(dayBefore(line));
  const last = list.lastElementChild;
  if (line.dataset.fold && last?.matches(".fold")) {
    last.append(line);
    countFold(last);
  } else if (line.dataset.fold && last?.matches(".message[data-fold]")) {
    const fold = newFold();
    last.replaceWith(fold);
    fold.append(last, line);
    countFold(fold);
  } else {
    list.append(line);
  }
}

function parse(html) {
  return new DOMParser().parseFromString(html, "text/html").body;
}

function markUnread() {
  list.querySelector(".unread")?.remove();
  const mark = document.createElement("div");
  mark.className = "unread";
  mark.append(document.createElement("span"));
  mark.firstChild.textContent = "New";
  list.append(mark);
}

const watched = () => !document.hidden && document.hasFocus() && following;

function arrive(html) {
  if (!atEnd()) return; // one reads further up; the way back leads over the pages between
  const lines = [...linesOf(parse(html))].filter((line) => !document.getElementById(line.id));
  if (!lines.length) return;
  const others = lines.filter((line) => !line.matches(".own, .event"));
  document.querySelector(".nothing")?.remove();
  if (others.length && !watched() && !(missed || list.dataset.marked)) {
    markUnread();
    list.dataset.marked = "1";
  }
  for (const line of lines) {
    place(document.adoptNode(line));
    tellTimes(line);
  }
  announce(others);
  if (following || lines.some((line) => line.matches(".own"))) {
    prune();
    toBottom();
  } else {
    missed += others.length;
    fresh.hidden = !missed;
    say(fresh, missed === 1 ? "1 new message" : `${missed} new messages`);
  }
  soonRead();
}

function announce(lines) {
  const said = document.getElementById("said");
  for (const line of lines.slice(-3)) {
    const words = document.createElement("p");
    words.textContent = `${line.querySelector(".nick")?.textContent ?? ""} ${line.querySelector(".text").textContent}`;
    said.append(words);
  }
  while (said.childElementCount > 5) said.firstElementChild.remove();
}

function prune() {
  if (list.childElementCount <= MOST_LINES) return;
  while (list.childElementCount > KEPT_LINES) list.firstElementChild.remove();
  const first = list.querySelector(".message[id]");
  list.dataset.older = `${talk.dataset.base}/messages?before=${momentOf(first)}-${first.id.slice(1)}`;
  offer("older");
  checkDays(list);
}

// -- pages above and below --------------------------------------------------------------------------------------------

function offer(side) {
  const link = document.getElementById(side);
  const address = list.dataset[side];
  if (link && address) link.href = address;
  else if (link) link.remove();
  else if (address && side === "older") {
    const made = document.createElement("a");
    made.id = "older";
    made.className = "button compact";
    made.href = address;
    made.textContent = "Older";
    document.querySelector(".pager.beginnings").replaceChildren(made);
    watchEnds.observe(made);
  }
  if (side === "newer" && !address) document.querySelector(".pager.bottom").hidden = true;
}

const loading = new Set();

async function load(side) {
  const address = list.dataset[side];
  if (!address || loading.has(side)) return;
  loading.add(side);
  try {
    const part = (await fetched(`${address}&part=lines`))?.getElementById("messages");
    if (part) (side === "older" ? putAbove : putBelow)(document.adoptNode(part));
  } catch {
    return; // the link stays, and works
  } finally {
    loading.delete(side);
  }
  offer(side);
}

function clean(part) {
  for (const line of linesOf(part)) if (document.getElementById(line.id)) line.remove();
  for (const fold of part.querySelectorAll(".fold")) if (!fold.querySelector(".message")) fold.remove();
  if (list.querySelector(".unread")) part.querySelector(".unread")?.remove();
  tellTimes(part);
}

function putAbove(part) {
  clean(part);
  const height = scroll.scrollHeight;
  const top = scroll.scrollTop;
  list.prepend(...part.childNodes);
  list.dataset.older = part.dataset.older;
  if (!list.dataset.older) say(document.querySelector(".pager.beginnings"), "This is the beginning.");
  checkDays(list);
  scroll.scrollTop = top + scroll.scrollHeight - height; // what one reads stays where it is
}

function putBelow(part) {
  clean(part);
  list.append(...part.childNodes);
  list.dataset.newer = part.dataset.newer;
  checkDays(list);
  if (atEnd()) restart(part.dataset.upto);
}

// From the newest page on lines come by themselves.
function restart(upto) {
  list.dataset.upto = upto;
  hush();
  listen();
}

const watchEnds = new IntersectionObserver(
  (entries) => entries.filter((entry) => entry.isIntersecting).forEach((entry) => load(entry.target.id)),
  { root: scroll, rootMargin: "600px 0px" },
);

// -- what has been read -----------------------------------------------------------------------------------------------

let readUpTo = 0;
let reading = null;

function soonRead() {
  reading ??= setTimeout(async () => {
    reading = null;
    const last = lastLine();
    if (!last || !watched() || !atEnd() || talk.dataset.key[0] === "s") return;
    const time = Math.max(...[...linesOf(list)].slice(-20).map(momentOf));
    if (time <= readUpTo) return;
    readUpTo = time;
    delete list.dataset.marked;
    document.querySelector(".mark-read")?.remove();
    const body = new URLSearchParams({ time: String(time) });
    await fetch(`${talk.dataset.base}/read`, { method: "POST", body, headers: { Accept: "application/json" }, redirect: "manual" }).catch(() => { readUpTo = 0; });
  }, 700);
}

// -- what waits elsewhere ---------------------------------------------------------------------------------------------

HEARD.waiting = (data) => {
  tellNotices(data.notices);
  for (const link of buffers?.querySelectorAll("a.buffer") ?? []) {
    const [unread, calls] = (data.buffers ?? {})[link.dataset.key] ?? [0, 0];
    const here = link.dataset.key === talk?.dataset.key && watched();
    const badge = link.querySelector(".waiting");
    badge.hidden = !unread || here;
    badge.classList.toggle("calls", calls > 0 || (unread > 0 && link.dataset.key[0] === "p"));
    link.classList.toggle("waits", unread > 0 && !here && link.dataset.level !== "none");
    say(badge.querySelector(".n"), unread < 100 ? String(unread) : "99+");
  }
};
HEARD.servers = () => { if (!talk) location.reload(); };

// -- the keyboard -----------------------------------------------------------------------------------------------------

const links = () => [...(buffers?.querySelectorAll("a.buffer") ?? [])];

function step(by) {
  const all = links();
  const at = all.findIndex((link) => link.hasAttribute("aria-current"));
  all[at < 0 ? 0 : (at + by + all.length) % all.length]?.click();
}

function nextUnread() {
  const waiting = links().filter((link) => link.matches(".waits:not([aria-current])"));
  (waiting.find((link) => link.querySelector(".waiting.calls")) ?? waiting[0])?.click();
}

const jump = document.getElementById("jump");
const jumpTo = document.getElementById("jump-to");
const jumpList = document.getElementById("jump-list");

function offerJumps() {
  const wanted = jumpTo.value.trim().toLowerCase();
  const found = links().filter((link) => link.textContent.toLowerCase().includes(wanted)).slice(0, 12);
  jumpList.replaceChildren(...found.map((link, at) => {
    const item = document.createElement("li");
    const target = document.createElement("a");
    target.href = link.href;
    target.textContent = link.querySelector(".label").textContent;
    const where = document.createElement("span");
    where.className = "muted small";
    where.textContent = link.closest("section").querySelector("h2").textContent;
    if (at === 0) target.className = "first";
    item.append(target, " ", where);
    return item;
  }));
}

function openJump() {
  if (!jump) return;
  jumpTo.value = "";
  offerJumps();
  jump.showModal();
}

jumpTo?.addEventListener("input", offerJumps);
jumpTo?.addEventListener("keydown", (event) => {
  if (event.key === "Enter") jumpList.querySelector("a")?.click();
});

const help = document.getElementById("help");
document.querySelector("[data-help]")?.addEventListener("click", (event) => {
  event.target.closest("details").open = false;
  help.showModal();
});
for (const sheet of [jump, help]) {
  sheet?.addEventListener("click", (event) => { if (event.target === sheet) sheet.close(); });
}

// A menu closes when one goes on elsewhere.
document.addEventListener("click", (event) => {
  for (const menu of document.querySelectorAll("details.menu[open]")) if (!menu.contains(event.target)) menu.open = false;
});

document.addEventListener("keydown", (event) => {
  const writing = event.target.matches("input, textarea, select");
  const key = event.key.toLowerCase();
  if (event.altKey && (key === "arrowup" || key === "arrowdown")) step(key === "arrowup" ? -1 : 1);
  else if (event.altKey && (key === "a" || event.code === "KeyA")) nextUnread();
  else if ((event.ctrlKey || event.metaKey) && key === "k") openJump();
  else if (event.key === "?" && !writing) help?.showModal();
  else if (key === "escape" && scroll && !document.querySelector("dialog[open]")) {
    document.querySelector("details.menu[open]")?.removeAttribute("open");
    if (atEnd()) toBottom();
    document.getElementById("text").focus();
  } else return;
  event.preventDefault();
});

// -- the beginning ----------------------------------------------------------------------------------------------------

function begin() {
  // The place is found here; a jump of the browser's own would come later, and take the focus along.
  if (location.hash === "#newest") history.replaceState(null, "", location.pathname + location.search);
  checkDays(list);
  const wanted = /^#m\d+$/.test(location.hash) && document.querySelector(location.hash);
  const unread = list.querySelector(".unread");
  if (wanted) {
    wanted.closest("details")?.setAttribute("open", "");
    wanted.scrollIntoView({ block: "center" });
    wanted.classList.add("found");
    following = false;
  } else if (atEnd() && unread && scroll.scrollHeight > scroll.clientHeight) {
    scroll.scrollTop += unread.getBoundingClientRect().top - scroll.getBoundingClientRect().top - scroll.clientHeight / 4;
    following = nearBottom();
  } else if (atEnd()) {
    toBottom();
  } else {
    following = false;
  }
  if (unread) list.dataset.marked = "1";
  for (const side of ["older", "newer"]) if (document.getElementById(side)) watchEnds.observe(document.getElementById(side));
  HEARD.lines = (data, event) => {
    list.dataset.upto = event.lastEventId;
    arrive(data.html);
  };
  HEARD.gap = () => location.reload();
  STREAM.parameters = () => (atEnd() ? `&buffer=${talk.dataset.key}&after=${list.dataset.upto}` : "&buffers=all");
  let lost = null;
  STREAM.opened = (open) => {
    clearTimeout(lost);
    if (open) document.getElementById("link").hidden = true;
    else lost = setTimeout(() => { document.getElementById("link").hidden = document.hidden; }, 1500);
  };
  scroll.addEventListener("scroll", () => {
    following = atEnd() && nearBottom();
    if (following) {
      missed = 0;
      fresh.hidden = true;
      soonRead();
    }
  }, { passive: true });
  fresh.addEventListener("click", toBottom);
  addEventListener("focus", soonRead);
  document.addEventListener("visibilitychange", soonRead);
  new ResizeObserver(() => { if (following) scroll.scrollTop = scroll.scrollHeight; }).observe(scroll);
  soonRead();
}

if (talk) begin();
else STREAM.parameters = () => "&buffers=all";
document.querySelector(".buffers [aria-current]")?.scrollIntoView({ block: "nearest" });
