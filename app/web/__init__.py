"""The door: the only room that knows HTTP.

Knows: routes (one thin router per topic: parse, one call, answer), bodies and their limits, bearer tokens,
cursors, problem documents and their statuses, pages for people.
Must never know: a rule of custody, a table, a query, who may sign what. It opens no transaction and raises
no refusal of its own; it asks a room below and turns what comes back, or goes wrong, into an answer.
Its step of the walk: the first and the last. Bytes in, receipt out; no answer goes out before the commit.
"""
