"""Finds problems by name or path: the bundled ones, those of installed packages, any folder."""

from __future__ import annotations

from importlib import metadata, util
from pathlib import Path
from typing import NamedTuple

from evolve.checks import hint, require
from evolve.errors import UsageError
from evolve.folder import bundled_root
from evolve.foreign import layout

ENTRY_POINTS = "evolve.problems"  # the group by which installed packages add theirs


class Installed(NamedTuple):
    """What an installed package adds by an entry point, which names the package whose folder is a problem or holds some.

    `package` is the folder that no candidate may read: the whole top-level package, or `folder` in a namespace package.
    Both are None where there is no such package.
    """

    entry_point: str
    package: Path | None = None
    folder: Path | None = None


def installed() -> list[Installed]:
    """Returns what installed packages add, without importing any of it."""
    found = []
    for point in metadata.entry_points(group=ENTRY_POINTS):
        top, *inner = point.module.split(".")
        spec = util.find_spec(top)
        places = [Path(place) for place in (spec and spec.submodule_search_locations) or ()]
        one = Installed(f"{point.name} = {point.value}")
        if place := next((place for place in places if place.joinpath(*inner).is_dir()), None):
            folder = place.joinpath(*inner)
            one = one._replace(package=place if spec and spec.origin else folder, folder=folder)
        found.append(one)
    return found


def problem_folders(holder: Path) -> list[Path]:
    """Returns the problems in a folder, sorted: itself, or those right in it whose names don't begin with an underscore."""
    if (holder / "evaluator.py").is_file():
        return [holder]
    return sorted(path.parent for path in holder.glob("[!_]*/evaluator.py"))


def known_problems() -> list[Path]:
    """Returns the folders of all problems that have a name: the bundled ones, then those of installed packages."""
    holders = dict.fromkeys([bundled_root(), *(one.folder for one in installed() if one.folder)])
    return [folder for holder in holders for folder in problem_folders(holder)]


def problem_names() -> list[str]:
    """Returns the names of the bundled and the installed problems, sorted."""
    return sorted({folder.name for folder in known_problems()})


def find_problem(name: str) -> Path:
    """Returns the folder of a problem's name or of a path. Raises UsageError with the nearest name, or where two have it."""
    folder = Path(name).expanduser()
    looks_like_path = "/" in name or name in (".", "..") or name.startswith("~")
    named = [] if looks_like_path else [known for known in known_problems() if known.name == name]
    if len(named) > 1:
        raise UsageError(
            f"problem={name}: {len(named)} problems have that name; give a folder: {', '.join(map(str, named))}"
        )
    if named:
        return named[0]
    if folder.is_dir():
        ours = (folder / "evaluator.py").is_file() or layout(folder)
        require(bool(ours), f"{folder}: no evaluator.py in this folder; a problem needs one")
        return folder.resolve()
    if looks_like_path:
        raise UsageError(f"problem={name}: no such folder; give a folder that holds evaluator.py")
    raise UsageError(f"problem={name}: no problem of that name and no such folder; {hint(name, problem_names())}")
