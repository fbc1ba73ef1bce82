// Keeps the console's pages up to date. They show the same without it, when they are loaded again.
"use strict";

const REFRESH_MS = 10000;
const MOST_ROWS = 500;

// The overview: its figures anew, now and then, as long as somebody can see them.
const figures = document.getElementById("figures");
if (figures) {
  setInterval(async () => {
    if (document.hidden) {
      return;
    }
    try {
      const answer = await fetch("/admin/figures", { headers: { accept: "text/html" } });
      if (answer.redirected) {
        location.reload();
      } else if (answer.ok) {
        const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
        figures.replaceChildren(...fresh.body.childNodes);
      }
    } catch {
      // Away for a moment: the next time will show.
    }
  }, REFRESH_MS);
}

// The events, as they happen.
const rows = document.getElementById("events");
const state = document.getElementById("live");
if (rows && rows.dataset.stream) {
  follow(rows.dataset.stream);
}

function follow(address) {
  const source = new EventSource(address);
  source.onopen = () => { state.textContent = "New events appear here as they happen."; };
  source.onmessage = (message) => {
    rows.prepend(row(JSON.parse(message.data)));
    while (rows.rows.length > MOST_ROWS) {
      rows.deleteRow(-1);
    }
  };
  source.onerror = () => {
    // The browser tries again by itself unless it was refused, as whoever is signed out is.
    state.textContent = source.readyState === EventSource.CLOSED
      ? "No new events are shown any more. Load the page again."
      : "Connecting again…";
  };
}

function row(event) {
  const made = document.createElement("tr");
  made.className = event.level.toLowerCase();
  const time = document.createElement("time");
  time.dateTime = event.at;
  time.textContent = event.at.slice(11, 19);
  const texts = [event.event, event.reason, event.userId, event.target, event.ip, event.session];
  for (const content of [time, ...texts.map((text) => text ?? "")]) {
    made.insertCell().append(content);
  }
  return made;
}
