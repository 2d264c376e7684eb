"""The `custody` command: one file per topic; an entrance that wires rooms together and knows no rule."""
