"""What a container weighs in sensitivity, kept by counting its direct children (pure).

A parent has the highest sensitivity of its contents (design section 5). Counting children by their effective
sensitivity lets packing and unpacking stay constant work, however full the container is.
"""

from dataclasses import replace

from app.units.documents import SENSITIVITY_RANK
from app.units.state import Unit


def with_child(parent: Unit, sensitivity: str) -> Unit:
    """Return the parent with one more child of that effective sensitivity."""
    contents = {**parent.contents, sensitivity: parent.contents.get(sensitivity, 0) + 1}
    return replace(parent, contents=contents, children=parent.children + 1)


def without_child(parent: Unit, sensitivity: str) -> Unit:
    """Return the parent with one child fewer of that effective sensitivity."""
    left = parent.contents.get(sensitivity, 0) - 1
    contents = {name: n for name, n in parent.contents.items() if name != sensitivity}
    if left > 0:
        contents[sensitivity] = left
    return replace(parent, contents=contents, children=parent.children - 1)


def effective_sensitivity(unit: Unit) -> str:
    """Return the highest of the unit's own sensitivity and its contents'."""
    return max((unit.sensitivity, *unit.contents), key=lambda name: SENSITIVITY_RANK[name])
