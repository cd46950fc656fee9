// All of this is for convenience: without it the page shows the same.
for (const box of document.querySelectorAll(".copy")) {
  const [text, button] = [box.querySelector("pre"), box.querySelector("button")];
  button.addEventListener("click", () => {
    getSelection().selectAllChildren(text);
    document.execCommand("copy");  // navigator.clipboard is missing in pages opened as files
    button.textContent = "copied";
    setTimeout(() => { button.textContent = "copy"; }, 1500);
  });
}

// What a chart says of the point nearest to the pointer.
const trials = JSON.parse(document.getElementById("trials")?.textContent ?? "[]");
for (const chart of document.querySelectorAll(".chart")) {
  const data = chart.querySelector("script");
  if (!data) continue;
  const points = JSON.parse(data.textContent);
  const svg = chart.querySelector("svg");
  const tip = chart.appendChild(document.createElement("div"));
  const ring = chart.appendChild(document.createElement("i"));
  [tip.className, ring.className] = ["tip", "ring"];
  const hide = () => { tip.hidden = ring.hidden = true; };
  hide();
  svg.addEventListener("pointermove", event => {
    const box = svg.getBoundingClientRect();
    let [best, nearest] = [null, 24 * 24];
    for (const point of points) {
      const dx = point[0] * box.width / 1000 - (event.clientX - box.left);
      const dy = point[1] * box.height / 1000 - (event.clientY - box.top);
      const distance = dx * dx + dy * dy;
      if (distance < nearest) [best, nearest] = [point, distance];
    }
    if (!best) return hide();
    const [x, y] = [best[0] * box.width / 1000, best[1] * box.height / 1000];
    tip.textContent = typeof best[2] === "number" ? trials[best[2]] : best[2];
    tip.hidden = ring.hidden = false;
    ring.style.left = `${x}px`;
    ring.style.top = `${y}px`;
    tip.style.top = `${y + 14}px`;
    tip.style.left = `${Math.max(0, Math.min(x - tip.offsetWidth / 2, box.width - tip.offsetWidth))}px`;
  });
  svg.addEventListener("pointerleave", hide);
}

// The table: sorting by its headings, further rows, and rows that a link leads to.
for (const table of document.querySelectorAll("table.ranking")) {
  const headings = [...table.querySelectorAll("th")];
  for (const body of table.tBodies) {  // a phone shows a row as a card, without the headings
    [...body.rows[0].cells].forEach((cell, column) => {
      if (column !== 1) cell.dataset.label ??= headings[column].textContent;
    });
  }
  const value = (body, column) => {
    const given = body.rows[0].cells[column].dataset.value;
    return given === "" || given === undefined ? NaN : Number(given);
  };
  headings.forEach((heading, column) => {
    if (heading.dataset.sort === undefined) return;
    heading.tabIndex = 0;
    const sort = () => {
      const down = heading.getAttribute("aria-sort") === "ascending";
      headings.forEach(other => other.removeAttribute("aria-sort"));
      heading.setAttribute("aria-sort", down ? "descending" : "ascending");
      const sign = down ? -1 : 1;
      const bodies = [...table.tBodies].sort((a, b) => {
        const [x, y] = [value(a, column), value(b, column)];
        if (isNaN(x) || isNaN(y)) return isNaN(x) - isNaN(y);  // what is unknown comes last
        return sign * (x - y);
      });
      table.append(...bodies);
      table.classList.add("all");
      more?.remove();
    };
    heading.addEventListener("click", sort);
    heading.addEventListener("keydown", event => { if (event.key === "Enter") sort(); });
  });
  const more = table.parentElement.querySelector(".more");
  if (more) {
    table.classList.add("some");
    more.hidden = false;
    more.addEventListener("click", () => { table.classList.add("all"); more.remove(); });
  }
  const open = () => {
    const body = location.hash && document.getElementById(decodeURIComponent(location.hash.slice(1)));
    const details = body && body.matches("tbody") && body.querySelector("details");
    if (!details) return;
    table.classList.add("all");
    details.open = true;
    body.scrollIntoView({block: "center"});
  };
  addEventListener("hashchange", open);
  open();
}
