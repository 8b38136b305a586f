// Who is in a channel, at its side or as a sheet over it, and what one can do with somebody.
"use strict";

const side = document.getElementById("people");
const wide = matchMedia("(min-width: 80rem)");
const filter = document.getElementById("people-filter");
const PEOPLE_MS = 3000; // a netsplit is hundreds of changes; the list is made anew at most so often
let peopleDue = null;
let peopleAt = 0;

const peopleShown = () => side?.open && (wide.matches || side.matches(":modal"));

async function loadPeople() {
  if (!peopleShown()) return;
  const fresh = await fetched(`${talk.dataset.base}/people?part=list`);
  if (!fresh) return;
  const top = side.scrollTop;
  swap(document.getElementById("people-list"), fresh.getElementById("people-list"));
  side.scrollTop = top;
  sift();
}

function sift() {
  const wanted = filter.value.trim().toLowerCase();
  for (const item of document.querySelectorAll("#people-list li")) item.hidden = !item.firstElementChild.dataset.nick.toLowerCase().includes(wanted);
}

// Beside the lines it stays until it is closed, also on the next page; over them only for the moment.
function togglePeople() {
  if (!side) return;
  const show = !peopleShown();
  if (side.open) side.close();
  if (wide.matches) document.cookie = `people=${show ? 1 : 0}; path=/; max-age=31536000; SameSite=Strict`;
  if (!show) return document.getElementById("text").focus();
  if (wide.matches) side.setAttribute("open", "");
  else side.showModal();
  loadPeople().catch(() => {});
}

if (side) {
  filter.addEventListener("input", sift);
  side.querySelector("[data-close]").addEventListener("click", togglePeople);
  side.addEventListener("click", (event) => { if (event.target === side && side.matches(":modal")) side.close(); });
  const before = HEARD.roster;
  HEARD.roster = (data) => {
    before(data);
    peopleDue ??= setTimeout(() => {
      peopleDue = null;
      peopleAt = Date.now();
      loadPeople().catch(() => {});
    }, Math.max(SETTLE_MS, peopleAt + PEOPLE_MS - Date.now()));
  };
  wide.addEventListener("change", () => { if (side.matches(":modal")) side.close(); });
  loadPeople().catch(() => {});
}

// -- somebody ---------------------------------------------------------------------------------------------------------

const person = document.getElementById("person");

document.addEventListener("click", (event) => {
  if (event.target.closest("[data-people]")) return togglePeople();
  const named = event.target.closest(".person")?.dataset.nick ?? event.target.closest(".messages .sayer")?.textContent;
  if (!named || getSelection().toString()) return;
  if (side?.matches(":modal")) side.close();
  say(document.getElementById("person-title"), named);
  person.dataset.nick = named;
  person.showModal();
});

person?.addEventListener("click", (event) => {
  const act = event.target.dataset.act;
  if (!act) return;
  person.close();
  if (act === "mention") mention(person.dataset.nick);
  else command(`/${act} ${person.dataset.nick}`);
});
