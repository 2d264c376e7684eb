"""Ballot Custody: shared evidence of who held which ballots, when, that no single agency can rewrite.

The house, from the top; an import may only point down (import-linter holds it, `scripts/check`):

    main | cli | worker      entrances: the HTTP service, the `custody` command, the clock
    web                      the only room that knows HTTP
    exchange | witness       other agencies' formats; the witness that another agency runs
    audit                    the auditor's questions, evidence, offline verification
    custody                  signed events, the rules that judge them, the walk that records them
    labels                   what a label says and how a sheet of them is printed
    keys | units | ledger    who signs; what travels and where; the transparency log
    db, postgres, config, ids | clock | canon, errors      the ground floor
"""
