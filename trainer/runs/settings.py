"""The settings of a run: as the user gives them, and as its folder keeps them."""

import json
import os
from collections.abc import Mapping
from dataclasses import MISSING, asdict
from pathlib import Path
from typing import Any, Final, NoReturn

from command.settings import given_settings, load_settings, settings_fields
from contract.errors import UserError
from trainer.config import TrainConfig, parse_data
from trainer.recipes.recipe import SEED
from trainer.runs import names
from trainer.stream.cursor import differences

BASE_WEIGHTS: Final = "base weights"  # the key of their digest in the identity of a run


def load_train_config(*, file: str | None, overrides: Mapping[str, Any]) -> TrainConfig:
    """Checked settings. With `resume`, a setting that is not given is as it was when the run began.

    UserError where another recipe is given then: all that it decides was decided when the run began.
    """
    earlier = {}
    given = given_settings(file=file, overrides=overrides)
    match given:
        case {"resume": True, "run": str(run)}:
            earlier = settings_of_run(Path(run))
            if not earlier:
                raise_nothing_to_resume(Path(run))
            if given.get("recipe", earlier["recipe"]) != earlier["recipe"]:
                raise UserError(
                    f"{run} was begun with recipe = {earlier['recipe']}, and recipe = {given['recipe']} is given: leave"
                    " out --recipe to go on, or --resume to begin anew"
                )
    return load_settings(TrainConfig, file=file, overrides=overrides, earlier=earlier)


def require_run(run: Path) -> None:
    """Raises UserError if there is no run in this folder."""
    if not ((run / names.CONFIG).is_file() or (run / names.PARTS).is_file()):
        raise UserError(f"no run in {run}; make one with 'vitrine train --data DATA --run {run}'")


def has_trained(run: Path) -> bool:
    """Whether a run has an adapter or a checkpoint, whole or not."""
    found = (path.name for path in (run / names.CHECKPOINTS).glob("*"))
    return (run / names.ADAPTER).exists() or any(names.checkpoint_step(name) is not None for name in found)


def raise_nothing_to_resume(run: Path) -> NoReturn:
    """Raises the UserError for --resume without a run."""
    raise UserError(f"nothing to resume: there is no run in {run}; leave out --resume to start one")


def settings_of_run(run: Path) -> dict[str, Any]:
    """The settings in RUN/config.json, without `resume` and `overwrite`; empty if there is no run.

    Those of a run in parts are in RUN/parts.json. Runs that began before there were recipes have the first version's.
    """
    file = names.PARTS if (run / names.PARTS).exists() else names.CONFIG
    try:
        document = json.loads((run / file).read_bytes())
        config = with_data_found(document["config"], document.get("folder", ""))
    except (OSError, ValueError, KeyError, TypeError):
        return {}
    given = {name: value for name, value in config.items() if value is not None and name not in ("resume", "overwrite")}
    return {"recipe": "seed"} | given


def with_data_found(config: dict[str, Any], folder: str) -> dict[str, Any]:
    """A run's settings with `data` as it is reached from here. `folder` is the one where training was started.

    A relative path counts from the working folder, so that a run can be moved with its data; from `folder` where it
    names nothing here.
    """
    return config | {"data": [_found(text, folder) for text in config.get("data", ())]}


def _found(text: str, folder: str) -> str:
    root, _ = parse_data(text)
    is_there = os.path.isdir(os.path.join(folder, root))  # an absolute path stays as it is
    return os.path.join(folder, text) if is_there and not os.path.isdir(root) else text


def changed_settings(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """The differences between two identities of a run, in words.

    A setting that `before` lacked had its default or, where a recipe decides it, the first version's value. A run of an
    earlier version has no digest of its base, and may be resumed on any.
    """
    if before.get(BASE_WEIGHTS) is None:
        now = {name: value for name, value in now.items() if name != BASE_WEIGHTS}
    defaults = {field.name: field.default for field in settings_fields(TrainConfig) if field.default is not MISSING}
    return differences(before, now, defaults=defaults | {"recipe": "seed"} | asdict(SEED))
