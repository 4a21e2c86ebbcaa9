// Drawing the timeline: as many rectangles as there are pixels at most, whatever the run.

const COLOURS = ['ground', 'card', 'ink', 'quiet', 'line', 'soft', 'ok', 'info', 'fail', 'up', 'down', 'lag', 'wrong', 'kill', 'pause', 'partition', 'packet', 'clock', 'file'];

/** The colours of the style sheet, as they are now. */
function palette() {
  const style = getComputedStyle(document.documentElement);
  return Object.fromEntries(COLOURS.map((name) => [name, style.getPropertyValue(`--${name}`).trim()]));
}

/** Draws one state of the view on a canvas. */
class Painter {
  constructor(canvas, run, view, filter) {
    Object.assign(this, { canvas, run, view, filter, colours: palette() });
    this.context = canvas.getContext('2d');
    this.pinned = -1;
    this.hovered = -1;
    this.named = new Set(run.moments.flatMap((moment) => moment.operations.map((invoke) => run.find(invoke))));
    this.named.delete(-1);
  }

  /** Gives the canvas its size; to be called when the width may have changed. */
  resize() {
    const width = this.canvas.parentElement.clientWidth, height = this.view.layout(width);
    const ratio = window.devicePixelRatio || 1;
    this.canvas.style.height = `${height}px`;
    this.canvas.width = Math.round(width * ratio);
    this.canvas.height = Math.round(height * ratio);
    this.context.setTransform(ratio, 0, 0, ratio, 0, 0);
  }

  draw() {
    const { context, view, colours } = this;
    context.globalAlpha = 1;
    context.fillStyle = colours.card;
    context.fillRect(0, 0, view.width, view.height);
    context.save();
    context.beginPath();
    context.rect(view.left, 0, view.right - view.left + 8, view.height);
    context.clip();
    this.shade();
    this.nodes();
    this.rows();
    this.marks();
    context.restore();
    this.axis();
  }

  box(colour, x, y, width, height) {
    this.context.fillStyle = colour;
    this.context.fillRect(x, y, width, height);
  }

  /** Left edge and width of a span, never too thin to be seen; null if out of sight. */
  span(begin, end) {
    const { view } = this, until = end ?? view.end;
    if (until < view.from || begin > view.until) return null;
    const left = Math.max(view.x(begin), view.left - 2), right = Math.min(view.x(until), view.right + 8);
    return [left, Math.max(right - left, 1.5)];
  }

  shade() {
    const { context, view, colours } = this;
    context.globalAlpha = 0.2;
    let drawn = -1;
    for (const fault of this.run.faults) {
      const place = this.span(fault.begin, fault.end);
      if (!place || place[0] + place[1] < drawn + 0.5) continue;
      drawn = place[0] + place[1];
      this.box(colours[fault.colour], place[0], AXIS, place[1], view.height - AXIS);
    }
    context.globalAlpha = 1;
  }

  /** A lane for each node: up, its faults, when it was down, how far behind it was. */
  nodes() {
    const { run, view, colours } = this;
    run.nodes.forEach((_, node) => {
      const top = view.nodeTop(node) + 3, height = NODE - 7;
      const life = this.span(0, run.end);
      if (life) this.box(colours.up, life[0], top, life[1], height);
      for (const fault of run.faults) {
        const place = fault.nodes.includes(node) && this.span(fault.begin, fault.end);
        if (place) this.box(colours[fault.colour], place[0], top, place[1], height);
      }
      for (const [begin, end] of run.life[node]) {
        const place = this.span(begin, end);
        if (place) this.box(colours.down, place[0], top + height - 6, place[1], 6);
      }
      this.lag(node, top, height);
    });
  }

  /** How far a node was behind the furthest one, as a line that rises with the lag. */
  lag(node, top, height) {
    const { run, view, context, colours } = this, own = run.progress[node], most = run.furthest;
    if (!own.times.length) return;
    context.fillStyle = colours.lag;
    const behind = (time) => {
      const at = lowerBound(own.times, time + 1, 0, own.times.length) - 1, first = lowerBound(most.times, time + 1, 0, most.times.length) - 1;
      return first < 0 ? 0 : most.indexes[first] - (at < 0 ? 0 : own.indexes[at]);
    };
    for (let x = view.left; x < view.right; x += 2) {
      const lag = behind(view.timeAt(x));
      // A message or two are always under way: that is no lag.
      if (lag <= 4) continue;
      const tall = Math.min(height, 2 + Math.log2(lag) * 1.6);
      context.fillRect(x, top + height - tall, 2, tall);
    }
  }

  /** All rows of clients; rectangles are collected by colour first. */
  rows() {
    const { run, view, context, colours } = this;
    const batches = { dim: [], ok: [], info: [], fail: [] };
    for (let row = 0; row < run.rows; row++) this.oneRow(row, batches);
    const height = Math.max(view.rowHeight - (view.rowHeight > 5 ? 3 : 1), 2);
    context.globalAlpha = 0.35;
    this.fill(batches.dim, colours.quiet, Math.max(2, height / 3), (height - Math.max(2, height / 3)) / 2);
    context.globalAlpha = 1;
    this.fill(batches.ok, colours.ok, height, 0);
    this.fill(batches.fail, colours.fail, height, 0);
    this.fill(batches.info, colours.info, height, 0);
  }

  fill(batch, colour, height, drop) {
    const { context } = this;
    context.fillStyle = colour;
    for (let at = 0; at < batch.length; at += 3) context.fillRect(batch[at], batch[at + 1] + drop, batch[at + 2], height);
  }

  /** From pixel to pixel: of what begins within one, the worst outcome is shown. */
  oneRow(row, batches) {
    const { run, view, filter } = this, y = view.rowTop(row) + 1, { scale } = view;
    const low = run.rowStart[row], high = run.rowStart[row + 1];
    let slot = Math.max(lowerBound(run.begins, view.from, low, high) - 1, low);
    while (slot < high && run.begins[slot] <= view.until) {
      const x = view.x(run.begins[slot]), edge = view.timeAt(Math.floor(x) + 1);
      let next = slot + 1;
      if (next < high && run.begins[next] < edge) next = lowerBound(run.begins, edge, next, high);
      const has = (outcome) => filter.sums[outcome][next] > filter.sums[outcome][slot];
      const batch = has(INFO) ? batches.info : has(FAIL) ? batches.fail : has(OK) ? batches.ok : batches.dim;
      const right = view.x(run.ends[next - 1]);
      batch.push(x, y, Math.max(right - x - (scale < 2000 ? 0.5 : 0), 1.2));
      if (batch === batches.info) this.tail(run.sorted[next - 1], right, y, next < high ? view.x(run.begins[next]) : view.right + 8);
      slot = next;
    }
  }

  /** An operation of unknown outcome may take effect at any later time: open to the right. */
  tail(at, from, y, until) {
    const { run, view, context, colours } = this;
    if (run.outcome(at) !== INFO || until - from < 3) return;
    const middle = y + (view.rowHeight - 4) / 2, end = Math.min(until - 1, from + 400);
    const fade = context.createLinearGradient(from, 0, from + 400, 0);
    fade.addColorStop(0, colours.info);
    fade.addColorStop(1, `${colours.info}00`);
    context.fillStyle = fade;
    context.fillRect(from, middle, end - from, view.rowHeight > 6 ? 3 : 1);
  }

  /** Violations, what they name, and what is pinned or under the pointer. */
  marks() {
    const { run, view, context, colours } = this;
    context.strokeStyle = context.fillStyle = colours.wrong;
    for (const moment of run.moments) {
      const x = view.x(moment.time);
      if (x < view.left - 60 || x > view.right + 60) continue;
      context.setLineDash([5, 4]);
      context.lineWidth = 1.5;
      context.beginPath();
      context.moveTo(x, AXIS - 6);
      context.lineTo(x, view.height);
      context.stroke();
      context.setLineDash([]);
    }
    context.setLineDash([]);
    for (const at of this.named) this.outline(at, colours.wrong, 1.5);
    if (this.hovered >= 0) this.outline(this.hovered, colours.quiet, 1.5);
    if (this.pinned >= 0) this.outline(this.pinned, colours.ink, 2.5);
  }

  outline(at, colour, width) {
    const { run, view, context } = this, place = this.span(run.time[at], run.until[at]);
    if (!place) return;
    context.strokeStyle = colour;
    context.lineWidth = width;
    context.strokeRect(place[0] - 1, view.rowTop(run.row[at]), Math.max(place[1], 3) + 2, view.rowHeight - 1);
  }

  /** Times above, names at the left. */
  axis() {
    const { run, view, context, colours } = this, { step, times } = view.ticks();
    context.font = '12px system-ui, "DejaVu Sans", sans-serif';
    context.textBaseline = 'middle';
    this.box(colours.line, 0, AXIS - 1, view.width, 1);
    context.textAlign = 'center';
    for (const time of times) {
      const x = view.x(time), text = moment(time, step);
      this.box(colours.line, x, AXIS - 6, 1, 6);
      context.fillStyle = colours.quiet;
      if (x > view.left + 8 && x < view.right - 16) context.fillText(text, x, 9);
    }
    context.textAlign = 'right';
    context.fillStyle = colours.ink;
    run.nodes.forEach((name, node) => context.fillText(name, view.left - 8, view.nodeTop(node) + NODE / 2));
    context.fillStyle = colours.quiet;
    const every = Math.ceil(13 / view.rowHeight), label = view.left < 60 ? 'c' : 'client ';
    for (let row = 0; row < run.rows; row += every) context.fillText(`${label}${row + 1}`, view.left - 8, view.rowTop(row) + Math.max(view.rowHeight, 10) / 2);
    this.names();
  }

  names() {
    const { run, view, context, colours } = this;
    context.font = '600 11px system-ui, "DejaVu Sans", sans-serif';
    context.fillStyle = colours.wrong;
    for (const moment of run.moments) {
      const x = view.x(moment.time);
      if (x < view.left || x > view.right) continue;
      const late = x > view.right - 110;
      context.textAlign = late ? 'right' : 'left';
      context.fillText(moment.check, x + (late ? -5 : 5), view.rowsTop - GAP / 2);
    }
  }
}

/** The whole run in one strip: operations by outcome, violations, what is in sight. */
class Overview {
  constructor(canvas, run, view) {
    Object.assign(this, { canvas, run, view, slices: null });
  }

  resize() {
    const ratio = window.devicePixelRatio || 1, width = this.canvas.parentElement.clientWidth;
    this.width = width;
    this.canvas.style.height = '46px';
    this.canvas.width = Math.round(width * ratio);
    this.canvas.height = Math.round(46 * ratio);
    this.context = this.canvas.getContext('2d');
    this.context.setTransform(ratio, 0, 0, ratio, 0, 0);
    const { run, view } = this, length = Math.max(40, Math.floor((view.right - view.left) / 3));
    this.slices = [0, 1, 2].map(() => new Float64Array(length));
    for (let at = 0; at < run.n; at++) {
      this.slices[run.outcome(at)][Math.min(length - 1, Math.floor(run.until[at] / view.end * length))]++;
    }
    this.most = Math.max(1, ...this.slices[0].map((ok, at) => ok + this.slices[1][at] + this.slices[2][at]));
  }

  x(time) { return this.view.left + time / this.view.end * (this.view.right - this.view.left); }
  timeAt(x) { return (x - this.view.left) / (this.view.right - this.view.left) * this.view.end; }

  draw(colours) {
    const { context, view, slices, run } = this, length = slices[0].length, step = (view.right - view.left) / length;
    context.fillStyle = colours.card;
    context.fillRect(0, 0, this.width, 46);
    for (let at = 0; at < length; at++) {
      let y = 44;
      ['ok', 'info', 'fail'].forEach((name, outcome) => {
        const height = slices[outcome][at] / this.most * 40;
        context.fillStyle = colours[name];
        context.fillRect(view.left + at * step, y -= height, Math.max(step - 0.7, 1), height);
      });
    }
    context.fillStyle = colours.wrong;
    for (const moment of run.moments) context.fillRect(this.x(moment.time) - 1, 0, 2, 46);
    context.globalAlpha = 0.6;
    context.fillStyle = colours.ground;
    context.fillRect(0, 0, this.x(view.from), 46);
    context.fillRect(this.x(view.until), 0, this.width, 46);
    context.globalAlpha = 1;
    context.strokeStyle = colours.quiet;
    context.strokeRect(this.x(view.from) + 0.5, 0.5, Math.max(this.x(view.until) - this.x(view.from) - 1, 2), 45);
  }
}
