// The sheet that shows who sorts, and where one says one's name.

const $ = (id) => document.getElementById(id);

export function openPeople(about, onRenamed) {
  const person = { name: localStorage.getItem("who") ?? about.who, taste: showTaste };
  localStorage.setItem("who", person.name);
  $("how").textContent = about.shared
    ? "Everybody sorts the whole stack. After each swipe you see what others said."
    : "Everybody gets other pictures; together you sort the stack once.";
  $("who").value = person.name;
  $("menu").addEventListener("click", () => { $("people").showModal(); $("close").focus(); fillTable(); });
  $("close").addEventListener("click", () => $("people").close());
  $("people").addEventListener("click", (event) => { if (event.target === $("people")) $("people").close(); });
  $("who").addEventListener("keydown", (event) => {
    if (event.key !== "Enter") return;
    event.preventDefault(); // or it would press the button that gets the focus back
    $("people").close();
  });
  $("people").addEventListener("close", () => {
    const name = $("who").value.replace(/\s+/g, " ").trim();
    $("who").value = name || person.name;
    if (!name || name === person.name) return;
    person.name = name;
    localStorage.setItem("who", name);
    onRenamed();
  });
  return person;
}

async function fillTable() {
  let people;
  try {
    const response = await fetch("/sort/people", { signal: AbortSignal.timeout(4000) });
    if (!response.ok) return;
    ({ people } = await response.json());
  } catch { return; } // offline: what stands there stays
  $("table").replaceChildren(...people.map((each) => {
    const row = document.createElement("tr");
    const agreed = each.both ? `${Math.round(100 * each.agreed / each.both)} % of ${each.both.toLocaleString()}` : "–";
    const cells = [each.who, each.sorted.toLocaleString(), each.per_hour?.toLocaleString() ?? "–", agreed];
    row.append(...cells.map((text, index) => {
      const cell = document.createElement(index ? "td" : "th");
      if (!index) cell.scope = "row";
      cell.textContent = text;
      return cell;
    }));
    return row;
  }));
}

function showTaste(text) {
  $("taste").hidden = !text;
  $("taste").textContent = text ?? "";
}
