"""Answers with the worker's own words: an outcome, a Result, metrics, a status."""
# expect: invalid|crash
import msgpack

import arms


def solve(x, look):
    if x[0]:
        arms.send(arms.frame(msgpack.packb(["outcome", {"stage": "main", "status": "ok", "score": 1.0}])))
    return {"metrics": {"score": 1.0}, "score": 1.0, "status": "ok", "stage": "main"}
