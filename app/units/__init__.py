"""What travels and where: units, items, places, seals, and the documents that say what is allowed.

Knows: what contains what (pure), policies and plans as content-addressed documents (pure models), the tree of
places, the state and holder of each unit, seals and aliases.
Must never know: signatures, verdicts, HTTP, a voter, a queue number, a sheet beyond the secrecy wall.
Its step of the walk: it gives the facts, read under the write lock, and keeps what the event moved.
"""
