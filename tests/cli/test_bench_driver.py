"""The load driver sends what it is given, keeps its schedule, and whoever is answered wrongly ends the run."""

import socket
import threading
from contextlib import contextmanager
from types import SimpleNamespace

import pytest

from app.cli.bench import sending
from app.cli.bench.driver import pause_of, whole_length
from app.cli.bench.sending import as_expected, exchange, send
from app.cli.bench.traffic import Ask, Event, Load, at_rate, batches, dealt, get, post, post_batch, request

RIGHT = b'{"state":"included","event":"H1","result":"accepted","proof":{}}'
EVENT = Event(b"H1", b'{"payload":"x"}')


@contextmanager
def answering(*bodies, status=b"201 Created", pieces=1, close_after=None, busy=0, retry_after=b"1"):
    """Run a server of sockets that answers every request with the next body, the last one for ever.

    The first `busy` requests are answered 503.
    """
    listening = socket.create_server(("127.0.0.1", 0))
    asked, lock = [], threading.Lock()

    def serve(connection):
        with connection:
            buffer = b""
            while data := connection.recv(65536):
                buffer += data
                while len(buffer) >= (end := whole_length(buffer) or buffer.find(b"\r\n\r\n") + 4) > 3:
                    with lock:
                        place = len(asked)
                        asked.append(buffer[:end])
                    buffer = buffer[end:]
                    if close_after is not None and place >= close_after:
                        return
                    body = bodies[min(place, len(bodies) - 1)]
                    answer = b"HTTP/1.1 %s\r\ncontent-length: %d\r\n\r\n%s" % (status, len(body), body)
                    if place < busy:
                        answer = b"HTTP/1.1 503 Busy\r\nRetry-After: %s\r\ncontent-length: 0\r\n\r\n" % retry_after
                    step = -(-len(answer) // pieces)
                    for start in range(0, len(answer), step):
                        connection.sendall(answer[start : start + step])

    def accept():
        while True:
            try:
                connection, _ = listening.accept()
            except OSError:
                return
            threading.Thread(target=serve, args=(connection,), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    try:
        yield server_at(listening.getsockname()[1]), asked
    finally:
        listening.close()


def server_at(port):
    return SimpleNamespace(
        port=port, forget_peak=lambda: None, cpu_seconds=lambda: {"answers": 0.0}, rss_bytes=lambda: 1,
        peak_rss_bytes=lambda: 1,
    )  # fmt: skip


def asks(count):
    return [post(EVENT, "token") for _ in range(count)]


def test_every_request_is_sent_once_and_every_answer_is_held_to_what_it_must_say(tmp_path):
    with answering(RIGHT, pieces=3) as (server, asked):
        told = send(dealt(asks(21), 2), server, tmp_path)
    assert len(asked) == told["events"] == told["requests"] == 21
    assert asked[0] == request("POST", "/v1/events", "token", EVENT.body)
    assert 0 < told["p50_ms"] <= told["max_ms"]
    assert told["p90_ms"] is None


@pytest.mark.parametrize(
    "wrong",
    [
        b"{}",
        b'{"state":"accepted","event":"H1","result":"accepted"}',
        b'{"state":"included","event":"H1","result":"refused"}',
        b'{"state":"included","event":"H2","result":"accepted","proof":{}}',
        b'{"state":"included","event":"H1","result":"accepted"}',
    ],
)
def test_a_server_that_answers_with_a_wrong_body_ends_the_run(tmp_path, wrong):
    with (
        answering(RIGHT, RIGHT, wrong, RIGHT) as (server, _),
        pytest.raises(RuntimeError, match="1 of 4 answers are not as expected"),
    ):
        send(dealt(asks(4), 1), server, tmp_path)


def test_a_right_body_with_a_wrong_status_ends_the_run(tmp_path):
    with answering(RIGHT, status=b"200 OK") as (server, _), pytest.raises(RuntimeError, match="1 of 1 answers"):
        send(dealt(asks(1), 1), server, tmp_path)


def test_a_connection_that_ends_early_ends_the_run(tmp_path):
    with answering(RIGHT, close_after=2) as (server, _), pytest.raises(RuntimeError, match="closed after 2 of 4"):
        send(dealt(asks(4), 1), server, tmp_path)


def test_hashes_stand_in_the_order_in_which_the_events_were_sent():
    events = [Event(b"H1", b"{}"), Event(b"H2", b"{}")]
    ask = post_batch(events, "")
    one, two = (b'"state":"included","event":"%s","result":"accepted","proof":{}' % event.hash for event in events)
    head = b"HTTP/1.1 200 OK\r\n\r\n"
    assert as_expected(ask, head + one + two)
    assert not as_expected(ask, head + two + one)
    assert not as_expected(ask, head + one)
    assert not as_expected(ask, head + one + two + one)


def test_an_open_load_counts_time_from_when_a_request_was_due(tmp_path):
    load = at_rate(dealt(asks(6), 2), 100)
    assert load.due == [[0.0, 0.02, 0.04], [0.01, 0.03, 0.05]]
    with answering(RIGHT) as (server, _):
        told, answered = exchange(load, server, tmp_path)
    assert [each.due for each in answered] == [*load.due[0], *load.due[1]]
    assert all(each.due <= each.sent <= each.done for each in answered)
    assert told["offered"] == pytest.approx(6 / 0.05)


def test_a_request_that_is_due_while_its_connection_waits_is_charged_with_the_wait(tmp_path):
    load = Load([asks(3)], [[0.0, 0.0, 0.0]])
    with answering(RIGHT) as (server, _):
        told, answered = exchange(load, server, tmp_path)
    first, second, third = answered
    assert told["max_ms"] == round(1000 * third.done, 3)  # from when it was due, which is the start
    assert first.done <= second.sent <= second.done <= third.sent
    assert second.due == third.due == 0.0


def test_a_large_request_is_sent_in_parts_and_a_large_answer_is_kept_whole(tmp_path):
    body = b"x" * 6_000_000
    with answering(body, status=b"200 OK") as (server, asked):
        _, answered = exchange(Load([[Ask(request("POST", "/", "", body), 200)]]), server, tmp_path)
    assert asked[0].endswith(body)
    assert answered[0].answer.endswith(b"\r\n\r\n" + body)


def test_streams_keep_their_order_on_every_connection():
    streams = [[Event(b"%d-%d" % (n, step), b"{}") for step in range(4)] for n in range(6)]
    load = batches(streams, 5, "", 2)
    for asks_of in load.connections:
        seen = [piece for ask in asks_of for piece in ask.inside]
        for n in range(6):
            mine = [piece for piece in seen if piece.startswith(b'"event":"%d-' % n)]
            assert mine == sorted(mine)
    assert load.events == 24


def test_an_answer_without_a_length_is_refused():
    assert whole_length(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n") == 43
    assert whole_length(b"HTTP/1.1 200 OK\r\ncontent-le") == 0
    with pytest.raises(ValueError, match="without a length"):
        whole_length(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")


def test_a_question_is_held_to_its_pieces():
    ask = get("/noop/U", "", b"one", b"two")
    assert as_expected(ask, b"HTTP/1.1 200 OK\r\n\r\none two")
    assert not as_expected(ask, b"HTTP/1.1 200 OK\r\n\r\ntwo one")


def test_whoever_is_turned_away_comes_again_when_he_was_told_to_for_as_long_as_it_was_asked(tmp_path):
    load = Load([asks(2), asks(1)], repeat_seconds=30)
    with answering(RIGHT, busy=3, retry_after=b"0") as (server, asked):
        told, answered = exchange(load, server, tmp_path)
    assert len(asked) == 3 + 3
    assert told["repeated"] == 3
    assert [each.answer[9:12] for each in answered] == [b"201"] * 3
    assert all(each.sent <= each.done for each in answered)


def test_whoever_is_turned_away_later_has_his_answer(tmp_path):
    load = Load([asks(2)], repeat_seconds=0)
    with answering(RIGHT, busy=1) as (server, asked):
        told, answered = exchange(load, server, tmp_path)
    assert len(asked) == 2
    assert told["repeated"] == 0
    assert [each.answer[9:12] for each in answered] == [b"503", b"201"]


def test_a_time_to_come_again_is_read_from_the_head_of_a_503_alone():
    assert pause_of(b"HTTP/1.1 503 Busy\r\nretry-after: 5\r\n\r\n") == 5
    assert pause_of(b"HTTP/1.1 503 Busy\r\n\r\n\r\nretry-after: 5\r\n") is None
    assert pause_of(b"HTTP/1.1 200 OK\r\nretry-after: 5\r\n\r\n") is None


def test_the_work_of_others_is_what_the_driver_saw_within_its_own_loop(tmp_path, monkeypatch):
    """The start of the driver, and the files that it reads and writes, are nobody's work but its own."""

    def driven(load, port, folder):
        found = really(load, port, folder)
        return {**found, "wall_seconds": 2.0, "cpu_seconds": 0.5, "busy_seconds": 0.5 + 0.2 * sending.CPUS}

    really = sending._driven
    monkeypatch.setattr(sending, "_driven", driven)
    with answering(RIGHT) as (server, _):
        assert send(dealt(asks(2), 1), server, tmp_path)["others_percent"] == 10.0
    monkeypatch.setattr(sending, "_driven", really)
    with answering(RIGHT) as (server, _):
        assert sending._driven(dealt(asks(2), 1), server.port, tmp_path)["busy_seconds"] >= 0
