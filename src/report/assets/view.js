// What part of the run is in sight, and where things lie on the canvas.

const AXIS = 24, NODE = 24, GAP = 10;

/** The window of time and the layout of rows; knows no canvas. */
class View {
  constructor(run) {
    this.run = run;
    this.end = Math.max(run.end, 1);
    this.from = 0;
    this.until = this.end;
    this.width = 800;
    this.left = 64;
  }

  /** Fits the layout to a width in CSS pixels; returns the height. */
  layout(width) {
    this.width = width;
    this.left = width < 560 ? 50 : 72;
    this.right = width - 8;
    const rows = this.run.rows;
    this.rowHeight = Math.max(3, Math.min(18, Math.floor(420 / Math.max(rows, 1))));
    this.nodesTop = AXIS;
    this.rowsTop = AXIS + this.run.nodes.length * NODE + GAP;
    this.height = this.rowsTop + rows * this.rowHeight + 8;
    return this.height;
  }

  /** Microseconds for each pixel. */
  get scale() { return (this.until - this.from) / (this.right - this.left); }
  x(time) { return this.left + (time - this.from) / this.scale; }
  timeAt(x) { return this.from + (x - this.left) * this.scale; }
  rowTop(row) { return this.rowsTop + row * this.rowHeight; }
  nodeTop(node) { return this.nodesTop + node * NODE; }

  /** Shows a window of time, kept within the run and not below 20 microseconds. */
  show(from, until) {
    const length = Math.min(Math.max(until - from, 20), this.end);
    this.from = Math.min(Math.max(from - Math.max(0, length - (until - from)) / 2, 0), this.end - length);
    this.until = this.from + length;
  }

  /** Zooms by a factor (below 1: closer) about a place on the canvas. */
  zoom(factor, x = (this.left + this.right) / 2) {
    const time = this.timeAt(Math.min(Math.max(x, this.left), this.right));
    const length = Math.min(Math.max((this.until - this.from) * factor, 20), this.end);
    const share = (time - this.from) / (this.until - this.from);
    this.from = Math.min(Math.max(time - share * length, 0), this.end - length);
    this.until = this.from + length;
  }

  pan(pixels) {
    const time = pixels * this.scale;
    this.show(this.from + clampPan(time, this), this.until + clampPan(time, this));
  }

  /** Sees to it that an operation is in sight, closely enough to be told apart. */
  reveal(at) {
    const { run } = this, begin = run.time[at], took = Math.max(Math.min(run.until[at], this.end) - begin, 100);
    const length = Math.min(Math.max(this.until - this.from, 20), Math.max(took * 60, 20000));
    if (begin < this.from || begin > this.until || length < this.until - this.from) {
      this.show(begin - length * 0.4, begin + length * 0.6);
    }
  }

  /** Round times for the axis. */
  ticks() {
    const least = (this.until - this.from) / Math.max(2, Math.floor((this.right - this.left) / 110));
    const unit = 10 ** Math.floor(Math.log10(least));
    const step = [1, 2, 5, 10].map((times) => times * unit).find((step) => step >= least);
    const times = [];
    for (let time = Math.ceil(this.from / step) * step; time <= this.until; time += step) times.push(time);
    return { step, times };
  }

  /** What lies at a place: an operation, a node, or nothing. */
  hit(x, y) {
    if (x < this.left - 4) return null;
    const node = Math.floor((y - this.nodesTop) / NODE);
    if (node >= 0 && node < this.run.nodes.length && y < this.rowsTop - GAP) return { node, time: this.timeAt(x) };
    const row = Math.floor((y - this.rowsTop) / this.rowHeight);
    if (row < 0 || row >= this.run.rows) return null;
    const at = this.operationAt(row, x);
    return at < 0 ? null : { at };
  }

  /** The operation of a row under, or within three pixels of, a place; -1: none. */
  operationAt(row, x) {
    const { run } = this, reach = 3 * this.scale, time = this.timeAt(x);
    const low = run.rowStart[row], high = run.rowStart[row + 1];
    let slot = lowerBound(run.begins, time + reach, low, high) - 1, best = -1, nearest = Infinity;
    for (let tried = 0; slot >= low && tried < 40; slot--, tried++) {
      const away = Math.max(run.begins[slot] - time, time - run.ends[slot], 0);
      if (away < nearest) { nearest = away; best = slot; }
      if (run.ends[slot] < time - reach) break;
    }
    if (best < 0) return -1;
    const open = run.outcome(run.sorted[best]) === INFO && time >= run.begins[best];
    return nearest <= reach || open ? run.sorted[best] : -1;
  }
}

function clampPan(time, view) {
  return Math.min(Math.max(time, -view.from), view.end - view.until);
}
