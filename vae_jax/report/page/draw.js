/** Matplotlib's magma at 17 even steps; between them colours are interpolated. */
const MAGMA = (
  "000004 0a0822 1d1147 36106b 51127c 6a1c81 832681 9c2e7f b73779 " +
  "d0416f e75263 f56b5c fc8961 fea772 fec488 fde2a3 fcfdbf"
)
  .split(" ")
  .map((hex) => [0, 2, 4].map((i) => parseInt(hex.slice(i, i + 2), 16)));
const TRUTH = "#22d3ee";
const FLAGGED = "#ffe14a";
const FLAGGED_FILL = [255, 225, 74, 80];

/** The colour at a share of the scale, as [red, green, blue]. */
function colourAt(share) {
  const position = Math.min(Math.max(share, 0), 1) * (MAGMA.length - 1);
  const below = Math.min(Math.floor(position), MAGMA.length - 2);
  return MAGMA[below].map((from, channel) => {
    const to = MAGMA[below + 1][channel];
    return Math.round(from + (to - from) * (position - below));
  });
}

/**
 * How opaque a map is over its image. Half way what is strong hides the image and what
 * is weak does not; at 0 there is the image alone, at 1 the map.
 */
function opacity(share, blend) {
  const overlay = 0.85 * Math.min(Math.max(share, 0), 1) ** 0.75;
  if (blend < 0.5) return 2 * blend * overlay;
  return overlay + (2 * blend - 1) * (1 - overlay);
}

/** The colour of each code: that of the middle of the values it stands for. */
function colourTable(levels, [low, high], blend = 1) {
  const bytes = new Uint8ClampedArray(4 * 256);
  for (let code = 0; code < 256; code++) {
    const from = levels[Math.min(Math.max(code - 1, 0), levels.length - 1)];
    const to = levels[Math.min(code, levels.length - 1)];
    const share = code === 0 ? 0 : ((from + to) / 2 - low) / (high - low);
    bytes.set([...colourAt(share), 255 * opacity(share, blend)], 4 * code);
  }
  return new Uint32Array(bytes.buffer);
}

/** Codes as colours, a canvas pixel each. */
function paintCodes(canvas, codes, rows, columns, table) {
  canvas.width = columns;
  canvas.height = rows;
  const context = canvas.getContext("2d");
  const pixels = context.createImageData(columns, rows);
  const words = new Uint32Array(pixels.data.buffer);
  for (let i = 0; i < codes.length; i++) words[i] = table[codes[i]];
  context.putImageData(pixels, 0, 0);
}

/** The flagged pixels, tinted, a canvas pixel each. */
function paintMask(canvas, codes, rows, columns, stop) {
  const table = new Uint32Array(256);
  const tint = new Uint32Array(new Uint8ClampedArray(FLAGGED_FILL).buffer)[0];
  paintCodes(canvas, codes, rows, columns, table.fill(tint, stop));
}

/**
 * The line around all pixels of at least `stop`, in units of pixels, by marching
 * squares: it separates the pixels' centres exactly as the threshold does.
 */
function outline(codes, rows, columns, stop) {
  const path = new Path2D();
  const level = stop - 0.5;
  const crossing = (from, to) => (level - from) / (to - from);
  for (let row = 0; row + 1 < rows; row++) {
    for (let column = 0; column + 1 < columns; column++) {
      const i = row * columns + column;
      const a = codes[i], b = codes[i + 1];
      const c = codes[i + columns + 1], d = codes[i + columns];
      const corners = (a > level) + 2 * (b > level) + 4 * (c > level) + 8 * (d > level);
      if (corners === 0 || corners === 15) continue;
      const x = column + 0.5, y = row + 0.5;
      const edges = [];
      if (a > level !== b > level) edges.push([x + crossing(a, b), y]);
      if (b > level !== c > level) edges.push([x + 1, y + crossing(b, c)]);
      if (c > level !== d > level) edges.push([x + crossing(d, c), y + 1]);
      if (d > level !== a > level) edges.push([x, y + crossing(a, d)]);
      // Two high corners across a cell hang together, as regions do in the metrics.
      if (corners === 10) edges.unshift(edges.pop());
      for (let k = 0; k + 1 < edges.length; k += 2) {
        path.moveTo(...edges[k]);
        path.lineTo(...edges[k + 1]);
      }
    }
  }
  return path;
}

/** Makes a canvas as fine as the screen; returns its context, empty. */
function fitted(canvas) {
  const ratio = window.devicePixelRatio || 1;
  canvas.width = Math.round(canvas.clientWidth * ratio);
  canvas.height = Math.round(canvas.clientHeight * ratio);
  return canvas.getContext("2d");
}

/** Lines in pixels of the map, drawn over a canvas with a dark rim to stand out. */
function strokeLines(context, paths, rows, columns) {
  const { width, height } = context.canvas;
  const ratio = window.devicePixelRatio || 1;
  const scale = new DOMMatrix().scale(width / columns, height / rows);
  context.lineCap = context.lineJoin = "round";
  for (const { path, colour } of paths) {
    const scaled = new Path2D();
    scaled.addPath(path, scale);
    context.strokeStyle = "rgba(0, 0, 0, 0.55)";
    context.lineWidth = 3 * ratio;
    context.stroke(scaled);
    context.strokeStyle = colour;
    context.lineWidth = 1.4 * ratio;
    context.stroke(scaled);
  }
}

/** What is asked for of the true and the flagged outline of a picture. */
function outlines(values, { rows, columns }, stop, shows) {
  const paths = [];
  if (shows.flagged) {
    paths.push({ path: outline(values.codes, rows, columns, stop), colour: FLAGGED });
  }
  if (shows.truth && values.mask) {
    values.truth ??= outline(values.mask, rows, columns, 1);
    paths.push({ path: values.truth, colour: TRUTH });
  }
  return paths;
}
