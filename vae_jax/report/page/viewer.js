/** Of the maps of latents: 255 even steps up to the brightest one of the image. */
const LATENT_SCALE = {
  levels: Array.from({ length: 255 }, (_, index) => index / 255),
  limits: [0, 1],
};

/** One image at full size: blended with its map, or with that of a latent. */
class Viewer {
  constructor(dialog, shows) {
    this.dialog = dialog;
    this.shows = shows;
    this.find(".close").addEventListener("click", () => dialog.close());
    this.find(".previous").addEventListener("click", () => this.step(-1));
    this.find(".next").addEventListener("click", () => this.step(1));
    this.find(".blend input").addEventListener("input", () => this.drawHeat());
    this.find(".pixel input").addEventListener("input", (event) => {
      this.gallery.pixelSlider.value = event.target.value;
      this.gallery.showPixelThreshold();
    });
    dialog.addEventListener("keydown", (event) => this.key(event));
    dialog.addEventListener("close", () => this.gallery.tiles.focusOn(this.picture));
    dialog.addEventListener("click", (event) => {
      if (event.target === dialog) dialog.close();
    });
    new ResizeObserver(() => this.drawLines()).observe(this.find(".stage"));
  }

  find(selector) {
    return this.dialog.querySelector(selector);
  }

  get picture() {
    return this.pictures[this.index];
  }

  open(gallery, pictures, index) {
    Object.assign(this, { gallery, pictures, index });
    const slider = this.find(".pixel input");
    const { min, max } = gallery.pixelSlider;
    Object.assign(slider, { min, max, step: 1 });
    this.find(".pixel .track").style.backgroundImage = gallery.gradient();
    this.dialog.showModal();
    // Not on a control, so that arrow keys walk through the images at once.
    this.dialog.focus();
    this.show();
  }

  step(by) {
    if (!this.pictures[this.index + by]) return;
    this.index += by;
    this.show();
  }

  key(event) {
    const isControl = event.target.matches("input[type=range], .strip button");
    if (isControl || !["ArrowLeft", "ArrowRight"].includes(event.key)) return;
    event.preventDefault();
    this.step(event.key === "ArrowLeft" ? -1 : 1);
  }

  async show() {
    const { picture } = this;
    this.latent = null;
    this.find(".name").textContent = picture.name;
    this.find(".kind").textContent = picture.kind;
    this.find(".place").textContent = `${this.index + 1} / ${this.pictures.length}`;
    this.find(".previous").disabled = this.index === 0;
    this.find(".next").disabled = this.index === this.pictures.length - 1;
    this.find(".stage").style.setProperty("--ratio", picture.columns / picture.rows);
    const photo = this.find(".stage img");
    photo.src = imageAddress(picture);
    photo.alt = `${picture.name}, ${picture.kind}`;
    this.dialog.classList.toggle("no-truth", !picture.mask);
    this.find(".stage").ariaBusy = "true";
    this.values = undefined;
    const values = await decoded(picture);
    if (picture !== this.picture) return;
    this.values = values;
    this.drawHeat();
    this.showLatents();
    this.refresh(this.gallery);
    this.find(".stage").ariaBusy = "false";
  }

  /** Follows the thresholds of its gallery. */
  refresh(gallery) {
    if (!this.dialog.open || gallery !== this.gallery || !this.values) return;
    const { rows, columns, score } = this.picture;
    const stop = gallery.pixelStop;
    const threshold = gallery.imageThreshold;
    this.find(".score").textContent =
      `score ${numberText(score)} against ${numberText(threshold)}`;
    showOutcome(this.find(".outcome"), outcomeOf(this.picture, threshold));
    const text = numberText(gallery.pixelThreshold);
    this.find(".pixel input").value = stop;
    this.find(".pixel input").setAttribute("aria-valuetext", text);
    this.find(".pixel .reading").textContent = text;
    this.find(".flagged-share").textContent = this.flaggedShare(stop);
    paintMask(this.find(".mask"), this.values.codes, rows, columns, stop);
    this.drawLines();
  }

  flaggedShare(stop) {
    const { codes, mask } = this.values;
    const flagged = countReaching(codes, stop);
    const text = `Flagged: ${flagged} of ${codes.length} pixels, ` +
      percentText(flagged / codes.length);
    const area = mask ? countReaching(mask, 1) : 0;
    if (!area) return `${text}.`;
    const found = countReaching(codes.filter((_, i) => mask[i]), stop);
    return `${text}; of the true defect ${percentText(found / area)}.`;
  }

  async drawHeat() {
    const { latent, picture, gallery } = this;
    const { rows, columns } = latent ?? picture;
    const codes = latent
      ? await unpack(latent.map, rows, columns)
      : this.values?.codes;
    if (!codes || latent !== this.latent || picture !== this.picture) return;
    const slider = this.find(".blend input");
    slider.setAttribute("aria-valuetext", `${slider.value} % map`);
    const { levels, limits } = latent ? LATENT_SCALE : gallery.data;
    const table = colourTable(levels, limits, slider.value / 100);
    paintCodes(this.find(".heat"), codes, rows, columns, table);
  }

  drawLines() {
    if (!this.dialog.open || !this.values) return;
    const { rows, columns } = this.picture;
    this.find(".mask").hidden = !this.shows.flagged;
    const paths = outlines(this.values, this.picture, this.gallery.pixelStop, this.shows);
    strokeLines(fitted(this.find(".lines")), paths, rows, columns);
  }

  showLatents() {
    const { latents } = this.picture;
    const explained = this.gallery.data.pictures.filter((each) => each.latents.length);
    this.find(".latents").hidden = !explained.length;
    this.find(".hint").textContent = latents.length
      ? "Ranked by KL, in nats. Choose one to see it large."
      : `Kept for ${explained.length} of the images, to keep this file small; ` +
        "their tiles say so.";
    this.find(".strip").replaceChildren(...latents.map((each) => this.thumbnail(each)));
  }

  thumbnail(latent) {
    const { rows, columns } = latent;
    const canvas = element("canvas");
    const table = colourTable(LATENT_SCALE.levels, LATENT_SCALE.limits);
    unpack(latent.map, rows, columns).then((codes) =>
      paintCodes(canvas, codes, rows, columns, table),
    );
    const label = `z${latent.latent}: ${latent.kl.toFixed(1)}`;
    const button = element("button", { type: "button" }, canvas, label);
    button.setAttribute("aria-pressed", "false");
    button.addEventListener("click", () => {
      this.latent = this.latent === latent ? null : latent;
      for (const each of this.find(".strip").children) {
        each.setAttribute("aria-pressed", `${each === button && this.latent !== null}`);
      }
      this.drawHeat();
    });
    return button;
  }
}

