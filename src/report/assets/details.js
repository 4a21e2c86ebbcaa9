// Words about what is under the pointer or pinned. Text only: no markup is made of it.

/** An element with attributes and children; texts become text. */
function make(name, attributes = {}, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}

/** Words about operations of one run. */
class Words {
  constructor(run) { this.run = run; }

  amount(at, key, value) { return this.run.exact.get(`${at} ${key}`) ?? String(value); }

  asked(at) {
    const { run } = this;
    return run.isRead(at) ? 'read' : `${run.account(run.from[at])} \u2192 ${run.account(run.to[at])} ${this.amount(at, 'amount', run.amount[at])}`;
  }

  told(at) {
    const { run } = this;
    if (run.flags[at] & 16) {
      return `${run.account(run.from[at])} = ${this.amount(at, 'from', run.seenFrom[at])}, ${run.account(run.to[at])} = ${this.amount(at, 'to', run.seenTo[at])}`;
    }
    return (run.reads.get(at) ?? []).map(([account, value]) => `${run.account(account)} = ${this.amount(at, account, value)}`).join(', ');
  }

  outcome(at) {
    const { run } = this, error = run.error[at] ? `: ${run.errors[run.error[at] - 1]}` : '';
    const never = run.neverDelivered(at) ? ' (its request never reached the server)' : '';
    return `${run.open(at) ? 'never returned, outcome unknown' : OUTCOMES[run.outcome(at)]}${error}${never}`;
  }

  when(at) {
    const { run } = this, begin = moment(run.time[at], 1);
    return run.open(at) ? `from ${begin} on` : `${begin}, took ${span(run.until[at] - run.time[at])}`;
  }

  /** Faults that an operation overlapped. */
  faults(at) {
    const { run } = this;
    return run.faults.filter((fault) => fault.begin <= run.until[at] && (fault.end ?? run.end) >= run.time[at]).map((fault) => this.fault(fault));
  }

  fault(fault) {
    const end = fault.end === null ? 'the end' : moment(fault.end);
    return `${fault.kind} of ${fault.nodes.map((node) => this.run.nodes[node]).join(', ')} (${moment(fault.begin)} to ${end}${fault.held ? '' : ', did not take hold'})`;
  }

  short(at) {
    const told = this.told(at);
    return `#${this.run.invoke[at]} ${this.asked(at)}\n${this.outcome(at)}${told ? `, told ${told}` : ''}\nprocess ${this.run.process[at]}, ${this.when(at)}`;
  }

  /** What a node went through at a time. */
  node(node, time) {
    const { run } = this, lines = [`${run.nodes[node]} at ${moment(time, 1e3)}`];
    const down = run.life[node].find(([begin, end]) => begin <= time && time < end);
    lines.push(down ? `not up from ${moment(down[0])} to ${moment(down[1])}` : 'up');
    const faults = run.faults.filter((fault) => fault.nodes.includes(node) && fault.begin <= time && time <= (fault.end ?? run.end));
    lines.push(...faults.slice(0, 4).map((fault) => this.fault(fault)));
    const own = run.progress[node], at = lowerBound(own.times, time + 1, 0, own.times.length) - 1;
    if (at >= 0) {
      const first = lowerBound(run.furthest.times, time + 1, 0, run.furthest.times.length) - 1;
      lines.push(`holds ${own.indexes[at]} entries, the furthest replica ${run.furthest.indexes[first]}`);
    }
    return lines.join('\n');
  }
}

/** The panel about the pinned operation, with the order that was found around it. */
class Panel {
  constructor(element, run, words, go) { Object.assign(this, { element, run, words, go }); }

  show(at) {
    this.element.replaceChildren();
    if (at < 0) return;
    const { run, words } = this;
    const close = make('button', { type: 'button', 'aria-label': 'Let go of this operation' }, '\u00d7');
    close.addEventListener('click', () => this.go(-1));
    const rows = [['Outcome', words.outcome(at)], ['Told', words.told(at) || 'nothing'], ['Process', `${run.process[at]}, client ${run.row[at] + 1}`],
      ['Time', words.when(at)], ['Lines', `invoked in line ${run.invoke[at]}`]];
    for (const fault of words.faults(at).slice(0, 6)) rows.push(['During', fault]);
    const accused = run.moments.filter((moment) => moment.operations.includes(run.invoke[at])).map((moment) => moment.check);
    if (accused.length) rows.push(['Named by', accused.join(', ')]);
    const list = make('dl', {}, ...rows.flatMap(([name, value]) => [make('dt', {}, name), make('dd', {}, value)]));
    this.element.append(make('h3', {}, make('span', {}, `#${run.invoke[at]} ${words.asked(at)}`), close), list, this.order(at));
  }

  /** Steps of the order around the operation, each with the state that it leaves. */
  order(at) {
    const { run } = this, box = make('div', {});
    if (!run.order) {
      const why = run.shown < run.total ? 'The order is not shown of a sampled run.' : 'No order was recorded.';
      box.append(make('h4', {}, 'Order'), make('p', { class: 'quiet' }, why));
      return box;
    }
    const place = run.place[at], fails = run.order.fails === run.number[at], length = run.steps.length;
    const middle = place >= 0 ? place : fails ? length : this.expected(at);
    const title = run.order.whole ? 'In the order that explains everything' : 'In the longest order that can be explained';
    box.append(make('h4', {}, title), make('p', { class: 'quiet' }, this.sentence(place, fails, length)));
    const from = Math.max(0, middle - 4), until = Math.min(length, middle + (place < 0 ? 1 : 5)), steps = make('ol', {});
    for (let step = from; step < until; step++) steps.append(this.step(step, run.steps[step] === at));
    if (fails) steps.append(make('li', { class: 'stuck' }, make('span', {}, 'stuck'), make('span', {}, `#${run.invoke[at]} ${this.words.asked(at)}`), make('span', {}, `told ${this.words.told(at) || 'nothing'}: does not fit`)));
    box.append(steps);
    return box;
  }

  sentence(place, fails, length) {
    if (place >= 0) return `Step ${place + 1} of ${length}, and what each step leaves.`;
    if (fails) return `Every attempt fails here: ${length} operations before it can be explained, and no order goes further.`;
    return this.run.order.whole ? 'It has no place in that order: as far as anybody can tell it did not happen.' : 'It is not among the operations that could be explained.';
  }

  /** Where an operation without a place would be looked for. */
  expected(at) {
    const { run } = this;
    let step = run.steps.length;
    while (step > 0 && run.time[run.steps[step - 1]] > run.time[at]) step--;
    return step;
  }

  step(step, here) {
    const { run, words } = this, at = run.steps[step];
    const link = make('a', { href: '#timeline', class: 'op', 'data-op': run.invoke[at] }, `#${run.invoke[at]}`);
    const state = run.stateAfter(step + 1), accounts = run.isRead(at) ? (run.reads.get(at) ?? []).map(([account]) => account) : [run.from[at], run.to[at]];
    const left = state ? [...new Set(accounts)].map((account) => `${run.account(account)} = ${state.get(account) ?? run.model.initial}`).join(', ') : '';
    return make('li', here ? { class: 'here', 'aria-current': 'true' } : {}, make('span', {}, String(step + 1)), make('span', {}, link, ` ${words.asked(at)}`), make('span', {}, left));
  }
}
