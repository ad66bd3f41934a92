// Thousands of candidates, ordered anew at every touch of a slider; tap to keep.

import { ask } from "./ask.js";
import { element, labelled, say } from "./element.js";
import { Grid } from "./grid.js";
import { ranked, robust } from "./ranking.js";
import { enter } from "./tournament.js";

export async function candidates(view) {
  const tables = await ask("/api/candidates");
  if (!tables.length) {
    view.append(element("p", { className: "empty" }, "No scored pictures here. ",
      element("code", {}, "upimagine sample MODEL"), " makes some, and ", element("code", {}, "upimagine cull FOLDER"), " scores any."));
    return () => {};
  }
  const pick = element("select", { id: "table" }, ...tables.map((each) => element("option", { value: each.id }, each.name)));
  const sliders = element("div", { className: "sliders" });
  const keep = element("button", { type: "button", className: "main", disabled: true });
  const duel = element("button", { type: "button", hidden: true }, "Let them compete");
  let items = [], kept = [], told = null;
  const none = element("p", { className: "empty", hidden: true }, "The pictures that were scored are not in the opened folder; open one that holds both.");
  const tell = () => {
    keep.disabled = !kept.length;
    keep.textContent = kept.length ? `Copy ${kept.length} kept` : "Tap pictures to keep them";
    duel.hidden = kept.length < 2 || kept.length > 64;
  };
  const grid = new Grid({
    label: "Candidates, best first",
    marked: (item) => kept.includes(item.id) ? String(kept.indexOf(item.id) + 1) : "",
    describe: (item, index) => `${index + 1}: ${item.name}`,
    onOpen: (index) => {
      const id = items[index].id;
      kept = kept.includes(id) ? kept.filter((other) => other !== id) : [...kept, id];
      tell();
      grid.draw();
    },
  });
  const load = async () => {
    told = await ask(`/api/candidates/${pick.value}`);
    const standard = Object.fromEntries(Object.entries(told.scores).map(([name, scores]) => [name, robust(scores)]));
    const weights = { ...told.weights };
    kept = [];
    const reorder = () => {
      items = ranked(standard, weights, told.ids.length).map((index) => ({ id: told.ids[index], name: `candidate ${index}` }));
      grid.show(items);
    };
    sliders.replaceChildren(...Object.keys(standard).map((name) => slider(name, weights, reorder)));
    none.hidden = told.ids.length > 0;
    tell();
    reorder();
  };
  keep.addEventListener("click", async () => {
    try {
      const done = await ask("/api/keep", "POST", { pictures: kept });
      say(`Copied into ${done.folder}`);
      kept = [];
      tell();
      grid.draw();
    } catch (error) {
      say(error.message);
    }
  });
  duel.addEventListener("click", () => enter(kept, Math.min(4, kept.length - 1)));
  pick.addEventListener("change", load);
  view.append(
    element("div", { className: "bar" }, labelled("From", pick)),
    element("details", { open: innerWidth > 700 }, element("summary", {}, "What counts"), sliders),
    none, grid.root, element("div", { className: "float" }, keep, duel));
  tell();
  await load();
  return () => grid.close();
}

function slider(name, weights, reorder) {
  const value = element("output", {}, weights[name].toFixed(1));
  const input = element("input", { type: "range", id: `weight-${name}`, min: -2, max: 2, step: 0.1, value: weights[name] });
  input.addEventListener("input", () => {
    weights[name] = Number(input.value);
    value.textContent = weights[name].toFixed(1);
    reorder();
  });
  return element("div", {}, element("label", { for: input.id }, name), input, value);
}
