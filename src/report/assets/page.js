// The page comes to life: decode, draw, and join the words with the timeline.

const byId = (id) => document.getElementById(id);

/** The timeline as the rest of the page sees it. */
class App {
  constructor(run) {
    this.run = run;
    this.canvas = byId('chart');
    this.search = byId('search');
    this.view = new View(run);
    this.filter = new Filter(run);
    this.words = new Words(run);
    this.painter = new Painter(this.canvas, run, this.view, this.filter);
    this.strip = new Overview(byId('overview'), run, this.view);
    this.panel = new Panel(byId('pinned'), run, this.words, (at) => this.pin(at, false));
    this.moments = run.moments.map((moment, at) => ({ ...moment, at })).sort((a, b) => a.time - b.time);
    this.visited = -1;
    this.waiting = false;
    this.resize();
  }

  resize() {
    this.painter.resize();
    this.strip.resize();
    this.paint();
  }

  /** Draws at the next frame, once however often it is asked. */
  redraw() {
    if (this.waiting) return;
    this.waiting = true;
    requestAnimationFrame(() => { this.waiting = false; this.paint(); });
  }

  paint() {
    const began = performance.now();
    this.painter.draw();
    this.strip.draw(this.painter.colours);
    this.canvas.dataset.took = (performance.now() - began).toFixed(2);
    this.canvas.dataset.from = Math.round(this.view.from);
    this.canvas.dataset.until = Math.round(this.view.until);
    this.status();
  }

  status() {
    const { run, view } = this;
    if (this.said === `${view.from} ${view.until}`) return;
    const seen = lowerBound(run.time, view.until, 0, run.n) - lowerBound(run.time, view.from, 0, run.n);
    byId('status').textContent = `${moment(view.from, view.scale * 100)} to ${moment(view.until, view.scale * 100)}, ${seen} of ${run.n} operations begin here`;
  }

  /** Says something, until the view moves. */
  hint(text) {
    this.said = `${this.view.from} ${this.view.until}`;
    byId('status').textContent = text;
  }

  hover(x, y) {
    const tip = byId('tip'), hit = x < 0 ? null : this.view.hit(x, y), before = this.painter.hovered;
    this.painter.hovered = hit?.at ?? -1;
    tip.hidden = !hit;
    if (hit) {
      tip.textContent = hit.at === undefined ? this.words.node(hit.node, hit.time) : this.words.short(hit.at);
      const top = this.canvas.offsetTop, wide = tip.offsetWidth;
      tip.style.left = `${Math.min(Math.max(x + 14, 4), Math.max(this.view.width - wide - 8, 4))}px`;
      tip.style.top = `${Math.min(top + y + 18, top + this.view.height - tip.offsetHeight - 4)}px`;
    }
    if (this.painter.hovered !== before) this.redraw();
  }

  /** Keeps an operation, and shows where it is if asked; -1 lets go. */
  pin(at, reveal = true) {
    this.painter.pinned = at;
    this.panel.show(at);
    if (at >= 0 && reveal) this.view.reveal(at);
    this.redraw();
  }

  /** To the next operation that the filter lets through. */
  walk(direction) {
    const { run, view, painter } = this;
    const from = painter.pinned >= 0 ? painter.pinned : lowerBound(run.time, direction > 0 ? view.from : view.until, 0, run.n) - (direction > 0 ? 1 : 0);
    const at = this.filter.next(from, direction);
    if (at >= 0) this.pin(at);
  }

  /** Along the order that was found. */
  follow(direction) {
    const { run, painter } = this, place = painter.pinned >= 0 ? run.place[painter.pinned] : -1;
    const next = place < 0 ? (direction > 0 ? 0 : run.steps.length - 1) : place + direction;
    if (next >= 0 && next < run.steps.length) this.pin(run.steps[next]);
  }

  violation(direction) {
    const { length } = this.moments;
    if (!length) return;
    this.visited = this.visited < 0 && direction < 0 ? length - 1 : (this.visited + direction + length) % length;
    this.moment(this.moments[this.visited]);
    this.hint(`Violation ${this.visited + 1} of ${length}: ${this.moments[this.visited].check}`);
  }

  /** Shows a violation, its first operation pinned. */
  moment({ time, operations }) {
    const { run, view } = this, half = Math.min(view.end / 2, Math.max(view.end / 60, 60000));
    view.show(time - half, time + half);
    const places = operations.map((invoke) => run.find(invoke)).filter((at) => at >= 0);
    const fails = run.order?.fails, failing = fails === null || fails === undefined ? -1 : run.number.indexOf(fails);
    this.pin(places.includes(failing) ? failing : places[0] ?? -1, false);
    byId('timeline').scrollIntoView({ block: 'start' });
    this.canvas.focus({ preventScroll: true });
    this.paint();
  }

  find() {
    const form = byId('tools').elements, outcomes = ['ok', 'info', 'fail'].map((name) => form[name].checked);
    this.filter.apply(this.search.value, outcomes, Number(byId('account').value));
    byId('count').textContent = this.filter.active ? `${this.filter.hits} found` : '';
    this.redraw();
  }
}

/** Buttons, fields and links around the timeline. */
function connect(app) {
  const { view } = app, click = (id, act) => byId(id).addEventListener('click', () => { act(); app.redraw(); });
  click('zoom-in', () => view.zoom(0.5));
  click('zoom-out', () => view.zoom(2));
  click('zoom-all', () => view.show(0, view.end));
  click('next-violation', () => app.violation(1));
  byId('next-violation').disabled = app.moments.length === 0;
  app.run.accounts.slice(0, 500).forEach((name, at) => byId('account').append(make('option', { value: at + 1 }, name)));
  byId('tools').addEventListener('input', () => app.find());
  byId('tools').addEventListener('submit', (event) => { event.preventDefault(); app.find(); app.walk(1); });
  document.addEventListener('click', (event) => {
    const link = event.target.closest('a[data-op]'), jump = event.target.closest('button[data-moment]');
    if (link) {
      const at = app.run.find(Number(link.dataset.op));
      if (at < 0) return app.hint(`#${link.dataset.op} is not among the operations that are drawn.`);
      event.preventDefault();
      byId('timeline').scrollIntoView({ block: 'start' });
      app.pin(at);
    }
    if (jump) app.moment(app.run.moments[Number(jump.dataset.moment)]);
  });
  document.querySelectorAll('button[data-moment]').forEach((button) => { button.hidden = false; });
  new ResizeObserver(() => { if (app.canvas.parentElement.clientWidth !== app.view.width) app.resize(); }).observe(app.canvas.parentElement);
  matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => { app.painter.colours = palette(); app.redraw(); });
  addEventListener('beforeprint', () => { app.painter.colours = palette(); app.resize(); });
}

function copying() {
  document.querySelectorAll('button[data-copy]').forEach((button) => {
    button.hidden = false;
    button.addEventListener('click', () => {
      getSelection().selectAllChildren(byId(button.dataset.copy));
      // A page that was opened from a file may not have the newer interface.
      const copied = navigator.clipboard ? navigator.clipboard.writeText(byId(button.dataset.copy).textContent) : Promise.reject();
      copied.then(() => true, () => document.execCommand('copy')).then((done) => { button.textContent = done ? 'Copied' : 'Selected'; });
    });
  });
}

async function begin() {
  const began = performance.now();
  copying();
  const text = byId('data').textContent;
  try {
    const packed = await unpack(text);
    byId('data').textContent = '';
    byId('tl').hidden = false;
    const app = new App(new Run(packed));
    connect(app);
    listen(app);
    document.documentElement.dataset.ready = performance.now().toFixed(0);
    document.documentElement.dataset.decoded = (performance.now() - began).toFixed(0);
  } catch (error) {
    byId('tl').replaceChildren(make('p', { class: 'note' }, `This browser cannot draw the timeline (${error.message}). Everything else on the page is complete.`));
    byId('tl').hidden = false;
    console.error(error);
  }
}
begin();
