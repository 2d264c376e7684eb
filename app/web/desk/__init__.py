"""The desk: pages where auditors and supervisors read, print and take away what the API answers, and nothing more.

It knows HTML, CSV, cookies and two languages. It must never know a table or a rule: every page asks the audit with
the viewer of its caller's token, as the API does, so that there is one way to the data and one sight of it.
"""
