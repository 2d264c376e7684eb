"""Work that recurs: it rests as long as it says, survives what it raises, and ends when told."""

import threading

from app.recurring import Recurring


def test_work_is_done_again_and_again_and_failure_is_one_more_time():
    done, enough = [], threading.Event()

    def work():
        done.append(threading.current_thread().name)
        if len(done) == 2:
            raise ValueError("once")
        if len(done) == 4:
            enough.set()
        return 0.001

    thread = Recurring("work", work, first_seconds=0.001, again_seconds=0.001)
    thread.start()
    assert enough.wait(10)
    thread.stop()
    count = len(done)
    assert set(done) == {"work"}
    assert (thread.stopping, count >= 4, len(done)) == (True, True, count)


def test_what_was_never_started_can_be_stopped_and_a_rest_is_cut_short():
    idle = Recurring("idle", lambda: 3600.0, first_seconds=3600, again_seconds=1)
    idle.stop()
    resting = Recurring("resting", lambda: 3600.0, first_seconds=3600, again_seconds=1)
    resting.start()
    resting.stop()
    assert resting.stopping
