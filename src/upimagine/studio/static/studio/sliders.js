// A generator by hand: the picture follows the sliders; of those asked for in between only the last one counts.

import { ask } from "./ask.js";
import { element, labelled, say } from "./element.js";

const DIRECTIONS = 8;

export async function sliders(view) {
  const generators = await ask("/api/generators");
  const along = new Array(DIRECTIONS).fill(0);
  const pick = element("select", { id: "generator" }, ...generators.map((each) => element("option", { value: each.id }, each.name)));
  const seed = element("input", { type: "number", id: "seed", min: 0, max: 2 ** 31, value: 0 });
  const picture = element("img", { className: "made", alt: "What the generator makes", width: 512, height: 512 });
  let busy = false, again = false;
  const draw = () => {
    if (busy) { again = true; return; }
    busy = true;
    picture.ariaBusy = "true";
    picture.src = `/api/generators/${pick.value}/picture?seed=${Number(seed.value) || 0}&along=${along.join(",")}`;
  };
  const settled = () => {
    busy = false;
    picture.ariaBusy = "false";
    if (again) { again = false; draw(); }
  };
  picture.addEventListener("load", settled);
  picture.addEventListener("error", () => { say("It cannot be made."); settled(); });
  const rows = along.map((_, index) => {
    const input = element("input", { type: "range", id: `along-${index}`, min: -4, max: 4, step: 0.1, value: 0 });
    input.addEventListener("input", () => { along[index] = Number(input.value); draw(); });
    input.addEventListener("dblclick", () => { along[index] = 0; input.value = 0; draw(); });
    return element("div", {}, element("label", { for: input.id }, `Direction ${index + 1}`), input);
  });
  const other = element("button", { type: "button" }, "Another seed");
  other.addEventListener("click", () => { seed.value = Math.floor(Math.random() * 1e6); draw(); });
  const level = element("button", { type: "button" }, "Sliders to the middle");
  level.addEventListener("click", () => {
    along.fill(0);
    rows.forEach((row) => { row.querySelector("input").value = 0; });
    draw();
  });
  const keep = element("button", { type: "button", className: "main" }, "Keep this one");
  keep.addEventListener("click", async () => {
    try {
      const done = await ask(`/api/generators/${pick.value}/keep`, "POST", { seed: Number(seed.value) || 0, along });
      say(`Kept as ${done.name}`);
    } catch (error) {
      say(error.message);
    }
  });
  for (const each of [pick, seed]) each.addEventListener("change", draw);
  view.append(element("div", { className: "latent" }, picture, element("div", {},
    element("div", { className: "bar" }, labelled("Generator", pick), labelled("Seed", seed)),
    element("div", { className: "sliders" }, ...rows),
    element("div", { className: "actions" }, other, level, keep))));
  draw();
  return () => {};
}
