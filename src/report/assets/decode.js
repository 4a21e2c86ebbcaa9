// From the text in the page to numbers: base64, deflate, LEB128 columns.

/** Bytes of a base64 text. */
function fromBase64(text) {
  if (Uint8Array.fromBase64) return Uint8Array.fromBase64(text);
  const binary = atob(text);
  const bytes = new Uint8Array(binary.length);
  for (let at = 0; at < bytes.length; at++) bytes[at] = binary.charCodeAt(at);
  return bytes;
}

/** The head of the packed run and its columns by name. */
async function unpack(text) {
  const stream = new Blob([fromBase64(text)]).stream().pipeThrough(new DecompressionStream('deflate-raw'));
  const bytes = new Uint8Array(await new Response(stream).arrayBuffer());
  const length = new DataView(bytes.buffer).getUint32(0, true);
  const head = JSON.parse(new TextDecoder().decode(bytes.subarray(4, 4 + length)));
  const columns = {};
  for (const [name, [from, size]] of Object.entries(head.columns)) {
    columns[name] = new Column(bytes.subarray(4 + length + from, 4 + length + from + size));
  }
  return { head, columns };
}

/** One column, read from its beginning. */
class Column {
  constructor(bytes) {
    this.bytes = bytes;
    this.at = 0;
    this.last = 0;
    /** Text of the number read last, if a double cannot hold it. */
    this.exact = null;
  }

  /** The next number; beyond 2^53 its nearest double, and `exact` holds it. */
  next() {
    const { bytes } = this;
    let number = 0, scale = 1, byte;
    const from = this.at;
    this.exact = null;
    do {
      byte = bytes[this.at++];
      number += (byte & 127) * scale;
      scale *= 128;
    } while (byte > 127);
    return number > Number.MAX_SAFE_INTEGER ? this.big(from) : number;
  }

  big(from) {
    let whole = 0n;
    for (let at = this.at - 1; at >= from; at--) whole = (whole << 7n) | BigInt(this.bytes[at] & 127);
    this.exact = whole;
    return Number(whole);
  }

  /** The next number with a sign. */
  signed() {
    const number = this.next();
    if (this.exact !== null) {
      const whole = this.exact & 1n ? -((this.exact + 1n) >> 1n) : this.exact >> 1n;
      const fits = whole >= BigInt(Number.MIN_SAFE_INTEGER) && whole <= BigInt(Number.MAX_SAFE_INTEGER);
      this.exact = fits ? null : String(whole);
      return Number(whole);
    }
    return number % 2 ? -(number + 1) / 2 : number / 2;
  }

  /** The next number of a column of differences. */
  step() {
    this.last += this.signed();
    return this.last;
  }
}
