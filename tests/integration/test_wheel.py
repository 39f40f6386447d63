"""The wheel, installed into an environment of its own and started in an empty folder; and one with problems beside it."""

from __future__ import annotations

import json
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

pytestmark = pytest.mark.integration

ROOT = Path(__file__).parents[2]
PACKAGE = {
    "pyproject.toml": """
[build-system]
requires = ["hatchling>=1.25"]
build-backend = "hatchling.build"

[project]
name = "acme"
version = "1"

[project.entry-points."evolve.problems"]
acme = "acme.problems"

[tool.hatch.build.targets.wheel]
packages = ["acme"]
""",
    "acme/__init__.py": "",
    "acme/answers.py": "BEST = 4.0\n",
    "acme/problems/__init__.py": "",
    "acme/problems/square/initial.py": "def f(x):\n    return 0.5 * x\n",
    "acme/problems/square/problem.yaml": "kind: analysis\nobjectives: {error: minimize}\npreload: [msgpack]\n",
    "acme/problems/square/evaluator.py": """
from acme import answers
def instances(stage, rng): return [0.5, answers.BEST]
def score(instance, output): return abs(output - instance.input**2)
""",
    "acme/problems/prying/initial.py": """
def f(paths):
    found = []
    for path in paths:
        try:
            found.append(len(open(path).read()) > 0)
        except OSError:
            found.append(False)
    return found
""",
    "acme/problems/prying/evaluator.py": """
import msgpack
from acme import answers
from evolve.problem import Result
def instances(stage, rng): return [[msgpack.__file__, __file__, answers.__file__]]
def score(instance, output): return Result({"score": 1.0}, feedback=repr(output))
""",
}


@pytest.fixture(scope="module")
def programs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The programs of an environment in which Evolve's wheel is installed."""
    folder = tmp_path_factory.mktemp("wheel")
    python = folder / "venv" / "bin" / "python"
    subprocess.run([sys.executable, "-m", "venv", str(folder / "venv")], check=True)
    install(python, ROOT, folder)
    share_dependencies(python)
    return python.parent


def install(python: Path, source: Path, to: Path) -> None:
    """Builds a wheel of a source folder, and installs it."""
    subprocess.run(
        [sys.executable, "-m", "build", "--wheel", "-o", str(to), str(source)], check=True, capture_output=True
    )
    (wheel,) = to.glob("*.whl")
    subprocess.run([python, "-m", "pip", "install", "-q", "--no-deps", str(wheel)], check=True)


def share_dependencies(python: Path) -> None:
    """Lets the new environment see this one's libraries, but not this one's editable install of Evolve."""
    query = [python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"]
    site = Path(subprocess.run(query, check=True, capture_output=True, text=True).stdout.strip())
    ours = Path(sysconfig.get_path("purelib"))
    (site / "shared.pth").write_text(f"{ours}\n")  # a plain path: .pth files in it are not read
    where = [python, "-c", "import evolve; print(evolve.__file__)"]
    found = subprocess.run(where, check=True, capture_output=True, text=True, cwd=site).stdout
    assert str(site) in found, found


def test_the_wheel_runs_without_the_checkout(programs: Path, tmp_path: Path) -> None:
    assert "10/10 candidates" in evolve(programs, tmp_path, "run", "budget.candidates=10")
    assert len(list(tmp_path.glob("runs/*/run.db"))) == 1
    evolve(programs, tmp_path, "new", "mine")
    assert json.loads(evolve(programs, tmp_path, "check", "mine", "--json"))["status"] == "ok"


def test_a_package_with_problems_is_listed_runs_and_can_t_be_read(programs: Path, tmp_path: Path) -> None:
    for name, text in PACKAGE.items():
        (tmp_path / "source" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "source" / name).write_text(text)
    install(programs / "python", tmp_path / "source", tmp_path)
    listed = {one["name"]: one for one in json.loads(evolve(programs, tmp_path, "problems", "--json"))["problems"]}
    assert listed["circle_packing"]["runs_here"] and listed["prying"]["runs_here"]
    facts = [listed["square"][name] for name in ("kind", "language", "objectives", "runs_here", "reason")]
    assert facts == ["analysis", "python", {"error": "minimize"}, True, ""]
    assert str(programs.parent) in listed["square"]["path"]
    words = ["problem=square", "budget.candidates=20", "seed=1", "run_dir=r"]
    assert "20/20 candidates" in evolve(programs, tmp_path, "run", *words)
    best = json.loads(evolve(programs, tmp_path, "best", "r", "--json"))
    assert best["metrics"]["error"] < 7.0  # that of the initial program
    pried = json.loads(evolve(programs, tmp_path, "check", "prying", "--json"))
    assert (pried["status"], pried["feedback"]) == ("ok", "[True, False, False]")


def evolve(programs: Path, cwd: Path, *words: str) -> str:
    done = subprocess.run([programs / "evolve", *words], cwd=cwd, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout
