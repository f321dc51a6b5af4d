"""Models on the hub of Hugging Face: `hf://NAME/REPOSITORY` is downloaded like a run folder, and a folder is uploaded.

Only the files of a run are downloaded, none of which is code. What was downloaded once is read from the cache of
huggingface_hub when the hub cannot be reached.
"""

import json
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from limner.errors import LimnerError, quoted
from limner.models.run_files import (
    ENCODER_FOLDER,
    HISTORY_FILE,
    RECIPE_FILE,
    SCORES_FILE,
    TOKENIZER_FOLDER,
    WEIGHTS_FILE,
)

CONFIG_FILE = "config.json"
FILES = [
    RECIPE_FILE,
    WEIGHTS_FILE,
    HISTORY_FILE,
    SCORES_FILE,
    CONFIG_FILE,
    f"{TOKENIZER_FOLDER}/*.json",
    f"{ENCODER_FOLDER}/*.json",
    f"{ENCODER_FOLDER}/*.safetensors",
]
"""What is downloaded, as patterns."""
SCHEME = re.compile("hf:/+")  # as a `Path`, hf:// becomes hf:/
REPOSITORY = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*", re.ASCII)
COMMIT = re.compile("[0-9a-f]{40}")
DISTRIBUTION = re.compile(r"[A-Za-z0-9]([\w.-]{0,98}[A-Za-z0-9])?", re.ASCII)


@dataclass(frozen=True)
class HubModel:
    """A repository on the hub, and a revision of it: a branch, a tag or a commit."""

    repository: str
    revision: str | None = None

    def __str__(self) -> str:
        return f"hf://{self.repository}" + (f"@{self.revision}" if self.revision else "")


def is_on_hub(run: str | Path) -> bool:
    """Whether a run is named as hf://NAME/REPOSITORY."""
    return SCHEME.match(_text(run)) is not None


def hub_model(run: str | Path) -> HubModel:
    """The repository and the revision of hf://NAME/REPOSITORY@REVISION.

    Raises:
        LimnerError: if it names something else.
    """
    repository, at, revision = SCHEME.sub("", _text(run), count=1).partition("@")
    if not REPOSITORY.fullmatch(repository) or ".." in repository or (at and not revision.strip()):
        raise LimnerError(
            f"{quoted(_text(run))}: expected hf://NAME/REPOSITORY, or hf://NAME/REPOSITORY@REVISION; a model is a "
            "whole repository, so name no file or folder in it."
        )
    return HubModel(repository, revision or None)


def _text(run: str | Path) -> str:
    return run.as_posix() if isinstance(run, Path) else run


# --- download -------------------------------------------------------------------------------------------------------


def download(model: HubModel) -> tuple[Path, HubModel]:
    """Download the files of a run, or find them in the cache. Returns their folder, and the model at its commit.

    Raises:
        LimnerError: if the hub refuses or cannot be reached, if there is no such model or revision, or if the model
            needs a plugin that is not installed.
    """
    from huggingface_hub import snapshot_download

    with asking_hub(model):
        folder = Path(snapshot_download(model.repository, revision=model.revision, allow_patterns=FILES))
    at = HubModel(model.repository, folder.name)
    if not COMMIT.fullmatch(model.revision or ""):
        warnings.warn(f"{model} is at commit {folder.name}; {at} always names just this one.", stacklevel=4)
    if not (folder / RECIPE_FILE).is_file():
        raise LimnerError(f"{model} is no model of Limner: it has no {RECIPE_FILE}.")
    check_plugins(folder / CONFIG_FILE, model)
    return folder, at


def check_plugins(config: Path, model: HubModel) -> None:
    """Check that the plugins are installed that a model needs, according to its config.json.

    Raises:
        LimnerError: naming those that are missing, and the command that installs them.
    """
    if not config.is_file():
        return
    try:
        needed = json.loads(config.read_text(encoding="utf-8"))["plugins"]
        fitting = all(DISTRIBUTION.fullmatch(name) and isinstance(needed[name], str) for name in needed)
        if not isinstance(needed, dict) or not fitting:
            raise ValueError("'plugins' should name packages and their versions")
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise LimnerError(f"{CONFIG_FILE} of {model} is damaged: {type(error).__name__}: {error}.") from None
    if missing := [name for name in needed if not _is_installed(name)]:
        raise LimnerError(
            f"{model} needs plugins that are not installed: {', '.join(missing)}. Plugins are code: if you trust "
            f"their authors, pip install {' '.join(missing)}."
        )


def _is_installed(distribution: str) -> bool:
    try:
        version(distribution)
    except PackageNotFoundError:
        return False
    return True


# --- upload ---------------------------------------------------------------------------------------------------------


def upload(folder: Path, repository: str, private: bool, message: str) -> HubModel:
    """Upload a folder as one commit; the repository is made if there is none. Returns the model at this commit.

    Raises:
        LimnerError: if the hub refuses or cannot be reached.
    """
    from huggingface_hub import CommitOperationAdd, HfApi

    model, hub = HubModel(repository), HfApi(library_name="limner")
    with asking_hub(model, writing=True):
        hub.create_repo(model.repository, private=private, exist_ok=True)
        files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
        added = [CommitOperationAdd(path.relative_to(folder).as_posix(), path) for path in files]
        commit = hub.create_commit(model.repository, added, commit_message=message)
    return HubModel(model.repository, commit.oid)


# --- what can go wrong ----------------------------------------------------------------------------------------------


@contextmanager
def asking_hub(model: HubModel, writing: bool = False) -> Iterator[None]:
    """While this context lasts, whatever the hub or the network refuses is one sentence.

    Raises:
        LimnerError: naming the model, the cause, and what to do.
    """
    try:
        yield
    except LimnerError:
        raise
    except Exception as error:  # huggingface_hub raises its own, those of its HTTP client, and those of the system
        raise LimnerError(_sentence(model, error, writing)) from None


def _sentence(model: HubModel, error: Exception, writing: bool) -> str:
    """What an exception of huggingface_hub means for somebody who wants this model."""
    from huggingface_hub import constants, errors

    login = "log in with `hf auth login`, or set HF_TOKEN"
    repository, causes = f"hf://{model.repository}", [error, error.__cause__]
    answer = getattr(next((e for e in causes if isinstance(e, errors.HfHubHTTPError)), None), "response", None)
    status = getattr(answer, "status_code", None)
    if any(isinstance(e, errors.OfflineModeIsEnabled) for e in causes):
        missing = "nothing can be uploaded" if writing else f"{model} is not in the cache"
        return f"HF_HUB_OFFLINE is set, and {missing}; unset it."
    if isinstance(error, errors.GatedRepoError):
        return f"{repository} is gated: ask for access on its page, then {login}."
    if isinstance(error, errors.RevisionNotFoundError):
        return f"{repository} has no revision '{model.revision or 'main'}'; name a branch, a tag or a commit."
    if isinstance(error, errors.LocalTokenNotFoundError) or (writing and status == 401):
        return f"The hub does not know who you are; {login}."
    if writing and status in (403, 404):
        return f"You may not write to {repository}; name a repository of your own, or {login} as its owner."
    if isinstance(error, errors.RepositoryNotFoundError) or status in (401, 403):
        return f"There is no model {repository}, or it is private; check its name, or {login}."
    if status is not None:
        return f"The hub answered {status} when asked for {repository}; try again later."
    reason = " ".join(str(error.__cause__ or error).split()) or type(error).__name__
    cached = "" if writing else f", and {model} is not in the cache"
    return f"The hub at {constants.ENDPOINT} cannot be reached{cached}: {reason}; check the connection."
