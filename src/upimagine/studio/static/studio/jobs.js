// What is being made: ordered here, watched while anything runs.

import { ask } from "./ask.js";
import { element, say } from "./element.js";

const root = document.getElementById("jobs");
let timer = null, ended = new Set();

export async function order(kind, picture, to_px = 2048) {
  try {
    await ask("/api/jobs", "POST", { kind, picture, to_px });
    say("In the queue; it goes on while you look around.");
    watch();
  } catch (error) {
    say(error.message);
  }
}

export async function watch() {
  clearTimeout(timer);
  const jobs = await ask("/api/jobs").catch(() => []);
  const running = jobs.filter((job) => ["waiting", "running"].includes(job.state));
  for (const job of jobs) {
    if (running.includes(job) || ended.has(job.id)) continue;
    ended.add(job.id);
    if (job.state === "done") dispatchEvent(new Event("made"));
    say({ done: `Made: ${job.made.join(", ")}`, failed: `${job.title}: ${job.trouble}` }[job.state] ?? `${job.title}: ${job.state}`);
  }
  root.hidden = !running.length;
  root.replaceChildren(...running.map(line));
  if (running.length) timer = setTimeout(watch, 500);
}

function line(job) {
  const cancel = element("button", { type: "button", className: "plain" }, "Cancel");
  cancel.addEventListener("click", () => ask(`/api/jobs/${job.id}`, "DELETE").catch((error) => say(error.message)));
  const bar = element("progress", { "aria-label": job.title });
  if (job.total) Object.assign(bar, { max: job.total, value: job.done });
  return element("div", {}, element("span", {}, `${job.title} · ${job.what || job.state}`), bar, cancel);
}
