const PIXELS = {
  heldOut: "of held-out normal pixels",
  normal: "of normal test pixels",
  defect: "of defect pixels",
};

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
    this.tiles = new Tiles(this);
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
    const { stops, imageStop, isLogarithmic, levels, pixelStop } = this.data;
    const { normal, defective, pictures } = this.data;
    Object.assign(this.imageSlider, { min: 0, max: stops.length - 1, step: 1 });
    Object.assign(this.pixelSlider, { min: 1, max: levels.length + 1, step: 1 });
    this.imageSlider.addEventListener("input", () => this.showImageThreshold());
    this.pixelSlider.addEventListener("input", () => this.showPixelThreshold());
    this.find(".reset").addEventListener("click", () => this.reset());
    const place = (mark, share) => mark.style.setProperty("--share", share);
    place(this.find(".image .calibrated"), imageStop / (stops.length - 1));
    place(this.find(".pixel .calibrated"), (pixelStop - 1) / levels.length);
    this.find(".pixel .track").style.backgroundImage = this.gradient();
    for (const [part, values] of [[".image", stops], [".pixel", levels]]) {
      this.find(`${part} .low`).textContent = numberText(values[0]);
      const highest = values.findLast((value) => value !== null);
      this.find(`${part} .high`).textContent = numberText(highest);
    }
    this.find(".scale").textContent = isLogarithmic ? "logarithmic" : "";
    this.find(".steps-note").textContent =
      `${levels.length} steps; at each of them regions are exact to the pixel.`;
    this.root.classList.toggle("no-normals", !normal.length);
    this.root.classList.toggle("no-defects", !defective.length);
    this.root.classList.toggle("no-truth", !pictures.some((picture) => picture.mask));
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
    this.showReading(".image", this.imageSlider, threshold);
    const rows = Object.entries({ normal, defective })
      .filter(([, scores]) => scores.length)
      .map(([name, scores]) => {
        const flagged = flaggedCount(scores, threshold);
        return [name, scores.length - flagged, flagged];
      });
    const heading = ["", "passed", "flagged"];
    fillTable(this.find(".counts"), rows.length ? [heading, ...rows] : []);
    const flagged = flaggedCount(heldOut, threshold);
    this.find(".held-out-rate").textContent = heldOut.length
      ? `Held-out normal images flagged: ${flagged} of ${heldOut.length} ` +
        `(${percentText(flagged / heldOut.length)})`
      : "";
    this.tiles.judge(threshold);
    this.viewer.refresh(this);
  }

  showPixelThreshold() {
    this.showReading(".pixel", this.pixelSlider, this.pixelThreshold);
    const rows = Object.entries(this.data.pixels)
      .filter(([, { total }]) => total > 0)
      .map(([name, { reached, total }]) => [
        PIXELS[name],
        percentText((reached[this.pixelStop - 1] ?? 0) / total),
      ]);
    fillTable(this.find(".rates"), [["", "flagged"], ...rows]);
    this.tiles.redraw();
    this.viewer.refresh(this);
  }

  showReading(part, slider, threshold) {
    const text = numberText(threshold);
    this.find(`${part} .reading`).textContent = text;
    slider.setAttribute("aria-valuetext", text);
  }
}
