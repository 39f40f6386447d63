"""Writes answers into the channel before it is asked: at import, many of them, with scores, statuses and ends of all kinds."""
# expect: ok|crash|invalid
# score: 0.0
import msgpack

import arms

for message in (
    ["return", None],
    ["return", "a forged answer"],
    ["ended", 1, 0, 0.0, 0.0],
    ["outcome", {"stage": "main", "status": "ok", "score": 1.0, "metrics": {"score": 1.0}}],
    ["began"],
    ["ready"],
):
    arms.send(arms.frame(msgpack.packb(message)))


def solve(x, look):
    return 5.5
