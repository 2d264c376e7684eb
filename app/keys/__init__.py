"""Who signs: agencies, officers, devices, their keys, and who may see what.

Knows: enrolment and its approvals, revocation by ledger index, access tokens, roles and jurisdictions, and
(in `verify`, pure) how a signature of an envelope is proven.
Must never know: ballots, what an event does, HTTP. Officers are pseudonyms here; names lie apart, and can be
erased without breaking a chain.
Its step of the walk: signatures are proven before the write lock, keys are found valid under it.
"""
