"""Ignores and blocks every signal that can be, SIGXCPU too, and works on."""
# expect: timeout
# says: timeout_s
import signal


def solve(x, look):
    for number in signal.valid_signals():
        try:
            signal.signal(number, signal.SIG_IGN)
        except (OSError, ValueError):
            pass
    signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    while True:
        pass
