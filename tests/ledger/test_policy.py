"""Trust policies: the grammar to the letter, the arithmetic of quorums, and what a policy accepts of a checkpoint."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.errors import MalformedError, UnprovenError
from app.ledger.checkpoint import Checkpoint, sign
from app.ledger.note import Note, SignatureType, SignerKey
from app.ledger.policy import MAX_LINES_OF_A_KIND, MAX_POLICY_BYTES, Group, Seen, TrustPolicy, cosigned
from tests.ledger.vectors import LEDGER_KEY, ORIGIN, WITNESS_KEY, load

NOTE = load("checkpoint")["note"].encode()
TEXT = NOTE.decode().split("\n\n")[0] + "\n"
LOG = LEDGER_KEY.verifier().to_text()


def witness_key(n, kind=SignatureType.COSIGNATURE):
    return SignerKey(f"w{n}.example", kind, bytes([100 + n]) * 32)


KEYS = [witness_key(n) for n in range(8)]
V = [key.verifier().to_text() for key in KEYS]
POST_QUANTUM = witness_key(9, SignatureType.MLDSA_COSIGNATURE)

RECOMMENDED = f"""# Whose word counts for the province of East Kalimantan
log {LOG} https://log.example/prov-64

witness bawaslu {V[0]} https://bawaslu.example/witness
witness polri\t{V[1]}
  witness dkpp {V[2]}\t
witness univ {V[3]}
witness partai-a {V[4]}
witness partai-b {V[5]}
group lembaga 3 bawaslu polri dkpp univ
group partai any partai-a partai-b
group both all lembaga partai
quorum both
"""


def policy(*lines):
    return TrustPolicy.parse("".join(f"{line}\n" for line in lines).encode())


def witnesses(n):
    return [f"witness w{i} {V[i]}" for i in range(n)]


def test_the_recommended_policy_is_read_as_it_is_written():
    found = TrustPolicy.parse(RECOMMENDED.encode())
    assert found.source == RECOMMENDED.encode()
    assert [(log.key.name, log.url) for log in found.logs] == [(ORIGIN, "https://log.example/prov-64")]
    assert [(w.name, w.url) for w in found.witnesses] == [
        ("bawaslu", "https://bawaslu.example/witness"), ("polri", ""), ("dkpp", ""), ("univ", ""), ("partai-a", ""),
        ("partai-b", ""),
    ]  # fmt: skip
    assert found.groups == (
        Group("lembaga", 3, ("bawaslu", "polri", "dkpp", "univ")), Group("partai", 1, ("partai-a", "partai-b")),
        Group("both", 2, ("lembaga", "partai")),
    )  # fmt: skip
    assert found.quorum == "both"
    assert found.log_keys(ORIGIN) == [LEDGER_KEY.verifier()]
    assert found.log_keys("log.example/prov-65") == []
    assert found.cosigners == tuple(key.verifier() for key in KEYS[:6])


def naive(quorum, groups, present):
    """Whether a name is met, by recursion over the definition."""
    if quorum == "none":
        return True
    if quorum not in groups:
        return quorum in present
    threshold, members = groups[quorum]
    return sum(naive(member, groups, present) for member in members) >= threshold


def test_the_arithmetic_of_the_recommended_policy_for_every_set_of_witnesses():
    found = TrustPolicy.parse(RECOMMENDED.encode())
    groups = {group.name: (group.threshold, group.members) for group in found.groups}
    for chosen in range(64):
        present = [witness for i, witness in enumerate(found.witnesses) if chosen >> i & 1]
        expected = naive("both", groups, {witness.name for witness in present})
        assert found.is_met_by([witness.key for witness in present]) is expected
    assert not found.is_met_by([POST_QUANTUM.verifier(), KEYS[6].verifier(), LEDGER_KEY.verifier()])


@pytest.mark.parametrize(("n", "k"), [(n, k) for n in range(1, 9) for k in range(1, n + 1)])
def test_every_threshold_counts_exactly(n, k):
    found = policy(*witnesses(n), f"group g {k} {' '.join(f'w{i}' for i in range(n))}", "quorum g")
    keys = [key.verifier() for key in KEYS]
    assert [found.is_met_by(keys[:present]) for present in range(n + 1)] == [present >= k for present in range(n + 1)]


def test_a_witness_alone_and_nobody_at_all_may_be_the_quorum():
    assert policy("quorum none").is_met_by([])
    alone = policy(*witnesses(2), "quorum w1")
    assert alone.is_met_by([KEYS[1].verifier()])
    assert not alone.is_met_by([KEYS[0].verifier()])


BAD = {
    "nothing": "",
    "no quorum": f"log {LOG}\n",
    "two quorums": "quorum none\nquorum none\n",
    "a quorum before its name": f"quorum w0\nwitness w0 {V[0]}\n",
    "a quorum of nobody": "quorum w0\n",
    "a quorum of two": f"witness w0 {V[0]}\nwitness w1 {V[1]}\nquorum w0 w1\n",
    "an empty quorum": "quorum\n",
    "a log as quorum": f"log {LOG}\nquorum {ORIGIN}\n",
    "cut": "quorum none",
    "carriage return": "quorum none\r\n",
    "form feed": "quorum none\x0c\n",
    "nul": "quorum none\0\n",
    "delete": "quorum none\x7f\n",
    "unknown word": "threshold 3\nquorum none\n",
    "upper case": "QUORUM none\n",
    "a comment behind": "quorum none # for now\n",
    "no-break space": "quorum\u00a0none\n",
    "no key": "log\nquorum none\n",
    "two urls": f"log {LOG} a b\nquorum none\n",
    "a witness without name": f"witness {V[0]}\nquorum none\n",
    "a witness with two urls": f"witness w0 {V[0]} a b\nquorum none\n",
    "a witness's key as log": f"log {V[0]}\nquorum none\n",
    "a ledger's key as witness": f"witness w0 {LOG}\nquorum none\n",
    "the name none": f"witness none {V[0]}\nquorum none\n",
    "a group named none": f"witness w0 {V[0]}\ngroup none any w0\nquorum none\n",
    "a name twice": f"witness w0 {V[0]}\nwitness w0 {V[1]}\nquorum none\n",
    "a group named like a witness": f"witness w0 {V[0]}\ngroup w0 any w0\nquorum none\n",
    "a key twice": f"witness w0 {V[0]}\nwitness w1 {V[0]}\nquorum none\n",
    "a log twice": f"log {LOG}\nlog {LOG}\nquorum none\n",
    "a public key under two names": "witness w0 {}\nwitness w1 {}\nquorum none\n".format(
        V[0], SignerKey("other.example", SignatureType.COSIGNATURE, KEYS[0].seed).verifier().to_text()
    ),
    "a group of nobody": f"witness w0 {V[0]}\ngroup g any\nquorum none\n",
    "a group without threshold": f"witness w0 {V[0]}\ngroup g w0\nquorum none\n",
    "a forward reference": f"group g any w0\nwitness w0 {V[0]}\nquorum none\n",
    "a group of itself": f"witness w0 {V[0]}\ngroup g any g\nquorum none\n",
    "none as a member": f"witness w0 {V[0]}\ngroup g any w0 none\nquorum none\n",
    "a member twice in a group": f"witness w0 {V[0]}\ngroup g any w0 w0\nquorum none\n",
    "a member of two groups": f"witness w0 {V[0]}\ngroup g any w0\ngroup h any w0\nquorum none\n",
    "a log as a member": f"log {LOG}\ngroup g any {ORIGIN}\nquorum none\n",
    **{
        f"threshold {k}": f"witness w0 {V[0]}\nwitness w1 {V[1]}\ngroup g {k} w0 w1\nquorum none\n"
        for k in ("0", "3", "-1", "+1", "01", "1.0", "1e0", "Any", "ALL", "none", "99999", "\u0661")
    },
    "a wrong key id": f"witness w0 {V[0].replace(KEYS[0].verifier().key_id.hex(), '00000000')}\nquorum none\n",
    "a truncated key": f"witness w0 {V[0][:-4]}\nquorum none\n",
    "a padded key": f"witness w0 {V[0]}=\nquorum none\n",
    "stray bits in a key": f"witness w0 {V[0][:-1]}!\nquorum none\n",
    "a key without name": f"witness w0 {V[0].removeprefix('w0.example')}\nquorum none\n",
}


@pytest.mark.parametrize("text", BAD.values(), ids=BAD.keys())
def test_a_policy_that_is_none_is_refused_by_its_line(text):
    with pytest.raises(MalformedError) as refused:
        TrustPolicy.parse(text.encode())
    assert refused.value.code == "tlog_policy"
    assert not any(vkey in refused.value.detail for vkey in (*V, LOG))


def test_each_bad_policy_differs_from_a_good_one():
    """Control: the ground on which the bad ones stand."""
    for good in (
        "quorum none\n", "# only this\n\n \t\nquorum\tnone\n", f"log {LOG}\nquorum none\n",
        f"witness w0 {V[0]}\nwitness w1 {V[1]}\ngroup g 2 w0 w1\nquorum none\n",
        f"witness w0 {V[0]}\ngroup g any w0\ngroup h all g\nquorum h\n", f"witness w0 {V[0]} a\nquorum w0\n",
        f"witness {'ü' * 40} {V[0]}\nquorum {'ü' * 40}\n",
    ):  # fmt: skip
        TrustPolicy.parse(good.encode())
    TrustPolicy.parse(b"witness \xff\xfe " + V[0].encode() + b"\nquorum \xff\xfe\n")  # names are opaque octets


def test_limits_are_exact():
    head = b"quorum none\n#"
    whole = head + b"x" * (MAX_POLICY_BYTES - len(head) - 1) + b"\n"
    assert TrustPolicy.parse(whole).source == whole
    with pytest.raises(MalformedError):
        TrustPolicy.parse(whole + b"\n")
    keys = [
        SignerKey(f"x{n}", SignatureType.COSIGNATURE, n.to_bytes(32, "big")).verifier().to_text() for n in range(65)
    ]
    lines = [f"witness x{n} {key}" for n, key in enumerate(keys)]
    assert len(policy(*lines[:MAX_LINES_OF_A_KIND], "quorum none").witnesses) == 64
    with pytest.raises(MalformedError):
        policy(*lines, "quorum none")


def test_every_single_byte_of_a_policy_counts():
    """A changed policy is refused or says something else, except where a byte is a comment, a space or an opaque name."""
    small = f"log {LOG} u\nwitness a {V[0]} v\nwitness b {V[1]}\ngroup g 2 a b\nquorum g\n".encode()
    meaning = _meaning(TrustPolicy.parse(small))
    same = []
    for at in range(len(small)):
        for other in (
            set(range(256)) - {small[at]} if at % 7 == 0 else {*b"\n\t\r #+=/0129AZaz\0\x7f\x80\xff", small[at] ^ 1}
        ):
            changed = small[:at] + bytes([other]) + small[at + 1 :]
            try:
                found = TrustPolicy.parse(changed)
            except MalformedError:
                continue
            if changed != small and _meaning(found) == meaning:
                same.append((at, changed))
        for changed in (
            small[:at],
            small[:at] + small[at + 1 :],
            small[:at] + small[at : at + 1] * 2 + small[at + 1 :],
        ):
            with suppress(MalformedError):
                assert _meaning(TrustPolicy.parse(changed)) != meaning or _only_white(changed, small)
    assert all(_only_white(changed, small) for _, changed in same)
    assert same  # a tab for a space means the same


def _meaning(found):
    return found.logs, found.witnesses, found.groups, found.quorum


def _only_white(changed, small):
    """Whether two files are the same lines of the same words."""
    words = [[line.split() for line in data.split(b"\n") if line.split()] for data in (changed, small)]
    return words[0] == words[1]


@given(st.binary(max_size=200), st.integers(0, len(RECOMMENDED)), st.integers(0, 40))
def test_garbage_is_malformed_and_nothing_else(garbage, at, cut):
    data = RECOMMENDED.encode()
    for candidate in (garbage, data[:at] + garbage + data[at + cut :], garbage + b"\nquorum none\n"):
        with suppress(MalformedError):
            assert TrustPolicy.parse(candidate).source == candidate


@given(st.data())
def test_any_policy_that_is_written_is_read_and_counts_like_its_definition(data):
    n = data.draw(st.integers(1, 8))
    kinds = data.draw(st.lists(st.sampled_from(["\t", " ", "  \t"]), min_size=4, max_size=4))
    free = [f"w{i}" for i in range(n)]
    lines, groups = witnesses(n), {}
    for g in range(data.draw(st.integers(0, 4))):
        if not free:
            break
        members = data.draw(st.lists(st.sampled_from(free), min_size=1, unique=True))
        threshold = data.draw(st.sampled_from(["all", "any", *map(str, range(1, len(members) + 1))]))
        groups[f"g{g}"] = ({"all": len(members), "any": 1}.get(threshold) or int(threshold), tuple(members))
        lines.append(f"group g{g} {threshold} {' '.join(members)}")
        free = [name for name in free if name not in members] + [f"g{g}"]
    quorum = data.draw(st.sampled_from(["none", *free]))
    found = policy(*(line.replace(" ", kinds[i % 4]) for i, line in enumerate(lines)), f"quorum {quorum}")
    present = data.draw(st.sets(st.integers(0, n - 1)))
    expected = naive(quorum, groups, {f"w{i}" for i in present})
    assert found.is_met_by({KEYS[i].verifier() for i in present}) is expected
    assert {group.name: (group.threshold, group.members) for group in found.groups} == groups


# -- checkpoints ------------------------------------------------------------------------------------


def note(*lines, text=TEXT):
    return Note(text, (LEDGER_KEY.sign(text), *lines)).to_bytes()


TWO_OF_THREE = policy(f"log {LOG}", *witnesses(3), "group g 2 w0 w1 w2", "quorum g")


def test_a_checkpoint_with_a_quorum_is_seen_with_its_times():
    seen = TWO_OF_THREE.verify(note(KEYS[0].cosign(TEXT, 5), KEYS[2].cosign(TEXT, 7)), ORIGIN)
    assert seen == Seen(Checkpoint.parse(TEXT), {"w0": 5, "w2": 7})


def test_too_few_wrong_or_repeated_cosignatures_are_no_quorum():
    first = KEYS[0].cosign(TEXT, 5)
    other = KEYS[1].cosign(TEXT.replace("3", "4"), 5)
    for lines in ((), (first,), (first, first), (first, KEYS[0].cosign(TEXT, 6)), (first, KEYS[5].cosign(TEXT, 5))):
        with pytest.raises(UnprovenError) as refused:
            TWO_OF_THREE.verify(note(*lines), ORIGIN)
        assert refused.value.code == "quorum"
    with pytest.raises(UnprovenError):  # a known witness's wrong signature spoils the note
        TWO_OF_THREE.verify(note(first, KEYS[2].cosign(TEXT, 5), other), ORIGIN)
    assert cosigned(note(first, other), [KEYS[0].verifier(), KEYS[1].verifier()]) == {KEYS[0].verifier(): 5}


def test_a_policy_accepts_its_own_ledgers_only():
    good = note(KEYS[0].cosign(TEXT, 5), KEYS[1].cosign(TEXT, 5))
    TWO_OF_THREE.verify(good, ORIGIN)
    with pytest.raises(UnprovenError):
        TWO_OF_THREE.verify(good, "log.example/prov-65")
    no_log = policy(*witnesses(3), "quorum w0")
    with pytest.raises(UnprovenError):
        no_log.verify(good, ORIGIN)
    assert no_log.verify(good, ORIGIN, [LEDGER_KEY.verifier()]).witnesses == {"w0": 5, "w1": 5}
    with pytest.raises(UnprovenError):
        policy(f"log {LOG}", *witnesses(1), "quorum none").verify(
            Note(TEXT, (KEYS[0].cosign(TEXT, 5),)).to_bytes(), ORIGIN
        )  # a quorum of none still wants the ledger's own signature


def test_the_newest_of_several_cosignatures_tells_the_time_and_mldsa_counts_like_ed25519():
    mixed = policy(
        f"log {LOG}", f"witness pq {POST_QUANTUM.verifier().to_text()}", *witnesses(1), "group g all pq w0", "quorum g"
    )
    lines = [POST_QUANTUM.cosign(TEXT, 9), POST_QUANTUM.cosign(TEXT, 4), KEYS[0].cosign(TEXT, 5)]
    assert mixed.verify(note(*lines), ORIGIN).witnesses == {"pq": 9, "w0": 5}


def test_the_worked_note_meets_the_policy_of_its_witness():
    found = policy(f"log {LOG}", f"witness w1 {WITNESS_KEY.verifier().to_text()}", "quorum w1")
    assert found.verify(NOTE, ORIGIN).witnesses == {"w1": load("checkpoint")["cosigned_at"]}
    for bad in (b"", NOTE[:-1], NOTE[:40], b"\xff", sign(Checkpoint(ORIGIN, 3, bytes(32)), LEDGER_KEY)):
        with pytest.raises((MalformedError, UnprovenError)):
            found.verify(bad, ORIGIN)
