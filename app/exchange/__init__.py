"""Other agencies: their formats in and out of our events.

Knows: EPCIS documents, webhooks and their signatures, CSV and JSONL files, what each peer has been sent.
Must never know: HTTP routes and statuses (the door calls it), or how an event is judged. What a peer sends
becomes a signed event like any other, or is refused; a format never buys a way around the rules.
Its step of the walk: beside it, before custody for what comes in and after the commit for what goes out.
"""
