// Which of two is better? Tap, swipe towards it or press its arrow key, until the best few are told from the rest.

import { ask, large, small } from "./ask.js";
import { element, say } from "./element.js";
import { ranked, robust } from "./ranking.js";

const MEMORY = "tournament", SWIPE_PX = 60;

export function enter(pictures, keep) {
  sessionStorage.setItem(MEMORY, JSON.stringify({ pictures, keep }));
  location.hash = "#tournament";
}

export async function tournament(view) {
  const known = JSON.parse(sessionStorage.getItem(MEMORY) || "null");
  if (!known) return setUp(view);
  try {
    return await play(view, known.pictures, known.keep);
  } catch (error) {
    sessionStorage.removeItem(MEMORY);  // pictures may have gone since
    say(error.message);
    return setUp(view);
  }
}

async function setUp(view) {
  const tables = await ask("/api/candidates");
  if (!tables.length) {
    view.append(element("p", { className: "empty" }, "A tournament needs scored pictures. ",
      element("code", {}, "upimagine cull FOLDER --keep 16"), " picks sixteen of thousands."));
    return () => {};
  }
  const choice = (id, values, value) => element("select", { id }, ...values.map((each) => element("option", { value: each, selected: each === value }, each)));
  const from = element("select", { id: "from" }, ...tables.map((each) => element("option", { value: each.id }, each.name)));
  const many = choice("many", [8, 16, 32, 64], 16), keep = choice("keep", [1, 2, 3, 4, 6, 8, 12], 4);
  const start = element("button", { type: "submit", className: "main" }, "Begin");
  const form = element("form", { className: "card" },
    element("h2", {}, "A tournament of pairs"),
    element("p", {}, "You see two pictures at a time and say which is better. About thirty pairs tell the best four of sixteen."),
    element("div", { className: "fields" },
      element("label", { for: "from" }, "Pictures of"), from,
      element("label", { for: "many" }, "How many compete"), many,
      element("label", { for: "keep" }, "How many win"), keep), start);
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    try {
      const table = await ask(`/api/candidates/${from.value}`);
      const standard = Object.fromEntries(Object.entries(table.scores).map(([name, scores]) => [name, robust(scores)]));
      const best = ranked(standard, table.weights, table.ids.length).map((index) => table.ids[index]);
      const entrants = [...new Set([...table.kept, ...best])].slice(0, Number(many.value));
      if (entrants.length <= Number(keep.value)) say(`Only ${entrants.length} pictures are here; fewer must win.`);
      else { sessionStorage.setItem(MEMORY, JSON.stringify({ pictures: entrants, keep: Number(keep.value) })); await tournament.again(); }
    } catch (error) {
      say(error.message);
    }
  });
  view.append(form);
  return () => {};
}

async function play(view, pictures, keep) {
  const said = [];  // pairs of this sitting, for undo
  let now = await ask("/api/tournament", "POST", { pictures, keep }), pair = now.pair, busy = false;
  const heading = element("h2", {}), arena = element("div", { className: "arena" }), strip = element("div", { className: "strip" });
  const contenders = ["left", "right"].map((side) => {
    const button = element("button", { type: "button", className: "contender" }, element("img", { alt: "", draggable: false }));
    button.addEventListener("click", () => decide(side));
    return button;
  });
  const even = element("button", { type: "button" }, "Can't tell"), back = element("button", { type: "button" }, "Undo");
  const others = element("button", { type: "button" }, "Other pictures"), copy = element("button", { type: "button", className: "main" });
  even.addEventListener("click", () => decide("even"));
  back.addEventListener("click", undo);
  others.addEventListener("click", () => { sessionStorage.removeItem(MEMORY); tournament.again(); });
  copy.addEventListener("click", async () => {
    try {
      const done = await ask("/api/keep", "POST", { pictures: now.order.slice(0, keep) });
      say(`Copied into ${done.folder}`);
    } catch (error) {
      say(error.message);
    }
  });
  view.append(heading, arena, element("div", { className: "actions middle" }, even, back, copy, others), strip);
  pictures.forEach((id) => { new Image().src = large(id); });  // so that no pair is waited for
  draw();

  function draw() {
    heading.textContent = pair ? "Which one is better?" : "These are the best";
    arena.classList.toggle("ended", !pair);
    even.hidden = !pair;
    copy.hidden = Boolean(pair);
    copy.textContent = `Copy the best ${keep}`;
    back.disabled = !said.length;
    if (pair) {
      arena.replaceChildren(...contenders);
      contenders.forEach((button, index) => {
        const image = button.firstChild;
        image.src = large(pair[index]);
        button.dataset.id = pair[index];
        button.setAttribute("aria-label", index ? "The second is better (right arrow)" : "The first is better (left arrow)");
      });
    } else {
      arena.replaceChildren(...now.order.slice(0, keep).map((id, index) =>
        element("figure", {}, element("img", { src: large(id), alt: `Place ${index + 1}` }), element("figcaption", {}, `${index + 1}`))));
    }
    const ahead = now.played ? now.order.slice(0, keep) : [];
    strip.replaceChildren(element("p", { className: "soft", role: "status" },
      pair ? `${now.played} pairs so far${ahead.length ? "; ahead now:" : ""}` : `After ${now.played} pairs, all kept in ${now.kept_in}.`),
      ...(pair ? ahead.map((id) => element("img", { src: small(id), alt: "" })) : []));
  }

  async function tell(two, word) {
    if (busy) return false;
    busy = true;
    try {
      now = await ask("/api/tournament/said", "POST", { pictures, keep, left: two[0], right: two[1], said: word });
      return true;
    } catch (error) {
      say(error.message);
      return false;
    } finally {
      busy = false;
    }
  }

  async function decide(word) {
    const two = pair;
    if (!two || busy) return;
    arena.dataset.said = word;
    if (await tell(two, word)) {
      said.push(two);
      pair = now.pair;
      draw();
    }
    delete arena.dataset.said;
  }

  async function undo() {
    const two = said.at(-1);
    if (!two || !await tell(two, "back")) return;
    said.pop();
    pair = two;  // shown again, as it was
    draw();
  }

  const keys = { ArrowLeft: "left", ArrowRight: "right", ArrowUp: "even" };
  function key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey || ["INPUT", "SELECT"].includes(event.target.tagName)) return;
    if (event.key in keys) { event.preventDefault(); decide(keys[event.key]); }
    if (event.key === "Backspace" || event.key === "z") { event.preventDefault(); undo(); }
  }
  let begun = null;
  arena.addEventListener("touchstart", (event) => { begun = event.touches.length === 1 ? event.touches[0] : null; }, { passive: true });
  arena.addEventListener("touchend", (event) => {
    if (!begun) return;
    const end = event.changedTouches[0], dx = end.clientX - begun.clientX, dy = end.clientY - begun.clientY;
    begun = null;
    // Towards the better one: sideways where they lie side by side, up or down where one lies over the other.
    const [first, second] = contenders.map((button) => button.getBoundingClientRect());
    const along = second.top > first.top + first.height / 2 ? [dy, dx] : [dx, dy];
    if (Math.abs(along[0]) < SWIPE_PX || Math.abs(along[0]) < 1.5 * Math.abs(along[1])) return;
    event.preventDefault();  // no tap after a swipe
    decide(along[0] < 0 ? "left" : "right");
  });
  addEventListener("keydown", key);
  return () => removeEventListener("keydown", key);
}
