// Which view is shown follows the address after #.

import { ask } from "./ask.js";
import { candidates } from "./candidates.js";
import { catalog } from "./catalog.js";
import { element } from "./element.js";
import { watch } from "./jobs.js";
import { pictures } from "./pictures.js";
import { runs } from "./runs.js";
import { sliders } from "./sliders.js";
import { tournament } from "./tournament.js";

const VIEWS = { pictures, candidates, tournament, sliders, runs, catalog };
const main = document.getElementById("view");
let leave = () => {}, turn = 0;

async function go() {
  const mine = ++turn, name = location.hash.slice(1) in VIEWS ? location.hash.slice(1) : "pictures";
  leave();
  leave = () => {};
  for (const link of document.querySelectorAll("nav a")) {
    if (link.hash === `#${name}`) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  const view = element("div");
  main.replaceChildren(view);
  try {
    const left = await VIEWS[name](view);
    if (mine === turn) leave = left;
    else left();
  } catch (error) {
    view.append(element("p", { className: "empty", role: "alert" }, `The studio does not answer (${error.message}). Is it still running?`));
  }
}

addEventListener("hashchange", go);
tournament.again = go;
go();
watch();
ask("/api/folder").then((told) => { document.getElementById("folder").textContent = told.name; }).catch(() => {});
