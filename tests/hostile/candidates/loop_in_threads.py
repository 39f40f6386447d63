"""Answers late: eight threads and the main one share the time, each in a call that never ends."""
# expect: timeout|limit|crash
import threading


def spin():
    while True:
        sum(range(1000))


def solve(x, look):
    for _ in range(8):
        threading.Thread(target=spin).start()
    spin()
