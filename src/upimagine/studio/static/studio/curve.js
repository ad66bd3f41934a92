// One curve over kimg, with its least and largest value in words.

import { element } from "./element.js";

const SVG = "http://www.w3.org/2000/svg";

export function curve(name, points) {
  const values = points.map((point) => point[1]);
  const low = Math.min(...values), high = Math.max(...values), begin = points[0][0], end = points.at(-1)[0];
  const at = ([x, y]) => `${(100 * (x - begin) / (end - begin || 1)).toFixed(2)},${(40 - 40 * (y - low) / (high - low || 1)).toFixed(2)}`;
  const drawing = document.createElementNS(SVG, "svg"), line = document.createElementNS(SVG, "polyline");
  drawing.setAttribute("viewBox", "-1 -1 102 42");
  drawing.setAttribute("preserveAspectRatio", "none");
  drawing.setAttribute("role", "img");
  const last = values.at(-1).toPrecision(3);
  drawing.setAttribute("aria-label", `${name}: ${last} at ${end} kimg, between ${low.toPrecision(3)} and ${high.toPrecision(3)}`);
  line.setAttribute("points", points.map(at).join(" "));
  drawing.append(line);
  return element("figure", {},
    element("figcaption", {}, element("b", {}, name), element("span", {}, last)), drawing,
    element("p", { className: "soft" }, `${low.toPrecision(3)} to ${high.toPrecision(3)}, ${begin} to ${end} kimg`));
}
