"""How this project was installed, for messages that say how to install the rest of it."""

import json
from importlib.metadata import distributions


def install_text(extra: str) -> str:
    """What a user runs to install an extra of this project from where the project itself came from.

    From a file, such as a wheel, it names the file; from a folder, as with `pip install -e .`, it says so.
    """
    found = list(distributions(name="vitrine"))  # in the project's folder also what the build left there
    # PEP 610; the registry leaves none
    origins = [origin for each in found if (origin := each.read_text("direct_url.json"))]
    if not found:  # it runs from its folder
        origins = [json.dumps({"dir_info": {}})]
    if not origins:
        return f"pip install 'vitrine[{extra}]'"
    origin = json.loads(origins[0])
    if "dir_info" in origin:
        return f"from the project's folder: pip install '.[{extra}]'"
    system = f"{origin['vcs_info']['vcs']}+" if "vcs_info" in origin else ""
    return f"pip install 'vitrine[{extra}] @ {system}{origin['url']}'"
