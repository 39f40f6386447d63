"""Prints binary garbage, terminal commands, half characters, no line end; then fails, so that the end of it is shown."""
# expect: crash
import os


def solve(x, look):
    os.write(1, b"\x1b]0;owned\x07\x1b[2J\x1b[31m\x9b\x00\xff\xfe\xc3" * 1000)
    os.write(2, b'\r{"status": "ok", "score": 1.0}\n\x1b]52;c;aGk=\x07' * 100)
    raise ValueError("\x1b[2J\x1b]0;owned\x07\r\n{'status': 'ok', 'score': 1.0}\ud800\x00")
