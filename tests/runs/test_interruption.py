import os
import signal
import threading

import pytest

from throughtime.runs.interruption import InterruptedRunError, Interruption


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_first_signal_is_noted_and_the_second_stops(number):
    with Interruption("how to go on") as interruption:
        assert not interruption.requested
        os.kill(os.getpid(), number)
        assert interruption.requested
        with pytest.raises(InterruptedRunError, match="how to go on"):
            os.kill(os.getpid(), number)


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
