"""The auditor's questions: who had this, when, does it add up, and can you prove it.

Knows: every room's tables, through the read engine alone; histories, reconciliations, discrepancies, evidence
bundles, and (in `verify`, pure) how a bundle is checked by somebody who trusts nobody and has no network.
Must never know: a write session, a store, HTTP. It does not trust the walk: it walks it again with the same
pure functions, in the version recorded with each event, and compares.
Its step of the walk: after it, as often as anybody asks.
"""
