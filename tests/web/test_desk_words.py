"""The desk's two languages, its times, its cells: everything that can be looked at without a service."""

import re

import pytest

from app.custody.events import TYPES as EVENT_TYPES
from app.custody.statetable import LIFECYCLES
from app.web.desk.clocks import lasting, moment, spoken
from app.web.desk.csvfile import CUT, cell, columns, csv_file
from app.web.desk.language import CODES, FOLDER, catalogue, language
from app.web.desk.paper import PAGES, number
from app.web.desk.sign_in import local
from app.web.desk.strip import WIDEST, strip
from app.web.desk.terms import LIFECYCLE, TYPES
from tests.web.desk_texts import bare, in_template, source_of, wanted

TEMPLATES = PAGES.list_templates()
PLACEHOLDER = re.compile(r"\{[^}]*\}")


@pytest.mark.parametrize("code", [code for code in CODES if code != "id"])
def test_every_text_is_in_every_catalogue_and_no_other(code):
    known = catalogue(code)
    assert sorted(wanted() - known.keys()) == [], "add them to app/web/locale"
    assert sorted(known.keys() - wanted()) == [], "nobody asks for these any more"


def test_every_language_has_a_catalogue():
    assert {path.name for path in FOLDER.iterdir()} == {code for code in CODES if code != "id"}


@pytest.mark.parametrize("code", [code for code in CODES if code != "id"])
def test_translations_keep_what_is_filled_in(code):
    wrong = {
        text
        for text, told in catalogue(code).items()
        if sorted(PLACEHOLDER.findall(text)) != sorted(PLACEHOLDER.findall(told))
    }
    assert wrong == set()


@pytest.mark.parametrize("name", TEMPLATES)
def test_no_template_says_anything_past_the_catalogues(name):
    assert bare(source_of(name)) == []


@pytest.mark.parametrize(
    "planted", ["<p>Halo</p>", '<a aria-label="Buka" href="/">{{ x }}</a>', "{{ x }} unit", '<p title="ya">{{ x }}</p>']
)
def test_a_planted_text_is_found(planted):
    """Control: what would be read in one language only is seen."""
    assert len(bare(planted)) == 1


def test_a_planted_text_without_translation_is_found():
    """Control: a template may ask for a word that no catalogue has."""
    assert set(in_template('{{ _("Belum diterjemahkan") }}')) - wanted() == {"Belum diterjemahkan"}


def test_a_text_without_translation_stays_readable():
    assert language("en")("Belum diterjemahkan") == "Belum diterjemahkan"
    assert language("en")("Masuk") == "Sign in"
    assert language("id")("Masuk") == "Masuk"


def test_every_type_and_stage_has_indonesian_words():
    assert set(EVENT_TYPES) - set(TYPES) == set()
    assert set(LIFECYCLES) == set(LIFECYCLE)


@pytest.mark.parametrize("name", TEMPLATES)
def test_no_template_has_a_script_or_a_style_of_its_own(name):
    source = source_of(name)
    assert not re.search(r"<script|<style|\sstyle=|\son[a-z]+=|javascript:|\|\s*safe|autoescape", source)


@pytest.mark.parametrize(
    ("local_text", "words"),
    [
        ("2024-10-20T07:05:09.000+07:00", "20 Okt 2024 07.05.09 WIB"),
        ("2024-10-20T08:05:09.000+08:00", "20 Okt 2024 08.05.09 WITA"),
        ("2024-10-20T09:05:09.000+09:00", "20 Okt 2024 09.05.09 WIT"),
        ("2024-10-20T02:05:09.000+02:00", "20 Okt 2024 02.05.09 UTC+02:00"),
        ("2024-10-20T00:05:09.000Z", "20 Okt 2024 00.05.09 UTC"),
    ],
)
def test_times_bear_the_name_of_their_zone(local_text, words):
    assert spoken(local_text, "id") == words


def test_a_time_says_utc_to_who_looks_closer():
    told = moment("2024-10-20T00:05:09.000Z", "2024-10-20T08:05:09.000+08:00", "en")
    assert told == (
        '<time datetime="2024-10-20T00:05:09.000Z" title="20 Oct 2024 00:05:09 UTC">20 Oct 2024 08:05:09 WITA</time>'
    )
    assert moment(None, None, "id") == "–"
    assert "UTC</time>" in moment("2024-10-20T00:05:09.000Z", None, "id")


def test_lengths_of_time_have_two_units():
    assert [lasting(n, "id") for n in (0, 59, 3_600, 90_061)] == ["0 menit", "0 menit", "1 jam 0 menit", "1 hari 1 jam"]


def test_numbers_have_the_languages_separator():
    assert (number(138_074, "id"), number(138_074, "en"), number(-1, "id")) == ("138.074", "138,074", "-1")


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@x", "\tx", "\rx", "\nx", '=HYPERLINK("x")'])
def test_a_cell_is_never_a_formula(text):
    assert cell(text) == f"'{text}"


def test_cells_keep_numbers_and_tell_lists():
    assert [cell(one) for one in (-5, True, None, ["a", "b"], "x=1")] == [-5, "true", "", "a b", "x=1"]


def test_a_file_that_was_cut_says_so():
    shape = columns("a", b=lambda row: row["a"] + 1)
    whole, cut = csv_file("x", shape, [{"a": 1}]), csv_file("x", shape, [{"a": 1}], more="/next", bom=False)
    assert whole.body.decode() == "\ufeffa,b\r\n1,2\r\n"
    assert cut.body.decode() == f"a,b\r\n1,2\r\n{CUT},{CUT}\r\n"
    assert 'filename="x-sebagian.csv"' in cut.headers["content-disposition"]
    assert cut.headers["link"] == '</next>; rel="next"'


def test_local_addresses_are_kept_whole():
    for wanted_address in ("/desk", "/desk/units/ABC?size=3", "/desk?x=%2F", "/desk/places?place=64.74"):
        assert local(wanted_address) == wanted_address


def happened(index, type_, agency, result="accepted"):
    return {
        "kind": "event", "index": index, "type": type_, "agency": agency, "officer": "O-1", "result": result, "outcome": None,
        "received_at": f"2024-10-{20 + index // 4:02d}T00:00:00.000Z", "received_local": None,
    }  # fmt: skip


def test_a_strip_shows_holders_and_where_nobody_plainly_held():
    rows = [
        happened(1, "unit.commission", "KPU"), happened(2, "custody.release", "KPU"),
        {"kind": "gap", "from": {"index": 2}, "to": {"index": 3}}, happened(3, "custody.accept", "POS"),
        happened(4, "custody.accept", "POLRI", "refused"), happened(5, "sighting", "KPU"),
    ]  # fmt: skip
    told = strip(rows)
    assert [(one.holder, one.width // WIDEST) for one in told.stretches] == [
        ("KPU · O-1", 1),
        ("", 1),
        ("POS · O-1", 2),
    ]
    assert [name for name, _ in told.holders] == ["KPU · O-1", "POS · O-1"]
    assert len(told.ticks) == 4
    assert strip([happened(1, "custody.accept", "X", "refused")]) is None
