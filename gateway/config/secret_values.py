"""Reads secrets from the environment variables and files that the settings name."""

from __future__ import annotations

import os
from pathlib import Path

from gateway.config.storage import RecordSettings, SigningSettings
from gateway.core.errors import ConfigError

SHORTEST_SECRET = 32


def secret(env: str | None, file: Path | None, where: str) -> str | None:
    """The contents of an environment variable or a file, without surrounding white space; None if neither is set.

    ConfigError: both are set, or the source cannot be read or is empty. `where` is the prefix of the settings' names.
    """
    name, found = _contents(env, file, where)
    if found is not None and (not found.isascii() or not found.isprintable()):
        raise ConfigError([f"{name} contains characters that a header cannot carry"])
    return found


def signing_secrets(signing: SigningSettings) -> list[str]:
    """The secrets, one per line of the source; empty if unset. ConfigError: as for `secret`, or one is too short."""
    name, found = _contents(signing.key_env, signing.key_file, "signing.key")
    lines = [line.strip() for line in (found or "").splitlines() if line.strip()]
    if any(len(line) < SHORTEST_SECRET for line in lines):
        raise ConfigError([f"{name} has a secret of fewer than {SHORTEST_SECRET} characters, which could be guessed"])
    return lines


def records_url(records: RecordSettings) -> str | None:
    """The URL of the records' database; None if they are in a file. ConfigError: as for `secret`."""
    if records.url is not None and (records.url_env is not None or records.url_file is not None):
        raise ConfigError(["records.url, records.url_env, records.url_file: set one of them"])
    return records.url or secret(records.url_env, records.url_file, "records.url")


def _contents(env: str | None, file: Path | None, where: str) -> tuple[str, str | None]:
    """The source's name in error messages, and its contents; None if none is set."""
    if env is not None and file is not None:
        raise ConfigError([f"{where}_env, {where}_file: set one of them"])
    if env is not None:
        name, found = f"{where}_env: the environment variable {env}", os.environ.get(env)
        if found is None:
            raise ConfigError([f"{name} is not set"])
    elif file is not None:
        name = f"{where}_file: {file}"
        try:
            found = file.read_text("utf-8-sig")
        except OSError as error:
            raise ConfigError([f"{name}: {error.strerror or error}"]) from error
        except UnicodeDecodeError:
            raise ConfigError([f"{name} is not text"]) from None
    else:
        return where, None
    if not found.strip():
        raise ConfigError([f"{name} is empty"])
    return name, found.strip()
