// @ts-check
/**
 * Verify an evidence bundle in a browser: no network, no storage, no dependencies.
 *
 * The second implementation of docs/ledger.md beside app/audit/verify.py; both run on the vectors in
 * tests/vectors/bundle and give the same codes for the same checks. `verifyBundle` never throws and decides by its
 * reasons alone:
 *
 *   PASS        everything checked here is proven under the pinned genesis, or the one that a pinned list names
 *   FAIL        something is wrong
 *   INCOMPLETE  nothing is wrong, but something could not be decided
 *
 * Not done here, and always said: the custody rules are not judged again, ML-DSA-44 cosignatures and RFC 3161
 * stamps are not verified. The command `custody verify` does all three.
 *
 * @typedef {"fail" | "incomplete" | "note"} Level
 * @typedef {{level: Level, code: string, detail: string, index: number | null, event: string | null}} Reason
 * @typedef {{genesis?: string, origin?: string, ledgers?: Uint8Array, ledgersKey?: string, ledgerKeys?: string[],
 *            policy?: Uint8Array}} Pins
 * @typedef {{name: string, type: number, raw: Uint8Array, id: string, text: string}} VerifierKey
 * @typedef {{origin: string, genesis: string, key: VerifierKey, url: string}} Listed
 * @typedef {{name: string, id: string, blob: Uint8Array, line: string}} NoteSignature
 * @typedef {{text: string, signatures: NoteSignature[]}} Note
 * @typedef {{origin: string, size: bigint, root: Uint8Array}} Checkpoint
 * @typedef {{kid: string, alg: string, raw: Uint8Array, key: CryptoKey}} PublicKey
 * @typedef {{protected: string, kid: string, alg: string, signature: Uint8Array}} JwsSignature
 * @typedef {{payload: string, bytes: Uint8Array, signatures: JwsSignature[]}} Jws
 * @typedef {{index: number, hash: string, event: string, body: any, jws: Jws, verdict: any, links: any[],
 *            receivedAt: string, proven: boolean}} Leaf
 * @typedef {{done: number, total: number}} Progress
 */

export const LIMITS = Object.freeze({
  files: 10_000, bytes: 200 * 1024 * 1024, manifest: 2 * 1024 * 1024, leaf: 65_535, payload: 16 * 1024,
  signatures: 16, depth: 16, note: 64 * 1024, noteSignatures: 100, pathHashes: 63, policy: 256 * 1024,
  policyLines: 64, ledgers: 1000, url: 500, units: 256, after: 32, private: 64 * 1024, reasons: 200,
});

/** Types of events that a ledger may hold; one that is not here fails closed. */
export const EVENT_TYPES = Object.freeze([
  "ledger.genesis", "ledger.rekey", "agency.join", "founders.change", "policy.publish", "plan.publish", "key.enrol",
  "key.revoke", "decision", "labels.issue", "unit.commission", "unit.pack", "unit.unpack", "lot.move",
  "custody.release", "custody.accept", "custody.reject", "custody.cancel", "seal.apply", "seal.remove", "unit.open",
  "unit.close", "quarantine.set", "quarantine.clear", "hold.set", "hold.clear", "unit.void", "unit.destroy",
  "correction", "retraction", "discrepancy.explain", "incident.update", "incident.close", "inspection.plan",
  "inspection.open", "inspection.skip", "inspection.close", "sighting", "inspection", "count", "seal.inspect",
  "position", "condition", "access", "departed", "arrived", "incident.report", "objection", "witness.attest",
  "witness.refuse", "heads.commit", "verdict", "ledger.close", "shard.checkpoint",
]);

/** SHA-256 of every README.txt that this format ever had; a test compares the newest. */
export const README_HASHES = Object.freeze(["pdI0-INllUh7XDptgAPXTzgl5ZMVDRvYTS0egnRyOaM"]);

/** What is wrong, as a stable code and a sentence. */
export class Refusal extends Error {
  /** @param {string} code @param {string} detail @param {Level} level */
  constructor(code, detail, level = "fail") {
    super(detail);
    this.code = code;
    this.level = level;
  }
}

/** @param {string} code @param {string} detail @returns {never} */
function refuse(code, detail) {
  throw new Refusal(code, detail);
}

// -- bytes ---------------------------------------------------------------------------------------------------

const encoder = new TextEncoder();
const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** @param {string} text */
export const utf8 = (text) => encoder.encode(text);

/** @param {Uint8Array} a @param {Uint8Array} b */
export const sameBytes = (a, b) => a.length === b.length && a.every((byte, i) => byte === b[i]);

/** @param {Uint8Array} data */
export const hex = (data) => Array.from(data, (byte) => byte.toString(16).padStart(2, "0")).join("");

/** @param {...Uint8Array} parts */
export function concat(...parts) {
  const all = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}

/** @param {Uint8Array} data */
export async function sha256(data) {
  return new Uint8Array(await crypto.subtle.digest("SHA-256", /** @type {BufferSource} */ (data)));
}

/** @param {number | bigint} value */
const u64 = (value) => {
  const data = new Uint8Array(8);
  new DataView(data.buffer).setBigUint64(0, BigInt(value));
  return data;
};

/** Encode as RFC 4648 section 4, padded. @param {Uint8Array} data */
export function encodeBase64(data) {
  let text = "";
  for (let at = 0; at < data.length; at += 8192) text += String.fromCharCode(...data.subarray(at, at + 8192));
  return btoa(text);
}

/** Decode standard base64 in the one spelling that encodes its bytes. @param {string} text */
export function decodeBase64(text) {
  if (text.length % 4 || !/^[A-Za-z0-9+/]*={0,2}$/.test(text)) refuse("base64", "This is not standard base64.");
  let binary = "";
  try {
    binary = atob(text);
  } catch {
    refuse("base64", "This is not standard base64.");
  }
  if (btoa(binary) !== text) refuse("base64", "This base64 is not canonical.");
  return Uint8Array.from(binary, (character) => character.charCodeAt(0));
}

/** @param {Uint8Array} data */
export const b64url = (data) => encodeBase64(data).replace(/\+/g, "-").replace(/\//g, "_").replace(/=+$/, "");

/** Decode base64url without padding, in its one spelling. @param {string} text @param {number} [length] bytes */
export function decodeB64url(text, length) {
  if (!/^[A-Za-z0-9_-]*$/.test(text) || text.length % 4 === 1) refuse("base64", "Not canonical base64url.");
  const padded = text.replace(/-/g, "+").replace(/_/g, "/") + "===".slice((text.length + 3) % 4);
  const data = decodeBase64(padded);
  if (length !== undefined && data.length !== length) refuse("base64", "Not base64url of the expected length.");
  return data;
}

/** Parse a decimal below 2^63 without leading zeros. @param {string} text */
export function parseDecimal(text) {
  if (!/^(0|[1-9][0-9]{0,18})$/.test(text) || BigInt(text) >= 2n ** 63n) refuse("decimal", "This is no plain decimal.");
  return BigInt(text);
}

// -- JSON: RFC 7493, and its one canonical spelling, RFC 8785 ----------------------------------------------------

const SPACE = /[ \t\n\r]*/y;
const STRING = /"[^"\\\u0000-\u001f]*(?:\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4})[^"\\\u0000-\u001f]*)*"/y;
const NUMBER = /-?(?:0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?/y;
const NOT_A_NUMBER = /NaN|-?Infinity/y;
const FORBIDDEN_TEXT = new RegExp(
  `[\\u0000\\ud800-\\udfff\\ufdd0-\\ufdef${Array.from({ length: 17 }, (_, plane) =>
    `\\u{${(plane * 65536 + 0xfffe).toString(16)}}\\u{${(plane * 65536 + 0xffff).toString(16)}}`).join("")}]`, "u");

class JsonReader {
  /** @param {string} text @param {number} maxDepth */
  constructor(text, maxDepth) {
    this.text = text;
    this.at = 0;
    this.maxDepth = maxDepth;
  }

  /** @returns {never} */
  fail() {
    return refuse("json_syntax", "The bytes are not JSON.");
  }

  /** @param {RegExp} pattern sticky */
  match(pattern) {
    pattern.lastIndex = this.at;
    const found = pattern.exec(this.text);
    if (found) this.at = pattern.lastIndex;
    return found;
  }

  /** @param {string} character */
  takes(character) {
    this.match(SPACE);
    if (this.text[this.at] !== character) return false;
    this.at += 1;
    return true;
  }

  /** @param {number} depth @returns {any} */
  value(depth) {
    this.match(SPACE);
    const first = this.text[this.at];
    if (first === "{" || first === "[") {
      if (depth >= this.maxDepth) refuse("json_depth", "JSON is nested too deeply.");
      this.at += 1;
      return first === "{" ? this.object(depth + 1) : this.array(depth + 1);
    }
    if (first === '"') return this.string();
    for (const [word, value] of /** @type {[string, any][]} */ ([["true", true], ["false", false], ["null", null]])) {
      if (this.text.startsWith(word, this.at)) {
        this.at += word.length;
        return value;
      }
    }
    return this.number();
  }

  string() {
    const found = this.match(STRING);
    if (!found) this.fail();
    const text = JSON.parse(found[0]);
    if (FORBIDDEN_TEXT.test(text)) refuse("json_text", "JSON text holds a character that I-JSON forbids.");
    return text;
  }

  number() {
    if (this.match(NOT_A_NUMBER)) refuse("json_float", "JSON numbers must be plain integers.");
    const found = this.match(NUMBER);
    if (!found) return this.fail();
    if (found[1] || found[2] || found[0] === "-0") refuse("json_float", "JSON numbers must be plain integers.");
    const value = Number(found[0]);
    if (found[0].length > 17 || !Number.isSafeInteger(value)) {
      refuse("json_integer_range", "A JSON integer is beyond 2^53-1.");
    }
    return value;
  }

  /** @param {number} depth */
  array(depth) {
    /** @type {any[]} */
    const items = [];
    if (this.takes("]")) return items;
    do items.push(this.value(depth));
    while (this.takes(","));
    return this.takes("]") ? items : this.fail();
  }

  /** @param {number} depth */
  object(depth) {
    const members = Object.create(null);
    if (this.takes("}")) return members;
    do {
      this.match(SPACE);
      if (this.text[this.at] !== '"') this.fail();
      const name = this.string();
      if (/[^\u0000-\u007f]/.test(name)) refuse("json_name", "JSON member names must be ASCII.");
      if (name in members) refuse("json_duplicate_name", "A JSON object repeats a name.");
      if (!this.takes(":")) this.fail();
      members[name] = this.value(depth);
    } while (this.takes(","));
    return this.takes("}") ? members : this.fail();
  }
}

/**
 * Read bytes as I-JSON without floats; objects have no prototype.
 * @param {Uint8Array} data @param {number} maxBytes @param {number} [maxDepth]
 */
export function parseJson(data, maxBytes, maxDepth = LIMITS.depth) {
  if (data.length > maxBytes) refuse("json_too_large", "The JSON text exceeds its limit.");
  let text = "";
  try {
    text = decoder.decode(data);
  } catch {
    refuse("json_encoding", "JSON must be well-formed UTF-8.");
  }
  if (data[0] === 0 || data[1] === 0 || text.startsWith("\ufeff")) refuse("json_encoding", "JSON must be plain UTF-8.");
  const reader = new JsonReader(text, maxDepth);
  const value = reader.value(0);
  reader.match(SPACE);
  return reader.at === text.length ? value : refuse("json_syntax", "Something follows the JSON value.");
}

/** Write a parsed value as canonical JSON. @param {any} value @returns {string} */
export function canonical(value) {
  if (value === null || typeof value !== "object") return JSON.stringify(value);
  if (Array.isArray(value)) return `[${value.map(canonical).join(",")}]`;
  return `{${Object.keys(value).sort().map((name) => `${JSON.stringify(name)}:${canonical(value[name])}`).join(",")}}`;
}

/** @param {any} value @param {...string} names */
const hasExactly = (value, ...names) =>
  value !== null && typeof value === "object" && !Array.isArray(value) &&
  Object.keys(value).length === names.length && names.every((name) => name in value);

// -- the zip: what app/audit/bundle.py writes, and no other spelling of it ------------------------------------------

const CRC_TABLE = Uint32Array.from({ length: 256 }, (_, n) => {
  for (let bit = 0; bit < 8; bit += 1) n = n & 1 ? (n >>> 1) ^ 0xedb88320 : n >>> 1;
  return n >>> 0;
});

/** @param {Uint8Array} data */
function crc32(data) {
  let crc = 0xffffffff;
  for (const byte of data) crc = (crc >>> 8) ^ CRC_TABLE[(crc ^ byte) & 255];
  return (crc ^ 0xffffffff) >>> 0;
}

const INDEX = "0|[1-9][0-9]{0,15}";
const NAME = new RegExp(
  `^(?:manifest\\.json|README\\.txt|checkpoint|policy|verify\\.html|leaves/(?<leaf>${INDEX})\\.json|` +
  `proofs/(?<proof>${INDEX})\\.tlog-proof|documents/(?<document>[A-Za-z0-9_-]{43})\\.(?<suffix>json|txt)|` +
  `private/(?<private>${INDEX})/(?<name>[A-Za-z0-9][A-Za-z0-9._:-]{0,39})\\.json|` +
  "heads/(?<head>[0-9A-HJKMNP-TV-Z]{17})\\.json|stamps/(?<stamp>0|[1-9][0-9]{0,5})\\.tsr)$");

/**
 * Read a zip whose every claim is bounded before it is believed. Only the bytes that our own writer gives are taken:
 * nothing compressed, fixed times and attributes, no gaps, no comments, no extra fields.
 * @param {Uint8Array} data @returns {Map<string, Uint8Array>}
 */
export function readZip(data) {
  if (data.length > LIMITS.bytes) refuse("bundle_too_large", "The bundle has too many bytes.");
  const view = new DataView(data.buffer, data.byteOffset, data.byteLength);
  const end = data.length - 22;
  const broken = () => refuse("bundle_zip", "This is no zip as this service writes it, or not all of it.");
  if (end < 30 || view.getUint32(0) !== 0x504b0304 || view.getUint32(end) !== 0x504b0506) broken();
  const count = view.getUint16(end + 10, true);
  let at = view.getUint32(end + 16, true);
  if (view.getUint32(end + 4) || view.getUint16(end + 8, true) !== count || view.getUint16(end + 20)) broken();
  if (at + view.getUint32(end + 12, true) !== end) broken();
  if (count > LIMITS.files) refuse("bundle_too_large", "The bundle has too many files.");
  const central = at;
  const entries = [];
  for (let n = 0; n < count; n += 1) {
    if (at + 46 > end || view.getUint32(at) !== 0x504b0102) broken();
    const [nameLength, more] = [view.getUint16(at + 28, true), view.getUint32(at + 30)];
    if (more || at + 46 + nameLength > end) broken();
    entries.push({
      name: String.fromCharCode(...data.subarray(at + 46, at + 46 + Math.min(nameLength, 4096))), at,
      flags: view.getUint16(at + 8, true), method: view.getUint16(at + 10, true), crc: view.getUint32(at + 16, true),
      packed: view.getUint32(at + 20, true), size: view.getUint32(at + 24, true), mode: view.getUint16(at + 40, true),
      local: view.getUint32(at + 42, true),
    });
    at += 46 + nameLength;
  }
  if (at !== end) broken();
  const total = entries.reduce((sum, entry) => sum + entry.size, 0);
  if (total > LIMITS.bytes) refuse("bundle_too_large", "The bundle unpacks to too many bytes.");
  if (new Set(entries.map((entry) => entry.name)).size !== count) refuse("bundle_names", "A file is named twice.");
  let next = 0;
  for (const entry of entries) {
    if (!NAME.test(entry.name)) refuse("bundle_names", "The bundle holds a file that does not belong to this format.");
    if (![0, 0o100000].includes(entry.mode & 0o170000) || entry.flags & 1) {
      refuse("bundle_entry", "An entry is a link or encrypted.");
    }
    if (entry.method !== 0 || entry.size !== entry.packed) {
      refuse("bundle_entry", "An entry is packed in a way that this format does not use.");
    }
    if (entry.local !== next || !headersAreOurs(view, data, entry)) broken();
    next += 30 + entry.name.length + entry.packed;
    if (next > central) broken();
  }
  if (next !== central) broken();
  const files = new Map();
  for (const entry of entries) {
    const start = entry.local + 30 + entry.name.length;
    const content = data.subarray(start, start + entry.size);
    if (content.length !== entry.size) refuse("bundle_entry", "An entry is not as long as it says.");
    if (crc32(content) !== entry.crc) broken();
    files.set(entry.name, content);
  }
  return files;
}

/** @param {DataView} view @param {Uint8Array} data @param {any} entry */
function headersAreOurs(view, data, entry) {
  const { at, local, name } = entry;
  if (local + 30 + name.length > data.length) return false;
  const shared = sameBytes(data.subarray(at + 6, at + 30), data.subarray(local + 4, local + 28));
  return shared && view.getUint32(local) === 0x504b0304 && view.getUint16(local + 28) === 0 &&
    view.getUint32(at + 4) === 0x14031400 && entry.flags === 0 && view.getUint32(at + 12) === 0x00002100 &&
    view.getUint32(at + 34) === 0 && view.getUint32(at + 38) === 0x0000a481 &&
    sameBytes(data.subarray(at + 46, at + 46 + name.length), data.subarray(local + 30, local + 30 + name.length));
}

// -- the tree: RFC 9162 section 2.1 ----------------------------------------------------------------------------------

const HASH_BYTES = 32;
const MAX_SIZE = 2n ** 63n - 1n;

/** @param {Uint8Array} leaf */
export const leafHash = (leaf) => sha256(concat(Uint8Array.of(0), leaf));

/** @param {Uint8Array} left @param {Uint8Array} right */
export const nodeHash = (left, right) => sha256(concat(Uint8Array.of(1), left, right));

/**
 * Verify an inclusion proof, RFC 9162 section 2.1.3.2.
 * @param {bigint} index @param {bigint} size @param {Uint8Array} leaf @param {Uint8Array[]} path @param {Uint8Array} root
 */
export async function verifyInclusion(index, size, leaf, path, root) {
  const unproven = () => refuse("inclusion_proof", "The inclusion proof does not lead to the root.");
  if (index < 0n || index >= size || size > MAX_SIZE) unproven();
  if ([leaf, root, ...path].some((hash) => hash.length !== HASH_BYTES)) unproven();
  let [fn, sn, r] = [index, size - 1n, leaf];
  for (const p of path) {
    if (sn === 0n) unproven();
    if (fn & 1n || fn === sn) {
      r = await nodeHash(p, r);
      while (!(fn & 1n) && fn) [fn, sn] = [fn >> 1n, sn >> 1n];
    } else {
      r = await nodeHash(r, p);
    }
    [fn, sn] = [fn >> 1n, sn >> 1n];
  }
  if (sn !== 0n || !sameBytes(r, root)) unproven();
}

/**
 * Verify a consistency proof, RFC 9162 section 2.1.4.2; equal sizes need an empty path and equal roots.
 * @param {bigint} old @param {bigint} size @param {Uint8Array} oldRoot @param {Uint8Array} root @param {Uint8Array[]} path
 */
export async function verifyConsistency(old, size, oldRoot, root, path) {
  const unproven = () => refuse("consistency_proof", "The consistency proof does not join the two roots.");
  if (old <= 0n || old > size || size > MAX_SIZE) unproven();
  if ([oldRoot, root, ...path].some((hash) => hash.length !== HASH_BYTES)) unproven();
  if (old === size) {
    if (path.length || !sameBytes(oldRoot, root)) unproven();
    return;
  }
  if (!path.length) unproven();
  const hashes = (old & (old - 1n)) === 0n ? [oldRoot, ...path] : path;
  let [fn, sn] = [old - 1n, size - 1n];
  while (fn & 1n) [fn, sn] = [fn >> 1n, sn >> 1n];
  let [fr, sr] = [hashes[0], hashes[0]];
  for (const c of hashes.slice(1)) {
    if (sn === 0n) unproven();
    if (fn & 1n || fn === sn) {
      [fr, sr] = [await nodeHash(c, fr), await nodeHash(c, sr)];
      while (!(fn & 1n) && fn) [fn, sn] = [fn >> 1n, sn >> 1n];
    } else {
      sr = await nodeHash(sr, c);
    }
    [fn, sn] = [fn >> 1n, sn >> 1n];
  }
  if (!sameBytes(fr, oldRoot) || !sameBytes(sr, root) || sn !== 0n) unproven();
}

// -- signatures --------------------------------------------------------------------------------------------------------

const PRIME = 2n ** 255n - 19n;
const ORDER = 2n ** 252n + 27742317777372353535851937790883648493n;
const ORDER_8_Y = 0x05fc536d880238b13933c6d305acdfd5f098eff289f4c345b027b2c28f95e826n;
const LOW_ORDER_Y = new Set([0n, 1n, PRIME - 1n, ORDER_8_Y, PRIME - ORDER_8_Y]);

/** @param {Uint8Array} data little-endian */
const littleEndian = (data) => BigInt(`0x${hex(data.slice().reverse())}`);

/** Tell a canonical encoding of no low-order point: verifiers disagree about the others. @param {Uint8Array} encoded */
export function isSoundPoint(encoded) {
  const y = littleEndian(encoded) & (2n ** 255n - 1n);
  return y < PRIME && !LOW_ORDER_Y.has(y);
}

/** @param {Uint8Array} raw @returns {Promise<CryptoKey>} */
const importEd25519 = (raw) =>
  crypto.subtle.importKey("raw", /** @type {BufferSource} */ (raw), "Ed25519", false, ["verify"]);

/** @param {CryptoKey} key @param {Uint8Array} message @param {Uint8Array} signature */
async function verifyEd25519(key, message, signature) {
  if (signature.length !== 64 || !isSoundPoint(signature.subarray(0, 32))) return false;
  if (littleEndian(signature.subarray(32)) >= ORDER) return false;
  const [proof, text] = /** @type {BufferSource[]} */ ([signature, message]);
  return crypto.subtle.verify("Ed25519", key, proof, text);
}

/** What this browser lacks to verify anything, in words; empty when it lacks nothing. */
export async function missingFeatures() {
  const missing = [];
  if (!globalThis.crypto?.subtle) return ["WebCrypto"];
  try { // RFC 8032 section 7.1, TEST 1
    const raw = decodeB64url("11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo", 32);
    const signature = decodeB64url("5VZDAMNgrHKQhuLMgG6CioSHfx645dl02HPgZSJJAVVfuIIVkKM7rMYeOXAc-bRr0lv18FlbviRlUUFDjnoQCw", 64);
    if (!await verifyEd25519(await importEd25519(raw), new Uint8Array(), signature)) missing.push("Ed25519");
  } catch {
    missing.push("Ed25519");
  }
  return missing;
}

/** Make a sound key out of a JWK with exactly the required members, named by RFC 7638. @param {any} jwk */
export async function keyOfJwk(jwk) {
  const members = jwk?.kty === "EC" ? ["crv", "kty", "x", "y"] : ["crv", "kty", "x"];
  const given = Object.fromEntries(Object.entries(jwk ?? {}).filter(([, value]) => value !== null));
  const isKnown = (given.kty === "EC" && given.crv === "P-256") || (given.kty === "OKP" && given.crv === "Ed25519");
  if (!hasExactly(given, ...members) || !isKnown) refuse("jwk", "A public key is a JWK of P-256 or Ed25519.");
  const raw = concat(...members.slice(2).map((name) => decodeB64url(String(given[name]), 32)));
  const kid = b64url(await sha256(utf8(canonical(given))));
  try {
    if (given.kty === "OKP") {
      if (!isSoundPoint(raw)) throw new Error("low order");
      return { kid, alg: "Ed25519", raw, key: await importEd25519(raw) };
    }
    const point = /** @type {BufferSource} */ (concat(Uint8Array.of(4), raw));
    const key = await crypto.subtle.importKey("raw", point, { name: "ECDSA", namedCurve: "P-256" }, false, ["verify"]);
    return { kid, alg: "ES256", raw, key };
  } catch {
    return refuse("weak_key", "The public key is weak or is no point of its curve.");
  }
}

/** Read JWS General JSON in our closed grammar; nothing is verified. @param {any} value @returns {Jws} */
export function parseJws(value) {
  const misshapen = () => refuse("jws_shape", "The envelope has exactly payload and 1 to 16 signatures.");
  if (!hasExactly(value, "payload", "signatures") || typeof value.payload !== "string") misshapen();
  if (!Array.isArray(value.signatures)) misshapen();
  if (!value.signatures.length || value.signatures.length > LIMITS.signatures) misshapen();
  if (value.payload.length > Math.ceil((LIMITS.payload * 4) / 3)) refuse("payload_too_large", "The payload exceeds 16 KiB.");
  const bytes = decodeB64url(value.payload);
  const signatures = value.signatures.map((/** @type {any} */ one) => {
    if (!hasExactly(one, "protected", "signature")) misshapen();
    if (typeof one.protected !== "string" || typeof one.signature !== "string") misshapen();
    const header = one.protected.length <= 342 ? parseJson(decodeB64url(one.protected), 256) : null;
    const isHeader = hasExactly(header, "alg", "kid", "typ") && typeof header.kid === "string" && typeof header.typ === "string";
    if (!isHeader) refuse("jws_header", "A protected header has exactly alg, kid and typ.");
    decodeB64url(header.kid, 32);
    if (header.alg !== "ES256" && header.alg !== "Ed25519") refuse("jws_alg", "Signatures are ES256 or Ed25519.");
    if (header.typ !== "custody-event+json") refuse("jws_typ", "A signature was made for another purpose.");
    const signature = decodeB64url(one.signature, 64);
    return { protected: one.protected, kid: header.kid, alg: header.alg, signature };
  });
  const kids = signatures.map((/** @type {JwsSignature} */ one) => one.kid);
  if (new Set(kids).size !== kids.length) refuse("jws_duplicate_kid", "A key signs an event once.");
  return { payload: value.payload, bytes, signatures };
}

/** Prove every signature of an envelope. @param {Jws} jws @param {(kid: string) => PublicKey | undefined} keyOf */
export async function proveJws(jws, keyOf) {
  const keys = jws.signatures.map((one) => {
    const key = keyOf(one.kid);
    if (!key) return refuse("unknown_key", "A signing key is not enrolled here.");
    return key.alg === one.alg ? key : refuse("key_alg", "A signature names another algorithm.");
  });
  for (const [n, one] of jws.signatures.entries()) {
    const message = utf8(`${one.protected}.${jws.payload}`);
    const sound = keys[n].alg === "Ed25519"
      ? await verifyEd25519(keys[n].key, message, one.signature)
      : await crypto.subtle.verify({ name: "ECDSA", hash: "SHA-256" }, keys[n].key,
          /** @type {BufferSource} */ (one.signature), /** @type {BufferSource} */ (message));
    if (!sound) refuse("signature", "A signature does not verify.");
  }
}

// -- signed notes, checkpoints, proof files: c2sp.org ------------------------------------------------------------------

const NOTE_KEY = 0x01;
const COSIGNATURE_KEY = 0x04;
const MLDSA_KEY = 0x06;
const PUBLIC_BYTES = new Map([[NOTE_KEY, 32], [COSIGNATURE_KEY, 32], [MLDSA_KEY, 1312]]);
const UNFIT_NAME = /[\u0000-\u0020\u0085\u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000+]/;

/** Parse `<name>+<8 hex digits>+<base64(type || key)>`. @param {string} text @returns {Promise<VerifierKey>} */
export async function parseVerifierKey(text) {
  const wrong = (/** @type {string} */ why) => refuse("verifier_key", why);
  const found = /^([^+]*)\+([0-9a-f]{8})\+(.*)$/s.exec(text);
  if (!found) return wrong("A key is a name, 8 hex digits and base64, joined by plus.");
  const [, name, id, encoded] = found;
  const data = decodeBase64(encoded);
  const [type, raw] = [data[0], data.slice(1)];
  if (PUBLIC_BYTES.get(type) !== raw.length) wrong("Keys are of type 0x01, 0x04 or 0x06, and of that type's length.");
  if (!name || UNFIT_NAME.test(name) || utf8(name).length > 255) wrong("A key name is 1 to 255 bytes without spaces.");
  if (type !== MLDSA_KEY && !isSoundPoint(raw)) wrong("This is no Ed25519 public key of full order.");
  const digest = await sha256(concat(utf8(`${name}\n`), data));
  if (hex(digest.subarray(0, 4)) !== id) wrong("The key id does not belong to this key.");
  return { name, type, raw, id, text };
}

/** Parse a signed note; the signatures start after the last empty line. @param {Uint8Array} data @returns {Note} */
export function parseNote(data) {
  const wrong = (/** @type {string} */ why) => refuse("note", why);
  if (data.length > LIMITS.note) wrong("A note has at most 64 KiB.");
  let whole = "";
  try {
    whole = decoder.decode(data);
  } catch {
    wrong("A note is UTF-8.");
  }
  const cut = whole.lastIndexOf("\n\n");
  if (cut < 0 || !whole.endsWith("\n")) wrong("A note is a text, an empty line and signature lines.");
  const text = whole.slice(0, cut + 1);
  const lines = whole.slice(cut + 2, -1).split("\n");
  if (/[\u0000-\u0009\u000b-\u001f]/.test(text)) wrong("A note is lines without control characters.");
  if (cut + 2 >= whole.length || lines.length > LIMITS.noteSignatures) wrong("A note has 1 to 100 signatures.");
  return { text, signatures: lines.map(noteSignature) };
}

/** @param {string} line @returns {NoteSignature} */
function noteSignature(line) {
  const found = /^\u2014 ([^ ]*) (.*)$/s.exec(line);
  if (!found) return refuse("note", "A signature line is a dash, a name and base64.");
  const data = decodeBase64(found[2]);
  if (!found[1] || UNFIT_NAME.test(found[1]) || data.length < 5) refuse("note", "A signature line lacks something.");
  return { name: found[1], id: hex(data.subarray(0, 4)), blob: data.slice(4), line };
}

/**
 * Say whether a blob is this key's signature over a note's text; null for ML-DSA-44, which no browser verifies.
 * @param {VerifierKey} key @param {string} text @param {Uint8Array} blob @returns {Promise<boolean | null>}
 */
export async function keyAccepts(key, text, blob) {
  if (key.type === MLDSA_KEY) return blob.length === 8 + 2420 ? null : false;
  const isCosigner = key.type === COSIGNATURE_KEY;
  const at = isCosigner && blob.length >= 8 ? cosignedAt(blob) : 0n;
  const message = isCosigner ? utf8(`cosignature/v1\ntime ${at}\n${text}`) : utf8(text);
  if (at > MAX_SIZE || (isCosigner && blob.length !== 72)) return false;
  try {
    return await verifyEd25519(await importEd25519(key.raw), message, isCosigner ? blob.slice(8) : blob);
  } catch {
    return false;
  }
}

/** @param {Uint8Array} blob */
const cosignedAt = (blob) => new DataView(blob.buffer, blob.byteOffset).getBigUint64(0);

/**
 * Verify a note under keys trusted beforehand; strangers' signatures are ignored, a trusted key's wrong one refuses.
 * @param {Note} note @param {VerifierKey[]} keys
 */
export async function verifyNote(note, keys) {
  const unproven = (/** @type {string} */ why) => refuse("note_signature", why);
  /** @type {Map<string, VerifierKey>} */
  const trusted = new Map();
  for (const key of keys) {
    const before = trusted.get(`${key.name} ${key.id}`);
    if (before && before.text !== key.text) unproven("Two trusted keys share their name and key id.");
    trusted.set(`${key.name} ${key.id}`, key);
  }
  /** @type {Map<VerifierKey, bigint>} */
  const verified = new Map();
  /** @type {Set<VerifierKey>} */
  const unchecked = new Set();
  for (const signature of note.signatures) {
    const key = trusted.get(`${signature.name} ${signature.id}`);
    if (!key) continue;
    const sound = await keyAccepts(key, note.text, signature.blob);
    if (sound === false) unproven("A signature by a trusted key is wrong.");
    if (sound === null) unchecked.add(key);
    const at = key.type === NOTE_KEY ? 0n : cosignedAt(signature.blob);
    const before = verified.get(key) ?? 0n;
    if (sound) verified.set(key, at > before ? at : before);
  }
  if (!verified.size) unproven("No trusted key has signed this note.");
  return { verified, unchecked };
}

/** Parse a checkpoint's text: origin, size and root, no more. @param {string} text @returns {Checkpoint} */
export function parseCheckpoint(text) {
  const lines = text.split("\n");
  if (lines.length !== 4 || lines[3]) refuse("checkpoint", "A checkpoint has exactly three lines.");
  const [origin, size, root] = [lines[0], parseDecimal(lines[1]), decodeBase64(lines[2])];
  const fits = origin && !/[\u0000-\u001f]/.test(origin) && utf8(origin).length <= 255 && root.length === HASH_BYTES;
  return fits ? { origin, size, root } : refuse("checkpoint", "An origin has 1 to 255 bytes, a root 32.");
}

/** Parse and verify a checkpoint of the ledger of this origin. @param {Note} note @param {VerifierKey[]} keys @param {string} origin */
export async function openCheckpoint(note, keys, origin) {
  const found = await verifyNote(note, keys);
  const own = [...found.verified.keys()].filter((key) => key.type === NOTE_KEY && key.name === origin);
  if (!own.length) refuse("note_signature", "The ledger itself has not signed this checkpoint.");
  const checkpoint = parseCheckpoint(note.text);
  if (checkpoint.origin !== origin) refuse("checkpoint_origin", "This checkpoint belongs to another ledger.");
  return { ...found, checkpoint, own };
}

/** Parse a proof file, c2sp.org/tlog-proof, in its one spelling. @param {Uint8Array} data */
export function parseTlogProof(data) {
  const wrong = (/** @type {string} */ why) => refuse("tlog_proof", why);
  if (data.length > 2 * LIMITS.note) wrong("A proof has at most 128 KiB.");
  let cut = data.findIndex((byte, at) => byte === 10 && data[at + 1] === 10);
  if (cut < 0) cut = data.length;
  const head = data.subarray(0, cut);
  if (head.some((byte) => byte > 127)) wrong("A proof is ASCII up to its checkpoint.");
  const [magic, ...lines] = decoder.decode(head).split("\n");
  let extra = new Uint8Array();
  if (lines[0]?.startsWith("extra ")) {
    extra = decodeBase64(/** @type {string} */ (lines.shift()).slice(6));
    if (!extra.length) wrong("A proof without extra data omits the line.");
  }
  if (magic !== "c2sp.org/tlog-proof@v1" || !lines[0]?.startsWith("index ")) wrong("A proof names its format and index.");
  const index = parseDecimal(lines[0].slice(6));
  const path = lines.slice(1).map(decodeBase64);
  if (path.length > LIMITS.pathHashes || path.some((hash) => hash.length !== HASH_BYTES)) {
    wrong("An inclusion path is at most 63 hashes of 32 bytes.");
  }
  return { index, path, extra, note: parseNote(data.subarray(cut + 2)) };
}

/**
 * Verify that a leaf is in the ledger of this origin.
 * @param {Uint8Array} data @param {Uint8Array} leaf @param {VerifierKey[]} keys @param {string} origin
 */
export async function verifyTlogProof(data, leaf, keys, origin) {
  const proof = parseTlogProof(data);
  const { checkpoint } = await openCheckpoint(proof.note, keys, origin);
  await verifyInclusion(proof.index, checkpoint.size, await leafHash(leaf), proof.path, checkpoint.root);
  return checkpoint;
}

// -- trust policies: c2sp.org/tlog-policy ------------------------------------------------------------------------------

/** Parse a policy file; names are compared as bytes and never understood. @param {Uint8Array} data */
export async function parsePolicy(data) {
  const wrong = (/** @type {string} */ why) => refuse("tlog_policy", why);
  const isText = data.every((byte) => byte === 9 || byte === 10 || (byte >= 32 && byte !== 127));
  if (data.length > LIMITS.policy || !isText) wrong("A policy is at most 256 KiB of lines without control characters.");
  if (data.length && data[data.length - 1] !== 10) wrong("The last line of the policy is cut off.");
  /** @type {{logs: VerifierKey[], witnesses: {name: string, key: VerifierKey}[], groups: any[], quorum: string | null}} */
  const policy = { logs: [], witnesses: [], groups: [], quorum: null };
  const [names, members, keys] = [new Set(["none"]), new Set(), new Set()];
  const bytes = (/** @type {string} */ word) => Uint8Array.from(word, (character) => character.charCodeAt(0));
  const lines = Array.from(data, (byte) => String.fromCharCode(byte)).join("").split("\n");
  for (const [n, line] of lines.entries()) {
    const words = line.replace(/^[ \t]+|[ \t]+$/g, "").split(/[ \t]+/);
    if (!words[0] || words[0].startsWith("#")) continue;
    const bad = (/** @type {string} */ why) => wrong(`Line ${n + 1} of the policy: ${why}.`);
    const take = (/** @type {string} */ name) => (names.has(name) ? bad("that name is taken") : names.add(name));
    const room = (/** @type {any[]} */ list) => list.length >= LIMITS.policyLines && bad("there are too many lines of that kind");
    const keyOf = async (/** @type {string} */ word, /** @type {boolean} */ cosigner) => {
      let key;
      try {
        key = await parseVerifierKey(decoder.decode(bytes(word)));
      } catch {
        return bad("the key cannot be read");
      }
      if ((key.type !== NOTE_KEY) !== cosigner) bad("a key of another type is needed there");
      const known = `${cosigner} ${hex(key.raw)}`;
      if (keys.has(known)) bad("that key stands on an earlier line");
      keys.add(known);
      return key;
    };
    if (words[0] === "log" && (words.length === 2 || words.length === 3)) {
      room(policy.logs);
      policy.logs.push(await keyOf(words[1], false));
    } else if (words[0] === "witness" && (words.length === 3 || words.length === 4)) {
      room(policy.witnesses);
      take(words[1]);
      policy.witnesses.push({ name: words[1], key: await keyOf(words[2], true) });
    } else if (words[0] === "group" && words.length > 3) {
      room(policy.groups);
      const [, name, needed, ...inside] = words;
      for (const member of inside) {
        if (member === "none" || !names.has(member)) bad("a group's members are of earlier lines");
        if (members.has(member)) bad("one name is a member twice");
        members.add(member);
      }
      const count = /^[1-9][0-9]{0,3}$/.test(needed) ? Number(needed) : 0;
      const threshold = needed === "all" ? inside.length : needed === "any" ? 1 : count;
      if (threshold < 1 || threshold > inside.length) bad("a group needs all, any, or a number up to its members");
      take(name);
      policy.groups.push({ name, threshold, members: inside });
    } else if (words[0] === "quorum" && words.length === 2) {
      if (policy.quorum !== null) bad("the quorum is defined twice");
      if (!names.has(words[1])) bad("the quorum names nothing that an earlier line defines");
      policy.quorum = words[1];
    } else {
      bad("it is no log, witness, group or quorum line");
    }
  }
  return policy.quorum === null ? wrong("A policy has exactly one quorum line; this one has none.") : policy;
}

/** Say whether cosignatures by these keys are a quorum. @param {any} policy @param {Iterable<VerifierKey>} keys */
export function isQuorum(policy, keys) {
  if (policy.quorum === "none") return true;
  const texts = new Set([...keys].map((key) => key.text));
  const met = new Set(policy.witnesses.filter((/** @type {any} */ one) => texts.has(one.key.text)).map((/** @type {any} */ one) => one.name));
  for (const group of policy.groups) {
    if (group.members.filter((/** @type {string} */ name) => met.has(name)).length >= group.threshold) met.add(group.name);
  }
  return met.has(policy.quorum);
}

// -- the signed list of ledgers: what app/ledger/directory.py writes ----------------------------------------------------

const LIST_HEADER = "custody-ledgers/v1";
const ADDRESS =
  /^https?:\/\/[a-z0-9]+(?:[.-][a-z0-9]+)*(?::[0-9]{1,5})?(?:\/[A-Za-z0-9._~%!$&'()*+,;=:@-]+)*$/;

/** Tell the one spelling of an address, the pattern of app/ledger/directory.py. @param {string} url */
function isAddress(url) {
  return url.length <= LIMITS.url && ADDRESS.test(url);
}

/** Read one line: origin, hash of the genesis, verifier key, perhaps an address. @param {string} line @returns {Promise<Listed>} */
async function parseListed(line) {
  const words = line.split(" ");
  if (words.length < 3 || words.length > 4 || words.includes("")) refuse("ledger_list", "A line of the list has 3 or 4 words.");
  const [origin, genesis, text, url = ""] = words;
  const key = await parseVerifierKey(text);
  if (key.name !== origin || key.type !== NOTE_KEY) refuse("ledger_list", "A ledger's key is of type 0x01 and named like its origin.");
  decodeB64url(genesis, HASH_BYTES);
  if (url && !isAddress(url)) refuse("ledger_list", "The address of a ledger is not in its one spelling.");
  return { origin, genesis, key, url };
}

/** Read the text of a list in its one spelling. Proves nothing: use `openLedgers`. @param {string} text */
export async function parseLedgers(text) {
  const wrong = (/** @type {string} */ why) => refuse("ledger_list", why);
  const [header, ...lines] = text.split("\n");
  if (header !== LIST_HEADER || lines.pop() !== "") wrong(`A list of ledgers is ${LIST_HEADER} and lines, each with its end.`);
  if (lines.length > LIMITS.ledgers) wrong("A list has at most 1,000 ledgers.");
  /** @type {Listed[]} */
  const ledgers = [];
  for (const line of lines) ledgers.push(await parseListed(line));
  const order = ledgers.map((one) => hex(utf8(one.origin))); // by code points, which the bytes of UTF-8 keep in order
  if (order.some((origin, n) => n > 0 && order[n - 1] >= origin)) wrong("Ledgers stand in order of their origins, each once.");
  for (const shared of [ledgers.map((one) => one.genesis), ledgers.map((one) => hex(one.key.raw))]) {
    if (new Set(shared).size !== ledgers.length) wrong("Two ledgers of the list have the same genesis or the same key.");
  }
  return ledgers;
}

/**
 * Verify a signed list and return its ledgers; its signature is verified before its text is looked at.
 * @param {Uint8Array} data the note as received @param {string} pinned the verifier key of the list
 */
export async function openLedgers(data, pinned) {
  const key = await parseVerifierKey(pinned);
  if (key.type !== NOTE_KEY) refuse("note_signature", "The key of a list is of type 0x01.");
  const note = parseNote(data);
  await verifyNote(note, [key]);
  return parseLedgers(note.text);
}

/** Open the list among the pins; null when there is none. @param {Pins} pins */
export async function pinnedLedgers({ genesis, origin, ledgers, ledgersKey }) {
  if (ledgers === undefined && ledgersKey === undefined) return null;
  if (ledgers === undefined || ledgersKey === undefined || genesis || origin) {
    throw new Refusal("usage", "A list of ledgers and its key go together, and stand instead of genesis and origin.", "incomplete");
  }
  try {
    return await openLedgers(ledgers, ledgersKey);
  } catch (error) { // a bundle's checkpoint gives some of the same codes: say which of the two is wrong
    throw error instanceof Refusal ? new Refusal(error.code, `The list of ledgers: ${error.message}`) : error;
  }
}

// -- leaves: what app/custody/chain.py writes ---------------------------------------------------------------------------

const HASH = /^[A-Za-z0-9_-]{43}$/;
const CODE = /^[A-Za-z0-9][A-Za-z0-9._:-]{0,39}$/;
const UUID7 = /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/;
const MOMENT = /^(2[01]\d\d-[01]\d-[0-3]\d)T([01]\d|2[0-3]):[0-5]\d:[0-5]\d(\.\d{1,3})?(Z|(?!-00:00)[+-]([01]\d|2[0-3]):[0-5]\d)$/;
const CAPACITIES = ["giver", "taker", "second", "escort", "witness", "approver"];
const UNIT_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";
const ZERO_HASH = "A".repeat(43);

/** Tell a unit id with a fitting check character: GF(32), x^5 + x^2 + 1, alpha = 2. @param {any} text */
export function isUnitId(text) {
  if (typeof text !== "string" || !/^[0-9A-HJKMNP-TV-Z]{17}$/.test(text)) return false;
  let check = 0;
  for (let i = 15; i >= 0; i -= 1) {
    check ^= UNIT_ALPHABET.indexOf(text[i]);
    check = (check << 1) ^ (check & 16 ? 0b100101 : 0);
  }
  return check === UNIT_ALPHABET.indexOf(text[16]);
}

/** @param {any} text */
function isMoment(text) {
  const found = typeof text === "string" ? MOMENT.exec(text) : null;
  const day = found ? new Date(`${found[1]}T00:00:00Z`) : null;
  return !!found && !!day && !Number.isNaN(day.getTime()) && day.toISOString().startsWith(found[1]);
}

/** @param {any} value @param {number} least */
const isCount = (value, least) => Number.isSafeInteger(value) && value >= least;

/** @param {any} value */
const isObject = (value) => value !== null && typeof value === "object" && !Array.isArray(value);

/** @param {any} value */
const isHash = (value) => typeof value === "string" && HASH.test(value);

/** @param {any} list @param {number} most @param {(item: any) => boolean} fits */
const isListOf = (list, most, fits) => list === undefined || (Array.isArray(list) && list.length <= most && list.every(fits));

/** Read payload bytes as an event; of the details only that they are an object. @param {Uint8Array} payload */
export function parseEvent(payload) {
  const body = parseJson(payload, LIMITS.payload);
  const shape = (/** @type {boolean} */ fits, /** @type {string} */ at) => fits || refuse("event_shape", `The event is wrong at ${at}.`);
  shape(isObject(body), "its top");
  const optional = ["units", "after", "private"].filter((name) => name in body);
  shape(hasExactly(body, "v", "event_id", "type", "ledger", "election", "place", "author", "signers", "at", "checkpoint",
    "device", "details", ...optional), "its members");
  shape(body.v === 1, "v");
  shape(["type", "ledger", "election", "place"].every((name) => typeof body[name] === "string"), "its names");
  if (!EVENT_TYPES.includes(body.type)) refuse("unknown_type", "This verifier does not know that type of event.");
  shape(CODE.test(body.election) && CODE.test(body.place) && body.ledger.length >= 1 && body.ledger.length <= 200, "place");
  shape(isObject(body.signers) && isHash(body.author), "signers");
  const signers = Object.entries(body.signers);
  shape(signers.length >= 1 && signers.length <= LIMITS.signatures, "signers");
  shape(signers.every(([kid, capacity]) => isHash(kid) && CAPACITIES.includes(String(capacity))), "signers");
  shape(isListOf(body.units, LIMITS.units, (unit) => typeof unit === "string") && isListOf(body.after, LIMITS.after, isHash), "units");
  shape(hasExactly(body.checkpoint, "size", "root") && isCount(body.checkpoint.size, 0) && isHash(body.checkpoint.root), "checkpoint");
  shape(hasExactly(body.device, "seq", "prev") && isCount(body.device.seq, 1) && isHash(body.device.prev), "device");
  shape(isObject(body.details), "details");
  const commitments = Object.entries(body.private ?? {});
  shape(isObject(body.private ?? {}) && commitments.length <= 16, "private");
  shape(commitments.every(([name, hash]) => CODE.test(name) && isHash(hash)), "private");
  if (typeof body.event_id !== "string" || !UUID7.test(body.event_id)) refuse("event_id", "An event id is a UUIDv7.");
  if (!isMoment(body.at)) refuse("time", "A time is RFC 3339 with an offset.");
  body.units ??= [];
  body.private ??= {};
  if (!body.units.every(isUnitId)) refuse("unit_id", "The event names what is no unit.");
  if (new Set(body.units).size !== body.units.length) refuse("units_repeated", "An event names a unit once.");
  if (!(body.author in body.signers)) refuse("signature_set", "The author must be one of the signers.");
  return body;
}

/** Read leaf bytes strictly. @param {number} index @param {Uint8Array} data @returns {Promise<Leaf>} */
export async function readLeaf(index, data) {
  const value = parseJson(data, LIMITS.leaf);
  const shape = (/** @type {any} */ fits) => fits || refuse("leaf_shape", "The leaf has not the shape of one.");
  shape(isObject(value));
  if (!sameBytes(utf8(canonical(value)), data)) refuse("leaf_canonical", "The leaf is not in canonical form.");
  if (value.v !== 1) refuse("leaf_version", "The leaf is of a version that this verifier does not know.");
  shape(hasExactly(value, "v", "event", "verdict", "links", "received_at"));
  const jws = parseJws(value.event);
  const body = parseEvent(jws.bytes);
  const kids = new Set(jws.signatures.map((one) => one.kid));
  if (kids.size !== Object.keys(body.signers).length || [...kids].some((kid) => !(kid in body.signers))) {
    refuse("signature_set", "The signatures are not exactly those that the event names.");
  }
  const { verdict, links, received_at: receivedAt } = value;
  shape(hasExactly(verdict, "result", "code", "rules", "policy") && Number.isSafeInteger(verdict.rules));
  shape(["accepted", "refused", "pending", "held"].includes(verdict.result));
  shape(typeof verdict.code === "string" && typeof verdict.policy === "string" && Array.isArray(links));
  for (const link of links) {
    shape(hasExactly(link, "unit", "seq", "prev") && isUnitId(link.unit) && isCount(link.seq, 1));
    shape(typeof link.prev === "string");
    decodeB64url(link.prev, HASH_BYTES);
  }
  shape(new Set(links.map((/** @type {any} */ link) => link.unit)).size === links.length);
  shape(!links.length || verdict.result === "accepted");
  if (!isMoment(receivedAt)) refuse("time", "A time is RFC 3339 with an offset.");
  shape(new Date(receivedAt).toISOString() === receivedAt);
  const [hash, event] = [b64url(await leafHash(data)), b64url(await sha256(jws.bytes))];
  return { index, hash, event, body, jws, verdict, links, receivedAt, proven: false };
}

// -- the bundle ------------------------------------------------------------------------------------------------------------

/** @param {Map<string, Uint8Array>} files unpacked */
async function readBundle(files) {
  const manifest = files.get("manifest.json");
  if (!manifest) return refuse("bundle_manifest", "The bundle has no manifest.");
  const told = parseJson(manifest, LIMITS.manifest, 2);
  const isTold = hasExactly(told, "v", "format", "unit", "ledger", "size", "root", "genesis", "files") && told.v === 1 &&
    told.format === "ballot-custody-evidence" && isObject(told.files) && isCount(told.size, 0) &&
    ["unit", "ledger", "root", "genesis"].every((name) => typeof told[name] === "string");
  if (!isTold) refuse("bundle_manifest", "The manifest is not one of version 1 of this format.");
  const bundle = {
    told, checkpoint: files.get("checkpoint"), policy: files.get("policy"), leaves: new Map(), proofs: new Map(),
    heads: new Map(), stamps: 0, private: /** @type {[number, string, Uint8Array][]} */ ([]),
  };
  let isWhole = sameBytes(utf8(canonical(told)), manifest) && Object.keys(told.files).length === files.size - 1;
  for (const [name, content] of files) {
    const parts = NAME.exec(name)?.groups ?? {};
    const hash = b64url(await sha256(content));
    if (name !== "manifest.json" && told.files[name] !== hash) isWhole = false;
    if (parts.leaf) bundle.leaves.set(indexOf(parts.leaf), content);
    if (parts.proof) bundle.proofs.set(indexOf(parts.proof), content);
    if (parts.private) bundle.private.push([indexOf(parts.private), parts.name, content]);
    if (parts.head) bundle.heads.set(parts.head, content);
    if (parts.stamp) bundle.stamps += 1;
    if (parts.document && parts.document !== hash) refuse("bundle_document", "A document is not the one of its hash.");
    if (parts.document && parts.suffix !== (isJsonText(content) ? "json" : "txt")) isWhole = false;
    if (name === "README.txt" && !README_HASHES.includes(hash)) refuse("bundle_readme", "The README is not this format's.");
  }
  if (!files.has("README.txt")) refuse("bundle_readme", "The README is missing.");
  if (!bundle.checkpoint) refuse("bundle_names", "The bundle has no checkpoint.");
  if (!isWhole) refuse("bundle_manifest", "The manifest is not the one of these files.");
  return bundle;
}

/** @param {string} text */
const indexOf = (text) => (Number.isSafeInteger(Number(text)) ? Number(text) : refuse("bundle_names", "No leaf has that index."));

/** @param {Uint8Array} content */
const isJsonText = (content) => content.find((byte) => ![9, 10, 11, 12, 13, 32].includes(byte)) === 0x7b;

// -- the verification ------------------------------------------------------------------------------------------------------

/** What was found; `result` follows from the reasons alone. */
export class Report {
  constructor() {
    /** @type {Reason[]} */
    this.reasons = [];
    /** @type {any[]} */
    this.story = [];
    /** @type {{name: string, state: "valid" | "unchecked" | "absent", at: string | null}[]} */
    this.witnesses = [];
    this.unit = this.ledger = this.root = this.genesis = /** @type {string | null} */ (null);
    this.size = this.latest = /** @type {number | null} */ (null);
    this.absent = false;
    this.leaves = this.signatures = this.private = 0;
  }

  /** @param {Level} level @param {string} code @param {string} detail @param {Leaf | number | null} at */
  tell(level, code, detail, at = null) {
    if (this.reasons.filter((reason) => reason.level === level).length >= LIMITS.reasons) return;
    const isLeaf = at !== null && typeof at === "object";
    this.reasons.push({ level, code, detail, index: isLeaf ? at.index : at, event: isLeaf ? at.event : null });
  }

  /** @returns {"PASS" | "FAIL" | "INCOMPLETE"} */
  get result() {
    const levels = new Set(this.reasons.map((reason) => reason.level));
    return levels.has("fail") ? "FAIL" : levels.has("incomplete") ? "INCOMPLETE" : "PASS";
  }
}

class Verification {
  /** @param {any} bundle @param {Report} report @param {Pins} pins @param {(progress: Progress) => void} onProgress */
  constructor(bundle, report, pins, onProgress) {
    this.bundle = bundle;
    this.report = report;
    this.pins = pins;
    this.onProgress = onProgress;
    this.progress = { done: 0, total: 2 * bundle.leaves.size };
    this.paused = performance.now();
    /** @type {Leaf[]} */
    this.leaves = [];
    /** @type {Map<string, Leaf>} */
    this.byHash = new Map();
    /** @type {Map<string, PublicKey>} */
    this.keys = new Map();
    /** @type {Set<string>} */
    this.revoked = new Set();
    /** @type {Set<string>} */
    this.settled = new Set();
    /** @type {VerifierKey[]} */
    this.ledgerKeys = [];
    this.service = "";
    /** @type {[Leaf, Set<string>][]} */
    this.proofLines = [];
  }

  async run() {
    const { bundle, report } = this;
    report.unit = bundle.told.unit;
    const founding = await this.genesis();
    const note = parseNote(bundle.checkpoint);
    const checkpoint = parseCheckpoint(note.text);
    [report.size, report.root] = [Number(checkpoint.size), b64url(checkpoint.root)];
    const told = [bundle.told.ledger, bundle.told.size, bundle.told.root, bundle.told.genesis];
    if (told.some((value, n) => value !== [report.ledger, report.size, report.root, report.genesis][n])) {
      report.tell("fail", "bundle_manifest", "The manifest tells another ledger or tree than the checkpoint.");
    }
    await this.readLeaves(note, checkpoint);
    this.ids();
    for (const leaf of this.leaves) await this.signatures(leaf, founding);
    await this.checkpoint(note);
    const { focus, stays } = this.containers();
    await this.heads(focus, stays);
    this.chains(focus, stays);
    this.tellStory(stays);
    await this.private();
    this.devices();
    this.trees(checkpoint);
    this.limits();
  }

  /** Let the page breathe, and tell how far this is. */
  async step() {
    this.progress.done += 1;
    if (performance.now() - this.paused < 40) return;
    this.onProgress({ ...this.progress });
    await new Promise((resolve) => setTimeout(resolve));
    this.paused = performance.now();
  }

  async genesis() {
    const { bundle, report, pins } = this;
    const data = bundle.leaves.get(0);
    if (!data) return refuse("genesis_missing", "The bundle does not hold the ledger's genesis, leaf 0.");
    const founding = await readLeaf(0, data);
    const { details, type, ledger, signers } = founding.body;
    if (type !== "ledger.genesis") refuse("genesis_missing", "Leaf 0 is no genesis.");
    const lists = [details.administrators, details.agencies ?? []];
    if (!lists.every((list) => Array.isArray(list) && list.length <= 64 && list.every(isObject)) || !lists[0].length) {
      refuse("details_shape", "The genesis names no founders.");
    }
    [report.genesis, report.ledger] = [founding.event, ledger];
    if (pins.genesis === undefined) {
      report.tell("incomplete", "genesis_not_pinned", "No genesis was pinned, so anybody could have founded this ledger.");
    } else if (pins.genesis !== founding.event) {
      report.tell("fail", "genesis_mismatch", "This is another ledger than the pinned one.", founding);
    }
    if (pins.origin !== undefined && pins.origin !== ledger) {
      report.tell("fail", "origin_mismatch", "The ledger has another origin than the pinned one.");
    }
    for (const one of lists.flat()) await this.learn(one.jwk);
    await proveJws(founding.jws, (kid) => this.keys.get(kid));
    if (this.keys.size !== Object.keys(signers).length) {
      report.tell("fail", "signature_set", "Every founder and every agency root signs the genesis.", founding);
    }
    this.service = await this.learn(details.service_key);
    await this.learn(details.admission_key);
    this.ledgerKeys = [await parseVerifierKey(String(details.ledger_key))];
    return founding;
  }

  /** @param {any} jwk */
  async learn(jwk) {
    const key = await keyOfJwk(jwk);
    if (!this.keys.has(key.kid)) this.keys.set(key.kid, key);
    return key.kid;
  }

  /** @param {Note} note @param {Checkpoint} checkpoint */
  async readLeaves(note, checkpoint) {
    const { bundle, report } = this;
    const lines = new Set(note.signatures.map((signature) => signature.line));
    for (const index of new Set([...bundle.leaves.keys(), ...bundle.proofs.keys()])) {
      if (bundle.leaves.has(index) && bundle.proofs.has(index)) continue;
      report.tell("fail", "proof_missing", "A leaf has no proof, or a proof no leaf.", index);
    }
    for (const index of [...bundle.leaves.keys()].sort((a, b) => a - b)) {
      await this.step();
      try {
        const data = bundle.leaves.get(index);
        const leaf = await readLeaf(index, data);
        if (bundle.proofs.has(index)) {
          const proof = parseTlogProof(bundle.proofs.get(index));
          const own = proof.note.signatures.map((signature) => signature.line);
          if (proof.index !== BigInt(index) || proof.extra.length || proof.note.text !== note.text || !own.every((line) => lines.has(line))) {
            refuse("inclusion_proof", "The proof is for another leaf or another checkpoint.");
          }
          await verifyInclusion(proof.index, checkpoint.size, await leafHash(data), proof.path, checkpoint.root);
          this.proofLines.push([leaf, new Set(own)]);
        }
        if (leaf.body.ledger !== report.ledger) {
          report.tell("fail", "wrong_ledger", "The event was signed for another ledger.", leaf);
        }
        this.leaves.push(leaf);
      } catch (error) {
        if (!(error instanceof Refusal)) throw error;
        report.tell("fail", error.code, error.message, index);
      }
    }
    report.leaves = this.leaves.length;
  }

  /** One payload per author and event id, but for those that were refused for just that. */
  ids() {
    const ids = new Set();
    for (const leaf of this.leaves) {
      if (this.byHash.has(leaf.event)) this.report.tell("fail", "event_repeated", "The event is on the ledger twice.", leaf);
      this.byHash.set(leaf.event, leaf);
      const id = `${leaf.body.author} ${leaf.body.event_id}`;
      if (ids.has(id) && leaf.verdict.code !== "event_id_reuse") {
        this.report.tell("fail", "event_id_reuse", "Another payload has the same event id.", leaf);
      }
      ids.add(id);
    }
  }

  // -- signatures, and the keys that they bring ------------------------------------------------------------------------

  /** @param {Leaf} leaf @param {Leaf} founding */
  async signatures(leaf, founding) {
    const { report, keys } = this;
    await this.step();
    if (leaf.event === founding.event) {
      this.report.signatures += leaf.jws.signatures.length;
      leaf.proven = true;
      return;
    }
    try {
      const { type, details, signers, author } = leaf.body;
      const isAccepted = leaf.verdict.result === "accepted";
      const own = type === "agency.join" || type === "founders.change" ? await introduced(leaf.body) : new Map();
      await proveJws(leaf.jws, (kid) => own.get(kid) ?? keys.get(kid));
      report.signatures += leaf.jws.signatures.length;
      if (isAccepted && Object.keys(signers).some((kid) => this.revoked.has(kid))) {
        refuse("key_revoked", "An earlier event of the bundle ended a key that signs this one.");
      }
      if (isAccepted && SERVICE_TYPES.includes(type) && (author !== this.service || Object.keys(signers).length > 1)) {
        refuse("service_key", "Only the ledger's service key may sign this.");
      }
      leaf.proven = true;
      const target = type === "verdict" && details.result === "accepted" ? this.ended(details.event) : leaf;
      if (isAccepted && target?.proven) await this.takeEffect(target.body);
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      const isAbsent = error.code === "unknown_key";
      const detail = isAbsent ? "A signer's enrolment is not in the bundle before this event." : error.message;
      report.tell(isAbsent ? "incomplete" : "fail", error.code, detail, leaf);
    }
  }

  /** The event whose wait a verdict ends; it can end once, and only for what waited. @param {string} hash */
  ended(hash) {
    const leaf = this.byHash.get(hash);
    if (!leaf || !["pending", "held"].includes(leaf.verdict.result) || this.settled.has(hash)) return undefined;
    this.settled.add(hash);
    return leaf;
  }

  /** @param {any} body of an accepted event */
  async takeEffect({ type, details }) {
    for (const jwk of jwksOf(type, details)) await this.learn(jwk);
    if (type === "key.revoke") this.revoked.add(details.kid);
    if (type === "founders.change") for (const kid of details.remove ?? []) this.revoked.add(kid);
    if (type === "ledger.rekey") {
      const texts = Array.isArray(details.keys) ? details.keys : [];
      if (!texts.length || texts.length > 16) refuse("details_shape", "A change of ledger keys names the new ones.");
      this.ledgerKeys = await Promise.all(texts.map((/** @type {any} */ text) => parseVerifierKey(String(text))));
    }
  }

  // -- the checkpoint and its witnesses ------------------------------------------------------------------------------

  /** @param {Note} note */
  async checkpoint(note) {
    const { report, pins } = this;
    const ledger = /** @type {string} */ (report.ledger);
    /** @type {any} */
    let policy = null;
    try {
      policy = pins.policy ? await parsePolicy(pins.policy) : null;
    } catch (error) {
      report.tell("incomplete", "tlog_policy", `The pinned policy cannot be used: ${/** @type {Error} */ (error).message}`);
    }
    const cosigners = policy ? policy.witnesses.map((/** @type {any} */ one) => one.key) : [];
    const { verified, unchecked, own } = await openCheckpoint(note, [...this.ledgerKeys, ...cosigners], ledger);
    const texts = own.map((key) => key.text);
    const pinned = pins.ledgerKeys ?? [];
    if (pinned.length && !texts.some((text) => pinned.includes(text))) {
      report.tell("fail", "ledger_key_mismatch", "The ledger's key is none of the pinned ones.");
    }
    if (policy?.logs.length && !policy.logs.some((/** @type {VerifierKey} */ key) => texts.includes(key.text))) {
      report.tell("fail", "ledger_key_mismatch", "The pinned policy names another ledger or other keys of it.");
    }
    for (const [leaf, lines] of this.proofLines) {
      const isSigned = note.signatures.some(({ name, id, line }) =>
        lines.has(line) && own.some((key) => key.name === name && key.id === id));
      if (!isSigned) report.tell("fail", "inclusion_proof", "The ledger has not signed the checkpoint of this proof.", leaf);
    }
    if (policy) this.quorum(policy, verified, unchecked);
    else if (!pins.policy) await this.recommended(note);
  }

  /** @param {any} policy @param {Map<VerifierKey, bigint>} verified @param {Set<VerifierKey>} unchecked */
  quorum(policy, verified, unchecked) {
    const { report } = this;
    this.tellWitnesses(policy, verified, unchecked);
    if (isQuorum(policy, verified.keys())) return;
    if (isQuorum(policy, [...verified.keys(), ...unchecked])) {
      report.tell("incomplete", "quorum_unchecked", "The quorum rests on ML-DSA-44 cosignatures, which no browser verifies.");
    } else {
      report.tell("incomplete", "quorum", "Too few of the pinned policy's witnesses have cosigned this checkpoint.");
    }
  }

  /** Show what the bundle's own policy would say; it decides nothing. @param {Note} note */
  async recommended(note) {
    const { report, bundle } = this;
    report.tell("note", "policy_not_pinned", "No policy was pinned: witnesses are shown, and count for nothing.");
    if (!bundle.policy) return;
    try {
      const policy = await parsePolicy(bundle.policy);
      const keys = policy.witnesses.map((one) => one.key);
      const found = await verifyNote(note, [...this.ledgerKeys, ...keys]);
      this.tellWitnesses(policy, found.verified, found.unchecked);
      const word = isQuorum(policy, found.verified.keys()) ? "are" : "are not";
      report.tell("note", "policy_recommended", `By the policy in the bundle, its cosignatures ${word} a quorum.`);
    } catch (error) {
      report.tell("note", "policy_recommended", `The policy in the bundle is of no use: ${/** @type {Error} */ (error).message}`);
    }
  }

  /** @param {any} policy @param {Map<VerifierKey, bigint>} verified @param {Set<VerifierKey>} unchecked */
  tellWitnesses(policy, verified, unchecked) {
    this.report.witnesses = policy.witnesses.map((/** @type {any} */ { name, key }) => {
      const at = verified.get(key);
      const seconds = at !== undefined && at < 2n ** 40n ? Number(at) * 1000 : NaN;
      const state = at !== undefined ? "valid" : unchecked.has(key) ? "unchecked" : "absent";
      return { name, state, at: Number.isNaN(seconds) ? null : new Date(seconds).toISOString() };
    });
  }

  // -- chains -----------------------------------------------------------------------------------------------------------

  /** The event that a leaf is about: its own, or the one whose wait its verdict ends. @param {Leaf} leaf */
  acting(leaf) {
    return leaf.body.type === "verdict" ? this.byHash.get(leaf.body.details.event) ?? leaf : leaf;
  }

  /** Find what ever contained the unit, and for which leaves. A packing links its children, then the parent. */
  containers() {
    const unit = this.bundle.told.unit;
    /** @type {{child: string, parent: string, since: number, until: number}[]} */
    const stays = [];
    for (const leaf of this.leaves) {
      const units = leaf.links.map((link) => link.unit);
      const [children, parent] = [units.slice(0, -1), units.at(-1)];
      const type = this.acting(leaf).body.type;
      for (const child of children) {
        if (type === "unit.pack") stays.push({ child, parent, since: leaf.index, until: Infinity });
        const stay = stays.findLast((one) => one.child === child && one.parent === parent && one.until === Infinity);
        if (type === "unit.unpack" && stay) stay.until = leaf.index;
      }
    }
    const focus = new Set([unit]);
    for (const member of focus) for (const stay of stays) if (stay.child === member) focus.add(stay.parent);
    return { focus, stays };
  }

  /** @param {Set<string>} focus @param {any[]} stays */
  chains(focus, stays) {
    const { report, bundle } = this;
    for (const member of focus) {
      const until = this.untilOf(member, focus, stays);
      let [seq, head] = [0, ZERO_HASH];
      for (const leaf of this.leaves) {
        const link = leaf.links.find((one) => one.unit === member);
        if (!link || leaf.index > until) continue;
        if (link.seq !== seq + 1 || link.prev !== head) {
          report.tell("fail", "chain", `The chain of ${member} has a gap or a fork before this event.`, leaf);
        }
        [seq, head] = [link.seq, leaf.hash];
      }
      if (member === bundle.told.unit && seq === 0 && !report.absent) {
        report.tell("fail", "chain_missing", "The bundle holds no event of the unit that it names.");
      }
      if (member !== bundle.told.unit && until === Infinity && !bundle.heads.has(member)) {
        report.tell("note", "container_open", `${member} is shown to its event ${seq}; later ones may have been left out.`);
      }
    }
  }

  /** @param {any[]} stays */
  tellStory(stays) {
    const unit = this.bundle.told.unit;
    /** @type {[string, number, number][]} */
    const within = [];
    /** @type {[string, number, number][]} */
    const todo = [[unit, -1, Infinity]];
    while (todo.length && within.length < 1000) {
      const [child, first, last] = /** @type {[string, number, number]} */ (todo.pop());
      for (const stay of stays) {
        const [since, until] = [Math.max(first, stay.since), Math.min(last, stay.until)];
        if (stay.child !== child || since >= until) continue;
        within.push([stay.parent, since, until]);
        todo.push([stay.parent, since, until]);
      }
    }
    for (const leaf of this.leaves) {
      const links = new Map(leaf.links.map((link) => [link.unit, link.seq]));
      const about = this.acting(leaf).body;
      const release = this.byHash.get(about.details.release);
      const answered = release && release.index < leaf.index ? release.body.units : [];
      const isOwn = links.has(unit) || about.units.includes(unit) || answered.includes(unit);
      const via = within.find(([parent, since, until]) => links.has(parent) && since < leaf.index && leaf.index < until)?.[0] ?? null;
      if (!isOwn && via === null) continue;
      const { type, at, place, signers } = leaf.body;
      const { result, code } = leaf.verdict;
      const seq = isOwn ? links.get(unit) ?? null : links.get(via) ?? null;
      this.report.story.push({
        index: leaf.index, event: leaf.event, type, about: about.type, at, place, received_at: leaf.receivedAt, result,
        code, seq, via: isOwn ? null : via, signers: { ...signers },
      });
    }
  }

  /** The last leaf at which a member's chain must be whole: when what we ask about left it.
   * @param {string} member @param {Set<string>} focus @param {any[]} stays */
  untilOf(member, focus, stays) {
    const ends = stays.filter((stay) => stay.parent === member && focus.has(stay.child)).map((stay) => stay.until);
    return member === this.bundle.told.unit ? Infinity : Math.max(...ends);
  }

  /** Check the proofs that an event is the latest one as of a commitment. @param {Set<string>} focus @param {any[]} stays */
  async heads(focus, stays) {
    const { report, bundle } = this;
    for (const [unit, data] of bundle.heads) {
      try {
        const isWhole = !focus.has(unit) || this.untilOf(unit, focus, stays) === Infinity;
        const { seq, size, isAbsent } = await this.head(unit, data, isWhole);
        if (unit === bundle.told.unit) [report.latest, report.absent] = [size, isAbsent];
        if (isAbsent) {
          report.tell("note", "absent", `No unit ${unit} is proven to exist in the first ${size} leaves.`);
          continue;
        }
        report.tell("note", "latest", `Event ${seq} of ${unit} is proven to be its latest in the first ${size} leaves.`);
        if (!focus.has(unit)) report.tell("note", "head_foreign", `${unit} is neither this unit nor a container of it.`);
      } catch (error) {
        if (!(error instanceof Refusal)) throw error;
        report.tell("fail", "heads", `The proof about ${unit} is wrong: ${error.message}`);
      }
    }
  }

  /** @param {string} unit @param {Uint8Array} data @param {boolean} isWhole the bundle must show all of it */
  async head(unit, data, isWhole) {
    const wrong = (/** @type {string} */ why) => refuse("heads", why);
    const value = parseJson(data, LIMITS.leaf);
    const { commit, path, position, record } = value ?? {};
    const fits = hasExactly(value, "commit", "path", "position", "record") && isCount(commit, 0) && isCount(position, 0) &&
      Array.isArray(path) && path.length <= LIMITS.pathHashes && path.every(isHash) &&
      hasExactly(record, "hash", "next", "seq", "unit") && isHash(record.hash) && isCount(record.seq, 0) &&
      [record.unit, record.next].every((name) => name === "" || isUnitId(name));
    if (!fits || !sameBytes(utf8(canonical(value)), data)) wrong("It has not the shape of one.");
    const isAbsent = record.unit < unit && (record.next === "" || unit < record.next);
    if (record.unit !== unit && !isAbsent) wrong("It is about another unit.");
    if (record.next !== "" && !(record.next > unit)) wrong("It names no unit that comes next.");
    const leaf = this.leaves.find((one) => one.index === commit);
    if (!leaf?.proven || leaf.body.type !== "heads.commit" || leaf.verdict.result !== "accepted") {
      return wrong("The commitment that it names is not in the bundle, or not proven.");
    }
    const { size, root, n } = leaf.body.details;
    if (!isCount(size, 0) || !isCount(n, 0) || !isHash(root) || size > commit) wrong("The commitment is none.");
    const bytes = concat(utf8(record.unit), Uint8Array.of(0), u64(record.seq), decodeB64url(record.hash, HASH_BYTES), utf8(record.next));
    const hashes = path.map((/** @type {string} */ hash) => decodeB64url(hash, HASH_BYTES));
    await verifyInclusion(BigInt(position), BigInt(n) + 1n, await leafHash(bytes), hashes, decodeB64url(root, HASH_BYTES));
    const before = this.leaves.filter((one) => one.index < size && one.links.some((link) => link.unit === unit)).at(-1);
    const seq = before?.links.find((link) => link.unit === unit)?.seq;
    if (isAbsent) return before ? wrong("The unit stands in the bundle.") : { seq: 0, size, isAbsent };
    if (before && !isWhole && Number(seq) < record.seq) return { seq: record.seq, size, isAbsent };
    if (!before || before.hash !== record.hash || seq !== record.seq) {
      wrong("The latest event that it proves is not the latest one in the bundle.");
    }
    return { seq, size, isAbsent };
  }

  // -- private contents, devices, what is not proven -----------------------------------------------------------------------

  async private() {
    const { report } = this;
    for (const [index, name, data] of this.bundle.private) {
      const leaf = this.leaves.find((one) => one.index === index);
      try {
        if (!leaf) return refuse("private", "A private content belongs to no leaf of the bundle.");
        const value = parseJson(data, LIMITS.private, 1);
        const commitment = Object.hasOwn(leaf.body.private, name) ? leaf.body.private[name] : null;
        const fits = hasExactly(value, "salt", "body") && typeof value.salt === "string" && typeof value.body === "string";
        if (!fits || commitment === null) refuse("private", "A private content has a committed name, a salt and a body.");
        const [salt, body] = [decodeB64url(value.salt, 32), decodeB64url(value.body)];
        if (body.length > 16 * 1024) refuse("private", "A private content has at most 16 KiB.");
        if (b64url(await sha256(concat(salt, body))) !== commitment) {
          refuse("commitment", "A private content does not open its commitment.");
        }
        report.private += 1;
      } catch (error) {
        if (!(error instanceof Refusal)) throw error;
        report.tell("fail", error.code, error.message, leaf ?? index);
      }
    }
  }

  devices() {
    const { report } = this;
    /** @type {Map<string, Map<number, Leaf>>} */
    const devices = new Map();
    for (const leaf of this.leaves) {
      const seen = devices.get(leaf.body.author) ?? new Map();
      devices.set(leaf.body.author, seen);
      if (seen.has(leaf.body.device.seq)) {
        report.tell("note", "device_fork", "The device used that sequence number twice.", leaf);
      } else {
        seen.set(leaf.body.device.seq, leaf);
      }
    }
    let gaps = 0;
    for (const seen of devices.values()) {
      for (const [seq, leaf] of seen) {
        const before = seen.get(seq - 1);
        if (before && leaf.body.device.prev !== before.event) {
          report.tell("note", "device_fork", "The device names another event as its previous one.", leaf);
        }
      }
      const seqs = [...seen.keys()].sort((a, b) => a - b);
      gaps += /** @type {number} */ (seqs.at(-1)) - seqs[0] + 1 - seqs.length;
    }
    if (gaps) report.tell("note", "device_gaps", `${gaps} events of these devices, between those shown, are not in the bundle.`);
  }

  /** @param {Checkpoint} checkpoint */
  trees(checkpoint) {
    const roots = new Map([[0, "47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU"], [Number(checkpoint.size), b64url(checkpoint.root)]]);
    for (const leaf of this.leaves) {
      const { size, root } = leaf.body.checkpoint;
      if (!roots.has(size)) roots.set(size, root);
      if (size > leaf.index || roots.get(size) !== root) {
        this.report.tell("note", "split_view", "The phone had seen another tree than this ledger's.", leaf);
      }
    }
  }

  /** Say what is not proven here. */
  limits() {
    const { report, bundle } = this;
    report.tell("note", "rules_not_judged", "The custody rules were not judged again; `custody verify` does that.");
    if (bundle.stamps) report.tell("note", "stamp_unchecked", "Time stamps (RFC 3161) are not verified in a browser.");
    if (report.witnesses.some((one) => one.state === "unchecked")) {
      report.tell("note", "cosignature_unchecked", "ML-DSA-44 cosignatures are not verified in a browser and never count.");
    }
    if (report.latest === null) {
      report.tell("note", "not_latest", "That no later event concerns this unit is not proven.");
    } else {
      report.tell("note", "not_later", `That no event after leaf ${report.latest} concerns this unit is not proven.`);
    }
    report.tell("note", "not_revoked", "That no key was revoked by a leaf outside this bundle is not proven.");
  }
}

const SERVICE_TYPES = ["heads.commit", "verdict", "ledger.close", "shard.checkpoint"];

/** The public keys that an event brings in. @param {string} type @param {any} details @returns {any[]} */
function jwksOf(type, details) {
  if (type === "key.enrol" || type === "agency.join") return [details.jwk];
  if (type !== "founders.change") return [];
  const added = details.add ?? [];
  if (!Array.isArray(added) || !added.every(isObject)) refuse("details_shape", "A change of founders names the new ones.");
  return added.map((/** @type {any} */ one) => one.jwk);
}

/** The keys that an event brings in and that sign it too, never its author's; unsound ones are left out. @param {any} body */
async function introduced({ type, details, author }) {
  const own = new Map();
  for (const jwk of jwksOf(type, details)) {
    const key = await keyOfJwk(jwk).catch(() => null);
    if (key && key.kid !== author) own.set(key.kid, key);
  }
  return own;
}

/** @type {Promise<string[]> | null} */
let missing = null;

/**
 * Verify a bundle. Never throws; any bytes give a report.
 * @param {Uint8Array | ArrayBuffer} data the zip as received
 * @param {Pins} [pins] what the caller trusts beforehand; without `genesis`, or `ledgers` with `ledgersKey` in its
 *   place, the result is never PASS
 * @param {(progress: Progress) => void} [onProgress] told every 40 ms or so
 * @returns {Promise<Report>}
 */
export async function verifyBundle(data, pins = {}, onProgress = () => {}) {
  return guarded((report) => verifyInto(report, () => readZip(new Uint8Array(data)), pins, onProgress));
}

/** The same for files that were unpacked already. @param {Map<string, Uint8Array>} files @param {Pins} [pins] */
export async function verifyFiles(files, pins = {}) {
  return guarded((report) => verifyInto(report, () => files, pins, () => {}));
}

/**
 * Verify under what is pinned; a list says the genesis and the origin of the ledger that the bundle names.
 * @param {Report} report @param {() => Map<string, Uint8Array>} unpack @param {Pins} pins @param {(progress: Progress) => void} onProgress
 */
async function verifyInto(report, unpack, pins, onProgress) {
  const ledgers = await pinnedLedgers(pins);
  const bundle = await readBundle(unpack());
  const listed = ledgers?.find((one) => one.origin === bundle.told.ledger);
  if (ledgers && !listed) {
    report.ledger = bundle.told.ledger;
    refuse("ledger_not_listed", "The bundle's ledger is not on the signed list of ledgers.");
  }
  const pinned = listed ? { ...pins, genesis: listed.genesis, origin: listed.origin } : pins;
  await new Verification(bundle, report, pinned, onProgress).run();
}

/** @param {(report: Report) => Promise<void>} verify */
async function guarded(verify) {
  const report = new Report();
  try {
    missing ??= missingFeatures();
    const lacks = await missing;
    if (lacks.length) report.tell("incomplete", "browser", `This browser cannot verify: it lacks ${lacks.join(", ")}.`);
    else await verify(report);
  } catch (error) {
    if (error instanceof Refusal) report.tell(error.level, error.code, error.message);
    else report.tell("fail", "unreadable", "The bundle cannot be verified.");
  }
  return report;
}
