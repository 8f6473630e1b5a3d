"""The settings: one TOML file. An unknown key is an error that suggests the nearest valid name."""

from __future__ import annotations

import tomllib
from hashlib import blake2b
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError, model_validator

from gateway.config.deployment import DeploymentSettings
from gateway.config.experiment import ExperimentSettings
from gateway.config.family_row import FamilyRow
from gateway.config.learn import LearnSettings
from gateway.config.model import ModelSettings
from gateway.config.problems import faults
from gateway.config.renamed import with_new_names
from gateway.config.server import AdminSettings, ServerSettings
from gateway.config.storage import AccessSettings, FeedbackSettings, RecordSettings, ResponseSettings, SigningSettings
from gateway.config.types import ConfigPath, folder_of
from gateway.core.errors import ConfigError, suggestion
from gateway.core.strict import Name, StrictSettings

# The files in `data_dir`, unless their tables set another path.
IN_DATA_DIR = (("records", "records.db"), ("access", "keys.db"), ("responses", "responses.db"))


class Settings(StrictSettings):
    data_dir: ConfigPath | None = None
    """The folder of all stored data: records, API keys and their usage, responses, the generated signing secret. Files
    with their own `path` setting are there instead. By default each has its own default path."""
    server: ServerSettings = ServerSettings()
    records: RecordSettings = RecordSettings()
    access: AccessSettings = AccessSettings()
    admin: AdminSettings | None = None
    responses: ResponseSettings = ResponseSettings()
    feedback: FeedbackSettings = FeedbackSettings()
    learn: LearnSettings = LearnSettings()
    signing: SigningSettings = SigningSettings()
    families: dict[str, FamilyRow] = {}
    """Family rows in addition to the shipped table; a row with the same name overrides single cells."""
    deployments: Annotated[dict[Name, DeploymentSettings], Field(min_length=1)]
    models: Annotated[dict[Name, ModelSettings], Field(min_length=1)]
    experiments: dict[Name, ExperimentSettings] = {}

    @property
    def version(self) -> str:
        """Twelve hexadecimal digits: the same for the same configuration, however its file is written."""
        return blake2b(self.model_dump_json().encode(), digest_size=6).hexdigest()

    @property
    def metrics_on_clients_port(self) -> bool | Literal["open"]:
        given = self.server.metrics
        return not (self.access.required and self.admin) if given is None else given

    @model_validator(mode="before")
    @classmethod
    def _in_data_dir(cls, table: Any) -> Any:
        folder = table.get("data_dir") if isinstance(table, dict) else None
        if not isinstance(folder, str | Path):
            return table
        for key, file in IN_DATA_DIR:
            given = table.get(key, {})
            if isinstance(given, dict) and given.get("path") is None:
                table = {**table, key: {**given, "path": Path(folder, file)}}
        return table

    @model_validator(mode="after")
    def _keeps_what_experiments_need(self) -> Settings:
        if "unit" in self.records.redact and (self.experiments or any(one.arms for one in self.models.values())):
            raise ValueError("records.redact: experiments compare units, so that records must keep them")
        return self

    @model_validator(mode="after")
    def _judge_is_known(self) -> Settings:
        judge = self.learn.judge
        if judge is not None and judge not in self.deployments and judge not in self.models:
            known = [*self.deployments, *self.models]
            raise ValueError(f"learn.judge: {judge!r} is no deployment or model.{suggestion(judge, known)}")
        return self

    def routers_of(self, model: str) -> set[str]:
        """What it and the arms of its experiment name as their router."""
        arms = [arm for given in self.experiments.values() if given.model == model for arm in given.arms.values()]
        return {self.models[model].router, *(arm.router for arm in arms if arm.router is not None)}

    @property
    def responses_path(self) -> Path:
        return self.responses.path or Path(f"{self.records.path}.responses")

    @property
    def experiments_path(self) -> Path:
        """Where it is written what has happened to experiments."""
        return (
            Path(f"{self.records.path}.experiments") if self.data_dir is None else self.data_dir / "experiments.jsonl"
        )

    @property
    def versions_path(self) -> Path:
        """The folder of what was learned: versions of routers, and which of them serve."""
        return Path(f"{self.records.path}.routers") if self.data_dir is None else self.data_dir / "routers"

    @property
    def spending_path(self) -> Path:
        """Where it is written down what price setters have spent."""
        return Path(f"{self.records.path}.spending") if self.data_dir is None else self.data_dir / "spending.db"

    @property
    def own_secret_path(self) -> Path:
        """The file of the signing secret that the gateway generates if none is configured."""
        return Path(f"{self.records.path}.key") if self.data_dir is None else self.data_dir / "signing.key"


def load(path: Path) -> Settings:
    """Read a TOML file. ConfigError: it is missing, invalid TOML, or has invalid settings."""
    try:
        # Some editors write a byte order mark, which TOML does not allow.
        table = tomllib.loads(path.read_text("utf-8-sig"))
    except OSError as error:
        raise ConfigError([f"{path}: {error.strerror or error}"]) from error
    except UnicodeDecodeError as error:
        raise ConfigError([f"{path}: not valid TOML: it is not UTF-8 text ({error.reason})"]) from error
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise ConfigError([f"{path}: not valid TOML: {error}"]) from error
    return parse(table, folder_of(path))


def share(settings: Settings, workers: int) -> Settings:
    """One worker's share of the limits of each deployment (at least one concurrent request), of pairs and shadows."""
    parts = {name: one.model_copy(update=one.share(workers)) for name, one in settings.deployments.items()}
    tried = {name: one.share(workers) for name, one in settings.experiments.items()}
    learn = settings.learn.of_worker(workers)
    return settings.model_copy(update={"deployments": parts, "experiments": tried, "learn": learn})


def override(
    settings: Settings, *, host: str | None = None, port: int | None = None, records: Path | None = None
) -> Settings:
    """The settings with command line overrides."""
    server = {key: value for key, value in (("host", host), ("port", port)) if value is not None}
    return settings.model_copy(
        update={
            "server": settings.server.model_copy(update=server),
            "records": settings.records.model_copy(
                update={} if records is None else {"path": records, "url": None, "url_env": None, "url_file": None}
            ),
        }
    )


def parse(table: dict[str, Any], folder: Path | None = None) -> Settings:
    """Validate a table. Relative paths start at `folder`, or at the working directory.

    ConfigError lists every error: where it is, what is wrong, and the nearest valid name.
    """
    try:
        # These tables are validated even if absent, since their default paths depend on the folder.
        return Settings.model_validate({"records": {}, "access": {}, **with_new_names(table)}, context=folder)
    except ValidationError as error:
        raise ConfigError(faults(error, Settings)) from error
