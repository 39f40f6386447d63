"""One job of a sweep: the Hydra application that launchers start, here or on a cluster."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Any

import hydra
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf

from evolve import session
from evolve.cli.report import report
from evolve.cli.screen import Plain
from evolve.errors import EvolveError

failures: list[str] = []  # directories of the jobs in this process that did not finish


@hydra.main(version_base="1.3", config_path="pkg://configs", config_name="config")  # type: ignore[untyped-decorator]
def main(composed: DictConfig) -> None:
    """Runs one combination in Hydra's directory for it; a job that fails leaves the others alone, Ctrl-C ends them all."""
    folder = Path(HydraConfig.get().runtime.output_dir)
    words = list(HydraConfig.get().overrides.task)
    config: Any = OmegaConf.to_container(composed, resolve=True)
    try:
        ended = asyncio.run(session.run_composed(config, words, Plain(sys.stdout), folder))
    except EvolveError as error:
        failures.append(str(folder))
        sys.stderr.write(f"evolve: {folder.name} ({' '.join(words)}): {error}\n")
        return
    if report(ended) != 0:
        failures.append(str(folder))
    if ended.state == "interrupted":
        raise KeyboardInterrupt
