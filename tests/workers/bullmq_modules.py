"""The npm packages of the tests, installed once for all test processes of this machine.

They come from a `package-lock.json` with their checksums, and lie outside what git tracks.
"""

import fcntl
import hashlib
import os
import shutil
import subprocess
from pathlib import Path

SCRIPTS = Path(__file__).parent / "bullmq"
CACHE = Path(__file__).parents[2] / ".make" / "npm"
_FILES = ("package.json", "package-lock.json")


def node_modules(scripts: Path = SCRIPTS) -> Path:
    """Where the packages of these scripts are; installs them first if they are not there."""
    content = b"".join((scripts / name).read_bytes() for name in _FILES)
    place = CACHE / f"{scripts.name}-{hashlib.sha256(content).hexdigest()[:16]}"
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / "lock").open("w") as lock:
        # Several test processes start at once: one installs, the others wait for it.
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not place.exists():
            _install(scripts, place)
    return place / "node_modules"


def node_environment() -> dict[str, str]:
    """The environment in which the scripts find the packages."""
    return {**os.environ, "NODE_PATH": str(node_modules())}


def _install(scripts: Path, place: Path) -> None:
    npm = shutil.which("npm")
    if npm is None or shutil.which("node") is None:
        raise RuntimeError("node and npm are not installed; `make system-packages` installs them")
    # Under another name until it is whole: an install that was broken off is begun anew.
    partial = place.with_suffix(f".{os.getpid()}")
    partial.mkdir()
    for name in _FILES:
        shutil.copy(scripts / name, partial)
    done = subprocess.run(
        [npm, "ci", "--omit=optional", "--ignore-scripts", "--no-audit", "--no-fund"],
        cwd=partial,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        shutil.rmtree(partial)
        raise RuntimeError(f"npm could not install the packages of {scripts.name}:\n{done.stderr}")
    partial.rename(place)
