// Makes the pages live. Everything works without it: links are links, buttons are forms.

import { morph } from "./morph.js";

const STALE = 30; // seconds; counting takes a few
const SOONEST = 1000; // milliseconds between two looks at the server
const POLL = 10000; // while there is no stream
const SHARE = 10; // one look takes at most so much of the time, one part in this many

const root = document.documentElement;
let looked = performance.now();
let tried = looked;
let lasted = 0;
let waiting = 0;
let busy = false;
let streaming = false;
let stream = null;

const byId = (id) => document.getElementById(id);

/* Light and dark */

function theme() {
  const button = byId("theme");
  if (!button) return;
  button.hidden = false;
  button.addEventListener("click", () => {
    const system = matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light";
    const next = (root.dataset.theme || system) === "dark" ? "light" : "dark";
    root.dataset.theme = next;
    const secure = location.protocol === "https:" ? "; Secure" : "";
    document.cookie = `spendbeat_theme=${next}; Path=/; Max-Age=31536000; SameSite=Lax${secure}`;
  });
}

/* How fresh the figures are */

function ago(seconds) {
  for (const [size, unit] of [[86400, "days"], [3600, "h"], [60, "min"]]) {
    if (seconds >= 2 * size) return `${Math.floor(seconds / size)} ${unit}`;
  }
  return `${Math.floor(seconds)} s`;
}

function grow() {
  const shown = byId("age");
  if (!shown) return;
  const age = Number(shown.dataset.age) + (performance.now() - looked) / 1000;
  const stale = age > STALE;
  const words = `counted up to ${ago(age)} ago${stale ? ": newer requests are not in these figures yet" : ""}`;
  if (shown.textContent !== words) shown.textContent = words;
  shown.classList.toggle("stale-words", stale);
  byId("dot")?.classList.toggle("stale", stale);
}

/* New figures in place of old ones */

function say(words) {
  const link = byId("link");
  if (link && link.textContent !== words) link.textContent = words;
}

function take(text) {
  const next = new DOMParser().parseFromString(text, "text/html");
  // From nothing to something the whole page is another.
  const others = (page) => [...page.querySelectorAll("[data-live]")].map((one) => one.id).join();
  if (others(document) !== others(next)) return location.reload();
  for (const part of document.querySelectorAll("[data-live]")) {
    const fresh = next.getElementById(part.id);
    if (!fresh) continue;
    const before = new Map([...part.querySelectorAll("[data-figure]")].map((one, place) => [place, one.textContent]));
    morph(part, fresh);
    [...part.querySelectorAll("[data-figure]")].forEach((one, place) => {
      if (!before.has(place) || before.get(place) === one.textContent) return;
      one.classList.remove("changed");
      requestAnimationFrame(() => one.classList.add("changed"));
    });
  }
  looked = performance.now();
  zones();
  grow();
  const pointed = document.querySelector(".column:hover");
  if (pointed) showTip(pointed);
}

async function look() {
  if (busy || document.hidden || !document.querySelector("[data-live]")) return;
  busy = true;
  const began = performance.now();
  try {
    const answer = await fetch(location.href, { headers: { Accept: "text/html" }, cache: "no-store" });
    // To the login, which says why and leads back here.
    if (answer.redirected) return location.assign(answer.url);
    if (!answer.ok) throw new Error(String(answer.status));
    take(await answer.text());
    say(streaming ? "" : "No live connection: looking every 10 s");
  } catch {
    say("The service does not answer; these are the last figures");
  } finally {
    tried = performance.now();
    lasted = tried - began;
    busy = false;
  }
}

function soon() {
  if (waiting) return;
  const since = performance.now() - tried;
  const pause = Math.max(SOONEST, SHARE * lasted) - since;
  waiting = setTimeout(() => { waiting = 0; look(); }, Math.max(pause, 0));
}

function listen() {
  if (stream || document.hidden) return;
  const bound = document.querySelector(".notice") !== null;
  const opened = new EventSource(`/events?kinds=${bound ? "spend" : "spend,alert"}`);
  stream = opened;
  for (const kind of ["spend", "alert", "reset"]) opened.addEventListener(kind, soon);
  opened.addEventListener("open", () => { streaming = true; say(""); soon(); });
  opened.addEventListener("error", () => {
    streaming = false;
    say("No live connection: looking every 10 s");
    // It comes back by itself, unless the service said no for now.
    if (opened.readyState !== EventSource.CLOSED) return;
    stream = null;
    setTimeout(listen, POLL);
    soon(); // the answer to a page says why: a token that was revoked, a database that is away
  });
}

// A browser opens six connections to a service at most: pages nobody sees must not hold them.
function rest() {
  stream?.close();
  stream = null;
  streaming = false;
}

function live() {
  if (!byId("fresh")) return;
  listen();
  setInterval(() => {
    // What is new comes by itself; how fresh that is has to be asked for.
    if (performance.now() - tried > POLL) look();
  }, 1000);
  document.addEventListener("visibilitychange", () => {
    if (document.hidden) return rest();
    listen();
    soon();
  });
}

/* Buttons of alerts: pressed without leaving the page */

function buttons() {
  document.addEventListener("submit", async (event) => {
    const form = event.target;
    if (!form.matches("form[data-act]")) return;
    event.preventDefault();
    const said = new URLSearchParams(new FormData(form, event.submitter));
    const pressed = event.submitter;
    if (pressed) pressed.disabled = true;
    const told = byId("told");
    try {
      const answer = await fetch(form.action, { method: "POST", body: said });
      const text = await answer.text();
      if (!answer.ok) {
        const page = new DOMParser().parseFromString(text, "text/html");
        throw new Error(page.querySelector("main p")?.textContent || String(answer.status));
      }
      form.closest("details")?.removeAttribute("open");
      const item = form.closest("li, section");
      take(text);
      if (told) told.hidden = true;
      // The button is gone: the keyboard goes on where it was.
      const next = item?.isConnected ? item.querySelector("a, button, summary") : byId("main");
      if (!document.activeElement || document.activeElement === document.body) next?.focus();
    } catch (error) {
      if (told) { told.textContent = error.message; told.hidden = false; }
      soon(); // somebody else may have been sooner
    } finally {
      if (pressed) pressed.disabled = false;
    }
  });
}

/* Menus close like menus */

function menus() {
  document.addEventListener("click", (event) => {
    for (const menu of document.querySelectorAll("details.menu[open]")) {
      if (!menu.contains(event.target)) menu.open = false;
    }
  });
  document.addEventListener("keydown", (event) => {
    if (event.key !== "Escape") return;
    hideTip();
    const menu = document.querySelector("details.menu[open]");
    if (!menu) return;
    menu.open = false;
    menu.querySelector("summary")?.focus();
  });
}

/* What a column of the chart stands for */

function hideTip() {
  const tip = byId("tip");
  if (tip) tip.hidden = true;
}

function showTip(column) {
  const tip = byId("tip");
  const table = byId("chart-table");
  const row = table?.tBodies[0]?.rows[Number(column.dataset.tip)];
  if (!tip || !row) return;
  const heads = table.tHead.rows[0].cells;
  const name = document.createElement("b");
  name.textContent = row.cells[0].textContent;
  const body = document.createElement("table");
  for (let place = row.cells.length - 1; place > 0; place--) {
    // Without the words that are for ears only.
    const figure = (row.cells[place].querySelector(".least") ? "≥" : "") + row.cells[place].querySelector("data").lastChild.textContent;
    if (figure === "$0.00" && place < row.cells.length - 1) continue;
    const line = body.insertRow();
    const head = document.createElement("th");
    const color = heads[place].dataset.color;
    if (color) {
      const key = document.createElement("span");
      key.className = `key ${color}`;
      head.append(key);
    }
    head.append(heads[place].textContent);
    const cell = line.insertCell();
    cell.className = "n";
    cell.textContent = figure;
    line.prepend(head);
  }
  tip.replaceChildren(name, body);
  tip.hidden = false;
  const at = column.querySelector(".room").getBoundingClientRect();
  const size = tip.getBoundingClientRect();
  const right = at.right + 10 + size.width < innerWidth;
  const x = right ? at.right + 10 : Math.max(8, at.left - size.width - 10);
  const y = Math.min(Math.max(8, at.top), innerHeight - size.height - 8);
  tip.style.transform = `translate(${x}px, ${y}px)`;
}

function tips() {
  document.addEventListener("pointerover", (event) => {
    const column = event.target.closest?.(".column");
    if (column) showTip(column); else hideTip();
  });
  addEventListener("scroll", hideTip, { passive: true });
}

/* Forms that are nicer with a little help */

function zones() {
  const list = byId("zones");
  if (!list || list.childElementCount > 1 || !Intl.supportedValuesOf) return;
  const mine = Intl.DateTimeFormat().resolvedOptions().timeZone;
  for (const name of new Set([mine, ...Intl.supportedValuesOf("timeZone")])) {
    const option = document.createElement("option");
    option.value = name;
    list.append(option);
  }
}

function finding() {
  const kind = byId("find-kind");
  if (!kind) return;
  const input = byId("find-id");
  const name = () => {
    input.name = kind.value;
    input.placeholder = `Find: ${kind.selectedOptions[0].textContent.toLowerCase()}`;
  };
  kind.removeAttribute("name"); // the address says it in one word
  kind.addEventListener("change", name);
  name(); // on the way back browsers choose again what was chosen
}

theme();
buttons();
menus();
tips();
zones();
finding();
live();
setInterval(grow, 1000);
