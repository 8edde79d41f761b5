"""Every answer on rows that hold little: it never crashes, and no sentence or table ever says nan, inf or None."""

import numpy as np
import pandas as pd
import pytest

from analysis.answers import NAMES, NESTED, all_answers
from analysis.figures import churn_map, learning_curves, style
from analysis.page import pages, sections, summary
from analysis.page.overview import NOT_KNOWN, first_page, main_table
from analysis.page.wording import displayed
from analysis.provenance import failures
from analysis.rows.planned import Progress
from analysis.tests.simulate import Truth, simulate, study_of
from lrbench.record import BY_NAME, FLAT

SCHEDULERS = [{"name": "ConstantLR", "factor": 1.0}, {"name": "StepLR", "step_size": "30%"}]
GRID = {"seed": "0-2", "cudnn_benchmark": [False, True], "scheduler": SCHEDULERS}


def whole() -> pd.DataFrame:
    return simulate(study_of(grid=GRID))


def without_values(rows: pd.DataFrame, names) -> pd.DataFrame:
    """Set columns to null, with the type that the store gives to a column of nulls."""
    rows = rows.copy()
    for name in names:
        kind = BY_NAME[name].type
        rows[name] = np.nan if kind.startswith(("int", "float")) else pd.Series([None] * len(rows), dtype=object)
    return rows


def all_statuses() -> pd.DataFrame:
    truth = Truth(failures={0: "diverged", 1: "out_of_memory", 2: "timed_out", 3: "crashed"})
    return simulate(study_of(grid=GRID), truth)


RECORD = {"study": {"name": "simulated", "question": "What is so?"}, "num_trials": 24}
OUTCOMES = [n for n in FLAT if BY_NAME[n].group in ("time", "resources", "quality", "bits")]
DEGENERATE = {
    "no rows": lambda: whole()[:0],
    "one row": lambda: simulate(study_of(grid={"seed": [0]}, replicates=1)),
    "all failed": lambda: simulate(study_of(), Truth(failures=dict.fromkeys(range(10), "crashed"))),
    "every status": all_statuses,
    "all diverged but one": lambda: simulate(
        study_of(grid=GRID), Truth(failures=dict.fromkeys(range(1, 24), "diverged"))
    ),
    "one condition": lambda: simulate(study_of()),
    "one seed": lambda: simulate(study_of(grid={**GRID, "seed": [7]})),
    "one replicate": lambda: simulate(study_of(grid=GRID, replicates=1)),
    "one seed, one replicate": lambda: simulate(study_of(grid={**GRID, "seed": [7]}, replicates=1)),
    "two seeds, no speed noise": lambda: simulate(study_of(grid={**GRID, "seed": "0-1"}), Truth(speed_sd=0.0)),
    "constant accuracy": lambda: whole().assign(final_accuracy=1.0),
    "accuracy zero": lambda: whole().assign(final_accuracy=0.0),
    "no outcomes": lambda: without_values(whole(), OUTCOMES),
    "no speeds": lambda: without_values(whole(), [n for n in FLAT if BY_NAME[n].group == "time"]),
    "nothing known of the machine": lambda: without_values(whole(), [n for n in FLAT if BY_NAME[n].group == "where"]),
    "nothing in force": lambda: without_values(whole(), [n for n in FLAT if BY_NAME[n].group == "in force"]),
    "no nested values": lambda: without_values(whole(), [n for names in NESTED.values() for n in names]),
    "flat columns alone": lambda: whole()[FLAT],
    "base_lr zero": lambda: simulate(study_of(fixed={"base_lr": 0.0}, grid=GRID)),
    "a GPU": lambda: simulate(study_of(grid=GRID), Truth(inert=False, identical=False, run_sd=0.01)),
    "everything packed": lambda: whole().assign(packed=True),
    "two machines": lambda: whole().assign(hostname=pd.Series(["a", "b"] * 12, dtype="category")),
    "clipping off and on": lambda: simulate(study_of(grid={"seed": "0-1", "clip_grad_norm": ["off", 1.0]})),
    "one place, two settings": lambda: simulate(study_of(grid={**GRID, "seed": "0-1", "base_lr": [0.1, 0.01]})),
    "six settings": lambda: simulate(study_of(grid={"seed": "0-1", "epochs": [1, 2, 3], "base_lr": [0.1, 0.01]})),
    "resumed trials have no speed": lambda: whole().assign(
        num_resumes=[1] * 12 + [0] * 12, samples_per_second=[np.nan] * 12 + [100.0] * 12
    ),
    "many schedulers": lambda: simulate(
        study_of(grid={"seed": "0-2", "scheduler": [f"StepLR(step_size={n})" for n in range(1, 15)]}, replicates=1)
    ),
    "streams of their own": lambda: simulate(study_of(grid={"seed_init": "0-2", "seed_order": "0-1"})),
    "a workload brings its recipe": lambda: simulate(
        study_of(fixed={"workload": "digits-cnn"}, grid={"seed": "0-1", "batch_size": [32, 64], "precision": ["fp32"]})
    ),
}


@pytest.mark.parametrize("kind", DEGENERATE)
def test_answers_hold(kind):
    """Sentences are whole, tables print, figures draw, whatever is missing."""
    rows = DEGENERATE[kind]()
    answers = all_answers(rows)
    assert tuple(answers) == NAMES
    for name, answer in answers.items():
        assert answer.sentences, name
        assert 1 <= answer.num_leading <= len(answer.sentences)
        sayings = [*answer.sentences, *answer.notes, *displayed(answer.table).astype(str).to_numpy().ravel()]
        check_words(sayings)
        draw(answer.figure())
    draw(learning_curves.draw(rows))
    for far in (NOT_KNOWN, Progress(num_trials=len(rows) + 1, num_done=len(rows), strays="1 row is left out.")):
        page = first_page(rows, answers, RECORD, far)
        check_words([*page.headline, *page.advice, *(text for said in page.others.values() for text in said)])
        assert 1 <= len(page.headline) <= 9
    for figure in (*churn_map.drawn(rows), *summary.drawn(rows, RECORD)):
        draw(figure)
    for table in (main_table(rows), failures(rows)):
        check_words(displayed(table).astype(str).to_numpy().ravel())


SHOWN = (
    "no rows",
    "one row",
    "all failed",
    "one seed, one replicate",
    "no outcomes",
    "nothing known of the machine",
    "flat columns alone",
    "two machines",
)


@pytest.mark.parametrize("kind", SHOWN)
def test_the_report_shows_it(kind, tmp_path, monkeypatch):
    """Every part of the notebook has something to show of it, and every way back counts its rows."""
    shown = []
    monkeypatch.setattr(pages, "_display", lambda bundle, metadata: shown.append(bundle))
    monkeypatch.setattr(pages, "_figure", lambda page, name, figure: None)  # drawn above
    rows = DEGENERATE[kind]()
    answers = sections.answered(rows, RECORD)
    page = pages.Page(folder="..", record=RECORD, rows=rows, answers=answers, out=tmp_path)
    for show in (pages.show_title, pages.show_contents, pages.show_first_page, pages.show_conditions):
        show(page)
    for name in page.sections:
        pages.show_answer(page, name)
    pages.show_environment(page)
    assert all(bundle["text/html"] and bundle["text/markdown"] and bundle["text/plain"] for bundle in shown)
    assert len(shown) > 15


def draw(figure) -> None:
    """Lay a figure out and draw it, with warnings as errors; it must have something on it."""
    with style():
        figure.draw_without_rendering()
    assert figure.axes


def check_words(sayings) -> None:
    """Fail where a saying holds a value that no reader should meet."""
    for saying in sayings:
        words = str(saying).replace(",", " ").replace("(", " ").replace(")", " ").replace("%", " ").lower().split()
        assert not {"nan", "inf", "−inf", "-inf", "none.", "nat", "<na>"} & set(words), saying
        assert "  " not in str(saying), saying
