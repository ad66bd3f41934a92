// One picture, large: zoom, before and after, what it was made of, and what can be made of it.

import { ask, large } from "./ask.js";
import { element, say } from "./element.js";
import { order } from "./jobs.js";

const dialog = document.getElementById("viewer"), body = element("div", { className: "body" });
// What is going on must be seen over the dialog, too, and nothing outside an open one is.
const notices = [document.getElementById("jobs"), document.getElementById("status")];
let zoomed = null, items = [], place = 0, tellOf = made;

// describe(item): {width, height, rows, recipe, ...}; "only" to be looked at, nothing can be made of it.
export function openViewer(list, index, describe = made) {
  items = list;
  tellOf = describe;
  if (!dialog.open) {
    dialog.replaceChildren(body, ...notices);
    dialog.showModal();
  }
  show(index);
}

async function made(item) {
  const told = await ask(`/api/pictures/${item.id}`);
  return { ...told, rows: told.recipe || [["Recipe", "none inside"]] };
}

function leave() {
  zoomed?.destroy();
  zoomed = null;
}

async function show(index) {
  leave();
  place = index;
  const item = items[index];
  const stage = element("div", { className: "stage" }, element("img", { src: large(item.id), alt: item.name }));
  const facts = element("dl"), actions = element("div", { className: "actions" });
  const close = element("button", { type: "button", className: "plain", "aria-label": "Close" }, "✕");
  close.addEventListener("click", () => dialog.close());
  const steps = [["‹", "Previous", -1], ["›", "Next", 1]].map(([sign, label, by]) => {
    const button = element("button", { type: "button", className: "plain", "aria-label": label }, sign);
    button.disabled = !items[index + by];
    button.addEventListener("click", () => show(index + by));
    return button;
  });
  body.replaceChildren(
    element("div", { className: "head" }, element("h2", { id: "viewer-name" }, item.name), ...steps, close),
    stage, element("div", { className: "side" }, actions, facts));
  close.focus();

  const told = await tellOf(item).catch((error) => { say(error.message); return null; });
  if (!told || items[place] !== item) return;
  const rows = [["Size", `${told.width} × ${told.height} px`], ...told.rows];
  facts.append(...rows.flatMap(([name, value]) => [element("dt", {}, name), element("dd", {}, value)]));

  const act = (label, run) => {
    const button = element("button", { type: "button" }, label);
    button.addEventListener("click", () => run(button));
    actions.append(button);
  };
  act("Zoom in", () => zoom(item, stage));
  if (told.before) act("Before and after", () => compare(item, stage));
  if (told.recipe) act("Make again", () => order("again", item.id));
  if (told.like) act("More like this", () => order("like", item.id));
  if (told.only) return;
  const size = element("select", { "aria-label": "Size of the larger picture" },
    ...[1024, 2048, 4096, 8192].filter((px) => px > Math.max(told.width, told.height))
      .map((px) => element("option", { value: px }, `${px} px`)));
  if (size.options.length) {
    act("Make larger", () => order("larger", item.id, Number(size.value)));
    actions.append(size);
  }
}

async function zoom(item, stage) {
  if (zoomed) return;
  stage.replaceChildren(element("p", { className: "soft" }, "Cutting tiles …"));
  try {
    const told = await ask(`/api/zoom/${item.id}`);
    stage.replaceChildren();
    zoomed = OpenSeadragon({
      element: stage, showNavigationControl: false, maxZoomPixelRatio: 8, drawer: "canvas", animationTime: 0.4,
      tileSources: {
        width: told.width, height: told.height, tileSize: told.tile_px, tileOverlap: told.overlap_px,
        getTileUrl: (level, x, y) => `/zoom/${item.id}/${level}/${x}_${y}.jpg`,
      },
    });
    zoomed.addHandler("open", () => { stage.dataset.zoom = "open"; });
    zoomed.addHandler("zoom", (event) => { stage.dataset.scale = event.zoom.toFixed(3); });
    zoomed.addHandler("tile-drawn", () => { stage.dataset.drawn = "yes"; });
  } catch (error) {
    say(error.message);
    show(place);
  }
}

function compare(item, stage) {
  leave();
  const before = element("img", { src: `/api/before/${item.id}`, alt: "Before", className: "before" });
  const after = element("img", { src: large(item.id), alt: "After" });
  before.addEventListener("error", () => {
    say("What it began with is not at hand any more: its generator or picture is another one now.");
    if (items[place] === item) stage.replaceChildren(after);
  });
  const slider = element("input", { type: "range", min: 0, max: 100, value: 50, "aria-label": "Before or after" });
  const move = () => { before.style.clipPath = `inset(0 ${100 - slider.value}% 0 0)`; };
  slider.addEventListener("input", move);
  move();
  stage.replaceChildren(after, before, slider);
  slider.focus();
}

dialog.addEventListener("close", () => {
  leave();
  body.replaceChildren();
  document.body.append(...notices);
});
dialog.addEventListener("keydown", (event) => {
  if (zoomed || ["INPUT", "SELECT"].includes(event.target.tagName)) return;
  if (event.key === "ArrowLeft" && items[place - 1]) show(place - 1);
  if (event.key === "ArrowRight" && items[place + 1]) show(place + 1);
});
