"""How this project was installed, for messages that say how to install the rest of it."""

import json
from importlib.metadata import PackageNotFoundError, distribution


def install_text(extra: str) -> str:
    """What a user runs to install an extra of this project from where the project itself came from.

    From a file, such as a wheel, it names the file; from a folder, as with `pip install -e .`, it says so.
    """
    try:
        origin = distribution("vitrine").read_text("direct_url.json")  # PEP 610; the registry leaves none
    except PackageNotFoundError:  # it runs from its folder
        origin = json.dumps({"dir_info": {}})
    if origin is None:
        return f"pip install 'vitrine[{extra}]'"
    found = json.loads(origin)
    if "dir_info" in found:
        return f"from the project's folder: pip install '.[{extra}]'"
    system = f"{found['vcs_info']['vcs']}+" if "vcs_info" in found else ""
    return f"pip install 'vitrine[{extra}] @ {system}{found['url']}'"
