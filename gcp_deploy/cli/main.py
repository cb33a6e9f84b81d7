"""``jit-deploy``: a studio's place on Google Cloud. One command, one file; each imports what it needs when called."""

from __future__ import annotations

from gcp_deploy.cli.doctor import doctor
from gcp_deploy.cli.down import down
from gcp_deploy.cli.image import image
from gcp_deploy.cli.init import init
from gcp_deploy.cli.leftovers import leftovers
from gcp_deploy.cli.plan import plan
from gcp_deploy.cli.prices import prices
from gcp_deploy.cli.up import up
from jit_render.cli import boundary

NAME = "jit-deploy"

app = boundary.application(
    name=NAME,
    no_args_is_help=True,
    help="Set a studio up on Google Cloud, look after it, take it down. init, doctor, up, image, then jit-submit.",
    epilog=boundary.EXIT_CODES,
)
for command in (init, doctor, plan, up, image, leftovers, down, prices):
    app.command(epilog=boundary.EXIT_CODES)(command)


def run() -> None:
    """The console script."""
    boundary.run(app, NAME)


if __name__ == "__main__":
    run()
