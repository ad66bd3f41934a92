// Catalogs of pictures: tens of thousands in the order of names, or the worst first by what is wrong with them.

import { ask } from "./ask.js";
import { element, labelled, say } from "./element.js";
import { Grid } from "./grid.js";
import { openViewer } from "./viewer.js";

const STEPS = 400, SHOWN = ["all", "good", "clean", "flagged", "keep", "reject", "unsure", "unsorted"];

export async function catalog(view) {
  const all = await ask("/api/catalogs");
  if (!all.length) {
    view.append(element("p", { className: "empty" }, "No catalog here. ", element("code", {}, "upimagine prepare PICTURES --into catalog.db"),
      " makes one; ", element("code", {}, "upimagine studio --catalog FILE"), " opens one from elsewhere."));
    return () => {};
  }
  let told = null, flag = null, items = [], turn = 0;
  const pick = element("select", { id: "catalog" }, ...all.map((each) => element("option", { value: each.id }, each.name)));
  const which = element("select", { id: "which" }, ...SHOWN.map((each) => element("option", { value: each }, each)));
  const by = element("select", { id: "by" }), count = element("p", { className: "soft", role: "status" });
  const limit = element("input", { type: "range", id: "limit", min: 0, max: STEPS }), value = element("output", {});
  const off = element("input", { type: "checkbox", id: "off" }), meaning = element("p", { className: "soft" });
  const side = element("label", { for: "limit" });
  const threshold = element("div", { className: "card threshold", hidden: true },
    meaning, element("div", { className: "limit" }, side, limit, value,
      element("span", {}, off, element("label", { for: "off" }, "never"))));
  const base = () => `/api/catalogs/${pick.value}`;
  const beyond = (item) => flag !== null && flag.threshold !== null && item.value !== null
    && (flag.side === "above" ? item.value >= flag.threshold : item.value <= flag.threshold);
  const grid = new Grid({
    label: "Pictures of the catalog",
    marked: (item) => beyond(item) ? "!" : "",
    note: (item) => flag === null || item.value === null ? "" : short(item.value),
    describe: (item) => `${item.name}${flag && item.value !== null ? `, ${flag.measure} ${short(item.value)}` : ""}${beyond(item) ? ", flagged" : ""}`,
    onOpen: (index) => openViewer(items, index, describe),
  });
  const low = () => items.findLast((item) => item.value !== null)?.value ?? 0, high = () => items.find((item) => item.value !== null)?.value ?? 1;
  const least = () => Math.min(low(), high()), most = () => Math.max(low(), high());

  async function describe(item) {
    const known = await ask(`${base()}/pictures/${item.id}`);
    const scores = Object.entries(known.scores).map(([name, score]) => `${name} ${short(score)}`).join(", ");
    const labels = known.labels.slice(-8).map((label) => `${label.name}: ${label.value ?? "taken back"} (${label.who})`).join(", ");
    return { width: known.width, height: known.height, recipe: null, only: true,
      rows: [["Flags", known.flags.join(", ") || "none"], ["Measures", scores || "none"], ...(labels ? [["Said", labels]] : [])] };
  }

  function tell() {
    const flagged = flag ? items.filter(beyond).length : 0;
    count.textContent = flag ? `${items.length} pictures, ${flagged} flagged as ${flag.name}` : `${items.length} pictures, ${told.clean} of ${told.pictures} clean`;
    threshold.hidden = !flag;
    if (!flag) return;
    meaning.textContent = `${flag.measure}: ${flag.meaning}`;
    side.textContent = flag.side === "above" ? "Flagged from" : "Flagged up to";
    off.checked = flag.threshold === null;
    limit.disabled = off.checked;
    value.textContent = off.checked ? "never" : short(flag.threshold);
  }

  async function options() {
    told = await ask(base());
    const chosen = by.value;
    by.replaceChildren(element("option", { value: "" }, "name"),
      ...told.flags.map((each) => element("option", { value: each.name }, `${each.name} (${each.raised})`)));
    by.value = told.flags.some((each) => each.name === chosen) ? chosen : "";
  }

  async function load() {
    const mine = ++turn;
    flag = told.flags.find((each) => each.name === by.value) ?? null;
    const found = await ask(`${base()}/pictures?which=${which.value}${flag ? `&flag=${flag.name}` : ""}`);
    if (mine !== turn) return;
    items = found.ids.map((id, index) => ({ id, name: found.names[index], value: found.values[index] }));
    if (flag) limit.value = STEPS * ((flag.threshold ?? most()) - least()) / (most() - least() || 1);
    tell();
    grid.show(items);
  }

  async function move() {
    try {
      told = await ask(`${base()}/flags/${flag.name}`, "PUT", { value: flag.threshold });
      await options();
    } catch (error) {
      say(error.message);
    }
  }
  const guarded = (work) => () => work().catch((error) => say(error.message));
  limit.addEventListener("input", () => {
    flag.threshold = Number((least() + (most() - least()) * limit.value / STEPS).toPrecision(4));
    tell();
    grid.draw();
  });
  limit.addEventListener("change", move);
  off.addEventListener("change", () => {
    flag.threshold = off.checked ? null : Number((least() + (most() - least()) * limit.value / STEPS).toPrecision(4));
    tell();
    grid.draw();
    move();
  });
  pick.addEventListener("change", guarded(async () => { await options(); await load(); }));
  which.addEventListener("change", guarded(load));
  by.addEventListener("change", guarded(load));
  view.append(element("div", { className: "bar" }, labelled("Catalog", pick), labelled("Show", which),
    labelled("by", by), count), threshold, grid.root);
  await options();
  await load();
  return () => grid.close();
}

const short = (value) => Number.isInteger(value) ? String(value) : value.toPrecision(3);
