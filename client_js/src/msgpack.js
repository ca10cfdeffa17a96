/**
 * MessagePack in binary frames: the values of JSON only, which is all that the hub speaks. A second entry point, so
 * that who speaks JSON does not carry it.
 */

const text = new TextEncoder();
const untext = new TextDecoder("utf-8", { fatal: true });

class Writer {
  #bytes = new Uint8Array(256);
  #view = new DataView(this.#bytes.buffer);
  #length = 0;

  /** Room for `count` more bytes; answers where they go. @param {number} count */
  #take(count) {
    const start = this.#length;
    this.#length += count;
    if (this.#length > this.#bytes.length) {
      const grown = new Uint8Array(Math.max(this.#length, this.#bytes.length * 2));
      grown.set(this.#bytes);
      this.#bytes = grown;
      this.#view = new DataView(grown.buffer);
    }
    return start;
  }

  get done() {
    return this.#bytes.slice(0, this.#length);
  }

  /** A tag and a number of 1, 2, 4 or 8 bytes. @param {number} tag @param {number} size @param {number} value */
  #tagged(tag, size, value) {
    const start = this.#take(1 + size);
    this.#view.setUint8(start, tag);
    if (size === 1) this.#view.setUint8(start + 1, value);
    else if (size === 2) this.#view.setUint16(start + 1, value);
    else this.#view.setUint32(start + 1, value);
  }

  /** @param {number} value */
  byte(value) {
    const start = this.#take(1); // first: it may replace the view
    this.#view.setUint8(start, value);
  }

  /** @param {number} tag @param {number} value */
  float(tag, value) {
    const start = this.#take(9);
    this.#view.setUint8(start, tag);
    if (tag === 0xcb) this.#view.setFloat64(start + 1, value);
    else this.#view.setBigInt64(start + 1, BigInt(value));
  }

  /**
   * The head of something with a length: its short form, or a tag with as many bytes as the length needs.
   * @param {number} length @param {number} short @param {number} most @param {(number | undefined)[]} tags For 1, 2, 4 bytes.
   */
  head(length, short, most, tags) {
    if (length <= most) return this.byte(short + length);
    const size = length < 0x100 && tags[0] ? 0 : length < 0x10000 ? 1 : 2;
    this.#tagged(/** @type {number} */ (tags[size]), 1 << size, length);
  }

  /** @param {number} value */
  integer(value) {
    if (value >= 0) {
      if (value < 2 ** 32) this.head(value, 0, 0x7f, [0xcc, 0xcd, 0xce]);
      else this.float(0xcf, value);
    } else if (value >= -32) this.byte(value & 0xff);
    else if (value >= -(2 ** 7)) this.#tagged(0xd0, 1, value & 0xff);
    else if (value >= -(2 ** 15)) this.#tagged(0xd1, 2, value & 0xffff);
    else if (value >= -(2 ** 31)) this.#tagged(0xd2, 4, value >>> 0);
    else this.float(0xd3, value);
  }

  /** @param {string} value */
  string(value) {
    // a TextEncoder would write another character in its place
    if (/\p{Surrogate}/u.test(value)) throw new TypeError("half of a surrogate pair");
    const bytes = text.encode(value);
    this.head(bytes.length, 0xa0, 31, [0xd9, 0xda, 0xdb]);
    const start = this.#take(bytes.length);
    this.#bytes.set(bytes, start);
  }

  /** As JSON.stringify reads a value: `toJSON`, no undefined, NaN is null. @param {any} value */
  value(value) {
    if (typeof value?.toJSON === "function") value = value.toJSON();
    if (value === null || value === undefined || typeof value === "function") this.byte(0xc0);
    else if (typeof value === "boolean") this.byte(value ? 0xc3 : 0xc2);
    else if (typeof value === "number") this.#number(value);
    else if (typeof value === "string") this.string(value);
    else if (typeof value !== "object") throw new TypeError(`a ${typeof value} is no value of JSON`);
    else if (Array.isArray(value)) {
      this.head(value.length, 0x90, 15, [undefined, 0xdc, 0xdd]);
      for (const item of value) this.value(item);
    } else this.#object(value);
  }

  /** @param {number} value */
  #number(value) {
    if (!Number.isFinite(value)) this.byte(0xc0);
    else if (Number.isSafeInteger(value)) this.integer(value);
    else this.float(0xcb, value);
  }

  /** @param {object} value */
  #object(value) {
    const entries = Object.entries(value).filter(([, item]) => item !== undefined && typeof item !== "function");
    this.head(entries.length, 0x80, 15, [undefined, 0xde, 0xdf]);
    for (const [key, item] of entries) {
      this.string(key);
      this.value(item);
    }
  }
}

class Reader {
  #bytes;
  #view;
  #at = 0;

  /** @param {ArrayBuffer} buffer */
  constructor(buffer) {
    this.#bytes = new Uint8Array(buffer);
    this.#view = new DataView(buffer);
  }

  whole() {
    const value = this.#value();
    if (this.#at !== this.#bytes.length) throw new RangeError("more bytes follow the message");
    return value;
  }

  /** @param {number} count */
  #skip(count) {
    const start = this.#at;
    this.#at += count;
    if (this.#at > this.#bytes.length) throw new RangeError("the message ends too early");
    return start;
  }

  /** An unsigned number of 1, 2 or 4 bytes. @param {number} size */
  #unsigned(size) {
    const start = this.#skip(size);
    return size === 1 ? this.#view.getUint8(start) : size === 2 ? this.#view.getUint16(start) : this.#view.getUint32(start);
  }

  /** @param {number} size */
  #signed(size) {
    const bits = 32 - 8 * size;
    return (this.#unsigned(size) << bits) >> bits;
  }

  /** @returns {unknown} */
  #value() {
    const tag = this.#unsigned(1);
    if (tag < 0x80) return tag;
    if (tag < 0x90) return this.#map(tag & 0x0f);
    if (tag < 0xa0) return this.#array(tag & 0x0f);
    if (tag < 0xc0) return this.#string(tag & 0x1f);
    if (tag >= 0xe0) return tag - 0x100;
    switch (tag) {
      case 0xc0:
        return null;
      case 0xc2:
        return false;
      case 0xc3:
        return true;
      case 0xca:
        return this.#view.getFloat32(this.#skip(4));
      case 0xcb:
        return this.#view.getFloat64(this.#skip(8));
      case 0xcc:
      case 0xcd:
      case 0xce:
        return this.#unsigned(1 << (tag - 0xcc));
      case 0xcf:
        return Number(this.#view.getBigUint64(this.#skip(8)));
      case 0xd0:
      case 0xd1:
      case 0xd2:
        return this.#signed(1 << (tag - 0xd0));
      case 0xd3:
        return Number(this.#view.getBigInt64(this.#skip(8)));
      case 0xd9:
      case 0xda:
      case 0xdb:
        return this.#string(this.#unsigned(1 << (tag - 0xd9)));
      case 0xdc:
      case 0xdd:
        return this.#array(this.#unsigned(2 << (tag - 0xdc)));
      case 0xde:
      case 0xdf:
        return this.#map(this.#unsigned(2 << (tag - 0xde)));
    }
    throw new RangeError(`no value of JSON begins with byte 0x${tag.toString(16)}`);
  }

  /** @param {number} length */
  #string(length) {
    const start = this.#skip(length);
    return untext.decode(this.#bytes.subarray(start, start + length));
  }

  /** @param {number} length */
  #array(length) {
    // not new Array(length): a length that lies must not take the memory it names
    const items = [];
    while (length-- > 0) items.push(this.#value());
    return items;
  }

  /** @param {number} length */
  #map(length) {
    /** @type {[string, unknown][]} */
    const entries = [];
    while (length-- > 0) {
      const key = this.#value();
      if (typeof key !== "string") throw new TypeError("a map's keys must be strings");
      entries.push([key, this.#value()]);
    }
    return Object.fromEntries(entries); // defines, so that no key reaches a prototype
  }
}

/** @type {import("./types.js").Codec} */
export const msgpack = {
  protocol: "hub.v1.msgpack",
  encode(message) {
    const writer = new Writer();
    writer.value(message);
    return writer.done;
  },
  decode(data) {
    if (typeof data === "string") throw new TypeError("a text frame on a MessagePack connection");
    return new Reader(data).whole();
  },
};
