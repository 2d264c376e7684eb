"""`quick` changes what an `__init__` costs, and nothing that it does."""

import dataclasses
import inspect
import pickle
from dataclasses import dataclass, field

import pytest

from app.custody.state import EventRef
from app.quick import quick


@dataclass(frozen=True, slots=True)
class Plain:
    """A record."""

    name: str
    size: int = 3
    parts: list[int] = field(default_factory=list)


@quick
@dataclass(frozen=True, slots=True)
class Quick:
    """A record."""

    name: str
    size: int = 3
    parts: list[int] = field(default_factory=list)


@quick
@dataclass(frozen=True, slots=True)
class Checked:
    size: int

    def __post_init__(self):
        if self.size < 0:
            raise ValueError("below zero")


@pytest.mark.parametrize("told", [("a",), ("a", 5), ("a", 5, [1])])
def test_it_makes_what_the_dataclass_makes(told):
    plain, made = Plain(*told), Quick(*told)
    assert dataclasses.asdict(plain) == dataclasses.asdict(made)
    assert repr(made) == repr(plain).replace("Plain", "Quick")
    assert made == Quick(**dict(zip(("name", "size", "parts"), told, strict=False)))
    assert dataclasses.replace(made, size=9).size == 9
    assert pickle.loads(pickle.dumps(made)) == made  # noqa: S301 - our own
    assert list(inspect.signature(Quick).parameters) == list(inspect.signature(Plain).parameters)
    assert Quick("a").parts is not Quick("b").parts


def test_it_is_as_frozen_and_as_strict_as_before():
    for change in (lambda: setattr(Quick("a"), "name", "b"), lambda: delattr(Quick("a"), "name")):
        with pytest.raises(dataclasses.FrozenInstanceError):
            change()
    for wrong in ({}, {"name": "a", "more": 1}):
        with pytest.raises(TypeError):
            Quick(**wrong)
    with pytest.raises(ValueError, match="below zero"):
        Checked(-1)
    assert EventRef.__init__.__qualname__ == "EventRef.__init__"


def test_it_refuses_what_it_cannot_set():
    @dataclass(frozen=True)
    class NoSlots:
        a: int

    with pytest.raises(TypeError):
        quick(NoSlots)
