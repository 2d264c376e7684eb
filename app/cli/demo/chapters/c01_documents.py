"""21 October: the founders publish the policy and the plan, both synthetic where the file says so."""

from app.cli.demo.agenda import MINUTE_MS, wita
from app.cli.demo.documents import PROVINCE, plan_document, policy_document
from app.cli.demo.figures import ELECTION
from app.cli.demo.troupe import Troupe

AT = wita("2024-10-21 09:00")


def play(troupe: Troupe) -> None:
    """Publish both documents, each signed by both founders."""
    stage, (first, second) = troupe.stage, troupe.cast.founders
    for minutes, (type_, document) in enumerate((
        ("policy.publish", policy_document(troupe.figures, troupe.stations)),
        ("plan.publish", plan_document(troupe.figures, troupe.stations)),
    )):  # fmt: skip
        details = {"document": stage.door.put_document(document)}
        if type_ == "plan.publish":
            details["election"] = ELECTION
        at = AT + minutes * MINUTE_MS
        stage.say(first, type_, details, at=at, place=PROVINCE, capacity="approver", with_={second: "approver"})
        stage.flush()
