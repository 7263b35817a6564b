"""Read the environment into one model; refuse to start when something is missing, and say what."""

from pathlib import Path
from typing import Annotated

from pydantic import Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

SHIPPED = ("channels.whatsapp", "channels.web", "admin", "plugins.bots", "plugins.api", "plugins.money")

DEMO = "plugins.demo"


class SettingsError(Exception):
    """The environment does not describe a Parley that can start."""


class Settings(BaseSettings):
    """Everything that is configured outside the panel, from variables that start with `PARLEY_`."""

    model_config = SettingsConfigDict(env_prefix="PARLEY_", extra="ignore")

    database_url: str = Field(
        "sqlite:///var/parley.db", description="sqlite:///path or postgresql://...", repr=False
    )
    secret_key: SecretStr = Field(description="At least 32 characters. All other keys are derived from it.")
    public_url: str = Field("http://127.0.0.1:8000", description="Where providers and visitors reach Parley.")
    data_dir: Path = Field(Path("var"), description="Folder for files that Parley keeps.")
    plugins: Annotated[tuple[str, ...], NoDecode] = Field(SHIPPED, description="Modules to load, in order.")
    organisation: str = Field("Parley", description="Whose users these are; shown in the panel.")
    demo: bool = Field(False, description="Serve the demo workspace, to this machine only.")
    max_body: int = Field(3_000_000, ge=1, description="Largest request body accepted, in bytes.")
    trusted_proxies: int = Field(
        0, ge=0, description="How many proxies in front of Parley set X-Forwarded-*."
    )
    database_connections: int = Field(20, ge=2, description="Most PostgreSQL connections of one process.")
    claim_minutes: int = Field(
        30, ge=1, description="A claimed chat without a message returns after this time (C2)."
    )
    worker_threads: int = Field(8, ge=1, description="Jobs that one worker runs side by side.")

    @property
    def modules(self) -> tuple[str, ...]:
        """Return the modules to load: the plugins, and the demo workspace where that is served."""
        return (*self.plugins, DEMO) if self.demo and DEMO not in self.plugins else self.plugins

    @field_validator("secret_key")
    @classmethod
    def _long_enough(cls, value: SecretStr) -> SecretStr:
        if len(value.get_secret_value()) < 32:
            raise ValueError("is shorter than 32 characters")
        return value

    @field_validator("database_url")
    @classmethod
    def _known_engine(cls, value: str) -> str:
        if not value.startswith(("sqlite:///", "postgresql://", "postgres://")):
            raise ValueError("must start with sqlite:/// or postgresql://")
        return value

    @field_validator("public_url")
    @classmethod
    def _no_trailing_slash(cls, value: str) -> str:
        if not value.startswith(("http://", "https://")):
            raise ValueError("must start with http:// or https://")
        return value.rstrip("/")

    @field_validator("plugins", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        return (
            tuple(name.strip() for name in value.split(",") if name.strip())
            if isinstance(value, str)
            else value
        )


def load_settings() -> Settings:
    """Read the settings from the environment.

    Raises SettingsError with a line per variable that is missing or wrong; values are never repeated, as some
    are secret.
    """
    try:
        return Settings()
    except ValidationError as error:
        lines = []
        for problem in error.errors():
            name = "PARLEY_" + "_".join(str(part) for part in problem["loc"]).upper()
            if problem["type"] == "missing" and name == "PARLEY_SECRET_KEY":
                lines.append(
                    f"{name} is missing. Without it sessions cannot be signed "
                    "and channel secrets cannot be read. "
                    "Set it, or start with `parley run`, which makes a local one."
                )
            else:
                lines.append(f"{name}: {problem['msg'].removeprefix('Value error, ')}.")
        raise SettingsError("\n".join(lines)) from None
