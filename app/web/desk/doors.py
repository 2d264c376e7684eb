"""Every page of the desk, for `app.web.api`."""

from fastapi import APIRouter

from app.web.desk import balance, discrepancies, handovers, incidents, overview, places, sign_in, unit

ROUTERS: tuple[APIRouter, ...] = (
    sign_in.router, overview.router, unit.router, places.router, handovers.router, discrepancies.router,
    incidents.router, balance.router,
)  # fmt: skip
