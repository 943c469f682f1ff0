// A stem's waveform: what was heard, what is looped, where it is.

/**
 * `peaks`: Int8Array of (lowest, highest) pairs; `full` is what fills the height. `share` of the song that was
 * heard, `loop` null or [from, to], 0 to 1.
 */
export function drawWave(canvas, peaks, {share, loop, full}, colours) {
  const ratio = devicePixelRatio || 1;
  const width = Math.round(canvas.clientWidth * ratio), height = Math.round(canvas.clientHeight * ratio);
  if (!width) return;
  if (canvas.width !== width || canvas.height !== height) Object.assign(canvas, {width, height});
  const pen = canvas.getContext('2d'), columns = peaks.length / 2, middle = height / 2;
  pen.clearRect(0, 0, width, height);
  if (loop) {
    pen.fillStyle = colours.loop;
    pen.fillRect(loop[0] * width, 0, (loop[1] - loop[0]) * width, height);
  }
  const cut = share * width;
  for (let x = 0; x < width; x++) {
    const from = Math.floor((x / width) * columns), to = Math.max(from + 1, Math.floor(((x + 1) / width) * columns));
    let low = 0, high = 0;
    for (let column = from; column < to; column++) {
      low = Math.min(low, peaks[2 * column]);
      high = Math.max(high, peaks[2 * column + 1]);
    }
    pen.fillStyle = x < cut ? colours.main : colours.wave;
    const top = middle - (high / full) * middle * 0.95;
    pen.fillRect(x, top, 1, Math.max(ratio, ((high - low) / full) * middle * 0.95));
  }
  pen.fillStyle = colours.main;
  pen.fillRect(Math.min(width - ratio, cut), 0, ratio, height);
}

export function colours() {
  const style = getComputedStyle(document.documentElement);
  return Object.fromEntries(['main', 'wave', 'loop'].map((name) => [name, style.getPropertyValue(`--${name}`)]));
}
