"""What goods are called: the names of the catalogue in force, in the reader's language."""

from collections.abc import Mapping

from app.db import ReadSession
from app.web.desk.language import Code
from app.web.services import Services


def item_names(services: Services, session: ReadSession, language: Code) -> Mapping[str, str]:
    """Return the name of every item by its code; nothing while no policy is in force."""
    policy = services.policy(session)
    if policy is None:
        return {}
    return {item.code: item.name_id if language == "id" else item.name_en for item in policy.items}
