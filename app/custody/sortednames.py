"""Names in order, to which more are added: what lies just below a name, for millions of them (pure)."""

from bisect import bisect_left
from collections.abc import Iterable

_LONGEST = 1024


class SortedNames:
    """A sorted list in parts of at most 1,024: adding one moves at most a part, not all of it."""

    def __init__(self) -> None:
        """Start empty."""
        self._parts: list[list[str]] = [[]]
        self._firsts: list[str] = [""]

    def add(self, names: Iterable[str]) -> None:
        """Add names that are not here yet."""
        for name in names:
            number = max(bisect_left(self._firsts, name + "\0") - 1, 0)
            part = self._parts[number]
            part.insert(bisect_left(part, name), name)
            if len(part) > _LONGEST:
                half = len(part) // 2
                self._parts[number : number + 1] = [part[:half], part[half:]]
                self._firsts.insert(number + 1, part[half])

    def below(self, name: str) -> str:
        """Return the largest name below another.

        Raises:
            KeyError: There is none.
        """
        number = bisect_left(self._firsts, name) - 1
        while number >= 0:
            place = bisect_left(self._parts[number], name)
            if place:
                return self._parts[number][place - 1]
            number -= 1
        raise KeyError(name)
