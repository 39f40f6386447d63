"""The honest candidate: the checksum, by way of everything that an earlier candidate may have spoilt."""

import json
import math
import os
import random

import numpy as np


def solve(x, look):
    assert look("a") == "1" and os.listdir() and random.random() == 0.8444218515250481
    assert (
        np.linalg.norm(np.array([3.0, 4.0])) == 5.0 == math.hypot(3.0, 4.0) and np.random.rand() == 0.5488135039273248
    )
    assert json.loads(json.dumps(x)) == x and len(x) == 5
    random.seed(0)
    np.random.seed(0)
    return int(np.sum(np.array(x)) % 97)
