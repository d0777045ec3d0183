"""What a run loads at its start: every step and every command waits for it."""

import subprocess
import sys


def test_the_definitions_load_no_library_that_only_pictures_and_evidence_need() -> None:
    script = (
        "import sys, forge_pipelines.definitions\n"
        "print([name for name in ('arch', 'matplotlib', 'scipy.stats', 'statsmodels') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"
