"""A plan from a spreadsheet: what is taken, and every fault with row, column and what to do (pure)."""

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.units import documents, plansheet
from app.units.documents import parse_document
from app.units.plancells import CellError, harmless, moment, plain, whole, yes_or_no
from app.units.plandiff import difference
from app.units.planframe import Frame
from app.units.plansheet import read_table
from app.units.plantable import write_table
from tests import small as s

POLICY = parse_document(json.dumps(s.policy()).encode())
FRAME = Frame(s.ELECTION, "Rencana uji")
HEAD = "place,voters,district PILGUB,kit BOX_TPS,kit BALLOT/PILGUB"
ROW = f"{s.TPS1},100,64,2,auto"


def table(*rows, head=HEAD):
    return "\n".join([head, *(rows or (ROW,))]).encode()


def taken(data, frame=FRAME):
    reading = read_table(data, POLICY, frame)
    assert reading.document is not None, reading.faults
    return parse_document(reading.document)


def faults(data, frame=FRAME):
    reading = read_table(data, POLICY, frame)
    assert (reading.document is None) == bool(reading.faults)
    return [(fault.row, fault.column) for fault in reading.faults]


def told(data):
    return [f"{fault.what}: {fault.todo}" for fault in read_table(data, POLICY, FRAME).faults]


def test_a_row_becomes_a_station():
    [station] = taken(table()).stations
    assert (station.place, station.voters, station.kit_by_line) == (s.TPS1, 100, {"BOX_TPS": 2, "BALLOT/PILGUB": 103})
    assert [(one.contest, one.district) for one in station.districts] == [("PILGUB", "64")]


@pytest.mark.parametrize(
    "change",
    [
        lambda data: b"\xef\xbb\xbf" + data,
        lambda data: data.replace(b"\n", b"\r\n"),
        lambda data: data.replace(b"\n", b"\r"),
        lambda data: data.replace(b",", b";"),
        lambda data: data.replace(b",", b"\t"),
        lambda data: b"sep=;\r\n" + data.replace(b",", b";"),
        lambda data: data + b"\n\n,,,,\n",
        lambda data: data.replace(b"100", b'"100"').replace(b"voters", b'"Voters"'),
    ],
    ids=["bom", "crlf", "cr", "semicolons", "tabs", "sep", "empty rows", "quotes"],
)
def test_what_spreadsheets_save_is_taken(change):
    assert taken(change(table())) == taken(table())


def test_columns_without_a_name_are_refused_and_not_guessed():
    assert faults(table(f"{ROW},,", head=f"{HEAD},,")) == [(1, "column 6"), (1, "column 7")]


@pytest.mark.parametrize(
    ("data", "word"),
    [
        (b"", "no stations"), (HEAD.encode(), "no stations"), (table().decode().encode("utf-16"), "UTF-8"),
        (HEAD.encode() + b"\nB\xe9,1,1,1,1", "UTF-8"), (b"PK\x03\x04rest", "workbook"), (b"\xd0\xcf\x11\xe0", "workbook"),
        (table('"open,1,1,1,1'), "quotation"), (b"sep=|\na|b", "separator"), (b"a" * (16 * 1024 * 1024 + 1), "16 MiB"),
        (b",".join([b"x"] * 301) + b"\n1", "columns"),
    ],
)  # fmt: skip
def test_a_file_that_is_no_table_is_refused_with_what_to_do(data, word):
    [sentence] = told(data)
    assert word in sentence


def test_rows_are_bounded(monkeypatch):
    monkeypatch.setattr(plansheet, "MAX_ROWS", 2)
    assert len(told(table(ROW, ROW.replace("A-1", "A-2")))) == 0
    assert "more than 2 stations" in told(table(ROW, ROW.replace("A-1", "A-2"), ROW.replace("A-1", "B-1")))[0]


def test_a_place_that_is_no_polling_station_is_told_at_its_cell():
    assert faults(table(ROW.replace(s.TPS1, s.PPK), ROW)) == [(2, "place")]


def test_a_wall_clock_is_that_of_each_station_and_not_of_the_election():
    document = s.policy()
    next(place for place in document["places"] if place["id"] == s.TPS2)["zone"] = "Asia/Jayapura"
    policy = parse_document(json.dumps(document).encode())
    rows = [f"{place},1,2024-11-26 23:59" for place in (s.TPS1, s.TPS2)]
    reading = read_table(table(*rows, head="place,voters,deliver_by"), policy, FRAME)
    assert [one["deliver_by"][-6:] for one in json.loads(reading.document)["stations"]] == ["+08:00", "+09:00"]


def test_what_is_not_said_per_station_comes_from_the_frame():
    capacity = [{"container": "BOX_TPS", "item": "BALLOT", "quantity": 7}]
    stops = [{"place": s.PPK, "deliver_by": "2024-11-26T10:00:00Z"}]
    for synthetic in (True, False):
        old = parse_document(json.dumps(s.plan(capacity=capacity, stops=stops, synthetic=synthetic)).encode())
        made = taken(table(), Frame.of(old))
        assert (made.title, made.synthetic, made.capacity, made.stops) == (
            old.title,
            synthetic,
            old.capacity,
            old.stops,
        )
        assert made.reserve_permille == 25


def test_every_fault_is_told_with_row_and_column():
    bad = table(f"{s.TPS1},1.250,6 4,x,-1", "ATLANTIS,,64,2,auto", f"{s.TPS1},5,64,2,auto", "")
    assert faults(bad) == [
        (2, "voters"), (2, "district PILGUB"), (2, "kit BOX_TPS"), (2, "kit BALLOT/PILGUB"), (3, "place"),
        (3, "voters"), (4, "place"),
    ]  # fmt: skip


def test_faults_are_kept_up_to_a_bound_and_counted_beyond(monkeypatch):
    monkeypatch.setattr(plansheet, "MAX_FAULTS", 3)
    reading = read_table(table(*(f"X{n},1,64,2,1" for n in range(10))), POLICY, FRAME)
    assert (len(reading.faults), reading.count, reading.document) == (3, 10, None)


@pytest.mark.parametrize(
    ("head", "column"),
    [
        ("place,voters,kit BALOT/PILGUB", "kit BALOT/PILGUB"), ("place,voters,kit BALLOT", "kit BALLOT"),
        ("place,voters,district PILPRES", "district PILPRES"), ("place,voters,votes", "votes"),
        ("place,voters,voters", "voters"), ("place", "voters"), ("voters", "place"), ("place,voters,stop17", "stop17"),
        ("place,voters,kit BALLOT/PILPRES", "kit BALLOT/PILPRES"), ("place,voters,=1+1", "=1+1"),
    ],
)  # fmt: skip
def test_a_column_that_is_none_is_told_once_in_the_header(head, column):
    rows = [f"{s.TPS1},1" if head.startswith("place") else "1"] * 1
    assert (1, column) in faults(table(*rows, head=head))


def test_a_missing_column_is_told_once_and_not_per_row():
    assert faults(table(s.TPS1, s.TPS2, head="place")) == [(1, "voters")]


def test_slips_are_told_the_nearest_name():
    assert "did you mean kit BOX_TPS?" in told(table(head=HEAD.replace("kit BOX_TPS", "kti BOX_TPS")))[0]
    assert f"did you mean {s.TPS1}?" in told(table(ROW.replace("A-1", "A1")))[0]


def test_a_row_with_more_cells_than_the_header_is_refused():
    assert faults(table(f"{ROW},9")) == [(2, "file")]


def test_ballots_are_computed_on_demand_and_nothing_else_is():
    assert taken(table(f"{s.TPS1},41,64,2,AUTO")).stations[0].kit_by_line["BALLOT/PILGUB"] == 43
    assert faults(table(f"{s.TPS1},41,64,auto,1")) == [(2, "kit BOX_TPS")]


def test_a_told_reserve_is_held_against_the_formula():
    head = "place,voters,reserve"
    assert taken(table(f"{s.TPS1},100,3", f"{s.TPS2},100,auto", f"{s.TPS3},100,", head=head)).stations[1].reserve == 3
    assert "write 3, or auto" in told(table(f"{s.TPS1},100,2", head=head))[0]


# -- windows, escorts, routes ----------------------------------------------------------------------------

WAY = "place,voters,escort,release_from,deliver_by,stop1,stop1 deliver_by,stop1 escort,stop2"


def test_a_route_has_sixteen_stops_and_no_more():
    head = "place,voters," + ",".join(f"stop{n}" for n in range(1, 17))
    assert faults(table(f"{s.TPS1},1,{s.PPK}", head=head)) == []
    assert faults(table(f"{s.TPS1},1,{s.PPK}", head=f"{head},stop17")) == [(1, "stop17")]


def test_a_route_with_windows_in_the_time_of_the_place():
    row = f"{s.TPS1},1,ya,2024-11-26 06:00,2024-11-26 23.59,{s.PPK},2024-11-26T12:00:00+07:00,tidak,{s.PPS_A}"
    [station] = taken(table(row, head=WAY)).stations
    assert (station.release_from, station.deliver_by) == ("2024-11-26T06:00:00+08:00", "2024-11-26T23:59:00+08:00")
    assert [(stop.place, stop.deliver_by, stop.escort) for stop in station.route] == [
        (s.PPK, "2024-11-26T12:00:00+07:00", False), (s.PPS_A, None, None),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("row", "column"),
    [
        ("1,mungkin,,,,,,", "escort"), ("1,,26/11/2024,,,,,", "release_from"), ("1,,2024-02-30 10:00,,,,,", "release_from"),
        ("1,,2024-11-26 25:00,,,,,", "release_from"), ("1,,morgen,,,,,", "release_from"),
        ("1,,2024-11-26 10:00,2024-11-26 09:00,,,,", "deliver_by"), ("1,,,,ATLANTIS,,,", "stop1"),
        (f"1,,,,,,,{s.PPK}", "stop2"), ("1,,,,,2024-11-26 10:00,,", "stop1"), (f"1,,,,{s.PPK},,,{s.PPK}", "stop2"),
        (f"1,,,,{s.TPS1},,,", "stop1"),
    ],
)  # fmt: skip
def test_a_way_that_cannot_be_is_told_at_its_cell(row, column):
    assert faults(table(f"{s.TPS1},{row}", head=WAY)) == [(2, column)]


# -- cells -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("cell", ["=1+1", "+1", "@SUM(A1)", "-A1", "=cmd|' /C calc'!A0"])
def test_what_a_spreadsheet_would_calculate_is_never_taken(cell):
    with pytest.raises(CellError):
        plain(cell)
    assert plain(harmless(cell)) == cell
    assert harmless(cell).startswith("'")


@pytest.mark.parametrize("text", ["\tx", "\rx"])
def test_a_blank_that_hides_a_formula_is_made_harmless_too(text):
    assert harmless(text) == f"'{text}"


@pytest.mark.parametrize(
    ("cells", "told"),
    [(("ya", "Y", "yes", "TRUE", "1"), True), (("tidak", "T", "no", "n", "False", "0"), False)],
)
def test_yes_and_no_are_written_as_spreadsheets_and_people_do(cells, told):
    assert {yes_or_no(cell) for cell in cells} == {told}


@pytest.mark.parametrize("cell", ["\x00", "\x7f", "a\nb", "\x1b[2J", "x" * 201])
def test_control_characters_and_floods_are_refused(cell):
    with pytest.raises(CellError):
        plain(f"a{cell}a")


@pytest.mark.parametrize(
    "cell", ["1.250", "1,250", "1 250", "12,5", "1e3", "１２", "0x1", "99999999999", "2147483649", "-1"]
)
def test_a_number_that_may_be_read_in_two_ways_is_refused(cell):
    with pytest.raises(CellError):
        whole(cell)


def test_whole_numbers_are_taken():
    assert [whole(cell) for cell in ("0", "007", "2147483648")] == [0, 7, 2**31]


@pytest.mark.parametrize(
    ("zone", "offset"), [("Asia/Jakarta", "+07:00"), ("Asia/Makassar", "+08:00"), ("UTC", "+00:00")]
)
def test_a_wall_clock_is_that_of_the_place(zone, offset):
    assert moment("2024-11-26 08:30", zone) == f"2024-11-26T08:30:00{offset}"


# -- there and back --------------------------------------------------------------------------------------

MOMENTS = st.sampled_from(["2024-11-25T08:00:00+08:00", "2024-11-26T09:30:15+07:00", "2024-11-26T23:59:59Z"])
MAYBE = st.none() | st.booleans()


@st.composite
def stations(draw):
    place = draw(st.sampled_from([s.TPS1, s.TPS2, s.TPS3]))
    made = {"place": place, "voters": draw(st.integers(0, 2**31)), "escort": draw(st.booleans())}
    made["districts"] = [
        {"contest": c, "district": "64.74"} for c in draw(st.sets(st.sampled_from(["PILGUB", "PILWALI"])))
    ]
    lines = draw(
        st.sets(st.sampled_from([("BOX_TPS", None), ("BOOTH", None), ("BALLOT", "PILGUB"), ("BALLOT", "PILWALI")]))
    )
    made["kit"] = [
        {"item": i, **({"contest": c} if c else {}), "quantity": draw(st.integers(0, 2**31))}
        for i, c in sorted(lines, key=str)
    ]
    if draw(st.booleans()):
        made["deliver_by"] = draw(MOMENTS)
    made["route"] = [
        {"place": p, **({"release_from": draw(MOMENTS)} if draw(st.booleans()) else {}),
         **({"escort": e} if (e := draw(MAYBE)) is not None else {})}
        for p in draw(st.lists(st.sampled_from([s.PPK, s.PPS_A, s.WAREHOUSE]), unique=True))
    ]  # fmt: skip
    return made


@given(st.lists(stations(), min_size=1, max_size=3, unique_by=lambda one: one["place"]), st.sampled_from(",;\t"))
def test_a_plan_comes_back_from_its_table(made, delimiter):
    plan = parse_document(json.dumps(s.plan(stations=made, reserve_permille=25)).encode())
    back = taken(write_table(plan, POLICY, delimiter), replace(Frame.of(plan)))
    assert difference(plan, back).same


def test_names_for_people_are_made_harmless_and_not_read_back():
    policy = s.policy()
    next(place for place in policy["places"] if place["id"] == s.TPS1)["name"] = '=HYPERLINK("http://x","y")'
    known = parse_document(json.dumps(policy).encode())
    plan = parse_document(json.dumps(s.plan()).encode())
    written = write_table(plan, known).decode("utf-8-sig")
    assert ",\"'=HYPERLINK(" in written.splitlines()[1]
    assert difference(plan, parse_document(read_table(written.encode(), known, Frame.of(plan)).document)).changed == {}


def test_a_title_that_is_none_is_a_fault_of_the_file():
    assert faults(table(), Frame(s.ELECTION, "")) == [(0, "file")]


def test_another_election_than_the_policy_has_is_a_fault_of_the_file():
    assert faults(table(), Frame("PEMILU-2029", "x")) == [(0, "file")]


def test_a_document_beyond_its_bound_is_a_fault_of_the_file(monkeypatch):
    monkeypatch.setattr(documents, "MAX_DOCUMENT_BYTES", 200)
    assert "8 MiB" in told(table())[0]
