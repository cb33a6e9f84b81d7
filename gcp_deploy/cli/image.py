"""``jit-deploy image``: build the image that nodes boot."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from gcp_deploy.cli.opened import Yes, agreed, opened, working
from jit_render.cli.options import Set

Wheels = Annotated[
    Path, typer.Option("--wheels", metavar="FOLDER", help="Wheels of jit-render[gcp] and pip, and .deb files if any.")
]
Base = Annotated[str, typer.Option("--base", metavar="IMAGE", help="What to build on; default: Debian 12.")]


def image(wheels: Wheels = Path("wheels"), base: Base = "", yes: Yes = False, overrides: Set = None) -> None:
    """Install this package and Nuke on a VM, make an image of its disk, and remove the VM.

    Nothing comes from the internet: wheels are uploaded to the state bucket, Nuke is the archive that gcp.nuke names.
    The same wheels, Nuke and base are never built twice. Safe to interrupt.
    """
    from gcp_deploy.image import BASE_IMAGE, BUILDER_MACHINE, ImageBuild, nuke_archive, read_recipe
    from gcp_deploy.naming import check
    from jit_render.cli.output import note, say

    with opened(overrides or ()) as cloud:
        check(cloud.gcp)
        recipe = read_recipe(wheels, nuke=nuke_archive(cloud), base=base or BASE_IMAGE)
        build_of = ImageBuild(cloud, recipe)
        say(f"{build_of.name}: {len(recipe.files)} files, Nuke {recipe.nuke or 'none'}, on {recipe.base}")
        if not yes and not agreed(f"Build it on a VM ({BUILDER_MACHINE}), some ten minutes?"):
            note("Nothing was changed.")
            raise typer.Exit(1)
        with working("building") as rename:

            def tell(text: str) -> None:
                rename(text)
                note(text)

            made = ImageBuild(cloud, recipe, tell).run()
    say(f"{'Made' if made else 'It is there already:'} {build_of.name} (family {cloud.gcp.name}).")
