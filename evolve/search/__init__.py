"""The search: which parent, which inspirations, which operator, and what becomes of the answer."""

from evolve.search.search import Schedule, Search, Strategy
from evolve.search.thresholds import rules

__all__ = ["Schedule", "Search", "Strategy", "rules"]
