"""What the doors of one application share: the rooms' entrances, wired once by `app.main`."""

import asyncio
import concurrent.futures
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import cast

from anyio import CapacityLimiter
from starlette.requests import Request

from app.audit.activity import Activity
from app.audit.inforce import plan_in_force, policy_in_force
from app.clock import Clock
from app.config import Settings
from app.custody.intake import Intake
from app.custody.link import WriterLink
from app.custody.lookup import newest_ms
from app.custody.prove import ProvenEvent, Prover
from app.custody.receipts import Answer
from app.custody.serverkeys import ServerKeys
from app.custody.view import View
from app.db import Database, Session
from app.errors import BusyError, RefusedError, UnprovenError
from app.keys.tokens import cursor_key
from app.ledger.policy import TrustPolicy
from app.units.documents import Plan, Policy
from app.web.metrics import Metrics

PROVERS = 1


@dataclass(slots=True)
class Services:
    """One ledger's service in this process; `app.state.services` while it runs."""

    settings: Settings
    clock: Clock
    db: Database
    keys: ServerKeys
    view: View
    prover: Prover
    intake: Intake | WriterLink
    metrics: Metrics
    demo: bool
    genesis: str
    trust: TrustPolicy | None = None
    """Whose cosignatures count for this ledger, when it has witnesses."""
    activity: Activity = field(default_factory=Activity)
    """What this process has counted of each day."""
    provers: CapacityLimiter = field(init=False)
    """Batches that are proven at a time; more threads only take turns with each other."""
    paging_key: bytes = field(init=False, repr=False)

    def __post_init__(self) -> None:
        """Derive the secret of page cursors: every process of this ledger has the same."""
        self.provers = CapacityLimiter(PROVERS)
        self.paging_key = cursor_key(self.keys.service.sign(b"custody-cursor"))

    @property
    def ledger_id(self) -> int:
        """The ledger's number in this database."""
        return self.view.ledger_id

    @property
    def origin(self) -> str:
        """The ledger's origin."""
        return self.view.origin

    def now_ms(self) -> int:
        """Return the time by the machine's clock, which tokens and enrolments expire by."""
        return self.clock.now_ms()

    def mandate_ms(self, session: Session) -> int:
        """Return the time that mandates are judged at: on a demo ledger that of its newest event."""
        return newest_ms(session, self.ledger_id) if self.demo else self.clock.now_ms()

    def policy(self, session: Session) -> Policy | None:
        """Return the policy in force."""
        return policy_in_force(session, self.ledger_id)

    def plan(self, session: Session, election: str) -> Plan | None:
        """Return the plan in force for an election."""
        return plan_in_force(session, self.ledger_id, election)

    def need_policy(self, session: Session) -> Policy:
        """Return the policy in force.

        Raises:
            RefusedError: `no_policy`.
        """
        policy = self.policy(session)
        if policy is None:
            raise RefusedError("No policy is in force yet; an administrator publishes one first.", code="no_policy")
        return policy

    def token_audiences(self) -> frozenset[str]:
        """Return what an assertion may name as its audience: the ledger, or this token endpoint's address."""
        return frozenset({self.origin, f"{self.settings.base_url()}/oauth/token"})

    async def record(
        self, events: Sequence[ProvenEvent], *, proofs: bool = True, sweep_to_ms: int | None = None, bulk: bool = False
    ) -> list[Answer]:
        """Record proven events as one group and return an answer each, after the commit.

        Args:
            events: In the order in which they are to be judged.
            proofs: Put proof and checkpoint into the receipts.
            sweep_to_ms: On a ledger with scenario time: let the clock's work up to then come first.
            bulk: They can wait a little for others.

        Raises:
            BusyError: The queue is full, nothing is written, or `timeout`: not in time; the event may still be
                recorded, and sending it again is safe.
        """
        future = self.intake.submit(events, proofs=proofs, sweep_to_ms=sweep_to_ms, bulk=bulk)
        if not isinstance(future, asyncio.Future):
            future = _of_this_loop(future)
        giving_up = asyncio.get_running_loop().call_later(self.settings.writer_wait_seconds, _give_up, future)
        try:
            answers = await future
        finally:
            giving_up.cancel()
        for answer in answers:
            if isinstance(answer, UnprovenError) and answer.code == "unknown_key":
                self.prover.forget(str(answer.facts["kid"]))
        return answers


def _give_up(waiting: "asyncio.Future[list[Answer]]") -> None:
    """Answer who has waited long enough; what becomes of the events later reaches nobody."""
    if not waiting.done():
        waiting.set_exception(BusyError("Not committed in time; send it again.", retry_after_seconds=5, code="timeout"))


def _of_this_loop(future: "concurrent.futures.Future[list[Answer]]") -> "asyncio.Future[list[Answer]]":
    """Return a future of the running loop that follows one of a thread, as long as somebody waits for it."""
    loop = asyncio.get_running_loop()
    ours: asyncio.Future[list[Answer]] = loop.create_future()

    def follow() -> None:
        if ours.done():
            return
        error = future.exception()
        if error is not None:
            ours.set_exception(error)
        else:
            ours.set_result(future.result())

    def tell(_: object) -> None:
        with suppress(RuntimeError):  # the loop has ended, and who waited on it
            loop.call_soon_threadsafe(follow)

    future.add_done_callback(tell)
    return ours


def services_of(request: Request) -> Services:
    """Return the services of the application that answers a request."""
    return cast("Services", request.app.state.services)
