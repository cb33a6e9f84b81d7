"""``jit-render``: everything but submitting. One command, one file; each imports what it needs when it is called."""

from __future__ import annotations

from jit_render.cli import boundary
from jit_render.cli.agent import agent
from jit_render.cli.cache import app as cache_app
from jit_render.cli.cancel import cancel
from jit_render.cli.config_show import app as config_app
from jit_render.cli.cost import cost
from jit_render.cli.frames import frames
from jit_render.cli.logs import logs
from jit_render.cli.ls import ls
from jit_render.cli.nuke_path import nuke_path
from jit_render.cli.pull import pull
from jit_render.cli.push import push
from jit_render.cli.report import report
from jit_render.cli.resume import resume
from jit_render.cli.retry import retry
from jit_render.cli.script import script
from jit_render.cli.sheet import sheet
from jit_render.cli.status import status
from jit_render.cli.verify import verify
from jit_render.cli.wait import wait
from jit_render.cli.work import work

NAME = "jit-render"

app = boundary.application(
    name=NAME,
    no_args_is_help=True,
    help="Render Nuke shots from bucket to bucket. jit-submit starts a job; these commands look after it.",
    epilog=boundary.EXIT_CODES,
)
_COMMANDS = (
    *(status, frames, cost, report, logs, wait, resume, retry, cancel),
    *(push, pull, verify, sheet, ls, script, work, agent),
)
for command in _COMMANDS:
    app.command(epilog=boundary.EXIT_CODES)(command)
app.command("nuke-path", epilog=boundary.EXIT_CODES)(nuke_path)
app.add_typer(cache_app, name="cache")
app.add_typer(config_app, name="config")


def run() -> None:
    """The console script."""
    boundary.run(app, NAME)


if __name__ == "__main__":
    run()
