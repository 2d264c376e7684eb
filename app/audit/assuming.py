"""What a bundle does not say of other goods, assumed in the event's favour (pure).

An event often names goods that the bundle is not about. To judge it again by the same rules, each of them
needs a record; here they get the one under which the rules would let the event do to them what the leaf says
it did. So a contradiction in what *is* in the bundle shows, and nothing is claimed about anything else.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from app.audit.leaf import Recorded
from app.custody.chain import Link
from app.custody.details import BindLine, ReprintLine, RetireLine
from app.custody.events import ZERO_HASH, Event
from app.custody.state import Facts, Handover
from app.ids import UNIT_ID_LENGTH
from app.keys.state import Key
from app.units.documents import STATION_KINDS, Policy
from app.units.state import Containment, Label, Unit

PLENTY = 2**31
_UNKNOWN_INDEX = -1
_TAKEN_OVER = frozenset({"custody.accept", "custody.reject", "custody.cancel"})
_LIFECYCLE = {
    "unit.unpack": "allocated", "unit.close": "opened", "unit.destroy": "returned",
}  # fmt: skip
Overlay = dict[tuple[type, str], Any]


@dataclass(frozen=True, slots=True)
class Scene:
    """One event before it is judged again: the event that acts, and the leaf whose links tell its effect."""

    acting: Event
    recorded: Recorded
    facts: Facts
    policy: Policy | None
    focus: frozenset[str]


def assume(scene: Scene) -> Overlay:
    """Return the records that are missing for judging an event, by kind and key.

    Units of the bundle's own focus are not assumed: their chains are whole, so what they are is known; only a
    container that goods left long ago may have moved on since.
    """
    overlay: Overlay = {}
    links = {link.unit: link for link in scene.recorded.links}
    named = list(dict.fromkeys(names(scene.acting, scene.facts)))
    _pair_labels(scene, overlay, named, links)
    for unit in [*links, *(name for name in named if name not in links)]:
        if _known(scene.facts, links.get(unit), unit) or (unit in scene.focus and unit not in links):
            continue
        _assume_unit(scene, overlay, unit, links.get(unit))
    if scene.acting.type.name == "unit.commission" and links:
        _assume_labels(scene, overlay)
    return overlay


def names(event: Event, facts: Facts) -> Iterator[str]:
    """Yield every unit or label that an event is about, those of the release it answers included."""
    for name in _named(event, facts):
        yield name
        label: Label | None = facts.get(Label, name)
        if label is not None and label.unit is not None and label.unit != name:
            yield label.unit


def _named(event: Event, facts: Facts) -> Iterator[str]:
    yield from event.body.units
    told = event.details
    for name in ("parent", "source", "target", "unit"):
        value = getattr(told, name, None)
        if isinstance(value, str) and len(value) == UNIT_ID_LENGTH:
            yield value
    for line in (*getattr(told, "lines", ()), *getattr(told, "seals", ()), *getattr(told, "exceptions", ())):
        for name in ("unit", "of"):
            value = getattr(line, name, None)
            if value:
                yield value
    released = getattr(told, "release", None) or event.hash
    handover: Handover | None = facts.get(Handover, released)
    if handover is not None:
        yield from handover.units


def _known(facts: Facts, link: Link | None, unit: str) -> bool:
    """Say whether the bundle's leaves give this very state of a unit: the chain is whole up to this link."""
    record: Unit | None = facts.get(Unit, unit)
    if link is None:
        return False
    if record is None:
        return link.seq == 1
    return (record.seq, record.head) == (link.seq - 1, link.prev)


def _pair_labels(scene: Scene, overlay: Overlay, named: list[str], links: dict[str, Link]) -> None:
    """Match labels that were scanned with the linked units that have them, in the order of both.

    Only where the bundle does not know better: what a label of the focus stands for is told by whole chains, and a
    label that these leaves bind to another unit is that unit's.
    """
    labels = [name for name in scene.acting.body.units if name not in links and not _stands_for(scene, name, links)]
    units = [unit for unit in links if unit not in named]
    if not units or len(labels) != len(units):
        return
    for label, unit in zip(labels, units, strict=True):
        known: Label | None = scene.facts.get(Label, label)
        if unit not in scene.focus and (known is None or known.unit in {None, unit}):
            overlay[(Label, label)] = Label(label, "", "bound", unit=unit)
            named.remove(label)


def _stands_for(scene: Scene, label: str, links: dict[str, Link]) -> bool:
    """Say whether the bundle's leaves bind a label to one of the linked units."""
    known: Label | None = scene.facts.get(Label, label)
    return known is not None and known.unit in links


def _assume_labels(scene: Scene, overlay: Overlay) -> None:
    """Take the labels of other goods for issued; those of the focus must be issued within the bundle."""
    for line in scene.acting.details.lines:
        fresh = isinstance(line, BindLine | ReprintLine | RetireLine)
        if fresh and line.unit not in scene.focus and scene.facts.get(Label, line.unit) is None:
            overlay[(Label, line.unit)] = Label(line.unit, "", "blank")


def _assume_unit(scene: Scene, overlay: Overlay, unit: str, link: Link | None) -> None:
    event, act = scene.acting, scene.acting.type.name
    if link is None and act not in _TAKEN_OVER and not _must_exist(scene):
        overlay[(Unit, unit)] = None
        return
    if act == "unit.commission" and any(isinstance(x, BindLine) and x.unit == unit for x in event.details.lines):
        return
    record = _plain(scene, unit, link)
    record = replace(record, **_as_acted_on(scene, unit, link))
    overlay[(Unit, unit)] = record
    if record.parent is not None and _lies_in(scene, overlay, record.parent, unit):
        overlay[(Unit, unit)] = replace(record, parent=None, packed_index=None)
    elif record.parent is not None:
        packed = Containment(f"{unit}:{record.packed_index}", unit, record.parent, _UNKNOWN_INDEX)
        overlay[(Containment, packed.id)] = packed


def _lies_in(scene: Scene, overlay: Overlay, inner: str, outer: str) -> bool:
    """Say whether a unit is, or lies in, another: what is assumed must never close a circle."""
    node: str | None = inner
    seen: set[str] = set()
    while node is not None and node not in seen:
        if node == outer:
            return True
        seen.add(node)
        record: Unit | None = overlay.get((Unit, node)) or scene.facts.get(Unit, node)
        node = record.parent if record is not None else None
    return node is not None


def _must_exist(scene: Scene) -> bool:
    """Say whether units without a link must be there all the same: an event without effect still looked at them."""
    return scene.acting.type.kind != "observation"


def _plain(scene: Scene, unit: str, link: Link | None) -> Unit:
    """Return a unit in the hands of who acts, at the place of the act."""
    before: Unit | None = scene.facts.get(Unit, unit)
    like = before or next((u for u in (scene.facts.get(Unit, name) for name in sorted(scene.focus)) if u), None)
    top = _partner_top(scene)
    item = like.item if like is not None else next(iter(scene.policy.item_by_code), "") if scene.policy else ""
    return Unit(
        unit=unit,
        seq=link.seq - 1 if link else 0,
        head=link.prev if link else ZERO_HASH,
        item=item,
        election=scene.acting.body.election,
        contest=None,
        district=None,
        quantity=PLENTY,
        source="stock",
        condition="good",
        lifecycle=_LIFECYCLE.get(scene.acting.type.name, "checked"),
        sensitivity=before.sensitivity if before else "general",
        effective=before.effective if before else "general",
        destination=None,
        agency=top.agency if top else _acting_agency(scene),
        officer="",
        place=top.place if top else scene.acting.body.place,
        custody="held",
        since_index=_UNKNOWN_INDEX,
        label=unit,
    )


def _partner_top(scene: Scene) -> Unit | None:
    """Return the outermost container of the known partner of a packing or of a move between lots."""
    if scene.acting.type.name not in {"unit.pack", "lot.move"}:
        return None
    for name in names(scene.acting, scene.facts):
        node: Unit | None = scene.facts.get(Unit, name) if name in scene.focus else None
        while node is not None and node.parent is not None:
            node = scene.facts.get(Unit, node.parent)
        if node is not None:
            return node
    return None


def _acting_agency(scene: Scene) -> str:
    """Return the agency that gives, else one among the signers that may hold goods."""
    keys: list[Key] = [key for kid in scene.acting.body.signers if (key := scene.facts.get(Key, kid)) is not None]
    givers = [key.agency for key in keys if scene.acting.body.signers[key.kid] == "giver"]
    known = scene.policy.agency_by_id if scene.policy is not None else {}
    holders = [key.agency for key in keys if key.agency in known and known[key.agency].kind != "supervisor"]
    return next(iter([*(a for a in givers if a in holders), *holders, *givers]), "")


def _as_acted_on(scene: Scene, unit: str, link: Link | None) -> dict[str, Any]:
    """Return what a unit must have been for the event to act on it as the leaf says."""
    event, told, act = scene.acting, scene.acting.details, scene.acting.type.name
    released = event.hash if act == "custody.release" else getattr(told, "release", None)
    if act in _TAKEN_OVER or (act == "custody.release" and scene.recorded.event is not event):
        handover: Handover | None = scene.facts.get(Handover, released) if released else None
        agency = handover.agency if handover is not None else ""
        return {
            "custody": "released" if link else "uncertain",
            "handover": released if link else None,
            "agency": agency if link else "",
        }
    if act == "unit.unpack":
        return {"parent": told.parent, "packed_index": _UNKNOWN_INDEX}
    if act == "unit.open" and _at_station(scene):
        return {"lifecycle": "deployed"}
    if act == "seal.remove":
        return {"seals": {str(line.point): line.number for line in told.seals if line.unit == unit}}
    if act in {"quarantine.clear", "hold.clear"}:
        return {"flag_since": {act.partition(".")[0]: _UNKNOWN_INDEX}}
    if act == "unit.destroy":
        return {"quantity": next((line.quantity for line in told.lines if line.unit == unit), 0)}
    if act == "unit.pack":
        return {"quantity": 0}  # what else was packed may have been little enough for the container
    if act == "lot.move":
        return _other_lot(scene, unit)
    return {}


def _other_lot(scene: Scene, unit: str) -> dict[str, Any]:
    other = next((n for n in (scene.acting.details.source, scene.acting.details.target) if n != unit), "")
    lot: Unit | None = scene.facts.get(Unit, other)
    return {"item": lot.item, "contest": lot.contest, "election": lot.election} if lot is not None else {}


def _at_station(scene: Scene) -> bool:
    place = scene.policy.place_by_id.get(scene.acting.body.place) if scene.policy is not None else None
    return place is not None and place.kind in STATION_KINDS
