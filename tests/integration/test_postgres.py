"""PostgreSQL: the contract of a store on a real server, and what a server can suffer."""

from __future__ import annotations

import pytest

from tests.population.contract import StoreContract
from tests.postgres import Server

pytestmark = pytest.mark.integration


class TestPostgreSQL(StoreContract):
    @pytest.fixture
    def url(self, postgres: Server) -> str:
        return postgres.new()
