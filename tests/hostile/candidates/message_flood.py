"""Floods the channel with valid answers, as fast as they are taken, and never stops."""
# expect: ok|crash|timeout|limit|invalid
# score: 0.0
import arms


def solve(x, look):
    block = arms.returned(arms.text("flood")) * 10_000
    while True:
        arms.send(block)
