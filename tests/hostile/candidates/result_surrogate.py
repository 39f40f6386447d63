"""Returns text that is no text: a lone surrogate; then such bytes by hand."""
# expect: invalid|crash
import arms


def solve(x, look):
    if x[0]:
        arms.send(arms.returned(arms.text("\ud800")))
    return "\ud800"
