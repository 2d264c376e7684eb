"""Rules of packing and unpacking: one parent, no cycle, and nothing in a box that does not belong there (pure).

Moving a parent moves what it contains; only the parent's chain grows. Packing and unpacking link both
(design section 5). The sensitivity of a parent is the highest of its contents.
"""

from app.custody.rules.case import Case
from app.custody.rules.labels import check_district
from app.quick import evolve
from app.units.containment import effective_sensitivity, with_child, without_child
from app.units.state import Containment, Unit

BEHIND_THE_WALL = frozenset({"opened", "closed", "returned"})


def pack(case: Case) -> None:
    """Put units into a parent of the same holder at the same place."""
    parent = case.unit(case.details.parent)
    children = case.units()
    if parent.unit in {child.unit for child in children}:
        case.refuse("cycle", "A unit does not contain itself.", unit=parent.unit)
    for node in (parent, *children):
        case.holding_side(node)
        case.not_blocked(node)
    _check_unsealed(case, parent)
    for child in children:
        _check_child(case, parent, child)
        parent = _put_in(case, parent, child)
    act = "unit.pack:allocate" if parent.destination else "unit.pack"
    case.advance(act, parent)


def _check_unsealed(case: Case, parent: Unit) -> None:
    for above in (parent, *case.above(parent)):
        if above.seals:
            case.refuse("sealed_parent", "The container is sealed; remove the seals first.", unit=above.unit)


def _check_child(case: Case, parent: Unit, child: Unit) -> None:
    if child.parent is not None:
        case.refuse(
            "already_packed",
            "The unit lies in another container; take it out first.",
            unit=child.unit,
            parent=child.parent,
        )
    if child.unit in {above.unit for above in case.above(parent)}:
        case.refuse("cycle", "The container lies inside what you want to pack.", unit=child.unit)
    if parent.destination is None:
        return
    if child.destination not in {None, parent.destination}:
        case.refuse(
            "wrong_destination",
            "The unit is bound for another station.",
            unit=child.unit,
            destination=child.destination,
        )
    if child.children and child.destination is None:
        case.refuse("packed", "Fill it inside the box: its contents must be those of the station.", unit=child.unit)
    if parent.contest and child.contest and parent.contest != child.contest:
        case.report("WRONG_KIND", "tinggi", unit=child.unit, sticky=True, expected=parent.contest, found=child.contest)
        case.refuse("wrong_contest", "The box is for another contest.", unit=child.unit, expected=parent.contest)
    check_district(case, child.unit, child.contest, child.district, parent.destination)
    if child.condition != "good":
        case.refuse("not_good", f"Goods set apart as {child.condition} are not packed for a station.", unit=child.unit)
    if case.item(child.item).inspect_first and child.lifecycle in {"registered", "received"}:
        case.refuse("not_checked", "Inspect the goods before they are used.", unit=child.unit)


def _put_in(case: Case, parent: Unit, child: Unit) -> Unit:
    act = "unit.pack:allocate" if parent.destination else "unit.pack"
    index = case.context.index
    destination = child.destination or parent.destination
    moved = case.advance(act, child, parent=parent.unit, packed_index=index, destination=destination)
    case.put(Containment(f"{child.unit}:{index}", child.unit, parent.unit, index))
    if parent.destination and moved.contest:
        case.tally("allocated", moved, moved.quantity, parent.destination)
    return _reweigh(case, with_child(parent, moved.effective))


def _reweigh(case: Case, parent: Unit) -> Unit:
    """Put a container with its new contents and carry a changed sensitivity up to the outermost one."""
    before = parent.effective
    parent = evolve(parent, effective=effective_sensitivity(parent))
    case.put(parent)
    node = parent
    while node.parent is not None and node.effective != before:
        above: Unit = case.get(Unit, node.parent)
        above_before = above.effective
        above = with_child(without_child(above, before), node.effective)
        above = evolve(above, effective=effective_sensitivity(above))
        case.put(above)
        before, node = above_before, above
    return parent


def unpack(case: Case) -> None:
    """Take units out of their parent; they are then held by who held the container, where it was."""
    parent = case.unit(case.details.parent)
    children = case.units()
    case.holding_side(parent)
    case.not_blocked(parent)
    _check_unsealed(case, parent)
    walled = any(above.lifecycle in BEHIND_THE_WALL for above in (parent, *case.above(parent)))
    for child in children:
        if child.parent != parent.unit:
            case.refuse("not_inside", "The ledger says that the unit is not in that container.", unit=child.unit)
        if walled and child.contest is not None:
            case.refuse(
                "secrecy_wall", "Once opened at a station, ballots are counted, never tracked.", unit=child.unit
            )
        parent = _take_out(case, parent, child)
    case.advance("unit.unpack", parent)


def _take_out(case: Case, parent: Unit, child: Unit) -> Unit:
    top = case.outermost(parent)
    act = "unit.unpack:allocate" if parent.destination else "unit.unpack"
    if parent.destination and child.contest and child.lifecycle == "allocated":
        case.tally("allocated", child, -child.quantity, parent.destination)
    agencies = child.agencies if top.agency in child.agencies else (*child.agencies, top.agency)
    case.advance(
        act,
        child,
        parent=None,
        packed_index=None,
        agency=top.agency,
        officer=top.officer,
        place=top.place,
        custody=top.custody,
        since_index=case.context.index,
        agencies=agencies,
        destination=None
        if parent.destination and child.lifecycle == "allocated" and child.contest
        else child.destination,
    )
    packed: Containment = case.get(Containment, f"{child.unit}:{child.packed_index}")
    case.put(evolve(packed, until_index=case.context.index))
    return _reweigh(case, without_child(parent, child.effective))
