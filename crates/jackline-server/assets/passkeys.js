// Passkeys, for the pages that offer them. An offer stays hidden without scripts and in browsers that have no passkeys; everything else on
// those pages works without this file.
//
// <div data-passkey="get" data-options="/login/passkey/options" data-answer="/login/passkey" data-next="/profile" hidden>
//   <button type="button">…</button> <p role="alert" hidden></p>
// </div>
"use strict";

const ACT = {
  async get(publicKey) {
    const options = PublicKeyCredential.parseRequestOptionsFromJSON(publicKey);
    return navigator.credentials.get({ publicKey: options });
  },
  async create(publicKey) {
    const options = PublicKeyCredential.parseCreationOptionsFromJSON(publicKey);
    return navigator.credentials.create({ publicKey: options });
  },
};

/** Asks the server as a program does. What it refuses is an error with its words. */
async function ask(method, path, token, body) {
  const headers = { Accept: "application/json" };
  if (token) headers["X-CSRF-Token"] = token;
  if (body) headers["Content-Type"] = "application/json";
  const response = await fetch(path, { method, headers, body: body && JSON.stringify(body) });
  const answer = await response.json();
  if (!response.ok) throw new Error(answer.error);
  return answer;
}

/** What the browser says when the person does not go on, or the key does not fit, is no text for people. */
function inWords(error) {
  if (error instanceof DOMException) {
    return error.name === "InvalidStateError"
      ? "This device has a passkey for you already."
      : "That was cancelled, or took too long. Try again.";
  }
  return error.message === "Invalid credentials"
    ? "That passkey is not known here."
    : `${error.message}.`;
}

async function offer(place) {
  const { passkey, options, answer, next, wrap } = place.dataset;
  // Also for a visitor, who gets a session by it: the challenge is kept there.
  const { csrfToken } = await ask("GET", "/csrf-token");
  const { publicKey } = await ask("POST", options, csrfToken);
  const credential = (await ACT[passkey](publicKey)).toJSON();
  const name = place.querySelector("input")?.value || undefined;
  const body = wrap ? { [wrap]: credential, name } : credential;
  const done = await ask("POST", answer, csrfToken, body);
  if (done.recoveryCodes) {
    showOnce(done.recoveryCodes);
  } else {
    location.assign(next);
  }
}

/** Recovery codes come with the first factor, and are never seen again. */
function showOnce(codes) {
  const page = document.querySelector("#codes");
  const list = page.content.querySelector("ol");
  for (const code of codes) {
    const item = document.createElement("li");
    item.append(Object.assign(document.createElement("code"), { textContent: code }));
    list.append(item);
  }
  const main = document.querySelector("main");
  main.replaceChildren(page.content);
  main.focus();
}

if (window.PublicKeyCredential?.parseRequestOptionsFromJSON) {
  for (const place of document.querySelectorAll("[data-passkey]")) {
    const button = place.querySelector("button");
    const wrong = place.querySelector("[role=alert]");
    button.addEventListener("click", async () => {
      button.disabled = true;
      wrong.hidden = true;
      try {
        await offer(place);
      } catch (error) {
        wrong.textContent = inWords(error);
        wrong.hidden = false;
      }
      button.disabled = false;
    });
    place.hidden = false;
  }
}
