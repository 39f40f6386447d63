"""The proposer: what was decided -> prompt; what was answered -> files."""

from evolve.proposer.answer import EditError
from evolve.proposer.conversation import Draft, Proposing, chosen
from evolve.proposer.deleted import reintroduced
from evolve.proposer.edits import Edited, apply, fingerprint
from evolve.proposer.prompt import build, tokens
from evolve.proposer.reply import reply

__all__ = [
    "Draft", "EditError", "Edited", "Proposing", "apply", "build", "chosen", "fingerprint", "reintroduced", "reply", "tokens",
]  # fmt: skip
