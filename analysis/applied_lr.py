import pandas as pd

from analysis import figures
from analysis.answers import Answer


def answer(rows):
    return Answer(title="applied_lr", sentences=("applied_lr to come.",), table=pd.DataFrame(), figure=lambda: figures.message("to come"))
