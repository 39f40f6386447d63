"""Sets every hook there is: trace, profile, audit, exceptions, threads, collector, exit, warnings, destructors at the end."""
# expect: ok|crash|timeout
# score: 0.1
import atexit
import faulthandler
import gc
import signal
import sys
import threading
import time

import arms


class Late:
    def __del__(self):
        while True:
            time.sleep(1)


def solve(x, look):
    forever = Late()
    globals().setdefault("kept", []).append(forever)
    atexit.register(forever.__del__)
    sys.excepthook = sys.unraisablehook = threading.excepthook = lambda *args: time.sleep(60)
    gc.callbacks.append(lambda phase, info: arms.hunt_file("labels.txt"))
    sys.addaudithook(lambda event, args: None)
    faulthandler.dump_traceback_later(0.1, repeat=True)
    signal.signal(signal.SIGALRM, lambda *args: look("a"))
    signal.setitimer(signal.ITIMER_REAL, 0.0005, 0.0005)
    threading.settrace(lambda *args: None)
    sys.setprofile(lambda *args: None)
    sys.settrace(lambda *args: None)
    sys.setswitchinterval(1e-9)
    return arms.honest(x)
