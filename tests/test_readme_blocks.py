"""Every shell and TOML block of the README and docs, from top to bottom, by someone who has only what these install."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import tomllib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

from tests import plain_install
from tests.gateway.processes import READY
from tests.helm import tool
from tests.pages import blocks
from tests.patience import PATIENCE_S

# Blocks by language: run here, run by `test_readme.py`, and what commands print.
RUN, ELSEWHERE, PRINTED = {"sh", "toml"}, {"python"}, {""}
# One sets up an environment of its own (`tests/gateway/test_demo.py` runs what it runs), the other is this very run.
NOT_RUN = ("make demo", "make test")
# What a reader has and a test has not, and what stands in for it: {engine} is the embedded one, {secrets} a folder.
STAND_INS: Mapping[str, str] = {
    "http://gpu-1:8000": "{engine}",
    "http://gpu-2:8000": "{engine}",
    "http://gpu-3:8000": "{engine}",
    "https://models.example.com": "{engine}",
    "Qwen/Qwen3-8B": "tiny",
    "Qwen/Qwen3-4B-Instruct-2507": "tiny-instruct",
    "Qwen/Qwen3-4B-Thinking-2507": "tiny-thinking",
    "/run/secrets": "{secrets}",
    "/var/lib/thinkgate": "{secrets}",
    # A cluster: the chart is made into what would be sent to it.
    "helm install": "helm template",
    # Ports that nobody else has.
    "port = 9090": "port = 0",
    "thinkgate serve": "thinkgate serve --port 0",
    # Less work of the same kind.
    "--choose 100": "--choose 50",
    "--workers 4": "--workers 2",
}


class Reader:
    """Someone in the folder of a clone, in an environment of its own, who does what each block says."""

    def __init__(self, folder: Path, engine: str) -> None:
        environment, secrets = folder / "environment", folder / "secrets"
        self.clone = plain_install.checkout(folder / "clone")
        plain_install.make(environment)
        secrets.mkdir()
        for name in ("operators-key", "vllm-key"):
            (secrets / name).write_text("a key of more than sixteen letters")
        self._known = {"engine": engine, "secrets": str(secrets)}
        self._has_helm = tool.why_not_here() is None
        if self._has_helm:
            (environment / "bin" / "helm").symlink_to(tool.ensure())
        self._environ = {**os.environ, "PATH": os.pathsep.join([str(environment / "bin"), os.environ["PATH"]])}
        self._environ.pop("PYTHONPATH", None)
        self._key = "none"
        self._deployments: dict[str, Any] = {}
        self._routed: dict[str, Any] = {}
        self._git("init", "--quiet")
        self._git("add", "--all")

    def does(self, language: str, text: str) -> None:
        for real, stand_in in STAND_INS.items():
            text = text.replace(real, stand_in.format(**self._known))
        if language == "toml":
            (self.clone / "thinkgate.toml").write_text(self._whole(text), "utf-8")
            said = self.runs("thinkgate check thinkgate.toml")
            for name in tomllib.loads(text).get("models", {}):
                assert f"Model {name}:" in said
            return
        for line in filter(None, text.splitlines()):
            if line.startswith("thinkgate serve"):
                self.serves(line)
            elif not line.startswith(NOT_RUN) and (self._has_helm or not line.startswith("helm")):
                self._key = next(iter(re.findall(r"\btg-[\w-]+", self.runs(line))), self._key)

    def _whole(self, text: str) -> str:
        """The block, or, if it shows a few tables only, the last whole configuration with a router and these tables
        added. It has the deployments of all of them.
        """
        table = tomllib.loads(text)
        if "deployments" in table:
            self._deployments |= table["deployments"]
            if any("router" in model for model in table["models"].values()):
                self._routed = table
            return text
        whole = merged(self._routed, {"deployments": self._deployments, **table})
        return "\n".join(f"{name} = {inline(value)}" for name, value in whole.items())

    def runs(self, line: str) -> str:
        done = subprocess.run(
            ["sh", "-c", line], cwd=self.clone, env=self._environ, capture_output=True, text=True, timeout=PATIENCE_S
        )
        assert done.returncode == 0, f"{line}\n{done.stdout}{done.stderr}"
        assert "Traceback" not in done.stderr, f"{line}\n{done.stderr}"
        return done.stdout

    def serves(self, line: str) -> None:
        """Until it has answered a request that leaves all that requests leave."""
        with self._started(line) as url:
            body = json.dumps({"model": "assistant", "input": "What is 17 + 25?"}).encode()
            head = {"content-type": "application/json", "authorization": f"Bearer {self._key}"}
            with urlopen(Request(f"{url}/v1/responses", body, head), timeout=PATIENCE_S) as answer:
                assert json.load(answer)["status"] in ("completed", "incomplete")
            self.leaves_nothing_for_git()

    @contextmanager
    def _started(self, line: str) -> Iterator[str]:
        command = ["sh", "-c", f"exec {line}"]
        process = subprocess.Popen(command, cwd=self.clone, env=self._environ, stdout=subprocess.PIPE, text=True)
        with process:
            assert process.stdout is not None
            try:
                ready = next((each for each in process.stdout if each.startswith(READY)), None)
                assert ready is not None, f"{line} ended with {process.wait()}"
                yield ready.removeprefix(READY).split()[0]
            finally:
                process.send_signal(signal.SIGTERM)
                process.stdout.read()
        assert process.returncode == 0, line

    def leaves_nothing_for_git(self) -> None:
        """All that was made, secrets among it, is of no interest to git."""
        assert self._git("status", "--porcelain", "--untracked-files=all").count("??") == 0

    def _git(self, *arguments: str) -> str:
        if shutil.which("git") is None:
            return ""
        return subprocess.run(["git", *arguments], cwd=self.clone, check=True, capture_output=True, text=True).stdout


def merged(base: dict[str, Any], more: dict[str, Any]) -> dict[str, Any]:
    both = {name: merged(base[name], more[name]) for name in base.keys() & more.keys() if isinstance(base[name], dict)}
    return {**base, **more, **both}


def inline(value: Any) -> str:
    """A TOML value on one line."""
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{json.dumps(name)} = {inline(each)}" for name, each in value.items()) + " }"
    return "[" + ", ".join(map(inline, value)) + "]" if isinstance(value, list) else json.dumps(value)


def test_every_block_does_what_it_says(engine: str, tmp_path: Path) -> None:
    reader = Reader(tmp_path, engine)
    for language, text in blocks():
        assert language in RUN | ELSEWHERE | PRINTED, language
        if language in RUN:
            reader.does(language, text)
    reader.leaves_nothing_for_git()
