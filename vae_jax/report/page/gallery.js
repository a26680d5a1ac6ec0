const NUMBER = (value) =>
  value === null ? "none reaches it" : String(Number(value.toPrecision(4)));
const PERCENT = (share) =>
  share > 0 && share < 0.0001
    ? "< 0.01 %"
    : `${String(Number((100 * share).toPrecision(2)))} %`;

function element(tag, attributes = {}, ...children) {
  const made = Object.assign(document.createElement(tag), attributes);
  made.append(...children);
  return made;
}

function fillTable(table, rows) {
  table.replaceChildren(
    ...rows.map((cells, index) =>
      element("tr", {}, ...cells.map((cell, column) =>
        element(index === 0 || column === 0 ? "th" : "td", { textContent: cell }),
      )),
    ),
  );
}

/** Scores that reach a threshold; null is reached by none. */
function flaggedCount(scores, threshold) {
  if (threshold === null) return 0;
  return scores.filter((score) => score >= threshold).length;
}

/** What a picture is called when its score is compared with the threshold. */
function outcomeOf(picture, threshold) {
  const isFlagged = threshold !== null && picture.score >= threshold;
  if (picture.isDefective) return isFlagged ? "flagged" : "missed";
  return isFlagged ? "false alarm" : "passed";
}

/** One category: its thresholds, its counts, its tiles. */
class Gallery {
  constructor(root, viewer, shows) {
    this.root = root;
    this.viewer = viewer;
    this.shows = shows;
  }

  find(selector) {
    return this.root.querySelector(selector);
  }

  /** Reads the data when the category is looked at, and never before. */
  open() {
    if (this.data) return;
    this.data = JSON.parse(this.find("script").textContent);
    this.table = colourTable(this.data.levels, this.data.limits);
    this.imageSlider = this.find(".image input");
    this.pixelSlider = this.find(".pixel input");
    this.prepareSliders();
    this.prepareTiles();
    this.prepareToolbar();
    this.reset();
  }

  get imageThreshold() {
    return this.data.stops[this.imageSlider.valueAsNumber];
  }

  get pixelStop() {
    return this.pixelSlider.valueAsNumber;
  }

  get pixelThreshold() {
    return this.data.levels[this.pixelStop - 1] ?? null;
  }

  prepareSliders() {
    const { stops, imageStop, levels, pixelStop, limits } = this.data;
    Object.assign(this.imageSlider, { min: 0, max: stops.length - 1, step: 1 });
    Object.assign(this.pixelSlider, { min: 1, max: levels.length + 1, step: 1 });
    this.imageSlider.addEventListener("input", () => this.showImageThreshold());
    this.pixelSlider.addEventListener("input", () => this.showPixelThreshold());
    this.find(".reset").addEventListener("click", () => this.reset());
    const place = (mark, share) => mark.style.setProperty("--share", share);
    place(this.find(".image .calibrated"), imageStop / (stops.length - 1));
    place(this.find(".pixel .calibrated"), (pixelStop - 1) / levels.length);
    this.find(".pixel .track").style.backgroundImage = this.gradient();
    this.find(".low").textContent = NUMBER(levels[0]);
    this.find(".high").textContent = NUMBER(levels.at(-1));
    this.find(".steps-note").textContent =
      `${levels.length} steps; at each of them regions are exact to the pixel.`;
    this.root.classList.toggle("no-defects", !this.data.defective.length);
  }

  /** The colour scale as the slider's track: a colour at each level. */
  gradient() {
    const { levels, limits } = this.data;
    const [low, high] = limits;
    const colours = levels
      .filter((_, index) => index % 8 === 0)
      .map((level) => `rgb(${colourAt((level - low) / (high - low))})`);
    return `linear-gradient(to right, ${colours.join()})`;
  }

  reset() {
    this.imageSlider.value = this.data.imageStop;
    this.pixelSlider.value = this.data.pixelStop;
    this.showImageThreshold();
    this.showPixelThreshold();
  }

  showImageThreshold() {
    const { normal, defective, heldOut } = this.data;
    const threshold = this.imageThreshold;
    const text = NUMBER(threshold);
    this.find(".image .reading").textContent = text;
    this.imageSlider.setAttribute("aria-valuetext", text);
    const row = (name, scores) => {
      const flagged = flaggedCount(scores, threshold);
      return [name, scores.length - flagged, flagged];
    };
    const rows = [["", "passed", "flagged"]];
    if (normal.length) rows.push(row("normal", normal));
    if (defective.length) rows.push(row("defective", defective));
    if (rows.length > 1) fillTable(this.find(".counts"), rows);
    const flagged = flaggedCount(heldOut, threshold);
    this.find(".held-out-rate").textContent = heldOut.length
      ? `Held-out normal images flagged: ${flagged} of ${heldOut.length} ` +
        `(${PERCENT(flagged / heldOut.length)})`
      : "";
    for (const tile of this.tiles) this.showOutcome(tile);
    this.viewer.refresh(this);
  }

  showPixelThreshold() {
    const { pixels } = this.data;
    const text = NUMBER(this.pixelThreshold);
    this.find(".pixel .reading").textContent = text;
    this.pixelSlider.setAttribute("aria-valuetext", text);
    const names = {
      heldOut: "of held-out normal pixels",
      normal: "of normal test pixels",
      defect: "of defect pixels",
    };
    const rows = Object.entries(pixels)
      .filter(([, { total }]) => total > 0)
      .map(([name, { reached, total }]) => [
        names[name],
        PERCENT((reached[this.pixelStop - 1] ?? 0) / total),
      ]);
    fillTable(this.find(".rates"), [["", "flagged"], ...rows]);
    this.redraw();
    this.viewer.refresh(this);
  }

  prepareTiles() {
    const observer = new IntersectionObserver((entries) => this.sight(entries), {
      rootMargin: "400px",
    });
    this.tiles = this.data.pictures.map((picture) => this.makeTile(picture));
    this.find(".tiles").append(...this.tiles.map((tile) => tile.item));
    for (const tile of this.tiles) observer.observe(tile.item);
    this.find(".tiles").addEventListener("keydown", (event) => this.walk(event));
  }

  makeTile(picture) {
    const photo = element("img", { alt: "", decoding: "async", draggable: false });
    const overPhoto = element("canvas");
    const map = element("canvas", { className: "map" });
    const outcome = element("span", { className: "outcome" });
    const button = element(
      "button",
      { type: "button", className: "tile", tabIndex: -1 },
      element(
        "span",
        { className: "pair" },
        element("span", { className: "photo" }, photo, overPhoto),
        map,
      ),
      element("span", { className: "name", textContent: picture.name }),
      element(
        "span",
        { className: "line" },
        element("span", { className: "kind", textContent: picture.kind }),
        picture.latents.length ? element("span", { textContent: "latents" }) : "",
        element("span", { className: "score", textContent: NUMBER(picture.score) }),
        outcome,
      ),
    );
    button.style.setProperty("--ratio", picture.columns / picture.rows);
    const tile = { picture, photo, overPhoto, map, outcome, button, isSeen: false };
    tile.item = element("li", {}, button);
    button.addEventListener("click", () => {
      const shown = this.shownTiles();
      this.viewer.open(this, shown.map((each) => each.picture), shown.indexOf(tile));
    });
    return tile;
  }

  /** Draws tiles that come near the window and frees those that leave it. */
  sight(entries) {
    for (const entry of entries) {
      const tile = this.tiles.find((each) => each.item === entry.target);
      tile.isSeen = entry.isIntersecting;
      if (tile.isSeen) {
        tile.photo.src ||= imageAddress(tile.picture);
        this.draw(tile);
      } else {
        tile.overPhoto.width = tile.map.width = 0;
      }
    }
  }

  redraw() {
    this.frame ??= requestAnimationFrame(() => {
      this.frame = undefined;
      this.tiles.filter((tile) => tile.isSeen).forEach((tile) => this.draw(tile));
    });
  }

  async draw(tile) {
    const { picture } = tile;
    const { rows, columns } = picture;
    const values = await decoded(picture);
    if (!tile.isSeen) return;
    const paths = outlines(values, picture, this.pixelStop, this.shows);
    strokeLines(fitted(tile.overPhoto), paths, rows, columns);
    const context = fitted(tile.map);
    this.scratch ??= element("canvas");
    paintCodes(this.scratch, values.codes, rows, columns, this.table);
    context.drawImage(this.scratch, 0, 0, tile.map.width, tile.map.height);
    strokeLines(context, paths, rows, columns);
  }

  showOutcome(tile) {
    const outcome = outcomeOf(tile.picture, this.imageThreshold);
    if (tile.outcome.textContent === outcome) return;
    tile.outcome.textContent = outcome;
    tile.outcome.classList.toggle("wrong", /missed|alarm/.test(outcome));
    const { name, kind, score } = tile.picture;
    const text = `${name}, ${kind}, score ${NUMBER(score)}, ${outcome}`;
    tile.button.setAttribute("aria-label", text);
  }

  prepareToolbar() {
    const { pictures, good } = this.data;
    const kinds = [...new Set(pictures.map((picture) => picture.kind))];
    kinds.sort((a, b) => (b === good) - (a === good) || a.localeCompare(b));
    const boxes = kinds.map((kind) => {
      const count = pictures.filter((picture) => picture.kind === kind).length;
      const box = element("input", { type: "checkbox", checked: true, value: kind });
      box.addEventListener("change", () => this.arrange());
      return element("label", {}, box, ` ${kind} `, element("small", {}, `${count}`));
    });
    this.find(".kinds").replaceChildren(...(kinds.length > 1 ? boxes : []));
    this.find(".sort select").addEventListener("change", () => this.arrange());
    this.arrange();
  }

  shownTiles() {
    const shown = this.tiles.filter((tile) => !tile.item.hidden);
    return shown.sort((a, b) => a.place - b.place);
  }

  /** Sorts and filters the tiles. */
  arrange() {
    const byScore = (a, b) => b.picture.score - a.picture.score;
    const byText = (key) => (a, b) =>
      a.picture[key].localeCompare(b.picture[key], undefined, { numeric: true });
    const orders = {
      "score-down": byScore,
      "score-up": (a, b) => byScore(b, a),
      kind: (a, b) => byText("kind")(a, b) || byScore(a, b),
      name: byText("name"),
    };
    const off = [...this.root.querySelectorAll(".kinds input:not(:checked)")];
    const hidden = new Set(off.map((box) => box.value));
    this.tiles.sort(orders[this.find(".sort select").value]);
    this.tiles.forEach((tile, place) => {
      tile.place = place;
      tile.item.hidden = hidden.has(tile.picture.kind);
    });
    this.find(".tiles").append(...this.tiles.map((tile) => tile.item));
    const shown = this.shownTiles();
    shown.forEach((tile, place) => (tile.button.tabIndex = place ? -1 : 0));
    this.find(".shown").textContent =
      shown.length === this.tiles.length
        ? `${shown.length} images`
        : `${shown.length} of ${this.tiles.length} images`;
  }

  /** Arrow keys walk over the tiles; one of them is in the order of the Tab key. */
  walk(event) {
    const shown = this.shownTiles();
    const from = shown.findIndex((tile) => tile.button === event.target);
    const top = (tile) => tile.item.offsetTop;
    const across = shown.filter((tile) => top(tile) === top(shown[0])).length;
    const steps = {
      ArrowLeft: -1,
      ArrowRight: 1,
      ArrowUp: -across,
      ArrowDown: across,
      Home: -from,
      End: shown.length - 1 - from,
    };
    const to = shown[from + steps[event.key]];
    if (from < 0 || !to) return;
    event.preventDefault();
    this.focusOn(to);
  }

  focusOn(tile) {
    for (const each of this.tiles) each.button.tabIndex = each === tile ? 0 : -1;
    tile.button.focus();
  }

  focusOnPicture(picture) {
    this.focusOn(this.tiles.find((tile) => tile.picture === picture));
  }
}
