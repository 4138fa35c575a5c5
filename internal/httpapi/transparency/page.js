// The page at work: it checks the log with log.js, and says what came of each step. The server's figures stand without it.
import { Incomplete, Tampered, Tiles, checkConsistency, checkInclusion, checkOpening, cosignedAt, equal, leafHash, openCheckpoint, parseKey, parseReceipt, supported, toBase64, utf8 } from "./log.js";

const LATEST = 10;
const KEYS = "ballast.transparency.keys";
const SEEN = "ballast.transparency.seen";

const byId = (id) => document.getElementById(id);

function element(name, attributes, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

// What this browser remembers. Where it may not remember anything, the page works all the same.
const memory = {
  get(key) {
    try {
      return localStorage.getItem(key);
    } catch {
      return null;
    }
  },
  set(key, value) {
    try {
      localStorage.setItem(key, value);
      return true;
    } catch {
      return false;
    }
  },
  remove(key) {
    try {
      localStorage.removeItem(key);
    } catch {
      // Then it was never there.
    }
  },
};

// ask returns a file of the log, or null where it has none.
async function ask(path, options) {
  let answer;
  try {
    answer = await fetch(`/log/${path}`, { credentials: "omit", referrerPolicy: "no-referrer", ...options });
  } catch {
    throw new Incomplete(`/log/${path} could not be fetched.`);
  }
  if (answer.status === 404) return null;
  if (!answer.ok) throw new Incomplete(`/log/${path} was answered with ${answer.status}.`);
  return new Uint8Array(await answer.arrayBuffer());
}

async function askText(path) {
  const bytes = await ask(path, { cache: "no-store" });
  if (!bytes) throw new Incomplete(`The log does not serve ${path}.`);
  return utf8(bytes, path);
}

// Steps and verdicts.

const SAID = { busy: "under way", ok: "passed", note: "note", bad: "failed", open: "not checked" };

// checklist returns what adds steps to a list. A step that fails ends what it is a step of.
function checklist(list) {
  list.replaceChildren();
  return async (title, work) => {
    const said = element("span", { class: "unseen" });
    const detail = element("p", {});
    const item = element("li", { "data-state": "busy" }, element("div", {}, element("strong", {}, title), " ", said, detail));
    const become = (state, text) => {
      item.dataset.state = state;
      said.textContent = SAID[state];
      detail.textContent = text;
    };
    become("busy", "");
    list.append(item);
    try {
      const { text, state = "ok", value } = await work();
      become(state, text);
      return value;
    } catch (error) {
      become(error instanceof Tampered ? "bad" : "open", error instanceof Error ? error.message : String(error));
      if (error.evidence) detail.after(element("pre", { "aria-label": "Evidence" }, error.evidence));
      throw error;
    }
  };
}

const WORDS = {
  busy: ["Checking…", "This browser is checking the log."],
  verified: ["Verified by this browser", "What it was shown is signed and whole, and contradicts nothing that it saw before."],
  unkeyed: ["Consistent, by the key this server gave", "What it was shown is signed and whole, and contradicts nothing that it saw before. Enter a key that you have from elsewhere, and it means more."],
  tampered: ["Does not verify", "What this server shows contradicts itself, its signature, or what this browser saw before. Keep what you have, and tell others."],
  incomplete: ["Could not be checked", "Something that the check needs is not there. That alone does not mean that anything was changed."],
};

function say(verdict) {
  const panel = byId("verdict");
  panel.dataset.verdict = verdict;
  [byId("verdict-title").textContent, byId("verdict-text").textContent] = WORDS[verdict];
}

const verdictOf = (error) => (error instanceof Tampered ? "tampered" : "incomplete");
const plural = (n, one, many) => `${n.toLocaleString("en")} ${n === 1 ? one : many}`;

function ago(then) {
  const seconds = Math.max(0, Math.round((Date.now() - then) / 1000));
  if (seconds < 90) return `${seconds} s ago`;
  if (seconds < 5400) return `${Math.round(seconds / 60)} min ago`;
  if (seconds < 172800) return `${Math.round(seconds / 3600)} h ago`;
  return `${Math.round(seconds / 86400)} days ago`;
}

// The keys by which to verify.

async function readKeys() {
  const own = memory.get(KEYS);
  const keys = await Promise.all((own ?? (await askText("vkey"))).split("\n").filter((line) => line.trim()).map(parseKey));
  const log = keys.find((key) => !key.witness);
  if (!log) throw new Incomplete("There is no key of a log among these, only witnesses'.");
  return { log, witnesses: keys.filter((key) => key.witness), own: own !== null };
}

async function checkKeys() {
  const keys = await readKeys();
  const text = keys.own
    ? `${keys.log.text}, which you entered${keys.witnesses.length ? `, and ${plural(keys.witnesses.length, "witness's", "witnesses'")}` : ""}.`
    : `${keys.log.text}, as this server gives it. Whoever could forge the log could give another key, so it proves little.`;
  return { value: keys, state: keys.own ? "ok" : "note", text };
}

async function checkCosignatures(checkpoint, witnesses) {
  const names = checkpoint.signatures.filter((s) => s.name !== checkpoint.origin).map((s) => s.name);
  if (witnesses.length === 0) {
    const there = names.length ? `There are ${plural(names.length, "cosignature", "cosignatures")}: ${names.join(", ")}.` : "There are none yet.";
    return { state: "note", text: `${there} Enter witnesses' keys to have them verified.` };
  }
  const times = await Promise.all(witnesses.map((witness) => cosignedAt(checkpoint, witness)));
  const given = times.flatMap((time, i) => (time ? [`${witnesses[i].name} ${ago(time)}`] : []));
  const text = `${given.length} of ${plural(witnesses.length, "witness", "witnesses")} cosigned it${given.length ? `: ${given.join(", ")}` : ""}.`;
  return { state: given.length ? "ok" : "note", text };
}

// The check of the log as a whole.

// now is what was verified last: keys, checkpoint and tiles. Whoever proves an entry goes on from there.
let now = null;

async function checkLatest(checkpoint) {
  const tiles = new Tiles(checkpoint.size, ask);
  const latest = [];
  for (let n = Math.floor((checkpoint.size - 1) / 256); n >= 0 && latest.length < LATEST; n--) {
    const entries = await tiles.entries(n);
    for (let i = entries.length - 1; i >= 0 && latest.length < LATEST; i--) latest.push({ index: n * 256 + i, bytes: entries[i] });
  }
  for (const { index, bytes } of latest) await checkInclusion(index, await leafHash(bytes), await tiles.path(index), checkpoint);
  if (!equal(await tiles.hash(0, checkpoint.size), checkpoint.root)) throw new Tampered("The tiles do not lead to the signed root.");
  const text = `${plural(latest.length, "entry", "entries")} hashed again, with ${plural(tiles.read.length, "file", "files")} of the log, up to the signed root.`;
  return { value: { tiles, latest }, text };
}

// checkSeen compares the checkpoint with the one that this browser saw here last, whatever name and key it was signed under.
async function checkSeen(tiles, checkpoint, log) {
  const kept = memory.get(SEEN);
  if (!kept) {
    const text = memory.set(SEEN, checkpoint.note) ? "This browser has not been here before. From now on it remembers." : "This browser keeps nothing, so it cannot compare.";
    return { state: "note", text };
  }
  // What is remembered stays what it was, so that both checkpoints can be shown to others.
  const withEvidence = (error) => {
    error.evidence = `${kept}\n${checkpoint.note}`;
    throw error;
  };
  const older = await openCheckpoint(kept, log).catch(() => {
    throw new Tampered("What this browser saw here before was signed by another key, or for another log. Unless that change was announced, believe neither.");
  }).catch(withEvidence);
  await checkConsistency(tiles, older, checkpoint).catch(withEvidence);
  memory.set(SEEN, checkpoint.note);
  const more = checkpoint.size - older.size;
  const seen = plural(older.size, "entry", "entries");
  return { text: more ? `The ${seen} seen here before are the first of it; ${more.toLocaleString("en")} more came since.` : `The same ${seen} as were seen here before.` };
}

// One check, or proof, at a time.
let turn = Promise.resolve();
const inTurn = (work) => (turn = turn.then(work));

async function check() {
  say("busy");
  now = null;
  const step = checklist(byId("steps"));
  try {
    await step("Means", async () => {
      const lacking = await supported();
      if (lacking) throw new Incomplete(lacking);
      return { text: "This browser's own SHA-256 and Ed25519 (WebCrypto)." };
    });
    const keys = await step("Key", checkKeys);
    const checkpoint = await step("Signature", async () => {
      const opened = await openCheckpoint(await askText("checkpoint"), keys.log);
      return { value: opened, text: `${opened.origin} signed ${plural(opened.size, "entry", "entries")} under the root ${toBase64(opened.root)}.` };
    });
    await step("Cosignatures", () => checkCosignatures(checkpoint, keys.witnesses));
    const { tiles, latest } = await step("Entries", () => checkLatest(checkpoint));
    showLatest(latest);
    await step("History", () => checkSeen(tiles, checkpoint, keys.log));
    now = { keys, checkpoint, tiles };
    say(keys.own ? "verified" : "unkeyed");
  } catch (error) {
    say(verdictOf(error));
  }
}

// Entries, as a person reads them.

// millionths writes an amount as people read it: tokens and hours are in millionths.
const millionths = (minor) => (/^[0-9]+$/.test(minor ?? "") ? `${BigInt(minor) / 1000000n}.${String(BigInt(minor) % 1000000n).padStart(6, "0").replace(/0{1,4}$/, "")}` : "?");

function summary(entry) {
  const posting = entry.postings?.find((p) => p.asset === "SCH") ?? entry.postings?.[0];
  switch (entry.type) {
    case "transaction":
      return posting ? `${millionths(posting.amount)} ${posting.asset === "SCH" ? "SCH" : "hours"}` : "";
    case "pledge":
      return `${entry.event}: ${millionths(entry.hours)} hours of ${entry.gpu_class}`;
    case "liabilities":
      return `${millionths(entry.total)} SCH owed at size ${entry.size}`;
    case "coverage":
      return `${entry.from} → ${entry.to}${entry.provider ? ", one provider" : ", all providers"}`;
    case "epoch":
      return `number ${entry.number}`;
    case "policy":
      return `version ${entry.version}`;
    case "key":
      return `${entry.use}: ${entry.event}`;
    default:
      return entry.gpu_class ?? entry.status ?? "";
  }
}

function parseEntry(bytes) {
  try {
    return JSON.parse(utf8(bytes, "The entry"));
  } catch {
    return { type: "not readable" };
  }
}

function showLatest(latest) {
  const rows = latest.map(({ index, bytes }) => {
    const entry = parseEntry(bytes);
    const prove = element("button", { type: "button", class: "quiet", "data-prove": index, "aria-label": `Prove entry ${index}` }, "Prove");
    const what = (entry.kind ?? entry.type ?? "").replaceAll("_", " ");
    const at = String(entry.at ?? "").replace("T", " ").replace(/\.[0-9]+Z$/, " UTC");
    return element("tr", {},
      element("th", { scope: "row", class: "number" }, String(index)),
      element("td", {}, element("span", { class: "kind" }, what), element("span", { class: "what" }, summary(entry))),
      element("td", { class: "when" }, at),
      element("td", { class: "act" }, prove));
  });
  byId("entries").replaceChildren(...rows);
  byId("latest").hidden = false;
  byId("latest-waiting").hidden = true;
}

// The proof of one entry.

async function proveIndex(step, index) {
  const { checkpoint, tiles } = now;
  const bytes = await step("Entry", async () => {
    if (index >= checkpoint.size) throw new Incomplete(`The log has ${plural(checkpoint.size, "entry", "entries")}: the last is ${checkpoint.size - 1}.`);
    const found = await tiles.entry(index);
    return { value: found, text: `Entry ${index} is ${plural(found.length, "byte", "bytes")} long and its leaf hash is ${toBase64(await leafHash(found))}.` };
  });
  await step("Inclusion", async () => {
    const proof = await tiles.path(index);
    await checkInclusion(index, await leafHash(bytes), proof, checkpoint);
    return { text: `${plural(proof.length, "hash", "hashes")} from the tiles lead from it to the signed root of ${plural(checkpoint.size, "entry", "entries")}.` };
  });
  return bytes;
}

async function proveReceipt(step, text) {
  const { keys, checkpoint, tiles } = now;
  const { receipt, then } = await step("Receipt", async () => {
    const receipt = parseReceipt(text);
    const then = await openCheckpoint(receipt.note, keys.log);
    return { value: { receipt, then }, text: `It is for entry ${receipt.index}, under a signed checkpoint of ${plural(then.size, "entry", "entries")}.` };
  });
  await step("Inclusion", async () => {
    await checkInclusion(receipt.index, await leafHash(receipt.entry), receipt.proof, then);
    return { text: `${plural(receipt.proof.length, "hash", "hashes")} of the receipt lead from its entry to that root.` };
  });
  await step("The log of now", async () => {
    if (then.size > checkpoint.size) throw new Incomplete("The receipt is newer than the checkpoint of this page: check the log again.");
    await checkConsistency(tiles, then, checkpoint);
    return { text: "The log still begins with what the receipt's checkpoint says." };
  });
  await step("Accounts", async () => {
    for (const opening of receipt.openings) await checkOpening(parseEntry(receipt.entry), opening);
    if (receipt.openings.length === 0) return { state: "note", text: "The receipt opens none: whose entry it is, it does not show." };
    return { text: `It is of ${receipt.openings.map((o) => `${o.account} (${o.side}, version ${o.version})`).join(", ")}.` };
  });
  return receipt.entry;
}

// receiptOf takes a receipt by itself, or the JSON document of the API with one in it.
function receiptOf(text) {
  if (!text.startsWith("{")) return text;
  try {
    const { proof } = JSON.parse(text);
    if (typeof proof === "string") return proof.trim();
  } catch {
    // It is told below.
  }
  throw new Incomplete("That document has no proof: the entry is not published yet, or it is no receipt.");
}

async function prove(asked) {
  const result = byId("proof");
  const step = checklist(byId("proof-steps"));
  result.hidden = false;
  result.dataset.verdict = "busy";
  byId("proof-entry").hidden = true;
  try {
    if (!now) await step("The log", async () => { throw new Incomplete("The log itself has not been verified. What it says of one entry means nothing then."); });
    const index = /^[0-9]{1,15}$/.test(asked) ? Number(asked) : -1;
    const bytes = index >= 0 ? await proveIndex(step, index) : await proveReceipt(step, await step("Form", async () => {
      const text = receiptOf(asked);
      return { value: text + "\n", text: "A receipt, as text." };
    }));
    byId("proof-json").textContent = JSON.stringify(parseEntry(bytes), null, 2);
    byId("proof-entry").hidden = false;
    result.dataset.verdict = "verified";
  } catch (error) {
    result.dataset.verdict = verdictOf(error);
  }
}

// What a visitor can do.

function listen() {
  byId("again").addEventListener("click", () => inTurn(check));
  byId("prove").addEventListener("submit", (event) => {
    event.preventDefault();
    const asked = byId("asked").value.trim();
    if (asked) inTurn(() => prove(asked));
  });
  document.addEventListener("click", (event) => {
    const index = event.target.closest?.("[data-prove]")?.dataset.prove;
    if (index === undefined) return;
    event.preventDefault();
    byId("asked").value = index;
    byId("prove-one").scrollIntoView();
    inTurn(() => prove(index));
  });
  byId("keys").value = memory.get(KEYS) ?? "";
  byId("key-form").addEventListener("submit", (event) => {
    event.preventDefault();
    const keys = byId("keys").value.trim();
    if (keys) memory.set(KEYS, keys);
    else memory.remove(KEYS);
    inTurn(check);
  });
  byId("forget").addEventListener("click", () => {
    byId("keys").value = "";
    memory.remove(KEYS);
    memory.remove(SEEN);
    inTurn(check);
  });
}

for (const place of document.querySelectorAll("[data-host]")) place.textContent = location.origin;
for (const place of document.querySelectorAll("time[data-age]")) place.textContent = ago(new Date(place.dateTime));
for (const place of document.querySelectorAll("[data-script]")) place.hidden = false;
listen();
inTurn(check);
