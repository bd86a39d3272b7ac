"""What numba keeps on disk follows the sources that it was made of."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = """
import sys

sys.path.insert(0, sys.argv[1])
import factors, formulas
from engine_kernels.jitted import compiled

(made,) = compiled((factors, formulas), formulas.twice)
print(made(2.0), sum(made.stats.cache_hits.values()))
"""


def test_machine_code_is_found_again_until_the_sources_change(tmp_path: Path) -> None:
    pytest.importorskip("numba")
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path), "PYTHONDONTWRITEBYTECODE": "1"}
    (tmp_path / "formulas.py").write_text("from factors import times\n\n\ndef twice(x):\n    return times(x)\n")
    found = []
    for factor in (2.0, 2.0, 3.0, 2.0):
        (tmp_path / "factors.py").write_text(f"def times(x):\n    return {factor} * x\n")
        call = [sys.executable, "-c", PROGRAM, str(tmp_path)]
        run = subprocess.run(call, env=environment, capture_output=True, text=True, check=True)
        found.append(run.stdout.split())
    assert found == [["4.0", "0"], ["4.0", "1"], ["6.0", "0"], ["4.0", "1"]]
