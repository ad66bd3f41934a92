// Keeps the page and the pictures that it holds, so that it opens without the computer, too.

const SHELL = "upimagine-sort-page", PICTURES = "upimagine-sort-pictures", MOST_PICTURES = 400;
const PAGE = ["/", "/sort.webmanifest", ...["style.css", "main.js", "cards.js", "deck.js", "line.js", "people.js", "press.js", "store.js", "icon-192.png"]
  .map((name) => `/static/sort/${name}`)];

addEventListener("install", (event) => {
  skipWaiting();
  event.waitUntil(caches.open(SHELL).then((cache) => cache.addAll(PAGE)));
});
addEventListener("activate", (event) => event.waitUntil(clients.claim()));

addEventListener("fetch", (event) => {
  const { method, url } = event.request, { origin, pathname } = new URL(url);
  if (method !== "GET" || origin !== location.origin) return;
  if (pathname.startsWith("/picture/")) event.respondWith(picture(event.request));
  else if (PAGE.includes(pathname)) event.respondWith(page(event.request));
});

// A picture's name is its content: what is kept never changes.
async function picture(request) {
  const cache = await caches.open(PICTURES), kept = await cache.match(request);
  if (kept) return kept;
  const response = await fetch(request);
  if (response.ok) {
    await cache.put(request, response.clone());
    if (++put % 100 === 0) await trim(cache);
  }
  return response;
}

let put = 0;
async function trim(cache) {
  const all = await cache.keys();
  await Promise.all(all.slice(0, Math.max(0, all.length - MOST_PICTURES)).map((old) => cache.delete(old)));
}

// The newest page, or the kept one when the computer does not answer soon.
async function page(request) {
  const cache = await caches.open(SHELL);
  try {
    const response = await fetch(request, { signal: AbortSignal.timeout(2500) });
    if (response.ok) await cache.put(request, response.clone());
    return response;
  } catch { return (await cache.match(request)) ?? Response.error(); }
}
