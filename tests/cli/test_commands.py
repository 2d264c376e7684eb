"""`custody init`, `migrate` and `client`: what an operator does before anybody can speak HTTP."""

import json
from pathlib import Path

import pytest
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DBAPIError
from typer.testing import CliRunner

from app.cli.init import server_keys
from app.cli.main import app
from app.cli.migrate import grant, other_roles
from app.config import Settings
from app.custody.found import genesis_payload, public_jwk
from app.custody.serverkeys import ServerKeys
from app.db import Database
from app.errors import RefusedError, ServiceError, TamperError
from app.ids import new_event_id
from app.keys.clients import prove_secret
from app.keys.signing import PrivateKey, sign_jws
from app.ledger.highwater import HighWater
from tests import small
from tests.house import House

NOW = 1_763_900_000_000


@pytest.fixture
def custody(tmp_path, monkeypatch):
    monkeypatch.setenv("CUSTODY_DATA_DIR", str(tmp_path / "data"))

    def run(*arguments):
        return CliRunner().invoke(app, list(arguments))

    return run


def founded(custody):
    done = custody("init", "--json", "--name", "kota", "--host", "ledger.example")
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout)


def test_init_founds_a_ledger_with_keys_that_only_the_owner_reads(custody, tmp_path):
    told = founded(custody)
    assert told["origin"] == "ledger.example/ledger/kota"
    folder = tmp_path / "data" / "keys"
    assert {path.name for path in folder.iterdir()} == {"ledger.key", "service.jwk", "admission.jwk", "founder.jwk"}
    assert {path.stat().st_mode & 0o777 for path in folder.iterdir()} == {0o400}
    assert (tmp_path / "data" / "custody.db").stat().st_mode & 0o777 == 0o600
    again = custody("init")
    assert isinstance(again.exception, RefusedError)


def test_what_init_prints_is_as_it_was_named(custody):
    done = custody("init", "--name", "kota", "--host", "a[red]b[/x]")
    assert done.exit_code == 0, (done.output, done.exception)
    assert "a[red]b[/x]/ledger/kota" in done.stdout


def test_a_ledger_with_the_longest_origin_is_served_and_examined(custody, tmp_path):
    host = "h" * (200 - len("/ledger/kota"))
    done = custody("init", "--name", "kota", "--host", host)
    assert done.exit_code == 0, (done.output, done.exception)
    assert custody("ledger", "close", "--reason", "END", "--yes").exit_code == 0
    assert custody("fsck").exit_code == 0
    (tmp_path / "data" / "high-water.json").unlink()
    HighWater.make(tmp_path / "data" / "high-water.json", host, 3, bytes(32)).close()  # control: another's mark
    assert custody("fsck").exit_code == 1


def test_the_mark_of_an_unmounted_disk_is_missed(custody, tmp_path, monkeypatch):
    """What was signed on the other disk is not forgotten because that disk is away."""
    monkeypatch.setenv("CUSTODY_HIGH_WATER_PATH", str(tmp_path / "mnt" / "mark"))
    founded(custody)
    (tmp_path / "mnt").rename(tmp_path / "away")
    done = custody("ledger", "close", "--reason", "END", "--yes")
    assert isinstance(done.exception, TamperError), (done.output, done.exception)
    assert not (tmp_path / "mnt").exists()
    (tmp_path / "away").rename(tmp_path / "mnt")  # control
    assert custody("ledger", "close", "--reason", "END", "--yes").exit_code == 0


def genesis(keys, name, founder, **changes):
    founders = [{"officer": "ADM-1", "agency": "KPU", "jwk": public_jwk(founder)}]
    payload = genesis_payload(
        keys, name, founders, [], author=founder.kid, event_id=new_event_id(NOW, bytes(10)), at_ms=NOW
    )
    if changes:
        payload = json.dumps({**json.loads(payload), **changes}).encode()
    return sign_jws(payload, [founder])


def test_a_genesis_that_others_signed_founds_the_ledger_of_the_keys_it_names(custody, tmp_path):
    made = custody("init", "--keys-only", "--json", "--name", "kota", "--host", "ledger.example")
    assert made.exit_code == 0, made.output
    keys = ServerKeys.load(tmp_path / "data" / "keys")
    assert json.loads(made.stdout) == {"origin": "ledger.example/ledger/kota", **server_keys(keys)}
    strangers = ServerKeys.make(tmp_path / "else", "ledger.example/ledger/kota")
    founder, path = PrivateKey.generate("ES256"), tmp_path / "genesis.json"
    path.write_text(json.dumps(genesis(strangers, "kota", founder)))
    assert isinstance(custody("init", "--genesis", str(path)).exception, RefusedError)
    path.write_text(json.dumps(genesis(keys, "kota", founder)))
    done = custody("init", "--genesis", str(path), "--json")
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["origin"] == "ledger.example/ledger/kota"


def test_clients_are_added_listed_and_revoked(custody, tmp_path):
    founded(custody)
    told = json.loads(custody("client", "add", "OPERATOR", "--access", "auditor", "--access", "field", "--json").stdout)
    db = Database(Settings(data_dir=tmp_path / "data").url())
    with db.read() as session:
        assert prove_secret(session, 1, told["client_id"], told["client_secret"]).access == ("auditor", "field")
    listed = custody("client", "list", "--json").stdout
    assert told["client_secret"] not in listed
    assert [one["revoked"] for one in json.loads(listed)] == [False]
    assert custody("client", "revoke", told["client_id"]).exit_code == 0
    with db.read() as session:
        assert prove_secret(session, 1, told["client_id"], told["client_secret"]) is None
    db.close()
    assert isinstance(custody("client", "add", "OPERATOR", "--access", "god").exception, ServiceError)
    unknown = custody("client", "add", "OPERATR", "--access", "auditor").exception
    assert isinstance(unknown, RefusedError)
    assert "OPERATOR" in unknown.detail
    assert isinstance(custody("client", "revoke", "nobody").exception, ServiceError)


def test_without_a_ledger_nothing_is_made_up(custody, tmp_path):
    assert isinstance(custody("client", "list").exception, ServiceError)
    assert not (tmp_path / "data").exists()


def test_migrating_twice_is_the_same(custody):
    assert custody("migrate").exit_code == 0
    assert custody("migrate").exit_code == 0


def test_roles_are_granted_only_where_they_are_not_the_owner():
    url = "postgresql://{}@db/custody"
    settings = Settings(migration_url=url.format("owner"), database_url=url.format("app"))
    assert other_roles(settings) == ("app", None)
    reading = settings.model_copy(update={"read_database_url": url.format("eyes")})
    assert other_roles(reading) == ("app", "eyes")
    assert other_roles(Settings(database_url=url.format("app"))) == (None, None)
    assert other_roles(Settings(data_dir=Path("x"))) == (None, None)


@pytest.mark.postgres
def test_the_services_role_founds_and_writes_but_cannot_change_what_was_written(postgres_url, tmp_path):
    owner = Database(postgres_url)
    with owner.write() as session:
        for role in ("custody_app", "custody_eyes"):
            session.exec_driver_sql(
                f"DO $$ BEGIN CREATE ROLE {role} LOGIN; EXCEPTION WHEN duplicate_object THEN NULL; END $$"
            )
    owner.close()
    grant(postgres_url, "custody_app", "custody_eyes")
    grant(postgres_url, "custody_app", "custody_eyes")
    role = lambda name: make_url(postgres_url).set(username=name).render_as_string(hide_password=False)  # noqa: E731
    db = Database(role("custody_app"), role("custody_eyes"))
    house = House(db, tmp_path)
    phone = house.enrol("OFF-1", small.KPU, "LOGISTIK", small.CITY)
    house.labels(phone, 3)
    for table in ("event", "event_unit", "ledger_leaf", "ledger_checkpoint", "document"):
        for statement in (f"DELETE FROM {table}", f"UPDATE {table} SET ledger_id = 1", f"TRUNCATE {table}"):
            with pytest.raises(DBAPIError, match="permission denied"), db.write() as session:
                session.exec_driver_sql(statement)
    for statement in ("DELETE FROM ledger_tile", "DROP TABLE event", "ALTER TABLE event DISABLE TRIGGER ALL"):
        with pytest.raises(DBAPIError, match=r"permission denied|must be owner"), db.write() as session:
            session.exec_driver_sql(statement)
    eyes = Database(role("custody_eyes"))
    with pytest.raises(DBAPIError, match="permission denied"), eyes.write() as session:
        session.exec_driver_sql("DELETE FROM access_token")
    eyes.close()
    db.close()
