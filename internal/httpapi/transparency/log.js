// What it takes to check the log: signed notes, checkpoints, tiles, Merkle proofs and receipts, as docs/transparency-log.md
// has them. It knows nothing of the page, asks only what it is given to ask with, and believes nothing that it has not hashed.

// Tampered means that what was published contradicts itself, or what was seen before; Incomplete, that it could not be checked.
export class Tampered extends Error {}
export class Incomplete extends Error {}

const HASH = 32;
const WIDTH = 256; // Hashes, or entries, in a full tile.
const MAX_NOTE = 96 * 1024;
const encoder = new TextEncoder();
const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

export function utf8(bytes, what) {
  try {
    return decoder.decode(bytes);
  } catch {
    throw new Tampered(`${what} is not text.`);
  }
}

function concat(...parts) {
  const all = new Uint8Array(parts.reduce((n, part) => n + part.length, 0));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}

export const equal = (a, b) => a.length === b.length && a.every((byte, i) => byte === b[i]);

// fromBase64 takes the one way in which bytes are written.
export function fromBase64(text) {
  let binary;
  try {
    binary = atob(text);
  } catch {
    return null;
  }
  return btoa(binary) === text ? Uint8Array.from(binary, (c) => c.charCodeAt(0)) : null;
}

export const toBase64 = (bytes) => btoa(String.fromCharCode(...bytes));
export const toHex = (bytes) => Array.from(bytes, (b) => b.toString(16).padStart(2, "0")).join("");

function uint64(n) {
  const bytes = new Uint8Array(8);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(n));
  return bytes;
}

// Hashes, by RFC 6962.

export const sha256 = async (bytes) => new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
export const leafHash = (entry) => sha256(concat([0], entry));
const nodeHash = (left, right) => sha256(concat([1], left, right));

// supported says what this browser lacks, or nothing.
export async function supported() {
  if (!globalThis.crypto?.subtle) {
    return "This page was not loaded over https (or from this very machine), and browsers then refuse WebCrypto to it.";
  }
  try {
    await crypto.subtle.importKey("raw", new Uint8Array(HASH), "Ed25519", false, ["verify"]);
  } catch {
    return "This browser's WebCrypto has no Ed25519. Firefox 129, Safari 17, Chrome 137 and what is newer have it.";
  }
  return "";
}

// Keys and signed notes, by C2SP signed-note and tlog-cosignature.

const LOG_KEY = 1;
const WITNESS_KEY = 4;

// parseKey reads a verifier key, <name>+<hash>+<key>: a log's, or a witness's.
export async function parseKey(text) {
  const parts = /^([^+\s]+)\+([0-9a-f]{8})\+([A-Za-z0-9+/=]+)$/.exec(text.trim());
  const raw = parts && fromBase64(parts[3]);
  if (raw && raw[0] !== LOG_KEY && raw[0] !== WITNESS_KEY) throw new Incomplete(`The key of ${parts[1]} is of a kind that this page cannot verify by: it knows Ed25519 alone.`);
  if (raw?.length !== 1 + HASH) {
    throw new Incomplete("That is no verifier key. It looks like example.com/log+1a2b3c4d+AY29… or, for a witness, …+BI29…");
  }
  const hash = (await sha256(concat(encoder.encode(parts[1] + "\n"), raw))).slice(0, 4);
  if (toHex(hash) !== parts[2]) {
    throw new Incomplete(`The key of ${parts[1]} was damaged on its way: its own checksum does not fit.`);
  }
  const key = await crypto.subtle.importKey("raw", raw.slice(1), "Ed25519", false, ["verify"]);
  return { name: parts[1], hash, key, witness: raw[0] === WITNESS_KEY, text: text.trim() };
}

// parseNote splits a signed note into its text and its signatures, of which none has been verified.
export function parseNote(note) {
  if (note.length > MAX_NOTE) throw new Tampered("The signed note is longer than any may be.");
  const split = note.lastIndexOf("\n\n");
  if (split < 0 || !note.endsWith("\n")) throw new Tampered("It is no signed note.");
  const signatures = note.slice(split + 2, -1).split("\n").map((line) => {
    const parts = /^\u2014 (\S+) (\S+)$/.exec(line);
    const raw = parts && fromBase64(parts[2]);
    if (!raw || raw.length < 5) throw new Tampered("A signature of the note is not of its form.");
    return { name: parts[1], hash: raw.slice(0, 4), value: raw.slice(4) };
  });
  return { text: note.slice(0, split + 1), signatures };
}

// parseCheckpoint reads the text of a checkpoint: origin, size, root.
export function parseCheckpoint(text) {
  const [origin, size, root, ...rest] = text.split("\n");
  const hash = root && fromBase64(root);
  if (!origin || !/^(0|[1-9][0-9]*)$/.test(size ?? "") || !hash || hash.length !== HASH || rest.at(-1) !== "") {
    throw new Tampered("It is no checkpoint: origin, size and root are not there.");
  }
  if (!Number.isSafeInteger(Number(size))) throw new Incomplete("The log is longer than this page can count.");
  return { origin, size: Number(size), root: hash };
}

const signed = (key, signature, text) => crypto.subtle.verify("Ed25519", key.key, signature, encoder.encode(text));

// openCheckpoint returns a checkpoint that the log of a key has signed. Signatures of others are not looked at.
export async function openCheckpoint(note, key) {
  const { text, signatures } = parseNote(note);
  const checkpoint = { ...parseCheckpoint(text), note, text, signatures };
  if (checkpoint.origin !== key.name) {
    throw new Tampered(`The checkpoint is of ${checkpoint.origin}, and the key is that of ${key.name}.`);
  }
  const own = signatures.filter((s) => s.name === key.name && equal(s.hash, key.hash));
  if (own.length === 0) throw new Tampered("The checkpoint has no signature by this key.");
  for (const s of own) {
    if (s.value.length !== 64 || !(await signed(key, s.value, text))) throw new Tampered("The signature of the checkpoint does not fit it.");
  }
  return checkpoint;
}

// cosignedAt returns when a witness cosigned a checkpoint, as a Date, or null if it did not.
export async function cosignedAt(checkpoint, witness) {
  for (const s of checkpoint.signatures) {
    if (s.name !== witness.name || !equal(s.hash, witness.hash) || s.value.length !== 72) continue;
    const time = new DataView(s.value.buffer, s.value.byteOffset).getBigUint64(0);
    if (await signed(witness, s.value.slice(8), `cosignature/v1\ntime ${time}\n${checkpoint.text}`)) return new Date(Number(time) * 1000);
    throw new Tampered(`The cosignature of ${witness.name} does not fit the checkpoint.`);
  }
  return null;
}

// Tiles, by C2SP tlog-tiles.

function tilePath(level, n, width) {
  const three = (k) => String(k % 1000).padStart(3, "0");
  let name = three(n);
  for (let rest = Math.floor(n / 1000); rest > 0; rest = Math.floor(rest / 1000)) name = `x${three(rest)}/${name}`;
  return `tile/${level}/${name}${width < WIDTH ? `.p/${width}` : ""}`;
}

// Tiles reads hashes and entries of a log of a size. ask(path) returns bytes, or null for what is not there.
export class Tiles {
  constructor(size, ask) {
    this.size = size;
    this.ask = ask;
    this.kept = new Map();
    this.read = [];
  }

  width(level, n) {
    return Math.min(WIDTH, Math.floor(this.size / WIDTH ** level) - n * WIDTH);
  }

  // file returns a tile that may by now be there in its full form alone.
  async file(level, n, width) {
    const path = tilePath(level, n, width);
    let bytes = await this.ask(path);
    if (!bytes && width < WIDTH) bytes = await this.ask(tilePath(level, n, WIDTH));
    if (!bytes) throw new Incomplete(`The log does not serve ${path}, which its checkpoint promises.`);
    this.read.push(path);
    return bytes;
  }

  once(key, load) {
    if (!this.kept.has(key)) this.kept.set(key, load());
    return this.kept.get(key);
  }

  // hashes returns those of one tile.
  hashes(level, n) {
    return this.once(`${level}/${n}`, async () => {
      const width = this.width(level, n);
      const bytes = await this.file(level, n, width);
      if (bytes.length < width * HASH || bytes.length % HASH !== 0) throw new Tampered(`${tilePath(level, n, width)} is ${bytes.length} bytes long.`);
      return Array.from({ length: width }, (_, i) => bytes.slice(i * HASH, (i + 1) * HASH));
    });
  }

  // entries returns those of one bundle, each compared with its hash in the tile beside it.
  entries(n) {
    return this.once(`entries/${n}`, async () => {
      const width = this.width(0, n);
      const [bytes, hashes] = await Promise.all([this.file("entries", n, width), this.hashes(0, n)]);
      const entries = [];
      for (let at = 0; entries.length < width; ) {
        const length = at + 2 <= bytes.length ? bytes[at] * 256 + bytes[at + 1] : Infinity;
        if (at + 2 + length > bytes.length) throw new Tampered(`${tilePath("entries", n, width)} ends within entry ${n * WIDTH + entries.length}.`);
        entries.push(bytes.slice(at + 2, at + 2 + length));
        at += 2 + length;
      }
      for (const [i, entry] of entries.entries()) {
        if (!equal(await leafHash(entry), hashes[i])) throw new Tampered(`Entry ${n * WIDTH + i} is not the one whose hash is in ${tilePath(0, n, width)}.`);
      }
      return entries;
    });
  }

  async entry(index) {
    return (await this.entries(Math.floor(index / WIDTH)))[index % WIDTH];
  }

  // node returns the hash of the complete subtree of 2^level entries that is the index-th of its level.
  async node(level, index) {
    const within = level % 8;
    const first = index * 2 ** within;
    const hashes = await this.hashes((level - within) / 8, Math.floor(first / WIDTH));
    let row = hashes.slice(first % WIDTH, (first % WIDTH) + 2 ** within);
    while (row.length > 1) {
      row = await Promise.all(Array.from({ length: row.length / 2 }, (_, i) => nodeHash(row[2 * i], row[2 * i + 1])));
    }
    return row[0];
  }

  // nodes returns the largest complete subtrees that make up the entries from lo up to hi, by "lo-hi".
  async nodes(lo, hi) {
    const found = new Map();
    while (lo < hi) {
      let level = 0;
      let width = 1;
      while (lo % (2 * width) === 0 && lo + 2 * width <= hi) {
        width *= 2;
        level++;
      }
      found.set(`${lo}-${lo + width}`, await this.node(level, lo / width));
      lo += width;
    }
    return found;
  }

  // hash returns the tree hash of the entries from lo up to hi, as RFC 6962 splits them.
  async hash(lo, hi) {
    return lo === hi ? sha256(new Uint8Array()) : fold(await this.nodes(lo, hi), lo, hi);
  }

  // path returns the inclusion proof of an entry, from its sibling upwards.
  async path(index) {
    const proof = [];
    for (let lo = 0, hi = this.size; hi - lo > 1; ) {
      const middle = lo + split(hi - lo);
      const below = index < middle;
      proof.unshift(await (below ? this.hash(middle, hi) : this.hash(lo, middle)));
      if (below) hi = middle;
      else lo = middle;
    }
    return proof;
  }
}

// split returns the largest power of two below n.
function split(n) {
  let k = 1;
  while (k * 2 < n) k *= 2;
  return k;
}

async function fold(nodes, lo, hi) {
  const known = nodes.get(`${lo}-${hi}`);
  if (known) return known;
  const middle = lo + split(hi - lo);
  return nodeHash(await fold(nodes, lo, middle), await fold(nodes, middle, hi));
}

// checkInclusion compares the root that an entry's hash and its proof lead to with a checkpoint's (RFC 9162, section 2.1.3.2).
export async function checkInclusion(index, hash, proof, checkpoint) {
  if (index >= checkpoint.size) throw new Tampered(`There is no entry ${index} among the ${checkpoint.size} of the checkpoint.`);
  let at = index;
  let last = checkpoint.size - 1;
  let root = hash;
  for (const sibling of proof) {
    if (last === 0) throw new Tampered("The proof is too long for the log's size.");
    if (at % 2 === 1 || at === last) {
      root = await nodeHash(sibling, root);
      while (at % 2 === 0 && at !== 0) {
        at /= 2;
        last = Math.floor(last / 2);
      }
    } else {
      root = await nodeHash(root, sibling);
    }
    at = Math.floor(at / 2);
    last = Math.floor(last / 2);
  }
  if (last !== 0) throw new Tampered("The proof is too short for the log's size.");
  if (!equal(root, checkpoint.root)) throw new Tampered(`The proof leads to the root ${toBase64(root)}, and signed is ${toBase64(checkpoint.root)}.`);
  return root;
}

// checkConsistency computes an older root and the present one from the same nodes: then the log of now begins with that of then.
export async function checkConsistency(tiles, older, now) {
  if (older.size > now.size) throw new Tampered(`The log had ${older.size} entries then, and has ${now.size} now. A log never gets shorter.`);
  if (older.size === 0) return;
  const nodes = new Map([...(await tiles.nodes(0, older.size)), ...(await tiles.nodes(older.size, now.size))]);
  if (!equal(await fold(nodes, 0, older.size), older.root)) {
    throw new Tampered(`The first ${older.size} entries are not what they were: the log was forked, and both faces of it are signed.`);
  }
  if (!equal(await fold(nodes, 0, now.size), now.root)) throw new Tampered("The tiles do not lead to the signed root.");
}

// Receipts, by C2SP tlog-proof.

export function parseReceipt(text) {
  const at = text.indexOf("\n\n");
  const lines = text.slice(0, Math.max(at, 0)).split("\n");
  if (lines.shift() !== "c2sp.org/tlog-proof@v1") throw new Tampered("That is no receipt: it would begin with c2sp.org/tlog-proof@v1.");
  const extra = lines[0]?.startsWith("extra ") ? fromBase64(lines.shift().slice(6)) : null;
  const index = /^index (0|[1-9][0-9]{0,15})$/.exec(lines.shift() ?? "");
  const proof = lines.map(fromBase64);
  if (!extra || !index || proof.length > 63 || proof.some((hash) => hash?.length !== HASH)) throw new Tampered("The receipt is not of its form.");
  const end = extra.indexOf(10);
  const entry = end < 0 ? extra : extra.slice(0, end);
  const openings = end < 0 ? "" : utf8(extra.slice(end + 1), "What opens the receipt's accounts");
  return { index: Number(index[1]), entry, proof, note: text.slice(at + 2), openings: openings.split("\n").filter(Boolean).map(parseOpening) };
}

function parseOpening(line) {
  try {
    const { account, blind, posting, side, version } = JSON.parse(line);
    const bytes = fromBase64(blind);
    if (bytes.length === HASH && (side === "from" || side === "to") && /^[0-9]+$/.test(posting) && /^[1-9][0-9]{0,18}$/.test(version)) {
      return { account, blind: bytes, posting: Number(posting), side, version };
    }
  } catch {
    // It is told below.
  }
  throw new Tampered("The receipt opens an account in a form that there is none of.");
}

const SYMBOLS = "0123456789abcdefghjkmnpqrstvwxyz";

// accountBytes returns the 16 bytes within an id such as acct_01k….
function accountBytes(id) {
  const parts = /^acct_([0-7][0-9a-hjkmnp-tv-z]{25})$/.exec(id);
  if (!parts) throw new Tampered(`${id} is no account's id.`);
  const value = [...parts[1]].reduce((n, c) => n * 32n + BigInt(SYMBOLS.indexOf(c)), 0n);
  return concat(uint64(value >> 64n), uint64(value & 0xffffffffffffffffn));
}

// checkOpening compares the commitment that an opening leads to with the account in the entry.
export async function checkOpening(entry, opening) {
  const preimage = concat(encoder.encode("ballast/account/v1\n"), opening.blind, accountBytes(opening.account), uint64(opening.version));
  const commitment = "#" + toBase64(await sha256(preimage)).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
  if (entry.postings?.[opening.posting]?.[opening.side] !== commitment) {
    throw new Tampered(`The entry's posting ${opening.posting} is not of ${opening.account}.`);
  }
}
