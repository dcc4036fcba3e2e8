"""Other people's programs, installed to be measured beside ours.

Each has an environment of its own below `.venv-peers/`, made when it is first asked
for: what they depend on would not go together with what we do.
"""

import shutil
import subprocess
import sys
from pathlib import Path

from tests.e2e.stack import ROOT

PEERS = ROOT / ".venv-peers"


def peer(name: str, *requirements: str) -> Path:
    """The Python of the environment `name`, in which exactly these are installed.

    Making one takes minutes and says so. One whose making was cut short, or that was
    made for other requirements, is made anew. Errors: CalledProcessError where pip
    fails; what it said stands above.
    """
    environment = PEERS / name
    python, made = environment / "bin" / "python", environment / "made-for"
    wanted = "\n".join(requirements)
    if not made.exists() or made.read_text() != wanted:
        shutil.rmtree(environment, ignore_errors=True)
        print(f"Installing {', '.join(requirements)} …", file=sys.stderr, flush=True)
        subprocess.run([sys.executable, "-m", "venv", environment], check=True)
        pip = [str(python), "-m", "pip", "install", "-q", "--disable-pip-version-check"]
        subprocess.run([*pip, *requirements], check=True)
        made.write_text(wanted)
    return python
