// The page where pictures are sorted: it ties thumb, keys, deck, memory and line together.

import { Cards } from "./cards.js";
import { Deck } from "./deck.js";
import { Line } from "./line.js";
import { openPeople } from "./people.js";
import { onPress } from "./press.js";
import { openStore } from "./store.js";

const $ = (id) => document.getElementById(id);
const KEYS = { ArrowRight: "keep", ArrowLeft: "reject", ArrowUp: "unsure" };
const TOUCHED = matchMedia("(pointer: coarse)").matches;

// For a browser that keeps nothing: all is well as long as the page stays open.
const forgetful = {
  read: async () => ({ pending: [], history: [], saved: 0, held: [] }),
  swiped: () => Promise.reject(new Error("nothing is kept")), saved: async () => {}, hold: async () => {},
};
const about = await meet();
if (about) await start(about);

// What is sorted here; from memory when the computer cannot be reached.
async function meet() {
  try {
    const response = await fetch("/sort/about", { signal: AbortSignal.timeout(4000) });
    if (response.ok) {
      const about = await response.json();
      localStorage.setItem("about", JSON.stringify(about));
      return about;
    }
    if (response.status === 401) { say("Scan the QR code in the terminal to come in."); return null; }
  } catch { /* offline: told below, or by the line */ }
  const known = localStorage.getItem("about");
  if (!known) { say("The computer cannot be reached. Is `upimagine sort` running there?"); setTimeout(() => location.reload(), 4000); }
  return known && JSON.parse(known);
}

async function start(about) {
  const store = await openStore(about.catalog).catch(() => forgetful);
  const { pending, history, saved, held } = await store.read();
  const person = openPeople(about, () => line.talk());
  const deck = new Deck((id) => { if (deck.ids.slice(0, 3).includes(id)) refresh(); });
  const cards = new Cards($("stage"), $("deck"), deck, swipe);
  let n = Math.max(Date.now(), ...history.slice(-1).map((swipe) => swipe.n), ...pending.slice(-1).map((swipe) => swipe.n));
  let left = null, swipedHere = 0, waitsSince = null;
  const line = new Line({
    about, hand: ownHand(), store, deck, pending, saved, who: () => person.name, onState: showState,
    onAnswer: (answer) => { left = answer.left; person.taste(answer.taste); tellOthers(answer.others); refresh(); },
  });
  const waiting = new Set(pending.filter((swipe) => !swipe.undoes).map((swipe) => swipe.picture));
  $("name").textContent = about.name;
  deck.add(held.filter((id) => !waiting.has(id)));
  showHint();
  refresh();
  line.talk();

  for (const verdict of ["keep", "reject", "unsure"]) onPress($(verdict), (since) => swipe(verdict, since));
  onPress($("undo"), undo);
  addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.repeat || $("people").open) return;
    if (KEYS[event.key]) swipe(KEYS[event.key], event.timeStamp);
    else if (event.key === "z" || event.key === "Backspace") undo();
    else return;
    event.preventDefault();
  });
  if ("serviceWorker" in navigator) navigator.serviceWorker.register("/worker.js").catch(() => {}); // works without, while it is open

  function swipe(verdict, since) {
    const picture = deck.ids[0];
    if (!deck.canBeJudged(picture)) return; // nobody judges what is not seen yet
    deck.take();
    cards.leave(picture, verdict);
    waitsSince = since;
    note({ n: ++n, uuid: newUuid(), picture, verdict, undoes: null });
    navigator.vibrate?.(8);
    if (++swipedHere === 6) showHint();
  }

  function undo() {
    const last = history.at(-1);
    if (!last) return;
    deck.putBack(last.picture);
    note({ n: ++n, uuid: newUuid(), picture: last.picture, verdict: null, undoes: last.uuid, last: last.n });
    cards.comeBack(last.picture);
  }

  function note(made) {
    const swipe = { ...made, who: person.name, at: Date.now() };
    if (swipe.undoes) history.pop();
    else history.push(swipe);
    store.swiped(swipe).then(() => { swipe.kept = true; showState(); },
      () => toast("This phone keeps nothing; stay on this page until all is saved."));
    line.send(swipe);
    refresh();
  }

  function refresh() {
    if (line.how === "offline") deck.loadedFirst();
    const seen = cards.show();
    if (waitsSince !== null && deck.url(deck.ids[0])) {
      const start = waitsSince;
      waitsSince = null;
      seen.then(() => requestAnimationFrame((now) => performance.measure("next picture", { start, end: Math.max(start, now) })));
    }
    $("undo").disabled = !history.length;
    for (const verdict of ["keep", "reject", "unsure"]) $(verdict).disabled = !deck.ids.length;
    if (left !== null) $("left").textContent = `${Math.max(0, left - line.ahead()).toLocaleString()} left`;
    if (deck.ids.length) say("");
    else if (line.how !== "open") say("No more pictures are here. They come when the computer can be reached; what you swiped is kept on this phone.");
    else if (left === 0) say("All sorted. Thank you!", "done");
    else if (left !== null) say(`The last ${left} are with others; they come here if they stay there.`);
  }

  function showState() {
    const state = $("state"), waits = line.pending.length;
    state.dataset.saved = line.saved;
    state.dataset.pending = waits;
    state.dataset.how = line.how;
    const kept = waits ? `, ${line.pending.filter((swipe) => swipe.kept).length} kept here` : "";
    state.textContent = {
      open: `${line.saved.toLocaleString()} saved`, offline: `offline${kept}`,
      code: `scan the code again${kept}`, refused: `not accepted${kept}`,
    }[line.how];
    state.className = { open: "", offline: "waiting", code: "trouble", refused: "trouble" }[line.how];
    if (!deck.ids.length) refresh();
  }

  function tellOthers(others) {
    const said = Object.values(others).at(-1);
    if (said) toast(Object.entries(said).slice(0, 3).map(([who, verdict]) => `${who}: ${verdict}`).join(", "));
  }

  function showHint() {
    const how = TOUCHED ? "Swipe right to keep, left to reject, up if unsure" : "← reject   → keep   ↑ unsure   z undo";
    $("hint").textContent = TOUCHED && swipedHere >= 6 ? "" : how;
  }
}

let toasted = null;
function toast(text) {
  $("toast").textContent = text;
  $("toast").classList.add("shown");
  clearTimeout(toasted);
  toasted = setTimeout(() => $("toast").classList.remove("shown"), 1800);
}

function say(text, how = "") {
  $("message").className = how;
  $("message").textContent = text;
  $("message").hidden = !text;
}

// Known to the server by this name until the tab closes, so that a reload keeps its pictures.
function ownHand() {
  const hand = sessionStorage.getItem("hand") ?? newUuid();
  sessionStorage.setItem("hand", hand);
  return hand;
}

// crypto.randomUUID is not there on plain http, which a local network has.
function newUuid() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  bytes[6] = (bytes[6] & 0x0f) | 0x40;
  bytes[8] = (bytes[8] & 0x3f) | 0x80;
  const hex = [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})/, "$1-$2-$3-$4-");
}
