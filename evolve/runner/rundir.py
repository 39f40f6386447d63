"""Run directories: run.json (where the database is, which run), the log and the best program's files; and how RUN is found."""

from __future__ import annotations

import json
import logging
import os
import secrets
import shutil
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from evolve.errors import RunError
from evolve.population import Store, absolute, file_url
from evolve.types import Files

FILE = "run.json"
HIDDEN = ":***@"  # in place of a password


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRef:
    """Where a run is: its database and id, and its directory if it has one. `database` holds no password."""

    run_id: str
    database: str
    problem: str = ""
    created_at: float = 0.0
    folder: Path | None = None

    @property
    def place(self) -> str:
        """The word by which the run is found from anywhere."""
        return str(self.folder) if self.folder else f"{self.database}#{self.run_id}"

    def open(self) -> Store:
        return Store(self.url())

    def url(self) -> str:
        """Returns the database's URL; a password comes from EVOLVE_DATABASE_URL (or ~/.pgpass), never from the file."""
        given = os.environ.get("EVOLVE_DATABASE_URL", "")
        return absolute(given if given and HIDDEN in self.database else self.database.replace(HIDDEN, "@"))


def new_id(problem: str) -> str:
    """Returns a run's id: problem, time and four random digits."""
    return f"{problem}-{time.strftime('%Y%m%d-%H%M%S')}-{secrets.token_hex(2)}"


def prepare(folder: Path) -> bool:
    """Makes a run directory; says whether it did. Raises RunError for one that is taken or can't be written."""
    if (folder / FILE).exists():
        raise RunError(
            f"run_dir={folder}: holds a run already; 'evolve resume {folder}' goes on with it, or choose another run_dir"
        )
    made = not folder.exists()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / f".probe-{os.getpid()}"
        probe.write_text("x")
        probe.unlink()
    except OSError as error:
        raise RunError(f"run_dir={folder}: can't be written ({error.strerror}); choose another run_dir") from None
    return made


def discard(folder: Path) -> None:
    """Removes a directory that `prepare` made and no run came to use."""
    shutil.rmtree(folder, ignore_errors=True)


def write(folder: Path, ref: RunRef, version: str, came_from: str = "") -> None:
    """Puts run.json in place, whole or not at all. Raises RunError where another run was faster."""
    content = {**asdict(ref), "folder": str(ref.folder), "evolve": version} | ({"from": came_from} if came_from else {})
    temporary = folder / f".{FILE}-{os.getpid()}"
    try:
        temporary.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
        os.link(temporary, folder / FILE)
    except FileExistsError:
        raise RunError(f"run_dir={folder}: another run has just begun here; choose another run_dir") from None
    except OSError as error:
        raise RunError(f"run_dir={folder}: {FILE} can't be written: {error.strerror}") from None
    finally:
        temporary.unlink(missing_ok=True)


def read(folder: Path) -> RunRef:
    """Reads run.json; a database that lay in the directory when it was written is looked for where the directory is now."""
    try:
        content = json.loads((folder / FILE).read_text(encoding="utf-8"))
        known = {name: content[name] for name in ("run_id", "database", "problem", "created_at")}
        then = Path(content["folder"])
        if not isinstance(known["created_at"], float | int) or not all(
            isinstance(known[n], str) for n in list(known)[:3]
        ):
            raise ValueError("a value has the wrong type")
    except FileNotFoundError:
        raise RunError(f"{folder}: no run here (it has no {FILE}); 'evolve runs' lists the runs") from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise RunError(f"{folder / FILE}: can't be read ({error}); restore it, or give URL#RUN_ID") from None
    if known["database"] == file_url(then / "run.db"):
        known["database"] = file_url(folder / "run.db")
    return RunRef(folder=folder, **known)


def find(run: str) -> RunRef:
    """Finds a run: a directory, `latest`, a unique prefix of a run id (in . and ./runs), or URL#run_id."""
    if Path(run).is_dir() and (Path(run) / FILE).exists():
        return read(Path(run).resolve())
    if "#" in run and "://" in run:
        url, _, run_id = run.rpartition("#")
        return RunRef(run_id=run_id, database=url)
    known = list(scan(Path()))
    if run == "latest":
        if not known:
            raise RunError("latest: there is no run in this folder or in ./runs; start one with 'evolve run'")
        return max(known, key=lambda ref: ref.created_at)
    matching = [ref for ref in known if ref.run_id.startswith(run)]
    if len(matching) == 1:
        return matching[0]
    if matching:
        raise RunError(
            f"{run}: means several runs: {', '.join(sorted(ref.run_id for ref in matching)[:5])}; give more of the id"
        )
    if Path(run).exists():
        raise RunError(f"{run}: no run here (it has no {FILE}); 'evolve runs' lists the runs")
    raise RunError(f"{run}: no such run directory or run id; 'evolve runs' lists the runs")


def find_all(words: Sequence[str]) -> list[RunRef]:
    """Finds runs as `find` does, and those in folders that hold runs; each once. Files that `runs/*` names are passed over."""
    found: dict[str, RunRef] = {}
    for word in [word for word in words if not Path(word).is_file()] or words:
        within = [] if (Path(word) / FILE).exists() or not Path(word).is_dir() else list(scan(Path(word)))
        for ref in within or [find(word)]:
            found.setdefault(ref.run_id, ref)
    return list(found.values())


def scan(folder: Path) -> Iterator[RunRef]:
    """Yields the runs in a folder and in its runs/ folder, sweeps included; what can't be read is left out."""
    places = [p for pattern in ("*", "runs/*", "runs/*/*", "*/*") for p in folder.glob(f"{pattern}/{FILE}")]
    if (folder / FILE).exists():
        places.append(folder / FILE)
    for place in sorted(set(places)):
        try:
            yield read(place.parent.resolve())
        except RunError as error:
            logging.getLogger(__name__).warning("%s", error)


def listed(url: str) -> list[RunRef]:
    """Returns the runs of a database."""
    store = RunRef(run_id="", database=url).open()
    found = [
        RunRef(run_id=row["run_id"], database=store.shown_url, problem=row["problem"], created_at=row["created_at"])
        for row in store.run_rows()
    ]
    store.close()
    return found


def write_best(folder: Path, files: Files) -> None:
    """Replaces best/ by the files of the best program."""
    target = folder / "best"
    fresh = folder / f".best-{os.getpid()}"
    shutil.rmtree(fresh, ignore_errors=True)
    for path, text in files.items():
        (fresh / path).parent.mkdir(parents=True, exist_ok=True)
        (fresh / path).write_text(text, encoding="utf-8")
    shutil.rmtree(target, ignore_errors=True)
    fresh.rename(target)
