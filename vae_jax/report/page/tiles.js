const ORDERS = {
  "score-down": (a, b) => b.score - a.score,
  "score-up": (a, b) => a.score - b.score,
  kind: (a, b) => compareTexts(a.kind, b.kind) || b.score - a.score,
  name: (a, b) => compareTexts(a.name, b.name),
};

function compareTexts(a, b) {
  return a.localeCompare(b, undefined, { numeric: true });
}

/** The tiles of a category: each an image beside its map. */
class Tiles {
  constructor(gallery) {
    this.gallery = gallery;
    this.list = gallery.find(".tiles");
    this.tiles = gallery.data.pictures.map((picture) => this.make(picture));
    const observer = new IntersectionObserver((entries) => this.sight(entries), {
      rootMargin: "400px",
    });
    this.ofItem = new Map(this.tiles.map((tile) => [tile.item, tile]));
    for (const item of this.ofItem.keys()) observer.observe(item);
    this.list.addEventListener("keydown", (event) => this.walk(event));
    this.makeFilter();
    gallery.find(".sort select").addEventListener("change", () => this.arrange());
    this.arrange();
  }

  make(picture) {
    const text = (className, textContent) => element("span", { className, textContent });
    const photo = element("img", { alt: "", decoding: "async", draggable: false });
    const overPhoto = element("canvas");
    const map = element("canvas", { className: "map" });
    const outcome = text("outcome", "");
    const button = element(
      "button",
      { type: "button", className: "tile", tabIndex: -1 },
      element(
        "span",
        { className: "pair" },
        element("span", { className: "photo" }, photo, overPhoto),
        map,
      ),
      text("name", picture.name),
      element(
        "span",
        { className: "line" },
        text("kind", picture.kind),
        picture.latents.length ? text("", "latents") : "",
        text("score", numberText(picture.score)),
        outcome,
      ),
    );
    button.style.setProperty("--ratio", picture.columns / picture.rows);
    const item = element("li", {}, button);
    const tile = { picture, photo, overPhoto, map, outcome, button, item };
    button.addEventListener("click", () => {
      const shown = this.shown();
      const pictures = shown.map((each) => each.picture);
      this.gallery.viewer.open(this.gallery, pictures, shown.indexOf(tile));
    });
    return tile;
  }

  /** Draws tiles that come near the window and frees those that leave it. */
  sight(entries) {
    for (const entry of entries) {
      const tile = this.ofItem.get(entry.target);
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

  async draw({ picture, overPhoto, map, item }) {
    const { pixelStop, shows, table } = this.gallery;
    const { rows, columns } = picture;
    const values = await decoded(picture);
    if (!this.ofItem.get(item).isSeen || pixelStop !== this.gallery.pixelStop) return;
    const paths = outlines(values, picture, pixelStop, shows);
    strokeLines(fitted(overPhoto), paths, rows, columns);
    const context = fitted(map);
    this.scratch ??= element("canvas");
    paintCodes(this.scratch, values.codes, rows, columns, table);
    context.drawImage(this.scratch, 0, 0, map.width, map.height);
    strokeLines(context, paths, rows, columns);
  }

  /** Says of each tile what the image threshold makes of it. */
  judge(threshold) {
    for (const { picture, outcome, button } of this.tiles) {
      const { name, kind, score } = picture;
      const found = outcomeOf(picture, threshold);
      if (outcome.textContent === found) continue;
      showOutcome(outcome, found);
      button.ariaLabel = `${name}, ${kind}, score ${numberText(score)}, ${found}`;
    }
  }

  makeFilter() {
    const { pictures, good } = this.gallery.data;
    const kinds = [...new Set(pictures.map((picture) => picture.kind))];
    kinds.sort((a, b) => (b === good) - (a === good) || compareTexts(a, b));
    this.boxes = kinds.map((kind) =>
      element("input", { type: "checkbox", checked: true, value: kind }),
    );
    const labels = this.boxes.map((box) => {
      const count = pictures.filter((picture) => picture.kind === box.value).length;
      box.addEventListener("change", () => this.arrange());
      return element("label", {}, box, ` ${box.value} `, element("small", {}, `${count}`));
    });
    this.gallery.find(".kinds").append(...(kinds.length > 1 ? labels : []));
  }

  /** Sorts and filters. */
  arrange() {
    const order = ORDERS[this.gallery.find(".sort select").value];
    const kinds = this.boxes.filter((box) => box.checked).map((box) => box.value);
    this.tiles.sort((a, b) => order(a.picture, b.picture));
    for (const tile of this.tiles) tile.item.hidden = !kinds.includes(tile.picture.kind);
    this.list.append(...this.tiles.map((tile) => tile.item));
    const shown = this.shown();
    this.makeTabStop(shown[0]);
    const all = this.tiles.length;
    this.gallery.find(".shown").textContent =
      shown.length === all ? `${all} images` : `${shown.length} of ${all} images`;
  }

  shown() {
    return this.tiles.filter((tile) => !tile.item.hidden);
  }

  /** Arrow keys walk over the tiles; the Tab key stops at one of them. */
  walk(event) {
    const shown = this.shown();
    const from = shown.findIndex((tile) => tile.button === event.target);
    const top = shown[0]?.item.offsetTop;
    const across = shown.filter((tile) => tile.item.offsetTop === top).length;
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
    this.makeTabStop(to);
    to.button.focus();
  }

  makeTabStop(tile) {
    for (const each of this.tiles) each.button.tabIndex = each === tile ? 0 : -1;
  }

  focusOn(picture) {
    const tile = this.tiles.find((each) => each.picture === picture);
    this.makeTabStop(tile);
    tile.button.focus();
  }
}
