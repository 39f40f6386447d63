"""Sends messages whose kind is known and whose fields are not what they must be."""
# expect: crash|memory|invalid
import msgpack

import arms


def solve(x, look):
    for message in (
        ["raised", 5, None, []],
        ["raised", "MemoryError", "", ""],
        ["refused"],
        ["too_large", {}],
        ["service", "look", "a", "b"],
        ["service", None, [], {}],
        ["service", "__class__", [], {"self": 1}],
        ["return"],
        {"return": 1},
        "return",
        [],
        None,
    ):
        arms.send(arms.frame(msgpack.packb(message)))
    while True:
        pass
