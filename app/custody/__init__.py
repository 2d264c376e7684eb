"""Signed events, the rules that judge them, and the walk that records them.

Knows: the types of events and their details, the rules by version (pure), the table type × state → state,
the chain of each unit (pure), verdicts and discrepancies; `record` is the walk and owns its transaction.
Must never know: HTTP, how a Merkle tree is built, who asks. Rules see facts, never a session: the text that
lets an event in is the text that proves it years later.
Its step of the walk: from the bytes to the receipt, with help from below.
"""
