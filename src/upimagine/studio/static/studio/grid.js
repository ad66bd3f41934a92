// A grid of any length: only the rows in sight exist. Arrow keys move, Enter opens.

import { element } from "./element.js";
import { small } from "./ask.js";

const GAP = 6, AHEAD = 2;

export class Grid {
  // items: [{id, name}]; onOpen(index); marked(item): what stands on a chosen one, or ""; note(item): on any.
  constructor({ onOpen, describe = (item) => item.name, marked = () => "", note = () => "", label }) {
    Object.assign(this, { onOpen, describe, marked, note, items: [], active: 0, tiles: new Map() });
    this.root = element("div", { className: "grid", role: "listbox", "aria-label": label });
    this.root.addEventListener("keydown", (event) => this.key(event));
    this.draw = this.draw.bind(this);
    addEventListener("scroll", this.draw, { passive: true });
    this.observer = new ResizeObserver(() => this.draw());
    this.observer.observe(this.root);
  }

  close() {
    removeEventListener("scroll", this.draw);
    this.observer.disconnect();
  }

  show(items) {
    this.items = items;
    this.active = Math.min(this.active, Math.max(0, items.length - 1));
    this.tiles.clear();
    this.root.replaceChildren();
    this.draw();
  }

  draw() {
    const width = this.root.clientWidth;
    if (!width) return;
    this.columns = Math.max(3, Math.floor((width + GAP) / (140 + GAP)));
    this.side = (width - GAP * (this.columns - 1)) / this.columns;
    const step = this.side + GAP, rows = Math.ceil(this.items.length / this.columns);
    this.root.style.height = `${Math.max(0, rows * step - GAP)}px`;
    const top = -this.root.getBoundingClientRect().top;
    const first = Math.max(0, Math.floor(top / step) - AHEAD);
    const last = Math.min(rows, Math.ceil((top + innerHeight) / step) + AHEAD);
    const from = first * this.columns, to = Math.min(this.items.length, last * this.columns);
    for (const [index, tile] of this.tiles) {
      if ((index < from || index >= to) && tile !== document.activeElement) {
        tile.remove();
        this.tiles.delete(index);
      }
    }
    for (let index = from; index < to; index++) this.place(index, step);
  }

  place(index, step) {
    let tile = this.tiles.get(index);
    if (!tile) {
      const item = this.items[index];
      tile = element("button", { type: "button", className: "tile", role: "option" },
        element("img", { src: small(item.id), alt: "", loading: "lazy", decoding: "async", draggable: false }));
      tile.addEventListener("click", () => { this.active = index; this.onOpen(index); });
      this.tiles.set(index, tile);
      this.root.append(tile);
    }
    const item = this.items[index], marked = this.marked(item);
    tile.setAttribute("aria-label", this.describe(item, index));
    tile.setAttribute("aria-selected", String(Boolean(marked)));
    tile.setAttribute("aria-posinset", index + 1);
    tile.setAttribute("aria-setsize", this.items.length);
    tile.tabIndex = index === this.active ? 0 : -1;
    tile.dataset.mark = marked;
    tile.dataset.note = this.note(item);
    tile.dataset.id = item.id;
    tile.style.transform = `translate(${(index % this.columns) * step}px, ${Math.floor(index / this.columns) * step}px)`;
    tile.style.width = tile.style.height = `${this.side}px`;
  }

  key(event) {
    const steps = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -this.columns, ArrowDown: this.columns };
    const to = event.key === "Home" ? 0 : event.key === "End" ? this.items.length - 1
      : event.key in steps ? this.active + steps[event.key] : null;
    if (to === null || to < 0 || to >= this.items.length) return;
    event.preventDefault();
    this.active = to;
    const step = this.side + GAP, top = this.root.getBoundingClientRect().top + scrollY;
    const row = top + Math.floor(to / this.columns) * step;
    if (row < scrollY + 60) scrollTo(0, row - 60);
    else if (row + step > scrollY + innerHeight) scrollTo(0, row + step - innerHeight);
    this.draw();
    this.tiles.get(to)?.focus({ preventScroll: true });
  }
}
