"""Complete the environment of a Parley that nobody configured: a secret key of its own, and paths that hold
from every folder.
"""

import os
import secrets
from collections.abc import MutableMapping
from pathlib import Path

from core.settings import Settings

KEY = "PARLEY_SECRET_KEY"
DATABASE = "PARLEY_DATABASE_URL"
FOLDER = "PARLEY_DATA_DIR"
_SQLITE = "sqlite:///"


def use_local_key(environment: MutableMapping[str, str]) -> None:
    """Take the secret key that `parley run` made here, where none is given."""
    if not environment.get(KEY) and (path := _key_file(environment)).is_file():
        environment[KEY] = path.read_text().strip()


def make_local_key(environment: MutableMapping[str, str]) -> Path | None:
    """Make a secret key for this folder, where none is given or made before; returns the new file.

    Only its owner may read it. Whoever loses it cannot read the channels' secrets any more.
    """
    use_local_key(environment)
    if environment.get(KEY):
        return None
    path = _key_file(environment)
    write_private(path, secrets.token_urlsafe(48))
    use_local_key(environment)
    return path


def write_private(path: Path, text: str) -> None:
    """Write a file that only its owner may read, whole or not at all; one that is there already stays as it
    is.
    """
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    draft = path.with_name(f"{path.name}.{secrets.token_hex(4)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(f"{text}\n")
    try:
        os.link(draft, path)
    except FileExistsError:
        pass  # another start was quicker; its file counts
    finally:
        draft.unlink()


def use_absolute_paths(environment: MutableMapping[str, str]) -> None:
    """Name data folder and embedded database in full: the processes of a run work in another folder."""
    declared = Settings.model_fields
    environment[FOLDER] = str(_folder(environment).absolute())
    url = environment.get(DATABASE) or str(declared["database_url"].default)
    if url.startswith(_SQLITE):
        url = _SQLITE + str(Path(url.removeprefix(_SQLITE)).absolute())
    environment[DATABASE] = url


def _folder(environment: MutableMapping[str, str]) -> Path:
    return Path(environment.get(FOLDER) or str(Settings.model_fields["data_dir"].default))


def _key_file(environment: MutableMapping[str, str]) -> Path:
    return _folder(environment) / "secret.key"
