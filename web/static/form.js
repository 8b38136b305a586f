// The server form: a test keeps what was typed, passwords too, and tells its steps without leaving the page.
"use strict";

const trial = document.getElementById("trial");

async function tryOut(button) {
  const body = new URLSearchParams(new FormData(button.form, button));
  button.disabled = true;
  trial.textContent = "Connecting…";
  try {
    const answer = await fetch(button.formAction, { method: "POST", body, redirect: "manual" });
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    const told = page.querySelector("#trial > *") ?? page.querySelector(".notice.bad");
    if (answer.type === "opaqueredirect" || !told || page.getElementById("confirm")) {
      button.form.requestSubmit(button);
      return;
    }
    trial.replaceChildren(document.adoptNode(told));
    for (const wrong of page.querySelectorAll("#content .field > .error")) trial.append(document.adoptNode(wrong));
    const pin = page.getElementById("tls_fingerprint")?.value;
    if (button.value === "certificate" && answer.ok && pin) document.getElementById("tls_fingerprint").value = pin;
    tellTimes(trial);
    trial.focus({ preventScroll: true });
    trial.scrollIntoView({ block: "nearest" });
  } catch {
    trial.textContent = "The bouncer did not answer.";
  } finally {
    button.disabled = false;
  }
}

for (const button of document.querySelectorAll("[data-trial]")) {
  button.addEventListener("click", (event) => {
    event.preventDefault();
    tryOut(button);
  });
}
