/** Undoes `pack` of encoding.py: sums along both axes, modulo 256. */
async function unpack(text, rows, columns) {
  const packed = Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
  const inflate = new DecompressionStream("deflate");
  const stream = new Blob([packed]).stream().pipeThrough(inflate);
  const values = new Uint8Array(await new Response(stream).arrayBuffer());
  for (let i = columns; i < values.length; i++) values[i] += values[i - columns];
  for (let row = 0; row < rows; row++) {
    const start = row * columns;
    for (let i = start + 1; i < start + columns; i++) values[i] += values[i - 1];
  }
  return values;
}

/** A picture's codes and its mask, decoded once and kept. */
function decoded(picture) {
  picture.decoded ??= Promise.all([
    unpack(picture.map, picture.rows, picture.columns),
    picture.mask && unpack(picture.mask, picture.rows, picture.columns),
  ]).then(([codes, mask]) => ({ codes, mask }));
  return picture.decoded;
}

function imageAddress(picture) {
  return "data:image/webp;base64," + picture.image;
}

function countReaching(codes, stop) {
  let count = 0;
  for (const code of codes) count += code >= stop;
  return count;
}
