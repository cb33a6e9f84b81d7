"""``jit-render nuke-path``: what to put on NUKE_PATH."""

from __future__ import annotations

from jit_render.cli.options import Json


def nuke_path(json: Json = False) -> None:
    """Print the folder to put on NUKE_PATH.

    With it Nuke loads its files through the cache; outside a render node, where there is no agent, it stays out of
    the way.
    """
    from importlib.util import find_spec

    from jit_render.cli.output import say, say_json
    from jit_render.model.errors import ConfigError

    found = find_spec("nuke_callbacks")
    if found is None or not found.submodule_search_locations:
        raise ConfigError("nuke_callbacks is not installed beside jit_render; install the whole of jit-render again.")
    folder = found.submodule_search_locations[0]
    if json:
        say_json({"nuke_path": folder})
    else:
        say(folder)
