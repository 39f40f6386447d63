"""Returns text, lists and dicts whose methods lie: endless iteration, negative lengths, keys that change, hooks on copy."""
# expect: timeout|invalid|crash|memory|limit


class Text(str):
    def __eq__(self, other):
        return True

    __hash__ = str.__hash__

    def encode(self, *args):
        raise SystemExit(0)


class Endless(list):
    def __iter__(self):
        while True:
            yield 1

    def __len__(self):
        return -1


class Shifting(dict):
    def items(self):
        while True:
            yield Text("score"), 1.0

    def __len__(self):
        raise KeyboardInterrupt


def solve(x, look):
    return Shifting(score=Endless([Text("SECRET")])) if x[0] else Endless([1])
