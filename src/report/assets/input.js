// Mouse, wheel, touch and keys on the timeline.

/** Turns what the reader does into moves of the view. */
function listen(app) {
  const { canvas, view } = app, pointers = new Map();
  let moved = false, pinch = 0;
  const place = (event) => {
    const box = canvas.getBoundingClientRect();
    return [event.clientX - box.left, event.clientY - box.top];
  };

  canvas.addEventListener('wheel', (event) => {
    const sideways = Math.abs(event.deltaX) > Math.abs(event.deltaY) || event.shiftKey;
    const pixels = (sideways && !event.deltaX ? event.deltaY : event.deltaX) * (event.deltaMode ? 24 : 1);
    if (sideways) view.pan(pixels);
    // A page that scrolls under the pointer is not caught: the timeline must be in use.
    else if (event.ctrlKey || document.activeElement === canvas) view.zoom(1.0018 ** (event.deltaY * (event.deltaMode ? 24 : 1)), place(event)[0]);
    else return app.hint('Click the timeline, or hold Ctrl, to zoom with the wheel.');
    event.preventDefault();
    app.redraw();
  }, { passive: false });

  canvas.addEventListener('pointerdown', (event) => {
    if (event.button !== 0) return;
    canvas.focus({ preventScroll: true });
    canvas.setPointerCapture(event.pointerId);
    pointers.set(event.pointerId, place(event));
    moved = false;
  });
  canvas.addEventListener('pointermove', (event) => {
    const [x, y] = place(event), last = pointers.get(event.pointerId);
    if (!last) return app.hover(x, y);
    pointers.set(event.pointerId, [x, y]);
    if (pointers.size === 2) {
      const [a, b] = [...pointers.values()], apart = Math.hypot(a[0] - b[0], a[1] - b[1]);
      if (pinch) view.zoom(pinch / Math.max(apart, 1), (a[0] + b[0]) / 2);
      pinch = apart;
      moved = true;
    } else if (moved || Math.abs(x - last[0]) > 3) {
      moved = true;
      canvas.classList.add('dragging');
      view.pan(last[0] - x);
    } else {
      pointers.set(event.pointerId, last);
      return;
    }
    app.redraw();
  });
  const release = (event) => {
    if (!pointers.delete(event.pointerId)) return;
    pinch = 0;
    canvas.classList.remove('dragging');
    const hit = !moved && event.type === 'pointerup' ? view.hit(...place(event)) : null;
    if (hit?.at !== undefined) app.pin(hit.at, false);
  };
  canvas.addEventListener('pointerup', release);
  canvas.addEventListener('pointercancel', release);
  canvas.addEventListener('pointerleave', () => app.hover(-1, -1));
  canvas.addEventListener('dblclick', (event) => { view.zoom(0.3, place(event)[0]); app.redraw(); });

  canvas.addEventListener('keydown', (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const act = keys(app)[event.key];
    if (!act) return;
    event.preventDefault();
    act();
    app.redraw();
  });
  document.addEventListener('keydown', (event) => {
    const typing = /^(INPUT|SELECT|TEXTAREA)$/.test(document.activeElement?.tagName ?? '');
    if (typing || event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === '/') { event.preventDefault(); app.search.focus(); }
    if (event.key === 'n' && document.activeElement !== canvas) app.violation(1);
  });
  overview(app);
}

function keys(app) {
  const { view } = app, page = view.right - view.left;
  return {
    '+': () => view.zoom(0.6), '=': () => view.zoom(0.6), '-': () => view.zoom(1 / 0.6),
    ArrowUp: () => view.zoom(0.6), ArrowDown: () => view.zoom(1 / 0.6),
    ArrowLeft: () => view.pan(-page / 8), ArrowRight: () => view.pan(page / 8),
    PageUp: () => view.pan(-page * 0.9), PageDown: () => view.pan(page * 0.9),
    0: () => view.show(0, view.end), Home: () => view.show(0, view.until - view.from), End: () => view.show(view.end - (view.until - view.from), view.end),
    ']': () => app.walk(1), '[': () => app.walk(-1), '>': () => app.follow(1), '<': () => app.follow(-1),
    n: () => app.violation(1), p: () => app.violation(-1), Escape: () => app.pin(-1, false),
  };
}

/** The strip above: drag or click to look elsewhere. */
function overview(app) {
  const { strip, view } = app;
  const look = (event) => {
    const time = strip.timeAt(event.clientX - strip.canvas.getBoundingClientRect().left), half = (view.until - view.from) / 2;
    view.show(time - half, time + half);
    app.redraw();
  };
  strip.canvas.addEventListener('pointerdown', (event) => {
    strip.canvas.setPointerCapture(event.pointerId);
    if (view.until - view.from > view.end * 0.9) view.zoom(0.1);
    look(event);
  });
  strip.canvas.addEventListener('pointermove', (event) => { if (event.buttons & 1) look(event); });
}
