// The pictures that this page holds, the first on top: fetched ahead, so that no swipe waits, and a while can be offline.

export const AHEAD = 200;
const AT_ONCE = 4;
const BEHIND = 30; // swiped pictures kept for an undo at once

export class Deck {
  ids = [];
  #urls = new Map();
  #lost = new Set(); // known to the server, but not readable any more
  #loading = new Set();
  #behind = [];
  #onLoaded;

  constructor(onLoaded) { this.#onLoaded = onLoaded; }

  url(id) { return this.#urls.get(id); }
  isLost(id) { return this.#lost.has(id); }
  canBeJudged(id) { return this.#urls.has(id) || this.#lost.has(id); }

  add(ids) {
    const held = new Set(this.ids);
    this.ids.push(...ids.filter((id) => !held.has(id)));
    this.fetchAhead();
  }

  drop(ids) {
    const gone = new Set(ids);
    this.ids = this.ids.filter((id, index) => index === 0 || !gone.has(id)); // never from under a thumb
  }

  take() {
    const id = this.ids.shift();
    this.#behind.push(id);
    if (this.#behind.length > BEHIND) this.#forget(this.#behind.shift());
    this.fetchAhead();
    return id;
  }

  putBack(id) {
    this.ids = [id, ...this.ids.filter((other) => other !== id)];
    this.#behind = this.#behind.filter((other) => other !== id);
    this.fetchAhead();
  }

  // While nothing can be fetched, what is here is shown before what is not.
  loadedFirst() {
    if (this.ids.length && !this.canBeJudged(this.ids[0])) {
      this.ids = [...this.ids.filter((id) => this.canBeJudged(id)), ...this.ids.filter((id) => !this.canBeJudged(id))];
    }
  }

  fetchAhead() {
    for (const id of this.ids.slice(0, AHEAD)) {
      if (this.#loading.size >= AT_ONCE) return;
      if (!this.#urls.has(id) && !this.#lost.has(id) && !this.#loading.has(id)) this.#fetch(id);
    }
  }

  async #fetch(id) {
    this.#loading.add(id);
    let arrived = true;
    try {
      const response = await fetch(`/picture/1080/${id}`);
      if (response.ok) this.#urls.set(id, URL.createObjectURL(await response.blob()));
      else if (response.status === 404 || response.status === 410) this.#lost.add(id);
      else arrived = false;
    } catch { arrived = false; } // no way to the server: the next message that gets through tries again
    this.#loading.delete(id);
    this.#onLoaded(id);
    if (arrived) this.fetchAhead();
  }

  #forget(id) {
    if (this.ids.includes(id) || !this.#urls.has(id)) return;
    URL.revokeObjectURL(this.#urls.get(id));
    this.#urls.delete(id);
  }
}
