"""``jit-render config show``: each setting and where its value came from."""

from __future__ import annotations

from jit_render.cli import boundary
from jit_render.cli.options import Json, Set

app = boundary.application(no_args_is_help=True, help="Look at the configuration.")


@app.callback()
def _group() -> None:
    """Keep 'show' a command of its own, though it is the only one."""


@app.command("show", epilog=boundary.EXIT_CODES)
def show(overrides: Set = None, json: Json = False) -> None:
    """Print every setting, its value and its origin: flags, environment, a file, or default."""
    from jit_render.cli.config import load
    from jit_render.cli.output import say_json, say_table

    resolved = load(overrides or ())
    rows = []
    for section, values in resolved.settings.model_dump(mode="json").items():
        if isinstance(values, dict):
            rows += [
                (f"{section}.{key}", value, resolved.origins.get(f"{section}.{key}", "default"))
                for key, value in values.items()
            ]
            continue
        origin = resolved.origins.get(section, "default")
        rows += [(f"{section}[{place}]", value, origin) for place, value in enumerate(values)]
        if not values:
            rows.append((section, [], origin))
    if json:
        say_json([{"key": key, "value": value, "origin": origin} for key, value, origin in rows])
    else:
        say_table(("SETTING", "VALUE", "FROM"), [(key, _spell(value), origin) for key, value, origin in rows])


def _spell(value: object) -> str:
    if isinstance(value, dict) and "target" in value:
        return f"{' '.join(value['prefix'])} -> {value['target']} ({value['mode']})"
    if value in ("", [], {}, ()):
        return "-"
    return str(value)
