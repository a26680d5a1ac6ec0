/** What is shown as text, and the elements that hold it. */

function numberText(value) {
  return value === null ? "none reaches it" : String(Number(value.toPrecision(4)));
}

function percentText(share) {
  if (share > 0 && share < 0.0001) return "< 0.01 %";
  return `${Number((100 * share).toPrecision(2))} %`;
}

function element(tag, attributes = {}, ...children) {
  const made = Object.assign(document.createElement(tag), attributes);
  made.append(...children);
  return made;
}

/** Rows of a small table; the first row and the first column are headings. */
function fillTable(table, rows) {
  const cell = (text, isHeading) =>
    element(isHeading ? "th" : "td", { textContent: text });
  table.replaceChildren(
    ...rows.map((texts, row) =>
      element("tr", {}, ...texts.map((text, column) => cell(text, !row || !column))),
    ),
  );
}

/** How many scores reach a threshold; null is reached by none. */
function flaggedCount(scores, threshold) {
  if (threshold === null) return 0;
  return scores.filter((score) => score >= threshold).length;
}

/** What a picture is called when its score is compared with the threshold. */
function outcomeOf(picture, threshold) {
  const isFlagged = flaggedCount([picture.score], threshold) === 1;
  if (picture.isDefective) return isFlagged ? "flagged" : "missed";
  return isFlagged ? "false alarm" : "passed";
}

function showOutcome(output, outcome) {
  output.textContent = outcome;
  output.classList.toggle("wrong", ["missed", "false alarm"].includes(outcome));
}
