"""Whether a base exists and can be trained; where not, what was found there."""

import os
import socket
from importlib.metadata import version
from typing import Final
from urllib.parse import urlsplit
from urllib.request import getproxies

from huggingface_hub import constants, try_to_load_from_cache
from huggingface_hub.errors import HFValidationError
from transformers import PretrainedConfig
from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES

from contract.errors import UserError, first_line
from trainer.native.families import FAMILIES

_REACH_WITHIN_S: Final = 10.0
# Ends of the names of models that fill gaps or sort texts, though their type could also continue a text.
_OTHER_TASKS: Final = (
    "ForMaskedLM",
    "ForSequenceClassification",
    "ForTokenClassification",
    "ForQuestionAnswering",
    "ForPreTraining",
)


def require_hub(base: str) -> None:
    """UserError where the base must be fetched and the hub does not answer; its own client would try for a minute."""
    if os.path.isdir(base) or constants.HF_HUB_OFFLINE or getproxies():
        return
    try:
        if isinstance(try_to_load_from_cache(base, "config.json"), str):
            return
    except ValueError:
        return  # not a name that the hub allows: loading reports it
    hub = urlsplit(constants.ENDPOINT)
    try:
        socket.create_connection((hub.hostname or "", hub.port or 443), timeout=_REACH_WITHIN_S).close()
    except OSError as error:
        raise UserError(
            f"base {base!r} is no local folder and was not fetched before, and the hub cannot be reached"
            f" ({constants.ENDPOINT}: {error.strerror or error}); give a local folder, or 'smollm2'"
        ) from error


def require_architecture(base: str) -> None:
    """Raises UserError where the base's config.json names an architecture that cannot be trained."""
    try:
        stored, _ = PretrainedConfig.get_config_dict(base)
    except (OSError, ValueError) as error:
        raise no_such_base(base, error) from error
    if not stored:
        return  # no config.json, which loading reports
    kind, names = stored.get("model_type"), stored.get("architectures") or []
    if kind in MODEL_FOR_CAUSAL_LM_MAPPING_NAMES and not any(name.endswith(_OTHER_TASKS) for name in names):
        return
    found = f"{kind!r} ({', '.join(names)})" if names else repr(kind)
    raise UserError(
        f"base {base!r} has the architecture {found}, expected a model that continues a text (...ForCausalLM) of one of"
        f" the {len(MODEL_FOR_CAUSAL_LM_MAPPING_NAMES)} types that transformers {version('transformers')} has, such as"
        f" {', '.join(FAMILIES)}, gemma3 or phi3; the native engine trains {', '.join(FAMILIES)}"
    )


def no_such_base(base: str, error: Exception) -> UserError:
    """The error for a base that could not be loaded."""
    if os.path.isdir(base):
        kind = f"a folder without a usable model ({first_line(error)})"
    elif isinstance(error, HFValidationError):
        kind = "no such folder, and no name that the hub could have"
    else:
        kind = f"no local folder, and not found on the hub ({first_line(error)})"
    return UserError(
        f"no such base model: {base!r} is {kind}; give a hub name, a folder with config.json and weights, or 'smollm2'"
    )
