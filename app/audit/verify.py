"""Verify an evidence bundle, trusting nobody: no network, no database, no web framework (pure).

The steps of ledger reference section 13. Limits and strict reading; each leaf canonical, of a known version and
included under the one checkpoint; signatures under keys that earlier leaves enrolled; one payload per event id; the
rules judged again, roles included; then, since these leaves say which keys are in force, the ledger's signature on
the checkpoint; the unit's chain whole from 1; commitments opened. Whatever fails is a reason that names the event;
nothing is raised.

    PASS         everything that the bundle claims is proven under the pinned genesis
    FAIL         something is wrong
    INCOMPLETE   nothing is wrong, but something could not be decided: no genesis was pinned, a document or a
                 predecessor is not in the bundle, the rules are newer than this verifier

Which event is the unit's latest is proven as of the newest commitment in the bundle, when there is one. Not proven,
and always said: that no later event concerns the unit, and that no key was revoked by a leaf that the bundle leaves
out; a rotation of the ledger's own key is such a leaf, so who wants the new key's word pins that key. How
many witnesses must have cosigned the checkpoint is the pinned policy's word; the one in the bundle is shown and decides
nothing.

    python -m app.audit.verify BUNDLE [--genesis HASH] [--policy FILE] [--json]
"""

import argparse
import errno
import os
import stat
import sys
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

import orjson

from app.audit.bundle import MAX_BYTES, Bundle, read_bundle
from app.audit.lateness import NO_END as _NO_END
from app.audit.lateness import check_heads, until_of
from app.audit.leaf import Recorded, read_leaf
from app.audit.rejudging import Rejudging
from app.audit.report import Level, Report
from app.audit.stamped import read_roots, read_stamp
from app.audit.witnesses import check_proof_notes, check_witnesses, keys_as_told, signers_of
from app.canon import b64url_decode, b64url_encode, parse_json, sha256
from app.custody.details import LedgerGenesis
from app.custody.events import ZERO_HASH
from app.custody.newkeys import genesis_keys, introduced
from app.custody.private import PrivateContent
from app.custody.rules.case import RULES_VERSION
from app.errors import MalformedError, ServiceError, UnprovenError
from app.keys.verify import prove
from app.ledger.checkpoint import Checkpoint
from app.ledger.note import Note, VerifierKey
from app.ledger.policy import TrustPolicy
from app.ledger.proof import TlogProof
from app.ledger.tree import leaf_hash, verify_inclusion
from app.units.state import Containment

EXIT_CODES = {"PASS": 0, "FAIL": 1, "INCOMPLETE": 3}
MAX_STAYS = 1000


@dataclass(frozen=True, slots=True)
class Pins:
    """What a verifier knows beforehand, from whom it trusts and not from the bundle; see `verify_bundle`."""

    genesis: str | None = None
    origin: str | None = None
    ledger_keys: Collection[str] = ()
    policy: bytes | None = None
    tsa_roots: bytes | None = None


def verify_bundle(
    data: bytes, *, genesis: str | None = None, origin: str | None = None, ledger_keys: Collection[str] = (),
    policy: bytes | None = None, tsa_roots: bytes | None = None,
) -> Report:  # fmt: skip
    """Verify a bundle.

    Args:
        data: The zip as received; anything at all.
        genesis: The pinned hash of the genesis event; without it the result is never PASS.
        origin: The pinned origin of the ledger, if the caller has one.
        ledger_keys: Pinned verifier keys of the ledger; one of them must be in force and have signed the checkpoint.
        policy: The pinned trust policy (c2sp.org/tlog-policy); without its quorum the result is INCOMPLETE. The keys
            on its `log` lines are pinned like `ledger_keys`.
        tsa_roots: PEM bundle of the time-stamping authorities' root certificates; without it stamps are not verified.

    Returns:
        The report; its `result` is decided by its reasons.
    """
    report = Report()
    try:
        bundle = read_bundle(data)
        _Verification(bundle, report).run(Pins(genesis, origin, ledger_keys, policy, tsa_roots))
    except ServiceError as error:
        report.tell("fail", error.code, error.detail)
    except Exception as error:  # noqa: BLE001 - the last resort: a stranger's file must never end the verifier
        report.tell("fail", "unreadable", f"The bundle cannot be verified ({type(error).__name__}).")
    return report


class _Verification:
    """One bundle under examination."""

    def __init__(self, bundle: Bundle, report: Report) -> None:
        self.bundle = bundle
        self.report = report
        self.leaves: list[Recorded] = []
        self.proof_notes: list[tuple[Recorded, Note]] = []

    def run(self, pins: Pins) -> None:
        """Take every step; a step whose ground is gone ends the run by an error."""
        bundle, report = self.bundle, self.report
        report.unit = bundle.unit
        founding = self._genesis(pins.genesis)
        report.ledger = founding.event.body.ledger
        if pins.origin is not None and pins.origin != report.ledger:
            report.tell("fail", "origin_mismatch", "The ledger has another origin than the pinned one.")
        checkpoint = Checkpoint.parse(Note.parse(bundle.checkpoint).text)  # who signed it, the leaves have to say
        report.size, report.root = checkpoint.size, b64url_encode(checkpoint.root)
        self._manifest(checkpoint)
        self._read_leaves(checkpoint)
        self._ids()
        judging = Rejudging(bundle.unit, bundle.documents, self.leaves, report.tell)
        for leaf in self.leaves:
            self._signatures(leaf, judging)
            judging.take(leaf)
        report.leaves, report.judged, report.assumed = len(self.leaves), judging.judged, judging.assumed
        in_force = self._in_force(judging)
        signers = signers_of(bundle.checkpoint, in_force, report.ledger)
        if pins.ledger_keys and not {key.to_text() for key in signers} & set(pins.ledger_keys):
            report.tell("fail", "ledger_key_mismatch", "No pinned key of the ledger signed the checkpoint.")
        check_proof_notes(report, self.proof_notes, signers)
        check_witnesses(bundle, report, pins.policy, in_force, signers)
        self._stamps(pins.tsa_roots)
        proven = check_heads(bundle, self.leaves, judging, report)
        self._chains(judging, proven=proven)
        self._private()
        self._devices()
        self._trees(checkpoint)
        self._plans(judging)
        self._tell_limits(proven=proven)
        report.tell("note", "not_revoked", "That no key was revoked by a leaf outside this bundle is not proven.")

    # -- 1 to 3: the ledger --------------------------------------------------------------------------

    def _genesis(self, pinned: str | None) -> Recorded:
        data = self.bundle.leaves.get(0)
        if data is None:
            raise UnprovenError("The bundle does not hold the ledger's genesis, leaf 0.", code="genesis_missing")
        founding = read_leaf(0, data)
        if not isinstance(founding.event.details, LedgerGenesis):
            raise UnprovenError("Leaf 0 is no genesis.", code="genesis_missing")
        self.report.genesis = founding.event.hash
        if pinned is None:
            self.report.tell(
                "incomplete", "genesis_not_pinned", "No genesis was pinned, so anybody could have founded this ledger."
            )
        elif pinned != founding.event.hash:
            self.report.tell("fail", "genesis_mismatch", "This is another ledger than the pinned one.", founding)
        prove(founding.jws, genesis_keys(founding.event.details).get)
        return founding

    def _in_force(self, judging: Rejudging) -> list[VerifierKey]:
        """Return the keys that sign checkpoints after the last rotation in the bundle, or the genesis's."""
        meta = judging.facts.meta
        is_judged = meta is not None and all(leaf.verdict.rules == RULES_VERSION for leaf in self.leaves)
        texts = meta.ledger_keys if meta is not None and is_judged else keys_as_told(self.leaves)
        return [VerifierKey.parse(text) for text in texts]

    def _stamps(self, roots: bytes | None) -> None:
        """Verify the time stamps over the checkpoint under the pinned root certificates; who pins them wants one."""
        if roots is not None and not self.bundle.stamps:
            self.report.tell("incomplete", "stamp_missing", "No time stamp is in the bundle, though roots are pinned.")
        for number, token in sorted(self.bundle.stamps.items()):
            if roots is None:
                self.report.tell(
                    "note", "stamp_unchecked", "A time stamp (RFC 3161) is not verified: no root is pinned."
                )
                continue
            try:
                stamp = read_stamp(token, self.bundle.checkpoint, roots)
            except ServiceError as error:
                level: Level = "incomplete" if error.code == "stamp_roots" else "fail"
                self.report.tell(level, error.code, f"Time stamp {number}: {error.detail}")
                continue
            self.report.stamps.append((stamp.authority, stamp.at_ms))

    def _tell_limits(self, *, proven: bool) -> None:
        """Say what a bundle does not prove of the unit."""
        if proven:
            self.report.tell(
                "note", "not_later",
                f"Nothing is proven of what came after the first {self.report.latest} leaves, nor that no attempt, "
                "retraction or decision about the unit was left out.",
            )  # fmt: skip
        else:
            self.report.tell(
                "note", "not_latest",
                "That no later event concerns this unit, and that no attempt, retraction or decision about it was left "
                "out, is not proven by this bundle.",
            )  # fmt: skip

    def _manifest(self, checkpoint: Checkpoint) -> None:
        told, report = self.bundle, self.report
        if (told.ledger, told.size, told.root, told.genesis) != (
            report.ledger, checkpoint.size, report.root, report.genesis,
        ):  # fmt: skip
            report.tell("fail", "bundle_manifest", "The manifest tells another ledger or tree than the checkpoint.")

    # -- 4, 5, 7: leaves -----------------------------------------------------------------------------

    def _read_leaves(self, checkpoint: Checkpoint) -> None:
        bundle = self.bundle
        for index in sorted(bundle.leaves.keys() ^ bundle.proofs.keys()):
            self.report.tell("fail", "proof_missing", "A leaf has no proof, or a proof no leaf.", index=index)
        for index, data in sorted(bundle.leaves.items()):
            try:
                leaf = read_leaf(index, data)
                self._included(leaf, checkpoint)
            except ServiceError as error:
                self.report.tell("fail", error.code, error.detail, index=index)
                continue
            if leaf.event.body.ledger != self.report.ledger:
                self.report.tell("fail", "wrong_ledger", "The event was signed for another ledger.", leaf)
            self.leaves.append(leaf)

    def _included(self, leaf: Recorded, checkpoint: Checkpoint) -> None:
        data = self.bundle.proofs.get(leaf.index)
        if data is None:
            return
        proof = TlogProof.parse(data)
        own, whole = Note.parse(proof.checkpoint), Note.parse(self.bundle.checkpoint)
        same = own.text == whole.text and set(own.signatures) <= set(whole.signatures)
        if proof.index != leaf.index or not same or proof.extra:
            raise UnprovenError("The proof is for another leaf or another checkpoint.", code="inclusion_proof")
        verify_inclusion(leaf.index, checkpoint.size, leaf_hash(leaf.data), proof.path, checkpoint.root)
        self.proof_notes.append((leaf, own))

    def _ids(self) -> None:
        """One payload per author and event id, but for those that were refused for just that."""
        first: dict[tuple[str, str], Recorded] = {}
        hashes: dict[str, Recorded] = {}
        for leaf in self.leaves:
            if leaf.event.hash in hashes:
                self.report.tell("fail", "event_repeated", "The event is on the ledger twice.", leaf)
            hashes[leaf.event.hash] = leaf
            key = (leaf.event.body.author, leaf.event.body.event_id)
            if first.setdefault(key, leaf) is not leaf and leaf.verdict.code != "event_id_reuse":
                self.report.tell("fail", "event_id_reuse", "Another payload has the same event id.", leaf)

    # -- 6: signatures -------------------------------------------------------------------------------

    def _signatures(self, leaf: Recorded, judging: Rejudging) -> None:
        if leaf.index == 0:
            return  # proven before anything else
        try:
            own = introduced(leaf.event)
            prove(leaf.jws, lambda kid: own.get(kid) or judging.key_of(kid))
        except UnprovenError as error:
            level: Level = "incomplete" if error.code == "unknown_key" else "fail"
            detail = (
                "A signer's enrolment is not in the bundle before this event."
                if level == "incomplete"
                else error.detail
            )
            self.report.tell(level, error.code, detail, leaf)

    # -- 9: chains -----------------------------------------------------------------------------------

    def _chains(self, judging: Rejudging, *, proven: bool) -> None:
        unit = self.bundle.unit
        for member in sorted(judging.focus):
            until = _NO_END if member == unit else until_of(member, judging)
            self._chain(member, until)
        if not any(link.unit == unit for leaf in self.leaves for link in leaf.links) and not self.report.absent:
            self.report.tell("fail", "chain_missing", "The bundle holds no event of the unit that it names.")
        self._tell_story(judging)

        for member in sorted(judging.focus - {unit}):
            if until_of(member, judging) == _NO_END and not (proven and member in self.bundle.heads):
                self._tell_open(member)

    def _tell_open(self, container: str) -> None:
        """Say how far a container that still holds the goods is shown: a bundle cannot prove that this is all."""
        links = [(link.seq, leaf.index) for leaf in self.leaves for link in leaf.links if link.unit == container]
        if links:
            seq, index = max(links)
            self.report.tell(
                "note", "container_open",
                f"{container} is shown to its event {seq}, leaf {index}; later events of it may have been left out.",
            )  # fmt: skip

    def _plans(self, judging: Rejudging) -> None:
        """Tell when nothing in the bundle puts a plan in force: a leaf does not say by which plan it was judged."""
        meta = judging.facts.meta
        own = (leaf for leaf in self.leaves if any(link.unit == self.bundle.unit for link in leaf.links))
        if meta is not None and any(meta.plan_of(leaf.event.body.election) is None for leaf in own):
            self.report.tell(
                "note", "plan_unknown",
                "No plan of the election is in force in this bundle; what one would have refused is not known.",
            )  # fmt: skip

    def _trees(self, checkpoint: Checkpoint) -> None:
        """Tell of every event that says it saw a tree which this ledger, as far as the bundle goes, never had."""
        roots = {0: b64url_encode(sha256(b"")), checkpoint.size: b64url_encode(checkpoint.root)}
        for leaf in self.leaves:
            seen = leaf.event.body.checkpoint
            if seen.size > leaf.index or roots.setdefault(seen.size, seen.root) != seen.root:
                self.report.tell("note", "split_view", "The phone had seen another tree than this ledger's.", leaf)

    def _tell_story(self, judging: Rejudging) -> None:
        """Tell what happened to the unit, and to what contained it while it did."""
        unit = self.bundle.unit
        stays = _stays(unit, judging)
        for leaf in self.leaves:
            links = {link.unit: link.seq for link in leaf.links}
            if unit in links or unit in judging.subjects.get(leaf.index, leaf.event.body.units):
                self.report.narrate(leaf, links.get(unit), None)
                continue
            via = next((c for c, since, until in stays if c in links and since < leaf.index < until), None)
            if via is not None:
                self.report.narrate(leaf, links[via], via)

    def _chain(self, unit: str, until: int) -> None:
        seq, head = 0, ZERO_HASH
        for leaf in self.leaves:
            link = next((link for link in leaf.links if link.unit == unit), None)
            if link is None or leaf.index > until:
                continue
            if (link.seq, link.prev) != (seq + 1, head):
                self.report.tell("fail", "chain", f"The chain of {unit} has a gap or a fork before this event.", leaf)
            seq, head = link.seq, leaf.hash

    # -- 10, 12: devices, commitments ----------------------------------------------------------------

    def _private(self) -> None:
        by_index = {leaf.index: leaf for leaf in self.leaves}
        for (index, name), data in sorted(self.bundle.private.items()):
            leaf = by_index.get(index)
            if leaf is None:
                self.report.tell("fail", "private", "A private content belongs to no leaf of the bundle.", index=index)
                continue
            try:
                value = parse_json(data, max_bytes=64 * 1024, max_depth=1)
                PrivateContent.parse_all({name: value}, leaf.event.body.private)
            except ServiceError as error:
                self.report.tell("fail", error.code, error.detail, leaf)

    def _devices(self) -> None:
        """Report what a device's own sequence shows among the events at hand."""
        seen: dict[tuple[str, int], Recorded] = {}
        for leaf in self.leaves:
            body = leaf.event.body
            if seen.setdefault((body.author, body.device.seq), leaf) is not leaf:
                self.report.tell("note", "device_fork", "The device used that sequence number twice.", leaf)
        missing: dict[str, list[int]] = {}
        for (author, seq), leaf in seen.items():
            before = seen.get((author, seq - 1))
            if before is not None and leaf.event.body.device.prev != before.event.hash:
                self.report.tell("note", "device_fork", "The device names another event as its previous one.", leaf)
            missing.setdefault(author, []).append(seq)
        gaps = sum(max(seqs) - min(seqs) + 1 - len(seqs) for seqs in missing.values())
        if gaps:
            self.report.tell(
                "note", "device_gaps", f"{gaps} events of these devices, between those shown, are not in the bundle."
            )


def _stays(unit: str, judging: Rejudging) -> list[tuple[str, int, int]]:
    """Return (container, first leaf, last leaf) of every stay of a unit in a container, or in what that lay in."""
    stays: list[tuple[str, int, int]] = []
    todo = [(unit, -1, _NO_END)]
    while todo and len(stays) < MAX_STAYS:
        child, first, last = todo.pop()
        for c in judging.facts.kinds[Containment].values():
            since, until = max(first, c.since_index), min(last, c.until_index if c.until_index is not None else _NO_END)
            if c.child == child and since < until and c.since_index >= 0:
                stays.append((c.parent, since, until))
                todo.append((c.parent, since, until))
    return stays


def _joined(arguments: Sequence[str]) -> list[str]:
    """Write `--genesis X` as `--genesis=X`: one hash in 64 begins with a hyphen, which would pass for an option."""
    joined: list[str] = []
    for argument in arguments:
        if joined and joined[-1] in {"--genesis", "--origin"}:
            joined[-1] += f"={argument}"
        else:
            joined.append(argument)
    return joined


def main(arguments: Sequence[str] | None = None) -> int:
    """Verify a bundle from the command line; 0 PASS, 1 FAIL, 2 usage, 3 INCOMPLETE."""
    parser = argparse.ArgumentParser(
        prog="python -m app.audit.verify", description="Verify an evidence bundle offline."
    )
    parser.add_argument("bundle", type=Path)
    parser.add_argument("--genesis", help="the pinned hash of the genesis event")
    parser.add_argument("--origin", help="the pinned origin of the ledger")
    parser.add_argument("--policy", type=Path, help="the pinned trust policy, a c2sp.org/tlog-policy file")
    parser.add_argument("--tsa-roots", type=Path, help="PEM file of the time-stamping authorities' root certificates")
    parser.add_argument("--json", action="store_true", help="print the report as JSON")
    told = parser.parse_args(_joined(sys.argv[1:] if arguments is None else arguments))
    try:
        policy = read_limited(told.policy) if told.policy is not None else None
        roots = read_limited(told.tsa_roots) if told.tsa_roots is not None else None
        check_pins(genesis=told.genesis, policy=policy, tsa_roots=roots)
        data = read_limited(told.bundle)
    except OSError as error:
        parser.error(f"cannot read {error.filename}: {error.strerror}")
    except ServiceError as error:
        parser.error(f"{error.detail} [{error.code}]")
    report = verify_bundle(data, genesis=told.genesis, origin=told.origin, policy=policy, tsa_roots=roots)
    sys.stdout.write(orjson.dumps(report.as_json()).decode() + "\n" if told.json else report.as_text())
    return EXIT_CODES[report.result]


def check_pins(*, genesis: str | None, policy: bytes | None, tsa_roots: bytes | None) -> None:
    """Refuse pins that are garbled: a mistake of the caller's must not look like one of the bundle's.

    Raises:
        MalformedError: `genesis`, `tlog_policy` or `stamp_roots`; the pin that cannot be used.
    """
    try:
        if genesis is not None:
            b64url_decode(genesis, length=32)
    except ServiceError:
        raise MalformedError("The pinned genesis is no hash in base64url.", code="genesis") from None
    if policy is not None:
        TrustPolicy.parse(policy)
    if tsa_roots is not None:
        read_roots(tsa_roots)


def read_limited(path: Path) -> bytes:
    """Read a file, but no more of it than a bundle may have.

    Raises:
        OSError: It cannot be read. A folder, a pipe or a device is no file here: one of these may never end.
    """
    with open(path, "rb", opener=_open_without_waiting) as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise OSError(errno.EINVAL, "it is no regular file", str(path))
        return file.read(MAX_BYTES + 1)


def _open_without_waiting(path: str, flags: int) -> int:
    """Open a path even when it is a pipe that nobody writes to."""
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))


if __name__ == "__main__":
    sys.exit(main())
