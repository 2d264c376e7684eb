"""`python -m app.cli`: the `custody` command without an installed script."""

from app.cli.main import main

main()
