"""The rules of custody, version 1 (pure): `judge.judge` decides, one file per topic says why.

Intake, audit replay and the offline verifier run this one text. A released version is never edited: a change
of meaning is a new version beside this one, and every leaf records the version that judged it (design
section 6). Rules know no database, no clock and no HTTP.
"""
