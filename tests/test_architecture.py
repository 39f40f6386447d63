"""Imports point down, each heavy library has one home, and the command line starts without any of them."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
LAYERS = [
    {"evolve.cli", "evolve.api"},
    {"evolve.session", "evolve.config"},
    {"evolve.runner", "evolve.lineage"},
    {"evolve.search", "evolve.proposer"},
    {"evolve.llm"},
    {"evolve.population"},
    {"evolve.capture"},
    {"evolve.loading"},
    {"evolve.finding"},
    {"evolve.foreign"},
    {"evolve.folder", "evolve.problem"},
    {"evolve.types", "evolve.checks", "evolve.source", "evolve.rungs", "evolve.cache"},
    {"evolve.errors"},
]  # from above; who shares a layer may import one another
HOMES = {
    "ray": ("evaluators/ray_pool.py",),
    "litellm": ("evolve/llm/",),
    "xllamacpp": ("evolve/llm/",),
    "sqlalchemy": ("evolve/population/",),
    "alembic": ("evolve/population/migrations/",),
    "hydra": ("evolve/config.py", "evolve/cli/job.py"),
    "omegaconf": ("evolve/config.py", "evolve/cli/job.py"),
    "pandas": ("evolve/lineage/",),
    "dspy": ("evaluators/dspy.py",),
    "matplotlib": ("evolve/lineage/",),
}
HEAVY = {"numpy", "sqlalchemy", "hydra", "omegaconf", "ray", "litellm", "rich", "yaml", "asyncio"}
SHOP_WINDOW = "evolve/__init__.py"  # names what others import from it; lazily, so it may name any layer


def sources() -> list[Path]:
    return sorted(path for package in ("evolve", "evaluators") for path in (ROOT / package).rglob("*.py"))


def imports(path: Path) -> Iterator[str]:
    """Yields the modules that a file imports anywhere, but where only a type checker looks."""
    tree = ast.parse(path.read_text())
    skipped = {id(inner) for node in ast.walk(tree) if _for_types(node) for inner in ast.walk(node)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import) and id(node) not in skipped:
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and id(node) not in skipped:
            assert node.level == 0 or "harness" in path.parts, f"{path}: a relative import"
            module = ".".join(filter(None, ["evaluators.harness" if node.level else "", node.module]))
            yield module
            yield from (f"{module}.{alias.name}" for alias in node.names)


def _for_types(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"


def layer(module: str) -> int | None:
    return next((i for i, names in enumerate(LAYERS) if ".".join(module.split(".")[:2]) in names), None)


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("path", [p for p in sources() if name_of(p).startswith("evolve/")], ids=name_of)
def test_imports_point_down(path):
    own = layer(name_of(path).removesuffix(".py").replace("/", "."))
    found = {module: layer(module) for module in imports(path) if module.split(".")[0] == "evolve"}
    if name_of(path) == SHOP_WINDOW:
        assert found == {}
    else:
        assert {module for module, other in found.items() if other is not None and other < own} == set()


def test_every_module_has_a_layer():
    modules = {name_of(path).removesuffix(".py").replace("/", ".") for path in sources()}
    assert {m for m in modules if m.startswith("evolve.") and m != "evolve.__init__" and layer(m) is None} == set()


@pytest.mark.parametrize("library", HOMES)
def test_a_heavy_library_has_one_home(library):
    users = {name_of(path) for path in sources() if library in {module.split(".")[0] for module in imports(path)}}
    assert {user for user in users if not user.startswith(HOMES[library])} == set()


@pytest.mark.parametrize("package", ["evaluators", "problems", "configs"])
def test_evolve_imports_no_plug_in(package):
    users = {name_of(p) for p in sources() if package in {module.split(".")[0] for module in imports(p)}}
    assert {user for user in users if user.startswith("evolve/")} == set()


def test_what_runs_in_the_sandbox_imports_the_standard_library_and_itself():
    allowed = set(sys.stdlib_module_names) | {"msgpack", "numpy"}
    for path in (ROOT / "evaluators" / "harness").glob("*.py"):
        outside = {
            m for m in imports(path) if m.split(".")[0] not in allowed and not m.startswith("evaluators.harness")
        }
        assert {m for m in outside if not (path.parent / f"{m.split('.')[0]}.py").exists()} == set(), path


@pytest.mark.parametrize("words", ["", "--help", "--version", "resume --help"])
def test_the_command_line_starts_without_a_heavy_library(words):
    script = f"""
import sys
from evolve.cli import dispatch
try:
    dispatch({words.split()!r})
except SystemExit:
    pass
print(*sorted({HEAVY!r} & set(sys.modules)), file=sys.stderr)
"""
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert ended.stderr.split() == []
