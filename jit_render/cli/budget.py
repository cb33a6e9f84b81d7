"""The money side of having a job run: its estimate kept, its budget set, a hold respected."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from jit_render.cli.engine_options import Given
    from jit_render.cli.session import Session
    from jit_render.model.identity import ObjectUrl
    from jit_render.model.job import EstimateRecord, JobSpec


def expect(given: Session, spec: JobSpec) -> EstimateRecord:
    """Say what the job will take and cost, and warn where its budget will not do. Raises ConfigError."""
    from jit_render.cli.output import note
    from jit_render.farm.billing import estimate
    from jit_render.report.estimate import estimate_lines

    expected = estimate(given.settings, given.store, spec)
    for line in estimate_lines(expected, budget=given.settings.gcp.budget):
        note(line)
    return expected


def allow(given: Session, home: ObjectUrl, chosen: Given) -> None:
    """Set the budget that was asked for, or the settings' one where machines cost money and the job has none yet.

    Raises JobConflict for a job that is held all the same, ConfigError for a machine without a price.
    """
    from jit_render.farm.billing import estimate as estimate_of
    from jit_render.farm.billing import prices_of, put_estimate, terms_of
    from jit_render.farm.holding import budget_of, refuse_held, set_budget
    from jit_render.farm.records import JobReader

    usd = chosen.budget
    if not usd and not chosen.is_local and not budget_of(given.store, home):  # one that was raised stays raised
        usd = given.settings.gcp.budget
    if usd:
        terms = terms_of(given.settings, chosen.machine)
        set_budget(given.store, home, usd, prices=prices_of(given.settings), terms=terms)
    if not chosen.is_local:
        put_estimate(given.store, home, estimate_of(given.settings, given.store, JobReader(given.store, home).spec()))
    refuse_held(given.store, home)
