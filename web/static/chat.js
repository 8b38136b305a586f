// A conversation: lines as they come, older ones as one scrolls, how far one has read. Without it all is pages.
"use strict";

const fresh = document.getElementById("fresh");
const LOCAL_DAY = new Intl.DateTimeFormat("sv-SE", { dateStyle: "short" }); // 2026-11-23
const DAY = new Intl.DateTimeFormat(undefined, { dateStyle: "full" });
const FOLDED = { join: "joined", part: "left", quit: "quit", nick: "renamed" };
const NEAR_PX = 80;
const MOST_LINES = 600;
const KEPT_LINES = 400;
const FURTHEST_LINES = 2000; // as far as one can scroll without the other end being let go
const TOGETHER_MS = 300000;
let following = true; // the last line is to stay in sight
let missed = 0;
let left = false; // the page was out of sight, and what came meanwhile has not come here yet

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
      if (day !== last) {
        item.before(dayBefore(line));
        line.classList.remove("same");
      }
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

const sayer = (line) => (line?.matches(".message[id]:not(.event, .action, .notice-line)") ? line.querySelector(".sayer").textContent : null);

function together(before, after) {
  return sayer(before) !== null && sayer(before) === sayer(after) && before.matches(".own") === after.matches(".own")
    && momentOf(after) - momentOf(before) < TOGETHER_MS;
}

// One new line behind the others: with its day, and folded with comings and goings before it.
function place(line) {
  const previous = lastLine();
  line.classList.toggle("same", together(list.lastElementChild, line));
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
  const away = left && following;
  if (others.length && (away || !watched()) && !(missed || list.dataset.marked)) {
    markUnread();
    list.dataset.marked = "1";
  }
  for (const line of lines) {
    place(document.adoptNode(line));
    tellTimes(line);
  }
  announce(others);
  if (away) {
    prune();
    showUnread();
  } else if (following || lines.some((line) => line.matches(".own"))) {
    prune();
    toBottom();
  } else {
    missed += others.length;
    if (list.childElementCount > FURTHEST_LINES) letGo();
    tellMissed();
  }
  soonRead();
}

// A line as it looks now, in the place of what it was: somebody reacted to it, or took it back.
function change(html) {
  const wasFollowing = following;
  for (const line of linesOf(parse(html))) {
    const old = document.getElementById(line.id);
    if (!old) continue;
    line.classList.toggle("same", old.matches(".same"));
    old.replaceWith(document.adoptNode(line));
    tellTimes(line);
  }
  if (wasFollowing) toBottom();
}

// What is unread begins in sight, if it is not all in sight at the end.
function showUnread() {
  const unread = list.querySelector(".unread");
  if (!unread) return toBottom();
  scroll.scrollTop = scroll.scrollHeight;
  const above = scroll.getBoundingClientRect().top + scroll.clientHeight / 4 - unread.getBoundingClientRect().top;
  if (above > 0) scroll.scrollTop -= above;
  following = nearBottom();
}

function tellMissed() {
  const far = scroll.scrollHeight - scroll.scrollTop - scroll.clientHeight > 2 * scroll.clientHeight;
  fresh.hidden = !missed && !(far && atEnd());
  say(fresh, missed === 0 ? "To the newest" : missed === 1 ? "1 new message" : `${missed} new messages`);
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
  first.classList.remove("same");
  offer("older");
  checkDays(list);
}

// -- pages above and below --------------------------------------------------------------------------------------------

function offer(side) {
  const link = document.getElementById(side);
  const address = list.dataset[side];
  if (link && address) link.href = address;
  else if (link) link.remove();
  else if (address) {
    const made = document.createElement("a");
    made.id = side;
    made.className = "button compact";
    made.href = address;
    made.textContent = side === "older" ? "Older" : "Newer";
    if (side === "older") document.querySelector(".pager.beginnings").replaceChildren(made);
    else document.querySelector(".pager.bottom").prepend(made);
    watchEnds.observe(made);
  }
  if (side === "newer") document.querySelector(".pager.bottom").hidden = !address;
}

// One reads far up, or more has come than is pushed: what is below is no longer here, and comes again as one scrolls.
function letGo() {
  while (list.childElementCount > FURTHEST_LINES - MOST_LINES) list.lastElementChild.remove();
  const last = lastLine();
  list.dataset.newer = `${talk.dataset.base}/messages?after=${momentOf(last)}-${last.id.slice(1)}`;
  following = false;
  offer("newer");
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
  if (list.childElementCount > FURTHEST_LINES) letGo();
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

// -- the beginning ----------------------------------------------------------------------------------------------------

function show(line) {
  list.querySelector(".found")?.classList.remove("found");
  line.closest("details")?.setAttribute("open", "");
  line.scrollIntoView({ block: "center" });
  line.classList.add("found");
  following = false;
}

function begin() {
  // The place is found here; a jump of the browser's own would come later, and take the focus along.
  if (location.hash === "#newest") history.replaceState(null, "", location.pathname + location.search);
  checkDays(list);
  const wanted = /^#m\d+$/.test(location.hash) && document.querySelector(location.hash);
  const unread = list.querySelector(".unread");
  if (wanted) show(wanted);
  else if (atEnd()) showUnread();
  else following = false;
  if (unread) list.dataset.marked = "1";
  for (const side of ["older", "newer"]) if (document.getElementById(side)) watchEnds.observe(document.getElementById(side));
  HEARD.lines = (data, event) => {
    list.dataset.upto = event.lastEventId;
    arrive(data.html);
    if (data.frame) soon("frame", refreshFrame);
  };
  HEARD.changed = (data) => change(data.html);
  HEARD.gap = () => {
    if (following || !lastLine()) location.reload();
    else if (atEnd()) letGo();
  };
  const tellWaitingToo = HEARD.waiting;
  HEARD.waiting = (data) => {
    tellWaitingToo(data);
    left = false; // what came meanwhile stands before it
  };
  STREAM.parameters = () => {
    if (!atEnd()) return "&buffers=all";
    const first = linesOf(list)[0];
    return `&buffer=${talk.dataset.key}&after=${list.dataset.upto}${first ? `&since=${momentOf(first)}` : ""}`;
  };
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
      soonRead();
    }
    tellMissed();
  }, { passive: true });
  fresh.addEventListener("click", () => (atEnd() ? toBottom() : location.assign(`${talk.dataset.base}/messages#newest`)));
  list.addEventListener("click", (event) => {
    const line = document.getElementById(`m${event.target.closest(".quote")?.dataset.line}`);
    if (!line) return;
    event.preventDefault();
    show(line);
  });
  addEventListener("focus", soonRead);
  document.addEventListener("visibilitychange", () => {
    if (document.hidden) left = true;
    soonRead();
  });
  new ResizeObserver(() => { if (following) scroll.scrollTop = scroll.scrollHeight; }).observe(scroll);
  soonRead();
}

begin();
