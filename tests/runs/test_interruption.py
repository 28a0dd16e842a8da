import os
import signal
import threading
import time

import pytest

from throughtime.runs.interruption import InterruptedRunError, Interruption, StopAtOnce

SIGNALS = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP]


def _press(number):
    os.kill(os.getpid(), number)
    time.sleep(0)


@pytest.mark.parametrize("number", SIGNALS)
def test_the_first_signal_is_noted_and_the_second_stops(number):
    reached = []
    with pytest.raises(InterruptedRunError, match="how to go on"), Interruption("how to go on") as interruption:
        assert not interruption.requested
        _press(number)
        reached.append(interruption.requested)
        _press(number)
        reached.append("never")
    assert reached == [True]


def test_a_signal_that_nobody_answers_is_answered_at_the_end():
    with pytest.raises(InterruptedRunError, match="later"), Interruption("at once") as interruption:
        _press(signal.SIGTERM)
        interruption.notice = "later"


def test_an_error_is_not_hidden_by_a_signal_before_it():
    with pytest.raises(KeyError), Interruption("x"):
        _press(signal.SIGTERM)
        raise KeyError


@pytest.mark.parametrize("number", SIGNALS)
def test_where_nothing_is_to_be_saved_the_first_signal_stops(number):
    with pytest.raises(InterruptedRunError, match="how to go on"), StopAtOnce("how to go on"):
        try:
            _press(number)
            raise AssertionError("not reached")
        except Exception:  # as code that reads a damaged file has it
            raise AssertionError("taken for an error of the work") from None


def test_handlers_that_another_has_set_are_replaced_on_demand():
    with pytest.raises(InterruptedRunError), Interruption("x") as interruption:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        interruption.listen()
        _press(signal.SIGTERM)
        assert interruption.requested


def test_what_was_ignored_stays_ignored():
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with Interruption("x") as interruption:
            _press(signal.SIGHUP)
            interruption.listen()
            _press(signal.SIGHUP)
            assert not interruption.requested
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


def test_the_handlers_of_before_come_back_also_after_an_error():
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyError), Interruption("x"):
        assert signal.getsignal(signal.SIGINT) is not before
        raise KeyError
    assert signal.getsignal(signal.SIGINT) is before


def test_outside_the_main_thread_signals_are_left_alone():
    found = []

    def work():
        with Interruption("x") as interruption:
            found.append((signal.getsignal(signal.SIGINT), interruption.requested))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert found == [(signal.getsignal(signal.SIGINT), False)]
