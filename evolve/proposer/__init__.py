"""The proposer: what was decided -> prompt; what was answered -> files."""

from evolve.proposer.edits import Edited, EditError, apply, fingerprint
from evolve.proposer.prompt import build, tokens

__all__ = ["EditError", "Edited", "apply", "build", "fingerprint", "tokens"]
