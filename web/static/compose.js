// Writing: sent without leaving the page, kept until it is sent, nicks completed, what was sent before at hand.
"use strict";

const compose = document.getElementById("compose");
const text = document.getElementById("text");
const wrong = document.getElementById("text-error");
const suggest = document.getElementById("suggest");
const draftKey = `draft:${document.body.dataset.user}:${talk.dataset.key}`;
const sentKey = `sent:${document.body.dataset.user}:${talk.dataset.key}`;
const MOST_SENT = 50;

// A browser that keeps nothing for us (private windows, full storage) only forgets drafts.
function stored(store, key) {
  try {
    return store.getItem(key) ?? "";
  } catch {
    return "";
  }
}

function keep(store, key, value) {
  try {
    if (value) store.setItem(key, value);
    else store.removeItem(key);
  } catch {
    // See above.
  }
}

function fit() {
  text.style.height = "auto";
  text.style.height = `${Math.min(text.scrollHeight + 2, 200)}px`;
}

function put(value) {
  text.value = value;
  fit();
  keep(localStorage, draftKey, value);
}

function complain(words, link) {
  wrong.hidden = !words;
  say(wrong.querySelector("span"), words);
  wrong.querySelector("a")?.remove();
  if (link) {
    const way = document.createElement("a");
    way.href = link;
    way.textContent = "Give it";
    wrong.append(way);
  }
  if (words) text.setAttribute("aria-invalid", "true");
  else text.removeAttribute("aria-invalid");
}

function asSentence(words) {
  const whole = words.charAt(0).toUpperCase() + words.slice(1);
  return /[.!?)]$/.test(whole) ? whole : `${whole}.`;
}

// -- sending ----------------------------------------------------------------------------------------------------------

let queue = Promise.resolve();
let failed = null; // what could not be brought to the bouncer, with its mark: sent again it is still said once

function mark() {
  return [...crypto.getRandomValues(new Uint8Array(12))].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

function answerLine(answer) {
  const line = document.createElement("div");
  line.className = `message answer${answer.refused ? " refused" : ""}`;
  const time = document.createElement("time");
  const sign = document.createElement("span");
  const words = document.createElement("span");
  time.dateTime = new Date().toISOString();
  time.dataset.as = "clock";
  sign.className = "nick";
  sign.textContent = "→";
  words.className = "text";
  words.textContent = answer.words;
  line.append(time, sign, words);
  tellTimes(line);
  return line;
}

async function deliver(message) {
  const body = new URLSearchParams(message);
  const answer = await fetch(compose.action, { method: "POST", body, headers: { Accept: "application/json" }, redirect: "manual" });
  if (answer.type === "opaqueredirect") return location.reload(); // signed out
  if (!(answer.headers.get("Content-Type") ?? "").includes("json")) throw new Error(`the bouncer answered ${answer.status}`);
  return answer.json();
}

// What takes long to be said is shown as being on its way; it stands in its place when it comes back.
const SLOW_MS = 600;

function onItsWay(message) {
  let line = null;
  const timer = setTimeout(() => {
    line = answerLine({ words: message.text });
    line.classList.add("pending");
    line.querySelector(".nick").textContent = "…";
    list.append(line);
    if (following) toBottom();
  }, SLOW_MS);
  return () => {
    clearTimeout(timer);
    line?.remove();
  };
}

async function post(message) {
  let said;
  const arrived = onItsWay(message);
  try {
    said = await deliver(message);
  } catch (error) {
    failed = message;
    complain(`Not sent (${error.message}). It is here again to be tried once more.`);
    if (!text.value) put(message.text);
    return;
  } finally {
    arrived();
  }
  failed = null;
  if (!said) return;
  if (said.error) {
    complain(asSentence(said.error), said.link);
    if (!text.value) put(message.text);
    return;
  }
  const refused = (said.answers ?? []).filter((answer) => answer.refused);
  if (refused.length) {
    complain(asSentence(refused.map((answer) => answer.words).join("; ")));
    if (!text.value) put(message.text);
  }
  for (const answer of (said.answers ?? []).filter((one) => !one.refused)) list.append(answerLine(answer));
  if (said.answers?.length) toBottom();
  if (said.go && said.go !== talk.dataset.base) location.assign(`${said.go}/messages#newest`);
}

// As if it had been typed here.
function command(words) {
  complain("");
  queue = queue.then(() => post({ text: words, nonce: mark() }));
}

function send() {
  const value = text.value;
  if (!value.trim()) return;
  complain("");
  const message = failed?.text === value ? failed : { text: value, nonce: mark() };
  const before = JSON.parse(stored(sessionStorage, sentKey) || "[]").filter((one) => one !== value);
  keep(sessionStorage, sentKey, JSON.stringify([...before, value].slice(-MOST_SENT)));
  put("");
  back = 0;
  queue = queue.then(() => post(message)); // in the order in which they were typed
}

compose.addEventListener("submit", (event) => {
  event.preventDefault();
  send();
  text.focus();
});

// -- what was sent before ---------------------------------------------------------------------------------------------

let back = 0;
let unsent = "";

function recall(by) {
  const before = JSON.parse(stored(sessionStorage, sentKey) || "[]");
  if (back === 0) unsent = text.value;
  const wanted = back + by;
  if (wanted < 0 || wanted > before.length) return;
  back = wanted;
  put(back === 0 ? unsent : before.at(-back));
  text.setSelectionRange(text.value.length, text.value.length);
}

// -- nicks ------------------------------------------------------------------------------------------------------------

let people = null;
let cycle = null;

async function learnPeople() {
  if (people || talk.dataset.key[0] === "s") return;
  people = [];
  try {
    const answer = await fetch(`${talk.dataset.base}/people`, { cache: "no-store", redirect: "manual" });
    if (answer.ok) people = await answer.json();
    setTimeout(() => { people = null; }, 60000);
  } catch {
    people = null;
  }
}

// Who spoke last comes first; # begins a channel, / a command at the beginning.
function candidates(begin, start) {
  const wanted = begin.toLowerCase();
  const fits = (words) => [...new Set(words)].filter((one) => one.toLowerCase().startsWith(wanted));
  if (start === 0 && begin[0] === "/") return fits([...help.querySelectorAll(".commands code")].map((one) => one.textContent).filter((one) => !one.includes(" ")));
  if ("#&!+".includes(begin[0])) return fits(links().map((link) => link.querySelector(".label").textContent));
  const speakers = [...list.querySelectorAll(".message:not(.own, .event, .answer) > .nick .sayer")].map((nick) => nick.textContent).reverse();
  return fits([...speakers, ...(people ?? [])]).filter((nick) => nick !== ownNick());
}

const ownNick = () => document.getElementById("frame").dataset.nick;

function wordBefore() {
  const upTo = text.value.slice(0, text.selectionStart);
  const start = upTo.search(/\S*$/);
  return { start, word: upTo.slice(start).replace(/^@/, "") };
}

function complete(word, start, end) {
  const behind = start === 0 && !"/#&!+".includes(word[0]) ? ": " : " ";
  text.setRangeText(word + behind, start, end, "end");
  put(text.value);
  return start + word.length + behind.length;
}

async function completeWord(by) {
  if (!cycle) {
    const { start, word } = wordBefore();
    if (!word) return;
    await learnPeople();
    const found = candidates(word, start);
    if (!found.length) return;
    cycle = { start, end: text.selectionStart, found, at: by > 0 ? -1 : 0 };
  }
  cycle.at = (cycle.at + by + cycle.found.length) % cycle.found.length;
  cycle.end = complete(cycle.found[cycle.at], cycle.start, cycle.end);
}

function mention(nick) {
  text.setRangeText(text.value.trim() ? `${nick} ` : `${nick}: `, text.selectionStart, text.selectionEnd, "end");
  put(text.value);
  text.focus();
}

// A phone has no Tab: what could be meant stands above the writing.
const touch = matchMedia("(pointer: coarse)");

function offerNicks() {
  const { start, word } = wordBefore();
  const found = touch.matches && word.length > 1 ? candidates(word, start).slice(0, 4) : [];
  suggest.hidden = !found.length;
  suggest.replaceChildren(...found.map((nick) => {
    const button = document.createElement("button");
    button.type = "button";
    button.className = "compact";
    button.textContent = nick;
    button.addEventListener("click", () => {
      complete(nick, start, text.selectionStart);
      suggest.hidden = true;
      text.focus();
    });
    return button;
  }));
}

// -- keys -------------------------------------------------------------------------------------------------------------

const CODES = { b: "\x02", i: "\x1d", u: "\x1f" };

// What is marked, or what is written next, becomes bold, italic or underlined.
function format(code) {
  const { selectionStart: start, selectionEnd: end } = text;
  const marked = text.value.slice(start, end);
  text.setRangeText(marked ? code + marked + code : code, start, end, "end");
  put(text.value);
}

text.addEventListener("keydown", (event) => {
  if (event.ctrlKey && !event.altKey && !event.shiftKey && CODES[event.key]) {
    event.preventDefault();
    format(CODES[event.key]);
    return;
  }
  const plain = !event.altKey && !event.ctrlKey && !event.metaKey;
  if (event.isComposing || !plain) return;
  if (event.key === "Tab" && (cycle || wordBefore().word)) {
    event.preventDefault();
    completeWord(event.shiftKey ? -1 : 1);
    return;
  }
  cycle = null;
  const first = !text.value.slice(0, text.selectionStart).includes("\n");
  const last = !text.value.slice(text.selectionEnd).includes("\n");
  if (event.key === "Enter" && !event.shiftKey) {
    event.preventDefault();
    send();
  } else if (event.key === "ArrowUp" && first && !event.shiftKey && (back || !text.value || text.selectionStart === 0)) {
    event.preventDefault();
    recall(1);
  } else if (event.key === "ArrowDown" && last && back && !event.shiftKey) {
    event.preventDefault();
    recall(-1);
  }
});

text.addEventListener("input", () => {
  cycle = null;
  back = 0;
  complain("");
  fit();
  keep(localStorage, draftKey, text.value);
  if (touch.matches) learnPeople().then(offerNicks);
});

// Who begins to type anywhere means the writing.
document.addEventListener("keydown", (event) => {
  const plain = !event.altKey && !event.ctrlKey && !event.metaKey;
  if (plain && event.key.length === 1 && event.key !== "?" && event.key !== " " && event.target.matches("body, #scroll, main") && !document.querySelector("dialog:modal")) text.focus();
});

if (!text.value) put(stored(localStorage, draftKey));
fit();
if (!touch.matches && !location.hash.startsWith("#m")) text.focus();
