"""The same towns as for the rules, with goods in stock."""

from pathlib import Path

import pytest

from tests.custody.town import Mould, Town, postgres_mould, sqlite_mould

BACKENDS = ["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)]


class StockedTown(Town):
    """A town with a sealed box, an unsealed box, an empty one and a loose lot at the warehouse."""

    stock: dict[str, str | None]

    def settle(self):
        """Commission the stock: unit and the number of its seal."""
        super().settle()
        sealed, _ = self.sealed_box(number="KT-1")
        box, lot = self.box(), self.lot()
        self.ok(self.pack(box, lot))
        self.stock = {sealed: "KT-1", box: None, self.box(None, None): None, self.lot(): None}
        self.look(*self.phones())
        self.begins = self.size()
        return self

    def copy(self, db, folder):
        """Return a town that goes on from here."""
        other = super().copy(db, folder)
        other.stock = dict(self.stock)
        return other


@pytest.fixture(scope="session")
def stocked_sqlite(sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Mould:
    """The stocked town on SQLite."""
    return sqlite_mould(sqlite_template, tmp_path_factory.mktemp("stocked"), StockedTown)


@pytest.fixture(scope="session")
def stocked_postgres(postgres_template: str, tmp_path_factory: pytest.TempPathFactory) -> Mould:
    """The stocked town on PostgreSQL."""
    return postgres_mould(postgres_template, tmp_path_factory.mktemp("stocked"), StockedTown)


@pytest.fixture(params=BACKENDS)
def stocked(request: pytest.FixtureRequest) -> Mould:
    """The stocked town on each database in turn."""
    return request.getfixturevalue("stocked_postgres" if request.param == "postgresql" else "stocked_sqlite")
