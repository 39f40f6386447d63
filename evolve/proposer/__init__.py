"""The proposer: what was decided -> prompt; what was answered -> files."""

from evolve.proposer.answer import EditError
from evolve.proposer.deleted import reintroduced
from evolve.proposer.edits import Edited, apply, fingerprint
from evolve.proposer.prompt import build, tokens
from evolve.proposer.reply import reply

__all__ = ["EditError", "Edited", "apply", "build", "fingerprint", "reintroduced", "reply", "tokens"]
