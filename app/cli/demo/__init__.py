"""The demonstration: the election of November 2024 in Bontang, played by a client that speaks HTTP like any phone."""
