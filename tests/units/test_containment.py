"""What a container weighs: the highest sensitivity of itself and its direct children, by counting (pure)."""

from hypothesis import given
from hypothesis import strategies as st

from app.units.containment import effective_sensitivity, with_child, without_child
from app.units.documents import SENSITIVITY_RANK
from app.units.state import Unit
from tests.strategies import effort

NAMES = sorted(SENSITIVITY_RANK)


def box(own: str = "general") -> Unit:
    """Return an empty container."""
    return Unit(
        unit="B", seq=1, head="h", item="BOX", election="E", contest=None, district=None, quantity=1, source="stock",
        condition="good", lifecycle="checked", sensitivity=own, effective=own, destination=None, agency="A", officer="O",
        place="P", custody="held", since_index=0,
    )  # fmt: skip


@effort(100, 2000)
@given(own=st.sampled_from(NAMES), moves=st.lists(st.sampled_from(NAMES)), out=st.randoms())
def test_counting_agrees_with_looking_at_every_child(own, moves, out):
    inside, parent = [], box(own)
    for sensitivity in moves:
        if inside and out.random() < 0.4:
            gone = inside.pop(out.randrange(len(inside)))
            parent = without_child(parent, gone)
        else:
            inside.append(sensitivity)
            parent = with_child(parent, sensitivity)
        assert parent.children == len(inside)
        assert parent.contents == {name: inside.count(name) for name in set(inside)}
        assert effective_sensitivity(parent) == max([own, *inside], key=lambda name: SENSITIVITY_RANK[name])


def test_an_empty_container_weighs_what_it_is():
    assert [effective_sensitivity(box(name)) for name in NAMES] == NAMES
