"""A journey through almost every type of event and every verdict, for whoever examines a ledger afterwards."""

import dataclasses
import random
import secrets
from typing import Any

from app.canon import b64url_encode
from app.cli.phone import Signed
from app.custody.private import commitment
from app.custody.receipts import Receipt
from app.errors import MalformedError
from tests import small as s
from tests.audit.desk_journey import play_at_the_desk
from tests.custody.town import Town


def with_private(town: Town, name: str, body: bytes, units: list[str]) -> Signed:
    """Return a position fix whose coordinates travel beside it."""
    salt = secrets.token_bytes(32)
    signed = town.kpu1.sign(
        "position", {"source": "gps"}, at_ms=town.tick(), units=units, place=s.WAREHOUSE, capacity="witness",
        private={name: commitment(salt, body)},
    )  # fmt: skip
    contents: Any = {name: {"salt": b64url_encode(salt), "body": b64url_encode(body)}}
    return dataclasses.replace(signed, jws={"event": signed.jws, "private": contents})


def play(town: Town) -> dict[str, str]:
    """Play the journey; return the units that it speaks of by name."""
    units = {**_goods(town), **_boxes(town)}
    units |= _handovers(town, units)
    _flags_and_endings(town, units)
    _waiting_and_deciding(town, units)
    play_at_the_desk(town, units)
    return units


def _goods(town: Town) -> dict[str, str]:
    bulk = town.lot(5000)
    empty = town.blanks.pop()
    town.ok(town.commission(town.bind(empty, "BALLOT", contest="PILGUB", quantity=0, source="empty")))
    town.ok(town.move(bulk, empty, 103))
    town.no(town.move(bulk, empty, 100_000), "lot_below_zero")
    town.ok(with_private(town, "coordinates", b'{"lat":117400}', [bulk, empty]))
    alone = town.blanks.pop()
    bound = town.commission(town.bind(alone, "BALLOT", contest="PILWALI", quantity=40))
    town.ok(bound)
    told = {"target": bound.hash, "unit": alone, "field": "contest", "value": "PILGUB", "reason": "TYPO"}
    town.no(town.act(town.kpu1, "correction", told, [alone], kpu2="second"), "policy_unmet")
    town.ok(town.act(town.kpu1, "correction", told, [alone], ppk1="second"))
    town.ok(town.inspected([alone]))
    return {"bulk": bulk, "lot": empty, "alone": alone}


def _boxes(town: Town) -> dict[str, str]:
    box, inner, load = town.box(), town.box(None, None), town.load()
    alias = {"act": "alias", "unit": box, "code": "KPU/BOX/17"}
    town.ok(town.commission(alias))
    fresh = town.blanks.pop()
    town.ok(town.commission({"act": "reprint", "unit": fresh, "of": inner}))
    town.ok(town.commission({"act": "retire", "unit": town.blanks.pop(), "reason": "SPOILED"}))
    town.no(town.act(town.kpu1, "sighting", {}, [inner], capacity="witness"), "", "accepted")
    return {"box": box, "inner": inner, "load": load, "reprinted": fresh}


def _handovers(town: Town, units: dict[str, str]) -> dict[str, str]:
    box, lot, inner, load = (units[name] for name in ("box", "lot", "reprinted", "load"))
    town.ok(town.pack(box, lot))
    town.ok(town.seal(box, "KT-1", "KT-2"))
    town.no(town.seal(box, "KT-1"), "seal_reuse")
    found = [{"unit": box, "point": 1, "number": "KT-1", "finding": "intact"}]
    town.ok(town.act(town.kpu1, "seal.inspect", {"seals": found}, [box], capacity="witness"))
    town.ok(town.pack(load, box, inner))
    town.no(town.release([box]), "packed")
    release = town.release([load])
    town.no(town.accept(release.hash, [load]), "pending_predecessor", "pending")
    town.ok(release)
    town.ok(
        town.act(town.pos1, "departed", {"release": release.hash, "vehicle": "KT-8122"}, [load], capacity="witness")
    )
    town.ok(town.act(town.pos1, "arrived", {"release": release.hash}, [load], capacity="witness", place=s.PPK))
    town.no(town.accept(release.hash, [load]), "already_accepted")
    town.ok(_unpack(town, load, box))
    town.ok(_to_station(town, box))
    town.ok(town.open_at_station(box))
    town.ok(
        town.act(
            town.tps1,
            "unit.close",
            {"seals": [{"unit": box, "point": 1, "number": "KT-9"}]},
            [box],
            place=s.TPS1,
            tps2="second",
        )
    )
    town.ok(
        town.act(
            town.tps1,
            "count",
            {"basis": "kit", "lines": [{"counted": 2, "item": "BOX_TPS"}]},
            place=s.TPS1,
            capacity="witness",
        )
    )
    return {}


def _unpack(town: Town, load: str, box: str) -> Signed:
    return town.act(town.ppk1, "unit.unpack", {"parent": load}, [box], place=s.PPK, ppk2="second")


def _to_station(town: Town, box: str) -> Signed:
    release = town.release([box], (s.KPU, s.TPS1), phone=town.ppk1, place=s.PPK, ppk2="second", pol="escort")
    town.ok(release)
    return town.accept(release.hash, [box], phone=town.tps1, place=s.TPS1, tps2="second")


def _flags_and_endings(town: Town, units: dict[str, str]) -> None:
    alone, bulk = units["alone"], units["bulk"]
    town.ok(town.flag("quarantine.set", [alone]))
    town.ok(town.act(town.kpu1, "quarantine.clear", {"reason": "CHECKED"}, [alone], bws="approver"))
    town.ok(town.flag("hold.set", [bulk]))
    town.look(*town.phones())
    town.no(town.release([bulk]), "hold")
    town.ok(town.flag("hold.clear", [bulk]))
    town.ok(town.act(town.kpu1, "condition", {"condition": "damaged", "reason": "WET"}, [alone], capacity="witness"))
    town.ok(town.act(town.kpu1, "access", {"act": "open", "purpose": "COUNT"}, capacity="witness"))
    burnt = units["burnt"] = town.lot(7, condition="damaged")
    lines = [{"unit": burnt, "quantity": 7, "reason": "DAMAGED"}]
    witnesses = {"pol": "witness", "bws": "witness", "tni": "witness", "gov": "witness"}
    told = {"minutes": "BA 1/2024", "method": "BURNED", "lines": lines}
    town.ok(town.act(town.kpu1, "unit.destroy", told, [burnt], kpu2="second", **witnesses))
    town.ok(town.act(town.kpu1, "sighting", {}, [burnt], capacity="witness"))
    town.ok(town.act(town.kpu1, "sighting", {"source": "typed"}, town.fresh_ids(1), capacity="witness"))
    voided = units["voided"] = town.box()
    town.ok(town.act(town.kpu1, "unit.void", {"decision": "SK 5", "reason": "LOST"}, [voided], kpu2="second"))


def _waiting_and_deciding(town: Town, units: dict[str, str]) -> None:
    one, two, three = town.box(), town.box(), town.box()
    rejected = town.release([one], kpu2="second")
    town.ok(rejected)
    town.ok(
        town.act(
            town.ppk1,
            "custody.reject",
            {"release": rejected.hash, "reason": "BROKEN"},
            place=s.PPK,
            capacity="taker",
            after=[rejected.hash],
            ppk2="second",
        )
    )
    first = town.release([one, two], due="2024-10-25T12:00:00+08:00")
    town.ok(first)
    cancel = town.act(
        town.kpu1, "custody.cancel", {"release": first.hash, "reason": "RAIN"}, after=[first.hash], kpu2="second"
    )
    town.no(cancel, "cancel_waits", "pending")
    second = town.release([three], due="2024-10-25T12:00:00+08:00")
    town.ok(second)
    orphan = town.accept(b64url_encode(secrets.token_bytes(32)), [three])
    town.no(orphan, "pending_predecessor", "pending")
    town.tick(60 * 24 * 10)
    assert town.recorder.sweep(town.now_ms) == 3
    town.ok(town.accept(second.hash, [three]))
    town.ok(town.accept(None, [one], named=[one]))
    retracted = town.inspected([three])
    town.ok(retracted)
    town.ok(town.act(town.kpu1, "retraction", {"target": retracted.hash, "reason": "TYPO"}, ppk1="second"))
    town.ok(town.revoke(town.kpu3))
    held = town.act(town.kpu3, "sighting", {}, [three], capacity="witness")
    town.no(held, "key_revoked", "held")
    refused = town.act(town.kpu3, "sighting", {}, [three], capacity="witness")
    town.no(refused, "key_revoked", "held")
    town.ok(town.decide(held.hash, pol="approver"))
    town.ok(town.decide(refused.hash, "refuse", pol="approver"))
    units["held"] = three


def wander(town: Town, rng: random.Random, acts: int) -> None:
    """Do random things, right and wrong, to a handful of goods; every answer but an error of the service will do."""
    goods = [town.lot(rng.randrange(1, 500)) for _ in range(3)]
    goods += [town.box(rng.choice([None, s.TPS1]), rng.choice([None, "PILGUB"])) for _ in range(4)] + [
        town.load(),
        town.load(),
    ]
    releases: list[tuple[str, list[str]]] = []
    for _ in range(acts):
        town.tick(rng.choice([0, 1, 60]))
        if rng.random() < 0.3:
            town.look(*town.phones())
        signed = _random_act(town, rng, goods, releases)
        answer = town.send(signed)
        assert isinstance(answer, Receipt | MalformedError), answer
        if rng.random() < 0.05:
            town.tick(60 * 24 * 12)
            town.recorder.sweep(town.now_ms)


def _random_act(town: Town, rng: random.Random, goods: list[str], releases: list[tuple[str, list[str]]]) -> Signed:
    some = rng.sample(goods, rng.choice([1, 1, 2, 3]))
    one, other = some[0], rng.choice(goods)
    places = [s.WAREHOUSE] * 4 + [s.PPK]
    place = rng.choice(places)
    act = rng.choice(
        [
            "pack",
            "pack",
            "unpack",
            "seal",
            "move",
            "release",
            "release",
            "accept",
            "accept",
            "reject",
            "cancel",
            "look",
            "flag",
            "clear",
            "open",
            "reprint",
            "late",
            "twin",
            "inspect",
            "void",
        ]
    )
    if act == "pack":
        return town.pack(other, *[unit for unit in some if unit != other] or [one], place=place)
    if act == "unpack":
        return town.unpack(other, one, place=place)
    if act == "seal":
        return town.seal(one, f"R-{rng.randrange(30)}")
    if act == "move":
        return town.move(one, other, rng.randrange(1, 50))
    if act in {"release", "late"}:
        release = town.release(some, rng.choice([(s.KPU, s.PPK), (s.KPU, s.PPK), (s.POS, s.TRUCK)]), place=place)
        releases.append((release.hash, some))
        if act == "release":
            return release
        town.send(town.accept(release.hash, some))
        return release
    if act in {"accept", "reject", "cancel"} and releases:
        return _answer(town, rng, act, *rng.choice(releases[-4:]))
    if act == "flag":
        return town.flag(rng.choice(["quarantine.set", "hold.set"]), some)
    if act == "clear":
        kind = rng.choice(["quarantine.clear", "hold.clear"])
        told = {"case": "P-1/2024"} if kind == "hold.clear" else {"reason": "CHECKED"}
        return town.act(town.kpu1, kind, told, [one], bws="approver")
    if act == "open":
        return town.act(town.kpu1, "unit.open", {"seals": [], "reason": "CHECK"}, [one], kpu2="second")
    if act == "reprint" and len(town.blanks) > 5:
        return town.commission({"act": "reprint", "unit": town.blanks.pop(), "of": one})
    if act == "void":
        return town.act(town.kpu1, "unit.void", {"decision": "SK 1", "reason": "LOST"}, [one], kpu2="second")
    if act == "inspect":
        return town.inspected(some, place=place)
    return town.act(town.pos1, "sighting", {}, [*some, *town.fresh_ids(1)], capacity="witness")


def _answer(town: Town, rng: random.Random, act: str, release: str, units: list[str]) -> Signed:
    if act == "accept":
        exceptions = [(unit, rng.choice(["missing", "rejected", "damaged"])) for unit in units if rng.random() < 0.2]
        return town.accept(release, units, exceptions=exceptions)
    told = {"release": release, "reason": "RAIN"}
    if act == "reject":
        return town.act(
            town.ppk1, "custody.reject", told, place=s.PPK, capacity="taker", after=[release], ppk2="second"
        )
    takers = {"ppk1": "taker"} if rng.random() < 0.3 else {}
    return town.act(town.kpu1, "custody.cancel", told, after=[release], kpu2="second", **takers)
