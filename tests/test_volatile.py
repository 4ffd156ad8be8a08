"""What no two runs share, by its path."""

import pytest

from sparseact.study.volatile import is_volatile


@pytest.mark.parametrize(
    ("path", "volatile"),
    [
        ("results/volatile/method_costs.nc", True),
        ("results/quick/volatile/receipts/render_method_costs.json", True),
        ("reports/volatile/figures/call_time.svg", True),
        ("results/quick/manifest.volatile.json", True),
        ("results/quick/manifest.json", False),
        ("results/coverage.nc", False),
        ("results/not-volatile/coverage.nc", False),
        ("results/volatile_costs.nc", False),
    ],
)
def test_a_path_tells(path, volatile):
    assert is_volatile(path) == volatile
