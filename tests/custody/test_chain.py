"""A leaf that is written by hand is the canonical form of what it says, byte for byte."""

import json

import rfc8785
from hypothesis import given
from hypothesis import strategies as st

from app.canon import b64url_encode, jcs
from app.clock import END_MS, FIRST_MS, rfc3339_ms
from app.custody.chain import LEAF_VERSION, Link, build_leaf
from app.ids import ALPHABET
from app.web.problems import PROBLEMS

base64 = st.binary(max_size=120).map(b64url_encode)
signature = st.fixed_dictionaries({"protected": base64, "signature": base64})
unit = st.text(ALPHABET, min_size=17, max_size=17)
verdicts = st.fixed_dictionaries(
    {
        "result": st.sampled_from(["accepted", "refused", "pending", "held"]),
        "code": st.sampled_from(["", *sorted(PROBLEMS)]),
        "rules": st.integers(1, 9),
        "policy": base64,
    }
)


@given(
    st.fixed_dictionaries({"payload": base64, "signatures": st.lists(signature, min_size=1, max_size=4)}),
    verdicts,
    st.lists(st.builds(Link, unit, st.integers(1, 2**53 - 1), base64), max_size=4).map(tuple),
    st.integers(FIRST_MS, END_MS - 1),
)
def test_a_leaf_is_canonical(jws, verdict, links, received_ms):
    value = {
        "v": LEAF_VERSION, "event": jws, "verdict": verdict, "links": [link.as_json() for link in links],
        "received_at": rfc3339_ms(received_ms),
    }  # fmt: skip
    data = build_leaf(0, jws, verdict, links, received_ms).data
    assert data == jcs(value) == rfc8785.dumps(value)
    assert json.loads(data) == value


def test_no_code_of_a_verdict_would_need_an_escape():
    assert all(json.dumps(code) == f'"{code}"' for code in PROBLEMS)
