"""The transparency log: finished leaf bytes in, roots, proofs and signed checkpoints out.

This room knows nothing of ballots and could be lifted out whole. Its pure modules are one file per
specification, import neither the database nor the clock, and serve the running service, the audit
and the offline verifier alike:

    tree         RFC 9162 section 2.1: the Merkle tree, its proofs and their verifiers
    note         c2sp.org/signed-note and tlog-cosignature: text signed by named keys
    checkpoint   c2sp.org/tlog-checkpoint: what the ledger signs
    tiles        c2sp.org/tlog-tiles: how the tree is stored and served
    proof        c2sp.org/tlog-proof: one leaf, its path and a checkpoint in one file

This docstring is deliberately all there is: an import here would reach every importer of the room.
"""
