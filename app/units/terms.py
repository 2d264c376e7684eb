"""The words that documents and events are written in: codes, names, moments, quantities (pure).

Sizes: quantities are whole items; moments are RFC 3339 text with an offset. What is not in these forms is refused
where it is read (`document_shape`, `details_shape`), before any rule sees it. Source: design sections 5 and 6.
"""

from typing import Annotated, Literal

from pydantic import Field

Code = Annotated[str, Field(min_length=1, max_length=40, pattern=r"^[A-Za-z0-9][A-Za-z0-9._:-]*$")]
Name = Annotated[str, Field(min_length=1, max_length=120, pattern=r"^[^\x00-\x1f\x7f]+$")]
Hash = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{43}$")]
Moment = Annotated[str, Field(max_length=40, pattern=r"^20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,3})?(Z|[+-]\d\d:\d\d)$")]
Quantity = Annotated[int, Field(ge=0, le=2**31)]
Sensitivity = Literal["accountable", "controlled", "general"]
Capacity = Literal["giver", "taker", "second", "escort", "witness", "approver"]
AgencyKind = Literal[
    "commission", "supervisor", "police", "military", "carrier", "vendor", "government", "contestant", "auditor"
]
PlaceKind = Literal[
    "REGION",
    "PRINTER",
    "WH_KPU",
    "OFFICE",
    "SORT_HALL",
    "PPK_KEC",
    "PPS",
    "TPS",
    "TPS_LOKSUS",
    "VEHICLE",
    "PORT",
    "RECAP_SITE",
    "EVIDENCE",
    "DESTRUCTION_SITE",
]
Zone = Literal["Asia/Jakarta", "Asia/Makassar", "Asia/Jayapura", "UTC"]
