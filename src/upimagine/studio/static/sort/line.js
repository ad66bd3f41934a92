// The line to the computer: one message at a time brings what was swiped and takes what comes next.

import { AHEAD } from "./deck.js";

const LOW = 150;
const HEARTBEAT_MS = 40_000; // pages that are silent for two minutes lose what they hold
const MOST = 500;

export class Line {
  pending; saved;
  how = "open"; // or "offline", "code" (the computer asks for it again), "refused"
  #about; #hand; #store; #deck; #who; #onAnswer; #onState;
  #busy = false; #pause = 0; #timer = null;

  constructor({ about, hand, store, deck, pending, saved, who, onAnswer, onState }) {
    this.#about = about; this.#hand = hand; this.#store = store; this.#deck = deck; this.#who = who;
    this.pending = pending; this.saved = saved; this.#onAnswer = onAnswer; this.#onState = onState;
    addEventListener("online", () => this.talk());
    document.addEventListener("visibilitychange", () => { if (!document.hidden) this.talk(); });
  }

  // Something was swiped.
  send(swipe) {
    this.pending.push(swipe);
    this.#onState();
    if (this.how === "open") this.talk();
  }

  // By how many pictures the answers lag behind.
  ahead() { return this.pending.reduce((sum, swipe) => sum + (swipe.undoes ? -1 : 1), 0); }

  // Send all that is pending, and ask for more pictures; tries again by itself while there is no way.
  async talk() {
    if (this.#busy) return;
    this.#busy = true;
    clearTimeout(this.#timer);
    do await this.#once(); while (this.how === "open" && this.pending.length);
    this.#busy = false;
    this.#pause = this.how === "open" ? 0 : Math.min(8000, Math.max(700, this.#pause * 2));
    const idle = this.#deck.ids.length ? HEARTBEAT_MS : 4000;
    this.#timer = setTimeout(() => this.talk(), this.#pause || idle);
    this.#onState();
  }

  async #once() {
    const who = this.pending[0]?.who ?? this.#who();
    const end = this.pending.findIndex((swipe, index) => index === MOST || swipe.who !== who);
    const swipes = end < 0 ? [...this.pending] : this.pending.slice(0, end);
    const holds = this.#deck.ids.slice(0, 2 * AHEAD);
    const message = {
      catalog: this.#about.catalog, hand: this.#hand, who, holds, want: holds.length < LOW ? AHEAD - holds.length : 0,
      swipes: swipes.map(({ uuid, picture, verdict, undoes, at }) =>
        ({ uuid, picture, verdict, undoes, ago_ms: Math.min(Math.max(0, Date.now() - at), 7_000_000_000) })),
    };
    let answer;
    try {
      const response = await fetch("/sort/message", {
        method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(message), signal: AbortSignal.timeout(15_000),
      });
      if (response.status === 409) { this.how = "offline"; return location.reload(); }
      this.how = response.ok ? "open" : response.status === 401 ? "code" : "refused";
      if (!response.ok) return;
      answer = await response.json();
    } catch {
      this.how = "offline";
      return;
    }
    const done = new Set(swipes);
    this.pending = this.pending.filter((swipe) => !done.has(swipe));
    this.saved += swipes.length - answer.unknown.length;
    this.#store.saved(swipes, this.saved);
    // What was swiped while the answer was under way is not to be sorted a second time.
    const swiped = new Set(this.pending.map((swipe) => swipe.picture));
    this.#deck.drop(answer.gone);
    this.#deck.add(answer.more.filter((id) => !swiped.has(id)));
    this.#store.hold(this.#deck.ids);
    this.#onAnswer(answer);
    this.#onState();
  }
}
