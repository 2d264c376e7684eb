"""`python -m app.cli`: the `custody` command without an installed script.

Its rooms take a second to import; whoever presses Ctrl-C meanwhile sees no more than afterwards.
"""

import sys

INTERRUPTED = 130
try:
    from app.cli.main import main

    main()
except KeyboardInterrupt:
    sys.exit(INTERRUPTED)
