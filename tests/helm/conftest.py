from pathlib import Path

import pytest

from tests.helm import tool
from tests.helm.chart import Chart
from tests.left_behind import nothing_is_left_behind  # noqa: F401


@pytest.fixture(scope="session")
def helm() -> Path:
    reason = tool.why_not_here()
    if reason:
        pytest.skip(reason)
    return tool.ensure()


@pytest.fixture(scope="session")
def chart(helm: Path, tmp_path_factory: pytest.TempPathFactory) -> Chart:
    return Chart(helm, tmp_path_factory.mktemp("chart"))
