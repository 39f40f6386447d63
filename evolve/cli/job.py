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
from evolve.errors import EvolveError


@hydra.main(version_base="1.3", config_path="pkg://configs", config_name="config")  # type: ignore[untyped-decorator]
def main(composed: DictConfig) -> None:
    """Runs one combination in Hydra's directory for it; a job that fails leaves the others alone."""
    from evolve.cli import running
    from evolve.cli.screen import Plain

    folder = Path(HydraConfig.get().runtime.output_dir)
    words = list(HydraConfig.get().overrides.task)
    config: Any = OmegaConf.to_container(composed, resolve=True)
    try:
        running.finished(asyncio.run(session.run_composed(config, words, Plain(sys.stdout), folder)))
    except EvolveError as error:
        running.failed(f"{folder.name} ({' '.join(words)}): {error}")
