"""Say what a spread database would have against a statement, from its text alone.

A ledger lies whole on one node, so a statement that names its ledger in each place goes there and is an ordinary
statement of PostgreSQL; one that does not goes to all of them, or is refused. What is checked here is the text:
every distributed table in it has `ledger_id = <a value>`, its own or by way of another's, and nothing of what Citus
refuses (performance reference, section 7.2) is in it. It knows the SQL of this project, not SQL.
"""

import re
from collections import Counter

import app.custody._tables
import app.keys._tables
import app.ledger._tables
import app.units._tables  # noqa: F401 - each fills the metadata
from app.cli.citus import COLUMN, kind_of
from app.db import metadata

DISTRIBUTED = frozenset(name for name, table in metadata.tables.items() if kind_of(table) == COLUMN)
REFUSED = {
    r"\b(rollup|cube|grouping sets)\b": "ROLLUP, CUBE and GROUPING SETS across nodes",
    r"\bset\s+ledger_id\b|\bset\b[^;]*?,\s*ledger_id\s*=": "a row moved to another ledger",
    r"\b(listen|notify)\s|pg_notify": "LISTEN and NOTIFY, which stay on their node",
    r"\bnextval\b|\bserial\b|generated .*identity": "numbers of a sequence, which have no common order",
    r"\btruncate\b": "TRUNCATE",
}
_CLAUSE = re.compile(
    r"\b(?:from|join|into|update|using)\s+(.*?)(?=[()]|\b(?:where|join|left|inner|cross|on|set|order|group|limit|for|"
    r"union|returning|values|select|conflict|default|from)\b|$)"
)
_TABLE = re.compile(r'^(?:only\s+)?"?(\w+)"?(?:\s+(?:as\s+)?(\w+))?$')
_VALUE = r"(?:%s|%\(\w+\)s(?:::\w+)?|\$\d+|cast\(%\(\w+\)s as \w+\))"


def offences(statement: str) -> list[str]:
    """Return what is wrong with a statement; nothing for one that runs on one node."""
    sql = re.sub(r"\s+", " ", re.sub(r"'[^']*'", "''", statement)).lower().strip()
    found = [f"refused: {why}" for form, why in REFUSED.items() if re.search(form, sql)]
    named = _names(sql)
    if not named:
        return found
    if sql.startswith("insert into"):
        head = sql.partition(")")[0]
        if "ledger_id" not in head:
            found.append("an INSERT without ledger_id")
        named = _names(sql.partition(")")[2])
    if not named:
        return found
    if not re.search(rf"\bledger_id = {_VALUE}|{_VALUE} = \w+\.ledger_id", sql):
        found.append("no ledger is named by a value")
    single = len(named) == 1
    for name, times in named.items():
        own = len(re.findall(rf"\b{name}\.ledger_id = |= {name}\.ledger_id\b", sql))
        own += len(re.findall(rf"(?<![.\w])ledger_id = {_VALUE}", sql)) if single else 0
        if own < times:
            found.append(f"{name} is not held to its ledger")
    return found


def _names(sql: str) -> Counter[str]:
    """Count under which names distributed tables are used."""
    names: Counter[str] = Counter()
    for clause in _CLAUSE.finditer(sql):
        for part in clause[1].split(","):
            told = _TABLE.match(part.strip())
            if told and told[1] in DISTRIBUTED:
                names[told[2] or told[1]] += 1
    return names
