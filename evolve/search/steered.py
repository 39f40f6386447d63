"""What a person has said to a running search: hints and bans, each from its place in the log on."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """What holds at one place of the log."""

    hints: tuple[str, ...] = ()
    bans: tuple[str, ...] = ()

    def after(self, data: Mapping[str, Any]) -> Said:
        """Returns what holds after a `steered` event."""
        do = data["do"]
        if do in ("hint", "clear"):
            return replace(self, hints=(*self.hints, data["text"]) if do == "hint" else ())
        if do in ("ban", "unban"):
            others = tuple(ban for ban in self.bans if ban != data["line"])
            return replace(self, bans=(*others, data["line"]) if do == "ban" else others)
        return self


class Steered:
    """Follows the `steered` events. `count` is how many there were."""

    def __init__(self) -> None:
        self.count = 0
        self._log = [(0, Said())]

    @property
    def now(self) -> Said:
        return self._log[-1][1]

    def apply(self, seq: int, data: Mapping[str, Any]) -> None:
        self.count += 1
        self._log.append((seq, self.now.after(data)))

    def at(self, seq: int) -> Said:
        """Returns what held when the event of that number was decided."""
        return self._log[bisect_right(self._log, seq, key=lambda entry: entry[0]) - 1][1]
