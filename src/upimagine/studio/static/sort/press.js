// Buttons that answer when the finger leaves them. Browsers swallow a click that comes soon after a fast swipe, and
// "undo" just then is the one that matters most.

const SAME_MS = 700;

export function onPress(button, act) {
  let acted = -Infinity;
  button.addEventListener("pointerup", (event) => {
    if (!event.isPrimary || event.button !== 0 || button.disabled) return;
    if (!button.contains(document.elementFromPoint(event.clientX, event.clientY))) return; // it slid off
    acted = event.timeStamp;
    act(event.timeStamp);
  });
  button.addEventListener("click", (event) => { // keys, screen readers, and the click that follows the finger
    if (event.timeStamp - acted > SAME_MS) act(event.timeStamp);
    acted = -Infinity;
  });
}
