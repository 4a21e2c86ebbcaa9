// The run in typed arrays: operations, rows, the order that was found, states.

const OK = 0, INFO = 1, FAIL = 2;
const OUTCOMES = ['acknowledged', 'outcome unknown', 'did not happen'];

/** Everything of the run that is drawn; times are microseconds since it began. */
class Run {
  constructor({ head, columns }) {
    Object.assign(this, head);
    const n = this.n = head.shown;
    const column = (name, Type, read) => {
      const from = columns[name], to = new Type(n);
      for (let at = 0; at < n; at++) to[at] = from[read]();
      return to;
    };
    this.number = column('number', Int32Array, 'step');
    this.invoke = column('invoke', Float64Array, 'step');
    this.process = column('process', Float64Array, 'next');
    this.row = column('row', Int32Array, 'next');
    this.time = column('time', Float64Array, 'step');
    const took = column('took', Float64Array, 'next');
    this.flags = column('flags', Uint8Array, 'next');
    this.from = column('from', Int32Array, 'next');
    this.to = column('to', Int32Array, 'next');
    this.exact = new Map();
    this.amount = this.readAmounts(columns.amount);
    this.readSeen(columns.seen);
    this.error = column('error', Int32Array, 'next');
    this.until = took;
    for (let at = 0; at < n; at++) this.until[at] = this.open(at) ? head.end : this.time[at] + took[at];
    this.sortIntoRows(head.rows);
    this.readOrder(columns.order);
    this.readProgress(columns.progress);
  }

  outcome(at) { return this.flags[at] & 3; }
  open(at) { return (this.flags[at] & 4) !== 0; }
  neverDelivered(at) { return (this.flags[at] & 8) !== 0; }
  isRead(at) { return this.from[at] === 0; }
  account(number) { return this.accounts[number - 1] ?? '?'; }

  readAmounts(column) {
    const amounts = new Float64Array(this.n);
    for (let at = 0; at < this.n; at++) {
      amounts[at] = column.signed();
      if (column.exact) this.exact.set(`${at} amount`, column.exact);
    }
    return amounts;
  }

  /** Balances told: of a pair in two arrays, of a read in a list. */
  readSeen(column) {
    this.seenFrom = new Float64Array(this.n).fill(NaN);
    this.seenTo = new Float64Array(this.n).fill(NaN);
    this.reads = new Map();
    const balance = (key) => {
      const value = column.signed();
      if (column.exact) this.exact.set(key, column.exact);
      return value;
    };
    for (let at = 0; at < this.n; at++) {
      if (this.flags[at] & 16) {
        this.seenFrom[at] = balance(`${at} from`);
        this.seenTo[at] = balance(`${at} to`);
      } else if (this.flags[at] & 32) {
        const list = [];
        for (let left = column.next(); left > 0; left--) {
          const account = column.next() + 1;
          list.push([account, balance(`${at} ${account}`)]);
        }
        this.reads.set(at, list);
      }
    }
  }

  /** Operations row by row, in each by time; within a row they follow each other. */
  sortIntoRows(rows) {
    this.rowStart = new Int32Array(rows + 1);
    for (let at = 0; at < this.n; at++) this.rowStart[this.row[at] + 1]++;
    for (let row = 0; row < rows; row++) this.rowStart[row + 1] += this.rowStart[row];
    const next = this.rowStart.slice();
    this.sorted = new Int32Array(this.n);
    this.slot = new Int32Array(this.n);
    for (let at = 0; at < this.n; at++) {
      const slot = next[this.row[at]]++;
      this.sorted[slot] = at;
      this.slot[at] = slot;
    }
    this.begins = Float64Array.from(this.sorted, (at) => this.time[at]);
    this.ends = Float64Array.from(this.sorted, (at) => this.until[at]);
  }

  readOrder(column) {
    this.steps = this.order ? new Int32Array(this.order.length) : new Int32Array(0);
    this.place = new Int32Array(this.n).fill(-1);
    for (let step = 0; step < this.steps.length; step++) {
      this.steps[step] = column.step();
      this.place[this.steps[step]] = step;
    }
  }

  /** How far each node had come, where the wire tells. */
  readProgress(column) {
    this.progress = this.nodes.map(() => {
      const length = column.next(), times = new Float64Array(length), indexes = new Float64Array(length);
      let time = 0, index = 0;
      for (let at = 0; at < length; at++) {
        times[at] = time += column.next();
        indexes[at] = index += column.signed();
      }
      return { times, indexes };
    });
    this.furthest = this.greatest();
  }

  /** The furthest position of any node over time. */
  greatest() {
    const all = [];
    for (const { times, indexes } of this.progress) for (let at = 0; at < times.length; at++) all.push([times[at], indexes[at]]);
    all.sort((a, b) => a[0] - b[0]);
    const times = [], indexes = [];
    let most = -1;
    for (const [time, index] of all) if (index > most) { times.push(time); indexes.push(most = index); }
    return { times, indexes };
  }

  /** Position among the operations by the index of its invocation line, or -1. */
  find(invoke) {
    const at = lowerBound(this.invoke, invoke, 0, this.n);
    return at < this.n && this.invoke[at] === invoke ? at : -1;
  }

  /** Balances after so many steps of the order, or null if the rules are not known. */
  stateAfter(count) {
    if (!this.model || this.exact.size) return null;
    const { initial, guard, negative } = this.model, state = new Map();
    const of = (account) => state.get(account) ?? initial;
    for (let step = 0; step < count; step++) {
      const at = this.steps[step], from = this.from[at], to = this.to[at], amount = this.amount[at];
      if (!from) continue;
      const left = of(from) - amount;
      const allowed = (guard === 'strict' ? left > 0 : guard === 'at-least' ? left >= 0 : true) && (negative || amount >= 0);
      state.set(from, of(from)).set(to, of(to));
      if (allowed && from !== to) state.set(to, of(to) + amount).set(from, left);
    }
    return state;
  }
}

/** First place in the sorted `array` from `low` up to `high` with a value not below `value`. */
function lowerBound(array, value, low, high) {
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (array[middle] < value) low = middle + 1; else high = middle;
  }
  return low;
}

/** Microseconds in the unit that suits them. */
function span(micros) {
  if (micros < 1000) return `${Math.round(micros)} \u00b5s`;
  if (micros < 1e4) return `${(micros / 1000).toFixed(1)} ms`;
  return micros < 1e6 ? `${Math.round(micros / 1000)} ms` : `${(micros / 1e6).toFixed(2)} s`;
}

/** A time of the run with so many digits as the zoom needs. */
function moment(micros, step = 1e4) {
  return `${(micros / 1e6).toFixed(step >= 1e6 ? 0 : step >= 1e5 ? 1 : step >= 1e4 ? 2 : step >= 1e3 ? 3 : step >= 100 ? 4 : 5)} s`;
}
