"""What codes of the ledger are called for people, in Indonesian; the catalogues have the rest.

Neutral words, as the domain reference asks: a discrepancy is a fact and a rule, never an accusation. A code that is
not here is shown as it is, so that nothing is hidden because somebody added a type.
"""

from collections.abc import Mapping

from app.audit.discrepancies import RULE_WORDS
from app.audit.discrepancies import WORDS as DISCREPANCY_WORDS
from app.audit.incidents import CATEGORY_WORDS

TYPES = {
    "ledger.genesis": "pendirian buku besar", "policy.publish": "kebijakan diterbitkan",
    "plan.publish": "rencana diterbitkan", "key.enrol": "kunci didaftarkan", "key.revoke": "kunci dicabut",
    "decision": "keputusan", "agency.join": "lembaga bergabung", "founders.change": "pendiri berubah",
    "ledger.rekey": "kunci buku besar diganti", "labels.issue": "label diterbitkan",
    "unit.commission": "label dipasang pada barang", "unit.pack": "dikemas", "unit.unpack": "dikeluarkan dari kemasan",
    "lot.move": "jumlah dipindahkan", "custody.release": "dilepas", "custody.accept": "diterima",
    "custody.reject": "ditolak penerima", "custody.cancel": "pelepasan dibatalkan", "seal.apply": "segel dipasang",
    "seal.remove": "segel dilepas", "unit.open": "dibuka", "unit.close": "ditutup",
    "quarantine.set": "dikarantina", "quarantine.clear": "karantina diakhiri", "hold.set": "ditahan secara hukum",
    "hold.clear": "penahanan diakhiri", "unit.void": "dinyatakan batal", "unit.destroy": "dimusnahkan",
    "correction": "koreksi", "retraction": "penarikan kembali", "discrepancy.explain": "ketidaksesuaian dijelaskan",
    "incident.update": "insiden diperbarui", "incident.close": "insiden ditutup",
    "inspection.plan": "pemeriksaan direncanakan", "inspection.open": "pemeriksaan dibuka",
    "inspection.skip": "dilewati dalam pemeriksaan", "inspection.close": "pemeriksaan ditutup", "sighting": "terlihat",
    "inspection": "diperiksa", "count": "dihitung", "seal.inspect": "segel diperiksa", "position": "posisi dicatat",
    "condition": "keadaan dicatat", "access": "akses ruang dicatat", "departed": "berangkat", "arrived": "tiba",
    "incident.report": "insiden dilaporkan", "objection": "keberatan", "witness.attest": "kesaksian",
    "witness.refuse": "saksi menolak menandatangani", "heads.commit": "komitmen keadaan terakhir",
    "verdict": "putusan atas peristiwa tertunda", "ledger.close": "buku besar ditutup",
    "shard.checkpoint": "checkpoint buku besar lain",
}  # fmt: skip
"""Types of events."""

RESULTS = {
    "accepted": "berlaku", "refused": "ditolak aturan", "pending": "menunggu peristiwa lain",
    "held": "ditahan sampai diputuskan",
}  # fmt: skip
CUSTODY = {"held": "dikuasai", "released": "dilepas, belum diterima", "uncertain": "tidak pasti"}
LIFECYCLE = {
    "registered": "terdaftar", "received": "diterima gudang", "checked": "selesai diperiksa",
    "allocated": "dialokasikan", "sealed": "disegel", "delivered": "diantar", "deployed": "di tempat tujuan",
    "opened": "dibuka", "closed": "ditutup", "returned": "kembali", "voided": "batal", "destroyed": "dimusnahkan",
}  # fmt: skip
CONDITION = {
    "good": "baik", "damaged": "rusak", "excess": "lebih", "revote": "cadangan PSU", "voided": "batal",
}  # fmt: skip
FLAGS = {
    "quarantine": "dikarantina", "hold": "ditahan secara hukum", "missing": "dilaporkan hilang",
    "disputed": "disengketakan", "orphan": "tanpa pelepasan", "voided": "batal",
}  # fmt: skip
SEAL = {"applied": "terpasang", "removed": "sudah dilepas", "broken": "rusak", "missing": "tidak ada"}
GAPS = {
    "released_not_accepted": "dilepas, belum ada yang menerima", "overdue": "melewati tenggat serah terima",
    "uncertain": "penguasaan tidak pasti",
}  # fmt: skip
ENDS = {
    "accepted": "diterima", "rejected": "ditolak penerima", "cancelled": "pelepasan dibatalkan",
    "missing": "dinyatakan tidak ada", "quarantine_cleared": "karantina diakhiri",
}  # fmt: skip
HANDOVER = {
    "open": "menunggu penerima", "accepted": "diterima", "partial": "diterima dengan catatan",
    "rejected": "ditolak penerima", "cancelled": "pelepasan dibatalkan", "overdue": "melewati tenggat",
    "disputed": "disengketakan", "done": "selesai",
}  # fmt: skip
SEVERITY = {
    "info": "informasi", "rendah": "rendah", "sedang": "sedang", "tinggi": "tinggi", "kritis": "kritis",
}  # fmt: skip
INCIDENT = {
    "open": "dilaporkan", "triaged": "dinilai", "assigned": "ditugaskan", "resolved": "ditangani",
    "closed": "ditutup",
}  # fmt: skip
STEPS = {
    "triage": "sampai dinilai", "assignment": "sampai ditugaskan", "resolution": "sampai ditangani",
    "closing": "sampai ditutup",
}  # fmt: skip
PLACES = {
    "REGION": "wilayah", "PRINTER": "percetakan", "WH_KPU": "gudang KPU", "OFFICE": "kantor",
    "SORT_HALL": "ruang sortir", "PPK_KEC": "PPK kecamatan", "PPS": "PPS kelurahan", "TPS": "TPS",
    "TPS_LOKSUS": "TPS lokasi khusus", "VEHICLE": "kendaraan", "PORT": "pelabuhan",
    "RECAP_SITE": "tempat rekapitulasi", "EVIDENCE": "ruang barang bukti", "DESTRUCTION_SITE": "tempat pemusnahan",
}  # fmt: skip
FIGURES = {
    "voters": "pemilih (DPT)", "reserve": "cadangan per TPS", "revote_planned": "cadangan PSU menurut rencana",
    "ordered": "datang dengan surat jalan", "over": "lebih dari surat jalan", "replacements": "pengganti",
    "other": "asal lain", "short": "kurang dari surat jalan", "damaged": "rusak", "good": "baik sekarang",
    "allocated": "dialokasikan ke TPS", "revote": "disisihkan untuk PSU", "excess": "lebih", "voided": "batal",
    "destroyed_damaged": "rusak yang dimusnahkan", "destroyed_excess": "lebih yang dimusnahkan",
}  # fmt: skip
IDENTITIES = {
    "print_ceiling": "kebutuhan = pesanan", "received": "diterima = baik + rusak",
    "allocation": "yang baik = dialokasikan, disisihkan, lebih, batal",
    "destruction": "dimusnahkan = rusak + lebih", "balance": "yang masuk = yang dipakai atau dimusnahkan",
    "station_need": "kebutuhan TPS = dialokasikan ke TPS",
}  # fmt: skip
BALANCE = {"holds": "cocok", "open": "terbuka, belum dijelaskan", "explained": "ditutup, telah dijelaskan"}

VOCABULARY: Mapping[str, Mapping[str, str]] = {
    "type": TYPES, "result": RESULTS, "custody": CUSTODY, "lifecycle": LIFECYCLE, "condition": CONDITION,
    "flag": FLAGS, "seal": SEAL, "gap": GAPS, "end": ENDS, "handover": HANDOVER, "severity": SEVERITY,
    "incident": INCIDENT, "step": STEPS, "place": PLACES, "figure": FIGURES, "identity": IDENTITIES,
    "balance": BALANCE, "rule": RULE_WORDS, "category": CATEGORY_WORDS,
    "discrepancy": {code: words["id"] for code, words in DISCREPANCY_WORDS.items()},
}  # fmt: skip
"""Every vocabulary by its name; a test wants each word in every catalogue."""


def term(vocabulary: str, code: object) -> str:
    """Return what a code is called in Indonesian, or the code itself."""
    return VOCABULARY[vocabulary].get(str(code), str(code))
