"""Options shared by several commands."""

from __future__ import annotations

from pathlib import Path

import click

FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
NEW_FILE = click.Path(dir_okay=False, path_type=Path)
FORCE = click.option("--force", is_flag=True, help="Replace existing files.")
CONFIG = click.option("--config", type=click.Path(path_type=Path), required=True, help="The gateway's TOML file.")
JSON = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
