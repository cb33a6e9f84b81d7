"""What Nuke executes when this folder is on its plug-in path (NUKE_PATH).

The package is loaded from this very folder under its own name. Its parent folder must not come onto `sys.path`: it
is a site-packages of another Python. Executing this file twice registers once. Nuke need not set ``__file__``.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import sys
from typing import TYPE_CHECKING, Optional

import nuke

if TYPE_CHECKING:
    from nuke_callbacks.hooks import Hooks


def _jit_render_folder() -> str:
    candidates = [globals().get("__file__") or "", _jit_render_folder.__code__.co_filename]
    candidates += [os.path.join(folder, "init.py") for folder in nuke.pluginPath()]
    for candidate in candidates:
        folder = os.path.dirname(os.path.abspath(candidate))
        if os.path.isfile(os.path.join(folder, "hooks.py")) and os.path.isfile(os.path.join(folder, "wire.py")):
            return folder
    raise ImportError("nuke_callbacks: hooks.py is not beside init.py; put the folder itself on NUKE_PATH")


def _jit_render_start() -> Optional[Hooks]:
    name = "nuke_callbacks"
    if name not in sys.modules:
        folder = _jit_render_folder()
        spec = importlib.util.spec_from_file_location(
            name, os.path.join(folder, "__init__.py"), submodule_search_locations=[folder]
        )
        if spec is None or spec.loader is None:
            raise ImportError("nuke_callbacks: %s cannot be loaded" % folder)
        package = importlib.util.module_from_spec(spec)
        sys.modules[name] = package
        spec.loader.exec_module(package)
    hooks: Optional[Hooks] = importlib.import_module(name + ".hooks").install(nuke)
    if TYPE_CHECKING:
        from nuke_callbacks.hooks import install

        install(nuke)  # compares the surface we use with Nuke's types
    return hooks


_jit_render_start()
