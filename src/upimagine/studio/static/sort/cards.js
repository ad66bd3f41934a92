// Cards on the screen: the top one follows the thumb; the two below it are decoded before they are seen.

export const WAYS = { keep: [1, 0], reject: [-1, 0], unsure: [0, -1] };
const FAR_PX = 88;
const FAST_PX_PER_MS = 0.55;
const LEAVES_MS = 240;

export class Cards {
  #cards = new Map();
  #root; #deck; #onSwipe; #drag = null;

  constructor(stage, root, deck, onSwipe) {
    this.#root = root; this.#deck = deck; this.#onSwipe = onSwipe;
    stage.addEventListener("pointerdown", (event) => this.#down(event));
    stage.addEventListener("pointermove", (event) => this.#move(event));
    stage.addEventListener("pointerup", (event) => this.#up(event));
    stage.addEventListener("pointercancel", () => this.#settle());
  }

  // Bring the screen to the deck's first three; resolves once the top picture can be painted.
  show() {
    const shown = this.#deck.ids.slice(0, 3);
    for (const [id, card] of this.#cards) if (!shown.includes(id)) { card.remove(); this.#cards.delete(id); }
    shown.forEach((id, index) => {
      const card = this.#cards.get(id) ?? this.#make(id);
      card.classList.toggle("next", index > 0);
      card.classList.toggle("first", index === 1);
      card.style.zIndex = 3 - index;
      this.#fill(id, card);
    });
    return this.#cards.get(shown[0])?.querySelector("img").decode().catch(() => {}); // what cannot be decoded is marked by #fill
  }

  // The top card flies away; the one below it is the top at once.
  leave(id, verdict) {
    const card = this.#cards.get(id);
    if (!card) return;
    this.#cards.delete(id);
    const [x, y] = WAYS[verdict];
    card.style.zIndex = 9;
    this.#stamp(card, verdict, 1);
    card.getBoundingClientRect(); // the transition begins where the thumb left it
    card.classList.add("leaving");
    card.style.transform = `translate(${x * 130}%, ${y * 110}%) rotate(${x * 18}deg)`;
    setTimeout(() => card.remove(), LEAVES_MS);
  }

  // A card that was undone comes back from where it went.
  comeBack(id) {
    const card = this.#cards.get(id);
    card.style.transform = "translateY(-60%) rotate(-6deg)";
    card.getBoundingClientRect();
    this.#release(card);
  }

  #make(id) {
    const card = document.createElement("figure");
    card.className = "card";
    card.dataset.picture = id;
    const img = document.createElement("img");
    img.alt = "The picture to sort";
    img.draggable = false;
    card.append(img, ...Object.keys(WAYS).map((verdict) => {
      const stamp = document.createElement("span");
      stamp.className = `stamp ${verdict}`;
      stamp.textContent = verdict.toUpperCase();
      stamp.ariaHidden = "true";
      return stamp;
    }));
    this.#cards.set(id, card);
    this.#root.append(card);
    return card;
  }

  #fill(id, card) {
    const url = this.#deck.url(id), img = card.querySelector("img");
    card.classList.toggle("waiting", !url && !this.#deck.isLost(id));
    card.classList.toggle("lost", this.#deck.isLost(id));
    img.hidden = !url;
    if (url && img.src !== url) { img.src = url; img.decode().catch(() => card.classList.add("lost")); }
  }

  #top() { return this.#cards.get(this.#deck.ids[0]); }

  #down(event) {
    if (this.#drag || !event.isPrimary || event.button !== 0 || !this.#top()) return;
    this.#drag = { card: this.#top(), pointer: event.pointerId, x: event.clientX, y: event.clientY, at: event.timeStamp };
    event.currentTarget.setPointerCapture(event.pointerId);
  }

  #move(event) {
    const drag = this.#drag;
    if (!drag || event.pointerId !== drag.pointer) return;
    if (drag.card !== this.#top()) { this.#settle(); return; } // a key or another hand was quicker
    const x = event.clientX - drag.x, y = event.clientY - drag.y;
    drag.card.style.transform = `translate(${x}px, ${Math.min(y, 40)}px) rotate(${x * 0.035}deg)`;
    const verdict = leaning(x, y);
    for (const each of Object.keys(WAYS)) {
      this.#stamp(drag.card, each, each === verdict ? Math.min(1, Math.hypot(x, y) / FAR_PX) : 0);
    }
  }

  #up(event) {
    const drag = this.#drag;
    if (!drag || event.pointerId !== drag.pointer) return;
    this.#drag = null;
    const x = event.clientX - drag.x, y = event.clientY - drag.y, far = Math.hypot(x, y);
    const verdict = leaning(x, y), fast = far / Math.max(1, event.timeStamp - drag.at) > FAST_PX_PER_MS;
    if (drag.card === this.#top() && verdict && (far > FAR_PX || (fast && far > 28))) this.#onSwipe(verdict, event.timeStamp);
    else this.#release(drag.card);
  }

  #settle() {
    if (this.#drag) this.#release(this.#drag.card);
    this.#drag = null;
  }

  #release(card) {
    card.classList.add("back");
    card.style.transform = "";
    for (const verdict of Object.keys(WAYS)) this.#stamp(card, verdict, 0);
    setTimeout(() => card.classList.remove("back"), 200);
  }

  #stamp(card, verdict, opacity) { card.querySelector(`.stamp.${verdict}`).style.opacity = opacity; }
}

// Downwards means nothing, so that a thumb that falls back changes nothing.
function leaning(x, y) {
  if (-y > Math.abs(x)) return "unsure";
  if (Math.abs(x) < 12 || y > 2 * Math.abs(x)) return null;
  return x > 0 ? "keep" : "reject";
}
