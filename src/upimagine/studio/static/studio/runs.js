// Trainings: newest preview and curves, looked at again every few seconds.

import { ask, large } from "./ask.js";
import { curve } from "./curve.js";
import { element, labelled } from "./element.js";

const AGAIN_MS = 5000;

export async function runs(view) {
  const all = await ask("/api/runs");
  if (!all.length) {
    view.append(element("p", { className: "empty" }, "No training here. ", element("code", {}, "upimagine train"), " writes its run into a folder."));
    return () => {};
  }
  const pick = element("select", { id: "run" }, ...all.map((run) => element("option", { value: run.id }, run.name)));
  const body = element("div");
  view.append(element("div", { className: "bar" }, labelled("Run", pick)), body);
  let timer = null, shown = "", at = null;
  const load = async () => {
    clearTimeout(timer);
    const told = await ask(`/api/runs/${pick.value}`);
    const now = JSON.stringify([pick.value, told.kimg, told.previews.length]);
    if (now !== shown) {
      shown = now;
      body.replaceChildren(...drawn(told, at, (value) => { at = value; }));
    }
    timer = setTimeout(() => load().catch(() => {}), AGAIN_MS);
  };
  pick.addEventListener("change", () => { at = null; load(); });
  await load();
  return () => clearTimeout(timer);
}

function drawn(told, at, chosen) {
  const parts = [];
  if (told.previews.length) {
    const last = told.previews.length - 1, begin = Math.min(at ?? last, last);
    const picture = element("img", { className: "preview" }), caption = element("p", { className: "soft" });
    const slider = element("input", { type: "range", min: 0, max: last, value: begin, "aria-label": "Preview over time" });
    const show = () => {
      const preview = told.previews[slider.value];
      picture.src = large(preview.id);
      picture.alt = `Preview at ${preview.kimg} kimg`;
      caption.textContent = `At ${preview.kimg} of ${told.kimg} kimg so far`;
    };
    slider.addEventListener("input", () => { chosen(Number(slider.value) === last ? null : Number(slider.value)); show(); });
    show();
    parts.push(element("figure", { className: "previews" }, picture, slider, caption));
  }
  const found = told.events.filter((event) => event.event === "found").slice(-3)
    .map((event) => element("p", { className: "amiss" }, `At ${event.kimg} kimg: ${event.finding}${event.seen ? `, ${event.seen}` : ""}`));
  if (found.length) found.push(element("p", { className: "soft" }, "Likely causes and remedies: ", element("code", {}, `${told.name}/index.html`)));
  const curves = Object.entries(told.curves).filter(([, points]) => points.length > 1).map(([name, points]) => curve(name, points));
  parts.push(...found, element("div", { className: "curves" }, ...curves));
  return parts;
}
