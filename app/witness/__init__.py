"""The witness: a program of another agency that cosigns checkpoints which extend what it has seen.

Knows origins, ledger keys, checkpoints and consistency proofs (c2sp.org/tlog-witness); must never know of ballots, and
never the ballot service's database. It keeps a store of its own, because it belongs to somebody else.

    decide  (pure) what a request deserves      _store  the state, one transaction at a time
    folder  the files of one witness            cosign  check, persist, and only then sign
    pull    the same from behind NAT: fetch a ledger's checkpoint and tiles, hand the cosignatures back
"""
