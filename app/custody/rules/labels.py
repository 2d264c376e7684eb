"""Rules of labels: issue a block, bind, reprint, retire, and foreign codes (pure).

An id is issued once and never reused; what is bound has a unit, what is retired raises an alarm when it is
scanned (design section 4, domain reference section 5).
"""

from app.canon import b64url_encode, sha256
from app.custody.details import AliasLine, BindLine, ReprintLine, RetireLine
from app.custody.events import ZERO_HASH
from app.custody.rules.case import Case
from app.custody.statetable import NEW, next_state
from app.ids import is_unit_id
from app.quick import evolve
from app.units.documents import STATION_KINDS, Item
from app.units.state import Alias, Label, Unit


def ids_document(ids: list[str]) -> bytes:
    """Return the bytes that commit to a set of ids: sorted, one a line."""
    return "".join(f"{unit}\n" for unit in sorted(ids)).encode()


def ids_hash(ids: list[str]) -> str:
    """Return the commitment to a set of ids, as `labels.issue` and `custody.accept` carry it."""
    return b64url_encode(sha256(ids_document(ids)))


def issue(case: Case) -> None:
    """Reserve a block of labels whose list was uploaded beside the event."""
    case.side("giver")
    data = case.document(case.details.ids_hash)
    if data is None:
        case.refuse(
            "ids_missing", "Send the list of ids with the event; its hash must match.", ids_hash=case.details.ids_hash
        )
    ids = data.decode("ascii", "replace").split()
    if not all(map(is_unit_id, ids)) or ids_document(ids) != data:
        case.refuse("label_checksum", "The list holds something that is no unit id.")
    if len(set(ids)) != len(ids) or len(ids) != case.details.count:
        case.refuse("count", "The list repeats an id or is not as long as the event says.", count=len(set(ids)))
    for label in ids:
        if case.get(Label, label) is not None or case.get(Unit, label) is not None:
            case.refuse("label_exists", "An id of the list was issued before.", unit=label)
    case.put(*(Label(label, case.event.hash, "blank") for label in ids))


def commission(case: Case) -> None:
    """Bind labels to units, line by line; all lines take effect or none."""
    keys = case.side("giver")
    named = {line.unit for line in case.details.lines}
    if named != set(case.body.units) or len(named) != len(case.details.lines):
        case.refuse("units_mismatch", "The event's units are exactly those of its lines, each once.")
    for line in case.details.lines:
        if isinstance(line, BindLine):
            _bind(case, line, keys[0].agency, keys[0].officer)
        elif isinstance(line, ReprintLine):
            _reprint(case, line)
        elif isinstance(line, AliasLine):
            _alias(case, line)
        else:
            _retire(case, line)
    for sensitivity in sorted(
        {case.item(line.item).sensitivity for line in case.details.lines if isinstance(line, BindLine)}
    ):
        case.need_officers(keys, case.policy.signing_by_sensitivity[sensitivity].release)


def _blank(case: Case, named: str) -> Label:
    label: Label | None = case.get(Label, named)
    if label is None:
        case.report("UNKNOWN_LABEL", "tinggi", unit=named, sticky=True)
        case.refuse("unknown_label", "That label was never issued on this ledger.", unit=named)
    if label.status != "blank":
        case.refuse("label_not_blank", f"That label is {label.status}; take a blank one.", unit=named)
    return label


def _bind(case: Case, line: BindLine, agency: str, officer: str) -> None:
    label = _blank(case, line.unit)
    item = case.item(line.item)
    _check_goods(case, line, item)
    act = "unit.commission:empty" if line.source == "empty" else "unit.commission"
    unit = Unit(
        unit=line.unit, seq=0, head=ZERO_HASH, item=line.item, election=case.body.election, contest=line.contest,
        district=line.district, quantity=line.quantity, source=line.source, condition=line.condition,
        lifecycle=next_state(act, NEW) or "registered", sensitivity=item.sensitivity, effective=item.sensitivity,
        destination=line.destination, agency=agency, officer=officer, place=case.body.place, custody="held",
        since_index=case.context.index, label=line.unit, agencies=(agency,),
    )  # fmt: skip
    case.put(evolve(label, status="bound", unit=unit.unit), unit)
    case.link((unit,))
    case.tally(f"in:{line.source}", unit, line.quantity)
    if line.condition != "good":
        case.tally(f"is:{line.condition}", unit, line.quantity)


def _check_goods(case: Case, line: BindLine, item: Item) -> None:
    wanted = 0 if line.source == "empty" else line.quantity
    if line.quantity != wanted or (item.kind == "serialised" and line.quantity != 1):
        case.refuse("quantity", "A serialised thing counts one, an empty lot zero.", unit=line.unit)
    election = case.policy.election_by_id[case.body.election]
    if item.per_contest and line.contest is None:
        case.refuse("contest_missing", "Goods of this kind belong to one contest; name it.", unit=line.unit)
    if line.contest is not None and line.contest not in {contest.id for contest in election.contests}:
        case.refuse("unknown_contest", "The election has no such contest.", contest=line.contest)
    if line.destination is None:
        return
    place = case.policy.place_by_id.get(line.destination)
    if place is None or place.kind not in STATION_KINDS:
        case.refuse(
            "wrong_destination", "A destination is a polling station of the policy.", destination=line.destination
        )
    if line.contest and line.district and case.plan is not None:
        check_district(case, line.unit, line.contest, line.district, line.destination)


def check_district(case: Case, unit: str, contest: str | None, district: str | None, destination: str) -> None:
    """Refuse goods whose contest or electoral district is not the destination's: the top cause of swaps."""
    if contest is None or case.plan is None:
        return
    right = case.plan.district_of(destination, contest)
    if right is None:
        case.report("WRONG_KIND", "tinggi", unit=unit, place=destination, sticky=True, contest=contest)
        case.refuse("wrong_contest", "That contest is not held at the destination.", unit=unit, contest=contest)
    if district is not None and district != right:
        case.report("WRONG_DAPIL", "tinggi", unit=unit, place=destination, sticky=True, expected=right, found=district)
        case.refuse(
            "dapil_mismatch", "The goods are of another electoral district.", unit=unit, expected=right, found=district
        )


def _reprint(case: Case, line: ReprintLine) -> None:
    label = _blank(case, line.unit)
    unit = case.unit(line.of)
    case.holding_side(unit)
    old: Label | None = case.get(Label, unit.label or unit.unit)
    if old is not None:
        case.put(evolve(old, status="retired", successor=label.label))
    case.put(evolve(label, status="bound", unit=unit.unit), evolve(unit, label=label.label))
    case.link((unit,))


def _alias(case: Case, line: AliasLine) -> None:
    unit = case.unit(line.unit)
    case.holding_side(unit)
    if case.get(Alias, line.code) is not None:
        case.refuse("alias_exists", "That foreign code is bound to a unit already.", alias=line.code)
    case.put(Alias(line.code, unit.unit, case.context.index))
    case.link((unit,))


def _retire(case: Case, line: RetireLine) -> None:
    label: Label | None = case.get(Label, line.unit)
    if label is None or label.status != "blank":
        case.refuse(
            "label_not_blank", "Only a blank label is retired this way; a bound one is reprinted.", unit=line.unit
        )
    case.put(evolve(label, status="retired"))
