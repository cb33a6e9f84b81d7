"""A small job's money: held when its budget is spent, resumed with more, billed, and shown on a page."""

import json
import re
from html.parser import HTMLParser

import pytest
from studio import Studio

from jit_render.cli.main import app
from jit_render.cost.bill import PARTS
from jit_render.farm.billing import cost_of, estimate, prices_of, put_estimate, terms_of
from jit_render.farm.control import resume
from jit_render.farm.holding import hold_of, refuse_held, set_budget, told
from jit_render.farm.records import JobReader
from jit_render.model.errors import JobConflict
from jit_render.report.cost import cost_csv, cost_lines
from jit_render.report.page import page
from jit_render.report.page_data import frames_csv, gather
from jit_render.report.summary import exit_code_of, summarise


@pytest.fixture
def studio(tmp_path, monkeypatch):
    monkeypatch.setenv("JIT_RENDER_MACHINE", "n2-standard-8")
    monkeypatch.setenv("JIT_RENDER_PROVISIONING", "spot")
    made = Studio(tmp_path, frames=6, chunk=2, mischief="slow=0.2")
    yield made
    made.close()


class Loads(HTMLParser):
    """What a page would load or run."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag, attrs):
        given = dict(attrs)
        if tag in {"script", "link", "img", "iframe"} or {"src", "href", "onload", "onerror"} & given.keys():
            self.found.append(tag)


def test_a_job_is_held_resumed_billed_and_shown(studio):
    submitted = studio.submit()
    home, reader = submitted.home, JobReader(studio.store, submitted.home)
    on, terms = prices_of(studio.settings), terms_of(studio.settings)
    put_estimate(studio.store, home, estimate(studio.settings, studio.store, submitted.spec))
    set_budget(studio.store, home, 1e-7, prices=on, terms=terms)

    status = studio.run(home)
    assert (status.state, exit_code_of(status)) == ("held", 1)
    assert 0 <= status.frames_done < 6
    hold = hold_of(studio.store, home)
    assert hold is not None
    assert told(home.name, hold) in summarise(status, submitted.spec)[-1]
    with pytest.raises(JobConflict, match=rf"is held: .*resume {home.name} --budget USD"):
        refuse_held(studio.store, home)

    set_budget(studio.store, home, 5.0, prices=on, terms=terms)
    refuse_held(studio.store, home)
    assert len(resume(studio.store, home)) == 6 - status.frames_done
    assert studio.run(home).state == "done"

    cost = cost_of(studio.settings, reader, now=studio.clock.wall())
    total = cost.bill.total
    assert not cost.bill.is_assumed
    assert set(cost.bill.hours) == {("n2-standard-8", "spot")}
    assert total.render > 0
    assert total.total == pytest.approx(sum(money.total for money in cost.bill.frames.values()))
    assert len(cost_csv([cost]).splitlines()) == 7
    assert any("estimated" in line for line in cost_lines(cost))
    assert max(map(len, cost_lines(cost))) <= 100

    data = gather(studio.settings, reader, studio.clock)
    assert [one.frame for one in data.frames] == [1, 2, 3, 4, 5, 6]
    assert len(frames_csv(data).splitlines()) == 7
    html = page(data)
    assert {"Progress", "Frames", "Cost", "Files", "Slowest frames", "Plan", "Failures"} <= set(
        re.findall(r"<h2>(.*?)</h2>", html)
    )
    looked = Loads()
    looked.feed(html)
    assert looked.found == []
    assert sum(getattr(total, part) for part in PARTS) == pytest.approx(total.total)


def test_the_commands_bill_and_draw_a_job(studio, monkeypatch, capsys):
    submitted = studio.submit("1-2")
    studio.run(submitted.home)
    monkeypatch.setenv("JIT_RENDER_JOB_STATE", studio.settings.job.state)

    def run(*arguments: str) -> tuple[int, str]:
        with pytest.raises(SystemExit) as ended:
            app([*arguments])
        return ended.value.code, capsys.readouterr().out

    code, told = run("cost")
    assert code == 0
    assert "useful render" in told
    assert json.loads(run("cost", "--json")[1])["frames_done"] == 2
    assert len(run("cost", "--shot", "--csv")[1].splitlines()) == 3
    code, told = run("report", "--out", str(studio.root / "page.html"))
    assert (code, told) == (0, f"{studio.root}/page.html: 2 frames\n")
    assert (studio.root / "page.html").read_text().startswith("<!doctype html>")
    assert json.loads(run("report", "--json")[1])["status"]["state"] == "done"
