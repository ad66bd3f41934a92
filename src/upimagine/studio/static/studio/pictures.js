// The gallery: everything in the folder, newest first.

import { ask } from "./ask.js";
import { element, labelled } from "./element.js";
import { Grid } from "./grid.js";
import { openViewer } from "./viewer.js";

export async function pictures(view) {
  let all = [], shown = [];
  const grid = new Grid({ label: "Pictures", onOpen: (index) => openViewer(shown, index) });
  const filter = element("input", { type: "search", id: "filter", placeholder: "part of a name", autocomplete: "off" });
  const count = element("p", { className: "soft", role: "status" });
  view.append(element("div", { className: "bar" }, labelled("Find", filter), count), grid.root);

  const narrow = () => {
    const wanted = filter.value.trim().toLowerCase();
    shown = wanted ? all.filter((item) => item.name.toLowerCase().includes(wanted)) : all;
    count.textContent = shown.length === all.length ? `${all.length} pictures` : `${shown.length} of ${all.length}`;
    grid.show(shown);
  };
  const load = async () => {
    const told = await ask("/api/pictures");
    if (all.length && told.ids.length === all.length && told.ids[0] === all[0].id) return;
    all = told.ids.map((id, index) => ({ id, name: told.names[index] }));
    narrow();
  };
  filter.addEventListener("input", narrow);
  const made = () => load();
  addEventListener("made", made);
  await load();
  if (!all.length) view.append(element("p", { className: "empty" }, "No pictures here yet. ",
    element("code", {}, "upimagine sample portrait-128"), " makes some."));
  return () => { removeEventListener("made", made); grid.close(); };
}
