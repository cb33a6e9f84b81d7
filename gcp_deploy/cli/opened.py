"""What most commands begin with: settings and a way to Google Cloud; and how they ask and show progress."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from jit_render.model.errors import UsageError

if TYPE_CHECKING:
    from gcp_deploy.access import Cloud

T = TypeVar("T")
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Ask nothing; go on.")]


@contextmanager
def opened(flags: Sequence[str] = ()) -> Iterator[Cloud]:
    """The deployment that the settings name. Raises ConfigError."""
    from gcp_deploy.access import Cloud
    from jit_render.cli.config import load

    cloud = Cloud(load(flags).settings)
    try:
        yield cloud
    finally:
        cloud.close()


def ask(text: str, default: str, check: Callable[[str], T]) -> T:
    """One question, again until the answer will do. Raises UsageError where nobody answers."""
    while True:
        try:
            answer = typer.prompt(text, default=default, err=True, show_default=bool(default))
        except typer.Abort:
            raise UsageError("no answer came; give the answers as flags, with --yes.") from None
        try:
            return check(str(answer).strip())
        except (UsageError, ValueError) as error:
            typer.echo(f"  {error}", err=True)


def agreed(text: str) -> bool:
    """A yes or no, no by default. Raises UsageError where nobody answers."""
    try:
        return bool(typer.confirm(text, default=False, err=True))
    except typer.Abort:
        raise UsageError("no answer came; --yes goes on without asking.") from None


@contextmanager
def working(text: str) -> Iterator[Callable[[str], None]]:
    """A line with a spinner and the time on a terminal's standard error; elsewhere nothing. Yields its renaming."""
    if not sys.stderr.isatty():
        yield lambda _text: None
        return
    from rich.console import Console
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    console = Console(stderr=True)
    with Progress(
        SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn(), console=console, transient=True
    ) as bar:
        task = bar.add_task(text)
        yield lambda text: bar.update(task, description=text)
