"""Statements of the keys room for what follows from leaves; nothing outside this room sees them."""

from app.db import RecordTable
from app.keys._tables import DEVICE, KEY
from app.keys.state import Device, Key

KEYS = RecordTable(KEY, Key, "kid")
DEVICES = RecordTable(DEVICE, Device, "kid")
