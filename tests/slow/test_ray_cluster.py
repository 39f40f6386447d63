"""A Ray cluster of network namespaces: what is killed, cut or joined during a run shows in none of its results."""

from __future__ import annotations

import contextlib
import json
import os
import re
import secrets
import shutil
import signal
import subprocess
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from evolve.folder import bundled_root
from evolve.lineage import Run
from tests.command import SCRIPT, environment, evolve_json, ok

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(os.geteuid() != 0 or shutil.which("ip") is None, reason="needs root and `ip`"),
]

RAY = str(Path(SCRIPT).with_name("ray"))
SEARCH = ("schedule=ordered", "seed=3", "problem=./slow_packing")
DRIVE = """

def drive(instance, candidate):
    import time

    time.sleep(1.5)
    return candidate.pack(instance.input)
"""


class Cluster:
    """Machines (network and host name namespaces on one bridge) with a Ray node each; the first one is the head."""

    def __init__(self, folder: str):
        self._tag = f"ev{os.getpid() % 100000}"
        self._folder = folder
        self._net = f"10.{secrets.randbelow(100) + 100}.{secrets.randbelow(256)}"
        self._machines: list[str] = []
        token = Path(folder, "token")
        token.write_text(secrets.token_hex(32))
        self.environment = environment(RAY_AUTH_MODE="token", RAY_AUTH_TOKEN_PATH=str(token))
        self.address = f"{self._net}.1:6379"
        self._ip("link", "add", f"{self._tag}b", "type", "bridge")
        self._ip("link", "set", f"{self._tag}b", "up")

    def machine(self, name: str, *options: str) -> None:
        """Adds a machine and starts a Ray node on it."""
        index = len(self._machines) + 1
        space, inner, outer = f"{self._tag}{name}", f"{self._tag}i{index}", f"{self._tag}o{index}"
        self._machines.append(name)
        self._ip("netns", "add", space)
        self._ip("link", "add", inner, "type", "veth", "peer", "name", outer)
        self._ip("link", "set", inner, "netns", space)
        self._ip("link", "set", outer, "master", f"{self._tag}b", "up")
        for words in (f"addr add {self._net}.{index}/24 dev {inner}", f"link set {inner} up", "link set lo up"):
            self._ip("-n", space, *words.split())
        self.ray(name, *options)

    def ray(self, name: str, *options: str) -> None:
        index = self._machines.index(name) + 1
        role = (
            ("--head", "--port=6379", f"--temp-dir={self._folder}/ray")
            if index == 1
            else (f"--address={self.address}",)
        )
        words = (RAY, "start", *role, f"--node-ip-address={self._net}.{index}", "--disable-usage-stats", *options)
        log = Path(self._folder, f"{name}.log")
        with log.open("w") as file:
            started = subprocess.run(
                self.inside(name, *words), env=self.environment, stdout=file, stderr=file, timeout=90
            )
        assert started.returncode == 0, log.read_text()

    def inside(self, name: str, *words: str) -> list[str]:
        """Returns the command that runs words on a machine."""
        set_name = f'hostname {name} && exec "$@"'
        return ["ip", "netns", "exec", f"{self._tag}{name}", "unshare", "--uts", "sh", "-c", set_name, "sh", *words]

    def pids(self, name: str, pattern: str = "") -> list[int]:
        """Returns a machine's processes whose command line matches."""
        found = []
        for word in self._ip("netns", "pids", f"{self._tag}{name}").split():
            with contextlib.suppress(OSError):
                command = Path(f"/proc/{word}/cmdline").read_bytes().replace(b"\0", b" ").decode("utf-8", "replace")
                found += [int(word)] if command and re.search(pattern, command) else []
        return found

    def kill(self, name: str, pattern: str) -> int:
        found = self.pids(name, pattern)
        for pid in found:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        return len(found)

    def link(self, name: str, state: str) -> None:
        self._ip("link", "set", f"{self._tag}o{self._machines.index(name) + 1}", state)

    def close(self) -> None:
        for index, name in reversed(list(enumerate(self._machines, 1))):
            while self.kill(name, ""):
                time.sleep(0.1)
            subprocess.run(["ip", "link", "del", f"{self._tag}o{index}"], check=False)  # or another's mounts keep it
            subprocess.run(["ip", "netns", "del", f"{self._tag}{name}"], check=False)
        subprocess.run(["ip", "link", "del", f"{self._tag}b"], check=False)

    def _ip(self, *words: str) -> str:
        return subprocess.run(["ip", *words], check=True, capture_output=True, text=True).stdout


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    folder = tempfile.mkdtemp(prefix="ev")  # short: Ray's sockets lie in it
    made = Cluster(folder)
    try:
        yield made
    finally:
        made.close()
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with circle packing whose evaluations take one and a half seconds each."""
    problem = tmp_path / "slow_packing"
    shutil.copytree(bundled_root() / "circle_packing", problem)
    with (problem / "evaluator.py").open("a") as file:
        file.write(DRIVE)
    text = (problem / "problem.yaml").read_text()
    (problem / "problem.yaml").write_text(text[: text.index("stages:")] + "stages: {main: {timeout_s: 20}}\n")
    return tmp_path


ACTOR = r"^ray::HostActor"
RAYLET = r"/raylet/raylet "


class Driver:
    """`evolve run` on the head, and what happens at marks of its progress."""

    def __init__(self, cluster: Cluster, cwd: Path, budget: int):
        pool = ("evaluator=ray", f"evaluator.address={cluster.address}")
        command = cluster.inside("head", SCRIPT, "run", *SEARCH, *pool, f"budget.candidates={budget}", "run_dir=R")
        self._cwd, self._log = cwd, (cwd / "run.log").open("w")
        env = {**cluster.environment, "FAKE_API_KEY": "sk-secret"}
        self.process = subprocess.Popen(command, cwd=cwd, env=env, stdout=self._log, stderr=self._log)
        self._began = time.monotonic()

    def told(self) -> int:
        if not (self._cwd / "R" / "run.json").exists():
            return 0
        counts = evolve_json("status", "R", cwd=self._cwd)["candidates"]
        return int(counts["asked"] - counts["in_flight"])

    def wait(self, what: str, done: Callable[[], object], within_s: float = 120.0) -> None:
        until = time.monotonic() + within_s
        while not done():
            assert self.process.poll() is None, f"{what}: it ended before\n{(self._cwd / 'run.log').read_text()}"
            assert time.monotonic() < until, f"{what}: not within {within_s} s\n{(self._cwd / 'run.log').read_text()}"
            time.sleep(0.2)
        print(f"{time.monotonic() - self._began:6.1f} s  {self.told():3d} told  {what}")

    def at(self, mark: int) -> None:
        self.wait(f"reached {mark}", lambda: self.told() >= mark)

    def end(self) -> None:
        assert self.process.wait(300) == 0, (self._cwd / "run.log").read_text()
        print(f"{time.monotonic() - self._began:6.1f} s  end")


def test_faults_of_the_cluster_show_in_no_result(cluster: Cluster, folder: Path) -> None:
    cluster.machine("head", "--num-cpus=1", "--include-dashboard=false")
    cluster.machine("second", "--num-cpus=2")
    run = Driver(cluster, folder, 200)

    run.at(20)
    assert cluster.kill("second", ACTOR) >= 1
    run.wait("an actor is back on second", lambda: cluster.pids("second", ACTOR))
    run.at(40)
    assert cluster.kill("second", RAYLET) == 1
    run.at(50)
    cluster.machine("third", "--num-cpus=2")
    run.wait("an actor on third", lambda: cluster.pids("third", ACTOR))
    run.at(70)
    cut_off, log = cluster.pids("third", ACTOR), folder / "R" / "log.txt"
    cluster.link("third", "down")
    run.wait("the cut is noticed", lambda: "on node third" in log.read_text(), 15)
    cut = run.told()
    run.wait("3 more told by what is left", lambda: run.told() >= cut + 3)
    cluster.link("third", "up")  # before Ray gives the node up
    run.wait("the written-off actors are gone", lambda: not {*cut_off} & {*cluster.pids("third", ACTOR)})
    cluster.ray("second", "--num-cpus=1")  # the machine whose Ray node was killed comes back
    run.wait("an actor is back on second", lambda: cluster.pids("second", ACTOR))
    run.wait("another actor on third", lambda: cluster.pids("third", ACTOR))
    run.end()

    assert_nothing_shows(folder, 200, {"head", "second", "third"})


def assert_nothing_shows(folder: Path, budget: int, machines: set[str]) -> None:
    """Compares a run R with an undisturbed one on the local pool: the same but for what was measured."""
    status = evolve_json("status", "R", cwd=folder)
    assert status["state"] == "finished" and status["candidates"]["asked"] == budget
    assert status["candidates"].get("infra", 0) == 0 and status["candidates"]["in_flight"] == 0
    run = Run.open(folder / "R")
    rows = run.store.evaluation_rows(run.run_id)
    assert max(Counter((row["candidate"], row["stage"], row["replicate"]) for row in rows).values()) == 1
    print(Counter(row["node"] for row in rows), json.dumps(status["candidates"]), status["utilisation"])
    assert {row["node"] for row in rows} == machines
    ok(
        "run",
        *SEARCH,
        "evaluator=local",
        "evaluator.workers=12",
        f"budget.candidates={budget}",
        "run_dir=L",
        cwd=folder,
    )
    ray, local = (ok("export", name, "--to", "jsonl", "--no-measured", cwd=folder) for name in "RL")
    assert ray == local


def test_the_drivers_death_leaves_no_process_behind(cluster: Cluster, folder: Path) -> None:
    cluster.machine("head", "--num-cpus=1", "--include-dashboard=false")
    cluster.machine("second", "--num-cpus=1")
    run = Driver(cluster, folder, 40)
    run.at(10)
    run.wait("candidates run", lambda: all(len(below(cluster.pids(name, ACTOR))) >= 4 for name in ("head", "second")))
    ours = below(cluster.pids("head", ACTOR) + cluster.pids("second", ACTOR))
    assert not any(b"sk-secret" in Path(f"/proc/{p}/environ").read_bytes() for p in cluster.pids("second"))
    run.process.kill()
    run.process.wait()
    killed = time.monotonic()
    while left := [pid for pid in ours if alive(pid)]:
        assert time.monotonic() < killed + 10, left
        time.sleep(0.1)
    print(f"all {len(ours)} gone {time.monotonic() - killed:.1f} s after the driver")
    ok_inside = subprocess.run(
        cluster.inside("head", SCRIPT, "resume", "R"), cwd=folder, env=cluster.environment, timeout=300
    )
    assert ok_inside.returncode == 0
    assert_nothing_shows(folder, 40, {"head", "second"})


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def below(pids: list[int]) -> list[int]:
    """Returns processes and all that descend from them: actors, worker programs, zygotes, candidates."""
    children: dict[int, list[int]] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            children.setdefault(int(stat.read_text().rpartition(")")[2].split()[1]), []).append(int(stat.parent.name))
    found = list(pids)
    for pid in found:
        found += children.get(pid, [])
    return found
