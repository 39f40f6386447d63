"""Reads address zero."""
# expect: crash
# says: SIGSEGV
import ctypes


def solve(x, look):
    return ctypes.string_at(0)
