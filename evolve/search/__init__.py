"""The search: which parent, which inspirations, which operator, and what becomes of the answer."""

from evolve.search.search import Async, Ordered, Schedule, Search, Strategy
from evolve.search.thresholds import rules

__all__ = ["Async", "Ordered", "Schedule", "Search", "Strategy", "rules"]
