"""The settings' defaults, whatever the shell says: figures of one operator's own settings would be nobody else's.

Above all, `CUSTODY_DATABASE_URL` and `CUSTODY_MIGRATION_URL` may name a database that is in use. Nothing of a run may
find them: not this process, not the servers and commands that it starts.
"""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from pydantic_settings import BaseSettings, PydanticBaseSettingsSource

from app.cli.bench.sources import ROOT
from app.config import Settings

PREFIX = "CUSTODY_"


class Defaults(Settings):
    """Settings that are at their default unless they are given here: the environment is not asked."""

    @classmethod
    def settings_customise_sources(
        cls, settings_cls: type[BaseSettings], init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource, dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:  # fmt: skip
        """Take what the constructor is given, and nothing else."""
        del settings_cls, env_settings, dotenv_settings, file_secret_settings
        return (init_settings,)


def child_environment(more: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return the environment of a child: ours without any setting of the service, then what it is given."""
    kept = {name: value for name, value in os.environ.items() if not is_setting(name)}
    return {**kept, "PYTHONPATH": str(ROOT), **(more or {})}


def is_setting(name: str) -> bool:
    """Say whether a variable is a setting of the service, which does not tell capitals from small letters."""
    return name.upper().startswith(PREFIX)


@contextmanager
def without_settings() -> Iterator[None]:
    """Take every setting of the service out of this process's environment for the length of a block."""
    taken = {name: os.environ.pop(name) for name in list(os.environ) if is_setting(name)}
    try:
        yield
    finally:
        os.environ.update(taken)
