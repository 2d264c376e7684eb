"""`custody simulate`: an election at the scale of a nation, a fraction of it driven over HTTP, the rest reckoned."""
