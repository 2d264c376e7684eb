"""21 October: the founders publish the policy and the plan, both synthetic where the file says so."""

from app.cli.demo.agenda import wita
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
        stage.say(
            first, type_, details, at=AT + minutes * 60_000, place=PROVINCE, capacity="approver", with_={second: "approver"}
        )  # fmt: skip
        stage.flush()
