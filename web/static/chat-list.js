// The list of all conversations: what waits where, and how one gets from one to the other; sheets and keys.
"use strict";

const talk = document.querySelector(".talk[data-key]");
const list = document.getElementById("messages");
const scroll = document.getElementById("scroll");

// -- what waits elsewhere ---------------------------------------------------------------------------------------------

const buffers = () => document.getElementById("buffers");
const links = () => [...(buffers()?.querySelectorAll("a.buffer") ?? [])];
let told = null;

function tellWaiting(data) {
  told = data;
  for (const link of links()) {
    const [unread, calls] = (data.buffers ?? {})[link.dataset.key] ?? [0, 0];
    const here = link.dataset.key === talk?.dataset.key && watched();
    const badge = link.querySelector(".waiting");
    badge.hidden = !unread || here;
    badge.classList.toggle("calls", calls > 0 || (unread > 0 && link.dataset.key[0] === "p"));
    link.classList.toggle("waits", unread > 0 && !here && link.dataset.level !== "none");
    say(badge.querySelector(".n"), unread < 100 ? String(unread) : "99+");
  }
}

HEARD.waiting = (data) => {
  tellNotices(data.notices);
  tellWaiting(data);
  if (data.frame && data.frame !== buffers().dataset.mark) soon("frame", refreshFrame);
};
HEARD.servers = () => {}; // it is told with what waits

// The list and the head anew: somebody new writes, a channel was left, a network is gone, the topic is another one.
async function refreshFrame() {
  if (document.querySelector("#frame details[open], #frame :focus-visible")) {
    setTimeout(() => soon("frame", refreshFrame), 2000); // somebody is about to use it
    return;
  }
  const fresh = await fetched(`${talk ? `${talk.dataset.base}/messages` : "/chat"}?part=frame`);
  if (!fresh) return;
  const top = buffers().scrollTop;
  for (const id of ["buffers", "frame"]) {
    const old = document.getElementById(id);
    if (old) swap(old, fresh.getElementById(id));
  }
  buffers().scrollTop = top;
  if (told) tellWaiting(told);
}

// -- from one to the other --------------------------------------------------------------------------------------------

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

function jumpItem(link, at) {
  const item = document.createElement("li");
  const target = document.createElement("a");
  target.href = link.href;
  target.textContent = link.querySelector(".label").textContent;
  const where = document.createElement("span");
  const unread = link.querySelector(".waiting:not([hidden]) .n")?.textContent;
  where.className = "muted small";
  where.textContent = link.closest("section").dataset.serverName + (unread ? `, ${unread} unread` : "");
  if (at === 0) target.className = "first";
  item.append(target, " ", where);
  return item;
}

function offerJumps() {
  const wanted = jumpTo.value.trim().toLowerCase();
  const named = (link) => link.querySelector(".label").textContent.toLowerCase();
  const rank = (link) => (wanted && named(link).replace(/^\W/, "").startsWith(wanted) ? 0 : 2) + (link.matches(".waits") ? 0 : 1);
  const found = links().filter((link) => named(link).includes(wanted)).sort((one, other) => rank(one) - rank(other)).slice(0, 12);
  jumpList.replaceChildren(...found.map(jumpItem));
}

function openJump() {
  if (!jump || jump.open) return;
  jumpTo.value = "";
  offerJumps();
  jump.showModal();
}

jumpTo?.addEventListener("input", offerJumps);
jumpTo?.addEventListener("keydown", (event) => {
  if (event.key === "Enter") jumpList.querySelector("a")?.click();
});
jump?.addEventListener("keydown", (event) => {
  const by = { ArrowDown: 1, ArrowUp: -1 }[event.key];
  if (!by || event.altKey) return;
  const stops = [jumpTo, ...jumpList.querySelectorAll("a")];
  stops[(stops.indexOf(document.activeElement) + by + stops.length) % stops.length].focus();
  event.preventDefault();
});

// -- sheets and keys --------------------------------------------------------------------------------------------------

const help = document.getElementById("help");
document.addEventListener("click", (event) => {
  if (event.target.closest("[data-help]")) {
    event.target.closest("details").open = false;
    help.showModal();
  }
  // A menu closes when one goes on elsewhere, a sheet when one presses beside it.
  for (const menu of document.querySelectorAll("details.menu[open]")) if (!menu.contains(event.target)) menu.open = false;
  if (event.target.matches("dialog.sheet")) event.target.close();
});

document.addEventListener("keydown", (event) => {
  const writing = event.target.matches("input, textarea, select");
  const key = event.key.toLowerCase();
  if (event.altKey && (key === "arrowup" || key === "arrowdown")) step(key === "arrowup" ? -1 : 1);
  else if (event.altKey && (key === "a" || event.code === "KeyA")) nextUnread();
  else if (event.altKey && talk && (key === "p" || event.code === "KeyP")) togglePeople();
  else if ((event.ctrlKey || event.metaKey) && key === "k") openJump();
  else if (event.key === "?" && !writing && help && !document.querySelector("dialog:modal")) help.showModal();
  else if (key === "escape" && talk && !document.querySelector("dialog:modal")) {
    document.querySelector("details.menu[open]")?.removeAttribute("open");
    if (atEnd()) toBottom();
    document.getElementById("text").focus();
  } else return;
  event.preventDefault();
});

if (!talk) STREAM.parameters = () => "&buffers=all";
document.querySelector(".buffers [aria-current]")?.scrollIntoView({ block: "nearest" });
