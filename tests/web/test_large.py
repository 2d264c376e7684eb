"""Memory under a backlog is bounded: large requests hold a share of it, and who finds none comes again later."""

import asyncio

import pytest

from app.errors import BusyError
from app.web.gate import Gate
from app.web.large import FIRST_SECONDS, LAST_SECONDS, Large

KIB = 1024


def test_shares_are_given_up_to_the_limit_and_come_back():
    large = Large(100)
    with large.share(60), large.share(40):
        with pytest.raises(BusyError) as busy, large.share(1):
            pass
        assert FIRST_SECONDS <= busy.value.retry_after_seconds <= LAST_SECONDS
    assert large.held == 0
    with pytest.raises(ZeroDivisionError), large.share(90):
        1 / 0  # noqa: B018
    assert large.held == 0


def test_one_that_alone_is_larger_is_let_through():
    large = Large(100)
    with large.share(500):
        assert large.held == 500


class Counts:
    def request(self, *told):
        """Count nothing."""


async def ask(gate, *headers):
    """Send a request through the gate; return its status and headers."""
    said = []

    async def receive():
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message):
        said.append(message)

    scope = {
        "type": "http", "method": "POST", "path": "/big", "raw_path": b"/big", "query_string": b"",
        "headers": list(headers),
    }  # fmt: skip
    await gate(scope, receive, send)
    return said[0]["status"], dict(said[0]["headers"])


@pytest.mark.parametrize(
    ("header", "others"),
    [
        ((b"content-length", b"%d" % (90 * KIB)), 1),
        ((b"transfer-encoding", b"chunked"), 1),
        ((b"content-length", b"9"), 9),
    ],
)
def test_the_gate_sends_large_ones_away_while_others_are_under_way(header, others):
    """A body in pieces counts as the largest that its door takes; small ones need no share."""

    async def story():
        go, inside = asyncio.Event(), 0

        async def app(scope, receive, send):
            nonlocal inside
            inside += 1
            await go.wait()
            await send({"type": "http.response.start", "status": 204, "headers": []})
            await send({"type": "http.response.body"})

        gate = Gate(app, Counts(), {"/big": 100 * KIB}, {}, large_bytes=150 * KIB)
        tasks = [asyncio.create_task(ask(gate, header)) for _ in range(10)]
        for _ in range(100):
            await asyncio.sleep(0)
        assert inside + sum(task.done() for task in tasks) == 10
        go.set()
        answers = await asyncio.gather(*tasks)
        assert await ask(gate, header) == (204, answers[0][1])
        return [answer for answer in answers if answer[0] == 503]

    sent_away = asyncio.run(story())
    assert len(sent_away) == (0 if others == 9 else 9)
    assert all(int(headers[b"retry-after"]) >= 1 for _, headers in sent_away)
