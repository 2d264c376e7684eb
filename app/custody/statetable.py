"""The published table: type of event × lifecycle of a unit → lifecycle (pure).

It drives the rules and the tests, and `docs/state-table.md` is printed from it. An act is a type of event,
with a qualifier where the outcome depends on the place: `:destination` at the unit's own polling station,
`:allocate` into a container bound for one, `:station` opened at the station, `:empty` for a lot that starts
at zero. What is not in the table is refused with `state`. Being on the way is custody (`released`), being
packed is containment: neither is a lifecycle (docs/adr/0004).
"""

LIFECYCLES = (
    "registered", "received", "checked", "allocated", "sealed", "delivered", "deployed", "opened", "closed",
    "returned", "voided", "destroyed",
)  # fmt: skip
NEW = "-"
LIVE = tuple(state for state in LIFECYCLES if state not in {"voided", "destroyed"})
CLOSED_UP = tuple(state for state in LIVE if state != "opened")
BEFORE_USE = ("registered", "received", "checked", "allocated", "sealed", "delivered")

Table = dict[tuple[str, str], str]


def _same(act: str, states: tuple[str, ...]) -> Table:
    return {(act, state): state for state in states}


def _to(act: str, states: tuple[str, ...], target: str) -> Table:
    return {(act, state): target for state in states}


TABLE: Table = {
    ("unit.commission", NEW): "registered",
    ("unit.commission:empty", NEW): "checked",
    **_same("custody.release", CLOSED_UP),
    **_same("custody.reject", CLOSED_UP),
    **_same("custody.cancel", CLOSED_UP),
    **_same("custody.accept", ("checked", "received", "delivered", "returned")),
    ("custody.accept", "registered"): "received",
    ("custody.accept", "allocated"): "delivered",
    ("custody.accept", "sealed"): "delivered",
    ("custody.accept", "deployed"): "returned",
    ("custody.accept", "closed"): "returned",
    **_to("custody.accept:destination", BEFORE_USE, "deployed"),
    **_same("custody.accept:destination", ("deployed", "closed", "returned")),
    **_same("lot.move", ("registered", "received", "checked", "returned")),
    **_to("unit.pack:allocate", ("registered", "received", "checked", "allocated"), "allocated"),
    **_same("unit.pack", CLOSED_UP),
    ("unit.unpack:allocate", "allocated"): "checked",
    **_same("unit.unpack:allocate", ("delivered", "deployed", "closed", "returned")),
    **_same("unit.unpack", CLOSED_UP),
    **_same(
        "seal.apply", ("registered", "received", "checked", "sealed", "delivered", "deployed", "closed", "returned")
    ),
    ("seal.apply", "allocated"): "sealed",
    ("seal.remove", "sealed"): "allocated",
    **_same("seal.remove", ("registered", "received", "checked", "delivered", "deployed", "closed", "returned")),
    **_to("unit.open:station", ("deployed",), "opened"),
    ("unit.open", "sealed"): "allocated",
    **_same("unit.open", ("registered", "received", "checked", "allocated", "delivered", "returned")),
    ("unit.close", "opened"): "closed",
    **_same("quarantine.set", LIVE),
    **_same("quarantine.clear", LIVE),
    **_same("hold.set", (*LIVE, "voided")),
    **_same("hold.clear", (*LIVE, "voided")),
    **_to("unit.void", LIVE, "voided"),
    **_to("unit.destroy", ("registered", "received", "checked", "returned", "voided"), "destroyed"),
    **_same("correction", ("registered", "received", "checked")),
    **{
        (act, state): state
        for act in (
            "sighting",
            "inspection",
            "count",
            "seal.inspect",
            "position",
            "condition",
            "access",
            "departed",
            "arrived",
            "incident.report",
            "objection",
            "witness.attest",
            "witness.refuse",
        )
        for state in LIFECYCLES
    },
    ("inspection:conform", "registered"): "checked",
    ("inspection:conform", "received"): "checked",
}


def next_state(act: str, state: str) -> str | None:
    """Return the lifecycle after an act, or None when the table forbids it."""
    return TABLE.get((act, state))


def as_markdown() -> str:
    """Return the table as the text of `docs/state-table.md`."""
    acts = sorted({act for act, _ in TABLE})
    states = (NEW, *LIFECYCLES)
    head = "| act | " + " | ".join("new" if s == NEW else s for s in states) + " |"
    rule = "|---" * (len(states) + 1) + "|"
    rows = [f"| `{act}` | " + " | ".join(TABLE.get((act, state), "·") for state in states) + " |" for act in acts]
    return "\n".join([head, rule, *rows])
