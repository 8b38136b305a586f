// Long work on the server: its part of the page is asked for again until it is done.
"use strict";

const FOLLOW_MS = 700;

async function follow() {
  const part = document.querySelector("[data-follow]");
  if (!part?.dataset.follow) return;
  try {
    const fresh = await fetched(part.dataset.follow);
    const now = fresh?.querySelector("[data-follow]");
    if (now) part.replaceWith(document.adoptNode(now));
    if (now && !now.dataset.follow) {
      document.querySelectorAll("form button[disabled]").forEach((button) => { button.disabled = false; });
    }
  } catch {
    // The next time, perhaps.
  }
  setTimeout(follow, FOLLOW_MS);
}

follow();
