"""A real time-stamping authority made with the `openssl` program: root, certificates of every kind, answers, forgeries.

`scripts/setup` installs the program where it is missing; without it these tests fail, they are never skipped.
"""

import itertools
import shutil
import subprocess
from pathlib import Path

CONFIG = """
[ca]
default_ca = here
[here]
database = index.txt
new_certs_dir = .
default_md = sha256
policy = any
unique_subject = no
rand_serial = yes
email_in_dn = no
copy_extensions = none
[any]
countryName = optional
organizationName = optional
commonName = optional
[tsa]
default_tsa = one
[one]
serial = serial
default_policy = 1.2.3.4.1
digests = sha1, sha256, sha384, sha512
clock_precision_digits = 3
tsa_name = yes
ess_cert_id_alg = sha256
signer_digest = sha256
[root]
basicConstraints = critical,CA:TRUE
keyUsage = critical,keyCertSign,cRLSign
subjectKeyIdentifier = hash
[stamps]
basicConstraints = critical,CA:FALSE
keyUsage = critical,digitalSignature
extendedKeyUsage = critical,timeStamping
[plain]
basicConstraints = critical,CA:FALSE
keyUsage = critical,digitalSignature
[mail]
basicConstraints = critical,CA:FALSE
keyUsage = critical,digitalSignature
extendedKeyUsage = critical,emailProtection
[loose]
basicConstraints = critical,CA:FALSE
keyUsage = critical,digitalSignature
extendedKeyUsage = timeStamping
"""
EC, LONG, SHORT = ("ec", "ec_paramgen_curve:P-256"), ("rsa", "rsa_keygen_bits:2048"), ("rsa", "rsa_keygen_bits:1024")
TST_INFO = "1.2.840.113549.1.9.16.1.4"
ROOT, TSA = "/C=ID/O=Uji/CN=Akar Uji", "/C=ID/O=Uji/CN=Penanda Waktu Uji"
AUTHORITY = "CN=Penanda Waktu Uji,O=Uji,C=ID"
BEGINNING, EXPIRY, FAR = "20200101000000Z", "20210101000000Z", "20600101000000Z"


def openssl(folder: Path, *words: object) -> bytes:
    """Run the program in a folder and return what it prints; a failure carries its words."""
    program = shutil.which("openssl")
    assert program, "No openssl program: run scripts/setup as root, or install the package `openssl`."
    done = subprocess.run([program, *map(str, words)], cwd=folder, capture_output=True)
    assert done.returncode == 0, f"openssl {' '.join(map(str, words))}: {done.stderr.decode()}"
    return done.stdout


class Tsa:
    """One root in a folder, and what it issues."""

    def __init__(self, folder: Path, root: str = ROOT) -> None:
        """Make the root and the certificate `good`, which may stamp."""
        folder.mkdir(parents=True)
        self.folder = folder
        self._names = itertools.count()
        self.put("config", CONFIG.encode())
        self.put("index.txt", b"")
        self.put("serial", b"01")
        self._key("root", root, EC)
        self._sign("root", "root", issuer=None, end=FAR, md="sha256")
        self.issue("good")

    @property
    def roots(self) -> bytes:
        return self.pem("root")

    def put(self, name: str, data: bytes) -> Path:
        path = self.folder / name
        path.write_bytes(data)
        return path

    def pem(self, name: str) -> bytes:
        return (self.folder / f"{name}.pem").read_bytes()

    def issue(
        self, name: str, kind: str = "stamps", *, issuer: str = "root", end: str = FAR, md: str = "sha256",
        key: tuple[str, str] = EC, subject: str = TSA,
    ) -> str:  # fmt: skip
        """Issue a certificate of one of the kinds in CONFIG and return its name."""
        self._key(name, subject, key)
        self._sign(name, kind, issuer=issuer, end=end, md=md)
        return name

    def reply(self, query: bytes, signer: str = "good", *chain: str, config: str = "config") -> bytes:
        """Answer a query as an authority does."""
        asked, told = self._file(query), self._file(b"")
        more = ("-chain", self.put("chain.pem", b"".join(map(self.pem, chain)))) if chain else ()
        openssl(
            self.folder, "ts", "-reply", "-queryfile", asked, "-signer", f"{signer}.pem", "-inkey", f"{signer}.key",
            "-config", config, *more, "-out", told,
        )  # fmt: skip
        return told.read_bytes()

    def query(self, data: bytes, *words: str) -> bytes:
        """Ask for a stamp over data."""
        return openssl(self.folder, "ts", "-query", "-data", self._file(data), *(words or ("-sha256", "-cert")))

    def stamp(self, data: bytes, signer: str = "good", *chain: str) -> bytes:
        """Return an honest stamp over data."""
        return self.reply(self.query(data), signer, *chain)

    def said(self, reply: bytes) -> bytes:
        """Return the TSTInfo of an answer: what is signed."""
        token = openssl(self.folder, "ts", "-reply", "-in", self._file(reply), "-token_out", "-config", "config")
        return openssl(self.folder, "cms", "-verify", "-noverify", "-inform", "DER", "-in", self._file(token))

    def forge(self, tst_info: bytes, *signers: str, md: str = "sha256") -> bytes:
        """Sign any TSTInfo with any certificates, as no authority would, and wrap it into a granted answer."""
        keys = [word for name in signers for word in ("-signer", f"{name}.pem", "-inkey", f"{name}.key")]
        token = openssl(
            self.folder, "cms", "-sign", "-nodetach", "-binary", "-cades", "-econtent_type", TST_INFO, "-md", md,
            "-in", self._file(tst_info), "-outform", "DER", *keys,
        )  # fmt: skip
        return der(0x30, bytes.fromhex("3003020100") + token)

    def verifies(self, reply: bytes, data: bytes) -> bool:
        """Say what `openssl ts -verify` says."""
        done = subprocess.run(
            ["openssl", "ts", "-verify", "-in", self._file(reply), "-data", self._file(data), "-CAfile", "root.pem"],
            cwd=self.folder, capture_output=True,
        )  # fmt: skip
        return done.returncode == 0 and b"Verification: OK" in done.stdout + done.stderr

    def _file(self, data: bytes) -> Path:
        return self.put(f"file-{next(self._names)}", data)

    def _key(self, name: str, subject: str, key: tuple[str, str]) -> None:
        openssl(
            self.folder, "req", "-new", "-newkey", key[0], "-pkeyopt", key[1], "-nodes", "-keyout", f"{name}.key",
            "-out", f"{name}.csr", "-subj", subject, "-config", self._empty(),
        )  # fmt: skip

    def _empty(self) -> Path:
        return self.put("empty", b"[req]\ndistinguished_name=dn\n[dn]\n")

    def _sign(self, name: str, kind: str, *, issuer: str | None, end: str, md: str) -> None:
        by = (
            ("-cert", f"{issuer}.pem", "-keyfile", f"{issuer}.key")
            if issuer
            else ("-selfsign", "-keyfile", f"{name}.key")
        )
        openssl(
            self.folder, "ca", "-batch", "-config", "config", "-notext", "-extensions", kind, "-startdate", BEGINNING,
            "-enddate", end, "-md", md, "-in", f"{name}.csr", "-out", f"{name}.pem", *by,
        )  # fmt: skip


def der(tag: int, body: bytes) -> bytes:
    """Write one value of DER."""
    size = len(body)
    digits = size.to_bytes((size.bit_length() + 7) // 8, "big")
    length = bytes([size]) if size < 0x80 else bytes([0x80 + len(digits)]) + digits
    return bytes([tag]) + length + body
