"""Folders in the formats of other engines, run without a change to them."""
