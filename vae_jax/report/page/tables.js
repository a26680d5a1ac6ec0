/** Compares cells: numbers by value, texts by their language, what is missing last. */
function compareCells(a, b, sign) {
  const [x, y] = [a, b].map((cell) => cell.dataset.value ?? cell.textContent);
  const isMissing = [x, y].map((text) => text === "-");
  if (isMissing[0] || isMissing[1]) return isMissing[0] - isMissing[1];
  const difference = Number(x) - Number(y);
  if (!Number.isNaN(difference)) return sign * difference;
  return sign * x.localeCompare(y, undefined, { numeric: true });
}

/** Adds a choice of one group of rows, where there are several. */
function makeFilterable(figure) {
  const rows = [...figure.querySelectorAll("tbody tr")];
  const groups = [...new Set(rows.map((row) => row.dataset.group))];
  if (groups.length < 2) return;
  const select = document.createElement("select");
  select.ariaLabel = "Rows shown";
  select.append(new Option("all"), ...groups.map((group) => new Option(group)));
  select.addEventListener("change", () => {
    const isAll = select.selectedIndex === 0;
    for (const row of rows) row.hidden = !isAll && row.dataset.group !== select.value;
  });
  figure.querySelector("figcaption").append(select);
}

/** Turns headings into buttons that sort: best first, then the other way around. */
function makeSortable(table) {
  const headings = [...table.tHead.rows[0].cells];
  headings.forEach((heading, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...heading.childNodes);
    heading.append(button);
    button.addEventListener("click", () => {
      const first = heading.classList.contains("number") ? "descending" : "ascending";
      const other = first === "descending" ? "ascending" : "descending";
      const order = heading.getAttribute("aria-sort") === first ? other : first;
      headings.forEach((each) => each.removeAttribute("aria-sort"));
      heading.setAttribute("aria-sort", order);
      const sign = order === "descending" ? -1 : 1;
      const rows = [...table.tBodies[0].rows];
      rows.sort((a, b) => compareCells(a.cells[column], b.cells[column], sign));
      table.tBodies[0].append(...rows);
    });
  });
}
