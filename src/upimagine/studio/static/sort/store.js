// What this phone remembers: swipes that are not yet saved, all swipes for undo, and the pictures it holds.
// A catalog has a database of its own, so that what was swiped on one is never sent to another.

export async function openStore(catalog) {
  const database = await opened(`upimagine-sort-${catalog}`);
  const run = (mode, work) => new Promise((resolve, reject) => {
    // "strict": told to be on the disk only when it is.
    const transaction = database.transaction(["pending", "history", "facts"], mode, { durability: "strict" });
    const asked = work((name) => transaction.objectStore(name));
    transaction.oncomplete = () => resolve(asked?.result);
    transaction.onabort = transaction.onerror = () => reject(transaction.error);
  });
  return {
    read: async () => ({
      pending: (await run("readonly", (table) => table("pending").getAll())).map((swipe) => ({ ...swipe, kept: true })),
      history: await run("readonly", (table) => table("history").getAll()),
      saved: (await run("readonly", (table) => table("facts").get("saved"))) ?? 0,
      held: (await run("readonly", (table) => table("facts").get("held"))) ?? [],
    }),
    // A swipe, or the undoing of the last one, is remembered before it is told to anybody.
    swiped: (swipe) => run("readwrite", (table) => {
      table("pending").put(swipe);
      if (swipe.undoes) table("history").delete(swipe.last);
      else table("history").put({ n: swipe.n, uuid: swipe.uuid, picture: swipe.picture });
    }),
    saved: (swipes, count) => run("readwrite", (table) => {
      for (const swipe of swipes) table("pending").delete(swipe.n);
      table("facts").put(count, "saved");
    }),
    hold: (pictures) => run("readwrite", (table) => table("facts").put(pictures, "held")),
  };
}

function opened(name) {
  return new Promise((resolve, reject) => {
    const request = indexedDB.open(name, 1);
    request.onupgradeneeded = () => {
      request.result.createObjectStore("pending", { keyPath: "n" });
      request.result.createObjectStore("history", { keyPath: "n" });
      request.result.createObjectStore("facts");
    };
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
}
