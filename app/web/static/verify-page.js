// @ts-check
/**
 * The page around verify.js: a file comes in by choice or by drop, a report stands below. Nothing leaves the page,
 * and nothing is stored. All that comes from a file is written as text.
 */

import { missingFeatures, parsePolicy, pinnedLedgers, verifyBundle } from "./verify.js";

const RESULTS = {
  PASS: ["TERBUKTI", "PASS", "Semua yang diperiksa di sini terbukti di bawah genesis atau daftar yang Anda berikan.",
    "Everything checked here is proven under the genesis or the list that you gave."],
  FAIL: ["GAGAL", "FAIL", "Ada yang salah. Jangan pakai berkas ini sebagai bukti.",
    "Something is wrong. Do not rely on this file."],
  INCOMPLETE: ["BELUM LENGKAP", "INCOMPLETE", "Tidak ada yang salah, tetapi belum cukup untuk memutuskan.",
    "Nothing is wrong, but there is not enough to decide."],
};
const LEVELS = { fail: ["Salah", "Wrong"], incomplete: ["Belum dapat diputuskan", "Undecided"], note: ["Catatan", "Note"] };
const STATES = { valid: ["sah", "valid"], unchecked: ["tidak diperiksa di sini", "not checked here"], absent: ["tidak ada", "absent"] };

/** What stops a run before there is a report. */
const STOPS = {
  policy: ["Kebijakan saksi tidak dapat dipakai.", "The witness policy cannot be used."],
  ledgers: ["Daftar buku besar tidak dapat dipakai.", "The list of ledgers cannot be used."],
  bundle: ["Berkas bukti tidak dapat dibaca.", "The evidence file cannot be read."],
};

const VERDICTS = { accepted: "diterima", refused: "ditolak", pending: "menunggu", held: "ditahan" };
const CAPACITIES = { giver: "pelepas", taker: "penerima", second: "kedua", escort: "pengawal", witness: "saksi", approver: "penyetuju" };
/** Types of events as people say them. */
const ACTS = {
  "ledger.genesis": "buku besar didirikan", "ledger.rekey": "kunci buku besar berganti", "agency.join": "lembaga bergabung",
  "founders.change": "pendiri berganti", "policy.publish": "kebijakan terbit", "plan.publish": "rencana terbit",
  "key.enrol": "kunci didaftarkan", "key.revoke": "kunci dicabut", decision: "keputusan", "labels.issue": "label diterbitkan",
  "unit.commission": "label dipasang", "unit.pack": "dimasukkan ke wadah", "unit.unpack": "dikeluarkan dari wadah",
  "lot.move": "jumlah dipindahkan", "custody.release": "dilepas", "custody.accept": "diterima pihak penerima",
  "custody.reject": "ditolak pihak penerima", "custody.cancel": "pelepasan dibatalkan", "seal.apply": "disegel",
  "seal.remove": "segel dibuka", "unit.open": "dibuka", "unit.close": "ditutup", "quarantine.set": "dikarantina",
  "quarantine.clear": "karantina berakhir", "hold.set": "ditahan sebagai bukti", "hold.clear": "penahanan berakhir",
  "unit.void": "dinyatakan hilang", "unit.destroy": "dimusnahkan", correction: "koreksi", retraction: "penarikan",
  "discrepancy.explain": "ketidaksesuaian dijelaskan", "incident.update": "insiden diperbarui",
  "incident.close": "insiden ditutup", "inspection.plan": "pemeriksaan direncanakan",
  "inspection.open": "pemeriksaan dibuka", "inspection.skip": "dilewati dalam pemeriksaan",
  "inspection.close": "pemeriksaan ditutup", sighting: "terlihat", inspection: "diperiksa", count: "dihitung", "seal.inspect": "segel diperiksa", position: "posisi",
  condition: "keadaan", access: "gudang dibuka atau ditutup", departed: "berangkat", arrived: "tiba",
  "incident.report": "insiden dilaporkan", objection: "keberatan", "witness.attest": "kesaksian",
  "witness.refuse": "saksi menolak menandatangani",
  "heads.commit": "ikrar peristiwa terakhir", verdict: "putusan layanan", "ledger.close": "buku besar ditutup",
  "shard.checkpoint": "checkpoint buku besar lain",
};

/** What each code means, in Indonesian; a key that ends in an underscore is for all codes that begin so. */
const MEANINGS = {
  base64: "Ada isi yang tidak ditulis dalam satu-satunya ejaan base64 yang sah.",
  browser: "Peramban ini tidak dapat memeriksa; pakai peramban yang lebih baru atau perintah custody verify.",
  bundle_: "Berkas zip atau daftar isinya bukan seperti yang ditulis layanan ini.",
  chain: "Rantai peristiwa terputus atau bercabang sebelum peristiwa ini.",
  chain_missing: "Berkas tidak memuat satu peristiwa pun dari barang yang disebutnya.",
  checkpoint: "Checkpoint bukan checkpoint yang sah.",
  checkpoint_origin: "Checkpoint ini milik buku besar lain.",
  commitment: "Isi pribadi tidak cocok dengan komitmennya.",
  consistency_proof: "Dua pohon buku besar tidak bersambung.",
  absent: "Terbukti bahwa tidak ada barang dengan nomor ini sampai ukuran buku besar itu.",
  container_open: "Wadah ditunjukkan sampai peristiwa ini; yang kemudian mungkin tidak disertakan.",
  cosignature_unchecked: "Tanda tangan saksi ML-DSA-44 tidak dapat diperiksa peramban dan tidak dihitung.",
  decimal: "Ada angka yang tidak ditulis dalam satu-satunya ejaan yang sah.",
  details_shape: "Rincian peristiwa tidak berbentuk semestinya.",
  device_fork: "Urutan perangkat bercabang.",
  device_gaps: "Ada peristiwa perangkat ini yang tidak disertakan.",
  event_: "Peristiwa tidak berbentuk semestinya, atau tercatat lebih dari sekali.",
  genesis_mismatch: "Ini buku besar lain: genesisnya bukan yang Anda berikan, atau bukan yang disebut daftar.",
  genesis_missing: "Berkas tidak memuat genesis buku besar.",
  genesis_not_pinned: "Sidik genesis belum diberikan, jadi siapa pun bisa mendirikan buku besar ini.",
  head_foreign: "Bukti peristiwa terakhir ini tentang barang lain.",
  heads: "Bukti bahwa ini peristiwa terakhir tidak benar.",
  inclusion_proof: "Bukti bahwa peristiwa ini ada di buku besar tidak benar.",
  json_: "Isi berkas bukan JSON dalam bentuk yang disepakati.",
  jwk: "Kunci publik tidak berbentuk semestinya.",
  jws_: "Amplop tanda tangan tidak berbentuk semestinya.",
  key_alg: "Tanda tangan menyebut algoritma lain daripada kuncinya.",
  key_revoked: "Peristiwa ditandatangani dengan kunci yang sudah dicabut.",
  latest: "Terbukti: inilah peristiwa terakhir barang itu sampai ukuran buku besar yang disebut.",
  leaf_: "Catatan buku besar tidak berbentuk semestinya.",
  ledger_key_mismatch: "Kunci buku besar bukan salah satu yang Anda tetapkan.",
  ledger_list: "Daftar buku besar tidak ditulis dalam satu-satunya ejaan yang sah.",
  ledger_not_listed: "Buku besar berkas ini tidak ada di daftar yang Anda berikan.",
  not_later: "Tidak terbukti bahwa sesudah itu tidak ada peristiwa lain tentang barang ini.",
  not_latest: "Tidak terbukti bahwa tidak ada peristiwa yang lebih baru tentang barang ini.",
  not_revoked: "Tidak terbukti bahwa tidak ada kunci yang dicabut di luar berkas ini.",
  note: "Checkpoint atau daftar buku besar bukan catatan bertanda tangan yang sah.",
  note_signature: "Tanda tangan pada checkpoint atau daftar salah, atau bukan dari kunci yang semestinya.",
  origin_mismatch: "Buku besar ini bukan yang Anda tetapkan, atau bukan yang disebut daftar.",
  payload_too_large: "Isi peristiwa terlalu besar.",
  policy_not_pinned: "Kebijakan saksi tidak diberikan; saksi ditampilkan tetapi tidak dihitung.",
  policy_recommended: "Menurut kebijakan di dalam berkas (tidak menentukan hasil).",
  private: "Isi pribadi tidak termasuk peristiwa mana pun, atau tidak berbentuk semestinya.",
  proof_missing: "Sebuah catatan tidak punya bukti, atau sebaliknya.",
  quorum: "Terlalu sedikit saksi dari kebijakan Anda yang ikut menandatangani.",
  quorum_unchecked: "Jumlah saksi bergantung pada tanda tangan ML-DSA-44, yang tidak dapat diperiksa peramban.",
  rules_not_judged: "Aturan serah terima tidak dinilai ulang di sini; perintah custody verify melakukannya.",
  service_key: "Hanya kunci layanan buku besar yang boleh menandatangani ini.",
  signature: "Tanda tangan tidak benar.",
  signature_set: "Penandatangan bukan persis yang disebut peristiwa.",
  split_view: "Telepon pernah melihat pohon lain daripada buku besar ini.",
  stamp_unchecked: "Cap waktu RFC 3161 tidak diperiksa di peramban.",
  time: "Waktu tidak ditulis semestinya.",
  tlog_policy: "Kebijakan saksi tidak dapat dibaca.",
  tlog_proof: "Berkas bukti keikutsertaan tidak berbentuk semestinya.",
  unit_id: "Peristiwa menyebut nomor yang bukan nomor barang.",
  units_repeated: "Peristiwa menyebut satu barang dua kali.",
  unknown_key: "Pendaftaran kunci penandatangan tidak ada di berkas sebelum peristiwa ini.",
  unknown_type: "Jenis peristiwa ini tidak dikenal.",
  unreadable: "Berkas tidak dapat diperiksa.",
  usage: "Daftar dan kuncinya diberikan bersama, sebagai ganti sidik genesis.",
  verifier_key: "Kunci buku besar, daftar, atau saksi tidak berbentuk semestinya.",
  weak_key: "Kunci publik lemah.",
  wrong_ledger: "Peristiwa ditandatangani untuk buku besar lain.",
};

/** Say in Indonesian what a code means; empty for a code without a sentence. @param {string} code */
function explain(code) {
  const table = /** @type {Record<string, string>} */ (MEANINGS);
  const group = Object.keys(table).find((key) => key.endsWith("_") && code.startsWith(key));
  return Object.hasOwn(table, code) ? table[code] : group ? table[group] : "";
}

/** Say a word of ours in Indonesian. @param {Record<string, string>} table @param {string} name */
const word = (table, name) => (Object.hasOwn(table, name) ? table[name] : name);

/** @param {string} id @returns {any} */
const byId = (id) => document.getElementById(id);

/** @param {string} name @param {...(Node | string)} children */
function make(name, ...children) {
  const element = document.createElement(name);
  element.append(...children);
  return element;
}

/** Put the Indonesian words, then the English ones. @param {string} name @param {string} id @param {string} en */
function both(name, id, en) {
  const english = make("span", en);
  english.lang = "en";
  return make(name, id, " ", english);
}

/** @param {string} text */
function hash(text) {
  const element = make("span", text);
  element.className = "hash";
  return element;
}

/** @param {import("./verify.js").Report} report */
function show(report) {
  const [id, en, sentence, english] = RESULTS[report.result];
  const section = byId("report");
  section.className = report.result;
  byId("verdict").replaceChildren(`${id} `, both("small", "", en));
  byId("sentence").replaceChildren(both("span", sentence, english));
  byId("facts").replaceChildren(...facts(report), ...reasons(report), ...witnesses(report), ...story(report));
  section.hidden = false;
  section.focus();
}

/** @param {import("./verify.js").Report} report */
function facts(report) {
  const list = make("dl");
  const rows = [
    ["Barang", "Unit", report.unit], ["Buku besar", "Ledger", report.ledger], ["Sidik genesis", "Genesis", report.genesis],
    ["Ukuran pohon", "Tree size", report.size], ["Akar pohon", "Root", report.root],
    ["Terakhir sampai ukuran", "Latest as of size", report.latest],
    ["Catatan diperiksa", "Leaves checked", report.leaves], ["Tanda tangan terbukti", "Signatures proven", report.signatures],
    ["Isi pribadi dibuka", "Private contents opened", report.private || null],
  ];
  for (const [id, en, value] of rows) {
    if (value === null) continue;
    list.append(both("dt", String(id), String(en)), make("dd", hash(String(value))));
  }
  return [both("h3", "Tentang berkas ini", "About this file"), list];
}

/** @param {import("./verify.js").Report} report */
function reasons(report) {
  const list = make("ul");
  for (const level of /** @type {const} */ (["fail", "incomplete", "note"])) {
    for (const reason of report.reasons.filter((one) => one.level === level)) {
      const where = reason.index === null ? "" : ` (catatan ${reason.index})`;
      const head = make("strong", `${LEVELS[level][0]}${where}: `);
      list.append(make("li", head, both("span", explain(reason.code), reason.detail), " ", make("code", reason.code)));
    }
  }
  return [both("h3", "Alasan, dan yang tidak dibuktikan", "Reasons, and what is not proven"), list];
}

/** @param {import("./verify.js").Report} report */
function witnesses(report) {
  if (!report.witnesses.length) return [];
  const list = make("ul");
  for (const { name, state, at } of report.witnesses) {
    const [id, en] = STATES[state];
    list.append(make("li", `${name}: `, both("span", id, en), at ? ` · ${at}` : ""));
  }
  return [both("h3", "Saksi", "Witnesses"), list];
}

/** @param {import("./verify.js").Report} report */
function story(report) {
  if (!report.story.length) return [];
  const list = make("ol");
  for (const event of report.story) {
    const time = make("time", event.at);
    time.setAttribute("datetime", event.at);
    const via = event.via ? ` · di dalam ${event.via}` : "";
    const code = event.code ? ` (${event.code})` : "";
    const about = event.about === event.type ? "" : `: ${word(ACTS, event.about)}`;
    const head = make("strong", `${word(ACTS, event.type)}${about}`);
    const line = make("li", head, ` · ${word(VERDICTS, event.result)}${code}${via} `, make("code", event.type));
    line.append(make("br"), time, ` · ${event.place}`);
    line.append(make("br"), `catatan ${event.index}, tercatat ${event.received_at}`, make("br"));
    const signers = Object.entries(event.signers).map(([kid, as]) => `${word(CAPACITIES, String(as))} ${kid.slice(0, 8)}…`);
    line.append(make("small", signers.join(", ")));
    list.append(line);
  }
  return [both("h3", "Riwayat", "Timeline"), list];
}

/** Say what stopped a run. @param {keyof STOPS} step @param {any} error */
function stop(step, error) {
  const [id, en] = STOPS[step];
  return both("span", `${id} ${explain(String(error?.code))}`, `${en} ${error instanceof Error ? error.message : ""}`);
}

/** The newest run; an older one that ends later shows nothing. */
let run = 0;

/** Verify what stands in the fields. */
async function verify() {
  const file = byId("bundle").files[0];
  if (!file) return;
  const mine = (run += 1);
  /** @type {keyof STOPS} */
  let step = "policy";
  const progress = byId("progress");
  byId("report").hidden = true;
  progress.replaceChildren(both("span", "Memeriksa…", "Verifying…"));
  /** @type {import("./verify.js").Pins} */
  const pins = {};
  const genesis = byId("genesis").value.trim();
  if (genesis) pins.genesis = genesis;
  try {
    const policy = byId("policy").files[0];
    if (policy) pins.policy = new Uint8Array(await policy.arrayBuffer());
    const isAble = !(await missingFeatures()).length; // if not, the report says so: no policy or list is at fault
    if (pins.policy && isAble) await parsePolicy(pins.policy);
    step = "ledgers";
    const ledgers = byId("ledgers").files[0];
    if (ledgers) pins.ledgers = new Uint8Array(await ledgers.arrayBuffer());
    pins.ledgersKey = byId("ledgers-key").value.trim() || undefined;
    if (isAble) await pinnedLedgers(pins);
    step = "bundle";
    const data = await file.arrayBuffer();
    const report = await verifyBundle(data, pins, ({ done, total }) => {
      if (mine === run) progress.textContent = `${done} / ${total}`;
    });
    if (mine !== run) return;
    progress.textContent = "";
    show(report);
  } catch (error) {
    if (mine === run) progress.replaceChildren(stop(step, error));
  }
}

/** Take the first file of a drop into the field, as if it had been chosen. @param {DragEvent} event */
function drop(event) {
  event.preventDefault();
  byId("drop").classList.remove("over");
  if (!event.dataTransfer?.files.length) return;
  byId("bundle").files = event.dataTransfer.files;
  verify();
}

byId("local").hidden = location.protocol !== "file:";
for (const id of ["bundle", "policy", "genesis", "ledgers", "ledgers-key"]) byId(id).addEventListener("change", verify);
byId("print").addEventListener("click", () => print());
addEventListener("dragover", (event) => {
  event.preventDefault();
  byId("drop").classList.add("over");
});
addEventListener("dragleave", () => byId("drop").classList.remove("over"));
addEventListener("drop", drop);
