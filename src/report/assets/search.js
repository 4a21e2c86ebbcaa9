// Search and filter: which operations are meant, as counts that drawing can use.

/** What the reader looks for. */
class Filter {
  constructor(run) {
    this.run = run;
    this.matches = new Uint8Array(run.n).fill(1);
    this.active = false;
    this.hits = run.n;
    this.count();
  }

  /** Applies a query text, the outcomes wanted (three booleans) and an account (0: any). */
  apply(query, outcomes, account) {
    const { run, matches } = this;
    const tests = query.trim().toLowerCase().split(/\s+/).filter(Boolean).map((word) => test(run, word));
    this.active = tests.length > 0 || account > 0 || outcomes.includes(false);
    this.hits = 0;
    for (let at = 0; at < run.n; at++) {
      const wanted = outcomes[run.outcome(at)] && (!account || touches(run, at, account)) && tests.every((test) => test(at));
      matches[at] = wanted ? 1 : 0;
      this.hits += matches[at];
    }
    this.count();
  }

  /** Matching operations by outcome, summed along the rows. */
  count() {
    const { run, matches } = this;
    this.sums = [0, 1, 2].map((outcome) => {
      const sums = new Int32Array(run.n + 1);
      for (let slot = 0; slot < run.n; slot++) {
        const at = run.sorted[slot];
        sums[slot + 1] = sums[slot] + (matches[at] && run.outcome(at) === outcome ? 1 : 0);
      }
      return sums;
    });
  }

  /** Position of the next match after `at` (before it for -1), round the end; -1 if none. */
  next(at, direction) {
    const { n } = this.run;
    for (let tried = 1; tried <= n; tried++) {
      const candidate = (((at + direction * tried) % n) + n) % n;
      if (this.matches[candidate]) return candidate;
    }
    return -1;
  }
}

function touches(run, at, account) {
  return run.from[at] === account || run.to[at] === account
    || (run.reads.get(at)?.some(([read]) => read === account) ?? false);
}

/** A test of one word: `#412`, `p:7`, `account:a`, `outcome:info`, `error:reset`, or any text. */
function test(run, word) {
  const [, key, value] = /^([a-z]+):(.+)$/.exec(word) ?? [];
  if (/^#\d+$/.test(word)) { const invoke = Number(word.slice(1)); return (at) => run.invoke[at] === invoke; }
  if (/^(p|process|client)$/.test(key)) { const process = Number(value); return (at) => run.process[at] === process; }
  if (key === 'amount') return (at) => String(run.amount[at]) === value;
  if (key === 'outcome' || ['ok', 'info', 'fail', 'unknown', 'failed'].includes(word)) {
    const name = key === 'outcome' ? value : word;
    const wanted = name === 'ok' ? OK : name === 'fail' || name === 'failed' ? FAIL : INFO;
    return (at) => run.outcome(at) === wanted;
  }
  const accounts = key === 'error' ? new Set() : containing(run.accounts, key === 'account' ? value : word, key === 'account');
  const errors = key === 'account' ? new Set() : containing(run.errors, key === 'error' ? value : word, false);
  return (at) => accounts.has(run.from[at]) || accounts.has(run.to[at]) || errors.has(run.error[at])
    || (accounts.size > 0 && (run.reads.get(at)?.some(([read]) => accounts.has(read)) ?? false));
}

/** Numbers, from 1, of the texts that contain `part` (or are it). */
function containing(texts, part, whole) {
  const found = new Set();
  texts.forEach((text, at) => {
    const low = text.toLowerCase();
    if (whole ? low === part : low.includes(part)) found.add(at + 1);
  });
  return found;
}
