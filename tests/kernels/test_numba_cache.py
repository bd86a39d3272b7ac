"""What numba keeps on disk follows the sources that it was made of."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = """
import sys
from engine_kernels.vertex_fit import numba

made = numba._compiled(abs, sys.argv[1])
print(made(-2.0), sum(made.stats.cache_hits.values()))
"""


def test_machine_code_is_found_again_until_the_sources_change(tmp_path: Path) -> None:
    pytest.importorskip("numba")
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path)}
    found = []
    for sources in ("old", "old", "new", "old"):
        call = [sys.executable, "-c", PROGRAM, sources]
        run = subprocess.run(call, env=environment, capture_output=True, text=True, check=True)
        found.append(run.stdout.split())
    assert found == [["2.0", hits] for hits in ("0", "1", "0", "1")]
